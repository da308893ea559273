"""What was known on a day, and that nothing later can change it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edukit.data.synthetic_course import SyntheticCourse
from edukit.risk import features
from edukit.risk.snapshot import UNIT, Snapshot
from edukit.schema import DataError

CUTOFF = 42


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return SyntheticCourse(modules=1, learners_per_run=24).course()[0]


@pytest.fixture(scope="module")
def known(tables) -> dict[tuple[str, str], tuple]:
    """What is taken and built of the tables as they are, by filter and population."""
    taken = {(by, people): Snapshot(CUTOFF, people, by, ("gender",)).take(tables) for by in ("submitted", "due") for people in ("active", "all")}
    return {key: (one, features.build(one)) for key, one in taken.items()}


def later(tables: dict[str, pd.DataFrame], name: str, rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """The same tables with everything that one of them says of the time after the cutoff altered."""
    table = tables[name].copy()
    if name == "enrolments":
        table["final_result"] = rng.permutation(table["final_result"].to_numpy())
        after = ~(table["unregistered_day"] <= CUTOFF)
        table.loc[after, "unregistered_day"] = rng.choice([np.nan, CUTOFF + 1, CUTOFF + 60], int(after.sum()))
        late = table.iloc[:3].assign(learner_id=["new-1", "new-2", "new-3"], registered_day=CUTOFF + 1.0)
        return {**tables, name: pd.concat([table, late], ignore_index=True)}
    if name == "attendance":
        start = tables["runs"].groupby("presentation")["start"].min() if "start" in tables["runs"] else None
        after = (table["date"] - table["term"].map(start)).dt.days > CUTOFF if start is not None else pd.Series(True, table.index)
        table.loc[after, "status"] = rng.choice(["present", "late", "absent"], int(after.sum()))
        return {**tables, name: table.drop(index=table.index[after][rng.random(int(after.sum())) < 0.5])}
    if name == "surveys":
        return {**tables, name: table.assign(rating=rng.permutation(table["rating"].to_numpy()))}
    after = table["day"] > CUTOFF
    moved = table[after].assign(day=table.loc[after, "day"] + rng.integers(0, 50, int(after.sum())))
    for column in ("score", "count"):
        if column in moved:
            moved[column] = rng.permutation(moved[column].to_numpy())
    return {**tables, name: pd.concat([table[~after], moved[rng.random(len(moved)) < 0.5]], ignore_index=True)}


@settings(max_examples=16, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(["enrolments", "submissions", "events", "attendance", "interventions", "surveys"]), seed=st.integers(0, 2**32 - 1),
       by=st.sampled_from(["submitted", "due"]), population=st.sampled_from(["active", "all"]))
def test_no_event_after_the_cutoff_changes_anything(tables, known, name, seed, by, population):
    before, table = known[by, population]
    after = before.snapshot.take(later(tables, name, np.random.default_rng(seed)))
    pd.testing.assert_frame_equal(table, features.build(after))
    assert before.enrolments.equals(after.enrolments) and before.latest == after.latest


def test_a_snapshot_holds_neither_results_nor_later_withdrawals_nor_attributes_unasked(tables):
    taken = Snapshot(CUTOFF).take(tables)
    assert "final_result" not in taken.tables["enrolments"] and not (taken.tables["enrolments"]["unregistered_day"] > CUTOFF).any()
    assert list(taken.tables["learners"]) == ["learner_id"] and "outcome" not in taken.tables["interventions"]
    assert max(taken.latest.values()) <= CUTOFF and "surveys" not in taken.tables
    assert list(Snapshot(CUTOFF, attributes=("gender",)).take(tables).tables["learners"]) == ["learner_id", "gender"]
    with pytest.raises(DataError, match="shoe_size"):
        Snapshot(CUTOFF, attributes=("shoe_size",)).take(tables)


def test_the_population_is_who_is_still_there_or_everybody(tables):
    enrolments = tables["enrolments"]
    gone = (enrolments["unregistered_day"] <= CUTOFF).sum()
    active, everybody = (Snapshot(CUTOFF, population).take(tables).enrolments for population in ("active", "all"))
    assert gone > 0 and len(everybody) - len(active) == gone and len(everybody) == (enrolments["registered_day"] <= CUTOFF).sum()
    with pytest.raises(DataError, match="found nobody active"):
        Snapshot(-10_000).take(tables)
    for option in ({"population": "some"}, {"assessments_by": "marked"}):
        with pytest.raises(DataError, match="must be one of"):
            Snapshot(CUTOFF, **option)


def small() -> dict[str, pd.DataFrame]:
    """One run, two learners: A handed in work of day 20 on day 25 and, ahead, work of day 60; B has a banked mark only."""
    run = {"module_id": "M", "presentation": "2013B"}
    return {
        "enrolments": pd.DataFrame({"learner_id": ["A", "B"], **run, "registered_day": [-5.0, -3.0], "unregistered_day": [np.nan, np.nan],
                                    "final_result": ["Pass", "Fail"]}),
        "assessments": pd.DataFrame({"assessment_id": ["1", "2", "3"], **run, "due_day": [20.0, 60.0, 10.0], "weight": [50.0, 30.0, 20.0]}),
        "submissions": pd.DataFrame({"learner_id": ["A", "A", "B"], "assessment_id": ["1", "2", "1"], "day": [25.0, 30.0, -1.0],
                                     "score": [80.0, 60.0, 90.0], "banked": [False, False, True]})}


def test_due_counts_an_assessment_once_its_day_has_passed():
    said = {by: features.build(Snapshot(40, assessments_by=by).take(small())).loc[("A", "M", "2013B")] for by in ("submitted", "due")}
    assert said["submitted"]["submitted"] == 2 and said["submitted"]["mean_score"] == 70 and said["submitted"]["ahead"] == 1
    assert said["due"]["submitted"] == 1 and said["due"]["mean_score"] == 80 and said["due"]["ahead"] == 0
    early = features.build(Snapshot(22, assessments_by="due").take(small())).loc[("A", "M", "2013B")]
    assert early["submitted"] == 0 and early["missed"] == 1  # due on day 20, handed in on day 25: not known on day 22


def test_a_banked_mark_is_known_and_flagged_but_no_work_of_this_run():
    row = features.build(Snapshot(40).take(small())).loc[("B", "M", "2013B")]
    assert row["banked"] == 1 and row["banked_score"] == 90 and row["submitted"] == 0 and row["missed"] == 0 and np.isnan(row["mean_score"])
    late = small()
    late["submissions"]["day"] = [25.0, 30.0, 50.0]
    assert features.build(Snapshot(40).take(late)).loc[("B", "M", "2013B"), "banked"] == 0


def test_units_are_sorted_so_that_the_order_of_learners_does_not_matter(tables):
    turned = {name: table.sample(frac=1, random_state=3).reset_index(drop=True) for name, table in tables.items()}
    one, other = (features.build(Snapshot(CUTOFF).take(t)) for t in (tables, turned))
    pd.testing.assert_frame_equal(one, other)
    assert one.index.is_monotonic_increasing and one.index.names == UNIT
