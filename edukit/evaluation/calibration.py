"""Whether a probability of a right answer means what it says: put right on learners that the model had not learnt from, never on test learners."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edukit import recalibration
from edukit.recalibration import FOLDS, Beta, Curve, Isotonic, Platt, as_they_are

Array = np.ndarray
METHODS: dict[str, Callable[[Array, Array], Curve]] = {"none": lambda p, y: as_they_are, "platt": Platt.fit, "beta": Beta.fit, "isotonic": Isotonic.fit}


def choose(p: Array, y: Array, units: Array, seed: int = 0) -> tuple[str, Curve]:
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
    best = recalibration.choose(p, y, units, METHODS, few="none", least=2 * FOLDS, seed=seed)
    return best, METHODS[best](p, y)
