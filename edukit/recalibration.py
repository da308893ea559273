"""Curves that make a probability mean what it says: of those told 30 %, three in ten; learnt on rows that the probabilities were not learnt from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from edukit.metrics import log_loss

Array = np.ndarray
Curve = Callable[[Array], Array]
EDGE = 1e-4  # probabilities are held this far from 0 and 1
FOLDS = 5  # of the units, to choose among curves


@dataclass(frozen=True)
class Platt:
    """From a score in [0, 1] to a probability: σ(slope · log-odds + shift), with a slope of at least 0, so that no order is turned.

    References
    ----------
    Platt (1999), Advances in Large Margin Classifiers; Kull, Silva Filho and Flach (2017), AISTATS (on log-odds).
    """

    slope: float = 1.0
    shift: float = 0.0

    @classmethod
    def fit(cls, p: Array, y: Array, weight: Array | None = None) -> Self:
        """The curve of (N,) scores and outcomes in {0, 1}; ``weight`` counts each row that often. Scores stay as they are where only one outcome is there."""
        if len(np.unique(y)) < 2:
            return cls()
        from sklearn.linear_model import LogisticRegression

        curve = LogisticRegression(C=1e3).fit(log_odds(p)[:, None], y, weight)
        slope, share = float(curve.coef_[0, 0]), float(np.average(y, weights=weight))
        return cls(slope, float(curve.intercept_[0])) if slope > 0 else cls(0.0, float(np.log(share / (1 - share))))

    def __call__(self, p: Array) -> Array:
        """(N,) probabilities."""
        return 1 / (1 + np.exp(-(self.slope * log_odds(np.asarray(p, float)) + self.shift)))


@dataclass(frozen=True)
class Beta:
    """From a probability to another: σ(low · ln p - high · ln(1 - p) + shift), which bends small and large probabilities apart, as guessing asks for.

    References
    ----------
    Kull, Silva Filho and Flach (2017), AISTATS.
    """

    low: float
    high: float
    shift: float

    @classmethod
    def fit(cls, p: Array, y: Array, weight: Array | None = None) -> Self | Platt:
        """The curve of (N,) probabilities and outcomes; :class:`Platt` where the bend would turn an order."""
        from sklearn.linear_model import LogisticRegression

        curve = LogisticRegression(C=1e3).fit(cls._logarithms(p), y, weight)
        low, high = (float(v) for v in curve.coef_[0])
        return cls(low, high, float(curve.intercept_[0])) if min(low, high) >= 0 else Platt.fit(p, y, weight)

    @staticmethod
    def _logarithms(p: Array) -> Array:
        held = np.clip(p, EDGE, 1 - EDGE)
        return np.column_stack([np.log(held), -np.log1p(-held)])

    def __call__(self, p: Array) -> Array:
        """(N,) probabilities."""
        return 1 / (1 + np.exp(-(self._logarithms(np.asarray(p, float)) @ [self.low, self.high] + self.shift)))


@dataclass(frozen=True, eq=False)
class Isotonic:
    """From a probability to the observed share, through a rising staircase that is straight between its corners.

    Attributes
    ----------
    said, observed : (K,) corners, both rising; ``observed`` is held off 0 and 1 by half a row.
    trace : how much of what was said stays, so that a step keeps the order; 0 = none.

    References
    ----------
    Zadrozny and Elkan (2002), KDD.
    """

    said: Array
    observed: Array
    trace: float = 0.0

    @classmethod
    def fit(cls, p: Array, y: Array, weight: Array | None = None, trace: float = 0.0) -> Self:
        """The staircase of (N,) probabilities and outcomes in {0, 1}; ``weight`` counts each row that often."""
        from sklearn.isotonic import IsotonicRegression

        curve, half = IsotonicRegression(out_of_bounds="clip").fit(p, y, weight), 0.5 / (len(y) + 1)
        return cls(np.asarray(curve.X_thresholds_, float), np.clip(np.asarray(curve.y_thresholds_, float), half, 1 - half), trace)

    def __call__(self, p: Array) -> Array:
        """(N,) probabilities."""
        return (1 - self.trace) * np.interp(p, self.said, self.observed) + self.trace * np.asarray(p, float)


def as_they_are(p: Array) -> Array:
    """(N,) probabilities, unchanged."""
    return np.asarray(p, float)


def choose(p: Array, y: Array, units: Array, methods: Mapping[str, Callable[[Array, Array], Curve]], few: str, least: int, seed: int = 0) -> str:
    """The curve that has the smallest log-loss on units it was not fitted on.

    Parameters
    ----------
    p, y : (N,) probabilities that no row of these had a part in, and outcomes in {0, 1}.
    units : (N,) integer codes, such as the learner of each row; whole ones are set aside in turn.
    methods : name -> fit(p, y).
    few : the name that is returned with fewer than ``least`` units, or one outcome only.
    """
    learners = np.unique(units)
    if len(learners) < least or len(np.unique(y)) < 2:
        return few
    fold = np.empty(int(learners.max()) + 1, int)
    fold[np.random.default_rng(seed).permutation(learners)] = np.arange(len(learners)) % FOLDS
    of, tried = fold[units], {name: np.empty(len(p)) for name in methods}
    for k in range(FOLDS):
        for name, fit in methods.items():
            tried[name][of == k] = fit(p[of != k], y[of != k])(p[of == k])
    return min(methods, key=lambda name: log_loss(y, tried[name]))


def log_odds(p: Array) -> Array:
    """ln(p / (1 - p)) of probabilities held off 0 and 1 by :data:`EDGE`."""
    held = np.clip(p, EDGE, 1 - EDGE)
    return np.log(held / (1 - held))


def packed(curve: Platt | Isotonic) -> dict[str, Any]:
    """A curve as JSON can hold it."""
    if isinstance(curve, Isotonic):
        return {"said": curve.said.tolist(), "observed": curve.observed.tolist(), "trace": curve.trace}
    return {"slope": curve.slope, "shift": curve.shift}


def unpacked(values: Mapping[str, Any]) -> Platt | Isotonic:
    """What :func:`packed` made."""
    return Isotonic(np.asarray(values["said"], float), np.asarray(values["observed"], float), values["trace"]) if "said" in values else Platt(**values)
