"""Seven policies: learning progress (the default), target success, outer fringe, expert order, weakest first, random, greedy expected gain."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from edukit.recommend.policy import ConceptPolicy, View
from edukit.recommend.progress import Progress
from edukit.recommend.terrain import Terrain
from edukit.schema import DataError


def lowest(value: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """(B, C) bool: the allowed concept of the lowest value, the first of several.

    Examples
    --------
    >>> lowest(np.array([[3, 1, 2]]), np.array([[True, False, True]])).tolist()
    [[False, False, True]]
    """
    best = np.where(allowed, value, np.inf).argmin(axis=1)
    return np.arange(value.shape[1]) == best[:, None]


class Zpdes(ConceptPolicy):
    """A learner practises, among what they are ready for, where they are getting better; what they have not tried is tried now and then.

    After a response the quality of its concept is w <- keep w + (1 - keep) r, where r, the learning progress, is the mean mark of the last
    ``window`` / 2 answers less that of as many before them (answers not yet given count as wrong). A concept is chosen with probability
    (1 - explore) w / sum w + explore / (number of open concepts).

    Parameters
    ----------
    keep : how much of the old quality stays, in [0, 1).
    explore : share of choices that are uniform over what is open, in (0, 1].
    first : quality of a concept that was not tried yet; above 0.
    window : answers over which progress is measured; even, at most 8.
    ready, mastered, recall, half_life, growth : see :class:`.policy.ConceptPolicy`.

    References
    ----------
    Clement, Roy, Oudeyer and Lopes (2015), Journal of Educational Data Mining 7 (ZPDES). There the zone is widened by rules of an expert; here it
    is what the graph and the estimated mastery leave open.
    """

    name: ClassVar[str] = "zpdes"

    def __init__(self, keep: float = 0.8, explore: float = 0.15, first: float = 0.1, window: int = 2, ready: float = 0.7, mastered: float = 0.85,
                 recall: float = 0.0, half_life: float = 20.0, growth: float = 2.0) -> None:
        super().__init__(ready, mastered, recall, half_life, growth)
        if not (0 <= keep < 1 and 0 < explore <= 1 and first > 0 and window in (2, 4, 6, 8)):
            raise DataError(f"policy zpdes needs keep in [0, 1), explore in (0, 1], first above 0 and window 2, 4, 6 or 8; found {keep=}, {explore=}, "
                            f"{first=}, {window=}.")
        self.keep, self.explore, self.first, self.window, self.first_quality = keep, explore, first, window, first

    def chances(self, view: View, rng: np.random.Generator) -> np.ndarray:
        quality = np.where(view.allowed, np.maximum(view.progress.quality, 1e-6), 0.0)
        return (1 - self.explore) * quality / quality.sum(axis=1, keepdims=True) + self.explore * view.allowed / view.allowed.sum(axis=1, keepdims=True)

    def note(self, terrain: Terrain, progress: Progress, item: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Every learner has answered one item (B,): the quality of its concepts moves."""
        who, concept = super().note(terrain, progress, item, correct)
        marks = np.nan_to_num(progress.recent[who, concept][:, -self.window:])
        half = self.window // 2
        gained = marks[:, half:].mean(axis=1) - marks[:, :half].mean(axis=1)
        progress.quality[who, concept] = self.keep * progress.quality[who, concept] + (1 - self.keep) * gained
        return who, concept


class SpacedZpdes(Zpdes):
    """As :class:`Zpdes`, and what was mastered comes back before it is forgotten.

    Parameters
    ----------
    keep, explore, first, window : see :class:`Zpdes`. ready, mastered, recall, half_life, growth : see :class:`.policy.ConceptPolicy`.
    """

    name: ClassVar[str] = "spaced_zpdes"

    def __init__(self, keep: float = 0.8, explore: float = 0.15, first: float = 0.1, window: int = 2, ready: float = 0.7, mastered: float = 0.85,
                 recall: float = 0.5, half_life: float = 20.0, growth: float = 2.0) -> None:
        super().__init__(keep, explore, first, window, ready, mastered, recall, half_life, growth)


class TargetSuccess(ConceptPolicy):
    """A learner gets what they would answer correctly with a wanted probability: neither too easy nor too hard.

    P(correct) = known (1 - slip) + (1 - known) guess, of the concept.

    Parameters
    ----------
    target : wanted P(correct). guess, slip : of a typical item. ready, mastered, recall, half_life, growth : see :class:`.policy.ConceptPolicy`.

    References
    ----------
    Wilson, Shenhav, Straccia and Cohen (2019), Nature Communications 10 (success near .85 as the best for some learning rules).
    """

    name: ClassVar[str] = "target_p"

    def __init__(self, target: float = 0.7, guess: float = 0.2, slip: float = 0.1, ready: float = 0.7, mastered: float = 0.85, recall: float = 0.0,
                 half_life: float = 20.0, growth: float = 2.0) -> None:
        super().__init__(ready, mastered, recall, half_life, growth)
        self.target, self.guess, self.slip = target, guess, slip

    def chances(self, view: View, rng: np.random.Generator) -> np.ndarray:
        p = view.mastery * (1 - self.slip) + (1 - view.mastery) * self.guess
        return lowest(np.abs(p - self.target) + 1e-6 * rng.random(p.shape), view.allowed)


class OuterFringe(ConceptPolicy):
    """A learner gets any of the concepts that they could learn next, all alike.

    Parameters
    ----------
    ready, mastered, recall, half_life, growth : see :class:`.policy.ConceptPolicy`.

    References
    ----------
    Doignon and Falmagne (1985), International Journal of Man-Machine Studies 23.
    """

    name: ClassVar[str] = "outer_fringe"

    def __init__(self, ready: float = 0.7, mastered: float = 0.85, recall: float = 0.0, half_life: float = 20.0, growth: float = 2.0) -> None:
        super().__init__(ready, mastered, recall, half_life, growth)

    def chances(self, view: View, rng: np.random.Generator) -> np.ndarray:
        return view.allowed.astype(float)


class ExpertOrder(ConceptPolicy):
    """Every learner goes through the concepts in one order, each until it is mastered.

    The order respects the graph: by the length of the longest chain that leads to a concept, then as the concepts are listed.

    Parameters
    ----------
    ready, mastered, recall, half_life, growth : see :class:`.policy.ConceptPolicy`.
    """

    name: ClassVar[str] = "expert_order"

    def __init__(self, ready: float = 0.7, mastered: float = 0.85, recall: float = 0.0, half_life: float = 20.0, growth: float = 2.0) -> None:
        super().__init__(ready, mastered, recall, half_life, growth)
        self._order = np.zeros(0)

    def begin(self, learners: int, terrain: Terrain) -> Progress:
        """Learners never seen."""
        self._order = terrain.order
        return super().begin(learners, terrain)

    def chances(self, view: View, rng: np.random.Generator) -> np.ndarray:
        return lowest(np.broadcast_to(self._order, view.allowed.shape), view.allowed)


class WeakestFirst(ConceptPolicy):
    """A learner gets what they know least, whatever it requires: a habit of many tools, here to be compared with.

    Parameters
    ----------
    ready, mastered, recall, half_life, growth : see :class:`.policy.ConceptPolicy`.
    """

    name: ClassVar[str] = "weakest_first"

    def __init__(self, ready: float = 0.0, mastered: float = 1.0, recall: float = 0.0, half_life: float = 20.0, growth: float = 2.0) -> None:
        super().__init__(ready, mastered, recall, half_life, growth)

    def chances(self, view: View, rng: np.random.Generator) -> np.ndarray:
        return lowest(view.mastery + 1e-6 * rng.random(view.mastery.shape), view.allowed)


class RandomChoice(ConceptPolicy):
    """A learner gets any concept, all alike: what every policy must beat.

    Parameters
    ----------
    ready, mastered, recall, half_life, growth : see :class:`.policy.ConceptPolicy`.
    """

    name: ClassVar[str] = "random"

    def __init__(self, ready: float = 0.0, mastered: float = 1.0, recall: float = 0.0, half_life: float = 20.0, growth: float = 2.0) -> None:
        super().__init__(ready, mastered, recall, half_life, growth)

    def chances(self, view: View, rng: np.random.Generator) -> np.ndarray:
        return view.allowed.astype(float)


class GreedyGain(ConceptPolicy):
    """A learner gets what one response is expected to raise most. It looks one step ahead and dwells on what it takes for unknown: a warning.

    Expected gain of concept k: (1 - known_k) readiness_k.

    Parameters
    ----------
    ready, mastered, recall, half_life, growth : see :class:`.policy.ConceptPolicy`.
    """

    name: ClassVar[str] = "greedy_gain"

    def __init__(self, ready: float = 0.7, mastered: float = 1.0, recall: float = 0.0, half_life: float = 20.0, growth: float = 2.0) -> None:
        super().__init__(ready, mastered, recall, half_life, growth)

    def chances(self, view: View, rng: np.random.Generator) -> np.ndarray:
        return lowest((view.mastery - 1) * view.ready + 1e-6 * rng.random(view.mastery.shape), view.allowed)
