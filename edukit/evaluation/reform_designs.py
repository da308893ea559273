"""Four ways to ask whether a reform helped, each from the data it needs to an effect with its interval; see :mod:`edukit.evaluation.reform`.

An effect is a dictionary: arm, value, se, low, high (95 %), p, n, clusters; one that cannot be told has ``value`` None and a ``reason``.

References
----------
Cameron, A. C., & Miller, D. L. (2015). A practitioner's guide to cluster-robust inference. Journal of Human Resources 50.
Donald, S. G., & Lang, K. (2007). Inference with difference-in-differences and other panel data. Review of Economics and Statistics 89.
Wagner, A. K., et al. (2002). Segmented regression analysis of interrupted time series studies. Journal of Clinical Pharmacy and Therapeutics 27.
Robins, J. M., Rotnitzky, A., & Zhao, L. P. (1994). Estimation of regression coefficients when some regressors are not always observed. JASA 89.
Chernozhukov, V., et al. (2018). Double/debiased machine learning for treatment and structural parameters. Econometrics Journal 21.
Crump, R. K., et al. (2009). Dealing with limited overlap in estimation of average treatment effects. Biometrika 96.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

NO_OVERLAP = "no overlap"
FEWEST = 20  # learners of an arm
FEWEST_CLUSTERS = 5  # behind a cluster-robust interval
FEWEST_CELLS = 2  # clusters of each kind of a difference in differences
FEWEST_TIMES = 6  # times before, and times after
COMPARABLE = (0.05, 0.95)  # probability of treatment of those who can be compared
OVERLAP = 0.5  # least share of the learners that must be comparable
FOLDS = 5
Effect = dict[str, Any]


def effect(arm: str, value: float, se: float, freedom: float, n: int, clusters: int) -> Effect:
    """An estimate with its 95 % interval and p-value from Student's t."""
    from scipy.stats import t

    if not (np.isfinite(value) and np.isfinite(se) and se > 0 and freedom > 0):
        return untold(arm, "the outcome does not vary enough to tell", n)
    half = t.ppf(0.975, freedom) * se
    return {"arm": arm, "value": float(value), "se": float(se), "low": float(value - half), "high": float(value + half),
            "p": float(2 * t.sf(abs(value / se), freedom)), "n": n, "clusters": clusters, "reason": ""}


def untold(arm: str, reason: str, n: int) -> Effect:
    """An effect that the data cannot tell."""
    return {"arm": arm, **dict.fromkeys(("value", "se", "low", "high", "p")), "n": n, "clusters": 0, "reason": reason}


def naive(y: np.ndarray, treated: np.ndarray, arm: str) -> Effect:
    """The plain difference of means with Welch's interval, which is right only where nothing else differs."""
    one, other = y[treated], y[~treated]
    if min(len(one), len(other)) < 2:
        return untold(arm, "fewer than two learners on one side", len(y))
    parts = [one.var(ddof=1) / len(one), other.var(ddof=1) / len(other)]
    spread = sum(parts)
    freedom = spread**2 / (parts[0] ** 2 / (len(one) - 1) + parts[1] ** 2 / (len(other) - 1)) if spread else 0.0
    return effect(arm, one.mean() - other.mean(), spread**0.5, freedom, len(y), len(y))


def within(values: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """(N, K) or (N,) values less the mean of their stratum (0 .. S - 1)."""
    counts, table = np.bincount(strata), values.reshape(len(values), -1)
    means = np.column_stack([np.bincount(strata, column) / counts for column in table.T])
    return values - means[strata].reshape(values.shape)


def randomised(y: np.ndarray, arms: np.ndarray, names: Sequence[str], strata: np.ndarray, clusters: np.ndarray | None,
               covariates: np.ndarray | None = None) -> list[Effect]:
    """Differences of each arm from the first within strata (fixed effects); errors robust to clusters, else to unequal variance.

    Parameters
    ----------
    y : (N,) outcome.
    arms : (N,) position in ``names`` of the arm a learner was drawn into.
    names : the arms, the first being what the others are compared with.
    strata : (N,) 0 .. S - 1, within which was drawn.
    clusters : (N,) 0 .. G - 1, or None.
    covariates : (N, K) known before the draw, to sharpen the estimate.
    """
    import statsmodels.api as sm

    counts = np.bincount(arms, minlength=len(names))
    if (counts < FEWEST).any():
        return [untold(a, f"an arm has {counts.min()} learners; {FEWEST} are needed", len(y)) for a in names[1:]]
    groups = 0 if clusters is None else len(np.unique(clusters))
    if clusters is not None and groups < FEWEST_CLUSTERS:
        return [untold(a, f"{groups} clusters; {FEWEST_CLUSTERS} are needed", len(y)) for a in names[1:]]
    x = (arms[:, None] == np.arange(1, len(names))).astype(float)
    x = x if covariates is None else np.column_stack([x, covariates])
    x = within(x, strata)
    if np.linalg.matrix_rank(x) < x.shape[1]:
        return [untold(a, "no stratum holds both arms, or a covariate repeats another", len(y)) for a in names[1:]]
    how = {"cov_type": "HC1"} if clusters is None else {"cov_type": "cluster", "cov_kwds": {"groups": clusters}}
    fit = sm.OLS(within(y, strata), x).fit(**how)
    freedom = groups - 1 if groups else len(y) - x.shape[1] - strata.max() - 1
    if freedom < 1:
        return [untold(a, "there are as many strata as learners to compare", len(y)) for a in names[1:]]
    wider = 1.0 if groups else ((len(y) - x.shape[1]) / freedom) ** 0.5  # the means of the strata are estimated too
    return [effect(name, fit.params[k], wider * fit.bse[k], freedom, len(y), groups or len(y)) for k, name in enumerate(names[1:])]


def shuffled(y: np.ndarray, arms: np.ndarray, strata: np.ndarray, whole: np.ndarray | None, draws: int, seed: int) -> float:
    """P-value of the sharp hypothesis of no effect on anybody: how often a fresh draw within strata tells the two arms (0, 1) as far apart.

    ``whole`` names the units that were drawn as one (classes), or None where learners were drawn singly.
    """
    rng = np.random.default_rng(seed)
    units, first = _units(np.arange(len(y)) if whole is None else whole)
    own, stratum = arms[first], strata[first]
    centred = within(y, strata)

    def apart(drawn: np.ndarray) -> float:
        x = within(drawn[units].astype(float), strata)
        return abs(float(x @ centred / max(x @ x, 1e-12)))

    order = np.argsort(stratum, kind="stable")
    found, beyond = apart(own), 0
    for _ in range(draws):
        drawn = np.empty_like(own)
        drawn[order] = own[np.lexsort((rng.random(len(own)), stratum))]
        beyond += apart(drawn) >= found - 1e-12
    return (1 + beyond) / (1 + draws)


def _units(whole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Position of the unit of each learner, and the first learner of each unit."""
    _, first, units = np.unique(whole, return_index=True, return_inverse=True)
    return units, first


def differences(y: np.ndarray, treated: np.ndarray, after: np.ndarray, clusters: np.ndarray, arm: str) -> Effect:
    """How much more the treated clusters changed than the others, a cluster counting once: exact with few clusters, blind to how long a series is.

    Each cluster is brought to its mean after less its mean before; the changes are compared by Welch's t.
    """
    cells = pd.DataFrame({"y": y, "treated": treated, "after": after, "cluster": clusters}).groupby(["cluster", "after"])
    wide = cells["y"].mean().unstack()
    side = pd.Series(treated).groupby(clusters).any()
    change = (wide[True] - wide[False]).dropna() if {True, False} <= set(wide) else pd.Series(dtype=float)
    of = side[change.index].to_numpy(bool)
    if min(of.sum(), (~of).sum()) < FEWEST_CELLS:
        return untold(arm, f"{of.sum()} treated and {(~of).sum()} other clusters seen before and after; {FEWEST_CELLS} of each are needed", len(y))
    return {**naive(change.to_numpy(), of, arm), "n": len(y), "clusters": len(change)}


def interrupted(times: np.ndarray, y: np.ndarray, starts: float, arm: str) -> Effect:
    """The jump of a series at the start, over its own trend and with a new slope after it; errors follow an AR(1) whose strength is uncertain.

    The effect is a mixture of Student's t over a grid of autocorrelations, weighted by the restricted likelihood: with few times the usual
    plug-in of one estimate makes intervals too short.
    """
    from scipy.optimize import brentq
    from scipy.stats import t

    after = times >= starts
    if min(after.sum(), (~after).sum()) < FEWEST_TIMES:
        return untold(arm, f"{(~after).sum()} times before and {after.sum()} after; {FEWEST_TIMES} of each are needed", len(y))
    x = np.column_stack([np.ones(len(y)), times - starts, after, after * (times - starts)]).astype(float)
    freedom = len(y) - x.shape[1]
    found = []
    for rho in np.linspace(-0.9, 0.95, 75):
        turn = _whitening(len(y), rho)
        gram = (xw := turn @ x).T @ xw
        b = np.linalg.solve(gram, xw.T @ (yw := turn @ y))
        left = float(((yw - xw @ b) ** 2).sum())
        weight = 0.5 * np.log1p(-(rho**2)) - 0.5 * np.linalg.slogdet(gram)[1] - freedom / 2 * np.log(max(left, 1e-300))
        found.append((weight, b[2], (left / freedom * np.linalg.inv(gram)[2, 2]) ** 0.5))
    table = np.array(found)
    if not np.isfinite(table).all() or table[:, 2].max() < 1e-12:
        return untold(arm, "the series does not vary", len(y))
    share = np.exp(table[:, 0] - table[:, 0].max())
    share /= share.sum()
    value = float(share @ table[:, 1])
    se = float(np.sqrt(share @ (table[:, 2] ** 2 + (table[:, 1] - value) ** 2)))

    def below(z: float) -> float:
        return float(share @ t.cdf((z - table[:, 1]) / table[:, 2], freedom))

    low, high = (brentq(lambda z, q=q: below(z) - q, value - 100 * se, value + 100 * se) for q in (0.025, 0.975))
    return {"arm": arm, "value": value, "se": se, "low": low, "high": high, "p": 2 * min(below(0), 1 - below(0)), "n": len(y), "clusters": len(y),
            "reason": ""}


def _whitening(n: int, rho: float) -> np.ndarray:
    """(N, N) matrix that turns an AR(1) of unit innovations into white noise."""
    turn = np.eye(n) - rho * np.eye(n, k=-1)
    turn[0, 0] = (1 - rho**2) ** 0.5
    return turn


def propensity(treated: np.ndarray, covariates: np.ndarray, seed: int) -> np.ndarray:
    """(N,) P(treated) of each learner by a logistic regression with squares and products, fitted without the learner's fold."""
    from sklearn.linear_model import LogisticRegression

    p = np.empty(len(treated))
    for fit, ask in _folds(treated, seed):
        p[ask] = _shaped(LogisticRegression(max_iter=1000), covariates).fit(covariates[fit], treated[fit]).predict_proba(covariates[ask])[:, 1]
    return p


def _folds(treated: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    from sklearn.model_selection import StratifiedKFold

    return list(StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(treated, treated))


def _shaped(model: Any, covariates: np.ndarray) -> Any:
    """The model of standardised covariates, with squares and products where there are few."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    degree = 2 if covariates.shape[1] <= 12 else 1
    return make_pipeline(StandardScaler(), PolynomialFeatures(degree, include_bias=False), StandardScaler(), model)


def doubly_robust(y: np.ndarray, treated: np.ndarray, covariates: np.ndarray, clusters: np.ndarray | None, arm: str, seed: int) -> tuple[Effect, np.ndarray]:
    """Augmented inverse-probability weighting with cross-fitting, among learners who can be compared; the second value is P(treated), (N,).

    Learners whose probability lies outside :data:`COMPARABLE` are left out; where fewer than :data:`OVERLAP` remain there is no effect to tell.
    """
    from sklearn.linear_model import RidgeCV

    few = min(treated.sum(), (~treated).sum())
    if few < FEWEST:
        return untold(arm, f"an arm has {few} learners; {FEWEST} are needed", len(y)), np.full(len(y), np.nan)
    p, mean = propensity(treated, covariates, seed), np.empty((len(y), 2))
    for fit, ask in _folds(treated, seed):
        for side in (0, 1):
            rows = fit[treated[fit] == side]
            mean[ask, side] = _shaped(RidgeCV(np.logspace(-2, 3, 11)), covariates).fit(covariates[rows], y[rows]).predict(covariates[ask])
    kept = (p >= COMPARABLE[0]) & (p <= COMPARABLE[1])
    if kept.mean() < OVERLAP or min((treated & kept).sum(), (~treated & kept).sum()) < FEWEST:
        return untold(arm, f"{NO_OVERLAP}: {kept.mean():.0%} of the learners have a like on the other side; {OVERLAP:.0%} are needed", len(y)), p
    part = mean[:, 1] - mean[:, 0] + treated * (y - mean[:, 1]) / p - (~treated) * (y - mean[:, 0]) / (1 - p)
    part = part[kept]
    value, off, n = part.mean(), part - part.mean(), len(part)
    if clusters is None:
        return effect(arm, value, float(off.std(ddof=1) / n**0.5), n - 1, n, n), p
    sums = np.bincount(np.unique(clusters[kept], return_inverse=True)[1], off)
    groups = len(sums)
    if groups < FEWEST_CLUSTERS:
        return untold(arm, f"{groups} clusters; {FEWEST_CLUSTERS} are needed", n), p
    return effect(arm, value, float((sums @ sums * groups / (groups - 1)) ** 0.5 / n), groups - 1, n, groups), p
