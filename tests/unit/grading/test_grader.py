"""The rubric grader: what it is given, what it falls back on, and what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from edukit.grading.grader import RubricGrader
from edukit.grading.rubric import Criterion, Level, Rubric
from edukit.grading.scales import labels_in_order, scale, scored
from edukit.metrics import quadratic_weighted_kappa
from edukit.schema import DataError

QUICK = {"embeddings": False, "trees": 0, "unseen_trees": 20}
RUBRIC = Rubric("puddle", (
    Criterion("process", (Level(0, "no process"), Level(1, "the process")), ("evaporates | turns to vapour",)),
    Criterion("cause", (Level(0, "no cause"), Level(1, "a cause"), Level(2, "cause and effect")), ("sun | heat", "particles move faster")),
), version="7")
QUESTION = pd.DataFrame({"question_id": ["q"], "prompt": ["Where did the puddle go?"], "max_score": [3.0], "rubric_id": ["puddle"]})
SAID = ["The water EVAPORATES in the  Sun.", "Its particles move faster, so it turns to vapour from the heat", "a dog drank it", "It does not evaporate."]


def table(texts: list[str], **columns) -> pd.DataFrame:
    return pd.DataFrame({"answer_id": [f"a{i}" for i in range(len(texts))], "question_id": "q", "text": texts, **columns})


def graded(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    parts = np.array(["it evaporates", "the sun heats it", "particles move faster"])
    kept = rng.random((n, 3)) < 0.5
    texts = [", ".join([*parts[k], rng.choice(["i think", "we saw it", "it was monday"])]) for k in kept]
    return table(texts, score=kept.sum(1).astype(float), **{"criterion:process": kept[:, 0] * 1.0, "criterion:cause": kept[:, 1:].sum(1) * 1.0})


def test_with_no_graded_answer_the_rubric_alone_grades():
    found = RubricGrader(**QUICK).fit(graded(0), RUBRIC, QUESTION).grade(table(SAID)).set_index(["answer_id", "criterion_id"])
    score = found["score"].unstack()
    assert score["process"].tolist() == [1, 1, 0, 0] and score["cause"].tolist() == [1, 2, 0, 0]
    assert found.loc[("a0", "process"), "found"] == 'evaporates | turns to vapour: "EVAPORATES"'
    assert found.loc[("a0", "cause"), "missing"] == "particles move faster" and found.loc[("a0", "cause"), "found"] == 'sun | heat: "Sun"'
    assert (found["rubric_version"] == "7").all() and pd.isna(found.loc[("a2", "process"), "found"])


def test_without_rubric_there_is_one_overall_row_and_what_lacks_is_said():
    answers = graded(30)[["answer_id", "question_id", "text", "score"]]
    grader = RubricGrader(**QUICK).fit(answers, None, QUESTION[["question_id", "max_score"]])
    found = grader.grade(table(SAID))
    assert found["criterion_id"].tolist() == ["overall"] * 4 and found["found"].isna().all()
    assert grader.lacks_ == ["a rubric (criteria, levels, key elements)", "reference answers"]
    with pytest.warns(UserWarning, match="scores are guesses"):
        RubricGrader(**QUICK).fit(answers.head(0), None, QUESTION[["question_id", "max_score"]])


@pytest.mark.parametrize(("n", "least"), [(0, 0.3), (10, 0.4), (50, 0.7), (200, 0.8)])
def test_more_graded_answers_agree_better(n: int, least: float):
    questions = QUESTION.assign(reference="The sun heats it, it evaporates, as particles move faster.", rubric_id=None)
    told = RubricGrader(**QUICK).fit(graded(n, seed=1).iloc[:, :4], None, questions).overall(graded(150, seed=5))
    assert quadratic_weighted_kappa(graded(150, seed=5)["score"].to_numpy(), told.to_numpy()) > least


def test_scores_of_criteria_are_learnt_where_people_gave_them():
    turned = graded(120).assign(**{"criterion:process": lambda t: 1 - t["criterion:process"]})  # this teacher wants it unsaid
    found = RubricGrader(**QUICK).fit(turned, RUBRIC, QUESTION).grade(table(["it evaporates, i think", "the sun heats it, i think"]))
    assert found.loc[found["criterion_id"] == "process", "score"].tolist() == [0, 1]


def test_labels_come_back_as_levels_in_their_order():
    answers = graded(60)
    answers = answers.assign(label=np.where(answers["score"] > 1, "correct", "incorrect")).drop(columns=["score", "criterion:process", "criterion:cause"])
    grader = RubricGrader(**QUICK).fit(answers, None, QUESTION[["question_id"]])
    assert grader.labels_ == {"incorrect": 0.0, "correct": 1.0}
    assert (grader.overall(answers) == answers["label"].map(grader.labels_).to_numpy()).mean() > 0.9
    with pytest.raises(DataError, match="'partial'"):
        scored(answers.assign(label="partial"), grader.labels_)


def test_the_nearest_graded_answers_are_shown_to_the_teacher_only():
    grader = RubricGrader(**QUICK).fit(graded(40), RUBRIC, QUESTION)
    near = grader.nearest(table(["it evaporates and particles move faster"]))
    assert set(near["level"]) <= {0.0, 1.0, 2.0, 3.0} and "evaporates" in near.set_index("level").loc[2.0, "exemplar"]
    assert not grader.grade(table(SAID))["found"].dropna().str.contains("i think").any()


def test_a_score_beyond_full_marks_widens_the_scale_and_an_unknown_question_is_named():
    assert scale([0, 1, 5], 3).tolist() == [0, 1, 2, 3, 4, 5] and scale([0.5], 1, [0, 0.5, 1]).tolist() == [0, 0.5, 1]
    assert labels_in_order(["b", "a"]) == {"a": 0.0, "b": 1.0}
    with pytest.raises(DataError, match="found 'r'"):
        RubricGrader(**QUICK).fit(graded(3).assign(question_id="r"), RUBRIC, QUESTION)
    with pytest.raises(DataError, match="route must be"):
        RubricGrader(route="both")
    with pytest.raises(DataError, match=r"questions\.rubric_id"):
        RubricGrader(**QUICK).fit(graded(3), RUBRIC, QUESTION.assign(rubric_id="other"))


def test_a_file_of_another_kind_is_refused(tmp_path: Path):
    from edukit.grading.fine_tuned import FineTuned

    RubricGrader(**QUICK).fit(graded(20), RUBRIC, QUESTION).save(tmp_path / "g")
    with pytest.raises(DataError, match="kind fine_tuned; found rubric_grader"):
        FineTuned.load(tmp_path / "g")
    with pytest.raises(DataError, match="no file"):
        RubricGrader.load(tmp_path / "absent")


def test_no_answer_gives_an_empty_table():
    grader = RubricGrader(**QUICK).fit(graded(20), RUBRIC, QUESTION)
    assert grader.grade(table([])).empty and grader.probabilities(table([])).empty and grader.overall(table([])).empty


@pytest.mark.realdata
def test_short_answers_of_pupils_are_graded_nearly_as_people_do(edukit_data: Path):
    from edukit.data.asap import AsapSas

    answers = AsapSas().parse(AsapSas().raw_dir())["answers"]
    answers = answers[answers["question_id"] == "5"].reset_index(drop=True)
    test = np.arange(len(answers)) % 5 == 0
    grader = RubricGrader(embeddings=False, trees=60).fit(answers[~test], None, pd.DataFrame({"question_id": ["5"], "max_score": [3.0]}))
    told = grader.overall(answers[test].drop(columns=["score", "second_score"]))
    assert quadratic_weighted_kappa(answers.loc[test, "score"].astype(int).to_numpy(), told.astype(int).to_numpy()) > 0.7
