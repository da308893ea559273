"""Networks side by side with pyKT's: seconds per epoch, memory and validation AUC on the same rows, called as ``bench tracing``.

ASSISTments 2009 (lpp), training part. Both sides get the same windows of 200 steps at most, in the same batches and order, the same optimiser (Adam),
learning rate, batch size, hidden size and dropout, and take epochs in turn as two processes that live through the run, so that a machine that drifts
weighs on both alike. edukit fits as users fit (:mod:`.bench_tracing_edukit`); pyKT runs its own loader, loop and evaluation
(:mod:`.bench_tracing_pykt`), whose batches are padded to 200 steps: that is how it works. Seconds are those of the training pass alone.

An item with several concepts has its first one on both sides. pyKT's DKT and GKT know concepts only, so ours go without item easiness there. Where
pyKT has an argument for a width or a number of blocks, it gets ours. Differences that stay: simpleKT has a difficulty vector per item there and a
number here; a block of AKT is three layers of attention there, two of them encoders, so that ours has as many layers in all; GKT there sends messages
to all concepts that followed one another in the training rows, here to the eight most frequent. Those are not the same models, hence the AUC beside
the seconds. Gradients are clipped here only. Threads are those a process is given; edukit fits on one, whatever it is given.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from edukit.reproducibility import environment, replacing, write_json
from edukit.schema import DataError

from . import bench_tracing_pykt
from .bench_tracing_pykt import PYKT
from .bench_tracing_results import Measured, aucs, told_auc, told_times
from .bench_tracing_rows import PAIRS, Rows, prepare, rows_of

PARITY_EPOCHS = 3  # of models that are compared on a share of the learners


class Side:
    """A process that takes turns: one line in, one line of JSON out."""

    def __init__(self, name: str, command: list[str], place: Path, **variables: str) -> None:
        self.name, self.log = name, place / f"{name}.log"
        with self.log.open("w", encoding="utf-8") as errors:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, **variables})
        self.told: list[dict[str, Any]] = []
        self.at_start_mb = 0.0

    def end(self) -> None:
        """End the process, whatever it is at."""
        self.process.kill()
        self.process.communicate()

    def hear(self) -> dict[str, Any]:
        """The next line it tells."""
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            last = (self.log.read_text(encoding="utf-8").strip().splitlines() or ["nothing"])[-1]
            raise DataError(f"{self.name} must answer every turn; it ended with: {last}")
        return json.loads(line)

    def turn(self) -> None:
        """Let it take one turn, and keep what that took."""
        assert self.process.stdin
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        self.told.append(self.hear())


def sides(place: Path, threads: int, python: str, pykt: Path | None) -> list[Side]:
    """edukit's process, and pyKT's where there is one."""
    many = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    found = [Side("edukit", [sys.executable, "-m", f"{__package__}.bench_tracing_edukit", str(place)], place, **many)]
    if pykt:
        found.append(Side("pyKT", [python, str(Path(bench_tracing_pykt.__file__)), str(place)], place, **many, PYTHONPATH=str(pykt.resolve())))
    return found


def interleave(both: list[Side], turns: int) -> None:
    """Turn by turn, each side alone; who begins changes from turn to turn."""
    for side in both:
        side.at_start_mb = side.hear()["at_start_mb"]
    for turn in range(turns):
        for side in both if turn % 2 == 0 else both[::-1]:
            side.turn()


@dataclass
class Bench:
    """The whole comparison; see :func:`edukit.experiments.bench.tracing` for what can be asked of it."""

    python: str
    pykt: Path | None
    threads: list[int]
    seeds: int
    rounds: int
    batches: int | None
    place: Path

    def _run(self, name: str, rows: Rows, seed: int, turns: int, threads: int, batches: int | None, into: Measured | None) -> dict[str, float]:
        """One run of both sides, taken into ``into``; the AUC of each where whole epochs were run beside pyKT."""
        with tempfile.TemporaryDirectory(dir=self.place) as scratch:
            place = Path(scratch) / name
            job = prepare(place, name, PAIRS[name], rows, seed, turns, threads, batches)
            both = sides(place, threads, self.python, self.pykt)
            try:
                interleave(both, turns)
            finally:
                for side in both:
                    side.end()
            if into:
                into.add(both, job)
            return aucs(place) if self.pykt and batches is None else {}

    def measure(self, name: str, rows: Rows, parity: bool, say: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Lines of the table of times (one for each number of threads) and of the table of AUC (one for each seed)."""
        pair = PAIRS[name]
        batches, times, found = self.batches or pair.batches, [], []
        for threads in self.threads:
            measured = Measured(name, threads)
            for seed in range(self.seeds if threads == self.threads[0] and parity and batches is None else 1):
                told = self._run(name, rows, seed, self.rounds + 1, threads, batches, measured)
                if told and threads == self.threads[0] and parity:
                    found.append({"model": name, "seed": seed, "epochs": self.rounds + 1, **told})
            times.append(measured.row())
            say(told_times(times[-1]))
        if parity and self.pykt and batches is not None and self.batches is None:
            some = rows_of(*rows, share=pair.parity_share)
            for seed in range(self.seeds):
                told = self._run(name, some, seed, PARITY_EPOCHS, self.threads[0], None, None)
                found.append({"model": name, "seed": seed, "epochs": PARITY_EPOCHS, **told})
        if found:
            say(told_auc(name, found))
        return times, found

    def profile(self, name: str, rows: Rows, batches: int = 4) -> str:
        """The operations in which edukit's epochs spend their time."""
        with tempfile.TemporaryDirectory(dir=self.place) as scratch:
            place = Path(scratch) / name
            prepare(place, name, PAIRS[name], rows, 0, 2, self.threads[0], batches, profile=True)
            ours = sides(place, self.threads[0], self.python, None)
            try:
                interleave(ours, 2)
            finally:
                ours[0].end()
            return (place / "profile.txt").read_text(encoding="utf-8")


def check(python: str, pykt: Path | None) -> None:
    """Refuse a folder without pyKT, and an interpreter that cannot run it.

    Raises
    ------
    DataError
        Naming what is missing.
    """
    if pykt is None:
        return
    if not (pykt / "pykt" / "models" / "train_model.py").is_file():
        raise DataError(f"--pykt must be a folder with pyKT; found no {pykt / 'pykt' / 'models' / 'train_model.py'}. Clone {PYKT}.")
    needed = "torch, numpy, pandas, sklearn, tqdm, einops"
    tried = subprocess.run([python, "-c", f"import {needed}"], capture_output=True, text=True)
    if tried.returncode:
        last = (tried.stderr.strip().splitlines() or ["an error"])[-1]
        raise DataError(f"--peer-python must be an interpreter with {needed}; found {last}. Install what it misses.")


def compare(models: list[str], parity: list[str], learners: float, profile: bool, bench: Bench, say: Any) -> Path:
    """Measure the models one after another; returns the folder with ``times.csv``, ``auc.csv`` and ``bench.json``.

    Raises
    ------
    DataError
        For a model that is not compared, or a peer that cannot run.
    """
    from edukit.data.catalogue import loader
    from edukit.data.store import load

    from .recipe import make_split

    for name in {*models, *parity}:
        if name not in PAIRS:
            raise DataError(f"--models must be some of {', '.join(PAIRS)}; found {name!r}")
    check(bench.python, bench.pykt)
    data = load(loader("assistments2009"), say, purpose="bench")
    split = make_split(data, "auto", 0)
    rows = rows_of(split.part(data["interactions"], "train"), data["concepts"], data["q_matrix"], learners)
    say(f"{len(rows.log):,} responses of {rows.log['learner_id'].nunique():,} learners, {len(rows.q_matrix):,} items")
    place = bench.place
    times: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for name in models:
        some, also = bench.measure(name, rows, name in parity, say)
        times, found = times + some, found + also
        _save(place, times, found, bench)
        if profile and not all(line.get("met") for line in some if line.get("target") or not bench.pykt):
            say(f"{name}: where edukit's epochs spend their time\n{bench.profile(name, rows)}")
    return place


def _save(place: Path, times: list[dict[str, Any]], found: list[dict[str, Any]], bench: Bench) -> None:
    for name, lines in (("times", times), ("auc", found)):
        with replacing(place / f"{name}.csv") as draft:
            pd.DataFrame(lines).to_csv(draft, index=False)
    about = {"peer": PYKT if bench.pykt else None, "pairs": {name: asdict(pair) for name, pair in PAIRS.items()}, "environment": environment()}
    write_json(place / "bench.json", {"times": times, "auc": found, **about})
