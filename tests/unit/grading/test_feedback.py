"""Feedback: the rubric's own words, of the answer and never of the person."""

from __future__ import annotations

import pandas as pd
import pytest

from edukit.grading.feedback import COLUMNS, DONE, LEFT, UNREAD, feedback
from edukit.grading.rubric import Rubric
from edukit.grading.rubric_check import PERSON
from edukit.reproducibility import bundled
from edukit.schema import DataError

RUBRIC = Rubric.read(bundled("conf") / "rubrics" / "puddle.yaml")


def graded(**scores) -> pd.DataFrame:
    missing = {"process": "evaporates | evaporation | turns into vapour", "cause": None, "evidence": None}
    found = {"cause": 'heat | warmth | sun | wind: "the <b>sun</b>"'}
    return pd.DataFrame([{"answer_id": "a", "criterion_id": one, "score": score, "found": found.get(one), "missing": missing.get(one) if score != 2 else None}
                         for one, score in scores.items()])


def test_each_criterion_says_what_is_there_what_is_missing_and_what_comes_next():
    said = feedback(graded(cause=1, process=1, evidence=0), RUBRIC).set_index("criterion_id")
    assert said.reset_index().columns.tolist() == COLUMNS and said.index.tolist() == ["process", "cause", "evidence"]
    assert said.loc["process", "missing"] == "evaporates, or evaporation, or turns into vapour"
    assert said.loc["process", "next_step"] == RUBRIC.criteria[0].levels[2].descriptor
    assert said.loc["process", "text"].endswith(f"Next step: {RUBRIC.criteria[0].levels[2].descriptor}")
    assert said.loc["cause", "text"] == f'Found: heat | warmth | sun | wind: "the <b>sun</b>".\n{DONE}' and said.loc["cause", "next_step"] == ""
    assert said.loc["evidence", "text"] == f"Next step: {RUBRIC.criteria[2].levels[1].descriptor}"


def test_what_is_left_to_a_person_gets_no_advice():
    said = feedback(graded(process=None), RUBRIC)
    assert said["text"].tolist() == [UNREAD] and said["next_step"].tolist() == [""] and said["missing"].tolist() == [""]


def test_the_top_level_with_an_element_missing_does_not_say_that_all_is_there():
    rows = graded(process=2).assign(missing="evaporates")
    assert feedback(rows, RUBRIC)["text"].iloc[0] == f"Still missing: evaporates.\n{LEFT}"


def test_a_score_between_two_levels_points_to_the_next_one_above():
    assert feedback(graded(process=0.5), RUBRIC)["next_step"].iloc[0] == RUBRIC.criteria[0].levels[1].descriptor


def test_a_criterion_that_the_rubric_has_not_comes_last_without_a_next_step():
    said = feedback(graded(overall=1, cause=0), RUBRIC)
    assert said["criterion_id"].tolist() == ["cause", "overall"] and said["text"].iloc[1] == ""


def test_no_word_of_ours_judges_a_person():
    assert not PERSON.search(" ".join((UNREAD, DONE, LEFT)))


def test_grades_of_two_answers_are_refused():
    with pytest.raises(DataError, match="found 2 answers"):
        feedback(pd.concat([graded(cause=1), graded(process=1).assign(answer_id="b")]), RUBRIC)
    with pytest.raises(DataError, match="each criterion once"):
        feedback(pd.concat([graded(cause=1), graded(cause=1)]), RUBRIC)
