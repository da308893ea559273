import numpy as np
import pandas as pd
import pytest

from edukit.graph import cells
from edukit.graph.evidence import pairwise
from edukit.graph.log_features import EXPOSURE, ORDER, RANKED, RESPONSES, LogFeatures, rivals
from edukit.schema import DataError

PAIR = ["concept_id", "requires_id"]


def log(learners: int = 200, concepts: int = 6, seed: int = 0, ordered: bool = True) -> dict[str, pd.DataFrame]:
    """Each concept requires the one before it: it is passed where that was, and mostly met where that was."""
    rng = np.random.default_rng(seed)
    rows = []
    for u in range(learners):
        passed, met = True, True
        for k in range(concepts):
            met = rng.random() < (0.9 if met else 0.4)
            passed = rng.random() < (0.85 if passed else 0.1)
            if met:
                rows += [(f"u{u:03d}", f"i{k}{j}", float(rng.random() < (0.9 if passed else 0.2)), k) for j in range(2)]
    table = pd.DataFrame(rows, columns=["learner_id", "item_id", "correct", "order"])
    table["order"] = pd.array(table["order"] if ordered else [pd.NA] * len(table), "Int64")
    q = pd.DataFrame([(f"i{k}{j}", f"k{k}") for k in range(concepts) for j in range(2)], columns=["item_id", "concept_id"])
    return {"interactions": table, "q_matrix": q}


@pytest.fixture(scope="module")
def tables():
    return log()


@pytest.fixture(scope="module")
def found(tables):
    return LogFeatures.from_log(**tables)


def of(features: LogFeatures, channel: str, name: str, concept: str = "k3", requires: str = "k2") -> float:
    a, b = (features.concept_ids.index(c) for c in (concept, requires))
    return float(features.channels[channel][name][a, b])


def test_the_columns_are_those_declared_and_no_channel_holds_the_other_s(found):
    ranks = {c: [f"{name}_rivals_{end}" for name in RANKED[c] for end in ("concept", "requires")] for c in RANKED}
    assert set(found.channels["responses"]) == {*RESPONSES, *ranks["responses"]}
    assert set(found.channels["exposure"]) == {*EXPOSURE, *ORDER, *ranks["exposure"]}


def test_numbers_agree_with_the_evidence(tables, found):
    wide = pairwise(**tables)
    same = {"correct_if_passed_z": "parent_correct_given_child_passed", "fails_if_failed_z": "child_fails_given_parent_failed",
            "conditional_success": "conditional_success", "iita_agreement": "iita_agreement", "difficulty_difference": "difficulty_difference",
            "requires_met_if_concept": "exposure_conditional", "requires_first": "parent_first", "transition": "transition"}
    for own, theirs in same.items():
        channel = "responses" if own in RESPONSES else "exposure"
        column = list(found.channels[channel]).index(own)
        np.testing.assert_allclose(found.rows(channel, wide)[:, column], wide[theirs].fillna(0.0), rtol=2e-4, atol=1e-4)
    np.testing.assert_array_equal(found.learners(wide), wide["n"])


def test_what_requires_what_shows_in_both_channels_and_its_direction(found):
    assert of(found, "responses", "conditional_success") > of(found, "responses", "conditional_success", "k3", "k0")
    assert of(found, "responses", "partial_correlation") > of(found, "responses", "partial_correlation", "k3", "k0")
    assert of(found, "exposure", "partial_correlation") > of(found, "exposure", "partial_correlation", "k3", "k0")
    assert of(found, "exposure", "requires_first") == 1 and of(found, "exposure", "requires_first", "k2", "k3") == 0
    assert of(found, "responses", "odds_z_rivals_concept") < 0.7


def test_exposure_does_not_read_marks(tables, found):
    marks = tables["interactions"].assign(correct=1 - tables["interactions"]["correct"])
    other = LogFeatures.from_log(marks, tables["q_matrix"])
    for name, matrix in found.channels["exposure"].items():
        np.testing.assert_array_equal(matrix, other.channels["exposure"][name])
    assert any(not np.array_equal(m, other.channels["responses"][n], equal_nan=True) for n, m in found.channels["responses"].items())


def test_too_few_learners_shared_items_and_strangers_are_nan(tables):
    pairs = pd.DataFrame([("k1", "k0"), ("k0", "k1"), ("k1", "k2"), ("zz", "k0"), ("k1", "k1")], columns=PAIR)
    shared = pd.concat([tables["q_matrix"], pd.DataFrame({"item_id": ["i00"], "concept_id": ["k1"]})])
    found = LogFeatures.from_log(tables["interactions"], shared)
    assert np.isnan(found.rows("responses", pairs)).all(axis=1).tolist() == [True, True, False, True, True]
    assert np.isnan(found.rows("exposure", pairs)).all(axis=1).tolist() == [False, False, False, True, True]
    few = LogFeatures.from_log(**tables, min_common=201)
    assert np.isnan(few.rows("responses", pairs)).all() and np.isnan(few.rows("exposure", pairs)).all()


def test_without_order_there_is_no_column_of_it():
    assert not {*ORDER} & {*LogFeatures.from_log(**log(learners=40, ordered=False)).channels["exposure"]}


def test_rivals_count_those_ahead_and_leave_out_what_is_unknown():
    values = np.array([[np.nan, 2.0, 5.0], [1.0, np.nan, 1.0], [3.0, np.nan, np.nan]])
    assert np.exp(rivals(values, 1)).round().tolist()[0][1:] == [2, 1] and np.exp(rivals(values, 1)).round()[1, 0] == 1
    assert np.isnan(rivals(values, 0)).tolist() == np.isnan(values).tolist()


def test_more_concepts_than_matrices_can_hold_are_refused(tables, monkeypatch):
    monkeypatch.setattr(cells, "MOST", 5)
    with pytest.raises(DataError, match="at most 5 concepts .*; found 6"):
        LogFeatures.from_log(**tables)
