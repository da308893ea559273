"""Key elements, deferral, checks and clusters: what was planted is found, denials are not taken for it, and what is asked for is held exactly."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.data.gaming_answers import gamed
from edukit.data.synthetic_answers import SyntheticAnswers
from edukit.grading import answer_clusters, deferral, elements
from edukit.grading.answer_checks import AnswerChecks, check, flags
from edukit.grading.named_elements import NamedElements
from edukit.schema import DataError


@pytest.fixture(scope="module")
def made():
    return SyntheticAnswers(learners=60, seed=0).answered()


def test_planted_elements_near_the_rubric_are_found_with_their_place_and_denials_are_not(made):
    tables, truth = made
    parts = []
    for question, part in tables["answers"].groupby("question_id"):
        wanted = truth.elements.loc[truth.elements["question_id"] == question, "element"].unique()
        parts.append(elements.find(part.set_index("answer_id")["text"], wanted))
    found = pd.concat(parts).merge(truth.elements, left_on=["answer", "element"], right_on=["answer_id", "element"])
    near = found["wording"] == "near"
    assert found.loc[found["found"], "present"].mean() > 0.95 and found.loc[near, "found"].mean() > 0.95
    assert found.loc[found["wording"] == "denied", "found"].mean() < 0.05
    text = tables["answers"].set_index("answer_id")["text"]
    placed = found[found["start"].notna()]
    assert all(text[r.answer][r.start:r.end] == r.quote for r in placed.itertuples())


@pytest.mark.parametrize(("text", "named", "denied"), [
    ("the water evaporates", True, False), ("EVAPORATION  happens", True, False), ("it does not evaporate", False, True), ("it evap\u200borates", True, False),
    ("it doesn't evaporate", False, True), ("", False, False), ("<b>evaporates</b>", True, False), ("I do not know but it evaporates", True, False)])
def test_endings_case_invisible_marks_and_scope_of_denial(text, named, denied):
    row = elements.find([text], ["evaporates | turns to vapour"]).iloc[0]
    assert (bool(row["found"]), bool(row["denied"])) == (named, denied)


def test_a_paraphrase_needs_embeddings():
    def embed(texts):
        return np.array([[1.0, 0.0] if "vapour" in t or "dry" in t else [0.0, 1.0] for t in texts])

    assert not elements.find(["all the drops dry up"], ["turns to vapour"])["found"].iloc[0]
    assert elements.find(["all the drops dry up"], ["turns to vapour"], embed=embed)["quote"].iloc[0] == "all the drops dry up"


def test_a_clause_means_the_nearest_of_all_the_elements_looked_for_together():
    def embed(texts):
        return np.array([[1.0, 0.0] if "vapour" in t else [0.0, 1.0] if "wind" in t else [0.6, 0.8] for t in texts])

    wanted = ["turns to vapour", "the wind carries it"]
    assert NamedElements().hits(wanted, ["all of it blows off"]).tolist() == [[0, 0]]
    named = NamedElements(embed)
    assert named.hits(wanted, ["all of it blows off"]).tolist() == [[0, 1]]
    assert named.hits(wanted[:1], ["all of it blows off"]).tolist() == [[0]]


def _graded(n: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet([0.4, 0.4, 0.4, 0.15], n)
    ids = [f"a{i}" for i in range(n)]
    y = np.array([rng.choice(4, p=row) for row in p], float)
    told = pd.DataFrame(p, index=ids, columns=[0.0, 1.0, 2.0, 3.0])
    grades = pd.DataFrame({"answer_id": ids, "criterion_id": "overall", "score": deferral.decided(told), "confidence": 0.5, "deferred": False})
    return grades, told, y


def test_a_share_is_deferred_exactly_and_kappa_gains_most_by_its_own_risk():
    grades, told, y = _graded(997)
    kappa = {}
    for risk in deferral.RISKS:
        left = deferral.defer(grades, told, max_fraction=0.3, risk=risk)
        assert left["deferred"].sum() == 299 and left.loc[left["deferred"], "score"].isna().all()
        kept = ~left["deferred"].to_numpy()
        kappa[risk] = deferral.quadratic_weighted_kappa(y[kept], grades["score"].to_numpy()[kept])
    assert kappa["kappa"] > max(kappa["squared_error"], kappa["probability"])
    assert kappa["kappa"] > deferral.quadratic_weighted_kappa(y, grades["score"]) + 0.05


def test_a_target_is_chosen_on_calibration_answers_and_refused_where_out_of_reach():
    grades, told, _ = _graded(600)
    _, known, y = _graded(600, 1)
    known = known.assign(y=y)
    left = deferral.defer(grades, told, target_qwk=0.75, calibrated_on=known)
    assert 0 < left["deferred"].mean() < 1
    with pytest.raises(DataError, match="the most is"):
        deferral.defer(grades, told, target_qwk=0.999, calibrated_on=known)
    with pytest.raises(DataError, match="found neither"):
        deferral.defer(grades, told)


def test_the_curve_keeps_what_deferral_keeps_and_leaves_out_what_is_too_little():
    grades, told, y = _graded(300)
    questions = pd.Series(np.arange(300) % 2, index=told.index).map({0: "p", 1: "q"})

    def right(stay):
        return float((y == grades["score"])[stay].mean()), int(stay.sum()), 0.0, 1.0

    table = deferral.risk_coverage(grades, told, right, questions, (0.0, 0.25, 0.3, 0.99)).set_index("left")
    assert table.index.tolist() == [0.3, 0.25, 0.0] and table.loc[0.0, ["coverage", "n"]].tolist() == [1, 300]  # three kept are too few
    for share in table.index:
        stay = ~deferral.defer(grades, told, max_fraction=share, questions=questions)["deferred"].to_numpy()
        assert table.loc[share, ["value", "n"]].tolist() == list(right(stay)[:2])


@pytest.mark.parametrize("kind", ["length", "copied_prompt", "gibberish", "off_topic", "injected_instructions"])
def test_gaming_is_found_and_honest_answers_are_left_alone(made, kind):
    tables, _ = made
    honest = SyntheticAnswers(learners=60, seed=1).parse(None)["answers"]
    checks = AnswerChecks().fit(tables["answers"], tables["questions"])
    assert checks.check(gamed(kind, 60, 2))[kind].mean() >= 0.9
    assert checks.check(honest)[kind].mean() <= 0.02


def test_novelty_is_high_of_what_is_unlike_all_and_odd_answers_are_read(made):
    tables, _ = made
    odd = pd.DataFrame({"answer_id": list("abcd"), "question_id": "puddle", "text": ["", "数学は楽しい " * 3, "x" * 1_000_000, "It evaporates in the sun."]})
    found = check(odd, tables["questions"], tables["answers"])
    assert found.loc["b", "novelty"] > 0.95 and found.loc["c", "length" if found.loc["c", "length"] else "gibberish"]
    assert len(flags(found)) == 4


def test_a_grade_spreads_to_what_is_alike_and_no_further():
    texts = pd.Series(["water evaporates", "water evaporates!", "Water  evaporates", "cows eat grass", "cows eat the grass"], index=list("abcde"))
    told = answer_clusters.representatives(texts, pd.Series(0.3, index=texts.index), budget=2)
    asked = told.loc[told["representative"], "answer_id"]
    assert len(asked) == 2
    spread = answer_clusters.spread(told, dict.fromkeys(asked, 1.0) | {"d": 0.0, "e": 0.0})
    assert spread[["a", "b", "c"]].tolist() == [1, 1, 1] and spread[["d", "e"]].tolist() == [0, 0]
    assert answer_clusters.representatives(texts, pd.Series(1.0, index=texts.index), 2).empty
