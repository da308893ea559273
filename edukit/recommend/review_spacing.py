"""When what was learnt should be looked at again: forgetting by half-life, longer after every success, shorter after a failure."""

from __future__ import annotations

import numpy as np

SHORTEST, LONGEST = 2.0, 1e6  # half-lives stay between, in the unit of time used


def recall(elapsed: np.ndarray, half_life: np.ndarray) -> np.ndarray:
    """P(what was known is still recalled) after a time without use.

    p = 2 ** (-elapsed / half_life)

    Parameters
    ----------
    elapsed, half_life : arrays of one shape
        In one unit: responses in a session, or days.

    References
    ----------
    Ebbinghaus (1885), Über das Gedächtnis. Settles and Meeder (2016), ACL (half-life regression).

    Examples
    --------
    >>> recall(np.array([0.0, 10.0]), np.array([10.0, 10.0])).tolist()
    [1.0, 0.5]
    """
    return np.exp2(-np.asarray(elapsed, float) / half_life)


def half_life_after(half_life: np.ndarray, correct: np.ndarray, elapsed: np.ndarray, growth: float) -> np.ndarray:
    """Half-life once a response is over: a success multiplies it, the more the closer it was to being forgotten; a failure divides it.

    Parameters
    ----------
    half_life, correct, elapsed : arrays of one shape
        ``correct`` is a mark in [0, 1].
    growth : factor of a success at the moment when half would be forgotten, and the divisor of a failure; above 1.

    References
    ----------
    Cepeda, Pashler, Vul, Wixted and Rohrer (2006), Psychological Bulletin 132 (a longer wait before a success helps more).

    Examples
    --------
    >>> half_life_after(np.array([8.0, 8.0, 8.0]), np.array([1.0, 1.0, 0.0]), np.array([0.0, 8.0, 8.0]), 2.0).tolist()
    [8.0, 16.0, 4.0]
    """
    waited = 2 * (1 - recall(elapsed, half_life))  # 0 at once, 1 when half would be forgotten, 2 in the end
    return np.clip(half_life * growth ** (np.asarray(correct, float) * (1 + waited) - 1), SHORTEST, LONGEST)


def due_in(half_life: np.ndarray, target: float) -> np.ndarray:
    """Time without use after which recall has fallen to the target, from the last use on.

    Examples
    --------
    >>> due_in(np.array([10.0]), 0.5).tolist()
    [10.0]
    """
    return -np.log2(target) * half_life
