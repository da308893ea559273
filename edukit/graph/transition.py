"""Which concept follows which in the responses: the order in which people practise, as a graph. It says what comes next, not what is needed."""

from __future__ import annotations

from typing import ClassVar, Self

import pandas as pd

from edukit.graph.concept_graph import ConceptGraph
from edukit.graph.evidence import pairwise
from edukit.graph.pair_scores import PAIR, PairScores, fitted, need_log
from edukit.protocols import Tables
from edukit.schema import DataError


class Transition:
    """The concepts that learners most often go on to, as edges; a graph for models that trace along it, and a baseline for prerequisites.

    Score of a pair: P(next concept is the child | now the parent, and the next is another concept). An edge follows the more frequent of
    the two directions, among the ``top_k`` most frequent of its parent; what would close a cycle is given up, the rarest first.

    Parameters
    ----------
    top_k : int
        Concepts that a concept can lead to.
    min_common : int
        Learners who must have met both concepts; below, a pair has no score.

    References
    ----------
    Nakagawa, Iwasawa and Matsuo (2019), WI (the transition graph; theirs keeps both directions).
    """

    reads: ClassVar[str] = "responses"

    def __init__(self, top_k: int = 8, min_common: int = 20) -> None:
        self.top_k, self.min_common = top_k, min_common
        self._found: PairScores | None = None

    def fit(self, tables: Tables, labels: pd.DataFrame | None = None) -> Self:
        """Count on ``interactions`` and ``q_matrix`` (training rows); ``labels`` are not used.

        Raises
        ------
        DataError
            If a table is missing, or the order of responses is unknown.
        """
        need_log(self, tables)
        wide = pairwise(tables["interactions"], tables["q_matrix"], self.min_common)
        if "transition" not in wide:
            raise DataError("Transition needs the order of responses; interactions.order is empty. Choose graph=evidence or graph=none.")
        table = wide[[*PAIR, "transition", "n"]].rename(columns={"transition": "score"}).dropna(subset="score").reset_index(drop=True)
        back = table.merge(table.rename(columns={PAIR[0]: PAIR[1], PAIR[1]: PAIR[0]}), how="left", on=PAIR)["score_y"].fillna(0.0).to_numpy()
        rank = table.sort_values(["score", *PAIR], ascending=[False, True, True]).groupby("requires_id").cumcount().reindex(table.index)
        kept = (rank.to_numpy() < self.top_k) & (table["score"].to_numpy() > back)
        self._found = PairScores(table, kept, "transition", tables.get("concepts"), tables.get("q_matrix"), channel="order")
        return self

    def scores(self) -> pd.DataFrame:
        """Every judged pair: ``concept_id, requires_id, score, n``."""
        return fitted(self, self._found).table

    def predict(self, pairs: pd.DataFrame) -> pd.Series:
        """Share of each pair, aligned to the index; NaN where too few learners met both."""
        return fitted(self, self._found).predict(pairs)

    def graph(self) -> ConceptGraph:
        """The kept edges; ``weight`` is the share."""
        return fitted(self, self._found).graph()
