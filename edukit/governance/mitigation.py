"""What can be done about a gap between groups, and what each way costs: shown side by side, on learners that chose nothing.

Two ways treat all learners alike: probabilities made to mean what they say, and a search for one threshold for everybody. Neither can change how a model
ranks learners, so that ABROCA stays: only a better model, or better data, helps there. A third decides by group. It must be asked for: to treat two
learners of equal risk differently because of who they are is for people to decide, and in places unlawful.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from edukit.governance.abroca import abroca
from edukit.governance.fairness import grouped
from edukit.governance.privacy import K
from edukit.metrics import auc, ece
from edukit.recalibration import Platt
from edukit.schema import DataError

Array = np.ndarray
USED = 0.5  # least part of the capacity that a threshold has to use: without alarms every gap is 0
CANDIDATES = 50  # thresholds tried
NEEDED = ("y", "p", "group")


def recalibrated(y: Array, p: Array, new: Array) -> Array:
    """(M,) probabilities ``new`` after the line through the log-odds that (N,) outcomes ``y`` ask of ``p``; the order stays, no group is known."""
    curve = Platt.fit(np.asarray(p, float), np.asarray(y) >= 0.5)
    return curve(new) if curve.slope > 0 else np.asarray(new, float)


def fairest_share(y: Array, p: Array, group: pd.Series, capacity: float, units: Array | None = None, k: int = K) -> float:
    """The share of alarms, from one threshold for everybody, with the smallest worst gap between a group and the rest in true or false positive rates.

    A share and not a value, as probabilities drift from year to year, and a capacity does not.

    Parameters
    ----------
    y, p, group : (N,) outcomes, probabilities and one attribute of learners that are not reported on later.
    capacity : largest share of alarms; at least half of it is used.
    units : (N,) learners; groups of fewer than ``k`` play no part.
    """
    right = np.asarray(y) >= 0.5
    members = _members(group, units, k)
    tried = np.linspace(capacity, USED * capacity, CANDIDATES)
    return float(min(tried, key=lambda share: round(max(_rate_gaps(right, first(p, share), members), default=0.0), 9)))


def first(p: Array, share: float) -> Array:
    """(N,) chance of an alarm where the ``share`` with the highest probabilities has one: 1 or 0, and among equals at the border the same for each.

    Whatever lots are drawn among those equals, no place in a table decides; the rates that follow are what to expect of the lots.

    Examples
    --------
    >>> first(np.array([0.9, 0.5, 0.5, 0.1]), 0.5).tolist()
    [1.0, 0.5, 0.5, 0.0]
    """
    p = np.asarray(p, float)
    places = max(round(share * len(p)), 1)
    border = np.sort(p)[::-1][min(places, len(p)) - 1]
    above, equal = p > border, p == border
    return above + equal * (places - above.sum()) / equal.sum()


def compare(fit: pd.DataFrame, test: pd.DataFrame, capacity: float = 0.2, *, group_aware: bool = False, k: int = K, seed: int = 0) -> pd.DataFrame:
    """Each way beside predictions as they are: chosen on ``fit``, told of ``test``.

    Parameters
    ----------
    fit, test : ``y``, ``p``, ``group`` (one attribute, any coding) and, where a learner has several rows, ``learner_id``.
    capacity : share of the rows that can be acted on.
    group_aware : also a threshold per group (fairlearn), which reads the group of each learner when it decides, draws lots where it must, and knows no
        capacity. Who states no group, or one of fewer than ``k`` learners or of one outcome in ``fit``, is decided as if nobody's group were read.

    Returns
    -------
    DataFrame
        A row per way: ``way``, ``reads_group``, ``alarms`` (share), ``precision`` and ``recall`` of them, ``auc``, ``ece``, the worst gap of any group of at
        least ``k`` learners: ``tpr_gap``, ``fpr_gap``, ``calibration_gap``, ``abroca``.

    Raises
    ------
    DataError
        Where a column is missing, an outcome is of one kind only, or the capacity is no share.

    References
    ----------
    Hardt, Price and Srebro (2016), NeurIPS; Bird et al. (2020), fairlearn.
    """
    for name, rows in (("fit", fit), ("test", test)):
        if missing := [c for c in NEEDED if c not in rows]:
            raise DataError(f"{name} must have the columns {', '.join(NEEDED)}; found no {', '.join(missing)}.")
        if rows["y"].ge(0.5).nunique() < 2:
            raise DataError(f"{name} must hold both outcomes; found one. Give more learners.")
    if not 0 < capacity < 1:
        raise DataError(f"capacity must be a share between 0 and 1; found {capacity:g}. 0.2 is a call to every fifth learner.")
    y, p, q = fit["y"].to_numpy(float), fit["p"].to_numpy(float), test["p"].to_numpy(float)
    calibrated = recalibrated(y, p, q)
    plain = first(q, capacity)
    units = fit["learner_id"].to_numpy() if "learner_id" in fit else None
    share = fairest_share(y, p, fit["group"], capacity, units, k)
    rows = [_told("as it is", test, q, plain, k), _told("recalibrated", test, calibrated, plain, k),
            _told("one threshold searched", test, calibrated, first(q, share), k)]
    if group_aware:
        rows.append(_told("a threshold per group (fairlearn)", test, calibrated, _by_group(fit, test, plain, k, seed), k, reads=True))
    return pd.DataFrame(rows)


def _members(group: pd.Series, units: Array | None, k: int) -> list[Array]:
    codes = np.arange(len(group)) if units is None else pd.factorize(units)[0]
    kept = [member & among for _, member, among in grouped(group, codes, k)]
    return [m for m in kept if min(len(np.unique(codes[side])) for side in (m, ~m)) >= k]


def _rate_gaps(right: Array, alarm: Array, members: list[Array], kinds: tuple[bool, ...] = (True, False)) -> list[float]:
    """Size of every gap in the share of alarms, group less rest, among the 1s (True) and the 0s (False)."""
    return [abs(float(alarm[(right == kind) & m].mean() - alarm[(right == kind) & ~m].mean())) for m in members for kind in kinds
            if min(((right == kind) & m).sum(), ((right == kind) & ~m).sum()) >= K]


def _told(way: str, test: pd.DataFrame, p: Array, alarm: Array, k: int, reads: bool = False) -> dict:
    right, members = test["y"].to_numpy() >= 0.5, _members(test["group"], test["learner_id"].to_numpy() if "learner_id" in test else None, k)
    off = right - p
    worst = {"tpr_gap": _rate_gaps(right, alarm, members, (True,)), "fpr_gap": _rate_gaps(right, alarm, members, (False,)),
             "calibration_gap": [abs(float(off[m].mean() - off[~m].mean())) for m in members], "abroca": [abroca(right, p, m) for m in members]}
    return {"way": way, "reads_group": reads, "alarms": float(alarm.mean()), "precision": float(alarm @ right / alarm.sum()) if alarm.any() else np.nan,
            "recall": float(alarm[right].mean()), "auc": auc(right, p), "ece": ece(right, p),
            **{name: max((v for v in found if np.isfinite(v)), default=np.nan) for name, found in worst.items()}}


def _by_group(fit: pd.DataFrame, test: pd.DataFrame, plain: Array, k: int, seed: int) -> Array:
    """(M,) alarms of thresholds with equal true and false positive rates in all groups, fitted on ``fit``; ``plain`` of those whose group is not read."""
    from fairlearn.postprocessing import ThresholdOptimizer
    from sklearn.linear_model import LogisticRegression

    size, right = len(fit), fit["y"].ge(0.5).to_numpy()
    group = pd.concat([fit["group"], test["group"]], ignore_index=True)
    units = pd.factorize(np.concatenate([rows["learner_id"] if "learner_id" in rows else np.arange(len(rows)) for rows in (fit, test)]))[0]
    labels = np.full(len(group), "", object)  # the bands of a number are the same in both
    for label, member, _ in grouped(group, units, k):
        learnt = member[:size]
        if group[member].notna().all() and len(np.unique(units[:size][learnt])) >= k and len(np.unique(right[learnt])) == 2:
            labels[member] = label
    known, asked = labels[:size] != "", labels[size:] != ""
    alarm = plain.copy()
    if known.any() and asked.any():
        rule = ThresholdOptimizer(estimator=LogisticRegression(C=1e6), constraints="equalized_odds", objective="balanced_accuracy_score",
                                  predict_method="predict_proba")  # the estimator keeps the order of p
        rule.fit(fit.loc[known, ["p"]].to_numpy(float), right[known].astype(int), sensitive_features=labels[:size][known])
        alarm[asked] = rule.predict(test.loc[asked, ["p"]].to_numpy(float), sensitive_features=labels[size:][asked], random_state=seed)
    return alarm
