"""How well scores of concept pairs agree with an expert's prerequisites, said so that no easy number hides a hard one."""

from __future__ import annotations

import numpy as np
import pandas as pd

from edukit.graph.cells import few_enough
from edukit.metrics import record
from edukit.schema import DataError

_PAIR = ["concept_id", "requires_id"]


class _Ranking:
    """Pairs sorted once by score, so that each reweighting of the concepts costs one pass; tied scores share one threshold."""

    def __init__(self, score: np.ndarray, label: np.ndarray, mask: np.ndarray) -> None:
        child, parent = np.nonzero(mask)
        values = np.nan_to_num(score[mask], nan=-np.inf)
        order = np.argsort(-values, kind="stable")
        self.child, self.parent, self.label = child[order], parent[order], label[mask][order].astype(float)
        self.ends = np.flatnonzero(np.append(values[order][1:] != values[order][:-1], True)[: len(order)])
        self.n = len(order)

    def measure(self, weight: np.ndarray) -> tuple[float, float, float]:
        """AUC (ties half), average precision (step-wise) and the average precision of a random ranking, under concept weights (C,)."""
        pair = weight[self.child] * weight[self.parent]
        every, right = np.cumsum(pair)[self.ends], np.cumsum(pair * self.label)[self.ends]
        if not len(every) or right[-1] <= 0 or every[-1] <= right[-1]:
            return float("nan"), float("nan"), float("nan")
        gain, wrong = np.diff(right, prepend=0.0), every - right
        above = wrong - np.diff(wrong, prepend=0.0) / 2  # wrong pairs ranked above, ties half
        precision = np.divide(right, every, out=np.zeros_like(every), where=every > 0)
        return 1 - float(gain @ above) / (right[-1] * wrong[-1]), float(gain @ precision) / right[-1], right[-1] / every[-1]


def _interval(values: list[float]) -> tuple[float | None, float | None]:
    found = np.array(values)[np.isfinite(values)]
    if len(found) < max(len(values) / 2, 2):
        return None, None
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def _closure(label: np.ndarray) -> np.ndarray:
    """(C, C) whether the column is reached from the row along expert edges, itself excepted."""
    reach = label.copy()
    while True:
        step = reach | (reach.astype(np.float32) @ reach.astype(np.float32) > 0)
        if (step == reach).all():
            np.fill_diagonal(reach, False)
            return reach
        reach = step


def _cycles(score: np.ndarray, mask: np.ndarray, edges: int) -> tuple[int, float]:
    """Knots (strongly connected parts of two or more concepts) among the ``edges`` highest scores, and the share of those in a knot."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    child, parent = np.nonzero(mask & np.isfinite(score))
    top = np.argsort(-score[child, parent], kind="stable")[:edges]
    child, parent = child[top], parent[top]
    _, part = connected_components(coo_array((np.ones(len(top)), (parent, child)), shape=score.shape), directed=True, connection="strong")
    return int((np.bincount(part) > 1).sum()), float((part[child] == part[parent]).mean())


def judge(scores: pd.DataFrame, expert: pd.DataFrame, topics: pd.Series | None = None, min_common: int = 20,
          model: str | None = None, channel: str | None = None, draws: int = 200, seed: int = 0) -> list[dict]:
    """Compare scores with an expert's edges, over all ordered pairs of the concepts that the expert connects.

    Parameters
    ----------
    scores : ``concept_id, requires_id, score`` (larger = more like a prerequisite; NaN = abstained) and ``n`` common learners; a pair
        without a row was not judged.
    expert : ``concept_id, requires_id``; self-loops and repeats are left out, cycles are allowed.
    topics : topic of each concept (index concept_id); missing topics are within no topic.
    min_common : common learners a pair needs to count as covered.
    model, channel : written into the records.
    draws, seed : of the intervals: concepts are drawn again with replacement; a pair counts the product of its two multiplicities.

    Returns
    -------
    list of dict
        Metric records of :func:`edukit.metrics.record`. ``split`` is ``covered`` (pairs judged on enough learners), ``all_pairs`` (the rest
        tied at the lowest score) or ``within_topic`` (covered pairs inside one topic, since random negatives from other topics flatter).
        Names: ``auc``, ``ap``, ``random_ap``; ``direction_accuracy`` (expert edges scored both ways: share in which the right way scores
        higher, ties .5); ``coverage`` (share of expert edges covered); ``ap_implied_negative``. Pairs that follow from the expert's edges
        by transitivity without being edges are neither right nor wrong and set aside, except in ``ap_implied_negative``. ``cycles`` and
        ``share_in_cycles``: knots among as many top scores as there are covered edges, and the share of those scores in a knot.
        ``n`` counts pairs, edges or (cycles) kept scores.

    Raises
    ------
    DataError
        If the expert has no edge, or no edge is covered.

    References
    ----------
    Snijders & Borgatti (1999), Connections 22 (vertex bootstrap).
    """
    edges = expert.loc[expert["concept_id"] != expert["requires_id"], _PAIR].drop_duplicates()
    if not len(edges):
        raise DataError("expert must hold at least one edge between two concepts; found none. Scores cannot be judged without one.")
    concepts = pd.Index(sorted({*edges["concept_id"], *edges["requires_id"]}))
    size = len(concepts)
    few_enough(size, "expert", "the edges of fewer concepts")
    label, score, common = np.zeros((size, size), bool), np.full((size, size), np.nan), np.zeros((size, size))
    label[concepts.get_indexer(edges["concept_id"]), concepts.get_indexer(edges["requires_id"])] = True
    child, parent = concepts.get_indexer(scores["concept_id"]), concepts.get_indexer(scores["requires_id"])
    known = (child >= 0) & (parent >= 0)
    score[child[known], parent[known]] = scores["score"].to_numpy(float)[known]
    common[child[known], parent[known]] = scores["n"].to_numpy(float)[known]

    other = ~np.eye(size, dtype=bool)
    covered = other & (common >= min_common) & np.isfinite(score)
    if not (covered & label).any():
        raise DataError(f"scores must judge at least one of the {len(edges):,} expert edges on {min_common} common learners; found none. "
                        "There is not enough data to judge: lower min_common, or bring more responses.")
    score = np.where(covered, score, np.nan)
    implied = _closure(label) & ~label
    splits = {"covered": covered, "all_pairs": other}
    if topics is not None:
        codes = pd.factorize(topics.reindex(concepts))[0]
        splits["within_topic"] = covered & (codes[:, None] == codes[None, :]) & (codes >= 0)[:, None]
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(size, np.full(size, 1 / size), size=draws).astype(float)
    ones = np.ones(size)
    where = {"model": model, "channel": channel}
    records: list[dict] = []
    for split, mask in splits.items():
        where["split"] = split
        ranking = _Ranking(score, label, mask & ~implied)
        if not ranking.label.any():
            continue
        drawn = [ranking.measure(w) for w in weights]
        for k, name in enumerate(("auc", "ap", "random_ap")):
            low, high = _interval([d[k] for d in drawn])
            records.append(record(name, float(ranking.measure(ones)[k]), ranking.n, low, high, **where))
        strict = _Ranking(score, label, mask)
        records.append(record("ap_implied_negative", float(strict.measure(ones)[1]), strict.n, **where))
        if split == "all_pairs":
            continue
        asked = label if split == "covered" else label & (codes[:, None] == codes[None, :]) & (codes >= 0)[:, None]
        for name, pairs, value in (("direction_accuracy", label & mask & mask.T, np.sign(score - score.T) / 2 + 0.5),
                                   ("coverage", asked, mask.astype(float))):
            a, b = np.nonzero(pairs)
            if len(a):
                totals = [(w[a] * w[b]) for w in weights]
                low, high = _interval([float(t @ value[a, b] / t.sum()) if t.sum() else np.nan for t in totals])
                records.append(record(name, float(value[a, b].mean()), len(a), low, high, **where))
        kept = int((label & mask).sum())
        knots, share = _cycles(score, mask, kept)
        records += [record("cycles", knots, kept, **where), record("share_in_cycles", share, kept, **where)]
    return records
