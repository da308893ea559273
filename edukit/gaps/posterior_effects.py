"""What a class adds to a concept or lacks: mostly next to nothing, sometimes much; its own, or shared by the classes of its teacher."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NOBODY = -1  # of a cell whose teacher is not stated, or has no other class on the concept


@dataclass(frozen=True)
class EffectPrior:
    """Cauchy: most effects are near 0, a few are far from it. ``scale`` in logits, a number or an array of the effects' shape.

    References
    ----------
    Gelman, Jakulin, Pittau & Su (2008), Annals of Applied Statistics 2.
    """

    scale: np.ndarray | float

    def log(self, effect: np.ndarray) -> np.ndarray:
        """Log density, up to a constant."""
        return -np.log(self.scale) - np.log1p((effect / self.scale) ** 2)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Effects of a shape."""
        return self.scale * rng.standard_cauchy(shape)

    def halved(self, where: np.ndarray) -> EffectPrior:
        """Of either part of a sum of two where ``where`` holds: such a sum is distributed as one effect elsewhere."""
        return EffectPrior(np.where(where, self.scale / 2, self.scale).astype(np.float32))


class TeacherEffects:
    """Class effect = teacher's effect + rest of the class, for the cells whose teacher has at least two classes on the concept.

    Both parts are small but for a few: a low effect in one of several classes leaves the teacher's near 0, in all of them it is the teacher's.

    Parameters
    ----------
    teacher_of : (C, K) position of the teacher of a concept in a class, -1 where there is none. prior : of a class effect.

    Attributes
    ----------
    group_of : (C, K) which teacher's effect belongs to the cell, -1 where there is none. classes : (G,) classes of each. effect : (G,) logits.
    rest : prior of what is left of a class effect, (C, K).

    References
    ----------
    Gelman et al. (2013), Bayesian Data Analysis, ch. 5 (hierarchies). Tierney (1994), Annals of Statistics 22 (proposals that are mixtures).
    """

    def __init__(self, teacher_of: np.ndarray, prior: EffectPrior) -> None:
        code = np.where(teacher_of >= 0, np.arange(len(teacher_of))[:, None] * (teacher_of.max(initial=0) + 1) + teacher_of, NOBODY)
        kinds, count = np.unique(code[code >= 0], return_counts=True)
        kinds, self.classes = kinds[count > 1], count[count > 1]
        there, place = np.isin(code, kinds), np.searchsorted(kinds, code)
        self.group_of = np.where(there, place, NOBODY)
        self.cells = np.flatnonzero(there)[np.argsort(place[there], kind="stable")]  # of the flat table, group after group
        self.of = self.group_of.ravel()[self.cells]
        self.start = np.cumsum(self.classes) - self.classes
        self.effect = np.zeros(len(kinds))
        self.rest = prior.halved(there)
        self.half = EffectPrior(float(prior.scale) / 2)

    def centre(self) -> np.ndarray:
        """(C, K) float32 the teacher's effect in every cell, 0 where there is none."""
        if not len(self.effect):
            return np.zeros(self.group_of.shape, np.float32)
        return np.where(self.group_of >= 0, self.effect[self.group_of], 0).astype(np.float32)

    def move(self, class_effects: np.ndarray, rng: np.random.Generator) -> None:
        """One Metropolis step of every teacher's effect, given (C, K) class effects: to a place near one of the teacher's classes, or near 0."""
        if not len(self.effect):
            return
        seen = class_effects.ravel()[self.cells].astype(float)
        size = len(self.effect)
        one = seen[self.start + (rng.random(size) * self.classes).astype(int)]
        near = rng.random(size) < 0.5
        moved = np.where(near, one + self.half.scale * rng.normal(size=size), self.half.draw(rng, (size,)))
        gain = self._fit(moved, seen) - self._fit(self.effect, seen) + self._offered(self.effect, seen) - self._offered(moved, seen)
        self.effect = np.where(np.log(rng.random(size)) < gain, moved, self.effect)

    def _fit(self, at: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """(G,) log density of the teacher's effect and of the classes around it."""
        return self.half.log(at) + np.bincount(self.of, self.half.log(seen - at[self.of]), len(at))

    def _offered(self, at: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """(G,) log density with which a step leads to ``at``."""
        near = np.exp(-(((seen - at[self.of]) / self.half.scale) ** 2) / 2) / np.sqrt(2 * np.pi) / self.half.scale
        close = np.bincount(self.of, near, len(at)) / self.classes
        return np.logaddexp(np.log(close + 1e-300), self.half.log(at) - np.log(np.pi))
