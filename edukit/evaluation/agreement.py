"""How far a grader agrees with people: by kappa with its interval, by distance, by score band, criterion, group and question, and beside how far people agree.

References
----------
Cohen (1968), Psychological Bulletin 70 (quadratic weighted kappa). Williamson, Xi and Breyer (2012), Educational Measurement: Issues and Practice 31
(the thresholds:
kappa of .7, a standardised mean difference below .15, .1 below the people at most).
Yannakoudakis and Cummins (2015), Workshop on Innovative Use of NLP for Building Educational Applications (what agreement statistics hide).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from edukit.governance.privacy import K
from edukit.metrics import bootstrap, quadratic_weighted_kappa, record
from edukit.schema import DataError

Array = np.ndarray
ENOUGH = {"qwk": 0.7, "standardised_mean_difference": 0.15, "degradation": 0.1}
DRAWS = 200


def exact(y: Array, predicted: Array, weight: Array | None = None) -> float:
    """Share of equal scores."""
    return float(np.average(np.asarray(y) == np.asarray(predicted), weights=weight))


def adjacent(y: Array, predicted: Array, weight: Array | None = None) -> float:
    """Share of scores at most one apart."""
    return float(np.average(np.abs(np.asarray(y, float) - np.asarray(predicted, float)) <= 1, weights=weight))


def standardised_mean_difference(y: Array, predicted: Array, weight: Array | None = None) -> float:
    """Mean of the model's scores minus that of the person's, in pooled standard deviations; NaN where neither varies."""
    y, predicted = np.asarray(y, float), np.asarray(predicted, float)
    means = [np.average(v, weights=weight) for v in (y, predicted)]
    spread = np.sqrt(sum(np.average((v - m) ** 2, weights=weight) for v, m in zip((y, predicted), means, strict=True)) / 2)
    return float((means[1] - means[0]) / spread) if spread > 0 else float("nan")


SCORES = {"qwk": quadratic_weighted_kappa, "exact_agreement": exact, "adjacent_agreement": adjacent,
          "standardised_mean_difference": standardised_mean_difference}


def agreement(y: Array, predicted: Array, levels: Sequence[float], second: Array | None = None, by: Mapping[str, Sequence] | pd.DataFrame | None = None,
              units: Sequence | None = None, seed: int = 0, **where: Any) -> list[dict]:
    """Records of the agreement of a grader with a person, overall and apart.

    Parameters
    ----------
    y, predicted : (N,) scores of the first person and of the grader; a row where either is missing (deferred) is left out and counted in ``graded_share``.
    levels : the scale, rising; its thirds are the score bands.
    second : (N,) scores of a second person, NaN where none: adds ``human_qwk`` and the rest, ``degradation`` and the ceilings.
    by : name -> (N,) labels such as question, criterion or a learner's group; a cell of fewer than ten learners (answers, where nobody is named) is hidden.
    units : (N,) who wrote, drawn again together; default: each answer by itself.
    where : split, model, channel of every record.

    Returns
    -------
    list of records
        ``qwk, exact_agreement, adjacent_agreement, standardised_mean_difference`` with 95 % bootstrap intervals; ``group`` is empty, ``band=low`` or
        ``<name>=<label>``.

    Raises
    ------
    DataError
        For arrays of unlike lengths.
    """
    y, predicted = np.asarray(y, float), np.asarray(predicted, float)
    others = np.full(len(y), np.nan) if second is None else np.asarray(second, float)
    columns = {} if by is None else {str(name): np.asarray(by[name]) for name in by}
    who = np.arange(len(y)) if units is None else np.asarray(units)
    unlike = [name for name, v in {"predicted": predicted, "second": others, "units": who, **columns}.items() if len(v) != len(y)]
    if unlike:
        raise DataError(f"agreement needs one entry an answer; found {len(y):,} scores and another number of {', '.join(unlike)}.")
    kept = np.isfinite(y) & np.isfinite(predicted)
    found = [record("graded_share", float(kept.mean()) if len(y) else None, len(y), **where)]
    if not kept.any():
        return found
    found += _scores(y[kept], predicted[kept], who[kept], seed, "", **where)
    edges = np.quantile(np.asarray(levels, float), [1 / 3, 2 / 3])
    cells = {"band": np.array(["low", "middle", "high"])[np.searchsorted(edges, y[kept], side="left")]} | {n: v[kept] for n, v in columns.items()}
    for name, labels in cells.items():
        text = pd.Series(labels).astype("str").fillna("not stated").to_numpy()
        hidden = _hidden(text, who[kept])
        for label in pd.unique(text):
            inside = text == label
            group = f"{name}={label}"
            if label in hidden:
                found.append(record("qwk", None, None, **{**where, "group": f"{group} (suppressed)"}))
                continue
            found += _scores(y[kept][inside], predicted[kept][inside], who[kept][inside], seed, "", group=group, band=name == "band", **where)
    both = kept & np.isfinite(others)
    if len(pd.unique(who[both])) >= K:
        people = _scores(y[both], others[both], who[both], seed, "human_", **where)
        own = quadratic_weighted_kappa(y[both], predicted[both])
        lost = people[0]["value"] - own if people[0]["value"] is not None and np.isfinite(own) else None
        found += [*people, record("degradation", lost, int(both.sum()), **where)]
        found += _ceilings(y[both], others[both], who[both], seed, **where)
    return found


def _hidden(labels: Array, who: Array) -> set:
    """Cells of fewer than ten learners, and the smallest others until what is hidden cannot be found from the whole and the cells shown."""
    sizes = pd.Series(who).groupby(labels).nunique().sort_values(kind="stable")
    hidden = set(sizes.index[sizes < K])
    for label in sizes.index:
        if hidden and (len(hidden) < 2 or sizes[list(hidden)].sum() < K):
            hidden.add(label)
    return hidden


def _scores(y: Array, predicted: Array, who: Array, seed: int, prefix: str, band: bool = False, **where: Any) -> list[dict]:
    """Every score with its interval; in a band of one rater's scores kappa and the difference in spreads mean nothing and are left out."""
    units = pd.factorize(pd.Series(who))[0]
    rows = []
    for name, score in SCORES.items():
        if band and name in ("qwk", "standardised_mean_difference"):
            continue
        value = score(y, predicted)
        low, high = bootstrap(y, predicted, units, score, seed, DRAWS)
        rows.append(record(f"{prefix}{name}", value if np.isfinite(value) else None, len(y), *(v if np.isfinite(v) else None for v in (low, high)), **where))
    return rows + ([record("mean_difference", float((predicted - y).mean()), len(y), **where)] if band else [])


def _ceilings(y: Array, second: Array, who: Array, seed: int, **where: Any) -> list[dict]:
    """Kappa that a grader could reach with one person, were it to give the true score, and were it as noisy as a person; from two people."""
    units = pd.factorize(pd.Series(who))[0]
    low, high = bootstrap(y, second, units, ceiling, seed, DRAWS)
    value = ceiling(y, second)
    return [record("ceiling_perfect_grader", value if np.isfinite(value) else None, len(y), *(v if np.isfinite(v) else None for v in (low, high)), **where)]


def ceiling(y: Array, second: Array, weight: Array | None = None) -> float:
    """Kappa with the first person of a grader that knows the true score.

    In classical test theory two people with independent errors of equal size correlate by the reliability, and each with the true score by its root; kappa with
    equal means and spreads is the correlation of such scores, so that the root of the kappa of two people estimates it. The spread of the true score is
    smaller than a person's, which lowers kappa: with reliability r it is 2r / (1 + r).

    References
    ----------
    Lord and Novick (1968), Statistical Theories of Mental Test Scores; Yannakoudakis and Cummins (2015).
    """
    r = quadratic_weighted_kappa(y, second, weight)
    return 2 * max(r, 0.0) / (1 + max(r, 0.0)) if np.isfinite(r) else float("nan")


def drift(y: Array, predicted: Array, batch: Sequence, units: Sequence | None = None, seed: int = 0, **where: Any) -> list[dict]:
    """Agreement and mean difference by month or batch, in the order of their labels, with intervals; a batch of fewer than ten learners has no number.

    Parameters
    ----------
    units : (N,) who wrote, drawn again together; default: each answer by itself.
    """
    y, predicted = np.asarray(y, float), np.asarray(predicted, float)
    labels = pd.Series(np.asarray(batch)).astype("str").to_numpy()
    who, found = np.arange(len(y)) if units is None else np.asarray(units), []
    for label in np.unique(labels):
        inside = (labels == label) & np.isfinite(y) & np.isfinite(predicted)
        group = f"batch={label}"
        if len(pd.unique(who[inside])) < K:
            found.append(record("qwk", None, None, **{**where, "group": f"{group} (not enough data)"}))
            continue
        found += _scores(y[inside], predicted[inside], who[inside], seed, "", group=group, **where)
    return found


def repeatability(runs: Sequence[Array], **where: Any) -> list[dict]:
    """Share of answers that every run scored alike, and the mean kappa of two runs.

    Parameters
    ----------
    runs : two or more arrays (N,) of scores of the same answers.
    """
    table = np.asarray(runs, float)
    if len(table) < 2:
        raise DataError(f"repeatability needs the scores of two runs or more; found {len(table)}.")
    pairs = [quadratic_weighted_kappa(a, b) for i, a in enumerate(table) for b in table[i + 1:]]
    known = [v for v in pairs if np.isfinite(v)]
    same = (table == table[0]) | (np.isnan(table) & np.isnan(table[0]))
    return [record("repeat_exact", float(same.all(axis=0).mean()), table.shape[1], **where),
            record("repeat_qwk", float(np.mean(known)) if known else None, table.shape[1], **where)]
