"""The scale benchmark itself, on few rows: every step in its own process, a report and a figure, and nothing left behind."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from edukit.experiments import scale
from typer.testing import CliRunner


def test_a_small_run_measures_every_step_and_removes_its_rows(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    words = ["run", "--millions", "0.02", "--out", str(tmp_path / "out"), "--scratch", str(scratch)]
    done = CliRunner().invoke(scale.app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "out" / "scale.json").read_text())
    assert [m["step"] for m in report["measured"]] == list(scale.STEPS) and {m["rows"] for m in report["measured"]} == {20_000}
    assert all(m["seconds"] > 0 and m["peak_mb"] > 20 and m["bytes"] > 0 for m in report["measured"])
    assert report["measured"][1]["pairs"] == scale.CONCEPTS * (scale.CONCEPTS - 1) and report["measured"][2]["concepts"] == scale.CONCEPTS
    assert (tmp_path / "out" / "scale.png").stat().st_size > 1000 and list(scratch.iterdir()) == []


def test_the_exponent_is_one_where_time_is_in_proportion():
    assert scale.exponent(pd.DataFrame({"rows": [1e6, 4e6], "processor_seconds": [2.0, 8.0]})) == pytest.approx(1)
