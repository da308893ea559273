"""What a learner handed in, when, and with what mark, beside what was due and how the others of the same run did."""

from __future__ import annotations

import numpy as np
import pandas as pd

from edukit.risk.snapshot import RUN, UNIT, Taken


def work_features(taken: Taken) -> tuple[pd.DataFrame, dict[str, float]]:
    """Marks, timing and missed work of every enrolment, with ``observed`` and the latest day each feature rests on.

    A piece of work counts as due once its day has passed, was not before the learner registered, and somebody of the run has handed it in by
    the cutoff: where nobody has, it leaves no record, and to be without one says nothing. Missed work counts as seen. Marks that were banked
    count neither as work of this run nor as missed. Means of a run are over the marks that were known at the cutoff.
    """
    cutoff = taken.snapshot.cutoff_day
    plan = taken.tables["assessments"].reindex(columns=["assessment_id", *RUN, "due_day", "weight"]).astype({"due_day": "float64", "weight": "float64"})
    handed = taken.tables["submissions"].merge(plan, on="assessment_id")
    handed = handed.assign(banked=handed["banked"].fillna(False).astype(bool) if "banked" in handed else False)
    own, latest = handed[~handed["banked"]], float(taken.tables["submissions"]["day"].max())
    found = [_marks(own), _timing(own, cutoff), _banked(handed[handed["banked"]])]
    table = pd.concat([part.reindex(taken.enrolments) for part in found], axis=1)
    counts = ["submitted", "late", "ahead", "banked"]
    table[counts] = table[counts].fillna(0.0)
    due = _due(taken, plan, handed, cutoff)
    table = pd.concat([table, due.reindex(taken.enrolments)], axis=1)
    counts = ["due", "missed", "missed_in_a_row"]
    table[counts] = table[counts].fillna(0.0)
    table["observed"] = table["submitted"] + table["banked"] + table["missed"]
    return table, dict.fromkeys([str(name) for name in table if name != "observed"], latest)


def _marks(own: pd.DataFrame) -> pd.DataFrame:
    """Means and ends of the marks, as they are and relative to the mean of the same assessment."""
    marked = own[own["score"].notna()].sort_values([*UNIT, "day", "assessment_id"]) if "score" in own else own.iloc[:0].assign(score=np.nan)
    marked = marked.assign(relative=marked["score"] - marked.groupby("assessment_id")["score"].transform("mean"), weight=marked["weight"].fillna(0.0))
    marked = marked.assign(weighted=marked["score"] * marked["weight"])
    by = marked.groupby(UNIT)
    sums = by[["weighted", "weight"]].sum()
    found = by.agg(mean_score=("score", "mean"), lowest_score=("score", "min"), score_to_mean=("relative", "mean"), last_score_to_mean=("relative", "last"),
                   marks=("relative", "size"), total=("relative", "sum"))
    found["weighted_score"] = (sums["weighted"] / sums["weight"].where(sums["weight"] > 0)).fillna(found["mean_score"])
    before = (found["total"] - found["last_score_to_mean"]) / (found["marks"] - 1).where(found["marks"] > 1)
    found["score_change"] = found["last_score_to_mean"] - before
    return found.drop(columns=["marks", "total"])


def _timing(own: pd.DataFrame, cutoff: float) -> pd.DataFrame:
    """How many pieces were handed in, and how long before they were due."""
    timed = own.assign(early=own["due_day"] - own["day"]).sort_values([*UNIT, "day", "assessment_id"])
    timed = timed.assign(late=timed["early"] < 0, ahead=timed["due_day"] > cutoff)
    by = timed.groupby(UNIT)
    found = by.agg(submitted=("day", "size"), late=("late", "sum"), ahead=("ahead", "sum"), days_early=("early", "mean"), last_days_early=("early", "last"),
                   last=("day", "max"))
    found["days_since_submission"] = cutoff - found["last"]
    return found.drop(columns="last").astype("float64")


def _banked(banked: pd.DataFrame) -> pd.DataFrame:
    return banked.groupby(UNIT).agg(banked=("day", "size"), banked_score=("score", "mean") if "score" in banked else ("day", "size")).astype("float64")


def _due(taken: Taken, plan: pd.DataFrame, handed: pd.DataFrame, cutoff: float) -> pd.DataFrame:
    """What was due of each enrolment, and what of it was missed."""
    recorded = plan[(plan["due_day"] <= cutoff) & plan["assessment_id"].isin(handed["assessment_id"])]
    known = taken.tables["enrolments"].reindex(columns=[*UNIT, "registered_day"])
    owed = known.merge(recorded, on=RUN)
    owed = owed[~(owed["due_day"] < owed["registered_day"])]
    given = handed[["learner_id", "assessment_id", "day", "banked"]].assign(score=handed["score"] if "score" in handed else np.nan)
    owed = owed.merge(given, on=["learner_id", "assessment_id"], how="left")
    here = owed["day"].notna()
    owed = owed.assign(missed=~here, missed_weight=owed["weight"].where(~here, 0.0), last=owed["due_day"].where(here),
                       earned=(owed["score"] / 100 * owed["weight"]).fillna(0.0))
    owed["since"] = owed["missed"] & ~(owed["due_day"] <= owed.groupby(UNIT)["last"].transform("max"))
    by = owed.groupby(UNIT)
    found = by.agg(due=("due_day", "size"), whole=("weight", "sum"), missed=("missed", "sum"), weight=("missed_weight", "sum"), earned=("earned", "sum"),
                   missed_in_a_row=("since", "sum")).astype("float64")
    whole = found["whole"].where(found["whole"] > 0)
    found["share_submitted"] = 1 - found["missed"] / found["due"]
    found["missed_weight"], found["marks_earned"] = found["weight"] / whole, found["earned"] / whole
    return found.drop(columns=["whole", "weight", "earned"])
