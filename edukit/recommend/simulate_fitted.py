"""Worlds made of a model that was fitted to a log: learners answer as it says they would."""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np

from edukit.protocols import PrerequisiteGraph
from edukit.recommend.simulate import World
from edukit.schema import DataError

LOWER, HIGHER = "began lower", "began higher"


class Follower(Protocol):
    """A fitted learner model that follows a whole cohort at once (made around a model of :mod:`edukit.tracing` by the experiment)."""

    def begin(self, learners: int) -> None:
        """Learners never seen."""
        ...

    def chance(self, item: np.ndarray) -> np.ndarray:
        """(B,) P(correct) of each learner's next response, were it to these items (B,)."""
        ...

    def follow(self, item: np.ndarray, correct: np.ndarray) -> None:
        """Every learner has answered one item (B,)."""
        ...

    def mastery(self) -> np.ndarray:
        """(B, C) mastery as the model sees it."""
        ...


class FittedWorld(World):
    """Learners who answer as a model fitted to a log says they would; what it takes them to know is taken for true.

    Parameters
    ----------
    graph : concepts and items. follower : the fitted model.
    earlier : responses to items drawn at random before the policy begins, so that learners differ; who begins lower is the group.
    """

    name: ClassVar[str] = "fitted"

    def __init__(self, graph: PrerequisiteGraph, follower: Follower, earlier: int = 10) -> None:
        super().__init__(graph)
        self.follower, self.earlier = follower, earlier

    def reset(self, learners: int, seed: int) -> None:
        self._rng, rng = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 0])
        self.follower.begin(learners)
        for _ in range(self.earlier):
            item = rng.integers(0, len(self.terrain.item_ids), learners)
            self.follower.follow(item, (rng.random(learners) < self.follower.chance(item)).astype(float))
        began = self.follower.mastery().mean(axis=1)
        self.groups = np.where(began < np.median(began), LOWER, HIGHER)

    def answer(self, who: np.ndarray, item: np.ndarray) -> np.ndarray:
        if len(who) != len(self.groups):
            raise DataError(f"world {self.name} is answered by all {len(self.groups)} learners at once; found {len(who)}. Reset it with as many learners.")
        correct = (self._rng.random(len(who))[who] < self.follower.chance(item[np.argsort(who)])[who]).astype(float)
        self.follower.follow(item[np.argsort(who)], correct[np.argsort(who)])
        return correct

    def true_mastery(self) -> np.ndarray:
        return self.follower.mastery()
