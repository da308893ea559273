"""How long a ledger of ten years takes to answer: `python -m edukit.experiments.bench_ledger [grades] [folder]`; invented grades, 500,000 unless told.

Prints one JSON: seconds to write and to verify, milliseconds (median of 20 and the slowest) of the history of one answer, of what stands for one
question, and of one more grade, and the size of the file.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edukit.grading.ledger import Ledger
from edukit.grading.rubric import Criterion, Level, Rubric

BATCH = 10_000
PER_QUESTION = 1_000  # answers of one question over the years
CRITERIA = ("process", "cause")
ASKED = 20
WORDS = "the water of a puddle turns into vapour when the sun or a warm wind heats it and the vapour rises into the air".split()


def entries(grades: int, rubric: Rubric, seed: int) -> Iterator[dict[str, Any]]:
    """Invented grades, two an answer, with texts of 20 words; one in 50 is decided by a person."""
    draws = np.random.default_rng(seed)
    made_by = {"model": "RubricGrader", "model_version": "1", "model_fingerprint": "0" * 64, "data_hash": "1" * 64, "rubric_id": rubric.rubric_id,
               "rubric_version": rubric.version, "rubric_fingerprint": rubric.fingerprint, "decided_by": "model", "route": "seen"}
    for n in range(grades // len(CRITERIA)):
        text = " ".join(WORDS[i] for i in draws.integers(len(WORDS), size=20))
        about = {"answer_id": f"a{n}", "question_id": f"q{n // PER_QUESTION}"}
        for criterion_id in CRITERIA:
            yield {"kind": "grade", **about, "criterion_id": criterion_id, "score": int(draws.integers(3)), "confidence": float(draws.random()),
                   "found": f'{criterion_id}: "{text[:40]}"', "missing": "wind", "learner_id": f"learner{n % 3000}", "text": text, **made_by}
        if n % 100 == 0:
            yield {"kind": "decision", **about, "criterion_id": CRITERIA[0], "action": "edit", "score": 1, "decided_by": "a teacher", "reason": "read again"}


def timed(ask: Callable[[int], object], seed: int, among: int) -> dict[str, float]:
    """Milliseconds of a query, at places drawn at random."""
    taken = []
    for place in np.random.default_rng(seed).integers(among, size=ASKED).tolist():
        begun = time.perf_counter()
        ask(place)
        taken.append(1000 * (time.perf_counter() - begun))
    return {"median_ms": round(float(np.median(taken)), 2), "slowest_ms": round(max(taken), 2)}


def measure(grades: int, folder: Path, seed: int = 0) -> dict[str, Any]:
    """Write a ledger of invented grades into ``folder`` and ask it.

    Parameters
    ----------
    grades : how many, at least 2 (two an answer). folder : empty. seed : of the invented grades.
    """
    levels = tuple(Level(score, f"Level {score}.") for score in range(3))
    rubric = Rubric("bench", tuple(Criterion(one, levels) for one in CRITERIA))
    ledger, batch, written = Ledger(folder / "ledger.sqlite"), [], 0.0
    ledger.keep(rubric)
    for entry in entries(grades, rubric, seed):
        batch.append(entry)
        if len(batch) >= BATCH:
            written += _append(ledger, batch)
            batch = []
    written += _append(ledger, batch)
    answers = grades // len(CRITERIA)
    begun = time.perf_counter()
    faults = ledger.verify()
    verified = time.perf_counter() - begun
    one = {"kind": "grade", "criterion_id": "process", "score": 1, "decided_by": "model", "rubric_fingerprint": rubric.fingerprint, "text": "It dries."}
    return {"grades": grades, "answers": answers, "entries": ledger.head()[0], "write_s": round(written, 1), "verify_s": round(verified, 1),
            "faults": len(faults),
            "history": timed(lambda n: ledger.history(f"a{n}"), seed, answers),
            "current_question": timed(lambda n: ledger.current(f"q{n // PER_QUESTION}"), seed, answers),
            "append_one": timed(lambda n: ledger.append([{**one, "answer_id": f"new{n}"}]), seed, 10**9),
            "megabytes": round(ledger.path.stat().st_size / 1e6, 1)}


def _append(ledger: Ledger, batch: list[dict[str, Any]]) -> float:
    begun = time.perf_counter()
    ledger.append(batch)
    return time.perf_counter() - begun


if __name__ == "__main__":
    how_many = int(sys.argv[1]) if len(sys.argv) > 1 else 500_000
    if len(sys.argv) > 2:
        Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as place:
        print(json.dumps(measure(how_many, Path(place)), indent=2))
