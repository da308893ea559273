"""The benchmark of weekly features itself, on few rows: the publisher's columns, a report, and nothing left behind."""

from __future__ import annotations

import json

import pandas as pd
from edukit.experiments import scale_events
from typer.testing import CliRunner

from edukit.risk.weekly_events import PUBLISHED, weekly


def test_the_invented_file_has_the_publishers_layout_and_many_rows_a_page(tmp_path):
    path = tmp_path / "studentVle.csv"
    scale_events.invent(20_000, path)
    assert path.read_text()[:200].startswith('"code_module","code_presentation","id_student","id_site","date","sum_click"\n"M0","2013B","100000","')
    rows = pd.read_csv(path)
    assert set(rows) == set(PUBLISHED) and len(rows) == 20_000 and (rows["sum_click"] >= 1).all()
    assert rows.groupby(["code_module", "code_presentation"]).ngroups == scale_events.RUNS
    found = weekly(path, 56)
    known = rows[rows["date"] <= 56].groupby(["id_student", "code_module", "code_presentation"])["date"].nunique()
    assert found["observed"].astype(int).tolist() == known.sort_index().tolist() and len(found) == len(known)


def test_a_small_run_measures_and_removes_its_rows(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = CliRunner().invoke(scale_events.app, ["run", "--rows", "5000", "--out", str(tmp_path / "out"), "--scratch", str(scratch)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "out" / "events_scale.json").read_text())
    assert report["rows"] == 5000 and report["processor_seconds"] > 0 and report["peak_mb"] > 20 and list(scratch.iterdir()) == []
