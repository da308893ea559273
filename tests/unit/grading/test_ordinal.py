"""From evidence to the probability of each level, and to one level."""

from __future__ import annotations

import numpy as np
import pytest

from edukit.grading.ordinal import LevelModel, decide, fit_levels, learn_cuts, learn_worth, spread_over
from edukit.metrics import ece, quadratic_weighted_kappa


def drawn(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and levels of a planted proportional odds model: weights 1, 2, 0; cuts -1, 0.5, 2."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    return x, np.searchsorted([-1, 0.5, 2], x @ [1, 2, 0] + rng.logistic(size=n))


def test_planted_weights_and_cuts_are_found():
    x, y = drawn(4000)
    model = fit_levels(x, y, 4)
    np.testing.assert_allclose(model.weights / model.spread, [1, 2, 0], atol=0.12)
    np.testing.assert_allclose(model.cuts + (model.mean / model.spread) @ model.weights, [-1, 0.5, 2], atol=0.15)


@pytest.mark.parametrize("ordered", [True, False])
def test_probabilities_are_calibrated_on_fresh_answers(ordered: bool):
    model = fit_levels(*drawn(3000), 4, ordered)
    x, y = drawn(3000, seed=1)
    p = model.probabilities(x)
    np.testing.assert_allclose(p.sum(1), 1)
    sure = p.max(1)
    assert ece((p.argmax(1) == y).astype(float), sure) < 0.03


def test_a_level_that_nobody_has_stays_possible_and_rare():
    x, y = drawn(300)
    p = fit_levels(x[y < 3], y[y < 3], 4).probabilities(x)
    assert (p[:, 3] > 0).all() and p[:, 3].mean() < 0.05


def test_numbers_that_say_nothing_leave_the_shares_of_the_levels():
    rng = np.random.default_rng(0)
    y = rng.choice(3, 600, p=[0.6, 0.3, 0.1])
    p = fit_levels(rng.normal(size=(600, 2)), y, 3, penalty=50).probabilities(rng.normal(size=(50, 2)))
    np.testing.assert_allclose(p.mean(0), np.bincount(y) / 600, atol=0.03)
    np.testing.assert_array_equal(fit_levels(np.ones((600, 1)), y, 3).weights, [0])


def test_it_is_kept_and_restored():
    for ordered in (True, False):
        x, y = drawn(200)
        model = fit_levels(x, y, 4, ordered)
        again = LevelModel.of(model.arrays())
        assert again.ordered is ordered
        np.testing.assert_array_equal(again.probabilities(x), model.probabilities(x))


def test_learnt_cuts_are_no_worse_than_the_middle_and_rise():
    x, y = drawn(1500)
    levels = np.arange(4.0)
    p = fit_levels(x, y, 4).probabilities(x)
    cuts = learn_cuts(p, y, levels)
    assert (np.diff(cuts) >= 0).all()
    middle = quadratic_weighted_kappa(y, decide(p, levels, np.array([0.5, 1.5, 2.5])))
    assert quadratic_weighted_kappa(y, decide(p, levels, cuts)) >= middle
    np.testing.assert_array_equal(learn_cuts(p[:20], y[:20], levels), [0.5, 1.5, 2.5])  # too few to learn from


def test_labels_are_given_by_the_greatest_probability():
    p = np.array([[0.4, 0.25, 0.35], [0.1, 0.2, 0.7]])
    assert decide(p, np.arange(3.0), None).tolist() == [0, 2]
    assert decide(p, np.arange(3.0), np.array([0.5, 1.5])).tolist() == [1, 2]


def test_a_mean_is_spread_over_levels():
    p = spread_over(np.array([0.0, 0.5, 1.0]), 5, 12.0)
    np.testing.assert_allclose(p.sum(1), 1)
    assert p.argmax(1).tolist() == [0, 2, 4]
    assert spread_over(np.array([0.5]), 5, 50.0).max() > p[1].max()


def test_a_good_prior_is_worth_more_than_a_bad_one():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 900)
    right, flat = 0.7 * np.eye(3)[y] + 0.1, np.full((900, 3), 1 / 3)
    assert learn_worth([(flat[:10], right[:10], y[:10])] * 90, (0.0, 20.0, 200.0), 20.0) == 200.0
    assert learn_worth([(right[:10], flat[:10], y[:10])] * 90, (0.0, 20.0, 200.0), 20.0) == 0.0
    assert learn_worth([(flat, flat, y)], (0.0, 20.0, 200.0), 20.0) == 20.0
