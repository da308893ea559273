"""From evidence about an answer to the probability of each level, and from there to one level: with cut-points that are learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from edukit.metrics import quadratic_weighted_kappa

Array = np.ndarray
STEPS = 3  # rounds of coordinate search over the cut-points
FEWEST = 50  # graded answers from which cut-points are learnt; with fewer they stay half-way between two levels


@dataclass(frozen=True)
class LevelModel:
    """Probability of each of K levels from F numbers: ordered (proportional odds) or not (multinomial logistic).

    Ordered: P(level <= k) = sigmoid(cut_k - x w), with K - 1 rising cut-points and one weight a number. Unordered: softmax(x w + b).

    Attributes
    ----------
    ordered : which of the two. mean, spread : (F,) of the numbers it learnt from. weights : (F,) or (F, K). cuts : (K - 1,) or (K,) intercepts.

    References
    ----------
    McCullagh (1980), Regression models for ordinal data, JRSS B.
    """

    KEYS: ClassVar[tuple[str, ...]] = ("mean", "spread", "weights", "cuts")
    ordered: bool
    mean: Array
    spread: Array
    weights: Array
    cuts: Array

    def arrays(self) -> dict[str, Array]:
        """All of it as arrays, to be kept in a file."""
        return {key: getattr(self, key) for key in self.KEYS}

    @classmethod
    def of(cls, arrays: Mapping[str, Array]) -> Self:
        """The model that :meth:`arrays` took apart; an ordered one has as many weights as numbers."""
        return cls(arrays["weights"].ndim == 1, *(arrays[key] for key in cls.KEYS))

    def probabilities(self, x: Array) -> Array:
        """(N, K) probabilities, each row of sum 1, of (N, F) numbers."""
        from scipy.special import expit, softmax

        x = (x - self.mean) / self.spread
        shift = (x[:, :, None] * self.weights.reshape(1, len(self.mean), -1)).sum(1)  # row by row, so that a batch changes nothing in the last bit
        if not self.ordered:
            return softmax(shift + self.cuts, axis=1)
        below = np.hstack([np.zeros((len(x), 1)), expit(self.cuts - shift), np.ones((len(x), 1))])
        p = np.maximum(np.diff(below, axis=1), 1e-9)
        return p / p.sum(1, keepdims=True)


def fit_levels(x: Array, y: Array, levels: int, ordered: bool = True, penalty: float = 1.0) -> LevelModel:
    """Learn a :class:`LevelModel` by maximum likelihood with an L2 penalty.

    Parameters
    ----------
    x : (N, F) numbers. y : (N,) positions 0..K-1 of the levels; a level that no answer has keeps the little probability that half an answer gives.
    levels : K. ordered : whether the levels are steps of one scale. penalty : on the squared weights of standardised numbers.
    """
    from scipy.optimize import minimize
    from scipy.special import expit, logit, softmax

    mean, spread = x.mean(0), x.std(0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    z, n, f = (x - mean) / spread, len(y), x.shape[1]
    share = (np.bincount(y, minlength=levels) + 0.5) / (n + 0.5 * levels)
    hot = np.eye(levels)[y]
    if not ordered:
        def loss(v: Array) -> tuple[float, Array]:
            w, b = v[: f * levels].reshape(f, levels), v[f * levels :]
            p = softmax(z @ w + b, axis=1)
            gap = p - hot
            value = -np.log(np.maximum((p * hot).sum(1), 1e-12)).sum() + penalty / 2 * (w**2).sum() + ((b - np.log(share)) ** 2).sum() / 20
            return value, np.concatenate([(z.T @ gap + penalty * w).ravel(), gap.sum(0) + (b - np.log(share)) / 10])

        found = minimize(loss, np.concatenate([np.zeros(f * levels), np.log(share)]), jac=True, method="L-BFGS-B").x
        return LevelModel(False, mean, spread, found[: f * levels].reshape(f, levels), found[f * levels :])
    first = logit(np.cumsum(share)[:-1])

    def ordered_loss(v: Array) -> tuple[float, Array]:
        w, cuts = v[:f], v[f] + np.concatenate([[0.0], np.cumsum(np.exp(v[f + 1 :]))])
        below = np.hstack([np.zeros((n, 1)), expit(cuts - (z @ w)[:, None]), np.ones((n, 1))])
        p = np.maximum(below[np.arange(n), y + 1] - below[np.arange(n), y], 1e-12)
        slope = below * (1 - below)
        d_cut = np.zeros((n, levels + 1))
        d_cut[np.arange(n), y + 1] -= slope[np.arange(n), y + 1] / p
        d_cut[np.arange(n), y] += slope[np.arange(n), y] / p
        by_cut, rises = d_cut[:, 1:-1].sum(0), np.exp(v[f + 1 :])
        off = cuts - first
        by_cut = by_cut + off / 10
        tail = np.cumsum(by_cut[::-1])[::-1]
        grad = np.concatenate([-(z.T @ d_cut[:, 1:-1].sum(1)) + penalty * w, tail[:1], tail[1:] * rises])
        return -np.log(p).sum() + penalty / 2 * (w**2).sum() + (off**2).sum() / 20, grad

    start = np.concatenate([np.zeros(f), first[:1], np.log(np.maximum(np.diff(first), 1e-3))])
    found = minimize(ordered_loss, start, jac=True, method="L-BFGS-B").x
    return LevelModel(True, mean, spread, found[:f], found[f] + np.concatenate([[0.0], np.cumsum(np.exp(found[f + 1 :]))]))


def expected(probabilities: Array, levels: Array) -> Array:
    """(N,) mean level under (N, K) probabilities."""
    return (probabilities * levels).sum(1)


def learn_cuts(probabilities: Array, y: Array, levels: Array) -> Array:
    """(K - 1,) cut-points on the expected level that give the best quadratic weighted kappa with the marks of people.

    Coordinate search from the half-way points; each cut may move between the levels beside it. Of equally good ones the one nearest
    half-way is taken. With fewer than :data:`FEWEST` answers the half-way points are kept.

    Parameters
    ----------
    probabilities : (N, K) of answers the model has not seen. y : (N,) positions of the levels. levels : (K,) the levels, rising.
    """
    middle = (levels[1:] + levels[:-1]) / 2
    if len(y) < FEWEST or len(np.unique(y)) < 2:
        return middle
    mean, cuts = expected(probabilities, levels), middle.copy()

    def kappa(tried: Array) -> float:
        return quadratic_weighted_kappa(y, np.searchsorted(tried, mean, side="right"))

    for _ in range(STEPS):
        for k in range(len(cuts)):
            grid = middle[k] + np.linspace(-0.3, 0.3, 13) * (levels[k + 1] - levels[k])
            tried = [(round(kappa(np.concatenate([cuts[:k], [g], cuts[k + 1 :]])), 6), -abs(g - middle[k]), g) for g in grid]
            cuts[k] = max(tried)[2]
    return np.maximum.accumulate(cuts)


def decide(probabilities: Array, levels: Array, cuts: Array | None) -> Array:
    """(N,) positions of the levels that answers get: by the cut-points on the expected level, or the most likely one where there are none."""
    if cuts is None:
        return probabilities.argmax(1)
    return np.searchsorted(cuts, expected(probabilities, levels), side="right")


def spread_over(mean: Array, levels: int, certainty: float) -> Array:
    """(N, K) probabilities of K levels where only a mean in [0, 1] is known: a beta-binomial, the sharper the greater ``certainty``.

    Examples
    --------
    >>> spread_over(np.array([0.5]), 3, 4.0).round(2).tolist()
    [[0.3, 0.4, 0.3]]
    """
    from scipy.stats import betabinom

    m = np.clip(mean, 0.01, 0.99)
    p = betabinom.pmf(np.arange(levels)[None, :], levels - 1, (m * certainty)[:, None], ((1 - m) * certainty)[:, None])
    return p / p.sum(1, keepdims=True)


def learn_worth(both: Sequence[tuple[Array, Array, Array]], tried: Sequence[float], usual: float) -> float:
    """How many graded answers a prior is worth: the number that makes the grades of answers that neither had seen most probable.

    Parameters
    ----------
    both : of each question, (n, K) what was learnt from its n graded answers, (n, K) the prior, and (n,) positions of the levels given.
    tried : the numbers that may be chosen. usual : what is taken where none is better by a thousandth of a nat.
    """
    def loss(worth: float) -> float:
        parts = [(len(y) * learnt + worth * prior)[np.arange(len(y)), y] / (len(y) + worth) for learnt, prior, y in both]
        return float(-np.log(np.maximum(np.concatenate(parts), 1e-9)).mean())

    best = min(tried, key=loss)
    return best if loss(best) < loss(usual) - 1e-3 else usual
