"""The network over weeks: it reads their order, it says nothing of a future, and it asks for weeks by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.data.synthetic_course import SyntheticCourse
from edukit.metrics import auc
from edukit.risk import outcomes, weekly_events
from edukit.risk.early_warning import Logistic
from edukit.risk.features import OBSERVED
from edukit.risk.snapshot import UNIT, Snapshot
from edukit.risk.weekly_events import column_of
from edukit.risk.weekly_network import Gru
from edukit.schema import DataError


def drifting(seed: int, n: int = 300) -> tuple[pd.DataFrame, pd.Series]:
    """Eight weeks of clicks: risky is who jumps from week to week, whatever the level, which no sum of weeks can tell."""
    rng = np.random.default_rng(seed)
    index = pd.MultiIndex.from_arrays([[f"l{i}" for i in range(n)], ["M"] * n, rng.choice(["2013B", "2013J"], n)], names=UNIT)
    jumps = rng.random(n) < 0.5
    steps = np.where(jumps[:, None], rng.choice([-1.0, 1.0], (n, 8)), rng.choice([-1.0, 1.0], (n, 1)))
    table = pd.DataFrame(3 + steps + rng.normal(0, 0.2, (n, 8)), index=index, columns=[column_of(w, "clicks") for w in range(1, 9)])
    return table.assign(**{OBSERVED: 3.0, "credits": rng.normal(size=n)}), pd.Series((rng.random(n) < np.where(jumps, 0.85, 0.15)).astype(float), index=index)


def test_it_reads_what_a_weighted_sum_cannot():
    (table, y), (new, ends) = drifting(0), drifting(1)
    network = Gru(refits=0, hidden=8, epochs=8, batch_size=32, learning_rate=0.05).fit(table, y)
    flat = Logistic(refits=0).fit(table, y)
    said, sums = (auc(ends.to_numpy(), model.score(new).to_numpy()) for model in (network, flat))
    assert said > 0.8 and sums < 0.6
    parts = network.contributions(new).abs().mean()
    assert parts.drop("credits").sum() > 10 * parts["credits"]


def test_events_after_the_cutoff_change_no_risk_and_an_empty_history_none():
    tables, _ = SyntheticCourse(modules=2, learners_per_run=20).course()
    early = weekly_events.build(Snapshot(35).take(tables))
    model = Gru(refits=0, epochs=2).fit(early, outcomes.outcome(tables))
    events = tables["events"].assign(count=lambda t: t["count"].where(t["day"] <= 35, 9999))
    work = tables["submissions"].assign(score=lambda t: t["score"].where(t["day"] <= 35, 0.0))
    other = weekly_events.build(Snapshot(35).take({**tables, "events": events, "submissions": work}))
    pd.testing.assert_frame_equal(model.predict(other), model.predict(early))
    assert model.predict(early.assign(**{OBSERVED: 0.0})).isna().all(axis=None)


def test_features_without_weeks_are_refused_by_name():
    table, y = drifting(0, 60)
    with pytest.raises(DataError, match="week 03: clicks"):
        Gru(refits=0).fit(table[[OBSERVED, "credits"]], y)
