"""What a snapshot says of each enrolment."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from edukit.risk import features
from edukit.risk.snapshot import UNIT, Snapshot
from edukit.schema import DataError

RUN = {"module_id": "M", "presentation": "2013B"}


def course() -> dict[str, pd.DataFrame]:
    """Three learners: A hands everything in, B misses the last two pieces, C registered late and has left no trace."""
    submissions = [("A", "1", 8.0, 80.0), ("A", "2", 22.0, 70.0), ("A", "3", 30.0, 90.0), ("B", "1", 10.0, 40.0)]
    return {
        "enrolments": pd.DataFrame({"learner_id": list("ABC"), **RUN, "registered_day": [-9.0, -2.0, 38.0], "previous_attempts": [0, 1, 0]}),
        "assessments": pd.DataFrame({"assessment_id": list("1234"), **RUN, "due_day": [10.0, 20.0, 30.0, 35.0], "weight": [10.0, 30.0, 60.0, 5.0]}),
        "submissions": pd.DataFrame(submissions, columns=["learner_id", "assessment_id", "day", "score"]),
        "events": pd.DataFrame({"learner_id": list("AAB"), "day": [5.0, 39.0, 1.0], "kind": ["quiz", "page", "page"], "count": [3, 4, 2], **RUN}),
        "learners": pd.DataFrame({"learner_id": list("ABC"), "gender": ["F", "M", None]})}


@pytest.fixture
def table() -> pd.DataFrame:
    return features.build(Snapshot(40).take(course())).reset_index(["module_id", "presentation"], drop=True)


def test_work_is_told_as_a_teacher_would(table):
    a, b = table.loc["A"], table.loc["B"]
    assert (a["submitted"], a["missed"], a["late"], a["share_submitted"], a["last_days_early"]) == (3, 0, 1, 1.0, 0)
    assert a["mean_score"] == 80 and a["weighted_score"] == 83 and a["marks_earned"] == pytest.approx(0.83) and a["lowest_score"] == 70
    assert (b["submitted"], b["missed"], b["missed_in_a_row"], b["due"]) == (1, 2, 2, 3)  # nobody handed in work 4: it leaves no record
    assert b["share_submitted"] == pytest.approx(1 / 3) and b["missed_weight"] == pytest.approx(0.9) and b["marks_earned"] == pytest.approx(0.04)
    assert a["score_to_mean"] == pytest.approx((20 + 0 + 0) / 3) and b["score_to_mean"] == -20
    assert b["registered_early"] == 2 and b["previous_attempts"] == 1 and b["days_since_submission"] == 30


def test_clicks_are_told_against_the_run(table):
    assert table["clicks"].tolist() == [7, 2, 0] and table["active_days"].tolist() == [2, 1, 0] and table["recent_clicks"].tolist() == [4, 0, 0]
    assert table["days_since_click"].tolist()[:2] == [1, 39] and np.isnan(table.loc["C", "days_since_click"])
    assert table.loc["A", "active_days_to_mean"] == 1 and table.loc["B", "clicks_to_median"] == 0


def test_what_was_seen_is_counted_and_nothing_is_nothing(table):
    assert table[features.OBSERVED].tolist() == [3 + 2, 1 + 2 + 1, 0]
    assert table.loc["C", "missed"] == 0 and np.isnan(table.loc["C", "share_submitted"])  # work that was due before C registered


def test_a_log_that_counts_days_is_not_added_to_clicks():
    told = course()
    told["events"] = pd.DataFrame({"learner_id": list("AAB"), "day": 28.0, "kind": ["clicks", "active day", "clicks"], "count": [50, 6, 3], **RUN})
    table = features.build(Snapshot(40).take(told)).droplevel(["module_id", "presentation"])
    assert table["clicks"].tolist() == [50, 3, 0] and table["active_days"].tolist() == [6, 0, 0] and table.loc["A", "kinds_used"] == 1
    told["events"] = told["events"].drop(columns=list(RUN))
    assert features.build(Snapshot(40).take(told))["clicks"].tolist() == [50, 3, 0]


def test_attributes_enter_only_when_asked():
    assert not [name for name in features.build(Snapshot(40).take(course())) if "gender" in name]
    asked = features.build(Snapshot(40, attributes=("gender",)).take(course()))
    assert asked["gender=F"].tolist() == [1, 0, 0] and asked["gender=M"].tolist() == [0, 1, 0]


def test_every_feature_has_words_and_is_one_or_the_other(table):
    assert set(features.ACTIONABLE) & set(features.CONTEXT) == set() and set(features.MONOTONE) <= set(features.ACTIONABLE)
    for name in table.columns.drop(features.OBSERVED):
        assert features.meaning(name) and (name.removesuffix(features.TO_RUN) in features.ACTIONABLE) == features.actionable(name)
    assert set(table.attrs["latest"]) == set(table.columns) - {features.OBSERVED}


def test_the_leak_check_finds_a_late_feature():
    taken = Snapshot(40).take(course())
    late = replace(taken, tables={**taken.tables, "submissions": pd.concat([taken.tables["submissions"], pd.DataFrame(
        {"learner_id": ["B"], "assessment_id": ["2"], "day": [41.0], "score": [99.0]})])})
    with pytest.raises(DataError, match=r"must rest on day 40 or earlier; found mean_score with a row of day 41"):
        features.build(late)
    given = pd.DataFrame({"learner_id": list("AB"), "absent_lately": [0.1, 0.5], features.LATEST: [40.0, 40.0]})
    assert features.build(taken, attendance=given)["absent_lately"].tolist()[:2] == [0.1, 0.5]
    for table in (given.assign(latest_day=[40.0, 43.0]), given.drop(columns=features.LATEST), pd.concat([given, given])):
        with pytest.raises(DataError):
            features.build(taken, attendance=table)
    mastery = pd.DataFrame({"learner_id": ["A", "A", "B"], "concept_id": ["x", "y", "x"], "mastery": [0.9, 0.3, 0.6], "sd": 0.1, "n": [4, 2, 0],
                            features.LATEST: 40.0})
    told = features.build(taken, mastery=mastery)
    assert told["mean_mastery"].tolist()[0] == pytest.approx(0.6) and told["weak_concepts"].tolist()[0] == 1 and np.isnan(told["mean_mastery"].iloc[1])
    with pytest.raises(DataError, match="latest_day"):
        features.build(taken, mastery=mastery.drop(columns=features.LATEST))


def test_a_course_without_work_or_log_still_has_its_registrations():
    bare = features.build(Snapshot(40).take({"enrolments": course()["enrolments"]}))
    assert (bare[features.OBSERVED] == 0).all() and {"registered_early", "module=M", "modules_at_once"} <= set(bare) and bare.index.names == UNIT


def test_counts_are_also_told_less_the_mean_of_their_run():
    table = features.build(Snapshot(40).take(course()))
    for name in [name for name in features.RELATIVE if name in table]:
        away = table[name] - table[name].groupby(level=["module_id", "presentation"]).transform("mean")
        pd.testing.assert_series_equal(table[name + features.TO_RUN], away, check_names=False, atol=1e-8)
    assert features.meaning("missed_to_run") == "pieces of work missed so far, above or below the mean of the run"
