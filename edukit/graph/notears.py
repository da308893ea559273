"""The control that knows nothing of learning: a linear directed graph of mean marks, made acyclic by continuous optimisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from edukit.graph.cells import Cells, fold
from edukit.graph.concept_graph import ConceptGraph
from edukit.graph.pair_scores import PairScores, fitted, need_log
from edukit.protocols import Tables
from edukit.schema import DataError

MOST = 1000  # concepts; each evaluation costs their number cubed
ROUNDS, STEPS, CLOSED, STEEPEST = 12, 60, 1e-3, 1e8  # of the Lagrangian; L-BFGS steps in each; cyclicity small enough; largest weight of its square


@dataclass(frozen=True, eq=False)
class Correlations:
    """How marks of two concepts go together in the learners who met both.

    Attributes
    ----------
    value : (C, C) correlations, positive definite. common : (C, C) learners who met both. noise : (C, C) what chance alone adds to a value (sd).
    """

    value: np.ndarray
    common: np.ndarray
    noise: np.ndarray


def correlations(cells: Cells, min_common: int) -> Correlations:
    """Correlate, concept by concept, the marks less what each learner's other answers predict, every concept in units of its own spread.

    A learner counts where both concepts were met. Each correlation is drawn towards 0 by the share of its variance that is chance, n learners
    adding 1/n; below ``min_common`` it is unknown and 0. The matrix is then brought to one that complete data could have (negative eigenvalues
    cut off, diagonal 1), without which the problem would have no optimum.

    References
    ----------
    Datta & Zou (2017), Annals of Statistics 45 (lasso on covariances with entries missing); Efron & Morris (1973), JASA 68 (the shrinkage).
    """
    size = len(cells.concept_ids)
    common, sums, squares, products = np.zeros((4, size, size))
    for _, x in cells.blocks():
        met = x["attempted"].astype(float)
        mark = x["residual"] / np.sqrt(np.maximum(x["variance"], 1e-9))
        common += met.T @ met
        sums += mark.T @ met
        squares += (mark * mark).T @ met
        products += mark.T @ mark
    known = (common >= min_common) & ~np.eye(size, dtype=bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums / common
        spread = np.sqrt(np.maximum(squares / common - mean**2, 0))
        found = (products / common - mean * mean.T) / (spread * spread.T)
    known &= np.isfinite(found)
    chance = 1 / np.maximum(common, 1)
    true = max(float((found[known] ** 2 / chance[known] - 1).sum() / (1 / chance[known]).sum()), 1e-9) if known.any() else 1e-9
    share = true / (true + chance)
    value = np.where(known, found * share, 0.0)
    np.fill_diagonal(value, 1.0)
    least, vectors = np.linalg.eigh(value)
    if least[0] < 1e-3:
        value = (vectors * np.maximum(least, 1e-3)) @ vectors.T
        scale = np.sqrt(np.diag(value))
        value = value / scale[:, None] / scale
    return Correlations(value, common, share * np.sqrt(chance))


def notears(covariance: np.ndarray, penalty: np.ndarray | float, allowed: np.ndarray, seed: int = 0) -> np.ndarray:
    """Weights of the acyclic linear graph in which each variable is best predicted by its parents; no weight is negative.

    Minimises tr((I - W)' S (I - W)) / 2 + sum(penalty * W) subject to W >= 0 and tr(exp(W∘W)) = C, by an augmented Lagrangian over L-BFGS-B.

    Parameters
    ----------
    covariance : (C, C) S, positive definite. penalty : (C, C) of the lasso, or one number. allowed : (C, C) bool, [parent, child]; others stay 0.
    seed : of the small weights at which the search begins: at 0 it could not choose between two directions that fit alike.

    Returns
    -------
    (C, C) W, [parent, child]; small weights may still close a cycle.

    References
    ----------
    Zheng, Aragam, Ravikumar & Xing (2018), NeurIPS 31.
    """
    from scipy.linalg import expm
    from scipy.optimize import minimize

    size = len(covariance)
    parent, child = np.nonzero(allowed & ~np.eye(size, dtype=bool))
    weights = np.zeros((size, size))
    if not len(parent):
        return weights
    price = np.broadcast_to(penalty, (size, size))[parent, child]

    def cyclic(x: np.ndarray) -> tuple[float, np.ndarray]:
        weights[parent, child] = x
        power = expm(weights * weights)
        return float(np.trace(power)) - size, power[child, parent] * 2 * x

    def loss(x: np.ndarray, steep: float, dual: float) -> tuple[float, np.ndarray]:
        h, slope = cyclic(x)
        rest = np.eye(size) - weights
        pulled = covariance @ rest
        value = 0.5 * float((rest * pulled).sum()) + (0.5 * steep * h + dual) * h + float(price @ x)
        return value, price - pulled[parent, child] + (steep * h + dual) * slope

    x, steep, dual, h = np.random.default_rng(seed).uniform(0, 1e-3, len(parent)), 1.0, 0.0, np.inf
    for _ in range(ROUNDS):
        x = minimize(loss, x, args=(steep, dual), jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(x), options={"maxiter": STEPS}).x
        before, h = h, cyclic(x)[0]
        if h <= CLOSED or steep >= STEEPEST:
            break
        dual += steep * h
        steep *= 10 if h > 0.25 * before else 1
    weights[parent, child] = x
    return weights


class Notears:
    """A control: which concept's marks predict which other one's, once ability is taken out; mastery, slips and guesses are not modelled.

    The score of a pair is the linear weight of the prerequisite in the concept, both in units of their spread.

    Parameters
    ----------
    sparsity : weight of the lasso, in units of what the largest of all pairs' correlations reaches by chance.
    min_common : learners who must have met both concepts; below, the model abstains.
    seed : of the small weights at which the search begins.

    Notes
    -----
    Marks are standardised. On raw ones the order of the variances, which is the order of the difficulties, decides the direction (Reisach, Seiler &
    Weichwald 2021, NeurIPS 34); what direction is left comes from how well each concept is predicted (Reisach et al. 2023, NeurIPS 36): weak, and not free of
    difficulty where all concepts are easy.
    Concepts tagged on one item get no edge. One fit costs some hundred times C³.

    References
    ----------
    Zheng, Aragam, Ravikumar & Xing (2018), NeurIPS 31. Donoho & Johnstone (1994), Biometrika 81 (what chance reaches).
    """

    reads: ClassVar[str] = "responses"

    def __init__(self, *, sparsity: float = 0.5, min_common: int = 20, seed: int = 0) -> None:
        if sparsity < 0 or min_common < 2:
            raise DataError(f"Notears needs sparsity >= 0 and min_common >= 2; found sparsity={sparsity}, min_common={min_common}.")
        self.sparsity = sparsity
        self.min_common = min_common
        self.seed = seed
        self._found: PairScores | None = None

    def fit(self, tables: Tables, labels: pd.DataFrame | None = None) -> Self:
        """Fit on ``interactions`` and ``q_matrix`` (training rows); ``concepts`` adds those never met; ``labels`` are not used.

        Raises
        ------
        DataError
            If a table is missing, or there are too many concepts.
        """
        need_log(self, tables)
        size = tables["q_matrix"]["concept_id"].nunique()
        if size > MOST:
            raise DataError(f"Notears takes at most {MOST:,} concepts, since each step costs their number cubed; found {size:,}. "
                            "Choose graph=noisy_and or graph=evidence, or fit one topic at a time.")
        cells = fold(tables["interactions"], tables["q_matrix"])
        marks = correlations(cells, self.min_common)
        judged = (marks.common >= self.min_common) & ~cells.shared & ~np.eye(size, dtype=bool)
        chance = np.sqrt(2 * np.log(max(int(judged.sum()) / 2, 1))) * marks.noise
        weights = notears(marks.value, self.sparsity * chance, judged, self.seed)
        kept = ((weights > 0) & (marks.value > chance)).T
        self._found = PairScores.of("notears", tables, cells.concept_ids, weights.T, marks.common, judged, kept)
        return self

    def scores(self) -> pd.DataFrame:
        """Every judged pair: ``concept_id, requires_id, score`` (linear weight), ``n`` common learners."""
        return fitted(self, self._found).table

    def predict(self, pairs: pd.DataFrame) -> pd.Series:
        """Linear weight of each pair, aligned to the index; NaN where too few learners met both, or one item carries both."""
        return fitted(self, self._found).predict(pairs)

    def graph(self) -> ConceptGraph:
        """Pairs with a weight whose marks go together more than chance would let any pair, less what closes a cycle; ``weight`` is no probability."""
        return fitted(self, self._found).graph()
