"""What a snapshot says of each enrolment, as numbers that a model may read and a teacher can understand.

Every feature is built from the tables of one :class:`~edukit.risk.snapshot.Taken`, carries the latest day it rests on, and is refused where that
day lies after the cutoff. A feature is *actionable* where the learner or a teacher can still change it, and *context* where nobody can.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from edukit.risk.clicks import click_features
from edukit.risk.snapshot import RUN, UNIT, Taken
from edukit.risk.work import work_features
from edukit.schema import DataError

LATEST = "latest_day"
"""Column of a table of given features: the last day that its row rests on. It is checked, and no feature itself."""
OBSERVED = "observed"
"""Column of the result: how many things were seen of the learner. 0 = nothing is said."""
NOT_READ = (OBSERVED, "due")
"""Columns of the result that no model reads. How much work was due so far tells which run it is, not who; it turns shares into counts."""

ACTIONABLE: dict[str, str] = {
    "mean_score": "mean mark so far",
    "weighted_score": "mean mark so far, by the weight of each piece of work",
    "score_to_mean": "marks above or below the mean of the same work in the same run",
    "lowest_score": "lowest mark so far",
    "last_score_to_mean": "latest mark, above or below the mean of the same work",
    "score_change": "latest mark against the ones before, each relative to the mean",
    "marks_earned": "share of the marks on offer so far that were earned",
    "submitted": "pieces of work handed in",
    "share_submitted": "share of the work due so far that was handed in",
    "missed": "pieces of work missed so far",
    "missed_weight": "share of the weight due so far that was missed",
    "missed_in_a_row": "latest pieces of work due, missed one after the other",
    "late": "pieces of work handed in late",
    "days_early": "days before the due day that work is handed in, on average (negative = late)",
    "last_days_early": "days before the due day that the latest work was handed in",
    "days_since_submission": "days since work was last handed in",
    "ahead": "pieces of work handed in that are not due yet",
    "clicks": "actions on the course pages",
    "clicks_to_median": "actions on the course pages against the median of the same run (logarithm)",
    "active_days": "days with an action on the course pages",
    "active_days_to_mean": "days with an action, above or below the mean of the same run",
    "recent_clicks": "actions in the last 14 days",
    "click_change": "actions of the last 14 days against the 14 before (logarithm)",
    "days_since_click": "days since the last action on the course pages",
    "kinds_used": "different kinds of pages used",
    "mean_mastery": "mean mastery of the concepts met",
    "lowest_mastery": "mastery of the weakest concept met",
    "weak_concepts": "concepts met with mastery below one half",
    "absent": "share of days away, excused or not",
    "unexcused": "share of days away without excuse",
    "late_days": "share of days attended that began late",
    "minutes_late": "mean minutes late on late days",
    "longest_absence": "longest run of days away, one after the other",
    "absence_now": "days away up to now, one after the other",
    "weekday_absence": "share of one weekday missed above that of the others, where it is more than chance",
    "attendance_change": "attendance of the later half of the days less that of the earlier half",
    "attendance_slope": "change of attendance in four weeks",
}
"""What a learner or a teacher can still change: name -> what it means."""

CONTEXT: dict[str, str] = {
    "previous_attempts": "earlier attempts at this module",
    "credits": "credits studied at the same time",
    "registered_early": "days registered before the start (negative = after it)",
    "modules_at_once": "modules taken in the same presentation",
    "banked": "marks carried over from an earlier presentation",
    "banked_score": "mean of the marks carried over",
    "due": "pieces of work due so far",
}
"""What nobody can change any more: name -> what it means. Columns ``module=…``, ``starts=…`` and those of attributes (``gender=…``) are context too."""

MONOTONE: dict[str, int] = {
    **dict.fromkeys(("mean_score", "weighted_score", "score_to_mean", "lowest_score", "last_score_to_mean", "marks_earned", "share_submitted",
                     "submitted", "days_early", "active_days", "active_days_to_mean", "clicks", "clicks_to_median", "recent_clicks", "mean_mastery",
                     "lowest_mastery"), -1),
    **dict.fromkeys(("missed", "missed_weight", "missed_in_a_row", "late", "days_since_click", "weak_concepts"), 1)}
"""Which way the risk may go as a feature rises, all else equal: more work handed in never raises it."""
TO_RUN = "_to_run"
RELATIVE = ("submitted", "share_submitted", "missed", "missed_weight", "missed_in_a_row", "late", "ahead", "days_since_submission", "days_early",
            "last_days_early", "mean_score", "weighted_score", "marks_earned", "lowest_score")
"""Features that are also told less the mean of their run, under their name with :data:`TO_RUN`: due days move from year to year, and counts with them."""
DIGITS = 9  # decimals kept: sums over learners in another order differ in the last bits
SEASON = re.compile(r"^\d{4}(\D+)$")  # 2014J: the letters tell when in the year a run begins


def check_latest(latest: Mapping[str, float], cutoff_day: float) -> None:
    """Refuse features that rest on what came after the cutoff.

    Parameters
    ----------
    latest : the latest day that each feature rests on; NaN where it rests on no dated row.

    Raises
    ------
    DataError
        Naming every such feature, the first with its day.
    """
    late = {name: day for name, day in latest.items() if day > cutoff_day}
    if late:
        name, day = next(iter(late.items()))
        raise DataError(f"features must rest on day {cutoff_day:g} or earlier; found {name} with a row of day {day:g} ({len(late)} of {len(latest)} features: "
                        f"{', '.join(late)}). Cut the table off before it is joined: Snapshot.take.")


def build(taken: Taken, attendance: pd.DataFrame | None = None, mastery: pd.DataFrame | None = None) -> pd.DataFrame:
    """Every feature of every enrolment of the population.

    Parameters
    ----------
    taken : what :meth:`edukit.risk.snapshot.Snapshot.take` returned.
    attendance : numbers a learner or enrolment (columns ``learner_id``, or all three of a unit), with :data:`LATEST`; every other column is a feature.
    mastery : table ``mastery`` with :data:`LATEST`, from responses up to the cutoff.

    Returns
    -------
    DataFrame
        One row a unit (index, sorted): :data:`OBSERVED`, then numeric features; NaN where one cannot be known. ``attrs['latest']`` holds the
        latest day by feature.

    Raises
    ------
    DataError
        Where a feature rests on a day after the cutoff.
    """
    cutoff, blocks = taken.snapshot.cutoff_day, []
    for block in _blocks(taken, attendance, mastery):
        check_latest(block[1], cutoff)
        blocks.append(block)
    frames = [block[0].reindex(taken.enrolments) for block in blocks]
    table = pd.concat([frame.drop(columns=OBSERVED, errors="ignore") for frame in frames], axis=1)
    seen = sum((frame[OBSERVED].fillna(0) for frame in frames if OBSERVED in frame), start=pd.Series(0.0, taken.enrolments))
    table.insert(0, OBSERVED, seen)
    latest = {name: day for block in blocks for name, day in block[1].items() if name in table}
    told = [name for name in RELATIVE if name in table]
    table = pd.concat([table, (table[told] - table[told].groupby(level=RUN).transform("mean")).add_suffix(TO_RUN)], axis=1)
    table.attrs["latest"] = {**latest, **{name + TO_RUN: latest[name] for name in told}}
    return table.astype("float64").round(DIGITS)


def meaning(feature: str) -> str:
    """What a feature means in words, whichever it is."""
    if feature.endswith(TO_RUN):
        return f"{meaning(feature.removesuffix(TO_RUN))}, above or below the mean of the run"
    return ACTIONABLE.get(feature) or CONTEXT.get(feature) or feature.replace("=", ": ").replace("_", " ")


def actionable(feature: str) -> bool:
    """Whether the learner or a teacher can still change it; a given feature of attendance can be changed."""
    return feature not in CONTEXT and "=" not in feature


Block = tuple[pd.DataFrame, dict[str, float]]


def _blocks(taken: Taken, attendance: pd.DataFrame | None, mastery: pd.DataFrame | None) -> Iterator[Block]:
    """Features in groups, indexed by unit, each with the latest day of every feature."""
    yield background(taken)
    if "submissions" in taken.tables and "assessments" in taken.tables:
        yield work_features(taken)
    if "events" in taken.tables:
        yield click_features(taken)
    if attendance is not None:
        yield _given(taken, attendance, "attendance features")
    if mastery is not None:
        yield _given(taken, _mastered(mastery), "mastery")


def background(taken: Taken) -> Block:
    """What the registration says, which module and time of year it is, and the attributes that were asked for."""
    rows = taken.tables["enrolments"]
    known = rows.set_index(UNIT)
    found = pd.DataFrame(index=known.index)
    for name in ("previous_attempts", "credits"):
        if name in known:
            found[name] = known[name].astype("float64")
    if "registered_day" in known:
        found["registered_early"] = -known["registered_day"]
    found["modules_at_once"] = rows.groupby(["learner_id", "presentation"])["module_id"].transform("size").to_numpy(float)
    found = pd.concat([found, _flags("module", known.index.get_level_values("module_id"), known.index)], axis=1)
    season = known.index.get_level_values("presentation").to_series(index=known.index).str.extract(SEASON)[0]
    if season.nunique() > 1:
        found = pd.concat([found, _flags("starts", season, known.index)], axis=1)
    for attribute in taken.snapshot.attributes:
        people = taken.tables["learners"].dropna(subset=[attribute]).drop_duplicates("learner_id")
        of = people.set_index("learner_id")[attribute].astype("str")
        found = pd.concat([found, _flags(attribute, known.index.get_level_values("learner_id").map(of), known.index)], axis=1)
    return found, dict.fromkeys([str(name) for name in found], taken.latest.get("enrolments", np.nan))


def _flags(name: str, values: object, index: pd.MultiIndex) -> pd.DataFrame:
    """One column of 0 and 1 a value, named ``name=value``; all 0 where the value is missing."""
    return pd.get_dummies(pd.Series(np.asarray(values, dtype=object), index=index), dtype="float64").sort_index(axis=1).add_prefix(f"{name}=")


def _mastered(mastery: pd.DataFrame) -> pd.DataFrame:
    """Mastery of a learner over the concepts met: those with a response."""
    if LATEST not in mastery:
        return mastery
    met = mastery[mastery["n"] > 0]
    by = met.assign(weak=met["mastery"] < 0.5).groupby("learner_id")
    return by.agg(mean_mastery=("mastery", "mean"), lowest_mastery=("mastery", "min"), weak_concepts=("weak", "sum"),
                  **{LATEST: (LATEST, "max"), OBSERVED: ("n", "sum")}).reset_index()


def _given(taken: Taken, table: pd.DataFrame, name: str) -> Block:
    """Features that were made elsewhere, by unit or by learner, with the day each row rests on."""
    if LATEST not in table or "learner_id" not in table:
        raise DataError(f"{name} must have the columns learner_id and {LATEST}, the last day a row rests on; found {', '.join(map(str, table.columns))}")
    key = [column for column in UNIT if column in table]
    if table.duplicated(key).any():
        raise DataError(f"{name} must hold each ({', '.join(key)}) once; found {int(table.duplicated(key).sum())} rows twice")
    values = taken.enrolments.to_frame(index=False).merge(table, on=key, how="left").set_index(UNIT)
    day = float(table[LATEST].max())
    values = values.drop(columns=LATEST).select_dtypes("number").astype("float64")
    if OBSERVED not in values:
        values[OBSERVED] = values.notna().any(axis=1).astype("float64")
    return values, {str(column): day for column in values if column != OBSERVED}
