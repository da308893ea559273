"""What a learner may expect of an intervention that was logged before: by how much the risk falls, with its interval, where equals were helped and not.

Who is helped is no accident: tutors call those who need it most, so that those who were helped often end worse than the others. Here learners are
compared with learners alike in all that was known, and only where both kinds are found. What was not recorded is not balanced by this.

References
----------
Kennedy, E. H. (2023). Towards optimal doubly robust estimation of heterogeneous causal effects. Electronic Journal of Statistics, 17(2).
Semenova, V., & Chernozhukov, V. (2021). Debiased machine learning of conditional average treatment effects. The Econometrics Journal, 24(2).
Crump, R. K., et al. (2009). Dealing with limited overlap in estimation of average treatment effects. Biometrika, 96(1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd

from edukit.governance.privacy import K
from edukit.metrics import auc, record
from edukit.protocols import NotFittedError
from edukit.schema import DataError

Array = np.ndarray
STATES = ("estimated", "not enough data")
Z = 1.959964  # normal quantile of a 95 % interval


def helped_in(interventions: pd.DataFrame, units: pd.MultiIndex, kind: str, after: float, until: float, left: pd.Series | None = None) -> pd.Series:
    """Who was helped in a stretch of days: 1, who was not: 0, and NaN for who was helped that way before it, or had left by the time of help.

    Help reaches only who is still there. Compared are therefore those who were still enrolled on the last day in the stretch on which anybody was helped
    that way, helped or not; who had left by then is left out, helped or not (the landmark of Anderson, Cain and Gelber, 1983, Journal of Clinical
    Oncology 1). That help kept somebody who would have left before that day is thus not counted.

    Parameters
    ----------
    interventions : table ``interventions``; rows that name no module count for every enrolment of their learner.
    units : (learner_id, module_id, presentation) of the learners in question.
    kind : what was done.
    after, until : days; the first is the cutoff of the features and is left out, the last is counted.
    left : day on which an enrolment ended early, by unit, NaN for who stayed; None = nobody left.

    Returns
    -------
    Series
        By unit; ``attrs['not_enrolled']`` tells how many were left out because they had left.

    Raises
    ------
    DataError
        Where the log holds no intervention of that kind.
    """
    log = interventions[interventions["kind"] == kind]
    if log.empty:
        raise DataError(f"the log of interventions must hold some of kind {kind!r}; found {', '.join(sorted(interventions['kind'].unique())) or 'none'}.")
    key = [name for name in units.names if name in log]
    days = units.to_frame(index=False).merge(log[[*key, "day"]], on=key)
    names = list(units.names)
    before = days[days["day"] <= after].groupby(names).size().reindex(units).notna()
    first = days[(days["day"] > after) & (days["day"] <= until)].groupby(names)["day"].min()
    helped = first.reindex(units).notna().astype("float64").mask(before).rename(kind)
    helped.attrs["not_enrolled"] = 0
    if left is not None and len(first):
        gone = (left.reindex(units) < first.max()) & helped.notna()
        helped = helped.mask(gone)
        helped.attrs["not_enrolled"] = int(gone.sum())
    return helped


def by_kind(interventions: pd.DataFrame, past: pd.DataFrame, outcome: pd.Series, now: pd.DataFrame, cutoff: float, left: pd.Series | None = None,
            days: float = 14, **settings: Any) -> tuple[pd.DataFrame, dict[str, str], list[dict]]:
    """For every kind of intervention in a log, what each learner may expect of it, or why nothing can be said.

    Compared are those helped within ``days`` of the cutoff and those not helped by then (some of whom were later: the benefit is of help now
    against no help now). Left out are who had been helped that way before the cutoff, and who had left by the time of help (:func:`helped_in`).

    Parameters
    ----------
    interventions : table ``interventions``.
    past, now : features at the cutoff of learners whose ending is known, and of those asked about.
    outcome : 1 = failed or withdrew, by unit.
    cutoff : day the features were taken.
    left : day on which a past enrolment ended early, by unit, NaN for who stayed.
    settings : of :class:`ExpectedBenefit`.

    Returns
    -------
    table, said, records : DataFrame, dict and list
        Indexed by unit: ``kind`` and the columns of :meth:`ExpectedBenefit.predict`; by kind one sentence, the average or the refusal; and the
        averages as metric records, the kind as their channel.
    """
    tables, said, records = [], {}, []
    for kind in sorted(interventions["kind"].unique()):
        helped = helped_in(interventions, past.index, kind, cutoff, cutoff + days, left)
        try:
            model = ExpectedBenefit(**settings).fit(past, helped, outcome)
        except DataError as refusal:
            said[kind] = f"{kind}: nothing is said. {refusal}"
            continue
        tables.append(model.predict(now).assign(kind=kind))
        records += [{**row, "channel": kind} for row in model.average_]
        whole, own, plain = (points(r["value"], r["low"], r["high"]) for r in model.average_)
        said[kind] = (f"{kind}: {whole}, over {model.overlap_['within']:,} comparable learners; among those who had it {own}; "
                      f"the plain comparison, which misleads: {plain}; {_few(helped.attrs['not_enrolled'])} had left by the time of help and are left out")
    return pd.concat(tables) if tables else pd.DataFrame({"kind": []}, index=now.index[:0]), said, records


def _few(n: int) -> str:
    """A number of learners as it may be said."""
    return f"{n:,}" if n == 0 or n >= K else f"fewer than {K}"


def points(benefit: float, low: float, high: float) -> str:
    """A benefit in words, in per cent points of risk.

    Examples
    --------
    >>> points(.12, .03, .21), points(.02, -.05, .09)
    ('risk lower by 12 points (95 %: 3 to 21)', 'no difference shown (95 %: 5 points higher to 9 lower)')
    """
    ends = sorted((100 * low, 100 * high))
    if ends[0] > 0:
        return f"risk lower by {100 * benefit:.0f} points (95 %: {ends[0]:.0f} to {ends[1]:.0f})"
    if ends[1] < 0:
        return f"risk higher by {-100 * benefit:.0f} points (95 %: {-ends[1]:.0f} to {-ends[0]:.0f})"
    return f"no difference shown (95 %: {-ends[0]:.0f} points higher to {ends[1]:.0f} lower)"


def in_words(table: pd.DataFrame) -> pd.Series:
    """What :func:`by_kind` says of each unit, one kind a line."""
    if table.empty:
        return pd.Series(dtype="str", index=table.index)
    words = [f"{row.kind}: {points(row.benefit, row.low, row.high) if row.state == STATES[0] else f'{row.state} ({row.reason})'}" for row in table.itertuples()]
    return pd.Series(words, table.index, dtype="str").groupby(level=list(range(table.index.nlevels))).agg("\n".join)


class ExpectedBenefit:
    """Learns from a log by how much an intervention lowers the risk, for whom, and of whom it cannot tell.

    Doubly robust, cross-fitted: of each fold of learners, models of the others say how likely help was, and the risk with it and without. The
    score of a learner, risk without - risk with + what the models got wrong, weighted by how unlikely it was, is then regressed on the risk r
    without help and on r (1 - r) (the shape of a constant effect in logits), and on the ``modifiers``; standard errors allow for unequal variance.

    *The rule of overlap.* A learner is in the overlap where help had a probability from ``lowest`` to 1 - ``lowest``. Nothing is estimated
    where fewer than ``least`` learners with help, or ``least`` without, or less than half of those who were helped, lie in it, or where those
    helped can be told from the others almost surely (cross-fitted AUC of .95 and more). A learner outside the overlap has no estimate.

    Parameters
    ----------
    folds : of the cross-fitting. lowest : see above. least : see above.
    modifiers : features that the benefit may depend on beyond the risk, a few.
    penalty : strength of the ridge of the models (1 / C of scikit-learn).
    seed : deals the folds.

    Attributes
    ----------
    average_ : metric records ``benefit`` of the learners in the overlap and (group ``helped``) of those who were helped, with ``naive``, the plain difference.
    overlap_ : ``learners``, ``helped``, ``within`` (the overlap), ``helped_within``, ``auc``.
    """

    def __init__(self, folds: int = 5, lowest: float = 0.05, least: int = 40, modifiers: Sequence[str] = (), penalty: float = 3.0, seed: int = 0) -> None:
        self.folds, self.lowest, self.least, self.modifiers, self.penalty, self.seed = folds, lowest, least, tuple(modifiers), penalty, seed

    def fit(self, features: pd.DataFrame, helped: pd.Series, outcome: pd.Series) -> Self:
        """Learn from past learners.

        Parameters
        ----------
        features : (N, F) numeric, known before anybody was helped (the log from the cutoff on says who was: :func:`helped_in`).
        helped : 1 or 0 by the same index; a row without a value is left out.
        outcome : 1 = failed or withdrew, 0 = passed; a row without a value is left out.

        Raises
        ------
        DataError
            Without overlap, with the plain reason; or with too few learners of a kind.
        """
        helped, outcome = helped.reindex(features.index), outcome.reindex(features.index)
        rows = features[helped.notna() & outcome.notna()]
        t, y = helped[rows.index].to_numpy(float), outcome[rows.index].to_numpy(float)
        counts = {"with help": int(t.sum()), "without": int((1 - t).sum())}
        if min(counts.values()) < self.least or any(len(np.unique(y[t == arm])) < 2 for arm in (0, 1)):
            raise DataError(f"a benefit needs {self.least} learners with help and {self.least} without, with both endings among each; "
                            f"found {counts['with help']} and {counts['without']}. Wait for more, or take a longer stretch of days.")
        self.columns_ = [name for name in rows if rows[name].notna().any() and rows[name].nunique() > 1]
        x = rows[self.columns_]
        self._middle = {name: float(x[name].median()) for name in self.modifiers}
        whose = pd.factorize(rows.index.get_level_values("learner_id" if "learner_id" in rows.index.names else 0))[0]
        e, without, with_ = self._nuisances(x, t, y, whose)
        inside = self._overlap(e, t)
        e, bad = np.clip(e, self.lowest, 1 - self.lowest), y
        score = without - with_ + (1 - t) * (bad - without) / (1 - e) - t * (bad - with_) / e
        self._average(score, e, t, bad, without, inside, whose)
        import statsmodels.api as sm

        design = self._design(x, without)[inside]
        fitted = sm.OLS(score[inside], design).fit(cov_type="cluster", cov_kwds={"groups": pd.factorize(whose[inside])[0]})
        self._coefficients, self._covariance = fitted.params, fitted.cov_params()
        return self

    def predict(self, features: pd.DataFrame) -> pd.DataFrame:
        """Per row: ``benefit`` (expected fall of the risk of learners like this one; negative = it rises), ``low, high`` (95 %), ``helped``
        (probability of help as it was given), ``state`` and ``reason``; outside the overlap ``not enough data``, without a number."""
        if not hasattr(self, "_coefficients"):
            raise NotFittedError("this estimate of benefit has not been fitted; call fit(features, helped, outcome) first")
        x = features.reindex(columns=self.columns_)
        e = np.mean([_chance(model, x) for model in self._helping], axis=0)
        design = self._design(x, np.mean([_chance(model, x) for model in self._plain], axis=0))
        inside = (e >= self.lowest) & (e <= 1 - self.lowest)
        benefit, half = np.where(inside, design @ self._coefficients, np.nan), Z * np.sqrt(np.einsum("ij,jk,ik->i", design, self._covariance, design))
        side = np.where(e < self.lowest, "hardly anybody like this learner was helped", "hardly anybody like this learner went without help")
        return pd.DataFrame({"benefit": benefit, "low": benefit - half, "high": benefit + half, "helped": e, "state": np.where(inside, *STATES),
                             "reason": np.where(inside, "", side)}, index=features.index)

    def _nuisances(self, x: pd.DataFrame, t: Array, y: Array, whose: Array) -> tuple[Array, Array, Array]:
        """Chance of help, and risk without and with it, of each row by models that have not seen its learner."""
        from sklearn.model_selection import StratifiedGroupKFold

        e, without, with_ = (np.empty(len(t)) for _ in range(3))
        self._helping, self._plain = [], []
        for train, test in StratifiedGroupKFold(self.folds, shuffle=True, random_state=self.seed).split(x, 2 * t + y, whose):
            here, known, asked = t[train] == 1, x.iloc[train], x.iloc[test]
            self._helping.append(self._model().fit(known, t[train]))
            self._plain.append(self._model().fit(known[~here], y[train][~here]))
            e[test], without[test] = _chance(self._helping[-1], asked), _chance(self._plain[-1], asked)
            with_[test] = _chance(self._model().fit(known[here], y[train][here]), asked)
        return e, without, with_

    def _model(self) -> Any:
        from sklearn.impute import SimpleImputer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        fill = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
        return make_pipeline(fill, StandardScaler(), LogisticRegression(C=1 / self.penalty, max_iter=500))

    def _overlap(self, e: Array, t: Array) -> Array:
        """Who is in the overlap; refused where too few are."""
        inside = (e >= self.lowest) & (e <= 1 - self.lowest)
        apart = auc(t, e)
        self.overlap_ = {"learners": len(t), "helped": int(t.sum()), "within": int(inside.sum()), "helped_within": int(t[inside].sum()), "auc": apart}
        both = min(t[inside].sum(), (1 - t[inside]).sum())
        if both < self.least or t[inside].sum() < t.sum() / 2 or apart >= 0.95:
            helped, other = (f"{int(arm[inside].sum())} of {int(arm.sum())}" for arm in (t, 1 - t))
            raise DataError(f"who was helped and who was not must be comparable; found {helped} with help and {other} without it whose chance of help lay "
                            f"between {self.lowest:g} and {1 - self.lowest:g}, and an AUC of {apart:.2f} of telling them apart. Wanted: {self.least} of each, "
                            "half of those helped, and an AUC below .95. What the help did cannot be read from this log: learners like those who were "
                            "helped hardly ever went without, or the other way round. Draw lots among equals next time.")
        return inside

    def _average(self, score: Array, e: Array, t: Array, y: Array, without: Array, inside: Array, whose: Array) -> None:
        """Means with their intervals over learners: over the overlap, over those helped, and the plain difference beside."""
        kept = score[inside]
        treated, odds = t[inside].sum(), e[inside] / (1 - e[inside])
        rest = y[inside] - without[inside]
        own = ((1 - t[inside]) * odds - t[inside]) * rest / t[inside].mean()
        plain = y[t == 0].mean() - y[t == 1].mean()
        away = np.where(t == 1, -(y - y[t == 1].mean()) / t.mean(), (y - y[t == 0].mean()) / (1 - t.mean()))
        own_mean = own.mean()
        of_helped, of_all = own - t[inside] * own_mean / t[inside].mean(), kept - kept.mean()
        rows = (("benefit", kept.mean(), _error(of_all, whose[inside]), len(kept), None),
                ("benefit", own_mean, _error(of_helped, whose[inside]), int(treated), "helped"), ("naive", plain, _error(away, whose), len(t), None))
        self.average_ = [record(name, float(v), n, float(v - Z * se), float(v + Z * se), group=group) for name, v, se, n, group in rows]

    def _design(self, x: pd.DataFrame, risk: Array) -> Array:
        """(N, P) what the benefit depends on; a modifier that is missing takes the median of the learners it was learnt from."""
        beyond = [x[name].fillna(self._middle[name]).to_numpy(float) for name in self.modifiers]
        return np.column_stack([np.ones(len(x)), risk, risk * (1 - risk), *beyond])


def _error(away: Array, whose: Array) -> float:
    """Standard error of a mean whose rows are ``away`` from it; rows of one learner belong together."""
    sums = np.bincount(pd.factorize(whose)[0], away)
    return float(np.sqrt((sums**2).sum() * len(sums) / max(len(sums) - 1, 1)) / len(away))


def _chance(model: Any, x: pd.DataFrame) -> Array:
    return model.predict_proba(x)[:, 1]
