"""What responses say about which concept comes before which: statistics of every ordered pair, with counts and intervals.

Three channels, never mixed: ``responses`` (who got what right), ``exposure`` (who met what at all; circular where a platform leads learners
along an expert's map) and ``order`` (what was met first; only where the order of responses is known).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from edukit.graph.cells import Cells, fold
from edukit.graph.concept_graph import ConceptGraph
from edukit.graph.growing_order import GrowingOrder
from edukit.graph.pair_counts import Factors, pair_sums, resampled_sums
from edukit.graph.pair_scores import need_log
from edukit.protocols import LearnerBatches, NotFittedError, Tables
from edukit.schema import DataError
from edukit.validation import validate

CHANNELS = {
    "parent_correct_given_child_passed": "responses", "child_fails_given_parent_failed": "responses", "conditional_success": "responses",
    "iita_agreement": "responses", "mcnemar": "responses", "difficulty_difference": "responses",
    "exposure_conditional": "exposure", "exposure_lift": "exposure", "parent_first": "order", "transition": "order",
}
_PAIR = ["concept_id", "requires_id"]


def _statistics(s: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Statistics from sums of any shape; larger = more like a prerequisite, NaN where undefined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        parent_only = s["n"] - s["both"] - s["child_only"] - s["neither"]
        found = {
            "parent_correct_given_child_passed": s["up"] / np.sqrt(s["up_variance"]),
            "child_fails_given_parent_failed": s["down"] / np.sqrt(s["down_variance"]),
            "conditional_success": np.log((s["both"] + 0.5) / (s["both"] + parent_only + 1))
            - np.log((s["child_only"] + 0.5) / (s["child_only"] + s["neither"] + 1)),
            "iita_agreement": 1 - s["child_only"] / s["n"],
            "mcnemar": (parent_only - s["child_only"]) / np.sqrt(np.maximum(parent_only + s["child_only"], 1)),
            "difficulty_difference": s["parent_marks"] / s["parent_met"] - s["child_marks"] / s["child_met"],
            "exposure_conditional": s["n"] / s["child_met"],
            "exposure_lift": s["n"] / s["child_met"] - s["parent_met"] / s["learners"],
        }
        found |= {"parent_first": s["first"] / s["n"]} if "first" in s else {}
        return found | ({"transition": s["transition"]} if "transition" in s else {})


def _wide(cells: Cells, min_common: int) -> pd.DataFrame:
    ids = np.array(cells.concept_ids, object)
    parts: dict[str, list[np.ndarray]] = {}
    for child, parent, shared, sums in pair_sums(cells, min_common):
        found = {**dict(zip(_PAIR, (child, parent), strict=True)), "n": sums["n"].astype("int64")}
        for name, values in _statistics(sums).items():
            found[name] = np.where(shared & (CHANNELS[name] == "responses"), np.nan, values)
        for name, values in found.items():
            parts.setdefault(name, []).append(values)
    wide = {name: np.concatenate(parts.pop(name)) for name in list(parts)}
    return pd.DataFrame({**wide, **{end: pd.Series(ids[wide[end]], dtype="str") for end in _PAIR}})


def pairwise(interactions: pd.DataFrame | LearnerBatches, q_matrix: pd.DataFrame, min_common: int = 20) -> pd.DataFrame:
    """How far each concept behaves like a prerequisite of each other one, from these responses only.

    A concept is passed by a learner whose mean mark on its items is at least .5; only first attempts count where ``attempt`` is recorded.

    Parameters
    ----------
    interactions, q_matrix : tables (the first may come in batches of learners); training rows only, since every statistic is fitted on what is handed in.
    min_common : learners who must have met both concepts; other pairs have no row (no evidence is not evidence against).

    Returns
    -------
    DataFrame
        One row an ordered pair (``concept_id`` = child, ``requires_id`` = candidate parent): ``n`` common learners, and per statistic a
        column in which larger is more like a prerequisite. Response statistics are NaN where the two concepts are tagged on one item.

        * ``parent_correct_given_child_passed``: among those who passed the child, z of the parent's marks above what the learner's other
          answers predict;
        * ``child_fails_given_parent_failed``: among those who failed the parent, z of the child's marks below that prediction;
        * ``conditional_success``: log ratio of P(child passed) with and without the parent passed (add-half);
        * ``iita_agreement``: 1 - share of learners who passed the child and failed the parent;
        * ``mcnemar``: (parent only - child only) / sqrt(their sum);
        * ``difficulty_difference``: mean mark of the parent - of the child;
        * ``exposure_conditional``: P(parent met | child met); ``exposure_lift``: the same - P(parent met);
        * ``parent_first``: share of common learners who met the parent first (ties half);
        * ``transition``: P(next is the child | now the parent, next is another concept).

    References
    ----------
    McNemar (1947), Psychometrika 12; Schrepp (2003), British Journal of Mathematical and Statistical Psychology 56 (IITA);
    Rasch (1960) for the expected marks.
    """
    return _wide(fold(interactions, q_matrix), min_common)


def intervals(cells: Cells, pairs: pd.DataFrame, statistics: Sequence[str], draws: int = 200, seed: int = 0) -> pd.DataFrame:
    """95 % percentile intervals of some statistics of some pairs when whole learners are drawn again; abilities are held as fitted.

    Parameters
    ----------
    cells : from :func:`edukit.graph.cells.fold`.
    pairs : ``concept_id, requires_id``.
    statistics : names in :data:`CHANNELS`, ``transition`` excepted.

    Returns
    -------
    DataFrame
        ``concept_id, requires_id, statistic, low, high``; NaN where fewer than half of the draws define the statistic.

    References
    ----------
    Field & Welsh (2007), Journal of the Royal Statistical Society B 69 (cluster bootstrap).
    """
    frames = []
    for name, values in resample(cells, pairs, statistics, draws, seed).items():
        defined = np.isfinite(values).sum(axis=0) >= max(draws / 2, 1)
        low, high = np.full((2, len(pairs)), np.nan)
        low[defined], high[defined] = np.nanquantile(values[:, defined], [0.025, 0.975], axis=0)
        frames.append(pairs[_PAIR].assign(statistic=name, low=low, high=high))
    return pd.concat(frames, ignore_index=True)


def resample(cells: Cells, pairs: pd.DataFrame, statistics: Sequence[str], draws: int, seed: int) -> dict[str, np.ndarray]:
    """Per statistic a (draws, pairs) matrix: its value in cohorts of whole learners drawn with replacement.

    Raises
    ------
    DataError
        If a concept is not in ``cells``, or a statistic is unknown, needs the order of responses, or is ``transition``.
    """
    where = pd.Index(cells.concept_ids)
    child, parent = where.get_indexer(pairs["concept_id"]), where.get_indexer(pairs["requires_id"])
    lost = np.flatnonzero((child < 0) | (parent < 0))
    if len(lost):
        raise DataError(f"pairs must name concepts of the q_matrix; found {pairs[_PAIR].iloc[lost[0]].tolist()} "
                        f"in {len(lost):,} of {len(pairs):,} rows.")
    each = np.full(cells.learners, 1 / cells.learners)
    weights = np.random.default_rng(seed).multinomial(cells.learners, each, size=draws).astype(np.float32)
    factors = Factors(cells)
    parts: list[dict[str, np.ndarray]] = []
    for first in range(0, max(len(pairs), 1), 500):
        part = slice(first, first + 500)
        found = _statistics(resampled_sums(factors, child[part], parent[part], weights))
        refused = [name for name in statistics if name not in found]
        if refused:
            raise DataError(f"statistics must be among {', '.join(found)} here; found {', '.join(refused)} "
                            "(`parent_first` needs the order of responses; `transition` is counted without an interval).")
        parts.append({name: found[name] for name in statistics})
    return {name: np.concatenate([part[name] for part in parts], axis=1) for name in statistics}


def to_table(wide: pd.DataFrame, bounds: pd.DataFrame | None = None) -> pd.DataFrame:
    """Table ``evidence``: one row per pair and defined statistic of :func:`pairwise`; ``low, high`` where :func:`intervals` gave them."""
    names = [name for name in CHANNELS if name in wide]
    long = wide.melt([*_PAIR, "n"], names, "statistic", "value").dropna(subset="value")
    long.insert(3, "channel", long["statistic"].map(CHANNELS))
    if bounds is not None:
        long = long.merge(bounds, how="left", on=[*_PAIR, "statistic"])
    return validate(long, "evidence")


class Evidence:
    """Prerequisites read from who got what right (or met what), without any expert: the highest scores that leave no cycle.

    Parameters
    ----------
    statistic : a key of :data:`CHANNELS` but ``transition``; its channel is the graph's.
    min_common : learners who must have met both concepts; below, the model abstains.
    edges_per_concept : edges of :meth:`graph` per concept that has at least one judged pair.
    draws : cohorts drawn for the weights of the edges.
    seed : of those draws.

    Notes
    -----
    The weight of an edge is its stability: the share of cohorts drawn from the learners in which its score reaches that of the last edge
    kept (Meinshausen & Bühlmann 2010, Journal of the Royal Statistical Society B 72). It is no calibrated probability of being right.
    """

    reads: ClassVar[str] = "responses"

    def __init__(self, *, statistic: str = "parent_correct_given_child_passed", min_common: int = 20, edges_per_concept: float = 1.5,
                 draws: int = 100, seed: int = 0) -> None:
        if statistic not in CHANNELS or statistic == "transition":
            offered = ", ".join(name for name in CHANNELS if name != "transition")
            raise DataError(f"Evidence.statistic must be one of {offered}; found {statistic!r}.")
        self.statistic = statistic
        self.min_common = min_common
        self.edges_per_concept = edges_per_concept
        self.draws = draws
        self.seed = seed
        self._wide: pd.DataFrame | None = None

    def fit(self, tables: Tables, labels: pd.DataFrame | None = None) -> Self:
        """Count on ``interactions`` and ``q_matrix`` (training rows); ``concepts`` adds those never met; ``labels`` are not used.

        Raises
        ------
        DataError
            If a table is missing, or the statistic needs an order that is unknown.
        """
        need_log(self, tables)
        self._cells = fold(tables["interactions"], tables["q_matrix"])
        wide = _wide(self._cells, self.min_common)
        if self.statistic not in wide:
            raise DataError(f"Evidence.statistic {self.statistic!r} needs the order of responses; interactions.order is empty. "
                            "Choose a statistic of another channel.")
        self._wide = wide
        self._tables = {name: tables.get(name) for name in ("concepts", "q_matrix")}
        return self

    def _fitted(self) -> pd.DataFrame:
        if self._wide is None:
            raise NotFittedError("Evidence was asked before it was fitted; call fit first.")
        return self._wide

    def scores(self) -> pd.DataFrame:
        """Every judged pair: ``concept_id, requires_id, score, n``."""
        wide = self._fitted()
        return wide[[*_PAIR, self.statistic, "n"]].rename(columns={self.statistic: "score"})

    def predict(self, pairs: pd.DataFrame) -> pd.Series:
        """Statistic of each pair (larger = more like a prerequisite), aligned to the index; NaN where too few learners met both."""
        known = self._fitted().set_index(_PAIR)[self.statistic]
        return pd.Series(known.reindex(pd.MultiIndex.from_frame(pairs[_PAIR])).to_numpy(float), index=pairs.index, name="score")

    def graph(self) -> ConceptGraph:
        """Highest scores first, each edge kept unless it closes a cycle or speaks against (score at or below what independence gives)."""
        scored = self.scores().dropna(subset="score").sort_values(["score", *_PAIR], ascending=[False, True, True], kind="stable")
        most = round(self.edges_per_concept * scored["concept_id"].nunique())
        scored = scored[scored["score"] > (0.5 if self.statistic == "parent_first" else 0.0)]
        order = GrowingOrder()
        rows: list[int] = []
        for row, (concept, requires) in enumerate(zip(scored["concept_id"], scored["requires_id"], strict=True)):
            if len(rows) == most:
                break
            if order.add(requires, concept):
                rows.append(row)
        kept = scored.iloc[rows]
        edges = None
        if len(kept):
            drawn = resample(self._cells, kept, [self.statistic], self.draws, self.seed)[self.statistic]
            edges = kept[_PAIR].assign(source=f"evidence: {self.statistic}", weight=(drawn >= kept["score"].min()).mean(axis=0),
                                       channel=CHANNELS[self.statistic])
        return ConceptGraph.from_tables(self._tables["concepts"], edges, self._tables["q_matrix"])
