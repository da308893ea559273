"""How one learner works, as far as it was logged: pace, pauses, attempts, changed answers, hesitation and hints. Behaviour, never a state of mind.

Times are compared with those of other learners on the same items, as ratios (van der Linden, 2006, Journal of Educational and Behavioral Statistics);
a median of others is used where enough of them answered the item. What was not logged is said to be so and is no 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from edukit.data.events import PAUSE_S, SESSION_GAP_S, sessions
from edukit.governance.privacy import K

COLUMNS = ("kind", "measure", "value", "low", "high", "unit", "n", "typical", "state")
LOGGED, ABSENT, LITTLE = "logged", "not logged", "not enough data"
SLOW = 2.0  # times the median of others: a response that took longer is called hesitant
FEW = 5  # responses (and sessions) below which nothing is said of a rate
DAY, WEEK = 86_400.0, 7.0
HINTS, SECONDS, TRIES = "hints per answer", "seconds per answer (median)", "items tried again"


def pace(history: pd.DataFrame, others: pd.DataFrame, k: int = K) -> pd.DataFrame:
    """Measures of how one learner works beside what is typical.

    Parameters
    ----------
    history : table ``interactions`` of the learner. others : the same of other learners.
    k : fewest other learners behind a typical value.

    Returns
    -------
    DataFrame
        ``kind`` (pace, pauses, attempts, changes, hesitation, hints), ``measure``, ``value`` with ``low`` and ``high`` (95 %, where it is a mean or a
        share), ``unit``, ``n`` (what it rests on), ``typical`` (the median of other learners, missing where fewer than ``k``), ``state``: `logged`,
        `not logged` or `not enough data`.
    """
    rows = [*_of_days(history, others, k), *_of_sessions(history), *_of_times(history, others, k), *_of_attempts(history),
            _of_counts(history, others, k, "changes", "answer_changes", "changes per answer"), _of_counts(history, others, k, "hints", "hints", HINTS)]
    return pd.DataFrame(rows).reindex(columns=list(COLUMNS)).astype({"n": "Int64", **dict.fromkeys(("value", "low", "high", "typical"), "float64")})


def _row(kind: str, measure: str, state: str, value: float | None = None, n: int | None = None, unit: str = "", **more: Any) -> dict[str, Any]:
    return {"kind": kind, "measure": measure, "value": value, "n": n, "unit": unit, "state": state, **more}


def _there(table: pd.DataFrame, column: str) -> bool:
    return column in table and bool(table[column].notna().any())


def _of_days(history: pd.DataFrame, others: pd.DataFrame, k: int) -> list[dict[str, Any]]:
    """Answers a day with answers and a week from the first answer to the last."""
    names = ("answers on a day with answers", "days with answers a week", "answers a week")
    if not _there(history, "timestamp"):
        return [_row("pace", name, ABSENT) for name in names]
    days = history["timestamp"].dropna().dt.floor("D")
    span = ((days.max() - days.min()) / pd.Timedelta(days=1) + 1) / WEEK
    active = days.nunique()
    if len(days) < FEW:
        return [_row("pace", name, LITTLE, n=len(days)) for name in names]
    typical = dict.fromkeys(names)
    if _there(others, "timestamp"):
        day = others.dropna(subset=["timestamp"]).assign(day=lambda table: table["timestamp"].dt.floor("D"))
        of = day.groupby("learner_id")["day"].agg(["size", "nunique", "min", "max"])
        weeks = ((of["max"] - of["min"]) / pd.Timedelta(days=1) + 1) / WEEK
        if len(of) >= k:
            typical = dict(zip(names, map(float, ((of["size"] / of["nunique"]).median(), (of["nunique"] / weeks.clip(lower=1)).median(),
                                                  (of["size"] / weeks.clip(lower=1)).median())), strict=True))
    weeks = max(float(span), 1.0)
    return [_row("pace", names[0], LOGGED, len(days) / active, int(active), "answers", typical=typical[names[0]]),
            _row("pace", names[1], LOGGED, active / weeks, int(active), "days", typical=typical[names[1]]),
            _row("pace", names[2], LOGGED, len(days) / weeks, len(days), "answers", typical=typical[names[2]])]


def _of_sessions(history: pd.DataFrame) -> list[dict[str, Any]]:
    """Stretches of work, the pauses in them and the gaps between them."""
    names = (f"sessions (apart by {SESSION_GAP_S / 60:.0f} minutes or more)", "minutes of a session (median)", "pauses (of a minute or more) a session",
             "days between sessions (median)", "longest gap between sessions")
    if not _there(history, "timestamp"):
        return [_row("pauses", name, ABSENT) for name in names]
    table = sessions(history.dropna(subset=["timestamp"]), session_gap_s=SESSION_GAP_S, pause_s=PAUSE_S)
    gaps = ((table["start"] - table["end"].shift()) / pd.Timedelta(seconds=1)).iloc[1:] / DAY
    found = [_row("pauses", names[0], LOGGED, float(len(table)), int(len(table)), "sessions")]
    values = ((names[1], table["duration_s"].median() / 60, "minutes"), (names[2], table["pauses"].mean(), "pauses"))
    found += [_row("pauses", name, LOGGED, float(value), int(len(table)), unit) if len(table) >= FEW else _row("pauses", name, LITTLE, n=int(len(table)))
              for name, value, unit in values]
    return found + [_row("pauses", name, LOGGED, float(value), int(len(gaps)), "days") if len(gaps) else _row("pauses", name, LITTLE, n=0)
                    for name, value in ((names[3], gaps.median()), (names[4], gaps.max()))]


def _of_times(history: pd.DataFrame, others: pd.DataFrame, k: int) -> list[dict[str, Any]]:
    """Seconds an answer takes, its ratio to the median of others on the same item, and the share that took more than twice as long."""
    ratio, slow = "time, against the median of others on the same item", f"answers that took more than {SLOW:.0f} times that median"
    places = (("pace", SECONDS), ("pace", ratio), ("hesitation", slow))
    if not _there(history, "response_time_s"):
        return [_row(kind, name, ABSENT) for kind, name in places]
    own = history[history["response_time_s"] > 0]
    if len(own) < FEW:
        return [_row(kind, name, LITTLE, n=len(own)) for kind, name in places]
    found = [_row("pace", SECONDS, LOGGED, float(own["response_time_s"].median()), len(own), "seconds")]
    timed = others[others["item_id"].isin(own["item_id"]) & (others["response_time_s"] > 0)] if _there(others, "response_time_s") else others.iloc[:0]
    of = timed.groupby("item_id").agg(median=("response_time_s", "median"), learners=("learner_id", "nunique")) if len(timed) else None
    usual = own["item_id"].map(of.loc[of["learners"] >= k, "median"]) if of is not None else pd.Series(np.nan, index=own.index)
    logs = np.log((own["response_time_s"] / usual).dropna().to_numpy(float))
    if len(logs) < FEW:
        return [*found, _row("pace", ratio, LITTLE, n=len(logs)), _row("hesitation", slow, LITTLE, n=len(logs))]
    reach = 1.96 * logs.std(ddof=1) / np.sqrt(len(logs))
    found.append(_row("pace", ratio, LOGGED, float(np.exp(logs.mean())), len(logs), "times", low=float(np.exp(logs.mean() - reach)),
                      high=float(np.exp(logs.mean() + reach)), typical=1.0))
    return [*found, _share("hesitation", slow, int((logs > np.log(SLOW)).sum()), len(logs))]


def _of_attempts(history: pd.DataFrame) -> list[dict[str, Any]]:
    """Items tried again, and how the first and the later attempts went."""
    names = (TRIES, "first attempts right", "later attempts right")
    if not _there(history, "attempt") and history["order"].isna().any():
        return [_row("attempts", name, ABSENT) for name in names]
    nth = history.sort_values("order", kind="stable").groupby("item_id").cumcount().reindex(history.index) + 1
    attempt = history["attempt"].fillna(nth) if _there(history, "attempt") else nth
    most = attempt.groupby(history["item_id"]).max()
    found = [_share("attempts", names[0], int((most > 1).sum()), len(most))]
    for name, rows in ((names[1], history[attempt == 1]), (names[2], history[attempt > 1])):
        found.append(_share("attempts", name, float(rows["correct"].sum()), len(rows)))
    return found


def _of_counts(history: pd.DataFrame, others: pd.DataFrame, k: int, kind: str, column: str, measure: str) -> dict[str, Any]:
    """A mean count per answer beside the median of other learners' means on the same items."""
    if not _there(history, column):
        return _row(kind, measure, ABSENT)
    own = history[column].dropna().astype(float)
    if len(own) < FEW:
        return _row(kind, measure, LITTLE, n=len(own))
    reach = 1.96 * own.std(ddof=1) / np.sqrt(len(own))
    typical = None
    if _there(others, column):
        means = others[others["item_id"].isin(history["item_id"])].dropna(subset=[column]).groupby("learner_id")[column].mean()
        typical = float(means.median()) if len(means) >= k else None
    return _row(kind, measure, LOGGED, float(own.mean()), len(own), column.replace("_", " "), low=max(float(own.mean() - reach), 0.0),
                high=float(own.mean() + reach), typical=typical)


def _share(kind: str, measure: str, count: float, n: int) -> dict[str, Any]:
    """A share with its 95 % interval (Wilson, 1927)."""
    if n < FEW:
        return _row(kind, measure, LITTLE, n=n)
    share, z = count / n, 1.96
    centre, reach = (share + z**2 / (2 * n)) / (1 + z**2 / n), z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return _row(kind, measure, LOGGED, share, n, "share", low=max(centre - reach, 0.0), high=min(centre + reach, 1.0))
