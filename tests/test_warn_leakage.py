"""Nothing that was not known at the cutoff reaches a risk: neither later work of those who are judged, nor how they ended."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from edukit.experiments import course_features, recipe, warn

from edukit.data.synthetic_course import SyntheticCourse
from edukit.risk import outcomes, protocol

WEEK, CUTOFF = 6, 42
DATED = ("submissions", "events", "interventions")


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return SyntheticCourse(modules=2, learners_per_run=25).course()[0]


def config(*words: str):
    return recipe.config("warn", *words)


def told(tables: dict[str, pd.DataFrame], cfg) -> pd.DataFrame:
    """What is said of those whom the first split judges."""
    table = course_features.built(tables, cfg, CUTOFF, ())
    parts = protocol.splits(table.index, cfg.split, 3, 0)[:1]
    found = warn.said(tables, table, outcomes.outcome(tables), parts, cfg, WEEK)
    assert found.predicted.index.equals(parts[0].part(table, "test").index)
    return found.predicted[["risk"]]


def judged(tables: dict[str, pd.DataFrame], units: pd.MultiIndex, kind: str) -> dict[str, pd.Series]:
    """Which rows of each table are of those who are judged: all of a learner, or all of a presentation."""
    people, runs = units.get_level_values("learner_id"), units.get_level_values("presentation")
    if kind == "learner":
        return {name: tables[name]["learner_id"].isin(people) for name in ("enrolments", "attendance", *DATED)}
    of = {"enrolments": "presentation", "attendance": "term", "events": "presentation", "interventions": "presentation"}
    work = tables["submissions"]["assessment_id"].map(tables["assessments"].set_index("assessment_id")["presentation"])
    return {**{name: tables[name][column].isin(runs) for name, column in of.items() if column in tables[name]}, "submissions": work.isin(runs)}


def altered(tables: dict[str, pd.DataFrame], own: dict[str, pd.Series], seed: int) -> dict[str, pd.DataFrame]:
    """Another future of those who are judged: who passes and who leaves, and when; what they hand in, click and miss after the cutoff."""
    rng, found = np.random.default_rng(seed), dict(tables)
    people = tables["enrolments"].copy()
    mine, later = own["enrolments"], own["enrolments"] & ~(people["unregistered_day"] <= CUTOFF)
    people.loc[mine, "final_result"] = rng.choice(["Pass", "Fail", "Withdrawn"], int(mine.sum()))
    people.loc[later, "unregistered_day"] = rng.choice([np.nan, CUTOFF + 1, CUTOFF + 60], int(later.sum()))
    new = people[mine].head(2).assign(module_id="new", registered_day=CUTOFF + 1.0)
    found["enrolments"] = pd.concat([people, new], ignore_index=True)
    for name in DATED:
        table, after = tables[name], (own[name] & (tables[name]["day"] > CUTOFF)).to_numpy() if name in own else np.zeros(len(tables[name]), bool)
        moved = table[after].sample(frac=0.5, random_state=seed)
        moved = moved.assign(**{c: rng.permutation(moved[c].to_numpy()) for c in ("score", "count") if c in moved}, day=moved["day"] + 1)
        found[name] = pd.concat([table[~after], moved], ignore_index=True)
    register = tables["attendance"]
    start = register["term"].map(tables["runs"].groupby("presentation")["start"].min())
    gone = own["attendance"] & ((register["date"] - start).dt.days > CUTOFF) & (rng.random(len(register)) < 0.5)
    return {**found, "attendance": register[~gone].reset_index(drop=True)}


@pytest.mark.parametrize("kind", protocol.KINDS)
def test_another_future_of_those_who_are_judged_changes_no_risk(tables, kind):
    cfg = config("risk=logistic", "risk.refits=0", f"split={kind}")
    before = told(tables, cfg)
    other = altered(tables, judged(tables, before.index, cfg.split), 1)
    assert len(other["submissions"]) < len(tables["submissions"])
    pd.testing.assert_frame_equal(told(other, cfg), before, check_exact=True)


def test_days_nearby_are_learnt_from_and_nobody_who_is_judged_is_among_them(tables):
    cfg = config()
    table = course_features.built(tables, cfg, CUTOFF, ())
    for kind, level in (("presentation", "presentation"), ("learner", "learner_id")):
        split = protocol.splits(table.index, kind, 2)[0]
        test = split.part(table, "test").index.get_level_values(level)
        near = course_features.beside(course_features.apart(tables, split.part(table, "test").index, kind), cfg, WEEK, ())
        rows = course_features.learnt_from(split.part(table, "train"), near, CUTOFF)
        assert list(near) == [35, 49] and rows.index.is_unique and list(rows) == list(table)
        assert not rows.index.get_level_values(level).isin(test).any() and not rows[[c for c in rows if "=" in c]].isna().any(axis=None)
        assert set(rows.index.get_level_values("cutoff")) == {35, 42, 49}
    assert list(course_features.beside(tables, cfg, 0, ())) == [7]
    assert course_features.beside(tables, config("risk=gru"), 6, ()) == {} == course_features.beside(tables, config("nearby=0"), 6, ())
