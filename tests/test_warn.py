"""`edukit run warn` from end to end on an invented course, and once on the real one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from edukit.experiments import recipe, warn

from edukit.data.synthetic_course import SyntheticCourse
from edukit.risk import capacity
from edukit.schema import DataError
from edukit.validation import validate

QUICK = ("data.modules=1", "data.learners_per_run=100", "risk.refits=1", "risk.trees=10", "draws=20", "paths.tracking=null", "capacity=10")


@pytest.fixture(scope="module")
def report():
    return recipe.start("warn", *QUICK, "features=both", "week=6", "weeks=[2,6]", "nearby=0", "presentations=[2014B,2014J]")


def test_it_writes_who_is_to_be_contacted_and_why(report):
    table = pd.read_parquet(report.folder / "risks.parquet")
    validate(table, "risks")
    assert (table["tier"] == capacity.NOW).sum() == 10 and (table["cutoff_day"] == 42).all() and set(table["presentation"]) == {"2014J"}
    assert table["risk"].dropna().is_monotonic_decreasing and table.loc[table["risk"].notna(), "actionable"].notna().all()
    csv = pd.read_csv(report.folder / "risks.csv")
    assert len(csv) == len(table) and not csv.astype("str").apply(lambda c: c.str.match(r"^[=+@]")).any().any()
    assert {"reliability", "auc_by_week", "risks", "fairness"} <= set(report.figures)


def test_every_metric_is_told_with_its_week_and_model(report):
    for name in ("auc", "ap", "brier", "ece", "precision_at_capacity", "recall_at_capacity", "precision_at_20_percent", "recall_at_20_percent"):
        for week in (2, 6):
            for model in ("boosting", "boosting with demographics"):
                row = report.table(name=name, channel=f"week {week}", model=model, group=None).iloc[0]
                assert row["low"] <= row["value"] <= row["high"] or name == "ece"
    assert report.value("auc", channel="week 6", model="boosting") > 0.55
    assert len(report.table(name="alert_churn", model="boosting")) == 1 and report.value("lead_days", model="boosting") > 0
    alarms = report.table(name="false_alarms", model="boosting", channel="20 percent")
    assert alarms["group"].isna().sum() == 1 and (alarms.loc[alarms["group"].notna(), "value"].dropna() >= 10).all()
    assert report.split["name"] == "presentation" and report.split["rows"]["test"] > 0


def test_sensitive_attributes_enter_no_model_unasked(report):
    assert "gender" not in (report.folder / "model.json").read_text()


def test_other_protocols_run_and_say_what_they_are(capsys, monkeypatch):
    monkeypatch.setattr(warn.fairness_audit, "of_run", lambda *given, **settings: None)
    for words, said in ((("split=learner", "folds=2", "nearby=0", "presentations=[2014B,2014J]", "population=all", "assessments_by=due", "risk=logistic"),
                         "learner fold 2 of 2"),
                        (("split=leave_presentation", "clicks=none", "presentations=[2013B,2013J]"), "presentation left out 2013J")):
        quick = [word for word in QUICK if not (word.startswith("risk.trees") and "risk=logistic" in words)]
        recipe.start("warn", *quick, *words, "draws=0", "risk.refits=0", "weeks=[8]")
        assert said in capsys.readouterr().out


def test_what_cannot_be_asked_is_refused():
    for word, message in (("features=all", "features must be one of"), ("clicks=many", "clicks must be one of"), ("split=fate", "split must be one of"),
                          ("presentations=[1999B]", "no 1999B")):
        with pytest.raises(DataError, match=message):
            recipe.start("warn", *QUICK, word)


def test_clicks_that_are_known_of_some_learners_only_are_left_out_or_theirs_alone():
    tables = SyntheticCourse(modules=1, learners_per_run=10).course()[0]
    twice = tables["enrolments"].iloc[:3].assign(module_id="other")
    enrolments = pd.concat([tables["enrolments"], twice], ignore_index=True)
    often = enrolments.loc[enrolments["learner_id"].duplicated(keep=False), "learner_id"]
    logged = {**tables, "enrolments": enrolments}
    tables = {**logged, "events": tables["events"][~tables["events"]["learner_id"].isin(often)]}
    assert "events" not in warn.course(tables, "all", 56) and "events" not in warn.course(tables, "none", 56)
    single = warn.course(tables, "single", 56)
    assert len(single["enrolments"]) == len(enrolments) - len(often) and "events" in single
    whole = warn.course(logged, "single", 56, enrolments, "learner")
    later = whole["enrolments"].tail(5).assign(presentation="2015B")
    known = warn.course(logged, "single", 56, pd.concat([enrolments, later]), "learner")
    for name in ("enrolments", "events"):  # who enrols again later is no matter of today
        pd.testing.assert_frame_equal(known[name], whole[name])
    lacking = {**logged, "events": logged["events"][~logged["events"]["learner_id"].isin(later["learner_id"])]}
    with pytest.raises(DataError, match="found 5 enrolments of learners who enrolled again later"):
        warn.course(lacking, "single", 56, pd.concat([enrolments, later]), "learner")
    with pytest.raises(DataError, match="needs the table events"):
        warn.course({"enrolments": twice}, "single", 56)


@pytest.mark.realdata
def test_week_8_of_a_future_presentation_is_foretold(edukit_data, monkeypatch):
    monkeypatch.setattr(warn.fairness_audit, "of_run", lambda *given, **settings: None)
    report = recipe.start("warn", "data=oulad", "data.variant=converted", "risk.refits=0", "draws=0", "paths.tracking=null", "weeks=[8]")
    assert report.value("auc", channel="week 8") >= 0.77 and report.value("ece", channel="week 8") <= 0.05
    assert np.isfinite(report.value("lead_days"))
