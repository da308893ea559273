"""Models of early warning: from what was known at a cutoff to a calibrated risk with its interval, and to what each feature adds."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from edukit.protocols import NotFittedError
from edukit.recalibration import packed, unpacked
from edukit.reproducibility import write_json
from edukit.risk import recalibration
from edukit.risk.features import MONOTONE, NOT_READ, OBSERVED
from edukit.risk.weighted_sum import sum_logits, sum_parts, weighted_sum
from edukit.schema import DataError

Array = np.ndarray
Z = 1.959964  # normal quantile of a 95 % interval
FOLDS = 5  # of the learners, each scored by a model that has not seen them, to calibrate on
FEWEST = 20  # learners to learn from


class EarlyWarning:
    """What every model of early warning shares: how it is calibrated, how sure it is, and when it says nothing.

    It learns from past presentations. For a fifth of the learners of the last of them at a time, a model that has not seen them says their
    risks; the curve that puts these right is kept (Platt's or an isotonic one, chosen there by log-loss on learners set aside), and the model is
    then learnt on everybody. The interval is of the estimate: ``refits`` times the learners are drawn again (bootstrap), model and curve are
    fitted on them, and low, high = logit risk ± 1.96 standard deviations of the logit.

    Attributes
    ----------
    columns_ : the features it reads, in their order. calibration_ : ``platt`` or ``isotonic``. calibrated_on_ : the presentation, or ``all``.
    """

    kind: ClassVar[str]
    monotone: bool
    refits: int
    seed: int

    def fit(self, features: pd.DataFrame, outcome: pd.Series) -> Self:
        """Learn from past presentations.

        Parameters
        ----------
        features : numbers by unit (index with ``learner_id`` and ``presentation``, or any), as :func:`edukit.risk.features.build` makes them;
            :data:`~edukit.risk.features.NOT_READ` are not learnt from.
        outcome : 1 = failed or withdrew, 0 = passed, by the same index; rows without one are left out.

        Raises
        ------
        DataError
            With fewer than 20 learners, one outcome only, or a unit twice.
        """
        rows, y, learner, presentation = _in_order(features, outcome)
        self.columns_ = list(rows.columns)
        x = rows.to_numpy(float)
        said, aside, self.calibrated_on_ = self._aside(x, y, learner, presentation)
        self.calibration_ = recalibration.choose(said, y[aside], learner[aside], self.seed)
        fit_curve = recalibration.METHODS[self.calibration_]
        self._models = [self._learn(x, y, None)]
        self._curves = [fit_curve(said, y[aside])]
        rng, size = np.random.default_rng(self.seed), int(learner.max()) + 1
        for _ in range(self.refits):
            weight = np.bincount(rng.integers(0, size, size), minlength=size)[learner].astype(float)
            drawn, here = weight > 0, weight[aside] > 0
            self._models.append(self._learn(x[drawn], y[drawn], weight[drawn]))
            self._curves.append(fit_curve(said[here], y[aside][here], weight[aside][here]))
        return self

    def _aside(self, x: Array, y: Array, learner: Array, presentation: Array) -> tuple[Array, Array, str]:
        """Risks of the rows of the last presentation by models that have not seen their learners, which rows (positions), and its name."""
        names = np.unique(presentation)
        last = np.flatnonzero(presentation == names[-1])
        if len(np.unique(y[last])) < 2 or len(np.unique(learner[last])) < FEWEST:
            last, names = np.arange(len(y)), np.array(["all"])
        fold = np.random.default_rng(self.seed).permutation(np.arange(int(learner.max()) + 1) % FOLDS)[learner]
        said = np.full(len(y), np.nan)
        for k in range(FOLDS):
            there = last[fold[last] == k]
            if len(there) and len(np.unique(y[fold != k])) == 2:
                said[there] = _sigmoid(self._logits(self._learn(x[fold != k], y[fold != k], None), x[there]))
        told = last[np.isfinite(said[last])]
        return said[told], told, str(names[-1])

    def score(self, features: pd.DataFrame) -> pd.Series:
        """Risk in [0, 1] of every row, also of learners of whom nothing was seen: for evaluation; what is shown is :meth:`predict`."""
        x = self._matrix(features)
        return pd.Series(self._curves[0](_sigmoid(self._logits(self._models[0], x))), index=features.index, name="risk")

    def predict(self, features: pd.DataFrame) -> pd.DataFrame:
        """Per unit (index): ``risk`` in [0, 1] with ``low`` and ``high``; NaN where nothing was seen of the learner.

        ``low`` and ``high`` are NaN throughout where the model was made without refits.
        """
        risk, x = self.score(features), self._matrix(features)
        found = pd.DataFrame({"risk": risk, "low": np.nan, "high": np.nan}, index=features.index)
        if self.refits:
            drawn = [_logit(curve(_sigmoid(self._logits(model, x)))) for model, curve in zip(self._models[1:], self._curves[1:], strict=True)]
            half, middle = Z * np.std(drawn, axis=0, ddof=min(1, self.refits - 1)), _logit(risk.to_numpy())
            found["low"], found["high"] = np.minimum(_sigmoid(middle - half), risk), np.maximum(_sigmoid(middle + half), risk)
        return found.where(features[OBSERVED] > 0) if OBSERVED in features else found

    def contributions(self, features: pd.DataFrame) -> pd.DataFrame:
        """What each feature adds to the logit of the risk before calibration, against the average learner: one column a feature it reads."""
        x = self._matrix(features)
        return pd.DataFrame(self._parts(self._models[0], x), index=features.index, columns=self.columns_)

    def save(self, path: Path) -> None:
        """Write the fitted model into one JSON file; the same fit gives the same bytes."""
        self._fitted()
        settings = {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}
        write_json(Path(path), {"kind": self.kind, "settings": settings, "columns": self.columns_, "calibration": self.calibration_,
                                "calibrated_on": self.calibrated_on_, "models": [self._pack(m) for m in self._models],
                                "curves": [packed(c) for c in self._curves]})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote; risks are identical. Raises DataError where the file holds something else."""
        try:
            kept = json.loads(Path(path).read_text(encoding="utf-8"))
            if kept["kind"] != cls.kind:
                raise DataError(f"{path} must hold a model of kind {cls.kind}; found {kept['kind']}. Load it with the class that saved it.")
            model = cls(**kept["settings"])
            model.columns_, model.calibration_, model.calibrated_on_ = kept["columns"], kept["calibration"], kept["calibrated_on"]
            model._models = [model._unpack(m) for m in kept["models"]]
            model._curves = [unpacked(c) for c in kept["curves"]]
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path} must hold an early warning model that `save` wrote; found a file that cannot be read as one ({error}).") from error
        return model

    def _fitted(self) -> None:
        if not hasattr(self, "_models"):
            raise NotFittedError(f"this {self.kind} model has not been fitted; call fit(features, outcome) first")

    def _matrix(self, features: pd.DataFrame) -> Array:
        """The columns it learnt from; a value that it never met (``module=…``) is 0, a number that is not there is missing."""
        self._fitted()
        absent = {name: 0.0 if "=" in name else np.nan for name in self.columns_ if name not in features}
        return features.assign(**absent)[self.columns_].to_numpy(float)

    def _signs(self) -> list[int]:
        """Which way the risk may go with each feature: -1, 1, or 0 for either."""
        return [MONOTONE.get(name, 0) if self.monotone else 0 for name in self.columns_]

    def _learn(self, x: Array, y: Array, weight: Array | None) -> Any:
        raise NotImplementedError

    def _logits(self, model: Any, x: Array) -> Array:
        raise NotImplementedError

    def _parts(self, model: Any, x: Array) -> Array:
        raise NotImplementedError

    def _pack(self, model: Any) -> Any:
        raise NotImplementedError

    def _unpack(self, kept: Any) -> Any:
        raise NotImplementedError


class Logistic(EarlyWarning):
    """A weighted sum: each feature adds to the logit of the risk in proportion to its distance from the mean.

    A feature that is missing takes the median, and a weight of its own tells that it was missing. Distances are cut at five standard deviations.

    Parameters
    ----------
    strength : inverse of the L2 penalty on the weights.
    monotone : hold the sign of each weight to :data:`edukit.risk.features.MONOTONE`.
    refits : cohorts drawn again for the interval; 0 = no interval.
    seed : draws the cohorts.
    """

    kind = "logistic"

    def __init__(self, strength: float = 0.03, monotone: bool = True, refits: int = 20, seed: int = 0) -> None:
        self.strength, self.monotone, self.refits, self.seed = strength, monotone, refits, seed

    def _learn(self, x: Array, y: Array, weight: Array | None) -> dict[str, Array]:
        return weighted_sum(x, y, weight, self.strength, self._signs())

    def _logits(self, model: dict[str, Array], x: Array) -> Array:
        return sum_logits(model, x)

    def _parts(self, model: dict[str, Array], x: Array) -> Array:
        return sum_parts(model, x)

    def _pack(self, model: dict[str, Array]) -> dict[str, list]:
        return {name: values.tolist() for name, values in model.items()}

    def _unpack(self, kept: dict[str, list]) -> dict[str, Array]:
        return {name: np.asarray(values, float) for name, values in kept.items()}


class Boosting(EarlyWarning):
    """Small trees that put right, one after the other, what a weighted sum of the features leaves.

    logit risk = weighted sum (:class:`Logistic`) + sum over trees; both add up in what a feature contributes.

    Parameters
    ----------
    trees, leaves, learning_rate : how many trees, how large each is, and how much each counts.
    fewest : fewest learners in a leaf.
    features_share, rows_share : share of features and of learners that each tree sees.
    ridge : L2 penalty on the leaves.
    strength : inverse of the L2 penalty on the weighted sum.
    monotone : hold the risk to :data:`edukit.risk.features.MONOTONE`, so that more work handed in never raises it.
    refits : cohorts drawn again for the interval; 0 = no interval.
    seed : draws features, rows and cohorts.

    Notes
    -----
    One thread and LightGBM's deterministic mode, rows in an order that depends on their values only: the same data in any order, under any
    pseudonyms, and the same seed give the same risks.

    References
    ----------
    Ke et al. (2017), LightGBM, NeurIPS. Lundberg et al. (2020), Nature Machine Intelligence (contributions).
    """

    kind = "boosting"

    def __init__(self, trees: int = 60, leaves: int = 7, learning_rate: float = 0.05, fewest: int = 100, features_share: float = 0.7,
                 rows_share: float = 0.8, ridge: float = 5.0, strength: float = 0.03, monotone: bool = True, refits: int = 20, seed: int = 0) -> None:
        self.trees, self.leaves, self.learning_rate, self.fewest = trees, leaves, learning_rate, fewest
        self.features_share, self.rows_share, self.ridge, self.strength = features_share, rows_share, ridge, strength
        self.monotone, self.refits, self.seed = monotone, refits, seed

    def _learn(self, x: Array, y: Array, weight: Array | None) -> tuple[dict[str, Array], Any]:
        import lightgbm

        first = weighted_sum(x, y, weight, self.strength, self._signs())
        settings = {"objective": "binary", "num_leaves": self.leaves, "learning_rate": self.learning_rate,
                    "min_data_in_leaf": max(1, min(self.fewest, len(y) // 10)), "feature_fraction": self.features_share,
                    "bagging_fraction": self.rows_share, "bagging_freq": 1, "lambda_l2": self.ridge, "seed": self.seed,
                    "num_threads": 1, "deterministic": True, "force_row_wise": True, "verbose": -1, "monotone_constraints": self._signs()}
        return first, lightgbm.train(settings, lightgbm.Dataset(x, y, weight=weight, init_score=sum_logits(first, x)), self.trees)

    def _logits(self, model: tuple[dict[str, Array], Any], x: Array) -> Array:
        return sum_logits(model[0], x) + model[1].predict(x, raw_score=True, num_threads=1) if len(x) else np.zeros(0)

    def _parts(self, model: tuple[dict[str, Array], Any], x: Array) -> Array:
        if not len(x):
            return np.zeros((0, len(self.columns_)))
        return sum_parts(model[0], x) + model[1].predict(x, pred_contrib=True, num_threads=1)[:, :-1]

    def _pack(self, model: tuple[dict[str, Array], Any]) -> dict[str, Any]:
        return {"sum": {name: values.tolist() for name, values in model[0].items()}, "trees": model[1].model_to_string()}

    def _unpack(self, kept: dict[str, Any]) -> tuple[dict[str, Array], Any]:
        import lightgbm

        first = {name: np.asarray(values, float) for name, values in kept["sum"].items()}
        return first, lightgbm.Booster(model_str=kept["trees"])


def _in_order(features: pd.DataFrame, outcome: pd.Series) -> tuple[pd.DataFrame, Array, Array, Array]:
    """Rows with an outcome in an order that depends on their values only; outcome, learner code and presentation of each.

    Equal rows stand in the order of all that is known of their learners: a learner may have several rows, and is dealt to a fold as a whole.
    """
    if features.index.has_duplicates:
        raise DataError(f"features must hold each unit once; found {int(features.index.duplicated().sum()):,} rows twice")
    features = features.sort_index()
    y = outcome.reindex(features.index)
    rows, y = features[y.notna()].drop(columns=list(NOT_READ), errors="ignore"), y.dropna().to_numpy(float)
    names = rows.index.names
    learner = rows.index.get_level_values("learner_id" if "learner_id" in names else 0)
    presentation = np.asarray(rows.index.get_level_values("presentation"), dtype=str) if "presentation" in names else np.full(len(rows), "")
    if learner.nunique() < FEWEST or len(np.unique(y)) < 2:
        raise DataError(f"early warning must learn from {FEWEST} learners or more, with and without the outcome; found {learner.nunique()} learners and "
                        f"{'the outcomes ' + ', '.join(f'{v:g}' for v in np.unique(y)) if len(y) else 'no outcome'}. Use more presentations.")
    rows = rows[sorted(rows.columns)] + 0.0  # no -0
    code, content = pd.factorize(learner)[0], rows.assign(outcome=y, presentation=presentation)
    whole = np.zeros(learner.nunique(), np.uint64)
    np.add.at(whole, code, pd.util.hash_pandas_object(content, index=False).to_numpy())
    order = np.lexsort([whole[code], y, *rows.to_numpy(float).T, presentation])
    return rows.iloc[order], y[order], pd.factorize(learner[order])[0], presentation[order]


def _sigmoid(logit: Array) -> Array:
    return 1 / (1 + np.exp(-np.asarray(logit, float)))


def _logit(p: Array) -> Array:
    held = np.clip(p, 1e-6, 1 - 1e-6)
    return np.log(held / (1 - held))
