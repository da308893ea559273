"""The main job on real responses, end to end as a process: exact counts, and scores no lower than a careful run gives."""

from __future__ import annotations

import os
import shutil
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


def shown_in_browser(page_file: Path, nodes: int, edges: int, stuck: int) -> None:
    """Where a Chromium is found: the page opens without network and shows every concept, every edge and the table's count of stuck ones."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        page = browser.new_context(offline=True).new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(page_file.as_uri())
        page.wait_for_selector("html[data-ready]", timeout=20_000)
        assert page.locator("#graph .node").count() == nodes and page.locator("#graph path[marker-end]").count() == edges
        assert page.locator("#n-stuck").inner_text() == str(stuck) and faults == []
        browser.close()


@pytest.mark.parametrize(("tracing", "model", "least"), [("logistic", "logistic", 0.768), ("irt", "irt", 0.740)])
def test_assistments_beside_the_floors(edukit_data, tmp_path, tracing, model, least):
    report, _ = report_of(tmp_path, edukit_data, "trace", "data=assistments2009", f"tracing={tracing}")
    assert report.data["rows"]["interactions"] == 278_336 and report.split["rows"] == {"train": 220_070, "test": 58_266}
    assert report.value("auc", model=model) >= least > max(report.value("auc", model=floor) for floor in ("item_mean", "learner_mean"))
    assert report.value("ece", model=model) < 0.02


def test_junyi_gap_map(edukit_data, tmp_path):
    report, said = report_of(tmp_path, edukit_data, "map_gaps", "data=junyi")
    assert report.data["rows"]["interactions"] == 353_835 and report.data["learners"] == 10_000 and report.split["name"] == "cells"
    assert report.value("auc", model="irt_static") >= 0.825 and "order unknown" in said
    responses, exposure = "parent_correct_given_child_passed", "exposure_conditional"
    assert report.value("ap", model=responses, split="covered") >= 0.06 and report.value("ap", model=exposure, split="covered") >= 0.13
    assert report.value("coverage", model=exposure, split="covered") == pytest.approx(585 / 979)
    assert report.value("coverage", model=responses, split="covered") == pytest.approx(584 / 979)  # of one edge nobody passed the child
    assert report.value("ap", model=responses, split="all_pairs") < report.value("ap", model=responses, split="covered")
    gaps = pd.read_csv(report.folder / "gap_map.csv")
    assert set(gaps["class_id"]) == {"all"} and len(gaps) == 835
    shown = gaps[gaps["state"] == "estimated"]
    assert (shown["badge"] == "one item: no cause").all() and (shown["low"] < shown["high"]).all() and shown["n"].min() >= 10
    shown_in_browser(report.folder / "gap_map.html", nodes=835, edges=978, stuck=int(gaps["stuck"].eq(True).sum()))
    assert gaps.loc[gaps["state"] != "estimated", ["n", "responses", "mastery", "low", "high"]].isna().all(axis=None)
