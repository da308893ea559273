"""The scale benchmark of tracing, on few learners: each model in its own process, a report and a figure."""

from __future__ import annotations

import json
import mmap

import pandas as pd
import pytest
from edukit.experiments import scale_tracing
from typer.testing import CliRunner

from edukit.validation import validate


def test_a_small_run_measures_fitting_and_asking(tmp_path):
    words = ["run", "--learners", "200", "--model", "logistic", "--out", str(tmp_path), "--figure", str(tmp_path / "drawn.png")]
    done = CliRunner().invoke(scale_tracing.app, words, catch_exceptions=False)
    assert done.exit_code == 0 and "[2/2] logistic" in done.output and "power" in done.output, done.output
    report = json.loads((tmp_path / "tracing_scale.json").read_text())
    assert [(m["step"], m["learners"]) for m in report["measured"]] == [(step, 200) for step in scale_tracing.STEPS]
    assert all(m["processor_seconds"] > 0 and m["extra_mb"] >= 0 and m["peak_mb"] > 20 and 10_000 < m["rows"] < 14_000 for m in report["measured"])
    assert set(report["exponent"]) == {f"logistic {step}" for step in scale_tracing.STEPS}
    assert (tmp_path / "drawn.png").stat().st_size > 1000


def test_the_invented_log_is_a_valid_table_and_the_same_in_batches_of_any_size():
    log = pd.concat(scale_tracing.batches(scale_tracing.BATCH + 30), ignore_index=True)
    assert validate(log, "interactions").dtypes["order"] == log.dtypes["order"] and log["learner_id"].nunique() == scale_tracing.BATCH + 30
    lengths = log.groupby("learner_id").size()
    assert lengths.between(scale_tracing.SHORTEST, scale_tracing.LONGEST).all() and lengths.mean() == pytest.approx(60, abs=1)
    assert set(log["item_id"]) == set(scale_tracing.q_matrix()["item_id"]) and 0.4 < log["correct"].mean() < 0.75
    first = scale_tracing.batch(0, scale_tracing.BATCH)
    pd.testing.assert_frame_equal(log.iloc[:len(first)], first)


def test_memory_of_a_phase_is_what_it_takes_beyond_before():
    phase = scale_tracing.Phase()
    held = mmap.mmap(-1, 80 * 2**20)  # asked of the system: an allocator could hand out memory this process holds already
    for _ in range(80):
        held.write(bytes(2**20))  # every page is written
    assert 70 < phase.read()["extra_mb"] < 120
    held.close()
    assert scale_tracing.Phase().read()["extra_mb"] < 40


def test_bytes_per_row_are_the_slope():
    table = pd.DataFrame({"model": "m", "step": "fit", "rows": [1e6, 2e6, 4e6], "extra_mb": [150.0, 250.0, 450.0]})
    assert scale_tracing.bytes_per_row(table) == {"m fit": pytest.approx(100 * 2**20 / 1e6, abs=0.1)}
