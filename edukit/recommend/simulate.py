"""Worlds in which a policy can be tried: learners who change as they practise, drawn anew by seed, answered many at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import ClassVar

import numpy as np

from edukit.protocols import NotFittedError, PrerequisiteGraph
from edukit.recommend.review_spacing import half_life_after, recall
from edukit.recommend.terrain import Terrain
from edukit.schema import DataError

SLOWER, OTHER = "slower", "other"


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), for any x."""
    return 0.5 * (1 + np.tanh(0.5 * x))


class World(ABC):
    """A cohort over a concept graph. A seed draws the same cohort, and the same luck step by step, for every policy.

    Attributes
    ----------
    terrain : the true graph of this world.
    groups : (B,) group of each learner, by which gaps are measured; set by ``reset``.
    """

    name: ClassVar[str]
    groups: np.ndarray

    def __init__(self, graph: PrerequisiteGraph) -> None:
        self.terrain = Terrain.of(graph)
        if not self.terrain.item_ids:
            raise DataError(f"world {self.name} needs items to be answered; found none in the q_matrix of the graph. Use data with items.")

    @abstractmethod
    def reset(self, learners: int, seed: int) -> None:
        """Draw a new cohort."""

    @abstractmethod
    def answer(self, who: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Learners (M,), each once, answer items (M,) and may learn from it; (M,) correct in {0, 1}."""

    @abstractmethod
    def true_mastery(self) -> np.ndarray:
        """(B, C) true mastery now."""

    def respond(self, learner: int, item_id: str) -> float:
        """One learner answers one item, and may learn from it; returns correct in {0, 1}."""
        if not hasattr(self, "groups"):
            raise NotFittedError(f"world {self.name} holds no learners; call reset(learners, seed) first")
        if item_id not in self.terrain.place_of_item:
            raise DataError(f"item_id must be an item of this world; found {item_id!r}. It has {len(self.terrain.item_ids):,} items.")
        return float(self.answer(np.array([learner]), np.array([self.terrain.place_of_item[item_id]]))[0])

    def _concepts(self, item: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(M', ) row and concept, one entry per concept of each item."""
        row, nth = np.nonzero(self.terrain.item_concepts[item] < len(self.terrain.concept_ids))
        return row, self.terrain.item_concepts[item[row], nth]


class GatedWorld(World):
    """Each concept is known or not; it is learnt by practice, hardly so before its prerequisites (knowledge tracing behind a gate).

    Learner u begins to know k with probability sigmoid(ease + ability_u) R_k, and learns it at each response with probability
    learn_k x speed_u x R_k, where R_k = product over prerequisites of (1 - gate) for each that is not known. An item is answered by guess and slip;
    one of several concepts needs all of them.

    Parameters
    ----------
    graph : the true prerequisites.
    gate : share of the chance that a missing prerequisite takes. ease : logit of knowing a concept without prerequisites at first.
    ability : standard deviation over learners, in logits. learn : mean P(learnt) at a response; of concepts between half and one and a half of it.
    guess, slip : means; of items between half and one and a half of them.
    slower : share of learners who learn with ``speed`` of the others' chance; they are the group by which gaps are measured.
    half_life : responses until half of the learners have forgotten what they answered once and then left; 0 = nobody forgets.
    seed : draws what is of the world and not of the learners: items, and how fast concepts are learnt.

    References
    ----------
    Corbett and Anderson (1995), User Modeling and User-Adapted Interaction. Käser, Klingler, Schwing and Gross (2017), IEEE TLT.
    """

    name: ClassVar[str] = "bkt_gated"

    def __init__(self, graph: PrerequisiteGraph, gate: float = 0.95, ease: float = -0.5, ability: float = 0.8, learn: float = 0.25, guess: float = 0.2,
                 slip: float = 0.1, slower: float = 0.3, speed: float = 0.6, half_life: float = 0.0, seed: int = 0) -> None:
        super().__init__(graph)
        self.gate, self.ease, self.ability, self.slower, self.speed, self.half_life = gate, ease, ability, slower, speed, half_life
        rng = np.random.default_rng([seed, 5])
        self._learn = learn * rng.uniform(0.5, 1.5, len(self.terrain.concept_ids))
        self._guess, self._slip = (mean * rng.uniform(0.5, 1.5, len(self.terrain.item_ids)) for mean in (guess, slip))

    def reset(self, learners: int, seed: int) -> None:
        self._rng = np.random.default_rng([seed, 1])
        rng, size = np.random.default_rng([seed, 0]), len(self.terrain.concept_ids)
        slow = rng.random(learners) < self.slower
        self.groups = np.where(slow, SLOWER, OTHER)
        self._speed = np.where(slow, self.speed, 1.0)
        own, draw = rng.normal(0, self.ability, (learners, 1)), rng.random((learners, size))
        self._known = np.zeros((learners, size), bool)
        for concept in np.argsort(self.terrain.order):
            self._known[:, concept] = draw[:, concept] < sigmoid(self.ease + own[:, 0]) * self._ready(np.arange(learners), np.full(learners, concept))
        self._half_life, self._last, self._steps = np.full(self._known.shape, max(self.half_life, 1.0)), np.zeros(self._known.shape), np.zeros(learners)

    def _ready(self, who: np.ndarray, concept: np.ndarray) -> np.ndarray:
        """(M,) share of the chance to learn that prerequisites leave."""
        known = np.concatenate([self._known, np.zeros((len(self._known), 1), bool)], axis=1)
        met = known[who[:, None, None], self.terrain.parents[concept]].any(axis=2)
        return np.prod(1 - self.gate * self.terrain.weights[concept] * ~met, axis=1)

    def answer(self, who: np.ndarray, item: np.ndarray) -> np.ndarray:
        luck = self._rng.random((2, len(self._known)))[:, who]  # one draw a learner, whoever answers
        row, concept = self._concepts(item)
        if self.half_life:
            self._forget(who)
        knows = np.ones(len(who), bool)
        np.logical_and.at(knows, row, self._known[who[row], concept])
        correct = luck[0] < np.where(knows, 1 - self._slip[item], self._guess[item])
        learnt = luck[1][row] < self._learn[concept] * self._speed[who[row]] * self._ready(who[row], concept)
        if self.half_life:
            place = who[row], concept
            self._half_life[place] = half_life_after(self._half_life[place], correct[row], self._steps[who[row]] - self._last[place], 2.0)
            self._last[place] = self._steps[who[row]]
        self._known[who[row], concept] |= learnt
        self._steps[who] += 1
        return correct.astype(float)

    def _forget(self, who: np.ndarray) -> None:
        """From one response to the next, each concept known is lost with the chance that its half-life gives, and can be learnt again."""
        elapsed = self._steps[who, None] - self._last[who]
        stays = recall(elapsed, self._half_life[who]) / recall(np.maximum(elapsed - 1, 0), self._half_life[who])
        self._known[who] &= self._rng.random((len(self._known), self._known.shape[1]))[who] < stays

    def true_mastery(self) -> np.ndarray:
        return self._known.astype(float)

    def chance(self) -> np.ndarray:
        """(B, I) P(right) of every item now: what a policy would have found, had it asked."""
        known = np.concatenate([self._known, np.ones((len(self._known), 1), bool)], axis=1)
        return np.where(known[:, self.terrain.item_concepts].all(axis=2), 1 - self._slip, self._guess)


class OpenWorld(GatedWorld):
    """A world without prerequisites: every concept can be learnt at any time, whatever a graph says.

    Parameters
    ----------
    graph : names concepts and items; its edges mean nothing here. ease, ability, learn, guess, slip, slower, speed, seed : see :class:`GatedWorld`.
    """

    name: ClassVar[str] = "no_prerequisites"

    def __init__(self, graph: PrerequisiteGraph, ease: float = -0.5, ability: float = 0.8, learn: float = 0.25, guess: float = 0.2, slip: float = 0.1,
                 slower: float = 0.3, speed: float = 0.6, seed: int = 0) -> None:
        super().__init__(graph, 0.0, ease, ability, learn, guess, slip, slower, speed, seed=seed)
        self.terrain = replace(self.terrain, weights=np.zeros_like(self.terrain.weights))


class ForgetfulWorld(GatedWorld):
    """As :class:`GatedWorld`, and what is not used is forgotten.

    Parameters
    ----------
    graph, gate, ease, ability, learn, guess, slip, slower, speed, half_life, seed : see :class:`GatedWorld`.
    """

    name: ClassVar[str] = "forgetting"

    def __init__(self, graph: PrerequisiteGraph, gate: float = 0.95, ease: float = -0.5, ability: float = 0.8, learn: float = 0.25, guess: float = 0.2,
                 slip: float = 0.1, slower: float = 0.3, speed: float = 0.6, half_life: float = 60.0, seed: int = 0) -> None:
        super().__init__(graph, gate, ease, ability, learn, guess, slip, slower, speed, half_life, seed)


class GrowthWorld(World):
    """Each concept is a skill that grows by degrees: most where a response is neither sure nor hopeless, and hardly without its prerequisites.

    P(right) = sigmoid(theta_uk - b_i); then theta_uk grows by growth x speed_u x R_k x 4 p (1 - p), where R_k = product over prerequisites j of
    (1 - gate (1 - m_j)), m_j the expected share of j's items right. True mastery is that share.

    Parameters
    ----------
    graph : the true prerequisites. gate : share of the growth that a prerequisite of mastery 0 takes.
    start : mean skill at first, in logits; concepts that build on others begin ``lower`` for each link of the longest chain below them.
    ability : standard deviation over learners. spread : standard deviation of item difficulty. growth : logits at most, at one response.
    slower, speed, seed : see :class:`GatedWorld`.

    References
    ----------
    Rasch (1960), Probabilistic Models for Some Intelligence and Attainment Tests. Vygotsky (1978), Mind in Society (the zone).
    """

    name: ClassVar[str] = "irt_growth"

    def __init__(self, graph: PrerequisiteGraph, gate: float = 0.9, start: float = -0.5, lower: float = 0.3, ability: float = 0.8, spread: float = 0.5,
                 growth: float = 1.0, slower: float = 0.3, speed: float = 0.6, seed: int = 0) -> None:
        super().__init__(graph)
        self.gate, self.start, self.lower, self.ability, self.growth, self.slower, self.speed = gate, start, lower, ability, growth, slower, speed
        self._difficulty = np.append(np.random.default_rng([seed, 5]).normal(0, spread, len(self.terrain.item_ids)), 0.0)

    def reset(self, learners: int, seed: int) -> None:
        self._rng = np.random.default_rng([seed, 1])
        rng, terrain = np.random.default_rng([seed, 0]), self.terrain
        slow = rng.random(learners) < self.slower
        self.groups = np.where(slow, SLOWER, OTHER)
        self._speed = np.where(slow, self.speed, 1.0)
        shape = (learners, len(terrain.concept_ids))
        self._skill = self.start - self.lower * terrain.depth + rng.normal(0, self.ability, (learners, 1)) + rng.normal(0, 0.5, shape)
        self._now = self._mastery(np.arange(learners))

    def _mastery(self, who: np.ndarray) -> np.ndarray:
        """(M, C) expected share of each concept's items right, of learners (M,); of a concept without items the chance of a typical one."""
        item, nth = np.nonzero(self.terrain.item_concepts < self._skill.shape[1])
        concept = self.terrain.item_concepts[item, nth]
        share = np.zeros((len(item), self._skill.shape[1]))
        share[np.arange(len(item)), concept] = 1 / np.bincount(concept)[concept]
        skill = self._skill[who]
        found = sigmoid(skill[:, concept] - self._difficulty[item]) @ share
        return np.where(share.any(axis=0), found, sigmoid(skill))

    def answer(self, who: np.ndarray, item: np.ndarray) -> np.ndarray:
        luck = self._rng.random(len(self._skill))[who]
        row, concept = self._concepts(item)
        each = sigmoid(self._skill[who[row], concept] - self._difficulty[item[row]])
        p = np.ones(len(who))
        np.multiply.at(p, row, each)
        known = np.concatenate([self._now[who], np.zeros((len(who), 1))], axis=1)[row[:, None, None], self.terrain.parents[concept]]
        ready = np.prod(1 - self.gate * self.terrain.weights[concept] * (1 - known).prod(axis=2), axis=1)
        self._skill[who[row], concept] += self.growth * self._speed[who[row]] * ready * 4 * each * (1 - each)
        self._now[who] = self._mastery(who)
        return (luck < p).astype(float)

    def true_mastery(self) -> np.ndarray:
        return self._now.copy()
