"""How learners work, read from times: sessions, pauses, idle time, time on task, hesitation, hints and changes of answer.

A timestamp is the moment an action ended, and its duration (response_time_s, duration_s) lies before it. The idle time before an action is
the time from the learner's previous action to its beginning, and not below 0; an event in the middle of a response (a hint) begins with
that response. Where a duration was not logged, work cannot be told from idleness, and the whole time counts. What is said of a response uses
the rows up to it alone. What was not logged is missing, not 0.

Sources: a session ends with half an hour without action (Catledge and Pitkow, 1995, Computer Networks and ISDN Systems, found 25.5 minutes);
time on task depends on such thresholds, so they are parameters (Kovanovic et al., 2015, LAK); response times are compared as logarithms
(van der Linden, 2006, Journal of Educational and Behavioral Statistics).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from edukit.schema import DataError

SESSION_GAP_S, PAUSE_S = 1800.0, 60.0
FEWEST_EARLIER = 5  # responses to an item before its median response time is used
CHANGED = ("changed", "change", "answer_changed", "changed-answer", "edited", "revised")
HINTS = ("hint", "hints", "requested-hint", "requested_hint", "hint_requested", "asked-hint")


def _timed(table: pd.DataFrame, name: str, duration: str) -> pd.DataFrame:
    """learner_id, timestamp and seconds of each row; refuses rows without a time."""
    missing = table["timestamp"].isna() if "timestamp" in table else pd.Series(True, index=table.index)
    if missing.any() or not len(table):
        raise DataError(f"{name}.timestamp must hold the time of every row; found none in {int(missing.sum()):,} of {len(table):,} rows"
                        f"{f' (first: row {int(missing.to_numpy().argmax()) + 1:,})' if missing.any() else ''}. "
                        "Sessions, pauses and hesitation are not available without times; order alone is not enough.")
    seconds = table[duration].astype("float64") if duration in table else pd.Series(np.nan, index=table.index)
    return pd.DataFrame({"learner_id": table["learner_id"], "timestamp": table["timestamp"], "seconds": seconds})


def _work(interactions: pd.DataFrame | None, events: pd.DataFrame | None, session_gap_s: float, pause_s: float) -> pd.DataFrame:
    """Every action by learner and time, with `row` (position in interactions, -1 for an event), session, idle_s and pause."""
    parts = [_timed(table, name, duration).assign(row=np.arange(len(table)) if name == "interactions" else -1)
             for table, name, duration in ((interactions, "interactions", "response_time_s"), (events, "events", "duration_s")) if table is not None]
    if not parts:
        raise DataError("sessions need the table interactions or events; found neither.")
    log = pd.concat(parts).sort_values(["learner_id", "timestamp", "row"], ignore_index=True)
    log["start"] = log["timestamp"] - pd.to_timedelta(log["seconds"].fillna(0), unit="s")
    response = log["row"] >= 0
    coming = log["start"].where(response).groupby(log["learner_id"]).bfill()
    log["start"] = log["start"].where(response | ~(coming < log["start"]), coming)
    previous = log.groupby("learner_id")["timestamp"].shift()
    idle = ((log["start"] - previous) / pd.Timedelta(seconds=1)).clip(lower=0)
    begins = previous.isna() | (idle > session_gap_s)
    log["session"] = begins.groupby(log["learner_id"]).cumsum() - 1
    log["idle_s"] = idle.mask(begins)
    log["pause"] = (idle > pause_s).astype("boolean").mask(begins)
    return log


def sessions(interactions: pd.DataFrame | None = None, events: pd.DataFrame | None = None, session_gap_s: float = SESSION_GAP_S,
             pause_s: float = PAUSE_S) -> pd.DataFrame:
    """Each learner's sessions with pauses, idle time and time on task.

    A session ends where the idle time before the next action exceeds `session_gap_s`. A pause is an idle time above `pause_s` within a
    session; idle_s is the sum of the pauses (shorter gaps count as work). A session starts when its first action began, where that
    action's duration was logged, else when it ended. on_task_s = duration_s - idle_s.

    Parameters
    ----------
    interactions, events : either or both, with timestamps.
    session_gap_s, pause_s : seconds.

    Returns
    -------
    table `sessions`.

    Raises
    ------
    DataError
        Where a row has no timestamp.
    """
    log = _work(interactions, events, session_gap_s, pause_s)
    log["rest"] = log["idle_s"].where(log["pause"].fillna(False), 0.0)
    table = log.groupby(["learner_id", "session"]).agg(start=("start", "first"), end=("timestamp", "last"), actions=("row", "size"),
                                                       pauses=("pause", "sum"), idle_s=("rest", "sum")).reset_index()
    table["duration_s"] = (table["end"] - table["start"]) / pd.Timedelta(seconds=1)
    return table.assign(on_task_s=(table["duration_s"] - table["idle_s"]).clip(lower=0), pauses=table["pauses"].astype(int))


def behaviour(interactions: pd.DataFrame, events: pd.DataFrame | None = None, session_gap_s: float = SESSION_GAP_S, pause_s: float = PAUSE_S) -> pd.DataFrame:
    """How each response came about, row for row.

    session : as in :func:`sessions`. idle_s : idle seconds since the learner's previous response, or the start of the session; missing
        before the first action of a session. pause : whether one of those idle times was a pause.
    hesitation : log(response_time_s / median response time of the item), the median taken over all responses to the item that were given
        strictly earlier, once there are five; missing before that, and where a response time is missing or 0.
    hints, answer_changes : the logged column, else the number of such events of the learner on the item since the learner's previous
        response to it; missing where neither is logged.
    response_changed : whether the response differs from the learner's previous response to the item; missing at the first.

    Parameters
    ----------
    interactions : with timestamps. events : further actions, with timestamps; `kind` tells hints and changes, `resource_id` is the item.
    session_gap_s, pause_s : seconds.

    Returns
    -------
    table `behaviour`, in the order of `interactions`.

    Raises
    ------
    DataError
        Where a row has no timestamp.
    """
    work = _work(interactions, events, session_gap_s, pause_s)
    turn = (work["row"] >= 0).shift(fill_value=False).cumsum()
    since = work.groupby(["learner_id", "session", turn])
    work = work.assign(idle_s=since["idle_s"].transform("sum", min_count=1), pause=since["pause"].transform("max"))
    work = work[work["row"] >= 0].set_index("row").sort_index()
    log = interactions.reset_index(drop=True)
    table = log[["learner_id", "item_id", "timestamp"]].assign(session=work["session"], idle_s=work["idle_s"], pause=work["pause"])
    if "order" in log and log["order"].notna().all():
        table["order"] = log["order"]
    if "response_time_s" in log:
        table["hesitation"] = _hesitation(log)
    for column, kinds in (("hints", HINTS), ("answer_changes", CHANGED)):
        if column in log and log[column].notna().any():
            table[column] = log[column]
        elif events is not None and events["kind"].str.lower().isin(kinds).any() and "resource_id" in events:
            table[column] = _counted(log, events[events["kind"].str.lower().isin(kinds)])
    if "response" in log:
        ordered = log.sort_values(["timestamp"], kind="stable")
        before = ordered.groupby(["learner_id", "item_id"])["response"].shift()
        table["response_changed"] = (ordered["response"] != before).astype("boolean").mask(before.isna() | ordered["response"].isna()).reindex(log.index)
    return table


def _hesitation(log: pd.DataFrame) -> pd.Series:
    """Log-ratio of each response time to the item's median over strictly earlier responses."""
    known = log[log["response_time_s"] > 0].sort_values(["item_id", "timestamp"], kind="stable")
    median = known.groupby("item_id")["response_time_s"].expanding(FEWEST_EARLIER).median().droplevel(0)
    by_moment = known.assign(median=median).groupby(["item_id", "timestamp"])["median"].agg(lambda m: m.iloc[-1])
    earlier = by_moment.groupby("item_id").shift()
    reference = pd.MultiIndex.from_frame(known[["item_id", "timestamp"]])
    return np.log(known["response_time_s"] / earlier.reindex(reference).to_numpy()).reindex(log.index)


def _counted(log: pd.DataFrame, actions: pd.DataFrame) -> pd.Series:
    """Actions of the learner on the item since the learner's previous response to it, for each response."""
    right = log[["learner_id", "item_id", "timestamp"]].assign(row=log.index).sort_values("timestamp", kind="stable")
    weight = actions["count"].fillna(1) if "count" in actions else 1
    left = actions[["learner_id", "resource_id", "timestamp"]].rename(columns={"resource_id": "item_id"}).assign(weight=weight)
    left = left.dropna(subset=["timestamp"]).sort_values("timestamp", kind="stable")
    met = pd.merge_asof(left, right, on="timestamp", by=["learner_id", "item_id"], direction="forward").dropna(subset=["row"])
    return met.groupby("row")["weight"].sum().reindex(log.index, fill_value=0).astype("Int64")
