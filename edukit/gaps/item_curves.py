"""How the answers to each item go with the rest of what a learner answered: first attempts, rest scores, item curves.

One Newton solver fits the curves of all items at once, so that a thousand items and a million responses take seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from edukit.graph.abilities import abilities
from edukit.graph.cells import first_attempts
from edukit.schema import DataError

RIGHT = 0.5  # an answer is right if it earned at least this share of the marks
STEPS, LONGEST_STEP, SETTLED = 50, 2.0, 1e-7  # Newton: most steps, longest step of a coefficient (logits), last step


@dataclass(frozen=True, eq=False)
class Attempts:
    """N first attempts as arrays, sorted by item, then learner; a learner meets an item once.

    Attributes
    ----------
    learner, item : (N,) positions in ``learners`` and ``items`` (ids, sorted).
    right : (N,) 1.0 or 0.0.
    option : (N,) position in ``options`` of what was chosen, -1 where it is not known.
    """

    learner: np.ndarray
    item: np.ndarray
    right: np.ndarray
    option: np.ndarray
    learners: pd.Index
    items: pd.Index
    options: pd.Index

    @classmethod
    def of(cls, interactions: pd.DataFrame) -> Attempts:
        """First attempts of table ``interactions``: those marked as first, and of several the earliest (the first row where order is unknown)."""
        rows = first_attempts(interactions)
        if not len(rows):
            raise DataError("interactions must hold first attempts to judge items by; found none. Check the column attempt.")
        learner, learners = pd.factorize(rows["learner_id"], sort=True)
        item, items = pd.factorize(rows["item_id"], sort=True)
        when = rows["order"].to_numpy(float, na_value=np.inf) if "order" in rows else np.zeros(len(rows))
        sequence = np.lexsort((when, learner, item))
        learner, item = learner[sequence], item[sequence]
        fresh = np.r_[True, (np.diff(learner) != 0) | (np.diff(item) != 0)]
        kept = sequence[fresh]
        chosen = rows["response"].iloc[kept] if "response" in rows else pd.Series(pd.NA, index=kept, dtype="str")
        option, options = pd.factorize(chosen, sort=True)
        right = (rows["correct"].to_numpy(float)[kept] >= RIGHT).astype(float)
        return cls(learner[fresh], item[fresh], right, option, pd.Index(learners), pd.Index(items), pd.Index(options))

    def count(self, weights: np.ndarray | None = None) -> np.ndarray:
        """(I,) responses per item, or the sum of (N,) ``weights`` over them."""
        return np.bincount(self.item, weights, len(self.items))


def rest_scores(attempts: Attempts, counted: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """What a learner's other answers say of them, per response, in standard deviations.

    The score is the ability of a one-parameter logistic model (so a hard paper does not lower it, and few answers pull it to the mean);
    the answer itself is taken out by one Newton step from the solution: θ - (y - p) / (H - p (1 - p)), H the curvature.

    Parameters
    ----------
    counted : (I,) bool, items that make up the score; all where None.

    Returns
    -------
    rest : (N,) without the answer itself. whole : (B,) of each learner, with all counted answers. Both in units of the spread of ``rest``.
    """
    among = np.ones(len(attempts.learner), bool) if counted is None else counted[attempts.item]
    theta, easiness, curvature = np.zeros(len(attempts.learners)), np.zeros(len(attempts.items)), np.ones(len(attempts.learners))
    if among.any():
        found = abilities(attempts.learner[among], attempts.item[among], attempts.right[among])
        for kept, value in zip((theta, easiness, curvature), found, strict=True):
            kept[:len(value)] = value
    own = theta[attempts.learner]
    p = 1 / (1 + np.exp(-(own + easiness[attempts.item])))
    out = np.where(among, (attempts.right - p) / np.maximum(curvature[attempts.learner] - p * (1 - p), 1e-6), 0)
    rest = own - out
    mean, spread = rest.mean(), rest.std()
    spread = spread if spread > 1e-9 else 1.0
    return (rest - mean) / spread, (theta - mean) / spread


def answers_by_rest(interactions: pd.DataFrame) -> pd.DataFrame:
    """First attempts as item curves are drawn from: ``item_id``, ``rest`` (:func:`rest_scores`) and ``correct``; who answered is not in it."""
    attempts = Attempts.of(interactions)
    return pd.DataFrame({"item_id": attempts.items[attempts.item], "rest": rest_scores(attempts)[0], "correct": attempts.right})


@dataclass(frozen=True, eq=False)
class Curves:
    """G logistic curves with P coefficients.

    Attributes
    ----------
    coefficients : (G, P). covariance : (G, P, P), inverse curvature of the penalised likelihood. likelihood : (G,) penalised log-likelihood.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    likelihood: np.ndarray

    def interval(self, coefficient: int, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Wald interval (G,), (G,) of one coefficient."""
        from scipy.special import ndtri

        reach = ndtri((1 + level) / 2) * np.sqrt(self.covariance[:, coefficient, coefficient])
        return self.coefficients[:, coefficient] - reach, self.coefficients[:, coefficient] + reach


def fit_curves(target: np.ndarray, features: np.ndarray, group: np.ndarray, size: int, ridge: np.ndarray) -> Curves:
    """Logistic regression of each group by itself, all at once: Newton's method on log-likelihood - sum(ridge * w**2) / 2.

    Parameters
    ----------
    target : (N,) in [0, 1]. features : (N, P), the constant among them. group : (N,) in 0..G-1. size : G.
    ridge : (P,) precision of the prior N(0, 1 / ridge) of each coefficient; above 0, so that separated answers stay finite.

    References
    ----------
    le Cessie & van Houwelingen (1992), Ridge estimators in logistic regression, Applied Statistics 41.
    """
    width = features.shape[1]
    columns = [np.ascontiguousarray(column) for column in features.T]
    pairs = [(a, b) for a in range(width) for b in range(a, width)]
    products = {pair: columns[pair[0]] * columns[pair[1]] for pair in pairs}
    w, penalty = np.zeros((size, width)), np.diag(ridge)
    for last in range(STEPS):
        logit = sum(w[group, a] * columns[a] for a in range(width))
        p = 1 / (1 + np.exp(-logit))
        weight, error = p * (1 - p), target - p
        gradient = np.stack([np.bincount(group, error * column, size) for column in columns], axis=1) - w * ridge
        curvature = np.empty((size, width, width))
        for a, b in pairs:
            curvature[:, a, b] = curvature[:, b, a] = np.bincount(group, weight * products[a, b], size)
        curvature += penalty
        step = np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
        if np.abs(step).max(initial=0) < SETTLED or last == STEPS - 1:
            break
        w += step * (LONGEST_STEP / np.maximum(np.abs(step).max(axis=1, keepdims=True), LONGEST_STEP))
    fit = np.bincount(group, target * logit - np.logaddexp(0, logit), size) - (w**2 @ ridge) / 2
    return Curves(w, np.linalg.inv(curvature), fit)


def expected_information(slope: np.ndarray, intercept: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Fisher information (I,) of each item about a learner's score, averaged over learners: mean of a² P (1 - P); 0 where the slope is negative.

    An item that abler learners fail separates learners too, but misleads whoever takes a right answer for knowledge.

    Parameters
    ----------
    slope, intercept : (I,) of the two-parameter logistic curve. scores : (B,) standardised; their 101 quantiles stand for them.

    References
    ----------
    Birnbaum (1968), in Lord & Novick, Statistical Theories of Mental Test Scores. Addison-Wesley.

    Examples
    --------
    >>> expected_information(np.array([1.0, -1.0]), np.zeros(2), np.zeros(5)).round(2)
    array([0.25, 0.  ])
    """
    at = np.quantile(scores, np.linspace(0, 1, 101))
    p = 1 / (1 + np.exp(-(intercept[:, None] + slope[:, None] * at)))
    return np.clip(slope, 0, None)**2 * (p * (1 - p)).mean(axis=1)
