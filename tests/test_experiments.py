"""Experiments as a user runs them: real processes, a real tracking database, reports that hold what they promise."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from edukit.evaluation import RunReport, tracking
from edukit.metrics import RECORD

SMALL = ("data.classes=4", "data.learners_per_class=15", "draws=20")
KEYS = {"experiment", "config", "seed", "data", "split", "metrics", "figures", "environment"}


def command(place: Path, *words: str, **options) -> subprocess.CompletedProcess:
    environment = {**os.environ, "EDUKIT_OUTPUTS": str(place / "outputs")}
    return subprocess.run([sys.executable, "-m", "edukit.cli", *words], cwd=place, env=environment, capture_output=True, text=True, timeout=300, **options)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("experiments")


@pytest.fixture(scope="module", params=["trace", "learn_graph", "map_gaps"])
def finished(request, place) -> tuple[RunReport, str]:
    done = command(place, "run", request.param, *SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    return RunReport.read(Path(done.stdout.strip().split("\n")[-1])), done.stdout


def test_report_holds_every_key_tidy_metrics_and_existing_files(finished):
    report, said = finished
    content = json.loads((report.folder / "run_report.json").read_text())
    assert set(content) == KEYS and content["data"]["label"] == "synthetic"
    assert all(set(m) == set(RECORD) for m in content["metrics"])
    assert {"seconds", "peak_rss_mb"} <= {m["name"] for m in content["metrics"]}
    assert all((report.folder / file).stat().st_size > 0 for file in content["figures"].values())
    assert "the order of responses" in said and "it has" in said


def test_the_run_is_tracked_with_parameters_metrics_and_files(finished, place):
    report, _ = finished
    runs = tracking.runs(place / "outputs" / "tracking")
    mine = runs[runs["name"] == f"{report.experiment} synthetic"].iloc[-1]
    from mlflow import MlflowClient

    client = MlflowClient(tracking.tracking_uri(place / "outputs" / "tracking"))
    run = client.get_run(mine["run_id"])
    assert run.data.params["data._target_"] == "edukit.data.synthetic.Synthetic" and run.data.tags["data_fingerprint"] == report.data["fingerprint"]
    kept = {f.path for f in client.list_artifacts(mine["run_id"])}
    assert {"run_report.json", *report.figures.values()} <= kept
    if report.experiment != "learn_graph":
        assert {"split.parquet", "model.safetensors"} <= kept
        assert run.data.metrics["auc/learner/logistic"] == pytest.approx(report.value("auc", model="logistic"))
        assert set(pd.read_parquet(report.folder / "split.parquet")["part"]) == {"train", "test"}


def test_numbers_stand_beside_the_floors_with_intervals(finished):
    report, _ = finished
    if report.experiment == "learn_graph":
        ap, random = (report.value(n, model="conditional_success", split="covered") for n in ("ap", "random_ap"))
        assert ap > 3 * random
        return
    table = report.table(name="auc", group=None, channel=None)
    assert (
        set(table["model"]) == {"logistic", "item_mean", "learner_mean"} and (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()
    )
    assert report.value("auc", model="logistic") > max(report.value("auc", model=m) for m in ("item_mean", "learner_mean")) + 0.02
    assert {"log_loss", "brier", "ece"} <= set(report.table()["name"])


def test_python_gives_the_same_numbers_as_the_command_line(finished, tmp_path, monkeypatch):
    report, _ = finished
    monkeypatch.setenv("EDUKIT_OUTPUTS", str(tmp_path))
    from edukit.experiments import recipe

    again = recipe.start(report.experiment, *SMALL)
    skipped = ("seconds", "peak_rss_mb")
    mine, theirs = (
        {(m["name"], m["split"], m["model"], m["group"], m["channel"]): m["value"] for m in r.metrics if m["name"] not in skipped} for r in (again, report)
    )
    assert mine.keys() == theirs.keys()
    assert all(a == pytest.approx(theirs[k], abs=1e-12) or (a is None and theirs[k] is None) for k, a in mine.items() if a == a)


def test_a_moved_tracking_folder_still_opens(finished, place, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(place / "outputs" / "tracking", moved)
    found = tracking.runs(moved)
    assert len(found) and found["artifacts"].str.startswith(moved.as_uri()).all()


def test_a_sweep_is_one_parent_with_nested_runs(place):
    done = command(place, "run", "trace", "-m", *SMALL, "seed=1,2")
    assert done.returncode == 0, done.stdout + done.stderr
    runs = tracking.runs(place / "outputs" / "tracking")
    parents = runs.loc[runs["name"].str.startswith("sweep"), "run_id"]
    assert len(parents) == 1 and (runs["parent"] == parents.iloc[0]).sum() == 2


# Runs the experiment of its arguments, and is killed in the second batch of the third epoch.
KILLED = """
import os, signal, sys
from edukit import training
from edukit.experiments import recipe

step = training._Run.training_step

def stopped(self, batch, number):
    if self.current_epoch == 2 and number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, number)

training._Run.training_step = stopped
recipe.start("trace", *sys.argv[1:])
"""


def test_a_killed_run_started_again_with_the_same_words_gives_the_same_numbers_and_model(tmp_path, monkeypatch, capfd):
    from edukit.experiments import recipe

    words = (*SMALL, "learners=30", "tracing=dkt", "tracing.hidden=8", "tracing.embedding=8", "tracing.epochs=5", "tracing.batch_size=16")
    environment = {**os.environ, "EDUKIT_OUTPUTS": str(tmp_path / "killed")}
    killed = subprocess.run([sys.executable, "-c", KILLED, *words], env=environment, capture_output=True, text=True, timeout=300)
    left = list((tmp_path / "killed" / "checkpoints").iterdir())
    assert killed.returncode == -signal.SIGKILL and [path.suffix for path in left] == [".ckpt"], killed.stderr
    reports = []
    for outputs in ("killed", "unbroken"):
        monkeypatch.setenv("EDUKIT_OUTPUTS", str(tmp_path / outputs))
        reports.append(recipe.start("trace", *words))
    said = capfd.readouterr().out
    assert said.count("going on from epoch") == 1 and f"going on from epoch 2 ({left[0]})" in said and not left[0].exists()
    numbers = [[m for m in report.metrics if m["name"] not in ("seconds", "peak_rss_mb")] for report in reports]
    assert json.dumps(numbers[0]) == json.dumps(numbers[1]) and {m["model"] for m in numbers[0]} >= {"dkt", "item_mean"}
    for name in ("model.safetensors", "predictions.parquet", "mastery.parquet"):
        one, two = ((report.folder / name).read_bytes() for report in reports)
        assert one == two
