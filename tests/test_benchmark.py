"""The benchmark as a user runs it: killed, resumed, enlarged by a model; its plan, and that test answers reach nothing that is fitted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from edukit.experiments import benchmark, benchmark_cells, recipe

from edukit.data.catalogue import loader
from edukit.data.store import load
from edukit.evaluation import RunReport
from edukit.schema import DataError

SMALL = ("learners=60", "draws=40", "seeds=2")
MODELS = "models=[irt,pfa,'pfa strength=1.0',logistic]"
FEWER = "models=[irt,pfa]"


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "edukit.cli", "run", "benchmark", *SMALL, *words]


def stamps(place: Path) -> dict[str, int]:
    return {p.name: p.stat().st_mtime_ns for p in (place / "outputs" / "cells").rglob("*.parquet") if not p.parent.name.startswith(".")}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("benchmark")


@pytest.fixture(scope="module")
def resumed(place) -> tuple[RunReport, str, dict[str, int]]:
    """A benchmark of two models whose two processes were killed when a cell was written, then run with two models more to its end."""
    environment = {**os.environ, "EDUKIT_OUTPUTS": str(place / "outputs")}
    options = {"cwd": place, "env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = subprocess.Popen(command(FEWER), start_new_session=True, **options)
    for _ in range(2400):
        if stamps(place) or running.poll() is not None:
            break
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate(timeout=60)
    kept = stamps(place)
    assert 0 < len(kept) <= 4 and not list((place / "outputs").glob("benchmark/*/run_report.json"))
    done = subprocess.run(command(MODELS, "workers=1"), timeout=600, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return RunReport.read(Path(done.stdout.strip().split("\n")[-1])), done.stdout, kept


def test_a_killed_benchmark_goes_on_where_it_was_and_takes_more_models(resumed, place):
    report, said, kept = resumed
    assert f"8 cells: 4 models x 2 seeds and folds; {len(kept)} are on disk from an earlier run" in said
    now = stamps(place)
    assert len(now) == 8 and all(now[name] == when for name, when in kept.items())
    assert {"comparison", "reliability", "cost", "cold_start", "leaderboard"} <= set(report.figures)
    page = (report.folder / "leaderboard.html").read_text()
    for words in (report.data["fingerprint"][:12], report.split["fingerprint"][:12], "edukit run benchmark learners=60", "not distinguishable", "floor"):
        assert words in page
    said_of = pd.read_parquet(report.folder / "predictions.parquet")
    assert said_of[["probability", "calibrated"]].to_numpy().min() > 0 and set(said_of["model"]) == set(report.table(name="auc", group=None)["model"].dropna())


def test_copies_are_not_told_apart_and_the_item_mean_is_beaten(resumed):
    report, said, _ = resumed
    pairs = report.table(name="p_holm").set_index(["model", "group"])["value"]
    assert pairs["pfa", "minus pfa strength=1.0"] == 1 and pairs["logistic", "minus item_mean"] < 0.05
    assert report.value("auc", model="logistic", split="test") > report.value("auc", model="item_mean", split="test") + 0.05
    assert "logistic has the highest AUC on test learners" in said
    assert {"brier", "auc_sd", "fit_seconds", "predict_seconds", "cell_peak_rss_mb", "parameters"} <= set(report.table(model="irt")["name"])


# ---- plan and cells ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bench() -> benchmark_cells.Bench:
    cfg = recipe.config("benchmark", "seeds=2", "folds=2")
    recipe.OmegaConf.resolve(cfg)
    data = load(loader("synthetic"), lambda line: None).sample(40, 0)
    split = recipe.make_split(data, "learner", 0)
    log = data["interactions"]
    return benchmark_cells.Bench(recipe.OmegaConf.to_container(cfg), data, split.part(log, "train"), split.part(log, "test"), False)


def test_a_cell_depends_on_data_split_settings_and_fold_and_on_nothing_else(bench, tmp_path):
    def files(of=bench, models=("irt", "pfa"), split="s"):
        return [c.file.name for c in benchmark_cells.plan(of, models, split, tmp_path)]

    own = files()
    assert len(set(own)) == 8 and [name.split("_")[0] for name in own[:2]] == ["irt", "pfa"]  # the first cell of each model comes first
    assert files(models=("pfa",)) == own[1::2]
    other = replace(bench, data=replace(bench.data, fingerprint="other"))
    for changed in (files(other), files(split="t"), files(models=("irt item_spread=0.5", "pfa strength=2.0"))):
        assert not set(changed) & set(own)
    assert set(files(replace(bench, cfg={**bench.cfg, "folds": 1, "draws": 7}))) < set(own)


def test_learners_are_set_aside_whole_and_in_turn(bench):
    aside = [set(bench.aside(0, fold)[1]["learner_id"]) for fold in range(5)]
    assert set().union(*aside) == set(bench.train["learner_id"]) and sum(map(len, aside)) == bench.train["learner_id"].nunique()
    fitted, valid = bench.aside(0, 0)
    assert not set(fitted["learner_id"]) & set(valid["learner_id"]) and set(bench.aside(1, 0)[1]["learner_id"]) != aside[0]


def test_test_answers_reach_no_fit_and_no_calibrator(bench, tmp_path):
    turned = replace(bench, test=bench.test.assign(correct=1 - bench.test["correct"]))
    tables = []
    for k, of in enumerate((bench, turned)):
        cell = benchmark_cells.plan(of, ("pfa",), "s", tmp_path / str(k))[0]
        benchmark_cells.fit_cell(cell, of)
        tables.append(benchmark_cells.answers(cell)[0])
        cost = benchmark_cells.answers(cell)[1]
        assert cost["parameters"] > 40 and not cost["network"] and cost["fit_seconds"] > 0 and 50 < cost["peak_rss_mb"] < 5000
    one, other = (t[t["part"] == "valid"].reset_index(drop=True) for t in tables)
    assert one.equals(other)
    first = bench.test.sort_values("order").drop_duplicates("learner_id").index
    p, q = (t[t["part"] == "test"].set_index("row")["probability"] for t in tables)
    assert (p[first] == q[first]).all() and (p != q).mean() > 0.5  # later forecasts may read earlier test answers
    before, after = (of.floors(0, 0) for of in (bench, turned))
    assert (before["item_mean"][1] == after["item_mean"][1]).all()


def test_without_order_static_models_are_offered_and_cells_are_of_responses(bench):
    unordered = replace(bench.data, tables={**bench.data.tables, "interactions": bench.data["interactions"].assign(order=np.nan)})
    models, static = benchmark_cells.chosen(None, unordered)
    assert static and {"irt_static", "irt_static slopes=true", "kancd", "rcd"} <= set(models) and "dkt" not in models
    fitted, valid = replace(bench, static=True).aside(0, 0)
    assert set(valid["learner_id"]) <= set(fitted["learner_id"]) and len(fitted) + len(valid) == len(bench.train)
    dynamic, static = benchmark_cells.chosen(None, bench.data)
    assert not static and {"bkt", "irt", "logistic", "dkt"} <= set(dynamic) and not set(models) & set(dynamic)


@pytest.mark.parametrize(("models", "words"), [
    (["irt", "irt"], "each model once"), ([], "one at least"), (["irt", "kancd"], "irt that follow it and kancd that do not"),
    (["nothing"], "must be one of conf/tracing"), (["irt slops=true"], "settings of irt must be some of slopes"),
])
def test_models_that_cannot_be_compared_are_refused(bench, models, words):
    with pytest.raises(DataError, match=words):
        benchmark_cells.chosen(models, bench.data)


@pytest.mark.parametrize("change", ["folds=6", "folds=0", "seeds=0", "workers=1.5"])
def test_numbers_that_make_no_plan_are_refused(change):
    with pytest.raises(DataError, match=f"{change.split('=')[0]} must be a whole number"):
        benchmark.check(recipe.config("benchmark", change))


def test_a_model_that_declines_is_named_and_a_broken_one_stops_no_other(bench, tmp_path, monkeypatch):
    def fit_cell(cell, _):
        if cell.model == "pfa":
            raise DataError("needs a clock")
        if cell.model == "bkt":
            raise ZeroDivisionError("a fault")
        cell.file.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame({"wall_seconds": [1.0]}).to_parquet(cell.file)

    monkeypatch.setattr(benchmark_cells, "fit_cell", fit_cell)
    cells = benchmark_cells.plan(bench, ("irt", "pfa", "bkt"), "s", tmp_path)
    assert benchmark_cells.finish([c for c in cells if c.model != "bkt"], bench, 1) == {"pfa": "needs a clock"}
    with pytest.raises(DataError, match="found 4 that did not:\n  bkt, seed 0, fold 0: ZeroDivisionError: a fault"):
        benchmark_cells.finish(cells, bench, 1)
    assert all(c.file.is_file() for c in cells if c.model == "irt")
