"""What a log that one policy made says of another: two estimators with intervals, which refuse where the log cannot tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edukit.schema import DataError

LEAST_ESS, LARGEST_WEIGHT = 100.0, 0.05  # effective decisions and learners below which, share of one weight above which, nothing is said
FARTHEST, ERRORS = 0.02, 4.0  # how far the mean weight may lie from 1, or else within so many standard errors


@dataclass(frozen=True)
class Log:
    """N decisions of a policy that wrote down how likely it was to make each.

    Parameters
    ----------
    learner : (N,) whose decision it was: learners, not decisions, are independent.
    action : (N,) int, which of A actions was taken. reward : (N,) what came of it, such as whether the response was right.
    propensity : (N,) probability with which the logging policy took it, in (0, 1].
    features : (N, A, F) what was known of each action then, for the model of rewards.
    """

    learner: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    propensity: np.ndarray
    features: np.ndarray

    def __post_init__(self) -> None:
        wrong = np.flatnonzero(~((self.propensity > 0) & (self.propensity <= 1)))
        if len(wrong):
            raise DataError(f"propensity must lie in (0, 1]; found {self.propensity[wrong[0]]:g} in {len(wrong):,} of {len(self.action):,} decisions "
                            f"(first: decision {wrong[0] + 1:,}). Log the probability with which the policy chose; it cannot be made up afterwards.")


@dataclass(frozen=True)
class Value:
    """Mean reward of a decision, had another policy chosen where the logging policy was.

    Parameters
    ----------
    value, low, high : with the 95 % interval over learners; NaN where it was refused.
    n : decisions. ess : effective number of decisions, or of learners where that is less. largest : share of the largest weight.
    refused : why nothing is said; empty where something is.
    """

    estimator: str
    value: float
    low: float
    high: float
    n: int
    ess: float
    largest: float
    refused: str


def weights(log: Log, target: np.ndarray) -> np.ndarray:
    """(N,) how much likelier each decision was under the target policy (N, A) than under the logging policy."""
    return target[np.arange(len(log.action)), log.action] / log.propensity


def support(log: Log, target: np.ndarray) -> tuple[float, float, str]:
    """Effective sample size, share of the largest weight, and why to refuse (empty = no reason).

    ESS = (sum w)^2 / sum w^2, of decisions and of learners (their weights summed); the smaller counts. Where the logging policy could have made
    every decision of the target, weights are 1 on average; less tells that it could not, anything else that the propensities are not those it chose with.

    References
    ----------
    Kong (1992), Technical Report 348, University of Chicago (effective sample size). Li, Kim and Zitouni (2015), WSDM (the mean as a test).
    """
    w = weights(log, target)
    total = w.sum()
    if not total > 0:
        return 0.0, 1.0, "the log holds no decision that the policy would make"
    who = np.unique(log.learner, return_inverse=True)[1]
    own, away = np.bincount(who, w), np.bincount(who, w - w.mean())
    ess, largest = min(total**2 / (w**2).sum(), total**2 / (own**2).sum()), float(w.max() / total)
    if ess < LEAST_ESS:
        return float(ess), largest, f"effective sample size {ess:.0f} is below {LEAST_ESS:.0f}"
    if largest > LARGEST_WEIGHT:
        return float(ess), largest, f"one decision has {largest:.1%} of the weight, more than {LARGEST_WEIGHT:.0%}"
    if abs(w.mean() - 1) > max(FARTHEST, ERRORS * np.sqrt((away**2).sum()) / len(w)):
        return float(ess), largest, (f"weights are {w.mean():.2f} on average and not 1: the policy makes decisions that the log could not hold, "
                                     "or propensities are not those it was made with")
    return float(ess), largest, ""


def snips(log: Log, target: np.ndarray) -> Value:
    """Mean reward weighted by how much likelier the target policy was to decide so, over the sum of the weights.

    Parameters
    ----------
    target : (N, A) probabilities of the policy that is judged, given what was known at each decision.

    References
    ----------
    Swaminathan and Joachims (2015), NeurIPS (self-normalised estimator).
    """
    ess, largest, refused = support(log, target)
    w = weights(log, target)
    value = float(w @ log.reward / w.sum()) if w.sum() > 0 else float("nan")
    return _valued("snips", value, w * (log.reward - value) / w.mean() if w.sum() > 0 else w, log, ess, largest, refused)


def doubly_robust(log: Log, target: np.ndarray, cap: float = 20.0, folds: int = 5, ridge: float = 1.0, seed: int = 0) -> Value:
    """A model of rewards says what the target policy would find; weighted surprises of the log put it right.

    V = mean of sum_a target(a) q(a) + min(w, cap) (reward - q(action)), q a ridge regression on ``features`` fitted to learners of other folds.

    Parameters
    ----------
    target : see :func:`snips`. cap : largest weight that is believed. folds : of learners. ridge : penalty of the model. seed : draws the folds.

    References
    ----------
    Dudík, Langford and Li (2011), ICML. Chernozhukov et al. (2018), Econometrics Journal 21 (cross-fitting). Su, Dimakopoulou, Krishnamurthy and
    Dudík (2020), ICML (clipped weights).
    """
    from sklearn.linear_model import Ridge

    ess, largest, refused = support(log, target)
    if refused or len(np.unique(log.learner)) < 2:
        return _valued("doubly_robust", float("nan"), np.zeros(len(log.action)), log, ess, largest, refused)
    rows, who = np.arange(len(log.action)), np.unique(log.learner, return_inverse=True)[1]
    fold = np.random.default_rng(seed).permutation(who.max() + 1)[who] % folds
    expected = np.empty(target.shape)
    for k in range(folds):
        test, train = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
        if not len(test):
            continue
        model = Ridge(alpha=ridge).fit(log.features[train, log.action[train]], log.reward[train])
        expected[test] = model.predict(log.features[test].reshape(-1, log.features.shape[2])).reshape(len(test), -1)
    surprise = np.minimum(weights(log, target), cap) * (log.reward - expected[rows, log.action])
    each = (target * expected).sum(axis=1) + surprise
    return _valued("doubly_robust", float(each.mean()), each - each.mean(), log, ess, largest, refused)


def _valued(estimator: str, value: float, influence: np.ndarray, log: Log, ess: float, largest: float, refused: str) -> Value:
    """With the interval of Student's t from the influence (N,) of decisions, summed over each learner."""
    from scipy.stats import t

    who = np.unique(log.learner, return_inverse=True)[1]
    own = np.bincount(who, influence)
    learners, n = len(own), len(influence)
    if refused or learners < 2:
        return Value(estimator, float("nan"), float("nan"), float("nan"), n, ess, largest, refused or "there is one learner only")
    half = float(t.ppf(0.975, learners - 1) * np.sqrt((own**2).sum() * learners / (learners - 1)) / n)
    return Value(estimator, value, value - half, value + half, n, ess, largest, "")
