"""A sweep that was killed goes on with the same words: finished jobs are not run again, and one parent holds all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from edukit.experiments import recipe

from edukit.evaluation import tracking


def test_a_killed_sweep_goes_on_under_its_parent(tmp_path, monkeypatch):
    monkeypatch.setenv("EDUKIT_OUTPUTS", str(tmp_path / "outputs"))
    words = [sys.executable, "-m", "edukit.cli", "run", "trace", "-m", "data.classes=4", "data.learners_per_class=15", "draws=20", "seed=1,2",
             "hydra.launcher.n_jobs=1", f"paths.tracking={tmp_path / 'elsewhere'}"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True) as first:
        next(line for line in first.stdout if line.strip().endswith("run_report.json"))
        os.killpg(first.pid, signal.SIGKILL)
    said = subprocess.run(words, capture_output=True, text=True, timeout=400)
    assert said.returncode == 0 and said.stdout.count("done before in this sweep") == 1, said.stdout + said.stderr
    runs = tracking.runs(tmp_path / "elsewhere")
    parent = runs.loc[runs["name"].str.startswith("sweep"), "run_id"]
    assert len(parent) == 1 and (runs["parent"] == parent.iloc[0]).sum() == 2


@pytest.mark.parametrize("words", [("refresh",), ("reproduce", "experiment=gervet2020_irt_assistments2009", "quick=true")])
def test_a_job_that_takes_its_data_from_elsewhere_runs_in_a_sweep_without_the_data_of_its_config(words, tmp_path, monkeypatch):
    monkeypatch.setenv("EDUKIT_DATA", str(tmp_path))
    monkeypatch.setenv(tracking.PARENT, "a sweep")
    assert recipe.finished(recipe.config(*words)) is None
