"""What a learner did on the course pages: how much, on how many days, how lately, and how that compares with the same run."""

from __future__ import annotations

import numpy as np
import pandas as pd

from edukit.risk.snapshot import RUN, UNIT, Taken

RECENT = 14  # days
DAYS = "active day"  # kind of event whose count is a number of days with an action, and never of actions


def click_features(taken: Taken) -> tuple[pd.DataFrame, dict[str, float]]:
    """Counts of actions of every enrolment, with ``observed`` and the latest day each feature rests on.

    An enrolment without an action has 0 where somebody of its run has one, and NaN where the run has no log. Events that name no run count
    for learners with one enrolment only.
    """
    cutoff, events = taken.snapshot.cutoff_day, _placed(taken)
    latest = float(events["day"].max())
    count = events["count"].fillna(1).astype("float64") if "count" in events else pd.Series(1.0, events.index)
    told = events["kind"] == DAYS
    events = events.assign(clicks=count.where(~told, 0.0), days=count.where(told))
    recent, before = events["day"] > cutoff - RECENT, events["day"].between(cutoff - 2 * RECENT, cutoff - RECENT, inclusive="right")
    events = events.assign(recent=events["clicks"].where(recent, 0.0), before=events["clicks"].where(before, 0.0),
                           last=events["day"].where(events["clicks"] > 0))
    by = events.groupby(UNIT)
    found = by.agg(clicks=("clicks", "sum"), recent_clicks=("recent", "sum"), before=("before", "sum"), last=("last", "max"), stated=("days", "sum"))
    acted = events[~told]
    found["active_days"] = found["stated"] if told.any() else acted.groupby(UNIT)["day"].nunique().reindex(found.index)
    found["kinds_used"] = acted.groupby(UNIT)["kind"].nunique().reindex(found.index)
    logged = pd.MultiIndex.from_frame(events[RUN].drop_duplicates())
    found = found.reindex(taken.enrolments)
    there = pd.Series(found.index.droplevel("learner_id").isin(logged), found.index)
    for name in ("clicks", "recent_clicks", "before", "active_days", "kinds_used"):
        found[name] = found[name].fillna(0.0).where(there)
    size = found["clicks"].map(np.log1p)
    found["clicks_to_median"] = size - size.groupby(level=RUN).transform("median")
    found["active_days_to_mean"] = found["active_days"] - found["active_days"].groupby(level=RUN).transform("mean")
    found["click_change"] = (np.log1p(found["recent_clicks"]) - np.log1p(found["before"])) if cutoff >= RECENT else np.nan
    found["days_since_click"] = cutoff - found["last"]
    found["observed"] = found["active_days"].fillna(0.0)
    found = found.drop(columns=["before", "last", "stated"])
    return found, dict.fromkeys([str(name) for name in found if name != "observed"], latest)


def _placed(taken: Taken) -> pd.DataFrame:
    """Events with the run they belong to."""
    events = taken.tables["events"]
    if all(column in events for column in RUN):
        return events[events["module_id"].notna() & events["presentation"].notna()]
    units = taken.tables["enrolments"][UNIT]
    single = units[~units["learner_id"].duplicated(keep=False)]
    return events.drop(columns=[c for c in RUN if c in events]).merge(single, on="learner_id")
