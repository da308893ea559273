"""Make a risk mean what it says: of those with a risk of 30 %, three in ten; learnt on learners that the model had not learnt from.

A year in which more pass than before is not corrected for. To tell its rate from the risks alone (Saerens, Latinne and Decaestecker, 2002, Neural
Computation 14; Lipton, Wang and Smola, 2018, ICML) takes for granted that those who fail look alike from year to year. Due days that move break that: on
OULAD's past presentations, each judged by the ones before it, risks so corrected were mostly further from what happened.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edukit import recalibration
from edukit.recalibration import FOLDS, Isotonic, Platt

Array = np.ndarray
TRACE = 0.01  # of the risk that was said, in one from a staircase, so that a step keeps the order


def staircase(p: Array, y: Array, weight: Array | None = None) -> Isotonic:
    """The staircase of (N,) risks and outcomes, with a trace of what was said."""
    return Isotonic.fit(p, y, weight, TRACE)


METHODS: dict[str, Callable[..., Platt | Isotonic]] = {"platt": Platt.fit, "isotonic": staircase}


def choose(p: Array, y: Array, units: Array, seed: int = 0) -> str:
    """The method that has the smaller log-loss on learners it was not fitted on.

    Parameters
    ----------
    p, y : (N,) risks that no row of these had a part in, and outcomes.
    units : (N,) integer codes of the learners; whole ones are set aside in turn. With few learners it is ``platt``.
    """
    return recalibration.choose(p, y, units, METHODS, few="platt", least=20 * FOLDS, seed=seed)
