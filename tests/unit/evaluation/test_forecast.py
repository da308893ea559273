"""Forecasts without being told the answers between: planted truth, intervals that hold, nothing from the future."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.evaluation import forecast as ahead
from edukit.schema import DataError

HORIZON, RATE = 10, 0.6


def planted(learners: int, seed: int) -> pd.DataFrame:
    """Learners whose chance is drawn from the very Beta distribution that the floor of their own rate believes in."""
    rng = np.random.default_rng(seed)
    chance = rng.beta(ahead.WORTH * RATE, ahead.WORTH * (1 - RATE), learners)
    rows = 4 + rng.integers(0, 5, learners) + HORIZON
    who = np.repeat(np.arange(learners), rows)
    order = np.concatenate([np.arange(n) for n in rows])
    return pd.DataFrame({"learner_id": [f"u{u:04d}" for u in who], "item_id": np.where(rng.random(len(who)) < 0.5, "a", "b"), "order": order,
                         "correct": (rng.random(len(who)) < chance[who]).astype(float)})


def asked(learners: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    history, future = ahead.origins(planted(learners, seed), HORIZON, 4, 1)
    return history, future, future["correct"].to_numpy().reshape(-1, HORIZON)


def held(spread: ahead.Spread, paths: ahead.Paths, came: np.ndarray, steps: int) -> float:
    low, high = spread.interval(paths.share(steps), steps)
    share = came[:, :steps].mean(axis=1)
    return float(((low <= share) & (share <= high)).mean())


def test_the_planted_truth_is_recovered():
    history, future, came = asked(1500, 0)
    paths = ahead.sampled(ahead.SoFar(RATE), history, future, 200, 0)
    for steps in (5, HORIZON):
        assert 0.75 < held(ahead.Spread.none(HORIZON), paths, came, steps) < 0.85
    own = history.groupby("learner_id")["correct"].agg(["sum", "count"])
    right, seen = own["sum"] + ahead.WORTH * RATE, own["count"] + ahead.WORTH
    expected = (right / seen).loc[paths.learner_ids].to_numpy()
    assert np.abs(paths.chance.mean(axis=2) - expected[:, None]).max() < 0.1  # what is expected does not drift with the steps
    p, n = expected, seen.loc[paths.learner_ids].to_numpy()
    variance = p * (1 - p) / HORIZON * (1 + (HORIZON - 1) / (n + 1))  # of a Beta-binomial share
    assert np.mean(paths.right.mean(axis=1).var(axis=1)) == pytest.approx(variance.mean(), rel=0.05)


def test_answers_drawn_one_by_one_spread_wider_than_coins():
    history, future, _ = asked(300, 1)
    paths = ahead.sampled(ahead.SoFar(RATE), history, future, 200, 0)
    coins = np.mean(paths.chance.mean(axis=2) * (1 - paths.chance.mean(axis=2))) / HORIZON
    assert np.mean(paths.right.mean(axis=1).var(axis=1)) > 1.3 * coins


def test_intervals_that_hold_too_little_are_stretched_by_learners_set_aside():
    class Sure(ahead.SoFar):
        """Believes that it knows every learner at once."""

        def follow(self, item, correct):
            pass

    parts = [asked(1000, seed) for seed in (2, 3)]
    (aside, _), (paths, came) = [(ahead.sampled(Sure(RATE), *part[:2], 100, 0), part[2]) for part in parts]
    shares = [parts[0][2][:, :k].mean(axis=1) for k in range(1, HORIZON + 1)]
    spread = ahead.Spread.learnt([aside.share(k) for k in range(1, HORIZON + 1)], shares)
    assert held(ahead.Spread.none(HORIZON), paths, came, HORIZON) < 0.72
    assert 0.75 < held(spread, paths, came, HORIZON) < 0.85


def test_nothing_from_the_future_reaches_a_forecast():
    history, future, _ = asked(20, 4)
    first = ahead.forecast(ahead.SoFar(RATE), history, future, 50, 0)
    other = ahead.forecast(ahead.SoFar(RATE), history, future.assign(correct=1 - future["correct"]), 50, 0)
    pd.testing.assert_frame_equal(first, other)
    shuffled = ahead.forecast(ahead.SoFar(RATE), history.sample(frac=1, random_state=0), future.sample(frac=1, random_state=1), 50, 0)
    pd.testing.assert_frame_equal(first, shuffled)
    assert (first["low"] <= first["high"]).all() and first[["mean", "share", "share_low", "share_high"]].stack().between(0, 1).all()
    assert (first["share_low"] <= first["share_high"]).all() and list(first["step_ahead"][:HORIZON]) == list(range(1, HORIZON + 1))


def test_many_learners_are_followed_a_few_at_a_time_alike(monkeypatch):
    history, future, _ = asked(12, 5)
    whole = ahead.sampled(ahead.ItemMean(history), history, future, 400, 0)
    monkeypatch.setattr(ahead, "NUMBERS", 2000)
    parts = ahead.sampled(ahead.ItemMean(history), history, future, 400, 0)
    np.testing.assert_array_equal(whole.chance, parts.chance)
    assert np.abs(whole.right.mean(axis=2) - parts.right.mean(axis=2)).max() < 0.2


def test_an_item_never_seen_has_the_rate_of_all():
    train = pd.DataFrame({"item_id": ["a", "a", "b", "b"], "correct": [1.0, 1.0, 0.0, 0.0]})
    floor = ahead.ItemMean(train)
    assert floor.chance(floor.place(np.array(["a", "b", "new"], object))).round(3).tolist() == [0.643, 0.357, 0.5]


def test_origins_leave_no_answer_in_both_parts_and_refuse_short_histories():
    log = planted(30, 6)
    history, future = ahead.origins(log, 4, 3, 3)
    assert future.groupby("learner_id").size().eq(4).all() and history.groupby("learner_id").size().min() >= 3
    assert history.groupby("learner_id")["order"].max().lt(future.groupby("learner_id")["order"].min()).all()
    assert not future.duplicated(["unit", "order"]).any()
    with pytest.raises(DataError, match="needs learners with 103 responses or more"):
        ahead.origins(log, 100, 3, 1)
    with pytest.raises(DataError, match="as many items of every learner"):
        ahead.sampled(ahead.SoFar(RATE), history, future.iloc[1:], 5, 0)
