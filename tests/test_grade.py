"""`edukit run grade` from end to end on invented answers, and once on real ones."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from edukit.experiments import bench_grading, grade, grade_report, recipe

from edukit.grading.grader import RubricGrader
from edukit.report import grading_figures
from edukit.schema import DataError
from edukit.validation import validate

QUICK = ("data.learners=48", "grading.embeddings=false", "grading.trees=10", "grading.unseen_trees=10", "draws=20", "paths.tracking=null")


@pytest.fixture(scope="module")
def told():
    """A run, and what it said."""
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "say", lines.append)
        report = recipe.start("grade", *QUICK, "curve=[0,10,1000]")
    return report, "\n".join(lines)


def test_grades_are_judged_on_learners_it_has_not_seen_and_the_least_sure_left(told):
    report, _ = told
    table = validate(pd.read_parquet(report.folder / "grades.parquet"), "grades")
    whole, parts = table[table["criterion_id"] == "overall"], pd.read_parquet(report.folder / "split.parquet")
    assert set(whole["answer_id"]) == set(parts["answer_id"]) and report.split["rows"] == {"test": len(whole)}
    assert whole["deferred"].mean() == pytest.approx(0.3, abs=0.02) and whole.loc[whole["deferred"], "score"].isna().all()
    assert report.value("deferred") == pytest.approx(whole["deferred"].mean())
    csv = pd.read_csv(report.folder / "grades.csv", dtype=str)
    assert len(csv) == len(table) and not csv.apply(lambda column: column.str.match(r"[=+@]").fillna(False)).to_numpy().any()


def test_the_risk_coverage_curve_passes_through_what_is_reported(told):
    report, _ = told
    table = pd.read_csv(report.folder / "risk_coverage.csv").set_index("left")
    kept, every = (report.table(name="qwk", channel=channel).iloc[0] for channel in (grade_report.KEPT_MEAN, grade_report.MEAN))
    for share, row in ((0.3, kept), (0.0, every)):
        assert table.loc[share, ["value", "low", "high", "n"]].tolist() == pytest.approx(row[["value", "low", "high", "n"]].tolist(), rel=1e-12)
    assert table.loc[0.3, "coverage"] == pytest.approx(1 - report.value("deferred")) and (table["n"] >= 10).all()


def test_every_number_stands_beside_what_people_reach_with_an_interval(told):
    report, said = told
    for channel in (grade_report.MEAN, grade_report.KEPT_MEAN):
        row = report.table(name="qwk", channel=channel).iloc[0]
        assert row["low"] <= row["value"] <= row["high"] and row["value"] > 0.3
    questions = report.table(name="qwk", channel=None)
    assert questions["group"].dropna().str.startswith("question_id=").sum() == 6
    assert report.value("human_qwk", group=None, channel=None) > report.value("qwk", group=None, channel=None, split="test")
    assert "ceiling" in said and "two people" in said and said.index("takes about") < said.index("mean of questions")
    assert report.value("element_precision") > 0.8 and report.value("element_recall") > 0.4
    flagged = report.table(name="flagged").set_index("channel")["value"]
    assert flagged["honest answers"] < 0.1 and flagged["injected_instructions"] > 0.5 and len(flagged) == 6
    curve = report.table(name="qwk", split="learning curve")
    assert curve["channel"].tolist() == ["0 graded", "10 graded"] and {"risk_coverage", "agreement", "confidence", "learning_curve"} <= set(report.figures)
    people = report.table(name="human_qwk", split="learning curve").iloc[0]
    assert (curve["low"] < curve["value"]).all() and (curve["value"] < curve["high"]).all() and people["low"] < people["value"] < people["high"]
    assert "1000 graded left out, as" in said and "learning curve     two people" in said
    lines = {line.get_label(): line.get_ydata()[0] for line in grading_figures.learning_curve(report.metrics).axes[0].lines}
    assert lines["two people"] == people["value"] and lines["rubric_grader"] == curve["value"].iloc[0]


def test_groups_are_audited_or_it_is_said_why_not_and_the_model_has_its_card(told):
    report, said = told
    assert "fairness: " in said and (report.folder / "fairness.csv").is_file()
    card = json.loads((report.folder / "model_card.json").read_text())
    assert card["room"] == "grading" and card["model"] == "rubric_grader" and any(score["name"] == "qwk" for score in card["scores"])
    answers = recipe.load(recipe.instantiate(recipe.config("grade", *QUICK).data), lambda line: None)["answers"]
    grader = RubricGrader.load(report.folder / "model.safetensors")
    again = grader.overall(answers[answers["part"] == "test"])
    whole = pd.read_parquet(report.folder / "grades.parquet").query("criterion_id == 'overall' and not deferred").set_index("answer_id")["score"]
    assert (again[whole.index] == whole).all()


def test_an_agreement_that_is_asked_for_is_reached_by_deferring_or_refused():
    report = recipe.start("grade", *QUICK, "target_qwk=0.5", "gaming=false", "data.learners=100", "data.noise=0")
    assert report.value("qwk", channel=grade_report.KEPT_MEAN) > 0.4 and len(report.table(name="flagged")) == 0
    with pytest.raises(DataError, match="target_qwk 0.999"):
        recipe.start("grade", *QUICK, "target_qwk=0.999", "gaming=false")


def test_the_mean_of_questions_counts_each_once():
    y, question = np.array([0, 1, 2, 0, 1, 2, 0, 2.0]), np.array(["a"] * 6 + ["b"] * 2)
    value, n, low, high = grade.mean_kappa(y, np.array([0, 1, 2, 0, 1, 2, 2, 0.0]), question, np.arange(8), 0, 20)
    assert (value, n) == (0.0, 8) and low <= high  # full agreement in one question, full disagreement in the other


def test_the_benchmark_times_both_ways_of_grading(tmp_path, monkeypatch):
    lines: list[str] = []
    monkeypatch.setattr(bench_grading, "RubricGrader", lambda: RubricGrader(embeddings=False, trees=0, unseen_trees=5))
    path = bench_grading.grade(4, 1, 1, tmp_path, lines.append)
    rows = json.loads((tmp_path / "bench_grading.json").read_text())["rows"]
    assert str(tmp_path) in path and {row["kind"] for row in rows} == {"fresh", "cached"} and all(row["answers_per_second"] > 0 for row in rows)
    assert sum("target" in line for line in lines) == 2


@pytest.mark.realdata
def test_published_parts_are_judged_apart(edukit_data):
    report = recipe.start("grade", "data=semeval2013", "data.variant=scientsbank_2way", "grading.embeddings=false", "grading.unseen_trees=30",
                          "grading.trees=0", "gaming=false", "draws=0", "paths.tracking=null")
    for part in ("unseen answers", "unseen questions", "unseen domains"):
        assert report.value("exact_agreement", split=part, channel=None, group=None) > 0.6
        assert report.value("exact_agreement", split=part, channel=grade_report.KEPT) > report.value("exact_agreement", split=part, channel=None, group=None)
