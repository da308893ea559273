"""`python -m edukit.experiments.benefit_check` on two small courses: what is judged, and that the numbers are those of the courses."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from edukit.experiments import benefit_check
from typer.testing import CliRunner


def test_shares_are_those_of_the_courses():
    rows = pd.DataFrame([{"kind": "call", "seed": s, "refused": s == 3, "true": 0.1, "estimate": 0.1 + 0.02 * s, "held": s != 2, "naive": 0.0,
                          "naive_held": False, "sure": True} for s in range(4)] + [{"kind": "mentor", "seed": 0, "refused": True}])
    told = {(r["channel"], r["name"]): r for r in benefit_check.judged(rows)}
    assert told["call", "coverage"]["value"] == pytest.approx(2 / 3) and told["call", "coverage"]["n"] == 3
    assert told["call", "bias"]["value"] == pytest.approx(0.02) and told["call", "naive_coverage"]["value"] == 0
    assert {name for kind, name in told if kind == "mentor"} == {"refused"} and told["mentor", "refused"]["value"] == 1


def test_the_command_writes_its_report(tmp_path):
    done = CliRunner().invoke(benefit_check.app, ["--seeds=2", "--modules=2", "--learners=60", f"--out={tmp_path}"], catch_exceptions=False)
    assert done.exit_code == 0 and "mentor   refused            +1.000" in done.output
    report = json.loads((tmp_path / "benefit_check.json").read_text())
    assert len(report["courses"]) == 6 and {r["channel"] for r in report["records"]} == {"call", "message", "mentor"}
