import numpy as np
import pandas as pd
import pytest

from edukit.data.dbe_kt22 import DbeKt22
from edukit.data.junyi import Junyi
from edukit.data.synthetic import Synthetic
from edukit.graph.cells import fold
from edukit.graph.evidence import pairwise
from edukit.graph.stability import NOTHING, SOMETHING, TOO_LITTLE, permutation_test, split_half
from edukit.schema import DataError
from edukit.validation import validate_all

CONCEPTS, ITEMS = 20, 4


def answers(learners: int, chains: bool, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Answers to a random 60 % of the items; with ``chains`` every second concept is seldom mastered without the one before it."""
    rng = np.random.default_rng(seed)
    ability, ease = rng.normal(0, 1, learners), rng.normal(0.8, 0.5, CONCEPTS * ITEMS)
    shift = np.zeros((learners, CONCEPTS))
    if chains:
        master = rng.random((learners, CONCEPTS)) < 1 / (1 + np.exp(-1 - ability[:, None]))
        master[:, 1::2] &= master[:, ::2] | (rng.random((learners, CONCEPTS // 2)) < 0.12)
        shift = np.where(master, 1.5, -2.5)
    learner, item = np.nonzero(rng.random((learners, CONCEPTS * ITEMS)) < 0.6)
    odds = ease[item] + shift[learner, item // ITEMS] + (0.3 if chains else 1.0) * ability[learner]
    rows = pd.DataFrame({"learner_id": learner.astype(str), "item_id": item.astype(str), "order": pd.array([pd.NA] * len(item), "Int64"),
                         "correct": (rng.random(len(item)) < 1 / (1 + np.exp(-odds))).astype(float)})
    items = np.arange(CONCEPTS * ITEMS)
    return rows, pd.DataFrame({"item_id": items.astype(str), "concept_id": [f"c{i // ITEMS:02d}" for i in items]})


def examine(rows: pd.DataFrame, q_matrix: pd.DataFrame, **options):
    return permutation_test(fold(rows, q_matrix), **{"permutations": 19, **options})


def score(rows: pd.DataFrame, q_matrix: pd.DataFrame) -> pd.DataFrame:
    wide = pairwise(rows, q_matrix)
    return wide.rename(columns={"parent_correct_given_child_passed": "score"})[["concept_id", "requires_id", "score"]]


def test_planted_prerequisites_are_noticed_and_ability_alone_is_not():
    assert [examine(*answers(200, True, seed)).verdict for seed in range(3)] == [SOMETHING] * 3
    p = [examine(*answers(200, False, seed), seed=seed).p_value for seed in range(12)]
    assert np.mean(np.array(p) <= 0.05) <= 0.2 and 0.25 < np.mean(p) < 0.75


def test_exchanged_answers_forget_the_graph():
    found = examine(*answers(300, True, 0))
    assert found.p_value == 1 / 20 and found.statistic > found.null.max() + 2 * found.null.std() and found.spread > found.null_spread
    assert abs(found.null.mean()) < 0.3 and len(found.null) == 19 and found.learners == 300 and found.pairs == CONCEPTS * (CONCEPTS - 1)
    value, p = found.records("evidence")
    assert value["name"] == "graph_information" and value["high"] < value["value"] and p["value"] == found.p_value


def test_concepts_on_one_item_say_nothing():
    rows, q = answers(200, False, 1)
    twins = pd.concat([q, q.assign(concept_id=q["concept_id"] + "-twin")])  # every item carries a concept and its twin
    plain, doubled = examine(rows, q), examine(rows, twins)
    assert plain.verdict == doubled.verdict == NOTHING
    assert doubled.pairs == 2 * CONCEPTS * (2 * CONCEPTS - 1) - 2 * CONCEPTS


def test_the_same_seed_gives_the_same_and_row_order_does_not_matter():
    rows, q = answers(150, True, 2)
    one, two = examine(rows, q), examine(rows.sample(frac=1, random_state=0), q)
    assert one.statistic == pytest.approx(two.statistic) and one.p_value == two.p_value
    np.testing.assert_array_equal(one.null, examine(rows, q).null)


def test_too_little_is_a_verdict_of_its_own():
    found = examine(*answers(15, True, 0))
    assert found.verdict == TOO_LITTLE and np.isnan(found.p_value) and len(found.null) == 0
    assert found.records()[0]["low"] is None


def test_halves_agree_where_something_is_planted_and_not_where_answers_are_shuffled():
    rows, q = answers(600, True, 0)
    records, edges = split_half(rows, lambda half: score(half, q), splits=3, edges=10, model="evidence")
    value = {r["name"]: r for r in records}
    assert value["split_half_overlap"]["value"] > 3 * value["split_half_overlap_chance"]["value"] and value["split_half_overlap"]["model"] == "evidence"
    assert value["split_half_correlation"]["low"] <= value["split_half_correlation"]["value"] <= value["split_half_correlation"]["high"]
    best = edges[edges["stability"] >= 0.8]
    planted = [{a, b} == {f"c{k:02d}", f"c{k + 1:02d}"} for a, b in zip(best["concept_id"], best["requires_id"], strict=True)
               for k in [2 * (int(a[1:]) // 2)]]
    assert len(best) >= 5 and np.mean(planted) > 0.9 and edges["stability"].between(0, 1).all()
    shuffled = rows.assign(correct=np.random.default_rng(0).permutation(rows["correct"]))
    nothing = {r["name"]: r["value"] for r in split_half(shuffled, lambda half: score(half, q), splits=3, edges=10)[0]}
    assert abs(nothing["split_half_correlation"]) < 0.2 and nothing["split_half_overlap"] < 0.15


def test_halves_that_judge_nothing_are_refused():
    rows, q = answers(20, True, 0)
    with pytest.raises(DataError, match="both halves of the 20 learners"):
        split_half(rows, lambda half: score(half, q))


def test_the_embedded_classroom_carries_information():
    tables = Synthetic().parse(Synthetic().raw_dir())
    assert examine(tables["interactions"], tables["q_matrix"]).verdict == SOMETHING


@pytest.mark.realdata
def test_dbe_kt22_carries_none_beyond_questions_that_share_concepts(edukit_data):
    tables = validate_all(DbeKt22(path=str(edukit_data / "dbe_kt22")).parse(edukit_data / "dbe_kt22"))
    found = examine(tables["interactions"], tables["q_matrix"], permutations=99)
    assert found.verdict == NOTHING and found.p_value > 0.2
    assert found.spread > 1.1 * found.null_spread  # concepts do hang together a little, but no pair stands out


@pytest.mark.realdata
def test_junyi_carries_some(edukit_data):
    tables = validate_all(Junyi().parse(edukit_data / "junyi"))
    found = examine(tables["interactions"], tables["q_matrix"], permutations=19)
    assert found.verdict == SOMETHING and found.statistic > found.null.mean() + 5 * found.null.std()
