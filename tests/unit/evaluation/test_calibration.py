"""Calibrators repair what was planted, keep what is right, and are chosen on learners that they were not fitted on."""

from __future__ import annotations

import numpy as np
import pytest

from edukit.evaluation.calibration import choose
from edukit.metrics import auc, ece
from edukit.recalibration import Beta, Isotonic, Platt


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


@pytest.fixture(scope="module")
def answers() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log-odds that are true, answers drawn from them, and learners."""
    rng = np.random.default_rng(0)
    logit = rng.normal(0.3, 1.2, 24_000)
    return logit, (rng.random(len(logit)) < sigmoid(logit)).astype(float), np.repeat(np.arange(240), 100)


@pytest.mark.parametrize("distort", [lambda x: sigmoid(2.5 * x), lambda x: sigmoid(0.3 * x - 0.8), lambda x: sigmoid(x + 0.9)],
                         ids=["over-confident", "timid and low", "too high"])
def test_planted_error_is_repaired_on_other_learners_and_no_order_is_turned(answers, distort):
    logit, y, units = answers
    said, valid = distort(logit), units < 120
    method, put_right = choose(said[valid], y[valid], units[valid])
    after = put_right(said[~valid])
    assert ece(y[~valid], said[~valid]) > 0.05 and method != "none"
    assert ece(y[~valid], after) < 0.02
    assert (np.diff(after[np.argsort(said[~valid])]) >= -1e-12).all() and auc(y[~valid], after) == pytest.approx(auc(y[~valid], said[~valid]), abs=0.002)


def test_a_bend_that_no_line_can_mend_is_left_to_the_staircase(answers):
    logit, y, units = answers
    said = np.where(logit > 0, sigmoid(4 * logit), sigmoid(0.2 * logit))
    valid = units < 120
    method, put_right = choose(said[valid], y[valid], units[valid])
    assert method == "isotonic" and ece(y[~valid], put_right(said[~valid])) < 0.02


def test_guessing_that_a_line_cannot_mend_is_bent_away(answers):
    """A model that knows of no guessing says too little of learners who know little."""
    logit, _, units = answers
    y = (np.random.default_rng(1).random(len(logit)) < 0.2 + 0.8 * sigmoid(logit)).astype(float)
    said, valid = sigmoid(logit), units < 120
    method, put_right = choose(said[valid], y[valid], units[valid])
    assert method in ("beta", "isotonic") and ece(y[~valid], put_right(said[~valid])) < 0.02 < ece(y[~valid], said[~valid])
    bend = Beta.fit(said[valid], y[valid])(np.linspace(0, 1, 101))
    assert (np.diff(bend) >= 0).all() and 0 < bend[0] < bend[-1] < 1
    assert isinstance(Beta.fit(said, 1 - y), Platt)  # no order is turned, even where it is upside down


def test_right_probabilities_stay_nearly_as_they_are(answers):
    logit, y, units = answers
    _, put_right = choose(sigmoid(logit), y, units)
    assert np.abs(put_right(sigmoid(logit)) - sigmoid(logit)).max() < 0.03


def test_few_learners_or_one_kind_of_answer_choose_nothing():
    p = np.linspace(0.1, 0.9, 40)
    for y, units in ((np.tile([0.0, 1.0], 20), np.repeat(np.arange(4), 10)), (np.ones(40), np.arange(40))):
        method, put_right = choose(p, y, units)
        assert method == "none" and (put_right(p) == p).all()


def test_the_staircase_stays_off_zero_and_one():
    stairs = Isotonic.fit(np.array([0.1, 0.2, 0.8, 0.9]), np.array([0.0, 0, 1, 1]))
    assert 0 < stairs(np.array([0.0]))[0] < 0.15 and 0.85 < stairs(np.array([1.0]))[0] < 1


def test_a_weight_counts_a_row_that_often():
    rng = np.random.default_rng(2)
    p, weight = rng.random(300), rng.integers(0, 3, 300)
    y = (rng.random(300) < p**2).astype(float)
    for curve in (Platt, Beta, Isotonic):
        told, repeated = curve.fit(p, y, weight.astype(float)), curve.fit(np.repeat(p, weight), np.repeat(y, weight))
        assert np.abs(told(p) - repeated(p)).max() < 0.005, curve
