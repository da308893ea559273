"""Scores agree with scikit-learn and with what can be worked out by hand; intervals cover; corrections correct."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from edukit import metrics


@pytest.fixture(scope="module")
def sample() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    p = rng.random(2000).round(2)
    return (rng.random(2000) < p).astype(float), p


def test_scores_agree_with_scikit_learn(sample):
    y, p = sample
    assert metrics.auc(y, p) == pytest.approx(roc_auc_score(y, p))
    assert metrics.log_loss(y, p) == pytest.approx(log_loss(y, np.clip(p, 1e-7, 1 - 1e-7)), abs=1e-6)
    assert metrics.brier(y, p) == pytest.approx(brier_score_loss(y, p))


def test_a_weight_counts_a_row_that_often(sample):
    y, p = sample
    times = np.random.default_rng(4).integers(0, 4, len(y))
    for score in metrics.SCORES.values():
        assert score(y, p, times) == pytest.approx(score(np.repeat(y, times), np.repeat(p, times)))


def test_random_answers_score_half_and_one_class_scores_nothing():
    rng = np.random.default_rng(1)
    assert abs(metrics.auc(rng.integers(0, 2, 20_000), rng.random(20_000)) - 0.5) < 0.02
    assert np.isnan(metrics.auc(np.ones(5), np.arange(5)))


def test_ece_is_zero_when_calibrated_and_the_shift_when_not():
    y = np.repeat([1.0, 0.0], [700, 300])
    assert metrics.ece(y, np.full(1000, 0.7)) == pytest.approx(0)
    assert metrics.ece(y, np.full(1000, 0.9)) == pytest.approx(0.2)


def test_cluster_bootstrap_is_wider_than_a_row_bootstrap_where_learners_differ():
    rng = np.random.default_rng(2)
    units = np.repeat(np.arange(60), 40)
    y = (rng.random(2400) < np.repeat(rng.beta(1, 1, 60), 40)).astype(float)
    p = np.full(2400, 0.5)
    narrow, wide = (np.diff(metrics.bootstrap(y, p, u, lambda a, _, w: np.average(a, weights=w)))[0] for u in (np.arange(2400), units))
    assert wide > 2 * narrow


def test_interval_covers_the_truth_about_as_often_as_it_says():
    hits = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        y = (rng.random(300) < 0.7).astype(float)
        low, high = metrics.bootstrap(y, y, np.arange(300), lambda a, _, w: np.average(a, weights=w), seed=seed)
        hits += low <= 0.7 <= high
    assert 51 <= hits <= 60


def test_paired_bootstrap_finds_a_real_difference_and_no_false_one(sample):
    y, p = sample
    rng = np.random.default_rng(3)
    units = np.repeat(np.arange(100), 20)
    worse = np.clip(p + rng.normal(0, 0.4, len(p)), 0, 1)
    found = metrics.paired_bootstrap(y, p, worse, units, metrics.auc)
    assert found["low"] > 0 and found["p_value"] < 0.05
    same = metrics.paired_bootstrap(y, p, p, units, metrics.auc)
    assert same["difference"] == 0 and same["p_value"] == 1


def test_holm_by_hand():
    assert metrics.holm([0.01, 0.02, 0.03, 0.5]) == pytest.approx([0.04, 0.06, 0.06, 0.5])


def test_record_refuses_unknown_fields():
    with pytest.raises(TypeError, match="no field colour"):
        metrics.record("auc", 0.5, colour="red")
