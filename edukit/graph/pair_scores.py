"""What a model of responses found out about every pair of concepts: kept once, looked up pair by pair, and turned into a graph without cycles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from edukit.graph.concept_graph import ConceptGraph, break_cycles
from edukit.protocols import NotFittedError, Tables
from edukit.schema import DataError

PAIR = ["concept_id", "requires_id"]


def need_log(model: object, tables: Tables) -> None:
    """Raise DataError, naming the model, where the tables lack what every model of responses reads."""
    for name in ("interactions", "q_matrix"):
        if name not in tables:
            raise DataError(f"{type(model).__name__} needs the table {name}; found {', '.join(tables) or 'no table'}.")


def fitted(model: object, found: PairScores | None) -> PairScores:
    """What the model found; raises NotFittedError, naming the model, where there is nothing yet."""
    if found is None:
        raise NotFittedError(f"{type(model).__name__} was asked before it was fitted; call fit first.")
    return found


@dataclass(frozen=True, eq=False)
class PairScores:
    """A score for each ordered pair of concepts that the log can tell something about.

    Attributes
    ----------
    table : ``concept_id, requires_id, score, n`` (learners who met both), one row per judged pair.
    kept : (N,) bool, rows of ``table`` that :meth:`graph` draws from.
    source, channel : who says so, and from what, of the edges. concepts, q_matrix : of the graph, or None.
    """

    table: pd.DataFrame
    kept: np.ndarray
    source: str
    concepts: pd.DataFrame | None
    q_matrix: pd.DataFrame | None
    channel: str = "responses"

    @classmethod
    def of(cls, source: str, tables: Tables, concept_ids: list[str], score: np.ndarray, common: np.ndarray, judged: np.ndarray, kept: np.ndarray) -> Self:
        """From (C, C) matrices [concept, candidate prerequisite]: scores, common learners, which pairs are judged, which of them are kept as edges."""
        child, parent = np.nonzero(judged)
        ids = np.array(concept_ids, object)
        table = pd.DataFrame({"concept_id": pd.Series(ids[child], dtype="str"), "requires_id": pd.Series(ids[parent], dtype="str"),
                              "score": score[child, parent], "n": common[child, parent].astype("int64")})
        return cls(table, kept[child, parent], source, tables.get("concepts"), tables.get("q_matrix"))

    def predict(self, pairs: pd.DataFrame) -> pd.Series:
        """Score of each pair, aligned to the index; NaN where it was not judged."""
        known = self.table.set_index(PAIR)["score"]
        return pd.Series(known.reindex(pd.MultiIndex.from_frame(pairs[PAIR])).to_numpy(float), index=pairs.index, name="score")

    def graph(self) -> ConceptGraph:
        """The kept pairs, less what would close a cycle; ``weight`` is the score, at most 1."""
        strong = self.table[self.kept]
        edges = strong[PAIR].assign(source=self.source, weight=strong["score"].clip(upper=1.0), channel=self.channel).reset_index(drop=True)
        bare = ConceptGraph.from_tables(self.concepts, None, self.q_matrix)
        return bare.replace(break_cycles(bare.concepts, edges)[0] if len(edges) else None)
