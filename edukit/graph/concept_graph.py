"""Which concept depends on which: the graph that every room reads, held so that it can never contain a cycle."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from edukit.schema import TABLES, DataError
from edukit.validation import validate

if TYPE_CHECKING:
    import networkx as nx

_PAIR = ["concept_id", "requires_id"]


def _empty(name: str) -> pd.DataFrame:
    """A table without rows, in the declared required columns."""
    return pd.DataFrame({c.name: pd.Series(dtype="float64" if c.kind == "number" else "str") for c in TABLES[name].columns if c.required})


def _checked(table: pd.DataFrame | None, name: str) -> pd.DataFrame:
    return _empty(name) if table is None or not len(table) else validate(table, name)


def named(*tables: pd.DataFrame) -> pd.DataFrame:
    """Every concept that some tables name, sorted, for data that come without a table ``concepts``."""
    found = sorted({concept for table in tables for column in _PAIR if column in table for concept in table[column].astype("str")})
    return pd.DataFrame({"concept_id": pd.Series(found, dtype="str"), "name": pd.Series(found, dtype="str")})


def _digraph(concept_ids: Iterable[str], prerequisites: pd.DataFrame) -> nx.DiGraph:
    """Arrows run from a prerequisite to the concept that requires it; sources that agree share one arrow with the largest weight."""
    import networkx as nx

    arrows = prerequisites.groupby(_PAIR, sort=False)["weight"].max()
    graph = nx.DiGraph()
    graph.add_nodes_from(concept_ids)
    graph.add_weighted_edges_from((parent, child, weight) for (child, parent), weight in arrows.items())
    return graph


def _cycle(graph: nx.DiGraph) -> list[str] | None:
    """The concepts of one cycle, each required by the next, or None."""
    import networkx as nx

    try:
        return [edge[0] for edge in nx.find_cycle(graph)]
    except nx.NetworkXNoCycle:
        return None


def _sequence(graph: nx.DiGraph) -> list[str]:
    """Concepts of one strongly connected part in an order that few arrows run against (Eades, Lin & Smyth 1993, weighted)."""
    rest = graph.copy()
    head: list[str] = []
    tail: list[str] = []
    while rest:
        moved = [v for v in sorted(rest) if not rest.out_degree(v)]
        if moved:
            tail.extend(moved)
        else:
            moved = [v for v in sorted(rest) if not rest.in_degree(v)]
            moved = moved or [min(rest, key=lambda v: (rest.in_degree(v, "weight") - rest.out_degree(v, "weight"), v))]
            head.extend(moved)
        rest.remove_nodes_from(moved)
    return head + tail[::-1]


def _kept_greedily(part: nx.DiGraph, arrows: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """Arrows taken in the given order, leaving out each that would close a cycle."""
    import networkx as nx

    kept = nx.DiGraph()
    kept.add_nodes_from(part)
    for parent, child in arrows:
        if not nx.has_path(kept, child, parent):
            kept.add_edge(parent, child)
    return set(kept.edges)


def break_cycles(concepts: pd.DataFrame, prerequisites: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give up as little of what the experts claim as is needed for the claims to have an order.

    Self-loops always go. Inside each strongly connected part arrows are added one by one and each that would close a cycle is dropped;
    two orders are tried and the better is taken (least total weight dropped, then fewest arrows): those that agree with the
    Eades-Lin-Smyth sequence first, and heaviest first. The result depends on ids and weights only, never on row order.

    Parameters
    ----------
    concepts : table ``concepts``.
    prerequisites : table ``prerequisites``; all rows (sources) of one pair stay or go together.

    Returns
    -------
    kept, dropped : two tables ``prerequisites``, in the given row order.

    References
    ----------
    Eades, Lin & Smyth (1993), Information Processing Letters 47.

    Examples
    --------
    >>> c = pd.DataFrame({"concept_id": ["a", "b"], "name": ["a", "b"]})
    >>> p = pd.DataFrame({"concept_id": ["a", "b"], "requires_id": ["b", "a"], "source": "expert", "weight": [0.9, 0.4]})
    >>> kept, dropped = break_cycles(c, p)
    >>> list(dropped["concept_id"])
    ['b']
    """
    import networkx as nx

    table = _checked(prerequisites, "prerequisites")
    graph = _digraph(concepts["concept_id"].astype("str"), table)
    dropped = set(nx.selfloop_edges(graph))
    graph.remove_edges_from(list(dropped))
    for members in nx.strongly_connected_components(graph):
        if len(members) < 2:
            continue
        part = graph.subgraph(members)
        weight = {(a, b): w for a, b, w in part.edges(data="weight")}
        heaviest = sorted(weight, key=lambda arrow: (-weight[arrow], arrow))
        place = {concept: k for k, concept in enumerate(_sequence(part))}
        forward = sorted(heaviest, key=lambda arrow: place[arrow[0]] > place[arrow[1]])  # stable: heaviest first within each half
        tries = [set(weight) - _kept_greedily(part, order) for order in (forward, heaviest)]
        dropped |= min(tries, key=lambda gone: (round(sum(weight[a] for a in gone), 9), len(gone)))
    gone = np.array([(r, c) in dropped for c, r in zip(table["concept_id"], table["requires_id"], strict=True)], bool)
    return table[~gone].reset_index(drop=True), table[gone].reset_index(drop=True)


@dataclass(frozen=True, eq=False)
class ConceptGraph:
    """Concepts, what each requires, and which items assess them; acyclic by construction. Build it with :meth:`from_tables`.

    Attributes
    ----------
    concepts : table ``concepts``; its row order is the order of the C concepts everywhere.
    prerequisites : table ``prerequisites``, possibly without rows; ``weight`` is the probability of the edge.
    q_matrix : table ``q_matrix``.
    """

    concepts: pd.DataFrame
    prerequisites: pd.DataFrame
    q_matrix: pd.DataFrame

    def __post_init__(self) -> None:
        known = set(self.concept_ids)
        for name, column in (("prerequisites", "concept_id"), ("prerequisites", "requires_id"), ("q_matrix", "concept_id")):
            values = getattr(self, name)[column]
            bad = np.flatnonzero(~values.isin(known).to_numpy(bool))
            if len(bad):
                raise DataError(f"{name}.{column} must be found in concepts.concept_id; found {values.iloc[bad[0]]!r} in {len(bad):,} of "
                                f"{len(values):,} rows (first: row {bad[0] + 1:,}). Add the concept, or drop these rows.")
        cycle = _cycle(self._network)
        if cycle:
            shown = " → ".join([*cycle, cycle[0]])
            raise DataError(f"prerequisites must not run in a circle; found {shown} (each is required by the next). "
                            "Drop one of these edges, or call edukit.graph.concept_graph.break_cycles, which reports what it drops.")

    @classmethod
    def from_tables(cls, concepts: pd.DataFrame | None, prerequisites: pd.DataFrame | None, q_matrix: pd.DataFrame | None) -> ConceptGraph:
        """Check the tables and build the graph.

        Parameters
        ----------
        concepts : table ``concepts``; ``name`` may be missing (the id is used); None takes every concept named in the other two, sorted.
        prerequisites : table ``prerequisites``; None or no rows = no edges.
        q_matrix : table ``q_matrix``; None or no rows = no items.

        Raises
        ------
        DataError
            On a table that is not valid, an id that refers to nothing, or a cycle, which is named in full.

        Examples
        --------
        >>> p = pd.DataFrame({"concept_id": ["area"], "requires_id": ["length"], "source": ["expert"], "weight": [1.0]})
        >>> ConceptGraph.from_tables(None, p, None).parents("area")
        ['length']
        """
        edges, items = _checked(prerequisites, "prerequisites"), _checked(q_matrix, "q_matrix")
        if concepts is None:
            concepts = named(edges, items)
        if "name" not in concepts:
            concepts = concepts.assign(name=concepts["concept_id"])
        return cls(validate(concepts, "concepts"), edges, items)

    def replace(self, prerequisites: pd.DataFrame | None) -> ConceptGraph:
        """The same concepts and items under other edges (None = none); raises DataError as :meth:`from_tables`."""
        return ConceptGraph(self.concepts, _checked(prerequisites, "prerequisites"), self.q_matrix)

    @cached_property
    def concept_ids(self) -> list[str]:
        """The C concepts in a fixed order."""
        return self.concepts["concept_id"].tolist()

    @cached_property
    def item_ids(self) -> list[str]:
        """The I items in the order of their first row in ``q_matrix``."""
        return self.q_matrix["item_id"].drop_duplicates().tolist()

    @cached_property
    def _network(self) -> nx.DiGraph:
        return _digraph(self.concept_ids, self.prerequisites)

    @cached_property
    def _arrows(self) -> tuple[np.ndarray, np.ndarray]:
        place = {concept: k for k, concept in enumerate(self.concept_ids)}
        found = sorted((place[a], place[b], w) for a, b, w in self._network.edges(data="weight"))
        arrows = np.array([f[:2] for f in found], np.int64).reshape(-1, 2)
        weights = np.array([f[2] for f in found], np.float64)
        for array in (arrows, weights):
            array.setflags(write=False)
        return arrows, weights

    def adjacency(self) -> np.ndarray:
        """(E, 2) integers, sorted: positions in ``concept_ids`` of (prerequisite, concept), each pair once. Read-only."""
        return self._arrows[0]

    def weights(self) -> np.ndarray:
        """(E,) probability of each edge of :meth:`adjacency` (the largest, where several sources claim it). Read-only."""
        return self._arrows[1]

    def _known(self, concept: str) -> str:
        if concept not in self._network:
            raise DataError(f"concept {concept!r} must be one of the {len(self.concept_ids):,} of this graph ({self.concept_ids[:3]} …).")
        return concept

    def _in_order(self, concepts: Collection[str]) -> list[str]:
        return [concept for concept in self.concept_ids if concept in concepts]

    def parents(self, concept: str) -> list[str]:
        """What ``concept`` requires directly, in the order of ``concept_ids``."""
        return self._in_order(set(self._network.predecessors(self._known(concept))))

    def children(self, concept: str) -> list[str]:
        """What directly requires ``concept``."""
        return self._in_order(set(self._network.successors(self._known(concept))))

    def ancestors(self, concept: str) -> list[str]:
        """Everything ``concept`` builds on, however far back."""
        import networkx as nx

        return self._in_order(nx.ancestors(self._network, self._known(concept)))

    def descendants(self, concept: str) -> list[str]:
        """Everything that builds on ``concept``, however far on."""
        import networkx as nx

        return self._in_order(nx.descendants(self._network, self._known(concept)))

    def topological_order(self) -> list[str]:
        """All concepts, each after what it requires; ties in the order of ``concept_ids``."""
        import networkx as nx

        place = {concept: k for k, concept in enumerate(self.concept_ids)}
        return list(nx.lexicographical_topological_sort(self._network, key=place.__getitem__))

    def depth(self) -> pd.Series:
        """Edges on the longest chain that leads to each concept (index concept_id); 0 = requires nothing."""
        deep: dict[str, int] = {}
        for concept in self.topological_order():
            deep[concept] = max((deep[p] + 1 for p in self._network.predecessors(concept)), default=0)
        return pd.Series(deep, name="depth", dtype="int64").rename_axis("concept_id").reindex(self.concept_ids)

    def outer_fringe(self, mastered: Collection[str]) -> list[str]:
        """What a learner is ready for: concepts not mastered all of whose prerequisites are.

        Edges that share a ``group`` are alternatives: one mastered prerequisite of the group is enough.

        References
        ----------
        Doignon & Falmagne (1985), International Journal of Man-Machine Studies 23.
        """
        have = {self._known(concept) for concept in mastered}
        rows = self.prerequisites.assign(met=self.prerequisites["requires_id"].isin(have))
        alone = rows["requires_id"].map(lambda parent: f"alone\0{parent}")
        named = rows["group"].map(lambda name: f"group\0{name}", na_action="ignore") if "group" in rows else alone
        met = rows.groupby(["concept_id", named.fillna(alone).rename("needs")])["met"].any().groupby("concept_id").all()
        blocked = set(met.index[~met.to_numpy(bool)])
        return [c for c in self.concept_ids if c not in have and c not in blocked]

    def sample(self, rng: np.random.Generator) -> ConceptGraph:
        """One graph that could be true: every edge kept with its probability, independently; a subset of a DAG has no cycle."""
        arrows, weights = self._arrows
        ids = np.array(self.concept_ids, object)
        kept = arrows[rng.random(len(arrows)) < weights]
        pairs = pd.MultiIndex.from_arrays([ids[kept[:, 1]], ids[kept[:, 0]]]) if len(kept) else []
        stays = pd.MultiIndex.from_frame(self.prerequisites[_PAIR]).isin(pairs) if len(kept) else np.zeros(len(self.prerequisites), bool)
        return ConceptGraph(self.concepts, self.prerequisites[stays].reset_index(drop=True), self.q_matrix)

    @cached_property
    def _hetero(self) -> Any:
        import torch
        from torch_geometric.data import HeteroData

        concept = {c: k for k, c in enumerate(self.concept_ids)}
        item = {i: k for k, i in enumerate(self.item_ids)}
        data = HeteroData()
        data["concept"].num_nodes, data["item"].num_nodes = len(concept), len(item)
        edge = data["concept", "prerequisite_of", "concept"]
        edge.edge_index = torch.tensor(self.adjacency().T.copy())
        edge.edge_attr = torch.tensor(self.weights().copy(), dtype=torch.float32).unsqueeze(1)
        tagged = [self.q_matrix["item_id"].map(item), self.q_matrix["concept_id"].map(concept)]
        data["item", "assesses", "concept"].edge_index = torch.tensor(np.stack([np.asarray(t, np.int64) for t in tagged]))
        return data

    def hetero(self) -> Any:
        """The graph as a PyTorch Geometric ``HeteroData``, built once and shared: clone it before writing into it.

        Node types ``concept`` (C, order of ``concept_ids``) and ``item`` (I, order of ``item_ids``); edge types (``concept``,
        ``prerequisite_of``, ``concept``), (2, E) with ``edge_attr`` (E, 1) = probability, and (``item``, ``assesses``, ``concept``).
        """
        return self._hetero
