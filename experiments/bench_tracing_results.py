"""What ``bench tracing`` found, in numbers and words: paired ratios, memory, AUC on the same rows, and which targets are met."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edukit.schema import DataError

if TYPE_CHECKING:
    from .bench_tracing import Side

TARGETS = {("dkt", 1): 3.0, ("dkt", 2): 2.2, ("simplekt", 1): 3.3, ("akt", 1): 3.0, ("gkt", 1): 15.0}  # times faster than pyKT
MEMORY_TARGETS = {"akt": 1 / 3}  # of pyKT's peak
AUC_WITHIN = 0.002


class Ratio(NamedTuple):
    """How many times longer the other side took, over paired turns."""

    median: float
    low: float
    high: float
    pairs: int


def ratio(ours: list[float], theirs: list[float]) -> Ratio:
    """Median and range of the quotients of paired turns."""
    each = [b / a for a, b in zip(ours, theirs, strict=True)]
    return Ratio(statistics.median(each), min(each), max(each), len(each))


@dataclass
class Measured:
    """All runs of one model on one number of threads: timed turns (the first of each run left out), memory, and the AUC of each seed."""

    name: str
    threads: int
    seconds: dict[str, list[float]] = field(default_factory=dict)
    processor: dict[str, list[float]] = field(default_factory=dict)
    peak_mb: dict[str, float] = field(default_factory=dict)
    at_start_mb: dict[str, float] = field(default_factory=dict)
    in_force: dict[str, int] = field(default_factory=dict)
    scaled: bool = False

    def add(self, both: list[Side], job: dict[str, Any]) -> None:
        """Take in one run, in seconds per whole epoch."""
        self.scaled |= job["batches"] is not None
        for side in both:
            for told, responses in list(zip(side.told, job["in_turn"], strict=True))[1:]:
                factor = job["in_epoch"] / responses
                self.seconds.setdefault(side.name, []).append(told["seconds"] * factor)
                self.processor.setdefault(side.name, []).append(told["processor"] * factor)
            self.peak_mb[side.name] = max(self.peak_mb.get(side.name, 0.0), *(told["peak_mb"] for told in side.told))
            self.at_start_mb[side.name] = side.at_start_mb
            self.in_force[side.name] = side.told[-1]["threads"]

    def row(self) -> dict[str, Any]:
        """One line of the table."""
        line: dict[str, Any] = {"model": self.name, "threads": self.threads, "scaled": self.scaled}
        for name in self.seconds:
            line |= {f"{name} s": statistics.median(self.seconds[name]), f"{name} cpu s": statistics.median(self.processor[name]),
                     f"{name} peak MB": self.peak_mb[name], f"{name} MB at start": self.at_start_mb[name], f"{name} threads in force": self.in_force[name]}
        if len(self.seconds) > 1:
            wall, work = ratio(*self.seconds.values()), ratio(*self.processor.values())
            target = TARGETS.get((self.name, self.threads))
            line |= {"ratio": wall.median, "ratio low": wall.low, "ratio high": wall.high, "pairs": wall.pairs, "cpu ratio": work.median,
                     "target": target, "met": None if target is None else wall.median >= target,
                     "memory share": self.peak_mb["edukit"] / self.peak_mb["pyKT"]}
        return line


def aucs(place: Path) -> dict[str, float]:
    """AUC of both sides on the same validation rows, one response one row.

    Raises
    ------
    DataError
        When the two sides did not answer the same rows.
    """
    from edukit.metrics import auc

    found = {}
    answers = None
    for name, file in (("edukit", "edukit.npz"), ("pyKT", "peer.npz")):
        with np.load(place / file) as arrays:
            if answers is not None and not np.array_equal(arrays["answers"], answers):
                raise DataError(f"both sides must be scored on the same rows; found other answers in {file} (of {len(arrays['answers']):,} and "
                                f"{len(answers):,} rows)")
            answers = arrays["answers"]
            found[name] = auc(answers, arrays["predictions"].astype(np.float64))
    return found


def told_times(line: dict[str, Any]) -> str:
    """A line of the table of times, in words."""
    kind = "scaled from some batches" if line["scaled"] else "whole epochs"
    words = [f"{line['model']}, {line['threads']} thread{'s' * (line['threads'] > 1)} ({kind})"]
    for name in ("edukit", "pyKT"):
        if f"{name} s" in line:
            words.append(f"  {name:<8}{line[f'{name} s']:9.2f} s an epoch{line[f'{name} cpu s']:9.2f} s of processor{line[f'{name} peak MB']:9,.0f} MB peak"
                         f" ({line[f'{name} MB at start']:,.0f} at start), threads {line[f'{name} threads in force']}")
    if "ratio" in line:
        aim = "" if line["target"] is None else f"; target {line['target']:g}: {'met' if line['met'] else 'NOT met'}"
        words.append(f"  pyKT / edukit {line['ratio']:.2f} ({line['ratio low']:.2f} to {line['ratio high']:.2f}, {line['pairs']} pairs), "
                     f"processor {line['cpu ratio']:.2f}{aim}")
        most = MEMORY_TARGETS.get(line["model"])
        aim = "" if most is None else f"; target at most {most:.2f}: {'met' if line['memory share'] <= most else 'NOT met'}"
        words.append(f"  edukit's share of pyKT's peak memory {line['memory share']:.2f}{aim}")
    return "\n".join(words)


def told_auc(name: str, lines: list[dict[str, Any]]) -> str:
    """The AUC of both sides on the same validation rows, over the seeds, in words."""
    ours, theirs = (np.array([line[side] for line in lines]) for side in ("edukit", "pyKT"))
    apart = ours - theirs
    verdict = "within" if abs(apart.mean()) <= AUC_WITHIN else "better, by more than" if apart.mean() > 0 else "NOT within"
    return (f"{name}: validation AUC after {lines[0]['epochs']} epochs, {len(lines)} seeds: edukit {ours.mean():.4f}, pyKT {theirs.mean():.4f}, "
            f"edukit - pyKT {apart.mean():+.4f} ({apart.min():+.4f} to {apart.max():+.4f}): {verdict} {AUC_WITHIN:g}")
