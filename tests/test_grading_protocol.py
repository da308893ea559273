"""How graders are judged: every answer by a grader that has not seen it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from edukit.experiments import grading_protocol
from omegaconf import OmegaConf

from edukit.data.synthetic_answers import SyntheticAnswers
from edukit.schema import DataError
from edukit.validation import validate


class Remembering:
    """Gives the score that it has seen for this very answer, else 0; and keeps what it was shown."""

    shown: list[tuple[pd.DataFrame, pd.DataFrame]] = []

    def fit(self, answers: pd.DataFrame, rubric: pd.DataFrame | None, questions: pd.DataFrame) -> Remembering:
        self.given, self.train = "label" if "score" not in answers else "score", answers
        self.known = dict(zip(answers["answer_id"], answers[self.given], strict=True))
        return self

    def probabilities(self, answers: pd.DataFrame) -> pd.DataFrame:
        Remembering.shown.append((self.train, answers))
        assert not {"score", "second_score", "label"} & set(answers)
        p = np.zeros((len(answers), 6)) + np.eye(6)[0]
        return pd.DataFrame(p, index=pd.Index(answers["answer_id"], name="answer_id"), columns=np.arange(6.0))

    def overall(self, answers: pd.DataFrame) -> pd.Series:
        return pd.Series([float(i in self.known) for i in answers["answer_id"]], index=pd.Index(answers["answer_id"]))

    def grade(self, answers: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"answer_id": answers["answer_id"], "criterion_id": "overall", "score": 0.0, "deferred": False})


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch):
    Remembering.shown = []
    monkeypatch.setattr(grading_protocol, "instantiate", lambda cfg: Remembering())
    return lambda tables, folds=4: grading_protocol.judge(tables, OmegaConf.create({}), OmegaConf.create({"folds": folds, "seed": 3}))


def tables() -> dict[str, pd.DataFrame]:
    return SyntheticAnswers(learners=20).parse(Path())


def test_the_publisher_s_parts_are_kept(judge):
    data = tables()
    found = judge(data)
    assert list(found) == ["test"]
    (train, test), = Remembering.shown
    assert set(train["part"]) == {"train"} and list(test["answer_id"]) == list(found["test"].truth.index)
    validate(found["test"].grades, "grades")
    assert (found["test"].grades["score"] == 0).all()  # none of them was seen


def test_folds_hold_every_answer_once_and_whole_learners(judge):
    data = tables()
    data["answers"] = data["answers"].drop(columns="part").sample(frac=1, random_state=1)
    found = judge(data)["folds"]
    assert sorted(found.truth.index) == sorted(data["answers"]["answer_id"]) and found.truth.index.equals(found.probabilities.index)
    assert list(found.grades["answer_id"]) == list(found.answers["answer_id"]) == list(found.truth.index)
    assert (found.grades["score"] == 0).all() and len(Remembering.shown) == 4
    for train, test in Remembering.shown:
        assert not set(train["learner_id"]) & set(test["learner_id"])


def test_folds_depend_on_the_seed_and_not_on_the_order_and_are_even_in_each_question():
    answers = tables()["answers"].drop(columns="learner_id").reset_index(drop=True)
    fold = pd.Series(grading_protocol.fold_of(answers, 5, 0), index=answers["answer_id"])
    mixed = answers.sample(frac=1, random_state=2)
    again = pd.Series(grading_protocol.fold_of(mixed, 5, 0), index=mixed["answer_id"])
    assert (again[fold.index] == fold).all() and (grading_protocol.fold_of(answers, 5, 1) != fold.to_numpy()).any()
    sizes = fold.groupby([answers["question_id"].to_numpy(), fold.to_numpy()]).size()
    assert sizes.max() - sizes.min() <= 1
    with pytest.raises(DataError, match="folds must lie between 2"):
        grading_protocol.fold_of(answers, 1, 0)


def test_labels_stay_labels_for_the_grader(judge):
    data = tables()
    data["answers"] = data["answers"].assign(label=np.where(data["answers"]["score"] > 1, "correct", "incorrect")).drop(columns=["score", "second_score"])
    found = judge(data)["test"]
    assert found.labels == {"incorrect": 0.0, "correct": 1.0} and set(found.truth) == {0.0, 1.0}
    assert "score" not in Remembering.shown[0][0]


def test_answers_that_nobody_graded_are_named(judge):
    data = tables()
    data["answers"] = data["answers"].drop(columns=["score", "second_score"])
    with pytest.raises(DataError, match="scores or labels to judge a grader by"):
        judge(data)
