"""The expected benefit finds a planted effect where tutors helped those in need, and is silent where nobody comparable was helped."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.data.synthetic_course import SyntheticCourse
from edukit.protocols import NotFittedError
from edukit.risk.expected_benefit import ExpectedBenefit, by_kind, helped_in, in_words
from edukit.risk.features import build
from edukit.risk.snapshot import UNIT, Snapshot
from edukit.schema import DataError


def sigmoid(v: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-v))


def world(seed: int, effect: float = -0.8, confounding: float = 1.0, n: int = 1500) -> tuple[pd.DataFrame, pd.Series, pd.Series, pd.Series]:
    """Features, who was helped (those in need, more often), the ending, and the true benefit."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5))
    chance = sigmoid(-1 + confounding * (x[:, 0] + 0.5 * x[:, 1]))
    helped = (rng.random(n) < chance).astype(float)
    logit = -0.3 + x[:, 0] + 0.5 * x[:, 2]
    without, with_ = sigmoid(logit), sigmoid(logit + effect * (1 + 0.3 * x[:, 3]))
    ended = (rng.random(n) < np.where(helped == 1, with_, without)).astype(float)
    return pd.DataFrame(x, columns=list("abcde")), pd.Series(helped), pd.Series(ended), pd.Series(without - with_)


def test_a_planted_effect_is_found_where_the_plain_difference_misleads():
    covered, order = [], []
    for seed in (0, 1):
        features, helped, ended, benefit = world(seed)
        model = ExpectedBenefit(modifiers=["d"]).fit(features, helped, ended)
        told = model.predict(features)
        inside = told["state"] == "estimated"
        average, among_helped, naive = model.average_
        assert average["low"] <= benefit[inside].mean() <= average["high"] and average["low"] > 0
        assert among_helped["low"] <= benefit[inside & (helped == 1)].mean() <= among_helped["high"]
        assert not naive["low"] <= benefit[helped == 1].mean() <= naive["high"]
        covered.append(((told["low"] <= benefit) & (benefit <= told["high"]))[inside].mean())
        order.append(np.corrcoef(told["benefit"][inside], benefit[inside])[0, 1])
    assert np.mean(covered) > 0.8 and np.mean(order) > 0.3


def test_no_effect_stays_none():
    features, helped, ended, _ = world(5, effect=0.0)
    average = ExpectedBenefit().fit(features, helped, ended).average_[0]
    assert average["low"] < 0 < average["high"]


def test_without_overlap_it_refuses_and_says_why():
    features, _, ended, _ = world(1)
    with pytest.raises(DataError, match=r"must be comparable; found \d+ of \d+ with help.*Wanted: 40 of each, half of those helped, and an AUC below .95"):
        ExpectedBenefit().fit(features, (features["a"] > 0.8).astype(float), ended)
    few = pd.Series((np.arange(len(features)) < 30).astype(float))
    with pytest.raises(DataError, match="needs 40 learners with help and 40 without.*found 30 and 1470"):
        ExpectedBenefit().fit(features, few, ended)
    with pytest.raises(NotFittedError):
        ExpectedBenefit().predict(features)


def test_a_learner_outside_the_overlap_has_no_number():
    features, helped, ended, _ = world(2, confounding=1.6)
    model = ExpectedBenefit().fit(features, helped, ended)
    far = features.iloc[:3].assign(a=[-9.0, 9.0, 0.0], b=0.0)
    told = model.predict(far)
    assert told["state"].tolist() == ["not enough data", "not enough data", "estimated"]
    assert told["reason"].tolist() == ["hardly anybody like this learner was helped", "hardly anybody like this learner went without help", ""]
    assert told[["benefit", "low", "high"]].isna().all(axis=1).tolist() == [True, True, False]
    asked = model.predict(features)
    assert asked.loc[asked["state"] != "estimated", ["benefit", "low", "high"]].isna().all().all()


def test_what_is_said_of_a_learner_does_not_depend_on_who_else_is_asked_about():
    features, helped, ended, _ = world(3)
    features.loc[::7, "d"] = np.nan
    model = ExpectedBenefit(modifiers=["d"]).fit(features, helped, ended)
    told = model.predict(features)
    pd.testing.assert_frame_equal(model.predict(features.loc[[7, 8]]), told.loc[[7, 8]])


@pytest.fixture(scope="module")
def course():
    tables, truth = SyntheticCourse().course()
    taken = Snapshot(56).take(tables)
    ending = tables["enrolments"].set_index(UNIT)["final_result"].reindex(taken.enrolments).isin(["Fail", "Withdrawn"]).astype(float)
    return tables, truth, build(taken).drop(columns="observed"), ending


def test_calls_of_an_invented_course(course):
    tables, truth, features, ending = course
    helped = helped_in(tables["interventions"], features.index, "call", 56, 70)
    model = ExpectedBenefit().fit(features, helped, ending)
    _, among_helped, naive = model.average_
    benefit = truth.enrolments["benefit"].reindex(features.index)
    inside = (model.predict(features)["state"] == "estimated") & (helped == 1)
    assert among_helped["low"] <= benefit[inside].mean() <= among_helped["high"]
    assert naive["value"] < 0 < benefit[inside].mean(), "who was called ended worse, and was helped by it"


def test_every_kind_of_a_log_has_its_sentence(course):
    tables, _, features, ending = course
    log = tables["interventions"][tables["interventions"]["kind"] != "call"]
    table, said, records = by_kind(log, features, ending, features.iloc[:200], 56)
    assert "message: no difference shown" in said["message"], "messages do nothing there"
    assert said["mentor"].startswith("mentor: nothing is said. ")
    words = in_words(table)
    assert {(r["name"], r["channel"]) for r in records} == {("benefit", "message"), ("naive", "message")}
    assert set(table["kind"]) == {"message"} and len(words) == 200
    assert words.str.fullmatch(r"message: (no difference shown|risk (lower|higher) by \d+ points|not enough data) \(.+\)").all()


def test_mentors_of_an_invented_course_went_to_all_in_need_so_nothing_is_said(course):
    tables, truth, *_ = course
    assert not truth.interventions.set_index("kind").loc["mentor", "overlap"]
    taken = Snapshot(70).take(tables)
    ending = tables["enrolments"].set_index(UNIT)["final_result"].reindex(taken.enrolments).isin(["Fail", "Withdrawn"]).astype(float)
    with pytest.raises(DataError, match="must be comparable"):
        ExpectedBenefit().fit(build(taken).drop(columns="observed"), helped_in(tables["interventions"], taken.enrolments, "mentor", 70, 84), ending)


def test_who_was_helped_when():
    units = pd.MultiIndex.from_tuples([("a", "M", "1"), ("b", "M", "1"), ("c", "M", "1"), ("d", "M", "1")], names=UNIT)
    log = pd.DataFrame({"learner_id": ["a", "b", "b", "c"], "day": [30.0, 28.0, 35.0, 50.0], "kind": "call"})
    told = helped_in(log, units, "call", 28, 42)
    assert told.tolist()[::3] == [1.0, 0.0] and np.isnan(told.iloc[1]) and told.iloc[2] == 0, "b was helped before, c later"
    of_run = helped_in(log.assign(module_id="N", presentation="1"), units, "call", 28, 42)
    assert of_run.tolist() == [0.0] * 4, "a log that names the module speaks of that module"
    with pytest.raises(DataError, match="must hold some of kind 'letter'; found call"):
        helped_in(log, units, "letter", 28, 42)


def test_who_had_left_by_the_time_of_help_is_in_no_comparison():
    """Half of the learners leave in the fortnight, some are helped on a day on which they are still there, and help does nothing."""
    rng = np.random.default_rng(0)
    n = 4000
    units = pd.MultiIndex.from_arrays([[f"u{i}" for i in range(n)], ["M"] * n, ["1"] * n], names=UNIT)
    left = pd.Series(np.where(rng.random(n) < 0.5, rng.uniform(56, 70, n), np.nan), units)
    day = pd.Series(rng.integers(57, 71, n).astype(float), units)
    reached = (rng.random(n) < 0.4) & ~(left < day).to_numpy()
    log = pd.DataFrame({"learner_id": units.get_level_values(0)[reached], "day": day[reached].to_numpy(), "kind": "call"})
    plain, told = (helped_in(log, units, "call", 56, 70, gone) for gone in (None, left))
    bad = left.notna() | (rng.random(n) < 0.3)  # whoever left did not pass, nor did some of the others
    apart = [float(bad[helped == 0].mean() - bad[helped == 1].mean()) for helped in (plain, told)]
    assert apart[0] > 0.1 and abs(apart[1]) < 0.05
    assert told.attrs["not_enrolled"] == told.isna().sum() == (left < 70).sum() and plain.notna().all() and plain.attrs["not_enrolled"] == 0
    late = helped_in(log.assign(day=70.0), units, "call", 56, 70, pd.Series(60.0, units))
    assert late.isna().all(), "of an enrolment that had ended no help is counted"
