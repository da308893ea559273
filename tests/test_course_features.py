"""A snapshot's features with its register and its weeks, none of them later than the cutoff."""

from __future__ import annotations

import pandas as pd
from edukit.experiments.course_features import attended, course_features

from edukit.data.synthetic_course import SyntheticCourse
from edukit.risk.attendance_features import MEANING
from edukit.risk.snapshot import Snapshot


def test_a_register_and_weeks_are_added_where_there_are_some():
    tables = SyntheticCourse(modules=2, learners_per_run=20).course()[0]
    taken = Snapshot(35).take(tables)
    found, weeks = course_features(taken), course_features(taken, weekly=True)
    assert set(MEANING) <= set(found) and "week 05: clicks" in weeks and not [c for c in found if c.startswith("week ")]
    pd.testing.assert_frame_equal(weeks[found.columns], found, check_like=True)
    assert max(day for day in weeks.attrs["latest"].values() if day == day) <= 35
    without = Snapshot(35).take({name: table for name, table in tables.items() if name != "attendance"})
    assert attended(without) is None and not set(MEANING) & set(course_features(without))


def test_a_later_register_changes_nothing():
    tables = SyntheticCourse(modules=2, learners_per_run=20).course()[0]
    start = tables["attendance"]["term"].map(tables["runs"].groupby("presentation")["start"].first())
    later = (tables["attendance"]["date"] - start).dt.days > 35
    other = {**tables, "attendance": tables["attendance"].assign(status=tables["attendance"]["status"].where(~later, "absent"))}
    pd.testing.assert_frame_equal(course_features(Snapshot(35).take(other)), course_features(Snapshot(35).take(tables)))
