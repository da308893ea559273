"""The instrument of ``bench serving``: every call is timed after the history it is said to be timed after."""

from __future__ import annotations

import json

import pandas as pd
from edukit.experiments import bench, bench_serving
from typer.testing import CliRunner


class Slow:
    """A model that counts what it is asked."""

    def __init__(self) -> None:
        self.read: list[int] = []

    def start(self) -> int:
        return 0

    def step(self, state: int, item_id: str, correct: float) -> int:
        return state + 1

    def mastery_of(self, state: int) -> None:
        self.read.append(state)


def test_calls_are_made_after_the_history():
    model = Slow()
    found = bench_serving.latencies(model, ["a", "b"], history=50, calls=30)
    assert found.shape == (30, 2) and (found[:, 0] > 0).all() and set(model.read) == {51} and len(model.read) == 33


def test_the_invented_log_lies_within_its_vocabulary():
    log, graph = bench_serving.world(40)
    assert len(graph.concept_ids) == 40 and set(log["item_id"]) <= set(graph.q_matrix["item_id"]) and len(graph.adjacency()) == 39


def test_a_live_model_has_a_line_for_each_history_and_a_static_one_is_told(tmp_path):
    done = CliRunner().invoke(bench.app, ["serving", "--models", "irt,ncdm", "--concepts", "12", "--calls", "20", "--out", str(tmp_path)])
    assert done.exit_code == 0 and "does not follow learners live" in done.output, done.output
    table = pd.read_csv(tmp_path / "serving.csv")
    assert table["history"].tolist() == [0, 50, 150] and (table["p50_ms"] <= table["p95_ms"]).all() and (table["p95_ms"] <= table["p99_ms"]).all()
    assert json.loads((tmp_path / "serving.json").read_text())["concepts"] == 12


def test_a_model_that_does_not_exist_is_refused(tmp_path):
    done = CliRunner().invoke(bench.app, ["serving", "--models", "magic", "--out", str(tmp_path)])
    assert done.exit_code == 2 and "must be some of" in done.output
