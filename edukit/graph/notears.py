"""The control that knows nothing of learning: a linear directed graph fitted to mean marks by continuous optimisation."""

from __future__ import annotations

from typing import Self

import numpy as np
import pandas as pd

from edukit.graph.concept_graph import ConceptGraph, break_cycles
from edukit.graph.noisy_and import tally
from edukit.protocols import NotFittedError, Tables
from edukit.schema import DataError

_PAIR = ["concept_id", "requires_id"]
MOST = 500  # concepts; each step of the optimiser costs their number cubed
CLOSED, STEEPEST, STEPS = 1e-6, 1e12, 100  # remaining cyclicity, weight of its square, L-BFGS steps per subproblem


def notears(covariance: np.ndarray, sparsity: float, barred: np.ndarray, rounds: int = 20) -> np.ndarray:
    """Weighted acyclic graph that best predicts each variable linearly from its parents.

    Minimises tr((I - W)' S (I - W)) / 2 + sparsity |W|₁ subject to tr(exp(W∘W)) = C, by an augmented Lagrangian over L-BFGS-B.

    Parameters
    ----------
    covariance : (C, C) S. sparsity : weight of the lasso. barred : (C, C) bool, entries held at 0. rounds : of the Lagrangian, at most.

    Returns
    -------
    (C, C) W, [parent, child].

    References
    ----------
    Zheng, Aragam, Ravikumar & Xing (2018), NeurIPS 31.
    """
    from scipy.linalg import expm
    from scipy.optimize import minimize

    size = len(covariance)
    free = np.flatnonzero(~(barred | np.eye(size, dtype=bool)))
    if not len(free):
        return np.zeros((size, size))

    def weights(x: np.ndarray) -> np.ndarray:
        w = np.zeros(size * size)
        w[free] = x[: len(free)] - x[len(free):]
        return w.reshape(size, size)

    def cyclic(w: np.ndarray) -> tuple[float, np.ndarray]:
        power = expm(w * w)
        return float(np.trace(power)) - size, power.T * 2 * w

    def loss(x: np.ndarray, steep: float, price: float) -> tuple[float, np.ndarray]:
        w = weights(x)
        rest = np.eye(size) - w
        pulled = covariance @ rest
        h, slope = cyclic(w)
        value = 0.5 * float((rest * pulled).sum()) + 0.5 * steep * h * h + price * h + sparsity * x.sum()
        gradient = (-pulled + (steep * h + price) * slope).ravel()[free]
        return value, np.concatenate([gradient, -gradient]) + sparsity

    x, steep, price, h = np.zeros(2 * len(free)), 1.0, 0.0, np.inf
    for _ in range(rounds):
        while steep < STEEPEST:
            moved = minimize(loss, x, args=(steep, price), jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(x), options={"maxiter": STEPS}).x
            found = cyclic(weights(moved))[0]
            if found <= 0.25 * h:
                break
            steep *= 10
        x, h, price = moved, found, price + steep * found
        if h <= CLOSED or steep >= STEEPEST:
            break
    return weights(x)


class Notears:
    """A negative control: which concept's mean mark predicts which other one's, made acyclic; mastery, guessing and ability are not modelled.

    The score of a pair is the linear weight of the prerequisite's standardised mark; a concept not met counts as average.

    Parameters
    ----------
    sparsity : weight of the lasso.
    threshold : least weight of an edge of :meth:`graph`; the same number stands as its ``weight``, and is no probability.
    min_common : learners who must have met both concepts; below, the model abstains.

    Notes
    -----
    Marks are standardised: on raw ones the order of the variances alone gives a direction (Reisach, Seiler & Weichwald 2021, NeurIPS 34).
    Concepts tagged on one item get no edge. Ability, which every mark shares, is not taken out.

    References
    ----------
    Zheng, Aragam, Ravikumar & Xing (2018), NeurIPS 31.
    """

    def __init__(self, *, sparsity: float = 0.05, threshold: float = 0.1, min_common: int = 20) -> None:
        if sparsity < 0 or threshold < 0 or min_common < 1:
            raise DataError(f"Notears needs sparsity >= 0, threshold >= 0 and min_common >= 1; found sparsity={sparsity}, "
                            f"threshold={threshold}, min_common={min_common}.")
        self.sparsity = sparsity
        self.threshold = threshold
        self.min_common = min_common
        self._scores: pd.DataFrame | None = None

    def fit(self, tables: Tables, labels: pd.DataFrame | None = None) -> Self:
        """Fit on ``interactions`` and ``q_matrix`` (training rows); ``concepts`` adds those never met; ``labels`` are not used.

        Raises
        ------
        DataError
            If a table is missing, or there are too many concepts.
        """
        for name in ("interactions", "q_matrix"):
            if name not in tables:
                raise DataError(f"Notears needs the table {name}; found {', '.join(tables) or 'no table'}.")
        marks = tally(tables["interactions"], tables["q_matrix"])
        size = len(marks.concept_ids)
        if size > MOST:
            raise DataError(f"Notears takes at most {MOST} concepts, since each step costs their number cubed; found {size:,}. "
                            "Choose noisy_and or evidence, or fit one topic at a time.")
        seen = marks.right + marks.wrong
        met = (seen > 0).astype(float)
        common = met @ met.T
        mean = np.divide(marks.right, seen, out=np.zeros_like(seen), where=seen > 0).astype(float)
        centred = np.where(met > 0, mean - mean.sum(axis=1, keepdims=True) / np.maximum(met.sum(axis=1, keepdims=True), 1), 0)
        spread = centred.std(axis=1, keepdims=True)
        standard = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)
        barred = marks.shared | (common < self.min_common)
        weights = notears(standard @ standard.T / standard.shape[1], self.sparsity, barred)
        judged = ~barred & ~np.eye(size, dtype=bool)
        child, parent = np.nonzero(judged)
        ids = np.array(marks.concept_ids, object)
        self._scores = pd.DataFrame({"concept_id": pd.Series(ids[child], dtype="str"), "requires_id": pd.Series(ids[parent], dtype="str"),
                                     "score": weights[parent, child], "n": common[child, parent].astype("int64")})
        self._tables = {name: tables.get(name) for name in ("concepts", "q_matrix")}
        return self

    def scores(self) -> pd.DataFrame:
        """Every judged pair: ``concept_id, requires_id, score`` (linear weight), ``n`` common learners."""
        if self._scores is None:
            raise NotFittedError("Notears was asked before it was fitted; call fit first.")
        return self._scores

    def predict(self, pairs: pd.DataFrame) -> pd.Series:
        """Linear weight of each pair, aligned to the index; NaN where too few learners met both, or one item carries both."""
        known = self.scores().set_index(_PAIR)["score"]
        return pd.Series(known.reindex(pd.MultiIndex.from_frame(pairs[_PAIR])).to_numpy(float), index=pairs.index, name="score")

    def graph(self) -> ConceptGraph:
        """Edges of at least the threshold, less what would close a cycle."""
        strong = self.scores().query("score >= @self.threshold and score > 0")
        edges = strong[_PAIR].assign(source="notears", weight=strong["score"].clip(upper=1.0), channel="responses").reset_index(drop=True)
        bare = ConceptGraph.from_tables(self._tables["concepts"], None, self._tables["q_matrix"])
        return bare.replace(break_cycles(bare.concepts, edges)[0] if len(edges) else None)
