import numpy as np
import pandas as pd
import pytest

from edukit.data.synthetic import random_concepts, simulate
from edukit.gaps.evidence import gap_evidence
from edukit.gaps.gap_map import GapMap
from edukit.gaps.item_screen import ItemScreen


def told(k: int = 10, classes: int = 3, learners: int = 25, seed: int = 2, drop: float = 0.0, without: int = 0):
    """A world, its gap map from raw rates, and the evidence behind it."""
    world = simulate(*random_concepts(12, seed=seed), classes=classes, learners_per_class=learners, seed=seed)
    log, q_matrix = world.tables["interactions"], world.tables["q_matrix"]
    if without:  # learners whose class is not stated, of all classes
        people = log["learner_id"].unique()
        log = log.assign(class_id=log["class_id"].mask(log["learner_id"].isin(people[:: len(people) // without][:without])))
    if drop:
        log = log.sample(frac=1 - drop, random_state=0)
    rate = log.merge(q_matrix, on="item_id").groupby(["learner_id", "concept_id"])["correct"].mean().rename("mastery").reset_index().assign(sd=0.1, n=1)
    gaps = GapMap(k=k).map(rate, log, q_matrix)
    screen = ItemScreen(k=k).screen(log, q_matrix)
    return world, log, gaps, gap_evidence(gaps, log, q_matrix, world.tables["prerequisites"], screen, k=k)


def test_items_hold_the_share_right_of_first_attempts_with_their_interval():
    _, log, _, evidence = told()
    rows = evidence[(evidence["kind"] == "item") & (evidence["class_id"] == "all")]
    rate = log.drop_duplicates(["learner_id", "item_id"]).groupby("item_id")["correct"].agg(["mean", "size"])
    np.testing.assert_allclose(rows["value"], rate.loc[rows["about"], "mean"])
    np.testing.assert_array_equal(rows["n"].astype(int), rate.loc[rows["about"], "size"])
    assert (rows["low"] < rows["value"]).all() and (rows["value"] < rows["high"]).all()


def test_prerequisites_hold_the_mastery_of_the_same_class():
    world, _, gaps, evidence = told()
    rows = evidence[evidence["kind"] == "prerequisite"]
    cells = gaps.set_index(["class_id", "concept_id"])
    assert len(rows) == len(world.tables["prerequisites"]) * 4
    np.testing.assert_allclose(rows["value"], [cells.loc[(c, about), "mastery"] for c, about in rows[["class_id", "about"]].itertuples(index=False)])


def test_distractors_of_the_cohort_say_which_option_is_right():
    _, log, _, evidence = told()
    rows = evidence[evidence["kind"] == "distractor"]
    assert set(rows["class_id"]) == {"all"} and rows["n"].min() >= 10
    item, _, option = rows[rows["note"] == "the right answer"].iloc[0]["about"].partition(" · ")
    assert set(log.loc[(log["item_id"] == item) & (log["response"] == option), "correct"]) == {1.0}


@pytest.mark.parametrize(("drop", "learners", "without"), [(0.0, 45, 0), (0.0, 45, 30), (0.0, 45, 4), (0.3, 16, 0), (0.6, 16, 0)])
def test_no_row_rests_on_fewer_than_k_learners_and_no_small_cell_is_left_by_subtraction(drop, learners, without):
    _, log, gaps, evidence = told(learners=learners, drop=drop, without=without)
    assert (evidence["n"].dropna() >= 10).all()
    items = evidence[(evidence["kind"] == "item") & (evidence["class_id"] != "all")]
    whole = evidence[(evidence["kind"] == "item") & (evidence["class_id"] == "all")].set_index("about")["n"]
    left = whole.loc[items["about"].unique()] - items.groupby("about")["n"].sum()
    assert ((left == 0) | (left >= 10)).all()
    hidden = gaps[gaps["state"] != "estimated"]
    keys = set(map(tuple, hidden[["class_id", "concept_id"]].to_numpy()))
    assert not keys & set(map(tuple, evidence[["class_id", "concept_id"]].to_numpy()))
    assert bool(len(items)) == (drop == 0 and without != 4)  # four learners without a class: what is theirs would be left over


def test_a_log_without_options_classes_or_graph_still_has_items():
    world = simulate(*random_concepts(12, seed=2), classes=3, seed=2)
    log = world.tables["interactions"][["learner_id", "item_id", "correct", "order"]]
    q_matrix = world.tables["q_matrix"]
    rate = log.merge(q_matrix, on="item_id").groupby(["learner_id", "concept_id"])["correct"].mean().rename("mastery").reset_index().assign(sd=0.1, n=1)
    gaps = GapMap().map(rate, log, q_matrix)
    nothing = world.tables["prerequisites"].head(0)
    evidence = gap_evidence(gaps, log, q_matrix, nothing, ItemScreen().screen(log, q_matrix))
    assert set(evidence["kind"]) == {"item"} and set(evidence["class_id"]) == {"all"}
    empty = gap_evidence(gaps.assign(state="suppressed"), log, q_matrix, nothing, ItemScreen().screen(log, q_matrix))
    assert len(empty) == 0 and isinstance(empty, pd.DataFrame)
