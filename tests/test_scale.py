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


def test_a_graph_is_learned_from_responses_at_every_size_and_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(scale, "GRAPH_STEPS", ("learn from responses",))
    words = ["graph", "--concepts", "150", "--concepts", "300", "--out", str(tmp_path), "--figure", str(tmp_path / "drawn.png")]
    done = CliRunner().invoke(scale.app, words, catch_exceptions=False)
    assert done.exit_code == 0 and "[2/2] learn from responses" in done.output and "power" in done.output, done.output
    found = json.loads((tmp_path / "graph_scale.json").read_text())["measured"]
    assert [(m["step"], m["concepts"]) for m in found] == [("learn from responses", 150), ("learn from responses", 300)]
    assert all(m["pairs"] > 1000 and m["edges"] > 50 and m["peak_mb"] > 20 for m in found)
    assert (tmp_path / "drawn.png").stat().st_size > 1000


def test_help_shows_what_a_reader_calls_and_no_inner_step():
    told = CliRunner().invoke(scale.app, ["--help"]).output
    assert " run " in told and " graph " in told and "graph-step" not in told


def test_claims_are_made_acyclic():
    done = CliRunner().invoke(scale.app, ["graph-step", "make claims acyclic", "300"], catch_exceptions=False)
    told = json.loads(done.output)
    assert told["concepts"] == 300 and told["edges"] > 700 and 0 < told["dropped"] < 30


def test_the_invented_map_has_what_every_step_needs():
    tables = scale.invented_map(400)
    claims, labels = tables["claims"], tables["labels"]
    ids = set(tables["concepts"]["concept_id"])
    assert len(ids) == 400 == tables["concepts"]["name"].nunique() and not claims.duplicated(["concept_id", "requires_id"]).any()
    assert {*claims["concept_id"], *claims["requires_id"], *labels["concept_id"], *labels["requires_id"]} <= ids
    assert (claims["concept_id"] < claims["requires_id"]).mean() == pytest.approx(0.01, abs=0.01) and labels["label"].mean() == 0.5
    log = scale.invented_log(400)
    assert len(log) == 400 * 60 and log.groupby("learner_id")["item_id"].nunique().eq(60).all() and log["item_id"].astype(int).between(0, 399).all()


def test_the_exponent_is_one_where_time_is_in_proportion():
    assert scale.exponent(pd.DataFrame({"rows": [1e6, 4e6], "processor_seconds": [2.0, 8.0]})) == pytest.approx(1)
