"""Which teaching approach suits which learners: effects by group of earlier attainment, with intervals, corrected for how many were asked about.

Learners were not drawn into approaches, so that all rests on the covariates: among learners alike in them, who was taught how is as good as chance.
Groups are made from what learners know or did before; a fixed "learning style" is refused, since matching teaching to it has not been shown to help
(Pashler et al., 2008, Psychological Science in the Public Interest 9). An effect is associated with an approach; who teaches it is not told apart.

References
----------
Kennedy, E. H. (2023). Towards optimal doubly robust estimation of heterogeneous causal effects. Electronic Journal of Statistics 17.
Foster, D. J., & Syrgkanis, V. (2023). Orthogonal statistical learning. Annals of Statistics 51. (The learner of the library econml.)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from edukit.evaluation.reform import LEVEL, NO_OVERLAP, NOT_SHOWN, SHOWN, TOO_FEW
from edukit.evaluation.reform_designs import COMPARABLE, FEWEST, FOLDS, OVERLAP
from edukit.metrics import holm
from edukit.schema import DataError

STYLE = re.compile(r"learning.?style|\bvark\b|visual.?learner|auditory.?learner|kin[a]?esthetic", re.IGNORECASE)
Z = 1.959964  # normal quantile of a 95 % interval
COLUMNS = ["approach", "against", "group", "value", "low", "high", "p", "p_adjusted", "n", "n_approach", "verdict", "naive"]


def evaluate_methods(table: pd.DataFrame, outcome: str, approach: str, suits: str, covariates: Sequence[str], reference: str | None = None, groups: int = 3,
                     learner: str = "learner_id", seed: int = 0) -> pd.DataFrame:
    """Compare teaching approaches within groups of learners.

    Parameters
    ----------
    table : one row a learner (or enrolment; rows of one learner are no independent witnesses, and are never on both sides of a fold).
    outcome : column with a number (a mark, or 1 for passed).
    approach : column with the approach a learner was taught by.
    suits : column by which learners are grouped: a number is cut into ``groups`` of equal size, a name is taken as it is.
    covariates : columns known before teaching, which may have to do with both who was taught how and the outcome; ``suits`` is always among them.
    reference : the approach the others are compared with; default the most frequent.
    groups : how many groups a number is cut into.
    learner : column that tells whose row it is; where there is none each row is somebody else's.
    seed : of the folds.

    Returns
    -------
    DataFrame
        A row an approach and group, then a row an approach with the difference of the last group from the first (``high - low``): value, low, high
        (95 %, one at a time, errors clustered by learner), p, p_adjusted (Holm over all rows), n, n_approach (learners of it), verdict, naive (plain
        difference of means).

    Raises
    ------
    DataError
        Where econml is not installed, a column is absent, a learning style is asked about, or there is one approach only.
    """
    if styles := [c for c in (suits, *covariates) if STYLE.search(c)]:
        raise DataError(f"learners are not grouped by a fixed learning style; found the column {styles[0]}. Group by what they know or did before.")
    if absent := [c for c in (outcome, approach, suits, *covariates) if c not in table]:
        raise DataError(f"approaches are compared from the columns {', '.join(absent)}; found {', '.join(map(str, table.columns))}.")
    columns = list(dict.fromkeys([suits, *covariates]))
    whole = table[[outcome, approach, *columns]].notna().all(axis=1)
    work = table.loc[whole, [outcome, approach, *columns]].reset_index(drop=True)
    whose = pd.factorize(table.loc[whole, learner])[0] if learner in table else np.arange(len(work))
    counts = work.assign(_whose=whose).groupby(approach, observed=True)["_whose"].nunique().sort_values(ascending=False, kind="stable")
    if len(counts) < 2:
        raise DataError(f"{approach} must hold two approaches or more; found {', '.join(map(str, counts.index)) or 'none'}.")
    reference = counts.index[0] if reference is None else reference
    if reference not in counts:
        raise DataError(f"reference must be one of {', '.join(map(str, counts.index))}; found {reference}")
    work["_group"] = _grouped(work[suits], groups)
    names = [reference, *sorted(counts.index.drop(reference), key=str)]
    taught, labels = pd.Categorical(work[approach], names).codes.astype(int), list(work["_group"].cat.categories)
    member = work["_group"].cat.codes.to_numpy()
    w = pd.get_dummies(work[columns], dtype=float).to_numpy(float)
    y = work[outcome].to_numpy(float)
    found = _judged(y, taught, member, w, whose, names, labels, seed) if counts.min() >= FEWEST else []
    if not found:
        found = [_row(names[a], reference, g, TOO_FEW) for a in range(1, len(names)) for g in labels]
    result = pd.DataFrame(found, columns=COLUMNS)
    known = result["p"].notna().to_numpy()
    if known.any():
        result.loc[known, "p_adjusted"] = holm(result.loc[known, "p"].astype(float))
        result.loc[known, "verdict"] = np.where(result.loc[known, "p_adjusted"].astype(float) < LEVEL, SHOWN, NOT_SHOWN)
    return result.astype({c: float for c in ("value", "low", "high", "p", "p_adjusted", "naive")})


def _row(approach: object, against: object, group: str, verdict: str, **more: Any) -> dict:
    return {**dict.fromkeys(COLUMNS), "approach": approach, "against": against, "group": group, "verdict": verdict, **more}


def _grouped(values: pd.Series, groups: int) -> pd.Series:
    """Named groups of about equal size of a number; else the names as they are."""
    if pd.api.types.is_numeric_dtype(values) and values.nunique() > groups:
        names = ["low", "middle", "high"] if groups == 3 else [f"part {g + 1} of {groups}" for g in range(groups)]
        cut = pd.qcut(values.rank(method="first"), groups, labels=names)
        return cut.cat.remove_unused_categories()
    return values.astype(str).astype("category")


def _scores(y: np.ndarray, taught: np.ndarray, member_of: np.ndarray, w: np.ndarray, whose: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, A) chance of each approach, and (N, A - 1) doubly robust scores of each approach against the first, all by models without the learner's fold."""
    try:
        from econml.dr import DRLearner
    except ImportError:
        raise DataError("comparing approaches needs the library econml; found none installed. pip install 'edukit[causal]'") from None
    from sklearn.base import BaseEstimator
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    class Kept(BaseEstimator):
        """The last stage: keeps the scores, whose means by group are the effects."""

        def fit(self, x: np.ndarray, score: np.ndarray) -> Any:
            self.score_ = score.reshape(len(score), -1)
            return self

        def predict(self, x: np.ndarray) -> np.ndarray:
            return np.tile(self.score_.mean(axis=0), (len(x), 1))

    def shaped(model: Any) -> Any:
        return make_pipeline(StandardScaler(), PolynomialFeatures(2, include_bias=False), StandardScaler(), model)

    propensity = shaped(LogisticRegression(max_iter=1000))
    folds = list(StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(w, taught, whose))
    p = cross_val_predict(propensity, np.column_stack([member_of, w]), taught, cv=folds, method="predict_proba")
    learner = DRLearner(model_propensity=propensity, model_regression=shaped(RidgeCV(np.logspace(-2, 3, 11))), model_final=Kept(), multitask_model_final=True,
                        min_propensity=COMPARABLE[0] / 5, cv=folds, random_state=seed)
    learner.fit(y, taught, X=member_of, W=w)
    return np.asarray(p), learner.multitask_model_cate.score_


def _judged(y: np.ndarray, taught: np.ndarray, member: np.ndarray, w: np.ndarray, whose: np.ndarray, names: list, labels: list[str], seed: int) -> list[dict]:
    """Effects by group: means of scores that are doubly robust, with cross-fitted nuisances."""
    p, scores = _scores(y, taught, np.eye(len(labels))[member], w, whose, seed)
    found: list[dict] = []
    for arm in range(1, len(names)):
        alike = np.all(p[:, [0, arm]] >= COMPARABLE[0], axis=1)
        able = []
        for g, label in enumerate(labels):
            one, other = (member == g) & (taught == arm), (member == g) & (taught == 0)
            sizes = {"n": _people(whose, member == g), "n_approach": _people(whose, one)}
            if min(_people(whose, side) for side in (one, other)) < FEWEST:
                found.append(_row(names[arm], names[0], label, TOO_FEW, **sizes))
            elif alike[member == g].mean() < OVERLAP:
                found.append(_row(names[arm], names[0], label, NO_OVERLAP, **sizes))
            else:
                able.append(g)
                told = _told(scores[:, arm - 1], whose, (member == g) / (member == g).sum())
                found.append(_row(names[arm], names[0], label, "", **sizes, **told, naive=y[one].mean() - y[other].mean()))
        if {0, len(labels) - 1} <= set(able) and len(labels) > 1:
            last, first = (member == len(labels) - 1), (member == 0)
            found.append(_row(names[arm], names[0], f"{labels[-1]} - {labels[0]}", "", n=_people(whose, last | first),
                              n_approach=_people(whose, (taught == arm) & (last | first)),
                              **_told(scores[:, arm - 1], whose, last / last.sum() - first / first.sum())))
    return found


def _people(whose: np.ndarray, rows: np.ndarray) -> int:
    return len(np.unique(whose[rows]))


def _told(score: np.ndarray, whose: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    """Weighted sum of scores, where each sign of the weights adds up to one group, with interval and p-value; rows of one learner belong together."""
    from scipy.stats import norm

    value, off = float(weight @ score), np.zeros(len(score))
    for side in (weight > 0, weight < 0):
        if side.any():
            off[side] = weight[side] * (score[side] - score[side].mean())
    sums = np.bincount(pd.factorize(whose[weight != 0])[0], off[weight != 0])
    se = float(np.sqrt(sums @ sums * len(sums) / (len(sums) - 1)))
    return {"value": value, "low": value - Z * se, "high": value + Z * se, "p": float(2 * norm.sf(abs(value) / se)) if se > 0 else float("nan")}
