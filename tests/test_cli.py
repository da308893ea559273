"""The command line as a user meets it: lists, a school's own file, bad input, an interruption; each in a real process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from edukit.evaluation import RunReport


def command(place: Path, *words: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "EDUKIT_OUTPUTS": str(place / "outputs")}
    return subprocess.run([sys.executable, "-m", "edukit.cli", *words], cwd=place, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cli")


def test_show_last_and_lists(place):
    RunReport("trace", {}, 0, {"label": "invented"}, {}, [], {}, {}).save(place / "outputs" / "trace" / "newest")
    assert "trace on invented" in command(place, "show", "last").stdout
    assert json.loads(command(place, "show", "last", "--json").stdout)["experiment"] == "trace"
    listed = command(place, "experiments", "list").stdout
    assert all(name in listed for name in ("trace", "learn_graph", "map_gaps"))
    models = command(place, "models", "list").stdout.strip().split("\n")
    assert {line.split()[0] for line in models} >= {"tracing=logistic", "tracing=irt", "tracing=dkt", "tracing=gkt", "graph=evidence", "gaps=gap_map"}
    assert all(len(line.split()) > 3 for line in models)
    assert {line.split()[0] for line in command(place, "data", "list").stdout.strip().split("\n")} >= {"synthetic", "junyi", "assistments2009", "school_csv"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("run", "nothing"), "experiment must be one of"),
        (("run", "trace", "data=junyi", "data.path=/nowhere"), "needs junyi_Exercise_table.csv, response.csv in /nowhere"),
        (("run", "trace", "split=diagonal"), "split must be one of"),
        (("data", "check", "missing.csv"), "found no such file"),
        (("data", "card", "nothing"), "data must be one of"),
    ],
)
def test_bad_input_is_one_clear_error_without_a_traceback(place, words, told):
    done = command(place, *words)
    assert done.returncode == 2 and told in done.stderr and "Traceback" not in done.stderr + done.stdout


def test_a_school_csv_is_checked_and_mapped(place):
    rows = [f"p{i},q{j},{(i * 7 + j * 3) % 3 > 0:d},7{'AB'[i % 2]},c{j % 4}" for i in range(40) for j in range(12)]
    file = place / "ours.csv"
    file.write_text("student,question,score,class,skill\n" + "\n".join(rows) + "\n")
    checked = command(place, "data", "check", "ours.csv")
    assert checked.returncode == 0 and "student" in checked.stdout and "no fault found" in checked.stdout and "order unknown" in checked.stdout
    done = command(place, "run", "map_gaps", "data=school_csv", "data.path=ours.csv", "draws=20")
    assert done.returncode == 0, done.stdout + done.stderr
    report = RunReport.read(Path(done.stdout.strip().split("\n")[-1]))
    gaps = pd.read_csv(report.folder / "gap_map.csv")
    assert gaps["class_id"].nunique() == 3 and "irt_static" in done.stdout and "no prerequisites" in done.stdout
    text = (report.folder / "gap_map.html").read_text() + (report.folder / "gap_map.csv").read_text()
    assert "p17" not in text


def test_ctrl_c_leaves_nothing_half_written(tmp_path):
    environment = {**os.environ, "EDUKIT_OUTPUTS": str(tmp_path / "outputs")}
    running = subprocess.Popen(
        [sys.executable, "-m", "edukit.cli", "run", "trace", "draws=2000"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job, as this test may be, ignores the interrupt
    )
    for line in running.stdout:
        if line.startswith("fitting"):
            break
    time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=60)
    assert running.returncode in (130, -signal.SIGINT) and "nothing half-written" in told and "Traceback" not in told
    left = [p.name for p in (tmp_path / "outputs").rglob("*") if p.is_file()]
    assert left == ["audit_trail.jsonl"], "a run that was stopped has seen the data: the trail says so, and nothing else is left"
