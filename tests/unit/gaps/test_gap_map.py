"""The gap map finds the stuck class, its interval covers, and nothing about fewer than k learners is in it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.gaps.gap_map import GapMap
from edukit.governance.privacy import TOTAL
from edukit.schema import DataError
from edukit.validation import validate

NUMBERS = ["n", "responses", "mastery", "low", "high", "need", "p_stuck", "stuck"]


def world(sizes: dict[str | None, int], concepts: dict[str, int], seed: int = 0, mean: float = 0.75, spread: float = 0.08,
          sd: float = 0.05) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Learners of each class (None = no class stated) who answered every item of every concept; mastery around ``mean``."""
    rng = np.random.default_rng(seed)
    names = [(f"{group}-{i}", group) for group, n in sizes.items() for i in range(n)]
    tags = pd.DataFrame([(f"{c}/{i}", c) for c, n in concepts.items() for i in range(n)], columns=["item_id", "concept_id"])
    learners = pd.DataFrame(names, columns=["learner_id", "class_id"])
    interactions = learners.merge(tags[["item_id"]], how="cross").assign(correct=1.0)
    interactions["order"] = interactions.groupby("learner_id").cumcount()
    mastery = learners[["learner_id"]].merge(tags[["concept_id"]].drop_duplicates(), how="cross")
    mastery = mastery.assign(mastery=np.clip(rng.normal(mean, spread, len(mastery)), 0, 1), sd=sd, n=1)
    return validate(mastery, "mastery"), validate(interactions, "interactions"), validate(tags, "q_matrix")


def cell(gaps: pd.DataFrame, class_id: str, concept_id: str) -> pd.Series:
    return gaps[(gaps["class_id"] == class_id) & (gaps["concept_id"] == concept_id)].iloc[0]


def test_planted_stuck_class_is_found_and_no_other():
    mastery, interactions, tags = world({"7a": 25, "7b": 25, "7c": 25}, {"ratio": 3, "percent": 3}, mean=0.72)
    low = mastery["learner_id"].str.startswith("7b") & (mastery["concept_id"] == "percent")
    mastery.loc[low, "mastery"] = np.clip(mastery.loc[low, "mastery"] - 0.35, 0, 1)
    gaps = GapMap().map(mastery, interactions, tags)
    assert [tuple(x) for x in gaps.loc[gaps["stuck"], ["class_id", "concept_id"]].to_numpy()] == [("7b", "percent")]
    found = cell(gaps, "7b", "percent")
    assert found["mastery"] == pytest.approx(mastery.loc[low, "mastery"].mean())
    assert found["need"] == pytest.approx(0.70 - found["mastery"])
    assert (found["n"], found["responses"], found["items"], found["state"]) == (25, 75, 3, "estimated")
    assert found["low"] < found["mastery"] < found["high"]


def test_the_cohort_all_weighs_learners_equally_and_counts_them_once():
    mastery, interactions, tags = world({"7a": 12, "7b": 40}, {"ratio": 2})
    moved = interactions[interactions["learner_id"] == "7a-0"].assign(class_id="7b", order=[2, 3])  # changed class, answered again
    gaps = GapMap().map(mastery, pd.concat([interactions, moved]), tags)
    everyone = cell(gaps, TOTAL, "ratio")
    assert everyone["n"] == 52 and everyone["mastery"] == pytest.approx(mastery["mastery"].mean())
    assert (cell(gaps, "7a", "ratio")["n"], cell(gaps, "7b", "ratio")["n"]) == (12, 41)
    assert everyone["responses"] == 106


def test_interval_covers_the_mean_of_the_population_the_class_was_drawn_from():
    """Beta-binomial learners: true mastery Beta(4, 3), 6 answers each, exact posteriors; 95 % intervals of 600 classes of 20."""
    rng = np.random.default_rng(1)
    classes, learners, answers, a, b = 600, 20, 6, 4.0, 3.0
    right = rng.binomial(answers, rng.beta(a, b, size=(classes, learners)))
    alpha, beta = a + right, b + answers - right
    ids = np.array([f"{c}-{i}" for c in range(classes) for i in range(learners)])
    sd = np.sqrt(alpha * beta / ((alpha + beta) ** 2 * (alpha + beta + 1)))
    mastery = pd.DataFrame({"learner_id": ids, "concept_id": "k", "mastery": (alpha / (alpha + beta)).ravel(), "sd": sd.ravel(), "n": 6})
    classes_of = np.repeat([f"c{i}" for i in range(classes)], learners)
    interactions = pd.DataFrame({"learner_id": ids, "item_id": "q", "correct": 1.0, "order": 0, "class_id": classes_of})
    gaps = GapMap(min_responses=10).map(mastery, interactions, pd.DataFrame({"item_id": ["q"], "concept_id": ["k"]}))
    gaps = gaps[gaps["class_id"] != TOTAL]
    covered = gaps["low"].le(a / (a + b)) & gaps["high"].ge(a / (a + b))
    assert 0.94 <= covered.mean() <= 0.999  # conservative: shrunken means vary less than true mastery does
    assert (gaps["high"] - gaps["low"]).mean() < 0.20  # and still says something (the spread of true mastery alone gives .153)


def test_interval_covers_when_estimates_are_not_shrunken():
    rng = np.random.default_rng(2)
    sizes = {f"c{i}": 20 for i in range(400)}
    mastery, interactions, tags = world(sizes, {"k": 1}, mean=0.6, spread=0.1, sd=0.02, seed=3)
    mastery["mastery"] = np.clip(mastery["mastery"] + rng.normal(0, 0.02, len(mastery)), 0, 1)
    gaps = GapMap().map(mastery, interactions, tags)
    gaps = gaps[gaps["class_id"] != TOTAL]
    assert 0.91 <= (gaps["low"].le(0.6) & gaps["high"].ge(0.6)).mean() <= 0.98


def test_a_certain_class_below_the_mark_is_stuck_and_at_the_level_only():
    mastery, interactions, tags = world({"7a": 30}, {"k": 2}, mean=0.58, spread=0.15, sd=0.02)
    found = cell(GapMap().map(mastery, interactions, tags), "7a", "k")
    assert cell(GapMap(stuck_level=found["p_stuck"] - 0.001).map(mastery, interactions, tags), "7a", "k")["stuck"]
    assert not cell(GapMap(stuck_level=found["p_stuck"] + 0.001).map(mastery, interactions, tags), "7a", "k")["stuck"]


def test_few_learners_or_few_responses_are_a_state_and_never_a_number():
    mastery, interactions, tags = world({"small": 6, "large": 30, "larger": 31}, {"k": 2, "thin": 1})
    interactions = interactions[~((interactions["item_id"] == "thin/0") & (interactions["class_id"] == "large")
                                  & interactions["learner_id"].isin([f"large-{i}" for i in range(12, 30)]))]
    gaps = GapMap().map(mastery, interactions, tags)
    assert cell(gaps, "small", "k")["state"] == "not enough data"
    assert cell(gaps, "large", "thin")["state"] == "not enough data"  # 12 learners, 12 responses
    assert cell(gaps, "large", "k")["state"] == "suppressed"  # or `small` would be all - large - larger
    assert cell(gaps, "larger", "k")["state"] == cell(gaps, TOTAL, "k")["state"] == "estimated"
    assert gaps.loc[gaps["state"] != "estimated", NUMBERS].isna().all(axis=None)
    assert gaps.loc[gaps["state"] == "estimated", NUMBERS].notna().all(axis=None)


def test_learners_without_a_class_cannot_be_computed_from_the_total():
    mastery, interactions, tags = world({"7a": 25, "7b": 30, None: 4}, {"k": 2})
    gaps = GapMap().map(mastery, interactions, tags)
    assert gaps["class_id"].tolist() == [TOTAL, "7a", "7b"]
    shown = gaps[gaps["state"] == "estimated"].set_index("class_id")["n"]
    assert shown[TOTAL] == 59
    assert shown[TOTAL] - shown.drop(TOTAL).sum() >= 10


def test_one_learner_s_answers_never_show_in_a_hidden_cell():
    """Two worlds that differ only in a hidden class publish the same class cells."""
    sizes = {"small": 5, "7a": 25, "7b": 30, "7c": 40}
    mastery, interactions, tags = world(sizes, {"k": 2})
    changed = mastery.assign(mastery=mastery["mastery"].mask(mastery["learner_id"].str.startswith("small"), 0.1))
    first, second = (GapMap().map(m, interactions, tags) for m in (mastery, changed))
    classes = first["class_id"] != TOTAL
    pd.testing.assert_frame_equal(first[classes], second[classes])


def test_an_item_of_two_concepts_counts_for_both_and_a_single_item_carries_a_badge():
    mastery, interactions, _ = world({"7a": 24}, {"a": 2})
    tags = pd.DataFrame({"item_id": ["a/0", "a/1", "a/1"], "concept_id": ["a", "a", "b"]})
    mastery = pd.concat([mastery, mastery.assign(concept_id="b", mastery=0.3)])
    gaps = GapMap().map(mastery, interactions, tags)
    assert cell(gaps, "7a", "a")["responses"] == 48 and pd.isna(cell(gaps, "7a", "a")["badge"])
    assert cell(gaps, "7a", "b")["responses"] == 24 and cell(gaps, "7a", "b")["badge"] == "one item: no cause"
    assert cell(gaps, "7a", "b")["mastery"] == pytest.approx(0.3)


def test_a_concept_nobody_answered_is_on_the_map_without_a_number():
    mastery, interactions, tags = world({"7a": 24}, {"a": 2})
    tags = pd.concat([tags, pd.DataFrame({"item_id": ["z/0"], "concept_id": ["z"]})])
    found = cell(GapMap().map(mastery, interactions, tags), TOTAL, "z")
    assert found["state"] == "not enough data" and found["items"] == 0


def test_without_classes_there_is_one_cohort():
    mastery, interactions, tags = world({"7a": 24, "7b": 24}, {"a": 2, "b": 2})
    gaps = GapMap().map(mastery, interactions.drop(columns="class_id"), tags)
    assert gaps["class_id"].tolist() == [TOTAL, TOTAL] and (gaps["n"] == 48).all()


def test_teacher_roll_up():
    mastery, interactions, tags = world({"7a": 20, "7b": 22, "7c": 30}, {"a": 2})
    interactions["teacher_id"] = interactions["class_id"].map({"7a": "t1", "7b": "t1", "7c": "t2"})
    gaps = GapMap().map(mastery, interactions, tags, by="teacher_id")
    assert gaps["class_id"].tolist() == [TOTAL, "t1", "t2"] and gaps["n"].tolist() == [72, 42, 30]
    assert gaps["teacher_id"].isna().tolist() == [True, False, False]


def test_order_of_rows_does_not_matter():
    mastery, interactions, tags = world({"7a": 24, "7b": 8, "7c": 31}, {"a": 2, "b": 1})
    mixed = GapMap().map(*(t.sample(frac=1, random_state=1) for t in (mastery, interactions, tags)))
    pd.testing.assert_frame_equal(GapMap().map(mastery, interactions, tags), mixed)


def test_errors_name_the_first_offender():
    mastery, interactions, tags = world({"7a": 24}, {"a": 2})
    with pytest.raises(DataError, match=r"item_id must be found.*'a/1' in 24 of 48 rows \(first: row 2\)"):
        GapMap().map(mastery, interactions, tags[:1])
    with pytest.raises(DataError, match=r"1 of 24 pairs \(first: learner '7a-3', concept 'a'\)"):
        GapMap().map(mastery[mastery["learner_id"] != "7a-3"], interactions, tags)
    with pytest.raises(DataError, match="Rename that class"):
        GapMap().map(mastery, interactions.assign(class_id=TOTAL), tags)
    with pytest.raises(DataError, match="found district"):
        GapMap().map(mastery, interactions, tags, by="district")
    with pytest.raises(DataError, match="fail must lie between"):
        GapMap(fail=60)


def test_a_million_rows_take_seconds():
    import time

    rng = np.random.default_rng(0)
    learners, concepts = pd.Series([f"l{i}" for i in range(2_000)]), pd.Series([f"c{i}" for i in range(500)])
    mastery = pd.DataFrame({"learner_id": learners.repeat(500).to_numpy(), "concept_id": np.tile(concepts, 2_000)})
    mastery = mastery.assign(mastery=rng.random(10**6), sd=0.1, n=0)
    interactions = pd.DataFrame({"learner_id": learners.sample(10**5, replace=True, random_state=0).to_numpy(),
                                 "item_id": concepts.sample(10**5, replace=True, random_state=1).to_numpy(), "correct": 1.0})
    started = time.process_time()
    GapMap().map(mastery, interactions, pd.DataFrame({"item_id": concepts, "concept_id": concepts}))
    assert time.process_time() - started < 5
