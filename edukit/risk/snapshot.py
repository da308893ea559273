"""What was known on a day: every table cut off before anything is joined, so that no later event can shape an estimate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from edukit.schema import DataError

UNIT = ["learner_id", "module_id", "presentation"]
RUN = ["module_id", "presentation"]
POPULATIONS, FILTERS = ("active", "all"), ("submitted", "due")
PLANNED = ("runs", "sites", "assessments")  # fixed before a run begins: known on every day of it
UNDATED = {"interventions": ["outcome"], "enrolments": ["final_result"]}  # columns that are filled in later, on no stated day


@dataclass(frozen=True)
class Taken:
    """What a snapshot shows.

    Attributes
    ----------
    snapshot : how it was taken.
    tables : the tables as they were known; a table whose rows state no day is not among them.
    enrolments : the population, one entry (learner_id, module_id, presentation) a unit, sorted.
    latest : the latest day that any row of a table stands for, by table.
    """

    snapshot: Snapshot
    tables: dict[str, pd.DataFrame] = field(repr=False)
    enrolments: pd.MultiIndex = field(repr=False)
    latest: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """The tables of a course as they were known at the end of one day, the same day of every run.

    Parameters
    ----------
    cutoff_day : last day that is known, counted from the start of each run; day 56 ends week 8.
    population : whose risk is asked for.
        'active' : registered by the cutoff and not withdrawn by then;
        'all' : registered by the cutoff, those who have left by then included.
        An enrolment without a day of registration counts as registered, a withdrawal without a day as later than any cutoff.
    assessments_by : from when a submission is known. It must lie on or before the cutoff either way.
        'submitted' : from the day it was handed in;
        'due' : once the assessment was due as well; one without a due day never is.
        A mark that was banked in an earlier presentation is known from its day; it stays flagged.
    attributes : columns of the table ``learners`` that may be seen; no other is handed on.

    Raises
    ------
    DataError
        On an unknown option.
    """

    cutoff_day: int
    population: str = "active"
    assessments_by: str = "submitted"
    attributes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, offered in (("population", POPULATIONS), ("assessments_by", FILTERS)):
            if getattr(self, name) not in offered:
                raise DataError(f"{name} must be one of {', '.join(offered)}; found {getattr(self, name)!r}")

    def take(self, tables: Mapping[str, pd.DataFrame]) -> Taken:
        """Cut every table off at the cutoff, then say who is in the population.

        Parameters
        ----------
        tables : with ``enrolments``; of the others those that there are. Rows are dated by ``day``; ``attendance`` by ``date``, which is read
            against ``start`` (the date of day 0) of the table ``runs``, where the term of a row is the presentation.

        Raises
        ------
        DataError
            Where there are no enrolments, or none by the cutoff, or an attribute is asked for that ``learners`` has not.
        """
        if absent := [name for name in ("enrolments", *(["learners"] if self.attributes else [])) if name not in tables]:
            raise DataError(f"a snapshot needs the table {' and '.join(absent)}; found {', '.join(tables) or 'no table'}. "
                            "Load course data, such as data=synthetic_course.")
        cut = {name: table for name in tables if (table := self._cut(name, tables)) is not None}
        known = cut["enrolments"]
        gone = known["unregistered_day"].notna() if "unregistered_day" in known else pd.Series(False, known.index)
        here = known[~gone] if self.population == "active" else known
        if here.empty:
            raise DataError(f"a snapshot on day {self.cutoff_day} must find somebody enrolled; found nobody {self.population} among "
                            f"{len(tables['enrolments']):,} enrolments. Choose a later day.")
        units = pd.MultiIndex.from_frame(here[UNIT].sort_values(UNIT, ignore_index=True))
        dated = {"enrolments": "registered_day", "attendance": "day"}
        latest = {name: float(table[dated.get(name, "day")].max()) for name, table in cut.items()
                  if dated.get(name, "day") in table and len(table) and name not in PLANNED}
        return Taken(self, cut, units, latest)

    def _cut(self, name: str, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame | None:
        """One table as it was known; None where its rows state no day."""
        table = tables[name].drop(columns=UNDATED.get(name, []), errors="ignore")
        if name in PLANNED:
            return table
        if name == "learners":
            if absent := [a for a in self.attributes if a not in table]:
                raise DataError(f"learners must have the attributes {', '.join(absent)}; found {', '.join(c for c in table if c != 'learner_id')}")
            return table[["learner_id", *self.attributes]]
        if name == "enrolments":
            return self._enrolled(table)
        if name == "attendance":
            table = _dated(table, tables.get("runs"))
        if table is None or "day" not in table:
            return None
        known = table["day"] <= self.cutoff_day
        if name == "submissions" and self.assessments_by == "due" and "assessments" in tables:
            plan = tables["assessments"].set_index("assessment_id")
            due = table["assessment_id"].map(plan["due_day"]) if "due_day" in plan else pd.Series(float("nan"), table.index)
            known &= (due <= self.cutoff_day) | banked(table)
        return table[known].reset_index(drop=True)

    def _enrolled(self, table: pd.DataFrame) -> pd.DataFrame:
        """Enrolments registered by the cutoff, with the withdrawals that were known by then."""
        if "registered_day" in table:
            table = table[~(table["registered_day"] > self.cutoff_day)]
        if "unregistered_day" in table:
            table = table.assign(unregistered_day=table["unregistered_day"].where(table["unregistered_day"] <= self.cutoff_day))
        return table.reset_index(drop=True)


def banked(submissions: pd.DataFrame) -> pd.Series:
    """Whether each mark was carried over from an earlier presentation."""
    return submissions["banked"].fillna(False).astype(bool) if "banked" in submissions else pd.Series(False, submissions.index)


def _dated(attendance: pd.DataFrame, runs: pd.DataFrame | None) -> pd.DataFrame | None:
    """Attendance with the day of the run each date stands for; None where no run states the date it began.

    Of several modules of a presentation that begin on different dates the earliest counts, so that no row passes for older than it is.
    """
    if runs is None or "start" not in runs or "term" not in attendance:
        return None
    start = attendance["term"].map(runs.groupby("presentation")["start"].min())
    return attendance.assign(day=(attendance["date"] - start).dt.days.astype("float64"))
