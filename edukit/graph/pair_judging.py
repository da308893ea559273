"""How well a model's answers to a benchmark of concept pairs hold up: ranking, direction, calibration, order; differences with intervals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from edukit.metrics import record

PAIR = ["concept_id", "requires_id"]
DRAWN = ("auc", "ap", "f1", "direction_accuracy", "ece")
BINS = 10


class _Answers:
    """The answers of one fold, sorted once by score, so that all draws of the concepts are measured together."""

    def __init__(self, rows: pd.DataFrame, place: dict[str, int]) -> None:
        rows = rows.sort_values("score", ascending=False, kind="stable")
        self.a, self.b = (rows[c].map(place).to_numpy(int) for c in PAIR)
        self.label = rows["label"].to_numpy(np.float32)
        score, self.reverse = rows["score"].to_numpy(float), rows["reverse"].to_numpy(float)
        self.score = score
        self.ends = np.flatnonzero(np.append(score[1:] != score[:-1], True))
        self.said = (score >= rows["threshold"].to_numpy(float)).astype(np.float32)
        self.way = (np.sign(score - self.reverse) / 2 + 0.5).astype(np.float32)
        self.bin = np.zeros((len(rows), BINS), np.float32)
        shown = np.clip(score, 0, 1)
        self.bin[np.arange(len(rows)), np.minimum((shown * BINS).astype(int), BINS - 1)] = self.label - shown

    def measure(self, weight: np.ndarray) -> dict[str, np.ndarray]:
        """Each score of :data:`DRAWN` and the average precision of a random ranking, for D weightings (D, C) of the concepts; NaN without both labels."""
        pair = weight[:, self.a] * weight[:, self.b]
        right_pair = pair * self.label
        every, right = (np.cumsum(w, axis=1, dtype=np.float64)[:, self.ends] for w in (pair, right_pair))
        total, positive = every[:, -1], right[:, -1]
        with np.errstate(divide="ignore", invalid="ignore"):
            gain, wrong = np.diff(right, axis=1, prepend=0.0), every - right
            above = wrong - np.diff(wrong, axis=1, prepend=0.0) / 2  # ties count half
            found = {"auc": 1 - (gain * above).sum(axis=1) / (positive * (total - positive)),
                     "ap": np.nansum(gain * right / every, axis=1) / positive,
                     "f1": 2 * (right_pair @ self.said) / (pair @ self.said + positive),
                     "direction_accuracy": (right_pair @ self.way) / positive,
                     "ece": np.abs(pair @ self.bin).sum(axis=1) / total, "random_ap": positive / total}
        both = (positive > 0) & (positive < total)
        return {name: np.where(both, value, np.nan) for name, value in found.items()}


@dataclass(frozen=True, eq=False)
class Measured:
    """Scores of one model on one track: the mean over folds and seeds, and the same mean for each draw of the concepts."""

    value: dict[str, float]
    draws: dict[str, np.ndarray]
    n: int

    def interval(self, name: str) -> tuple[float | None, float | None]:
        """The middle 95 % of the draws; None where most draws could not be measured."""
        return _interval(self.draws[name])


def _interval(values: np.ndarray) -> tuple[float | None, float | None]:
    known = values[np.isfinite(values)]
    if len(known) < max(len(values) / 2, 2):
        return None, None
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)


def _mean(values: list[np.ndarray]) -> np.ndarray:
    stacked = np.stack(values)
    known = np.isfinite(stacked)
    return np.divide(np.where(known, stacked, 0).sum(axis=0), known.sum(axis=0), out=np.full(stacked.shape[1], np.nan), where=known.any(axis=0))


def _folds(answers: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for _, rows in answers.groupby(["seed", "fold"], sort=True):
        yield rows


def measure(answers: pd.DataFrame, concepts: list[str], draws: int = 200, seed: int = 0) -> Measured:
    """Measure answers fold by fold and average.

    Parameters
    ----------
    answers : rows of :func:`edukit.graph.pair_benchmark.run_fold`, of several folds and seeds.
    concepts : every concept of the data, sorted: models measured with the same concepts, draws and seed can be compared draw by draw.
    draws, seed : concepts are drawn again with replacement, the same for all folds; a pair counts the product of its ends' multiplicities.

    References
    ----------
    Snijders & Borgatti (1999), Connections 22 (vertex bootstrap).
    """
    place = {c: k for k, c in enumerate(concepts)}
    size = len(concepts)
    weight = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=draws).astype(np.float32)
    plain = np.ones((1, size), np.float32)
    found = [[part.measure(w) for w in (plain, weight)] for part in (_Answers(rows, place) for rows in _folds(answers))]
    value = {name: float(_mean([f[0][name] for f in found])[0]) for name in found[0][0]}
    return Measured(value, {name: _mean([f[1][name] for f in found]) for name in found[0][1]}, len(answers))


def _circles(a: np.ndarray, b: np.ndarray, size: int) -> np.ndarray:
    """(C,) number of the strongly connected part of each concept, for edges that say that ``a`` requires ``b``."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    return connected_components(coo_array((np.ones(len(a)), (b, a)), shape=(size, size)), directed=True, connection="strong")[1]


def _knots(rows: pd.DataFrame, place: dict[str, int]) -> tuple[int, float]:
    """Circles (strongly connected parts of two or more concepts) among the pairs said to be prerequisites, and the share of those in one."""
    said = rows[rows["score"] >= rows["threshold"]]
    if not len(said):
        return 0, 0.0
    a, b = (said[c].map(place).to_numpy(int) for c in PAIR)
    part = _circles(a, b, len(place))
    return int((np.bincount(part) > 1).sum()), float((part[a] == part[b]).mean())


def _order_tau(rows: pd.DataFrame, place: dict[str, int]) -> float:
    """Kendall's tau-b between each concept's depth under the positives (a circle counts as one) and its balance of scores.

    The balance is how much it leans to requiring the others, less how much they lean to requiring it.
    """
    from scipy.stats import kendalltau

    a, b = (rows[c].map(place).to_numpy(int) for c in PAIR)
    yes = rows["label"].to_numpy() == 1
    there = np.unique([a[yes], b[yes]])
    if len(there) < 3:
        return float("nan")
    part = _circles(a[yes], b[yes], len(place))
    above, below = part[a[yes]], part[b[yes]]
    apart = above != below
    above, below, deep = above[apart], below[apart], np.zeros(len(place), int)
    for _ in range(len(place)):
        step = deep.copy()
        np.maximum.at(step, above, deep[below] + 1)
        if (step == deep).all():
            break
        deep = step
    lean = rows["score"].to_numpy() - rows["reverse"].to_numpy()
    balance = np.bincount(a, lean, len(place)) - np.bincount(b, lean, len(place))
    return float(kendalltau(deep[part][there], balance[there])[0])


def judge_pairs(answers: pd.DataFrame, concepts: list[str], model: str, split: str, draws: int = 200, seed: int = 0) -> tuple[list[dict], Measured]:
    """Metric records of one model on one track, and what is needed to compare it.

    The headline (``group`` None) sets aside test positives that follow from training positives, and random negatives. Other groups:
    ``with_implied`` counts the implied positives too; ``implied`` is the share of them that was recognised; ``annotated`` leaves out the pairs
    that nobody was asked about in this order (``origin`` reversed); ``random_negatives`` has random pairs in place of the judged negatives.

    Parameters
    ----------
    answers : rows of :func:`edukit.graph.pair_benchmark.run_fold` of one track and part.
    concepts, draws, seed : of :func:`measure`.
    model, split : written into the records.

    Returns
    -------
    list of dict, Measured
        ``auc, ap, f1, direction_accuracy`` with intervals, ``ece``, ``random_ap``; ``cycles, share_in_cycles`` and ``kendall_tau``, means over folds.
    """
    where = {"model": model, "split": split}
    random = answers["origin"] == "random"
    implied = answers["implied"].to_numpy(bool)
    head = answers[~random & ~implied]
    records: list[dict] = []
    turned = head["origin"] == "reversed"
    groups = {None: head, "with_implied": answers[~random] if implied.any() else None, "annotated": head[~turned] if turned.any() else None,
              "random_negatives": answers[~implied & (random | (answers["label"] == 1))] if random.any() else None}
    whole = None
    for group, rows in groups.items():
        if rows is None:
            continue
        found = measure(rows, concepts, draws, seed)
        whole = found if group is None else whole
        for name in ("auc", "ap", "f1") if group else DRAWN:
            low, high = found.interval(name) if name != "ece" else (None, None)  # drawing concepts again makes any model look worse calibrated
            records.append(record(name, found.value[name], found.n, low, high, group=group, **where))
        records.append(record("random_ap", found.value["random_ap"], found.n, group=group, **where))
    if implied.any():
        rows = answers[implied]
        records.append(record("recall", float((rows["score"] >= rows["threshold"]).mean()), len(rows), group="implied", **where))
    place = {c: k for k, c in enumerate(concepts)}
    told = [(*_knots(rows, place), _order_tau(rows, place)) for rows in _folds(head)]
    for name, values in zip(("cycles", "share_in_cycles", "kendall_tau"), zip(*told, strict=True), strict=True):
        known = [v for v in values if np.isfinite(v)]
        records.append(record(name, float(np.mean(known)) if known else None, len(head), **where))
    assert whole is not None
    return records, whole


def compare(one: Measured, other: Measured) -> dict[str, dict[str, float | None]]:
    """Difference one - other of each score, with its 95 % interval from the same draws of concepts and a two-sided p-value."""
    found = {}
    for name in DRAWN:
        drawn = one.draws[name] - other.draws[name]
        low, high = _interval(drawn)
        known = drawn[np.isfinite(drawn)]
        tail = (1 + min((known <= 0).sum(), (known >= 0).sum())) / (1 + len(known))
        found[name] = {"difference": one.value[name] - other.value[name], "low": low, "high": high, "p_value": float(min(1.0, 2 * tail))}
    return found
