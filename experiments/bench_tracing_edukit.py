"""edukit's side of ``bench tracing``: the model of a config is fitted as users fit it, and stops between two epochs until it is asked for the next.

``python -m edukit.experiments.bench_tracing_edukit FOLDER``. FOLDER holds ``job.json``, the tables and ``batches.npz``. Nothing of the fit is
written again here: the training loop is only given batches that wait for a line on stdin and that look at the clock.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

from edukit.reproducibility import bundled
from edukit.schema import DataError

from .bench_tracing_pykt import memory_mb


@dataclass(frozen=True)
class Transitions:
    """Concepts and how often one follows another in the training rows, as a graph that models may ask; unlike a graph of prerequisites it has cycles."""

    concept_ids: list[str]
    q_matrix: pd.DataFrame
    prerequisites: pd.DataFrame

    def adjacency(self) -> np.ndarray:
        """(E, 2) positions of (the concept before, the concept after)."""
        index = pd.Index(self.concept_ids, dtype=object)
        return np.stack([index.get_indexer(self.prerequisites[name].astype(object)) for name in ("requires_id", "concept_id")], axis=1)


class Turns:
    """Epochs that begin when asked; what each took is told when the model is ready for the next."""

    def __init__(self, place: Path, job: dict[str, Any], told: Any) -> None:
        self.job, self.told, self.place = job, told, place
        with np.load(place / "batches.npz") as file:
            self.expected = file["sums0"]
        self.last: dict[str, Any] = {}
        self.epoch, self.clock, self.profiler = -1, (0.0, 0.0), None

    def say(self) -> None:
        print(json.dumps(self.last), file=self.told, flush=True)

    def train(self, batches: Callable[[int], Iterable[Any]]) -> Callable[[int], Iterator[Any]]:
        """Batches of an epoch, which may be asked for more than once; the first time it waits for its turn."""
        def turn(epoch: int) -> Iterator[Any]:
            if epoch != self.epoch:
                self.last = self.last or {"at_start_mb": memory_mb(largest=False)}
                self.say()
                if not sys.stdin.readline():
                    raise SystemExit(0)
                self._begin(epoch)
            some = islice(iter(batches(epoch)), self.job["batches"])
            yield from self._checked(some) if epoch == 0 else some

        return turn

    def _begin(self, epoch: int) -> None:
        self.epoch = epoch
        if epoch and self.job["profile"]:
            from torch import profiler

            self.profiler = profiler.profile(activities=[profiler.ProfilerActivity.CPU])
            self.profiler.start()
        self.clock = time.perf_counter(), sum(os.times()[:4])

    def _checked(self, batches: Iterable[Any]) -> Iterator[Any]:
        """The same batches; refused where they do not hold the learners that the other side is given."""
        for number, batch in enumerate(batches):
            found = [sum(int(micro.mask.sum()) for micro in batch), sum(int(micro.correct.sum()) for micro in batch), sum(len(micro.mask) for micro in batch)]
            if found != self.expected[number].tolist():
                raise DataError(f"batch {number} must hold (responses, right ones, windows) {self.expected[number].tolist()}, as the other side's does; "
                                f"found {found}: how a network is fitted has changed, so that bench_tracing_rows.plan must follow")
            yield batch

    def valid(self, batches: Callable[[], Iterable[Any]]) -> Callable[[], Iterator[Any]]:
        """Batches of validation; the first of an epoch stops the clock."""
        def after_a_turn() -> Iterator[Any]:
            if self.last.get("epoch") != self.epoch:
                self._end()
            yield from batches()

        return after_a_turn

    def _end(self) -> None:
        import torch

        seconds, processor = time.perf_counter() - self.clock[0], sum(os.times()[:4]) - self.clock[1]
        if self.profiler is not None:
            self.profiler.stop()
            table = self.profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=15, max_name_column_width=40)
            (self.place / "profile.txt").write_text(table, encoding="utf-8")
            self.profiler = None
        self.last = {"epoch": self.epoch, "seconds": seconds, "processor": processor, "peak_mb": memory_mb(), "threads": torch.get_num_threads()}


def graph_of(place: Path) -> Transitions:
    """The graph in a folder that :func:`edukit.experiments.bench_tracing_rows.prepare` wrote."""
    tables = {name: pd.read_parquet(place / f"{name}.parquet") for name in ("concepts", "q_matrix", "transitions")}
    return Transitions(tables["concepts"]["concept_id"].tolist(), tables["q_matrix"], tables["transitions"])


def model_of(name: str, settings: dict[str, Any]) -> Any:
    """The model of ``conf/tracing`` with other settings."""
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    return instantiate(OmegaConf.merge(OmegaConf.load(bundled("conf") / "tracing" / f"{name}.yaml"), settings))


def main(place: Path) -> None:
    """Fit the job's model turn by turn, then predict the validation windows into ``edukit.npz``."""
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    job = json.loads((place / "job.json").read_text(encoding="utf-8"))
    from edukit import training

    turns = Turns(place, job, told)

    class InTurns(training.TrainingLoop):
        """The training loop of every fit, with batches that wait for their turn."""

        def fit(self, module: Any, train_batches: Any, valid_batches: Any, *others: Any, **named: Any) -> pd.DataFrame:
            return super().fit(module, turns.train(train_batches), turns.valid(valid_batches), *others, **named)

    model = model_of(job["model"], job["ours"])
    with patch.object(training, "TrainingLoop", InTurns):
        model.fit(pd.read_parquet(place / "rows.parquet"), graph_of(place))
    valid = pd.read_parquet(place / "valid.parquet")
    later = valid["order"].to_numpy() > 0
    np.savez(place / "edukit.npz", answers=valid["correct"].to_numpy()[later], predictions=model.predict(valid).to_numpy()[later])
    turns.say()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
