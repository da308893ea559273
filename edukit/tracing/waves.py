"""Responses sorted so that models with a state per learner and concept take all that do not touch each other in one step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from edukit.tracing.sequences import Histories, Vocabulary

ROWS = 100_000  # responses worked out at once: what is built on the way stays small, and numpy's loops stay long


def batches(histories: Histories) -> list[np.ndarray]:
    """Learners in groups of about :data:`ROWS` responses; those of like length together, since a group takes as many steps as its longest history."""
    order = np.argsort(-histories.lengths, kind="stable")
    ends = np.cumsum(histories.lengths[order])
    return np.split(order, np.flatnonzero(np.diff(ends // ROWS)) + 1)


@dataclass(frozen=True)
class Waves:
    """Entries (a response and one of its concepts), M in all, in the order in which they can be worked out side by side.

    A response is in the wave after the last one that touched any of its concepts for this learner: a wave never holds a
    cell (a learner and a concept) twice, and everything a response depends on lies in earlier waves.

    Parameters
    ----------
    row, concept, item, place : (M,) int arrays
        Sorted row of the histories, concept, item, which of the item's concepts; entries of a response are neighbours.
    cell : (M,) int array
        The state that the entry reads and writes.
    right : (M,) array in [0, 1]
    bounds : (W + 1,) int array
        Wave w holds the entries ``bounds[w]`` to ``bounds[w + 1]``.
    cells : (S,) int array
        Learner * C + concept of every state.
    """

    row: np.ndarray
    concept: np.ndarray
    item: np.ndarray
    place: np.ndarray
    cell: np.ndarray
    right: np.ndarray
    bounds: np.ndarray
    cells: np.ndarray

    @classmethod
    def of(cls, histories: Histories, vocabulary: Vocabulary) -> Waves:
        """Sort the responses of all learners into waves."""
        row, concept = vocabulary.concept_pairs(histories.item)
        place = np.arange(len(row)) - np.searchsorted(row, row)
        cells, cell = np.unique(histories.learner[row] * len(vocabulary.concept_ids) + concept, return_inverse=True)
        step = row - histories.offsets[histories.learner[row]]
        order = np.argsort(step, kind="stable")
        edges = np.searchsorted(step[order], np.arange(int(step.max(initial=-1)) + 2))
        wave, done = np.empty(len(row), int), np.zeros(len(cells), int)
        for low, high in zip(edges[:-1], edges[1:], strict=True):  # the responses that are the learners' n-th
            entry = order[low:high]
            if len(entry):
                fresh = place[entry] == 0
                wave[entry] = np.maximum.reduceat(done[cell[entry]], np.flatnonzero(fresh))[np.cumsum(fresh) - 1]
                done[cell[entry]] = wave[entry] + 1
        order = np.argsort(wave, kind="stable")
        bounds = np.append(0, np.cumsum(np.bincount(wave)))
        row, cell = row[order], cell[order]
        return cls(row, concept[order], histories.item[row], place[order], cell, histories.correct[row].astype(float), bounds, cells)

    def narrow(self) -> Waves:
        """The same in half the memory, to be kept."""
        return self._with(np.int32, np.float32)

    def wide(self) -> Waves:
        """The same in the types that numbers are worked out in."""
        return self._with(np.int64, np.float64)

    def _with(self, whole: type, share: type) -> Waves:
        numbers = {name: getattr(self, name).astype(whole) for name in ("row", "concept", "item", "place", "cell")}
        return replace(self, **numbers, right=self.right.astype(share))

    def __iter__(self) -> Iterator[slice]:
        """The entries of each wave."""
        return (slice(int(low), int(high)) for low, high in zip(self.bounds[:-1], self.bounds[1:], strict=True))

    @cached_property
    def fresh(self) -> np.ndarray:
        """(M,) whether the entry is the first of its response."""
        return self.place == 0

    def product(self, p: np.ndarray, some: slice = slice(None)) -> np.ndarray:
        """Per entry, the product of ``p`` over all concepts of its response (``some``: whole responses)."""
        fresh = self.fresh[some]
        if fresh.all():
            return p
        return np.multiply.reduceat(p, np.flatnonzero(fresh))[np.cumsum(fresh) - 1]
