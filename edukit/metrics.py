"""Scores of predictions, with intervals: discrimination, calibration, agreement, and corrections for many comparisons.

A record is ``{name, value, low, high, n, split, model, group, channel}``; fields that do not apply are None.
y is the truth (N,), p the predicted probability (N,). scikit-learn and scipy are imported where they are used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

Array = np.ndarray
CALIBRATED = 0.02  # expected calibration error that a calibrated model should stay below
RECORD = ("name", "value", "low", "high", "n", "split", "model", "group", "channel")


def record(name: str, value: float | None, n: int | None = None, low: float | None = None, high: float | None = None, **where: Any) -> dict:
    """One tidy metric; ``where`` may hold split, model, group, channel."""
    unknown = set(where) - set(RECORD)
    if unknown:
        raise TypeError(f"a metric record has no field {', '.join(sorted(unknown))}; fields are {', '.join(RECORD)}")
    return {**dict.fromkeys(RECORD), "name": name, "value": value, "low": low, "high": high, "n": n, **where}


def shown(value: float, places: int = 3) -> str:
    """A number as tables and sentences print it, without a leading zero.

    Examples
    --------
    >>> shown(.7634), shown(-.002), shown(1.0), shown(46201, 0)
    ('.763', '-.002', '1.000', '46,201')
    """
    words = f"{value:,.{places}f}"
    return words[1:] if words.startswith("0.") else "-" + words[2:] if words.startswith("-0.") else words


def auc(y: Array, p: Array, weight: Array | None = None) -> float:
    """Probability that a right response was ranked above a wrong one (ties half); NaN with one class only.

    ``weight`` (N,) counts each row that often, here and in every score below.

    Examples
    --------
    >>> auc(np.array([0, 1, 1]), np.array([.1, .1, .9]))
    0.75
    """
    order = np.argsort(p, kind="stable")
    right, ties = np.asarray(y)[order] >= 0.5, _ties(np.asarray(p)[order])
    return _ranked(right, ties, np.ones(len(right)) if weight is None else np.asarray(weight, float)[order])


def _ties(ranked: Array) -> Array:
    """Where each run of equal scores begins."""
    return np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1])) if len(ranked) else np.zeros(0, int)


def _ranked(right: Array, ties: Array, counted: Array) -> float:
    """AUC of rows in the order of their scores."""
    if not len(right):
        return float("nan")
    positive = counted * right
    negative = counted - positive
    if len(ties) < len(right):
        positive, negative = np.add.reduceat(positive, ties), np.add.reduceat(negative, ties)
    pairs = positive.sum() * negative.sum()
    return float(positive @ (np.cumsum(negative) - negative / 2) / pairs) if pairs else float("nan")


def log_loss(y: Array, p: Array, weight: Array | None = None) -> float:
    """Mean negative log-likelihood in nats; p is clipped to [1e-7, 1 - 1e-7]. Fractional y is allowed."""
    return float(np.average(_log_losses(np.asarray(y, float), np.asarray(p, float)), weights=weight))


def _log_losses(y: Array, p: Array) -> Array:
    p = np.clip(p, 1e-7, 1 - 1e-7)
    return -(y * np.log(p) + (1 - y) * np.log1p(-p))


def brier(y: Array, p: Array, weight: Array | None = None) -> float:
    """Mean squared error of the probability (Brier, 1950, Monthly Weather Review)."""
    return float(np.average((np.asarray(y, float) - np.asarray(p, float)) ** 2, weights=weight))


def _bin(p: Array, bins: int) -> Array:
    """Equal-width bin of each probability, from 0."""
    return np.minimum((p * bins).astype(int), bins - 1)


def reliability(y: Array, p: Array, bins: int = 10) -> list[dict[str, float]]:
    """Per equal-width bin that holds predictions: mean prediction, observed rate and count."""
    y, p = np.asarray(y, float), np.asarray(p, float)
    where = _bin(p, bins)
    return [{"predicted": float(p[where == b].mean()), "observed": float(y[where == b].mean()), "n": int((where == b).sum())}
            for b in range(bins) if (where == b).any()]


def ece(y: Array, p: Array, weight: Array | None = None, bins: int = 10) -> float:
    """Expected calibration error: mean |observed - predicted| over equal-width bins, weighted by count (Naeini et al., 2015, AAAI)."""
    y, p = np.asarray(y, float), np.asarray(p, float)
    counted = np.ones(len(p)) if weight is None else np.asarray(weight, float)
    where = _bin(p, bins)
    return float(np.abs(np.bincount(where, counted * (y - p))).sum() / counted.sum())


def average_precision(y: Array, score: Array) -> float:
    """Area under precision-recall, step-wise; NaN without a positive."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(y, score)) if np.any(y) else float("nan")


def quadratic_weighted_kappa(a: Array, b: Array, weight: Array | None = None) -> float:
    """Agreement of two raters on an ordered scale (Cohen, 1968, Psychological Bulletin); NaN where both give one score, the same, to all.

    Scores are distances: a level that nobody gave stays a step of the scale.

    Examples
    --------
    >>> round(quadratic_weighted_kappa(np.array([0, 1, 2, 2]), np.array([0, 1, 2, 1])), 3)
    0.8
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    if not len(a):
        return float("nan")
    (mean_a, mean_b), apart = (np.average(v, weights=weight) for v in (a, b)), np.average((a - b) ** 2, weights=weight)
    by_chance = np.average((a - mean_a) ** 2 + (b - mean_b) ** 2, weights=weight) + (mean_a - mean_b) ** 2
    return float(1 - apart / by_chance) if by_chance > 0 else float("nan")


Score = Callable[[Array, Array, Array], float]
SCORES: dict[str, Callable[..., float]] = {"auc": auc, "log_loss": log_loss, "brier": brier, "ece": ece}


def _cohorts(units: Array, seed: int, draws: int) -> Iterator[Array]:
    """How often each unit 0..U-1 is in a cohort of U units drawn with replacement."""
    rng, size = np.random.default_rng(seed), int(units.max()) + 1
    for _ in range(draws):
        yield np.bincount(rng.integers(0, size, size), minlength=size)


def bootstrap_draws(y: Array, p: Array, units: Array, score: Score, seed: int = 0, draws: int = 200) -> Array:
    """(draws,) scores of cohorts in which whole units (learners) are drawn again; the same seed draws the same cohorts, whatever is scored.

    Parameters
    ----------
    units : (N,) integer codes 0..U-1, the learner of each row.
    score : called as ``score(y, p, weight)``.
    """
    scored = _of_cohorts(y, p, units, score)
    return np.array([scored(counts) for counts in _cohorts(units, seed, draws)])


def _of_cohorts(y: Array, p: Array, units: Array, score: Score) -> Callable[[Array], float]:
    """The score of a cohort from how often each unit is in it; what does not depend on the cohort is done once: ranks, and sums over units."""
    order = np.argsort(p, kind="stable")
    y, p, units = y[order], p[order], units[order]
    if score is auc:
        right, ties = y >= 0.5, _ties(p)
        return lambda counts: _ranked(right, ties, counts.astype(float)[units])
    if score in (log_loss, brier, ece):  # the sizes of sums of terms, over the number of rows
        terms = _log_losses(y, p) if score is log_loss else (y - p) ** 2 if score is brier else y - p
        bins = 10 if score is ece else 1
        where, size = units * bins + (_bin(p, bins) if score is ece else 0), int(units.max()) + 1
        sums, rows = np.bincount(where, terms, size * bins).reshape(size, bins), np.bincount(units, minlength=size)
        return lambda counts: float(np.abs(counts @ sums).sum() / (counts @ rows))
    return lambda counts: score(y, p, counts[units])


def bootstrap(y: Array, p: Array, units: Array, score: Score, seed: int = 0, draws: int = 200, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of a score over cohorts of :func:`bootstrap_draws`.

    References
    ----------
    Efron (1979), Annals of Statistics; the cluster bootstrap of Field and Welsh (2007), JRSS B.
    """
    return interval(bootstrap_draws(y, p, units, score, seed, draws), level)


def interval(drawn: Array, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of drawn scores; NaN where none is a number."""
    low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2]) if np.isfinite(drawn).any() else (np.nan, np.nan)
    return float(low), float(high)


def paired_bootstrap(y: Array, p: Array, q: Array, units: Array, score: Score, seed: int = 0, draws: int = 200) -> dict[str, float]:
    """Difference score(p) - score(q) on the same rows, its 95 % interval, and a two-sided p-value; learners are drawn again."""
    one, other = (_of_cohorts(y, v, units, score) for v in (p, q))
    found = np.array([one(counts) - other(counts) for counts in _cohorts(units, seed, draws)])
    low, high = np.quantile(found, [0.025, 0.975])
    tail = (1 + min((found <= 0).sum(), (found >= 0).sum())) / (1 + draws)
    every = np.ones(len(y))
    return {"difference": score(y, p, every) - score(y, q, every), "low": float(low), "high": float(high), "p_value": float(min(1.0, 2 * tail))}


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values that keep the family-wise error (Holm, 1979, Scandinavian Journal of Statistics).

    Examples
    --------
    >>> [round(p, 2) for p in holm([.01, .04, .03])]
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, float)
    order = np.argsort(p)
    raised = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(raised, 1)
    return adjusted.tolist()


def shapley(values: np.ndarray, players: int) -> np.ndarray:
    """What each of P switches adds, averaged over the orders in which they may be turned: (P, ...) from (2,) * P + (...).

    Parameters
    ----------
    values : value with switch i off (0) or on (1) along axis i. players : P.

    References
    ----------
    Shapley (1953), Contributions to the Theory of Games II.

    Examples
    --------
    >>> shapley(np.array([[0.0, 1.0], [2.0, 6.0]]), 2).tolist()
    [3.5, 2.5]
    """
    found = []
    for player in range(players):
        off, on = values.take(0, axis=player), values.take(1, axis=player)
        gain = np.zeros(values.shape[players:])
        for others in np.ndindex(*(2,) * (players - 1)):
            weight = math.factorial(sum(others)) * math.factorial(players - 1 - sum(others)) / math.factorial(players)
            gain = gain + weight * (on[others] - off[others])
        found.append(gain)
    return np.array(found)
