"""A question that nobody graded."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from edukit.grading.pair_features import Asked, asked, pair_features, weights
from edukit.grading.unseen_route import UnseenRoute, by_rule
from edukit.metrics import auc

WORDS = "salt magnet river copper seed shadow liquid spring planet feather glass engine battery mirror cloud iron sugar candle".split()


def world(questions: int, seed: int = 0) -> tuple[list[str], list[Asked], list[str], np.ndarray]:
    """Of each question a reference of five words, and answers that hold four of them (right) or one (wrong) among others."""
    rng = np.random.default_rng(seed)
    texts, about, groups, y = [], [], [], []
    for q in range(questions):
        wanted = [f"{w}{q if q % 2 else ''}" for w in rng.choice(WORDS, 5, replace=False)]
        one = asked(f"what of it number {q}", " ".join(wanted))
        for _ in range(12):
            right = int(rng.integers(2))
            kept = rng.choice(wanted, 4 if right else 1, replace=False)
            texts.append(" ".join(rng.permutation([*kept, *rng.choice(WORDS, 2), "is"])))
            about.append(one)
            groups.append(f"q{q}")
            y.append(right)
    return texts, about, groups, np.array(y)


def test_what_is_learnt_on_some_questions_holds_on_others():
    texts, about, groups, y = world(30)
    route = UnseenRoute(trees=40).fit(texts, about, groups, y, 2, True, None)
    fresh, asked_of, _, truth = world(10, seed=7)
    p = route.probabilities(fresh, asked_of, 2, None)
    assert route.learnt_ and auc(truth, p[:, 1]) > 0.95 and auc(y, route.unseen_[:, 1]) > 0.95
    np.testing.assert_allclose(p.sum(1), 1)


def test_nothing_of_the_question_itself_is_learnt():
    texts, about, groups, _ = world(40)
    constant = np.random.default_rng(3).integers(0, 2, 40)[[int(g[1:]) for g in groups]]  # the question alone tells the level
    route = UnseenRoute(trees=40).fit(texts, about, groups, constant, 2, True, None)
    assert abs(auc(constant, route.unseen_[:, 1]) - 0.5) < 0.25


def test_without_any_grade_a_fixed_rule_ranks_answers():
    texts, about, _, y = world(10)
    route = UnseenRoute().fit([], [], [], np.zeros(0, int), 2, True, None)
    p = route.probabilities(texts, about, 4, None)
    assert not route.learnt_ and p.shape == (len(texts), 4)
    assert auc(y, p @ np.arange(4)) > 0.95


def test_key_elements_decide_where_they_are_known():
    x = pair_features(["a b"] * 3, [asked(None, "a b")] * 3, {}, None)
    np.testing.assert_allclose(by_rule(x, np.array([[1.0, 1], [1, 0], [0, 0]])), [1, 0.5, 0])


def test_another_number_of_levels_is_reached_through_the_scale():
    texts, about, groups, y = world(30)
    route = UnseenRoute(trees=40).fit(texts, about, groups, y, 2, True, None)
    p = route.probabilities(texts, about, 5, None)
    assert p.shape == (len(texts), 5) and auc(y, p @ np.arange(5)) > 0.95


@pytest.mark.parametrize(
    ("better", "worse", "feature", "sign"),
    [("the copper conducts", "the paper conducts", "recall", 1), ("it is 35 grams", "it is 40 grams", "numbers", 1),
     ("it is 35 grams", "it is 40 grams", "odd_numbers", -1),
     ("the copper conducts", "the copper does not conduct", "negation_differs", -1), ("it gets hotter", "it gets colder", "opposites", -1),
     ("the copper conducts", "what conducts here", "recall_new", 1)],
)
def test_each_feature_tells_what_it_is_for(better: str, worse: str, feature: str, sign: int):
    question = asked("What conducts here?", "The copper conducts and it gets hotter, 35 grams.")
    x = pair_features([better, worse], [question] * 2, weights([better, worse]), None)
    assert sign * (x[feature][0] - x[feature][1]) > 0


def test_the_best_of_several_references_counts_and_missing_ones_are_allowed():
    question = asked("why", "salt melts ice\nthe sun is warm")
    x = pair_features(["the sun is warm", "no idea"], [question, asked(None, None)], {}, None)
    assert x["recall"][0] == pytest.approx(1) and x["recall"][1] == 0 and np.isfinite(x.to_numpy()).all()
    assert not asked(None, float("nan")).known and asked("p", None, elements=["salt | brine"]).models == ("salt | brine",)


def test_features_are_the_same_to_the_last_bit_in_every_process():
    code = ("from edukit.grading.pair_features import asked, pair_features, weights\n"
            "told = ['the %s light warms seed %d and the roots drink cold water from dark soil near old stones' % (w, i) for i, w in "
            "enumerate('sun moon star lamp fire torch candle flash'.split())]\n"
            "print([x.hex() for x in pair_features(told, [asked('Why?', told[3])] * len(told), weights(told), None).to_numpy().ravel()])")
    said = {subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": str(seed)}, capture_output=True, text=True, check=True).stdout
            for seed in (1, 2, 3)}
    assert len(said) == 1
