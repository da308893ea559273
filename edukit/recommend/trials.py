"""One policy tried in one world: what learners know in the end, what they were led through, and what that says beside other policies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edukit.recommend.estimate import Estimate
from edukit.recommend.policy import ConceptPolicy
from edukit.recommend.simulate import World
from edukit.recommend.terrain import Terrain
from edukit.schema import DataError


@dataclass(frozen=True)
class Trial:
    """What came of a policy for B learners of one world.

    Parameters
    ----------
    began, ended : (B,) mean true mastery over concepts before and after. groups : (B,) group of each learner.
    course : (steps + 1,) the cohort's mean true mastery before the first response and after each.
    unready : (B,) share of recommendations with a prerequisite that was truly not mastered. broken : recommendations below the policy's own readiness.
    exposure : (C,) how often each concept was recommended.
    """

    began: np.ndarray
    ended: np.ndarray
    course: np.ndarray
    groups: np.ndarray
    unready: np.ndarray
    broken: int
    exposure: np.ndarray


def try_policy(policy: ConceptPolicy, world: World, terrain: Terrain, learners: int, steps: int, seed: int) -> Trial:
    """Let a policy lead a cohort for some steps.

    Parameters
    ----------
    policy : sees responses only; mastery as :class:`.estimate.Estimate` tells it.
    world : is reset with the seed: every policy meets the same learners.
    terrain : the graph that the policy believes in, over the concepts and items of the world.
    """
    if terrain.item_ids != world.terrain.item_ids or terrain.concept_ids != world.terrain.concept_ids:
        raise DataError(f"a policy and world {world.name} must have the same concepts and items, in one order. Use one q_matrix for both.")
    world.reset(learners, seed)
    rng, everybody = np.random.default_rng([seed, 2]), np.arange(learners)
    progress, estimate = policy.begin(learners, terrain), Estimate().start(learners, terrain)
    truth = world.true_mastery()
    began, course, unready, broken, exposure = truth.mean(axis=1), [truth.mean()], np.zeros(learners), 0, np.zeros(len(terrain.concept_ids))
    for _ in range(steps):
        view = policy.view(terrain, progress, estimate.mastery())
        concept = drawn(policy.odds(view, rng), rng)
        item = policy.item_of(terrain, view, concept, rng)
        if (item == len(terrain.item_ids)).any():
            raise DataError(f"a concept without an item cannot be tried in a world; found {terrain.concept_ids[concept[item.argmax()]]!r}. Leave it out.")
        broken += int((view.ready[everybody, concept] < policy.ready).sum())
        unready += lacking(world, truth, concept)
        exposure += np.bincount(concept, minlength=len(exposure))
        correct = world.answer(everybody, item)
        policy.note(terrain, progress, item, correct)
        estimate.step(item, correct)
        truth = world.true_mastery()
        course.append(truth.mean())
    return Trial(began, truth.mean(axis=1), np.array(course), world.groups, unready / steps, broken, exposure)


def drawn(odds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(B,) one concept a learner, drawn with probabilities (B, C)."""
    ladder = np.cumsum(odds, axis=1)
    return (ladder < rng.random((len(odds), 1)) * ladder[:, -1:]).sum(axis=1)


def lacking(world: World, truth: np.ndarray, concept: np.ndarray) -> np.ndarray:
    """(B,) whether each learner's concept requires something of which, in ``truth`` (B, C), they master less than half."""
    known = np.concatenate([truth, np.zeros((len(concept), 1))], axis=1)
    parents = world.terrain.parents[concept]
    best = known[np.arange(len(concept))[:, None, None], parents].max(axis=2)
    return ((best < 0.5) & (world.terrain.weights[concept] > 0)).any(axis=1)


def gini(exposure: np.ndarray) -> float:
    """How unevenly recommendations fall on concepts: 0 = all alike, near 1 = all on one (Gini, 1912, Variabilità e mutabilità).

    Examples
    --------
    >>> gini(np.array([1, 1, 1, 1])), gini(np.array([0, 0, 0, 4]))
    (0.0, 0.75)
    """
    ranked, n = np.sort(exposure), len(exposure)
    return float((2 * np.arange(1, n + 1) - n - 1) @ ranked / (n * ranked.sum()))


def paired(first: np.ndarray, second: np.ndarray, seed: int, draws: int) -> tuple[float, float, float]:
    """Mean difference of the same learners under two policies, and its 95 % interval over learners drawn again.

    Parameters
    ----------
    first, second : (seeds, B) arrays; learners are drawn again within their seed.
    """
    difference, rng = first - second, np.random.default_rng(seed)
    seeds, learners = difference.shape
    means = [np.take_along_axis(difference, rng.integers(0, learners, (seeds, learners)), axis=1).mean() for _ in range(draws)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(difference.mean()), float(low), float(high)
