"""Responses folded into one cell per learner and concept: what every pairwise statistic counts.

A log may be a table or come in batches of whole learners (:class:`edukit.protocols.LearnerBatches`); it is packed into 20 bytes a response
and worked on piece by piece, in the same order either way, so that the numbers are the same however the rows came. What grows with the square of
the number of concepts is held sparse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from edukit.graph.abilities import abilities
from edukit.protocols import LearnerBatches
from edukit.schema import DataError, has_order

if TYPE_CHECKING:
    from scipy import sparse

PASSED = 0.5  # a learner passed a concept if at least this share of their marks on its items
MOST = 5_000  # concepts of which a dense matrix of all by all is made
BLOCK = 4096  # learners held as dense matrices at once
HELD = 1 << 24  # and numbers in one of these matrices
PIECE = 1 << 20  # responses worked on at once


@dataclass(frozen=True, eq=False)
class Cells:
    """N cells, one per learner and concept met, sorted by learner.

    Attributes
    ----------
    concept_ids : the C concepts of the q_matrix, sorted.
    learners : number B of learners.
    learner, concept : (N,) positions.
    correct : (N,) mean share of the marks on the concept's items.
    residual, variance : (N,) float32, sum over the responses of (correct - expected) and of its variance, where expected comes from a one-parameter
        logistic model in which the learner's ability was taken without the cell's own responses.
    position : (N,) the learner's first response on the concept; None where the order is unknown.
    followed : (C, C) sparse, how often a response on the row's concept was followed by one on the column's; None where the order is unknown.
    tagged_together : (C, C) sparse, number of items on which two concepts are tagged (then the same response counts for both).
    """

    concept_ids: list[str]
    learners: int
    learner: np.ndarray
    concept: np.ndarray
    correct: np.ndarray
    residual: np.ndarray
    variance: np.ndarray
    position: np.ndarray | None
    followed: sparse.csr_array | None
    tagged_together: sparse.csr_array

    @property
    def steps(self) -> np.ndarray | None:
        """``followed`` as a dense matrix; DataError beyond 5,000 concepts."""
        return None if self.followed is None else dense(self.followed)

    @property
    def shared(self) -> np.ndarray:
        """(C, C) whether two concepts are tagged on one item, dense; DataError beyond 5,000 concepts."""
        return dense(self.tagged_together) > 0

    def totals(self) -> tuple[np.ndarray, np.ndarray]:
        """(C,) learners who met each concept, and the sum of their marks."""
        size = len(self.concept_ids)
        return np.bincount(self.concept, minlength=size).astype(float), np.bincount(self.concept, self.correct, size)

    def blocks(self) -> Iterator[tuple[slice, dict[str, np.ndarray]]]:
        """Dense (learners of the block, C) float32 matrices: attempted, passed, correct, residual, variance, position (NaN = not met)."""
        step = max(min(BLOCK, HELD // len(self.concept_ids)), 1)
        for first in range(0, self.learners, step):
            last = min(first + step, self.learners)
            rows = slice(*np.searchsorted(self.learner, [first, last]))
            at = (self.learner[rows] - first, self.concept[rows])
            kinds = {"attempted": np.ones(len(at[0])), "passed": self.correct[rows] >= PASSED, "correct": self.correct[rows],
                     "residual": self.residual[rows], "variance": self.variance[rows]}
            dense = {}
            for kind, values in kinds.items():
                dense[kind] = np.zeros((last - first, len(self.concept_ids)), np.float32)
                dense[kind][at] = values
            if self.position is not None:
                dense["position"] = np.full((last - first, len(self.concept_ids)), np.nan, np.float32)
                dense["position"][at] = self.position[rows]
            yield slice(first, last), dense


@dataclass(frozen=True, eq=False)
class _Packed:
    """R responses, learners in the order of their ids, each learner's in order: codes, marks and the rank in the learner's history."""

    learners: int
    item_ids: pd.Index
    learner: np.ndarray
    item: np.ndarray
    correct: np.ndarray
    rank: np.ndarray | None

    def pieces(self) -> Iterator[slice]:
        """Rows of about PIECE responses of whole learners."""
        first = 0
        while first < len(self.learner):
            last = min(first + PIECE, len(self.learner))
            if last < len(self.learner):
                last = int(np.searchsorted(self.learner, self.learner[last - 1], "right"))
            yield slice(first, last)
            first = last


def _batches(log: pd.DataFrame | LearnerBatches) -> Iterator[pd.DataFrame]:
    return log.iter_learners() if isinstance(log, LearnerBatches) else iter([log])


def _pack(log: pd.DataFrame | LearnerBatches) -> _Packed:
    """First attempts, batch by batch, into arrays; then learners into the order of their ids."""
    size, names = len(log), pd.Index([], dtype="str")
    learner, item, correct, rank = (np.empty(size, kind) for kind in (np.int32, np.int32, np.float64, np.int32))
    ids: list[np.ndarray] = []
    at, people, ordered = 0, 0, True
    for batch in _batches(log):
        rows = first_attempts(batch)
        if not len(rows):
            continue
        ordered = ordered and has_order(rows)
        codes, found = pd.factorize(rows["learner_id"], sort=True)
        order = rows["order"].to_numpy(float) if ordered else np.zeros(len(rows))
        in_time = np.lexsort((order, codes))
        codes, order = codes[in_time], order[in_time]
        items, seen = pd.factorize(rows["item_id"])
        names = names.append(pd.Index(seen).difference(names, sort=False))
        here = slice(at, at + len(rows))
        learner[here], correct[here] = codes + people, rows["correct"].to_numpy(float)[in_time]
        item[here] = names.get_indexer(seen)[items[in_time]]
        start = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])
        fresh = np.r_[True, (codes[1:] != codes[:-1]) | (order[1:] != order[:-1])]  # responses at one time share the first rank
        rank[here] = np.maximum.accumulate(np.where(fresh, np.arange(len(rows)), 0)) - start[codes] + 1
        ids.append(np.asarray(found, dtype=object))
        at, people = at + len(rows), people + len(found)
    packed = [learner[:at], item[:at], correct[:at], rank[:at]]
    by_id = np.argsort(np.concatenate(ids)) if len(ids) > 1 else np.arange(people)
    if (np.diff(by_id) < 0).any():
        many = np.bincount(packed[0], minlength=people)
        begin, many = (np.cumsum(many) - many)[by_id], many[by_id]
        moved = np.repeat(begin - (np.cumsum(many) - many), many) + np.arange(at)
        for k in range(1, 4):
            packed[k] = packed[k][moved]
        packed[0] = np.repeat(np.arange(people, dtype=np.int32), many)
    return _Packed(people, names, *packed[:3], packed[3] if ordered else None)


def first_attempts(log: pd.DataFrame) -> pd.DataFrame:
    """Rows of first attempts where ``attempt`` is recorded (a later attempt has seen the answer), else all rows."""
    return log[log["attempt"].isna() | (log["attempt"] == 1)] if "attempt" in log else log


def few_enough(size: int, column: str = "q_matrix.concept_id", instead: str = "graph=evidence") -> None:
    """Raise DataError where ``size`` concepts are too many for a dense matrix of all by all; ``instead`` needs none."""
    if size > MOST:
        raise DataError(f"{column} may name at most {MOST:,} concepts where a matrix of concepts by concepts is held; found {size:,}. "
                        f"Choose {instead}, which needs none, or hand in one area at a time.")


def dense(matrix: sparse.csr_array) -> np.ndarray:
    """A (C, C) sparse matrix as a dense one; DataError beyond 5,000 concepts."""
    few_enough(len(matrix.indptr) - 1)
    return matrix.toarray()


def _together(q_matrix: pd.DataFrame, concept_ids: list[str]) -> sparse.csr_array:
    tags = _tags(q_matrix, pd.Index(q_matrix["item_id"].unique()), concept_ids)
    return tags.T.tocsr() @ tags


def shared_items(q_matrix: pd.DataFrame, concept_ids: list[str]) -> np.ndarray:
    """(C, C) whether two concepts are tagged on one item, so that one response counts for both; DataError beyond 5,000 concepts."""
    few_enough(len(concept_ids))
    return dense(_together(q_matrix, concept_ids)) > 0


def _tags(q_matrix: pd.DataFrame, item_ids: pd.Index, concept_ids: list[str]) -> sparse.csr_array:
    """(I, C) which concepts each item assesses."""
    from scipy import sparse

    tags = q_matrix[q_matrix["item_id"].isin(item_ids)]
    if not len(tags):
        raise DataError("interactions.item_id must name items of the q_matrix; found no response on any of them. Hand in their q_matrix.")
    at = (item_ids.get_indexer(tags["item_id"]), pd.Index(concept_ids).get_indexer(tags["concept_id"]))
    return sparse.csr_array((np.ones(len(tags)), at), shape=(len(item_ids), len(concept_ids)))


def fold(interactions: pd.DataFrame | LearnerBatches, q_matrix: pd.DataFrame) -> Cells:
    """Fold responses into cells; first attempts only where ``attempt`` is recorded (a later attempt has seen the answer).

    Parameters
    ----------
    interactions : table ``interactions``, or batches of it. q_matrix : table ``q_matrix``.

    Raises
    ------
    DataError
        If no response is on an item of the q_matrix.
    """
    from scipy import sparse

    rows = _pack(interactions)
    concept_ids = sorted(q_matrix["concept_id"].unique())
    tagged = _tags(q_matrix, rows.item_ids, concept_ids)
    ability, easiness, information = abilities(rows.learner, rows.item, rows.correct)
    followed = sparse.csr_array((len(concept_ids),) * 2) if rows.rank is not None else None
    found: dict[str, list[np.ndarray]] = {name: [] for name in ("learner", "concept", "correct", "residual", "variance", "position")}
    for piece in rows.pieces():
        learner, item, correct = rows.learner[piece], rows.item[piece], rows.correct[piece]
        expected = 1 / (1 + np.exp(-(ability[learner] + easiness[item])))
        # one entry per response and concept of its item, and the cell it falls into
        row, concept = tagged[item].tocoo().coords
        cell, at = np.unique(learner[row].astype(np.int64) * len(concept_ids) + concept, return_inverse=True)
        cell_learner = cell // len(concept_ids)
        pull = np.bincount(at, (correct - expected)[row], len(cell)) / information[cell_learner]  # what the cell's own responses did to the ability
        without = 1 / (1 + np.exp(-(ability[learner[row]] - pull[at] + easiness[item[row]])))
        found["learner"].append(cell_learner.astype(np.int32))
        found["concept"].append((cell % len(concept_ids)).astype(np.int32))
        found["correct"].append(np.bincount(at, correct[row], len(cell)) / np.bincount(at, minlength=len(cell)))
        found["residual"].append(np.bincount(at, correct[row] - without, len(cell)).astype(np.float32))
        found["variance"].append(np.bincount(at, without * (1 - without), len(cell)).astype(np.float32))
        if rows.rank is not None and followed is not None:
            position = np.full(len(cell), np.iinfo(np.int32).max, np.int32)
            np.minimum.at(position, at, rows.rank[piece][row])
            found["position"].append(position)
            on = np.flatnonzero(learner[1:] == learner[:-1])
            followed = followed + tagged.T @ sparse.csr_array((np.ones(len(on)), (item[on], item[on + 1])), shape=(len(rows.item_ids),) * 2) @ tagged
    together = {name: np.concatenate(found.pop(name)) for name in list(found) if found[name]}
    return Cells(concept_ids, rows.learners, **{"position": None, **together}, followed=followed, tagged_together=_together(q_matrix, concept_ids))


def per_concept(interactions: pd.DataFrame | LearnerBatches, q_matrix: pd.DataFrame) -> pd.DataFrame:
    """What was answered on each concept, every attempt counted; a response to an item of several concepts counts for each of them.

    Parameters
    ----------
    interactions : table ``interactions``, or batches of it. q_matrix : table ``q_matrix``.

    Returns
    -------
    DataFrame
        One row a concept of the q_matrix, sorted: ``concept_id``, ``n`` responses, ``learners``, ``items`` that were answered, ``correct``
        (mean mark, NaN where there is no response).
    """
    from scipy import sparse

    concept_ids = sorted(q_matrix["concept_id"].unique())
    item_ids = pd.Index(q_matrix["item_id"].unique())
    tagged = _tags(q_matrix, item_ids, concept_ids)
    counts, marks = np.zeros(len(item_ids)), np.zeros(len(item_ids))
    learners = np.zeros(len(concept_ids), np.int64)
    for batch in _batches(interactions):
        item = item_ids.get_indexer(batch["item_id"])
        known = item >= 0
        learner, ids = pd.factorize(batch["learner_id"])
        item, learner = item[known], learner[known]
        counts += np.bincount(item, minlength=len(item_ids))
        marks += np.bincount(item, batch["correct"].to_numpy(float)[known], len(item_ids))
        met = sparse.csr_array((np.ones(len(item)), (learner, item)), shape=(len(ids), len(item_ids))) @ tagged
        learners += np.bincount(sparse.coo_array(met).coords[1], minlength=len(concept_ids))  # each learner and concept is one entry
    n = tagged.T @ counts
    with np.errstate(invalid="ignore"):
        mean = (tagged.T @ marks) / n
    return pd.DataFrame({"concept_id": pd.Series(concept_ids, dtype="str"), "n": n.astype("int64"), "learners": learners,
                         "items": (tagged.T @ (counts > 0)).astype("int64"), "correct": mean})
