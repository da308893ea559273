"""pyKT's side of ``bench tracing``: its own data loader, training loop and evaluation, one turn at a time.

Runs in an interpreter of its own, which has pyKT's folder on PYTHONPATH and torch, numpy, pandas, scikit-learn, tqdm and einops but not edukit:
``python bench_tracing_pykt.py FOLDER``. FOLDER holds ``job.json``, the windows as the csv files pyKT reads, and ``batches.npz``.
A line on stdin asks for one turn; a line of JSON on stdout tells what it took. What pyKT itself prints goes to stderr.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

PYKT = "https://github.com/pykt-team/pykt-toolkit, commit f766468f1d3083f737e5fde22a17a08de0d52552"
DRAWING = ("matplotlib", "matplotlib.pyplot", "matplotlib.ticker")  # pyKT imports it with its models; no epoch needs it


class Clocked:
    """The batches of one turn, and what happens between the first one asked for and the last one used up."""

    def __init__(self, batches: Any) -> None:
        self.batches, self.seconds, self.processor = batches, math.nan, math.nan

    def __iter__(self) -> Iterator[Any]:
        began, worked = time.perf_counter(), sum(os.times()[:4])
        yield from self.batches
        self.seconds, self.processor = time.perf_counter() - began, sum(os.times()[:4]) - worked


class Kept:
    """Stands for ``sklearn.metrics`` in pyKT's evaluation: passes calls on, and keeps the rows that the area under the curve is asked for."""

    def __init__(self, metrics: Any) -> None:
        self.metrics, self.answers, self.predictions = metrics, None, None

    def roc_auc_score(self, y_true: Any, y_score: Any) -> float:
        self.answers, self.predictions = y_true, y_score
        return self.metrics.roc_auc_score(y_true=y_true, y_score=y_score)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.metrics, name)


def memory_mb(largest: bool = True) -> float:
    """Memory of this process: the most it has had, or what it has now; of this program alone where Linux tells it, not of the one that started it."""
    try:
        told = Path("/proc/self/status").read_text(encoding="ascii")
        return float(told.split("VmHWM:" if largest else "VmRSS:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def _log_loss(answers: Any, predictions: Any) -> float:
    import numpy as np

    p = np.clip(predictions.astype(np.float64), 1e-7, 1 - 1e-7)
    return float(-np.mean(answers * np.log(p) + (1 - answers) * np.log(1 - p)))


def main(place: Path) -> None:
    """Answer every line on stdin by one turn; the predictions of the turn with the lowest validation loss are kept in ``peer.npz``."""
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    job = json.loads((place / "job.json").read_text(encoding="utf-8"))
    if find_spec("matplotlib") is None:
        sys.modules.update({name: ModuleType(name) for name in DRAWING})
    import numpy as np
    import torch

    torch.set_num_threads(job["threads"])
    loop = import_module("pykt.models.train_model")
    evaluation: Any = import_module("pykt.models.evaluate_model")
    read = import_module("pykt.datasets.data_loader").KTDataset
    evaluation.metrics = kept = Kept(evaluation.metrics)
    torch.manual_seed(job["seed"])
    about = {"num_c": job["concepts"], "num_q": job["items"], "emb_path": "", "dpath": str(place)}
    model = import_module("pykt.models.init_model").init_model(job["model"], job["theirs"], about, "qid")
    optimiser = torch.optim.Adam(model.parameters(), job["learning_rate"])
    train, valid = (read(str(place / f"{part}.csv"), ["questions", "concepts"], {0}) for part in ("train", "valid"))
    ordered = torch.utils.data.DataLoader(valid, batch_size=job["batch_size"])
    lowest = math.inf
    with np.load(place / "batches.npz") as file:
        turns = [np.split(file[f"windows{n}"], file[f"cuts{n}"]) for n in range(job["turns"])]
    print(json.dumps({"at_start_mb": memory_mb(largest=False)}), file=told, flush=True)
    for batches in turns:
        if not sys.stdin.readline():
            return
        clocked = Clocked(torch.utils.data.DataLoader(train, batch_sampler=[batch.tolist() for batch in batches]))
        loop.train_model(model, clocked, ordered, 1, optimiser, "")
        loss = _log_loss(kept.answers, kept.predictions)
        if loss < lowest:
            lowest = loss
            np.savez(place / "peer.npz", answers=kept.answers, predictions=kept.predictions)
        print(json.dumps({"seconds": clocked.seconds, "processor": clocked.processor, "peak_mb": memory_mb(), "threads": torch.get_num_threads(),
                          "valid_loss": loss}), file=told, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
