"""How many short answers are graded a second, with their embeddings in the cache and without: called as ``bench grading``.

Answers of invented learners to questions that were seen in training. The cache is a folder of its own, so that what is timed as fresh is fresh; each round
grades answers that no round before it has embedded.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from edukit.data.synthetic_answers import SyntheticAnswers
from edukit.grading.grader import RubricGrader
from edukit.reproducibility import environment, write_json

TARGETS = {"cached": 200.0, "fresh": 50.0}  # answers a second
WORDS = {"cached": "embeddings in the cache", "fresh": "embedded on the way"}


def rates(grader: RubricGrader, answers: list[pd.DataFrame]) -> dict[str, list[tuple[float, float]]]:
    """Answers a second of each round, by the clock and of the processor: first with nothing embedded, then once more with all of it in the cache.

    On a machine that does nothing else, the clock shows as much as all threads together can do; on a busy one the second number is the surer.
    """
    found: dict[str, list[tuple[float, float]]] = {"fresh": [], "cached": []}
    for batch in answers:
        for kind in found:
            began, busy = time.perf_counter(), time.process_time()
            grader.grade(batch)
            found[kind].append((len(batch) / (time.perf_counter() - began), len(batch) / (time.process_time() - busy)))
    return found


def grade(learners: int, rounds: int, threads: int, place: Path, say: Callable[[str], None]) -> str:
    """Time grading; returns the path of the table as the last line.

    Parameters
    ----------
    learners : who write the answers of one round, each one to every question. rounds : timed after one that is not counted. threads : of torch.
    """
    import torch

    torch.set_num_threads(threads)
    train = SyntheticAnswers(learners=60).answered()[0]
    batches = [SyntheticAnswers(learners=learners, seed=100 + round_).answered()[0]["answers"] for round_ in range(rounds + 1)]
    before = os.environ.get("EDUKIT_CACHE")
    with tempfile.TemporaryDirectory() as cache:
        os.environ["EDUKIT_CACHE"] = cache
        try:
            grader = RubricGrader().fit(train["answers"], train["rubrics"], train["questions"])
            blank = [batch.drop(columns=["score", "second_score"]) for batch in batches]
            rates(grader, blank[:1])  # imports, and the model is loaded
            found = rates(grader, blank[1:])
        finally:
            os.environ.pop("EDUKIT_CACHE", None) if before is None else os.environ.__setitem__("EDUKIT_CACHE", before)
    machine = environment() | ({"load": f"{os.getloadavg()[0]:.1f}"} if hasattr(os, "getloadavg") else {}) | {"threads": str(threads)}
    say("  ".join(f"{name} {machine[name]}" for name in ("python", "platform", "cores", "edukit", "threads", "load") if name in machine))
    rows = []
    for kind, each in found.items():
        clock, processor = ([round_[i] for round_ in each] for i in (0, 1))
        middle, busy = statistics.median(clock), statistics.median(processor)
        met = "met" if middle >= TARGETS[kind] else "not met"
        say(f"{WORDS[kind]:<26}{middle:6.0f} answers a second   ({min(clock):.0f} to {max(clock):.0f}, {len(each)} rounds of {len(blank[1]):,}; "
            f"{busy:.0f} a second of processor)   target {TARGETS[kind]:.0f}: {met}")
        rows.append({"kind": kind, "answers_per_second": middle, "low": min(clock), "high": max(clock), "answers_per_cpu_second": busy, "rounds": len(each),
                     "answers": len(blank[1]), "target": TARGETS[kind]})
    return str(write_json(place / "bench_grading.json", {"machine": machine, "rows": rows}))
