"""Which concept requires which, read from names, courses and Wikipedia numbers: models that judge a pair without a graph between them.

All three score concepts that were in no training pair. They are what a graph network has to beat.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
import pandas as pd

from edukit.graph.concept_graph import ConceptGraph, break_cycles
from edukit.graph.pair_features import PAIR, PairFeatures
from edukit.protocols import NotFittedError, Tables
from edukit.schema import DataError

BLOCK = 20_000  # pairs scored at once


def training_labels(labels: pd.DataFrame | None, model: str) -> pd.DataFrame:
    """The labels, if a supervised model can learn from them: a table ``concept_pairs`` with both kinds of pair; else DataError."""
    if labels is None or set(labels["label"].unique()) != {0.0, 1.0}:
        kinds = "no table" if labels is None else f"labels {sorted(labels['label'].unique())} in {len(labels):,} rows"
        raise DataError(f"{model} learns from labelled pairs: labels must hold pairs with label 1 and with label 0; found {kinds}. "
                        "Choose data with concept_pairs (ucd, alcpl, lecturebank_cd), or a larger part to train on.")
    return labels


def candidates(features: PairFeatures, most: int) -> pd.DataFrame:
    """Ordered pairs worth a score: each concept with the ``most`` concepts whose names are closest, both ways; all pairs where that is all.

    Never holds more than a block of C x C similarities.
    """
    names, ids = features.names, features.concepts["concept_id"].to_numpy(dtype=object)
    size, near = len(ids), min(most, len(ids) - 1)
    rows = []
    for first in range(0, size, 1024):
        alike = names[first:first + 1024] @ names.T
        alike[np.arange(len(alike)), np.arange(first, first + len(alike))] = -np.inf
        rows.append(np.argpartition(-alike, near - 1, axis=1)[:, :near] if near else np.zeros((len(alike), 0), int))
    one, other = np.repeat(np.arange(size), near), np.concatenate(rows).ravel()
    code = np.unique(np.concatenate([one * size + other, other * size + one]))
    return pd.DataFrame({"concept_id": ids[code // size], "requires_id": ids[code % size]})


def acyclic(concepts: pd.DataFrame, scored: pd.DataFrame, threshold: float, source: str) -> ConceptGraph:
    """The pairs scored at least ``threshold`` and above their reverse, less the least that closes a cycle, as a concept graph."""
    kept = scored[(scored["score"] >= threshold) & (scored["concept_id"] != scored["requires_id"])]
    turned = kept.rename(columns={"concept_id": "requires_id", "requires_id": "concept_id", "score": "other"})
    both = kept.merge(turned[[*PAIR, "other"]], how="left", on=PAIR)
    kept = both[~(both["other"] > both["score"])]
    if not len(kept):
        return ConceptGraph.from_tables(concepts, None, None)
    claims = kept[PAIR].assign(source=source, weight=kept["score"].clip(0, 1), channel="text")
    return ConceptGraph.from_tables(concepts, break_cycles(concepts, claims)[0], None)


class PairModel(ABC):
    """What the models of pairs share: features in, a probability per ordered pair out, a graph from the probable ones.

    A model says what it learns (:meth:`_learn`) and how it scores rows (:meth:`_score`).
    """

    def __init__(self, threshold: float, most_candidates: int, seed: int) -> None:
        self.threshold, self.most_candidates, self.seed = threshold, most_candidates, seed
        self._features: PairFeatures | None = None

    def fit(self, tables: Tables, labels: pd.DataFrame | None = None) -> Self:
        """Learn from ``labels``, the training pairs; of ``tables`` the names, courses and Wikipedia numbers are read, never a label.

        Raises
        ------
        DataError
            Without labels of both kinds, or where a pair names a concept that is not in ``concepts``.
        """
        rows = training_labels(labels, type(self).__name__).reset_index(drop=True)
        features = PairFeatures.from_tables(tables)
        self._learn(features, rows, rows["label"].to_numpy(float))
        self._features = features
        return self

    def predict(self, pairs: pd.DataFrame) -> pd.Series:
        """Probability of each pair, aligned to the index; concepts that were in no training pair are scored as any other."""
        if self._features is None:
            raise NotFittedError(f"{type(self).__name__} was asked before it was fitted; call fit first.")
        found = [self._score(self._features, pairs.iloc[k:k + BLOCK]) for k in range(0, len(pairs), BLOCK)]
        return pd.Series(np.concatenate(found) if found else np.zeros(0), index=pairs.index, name="score", dtype="float64")

    def graph(self) -> ConceptGraph:
        """Pairs at least as probable as ``threshold``, of two directions the likelier, less the least that closes a cycle."""
        if self._features is None:
            raise NotFittedError(f"{type(self).__name__} was asked before it was fitted; call fit first.")
        pairs = candidates(self._features, self.most_candidates)
        return acyclic(self._features.concepts, pairs.assign(score=self.predict(pairs)), self.threshold, type(self).__name__)

    @abstractmethod
    def _learn(self, features: PairFeatures, rows: pd.DataFrame, label: np.ndarray) -> None: ...

    @abstractmethod
    def _score(self, features: PairFeatures, pairs: pd.DataFrame) -> np.ndarray: ...


class Scaler:
    """Centres and scales numbers by what the training rows say; a missing number becomes their median."""

    def __init__(self, rows: np.ndarray) -> None:
        self.median = np.array([np.median(c[np.isfinite(c)]) if np.isfinite(c).any() else 0.0 for c in rows.T])
        full = np.where(np.isfinite(rows), rows, self.median)
        self.mean, sd = full.mean(axis=0), full.std(axis=0)
        self.sd = np.where(sd > 1e-9, sd, 1.0)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """The same numbers in standard deviations of the training rows, held within 6 of them."""
        return np.clip((np.where(np.isfinite(rows), rows, self.median) - self.mean) / self.sd, -6, 6)


class Components:
    """The main directions in which the C names differ, fitted on names alone."""

    def __init__(self, names: np.ndarray, width: int) -> None:
        self.centre = names.mean(axis=0)
        self.axes = np.linalg.svd(names - self.centre, full_matrices=False)[2][:width]

    def __call__(self, names: np.ndarray) -> np.ndarray:
        """(C, width) coordinates."""
        return (names - self.centre) @ self.axes.T


class Logistic(PairModel):
    """A weighted sum of what the two names and the courses or Wikipedia numbers say, made a probability.

    Parameters
    ----------
    penalty : strength of the ridge penalty.
    name_weight : scale of the name embeddings beside the numbers, which have unit variance.
    context : whether numbers from courses or Wikipedia are used besides the names.
    threshold, most_candidates : of :meth:`graph`.
    seed : not used: the optimum is unique.

    References
    ----------
    Liang et al. (2018), AAAI (EAAI), for logistic regression over Wikipedia columns.
    """

    def __init__(self, penalty: float = 100.0, name_weight: float = 10.0, context: bool = True, threshold: float = 0.5, most_candidates: int = 400,
                 seed: int = 0) -> None:
        super().__init__(threshold, most_candidates, seed)
        self.penalty, self.name_weight, self.context = penalty, name_weight, context

    def _rows(self, features: PairFeatures, pairs: pd.DataFrame) -> np.ndarray:
        names = features.name_pair(pairs) * self.name_weight
        return np.hstack([names, self._scaler(features.numbers(pairs))]) if self.context else names  # type: ignore[misc]

    def _learn(self, features: PairFeatures, rows: pd.DataFrame, label: np.ndarray) -> None:
        from sklearn.linear_model import LogisticRegression

        self._scaler = Scaler(features.numbers(rows)) if self.context else None
        self._model = LogisticRegression(C=1 / self.penalty, max_iter=300).fit(self._rows(features, rows), label)

    def _score(self, features: PairFeatures, pairs: pd.DataFrame) -> np.ndarray:
        return self._model.predict_proba(self._rows(features, pairs))[:, 1]


class ExtraTrees(PairModel):
    """Many trees that ask about names, courses and Wikipedia numbers at random cuts, averaged.

    Parameters
    ----------
    trees : number of trees.
    components : main components of the names that each concept brings.
    share : share of the features tried at a cut.
    smallest_leaf : training pairs a leaf holds at least.
    threshold, most_candidates : of :meth:`graph`.
    seed : of the trees.

    References
    ----------
    Geurts, Ernst & Wehenkel (2006), Machine Learning 63.
    """

    def __init__(self, trees: int = 300, components: int = 48, share: float = 0.3, smallest_leaf: int = 2, threshold: float = 0.5,
                 most_candidates: int = 400, seed: int = 0) -> None:
        super().__init__(threshold, most_candidates, seed)
        self.trees, self.components, self.share, self.smallest_leaf = trees, components, share, smallest_leaf

    def _rows(self, features: PairFeatures, pairs: pd.DataFrame) -> np.ndarray:
        a, b = features.positions(pairs)
        return np.hstack([self._names[a], self._names[b], self._scaler(features.numbers(pairs))]).astype(np.float32)

    def _learn(self, features: PairFeatures, rows: pd.DataFrame, label: np.ndarray) -> None:
        from sklearn.ensemble import ExtraTreesClassifier

        self._names = Components(features.names, self.components)(features.names)
        self._scaler = Scaler(features.numbers(rows))
        self._model: Any = ExtraTreesClassifier(self.trees, max_features=self.share, min_samples_leaf=self.smallest_leaf, random_state=self.seed)
        self._model.fit(self._rows(features, rows), label)

    def _score(self, features: PairFeatures, pairs: pd.DataFrame) -> np.ndarray:
        return self._model.predict_proba(self._rows(features, pairs))[:, 1]


class KernelSVM(PairModel):
    """Two pairs are alike where their concepts are alike one by one, or their numbers are: k(a, c) k(b, d) + rbf(numbers).

    Concepts are compared by their names and by the sentences that mention them; without courses, by their names. Margins become
    probabilities by a logistic curve, fitted on margins of training pairs that were left out concept by concept.

    Parameters
    ----------
    cost : price of a training pair on the wrong side.
    sharpness, sentence_sharpness : how fast two names, or two mean sentences, cease to be alike.
    gamma : how fast two rows of numbers do, per number.
    folds : left-out parts behind the probabilities.
    threshold, most_candidates : of :meth:`graph`.
    seed : draws those parts.

    References
    ----------
    Ben-Hur & Noble (2005), Bioinformatics 21 (kernels of pairs); Platt (1999), Advances in Large Margin Classifiers.
    """

    def __init__(self, cost: float = 2.0, sharpness: float = 2.0, sentence_sharpness: float = 4.0, gamma: float = 0.25, folds: int = 3,
                 threshold: float = 0.5, most_candidates: int = 400, seed: int = 0) -> None:
        super().__init__(threshold, most_candidates, seed)
        self.cost, self.sharpness, self.sentence_sharpness, self.gamma, self.folds = cost, sharpness, sentence_sharpness, gamma, folds

    def _alike(self, features: PairFeatures) -> np.ndarray:
        """(C, T) likeness of each concept to those of the training pairs."""
        seen = self._seen
        names = np.exp(self.sharpness * (features.names @ features.names[seen].T - 1))
        return names if features.documents is None else (names + np.exp(self.sentence_sharpness * (features.sentences @ features.sentences[seen].T - 1))) / 2

    def _gram(self, features: PairFeatures, pairs: pd.DataFrame, support: slice | np.ndarray) -> np.ndarray:
        """(N, S) kernel of pairs with the training pairs in ``support``."""
        a, b = features.positions(pairs)
        numbers, other = self._scaler(features.numbers(pairs)), self._numbers[support]
        far = (numbers**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None, :] - 2 * numbers @ other.T
        ends = [self._similar[np.ix_(at, self._at[support, k])] for k, at in enumerate((a, b))]
        return ends[0] * ends[1] + np.exp(-self.gamma / numbers.shape[1] * np.maximum(far, 0))

    def _margin_model(self, gram: np.ndarray, label: np.ndarray) -> Any:
        from sklearn.svm import SVC

        return SVC(C=self.cost, kernel="precomputed", cache_size=500).fit(gram, label)

    def _learn(self, features: PairFeatures, rows: pd.DataFrame, label: np.ndarray) -> None:
        from sklearn.linear_model import LogisticRegression

        ends = np.column_stack(features.positions(rows))
        self._seen, at = np.unique(ends, return_inverse=True)
        self._at = at.reshape(ends.shape)
        self._scaler = Scaler(features.numbers(rows))
        self._numbers = self._scaler(features.numbers(rows))
        self._similar = self._alike(features)
        gram = self._gram(features, rows, slice(None))
        part = np.random.default_rng(self.seed).integers(0, self.folds, len(self._seen))[self._at]
        margins, labels = [], []
        for fold in range(self.folds):
            inside, left = np.flatnonzero((part != fold).all(axis=1)), np.flatnonzero((part == fold).any(axis=1))
            if len(left) and len(np.unique(label[inside])) == 2:
                margins.append(self._margin_model(gram[np.ix_(inside, inside)], label[inside]).decision_function(gram[np.ix_(left, inside)]))
                labels.append(label[left])
        model = self._margin_model(gram, label)
        self._support = model.support_
        self._dual, self._bias = model.dual_coef_.ravel(), float(model.intercept_[0])
        told = np.concatenate(labels) if labels else label
        heard = np.concatenate(margins) if margins else model.decision_function(gram)
        curve = LogisticRegression(C=1e3).fit(heard[:, None], told) if len(np.unique(told)) == 2 else None
        self._slope, self._shift = (max(float(curve.coef_[0, 0]), 1e-6), float(curve.intercept_[0])) if curve is not None else (1.0, 0.0)

    def _score(self, features: PairFeatures, pairs: pd.DataFrame) -> np.ndarray:
        margins = [self._gram(features, pairs.iloc[k:k + 2000], self._support) @ self._dual + self._bias for k in range(0, len(pairs), 2000)]
        return 1 / (1 + np.exp(-(self._slope * np.concatenate(margins) + self._shift)))
