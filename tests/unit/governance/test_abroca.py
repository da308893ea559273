"""ABROCA: equal to the published package, a test that keeps its size, an interval that covers, a gap that is found."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.governance.abroca import abroca, slicing


def world(rng, group: int, rest: int, gap: float = 0.0, shift: float = 0.0, base: tuple[float, float] = (0.4, 0.4), digits: int = 9):
    """Outcomes, predictions, members; the scores of the group tell ``gap`` less, lie ``shift`` higher, and its share of 1s is its own."""
    member = np.arange(group + rest) < group
    y = (rng.random(group + rest) < np.where(member, *base)).astype(float)
    score = rng.normal(size=len(y)) + y * np.where(member, 1 - gap, 1) + shift * member
    return y, np.round(1 / (1 + np.exp(-score)), digits), member


@pytest.mark.filterwarnings("ignore:The maximum number of subdivisions")
@pytest.mark.parametrize("settings", [{"gap": 0.8}, {"gap": 0.0}, {"gap": 0.5, "digits": 1}, {"shift": 1.5, "base": (0.7, 0.2)}, {"gap": 0.8, "digits": 2}])
def test_it_equals_the_published_package_on_two_groups(settings, monkeypatch):
    package = pytest.importorskip("abroca")
    between = pd.Series.between
    monkeypatch.setattr(pd.Series, "between", lambda self, low, high, inclusive="both": between(self, low, high))  # it passes what pandas no longer takes
    y, p, member = world(np.random.default_rng(3), 300, 500, **settings)
    table = pd.DataFrame({"p": p, "y": y, "g": np.where(member, "a", "b")})
    theirs = package.compute_abroca(table, "p", "y", "g", compare_type="binary", majority_protected_attr_val="b", limit=1000)
    assert abroca(y, p, member) == pytest.approx(next(iter(theirs.values())), abs=1e-3)
    assert abroca(y, p, member) == abroca(y, p, ~member)


def test_the_area_is_exact_where_it_can_be_worked_out_by_hand():
    y = np.array([1, 0, 1, 0, 1, 0, 1, 0])
    p = np.array([0.9, 0.1, 0.8, 0.2, 0.5, 0.5, 0.5, 0.5])  # a perfect ranking, and none
    member = np.arange(8) < 4
    assert abroca(y, p, member) == pytest.approx(0.5)
    crossing = np.array([0.9, 0.1, 0.4, 0.6, 0.5, 0.5, 0.5, 0.5])  # above the diagonal, then below: (1/8) on either side
    assert abroca(y, crossing, member) == pytest.approx(0.25)
    assert np.isnan(abroca(np.ones(8), p, member))


def test_a_monotone_change_of_the_predictions_of_either_side_changes_nothing():
    y, p, member = world(np.random.default_rng(0), 200, 300, gap=0.5)
    assert abroca(y, np.where(member, p**3, p / 2 + 0.5), member) == pytest.approx(abroca(y, p, member), abs=1e-12)


@pytest.mark.parametrize("settings", [{}, {"shift": 1.0, "base": (0.6, 0.3)}, {"rest": 300}])
def test_the_test_keeps_its_size_on_fair_models(settings):
    rng = np.random.default_rng(5)
    ps = [slicing(*world(rng, **{"group": 80, "rest": 80, **settings}), permutations=99, draws=1, seed=i).p for i in range(200)]
    assert 0.015 <= np.mean(np.array(ps) <= 0.05) <= 0.09  # 5 % ± 2 %, and what 200 draws add to it


def test_learners_with_many_rows_are_exchanged_whole():
    rng = np.random.default_rng(1)
    ps = []
    for i in range(150):
        learner = np.repeat(np.arange(60), 20)
        skill = rng.normal(size=60)[learner]
        y = (rng.random(1200) < 1 / (1 + np.exp(-skill))).astype(float)
        p = 1 / (1 + np.exp(-(rng.normal(size=60)[learner] + 0.5 * skill)))
        ps.append(slicing(y, p, learner < 30, learner, permutations=99, draws=1, seed=i).p)
    assert np.mean(np.array(ps) <= 0.05) <= 0.09
    assert slicing(y, p, learner < 30, permutations=99, draws=1).p < 0.02  # rows taken for learners: a gap where there is none


def test_a_planted_gap_is_found_covered_and_its_power_rises_with_learners():
    rng = np.random.default_rng(2)
    true = abroca(*world(rng, 100_000, 100_000, gap=0.8))
    found = [slicing(*world(rng, 300, 600, gap=0.8), permutations=199, draws=100, seed=i) for i in range(25)]
    assert np.mean([one.p <= 0.05 for one in found]) > 0.9
    assert np.mean([one.low <= true <= one.high for one in found]) >= 0.85
    few, many = (slicing(*world(rng, n, n), permutations=199, draws=1).power for n in (50, 3000))
    assert few < 0.3 and many > 0.9


def test_within_strata_a_group_is_not_judged_by_the_module_it_takes():
    rng = np.random.default_rng(4)
    member = rng.random(4000) < 0.5
    hard = rng.random(4000) < np.where(member, 0.8, 0.2)  # the model knows little of the hard module
    y = (rng.random(4000) < 0.4).astype(float)
    p = 1 / (1 + np.exp(-(rng.normal(size=4000) + y * np.where(hard, 0.2, 2.0))))
    assert slicing(y, p, member, permutations=99, draws=1).p == 0.01
    assert slicing(y, p, member, strata=hard.astype(int), permutations=99, draws=1).p > 0.05
    assert abroca(y, p, member, hard.astype(int)) < abroca(y, p, member) / 3


def test_the_same_seed_gives_the_same_numbers():
    data = world(np.random.default_rng(0), 50, 90, gap=0.3)
    assert slicing(*data, permutations=99, draws=20, seed=3) == slicing(*data, permutations=99, draws=20, seed=3)
