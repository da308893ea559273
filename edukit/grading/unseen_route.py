"""The unseen route: answers to a question that nobody graded, judged by reference, wording and rubric; learnt, where anything is, on other questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd

from edukit.grading.ordinal import LevelModel, fit_levels, spread_over
from edukit.grading.pair_features import Asked, Embed, pair_features, weights

Array = np.ndarray
FEWEST_QUESTIONS, FEWEST_ANSWERS = 5, 100  # graded, from which the route is learnt; with fewer it goes by a fixed rule
CERTAINTY = 3.0  # of the fixed rule: as much as three graded answers would tell
SURE = 12.0  # where key elements are counted
RULE = {"recall": 0.4, "recall_new": 0.4, "near": 0.2}  # how a good answer is told without key elements and without any grade


class UnseenRoute:
    """Boosted trees and a logistic blend over how answers stand to their question; trained across questions, never on the one that is asked.

    Parameters
    ----------
    trees : rounds of boosting. folds : groups of questions held out in turn, to calibrate on. penalty : of the logistic part. seed : draws the groups.

    Attributes
    ----------
    learnt_ : whether it learnt from grades; else it goes by a fixed rule. unseen_ : (N, K) probabilities of the graded answers, each
    by a model that had seen none of its question's.

    References
    ----------
    Dzikovska et al. (2013), SemEval (task and features of overlap). Mohler, Bunescu and Mihalcea (2011), ACL (alignment with a reference).
    """

    def __init__(self, trees: int = 200, folds: int = 5, penalty: float = 20.0, seed: int = 0) -> None:
        self.trees, self.folds, self.penalty, self.seed = trees, folds, penalty, seed

    def fit(self, texts: Sequence[str], questions: Sequence[Asked], groups: Sequence[str], y: Array, levels: int, ordered: bool, embed: Embed | None) -> Self:
        """Learn from graded answers (normal forms) to several questions.

        Parameters
        ----------
        questions, groups : of each answer, what is known of its question, and its id. y : (N,) positions of the levels. levels : K.
        """
        self.levels_, self.ordered_ = levels, ordered
        known = np.array([q.known for q in questions], bool)
        self.learnt_ = bool(known.all()) and len(texts) >= FEWEST_ANSWERS and len(set(groups)) >= FEWEST_QUESTIONS and len(np.unique(y)) > 1
        distinct = {text: None for text in texts} | {text: None for q in dict.fromkeys(questions) for text in (*q.models, q.prompt) if text}
        self._rare = weights(list(distinct))
        if self.learnt_:
            x = pair_features(texts, questions, self._rare, embed)
            self._columns = list(x.columns)
            names = sorted(set(groups))
            part = np.random.default_rng(self.seed).permutation(np.arange(len(names)) % self.folds)[[names.index(g) for g in groups]]
            self.unseen_ = np.full((len(y), levels), 1.0 / levels)
            raw = np.zeros((len(y), 2 * levels))
            for k in np.unique(part):
                raw[part == k] = self._said(self._learn(x[part != k], y[part != k]), x[part == k])
            for k in np.unique(part):
                self.unseen_[part == k] = fit_levels(raw[part != k], y[part != k], levels, ordered=False).probabilities(raw[part == k])
            self._models, self._last = self._learn(x, y), fit_levels(raw, y, levels, ordered=False)
        return self

    def probabilities(self, texts: Sequence[str], questions: Sequence[Asked], levels: int, embed: Embed | None, hits: Array | None = None,
                      whole: bool = True) -> Array:
        """(M, K) probabilities of the K = ``levels`` levels of the questions asked.

        Where the route has learnt other levels than these, it says how far up the scale an answer is, and they are spread around that.

        Parameters
        ----------
        hits : (M, E) whether each key element is named. whole : whether whole answers are judged; of one criterion the fixed rule is used.
        """
        x = pair_features(texts, questions, self._rare, embed)
        if not self.learnt_ or not whole:
            return spread_over(by_rule(x, hits), levels, CERTAINTY if hits is None else SURE)
        p = self._last.probabilities(self._said(self._models, x[self._columns]))
        if levels == self.levels_:
            return p
        return spread_over((p * np.linspace(0, 1, self.levels_)).sum(1), levels, CERTAINTY)

    def _learn(self, x: pd.DataFrame, y: Array) -> tuple[Any, LevelModel]:
        import lightgbm

        settings = {"objective": "multiclass", "num_class": self.levels_, "num_leaves": 7, "learning_rate": 0.04, "min_data_in_leaf": 40,
                    "feature_fraction": 0.4, "bagging_fraction": 0.7, "bagging_freq": 1, "lambda_l2": 10.0, "seed": self.seed, "num_threads": 1,
                    "deterministic": True, "force_row_wise": True, "verbose": -1}
        grown = lightgbm.train(settings, lightgbm.Dataset(x.to_numpy(), y), self.trees)
        return grown, fit_levels(_whole(x), y, self.levels_, ordered=False, penalty=self.penalty)

    def _said(self, models: tuple[Any, LevelModel], x: pd.DataFrame) -> Array:
        """(N, 2 K) logarithms of the probabilities of both models."""
        p = models[0].predict(x.to_numpy(), num_threads=1)
        return np.log(np.maximum(np.hstack([p, models[1].probabilities(_whole(x))]), 1e-6))

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """What :meth:`restored` needs: plain values and arrays."""
        told: dict[str, Any] = {"levels": self.levels_, "ordered": self.ordered_, "learnt": self.learnt_, "rare": self._rare}
        if not self.learnt_:
            return told, {}
        arrays = {f"{name}.{key}": value for name, model in (("line", self._models[1]), ("last", self._last)) for key, value in model.arrays().items()}
        return {**told, "columns": self._columns, "trees": self._models[0].model_to_string()}, arrays

    def restored(self, told: Mapping[str, Any], arrays: Mapping[str, Array]) -> Self:
        """The route as :meth:`state` left it."""
        self.levels_, self.ordered_, self.learnt_, self._rare = told["levels"], told["ordered"], told["learnt"], told["rare"]
        if self.learnt_:
            import lightgbm

            self._columns = told["columns"]
            line, last = (LevelModel.of({key: arrays[f"{name}.{key}"] for key in LevelModel.KEYS}) for name in ("line", "last"))
            self._models, self._last = (lightgbm.Booster(model_str=told["trees"]), line), last
        return self


def by_rule(x: pd.DataFrame, hits: Array | None = None) -> Array:
    """(N,) how good an answer looks, from 0 to 1, by a fixed rule: the share of key elements it names, else of the rare words of the reference."""
    if hits is not None:
        return hits.mean(1)
    parts = [(share, x[name].to_numpy()) for name, share in RULE.items() if name in x]
    return np.clip(sum(share * np.clip(v, 0, 1) for share, v in parts) / sum(share for share, _ in parts), 0, 1)


def _whole(x: pd.DataFrame) -> Array:
    return x.to_numpy(float)
