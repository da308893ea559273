"""The invented answers: what is called true stands in the text, raters err as often as told, and nothing depends on luck."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from edukit.data import gaming_answers
from edukit.data.answer_wording import QUESTIONS
from edukit.data.synthetic_answers import AnswerTruth, SyntheticAnswers
from edukit.metrics import quadratic_weighted_kappa
from edukit.schema import DataError


@pytest.fixture(scope="module")
def made() -> tuple[dict[str, pd.DataFrame], AnswerTruth]:
    return SyntheticAnswers(learners=300).answered()


def test_the_shape_is_as_told():
    tables, truth = SyntheticAnswers().answered()
    assert {name: len(table) for name, table in tables.items()} == {"questions": 6, "answers": 360, "rubrics": 38, "learners": 60}
    assert tables["questions"]["domain"].nunique() == 3 and tables["answers"]["part"].value_counts().to_dict() == {"train": 252, "test": 108}
    assert tables["answers"].groupby("learner_id")["part"].nunique().max() == 1
    assert sum(len(part.elements) for q in QUESTIONS for part in q.parts) == 26 == truth.elements["element"].nunique()


def test_what_is_named_or_denied_stands_in_the_text(made):
    tables, truth = made
    text = tables["answers"].set_index("answer_id")["text"].str.casefold()
    said = truth.elements[truth.elements["wording"] != "absent"]
    assert all(row.clause.casefold() in text[row.answer_id] for row in said.itertuples())
    assert (truth.elements["present"] == truth.elements["wording"].isin(["near", "other"])).all()
    share = truth.elements["wording"].value_counts(normalize=True)
    assert 0.25 < share["other"] / (share["other"] + share["near"]) < 0.35 and 0.05 < share["denied"] < 0.1


def test_levels_and_scores_follow_from_the_elements(made):
    tables, truth = made
    named = truth.elements.groupby(["answer_id", "criterion_id"])["present"].sum().unstack()
    pd.testing.assert_frame_equal(named.astype(float), truth.scores[named.columns].loc[named.index], check_names=False, check_dtype=False)
    rubric, full = tables["rubrics"], tables["questions"].set_index("rubric_id")["max_score"]
    top = rubric.groupby(["rubric_id", "criterion_id"]).agg(level=("level", "max"), weight=("weight", "first")).reset_index()
    assert np.allclose(top.groupby("rubric_id")["weight"].sum(), 1) and (top.groupby("rubric_id")["level"].sum() == full.sort_index()).all()
    assert tables["answers"]["score"].between(0, tables["answers"]["question_id"].map(full)).all()


def test_raters_are_off_as_often_as_told_and_by_one(made):
    tables, truth = made
    true = truth.scores["true_score"].to_numpy()
    for column, share in (("score", 0.15), ("second_score", 0.2)):
        off = np.abs(tables["answers"][column].to_numpy() - true)
        assert set(off) == {0.0, 1.0} and abs(off.mean() - share) < 0.03
    exact = SyntheticAnswers(learners=20, noise=0, second_noise=0).answered()[0]["answers"]
    assert quadratic_weighted_kappa(exact["score"], exact["second_score"]) == 1


def test_another_home_language_misspells_more_and_knows_as_much(made):
    tables, truth = made
    answers = tables["answers"].merge(tables["learners"], on="learner_id")
    scores = truth.scores["true_score"].to_numpy()
    other = (answers["home_language"] == "another").to_numpy()
    assert abs(scores[other].mean() - scores[~other].mean()) < 0.5
    vocabulary = set(" ".join(SyntheticAnswers(learners=300, misspelt=0).parse(None)["answers"]["text"]).casefold().replace(".", " ").split())
    unknown = answers["text"].str.casefold().str.replace(r"[.,;]", " ", regex=True).str.split().map(lambda words: sum(w not in vocabulary for w in words))
    assert unknown[other].mean() > 2 * unknown[~other].mean() > 0


def test_equal_arguments_give_equal_tables_and_another_seed_others():
    small = SyntheticAnswers(learners=8)
    first, again, other = small.parse(small.raw_dir()), small.parse(small.raw_dir()), dataclasses.replace(small, seed=8).parse(small.raw_dir())
    for name in first:
        pd.testing.assert_frame_equal(first[name], again[name])
    assert not first["answers"]["text"].equals(other["answers"]["text"])


@pytest.mark.parametrize(("options", "words"), [({"learners": 3}, "at least 4; found 3"), ({"noise": 1.5}, "noise must be a share"),
                                                ({"misspelt": float("nan")}, "misspelt must be a share")])
def test_impossible_arguments_are_refused(options, words):
    with pytest.raises(DataError, match=words):
        SyntheticAnswers(**options).answered()


@pytest.mark.parametrize("kind", gaming_answers.KINDS)
def test_gamed_answers_are_drawn_for_every_question_and_their_halves_differ(kind):
    held, chosen = gaming_answers.gamed(kind, 60, 1), gaming_answers.gamed(kind, 60, 1, held=False)
    assert len(held) == 60 and held["question_id"].nunique() == 6 and held["text"].str.len().gt(0).all()
    assert gaming_answers.gamed(kind, 60, 1).equals(held) and not chosen["text"].equals(held["text"])


def test_wordings_of_the_two_halves_of_gaming_share_nothing():
    for lists in (gaming_answers.ORDERS, gaming_answers.ELSEWHERE, gaming_answers.MASHES, gaming_answers.PADDING):
        assert not set(lists[0]) & set(lists[1])


def test_nothing_is_copied_where_there_is_nothing_to_copy_and_an_unknown_kind_is_refused():
    tables = SyntheticAnswers(learners=5).parse(None)
    bare = tables["questions"].drop(columns=["prompt", "reference"])
    assert gaming_answers.gamed("copied_prompt", 5, answers=tables["answers"], questions=bare).empty
    with pytest.raises(DataError, match="of the kinds length"):
        gaming_answers.gamed("bribes")
