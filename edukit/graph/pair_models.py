"""Which concept requires which, read from names, courses and Wikipedia numbers: models that judge a pair without a graph between them.

All score concepts that were in no training pair. They are what a graph network has to beat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from scipy.special import expit, logit

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
        rows.append(np.argpartition(-alike, near - 1, axis=1)[:, :near].copy() if near else np.zeros((len(alike), 0), int))
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


@dataclass(frozen=True, eq=False)
class Rows:
    """N pairs as a model reads them: the positions of both concepts, and a block of (N, F) numbers."""

    a: np.ndarray
    b: np.ndarray
    block: np.ndarray

    def take(self, at: np.ndarray) -> Rows:
        """Some of the rows."""
        return Rows(self.a[at], self.b[at], self.block[at])


class PairModel:
    """What the models of pairs share: features in, a probability per ordered pair out, a graph from the probable ones.

    A model says how it scales what it reads (:meth:`prepare`, without a label), learns from rows (:meth:`solve`) and scores them (:meth:`answer`);
    one that does not read row by row has its own ``_learn`` and ``_score``.
    """

    reads: ClassVar[str] = "labels"
    block: ClassVar[int] = BLOCK

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
        found = [self._score(self._features, pairs.iloc[k:k + self.block]) for k in range(0, len(pairs), self.block)]
        return pd.Series(np.concatenate(found) if found else np.zeros(0), index=pairs.index, name="score", dtype="float64")

    def graph(self) -> ConceptGraph:
        """Pairs at least as probable as ``threshold``, of two directions the likelier, less the least that closes a cycle."""
        if self._features is None:
            raise NotFittedError(f"{type(self).__name__} was asked before it was fitted; call fit first.")
        pairs = candidates(self._features, self.most_candidates)
        return acyclic(self._features.concepts, pairs.assign(score=self.predict(pairs)), self.threshold, type(self).__name__)

    def _learn(self, features: PairFeatures, rows: pd.DataFrame, label: np.ndarray) -> None:
        self.prepare(features, rows)
        self.solve(self.rows(features, rows), label)

    def _score(self, features: PairFeatures, pairs: pd.DataFrame) -> np.ndarray:
        return self.answer(self.rows(features, pairs))

    def prepare(self, features: PairFeatures, pairs: pd.DataFrame) -> None:
        """Choose scales and main directions from the training pairs, without their labels."""
        raise NotImplementedError

    def rows(self, features: PairFeatures, pairs: pd.DataFrame) -> Rows:
        """The pairs as this model reads them, once it is prepared."""
        a, b = features.positions(pairs)
        return self.read(features, a, b, features.numbers(pairs, (a, b)))

    def read(self, features: PairFeatures, a: np.ndarray, b: np.ndarray, numbers: np.ndarray) -> Rows:
        """The pairs of concepts at positions ``a`` and ``b`` as this model reads them, from their (N, F) numbers."""
        raise NotImplementedError

    def solve(self, rows: Rows, label: np.ndarray) -> None:
        """Learn from rows and their labels; solving again forgets what was learnt before."""
        raise NotImplementedError

    def answer(self, rows: Rows) -> np.ndarray:
        """(N,) probabilities."""
        raise NotImplementedError


class Scaler:
    """Centres and scales numbers by what the training rows say; a missing number becomes their median."""

    def __init__(self, rows: np.ndarray) -> None:
        self.median = np.array([np.median(c[np.isfinite(c)]) if np.isfinite(c).any() else 0.0 for c in rows.T])
        full = np.where(np.isfinite(rows), rows, self.median).astype(float)
        self.mean, sd = full.mean(axis=0), full.std(axis=0)
        self.sd = np.where(sd > 1e-6, sd, 1.0)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """(N, F) float32 of the same numbers in standard deviations of the training rows, held within 6 of them."""
        found = rows.astype(np.float32) - self.mean.astype(np.float32)
        found /= self.sd.astype(np.float32)
        if not np.isfinite(found.sum()):
            found = np.where(np.isfinite(found), found, ((self.median - self.mean) / self.sd).astype(np.float32))
        return np.clip(found, -6, 6, out=found)


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

    The default settings were chosen on validation concepts inside training parts of other seeds than those that the benchmark reports (0 to 2).

    Parameters
    ----------
    penalty : strength of the ridge penalty.
    name_weight : scale of the name embeddings beside the numbers, which have unit variance.
    context : whether numbers from courses or Wikipedia are used besides the names.
    threshold, most_candidates : of :meth:`graph`.
    seed : not used: the optimum is unique.
    surroundings : whether walks over the graph that needs no label (names alike, courses, links) are counted in the context; of few concepts only.

    References
    ----------
    Liang et al. (2018), AAAI (EAAI), for logistic regression over Wikipedia columns.
    """

    def __init__(self, penalty: float = 100.0, name_weight: float = 10.0, context: bool = True, threshold: float = 0.5, most_candidates: int = 400,
                 seed: int = 0, surroundings: bool = False) -> None:
        super().__init__(threshold, most_candidates, seed)
        self.penalty, self.name_weight, self.context, self.surroundings = penalty, name_weight, context, surroundings

    def prepare(self, features: PairFeatures, pairs: pd.DataFrame) -> None:
        """Scale the names, and the numbers by the training pairs."""
        self._names = features.names * self.name_weight
        self._scaler = Scaler(features.numbers(pairs)) if self.context else None
        self._around = Scaler(features.surroundings(*features.positions(pairs))) if self.context and self.surroundings else None

    def rows(self, features: PairFeatures, pairs: pd.DataFrame) -> Rows:
        """Positions, and the numbers in standard deviations, where they are used."""
        return super().rows(features, pairs) if self.context else Rows(*features.positions(pairs), np.zeros((len(pairs), 0), np.float32))

    def read(self, features: PairFeatures, a: np.ndarray, b: np.ndarray, numbers: np.ndarray) -> Rows:
        """Positions, and the numbers in standard deviations, where they are used."""
        if self._scaler is None:
            return Rows(a, b, numbers[:, :0])
        block = self._scaler(numbers)
        return Rows(a, b, block if self._around is None else np.hstack([block, self._around(features.surroundings(a, b))]))

    def solve(self, rows: Rows, label: np.ndarray) -> None:
        """Find the weights of the names of both concepts and of the numbers."""
        from sklearn.linear_model import LogisticRegression

        both = np.hstack([self._names[rows.a], self._names[rows.b], rows.block])
        model = LogisticRegression(C=1 / self.penalty, max_iter=300).fit(both, label)
        width = self._names.shape[1]
        self._weight, self._shift = np.split(model.coef_[0], [width, 2 * width]), float(model.intercept_[0])

    def margin(self, rows: Rows) -> np.ndarray:
        """(N,) log odds."""
        concept, requires, numbers = self._weight
        return (self._names @ concept)[rows.a] + (self._names @ requires)[rows.b] + rows.block @ numbers.astype(np.float32) + self._shift

    def answer(self, rows: Rows) -> np.ndarray:
        """(N,) probabilities."""
        return expit(self.margin(rows))


class ExtraTrees(PairModel):
    """Many trees that ask about names, courses and Wikipedia numbers at random cuts, averaged.

    The default settings were chosen on validation concepts inside training parts of other seeds than those that the benchmark reports (0 to 2).

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

    def prepare(self, features: PairFeatures, pairs: pd.DataFrame) -> None:
        """Find the main components of the names, and the scale of the numbers."""
        self._names = Components(features.names, self.components)(features.names)
        self._scaler = Scaler(features.numbers(pairs))

    def read(self, features: PairFeatures, a: np.ndarray, b: np.ndarray, numbers: np.ndarray) -> Rows:
        """Positions, and the numbers in standard deviations."""
        return Rows(a, b, self._scaler(numbers))

    def _both(self, rows: Rows) -> np.ndarray:
        return np.hstack([self._names[rows.a], self._names[rows.b], rows.block]).astype(np.float32, copy=False)

    def solve(self, rows: Rows, label: np.ndarray) -> None:
        """Grow the trees."""
        from sklearn.ensemble import ExtraTreesClassifier

        self._model: Any = ExtraTreesClassifier(self.trees, max_features=self.share, min_samples_leaf=self.smallest_leaf, random_state=self.seed)
        self._model.fit(self._both(rows), label)

    def answer(self, rows: Rows) -> np.ndarray:
        """(N,) mean over the trees of the share of positives in the leaf."""
        return self._model.predict_proba(self._both(rows))[:, 1]

    def margin(self, rows: Rows) -> np.ndarray:
        """(N,) log odds of the answer, within 4."""
        return np.clip(logit(self.answer(rows)), -4, 4)
