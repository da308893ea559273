"""Responses folded into one cell per learner and concept: what every pairwise statistic counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from edukit.schema import DataError, has_order

PASSED = 0.5  # a learner passed a concept if at least this share of their marks on its items
BLOCK = 4096  # learners held as dense matrices at once


@dataclass(frozen=True, eq=False)
class Cells:
    """N cells, one per learner and concept met, sorted by learner.

    Attributes
    ----------
    concept_ids : the C concepts of the q_matrix, sorted.
    learners : number B of learners.
    learner, concept : (N,) positions.
    correct : (N,) mean share of the marks on the concept's items.
    residual, variance : (N,) sum over the responses of (correct - expected) and of its variance, where expected comes from a one-parameter
        logistic model in which the learner's ability was taken without the cell's own responses.
    position : (N,) the learner's first response on the concept; None where the order is unknown.
    steps : (C, C) how often a response on the row's concept was followed by one on the column's; None where the order is unknown.
    shared : (C, C) whether two concepts are tagged on one item (then the same response counts for both).
    """

    concept_ids: list[str]
    learners: int
    learner: np.ndarray
    concept: np.ndarray
    correct: np.ndarray
    residual: np.ndarray
    variance: np.ndarray
    position: np.ndarray | None
    steps: np.ndarray | None
    shared: np.ndarray

    def blocks(self) -> Iterator[tuple[slice, dict[str, np.ndarray]]]:
        """Dense (learners of the block, C) float32 matrices: attempted, passed, correct, residual, variance, position (NaN = not met)."""
        for first in range(0, self.learners, BLOCK):
            last = min(first + BLOCK, self.learners)
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


def abilities(learner: np.ndarray, item: np.ndarray, correct: np.ndarray, rounds: int = 100) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ability of each learner and easiness of each item (logits) under the one-parameter logistic model, by penalised Newton steps.

    Parameters
    ----------
    learner, item : (N,) integer codes. correct : (N,) in [0, 1].

    Returns
    -------
    ability : (B,), prior N(0, v) where v is estimated from the responses (without it, answers at random would look as if some learners were
        abler, and everything predicted from other answers would be off). easiness : (I,), prior N(0, 100).
    information : (B,) curvature at the solution, the prior's included.

    References
    ----------
    Rasch (1960), Probabilistic models for some intelligence and attainment tests. Dempster, Laird & Rubin (1977), JRSS B 39 (for v).
    """
    ability, easiness = np.zeros(learner.max() + 1), np.zeros(item.max() + 1)
    information, variance = np.ones_like(ability), 1.0
    for _ in range(rounds):
        largest = 0.0
        for code, other, prior in ((learner, item, 1 / variance), (item, learner, 0.01)):
            own, theirs = (ability, easiness) if code is learner else (easiness, ability)
            expected = 1 / (1 + np.exp(-(own[code] + theirs[other])))
            curvature = np.bincount(code, expected * (1 - expected), len(own)) + prior
            step = np.clip((np.bincount(code, correct - expected, len(own)) - prior * own) / curvature, -2, 2)
            own += step
            largest = max(largest, float(np.abs(step).max()))
            if code is learner:
                information = curvature
                spread = max(float(np.mean(ability**2 + 1 / information)), 1e-3)
                largest, variance = max(largest, abs(spread - variance)), spread
        if largest < 1e-3:
            break
    return ability, easiness, information


def fold(interactions: pd.DataFrame, q_matrix: pd.DataFrame) -> Cells:
    """Fold responses into cells; first attempts only where ``attempt`` is recorded (a later attempt has seen the answer).

    Parameters
    ----------
    interactions : table ``interactions``. q_matrix : table ``q_matrix``.

    Raises
    ------
    DataError
        If no response is on an item of the q_matrix.
    """
    from scipy import sparse

    rows = interactions[interactions["attempt"].isna() | (interactions["attempt"] == 1)] if "attempt" in interactions else interactions
    item, item_ids = pd.factorize(rows["item_id"])
    tags = q_matrix[q_matrix["item_id"].isin(item_ids)]
    if not len(tags):
        raise DataError("interactions.item_id must name items of the q_matrix; found no response on any of them. Hand in their q_matrix.")
    concept_ids = sorted(q_matrix["concept_id"].unique())
    place = pd.Series(np.arange(len(concept_ids)), index=concept_ids)
    at = (pd.Index(item_ids).get_indexer(tags["item_id"]), place[tags["concept_id"]].to_numpy())
    tagged = sparse.csr_array((np.ones(len(tags)), at), shape=(len(item_ids), len(concept_ids)))
    learner, learner_ids = pd.factorize(rows["learner_id"], sort=True)
    correct = rows["correct"].to_numpy(float)
    ability, easiness, information = abilities(learner, item, correct)
    expected = 1 / (1 + np.exp(-(ability[learner] + easiness[item])))

    # one entry per response and concept of its item, and the cell it falls into
    per_row = tagged[item].tocoo()
    row, concept = per_row.coords
    cell, at = np.unique(learner[row] * len(concept_ids) + concept, return_inverse=True)
    cell_learner, cell_concept = cell // len(concept_ids), cell % len(concept_ids)
    pull = np.bincount(at, (correct - expected)[row]) / information[cell_learner]  # what the cell's own responses did to the ability
    without = 1 / (1 + np.exp(-(ability[learner[row]] - pull[at] + easiness[item[row]])))
    position = steps = None
    if has_order(rows):
        order = rows["order"].to_numpy(float)
        position = np.full(len(cell), np.inf)
        np.minimum.at(position, at, pd.Series(order).groupby(learner).rank(method="min").to_numpy()[row])
        in_time = np.lexsort((order, learner))
        follows = np.flatnonzero(learner[in_time][1:] == learner[in_time][:-1])
        now, then = item[in_time][follows], item[in_time][follows + 1]
        steps = (tagged.T @ sparse.csr_array((np.ones(len(now)), (now, then)), shape=(len(item_ids),) * 2) @ tagged).toarray()
    both = sparse.csr_array((np.ones(len(q_matrix)), (pd.factorize(q_matrix["item_id"])[0], place[q_matrix["concept_id"]].to_numpy())))
    return Cells(concept_ids, len(learner_ids), cell_learner, cell_concept, np.bincount(at, correct[row]) / np.bincount(at),
                 np.bincount(at, correct[row] - without), np.bincount(at, without * (1 - without)), position, steps,
                 (both.T @ both).toarray() > 0)
