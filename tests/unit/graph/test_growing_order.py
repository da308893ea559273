"""A claim is refused exactly where it would close a circle."""

import networkx as nx
import numpy as np
import pytest

from edukit.graph.growing_order import GrowingOrder


@pytest.mark.parametrize("seed", range(5))
def test_claims_are_taken_unless_they_close_a_circle(seed):
    order, graph = GrowingOrder(), nx.DiGraph()
    refused = 0
    for one, other in np.random.default_rng(seed).integers(0, 25, (150, 2)).astype(str).tolist():
        graph.add_nodes_from([one, other])
        closes = nx.has_path(graph, other, one)
        assert order.add(one, other) != closes
        refused += closes
        if not closes:
            graph.add_edge(one, other)
    assert nx.is_directed_acyclic_graph(graph) and 10 < refused < 140


def test_a_long_chain_that_is_told_backwards_is_kept_and_its_circle_refused():
    order = GrowingOrder()
    assert all(order.add(str(k), str(k + 1)) for k in reversed(range(300)))
    assert not order.add("300", "0") and not order.add("7", "7") and order.add("0", "300") and order.add("0", "300")
