"""What the two sides of ``bench tracing`` read: settings of each model on both, and the same windows and batches as files for either."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from .bench_tracing_edukit import Transitions, model_of

SCORED_AFTER_A_PART = 16  # validation windows where turns are too short to learn anything


@dataclass(frozen=True)
class Pair:
    """One model on both sides.

    Parameters
    ----------
    ours, theirs : settings of ``conf/tracing``, and of pyKT's model
    batch_size, learning_rate : of both
    batches : int, optional
        Batches in a timed turn, where a whole epoch of pyKT takes too long; seconds are then scaled to an epoch.
    parity_share : float
        Share of the learners on whom both are trained for the comparison of AUC.
    """

    ours: dict[str, Any]
    theirs: dict[str, Any]
    batch_size: int = 64
    learning_rate: float = 2e-3
    batches: int | None = None
    parity_share: float = 1.0


_ATTENTION = {"d_model": 64, "dropout": 0.2, "d_ff": 128, "num_attn_heads": 4, "final_fc_dim": 64}
PAIRS = {
    "dkt": Pair({"hidden": 200, "embedding": 200, "dropout": 0.2, "item_bias": False}, {"emb_size": 200, "dropout": 0.2}, learning_rate=5e-3),
    "simplekt": Pair({"hidden": 64, "layers": 2, "heads": 4, "dropout": 0.2}, {**_ATTENTION, "n_blocks": 2, "final_fc_dim2": 64}),
    "akt": Pair({"hidden": 64, "layers": 6, "heads": 4, "dropout": 0.2}, {**_ATTENTION, "n_blocks": 2}, batches=4, parity_share=0.1),
    "gkt": Pair({"hidden": 32, "dropout": 0.2, "item_bias": False, "top_k": 8},
                {"hidden_dim": 32, "emb_size": 32, "dropout": 0.2, "graph_type": "transition"}, batch_size=16, batches=4, parity_share=0.1),
}


class Rows(NamedTuple):
    """What both sides learn from: responses, concepts and the one concept of each item."""

    log: pd.DataFrame
    concepts: pd.DataFrame
    q_matrix: pd.DataFrame


def rows_of(log: pd.DataFrame, concepts: pd.DataFrame, q_matrix: pd.DataFrame, share: float) -> Rows:
    """The rows of a fixed share of the learners, and the first concept of every item in them."""
    learners = log["learner_id"].unique()
    kept = np.random.default_rng(0).permutation(learners)[:max(2, round(share * len(learners)))]
    some = log[log["learner_id"].isin(kept)].reset_index(drop=True)
    first = q_matrix[q_matrix["item_id"].isin(some["item_id"])].drop_duplicates("item_id").reset_index(drop=True)
    return Rows(some, concepts, first)


def plan(rows: Rows, model: Any) -> tuple[Any, Any, Any]:
    """(vocabulary, windows to learn from, windows to validate on), parted as ``NetworkModel.fit`` parts them; edukit's process checks that it does."""
    from edukit.tracing.fitting import TrainingSettings
    from edukit.tracing.networks import WINDOW
    from edukit.tracing.sequences import Vocabulary, encode

    nothing = pd.DataFrame({"concept_id": [], "requires_id": [], "weight": []})
    vocabulary = Vocabulary.build(rows.log, Transitions(rows.concepts["concept_id"].tolist(), rows.q_matrix, nothing))
    histories = encode(rows.log, vocabulary)
    train, valid, _ = TrainingSettings.of(model).set_aside(histories, model.name)
    return vocabulary, train.windows(WINDOW), valid.windows(WINDOW)


def transitions(windows: Any, concept: np.ndarray, width: int) -> np.ndarray:
    """(C, C) share of the steps after a concept that are on each other concept, within the windows; rows add up to 1 or are empty."""
    here, following = concept[windows.item[:-1]], concept[windows.item[1:]]
    inside = np.diff(windows.learner) == 0
    counted = np.zeros((width, width))
    np.add.at(counted, (here[inside], following[inside]), 1)
    np.fill_diagonal(counted, 0)
    return counted / np.maximum(counted.sum(1, keepdims=True), 1)


def _sequences(windows: Any, concept: np.ndarray, path: Path, steps: int) -> None:
    """The windows as pyKT's own sequence file: one line a window, padded with -1 to ``steps``."""
    lines = []
    for first, end in zip(windows.offsets[:-1], windows.offsets[1:], strict=True):
        rest = [-1] * (steps - (end - first))
        item = windows.item[first:end]
        columns = {"questions": item - 1, "concepts": concept[item], "responses": windows.correct[first:end].astype(int), "selectmasks": np.ones_like(item)}
        lines.append({"fold": 0, **{name: ",".join(map(str, [*values.tolist(), *rest])) for name, values in columns.items()}})
    pd.DataFrame(lines).to_csv(path, index=False)


def prepare(place: Path, name: str, pair: Pair, rows: Rows, seed: int, turns: int, threads: int, batches: int | None, profile: bool = False) -> dict[str, Any]:
    """Write what both processes read; returns the job, with how many responses each turn and a whole epoch has."""
    from edukit.tracing.networks import WINDOW

    ours = {**pair.ours, "seed": seed, "epochs": turns, "patience": turns, "batch_size": pair.batch_size, "learning_rate": pair.learning_rate}
    vocabulary, train, valid = plan(rows, model_of(name, ours))
    valid = valid if batches is None else valid.take(np.arange(min(SCORED_AFTER_A_PART, len(valid))))
    concept = vocabulary.item_concepts[:, 0]
    place.mkdir(parents=True)
    arrays, in_turn = _in_batches(train, pair.batch_size, seed, turns, batches)
    np.savez(place / "batches.npz", **arrays)
    for part, windows in (("train", train), ("valid", valid)):
        _sequences(windows, concept, place / f"{part}.csv", WINDOW)
    follows = transitions(train, concept, len(vocabulary.concept_ids))
    np.savez(place / "gkt_graph_transition.npz", matrix=follows)  # where pyKT looks for it
    before, after = np.nonzero(follows)
    ids = np.asarray(vocabulary.concept_ids, object)
    step = np.arange(len(valid.item)) - np.repeat(valid.offsets[:-1], valid.lengths)
    tables = {"rows": rows.log, "concepts": rows.concepts, "q_matrix": rows.q_matrix,
              "transitions": pd.DataFrame({"concept_id": ids[after], "requires_id": ids[before], "weight": follows[before, after]}),
              "valid": pd.DataFrame({"learner_id": valid.learner.astype(str), "item_id": np.asarray(vocabulary.item_ids, object)[valid.item - 1],
                                     "correct": valid.correct.astype(float), "order": step})}
    for table, content in tables.items():
        content.to_parquet(place / f"{table}.parquet", index=False)
    job = {"model": name, "ours": ours, "theirs": pair.theirs, "seed": seed, "turns": turns, "threads": threads, "batches": batches, "profile": profile,
           "batch_size": pair.batch_size, "learning_rate": pair.learning_rate, "concepts": len(ids), "items": len(vocabulary.item_ids),
           "in_turn": in_turn, "in_epoch": int(train.lengths.sum())}
    (place / "job.json").write_text(json.dumps(job), encoding="utf-8")
    return job


def _in_batches(windows: Any, size: int, seed: int, turns: int, batches: int | None) -> tuple[dict[str, np.ndarray], list[int]]:
    """Which windows each turn has, cut into batches, and of the first turn what its batches hold; with the responses of each turn."""
    owned, right = windows.lengths, np.add.reduceat(windows.correct, windows.offsets[:-1])
    arrays: dict[str, np.ndarray] = {}
    in_turn = []
    for turn in range(turns):
        drawn = [np.concatenate(batch) for batch in windows.batches(size, (seed, turn))][:batches]
        arrays |= {f"windows{turn}": np.concatenate(drawn), f"cuts{turn}": np.cumsum([len(batch) for batch in drawn])[:-1]}
        in_turn.append(int(sum(owned[batch].sum() for batch in drawn)))
        if not turn:
            arrays["sums0"] = np.array([[owned[batch].sum(), right[batch].sum(), len(batch)] for batch in drawn], np.int64)
    return arrays, in_turn
