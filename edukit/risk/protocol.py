"""From which enrolments a model of early warning learns, and on which it is judged."""

from __future__ import annotations

import numpy as np
import pandas as pd

from edukit.schema import DataError
from edukit.splits import Split

KINDS = ("presentation", "learner", "leave_presentation")


def splits(units: pd.MultiIndex, kind: str = "presentation", folds: int = 5, seed: int = 0) -> list[Split]:
    """Each with the parts `train` and `test`; the test parts of several never overlap.

    Parameters
    ----------
    units : (N,) learner_id, module_id, presentation; a presentation such as 2013B sorts by time.
    kind : 'presentation' : learn from every presentation before the last, judge the last, as in use;
        'learner' : ``folds`` times, the learners of one fold with all their enrolments aside, whatever the presentation;
        'leave_presentation' : each presentation in turn is judged by what is learnt from all others, later ones included.
    seed : draws the folds.

    Raises
    ------
    DataError
        On an unknown kind, fewer than two presentations where they are parted, or fewer learners than folds.
    """
    presentation = np.asarray(units.get_level_values("presentation"), dtype=str)
    names = np.unique(presentation)
    if kind not in KINDS:
        raise DataError(f"split must be one of {', '.join(KINDS)} for early warning; found {kind}")
    if kind != "learner" and len(names) < 2:
        raise DataError(f"split={kind} needs two presentations or more; found {', '.join(names)}. Use split=learner.")
    if kind == "learner":
        codes, learners = pd.factorize(units.get_level_values("learner_id"), sort=True)
        if not 2 <= folds <= len(learners):
            raise DataError(f"folds must lie between 2 and the number of learners, {len(learners):,}; found {folds}")
        of = np.random.default_rng(seed).permutation(np.arange(len(learners)) % folds)[codes]
        return [_parted(f"learner fold {fold + 1} of {folds}", seed, of == fold) for fold in range(folds)]
    judged = names[-1:] if kind == "presentation" else names
    return [_parted(f"{'future presentation' if kind == 'presentation' else 'presentation left out'} {name}", seed, presentation == name) for name in judged]


def _parted(name: str, seed: int, test: np.ndarray) -> Split:
    return Split(name, "row", seed, {"train": np.flatnonzero(~test), "test": np.flatnonzero(test)})
