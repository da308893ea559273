"""DAS3H counts in windows of time as one would by hand, needs a clock, and pays where learners forget."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.graph.concept_graph import ConceptGraph
from edukit.metrics import auc, log_loss
from edukit.schema import DataError
from edukit.tracing import counting
from edukit.tracing.counting import WINDOWS, earlier, recent
from edukit.tracing.logistic import DAS3H, Logistic

LEARNERS, CONCEPTS, ITEMS, STEPS = 240, 4, 12, 48


def world(forgetting: bool, seed: int = 2) -> tuple[pd.DataFrame, ConceptGraph]:
    """Practice strengthens a concept; where learners forget, the strength fades by half in two days. Gaps: minutes, hours or weeks."""
    rng = np.random.default_rng(seed)
    item = rng.integers(0, ITEMS, (LEARNERS, STEPS))
    gap = 10.0 ** rng.choice([1.5, 3.5, 6.0], (LEARNERS, STEPS), p=[0.7, 0.2, 0.1]) * rng.uniform(0.5, 2, (LEARNERS, STEPS))
    clock = gap.cumsum(axis=1)
    ability, hard = rng.normal(0, 0.7, LEARNERS), rng.normal(0, 0.7, ITEMS)
    strength, last, correct = np.zeros((LEARNERS, CONCEPTS)), clock[:, :1].repeat(CONCEPTS, axis=1), np.empty((LEARNERS, STEPS))
    rows = np.arange(LEARNERS)
    for t in range(STEPS):
        concept = item[:, t] % CONCEPTS
        kept = 0.5 ** ((clock[:, t] - last[rows, concept]) / 172_800) if forgetting else 1.0
        now = strength[rows, concept] * kept
        correct[:, t] = rng.random(LEARNERS) < 1 / (1 + np.exp(1.2 - ability + hard[item[:, t]] - 1.5 * np.log1p(now)))
        strength[rows, concept], last[rows, concept] = now + 1, clock[:, t]
    log = pd.DataFrame({"learner_id": np.repeat([f"l{i:03d}" for i in range(LEARNERS)], STEPS), "item_id": [f"q{i}" for i in item.ravel()],
                        "correct": correct.ravel(), "order": np.tile(np.arange(STEPS), LEARNERS),
                        "timestamp": pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(clock.ravel().round(), unit="s")})
    q = pd.DataFrame({"item_id": [f"q{i}" for i in range(ITEMS)], "concept_id": [f"c{i % CONCEPTS}" for i in range(ITEMS)]})
    return log, ConceptGraph.from_tables(None, None, q)


@pytest.fixture(scope="module")
def forgetful():
    log, graph = world(True)
    return log, graph, DAS3H().fit(log[log["learner_id"] < "l180"], graph)


def test_windows_hold_what_counting_by_hand_finds():
    rng = np.random.default_rng(0)
    cell, correct = rng.integers(0, 5, 300), (rng.random(300) < 0.6).astype(float)
    moment = np.cumsum(10 ** rng.uniform(0, 6, 300)).astype(np.int64) + 1_700_000_000
    moment[40:60] = moment[40]  # answered in the same second
    for length, (wins, attempts) in zip(WINDOWS, recent(cell, correct, moment), strict=True):
        for i in range(300):
            inside = [j for j in range(i) if cell[j] == cell[i] and (length is None or moment[i] - moment[j] <= length)]
            assert attempts[i] == len(inside) and wins[i] == sum(correct[j] for j in inside)
    right, wrong = earlier(cell, correct)
    np.testing.assert_array_equal(wins, right)  # the last window is ever
    np.testing.assert_array_equal(attempts, right + wrong)


@pytest.mark.parametrize("forgetting", [True, False])
def test_windows_pay_where_learners_forget_and_cost_little_where_they_do_not(forgetting):
    log, graph = world(forgetting)
    train, test = log[log["learner_id"] < "l180"], log[log["learner_id"] >= "l180"]
    y = test["correct"].to_numpy()
    best_lr, das3h, both = (model.fit(train, graph).predict(test).to_numpy() for model in (Logistic(), DAS3H(), DAS3H(concept_counts=True)))
    if forgetting:
        assert auc(y, das3h) > auc(y, best_lr) + 0.02 and auc(y, both) > auc(y, best_lr) + 0.02
        assert log_loss(y, das3h) < log_loss(y, best_lr) - 0.01
    else:
        assert min(auc(y, das3h), auc(y, both)) > auc(y, best_lr) - 0.005


def test_knowledge_fades_while_a_learner_does_something_else(forgetful):
    log, graph, model = forgetful
    rows = [("q0", 1.0, 10 * k) for k in range(6)]
    soon, late = (pd.DataFrame([*rows, ("q1", 1.0, seconds)], columns=["item_id", "correct", "at"]) for seconds in (120, 40 * 86_400))
    known = [model.mastery(t.assign(learner_id="someone", order=range(7), timestamp=pd.Timestamp("2024-05-01", tz="UTC")
                                    + pd.to_timedelta(t["at"], unit="s"))).set_index("concept_id")["mastery"] for t in (soon, late)]
    assert known[1]["c0"] < known[0]["c0"] - 0.1


def test_batches_of_learners_change_nothing(forgetful, monkeypatch):
    log, graph, model = forgetful
    whole, mastery = model.predict(log), model.mastery(log)
    monkeypatch.setattr(counting, "ROWS", 500)
    monkeypatch.setattr(counting, "CHUNK", 50)
    pd.testing.assert_series_equal(model.predict(log), whole, check_exact=True)
    pd.testing.assert_frame_equal(model.mastery(log), mastery, check_exact=True)
    again = DAS3H().fit(log[log["learner_id"] < "l180"], graph)
    np.testing.assert_array_equal(again.weights_, model.weights_)


def test_a_clock_that_goes_back_stands_still(forgetful):
    log, graph, model = forgetful
    one = log[log["learner_id"] == "l200"].reset_index(drop=True)
    back, still = one.copy(), one.copy()
    back.loc[20, "timestamp"] -= pd.Timedelta(days=2)
    still.loc[20, "timestamp"] = one.loc[19, "timestamp"]
    np.testing.assert_array_equal(model.predict(back), model.predict(still))


def test_rows_without_a_time_are_refused_by_name(forgetful):
    log, graph, model = forgetful
    some = log.assign(timestamp=log["timestamp"].where(log.index != 7))
    for ask in (lambda: DAS3H().fit(some, graph), lambda: model.predict(some), lambda: model.mastery(some)):
        with pytest.raises(DataError, match=r"das3h counts .* found none in 1 of 11,520 rows \(first: row 7\)"):
            ask()
    with pytest.raises(DataError, match="found none in 11,520 of 11,520 rows"):
        model.predict(log.drop(columns="timestamp"))
    assert not hasattr(model, "step")  # a live response carries no time
