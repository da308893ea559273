"""Worlds: the same luck for every policy, gates that hold, learning where it is planted; and policies that gain from it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.data.curriculum import random_concepts
from edukit.graph.concept_graph import ConceptGraph
from edukit.protocols import NotFittedError, Simulator
from edukit.recommend.policies import OuterFringe, RandomChoice, SpacedZpdes, WeakestFirst, Zpdes
from edukit.recommend.simulate import SLOWER, ForgetfulWorld, GatedWorld, GrowthWorld, OpenWorld
from edukit.recommend.simulate_fitted import LOWER, FittedWorld
from edukit.recommend.terrain import Terrain
from edukit.recommend.trials import gini, paired, try_policy
from edukit.schema import DataError


@pytest.fixture(scope="module")
def graph():
    concepts, edges = random_concepts(20, layers=5, seed=3)
    ids = concepts["concept_id"].repeat(3).to_numpy(object)
    return ConceptGraph.from_tables(concepts, edges, pd.DataFrame({"item_id": [f"{c}-{k % 3}" for k, c in enumerate(ids)], "concept_id": ids}))


class Drift:
    """A fitted model in place of one: every right answer moves its concept up."""

    def __init__(self, terrain: Terrain) -> None:
        self.terrain = terrain

    def begin(self, learners: int) -> None:
        self.known = np.full((learners, len(self.terrain.concept_ids)), 0.3)

    def chance(self, item: np.ndarray) -> np.ndarray:
        return self.known[np.arange(len(item)), self.terrain.item_concepts[item, 0]]

    def follow(self, item: np.ndarray, correct: np.ndarray) -> None:
        self.known[np.arange(len(item)), self.terrain.item_concepts[item, 0]] += 0.05 * correct

    def mastery(self) -> np.ndarray:
        return self.known.copy()


def worlds(graph: ConceptGraph) -> list:
    return [GatedWorld(graph), GrowthWorld(graph), OpenWorld(graph), FittedWorld(graph, Drift(Terrain.of(graph)))]


def test_a_seed_draws_the_same_cohort_and_luck_and_another_one_does_not(graph):
    for world in worlds(graph):
        assert isinstance(world, Simulator)
        everybody, runs = np.arange(30), []
        for seed in (1, 1, 2):
            world.reset(30, seed)
            answers = [world.answer(everybody, (everybody + step) % len(graph.item_ids)) for step in range(5)]
            runs.append((np.concatenate(answers), world.true_mastery(), world.groups))
        np.testing.assert_array_equal(runs[0][0], runs[1][0])
        np.testing.assert_array_equal(runs[0][1], runs[1][1])
        assert (runs[0][1] != runs[2][1]).any() and (runs[0][2] == runs[1][2]).all()
        assert set(runs[0][0]) <= {0.0, 1.0} and ((runs[0][1] >= 0) & (runs[0][1] <= 1)).all()


def test_nobody_learns_behind_a_closed_gate_and_all_do_in_an_open_world(graph):
    shut, open_world = GatedWorld(graph, gate=1.0, learn=0.6, ease=-20.0), OpenWorld(graph, learn=0.6, ease=-20.0)
    deep = int(np.argmax(Terrain.of(graph).depth))
    item, everybody = np.full(40, Terrain.of(graph).items_of[deep, 0]), np.arange(40)
    for world in (shut, open_world):
        world.reset(40, 0)
        for _ in range(12):
            world.answer(everybody, item)
    assert shut.true_mastery()[:, deep].sum() == 0 and open_world.true_mastery()[:, deep].mean() > 0.9
    grown = GrowthWorld(graph, gate=1.0)
    grown.reset(40, 0)
    before = grown.true_mastery()
    root = int(np.argmin(Terrain.of(graph).depth))
    for concept in (root, deep):
        for _ in range(8):
            grown.answer(everybody, np.full(40, Terrain.of(graph).items_of[concept, 0]))
    gained = (grown.true_mastery() - before).mean(axis=0)
    assert gained[root] > 0.2 and gained[deep] < 0.8 * gained[root] and np.delete(gained, [root, deep]).max() == 0


def test_the_slower_learn_less_and_what_is_not_used_is_forgotten(graph):
    world = OpenWorld(graph, slower=0.5, speed=0.3, ability=0.0)
    trial = try_policy(RandomChoice(), world, Terrain.of(graph), 200, 60, 0)
    assert trial.ended[trial.groups == SLOWER].mean() < trial.ended[trial.groups != SLOWER].mean() - 0.1
    forgetting = ForgetfulWorld(graph, gate=0.0, ease=20.0, half_life=5.0)
    forgetting.reset(300, 0)
    for _ in range(6):
        forgetting.answer(np.arange(300), np.zeros(300, int))
    left = forgetting.true_mastery()
    assert left[:, 1:].mean() == pytest.approx(2 ** (-5 / 5), abs=0.06) and left[:, 0].mean() > left[:, 1:].mean() + 0.1


def test_one_learner_may_be_asked_alone(graph):
    world = GatedWorld(graph)
    with pytest.raises(NotFittedError, match="reset"):
        world.respond(0, graph.item_ids[0])
    world.reset(3, 0)
    before = world.true_mastery()
    assert world.respond(1, graph.item_ids[0]) in (0.0, 1.0)
    assert (world.true_mastery()[[0, 2]] == before[[0, 2]]).all()
    with pytest.raises(DataError, match="item of this world"):
        world.respond(0, "moon")
    assert set(FittedWorld(graph, Drift(Terrain.of(graph))).respond.__annotations__) >= {"learner", "item_id"}


def test_with_prerequisites_readiness_pays_and_without_it_costs_little(graph):
    terrain = Terrain.of(graph)
    for world, least in ((GatedWorld(graph), 0.08), (GrowthWorld(graph), 0.05), (OpenWorld(graph), -0.02)):
        found = {policy.name: try_policy(policy, world, terrain, 150, 60, 0) for policy in (Zpdes(), RandomChoice(), WeakestFirst(), OuterFringe())}
        for other in ("random", "weakest_first"):
            gain, low, _ = paired(found["zpdes"].ended[None], found[other].ended[None], 0, 100)
            assert gain > least and (low > 0 or world.name == "no_prerequisites"), (world.name, other, gain)
        assert found["zpdes"].broken == 0 and found["zpdes"].exposure.sum() == 150 * 60
        assert found["zpdes"].unready.mean() < 0.3 * found["random"].unready.mean() or world.name == "no_prerequisites"
        np.testing.assert_array_equal(found["zpdes"].began, found["random"].began)


def test_a_wrong_graph_costs_and_review_pays_where_there_is_forgetting(graph):
    terrain, empty = Terrain.of(graph), Terrain.of(graph.replace(None))
    right, wrong = (try_policy(Zpdes(), GatedWorld(graph), believed, 150, 60, 0).ended for believed in (terrain, empty))
    assert right.mean() > wrong.mean() + 0.05
    world = ForgetfulWorld(graph, half_life=10.0, ease=1.0)
    plain, spaced = (np.mean([try_policy(policy, world, terrain, 150, 80, seed).ended.mean() for seed in (0, 1)]) for policy in (Zpdes(), SpacedZpdes()))
    assert spaced > plain


def test_a_fitted_world_begins_with_learners_who_differ(graph):
    trial = try_policy(Zpdes(), FittedWorld(graph, Drift(Terrain.of(graph)), earlier=10), Terrain.of(graph), 60, 20, 0)
    assert trial.began.std() > 0 and (trial.ended > trial.began).mean() > 0.9
    assert trial.began[trial.groups == LOWER].mean() < trial.began[trial.groups != LOWER].mean()


def test_exposure_and_paired_differences_by_hand():
    assert gini(np.array([2, 2, 2])) == 0 and gini(np.array([0, 0, 3])) == pytest.approx(2 / 3)
    first = np.random.default_rng(0).random((2, 500))
    mean, low, high = paired(first + 0.1, first, 0, 50)
    assert mean == pytest.approx(0.1) and low == pytest.approx(0.1) and high == pytest.approx(0.1)


def test_a_policy_and_a_world_must_agree_on_concepts_and_items(graph):
    other = ConceptGraph.from_tables(graph.concepts, graph.prerequisites, graph.q_matrix.head(6))
    with pytest.raises(DataError, match="same concepts and items"):
        try_policy(Zpdes(), GatedWorld(graph), Terrain.of(other), 5, 5, 0)
    with pytest.raises(DataError, match="needs items"):
        GatedWorld(ConceptGraph.from_tables(graph.concepts, None, None))
