"""A question of which some answers are graded."""

from __future__ import annotations

import numpy as np
import pytest

from edukit.grading.answer_features import AnswerFeatures
from edukit.grading.seen_route import FEWEST, TREES_FROM, SeenRoute
from edukit.metrics import log_loss, quadratic_weighted_kappa

GOOD = ("the sun heats it", "water evaporates", "vapour rises", "it turns to gas")
IDLE = ("i like puddles", "it was a monday", "my shoes were wet", "there is a road", "we saw a dog", "rain fell")


def written(n: int, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Answers that say 0, 1 or 2 good things among idle ones; the level is how many."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    texts = [" and ".join(rng.permutation([*rng.choice(GOOD, k, replace=False), *rng.choice(IDLE, 2, replace=False)])) for k in y]
    return texts, y


@pytest.mark.parametrize("size", [FEWEST, 50, TREES_FROM + 60])
def test_the_more_are_graded_the_better_it_agrees(size: int):
    texts, y = written(size, seed=2)
    fresh, truth = written(150, seed=9)
    p = SeenRoute(trees=30).fit(texts, y, 3).probabilities(fresh)
    np.testing.assert_allclose(p.sum(1), 1)
    assert quadratic_weighted_kappa(truth, p.argmax(1)) > {FEWEST: 0.2, 50: 0.6}.get(size, 0.85)


def test_labels_need_no_order():
    texts, y = written(120)
    fresh, truth = written(100, seed=5)
    turned = np.array([1, 2, 0])[y]  # the middle level stands at the top
    p = SeenRoute(trees=0).fit(texts, turned, 3, ordered=False).probabilities(fresh)
    assert (p.argmax(1) == np.array([1, 2, 0])[truth]).mean() > 0.8


def test_what_is_said_of_graded_answers_was_said_without_them():
    rng = np.random.default_rng(77)
    texts, _ = written(140)
    y = rng.integers(0, 3, len(texts))  # nothing to learn: an answer's own mark must not be found again
    route = SeenRoute(trees=30).fit(texts, y, 3)
    assert abs(quadratic_weighted_kappa(y, route.unseen_.argmax(1))) < 0.2
    assert route.unseen_.shape == (140, 3) and log_loss(np.eye(3)[y], route.unseen_) < 0.75


def test_further_numbers_are_read():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 60)
    texts = [f"{rng.choice(IDLE)} {i % 7}" for i in range(60)]
    p = SeenRoute(trees=0).fit(texts, y, 2, extra=y[:, None] + 0.0).probabilities(texts, extra=1.0 - y[:, None])
    assert (p.argmax(1) == 1 - y).mean() > 0.9


def test_the_nearest_graded_answer_of_each_level_is_named():
    texts, y = ["water evaporates", "i like dogs", "my shoes", "rain fell on us"] * 3, np.array([2, 0, 0, 0] * 3)
    where, how = SeenRoute(trees=0).fit(texts, y, 3).nearest(["the water evaporates", "a dog"])
    assert texts[where[0, 2]] == "water evaporates" and where[0, 1] == -1 and how[0, 2] > how[0, 0]
    assert (how >= 0).all() and (how <= 1).all()


def test_a_graded_answer_is_compared_with_other_parts_only():
    y, part = np.array([0, 0, 1]), np.array([0, 1, 0])
    near = AnswerFeatures(["same words here", "other things there", "same words here"], None).alike().by_level(y, 2, part)
    assert near[0, 0] < 1 - 1e-9 and (near[0, 3:6] == 0).all()  # its twin stands in the same part


def test_answers_without_a_word_are_no_fault():
    texts = ["?", "!", "..."] * 4
    p = SeenRoute(trees=0).fit(texts, np.arange(12) % 2, 2).probabilities(["???", "words"])
    np.testing.assert_allclose(p.sum(1), 1)
