"""Counts, means and histograms with noise, so that no published number tells whether one learner was in the data; each says how far off to expect it.

The unit is the learner, however many rows they have. Noise comes from OpenDP, which draws it exactly and from the machine's own randomness, so
that there is no seed: the same call gives another number, and costs again. Every release is paid from a :class:`~edukit.governance.privacy_budget.Budget`.

References
----------
Dwork, C., McSherry, F., Nissim, K., & Smith, A. (2006). Calibrating noise to sensitivity in private data analysis. TCC.
Ghosh, A., Roughgarden, T., & Sundararajan, M. (2012). Universally utility-maximizing privacy mechanisms. SIAM Journal on Computing, 41(6).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from edukit.governance.privacy_budget import Budget
from edukit.schema import DataError

LEVEL = 0.95


@dataclass(frozen=True)
class Noisy:
    """A number that was released with noise.

    Attributes
    ----------
    value : float
        The number with its noise; a count may be negative, and is no better for being cut at 0.
    error : float
        Mean absolute error to expect from the noise alone.
    low, high : float
        Holds the number without noise with a probability of at least 95 %; says nothing about other learners than those in the data.
    epsilon : float
        What it cost.
    """

    value: float
    error: float
    low: float
    high: float
    epsilon: float


def _library() -> Any:
    """OpenDP, with the mechanisms that are proven but not yet reviewed by its project."""
    try:
        import opendp.prelude as dp
    except ImportError:
        raise DataError("noise for private numbers comes from the library OpenDP; found none installed. pip install 'edukit[privacy]'") from None
    dp.enable_features("contrib")  # pyright: ignore[reportPrivateImportUsage]
    return dp


def count_error(scale: float) -> float:
    """Mean absolute value of integer (geometric) noise of a scale: 2a / (1 - a²) with a = exp(-1 / scale)."""
    a = math.exp(-1 / scale)
    return 2 * a / (1 - a * a)


def count_margin(scale: float, level: float = LEVEL) -> int:
    """The smallest t with P(|noise| ≤ t) ≥ ``level`` for integer noise: P(|noise| > t) = 2 a^(t+1) / (1 + a)."""
    return max(math.ceil(-scale * math.log((1 - level) * (1 + math.exp(-1 / scale)) / 2) - 1 - 1e-9), 0)


def mean_margin(scale: float, level: float = LEVEL) -> float:
    """The same for continuous (Laplace) noise, whose mean absolute value is its scale."""
    return -scale * math.log(1 - level)


def _counted(dp: Any, counts: np.ndarray, scale: float) -> list[int]:
    """Whole numbers with integer noise; one learner moves their sum of absolute differences by the sensitivity that ``scale`` allows for."""
    domain = dp.vector_domain(dp.atom_domain(T="i64"))
    return dp.m.make_laplace(domain, dp.l1_distance(T="i64"), scale=scale)(np.asarray(counts, np.int64).tolist())


def count(learners: pd.Series, epsilon: float, budget: Budget, what: str, per_learner: int = 1) -> Noisy:
    """How many learners there are, or how many rows where ``per_learner`` is above 1.

    Parameters
    ----------
    learners : Series of id
        The learner of each row.
    epsilon : float
        What it may cost; smaller is more private.
    budget : Budget
        It is paid from; refused where too little is left.
    what : str
        What is counted, for the ledger.
    per_learner : int
        Rows of one learner beyond these are not counted: noise must cover all that one learner can add.

    Raises
    ------
    DataError
        Where the budget is spent, an argument is out of range, or OpenDP is not installed.
    """
    dp = _library()
    if per_learner < 1:
        raise DataError(f"per_learner must be at least 1; found {per_learner}.")
    budget.spend(epsilon, what)
    scale = per_learner / epsilon
    exact = int(np.minimum(learners.dropna().value_counts().to_numpy(), per_learner).sum())
    value = _counted(dp, np.array([exact]), scale)[0]
    margin = count_margin(scale)
    return Noisy(value, count_error(scale), value - margin, value + margin, epsilon)


def mean_noise(n: int, low: float, high: float, epsilon: float) -> tuple[Callable[[list[float]], float], float]:
    """What releases the mean of n numbers between ``low`` and ``high`` at a cost of ``epsilon``, and the scale of its noise.

    One learner can move the mean by (high - low) / n; the scale is a hair larger than that over epsilon, for rounding in the sum.
    """
    dp = _library()
    scale = (high - low) / (n * epsilon) * (1 + 1e-9)
    space = dp.vector_domain(dp.atom_domain(bounds=(float(low), float(high)), nan=False), size=n), dp.symmetric_distance()
    noisy = space >> dp.t.then_mean() >> dp.m.then_laplace(scale=scale)
    if noisy.map(2) > epsilon:  # two changes: one learner goes, another comes
        raise DataError(f"a mean of {n:,} learners cannot be released at epsilon {epsilon:g}; found a cost of {noisy.map(2):g}. Use a larger epsilon.")
    return noisy, scale


def mean(values: pd.Series, learners: pd.Series, low: float, high: float, epsilon: float, budget: Budget, what: str) -> Noisy:
    """The mean over learners of a number, each learner's own mean counting once.

    How many learners there are is taken as known (a class list): what stays hidden is the number of each of them.

    Parameters
    ----------
    values : Series of numbers
        A learner without any counts as the middle of what a value can be: how many those are would show in the error.
    learners : Series of id, aligned to ``values``
    low, high : float
        What a value can be (marks: 0 and 100), known without looking at the data; values beyond are taken as the limit.
    epsilon, budget, what : see :func:`count`.

    Raises
    ------
    DataError
        As :func:`count`, and where there is no learner with a value.
    """
    _library()
    if not low < high or not np.isfinite([low, high]).all():
        raise DataError(f"low must be below high; found {low:g} and {high:g}. Give what a value can be, not what it happens to be.")
    each = values.astype(float).clip(low, high).groupby(learners).mean()
    if not each.notna().any():
        raise DataError(f"{what} must have learners with a value; found none. Nothing was spent.")
    each = each.fillna((low + high) / 2)
    budget.spend(epsilon, what)
    noisy, scale = mean_noise(len(each), low, high, epsilon)
    value = noisy(each.tolist())
    margin = mean_margin(scale)
    return Noisy(value, scale, value - margin, value + margin, epsilon)


def histogram(values: pd.Series, learners: pd.Series, categories: Sequence[Any], epsilon: float, budget: Budget, what: str) -> pd.DataFrame:
    """How many learners are in each category; a learner counts once, in the category of their first row.

    Parameters
    ----------
    values : Series
        Category of each row; rows whose value is none of ``categories`` are left out.
    learners : Series of id, aligned to ``values``
    categories : list
        All that there are, known without looking at the data: one that shows up only because a learner has it would give them away.
    epsilon, budget, what : see :func:`count`; the whole histogram costs epsilon once.

    Returns
    -------
    DataFrame
        ``category, value, error, low, high``: as in :class:`Noisy`, for each category.
    """
    dp = _library()
    categories = list(categories)
    if not categories or len(set(categories)) < len(categories):
        raise DataError(f"categories must be listed, each once; found {len(categories)}, {len(set(categories))} of them distinct.")
    budget.spend(epsilon, what)
    first = values[values.isin(categories) & learners.notna()].groupby(learners).first()
    exact = first.value_counts().reindex(categories, fill_value=0).to_numpy()
    scale = 1 / epsilon
    noisy, margin = np.array(_counted(dp, exact, scale)), count_margin(scale)
    return pd.DataFrame({"category": categories, "value": noisy, "error": count_error(scale), "low": noisy - margin, "high": noisy + margin})
