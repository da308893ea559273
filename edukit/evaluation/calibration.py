"""Whether a probability of a right answer means what it says: put right on learners that the model had not learnt from, never on test learners."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np

from edukit.graph.calibration import EDGE, Calibration
from edukit.metrics import log_loss

Array = np.ndarray
FOLDS = 5  # of the validation learners, to choose among the methods


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
    def fit(cls, p: Array, y: Array) -> Self | Calibration:
        """The curve of some responses (N,); a line through the log-odds where the bend would turn an order."""
        from sklearn.linear_model import LogisticRegression

        curve = LogisticRegression(C=1e3).fit(cls._logarithms(p), y)
        low, high = (float(v) for v in curve.coef_[0])
        return cls(low, high, float(curve.intercept_[0])) if min(low, high) >= 0 else Calibration.fit(p, y)

    @staticmethod
    def _logarithms(p: Array) -> Array:
        held = np.clip(p, EDGE, 1 - EDGE)
        return np.column_stack([np.log(held), -np.log1p(-held)])

    def __call__(self, p: Array) -> Array:
        """(N,) probabilities."""
        return 1 / (1 + np.exp(-(self._logarithms(np.asarray(p, float)) @ [self.low, self.high] + self.shift)))


@dataclass(frozen=True, eq=False)
class Isotonic:
    """From a probability to another through a rising staircase that is straight between its corners.

    Attributes
    ----------
    said, observed : (K,) corners, both rising; ``observed`` is held off 0 and 1 by half a response.

    References
    ----------
    Zadrozny and Elkan (2002), KDD.
    """

    said: Array
    observed: Array

    @classmethod
    def fit(cls, p: Array, y: Array) -> Self:
        """The staircase of some responses (N,) that the probabilities were not learnt from."""
        from sklearn.isotonic import IsotonicRegression

        curve = IsotonicRegression(out_of_bounds="clip").fit(p, y)
        edge = 0.5 / (len(y) + 1)
        return cls(curve.X_thresholds_, np.clip(curve.y_thresholds_, edge, 1 - edge))

    def __call__(self, p: Array) -> Array:
        """(N,) probabilities."""
        return np.interp(p, self.said, self.observed)


def _as_they_are(p: Array) -> Array:
    return np.asarray(p, float)


METHODS: dict[str, Callable[[Array, Array], Callable[[Array], Array]]] = {
    "none": lambda p, y: _as_they_are, "platt": lambda p, y: Calibration.fit(p, y), "beta": Beta.fit, "isotonic": Isotonic.fit}


def choose(p: Array, y: Array, units: Array, seed: int = 0) -> tuple[str, Callable[[Array], Array]]:
    """The method that does best on validation learners it was not fitted on, fitted on all of them.

    Parameters
    ----------
    p, y : (N,) probabilities and right answers of validation rows.
    units : (N,) integer codes, the learner of each row; whole learners are set aside in turn.

    Returns
    -------
    name : ``none``, ``platt`` (a line through the log-odds), ``beta`` or ``isotonic``; by log-loss. ``none`` where there are too few learners to choose.
    calibrator : (N,) probabilities -> (N,) probabilities.
    """
    learners = np.unique(units)
    if len(learners) < 2 * FOLDS or len(np.unique(y)) < 2:
        return "none", _as_they_are
    fold = np.empty(int(learners.max()) + 1, int)
    fold[np.random.default_rng(seed).permutation(learners)] = np.arange(len(learners)) % FOLDS
    of = fold[units]
    tried = {name: np.empty(len(p)) for name in METHODS}
    for k in range(FOLDS):
        for name, fit in METHODS.items():
            tried[name][of == k] = fit(p[of != k], y[of != k])(p[of == k])
    best = min(METHODS, key=lambda name: log_loss(y, tried[name]))
    return best, METHODS[best](p, y)
