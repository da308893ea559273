"""Logistic regression on sparse features by truncated Newton steps that hold no second copy of the features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edukit.protocols import DiagnosticError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

GRADIENT, STEPS = 1e-5, 200  # steepest slope of the mean loss that counts as its bottom; most Newton steps


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), element by element."""
    from scipy.special import expit

    return expit(x)


class _Loss:
    """Mean cross-entropy of N responses under weights (F + 1,), the last of them the intercept, with a ridge on all but that one."""

    def __init__(self, design: csr_matrix, right: np.ndarray, ridge: float) -> None:
        self.design, self.right, self.ridge = design, right, ridge
        self.across = design.T  # the same numbers, read by columns
        self.at, self.curve = np.empty(0), np.empty(0)
        self.last = np.empty(0), np.empty(0)  # weights and gradient asked for last

    def _logit(self, weights: np.ndarray) -> np.ndarray:
        return np.asarray(self.design @ weights[:-1]) + weights[-1]

    def _back(self, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return np.append(np.asarray(self.across @ rows) + self.ridge * weights[:-1], rows.sum())

    def value(self, weights: np.ndarray) -> tuple[float, np.ndarray]:
        """Loss and its gradient."""
        logit = self._logit(weights)
        loss = float((np.logaddexp(0, logit) - self.right * logit).mean() + 0.5 * self.ridge * weights[:-1] @ weights[:-1])
        gradient = self._back((sigmoid(logit) - self.right) / len(logit), weights)
        self.last = weights.copy(), gradient
        return loss, gradient

    def bend(self, weights: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Second derivative times a direction."""
        if not np.array_equal(self.at, weights):
            p = sigmoid(self._logit(weights))
            self.at, self.curve = weights.copy(), p * (1 - p) / len(p)
        return self._back(self.curve * self._logit(direction), direction)


def fit_logistic(design: csr_matrix, right: np.ndarray, strength: float) -> np.ndarray:
    """(F + 1,) weights, the intercept last, that explain responses best under a Gaussian prior on all but the intercept.

    Parameters
    ----------
    design : (N, F) features.
    right : (N,) in [0, 1]; a share of the marks counts as that much right and the rest wrong.
    strength : variance of the prior, the inverse of the L2 penalty on the summed loss.

    Raises
    ------
    DiagnosticError
        Where the search ends on a slope.

    References
    ----------
    Nocedal and Wright (2006), Numerical Optimization, chapter 7 (the line-search Newton-CG method). Counts and one-hot columns differ so much
    in scale that quasi-Newton methods are far from converged after hundreds of steps.
    """
    from scipy.optimize import minimize

    loss = _Loss(design, right, 1 / (strength * max(len(right), 1)))

    def steepest(weights: np.ndarray) -> float:
        return float(np.abs(loss.last[1] if np.array_equal(loss.last[0], weights) else loss.value(weights)[1]).max())

    def ended(weights: np.ndarray) -> None:
        if steepest(weights) < GRADIENT:
            raise StopIteration

    # SciPy's own test is a mean change of the weights, which thousands of rare items make small from the first step on
    start = np.zeros(design.get_shape()[1] + 1)
    found = minimize(loss.value, start, jac=True, hessp=loss.bend, method="Newton-CG", callback=ended,
                     options={"xtol": 0.0, "maxiter": STEPS})
    slope = steepest(found.x)
    if not slope < 10 * GRADIENT:  # rounding may end the search a little above
        raise DiagnosticError(f"the weights must reach the bottom of the loss; found a slope of {slope:.2g} after {found.nit} steps ({found.message}); "
                              f"lower strength (now {strength:g}) or look for extreme values in the data")
    return found.x
