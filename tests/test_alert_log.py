"""The alert log keeps every event for good, survives a kill, fills exactly the places there are, and evaluates itself."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from edukit.experiments.weekly_alerts import alerts_of, gone, write_alerts

from edukit.alert_log import UNIT, AlertLog, evaluate
from edukit.grading.ledger import Ledger
from edukit.learner_logs import kind_of
from edukit.risk.capacity import in_turn
from edukit.schema import DataError

WRITER = """
import sys
from edukit.alert_log import AlertLog
log = AlertLog(sys.argv[1])
for i in range(100000):
    log.add([{"kind": "tried", "learner_id": f"l{i}", "what": "a call"}, {"kind": "outcome", "learner_id": f"l{i}", "what": "passed"}], "me", 3)
    print(i, flush=True)
"""


def risks(values: dict[str, float], cutoff: float = 56.0) -> pd.DataFrame:
    risk = pd.Series(values, dtype=float)
    return pd.DataFrame({"learner_id": list(values), "module_id": "M", "presentation": "2014J", "cutoff_day": cutoff, "risk": risk.to_numpy(),
                         "low": risk.to_numpy() - 0.1, "high": risk.to_numpy() + 0.1, "counterfactual": "none found"})


def reasons(learners) -> pd.DataFrame:
    rows = [(kind, feature, f"{feature}: {one}") for one in learners for kind, feature in (("actionable", "missed"), ("context", "credits"))]
    index = pd.MultiIndex.from_tuples([(one, "M", "2014J") for one in learners for _ in range(2)], names=UNIT)
    return pd.DataFrame(rows, index, ["kind", "feature", "words"])


WEEK8 = {"a": 0.9, "c": 0.8, "b": 0.8, "d": 0.7, "e": 0.6, "f": np.nan, "g": 0.5}

PAIR = pd.Series(0.8, pd.MultiIndex.from_product([["b", "c"], ["M"], ["2014J"]]))
TIED = [PAIR.index[i][0] for i in in_turn(PAIR)]  # b and c in the order of their lots


@pytest.fixture
def written(tmp_path):
    log = AlertLog(tmp_path / "alerts.sqlite")
    return log, write_alerts(tmp_path, risks(WEEK8), reasons(WEEK8), log, 8, 3), tmp_path


def opened(table: pd.DataFrame) -> list[str]:
    return table.loc[table["state"] == "open", "learner_id"].tolist()


def test_capacity_is_exact_ties_are_broken_the_same_way_and_who_has_no_risk_is_never_alerted(tmp_path):
    for capacity in (1, 2, 3, 6, 50):
        table = write_alerts(tmp_path / str(capacity), risks(WEEK8), reasons(WEEK8), tmp_path / f"{capacity}.sqlite", 8, capacity)
        assert opened(table) == ["a", *TIED, "d", "e", "g"][:capacity]
    shuffled = risks(WEEK8).sample(frac=1, random_state=3)
    assert opened(write_alerts(tmp_path, shuffled, reasons(WEEK8), tmp_path / "s.sqlite", 8, 2)) == ["a", TIED[0]]
    with pytest.raises(DataError, match="capacity must be at least 1"):
        write_alerts(tmp_path, risks(WEEK8), reasons(WEEK8), tmp_path / "s.sqlite", 8, 0)


def test_a_freed_place_is_filled_and_the_week_stays_as_it_was(written):
    log, table, place = written
    assert table["changed"].tolist() == ["first list"] * 3 and table["reason"].iloc[0] == "associated with: missed: a | credits: a"
    log.add([{"kind": "snoozed", "learner_id": "a", "module_id": "M", "presentation": "2014J", "until_week": 10, "reason": "ill"}], "me", 8)
    again = write_alerts(place, risks({**WEEK8, "g": 0.99}), reasons(WEEK8), log, 8, 3)
    assert opened(again) == ["g", *TIED], "whom the week alerted stays; the place that was freed goes to the highest risk"
    assert again.set_index("learner_id").loc["a", ["state", "state_reason"]].tolist() == ["snoozed", "ill"]
    assert len(log.events("alerted")) == 4


def test_nobody_with_a_risk_is_an_empty_list(tmp_path):
    table = write_alerts(tmp_path, risks({"a": np.nan, "b": np.nan}), reasons(["a", "b"]), tmp_path / "a.sqlite", 8, 3)
    assert table.empty and "Nobody is on the list this week." in (tmp_path / "alerts.html").read_text()
    assert (tmp_path / "a.sqlite").stat().st_mode & 0o077 == 0, "for its owner only"


def test_what_changed_since_the_week_before(written):
    log, _, place = written
    log.add([{"kind": "dismissed", "learner_id": "b", "module_id": "M", "presentation": "2014J", "reason": "=left()"}], "me", 8)
    table = write_alerts(place, risks({"a": 0.5, "b": 0.9, "c": 0.9, "d": 0.7, "e": 0.6}, 63), reasons(WEEK8), log, 9, 3)
    assert opened(table) == ["c", "d", "e"]
    was = {one: 2 + TIED.index(one) for one in "bc"}
    assert table.set_index("learner_id")["changed"].to_dict() == {"c": f"moved up from {was['c']}", "d": "new", "e": "new", "b": "set aside"}
    left = gone(log, table, 9)[["learner_id", "was", "why"]].to_numpy().tolist()
    assert left == [["a", 1, "no longer among the highest risks, or gone from the course"], ["b", was["b"], "dismissed since"]]
    told = pd.read_csv(place / "alerts.csv")
    assert told.loc[told["learner_id"] == "b", "state_reason"].item() == "'=left()"
    pd.testing.assert_frame_equal(alerts_of(log, 9, 3), table)
    assert opened(alerts_of(log, 8, 3)) == ["a", "c"], "an earlier week, as it stands now"


def test_a_snooze_ends_by_itself_and_a_dismissal_by_reopening(written):
    log, *_ = written
    log.add([{"kind": "snoozed", "learner_id": "a", "until_week": 10, "reason": "ill"}, {"kind": "dismissed", "learner_id": "b", "reason": "left"}], "me", 8)
    state = lambda week: log.states(week)["state"].droplevel([1, 2]).to_dict()  # noqa: E731
    assert state(7) == {} and state(9) == {"a": "snoozed", "b": "dismissed"} and state(10) == {"a": "open", "b": "dismissed"}
    log.add([{"kind": "reopened", "learner_id": "b"}], "me", 11)
    assert state(10)["b"] == "dismissed" and state(11)["b"] == "open"


def test_who_objected_is_off_the_list_of_every_week_whatever_a_teacher_decides(written):
    log, _, place = written
    write_alerts(place, risks(WEEK8, 63), reasons(WEEK8), log, 9, 3)
    mine = {"learner_id": "a", "module_id": "M", "presentation": "2014J"}
    log.add([{"kind": "dismissed", **mine, "reason": "left"}], "me", 8)
    assert log.objected(["a", "nobody"]) == 1 and log.objected(["a"]) == 0 and log.withheld() == {"a"}
    log.add([{"kind": "snoozed", **mine, "until_week": 10, "reason": "ill"}, {"kind": "reopened", **mine, "week": 12}], "me", 9)
    for week in (7, 8, 9, 10, 13):
        assert log.states(week).to_numpy().tolist() == [["dismissed", "the learner objected"]], week
    assert "a" not in [*opened(alerts_of(log, 8)), *opened(alerts_of(log, 9)), *opened(write_alerts(place, risks(WEEK8, 63), reasons(WEEK8), log, 9, 3))]
    with pytest.raises(DataError, match="who says so must be a person or a program"):
        log.add([{"kind": "reopened", **mine}], "edukit consent", 9)
    assert log.agreed(["a"]) == 1 and log.agreed(["a"]) == 0 and not log.withheld()
    assert [log.states(week)["state"].tolist() for week in (7, 8, 9, 12)] == [["open"], ["dismissed"], ["snoozed"], ["open"]], "what a teacher decided counts"


def test_a_file_of_another_kind_is_refused_and_stays_as_it_was(tmp_path):
    Ledger(tmp_path / "ledger.sqlite")
    before = (tmp_path / "ledger.sqlite").read_bytes()
    with pytest.raises(DataError, match="found an SQLite file with entries"):
        AlertLog(tmp_path / "ledger.sqlite")
    assert (tmp_path / "ledger.sqlite").read_bytes() == before and kind_of(tmp_path / "ledger.sqlite").what == "grading ledger"


@pytest.mark.parametrize(("event", "words"), [
    ({"kind": "tried", "what": "\ud800"}, "half of one in what"), ({"kind": "tried", "what": "x", "week": 10**30}, "a week must be 0 to 10,000"),
    ({"kind": "snoozed", "reason": "x", "until_week": 10**30}, "a week must be 0 to 10,000"),
    ({"kind": "cured"}, "the kind must be one of alerted, snoozed"), ({"kind": "dismissed"}, "dismissed needs a reason"),
    ({"kind": "dismissed", "reason": " "}, "dismissed needs a reason"), ({"kind": "snoozed", "reason": "x"}, "a snooze needs the week it ends, after week 8"),
    ({"kind": "snoozed", "reason": "x", "until_week": 8}, "found 8"), ({"kind": "tried"}, "what was tried"), ({"kind": "alerted", "rnk": 1}, "no field rnk"),
    ({"kind": "alerted", "learner_id": ""}, "a learner must be named"), ({"kind": "alerted", "who": " "}, "who says so must be named"),
])
def test_an_event_that_is_not_whole_is_refused_with_all_beside_it(written, event, words):
    log, *_ = written
    before = len(log.events())
    with pytest.raises(DataError, match=words):
        log.add([{"kind": "tried", "learner_id": "a", "what": "a call"}, {"learner_id": "a", **event}], "me", 8)
    assert len(log.events()) == before


def test_nothing_is_changed_or_removed_but_by_the_right_to_be_forgotten(written):
    log, *_ = written
    base = sqlite3.connect(log.path)
    for command in ("update events set risk = 0", "delete from events"):
        with pytest.raises(sqlite3.DatabaseError, match="never"):
            base.execute(command)
    base.close()
    log.add([{"kind": "tried", "learner_id": "b", "what": "SECRETWORD"}], "me", 8)
    assert log.forget(["b"]) == 2 and "b" not in set(log.events()["learner_id"])
    assert b"SECRETWORD" not in b"".join(path.read_bytes() for path in log.path.parent.glob("alerts.sqlite*"))
    with pytest.raises(sqlite3.DatabaseError, match="never"):
        sqlite3.connect(log.path).execute("delete from events")
    number = log.events()["number"].max()
    log.add([{"kind": "tried", "learner_id": "c", "what": "a call"}], "me", 8)
    assert log.events()["number"].max() > number


def test_a_killed_writer_leaves_whole_events(tmp_path):
    path = tmp_path / "alerts.sqlite"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    done = [int(writer.stdout.readline()) for _ in range(25)][-1]
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    done = max([done, *(int(line) for line in writer.stdout.read().split())])
    writer.stdout.close()
    events = AlertLog(path).events()
    assert set(events.groupby("learner_id")["kind"].agg(list).map(tuple)) == {("tried", "outcome")}, "both of a pair or neither"
    assert events["learner_id"].nunique() in (done + 1, done + 2), "what was told done is there"
    assert sqlite3.connect(path).execute("pragma integrity_check").fetchone() == ("ok",)


def test_two_logs_on_one_file_and_a_file_that_is_none(tmp_path):
    one, other = AlertLog(tmp_path / "a.sqlite"), AlertLog(tmp_path / "a.sqlite")
    event = {"kind": "alerted", "learner_id": "a", "rank": 1, "risk": 0.5}
    assert (one.add([event], "x", 1), other.add([event], "x", 1)) == (1, 0)
    assert [one.add([{"kind": "tried", "learner_id": "a", "what": "a call", "mark": "m1"}], "x", 1) for _ in range(2)] == [1, 0]
    (tmp_path / "text.sqlite").write_text("this is no database, whatever it is called" * 40)
    with pytest.raises(DataError, match="must be an alert log"):
        AlertLog(tmp_path / "text.sqlite")
    with sqlite3.connect(tmp_path / "other.sqlite") as base:
        base.execute("create table events (a text)")
    for place in (tmp_path / "other.sqlite", tmp_path, tmp_path / "text.sqlite" / "below"):
        with pytest.raises(DataError, match="must be an alert log"):
            AlertLog(place)


def test_the_log_evaluates_itself(tmp_path):
    log = AlertLog(tmp_path / "a.sqlite")
    rng = np.random.default_rng(0)
    helped, bad = np.arange(60) < 24, rng.random(60) < np.where(np.arange(60) < 24, 0.3, 0.8)
    names = [f"l{i}" for i in range(60)]
    log.add([{"kind": "alerted", "learner_id": one, "rank": i + 1, "risk": 0.9} for i, one in enumerate(names)], "edukit", 8)
    log.add([{"kind": "alerted", "learner_id": one, "rank": i + 1, "risk": 0.9} for i, one in enumerate(names[:30])], "edukit", 9)
    log.add([{"kind": "tried", "learner_id": one, "what": "a call"} for one in np.array(names)[helped]], "me", 8)
    log.add([{"kind": "outcome", "learner_id": one, "what": "said thanks"} for one in names], "me", 9)
    log.add([{"kind": "outcome", "learner_id": one, "what": "not passed" if no else "passed"} for one, no in zip(names[:58], bad, strict=False)], "me", 24)
    told = {(r["name"], r["group"]): r for r in evaluate(log.events())}
    counts = {name: r["value"] for (name, group), r in told.items() if group is None}
    assert counts == {"alerted": 60, "ended": 58, "false_alarms": int((~bad & ~helped)[:58].sum()), "not_told_apart": int((~bad & helped)[:58].sum()),
                      "right_alarms": int(bad[:58].sum())}
    difference = told["difference", "tried - not tried"]
    assert difference["value"] == pytest.approx(bad[:24].mean() - bad[24:58].mean()) and difference["low"] < difference["value"] < difference["high"] < 0
    endings = pd.Series(1.0, pd.MultiIndex.from_tuples([("l58", "", ""), ("l0", "", "")], names=UNIT))
    assert {r["name"]: r["value"] for r in evaluate(log.events(), endings)}["ended"] == 59
    few = {(r["name"], r["group"]): r["value"] for r in evaluate(log.events()[lambda e: e["learner_id"].isin(names[20:40])])}
    assert few["not_passed", "tried"] is None and few["difference", "tried - not tried"] is None and few["not_passed", "not tried"] is not None
    assert {r["name"]: r["value"] for r in evaluate(log.events().iloc[:0])}["alerted"] == 0
