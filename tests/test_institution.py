"""The experiments of the institution: one page from aggregates, and a reform that was planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from edukit.experiments import institution, recipe

from edukit.data.synthetic_course import SyntheticCourse
from edukit.evaluation.reform import evaluate_reform, together
from edukit.governance.privacy import aggregate
from edukit.metrics import holm

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


def test_places_do_not_follow_from_the_hours_there_are():
    rows = pd.DataFrame({"learner_id": [f"u{i}" for i in range(300)], "module_id": ["a"] * 100 + ["b"] * 100 + ["c"] * 100})
    rows = rows.assign(tutored=[*([1.0] * 4 + [0.0] * 96), *([1.0] * 30 + [0.0] * 70), *([1.0] * 66 + [0.0] * 34)], benefit=0.1)
    table = institution.tutoring(aggregate(rows, ["module_id"], ["tutored", "benefit"])).set_index("module_id")
    assert table.loc[["a", "b"], ["places", "passes_expected_more"]].isna().all(axis=None) and table.loc["all", "places"] == 100


def test_outcomes_are_corrected_together():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"arm": np.arange(200) % 2, **{name: rng.normal(size=200) for name in "ab"}})
    rows["b"] += 0.32 * rows["arm"]
    alone = [evaluate_reform(rows, "randomised", name, "arm", draws=0) for name in "ab"]
    both = together(alone)
    p = pd.concat([one.effects for one in both])
    assert p["p_adjusted"].tolist() == list(holm(p["p"].astype(float))) and (p["p_adjusted"].to_numpy() >= [one.effects["p"].iloc[0] for one in alone]).all()
    few = replace(alone[0], effects=alone[0].effects.assign(n=7)).records()[0]
    assert few["n"] is None and few["value"] is None and alone[0].records()[0]["n"] == 200


def test_a_planted_reform_lies_in_the_interval():
    report = recipe.start("evaluate_reform", *SMALL)
    effect = next(m for m in report.metrics if m["name"] == "effect")
    truth = SyntheticCourse(learners_per_run=40).truth().reform
    assert effect["low"] <= -truth["risk_change"] <= effect["high"]
    assert list(truth["modules"]) == list(recipe.config("evaluate_reform").reformed)
    assert pd.read_csv(report.folder / "passed_effects.csv")["clusters"].tolist() == [6]
