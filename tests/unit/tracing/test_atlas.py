"""ATLAS without order: messages go one way, drawn graphs have no circle, planted pairs are found, and where there are none it says so."""

from __future__ import annotations

from functools import cache

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch

from edukit.graph.concept_graph import ConceptGraph
from edukit.graph.stability import NOTHING, SOMETHING
from edukit.metrics import log_loss
from edukit.schema import DataError
from edukit.tracing.atlas import Atlas
from edukit.tracing.atlas_edges import draw
from edukit.tracing.atlas_messages import Asked, Messages, wire
from edukit.tracing.irt import StaticIRT

CONCEPTS, LEARNERS = 12, 800
PARENTS = {3: 0, 4: 1, 5: 2, 6: 3, 7: 4, 8: 5, 9: 6, 10: 7, 11: 8}  # three chains of four
QUICK = {"epochs": 10, "learning_rate": 0.02, "permutations": 19, "candidates": 8, "hidden": 8, "sparsity": (0.1,)}


@cache
def world(planted: bool = True) -> tuple[pd.DataFrame, pd.DataFrame, ConceptGraph]:
    """(train, test, graph): two items a concept; without a planted graph, ability is all there is."""
    rng = np.random.default_rng(4)
    ability, ease = rng.normal(0, 0.7, LEARNERS), rng.normal(0.8, 0.4, CONCEPTS)
    known = np.zeros((LEARNERS, CONCEPTS), bool)
    for k in range(CONCEPTS):
        ready = known[:, PARENTS[k]] if planted and k in PARENTS else np.ones(LEARNERS, bool)
        known[:, k] = rng.random(LEARNERS) < np.where(ready, 1, 0.08) / (1 + np.exp(-(ease[k] + ability + 0.8 * planted)))
    p = np.where(known, 0.9, 0.15) if planted else 1 / (1 + np.exp(-(ease + ability[:, None])))
    rows = pd.DataFrame([(f"L{u}", f"c{k}-{i}", float(rng.random() < p[u, k])) for u in range(LEARNERS) for k in range(CONCEPTS) for i in range(2)
                         if rng.random() < 0.8], columns=["learner_id", "item_id", "correct"]).assign(order=pd.NA).astype({"order": "Int64"})
    items = [(f"c{k}-{i}", f"c{k}") for k in range(CONCEPTS) for i in range(2)]
    q_matrix = pd.DataFrame(items, columns=["item_id", "concept_id"])
    edges = pd.DataFrame({"concept_id": [f"c{k}" for k in PARENTS], "requires_id": [f"c{i}" for i in PARENTS.values()], "source": "true", "weight": 1.0})
    asked = rng.random(len(rows)) < 0.2
    return rows[~asked].reset_index(drop=True), rows[asked].reset_index(drop=True), ConceptGraph.from_tables(None, edges, q_matrix)


@cache
def fitted(graph: str, planted: bool = True) -> Atlas:
    train, _, expert = world(planted)
    return Atlas(graph=graph, **QUICK | ({"epochs": 40} if graph == "learned" and planted else {})).fit(train, expert)


def loss(model: Atlas | StaticIRT, planted: bool = True) -> float:
    train, test, _ = world(planted)
    return log_loss(test["correct"], model.predict(test.drop(columns="correct"), train))


def forecast(item: str, given: dict[str, float]) -> float:
    """P(correct on item) of an average learner with these answers, ability held, under the planted graph."""
    train, _, graph = world()
    base = StaticIRT().fit(train, graph)
    vocabulary = base.vocabulary_
    one = np.zeros(1)
    told = vocabulary.index(pd.Series(list(given))) if given else np.zeros(0, np.int64)
    asked = Asked(np.zeros(1, int), vocabulary.index(pd.Series([item])), np.zeros(len(told), int), told, np.array(list(given.values())), one, one + 0.5,
                  np.zeros(1, int))
    edges = graph.adjacency()
    with torch.no_grad():
        messages = Messages(len(base.items_.intercept)).double()
        return float(messages(wire(asked, base.items_, vocabulary, edges, torch.float64), torch.ones(1, len(edges), dtype=torch.float64))[0])


def test_messages_go_one_way():
    child, parent, stranger = "c3-0", "c0-0", "c1-0"
    still = forecast(child, {})
    assert forecast(child, {parent: 0.0}) < still - 0.02 and forecast(child, {parent: 1.0}) == still == forecast(child, {stranger: 0.0})
    still = forecast(parent, {})
    assert forecast(parent, {child: 1.0}) > still + 0.02 and forecast(parent, {child: 0.0}) == still == forecast(parent, {stranger: 1.0})


def test_own_answers_move_a_concept_both_ways():
    assert forecast("c0-0", {"c0-1": 0.0}) < forecast("c0-0", {}) < forecast("c0-0", {"c0-1": 1.0})


def test_drawn_edges_have_their_probability_and_never_run_in_a_circle():
    rng, size = np.random.default_rng(0), 6
    pairs = np.array([(i, j) for i in range(size) for j in range(size) if i != j])
    heights, related = rng.normal(size=size), rng.random(len(pairs))
    probability = related / (1 + np.exp(heights[pairs[:, 0]] - heights[pairs[:, 1]]))
    drawn = np.array([draw(pairs, probability, heights, rng) for _ in range(4000)])
    assert all(nx.is_directed_acyclic_graph(nx.DiGraph(pairs[kept].tolist())) for kept in drawn[:200])
    np.testing.assert_allclose(drawn.mean(axis=0), probability, atol=0.035)


def test_planted_prerequisites_are_learnt_and_help():
    learnt = fitted("learned")
    assert learnt.report_["verdict"] == SOMETHING and loss(learnt) < loss(fitted("none")) - 0.003 < loss(StaticIRT().fit(*world()[::2]))
    true = [(f"c{k}", f"c{i}") for k, i in PARENTS.items()]
    weight = learnt.edges_.set_index(["concept_id", "requires_id"])["weight"]
    of_true, turned = (np.array([weight.get(pair, 0.0) for pair in pairs]) for pairs in (true, [(b, a) for a, b in true]))
    others = weight[~weight.index.isin([*true, *((b, a) for a, b in true)])]
    assert np.maximum(of_true, turned).min() > 3 * others.mean()  # which way round is not told for certain by answers alone
    assert len(world()[2].replace(learnt.sample_graph(np.random.default_rng(1))).adjacency()) > 3


def test_the_given_graph_helps_and_one_between_strangers_does_not():
    train, _, graph = world()
    strangers = pd.DataFrame([(f"c{k}", f"c{3 * ((k - 3) // 3) + (k + 1) % 3}") for k in PARENTS], columns=["concept_id", "requires_id"])
    right, wrong = fitted("given"), Atlas(graph="given", **QUICK).fit(train, graph.replace(strangers.assign(source="drawn", weight=1.0)))
    assert right.report_["verdict"] == SOMETHING and loss(right) < loss(fitted("none")) - 0.003
    assert wrong.report_["verdict"] == NOTHING and loss(right) < loss(wrong) - 0.003
    assert right.edges_["weight"].eq(1).all() and len(right.edges_) == len(PARENTS)


@pytest.mark.parametrize("graph", ["given", "learned"])
def test_where_ability_is_all_there_is_no_edge_is_used(graph):
    model = fitted(graph, planted=False)
    assert model.report_["verdict"] == NOTHING and not model.edges_["used"].any()
    assert len(model.sample_graph(np.random.default_rng(0))) == 0
    assert loss(model, planted=False) == pytest.approx(loss(fitted("none", planted=False), planted=False), abs=0.002)


def test_labels_teach_only_the_drawn_concepts_and_settings_are_checked():
    train, _, graph = world()
    model = Atlas(graph="learned", labels=0.5, **QUICK | {"permutations": 0}).fit(train, graph)
    assert len(model.labelled_) == CONCEPTS // 2
    edges = model.edges_[model.edges_["concept_id"].isin(model.labelled_)]
    true = pd.MultiIndex.from_frame(graph.prerequisites[["concept_id", "requires_id"]])
    right = pd.MultiIndex.from_frame(edges[["concept_id", "requires_id"]]).isin(true)
    assert edges["weight"][right].mean() > 3 * edges["weight"][~right].mean()
    for wrong in ({"graph": "guessed"}, {"labels": 0.7}, {"graph": "given", "labels": 0.2}, {"sparsity": ()}):
        with pytest.raises(DataError, match=next(reversed(wrong))):
            Atlas(**wrong)


def test_the_residual_head_says_what_it_took_and_is_saved(tmp_path):
    train, test, graph = world()
    model = Atlas(graph="given", residual=True, **QUICK).fit(train, graph)
    shares = [model.report_[f"share_{name}"] for name in ("ability", "graph", "residual")]
    assert sum(shares) == pytest.approx(1) and shares[1] > 0.01
    model.save(tmp_path / "atlas")
    again = Atlas.load(tmp_path / "atlas")
    assert again.report_ == model.report_
    pd.testing.assert_series_equal(model.predict(test, train), again.predict(test, train), check_exact=True)
    pd.testing.assert_frame_equal(model.edges_, again.edges_)


@pytest.mark.parametrize("off", [{"potential": False}, {"cross_fitted": False, "layers": 0}, {"exposure": True, "text": True}])
def test_every_part_can_be_taken_away(off, tmp_path, monkeypatch):
    monkeypatch.setattr("edukit.text.embed", lambda names: np.eye(max(len(names), 2))[: len(names)] * 1.0)
    train, test, graph = world()
    model = Atlas(graph="given_and_learned", abstain=False, **QUICK | {"permutations": 0, "epochs": 1}, **off).fit(train, graph)
    assert model.predict(test, train).between(0, 1).all()
    known = model.edges_.merge(graph.prerequisites[["concept_id", "requires_id"]])
    assert len(known) == len(PARENTS) and known["weight"].mean() > 2 * model.edges_["weight"].mean()
    graph.replace(model.sample_graph(np.random.default_rng(0)))  # refuses a circle
    model.save(tmp_path / "atlas")
    pd.testing.assert_series_equal(model.predict(test, train), Atlas.load(tmp_path / "atlas").predict(test, train), check_exact=True)
