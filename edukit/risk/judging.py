"""How good early warning is: ranking, calibration, what a stated capacity reaches, how early it warns, how steady it is, and whom it alarms wrongly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from edukit.governance.privacy import TOTAL, K, aggregate
from edukit.metrics import auc, bootstrap, brier, ece, interval, record
from edukit.risk.capacity import in_turn

Array = np.ndarray
SHARE = 0.2  # of all learners, at which precision and recall are told beside the capacity
NOT_STATED = "not stated"  # a group of its own: left out, it could be found by subtraction


def average_precision(y: Array, p: Array, weight: Array) -> float:
    """Area under precision-recall, step-wise; NaN without anybody who failed or left."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(y, p, sample_weight=weight)) if (y * weight).any() else float("nan")


def reached(share: float, what: str) -> Callable[[Array, Array, Array], float]:
    """A score of rows that stand in their turn: among the first ``share`` of them, the share that failed or left (``precision``), or the share
    of all who failed or left that is among them (``recall``)."""
    def score(y: Array, p: Array, weight: Array) -> float:
        order = np.argsort(-p, kind="stable")
        w, hit = weight[order].astype(float), y[order]
        room = share * w.sum()
        taken = np.clip(room - (np.cumsum(w) - w), 0, w)
        total = room if what == "precision" else (w * hit).sum()
        return float(taken @ hit / total) if total else float("nan")
    return score


def scores(y: pd.Series, risk: pd.Series, capacity: int, called: pd.Series | None = None, *, seed: int = 0, draws: int = 200, **where: str) -> list[dict]:
    """AUC, AP, Brier, ECE, and precision and recall at the capacity and at a fifth of all learners, with intervals over learners drawn again.

    Parameters
    ----------
    y, risk : (N,) outcomes in {0, 1} and risks, by unit (same index).
    called : (N,) what learners are called by, for precision and recall: a learner without a value comes last. Default: the risk.
    where : ``split``, ``model``, ``group`` and ``channel`` of the records.
    """
    share = min(capacity / max(len(risk), 1), 1.0)
    at = {f"{what}_at_{name}": reached(part, what) for name, part in (("capacity", share), ("20_percent", SHARE)) for what in ("precision", "recall")}
    found = []
    for of, functions in ((risk, {"auc": auc, "ap": average_precision, "brier": brier, "ece": ece}), (risk if called is None else called.fillna(-1.0), at)):
        turn = in_turn(of)
        truth, p, units = y.to_numpy(float)[turn], of.to_numpy(float)[turn], pd.factorize(of.index.get_level_values("learner_id")[turn])[0]
        for name, function in functions.items():
            low, high = bootstrap(truth, p, units, function, seed=seed, draws=draws) if draws else (None, None)
            found.append(record(name, function(truth, p, np.ones(len(p))), len(p), low, high, **where))
    return found


def lead_times(alerts: Mapping[float, pd.Index], y: pd.Series, end_day: pd.Series, *, seed: int = 0, draws: int = 200, **where: str) -> list[dict]:
    """Median days from a learner's first alert to the withdrawal, or to the end of the run they failed; and the share of them who had an alert.

    Parameters
    ----------
    alerts : units alerted, by cutoff day, in order of time.
    y, end_day : outcome and last day by unit, of everybody who was in the population at some cutoff.
    """
    first: dict[tuple, float] = {}
    for day, units in alerts.items():
        for unit in units:
            first.setdefault(unit, day)
    adverse = y.index[y == 1]
    lead = (end_day.reindex(adverse) - pd.Series(first, dtype="float64").reindex(adverse)).to_numpy(float) if first else np.full(len(adverse), np.nan)
    known = np.isfinite(lead)
    warned, whose = lead[known], pd.factorize(adverse.get_level_values("learner_id")[known])[0]
    of_learner = [warned[whose == n] for n in range(whose.max() + 1)] if len(warned) else []
    rng = np.random.default_rng(seed)
    low, high = interval(np.array([np.median(np.concatenate([of_learner[n] for n in rng.integers(0, len(of_learner), len(of_learner))]))
                                   for _ in range(draws)])) if len(warned) and draws else (None, None)
    return [record("lead_days", float(np.median(warned)) if len(warned) else None, len(warned), low, high, **where),
            record("warned", len(warned) / len(adverse) if len(adverse) else None, len(adverse), **where)]


def churn(alerts: Mapping[float, pd.Index], **where: str) -> list[dict]:
    """Share of the alerts of a cutoff that are new since the one before, one record a cutoff but the first (``channel`` = its day)."""
    days = list(alerts)
    return [record("alert_churn", float((~alerts[day].isin(alerts[before])).mean()) if len(alerts[day]) else None, len(alerts[day]),
                   **{**where, "channel": f"day {day:g}"}) for before, day in zip(days, days[1:], strict=False)]


def false_alarms(alerted: pd.Index, y: pd.Series, learners: pd.DataFrame | None, attributes: Sequence[str], **where: str) -> list[dict]:
    """How many were alerted and yet passed: in all, and by group.

    A number below the privacy gate, or one that subtraction would bring back, is hidden: the record is there, without it. So are all numbers
    of an attribute where the total itself is small.

    Parameters
    ----------
    alerted : units with an alert. y : outcome by unit. learners : table, for the groups.
    """
    wrong = alerted[y.reindex(alerted).to_numpy() == 0]
    found = [record("false_alarms", len(wrong), len(alerted), **where)]
    if learners is None or not len(wrong):
        return found
    rows = wrong.to_frame(index=False)[["learner_id"]].merge(learners, on="learner_id", how="left").drop_duplicates("learner_id")
    for attribute in attributes:
        rows[attribute] = rows[attribute].astype(object).where(rows[attribute].notna(), NOT_STATED).astype("str")
        if len(rows) < K or (rows[attribute] == NOT_STATED).all():
            found.append(record("false_alarms", None, **{**where, "group": f"{attribute} (not enough data)"}))
            continue
        cells = aggregate(rows, [attribute]).cells
        found += [record("false_alarms", None if cell.hidden else int(cell.n), **{**where, "group": f"{attribute}={getattr(cell, attribute)}"})
                  for cell in cells.itertuples() if getattr(cell, attribute) != TOTAL]
    return found
