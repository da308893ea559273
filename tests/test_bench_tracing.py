"""The instrument of ``bench tracing``: fair turns, the same rows on both sides, honest ratios. pyKT itself is stood for by a few lines of its shape."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from edukit.experiments import bench, bench_tracing, bench_tracing_results, bench_tracing_rows
from edukit.experiments.bench_tracing_edukit import Turns
from typer.testing import CliRunner

from edukit.schema import DataError

STAND_IN = {
    "datasets/data_loader.py": """
import pandas as pd, torch
class KTDataset(torch.utils.data.Dataset):
    def __init__(self, path, kinds, folds):
        rows = pd.read_csv(path)
        self.columns = [torch.tensor([[int(x) for x in line.split(",")] for line in rows[name]]) for name in ("concepts", "responses")]
    def __len__(self):
        return len(self.columns[0])
    def __getitem__(self, n):
        concept, right = (column[n] for column in self.columns)
        return {"concepts": concept[1:].clamp(min=0), "answers": right[1:], "mask": concept[1:] >= 0}
""",
    "models/init_model.py": """
import torch
def init_model(name, settings, about, kind):
    return torch.nn.Embedding(about["num_c"], 1)
""",
    "models/evaluate_model.py": """
import torch
from sklearn import metrics
def evaluate(model, loader):
    kept = [(torch.sigmoid(model(b["concepts"]).squeeze(-1))[b["mask"]], b["answers"][b["mask"]]) for b in loader]
    p, t = (torch.cat(part).detach().numpy() for part in zip(*kept))
    metrics.accuracy_score(t, p > 0.5)
    return metrics.roc_auc_score(y_true=t, y_score=p)
""",
    "models/train_model.py": """
import torch
from .evaluate_model import evaluate
def train_model(model, batches, valid, epochs, optimiser, place):
    print("pyKT prints as it likes")
    for b in batches:
        optimiser.zero_grad()
        y = model(b["concepts"]).squeeze(-1)[b["mask"]]
        torch.nn.functional.binary_cross_entropy_with_logits(y, b["answers"][b["mask"]].float()).backward()
        optimiser.step()
    evaluate(model, valid)
""",
}


@pytest.fixture
def stand_in(tmp_path):
    for name, text in STAND_IN.items():
        path = tmp_path / "peer" / "pykt" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for folder in ("", "datasets", "models"):
        (tmp_path / "peer" / "pykt" / folder / "__init__.py").write_text("")
    return tmp_path / "peer"


@pytest.fixture(scope="module")
def rows() -> bench_tracing_rows.Rows:
    """60 learners, of whom some have a long history; every third item is listed with two concepts."""
    rng = np.random.default_rng(3)
    lengths = rng.integers(3, 30, 60)
    lengths[:2] = 450
    learner = np.repeat([f"L{n}" for n in range(60)], lengths)
    item = rng.integers(0, 12, len(learner))
    right = rng.random(len(learner)) < np.where(item % 4 < 2, 0.8, 0.3)
    log = pd.DataFrame({"learner_id": learner, "item_id": [f"q{i:02d}" for i in item], "correct": right.astype(float),
                        "order": np.concatenate([np.arange(n) for n in lengths])})
    pairs = [(i, i % 4) for i in range(12)] + [(i, (i + 1) % 4) for i in range(0, 12, 3)]
    q_matrix = pd.DataFrame({"item_id": [f"q{i:02d}" for i, _ in pairs], "concept_id": [f"c{c}" for _, c in pairs]})
    return bench_tracing_rows.rows_of(log, pd.DataFrame({"concept_id": [f"c{k}" for k in range(4)]}), q_matrix, 1.0)


def test_a_ratio_is_the_median_of_paired_turns_not_of_each_side():
    found = bench_tracing_results.ratio([1.0, 10.0, 2.0], [3.0, 50.0, 4.0])
    assert found == (3.0, 2.0, 5.0, 3)
    with pytest.raises(ValueError):
        bench_tracing_results.ratio([1.0], [1.0, 2.0])


def test_the_sides_take_turns_and_change_who_begins():
    order: list[str] = []
    both = [SimpleNamespace(hear=lambda: {"at_start_mb": 1.0}, turn=lambda name=name: order.append(name), at_start_mb=0.0) for name in "ab"]
    bench_tracing.interleave(both, 3)
    assert "".join(order) == "abbaab" and both[1].at_start_mb == 1.0


def test_the_first_turn_is_left_out_and_a_part_is_scaled_to_an_epoch():
    told = [{"seconds": s, "processor": s / 2, "peak_mb": 100 * s, "threads": 1} for s in (90.0, 1.0, 2.0)]
    both = [SimpleNamespace(name=name, told=told, at_start_mb=50.0) for name in ("edukit", "pyKT")]
    measured = bench_tracing_results.Measured("akt", 1)
    measured.add(both, {"batches": 2, "in_turn": [10, 20, 40], "in_epoch": 200})
    line = measured.row()
    assert measured.seconds["edukit"] == [10.0, 10.0] and line["edukit s"] == 10.0 and line["pyKT cpu s"] == 5.0
    assert line["ratio"] == 1.0 and line["met"] is False and line["memory share"] == 1.0 and line["pairs"] == 2
    words = bench_tracing_results.told_times(line)
    assert "scaled from some batches" in words and "target 3: NOT met" in words and "target at most 0.33: NOT met" in words


def test_auc_is_told_with_its_spread_and_a_verdict():
    lines = [{"epochs": 3, "edukit": 0.7 + d, "pyKT": 0.7} for d in (0.0, 0.001, 0.003)]
    assert "edukit - pyKT +0.0013 (+0.0000 to +0.0030): within 0.002" in bench_tracing_results.told_auc("dkt", lines)
    assert ": NOT within" in bench_tracing_results.told_auc("dkt", [{"epochs": 3, "edukit": 0.69, "pyKT": 0.7}])


def test_both_sides_read_the_same_windows_batches_and_answers(tmp_path, rows):
    assert rows.q_matrix["item_id"].is_unique
    job = bench_tracing_rows.prepare(tmp_path / "job", "gkt", bench_tracing_rows.PAIRS["gkt"], rows, seed=1, turns=2, threads=1, batches=None)
    train, valid = (pd.read_csv(tmp_path / "job" / f"{part}.csv") for part in ("train", "valid"))
    answers = train["responses"].str.split(",", expand=True).astype(int).to_numpy()
    assert answers.shape[1] == 200 and (answers >= 0).sum() == job["in_epoch"]
    with np.load(tmp_path / "job" / "batches.npz") as file:
        for turn in range(2):
            assert sorted(file[f"windows{turn}"]) == list(range(len(train)))
        batches = np.split(file["windows0"], file["cuts0"])
        assert [[(answers[b] >= 0).sum(), (answers[b] == 1).sum(), len(b)] for b in batches] == file["sums0"].tolist()
        assert max(len(b) for b in batches) == 16 and not np.array_equal(file["windows0"], file["windows1"])
    asked = pd.read_parquet(tmp_path / "job" / "valid.parquet")
    told = valid["responses"].str.split(",").explode().astype(int)
    assert told[told >= 0].tolist() == asked["correct"].astype(int).tolist()
    assert len(asked) + job["in_epoch"] == len(rows.log) and asked.groupby("learner_id")["order"].max().max() < 200
    with np.load(tmp_path / "job" / "gkt_graph_transition.npz") as file:
        assert np.allclose(file["matrix"].sum(1), 1) and (np.diag(file["matrix"]) == 0).all()


def test_other_batches_than_the_other_side_has_are_refused(tmp_path, rows):
    job = bench_tracing_rows.prepare(tmp_path / "job", "dkt", bench_tracing_rows.PAIRS["dkt"], rows, seed=1, turns=2, threads=1, batches=1)
    turns = Turns(tmp_path / "job", job, sys.stderr)
    responses, right, windows = turns.expected[0]
    micro = SimpleNamespace(mask=np.ones((windows, 2)), correct=np.zeros((windows, 2)))
    with pytest.raises(DataError, match="bench_tracing_rows.plan must follow"):
        list(turns._checked([[micro]]))


def test_a_process_that_ends_is_told_with_its_last_words(tmp_path):
    side = bench_tracing.Side("pyKT", [sys.executable, "-c", "raise ValueError('no such model')"], tmp_path)
    with pytest.raises(DataError, match="pyKT must answer every turn; it ended with: ValueError: no such model"):
        side.hear()
    side.end()


def test_a_folder_without_pykt_and_an_interpreter_without_its_needs_are_refused(tmp_path, stand_in):
    words = ["tracing", "--pykt", str(tmp_path), "--models", "dkt", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(bench.app, words)
    assert done.exit_code == 2 and "--pykt must be a folder with pyKT" in done.output and "f766468" in done.output
    with pytest.raises(DataError, match="--peer-python must be an interpreter with torch"):
        bench_tracing.check("false", stand_in)


def test_whole_runs_give_a_line_of_times_and_the_auc_of_each_seed(tmp_path, rows, stand_in):
    said: list[str] = []
    place = tmp_path / "out"
    place.mkdir()
    measured = bench_tracing.Bench(sys.executable, stand_in, [1], 1, 1, None, place)
    times, found = measured.measure("dkt", rows, True, said.append)
    assert times[0]["pairs"] == 1 and times[0]["edukit s"] > 0 and times[0]["pyKT s"] > 0 and not times[0]["scaled"]
    assert min(times[0]["edukit MB at start"], times[0]["pyKT MB at start"]) > 50 and times[0]["edukit threads in force"] == 1
    assert found[0]["epochs"] == 2 and 0.5 < found[0]["pyKT"] < 0.9 and 0.5 < found[0]["edukit"] < 0.9
    assert len(said) == 2 and "pyKT / edukit" in said[0] and "1 seeds" in said[1]
    bench_tracing._save(place, times, found, measured)
    assert json.loads((place / "bench.json").read_text())["times"][0]["pairs"] == 1 and len(pd.read_csv(place / "auc.csv")) == 1
    assert sorted(path.name for path in place.iterdir()) == ["auc.csv", "bench.json", "times.csv"]
