"""The main job on real responses, end to end as a process: exact counts, and scores no lower than a careful run gives."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from edukit.evaluation import RunReport

pytestmark = pytest.mark.realdata


def report_of(place: Path, data: Path, *words: str) -> tuple[RunReport, str]:
    environment = {**os.environ, "EDUKIT_OUTPUTS": str(place / "outputs"), "EDUKIT_DATA": str(data)}
    done = subprocess.run(
        [sys.executable, "-m", "edukit.cli", "run", *words, "draws=20"], cwd=place, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return RunReport.read(Path(done.stdout.strip().split("\n")[-1])), done.stdout


@pytest.mark.parametrize(("tracing", "model", "least"), [("logistic", "Logistic", 0.768), ("irt", "IRT", 0.740)])
def test_assistments_beside_the_floors(edukit_data, tmp_path, tracing, model, least):
    report, _ = report_of(tmp_path, edukit_data, "trace", "data=assistments2009", f"tracing={tracing}")
    assert report.data["rows"]["interactions"] == 278_336 and report.split["rows"] == {"train": 220_070, "test": 58_266}
    assert report.value("auc", model=model) >= least > max(report.value("auc", model=floor) for floor in ("item_mean", "learner_mean"))
    assert report.value("ece", model=model) < 0.02


def test_junyi_gap_map(edukit_data, tmp_path):
    report, said = report_of(tmp_path, edukit_data, "map_gaps", "data=junyi")
    assert report.data["rows"]["interactions"] == 353_835 and report.data["learners"] == 10_000 and report.split["name"] == "cells"
    assert report.value("auc", model="StaticIRT") >= 0.825 and "order unknown" in said
    responses, exposure = "parent_correct_given_child_passed", "exposure_conditional"
    assert report.value("ap", model=responses, split="covered") >= 0.06 and report.value("ap", model=exposure, split="covered") >= 0.13
    assert report.value("coverage", model=responses, split="covered") == pytest.approx(585 / 979)
    assert report.value("ap", model=responses, split="all_pairs") < report.value("ap", model=responses, split="covered")
    gaps = pd.read_csv(report.folder / "gap_map.csv")
    assert set(gaps["class_id"]) == {"all"} and len(gaps) == 835
    shown = gaps[gaps["state"] == "estimated"]
    assert (shown["badge"] == "one item: no cause").all() and (shown["low"] < shown["high"]).all() and shown["n"].min() >= 10
    assert gaps.loc[gaps["state"] != "estimated", ["n", "responses", "mastery", "low", "high"]].isna().all(axis=None)
