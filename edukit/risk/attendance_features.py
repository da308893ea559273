"""What a register says of a learner, as features: how much was missed and how late, runs of absence, one weekday, and whether it gets worse.

The tables come from :mod:`edukit.data.attendance`, made of the rows up to the cutoff and of no later ones.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from edukit.risk.features import ACTIONABLE, LATEST, OBSERVED

NAMES = ("absent", "unexcused", "late_days", "minutes_late", "longest_absence", "absence_now", "weekday_absence", "attendance_change", "attendance_slope")
MEANING: dict[str, str] = {name: ACTIONABLE[name] for name in NAMES}
"""Each feature -> what it means; all can be acted on."""
LEVEL = 0.05  # adjusted p below which one weekday is said to be missed more
RUN_DAYS = 5  # days one after the other that make a run of absence
FALLING = 0.05  # loss of attendance in four weeks, at least, that is called a decline


def attendance_features(summary: pd.DataFrame, runs: pd.DataFrame, weekdays: pd.DataFrame, latest_day: float) -> pd.DataFrame:
    """One row a learner, as :func:`edukit.risk.features.build` takes it.

    Parameters
    ----------
    summary, runs, weekdays : tables ``attendance_summary``, ``absence_runs`` and ``weekday_absence`` of the same register.
    latest_day : last day of the register, from the start of the course; :func:`~edukit.risk.features.build` refuses one after the cutoff.

    Returns
    -------
    DataFrame
        learner_id, :data:`~edukit.risk.features.OBSERVED` (days recorded), :data:`~edukit.risk.features.LATEST`, and the features of :data:`MEANING`;
        change and slope are missing below 20 recorded days, lateness where nothing was attended.
    """
    table = summary.set_index("learner_id")
    now = runs[runs["ongoing"]].groupby("learner_id")["days"].max()
    told = weekdays[weekdays["p_adjusted"].astype("float64") < LEVEL].sort_values(["learner_id", "p_adjusted", "weekday"]).drop_duplicates("learner_id")
    more = (told["absent"] / told["days"] - told["elsewhere"]).set_axis(told["learner_id"])
    return pd.DataFrame({
        OBSERVED: table["days"].astype("float64"), LATEST: float(latest_day), "absent": table["absent"], "unexcused": table["unexcused"],
        "late_days": table["late"], "minutes_late": table["minutes_late"], "longest_absence": table["longest_run"].astype("float64"),
        "absence_now": now.reindex(table.index).fillna(0).astype("float64"), "weekday_absence": more.reindex(table.index).fillna(0.0).clip(lower=0),
        "attendance_change": table["change"], "attendance_slope": table["slope"]}).reset_index()


def patterns(summary: pd.DataFrame, features: pd.DataFrame) -> pd.Series:
    """What stands out in each learner's attendance: `declining`, else `absence run`, else `one weekday`, else nothing (`steady`).

    Attendance declines where the interval of its slope lies below 0 and it loses .05 in four weeks or more (a run of absence at the end of few
    weeks looks alike); a run has five days or more. Of many learners some stand out by chance.

    Parameters
    ----------
    summary : table ``attendance_summary``. features : of :func:`attendance_features`, of the same learners.

    Returns
    -------
    Series
        By learner_id.
    """
    table, found = summary.set_index("learner_id"), features.set_index("learner_id")
    run = found["longest_absence"] >= RUN_DAYS
    declines = (table["slope_high"] < 0) & (table["slope"] <= -FALLING)
    named = np.select([declines, run, found["weekday_absence"] > 0], ["declining", "absence run", "one weekday"], "steady")
    return pd.Series(named, index=found.index, name="pattern")
