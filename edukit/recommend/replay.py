"""Logs of decisions: made in a world where the value of every policy is known, or replayed from what learners once did."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edukit.recommend.estimate import Estimate
from edukit.recommend.off_policy import Log
from edukit.recommend.policy import ConceptPolicy, View
from edukit.recommend.progress import Progress
from edukit.recommend.simulate import GatedWorld
from edukit.recommend.terrain import Terrain
from edukit.recommend.trials import drawn


@dataclass(frozen=True)
class Replay:
    """A log in which several policies said what they would have done; ``truth`` is the mean reward each would have found, decision by decision."""

    log: Log
    targets: dict[str, np.ndarray]
    truth: dict[str, float]


def features(view: View) -> np.ndarray:
    """(B, C, 5) what is known of every concept: mastery, its square, readiness, log of responses, share of recent marks that were right."""
    recent = view.progress.recent
    seen = np.isfinite(recent)
    rate = (np.where(seen, recent, 0.0).sum(axis=2) + 0.5) / (seen.sum(axis=2) + 1)
    return np.stack([view.mastery, view.mastery**2, view.ready, np.log1p(view.progress.n), rate], axis=2)


def decisions(world: GatedWorld, logging: ConceptPolicy, explore: float, targets: dict[str, ConceptPolicy], learners: int, steps: int,
              seed: int) -> Replay:
    """Let a policy lead a cohort, a share of its choices uniform over what is open, and ask others what they would have chosen.

    The reward is whether the response was right. It is a value one decision ahead: of choosing in the states that the logging policy led to.

    Parameters
    ----------
    world : tells the chance of every item, from which the truth is worked out. explore : share of uniform choices, in (0, 1].
    targets : policies by name; all see the same responses.
    """
    world.reset(learners, seed)
    terrain, rng, everybody = world.terrain, np.random.default_rng([seed, 2]), np.arange(learners)
    estimate = Estimate().start(learners, terrain)
    policies = {"": logging, **targets}
    progress = {name: policy.begin(learners, terrain) for name, policy in policies.items()}
    found: list[tuple[np.ndarray, ...]] = []
    told: dict[str, list[np.ndarray]] = {name: [] for name in targets}
    truth = dict.fromkeys(targets, 0.0)
    for _ in range(steps):
        views = {name: policy.view(terrain, progress[name], estimate.mastery()) for name, policy in policies.items()}
        view = views[""]
        odds = (1 - explore) * logging.odds(view, rng) + explore * view.allowed / view.allowed.sum(axis=1, keepdims=True)
        action = drawn(odds, rng)
        for name, policy in targets.items():
            wanted = policy.odds(views[name], rng)
            told[name].append(wanted)
            truth[name] += float((wanted * expected_right(world, terrain, views[name])).sum(axis=1).mean()) / steps
        item = logging.item_of(terrain, view, action, rng)
        known = features(view)
        correct = world.answer(everybody, item)
        found.append((everybody, action, correct, odds[everybody, action], known))
        for name, policy in policies.items():
            policy.note(terrain, progress[name], item, correct)
        estimate.step(item, correct)
    return Replay(Log(*(np.concatenate(column) for column in zip(*found, strict=True))), {name: np.concatenate(rows) for name, rows in told.items()}, truth)


def expected_right(world: GatedWorld, terrain: Terrain, view: View) -> np.ndarray:
    """(B, C) true P(right), were each concept chosen: the mean over the items of it that the policy would take, those asked least."""
    items, learners = terrain.items_of, len(view.mastery)
    counted = np.concatenate([view.progress.asked, np.zeros((learners, 1), np.int64)], axis=1)
    asked = np.where(view.fits, counted, np.inf)[:, items]
    taken = (asked == asked.min(axis=2, keepdims=True)) & np.isfinite(asked)
    chance = np.concatenate([world.chance(), np.zeros((learners, 1))], axis=1)[:, items]
    return (chance * taken).sum(axis=2) / np.maximum(taken.sum(axis=2), 1)


def imitation(policy: ConceptPolicy, terrain: Terrain, item: np.ndarray, correct: np.ndarray, n: int, seed: int) -> np.ndarray:
    """(B,) share of steps at which one of the ``n`` concepts a policy would have put first is that of the item the learner did next.

    This is imitation of whoever led these learners, no sign that they learnt more: a policy that is better than the log scores lower.

    Parameters
    ----------
    item, correct : (B, T) what B learners did, step by step; positions in the items of the terrain, marks in [0, 1].
    """
    learners, steps = item.shape
    rng, everybody = np.random.default_rng(seed), np.arange(learners)[:, None]
    progress: Progress = policy.begin(learners, terrain)
    estimate, hits = Estimate().start(learners, terrain), np.zeros(learners)
    for step in range(steps):
        odds = policy.odds(policy.view(terrain, progress, estimate.mastery()), rng)
        first = np.argsort(-(odds + 1e-9 * rng.random(odds.shape)), axis=1)[:, :n]
        concepts = terrain.item_concepts[item[:, step]]
        hits += ((first[:, :, None] == concepts[:, None, :]) & (odds[everybody, first] > 0)[:, :, None]).any(axis=(1, 2))
        policy.note(terrain, progress, item[:, step], correct[:, step])
        estimate.step(item[:, step], correct[:, step])
    return hits / steps
