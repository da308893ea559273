"""What a model of prerequisites must beat: floors that know no text, no graph network, or next to nothing.

Where a split draws rows one by one, two of them need no model at all to look good: the closure rule and the degree logistic.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from edukit.graph.cells import few_enough
from edukit.graph.concept_graph import ConceptGraph, named
from edukit.graph.pair_features import PAIR, PairFeatures
from edukit.graph.pair_models import Logistic, acyclic, training_labels
from edukit.protocols import NotFittedError, Tables
from edukit.schema import DataError


def _codes(pairs: pd.DataFrame, place: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Position of both ends in ``place``; a concept it does not hold is at its end."""
    return tuple(pairs[c].map(place).fillna(len(place)).to_numpy(int) for c in PAIR)  # type: ignore[return-value]


class Floor:
    """What the floors share: the concepts, and a graph from the pairs that they were shown."""

    reads: ClassVar[str] = "labels"

    def __init__(self) -> None:
        self._concepts: pd.DataFrame | None = None

    def _begin(self, tables: Tables, labels: pd.DataFrame | None) -> pd.DataFrame:
        rows = training_labels(labels, type(self).__name__)
        self._concepts = tables["concepts"] if "concepts" in tables else named(rows)
        self._shown = rows[PAIR].drop_duplicates()
        return rows

    def fit(self, tables: Tables, labels: pd.DataFrame | None = None) -> Self:
        """Learn from ``labels``, the training pairs. Raises DataError without labels of both kinds."""
        self._learn(tables, self._begin(tables, labels))
        return self

    def predict(self, pairs: pd.DataFrame) -> pd.Series:
        """Score of each pair in [0, 1], aligned to the index."""
        if self._concepts is None:
            raise NotFittedError(f"{type(self).__name__} was asked before it was fitted; call fit first.")
        return pd.Series(self._score(pairs), index=pairs.index, name="score", dtype="float64")

    def graph(self) -> ConceptGraph:
        """Of the pairs it was shown, those scored at least .5, less the least that closes a cycle."""
        if self._concepts is None:
            raise NotFittedError(f"{type(self).__name__} was asked before it was fitted; call fit first.")
        return acyclic(self._concepts, self._shown.assign(score=self.predict(self._shown)), 0.5, type(self).__name__)

    def _learn(self, tables: Tables, rows: pd.DataFrame) -> None:
        raise NotImplementedError

    def _score(self, pairs: pd.DataFrame) -> np.ndarray:
        raise NotImplementedError


class Constant(Floor):
    """Every pair is as likely as the training pairs were on average."""

    def _learn(self, tables: Tables, rows: pd.DataFrame) -> None:
        self._rate = float(rows["label"].mean())

    def _score(self, pairs: pd.DataFrame) -> np.ndarray:
        return np.full(len(pairs), self._rate)


class ClosureRule(Floor):
    """Looks up what the training pairs already say; it knows nothing of the concepts.

    1 where a path of training positives leads from the concept to the other; 0 where one leads back; where the reverse is a training negative,
    the share of positives among training pairs of which that is true; otherwise 0.
    """

    def _learn(self, tables: Tables, rows: pd.DataFrame) -> None:
        import networkx as nx

        positive, negative = (rows.loc[rows["label"] == k, PAIR] for k in (1, 0))
        graph = nx.from_pandas_edgelist(positive, "concept_id", "requires_id", create_using=nx.DiGraph)
        self._reach = {concept: nx.descendants(graph, concept) for concept in graph}
        self._turned = pd.MultiIndex.from_frame(negative[PAIR[::-1]]).set_names(PAIR)
        like = rows.loc[pd.MultiIndex.from_frame(rows[PAIR]).isin(self._turned), "label"]
        self._rate = float(like.mean()) if len(like) else 0.0

    def _score(self, pairs: pd.DataFrame) -> np.ndarray:
        ends = list(zip(pairs["concept_id"], pairs["requires_id"], strict=True))
        there = np.array([b in self._reach.get(a, ()) for a, b in ends], bool)
        back = np.array([a in self._reach.get(b, ()) for a, b in ends], bool)
        turned = pd.MultiIndex.from_frame(pairs[PAIR]).isin(self._turned)
        return np.where(there, 1.0, np.where(turned & ~back, self._rate, 0.0))


class DegreeLogistic(Floor):
    """Logistic regression on seven counts of training positives around the two concepts: four degrees, and three kinds of path of two.

    A training pair is counted without its own edge, so that what is fitted looks like what is tested.

    Parameters
    ----------
    penalty : strength of the ridge penalty.
    """

    def __init__(self, penalty: float = 1.0) -> None:
        super().__init__()
        self.penalty = penalty

    def _counts(self, pairs: pd.DataFrame, own: np.ndarray) -> np.ndarray:
        a, b = _codes(pairs, self._place)
        out, into = self._edges.sum(axis=1), self._edges.sum(axis=0)
        through, shared_needs, shared_uses = (m[a, b] for m in self._twos)
        counts = [out[a] - own, into[a], out[b], into[b] - own, through, shared_needs, shared_uses]
        return np.log1p(np.column_stack(counts))

    def _learn(self, tables: Tables, rows: pd.DataFrame) -> None:
        from sklearn.linear_model import LogisticRegression

        self._place = {c: k for k, c in enumerate(sorted({*rows["concept_id"], *rows["requires_id"]}))}
        size = len(self._place) + 1  # the last is every concept without a training pair
        few_enough(size, "labels", "graph=name_logistic")
        self._edges = np.zeros((size, size), np.float32)
        a, b = _codes(rows, self._place)
        positive = rows["label"].to_numpy() == 1
        self._edges[a[positive], b[positive]] = 1
        self._twos = (self._edges @ self._edges, self._edges @ self._edges.T, self._edges.T @ self._edges)
        self._model: Any = LogisticRegression(C=1 / self.penalty, max_iter=500).fit(self._counts(rows, positive.astype(float)), rows["label"])

    def _score(self, pairs: pd.DataFrame) -> np.ndarray:
        return self._model.predict_proba(self._counts(pairs, np.zeros(len(pairs))))[:, 1]


class RefD(Floor):
    """Reference distance: a concept's page refers to pages of its prerequisite more than the other way round; made a probability by one slope.

    Raises DataError where the data do not hold the column ``refd``.

    References
    ----------
    Liang, Wu, Huang & Giles (2015), EMNLP.
    """

    def _numbers(self, pairs: pd.DataFrame) -> np.ndarray:
        back = pairs.rename(columns=dict(zip(PAIR, PAIR[::-1], strict=True)))
        here, there = self._features.stated(pairs), self._features.stated(back)  # by its definition it changes its sign with the order
        return np.nan_to_num(np.where(np.isnan(here), -there, here), nan=0.0)

    def _learn(self, tables: Tables, rows: pd.DataFrame) -> None:
        from sklearn.linear_model import LogisticRegression

        columns = tables.get("pair_features")
        if columns is None or "refd" not in columns:
            raise DataError("RefD needs pair_features.refd; found none in these data. Choose another floor, or data with Wikipedia numbers (alcpl).")
        keys = [c for c in (*PAIR, "domain") if c in columns]
        self._features = PairFeatures(tables["concepts"], columns=columns[[*keys, "refd"]])
        self._model: Any = LogisticRegression(C=1e3).fit(self._numbers(rows), rows["label"])

    def _score(self, pairs: pd.DataFrame) -> np.ndarray:
        return self._model.predict_proba(self._numbers(pairs))[:, 1]


class NameLogistic(Logistic):
    """Logistic regression on the two name embeddings alone.

    Parameters
    ----------
    penalty, name_weight, threshold, most_candidates, seed : as of :class:`~edukit.graph.pair_models.Logistic`.
    """

    def __init__(self, penalty: float = 100.0, name_weight: float = 10.0, threshold: float = 0.5, most_candidates: int = 400, seed: int = 0) -> None:
        super().__init__(penalty, name_weight, False, threshold, most_candidates, seed)
