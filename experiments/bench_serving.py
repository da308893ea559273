"""How long one learner waits: a response taken in and the mastery of every concept read out, called as ``bench serving``.

Every model of ``conf/tracing`` that follows a learner live is fitted on a small invented log over as many concepts as asked for (little is learned from
it: the size of the vocabulary is what costs time), then answers on one thread for one learner at a time, after histories of several lengths.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

from edukit.graph.concept_graph import ConceptGraph
from edukit.reproducibility import bundled, environment, one_thread, write_json
from edukit.schema import DataError

from .bench_tracing_edukit import model_of

HISTORIES = (0, 50, 150)
TARGETS_MS = {"bkt": 2.0}  # of the 95th percentile
TARGET_MS = 5.0
ITEMS_EACH, LEARNERS, RESPONSES = 3, 60, 60
LIVE = ("start", "step", "mastery_of")


def world(concepts: int, seed: int = 0) -> tuple[pd.DataFrame, ConceptGraph]:
    """Responses of a few learners, each of whom works on concepts next to one another, and a tree of prerequisites."""
    rng = np.random.default_rng(seed)
    concept = (rng.integers(0, concepts, (LEARNERS, 1)) + rng.integers(0, 20, (LEARNERS, RESPONSES))) % concepts
    item = concept * ITEMS_EACH + rng.integers(0, ITEMS_EACH, concept.shape)
    right = rng.random(item.shape) < 1 / (1 + np.exp(-rng.normal(0, 1, (LEARNERS, 1)) - rng.normal(0, 1, concepts * ITEMS_EACH)[item]))
    log = pd.DataFrame({"learner_id": np.repeat([f"L{n}" for n in range(LEARNERS)], RESPONSES), "item_id": [f"q{i}" for i in item.ravel()],
                        "correct": right.ravel().astype(float), "order": np.tile(np.arange(RESPONSES), LEARNERS)})
    items = range(concepts * ITEMS_EACH)
    q_matrix = pd.DataFrame({"item_id": [f"q{i}" for i in items], "concept_id": [f"c{i // ITEMS_EACH}" for i in items]})
    edges = pd.DataFrame({"concept_id": [f"c{k}" for k in range(1, concepts)], "requires_id": [f"c{k // 2}" for k in range(1, concepts)],
                          "source": "expert", "weight": 1.0})
    return log, ConceptGraph.from_tables(None, edges, q_matrix)


def latencies(model: Any, items: list[str], history: int, calls: int, seed: int = 0) -> np.ndarray:
    """(calls, 2) milliseconds, by the clock and of this thread's processor, of ``step`` and ``mastery_of`` for learners with ``history`` responses.

    A tenth as many learners as calls; on a machine that does nothing else the two are alike.
    """
    rng = np.random.default_rng(seed)
    took = []
    for _ in range(max(1, calls // 10)):
        state = model.start()
        for n in rng.integers(0, len(items), history):
            state = model.step(state, items[n], float(rng.random() < 0.6))
        model.mastery_of(model.step(state, items[0], 1.0))  # not counted
        for n in rng.integers(0, len(items), 10):
            began, worked = time.perf_counter(), time.thread_time()
            model.mastery_of(model.step(state, items[n], 1.0))
            took.append((time.perf_counter() - began, time.thread_time() - worked))
    return 1000 * np.array(took[:calls])


def measure(name: str, log: pd.DataFrame, graph: ConceptGraph, calls: int) -> list[dict[str, Any]]:
    """One line for each length of history; none for a model that does not follow learners live."""
    path = bundled("conf") / "tracing" / f"{name}.yaml"
    settings = OmegaConf.load(path)
    model = model_of(name, {key: value for key, value in {"seed": 0, "epochs": 1}.items() if key in settings})
    if not all(hasattr(model, verb) for verb in LIVE):
        return []
    model.fit(log, graph)
    items = graph.q_matrix["item_id"].tolist()
    target = TARGETS_MS.get(name, TARGET_MS)
    lines = []
    with one_thread():
        for history in HISTORIES:
            took = latencies(model, items, history, calls)
            p50, p95, p99 = np.percentile(took[:, 0], (50, 95, 99)).tolist()
            lines.append({"model": name, "history": history, "p50_ms": p50, "p95_ms": p95, "p99_ms": p99,
                          "p95_processor_ms": float(np.percentile(took[:, 1], 95)), "target_ms": target, "met": p95 < target})
    return lines


def serve(models: list[str], concepts: int, calls: int, place: Path, say: Any) -> Path:
    """Measure the models one after another; returns the folder with ``serving.csv`` and ``serving.json``.

    Raises
    ------
    DataError
        For a model that is not in ``conf/tracing``.
    """
    known = sorted(path.stem for path in (bundled("conf") / "tracing").glob("*.yaml"))
    for name in models:
        if name not in known:
            raise DataError(f"--models must be some of {', '.join(known)}; found {name!r}")
    log, graph = world(concepts)
    say(f"{concepts:,} concepts, one learner at a time, one thread, {calls} calls of step and mastery_of after each history; milliseconds")
    found: list[dict[str, Any]] = []
    for name in models or known:
        lines = measure(name, log, graph, calls)
        if not lines:
            say(f"{name:<12}does not follow learners live")
        for line in lines:
            say(f"{name:<12}after {line['history']:>3} responses   p50 {line['p50_ms']:7.2f}   p95 {line['p95_ms']:7.2f}   p99 {line['p99_ms']:7.2f}"
                f"   p95 of processor {line['p95_processor_ms']:6.2f}   target p95 < {line['target_ms']:g}: {'met' if line['met'] else 'NOT met'}")
        found += lines
    place.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(found).to_csv(place / "serving.csv", index=False)
    write_json(place / "serving.json", {"concepts": concepts, "calls": calls, "measured": found, "environment": environment()})
    return place
