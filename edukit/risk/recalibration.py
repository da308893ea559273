"""Make a risk mean what it says: of those with a risk of 30 %, three in ten; learnt on a presentation that the model had not learnt from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from edukit.graph.calibration import Calibration
from edukit.metrics import log_loss

Array = np.ndarray
TRACE = 0.01  # of the risk that was said, in one from a staircase
FOLDS = 5  # of the learners of the presentation it is learnt on, to choose the method


@dataclass(frozen=True, eq=False)
class Staircase:
    """From a risk to the observed share, through a rising curve of straight pieces.

    Attributes
    ----------
    said, observed : (K,) corners, both rising; ``observed`` stays half a learner away from 0 and 1.

    References
    ----------
    Zadrozny and Elkan (2002), KDD.
    """

    said: Array
    observed: Array

    @classmethod
    def fit(cls, p: Array, y: Array, weight: Array | None = None) -> Self:
        """The curve of (N,) risks and outcomes in {0, 1}; ``weight`` counts each row that often."""
        from sklearn.isotonic import IsotonicRegression

        curve = IsotonicRegression(out_of_bounds="clip").fit(p, y, weight)
        half = 0.5 / (len(y) + 1)
        return cls(np.asarray(curve.X_thresholds_, float), np.clip(np.asarray(curve.y_thresholds_, float), half, 1 - half))

    def __call__(self, p: Array) -> Array:
        """(N,) risks; on a step a trace of what was said stays, so that it keeps the order."""
        return (1 - TRACE) * np.interp(p, self.said, self.observed) + TRACE * np.asarray(p, float)


Curve = Calibration | Staircase
METHODS: dict[str, Callable[..., Curve]] = {"platt": Calibration.fit, "isotonic": Staircase.fit}


def choose(p: Array, y: Array, units: Array, seed: int = 0) -> str:
    """The method that has the smaller log-loss on learners it was not fitted on.

    Parameters
    ----------
    p, y : (N,) risks that no row of these had a part in, and outcomes.
    units : (N,) integer codes of the learners; whole ones are set aside in turn. With few learners it is ``platt``.
    """
    learners = np.unique(units)
    if len(learners) < 20 * FOLDS or len(np.unique(y)) < 2:
        return "platt"
    fold = np.empty(int(learners.max()) + 1, int)
    fold[np.random.default_rng(seed).permutation(learners)] = np.arange(len(learners)) % FOLDS
    of, loss = fold[units], {}
    for name, fit in METHODS.items():
        told = np.empty(len(p))
        for k in range(FOLDS):
            told[of == k] = fit(p[of != k], y[of != k])(p[of == k])
        loss[name] = log_loss(y, told)
    return min(loss, key=loss.__getitem__)


def packed(curve: Curve) -> dict[str, Any]:
    """A curve as JSON can hold it."""
    if isinstance(curve, Staircase):
        return {"said": curve.said.tolist(), "observed": curve.observed.tolist()}
    return asdict(curve)


def unpacked(values: Mapping[str, Any]) -> Curve:
    """What :func:`packed` made."""
    return Staircase(np.asarray(values["said"]), np.asarray(values["observed"])) if "said" in values else Calibration(**values)
