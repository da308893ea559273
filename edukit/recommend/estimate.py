"""What learners know, as far as a policy can tell without a fitted model: Bayes' rule with typical guesses and slips, along the graph."""

from __future__ import annotations

import numpy as np

from edukit.recommend.terrain import Terrain

CLOSE = 1e-4  # estimates stay this far from 0 and 1


class Estimate:
    """P(known) of every concept for B learners, from their responses; the same for every policy that is tried.

    A concept never answered is known with probability ``prior`` x readiness. Then Bayes' rule, and known + (1 - known) ``learn`` x readiness.
    An item of several concepts is right where all of them are known.

    Parameters
    ----------
    prior, learn, guess, slip : probabilities, one for all concepts.

    References
    ----------
    Corbett and Anderson (1995), User Modeling and User-Adapted Interaction.
    """

    def __init__(self, prior: float = 0.3, learn: float = 0.15, guess: float = 0.2, slip: float = 0.1) -> None:
        self.prior, self.learn, self.guess, self.slip = prior, learn, guess, slip

    def start(self, learners: int, terrain: Terrain) -> Estimate:
        """Learners of whom nothing is known."""
        self.terrain = terrain
        self.known = np.zeros((learners, len(terrain.concept_ids)))
        self.met = np.zeros(self.known.shape, bool)
        for _ in range(len(terrain.concept_ids)):
            before = self.known.copy()
            self._fresh()
            if np.allclose(before, self.known):
                break
        return self

    def _fresh(self) -> None:
        """Concepts never answered follow what they require."""
        self.known = np.where(self.met, self.known, self.prior * self.terrain.readiness(self.known))

    def mastery(self) -> np.ndarray:
        """(B, C) P(known) now."""
        return self.known

    def step(self, item: np.ndarray, correct: np.ndarray) -> None:
        """Every learner has answered one item (B,); a mark (B,) in [0, 1]."""
        concepts, size = self.terrain.item_concepts[item], self.known.shape[1]
        there, everybody = concepts < size, np.arange(len(item))[:, None]
        place = np.minimum(concepts, size - 1)
        known = np.where(there, self.known[everybody, place], 1.0)
        hit = np.where(there, known * (1 - self.slip) + (1 - known) * self.guess, 1.0)
        others = hit.prod(axis=1, keepdims=True) / hit
        mark = np.asarray(correct, float)[:, None]
        if_known = mark * others * (1 - self.slip) + (1 - mark) * (1 - others * (1 - self.slip))
        if_not = mark * others * self.guess + (1 - mark) * (1 - others * self.guess)
        after = known * if_known / (known * if_known + (1 - known) * if_not)
        ready = self.terrain.readiness(self.known)[everybody, place]
        after = np.clip(after + (1 - after) * self.learn * ready, CLOSE, 1 - CLOSE)
        who, nth = np.nonzero(there)
        self.known[who, concepts[who, nth]] = after[who, nth]
        self.met[who, concepts[who, nth]] = True
        self._fresh()
