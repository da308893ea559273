"""Planted sessions, pauses, idle time, hesitation, hints and changed answers are found; the future changes nothing; what is not logged is missing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.data.events import behaviour, sessions
from edukit.schema import DataError
from edukit.validation import validate

START = pd.Timestamp("2025-03-03T09:00Z")


def at(seconds: list[float]) -> pd.DatetimeIndex:
    return START + pd.to_timedelta(seconds, unit="s")


def work(seconds: list[float], **columns) -> pd.DataFrame:
    n = len(seconds)
    table = pd.DataFrame({"learner_id": "a", "item_id": [f"i{k}" for k in range(n)], "correct": 1, "order": range(n), "timestamp": at(seconds)})
    return table.assign(**columns)


def done(kind: str, seconds: list[float], items: list[str], **columns) -> pd.DataFrame:
    return pd.DataFrame({"learner_id": "a", "day": 0, "kind": kind, "resource_id": items, "timestamp": at(seconds)}).assign(**columns)


def test_sessions_pauses_and_time_on_task_are_what_was_planted():
    log = work([20, 60, 260, 300, 3000, 3010], response_time_s=[20, 30, 50, 40, 10, 10])
    found = validate(sessions(log), "sessions")
    assert found[["session", "actions", "duration_s", "pauses", "idle_s", "on_task_s"]].values.tolist() == [[0, 4, 300, 1, 150, 150], [1, 2, 20, 0, 0, 20]]
    assert found["start"].tolist() == at([0, 2990]).tolist() and found["end"].tolist() == at([300, 3010]).tolist()
    longer = sessions(log, session_gap_s=3600, pause_s=10 * 60)
    assert longer[["duration_s", "pauses", "idle_s"]].values.tolist() == [[3010, 1, 2690]]


def test_events_fill_the_time_between_responses():
    log, video = work([20, 500], response_time_s=[20, 30]), done("watched", [460], ["v"], duration_s=[420.0])
    assert sessions(log)["pauses"].tolist() == [1]
    both = sessions(log, video)
    assert both[["actions", "pauses", "idle_s", "on_task_s"]].values.tolist() == [[3, 0, 0, 500]]
    assert sessions(events=video)["on_task_s"].tolist() == [420]


def test_without_durations_the_whole_gap_counts():
    found = behaviour(work([0, 50, 150]))
    assert found["idle_s"].isna().tolist() == [True, False, False] and found["idle_s"].tolist()[1:] == [50, 100]
    assert found["pause"].tolist()[1:] == [False, True] and pd.isna(found["pause"].iloc[0]) and "hesitation" not in found


def test_hesitation_compares_with_what_the_item_took_before():
    people = pd.concat([work([100 * k], response_time_s=[t]).assign(learner_id=f"l{k}") for k, t in enumerate([10, 20, 30, 40, 50, 60, 30, 0])])
    found = validate(behaviour(people), "behaviour")["hesitation"]
    assert found.isna().tolist() == [True] * 5 + [False, False, True]
    assert found.iloc[5] == pytest.approx(np.log(60 / 30)) and found.iloc[6] == pytest.approx(np.log(30 / 35))
    together = people.assign(timestamp=at([0, 1, 2, 3, 4, 5, 5, 6]))
    assert behaviour(together)["hesitation"].iloc[6] == pytest.approx(0), "a response of the same moment is not earlier"


def test_hints_and_changes_are_counted_from_events_where_no_column_has_them():
    log = work([100, 200, 300], item_id=["x", "y", "x"], response=["A", "B", "C"])
    actions = pd.concat([done("hint", [10, 20, 150, 250], ["x", "x", "y", "y"]), done("Changed", [90, 290, 400], ["x", "x", "x"])])
    found = validate(behaviour(log, actions), "behaviour")
    assert found["hints"].tolist() == [2, 1, 0] and found["answer_changes"].tolist() == [1, 0, 1]
    assert found["response_changed"].tolist()[2] and found["response_changed"].isna().tolist() == [True, True, False]
    assert behaviour(log, done("changed", [90], ["x"], count=[3]))["answer_changes"].tolist() == [3, 0, 0]
    logged = behaviour(log.assign(hints=[5, 6, 7]), actions)
    assert logged["hints"].tolist() == [5, 6, 7]


def test_what_is_not_logged_is_missing_and_not_zero():
    found = behaviour(work([0, 10]), done("viewed", [5], ["p"]))
    assert not {"hints", "answer_changes", "hesitation", "response_changed"} & set(found)


@pytest.mark.parametrize("table", [work([0, 10]).drop(columns="timestamp"), work([0, 10]).assign(timestamp=[pd.NaT, START])])
def test_without_times_the_error_says_so(table: pd.DataFrame):
    for derive in (sessions, behaviour):
        with pytest.raises(DataError, match=r"interactions.timestamp must hold the time of every row; found none in \d of 2 rows \(first: row 1\)"):
            derive(table)
    with pytest.raises(DataError, match="found neither"):
        sessions()


@pytest.fixture(scope="module")
def world() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """300 learners, 40 responses each, in sessions of ten; every response with planted idle time, hints, changes and hesitation."""
    rng = np.random.default_rng(11)
    n, each = 300, 40
    truth = pd.DataFrame({"learner_id": np.repeat([f"l{k:03}" for k in range(n)], each), "order": np.tile(np.arange(each), n)})
    truth["item_id"] = rng.permuted(np.tile([f"i{k}" for k in range(each)], (n, 1)), axis=1).ravel()
    truth["session"] = truth["order"] // 10
    slow = truth["learner_id"] < "l030"
    truth["response_time_s"] = np.round(30 * rng.lognormal(0, 0.3, len(truth)) * np.where(slow, 3, 1), 3)
    truth["pause"] = rng.random(len(truth)) < 0.1
    idle = np.where(truth["pause"], rng.integers(90, 900, len(truth)), rng.integers(0, 30, len(truth))).astype(float)
    truth["idle_s"] = np.where(truth["order"] % 10 == 0, 86400.0, idle)
    elapsed = (truth["idle_s"] + truth["response_time_s"]).groupby(truth["learner_id"]).cumsum()
    truth["timestamp"] = START + pd.to_timedelta(np.round(elapsed * 1000), unit="ms")
    truth["hints"], truth["answer_changes"] = rng.poisson(0.4, len(truth)), rng.poisson(0.2, len(truth))
    actions = [truth.loc[truth.index.repeat(truth[column])].assign(kind=kind, timestamp=lambda t, s=share: t["timestamp"] - pd.to_timedelta(
        np.round(s * t["response_time_s"] * 1000), unit="ms")) for column, kind, share in (("hints", "hint", 0.5), ("answer_changes", "changed", 0.25))]
    events = pd.concat(actions).rename(columns={"item_id": "resource_id"})[["learner_id", "kind", "resource_id", "timestamp"]].assign(day=0)
    log = truth[["learner_id", "item_id", "order", "timestamp", "response_time_s"]].assign(correct=1)
    return truth, log, events


def test_a_planted_world_is_recovered(world):
    truth, log, events = world
    found, inside = behaviour(log, events), truth["order"] % 10 > 0
    assert (found[["session", "hints", "answer_changes"]] == truth[["session", "hints", "answer_changes"]]).all(axis=None)
    alone = behaviour(log)
    for table in (alone, found):
        assert np.allclose(table["idle_s"][inside], truth["idle_s"][inside], atol=0.002) and (table["pause"][inside] == truth["pause"][inside]).all()
    assert alone["idle_s"][~inside].isna().all()
    pd.testing.assert_frame_equal(sessions(log, events).drop(columns="actions"), sessions(log).drop(columns="actions"), atol=0.01)
    by_slow = alone.groupby(alone["learner_id"] < "l030")["hesitation"].median()
    assert by_slow[True] - by_slow[False] == pytest.approx(np.log(3), abs=0.1)
    total = sessions(log).groupby("learner_id")[["pauses", "idle_s", "on_task_s"]].sum()
    planted = truth[inside & truth["pause"]].groupby("learner_id")["idle_s"].agg(["size", "sum"]).reindex(total.index, fill_value=0)
    assert (total["pauses"] == planted["size"]).all() and np.allclose(total["idle_s"], planted["sum"], atol=0.1)


def test_an_altered_future_changes_nothing_earlier_and_row_order_does_not_matter(world):
    _, log, events = world
    cut = log["timestamp"].quantile(0.5)
    late, late_event = log["timestamp"] > cut, events["timestamp"] > cut
    moved = log["timestamp"].where(~late, log["timestamp"] + pd.Timedelta(days=1))
    other = log.assign(response_time_s=log["response_time_s"].where(~late, 999), timestamp=moved)
    before, after = behaviour(log, events)[~late], behaviour(other, events[~late_event])[~late]
    pd.testing.assert_frame_equal(before, after)
    mixed = behaviour(log.sample(frac=1, random_state=2), events.sample(frac=1, random_state=3))
    key = ["learner_id", "order"]
    pd.testing.assert_frame_equal(mixed.sort_values(key, ignore_index=True), behaviour(log, events).sort_values(key, ignore_index=True))
