"""The graphs that the sanity check compares: reversed, and random within topics; and its halves, which share no learner."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from edukit.experiments import graph_sanity, recipe

from edukit.graph.concept_graph import ConceptGraph

CONCEPTS = pd.DataFrame({"concept_id": [f"c{k:02d}" for k in range(20)], "topic": ["algebra"] * 10 + ["geometry"] * 10}).assign(name="x")
EDGES = pd.DataFrame([(f"c{k + 1:02d}", f"c{k:02d}") for k in range(19)], columns=["concept_id", "requires_id"]).assign(source="expert", weight=1.0)
GRAPH = ConceptGraph.from_tables(CONCEPTS, EDGES, None)


def test_reversed_turns_every_edge():
    turned = graph_sanity.reversed_graph(GRAPH)
    assert {tuple(edge) for edge in turned.adjacency()} == {(b, a) for a, b in GRAPH.adjacency()}


def test_random_edges_stay_in_the_topic_and_are_as_many():
    one, other = (graph_sanity.same_topic_graph(GRAPH, seed) for seed in (0, 1))
    topic = CONCEPTS["topic"].to_numpy()
    assert len(one.adjacency()) == len(GRAPH.adjacency()) and all(topic[a] == topic[b] for a, b in one.adjacency())
    assert {tuple(e) for e in one.adjacency()} != {tuple(e) for e in other.adjacency()}
    assert (one.adjacency() == graph_sanity.same_topic_graph(GRAPH, 0).adjacency()).all()


def test_halves_share_no_learner_and_lose_no_row():
    log = pd.DataFrame({"learner_id": np.repeat([f"L{u}" for u in range(21)], 3), "correct": 1.0})
    (_, one), (_, other) = graph_sanity.halves(log, 0)
    assert len(one) + len(other) == len(log) and not set(one["learner_id"]) & set(other["learner_id"])


def test_an_unknown_graph_is_refused():
    from edukit.schema import DataError

    with pytest.raises(DataError, match="graphs must be some of expert"):
        graph_sanity.run(recipe.config("graph_sanity", "graphs=[expret]"))
