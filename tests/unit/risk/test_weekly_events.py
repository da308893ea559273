"""Weeks of clicks: counts by hand, the same from every source, blind to what comes after the cutoff."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.data.interaction_store import InteractionStore
from edukit.data.synthetic_course import SyntheticCourse
from edukit.risk import weekly_events
from edukit.risk.features import OBSERVED
from edukit.risk.snapshot import UNIT, Snapshot
from edukit.risk.weekly_events import PUBLISHED, TREND, weekly
from edukit.schema import DataError
from edukit.validation import validate


def table(rows: list[tuple]) -> pd.DataFrame:
    """Events from (learner, day, kind, page, count), all of one run."""
    return pd.DataFrame(rows, columns=["learner_id", "day", "kind", "resource_id", "count"]).assign(module_id="M", presentation="2013B")


BY_HAND = table([("a", -3.0, "home", "p1", 2), ("a", 0.0, "home", "p1", 1), ("a", 1.0, "quiz", "p2", 4), ("a", 7.0, "quiz", "p2", 1),
                 ("a", 7.0, "home", "p1", 1), ("a", 8.0, "home", "p1", 5), ("b", 14.0, "home", "p1", 1), ("a", 15.0, "home", "p9", 99)])


@pytest.fixture(scope="module")
def course() -> dict[str, pd.DataFrame]:
    return SyntheticCourse(modules=2, learners_per_run=30).course()[0]


def test_counts_by_hand():
    found = weekly(BY_HAND, 14).droplevel([1, 2])
    assert found.index.tolist() == ["a", "b"]
    a = found.loc["a"]
    assert [np.expm1(a[f"week {w:02d}: clicks"]) for w in range(3)] == pytest.approx([3, 6, 5])  # day 0 is before week 1, day 14 ends week 2
    assert [a[f"week {w:02d}: active days"] for w in range(3)] == [2, 2, 1] and [a[f"week {w:02d}: pages"] for w in range(3)] == [1, 2, 1]
    assert np.expm1(a["clicks: quiz"]) == pytest.approx(5) and np.expm1(a["clicks: home"]) == pytest.approx(9) and a[OBSERVED] == 5
    assert found.loc["b", "week 01: clicks"] == 0 and found.loc["b", TREND] > 0 and weekly(BY_HAND, 14).attrs["latest"] == 14
    assert not any(c.startswith("week 03") for c in found)


def test_one_who_never_clicked_has_zeros_and_a_run_without_a_log_has_nothing():
    units = pd.MultiIndex.from_tuples([("a", "M", "2013B"), ("z", "M", "2013B"), ("a", "N", "2013B")], names=UNIT)
    found = weekly(BY_HAND, 14, units)
    assert found.index.equals(units) and found.loc[("z", "M", "2013B"), "week 01: clicks"] == 0
    other = found.loc[("a", "N", "2013B")]
    assert np.isnan(other["week 01: clicks"]) and other[OBSERVED] == 0


def test_days_that_the_publisher_counted_are_days_and_no_clicks():
    log = table([("a", 14.0, "clicks", None, 30), ("a", 14.0, "active day", None, 6), ("b", 14.0, "clicks", None, 2), ("b", 14.0, "active day", None, 1)])
    found = weekly(log.drop(columns="resource_id"), 14).droplevel([1, 2])
    assert found["week 02: active days"].to_dict() == {"a": 6, "b": 1} and np.expm1(found.loc["a", "week 02: clicks"]) == pytest.approx(30)
    assert "clicks: active day" not in found and "week 02: pages" not in found


def test_table_store_parquet_and_both_csv_layouts_agree(course, tmp_path):
    events = course["events"]
    wanted = weekly(events, 56)
    events.to_parquet(tmp_path / "events.parquet")
    events.to_csv(tmp_path / "events.csv", index=False)
    published = events.rename(columns={b: a for a, b in PUBLISHED.items()})[list(PUBLISHED)].astype({"date": int})
    published.to_csv(tmp_path / "studentVle.csv", index=False)
    store = InteractionStore.write(f"SELECT * FROM read_parquet('{tmp_path / 'events.parquet'}')", "events", tmp_path / "store")
    for source in (tmp_path / "events.parquet", str(tmp_path / "events.csv"), store):
        pd.testing.assert_frame_equal(weekly(source, 56), wanted, check_index_type=False, check_column_type=False)
    found = weekly(tmp_path / "studentVle.csv", 56, sites=course["sites"])
    pd.testing.assert_frame_equal(found, wanted, check_index_type=False, check_column_type=False)
    assert not [c for c in weekly(tmp_path / "studentVle.csv", 56) if c.startswith("clicks: ")]


def test_what_comes_after_the_cutoff_changes_nothing_and_row_order_neither(course):
    events, wanted = course["events"], weekly(course["events"], 35)
    other = pd.concat([events[events["day"] <= 35], events[events["day"] > 35].assign(count=10_000, learner_id=events["learner_id"].iloc[0])])
    pd.testing.assert_frame_equal(weekly(other.sample(frac=1, random_state=0), 35), wanted)


def test_a_snapshot_gains_its_weeks(course):
    early, late = (Snapshot(28).take(course), Snapshot(56).take(course))
    found = weekly_events.build(early)
    assert found.index.equals(early.enrolments) and found.attrs["latest"] and max(found.attrs["latest"].values()) <= 28
    weeks = {match["week"] for c in found if (match := weekly_events.NAME.match(c))}
    assert weeks == {"00", "01", "02", "03", "04"} and {"mean_score", "clicks", "week 04: handed in"} <= set(found)
    longer = weekly_events.build(late).reindex(found.index.intersection(late.enrolments))
    same = [c for c in found if weekly_events.NAME.match(c) and not c.endswith("mark to mean")]
    pd.testing.assert_frame_equal(longer[same], found.loc[longer.index, same])
    moved = {**course, "events": course["events"].assign(count=lambda t: t["count"].where(t["day"] <= 28, 10_000)),
             "submissions": course["submissions"].assign(score=lambda t: t["score"].where(t["day"] <= 28, 0.0))}
    pd.testing.assert_frame_equal(weekly_events.build(Snapshot(28).take(moved)), found)


def test_a_mark_that_was_banked_is_no_work_of_a_week(course):
    more = course["submissions"].head(40).assign(day=-1.0, banked=True, score=0.0)
    added = {**course, "submissions": pd.concat([course["submissions"].iloc[40:], more], ignore_index=True)}
    left = {**course, "submissions": course["submissions"].iloc[40:].reset_index(drop=True)}
    weeks = [c for c in weekly_events.build(Snapshot(28).take(left)) if weekly_events.NAME.match(c)]
    pd.testing.assert_frame_equal(*(weekly_events.build(Snapshot(28).take(tables))[weeks] for tables in (added, left)))


def test_faults_are_named(tmp_path):
    with pytest.raises(DataError, match="found no day among"):
        weekly(BY_HAND.drop(columns="day"), 14)
    (tmp_path / "studentVle.csv").write_text(",".join(PUBLISHED) + "\n1,M,2013B,5,never,3\n")
    with pytest.raises(DataError, match="cannot be read"):
        weekly(tmp_path / "studentVle.csv", 14)
    with pytest.raises(DataError, match="name learner, module and presentation"):
        weekly(BY_HAND.assign(module_id=[None] + ["M"] * 7), 14)
    with pytest.raises(DataError, match="cannot be read"):
        weekly(tmp_path / "absent.parquet", 14)
    validate(BY_HAND, "events")
