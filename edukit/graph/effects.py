"""Whether a claimed prerequisite is one that teaching can be seen to work through: scores of pairs beside measured effects of lessons.

A lesson on one concept, a question on another: what the lesson was followed by is set beside the score that the first is required by the second.
Trials are few and small; a sign of agreement is called shown only where chance and the choice of concepts can both be set aside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from edukit.metrics import auc, holm, record
from edukit.schema import DataError

PAIR = ["concept_id", "requires_id"]
REFERENCE = {"trial_p": 0.0, "trial_k": 0.0, "gain_p": 0.25, "gain_k": 0.25}  # no effect, or what guessing among four options gives
Z = 1.96  # half the width of a 95 % interval, in standard errors
FEWEST, FEWEST_ABOVE = 8, 4  # pairs in all, and with an interval above the reference (and without); below, nothing is computed
LEARNERS = 10  # behind an effect; below, it says more of the few than of the lesson
DEALT = 9_999  # times that scores are dealt out anew: with fewer, no p-value of some hundred comparisons could pass Holm's procedure


def standard_error(effect: np.ndarray, treated: np.ndarray, control: np.ndarray | None) -> np.ndarray:
    """Standard error (N,) of a share, or of the difference of two shares of which only the difference is known.

    The two shares are taken as those among all with that difference that leave it least sure, so that the error is no smaller than the true
    one's estimate; one success and one failure are added to each group (two of each to a single share), so that a share of 0 or 1 is not sure.

    Parameters
    ----------
    effect : (N,) share, or difference. treated : (N,) learners behind it. control : (N,) learners compared with; None for a share.

    References
    ----------
    Agresti & Coull (1998), American Statistician 52; Agresti & Caffo (2000), American Statistician 54.

    Examples
    --------
    >>> standard_error(np.array([0.0]), np.array([50]), np.array([50])).round(3)
    array([0.1])
    """
    treated = np.asarray(treated, float)
    if control is None:
        share = (effect * treated + 2) / (treated + 4)
        return np.sqrt(share * (1 - share) / np.maximum(treated, 1))
    control = np.asarray(control, float)
    below = np.clip(0.5 - effect * control / (treated + control), np.maximum(0, -effect), np.minimum(1, 1 - effect))
    first, second = ((n * p + 1) / (n + 2) for n, p in ((treated, below + effect), (control, below)))
    return np.sqrt(first * (1 - first) / treated + second * (1 - second) / control)


def measured(effects: pd.DataFrame, kind: str, learners: int = LEARNERS) -> pd.DataFrame:
    """One row per lesson and question: the effects of a kind, repeats (other years, other controls) pooled by their precision.

    Parameters
    ----------
    effects : table ``effects``. kind : one of :data:`REFERENCE`.
    learners : a pair with fewer learners behind it, repeats counted together, is left out.

    Returns
    -------
    DataFrame
        ``concept_id, requires_id, effect, error, low, high`` (95 %), ``n`` (learners behind it), ``above`` (the interval lies above the reference).

    Raises
    ------
    DataError
        Where no such effect was measured on enough learners.
    """
    rows = effects[(effects["kind"] == kind) & effects["effect"].notna()] if kind in REFERENCE else effects.iloc[:0]
    if not len(rows):
        raise DataError(f"kind must be one of {', '.join(REFERENCE)} with effects of at least one pair; found {kind!r} with none. Choose another kind.")
    control = rows["n_control"].to_numpy(float) if "n_control" in rows and rows["n_control"].notna().all() else None
    treated = rows["n_treated"].to_numpy(float)
    error = standard_error(rows["effect"].to_numpy(float), treated, control)
    rows = rows[PAIR].assign(weight=error**-2.0, part=rows["effect"] * error**-2.0, n=treated + (0 if control is None else control))
    pooled = rows.groupby(PAIR, sort=True)[["weight", "part", "n"]].sum().query("n >= @learners").reset_index()
    if not len(pooled):
        raise DataError(f"effects of kind {kind} must rest on at least {learners} learners for some pair; found {len(rows)} rows, none of a pair with so "
                        "many. Choose another kind.")
    effect, spread = pooled["part"] / pooled["weight"], pooled["weight"] ** -0.5
    low = effect - Z * spread
    return pooled[PAIR].assign(effect=effect, error=spread, low=low, high=effect + Z * spread, n=pooled["n"].astype("int64"), above=low > REFERENCE[kind])


def spread(effects: pd.DataFrame) -> dict[str, float]:
    """Whether the effects differ by more than chance: ``q``, its ``p``, and ``share`` of their variance that is not chance.

    Where they do not, there is nothing that a score could agree with. The errors are the largest possible, so that the share is if anything too small.

    Parameters
    ----------
    effects : of :func:`measured`.

    References
    ----------
    Cochran (1954), Biometrics 10; Higgins & Thompson (2002), Statistics in Medicine 21.
    """
    from scipy.stats import chi2

    weight, effect = effects["error"].to_numpy(float) ** -2.0, effects["effect"].to_numpy(float)
    q, free = float((weight * (effect - np.average(effect, weights=weight)) ** 2).sum()), len(effects) - 1
    return {"q": q, "p": float(chi2.sf(q, max(free, 1))), "share": max(0.0, 1 - free / q) if q else 0.0}


def rank_correlation(x: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Spearman correlation under row weights; NaN where one side does not vary.

    Examples
    --------
    >>> round(rank_correlation(np.array([1., 2, 3, 4]), np.array([1., 2, 4, 9])), 9)
    1.0
    """
    from scipy.stats import rankdata

    return float(_together(rankdata(x), rankdata(y), np.ones(len(x)) if weight is None else weight))


def _together(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted correlation along the last axis; NaN where one side does not vary."""
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = weight / weight.sum(axis=-1, keepdims=True)
        a, b = (v - (weight * v).sum(axis=-1, keepdims=True) for v in (a, b))
        scale = np.sqrt((weight * a * a).sum(axis=-1) * (weight * b * b).sum(axis=-1))
        return np.where(scale > 1e-9, (weight * a * b).sum(axis=-1) / scale, np.nan)


def _interval(values: Sequence[float] | np.ndarray) -> tuple[float | None, float | None]:
    found = np.array(values)[np.isfinite(values)]
    if len(found) < max(len(values) / 2, 2):
        return None, None
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def _concept_weights(pairs: pd.DataFrame, draws: int, rng: np.random.Generator) -> np.ndarray:
    """(draws, N) how often each pair is there when concepts are drawn again: the product of the two multiplicities."""
    ids = pd.Index(sorted({*pairs["concept_id"], *pairs["requires_id"]}))
    child, parent = (ids.get_indexer(pairs[c]) for c in PAIR)
    times = rng.multinomial(len(ids), np.full(len(ids), 1 / len(ids)), size=draws)
    return (times[:, child] * times[:, parent]).astype(float)


def auc_of_ranks(above: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """(D,) AUC of each row of (D, N) midranks, from their sum (Mann & Whitney 1947, Annals of Mathematical Statistics 18)."""
    n = above.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        return (rank[:, above].sum(axis=1) - n * (n + 1) / 2) / (n * (len(above) - n))


def _chance(found: float, dealt: np.ndarray) -> float:
    """Two-sided p-value: how often the statistic of scores dealt out anew is as far from its mean as the observed one."""
    centre = float(dealt.mean())
    return float((1 + (np.abs(dealt - centre) >= abs(found - centre) - 1e-12).sum()) / (1 + len(dealt)))


def agreement(effects: pd.DataFrame, kind: str, scores: pd.Series, reverse: pd.Series, model: str, channel: str | None = None, draws: int = 1000,
              seed: int = 0) -> list[dict]:
    """How far one model's scores go along with the measured effects.

    Parameters
    ----------
    effects : of :func:`measured`. kind : written into the records as ``split``.
    scores, reverse : of each row of ``effects``, aligned to its index: score of ``requires_id`` being required by ``concept_id``, and of the
        other order; NaN = abstained, left out.
    model, channel : written into the records.
    draws : of the intervals (concepts drawn again). seed : of these and of the p-values (scores dealt out to the pairs anew, :data:`DEALT` times;
        pairs share concepts, so that these are if anything too small, and :func:`verdicts` asks for both).

    Returns
    -------
    list of dict
        Records of :func:`edukit.metrics.record`, all with ``n`` pairs:

        * ``coverage``: share of the pairs that the model scores; the rest is absent where these are fewer than 8;
        * ``rank_correlation``: Spearman, score with effect, and ``rank_correlation_p``;
        * ``rank_correlation_weighted``: the same, each pair counting as its precision (1 / squared standard error);
        * ``auc``: pairs whose interval lies above the reference (``n`` counts them) above the others, and ``auc_p``; absent with fewer than 4 of either;
        * ``direction``: share of pairs scored higher in the order that was taught than in the other (ties half), ``group`` ``above`` or ``other``;
          absent with fewer than 4. A platform teaches first what it holds to be required, so that only the difference of the two groups says something.
    """
    told = scores.notna().to_numpy()
    where = {"model": model, "channel": channel, "split": kind}
    records = [record("coverage", float(told.mean()), len(effects), **where)]
    pairs, score, other = effects[told], scores.to_numpy(float)[told], reverse.to_numpy(float)[told]
    if len(pairs) < FEWEST:
        return records
    from scipy.stats import rankdata

    rng = np.random.default_rng(seed)
    above, precise = pairs["above"].to_numpy(bool), pairs["error"].to_numpy(float) ** -2.0
    rank, effect, ones = rankdata(score), rankdata(pairs["effect"]), np.ones(len(pairs))
    drawn = _concept_weights(pairs, draws, rng)
    dealt = rng.permuted(np.tile(rank, (DEALT, 1)), axis=1)
    found = {"rank_correlation": (_together(rank, effect, ones), _together(rank, effect, drawn), _together(dealt, effect, ones)),
             "rank_correlation_weighted": (_together(rank, effect, precise), _together(rank, effect, drawn * precise), None),
             "auc": (auc(above, rank), [auc(above, rank, w) for w in drawn], auc_of_ranks(above, dealt))}
    for name, (value, again, chance) in found.items():
        n = int(above.sum()) if name == "auc" else len(pairs)
        if np.isfinite(value) and (name != "auc" or FEWEST_ABOVE <= n <= len(pairs) - FEWEST_ABOVE):
            records.append(record(name, float(value), n, *_interval(again), **where))
            if chance is not None:
                records.append(record(f"{name}_p", _chance(float(value), chance), n, **where))
    way = np.sign(score - other) / 2 + 0.5
    for group, rows in (("above", above), ("other", ~above)):
        rows = rows & np.isfinite(way)
        if rows.sum() >= FEWEST_ABOVE:
            shares = [float(np.average(way[rows], weights=w[rows])) if w[rows].any() else np.nan for w in drawn]
            records.append(record("direction", float(way[rows].mean()), int(rows.sum()), *_interval(shares), group=group, **where))
    return records


def verdicts(records: list[dict], level: float = 0.05) -> pd.DataFrame:
    """Per kind and model, whether agreement is shown: the interval leaves out no agreement, and so does chance after Holm over all of them.

    Returns
    -------
    DataFrame
        ``split, model, name`` (``rank_correlation`` or ``auc``), ``n, value, low, high, p_holm`` and ``verdict`` (`shown`, `not shown`,
        `shown, the other way`).
    """
    found: Mapping[tuple, dict] = {(r["split"], r["model"], r["name"]): r for r in records}
    rows = [{**{k: r[k] for k in ("split", "model", "name", "n", "value", "low", "high")}, "p": found[split, model, f"{name}_p"]["value"]}
            for (split, model, name), r in found.items() if (split, model, f"{name}_p") in found]
    table = pd.DataFrame(rows, columns=["split", "model", "name", "n", "value", "low", "high", "p"])
    table["p_holm"] = holm(table["p"].tolist())
    none = table["name"].map({"rank_correlation": 0.0, "auc": 0.5})
    sure = table["p_holm"] < level
    table["verdict"] = np.where(sure & (table["low"].astype(float) > none), "shown",
                                np.where(sure & (table["high"].astype(float) < none), "shown, the other way", "not shown"))
    return table.drop(columns="p")
