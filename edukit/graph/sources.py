"""Graphs that need no learning: the one that came with the data, and none at all."""

from __future__ import annotations

from typing import ClassVar, Self

import pandas as pd

from edukit.graph.concept_graph import ConceptGraph, break_cycles, named
from edukit.protocols import NotFittedError, Tables
from edukit.schema import DataError

_PAIR = ["concept_id", "requires_id"]


class NoGraph:
    """No prerequisite at all: the control beside which every other graph is shown."""

    reads: ClassVar[str] = "nothing"

    def __init__(self) -> None:
        self._graph: ConceptGraph | None = None

    def fit(self, tables: Tables, labels: pd.DataFrame | None = None) -> Self:
        """Note the concepts and the q_matrix; nothing else is read."""
        concepts = tables.get("concepts")
        self._graph = ConceptGraph.from_tables(concepts, None, tables.get("q_matrix"))
        return self

    def predict(self, pairs: pd.DataFrame) -> pd.Series:
        """NaN for every pair: it has no opinion."""
        self.graph()
        return pd.Series(float("nan"), index=pairs.index, name="score", dtype="float64")

    def graph(self) -> ConceptGraph:
        """All concepts and items, no edge."""
        if self._graph is None:
            raise NotFittedError("NoGraph was asked before it was fitted; call fit first.")
        return self._graph


class Expert:
    """The prerequisites that came with the data; where they run in a circle the least is dropped and reported.

    Attributes
    ----------
    report : dict
        After :meth:`fit`: ``claims`` (rows handed in), ``edges`` (distinct pairs kept), ``dropped`` (table ``prerequisites`` of the rows
        given up, self-loops included; no rows where the claims had an order).
    """

    reads: ClassVar[str] = "nothing"

    def __init__(self) -> None:
        self._graph: ConceptGraph | None = None

    def fit(self, tables: Tables, labels: pd.DataFrame | None = None) -> Self:
        """Take ``prerequisites`` as they are, less what closes a cycle; ``labels`` are not used.

        Raises
        ------
        DataError
            If the data hold no prerequisites.
        """
        claims = tables.get("prerequisites")
        if claims is None or not len(claims):
            raise DataError("the expert graph needs the table prerequisites, which these data do not hold; choose graph=evidence or none.")
        concepts = tables["concepts"] if "concepts" in tables else named(*(tables[t] for t in ("prerequisites", "q_matrix") if t in tables))
        kept, dropped = break_cycles(concepts, claims)
        self._graph = ConceptGraph.from_tables(concepts, kept, tables.get("q_matrix"))
        self.report = {"claims": len(claims), "edges": len(self._graph.adjacency()), "dropped": dropped}
        return self

    def predict(self, pairs: pd.DataFrame) -> pd.Series:
        """Weight of the edge that is claimed, 0 where none is, aligned to the index; NaN for a concept it does not know."""
        graph = self.graph()
        known = graph.prerequisites.groupby(_PAIR)["weight"].max()
        found = pd.Series(known.reindex(pd.MultiIndex.from_frame(pairs[_PAIR])).to_numpy(float), index=pairs.index, name="score")
        return found.fillna(0.0).where(pairs[_PAIR].isin(graph.concept_ids).all(axis=1))

    def graph(self) -> ConceptGraph:
        """The acyclic graph of what was kept."""
        if self._graph is None:
            raise NotFittedError("Expert was asked before it was fitted; call fit first.")
        return self._graph
