import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edukit.graph.concept_graph import ConceptGraph, break_cycles
from edukit.protocols import PrerequisiteGraph
from edukit.schema import DataError

CONCEPTS = pd.DataFrame({"concept_id": list("dcba"), "name": list("DCBA")})
Q = pd.DataFrame({"item_id": ["q1", "q2", "q2"], "concept_id": ["a", "b", "c"]})


def edges(*pairs: str, **columns) -> pd.DataFrame:
    """Each pair "xy" says that y requires x."""
    table = pd.DataFrame({"concept_id": [p[1] for p in pairs], "requires_id": [p[0] for p in pairs], "source": "expert", "weight": 1.0})
    return table.assign(**columns)


def test_a_cycle_is_refused_and_named_in_full():
    with pytest.raises(DataError, match="circle") as refused:
        ConceptGraph.from_tables(CONCEPTS, edges("ab", "bc", "ca", "cd"), Q)
    named = str(refused.value).split("found ")[1].split(" (")[0].split(" → ")
    assert len(named) == 4 and named[0] == named[-1] and {"".join(p) for p in zip(named, named[1:], strict=False)} == {"ab", "bc", "ca"}


def test_a_self_loop_is_a_cycle():
    with pytest.raises(DataError, match="b → b"):
        ConceptGraph.from_tables(CONCEPTS, edges("ab", "bb"), Q)


@pytest.mark.parametrize(
    ("prerequisites", "q_matrix", "words"),
    [(edges("ab", "xc"), Q, r"prerequisites.requires_id .* 'x' in 1 of 2 rows \(first: row 2\)"),
     (edges("ax"), Q, "prerequisites.concept_id .* 'x'"),
     (None, pd.DataFrame({"item_id": ["q"], "concept_id": ["z"]}), "q_matrix.concept_id .* 'z'")],
)
def test_an_id_that_refers_to_nothing_is_refused(prerequisites, q_matrix, words):
    with pytest.raises(DataError, match=words):
        ConceptGraph.from_tables(CONCEPTS, prerequisites, q_matrix)


def test_kinship_order_and_depth():
    graph = ConceptGraph.from_tables(CONCEPTS, edges("ab", "bc", "ac", "cd"), Q)
    assert isinstance(graph, PrerequisiteGraph)
    assert graph.concept_ids == list("dcba")
    assert graph.parents("c") == ["b", "a"] and graph.children("a") == ["c", "b"]
    assert graph.ancestors("d") == ["c", "b", "a"] and graph.descendants("b") == ["d", "c"]
    assert graph.topological_order() == list("abcd")
    assert graph.depth().to_dict() == {"a": 0, "b": 1, "c": 2, "d": 3}
    assert [(graph.concept_ids[p], graph.concept_ids[c]) for p, c in graph.adjacency()] == [("c", "d"), ("b", "c"), ("a", "c"), ("a", "b")]
    with pytest.raises(DataError, match="'zz' must be one of the 4"):
        graph.parents("zz")


def test_sources_that_agree_are_one_edge_with_the_largest_weight():
    claims = pd.concat([edges("ab", weight=0.4), edges("ab", source="text", weight=0.7)])
    graph = ConceptGraph.from_tables(CONCEPTS, claims, Q)
    assert len(graph.adjacency()) == 1 and graph.weights().tolist() == [0.7] and len(graph.prerequisites) == 2


def test_any_string_is_an_id():
    odd = ["10^n)", "≥ 2 · (", "a.b*"]
    table = pd.DataFrame({"concept_id": odd[1:], "requires_id": odd[:2], "source": "expert", "weight": 1.0})
    graph = ConceptGraph.from_tables(pd.DataFrame({"concept_id": odd}), table, None)
    assert graph.ancestors("a.b*") == odd[:2] and graph.concepts["name"].tolist() == odd


def test_outer_fringe_is_what_a_learner_is_ready_for():
    graph = ConceptGraph.from_tables(CONCEPTS, edges("ab", "ac", "bd", "cd"), Q)
    assert graph.outer_fringe(set()) == ["a"]
    assert graph.outer_fringe({"a"}) == ["c", "b"]
    assert graph.outer_fringe({"a", "b"}) == ["c"]
    assert graph.outer_fringe(set("abcd")) == []
    assert graph.replace(None).outer_fringe(set()) == list("dcba")


def test_one_of_a_group_of_alternatives_is_enough():
    claims = pd.concat([edges("bd", "cd", group="either"), edges("ad")])
    graph = ConceptGraph.from_tables(CONCEPTS, claims, Q)
    assert "d" in graph.outer_fringe({"a", "b"}) and "d" in graph.outer_fringe({"a", "c"})
    assert "d" not in graph.outer_fringe({"b", "c"}) and "d" not in graph.outer_fringe({"a"})


def test_break_cycles_drops_the_lightest_and_says_what():
    claims = edges("ab", "bc", "ca", "cd", "dd", weight=[0.9, 0.2, 0.8, 1.0, 1.0])
    kept, dropped = break_cycles(CONCEPTS, claims)
    assert sorted(zip(dropped["requires_id"], dropped["concept_id"], strict=True)) == [("b", "c"), ("d", "d")]
    ConceptGraph.from_tables(CONCEPTS, kept, Q)
    again, none = break_cycles(CONCEPTS, kept)
    assert none.empty and again.equals(kept)


def test_break_cycles_drops_one_edge_that_lies_on_many_cycles():
    concepts = pd.DataFrame({"concept_id": list("abcdexyz")})
    _, dropped = break_cycles(concepts, edges("ax", "ay", "az", "xb", "yb", "zb", "ba"))
    assert (dropped["requires_id"] + dropped["concept_id"]).tolist() == ["ba"]


@given(st.lists(st.tuples(st.sampled_from("abcdefg"), st.sampled_from("abcdefg"), st.floats(0.01, 1)), min_size=1, max_size=25,
                unique_by=lambda e: e[:2]), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_break_cycles_leaves_an_order_drops_nothing_needlessly_and_ignores_row_order(claims, shuffler):
    concepts = pd.DataFrame({"concept_id": list("abcdefg")})
    table = pd.DataFrame(claims, columns=["requires_id", "concept_id", "weight"]).assign(source="expert")
    kept, dropped = break_cycles(concepts, table)
    ConceptGraph.from_tables(concepts, kept, None)
    assert len(kept) + len(dropped) == len(table)
    for row in range(len(dropped)):
        with pytest.raises(DataError, match="circle"):
            ConceptGraph.from_tables(concepts, pd.concat([kept, dropped.iloc[[row]]]), None)
    shuffled = table.sample(frac=1, random_state=shuffler.randint(0, 9))
    pairs = [set(zip(t["requires_id"], t["concept_id"], strict=True)) for t in (dropped, break_cycles(concepts, shuffled)[1])]
    assert pairs[0] == pairs[1]


def test_a_sample_keeps_edges_as_often_as_their_weight_says():
    graph = ConceptGraph.from_tables(CONCEPTS, edges("ab", "bc", "cd", "ad", weight=[1.0, 0.0, 0.3, 0.8]), Q)
    rng = np.random.default_rng(0)
    counts = pd.Series(0.0, index=["ab", "bc", "cd", "ad"])
    for _ in range(150):
        drawn = graph.sample(rng)
        drawn.topological_order()
        counts[(drawn.prerequisites["requires_id"] + drawn.prerequisites["concept_id"]).tolist()] += 1
    assert counts["ab"] == 150 and counts["bc"] == 0 and abs(counts["cd"] / 150 - 0.3) < 0.11 and abs(counts["ad"] / 150 - 0.8) < 0.1


def test_hetero_carries_both_relations_and_is_built_once():
    graph = ConceptGraph.from_tables(CONCEPTS, edges("ab", "ad", weight=[0.5, 1.0]), Q)
    data = graph.hetero()
    assert data is graph.hetero() and data.validate()
    assert data["concept"].num_nodes == 4 and data["item"].num_nodes == 2
    relation = data["concept", "prerequisite_of", "concept"]
    ends, weights = relation.edge_index.T.tolist(), relation.edge_attr[:, 0].tolist()
    found = {(graph.concept_ids[a], graph.concept_ids[b]): weight for (a, b), weight in zip(ends, weights, strict=True)}
    assert found == {("a", "b"): 0.5, ("a", "d"): 1.0}
    tagged = data["item", "assesses", "concept"].edge_index.T.tolist()
    assert {(graph.item_ids[i], graph.concept_ids[c]) for i, c in tagged} == set(Q.itertuples(index=False, name=None))
