"""Two processes started by torchrun train the model of one; where one fails, the other does not wait for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from edukit.graph.concept_graph import ConceptGraph

torch = pytest.importorskip("torch")

# Trains and saves; then trains again where the second process cannot: the first must hear of it.
PROGRAM = """
import sys
from pathlib import Path
import pandas as pd
from edukit import processes
from edukit.tracing.dkt import DKT, DKTNetwork
from tests_unit_test_processes import SETTINGS, classroom

assert processes.agreed(processes.is_first()) is True
rows, graph = classroom()
loss, taken = DKTNetwork.loss, []
DKTNetwork.loss = lambda self, steps: (taken.append(len(steps.mask)), loss(self, steps))[1]
model = DKT(**SETTINGS, checkpoint_dir=sys.argv[1] + "/states").fit(rows, graph)
if processes.is_first():
    model.save(Path(sys.argv[1]) / "model")
    model.training_.to_parquet(Path(sys.argv[1]) / "training.parquet")
with processes.first_before_others():
    print("first" if processes.is_first() else "other", "trained on", sum(taken) > 4 * 12, flush=True)
if not processes.is_first():
    DKTNetwork.loss = None
model.fit(rows, graph)
"""
SETTINGS = {"hidden": 12, "embedding": 8, "dropout": 0.0, "epochs": 4, "batch_size": 16, "learning_rate": 0.02}


def classroom() -> tuple[pd.DataFrame, ConceptGraph]:
    """Short and long histories, so that a batch is cut; the last batch is one learner, so that a process has nothing to do."""
    rng = np.random.default_rng(3)
    lengths = np.where(rng.random(37) < 0.5, 5, 60) + rng.integers(0, 30, 37)
    rows = pd.DataFrame({"learner_id": np.repeat([f"u{k}" for k in range(37)], lengths), "order": np.concatenate([np.arange(n) for n in lengths])})
    item = rng.integers(0, 20, len(rows))
    rows["item_id"], rows["correct"] = [f"i{k}" for k in item], (rng.random(len(rows)) < 0.2 + 0.03 * item).astype(float)
    return rows, ConceptGraph.from_tables(None, None, pd.DataFrame({"item_id": [f"i{k}" for k in range(20)], "concept_id": [f"c{k % 4}" for k in range(20)]}))


def test_two_processes_train_the_model_of_one_and_fail_together(tmp_path):
    from edukit.tracing.dkt import DKT

    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "tests_unit_test_processes.py").write_text(Path(__file__).read_text(encoding="utf-8"))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    running = subprocess.Popen([*torchrun, "program.py", str(tmp_path)], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        said, complaints = running.communicate(timeout=240)
    finally:
        running.terminate()  # and with it, should it still run, its processes
    assert running.returncode not in (0, None) and "'NoneType' object is not callable" in complaints, complaints
    assert said == "first trained on True\nother trained on True\n"
    rows, graph = classroom()
    one, two = DKT(**SETTINGS).fit(rows, graph), DKT.load(tmp_path / "model")
    pd.testing.assert_frame_equal(one.training_, pd.read_parquet(tmp_path / "training.parquet"), atol=1e-4)
    apart = [float((a - b).abs().max()) for a, b in zip(one.network_.state_dict().values(), two.network_.state_dict().values(), strict=True)]
    assert max(apart) < 1e-4 and one.training_["valid_loss"].iloc[-1] < one.training_["valid_loss"].iloc[0] - 0.01
    np.testing.assert_allclose(one.predict(rows), two.predict(rows), atol=1e-4)


def test_one_process_has_nobody_to_wait_for():
    from edukit import processes

    with processes.first_before_others():
        assert processes.together() == 1 and processes.is_first() and processes.agreed(7) == 7
    processes.part_ways()
    assert processes.dealt(["a", "b"], 1) == [["a", "b"]]


def test_a_process_may_get_no_micro_batch():
    from edukit.processes import dealt

    assert dealt([(torch.zeros(3), "a note")], 3)[1:] == [[], []]
