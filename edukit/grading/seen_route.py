"""The seen route: answers to a question of which people have graded some, judged by how they stand to the graded ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from edukit.grading.answer_features import AnswerFeatures
from edukit.grading.ordinal import LevelModel, fit_levels

Array = np.ndarray
FEWEST = 10  # graded answers from which a question has a model of its own
TREES_FROM = 100  # graded answers from which trees help
RIDGES = (1.0, 0.3)  # penalties of the two regressions, chosen on the first three sets of ASAP-SAS


class SeenRoute:
    """One question: two kernel ridge regressions and small trees say what an answer scores; an ordered model with learnt cut-points makes it probabilities.

    What the last step learns from was said of answers that the steps before had not seen: a fifth of them at a time.

    Parameters
    ----------
    trees : rounds of boosting; 0 = none. folds : parts of the graded answers. penalty : of the last step, on its weights. seed : draws the parts.

    Attributes
    ----------
    texts : the graded answers, in normal form.
    unseen_ : (N, K) probabilities of the graded answers by parts of the model that had not seen them.

    References
    ----------
    Woods, Adamson, Miel and Mayfield (2017), KDD (ordinal models of rubric scores). Heilman and Madnani (2013), SemEval (domain adaptation, n-grams).
    Sakaguchi, Heilman and Madnani (2015), NAACL (response- and reference-based scoring).
    """

    def __init__(self, trees: int = 250, folds: int = 5, penalty: float = 1.0, seed: int = 0) -> None:
        self.trees, self.folds, self.penalty, self.seed = trees, folds, penalty, seed

    def fit(self, texts: Sequence[str], y: Array, levels: int, vectors: Array | None = None, extra: Array | None = None, ordered: bool = True) -> Self:
        """Learn one question.

        Parameters
        ----------
        texts : N graded answers in normal form, in any order. y : (N,) positions 0..K-1 of their levels. levels : K.
        vectors : (N, E) embeddings. extra : (N, F) further numbers, such as the key elements found. ordered : whether the levels are one scale.
        """
        self.texts, self._y, self._levels, self._vectors, self._ordered = list(texts), np.asarray(y, int), levels, vectors, ordered
        self._features = AnswerFeatures(self.texts, vectors)
        own, y = self._features.alike(), self._y
        part = self._parts()
        targets = self._targets()
        self._mean = targets.mean(0)
        said, self._duals = [], []
        for kernel, ridge in zip(own.kernels(), RIDGES, strict=True):
            said.append(_held_out(kernel, targets, ridge, part))
            self._duals.append(_dual(kernel, targets - self._mean, ridge))
        self._trees: list[Any] = []
        if self.trees and len(y) >= TREES_FROM:
            said.append(self._grow(self._dense(own.by_level(y, levels, part), self._features.dense(), extra), part))
        evidence = _evidence(said, extra)
        self.unseen_ = np.zeros((len(y), levels))
        for k in np.unique(part):
            self.unseen_[part == k] = self._level_model(evidence[part != k], y[part != k]).probabilities(evidence[part == k])
        self._last = self._level_model(evidence, y)
        return self

    def probabilities(self, texts: Sequence[str], vectors: Array | None = None, extra: Array | None = None) -> Array:
        """(M, K) calibrated probabilities of the levels."""
        alike = self._features.alike(texts, vectors)
        said = [kernel @ dual + self._mean for kernel, dual in zip(alike.kernels(), self._duals, strict=True)]
        if self._trees:
            dense = self._dense(alike.by_level(self._y, self._levels), self._features.dense(texts, vectors), extra)
            said.append(np.mean([tree.predict(dense, num_threads=1) for tree in self._trees], axis=0)[:, None])
        return self._last.probabilities(_evidence(said, extra))

    def nearest(self, texts: Sequence[str], vectors: Array | None = None) -> tuple[Array, Array]:
        """(M, K) positions of the graded answer of each level that is nearest (-1 = that level has none), and (M, K) how near, from 0 to 1."""
        alike = self._features.alike(texts, vectors)
        near = alike.words / 2 + (alike.letters / 2 if alike.meaning is None else alike.meaning / 2)
        where, how = np.full((len(near), self._levels), -1), np.zeros((len(near), self._levels))
        for level in range(self._levels):
            rows = np.flatnonzero(self._y == level)
            if len(rows):
                best = near[:, rows].argmax(1)
                where[:, level], how[:, level] = rows[best], near[np.arange(len(near)), rows[best]]
        return where, np.clip(how, 0, 1)

    def _targets(self) -> Array:
        """(N, K) the level, and for each level but the lowest whether it is reached (ordered); else whether it is the level."""
        if self._ordered:
            return np.column_stack([self._y, *[(self._y >= k).astype(float) for k in range(1, self._levels)]])
        return np.eye(self._levels)[self._y]

    def _level_model(self, x: Array, y: Array) -> LevelModel:
        return fit_levels(x, y, self._levels, self._ordered, self.penalty)

    def _dense(self, near: Array, counted: Array, extra: Array | None) -> Array:
        return np.hstack([counted, near] + ([] if extra is None else [extra]))

    def _parts(self) -> Array:
        """(N,) part of each graded answer, drawn so that each has its share of every level."""
        drawn = np.random.default_rng(self.seed).permutation(len(self._y))
        part = np.zeros(len(self._y), int)
        part[drawn[np.argsort(self._y[drawn], kind="stable")]] = np.arange(len(self._y)) % self.folds
        return part

    def _grow(self, x: Array, part: Array) -> Array:
        """(N, 1) what trees say of answers they have not seen; one set of trees a part is kept."""
        import lightgbm

        y = self._y.astype(float)
        settings = {"objective": "regression", "num_leaves": 15, "learning_rate": 0.05, "min_data_in_leaf": max(5, min(20, len(y) // 20)),
                    "feature_fraction": 0.2, "bagging_fraction": 0.8, "bagging_freq": 1, "lambda_l2": 5.0, "seed": self.seed, "num_threads": 1,
                    "deterministic": True, "force_row_wise": True, "verbose": -1}
        said = np.zeros((len(y), 1))
        for k in np.unique(part):
            tree = lightgbm.train(settings, lightgbm.Dataset(x[part != k], y[part != k]), self.trees)
            said[part == k, 0] = tree.predict(x[part == k], num_threads=1)
            self._trees.append(tree)
        return said

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """What :meth:`restored` needs: plain values and arrays; features are counted again from the texts."""
        told = {"texts": self.texts, "levels": self._levels, "ordered": self._ordered, "trees": [tree.model_to_string() for tree in self._trees]}
        arrays = {"y": self._y, "mean": self._mean, **{f"dual{i}": dual for i, dual in enumerate(self._duals)},
                  **{f"last.{key}": value for key, value in self._last.arrays().items()}}
        return told, arrays if self._vectors is None else {**arrays, "vectors": self._vectors}

    def restored(self, told: Mapping[str, Any], arrays: Mapping[str, Array]) -> Self:
        """The route as :meth:`state` left it."""
        self.texts, self._levels, self._ordered, self._y, self._mean = told["texts"], told["levels"], told["ordered"], arrays["y"], arrays["mean"]
        self._vectors = arrays.get("vectors")
        self._features = AnswerFeatures(self.texts, self._vectors)
        self._duals = [arrays[f"dual{i}"] for i in range(len(RIDGES))]
        self._last = LevelModel.of({key: arrays[f"last.{key}"] for key in LevelModel.KEYS})
        self._trees = []
        for text in told["trees"]:
            import lightgbm

            self._trees.append(lightgbm.Booster(model_str=text))
        return self


def _dual(kernel: Array, targets: Array, ridge: float) -> Array:
    """(N, F) weights of the graded answers in a kernel ridge regression."""
    from scipy.linalg import solve

    return solve(kernel + ridge * np.eye(len(kernel)), targets, assume_a="pos")


def _held_out(kernel: Array, targets: Array, ridge: float, part: Array) -> Array:
    """(N, F) what the regression says of each part when it has learnt from the others.

    Leaving out one answer at a time would be quicker, but then its own mark shows in what the rest says, with the sign turned, and a later step finds it.
    """
    said = np.zeros_like(targets)
    for k in np.unique(part):
        away, here = np.flatnonzero(part != k), np.flatnonzero(part == k)
        mean = targets[away].mean(0)
        said[here] = kernel[np.ix_(here, away)] @ _dual(kernel[np.ix_(away, away)], targets[away] - mean, ridge) + mean
    return said


def _evidence(said: list[Array], extra: Array | None) -> Array:
    """What the last step reads: what each model says, and the further numbers themselves."""
    return np.hstack(said + ([] if extra is None else [extra]))
