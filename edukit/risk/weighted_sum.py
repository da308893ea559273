"""Logistic regression whose weights may be held to a sign: more of one thing can then only raise, or only lower, a risk."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Array = np.ndarray
Sum = dict[str, Array]
FAR = 5.0  # standard deviations at which a distance from the mean is cut


def weighted_sum(x: Array, y: Array, weight: Array | None, strength: float, signs: Sequence[int]) -> Sum:
    """Weights of the features, and of their being missing.

    Minimises the sum of log-losses + |weights|² / (2 strength), with each weight below or above 0 as its sign says (scikit-learn's
    logistic regression knows no such bounds).

    Parameters
    ----------
    x : (N, F) features, NaN where missing. y : (N,) outcomes in {0, 1}. weight : (N,) how often each row counts, or None.
    signs : (F,) -1, 1, or 0 for either.

    References
    ----------
    Byrd, Lu, Nocedal and Zhu (1995), SIAM Journal on Scientific Computing (L-BFGS-B).
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    known, counts = np.isfinite(x), np.ones(len(y)) if weight is None else weight
    middle = np.array([np.median(column[there]) if there.any() else 0.0 for column, there in zip(x.T, known.T, strict=True)])
    filled = np.where(known, x, middle)
    spread = filled.std(axis=0)
    model = {"middle": middle, "mean": filled.mean(axis=0), "scale": np.where(spread > 1e-9, spread, 1.0), "missing": (~known).mean(axis=0)}
    design = np.hstack([_standard(model, x), np.ones((len(y), 1))])
    penalty = np.append(np.full(design.shape[1] - 1, 1 / strength), 0.0)

    def loss(w: Array) -> tuple[float, Array]:
        logit = design @ w
        value = counts @ (np.logaddexp(0, logit) - y * logit) + 0.5 * penalty @ w**2
        return float(value), design.T @ (counts * (expit(logit) - y)) + penalty * w

    bounds = [{-1: (None, 0.0), 0: (None, None), 1: (0.0, None)}[s] for s in signs] + [(None, None)] * (x.shape[1] + 1)
    found = minimize(loss, np.zeros(design.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500}).x
    return {**model, "weights": found[:-1], "shift": found[-1:]}


def sum_logits(model: Sum, x: Array) -> Array:
    """(N,) logits."""
    return _standard(model, x) @ model["weights"] + model["shift"][0]


def sum_parts(model: Sum, x: Array) -> Array:
    """(N, F) what each feature, known or missing, adds to the logit, against the mean."""
    parts = _standard(model, x) * model["weights"]
    return parts[:, :x.shape[1]] + parts[:, x.shape[1]:]


def _standard(model: Sum, x: Array) -> Array:
    """(N, 2F): distances from the mean in standard deviations, then whether each was missing, less how often it was."""
    known = np.isfinite(x)
    distance = (np.where(known, x, model["middle"]) - model["mean"]) / model["scale"]
    return np.hstack([np.clip(distance, -FAR, FAR), ~known - model["missing"]])
