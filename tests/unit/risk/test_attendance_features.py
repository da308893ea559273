"""Features of a register: by hand, planted patterns found, nothing later than the cutoff, and taken by the features of a snapshot."""

from __future__ import annotations

import pandas as pd
import pytest

from edukit.data.attendance import absence_runs, attendance_summary, weekday_absence
from edukit.data.synthetic_course import UNIT, SyntheticCourse
from edukit.risk.attendance_features import MEANING, attendance_features, patterns
from edukit.risk.features import LATEST, OBSERVED, build
from edukit.risk.snapshot import Snapshot
from edukit.schema import DataError


def made(register: pd.DataFrame, latest: float) -> pd.DataFrame:
    return attendance_features(attendance_summary(register), absence_runs(register), weekday_absence(register), latest)


@pytest.fixture(scope="module")
def course():
    return SyntheticCourse(modules=4).course()


def test_features_by_hand():
    days = pd.bdate_range("2014-02-03", periods=20, tz="UTC")
    status = ["late"] + ["present"] * 16 + ["absent", "excused", "absent"]
    other = ["absent" if day.day_of_week == 0 else "present" for day in days]
    register = pd.concat([pd.DataFrame({"learner_id": who, "date": days, "status": what, "minutes_late": 0.0}) for who, what in (("a", status), ("b", other))])
    register.loc[register["status"] == "late", "minutes_late"] = 12.0
    found = made(register, 25).set_index("learner_id")
    a, b = found.loc["a"], found.loc["b"]
    assert set(MEANING) == set(found) - {OBSERVED, LATEST} and a[LATEST] == 25 and a[OBSERVED] == 20
    assert (a["absent"], a["unexcused"], a["late_days"], a["minutes_late"]) == pytest.approx((0.15, 0.1, 1 / 17, 12))
    assert (a["longest_absence"], a["absence_now"], b["longest_absence"], b["absence_now"]) == (3, 3, 1, 0)
    assert a["weekday_absence"] == 0 and b["weekday_absence"] == pytest.approx(1.0) and a["attendance_change"] == pytest.approx(-0.3)


def test_planted_patterns_are_found(course):
    tables, truth = course
    register = tables["attendance"].query("term == '2014J'")
    summary = attendance_summary(register)
    found = patterns(summary, made(register, 167))
    planted = truth.enrolments.xs("2014J", level="presentation").droplevel("module_id")["pattern"]
    stayed = summary.loc[summary["days"] >= 66, "learner_id"]
    right = pd.crosstab(planted.loc[stayed], found.loc[stayed], normalize="index")
    assert right.loc["declining", "declining"] > 0.8 and right.loc["absence_run", "absence run"] > 0.9
    assert right.loc["weekday", "one weekday"] > 0.9 and right.loc["steady", "steady"] > 0.95


def test_a_snapshot_takes_them_and_later_days_change_nothing(course):
    tables, _ = course
    taken = Snapshot(56).take(tables)
    register = taken.tables["attendance"].query("term == '2014J'")
    assert register["day"].max() <= 56
    given = made(register, register["day"].max()).assign(presentation="2014J")
    table = build(taken, attendance=given)
    assert table.columns.is_unique
    here = table.index.get_level_values("presentation") == "2014J"
    assert table.loc[here, "absent"].notna().mean() > 0.95 and table.loc[~here, "absent"].isna().all()
    later = tables["attendance"].assign(status=lambda t: t["status"].where(t["date"] < pd.Timestamp("2014-12-02", tz="UTC"), "absent"))
    again = Snapshot(56).take({**tables, "attendance": later}).tables["attendance"].query("term == '2014J'")
    pd.testing.assert_frame_equal(made(again, again["day"].max()), made(register, register["day"].max()))
    with pytest.raises(DataError, match="day 56 or earlier"):
        build(taken, attendance=given.assign(**{LATEST: 57}))
    assert set(UNIT) == set(table.index.names)
