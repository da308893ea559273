"""The experiments of the institution: one page from aggregates, and a reform that was planted."""

from __future__ import annotations

import pandas as pd
import pytest
from edukit.experiments import recipe

from edukit.data.synthetic_course import SyntheticCourse

SMALL = ("data.learners_per_run=40", "paths.tracking=null")


@pytest.fixture(autouse=True)
def _outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("EDUKIT_OUTPUTS", str(tmp_path))


def test_the_page_names_no_learner_and_no_comment():
    report = recipe.start("institution", *SMALL, "groups=[gender]")
    page = (report.folder / "institution.html").read_text(encoding="utf-8")
    tables = SyntheticCourse(learners_per_run=40).parse(None)
    assert not any(name in page for name in tables["learners"]["learner_id"])
    assert not any(text in page for text in tables["surveys"]["comment"].dropna().unique() if " " in text)
    assert {"Modules against their intake", "Tutoring hours", "Feedback: scales", "Engagement by gender"} <= {m["channel"] for m in report.metrics}


def test_a_planted_reform_lies_in_the_interval():
    report = recipe.start("evaluate_reform", *SMALL)
    effect = next(m for m in report.metrics if m["name"] == "effect")
    truth = SyntheticCourse(learners_per_run=40).truth().reform
    assert effect["low"] <= -truth["risk_change"] <= effect["high"]
    assert list(truth["modules"]) == list(recipe.config("evaluate_reform").reformed)
    assert pd.read_csv(report.folder / "passed_effects.csv")["clusters"].tolist() == [6]
