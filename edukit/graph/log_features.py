"""What a log says of two concepts, as numbers a model can learn from, in two channels that never share a column.

``responses`` is read from marks of learners who met both concepts; ``exposure`` from who met what (and what first, where order is known).
Nothing here reads a label.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from edukit.graph.cells import Cells, few_enough, fold
from edukit.graph.pair_features import PAIR
from edukit.protocols import LearnerBatches

PRIOR = 50.0  # common learners that weigh as much as the assumption that two residuals are unrelated
PROFILE = 30  # directions kept of the residual correlations
RESPONSES = ("correct_if_passed", "correct_if_passed_back", "correct_if_passed_z", "correct_if_passed_z_back", "fails_if_failed", "fails_if_failed_back",
             "fails_if_failed_z", "fails_if_failed_z_back", "conditional_success", "conditional_success_back", "iita_agreement", "iita_agreement_back",
             "mcnemar", "odds", "odds_z", "passed_requires", "passed_concept", "difficulty_difference", "easiness_concept", "easiness_requires",
             "residual_correlation", "shrunken_correlation", "partial_correlation", "profile_cosine")
EXPOSURE = ("requires_met_if_concept", "concept_met_if_requires", "lift", "overlap", "common", "met_concept", "met_requires", "correlation",
            "partial_correlation", "slope", "slope_back")
ORDER = ("requires_first", "transition", "transition_back")
RANKED = {"responses": ("correct_if_passed_z", "fails_if_failed_z", "odds_z", "shrunken_correlation", "partial_correlation"),
          "exposure": ("requires_met_if_concept", "concept_met_if_requires", "lift", "partial_correlation")}


def rivals(values: np.ndarray, axis: int) -> np.ndarray:
    """(C, C) log of 1 + how many others of the same row (axis 1) or column (axis 0) score higher; NaN where the value is.

    Examples
    --------
    >>> np.expm1(rivals(np.array([[np.nan, 2., 5.], [1., np.nan, 3.], [1., 1., np.nan]]), 1)).round()[0].tolist()
    [nan, 1.0, 0.0]
    """
    from scipy.stats import rankdata

    return np.log(rankdata(-values, method="min", axis=axis, nan_policy="omit")).astype(np.float32)


def _partial(correlation: np.ndarray, ridge: float) -> np.ndarray:
    """(C, C) correlation of two when all others are held, from the inverse of a ridged correlation matrix."""
    lowest = float(np.linalg.eigvalsh(correlation)[0])
    inverse = np.linalg.inv(correlation + (ridge + max(0.0, -lowest)) * np.eye(len(correlation)))
    scale = np.sqrt(np.diag(inverse))
    return -inverse / np.outer(scale, scale)


def _sums(cells: Cells) -> dict[str, np.ndarray]:
    """(C, C) sums over learners, [concept, candidate prerequisite]."""
    size = len(cells.concept_ids)
    names = ("common", "both", "concept_only", "neither", "up", "up_variance", "down", "down_variance", "product", "square")
    sums = {name: np.zeros((size, size)) for name in names}
    first = np.zeros((size, size))
    marks = np.zeros(size)
    for _, x in cells.blocks():
        met, passed, residual, variance = x["attempted"], x["passed"], x["residual"], x["variance"]
        failed = met - passed
        pairs = ((met, met), (passed, passed), (passed, failed), (failed, failed), (passed, residual), (passed, variance), (-residual, failed),
                 (variance, failed), (residual, residual), (residual**2, met))
        for name, (concept, requires) in zip(names, pairs, strict=True):
            sums[name] += concept.T @ requires
        marks += x["correct"].sum(axis=0)
        if "position" in x:
            for concept in range(size):
                there = ~np.isnan(x["position"][:, concept])
                later = x["position"][there, concept, None] - x["position"][there]
                first[concept] += (later > 0).sum(axis=0) + 0.5 * (later == 0).sum(axis=0)
    return sums | {"first": first, "marks": marks}


def _responses(s: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Statistics of marks on common learners, larger = more like a prerequisite; ``_back`` has the two concepts exchanged."""
    n, both, only, neither = s["common"], s["both"], s["concept_only"], s["neither"]
    other = n - both - only - neither
    one_way = {"correct_if_passed": s["up"] / n, "correct_if_passed_z": s["up"] / np.sqrt(s["up_variance"]), "fails_if_failed": s["down"] / n,
               "fails_if_failed_z": s["down"] / np.sqrt(s["down_variance"]), "iita_agreement": 1 - only / n,
               "conditional_success": np.log((both + 0.5) / (both + other + 1)) - np.log((only + 0.5) / (only + neither + 1))}
    odds = np.log((both + 0.5) * (neither + 0.5) / ((other + 0.5) * (only + 0.5)))
    easiness = s["marks"] / np.diag(n)
    correlation = s["product"] / np.sqrt(s["square"] * s["square"].T)
    shrunken = np.nan_to_num(correlation * n / (n + PRIOR), posinf=0.0, neginf=0.0)
    shrunken = np.where(s["usable"], (shrunken + shrunken.T) / 2, 0.0)
    np.fill_diagonal(shrunken, 1.0)
    size, direction = np.linalg.eigh(shrunken)
    profile = direction[:, -PROFILE:] * np.sqrt(np.maximum(size[-PROFILE:], 0))
    profile /= np.maximum(np.linalg.norm(profile, axis=1, keepdims=True), 1e-12)
    return one_way | {f"{name}_back": value.T for name, value in one_way.items()} | {
        "mcnemar": np.log((other + 0.5) / (only + 0.5)), "odds": odds,
        "odds_z": odds / np.sqrt(sum(1 / (count + 0.5) for count in (both, neither, other, only))),
        "passed_requires": (both + other) / n, "passed_concept": (both + only) / n, "difficulty_difference": easiness[None, :] - easiness[:, None],
        "easiness_concept": np.broadcast_to(easiness[:, None], n.shape), "easiness_requires": np.broadcast_to(easiness[None, :], n.shape),
        "residual_correlation": correlation, "shrunken_correlation": shrunken, "partial_correlation": _partial(shrunken, 1.0),
        "profile_cosine": profile @ profile.T}


def _exposure(s: dict[str, np.ndarray], learners: int) -> dict[str, np.ndarray]:
    """Statistics of who met what."""
    n, met = s["common"], np.diag(s["common"])
    one, other = np.broadcast_to(met[:, None], n.shape), np.broadcast_to(met[None, :], n.shape)
    shared = n / learners - one * other / learners**2
    sd = np.sqrt(np.maximum(np.diag(shared), 1e-12))
    correlation = shared / np.outer(sd, sd)
    np.fill_diagonal(correlation, 1.0)
    inverse = np.linalg.inv(shared + 0.002 * np.eye(len(n)))
    slope = -inverse / np.diag(inverse)[:, None]
    return {"requires_met_if_concept": n / one, "concept_met_if_requires": n / other, "lift": np.log((n + 0.5) * learners / (one * other + 0.5)),
            "overlap": n / (one + other - n), "common": np.log1p(n), "met_concept": np.log1p(one), "met_requires": np.log1p(other),
            "correlation": correlation, "partial_correlation": _partial(correlation, 0.1), "slope": slope, "slope_back": slope.T}


@dataclass(frozen=True, eq=False)
class LogFeatures:
    """Numbers of every ordered pair of the C concepts that a log can say something about. Build it with :meth:`from_log`.

    Attributes
    ----------
    concept_ids : the concepts of the q_matrix, sorted.
    common : (C, C) learners who met both.
    channels : per channel and name a (C, C) float32 matrix, [concept, candidate prerequisite]; NaN = not enough data. :data:`RESPONSES` on
        pairs with enough common learners that share no item; :data:`EXPOSURE` on pairs of concepts each met by enough learners (that nobody
        met both says something), with :data:`ORDER` where the order of responses is known; of :data:`RANKED` also the place among rivals.

    Notes
    -----
    No column of ``responses`` is a count, but what is estimated from few learners spreads more: who met what still speaks through it a
    little. How much is what the same columns tell once marks are exchanged between learners (:mod:`edukit.graph.fusion_trial`).

    References
    ----------
    Schrepp (2003), British Journal of Mathematical and Statistical Psychology 56; McNemar (1947), Psychometrika 12; Schäfer & Strimmer (2005),
    Statistical Applications in Genetics and Molecular Biology 4 (partial correlations of many variables from a shrunken matrix).
    """

    concept_ids: list[str]
    common: np.ndarray
    channels: dict[str, dict[str, np.ndarray]]
    _place: dict[str, int] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._place.update({concept: k for k, concept in enumerate(self.concept_ids)})

    @classmethod
    def from_log(cls, interactions: pd.DataFrame | LearnerBatches, q_matrix: pd.DataFrame, min_common: int = 20) -> LogFeatures:
        """Count once on the responses handed in; first attempts only where ``attempt`` is recorded.

        Parameters
        ----------
        interactions, q_matrix : tables (the first may come in batches of learners).
        min_common : learners needed to say something of a pair.

        Raises
        ------
        DataError
            If no response is on an item of the q_matrix, or there are more than 5,000 concepts.
        """
        size = q_matrix["concept_id"].nunique()
        few_enough(size)
        cells = fold(interactions, q_matrix)
        sums = _sums(cells)
        apart, common = ~np.eye(size, dtype=bool), sums["common"]
        known = np.diag(common) >= max(min_common, 1)
        sums["usable"] = apart & (common >= max(min_common, 1)) & ~cells.shared
        masks = {"responses": sums["usable"], "exposure": apart & known[:, None] & known[None, :]}
        with np.errstate(divide="ignore", invalid="ignore"):
            found = {"responses": _responses(sums), "exposure": _exposure(sums, cells.learners)}
            if cells.steps is not None:
                away = np.where(apart, cells.steps, 0)
                step = (away / np.maximum(away.sum(axis=1, keepdims=True), 1)).T
                found["exposure"] |= {"requires_first": np.where(common > 0, sums["first"] / common, 0.5), "transition": step, "transition_back": step.T}
        channels: dict[str, dict[str, np.ndarray]] = {}
        for channel, numbers in found.items():
            kept = {name: np.where(masks[channel] & np.isfinite(value), value, np.nan).astype(np.float32) for name, value in numbers.items()}
            ranks = {f"{name}_rivals_{end}": rivals(kept[name], axis) for name in RANKED[channel] for axis, end in ((1, "concept"), (0, "requires"))}
            channels[channel] = kept | ranks
        return cls(cells.concept_ids, common.astype(np.int64), channels)

    def positions(self, pairs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Position of both ends of each pair; -1 for a concept that no item assesses."""
        return tuple(pairs[column].map(self._place).fillna(-1).to_numpy(int) for column in PAIR)  # type: ignore[return-value]

    def rows(self, channel: str, pairs: pd.DataFrame) -> np.ndarray:
        """(N, F) float32 numbers of one channel; NaN where there is not enough data."""
        a, b = self.positions(pairs)
        rows = np.column_stack([matrix[a, b] for matrix in self.channels[channel].values()])
        rows[(a < 0) | (b < 0)] = np.nan
        return rows

    def learners(self, pairs: pd.DataFrame) -> np.ndarray:
        """(N,) learners who met both concepts."""
        a, b = self.positions(pairs)
        return np.where((a < 0) | (b < 0), 0, self.common[a, b])
