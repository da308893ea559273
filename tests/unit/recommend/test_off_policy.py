"""Estimators by hand, refusals, and intervals that hold the truth of simulated logs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.data.curriculum import random_concepts
from edukit.graph.concept_graph import ConceptGraph
from edukit.recommend.estimate import Estimate
from edukit.recommend.off_policy import LEAST_ESS, Log, doubly_robust, snips, weights
from edukit.recommend.policies import ExpertOrder, OuterFringe, RandomChoice, TargetSuccess, Zpdes
from edukit.recommend.replay import decisions, imitation
from edukit.recommend.simulate import GatedWorld
from edukit.recommend.terrain import Terrain
from edukit.schema import DataError


def planted(learners: int, steps: int, seed: int, sure: float = 0.6) -> tuple[Log, np.ndarray, float]:
    """Two actions, rewards .3 and .7 shifted by a learner's own level; the target takes the second with probability ``sure``."""
    rng = np.random.default_rng(seed)
    learner = np.repeat(np.arange(learners), steps)
    level = rng.uniform(-0.2, 0.2, learners)[learner]
    action = (rng.random(len(learner)) < 0.3).astype(int)
    mean = np.column_stack([0.3 + level, 0.7 + level])
    reward = (rng.random(len(learner)) < mean[np.arange(len(learner)), action]).astype(float)
    told = np.stack([np.column_stack([level, level]), np.tile([0.0, 1.0], (len(learner), 1))], axis=2)
    target = np.tile([1 - sure, sure], (len(learner), 1))
    return Log(learner, action, reward, np.where(action, 0.3, 0.7), told), target, 0.3 * (1 - sure) + 0.7 * sure


@pytest.fixture(scope="module")
def graph():
    concepts, edges = random_concepts(15, layers=4, seed=2)
    ids = concepts["concept_id"].repeat(3).to_numpy(object)
    return ConceptGraph.from_tables(concepts, edges, pd.DataFrame({"item_id": [f"{c}-{k % 3}" for k, c in enumerate(ids)], "concept_id": ids}))


def test_snips_by_hand():
    log, target, _ = planted(300, 5, 0)
    w = weights(log, target)
    value = snips(log, target)
    assert set(np.round(w, 6)) == {round(0.4 / 0.7, 6), 2.0}
    assert value.value == pytest.approx((w * log.reward).sum() / w.sum()) and value.low < value.value < value.high
    own = np.bincount(log.learner, w)
    assert value.ess == pytest.approx(min(w.sum() ** 2 / (w**2).sum(), own.sum() ** 2 / (own**2).sum())) and value.n == 1500


def test_the_logging_policy_itself_is_worth_its_mean_reward():
    log, _, _ = planted(200, 5, 1)
    same = np.tile([0.7, 0.3], (1000, 1))
    assert snips(log, same).value == pytest.approx(log.reward.mean())
    assert doubly_robust(log, same).value == pytest.approx(log.reward.mean(), abs=0.01)


def test_intervals_hold_a_planted_value_and_a_model_of_rewards_makes_them_narrower():
    hits, widths = np.zeros(2), np.zeros(2)
    for seed in range(150):
        log, target, truth = planted(250, 4, seed, sure=0.9)
        for k, value in enumerate((snips(log, target), doubly_robust(log, target))):
            hits[k] += value.low <= truth <= value.high
            widths[k] += value.high - value.low
    assert ((hits / 150 >= 0.90) & (hits / 150 <= 0.99)).all(), hits
    assert widths[1] < widths[0]


def test_too_little_to_say_anything_is_refused():
    few, target, _ = planted(40, 5, 0)
    value = snips(few, target)
    assert value.refused.startswith("effective sample size") and np.isnan(value.value) and np.isnan(value.low) and value.ess < LEAST_ESS
    log, target, _ = planted(400, 5, 0)
    target[:, :], rare = [1.0, 0.0], log.propensity.copy()
    rare[np.flatnonzero(log.action == 0)[0]] = 0.0075
    spiked = Log(log.learner, log.action, log.reward, rare, log.features)
    assert "of the weight" in snips(spiked, target).refused and "of the weight" in doubly_robust(spiked, target).refused
    nowhere = np.zeros_like(target)
    assert "no decision" in snips(log, nowhere).refused and "no decision" in doubly_robust(log, nowhere).refused
    with pytest.raises(DataError, match="propensity must lie"):
        Log(log.learner, log.action, log.reward, np.zeros(2000), log.features)
    for kept in (log.learner < 0, log.learner == 0):  # nobody, and one learner
        some = Log(*(getattr(log, name)[kept] for name in ("learner", "action", "reward", "propensity", "features")))
        assert snips(some, target[kept]).refused and doubly_robust(some, target[kept]).refused


def test_a_policy_that_decides_what_the_log_could_not_hold_is_refused_and_so_are_wrong_propensities():
    log, target, _ = planted(400, 5, 0)
    third = np.column_stack([target * 0.6, np.full(2000, 0.4)])  # an action that was never open to the logging policy
    beyond = Log(log.learner, log.action, log.reward, log.propensity, np.concatenate([log.features, np.ones((2000, 1, 2))], axis=1))
    halved = Log(log.learner, log.action, log.reward, log.propensity / 2, log.features)
    for value_of in (snips, doubly_robust):
        assert not value_of(log, target).refused
        for given, wanted, mean in ((beyond, third, "0.6"), (halved, target, "2.0")):
            value = value_of(given, wanted)
            assert value.refused.startswith(f"weights are {mean}") and np.isnan(value.value)


def test_the_fold_that_is_judged_never_teaches_the_model_of_rewards():
    """The rewards of one learner, changed, move what is expected of others only."""
    log, target, _ = planted(120, 4, 3)
    changed = log.reward.copy()
    changed[log.learner == 7] = 1 - changed[log.learner == 7]
    one, two = (doubly_robust(Log(log.learner, log.action, reward, log.propensity, log.features), target, cap=1e-12) for reward in (log.reward, changed))
    own = log.learner == 7  # with weights of nothing the estimate is the mean of what is expected
    assert one.value != two.value and own.sum() == 4


def test_logs_of_a_world_are_made_with_their_true_values(graph):
    targets = {"same": Zpdes(), "expert": ExpertOrder(), "target": TargetSuccess()}
    replays = [decisions(GatedWorld(graph, seed=1), Zpdes(), 0.5, targets, 150, 12, seed) for seed in range(25)]
    first = replays[0]
    assert first.log.propensity.min() > 0 and first.log.features.shape == (1800, 15, 5)
    np.testing.assert_allclose(first.targets["expert"].sum(axis=1), 1)
    chosen = 0.5 * first.targets["same"] + 0.5 * first.targets["same"].astype(bool) / first.targets["same"].astype(bool).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(chosen[np.arange(1800), first.log.action], first.log.propensity)
    for name in ("expert", "target"):
        truth, told = np.mean([r.truth[name] for r in replays]), [f(r.log, r.targets[name]) for r in replays for f in (snips, doubly_robust)]
        held = [v.low <= truth <= v.high for v in told if not v.refused]
        assert len(held) > 40 and np.mean(held) > 0.85
        assert abs(np.mean([v.value for v in told if not v.refused]) - truth) < 0.02


def test_the_truth_of_a_target_is_that_of_the_items_it_would_take(graph):
    """Random choice looks at no readiness: it takes items that the logging policy would not, and its truth is told nevertheless."""
    world, policy = GatedWorld(graph, seed=1), RandomChoice()
    replay = decisions(world, Zpdes(), 0.5, {"random": policy}, 200, 1, 3)
    world.reset(200, 3)
    asked = world.chance().mean(axis=0)[world.terrain.items_of].mean(axis=1).mean()  # every concept alike, every item of it alike
    assert replay.truth["random"] == pytest.approx(asked) and "weights are" in snips(replay.log, replay.targets["random"]).refused


@pytest.mark.parametrize("concepts", [1, 2])
def test_a_mark_in_the_middle_tells_nothing_and_a_better_one_more(graph, concepts):
    """Also of an item of several concepts, where a mark speaks for all of them."""
    ids = list(graph.concept_ids)[:2]
    flat = ConceptGraph.from_tables(graph.concepts, graph.prerequisites.iloc[:0], pd.DataFrame({"item_id": "q", "concept_id": ids[:concepts]}))
    after = []
    for mark in (0.0, 0.5, 1.0):
        estimate = Estimate(learn=0.0).start(1, Terrain.of(flat))
        estimate.step(np.array([0]), np.array([mark]))
        after.append(estimate.mastery()[0, :concepts])
    assert (after[0] < after[1]).all() and (after[1] < after[2]).all()
    np.testing.assert_allclose(after[1], 0.3)


def test_imitation_counts_what_was_done_next(graph):
    terrain, policy = Terrain.of(graph), OuterFringe()
    rng = np.random.default_rng(0)
    root = int(np.flatnonzero(terrain.depth == 0)[0])
    at_root = terrain.items_of[root][rng.integers(0, 3, (20, 6))]
    deep = terrain.items_of[int(terrain.depth.argmax())][rng.integers(0, 3, (20, 6))]
    wrong = np.zeros((20, 6))
    assert imitation(policy, terrain, at_root, wrong, 15, 0).mean() == 1 and imitation(policy, terrain, deep, wrong, 15, 0).mean() == 0
