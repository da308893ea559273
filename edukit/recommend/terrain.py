"""What a learner can go on to: readiness along the concept graph, for many learners at once, and the items that fit it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from edukit.protocols import PrerequisiteGraph


@dataclass(frozen=True, eq=False)
class Terrain:
    """A concept graph and its items as arrays of positions. Build it with :meth:`of`.

    Parameters
    ----------
    concept_ids : the C concepts. names : what learners are told they are called.
    parents : (C, D, K) int array
        What each concept requires: D requirements, each met by any one of K alternatives; position C is nobody.
    weights : (C, D) array
        Probability that the requirement is real; 0 where there is none.
    item_ids : the I items.
    item_concepts : (I, L) int array
        Concepts of each item, padded with C.
    """

    concept_ids: tuple[str, ...]
    names: tuple[str, ...]
    parents: np.ndarray
    weights: np.ndarray
    item_ids: tuple[str, ...]
    item_concepts: np.ndarray

    @classmethod
    def of(cls, graph: PrerequisiteGraph, only: Collection[str] | None = None) -> Terrain:
        """Read a concept graph, with ``only`` some of its items; prerequisites that share a ``group`` are alternatives.

        Examples
        --------
        >>> from edukit.graph.concept_graph import ConceptGraph
        >>> p = pd.DataFrame({"concept_id": ["c", "c"], "requires_id": ["a", "b"], "source": "expert", "weight": 1.0})
        >>> Terrain.of(ConceptGraph.from_tables(None, p, None)).readiness(np.array([[0.9, 0.5, 0.0]])).round(2).tolist()
        [[1.0, 1.0, 0.45]]
        """
        place = {concept: k for k, concept in enumerate(graph.concept_ids)}
        items: dict[str, list[int]] = {}
        q_matrix = graph.q_matrix if only is None else graph.q_matrix[graph.q_matrix["item_id"].isin(set(only))]
        for item, concept in zip(q_matrix["item_id"], q_matrix["concept_id"], strict=True):
            items.setdefault(item, []).append(place[concept])
        concepts: Any = getattr(graph, "concepts", None)
        names = dict(zip(concepts["concept_id"], concepts["name"], strict=True)) if concepts is not None and "name" in concepts else {}
        required = _requirements(graph.prerequisites, place)
        parents, weights = _padded(required, len(place))
        width = max((len(set(found)) for found in items.values()), default=1)
        table = np.full((len(items), width), len(place), np.int64)
        for row, found in enumerate(items.values()):
            table[row, :len(set(found))] = sorted(set(found))
        return cls(tuple(place), tuple(str(names.get(c, c)) for c in place), parents, weights, tuple(items), table)

    def readiness(self, mastery: np.ndarray) -> np.ndarray:
        """(B, C) P(everything a concept requires is known), from mastery (B, C), taken as independent; 1 where it requires nothing.

        R_k = product over requirements i of (1 - w_ki P(none of the alternatives of i is known)).
        """
        lacking = 1 - np.concatenate([mastery, np.zeros((len(mastery), 1))], axis=1)
        ready = np.ones_like(mastery)
        for slot in range(self.weights.shape[1]):
            missing = lacking[:, self.parents[:, slot, 0]]
            for other in range(1, self.parents.shape[2]):
                missing = missing * lacking[:, self.parents[:, slot, other]]
            ready *= 1 - self.weights[:, slot] * missing
        return ready

    def item_readiness(self, ready: np.ndarray) -> np.ndarray:
        """(B, I) readiness of an item: that of its least ready concept."""
        beside = np.concatenate([ready, np.ones((len(ready), 1))], axis=1)
        found = beside[:, self.item_concepts[:, 0]]
        for nth in range(1, self.item_concepts.shape[1]):
            found = np.minimum(found, beside[:, self.item_concepts[:, nth]])
        return found

    @cached_property
    def items_of(self) -> np.ndarray:
        """(C, M) items of each concept, padded with I."""
        found: list[list[int]] = [[] for _ in self.concept_ids]
        for item, concepts in enumerate(self.item_concepts):
            for concept in concepts[concepts < len(self.concept_ids)]:
                found[concept].append(item)
        table = np.full((len(found), max((len(own) for own in found), default=0) or 1), len(self.item_ids), np.int64)
        for concept, own in enumerate(found):
            table[concept, :len(own)] = own
        return table

    @cached_property
    def place_of_item(self) -> dict[str, int]:
        """Position of every item."""
        return {item: k for k, item in enumerate(self.item_ids)}

    @cached_property
    def depth(self) -> np.ndarray:
        """(C,) links of the longest chain that leads to each concept; 0 = it requires nothing."""
        depth = np.zeros(len(self.concept_ids) + 1, np.int64)
        for _ in self.concept_ids:  # at most as many rounds as the longest chain
            deeper = np.where(self.weights > 0, depth[self.parents].max(axis=2) + 1, 0).max(axis=1, initial=0)
            if (deeper == depth[:-1]).all():
                break
            depth[:-1] = deeper
        return depth[:-1]

    @cached_property
    def order(self) -> np.ndarray:
        """(C,) rank of each concept in an order that respects what it requires: by depth, ties as the concepts come."""
        rank = np.empty(len(self.concept_ids), np.int64)
        rank[np.argsort(self.depth, kind="stable")] = np.arange(len(rank))
        return rank

    def required(self, concept: int) -> np.ndarray:
        """Positions of what a concept requires directly, alternatives included."""
        found = np.unique(self.parents[concept][self.weights[concept] > 0])
        return found[found < len(self.concept_ids)]


def _requirements(prerequisites: pd.DataFrame, place: dict[str, int]) -> list[dict[Any, tuple[set[int], float]]]:
    """Per concept its requirements by name: who meets it, and how probable it is (of several sources the most)."""
    found: list[dict[Any, tuple[set[int], float]]] = [{} for _ in place]
    groups = prerequisites["group"] if "group" in prerequisites else pd.Series(pd.NA, index=prerequisites.index)
    columns = (prerequisites["concept_id"], prerequisites["requires_id"], prerequisites["weight"], groups)
    for concept, parent, weight, group in zip(*columns, strict=True):
        name = (parent, None) if pd.isna(group) else (None, group)
        met, before = found[place[concept]].get(name, (set(), 0.0))
        found[place[concept]][name] = (met | {place[parent]}, max(before, float(weight)))
    return found


def _padded(required: list[dict[Any, tuple[set[int], float]]], nobody: int) -> tuple[np.ndarray, np.ndarray]:
    """(C, D, K) parents and (C, D) weights."""
    slots = max((len(own) for own in required), default=0)
    alternatives = max((len(met) for own in required for met, _ in own.values()), default=1)
    parents, weights = np.full((len(required), slots, alternatives), nobody, np.int64), np.zeros((len(required), slots))
    for concept, own in enumerate(required):
        for slot, (met, weight) in enumerate(own.values()):
            parents[concept, slot, :len(met)], weights[concept, slot] = sorted(met), weight
    return parents, weights
