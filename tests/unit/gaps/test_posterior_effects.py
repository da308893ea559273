"""Class effects: mostly small, a few large, and the teacher's where several of a teacher's classes share them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.data.synthetic import random_concepts, simulate
from edukit.gaps.posterior import Posterior
from edukit.gaps.posterior_chain import PosteriorChain, Responses, _Gated
from edukit.gaps.posterior_effects import EffectPrior, TeacherEffects
from edukit.graph.concept_graph import ConceptGraph

PRIOR = EffectPrior(0.3)


def test_half_a_prior_added_to_half_a_prior_is_the_prior():
    rng, half = np.random.default_rng(0), PRIOR.halved(np.array(True))
    one, two = (np.abs(p) for p in (PRIOR.draw(rng, (200_000,)), half.draw(rng, (200_000,)) + half.draw(rng, (200_000,))))
    for mark in (0.3, 1, 2, 4):
        assert (one > mark).mean() == pytest.approx((two > mark).mean(), abs=0.01)


def test_a_teachers_effect_is_drawn_from_its_conditional_distribution():
    concepts, rng = 3000, np.random.default_rng(1)
    classes = np.tile([-2.0, -2.3, 0.0], (concepts, 1))
    teachers = TeacherEffects(np.tile([0, 0, 1], (concepts, 1)), PRIOR)  # the second teacher has one class only
    assert teachers.classes.tolist() == [2] * concepts and (teachers.group_of[:, 2] == -1).all()
    drawn = []
    for step in range(60):
        teachers.move(classes, rng)
        drawn += [teachers.effect] if step > 20 else []
    grid = np.linspace(-8, 8, 8001)
    half = teachers.half
    density = np.exp(half.log(grid) + half.log(-2.0 - grid) + half.log(-2.3 - grid))
    assert (np.array(drawn) < -1).mean() == pytest.approx((density * (grid < -1)).sum() / density.sum(), abs=0.02)
    assert np.mean(drawn) == pytest.approx((density * grid).sum() / density.sum(), abs=0.05)
    assert np.allclose(teachers.centre()[:, 0], teachers.effect) and not teachers.centre()[:, 2].any()


def test_the_gate_is_summed_out():
    lean, held = np.array([[-1.0, 0.5, 2.0, 0.5]]), np.array([[0.8, 0.8, 0.0, 0.0]])
    known = np.array([[True, False, False, True]])
    chance = (1 - held) / (1 + np.exp(-lean))
    fit, told = _Gated(known, held).fit(lean)
    gate = np.where(known, np.log(1 - held), 0)  # does not depend on the log odds
    np.testing.assert_allclose(fit + gate, np.log(np.where(known, chance, 1 - chance)))
    rise = (1 - held) * np.exp(-lean) / (1 + np.exp(-lean)) ** 2
    np.testing.assert_allclose(told, rise**2 / (chance * (1 - chance)))


def test_class_effects_are_drawn_from_their_conditional_distribution_by_small_steps_and_by_leaps():
    log = pd.DataFrame({"learner_id": [f"u{n:02d}" for n in range(24)], "item_id": "a", "correct": 0.0, "class_id": ["A"] * 12 + ["B"] * 12})
    q_matrix = pd.DataFrame({"item_id": ["a"], "concept_id": ["A"]})
    seen = Responses.of(log, ConceptGraph.from_tables(None, None, q_matrix), "class_id")
    chain = PosteriorChain(seen, seen.item, 1, np.full((1, 1), -np.inf), PRIOR, np.random.default_rng(2))
    passed = np.arange(24) % 12 < np.repeat([3, 8], 12)  # 3 of 12, 8 of 12, where 9 of 12 would be usual
    gated, chain.ease = _Gated(passed[None], np.zeros((1, 24))), np.full((1, 1), 1.0, np.float32)
    drawn = []
    for step in range(6000):
        chain.effect = chain._moved_effects(gated, step % 2 == 1, chain.teachers)
        drawn.append(chain.effect[0])
    grid = np.linspace(-12, 12, 4801)
    for which, right in enumerate((3, 8)):
        density = np.exp(right * (1 + grid) - 12 * np.log1p(np.exp(1 + grid)) + PRIOR.log(grid))
        for mark in (-1.5, -0.5, 0.0):
            assert np.mean(np.array(drawn)[:, which] < mark) == pytest.approx((density * (grid < mark)).sum() / density.sum(), abs=0.05)


@pytest.fixture(scope="module")
def taught():
    """Eight classes, two of each teacher: concept a failed by both of T01, concept b by one of T03's; and the posterior of it."""
    world = simulate(*random_concepts(12, seed=8), classes=8, learners_per_class=20, answered=0.9, seed=8)
    least = world.truth.groupby("concept_id")["mastery"].min().drop(world.tables["prerequisites"]["concept_id"].unique())  # nothing comes before these
    a, b = least.nlargest(2).index
    log, concept = world.tables["interactions"].copy(), world.tables["q_matrix"].set_index("item_id")["concept_id"]
    of = log["item_id"].map(concept)
    classes = sorted(log["class_id"].unique())
    worse = ((of == a) & log["class_id"].isin(classes[:2])) | ((of == b) & (log["class_id"] == classes[4]))
    log.loc[worse, "correct"] = (np.random.default_rng(0).random(worse.sum()) < 0.2).astype(float)
    graph = ConceptGraph.from_tables(world.tables["concepts"], world.tables["prerequisites"], world.tables["q_matrix"])
    return log, graph, classes, a, b


def test_a_low_effect_is_the_teachers_only_where_every_class_of_theirs_is_low(taught):
    log, graph, classes, a, b = taught
    model = Posterior(draws=80, burn=100, learn_edges=False).fit(log, graph)
    low = (model.class_effects(80) < -0.5).mean(axis=0)
    place = model.concept_ids_.index
    assert low[0, place(a)] > 0.9 and low[1, place(a)] > 0.9 and low[4, place(b)] > 0.9 and low[5, place(b)] < 0.3
    table = model.teachers(-0.5)
    shared = table.set_index(["class_id", "concept_id"])["p_low"]
    assert shared[classes[0], a] == shared[classes[1], a] > 0.8 and shared[classes[4], b] < 0.5
    assert len(table) == 8 * 12 and table["teacher_id"].nunique() == 4


def test_no_teacher_is_spoken_of_without_several_classes_and_no_class_adds_anything_at_scale_zero(taught):
    log, graph = taught[:2]
    alone = Posterior(draws=20, burn=2).fit(log.assign(teacher_id=log["class_id"]), graph)
    assert not len(alone.teachers(-0.5)) and not len(Posterior(draws=20, burn=2).fit(log.drop(columns="teacher_id"), graph).teachers(-0.5))
    assert not len(Posterior(draws=20, burn=2, by="teacher_id").fit(log, graph).teachers(-0.5))
    flat = Posterior(draws=20, burn=2, class_scale=0.0).fit(log, graph)
    assert not flat.class_effects(20).any()
    np.testing.assert_array_equal(flat.draws(20, class_effects="zero"), flat.draws(20, class_effects="fitted"))
