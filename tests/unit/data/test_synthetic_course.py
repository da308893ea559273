"""The invented courses: what was planted is in the tables, what is called true follows from it, and nothing depends on luck."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pandas as pd
import pytest

from edukit.data.attendance import absence_runs, attendance_summary, weekday_absence
from edukit.data.synthetic_course import UNIT, CourseTruth, SyntheticCourse
from edukit.schema import DataError


@pytest.fixture(scope="module")
def made() -> tuple[dict[str, pd.DataFrame], CourseTruth]:
    start = time.process_time()
    course = SyntheticCourse().course()
    assert time.process_time() - start < 3
    return course


@pytest.fixture(scope="module")
def units(made) -> pd.DataFrame:
    """Truth beside the ending and the attributes, one row a unit."""
    tables, truth = made
    ended = tables["enrolments"].set_index(UNIT)
    return truth.enrolments.join(ended).join(tables["learners"].set_index("learner_id"), on="learner_id").assign(
        bad=ended["final_result"].isin(["Fail", "Withdrawn"]))


def test_the_shape_is_as_told(made, units):
    tables, _ = made
    assert len(tables["enrolments"]) == 2400 == len(units) and tables["enrolments"]["module_id"].nunique() == 6
    assert sorted(tables["enrolments"]["presentation"].unique()) == ["2013B", "2013J", "2014B", "2014J"]
    assert {"learners", "events", "submissions", "attendance", "interventions", "surveys"} <= set(tables)
    assert 0.3 < units["bad"].mean() < 0.5


def test_the_true_risk_is_calibrated_and_tells_the_endings_apart(units):
    tenth = pd.qcut(units["risk"], 10, labels=False)
    by = units.groupby(tenth)[["risk", "bad"]].mean()
    assert (by["risk"] - by["bad"]).abs().max() < 0.07 and abs(units["risk"].mean() - units["bad"].mean()) < 0.02
    assert units.groupby("bad")["risk"].mean().diff().iloc[-1] > 0.2


def test_equal_arguments_give_equal_tables_and_another_seed_others():
    small = SyntheticCourse(modules=2, learners_per_run=12)
    first, second, other = small.parse(small.raw_dir()), small.course()[0], dataclasses.replace(small, seed=8).course()[0]
    for name in first:
        pd.testing.assert_frame_equal(first[name], second[name])
    assert not first["submissions"].equals(other["submissions"])


def test_nothing_happens_after_leaving_or_before_registration(made):
    tables, _ = made
    known = tables["enrolments"][[*UNIT, "registered_day", "unregistered_day"]]
    for name in ("events", "submissions"):
        table = tables[name] if name == "events" else tables[name].merge(tables["assessments"], on="assessment_id")
        rows = table.merge(known, on=UNIT, validate="many_to_one")
        assert len(rows) == len(tables[name])
        assert not (rows["day"] > rows["unregistered_day"]).any()
        own = rows if name == "events" else rows[~rows["banked"].fillna(False)]
        assert not (own["day"] < own["registered_day"]).any()


def test_the_examination_agrees_with_the_ending(made):
    tables, _ = made
    exams = tables["submissions"].merge(tables["assessments"].query("type == 'exam'"), on="assessment_id").set_index(UNIT)["score"]
    ended = tables["enrolments"].set_index(UNIT)["final_result"]
    assert set(exams.index) == set(ended.index[ended != "Withdrawn"])
    assert ((exams < 40) == (ended.reindex(exams.index) == "Fail")).all()


def test_one_region_is_marked_unfairly_and_ends_no_worse(made, units):
    tables, truth = made
    work = tables["submissions"].merge(tables["assessments"].query("type != 'exam'"), on="assessment_id")
    mark = units.join(work.groupby(UNIT)["score"].mean().rename("mark"))
    by = mark.groupby("harsh")[["mark", "bad", "risk"]].mean()
    assert by["mark"].diff().iloc[-1] < -6 and abs(by["bad"].diff().iloc[-1]) < 0.05
    assert abs(by["risk"].diff().iloc[-1]) < 0.03
    assert truth.groups.query("gap == 'unfair'")["group"].tolist() == ["Hills"]
    assert set(mark.loc[mark["harsh"], "region"]) == {"Hills"}
    fair = SyntheticCourse(mark_bias=0.0, modules=2, learners_per_run=20)
    assert (fair.truth().groups["gap"] != "unfair").all()


def test_calls_go_to_those_in_need_and_help_them(units):
    called = units["propensity"] > 0.4
    assert units.loc[called, "risk_if_not_called"].mean() > units.loc[~called, "risk_if_not_called"].mean() + 0.1
    assert (units["benefit"] >= -1e-12).all() and units["benefit"].mean() > 0.08
    low, high = units["prior"] < -0.5, units["prior"] > 0.5
    assert units.loc[low, "call_effect"].mean() > units.loc[high, "call_effect"].mean() + 0.3
    none = SyntheticCourse(call_effect=0.0, modules=2, learners_per_run=20).truth()
    assert none.enrolments["benefit"].abs().max() == 0 and none.interventions["benefit"].abs().max() == 0


def test_a_call_changes_nothing_before_its_day():
    small = SyntheticCourse(modules=2, learners_per_run=40)
    tables, other = small.course()[0], dataclasses.replace(small, call_effect=0.0).course()[0]
    handed = [t["submissions"][t["submissions"]["day"] < 28].drop(columns="score") for t in (tables, other)]
    pd.testing.assert_frame_equal(*(h.reset_index(drop=True) for h in handed))
    seen = [t["interventions"].query("day < 35") for t in (tables, other)]
    pd.testing.assert_frame_equal(*(s.drop(columns=["outcome", "intervention_id"]).reset_index(drop=True) for s in seen))


def test_mentors_are_given_without_overlap_and_calls_with_it(made):
    tables, truth = made
    known = truth.interventions.set_index("kind")
    assert not known.loc["mentor", "overlap"] and known.loc[["call", "message"], "overlap"].all()
    assert known["n"].to_dict() == tables["interventions"]["kind"].value_counts().to_dict() and known["n"].min() >= 30


def test_the_best_approach_depends_on_prior_attainment(units):
    low, high = units[units["prior"] < -0.7], units[units["prior"] > 0.9]
    assert low["risk_if worked examples"].mean() < low["risk_if projects"].mean() - 0.1
    assert high["risk_if projects"].mean() < high["risk_if worked examples"].mean() - 0.03
    assert units.groupby("teaching_approach")["prior"].mean().loc[["worked examples", "projects"]].diff().iloc[-1] > 0.4
    chosen = units.apply(lambda row: row[f"risk_if {row['teaching_approach']}"], axis=1)
    np.testing.assert_allclose(chosen, units["risk"], atol=1e-9)


def test_the_reform_lowers_risk_where_and_when_it_was_made(units, made):
    reform = made[1].reform
    where = units.index.get_level_values("module_id").isin(reform["modules"]) & (units.index.get_level_values("presentation") >= reform["first_presentation"])
    assert (units["reformed"] == where).all() and -0.15 < reform["risk_change"] < -0.03
    np.testing.assert_allclose(units["risk"], units["risk_if_reformed"].where(units["reformed"], units["risk_if_not_reformed"]), atol=1e-9)
    assert SyntheticCourse(reform_effect=0.0, modules=2, learners_per_run=20).truth().reform["risk_change"] == 0


def test_patterns_of_attendance_are_found(made, units):
    register = made[0]["attendance"].query("term == '2014J'")
    pattern = units.xs("2014J", level="presentation").droplevel("module_id")["pattern"]
    enough = register.groupby("learner_id").size().loc[lambda n: n >= 60].index
    summary = attendance_summary(register).set_index("learner_id").loc[enough]
    runs = absence_runs(register).groupby("learner_id")["days"].max().reindex(enough, fill_value=0)
    odd = weekday_absence(register).groupby("learner_id")["p_adjusted"].min().reindex(enough)
    kind = pattern.loc[enough]
    assert (summary.loc[kind == "declining", "slope_high"] < 0).mean() > 0.8
    assert (runs[kind == "absence_run"] >= 5).mean() > 0.95 and (runs[kind == "steady"] >= 5).mean() < 0.02
    assert (odd[kind == "weekday"] < 0.05).mean() > 0.9 and (odd[kind == "steady"] < 0.05).mean() < 0.05


@pytest.mark.parametrize("wrong", [{"modules": 0}, {"learners_per_run": 1}, {"call_effect": float("nan")}])
def test_an_impossible_course_is_refused_by_name(wrong):
    with pytest.raises(DataError, match=next(iter(wrong))):
        SyntheticCourse(**wrong).course()
