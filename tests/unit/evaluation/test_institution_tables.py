"""Module gaps, assessments that tell little, engagement, feedback and tutoring: planted truth is found, small cells are not shown."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.evaluation import allocation, engagement, module_gaps
from edukit.schema import DataError


def courses(rng: np.random.Generator, modules: int = 20, learners: int = 150, bad: float = 0.35) -> dict[str, pd.DataFrame]:
    """Modules whose intake differs; the first passes fewer than its intake leads one to expect, the last two have twelve and five learners."""
    module = np.repeat(np.arange(modules), [*([learners] * (modules - 2)), 12, 5])
    prior = rng.normal(0, 1, len(module)) + 0.1 * (module - modules / 2)
    passed = rng.random(len(module)) < 1 / (1 + np.exp(-0.6 - prior)) - bad * (module == 0)
    ids = [f"u{i}" for i in range(len(module))]
    enrolments = pd.DataFrame({"learner_id": ids, "module_id": [f"m{m:02d}" for m in module], "presentation": "2013J",
                               "final_result": np.where(passed, "Pass", "Fail"), "unregistered_day": np.nan})
    work = pd.DataFrame({"assessment_id": ["good", "empty"], "module_id": "m01", "presentation": "2013J", "due_day": [20.0, 30.0]})
    of = enrolments[enrolments["module_id"] == "m01"]
    score = np.concatenate([50 + 15 * (of["final_result"] == "Pass") + rng.normal(0, 8, len(of)), 50 + rng.normal(0, 8, len(of))])
    handed = pd.DataFrame({"learner_id": [*of["learner_id"]] * 2, "assessment_id": np.repeat(["good", "empty"], len(of)), "day": 10.0,
                           "score": score.clip(0, 100)})
    return {"enrolments": enrolments, "assessments": work, "submissions": handed, "learners": pd.DataFrame({"learner_id": ids, "prior_attainment": prior})}


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return courses(np.random.default_rng(1))


def test_a_module_below_its_intake_is_found_and_the_others_are_not(tables):
    found = module_gaps.funnel(module_gaps.module_aggregate(tables)).set_index("module_id")
    assert found.loc["m00", "state"] == "outside 99.8 %"
    assert found.loc["m00", "high"] < 0
    assert (found["state"].drop(["m00", "m18", "m19"]) != "inside").sum() <= 3
    assert (found["shrunken"].abs() <= found["gap"].abs() + 1e-12)[found["gap"].notna()].all()
    assert found.loc[["m18", "m19"], "gap"].isna().all(), "five are hidden, and twelve with them: one alone would be the total less the others"
    assert found.loc["m19", "state"] == "suppressed"


def test_without_adjustment_the_intake_is_taken_for_the_module(tables):
    plain = module_gaps.funnel(module_gaps.module_aggregate(tables, intake=())).set_index("module_id")
    adjusted = module_gaps.funnel(module_gaps.module_aggregate(tables)).set_index("module_id")
    fair = plain.index.drop(["m00", "m18", "m19"])
    assert (plain.loc[fair, "state"] != "inside").sum() > (adjusted.loc[fair, "state"] != "inside").sum()


def test_auc_of_an_assessment_is_that_of_scikit_learn(tables):
    from sklearn.metrics import roc_auc_score

    found = module_gaps.telling(module_gaps.telling_aggregate(tables)).set_index("assessment_id")
    rows = tables["submissions"].merge(tables["enrolments"][["learner_id", "final_result"]], on="learner_id")
    for name, part in rows.groupby("assessment_id"):
        assert found.loc[name, "auc"] == pytest.approx(roc_auc_score(part["final_result"] == "Pass", part["score"]))
    assert found["state"].to_dict() == {"empty": "tells little", "good": "tells"}


def test_work_after_the_middle_of_the_term_changes_nothing(tables):
    before = module_gaps.term_against_term(module_gaps.progress_aggregate(tables, 25))
    later = {**tables, "submissions": tables["submissions"].assign(score=lambda t: t["score"].where(t["assessment_id"] == "good", 0.0))}
    pd.testing.assert_frame_equal(before, module_gaps.term_against_term(module_gaps.progress_aggregate(later, 25)))


def test_engagement_falls_where_it_was_planted_and_intervals_hold_it():
    rng = np.random.default_rng(2)
    kind = np.select([np.arange(400) < 5, np.arange(400) < 25], ["rare", "few"], np.where(np.arange(400) % 2, "a", "b"))
    learners = pd.DataFrame({"learner_id": [f"u{i}" for i in range(400)], "kind": kind})
    seats = learners[["learner_id"]].assign(module_id="m", presentation="2013J", unregistered_day=np.nan)
    rows = [seats[rng.random(400) < (0.9 - 0.08 * week * (learners["kind"] == "a"))].assign(day=7.0 * week + 1) for week in range(6)]
    weekly = engagement.weekly_counts(pd.concat(rows), 6)
    found = engagement.trends(engagement.weekly_aggregate(seats, weekly, learners, "kind", 6)).set_index(["group", "week"])
    assert found.loc[("a", 5), "low"] <= 0.5 <= found.loc[("a", 5), "high"]
    assert found.loc[("b", 5), "low"] > found.loc[("a", 5), "high"]
    assert found.loc[["rare", "few"], "value"].isna().all()


def test_comments_leave_as_counts_of_words_that_many_used():
    people = [f"u{i}" for i in range(30)]
    surveys = pd.DataFrame({"survey_id": "end", "question_id": "comment", "learner_id": people, "rating": np.arange(30) % 5 + 1.0,
                            "comment": ["The feedback was slow, says Agatha" if i == 0 else "feedback slow slow" for i in range(30)]})
    found = engagement.words(engagement.terms_aggregate(surveys))
    assert found.to_dict("list") == {"word": ["feedback", "slow"], "n": [30, 30]}
    assert engagement.terms_aggregate(surveys.head(5)) is None
    assert engagement.scales(engagement.scales_aggregate(surveys))["mean"].tolist() == [3.0]
    assert engagement.scales(engagement.scales_aggregate(surveys.head(9)))["state"].tolist() == ["suppressed"]


def test_anonymous_replies_to_two_questions_are_not_two_people():
    surveys = pd.DataFrame({"survey_id": "end", "question_id": ["pace"] * 6 + ["help"] * 6, "rating": 3.0})
    assert engagement.scales_aggregate(surveys).cells["n"].isna().all(), "twelve replies of six people, hidden in the total as well"


@pytest.mark.parametrize("hours", [0, 3, 4, 23, 1000])
def test_tutoring_is_exact_sure_and_best(hours):
    rng = np.random.default_rng(0)
    risk = pd.Series(rng.random(50).round(1), index=[f"u{i:02d}" for i in range(50)]).where(rng.random(50) > 0.1)
    found = allocation.allocate(risk, hours, 4, 0.5)
    assert found["tutored"].sum() == min(hours // 4, int((found["benefit"] > 0).sum()))
    assert not found.loc[risk.isna(), "tutored"].any()
    assert found.loc[~found["tutored"], "benefit"].max() <= found.loc[found["tutored"], "benefit"].min() or not found["tutored"].any()
    turned = allocation.allocate(risk.sample(frac=1, random_state=1), hours, 4, 0.5)
    assert turned["tutored"].reindex(risk.index).tolist() == found["tutored"].tolist()


def test_a_floor_gives_each_group_its_share():
    risk = pd.Series([0.5] * 10 + [0.05] * 10)
    groups = pd.Series(["x"] * 10 + ["y"] * 10)
    free, fair = (allocation.allocate(risk, 8, 1, 0.5, groups, floor)["tutored"].groupby(groups).sum() for floor in (0.0, 0.5))
    assert free.to_dict() == {"x": 8, "y": 0}
    assert fair.to_dict() == {"x": 6, "y": 2}
    with pytest.raises(DataError, match="whole number"):
        allocation.allocate(risk, 2.5, 1, 0.5)


def test_a_share_that_stands_for_few_learners_is_hidden_with_what_would_give_it_away():
    few = module_gaps.of_few(pd.Series([3, 40, 60, 47]), pd.Series([50, 90, 100, 50]), 10)
    assert few.tolist() == [True, False, False, True], "three, and all but three"
    assert module_gaps.of_few(pd.Series([3, 40, 60]), pd.Series([50, 90, 100]), 10).tolist() == [True, True, False]
    assert module_gaps.of_few(pd.Series([3, 4, 60]), pd.Series([50, 90, 100]), 10).all(), "three and four are seven together"
    assert not module_gaps.of_few(pd.Series([0, 50, 60]), pd.Series([50, 50, 100]), 10).any(), "nobody and everybody tell of no few"
    lines = pd.Series(["x", "y", "x", "y"])
    assert module_gaps.of_few(pd.Series([3, 40, 60, 20]), pd.Series([50, 90, 100, 60]), 10, lines).tolist() == [True, False, True, False]


def test_funnel_and_trends_hide_shares_of_few():
    ids = [f"u{i}" for i in range(400)]
    module = np.repeat(["a", "b", "c", "d"], 100)
    passed = np.concatenate([np.arange(100) < n for n in (97, 60, 50, 40)])
    seats = pd.DataFrame({"learner_id": ids, "module_id": module, "presentation": "2013J", "final_result": np.where(passed, "Pass", "Fail")})
    found = module_gaps.funnel(module_gaps.module_aggregate({"enrolments": seats}, ())).set_index("module_id")
    assert found.loc["a", ["observed", "gap", "shrunken", "low", "high"]].isna().all() and found["observed"].isna().sum() == 2
    assert (found["state"] == "suppressed").sum() == 2
    learners = pd.DataFrame({"learner_id": ids, "kind": module})
    weekly = pd.concat([seats[passed].assign(week=0), seats.assign(week=1)])
    told = engagement.trends(engagement.weekly_aggregate(seats, weekly, learners, "kind", 2)).set_index(["week", "group"])["value"]
    assert told[0].isna().sum() == 2 and np.isnan(told[0]["a"]) and told[1].notna().all() and told[0]["all"] > 0
