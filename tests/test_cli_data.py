"""`edukit data check` and the run it leads to, as a school meets them: in real processes, with ids of any characters."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from edukit.cli_data import _quoted
from edukit.data.school_csv import KINDS
from edukit.evaluation import RunReport


def command(place: Path, *words: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "EDUKIT_OUTPUTS": str(place / "outputs")}
    return subprocess.run([sys.executable, "-m", "edukit.cli", *words], cwd=place, env=environment, capture_output=True, text=True, timeout=300)


def bare(place: Path, name: str) -> None:
    """A file with nothing but learner, item and mark; hostile ids, and answers given again with another outcome."""
    rng = np.random.default_rng(0)
    right = rng.random((50, 9)) < 1 / (1 + np.exp(rng.normal(size=9) - 2 * rng.normal(size=(50, 1))))
    rows = [(f"p😀{i}" if i % 3 else f"10^n){i}", f"q.*[{j}]", int(right[i, j])) for i in range(50) for j in range(9)]
    table = pd.DataFrame(rows, columns=["Student ID", "Question", "Score"])
    pd.concat([table, table[::9].assign(Score=1 - table["Score"][::9])]).to_csv(place / name, index=False)


def test_the_command_that_check_prints_maps_gaps_of_a_bare_file(tmp_path):
    bare(tmp_path, "it's ours (1).csv")
    checked = command(tmp_path, "data", "check", "it's ours (1).csv")
    assert checked.returncode == 0, checked.stderr
    for told in ("Student ID               -> learner_id", "likely: check it", "which came first is not known", "order unknown",
                 "not here     classes", "Still there: one map of the whole cohort", "no fault found"):
        assert told in checked.stdout
    words = shlex.split(checked.stdout.strip().split("\n")[-1])
    assert words[:4] == ["edukit", "run", "map_gaps", "data=school_csv"]
    done = command(tmp_path, *words[1:], "draws=20")
    assert done.returncode == 0, done.stdout + done.stderr
    report = RunReport.read(Path(tmp_path / done.stdout.strip().split("\n")[-1]))
    gaps = pd.read_csv(report.folder / "gap_map.csv")
    assert set(gaps["concept_id"]) == {f"q.*[{j}]" for j in range(9)}
    assert "p😀" not in (report.folder / "gap_map.html").read_text() + (report.folder / "gap_map.csv").read_text()


def test_every_fault_of_an_own_file_is_one_message_and_exit_code_2(tmp_path):
    (tmp_path / "bad.csv").write_text("student,question,score,when\na,q1,9,\n,q1,1,\na,q2,x,\n")
    done = command(tmp_path, "data", "check", "bad.csv")
    assert done.returncode == 2 and "Traceback" not in done.stderr and "when" in done.stdout and "(not used)" in done.stdout
    assert "must be a mark" in done.stderr and "must not be empty" in done.stderr and "next:" not in done.stdout


def test_check_takes_a_label_a_q_matrix_and_lists_variants(tmp_path):
    (tmp_path / "m.csv").write_text("id,q1,q2\n" + "".join(f"{i},{i % 2},{i % 3 > 0:d}\n" for i in range(12)))
    (tmp_path / "q.csv").write_text("item,add,sub\nq1,1,1\nq2,0,1\n")
    done = command(tmp_path, "data", "check", "m.csv", "--q-matrix", "q.csv")
    assert done.returncode == 0 and "read as      matrix" in done.stdout and "data.q_matrix=q.csv" in done.stdout and "an item   (by its marks)" in done.stdout
    assert "no fault found" in command(tmp_path, "data", "check", "synthetic").stdout
    assert "To check a file of your own" in command(tmp_path, "data", "check", "nothing").stderr
    assert "are for a file of your own" in command(tmp_path, "data", "check", "synthetic", "--q-matrix", "q.csv").stderr
    assert "data must be one of" in command(tmp_path, "data", "card", "nothing").stderr
    helped = command(tmp_path, "data", "check", "--help").stdout
    assert all(kind in helped for kind in KINDS)
    listed = command(tmp_path, "data", "list").stdout
    assert "variants: cut10k (" in listed


def test_the_sheets_that_were_not_read_are_named(tmp_path):
    with pd.ExcelWriter(tmp_path / "a.xlsx") as book:
        pd.DataFrame({"student": [7, 8], "item": "q1", "score": [1, 0]}).to_excel(book, sheet_name="Data", index=False)
        pd.DataFrame({"x": [1]}).to_excel(book, sheet_name="Notes", index=False)
    assert "sheet        Data   (not read: Notes; --sheet names another)" in command(tmp_path, "data", "check", "a.xlsx").stdout


@pytest.mark.parametrize("value", ["a.csv", "it's.csv", "a b/(1).csv", "C:\\x\\y.csv", "ends\\'.csv", "a=b,c.csv", "${x}.csv", "😀.csv"])
def test_any_file_name_survives_the_command_line_of_hydra(value):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    assert OverridesParser.create().parse_override(f"data.path={_quoted(value)}").value() == value
