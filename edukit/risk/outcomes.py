"""How enrolments ended, and when: what early warning is about, and is judged by. Never known at a cutoff."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from edukit.risk.snapshot import RUN, UNIT
from edukit.schema import DataError

ADVERSE = ("Fail", "Withdrawn")


def outcome(tables: Mapping[str, pd.DataFrame]) -> pd.Series:
    """1 where an enrolment ended as Fail or Withdrawn, else 0, by unit (index); NaN where no result is stated.

    Raises
    ------
    DataError
        Where no enrolment states a result.
    """
    enrolments = tables["enrolments"]
    result = enrolments["final_result"] if "final_result" in enrolments else pd.Series(None, enrolments.index, dtype="object")
    if result.isna().all():
        raise DataError("early warning learns from how past enrolments ended; found no enrolments.final_result. Use data with results, such as "
                        "data=synthetic_course.")
    ended = result.isin(ADVERSE).astype("float64").where(result.notna())
    return ended.set_axis(pd.MultiIndex.from_frame(enrolments[UNIT])).rename("outcome").sort_index()


def left_day(tables: Mapping[str, pd.DataFrame]) -> pd.Series:
    """The day of withdrawal, by unit (index); NaN where none is stated."""
    enrolments = tables["enrolments"]
    left = enrolments["unregistered_day"] if "unregistered_day" in enrolments else pd.Series(float("nan"), enrolments.index)
    return left.set_axis(pd.MultiIndex.from_frame(enrolments[UNIT])).rename("left_day")


def end_day(tables: Mapping[str, pd.DataFrame]) -> pd.Series:
    """The day an enrolment ended, by unit (index): of withdrawal, else the last of the run; NaN where neither is stated."""
    enrolments, runs = tables["enrolments"], tables.get("runs")
    left = left_day(tables).set_axis(enrolments.index)
    if runs is not None and "length_days" in runs:
        left = left.fillna(enrolments.merge(runs, on=RUN, how="left")["length_days"].set_axis(enrolments.index))
    return left.set_axis(pd.MultiIndex.from_frame(enrolments[UNIT])).rename("end_day").sort_index()
