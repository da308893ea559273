"""The gap map in a cell of a running JupyterLab: a click on it reaches Python, what Python chooses is shown, and nothing else is asked."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SHOW = """
import json, pathlib
import pandas as pd
from edukit.report.gap_widget import GapWidget
cells = pd.DataFrame({"class_id": ["all", "7a", "7b"] * 3, "concept_id": sorted(["c0", "c1", "c2"] * 3), "state": "estimated", "n": 30, "responses": 60,
    "items": 2, "mastery": [.5, .4, .6] * 3, "low": [.4, .3, .5] * 3, "high": [.6, .5, .7] * 3, "need": [.2, .3, .1] * 3, "p_stuck": .5, "stuck": False})
concepts = pd.DataFrame({"concept_id": ["c0", "c1", "c2"], "name": ["Counting", "Adding", "<b>Times</b>"]})
edges = pd.DataFrame({"concept_id": ["c1", "c2"], "requires_id": ["c0", "c1"], "source": "me", "weight": 1.0})
widget = GapWidget(cells, concepts, edges, height=700)
widget.observe(lambda change: pathlib.Path("heard.jsonl").open("a").write(json.dumps(change["new"]) + "\\n"), "selected")
widget
"""
CHOOSE = "widget.selected = {'concept_id': 'c0', 'class_id': '7b'}"
PATIENCE = 60_000  # milliseconds that a busy machine may take to begin


@pytest.fixture
def lab(tmp_path) -> Iterator[tuple[str, str]]:
    """Address and token of a JupyterLab on this machine, whose folder holds a notebook of two cells."""
    pytest.importorskip("jupyterlab")
    pytest.importorskip("ipykernel")
    cells = [{"cell_type": "code", "id": name, "metadata": {}, "execution_count": None, "outputs": [], "source": code}
             for name, code in (("show", SHOW), ("choose", CHOOSE))]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    (tmp_path / "map.ipynb").write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": cells}), encoding="utf-8")
    token = secrets.token_hex(16)
    own = {name: str(tmp_path / "own") for name in ("HOME", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")}
    words = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--port=0", "--allow-root", f"--ServerApp.root_dir={tmp_path}",
             "--LabApp.news_url=", "--LabApp.extension_manager=readonly"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, **own, "JUPYTER_TOKEN": token, "JUPYTER_PREFER_ENV_PATH": "1"})
    said = process.stderr or ()
    found = next((m[1] for line in said if (m := re.search(r"(http://127\.0\.0\.1:\d+)/lab", line))), None)
    reader = threading.Thread(target=lambda: [None for _ in said], daemon=True)
    reader.start()
    try:
        assert found is not None, "JupyterLab did not begin"
        yield found, token
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        reader.join(10)
        process.stderr.close()  # type: ignore[union-attr]


def heard(folder: Path) -> dict[str, str]:
    """What the notebook's Python was told last."""
    lines = (folder / "heard.jsonl").read_text(encoding="utf-8").splitlines() if (folder / "heard.jsonl").is_file() else []
    return json.loads(lines[-1]) if lines else {}


def until(folder: Path, **chosen: str) -> None:
    for _ in range(600):
        if chosen.items() <= heard(folder).items():
            return
        time.sleep(0.1)
    raise AssertionError(f"Python was not told of {chosen}; it heard {heard(folder)}")


def execute(page, place: int) -> None:
    """Run one cell with the keys of a person, who presses them again where the notebook was not listening yet."""
    cell = page.locator(".jp-CodeCell").nth(place)
    for _ in range(20):
        cell.locator(".cm-content").click()
        page.keyboard.press("Shift+Enter")
        for _ in range(20):
            if re.search(r"[\d*]", cell.locator(".jp-InputPrompt").inner_text()):
                return
            page.wait_for_timeout(100)
    raise AssertionError(f"cell {place} does not run")


@pytest.mark.browser
def test_a_click_in_a_live_notebook_reaches_python_and_python_chooses_in_turn(lab, chromium, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    (address, token), elsewhere = lab, []
    with playwright.sync_playwright() as begun:
        browser = begun.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(PATIENCE)
        page.route("**/*", lambda route: route.continue_() if route.request.url.startswith((address, "data:", "blob:"))
                   else (elsewhere.append(route.request.url), route.abort()))
        page.goto(f"{address}/lab/tree/map.ipynb?token={token}&reset")
        page.locator(".jp-CodeCell").nth(1).wait_for()
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
        execute(page, 0)
        frame = page.frame_locator("iframe[title='gap map']")
        frame.locator("html[data-ready]").wait_for(state="attached")
        frame.locator("#graph .node").nth(2).click()
        until(tmp_path, concept_id="c2")
        assert frame.locator("#evidence h2").inner_text() == "<b>Times</b>"
        frame.locator("#cohort").select_option(label="7a")
        until(tmp_path, concept_id="c2", class_id="7a")
        execute(page, 1)
        frame.locator("#evidence h2", has_text="Counting").wait_for()
        assert frame.locator("#cohort option:checked").inner_text() == "7b" and elsewhere == []
        browser.close()
