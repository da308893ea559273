"""What learners' cells say of every ordered pair of concepts, counted a block of concepts at a time.

No matrix of all concepts by all concepts is made where there are many: of each block, only the pairs that enough learners met are kept. Where
learners meet few of the concepts, the counts are products of sparse matrices.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edukit.graph.cells import MOST, PASSED, Cells
from edukit.schema import DataError

HELD = 1 << 22  # pairs of concepts counted at once
SPARSE = 0.1  # share of the cells that are filled, below which products of sparse matrices are the faster
PRODUCTS = {"n": ("attempted", "attempted"), "both": ("passed", "passed"), "child_only": ("passed", "failed"), "neither": ("failed", "failed"),
            "up": ("passed", "residual"), "up_variance": ("passed", "variance"), "down": ("residual", "failed"), "down_variance": ("variance", "failed")}
Sums = dict[str, np.ndarray]
Matrices = dict[str, Any]


class Factors:
    """What is multiplied: per kind of number a (C, B) matrix by concept and its (B, C) transpose by learner; 0 = not met.

    Iterating gives (learners, by concept, by learner), one time for all learners where the matrices are sparse, else in blocks of learners.
    """

    def __init__(self, cells: Cells) -> None:
        self.cells = cells
        self.concepts = len(cells.concept_ids)
        self.sparse = len(cells.learner) < SPARSE * cells.learners * self.concepts
        self._held = self._as_sparse() if self.sparse else None

    def _as_sparse(self) -> tuple[Matrices, Matrices]:
        from scipy import sparse

        cells = self.cells
        passed = cells.correct >= PASSED
        kinds = {"attempted": np.ones(len(passed)), "passed": passed, "failed": ~passed, "correct": cells.correct, "residual": cells.residual,
                 "variance": cells.variance, **({} if cells.position is None else {"position": cells.position})}
        by_learner = {}
        for kind, values in kinds.items():
            kept = values != 0
            at = (cells.learner[kept], cells.concept[kept])
            by_learner[kind] = sparse.csr_array((values[kept].astype(np.float32), at), shape=(cells.learners, self.concepts))
        return {kind: matrix.T.tocsr() for kind, matrix in by_learner.items()}, by_learner

    def __iter__(self) -> Iterator[tuple[slice, Matrices, Matrices]]:
        if self._held is not None:
            yield slice(0, self.cells.learners), *self._held
            return
        for rows, x in self.cells.blocks():
            x["failed"] = x["attempted"] - x["passed"]
            if "position" in x:
                np.nan_to_num(x["position"], copy=False)
            yield rows, {kind: matrix.T for kind, matrix in x.items()}, x


def _whole(value: Any) -> np.ndarray:
    return value if isinstance(value, np.ndarray) else value.toarray()


def _first(by_concept: Any, by_learner: Any, own: slice) -> np.ndarray:
    """(own, C) learners who met the row's concept after the column's, ties half, from positions."""
    found = np.zeros((own.stop - own.start, by_concept.shape[0]))
    ends = np.zeros(1, int) if isinstance(by_concept, np.ndarray) else by_learner.indptr
    begin, many = ends[:-1], np.diff(ends)
    for row, child in enumerate(range(own.start, own.stop)):
        if isinstance(by_concept, np.ndarray):
            met = by_concept[child] > 0
            others = by_learner[met]
            later = by_concept[child, met, None] - np.where(others > 0, others, np.nan)
            found[row] = (later > 0).sum(axis=0) + 0.5 * (later == 0).sum(axis=0)
        else:
            held = slice(*by_concept.indptr[child:child + 2])
            learners = by_concept.indices[held]
            each = many[learners]
            others = np.repeat(begin[learners] - (np.cumsum(each) - each), each) + np.arange(each.sum())
            later = np.repeat(by_concept.data[held], each) - by_learner.data[others]
            found[row] = np.bincount(by_learner.indices[others], (later > 0) + 0.5 * (later == 0), found.shape[1])
    return found


def _block(factors: Factors, own: slice) -> Matrices:
    """(own, C) sums over learners, [concept, candidate prerequisite], dense or sparse."""
    sums: Matrices = {}
    for _, by_concept, by_learner in factors:
        for name, (mine, other) in PRODUCTS.items():
            value = (by_concept[mine][own] @ by_learner[other]).astype(np.float64)
            sums[name] = sums[name] + value if name in sums else value
        if "position" in by_concept:
            sums["first"] = sums.get("first", 0) + _first(by_concept["position"], by_learner["position"], own)
    return sums


def pair_sums(cells: Cells, min_common: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, Sums]]:
    """Pairs that at least ``min_common`` learners met, in the order of ``concept_ids``, with what is summed over learners; block by block.

    Yields
    ------
    child, parent : (P,) positions of both concepts.
    shared : (P,) whether both are tagged on one item.
    sums : per name (P,) numbers; where the order is known, ``transition``: the share of the steps from the parent to another concept that lead to
        the child.

    Raises
    ------
    DataError
        Where more pairs are left than 5,000 concepts have.
    """
    factors, (met, marks), size, judged = Factors(cells), cells.totals(), len(cells.concept_ids), 0
    away, leaving = (None, np.zeros(0)) if cells.followed is None else _away(cells.followed)
    width = max(HELD // size, 1)
    for start in range(0, size, width):
        own = slice(start, min(start + width, size))
        block = _block(factors, own)
        enough = _whole(block["n"]) >= max(min_common, 1)
        enough[np.arange(own.stop - start), np.arange(start, own.stop)] = False
        row, parent = np.nonzero(enough)
        child, judged = row + start, judged + len(row)
        if judged > MOST**2:
            raise DataError(f"evidence can be held of at most {MOST**2:,} ordered pairs of concepts with min_common ({min_common:,}) common learners; "
                            f"found {judged:,} with the first {own.stop:,} of {size:,} concepts alone. Raise min_common, or hand in the q_matrix of one "
                            "area at a time.")
        sums = {name: _whole(block.pop(name))[row, parent] for name in list(block)}
        sums["down"] = -sums["down"]
        for name, total in (("met", met), ("marks", marks)):
            sums[f"child_{name}"], sums[f"parent_{name}"] = total[child], total[parent]
        if away is not None:
            with np.errstate(invalid="ignore"):
                sums["transition"] = away[:, own].toarray()[parent, row] / leaving[parent]
        sums["learners"] = np.asarray(float(cells.learners))
        yield child, parent, cells.tagged_together[own].toarray()[row, parent] > 0, sums


def _away(followed: Any) -> tuple[Any, np.ndarray]:
    """(C, C) sparse steps from the row's concept to another one, the column's; (C,) how many in all."""
    from scipy import sparse

    away = followed - sparse.diags_array(followed.diagonal())
    return away.tocsc(), np.asarray(away.sum(axis=1)).ravel()


def resampled_sums(factors: Factors, child: np.ndarray, parent: np.ndarray, weights: np.ndarray) -> Sums:
    """(draws, pairs) sums under learner weights (draws, B): the same counts as :func:`pair_sums`, for the given pairs only."""
    sums: Sums = {}
    for rows, x, _ in factors:
        both = x["attempted"][child] * x["attempted"][parent]
        found = {name: x[mine][child] * x[other][parent] for name, (mine, other) in PRODUCTS.items()}
        for end, which in (("child", child), ("parent", parent)):
            found |= {f"{end}_met": x["attempted"][which], f"{end}_marks": x["correct"][which]}
        if "position" in x:
            later = x["position"][child] * both - x["position"][parent] * both
            found["first"] = (later > 0) + np.float32(0.5) * (both - (later != 0))
        for name, value in found.items():
            sums[name] = sums.get(name, 0) + weights[:, rows] @ value.T
    sums["down"] = -sums["down"]
    sums["learners"] = weights.sum(axis=1, keepdims=True)
    return sums
