"""Planted flaws are flagged, sound items are not, and a hard concept is not taken for a bad paper."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.data.synthetic import World, random_concepts, simulate
from edukit.gaps.item_screen import FLAGS, ItemScreen, content_gaps
from edukit.schema import DataError

NUMBERS = ["correct", "discrimination", "discrimination_low", "discrimination_high", "information"]


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    return [simulate(*random_concepts(seed=seed), seed=seed) for seed in (3, 5)]


@pytest.fixture(scope="module")
def screens(worlds: list[World]) -> list[pd.DataFrame]:
    return [screen(world) for world in worlds]


def screen(world: World, **changed: pd.DataFrame) -> pd.DataFrame:
    tables = {**world.tables, **changed}
    return ItemScreen().screen(tables["interactions"], tables["q_matrix"], tables["learners"].set_index("learner_id")["language"], tables["prerequisites"])


def has(table: pd.DataFrame, flag: str) -> pd.Series:
    return table["flags"].str.split("; ").map(lambda found: flag in found)


def rasch(learners: int = 200, items: int = 20, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Everyone answers every item; four items to a concept."""
    rng = np.random.default_rng(seed)
    right = rng.random((learners, items)) < 1 / (1 + np.exp(-1.5 * rng.normal(size=(learners, 1))))
    learner, item = np.indices(right.shape)
    log = pd.DataFrame({"learner_id": [f"L{u:04d}" for u in learner.ravel()], "item_id": [f"q{i:02d}" for i in item.ravel()],
                        "correct": right.ravel().astype(float)})
    return log, pd.DataFrame({"item_id": [f"q{i:02d}" for i in range(items)], "concept_id": [f"k{i // 4}" for i in range(items)]})


def test_broken_and_biased_items_are_flagged_and_sound_ones_are_not(worlds: list[World], screens: list[pd.DataFrame]):
    found = pd.concat([table.merge(world.items, on="item_id") for world, table in zip(worlds, screens, strict=True)], ignore_index=True)
    broken, biased, sound = (found["flaw"] == flaw for flaw in ("broken", "dif", "none"))
    assert found.loc[broken, "flagged"].mean() >= 0.95 and has(found, "low_discrimination")[broken].mean() >= 0.9
    assert has(found, "dif")[biased].mean() >= 0.7
    assert found.loc[sound, "flagged"].mean() <= 0.03
    assert found.loc[sound, "slip_guess"].mean() == pytest.approx((found["slip"] + found["guess"])[sound].mean(), abs=0.06)
    assert found.loc[broken, "slip_guess"].mean() > 0.85


def test_content_is_suspected_where_items_are_broken_not_where_the_concept_is_hard(worlds: list[World], screens: list[pd.DataFrame]):
    for world, table in zip(worlds, screens, strict=True):
        found = content_gaps(table).set_index("concept_id")
        assert set(found.index[found["suspected"]]) == set(world.truth.loc[world.truth["injected"] == "broken_items", "concept_id"])
        assert (found["slope_low"] < found["slope"]).all() and (found["slope"] < found["slope_high"]).all()


def test_a_broken_item_is_contradicted_by_those_who_master_what_builds_on_it():
    """Only one item of its concept is broken: a world's own broken concepts have no sound items left to compare with."""
    world = simulate(*random_concepts(seed=4), seed=4)
    edges, q = world.tables["prerequisites"], world.tables["q_matrix"]
    bad = set(world.items.loc[world.items["flaw"] == "broken", "concept_id"])
    parent = next(c for c in edges["requires_id"].value_counts().index if c not in bad)
    item = q.loc[q["concept_id"] == parent, "item_id"].iloc[0]
    log = world.tables["interactions"].copy()
    rows = log["item_id"] == item
    log.loc[rows, "correct"] = (np.random.default_rng(0).random(rows.sum()) < 0.28).astype(float)
    found = screen(world, interactions=log).set_index("item_id")
    assert "contradicted" in found.loc[item, "flags"] and found.loc[item, "contradiction"] > 0.6
    assert found["flags"].str.contains("contradicted").sum() <= 2
    without = ItemScreen().screen(log, q)
    assert "contradiction" not in without and not without["flags"].str.contains("contradicted").any()


def test_an_item_of_two_concepts_is_not_contradicted_because_of_the_other():
    world = simulate(*random_concepts(seed=2), paired_items=0.15, seed=2)
    found = screen(world)
    paired = found["item_id"].duplicated(keep=False)
    assert paired.any() and found.loc[paired, "contradiction"].isna().all() and not has(found, "contradicted")[paired].any()
    assert found[paired].groupby("item_id")["flags"].nunique().eq(1).all()


def test_groups_shape_what_is_said_of_difference_and_nothing_else(worlds: list[World], screens: list[pd.DataFrame]):
    tables = worlds[0].tables
    without = ItemScreen().screen(tables["interactions"], tables["q_matrix"], None, tables["prerequisites"])
    same = [name for name in without.columns if name not in ("flags", "flagged")]
    pd.testing.assert_frame_equal(without[same], screens[0][same])
    assert not has(without, "dif").any() and "dif_delta" not in without


def test_wrong_key_and_preferred_distractor_are_called_miskeyed():
    log, q = rasch()
    rng = np.random.default_rng(1)
    log["response"] = np.where(log["correct"] == 1, "A", rng.choice(["B", "C"], len(log)))
    flipped = log["item_id"] == "q05"
    log.loc[flipped, "correct"] = (log.loc[flipped, "response"] == "B").astype(float)  # A is right; the key says B
    found = ItemScreen().screen(log, q).set_index("item_id")
    assert found.index[found["flags"].str.contains("miskeyed")].tolist() == ["q05"]
    inverted = log.drop(columns="response").assign(correct=log["correct"].mask(log["item_id"] == "q09", 1 - log["correct"]))
    inverted["correct"] = inverted["correct"].mask(inverted["item_id"] == "q05", log["response"].eq("A").astype(float))
    found = ItemScreen().screen(inverted, q).set_index("item_id")
    assert found.index[found["flags"].str.contains("miskeyed")].tolist() == ["q09"] and found.loc["q09", "discrimination_high"] < 0


def test_later_attempts_row_order_and_classes_change_nothing(worlds: list[World], screens: list[pd.DataFrame]):
    log = worlds[0].tables["interactions"]
    again = pd.concat([log, log.assign(attempt=2, order=log["order"] + 10_000, correct=1 - log["correct"])])
    moved = again.sample(frac=1, random_state=0).assign(class_id="one")
    pd.testing.assert_frame_equal(screen(worlds[0], interactions=moved), screens[0])


def test_too_few_learners_give_a_row_without_numbers():
    log, q = rasch()
    log = log[(log["item_id"] != "q03") | (log["learner_id"] < "L0009")]
    found = ItemScreen().screen(log, pd.concat([q, pd.DataFrame({"item_id": ["never"], "concept_id": ["k0"]})])).set_index("item_id")
    for item in ("q03", "never"):
        assert found.loc[item, "n"] == 0 and found.loc[item, NUMBERS].isna().all() and found.loc[item, "flags"] == "" and not found.loc[item, "flagged"]
    assert found.drop(index=["q03", "never"])["n"].eq(200).all()


def test_answers_at_random_say_nothing_and_crash_nothing():
    log, q = rasch()
    log["correct"] = np.random.default_rng(0).integers(0, 2, len(log)).astype(float)
    found = ItemScreen().screen(log, q)
    assert len(found) == 20 and set("; ".join(found["flags"]).split("; ")) <= {"", *FLAGS}
    for always in (0.0, 1.0):
        found = ItemScreen().screen(log.assign(correct=always), q, pd.Series("x", index=log["learner_id"].unique()))
        assert not found["flagged"].any() and np.isfinite(found["discrimination"]).all() and found.get("dif_class", pd.Series(dtype=object)).isna().all()


def test_one_item_to_a_concept_can_be_screened_but_names_no_cause():
    log, q = rasch()
    found = ItemScreen().screen(log, q.assign(concept_id=q["item_id"]))
    assert found["slip_guess"].isna().all() and found["discrimination"].notna().all()
    gaps = content_gaps(found)
    assert gaps["suspected"].isna().all() and gaps["reason"].str.startswith("fewer than two items").all()


def test_content_gaps_count_what_the_screen_flagged():
    table = pd.DataFrame({"item_id": list("abcdefgh"), "concept_id": list("xxxxyyyy"), "n": 50, "discrimination": [1.0] * 4 + [0.3] * 4,
                          "discrimination_low": [0.8] * 4 + [0.1] * 4, "discrimination_high": [1.2] * 4 + [0.5] * 4, "slip_guess": [0.3] * 4 + [0.9] * 4,
                          "flags": ["dif", "dif", "", "", "", "", "", ""]}).assign(flagged=lambda t: t["flags"] != "")
    found = content_gaps(table).set_index("concept_id")
    assert found["share_flagged"].tolist() == [0.5, 0.0] and found["suspected"].tolist() == [True, True]
    assert found["reason"].tolist() == ["many items flagged", "low pooled slope"]
    median = np.median(table["discrimination"])
    assert found.loc["y", ["slope_low", "slope_high"]].tolist() == pytest.approx([0.2 / median, 0.4 / median])  # four items: half the width
    assert content_gaps(table.assign(slip_guess=0.3)).set_index("concept_id").loc["y", "reason"] == ""


def test_what_cannot_be_used_is_named():
    log, q = rasch(20, 4)
    with pytest.raises(DataError, match="found 'q00' without a concept"):
        ItemScreen().screen(log, q[q["item_id"] != "q00"])
    with pytest.raises(DataError, match="low_slope must lie"):
        ItemScreen(low_slope=0)
    with pytest.raises(DataError, match="moderate must lie"):
        ItemScreen(moderate=2.0)
