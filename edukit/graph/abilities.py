"""How able each learner is and how easy each item, from marks alone."""

from __future__ import annotations

import numpy as np

CHUNK = 1 << 15  # responses of one step of arithmetic: their numbers stay in the processor's cache


def abilities(learner: np.ndarray, item: np.ndarray, correct: np.ndarray, rounds: int = 100) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ability of each learner and easiness of each item (logits) under the one-parameter logistic model, by penalised Newton steps.

    Parameters
    ----------
    learner, item : (N,) integer codes. correct : (N,) in [0, 1].

    Returns
    -------
    ability : (B,), prior N(0, v) where v is estimated from the responses (without it, answers at random would look as if some learners were
        abler, and everything predicted from other answers would be off). easiness : (I,), prior N(0, 100).
    information : (B,) curvature at the solution, the prior's included.

    References
    ----------
    Rasch (1960), Probabilistic models for some intelligence and attainment tests. Dempster, Laird & Rubin (1977), JRSS B 39 (for v).
    """
    ability, easiness = np.zeros(int(learner.max()) + 1), np.zeros(int(item.max()) + 1)
    information, variance = np.ones_like(ability), 1.0
    for _ in range(rounds):
        largest = 0.0
        for code, other, prior in ((learner, item, 1 / variance), (item, learner, 0.01)):
            own, theirs = (ability, easiness) if code is learner else (easiness, ability)
            curvature, slope = np.full(len(own), prior), -prior * own
            for first in range(0, len(code), CHUNK):
                rows = slice(first, first + CHUNK)
                mine = code[rows].astype(np.intp)
                low, high = int(mine.min()), int(mine.max()) + 1  # of sorted learners, a chunk has few
                mine -= low
                expected = 1 / (1 + np.exp(-(own[low:high][mine] + theirs[other[rows]])))
                curvature[low:high] += np.bincount(mine, expected * (1 - expected), high - low)
                slope[low:high] += np.bincount(mine, correct[rows] - expected, high - low)
            step = np.clip(slope / curvature, -2, 2)
            own += step
            largest = max(largest, float(np.abs(step).max()))
            if code is learner:
                information = curvature
                spread = max(float(np.mean(ability**2 + 1 / information)), 1e-3)
                largest, variance = max(largest, abs(spread - variance)), spread
        if largest < 1e-3:
            break
    return ability, easiness, information
