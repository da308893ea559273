"""The experiment: forecasts beside floors, what is left with the run, and nothing from the future."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from edukit.experiments import forecast as experiment
from edukit.experiments import recipe

from edukit.evaluation import forecast as ahead
from edukit.schema import DataError

SMALL = ("data.classes=2", "data.learners_per_class=20", "horizon=6", "scores=[3,6]", "cuts=2", "samples=20", "draws=10", "group_sizes=[2,100]",
         "valid_share=0.5")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return experiment.run(recipe.config("forecast", *SMALL, f"paths.outputs={tmp_path_factory.mktemp('outputs')}", "paths.tracking=null"))


def test_the_run_reports_every_forecast_beside_the_floors(report):
    table = report.table(group=None)
    models = {"logistic", "logistic, told each answer", "learner_so_far", "item_mean"}
    assert set(table.loc[(table["name"] == "log_loss") & (table["channel"] == "step 6"), "model"]) == models
    held = table[table["name"] == "coverage"]
    assert {"share of 3", "share of 6", "mean of 2 learners"} == set(held["channel"]) and held["value"].between(0, 1).all()
    assert (held["low"] <= held["value"]).all() and (held["value"] <= held["high"]).all()
    losses = {m: report.value("log_loss", model=m, channel="all steps") for m in models}
    assert losses["logistic, told each answer"] <= losses["logistic"] + 0.02 and losses["logistic"] < losses["learner_so_far"]
    first = [report.value("log_loss", model=m, channel="step 1") for m in ("logistic", "logistic, told each answer")]
    assert first[0] == pytest.approx(first[1], abs=1e-6)  # one step ahead there is nothing that could be told


def test_the_run_leaves_its_table_its_figure_and_whom_it_set_aside(report):
    table = pd.read_parquet(report.folder / "forecast.parquet")
    assert {"learner_id", "step_ahead", "concept_id", "mean", "low", "high", "share", "share_low", "share_high", "came"} <= set(table)
    aside, part = (pd.read_parquet(report.folder / f"{name}.parquet") for name in ("valid_split", "split"))
    told = set(part.loc[part["part"] == "test", "learner_id"])
    assert set(table["learner_id"].str.rsplit(" cut ", n=1).str[0]) <= told and not told & set(aside["learner_id"])
    assert (report.folder / report.figures["forecast"]).stat().st_size > 0
    small = [r for r in report.metrics if r["group"] and "not enough data" in r["group"]]
    assert all(r["value"] is None for r in small)


def test_changed_answers_after_the_cut_change_no_forecast_of_the_run():
    cfg = recipe.config("forecast", "horizon=5", "scores=[5]", "samples=20", "cuts=1", "earlier=4")
    rng = np.random.default_rng(0)
    log = pd.DataFrame([(f"u{u:02d}", f"i{rng.integers(4)}", t, float(rng.random() < 0.6)) for u in range(12) for t in range(10 + u)],
                       columns=["learner_id", "item_id", "order", "correct"])
    last = log.groupby("learner_id")["order"].transform("max") - log["order"] < 5
    changed = log.assign(correct=log["correct"].where(~last, 1 - log["correct"]))
    first, other = (experiment.Asked.of(some, cfg) for some in (log, changed))
    np.testing.assert_array_equal(first.came, 1 - other.came)
    np.testing.assert_array_equal(first.sampled(ahead.SoFar(0.6), cfg).right, other.sampled(ahead.SoFar(0.6), cfg).right)


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(DataError, match=r"scores=\[7\]"):
        experiment.run(recipe.config("forecast", "horizon=6", "scores=[7]"))


@pytest.mark.realdata
def test_intervals_hold_what_they_say_on_assistments_2009(edukit_data, tmp_path):
    report = experiment.run(recipe.config("forecast", "data=assistments2009", "samples=100", "draws=20", f"paths.outputs={tmp_path}", "paths.tracking=null"))
    for steps in (5, 10, 20):
        assert 0.75 <= report.value("coverage", model="logistic", channel=f"share of {steps}") <= 0.85
