"""The profile of responses: planted faults of items are named, small cells counted, what is missing said with what still works."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.data.profile import MEANING, STILL, WITHOUT, item_statistics, missing, profile


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(0)
    ability, hard = rng.normal(size=80), rng.normal(size=10)
    right = (rng.random((80, 10)) < 1 / (1 + np.exp(hard - 2 * ability[:, None]))).astype(float)
    right[:, 0], right[:, 1] = 1, 0
    right[:, 2] = (ability < 0).astype(float)
    log = pd.DataFrame({"learner_id": np.repeat([f"p{i}" for i in range(80)], 10), "item_id": np.tile([f"q{j}" for j in range(10)], 80),
                        "correct": right.ravel(), "order": pd.Series(pd.NA, index=range(800), dtype="Int64")})
    log["class_id"] = np.where(log["learner_id"].isin([f"p{i}" for i in range(6)]), "tiny", "7A")
    log = pd.concat([log, log.iloc[[0]].assign(item_id="q3", correct=0.5, attempt=2), log.iloc[[0]].assign(item_id="rare")], ignore_index=True)
    q = pd.DataFrame({"item_id": [f"q{j}" for j in range(10)] + ["rare"], "concept_id": [f"c{j % 2}" for j in range(11)]})
    return {"interactions": log, "q_matrix": q}


def test_discrimination_is_the_correlation_with_the_rest(tables):
    log = tables["interactions"]
    found = item_statistics(log)
    total, count = log.groupby("learner_id")["correct"].sum(), log.groupby("learner_id").size()
    rows = log[log["item_id"] == "q5"]
    rest = (rows["learner_id"].map(total) - rows["correct"]) / (rows["learner_id"].map(count) - 1)
    assert found.loc["q5", "discrimination"] == pytest.approx(np.corrcoef(rows["correct"], rest)[0, 1])
    assert found.loc["q5", "low"] < found.loc["q5", "discrimination"] < found.loc["q5", "high"]
    assert np.isnan(found.loc["q0", "discrimination"]) and np.isnan(found.loc["rare", "high"]) and found.loc["q2", "high"] < 0


def test_planted_items_small_cells_and_repeats_are_told(tables):
    found = profile(tables)
    assert (found.responses, found.learners, found.items, found.concepts, found.repeated, found.order) == (802, 80, 11, 2, 1, False)
    assert (found.all_right, found.all_wrong, found.few, found.negative) == (["q0"], ["q1"], ["rare"], ["q2"])
    assert found.classes == {"7A": 74, "tiny": 6} and found.small == {"tiny": 2} and found.cells == 4
    told = "\n".join(found.lines())
    assert "tiny (2 concepts)" in told and "7A (74 learners)" in told and "order unknown" in told and "right more often where the rest is wrong: 1 (q2)" in told
    assert "p0" not in told


def test_without_classes_or_concepts_the_profile_still_stands(tables):
    log = tables["interactions"].drop(columns=["class_id", "attempt"])
    found = profile({"interactions": log.head(30)})
    assert found.classes == {} and found.small == {} and found.concepts == 0 and len(found.few) == 10
    assert profile({"interactions": log.head(30), "q_matrix": tables["q_matrix"]}).small == {"all": 2}
    alone = profile({"interactions": log.head(1)})
    assert alone.learners == 1 and alone.lines()


def test_what_is_missing_is_told_with_what_still_works():
    assert set(MEANING) == set(WITHOUT) == set(STILL)
    told = missing({"order": False, "graph": True})
    assert len(told) == 1 and WITHOUT["order"] in told[0] and STILL["order"] in told[0]
