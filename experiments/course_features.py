"""Every feature of a snapshot that its tables allow: work, clicks, attendance where there is a register, and weeks for a model that reads them."""

from __future__ import annotations

import pandas as pd

from edukit.data.attendance import absence_runs, attendance_summary, weekday_absence
from edukit.risk import features, weekly_events
from edukit.risk.attendance_features import attendance_features
from edukit.risk.snapshot import Taken


def attended(taken: Taken) -> pd.DataFrame | None:
    """Attendance features by learner and presentation (a term of the register), from the register up to the cutoff; None where there is none."""
    register = taken.tables.get("attendance")
    if register is None or register.empty:
        return None
    parts = [attendance_features(attendance_summary(rows), absence_runs(rows), weekday_absence(rows), float(rows["day"].max())).assign(presentation=str(term))
             for term, rows in register.groupby("term")]
    return pd.concat(parts, ignore_index=True)


def course_features(taken: Taken, weekly: bool = False) -> pd.DataFrame:
    """Features by unit, as :func:`edukit.risk.features.build` returns them; ``weekly`` adds the columns of each week."""
    return (weekly_events.build if weekly else features.build)(taken, attended(taken))
