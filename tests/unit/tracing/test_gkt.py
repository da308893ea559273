"""Graph-based knowledge tracing: what flows along the edges, and what does not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.graph.concept_graph import ConceptGraph
from edukit.metrics import auc
from edukit.tracing.gkt import GKT, _strongest
from edukit.tracing.networks import _steps
from edukit.tracing.sequences import Vocabulary, encode

torch = pytest.importorskip("torch")

SMALL = {"hidden": 8, "epochs": 10, "batch_size": 32, "learning_rate": 0.02, "dropout": 0.0}
PAIRS = 3


def edges(pairs: list[tuple[str, str]]) -> pd.DataFrame:
    return pd.DataFrame({"requires_id": [a for a, _ in pairs], "concept_id": [b for _, b in pairs], "source": "expert", "weight": 1.0})


@pytest.fixture(scope="module")
def course() -> tuple[pd.DataFrame, pd.DataFrame, ConceptGraph]:
    """Three basics, each required by one advanced concept: who lacks a basic fails the advanced items. Basics are asked first."""
    rng = np.random.default_rng(4)
    rows = []
    for u in range(240):
        knows = rng.random(PAIRS) < 0.5
        asked = [*rng.permutation(np.repeat(np.arange(PAIRS), 4)), *(PAIRS + rng.permutation(PAIRS))]
        rows += [(f"u{u}", f"i{k}", float(rng.random() < (0.9 if knows[k % PAIRS] else 0.1)), t) for t, k in enumerate(asked)]
    table = pd.DataFrame(rows, columns=["learner_id", "item_id", "correct", "order"])
    q_matrix = pd.DataFrame({"item_id": [f"i{k}" for k in range(2 * PAIRS)], "concept_id": [f"c{k}" for k in range(2 * PAIRS)]})
    graph = ConceptGraph.from_tables(None, edges([(f"c{k}", f"c{k + PAIRS}") for k in range(PAIRS)]), q_matrix)
    cut = 180 * (4 * PAIRS + PAIRS)
    return table[:cut], table[cut:], graph


@pytest.fixture(scope="module")
def with_graph(course) -> GKT:
    return GKT(**SMALL).fit(course[0], course[2])


def test_what_is_known_of_a_prerequisite_reaches_what_requires_it(course, with_graph):
    """The first response ever on an advanced concept: foretold along the edge, a coin toss without it."""
    train, test, graph = course
    first = test["order"] >= 4 * PAIRS
    alone = GKT(**SMALL).fit(train, graph.replace(None))
    assert auc(test["correct"][first], with_graph.predict(test)[first]) > 0.8
    assert abs(auc(test["correct"][first], alone.predict(test)[first]) - 0.5) < 0.15


def test_a_response_touches_its_concept_and_its_neighbours_only(with_graph):
    start = with_graph.start()
    for item, near in (("i0", {"c0", "c3"}), ("i4", {"c1", "c4"})):
        change = with_graph.mastery_of(with_graph.step(start, item, 1.0))["mastery"] - with_graph.mastery_of(start)["mastery"]
        assert set(change.index[change.abs() > 0]) == near


def test_a_missing_prerequisite_lowers_what_requires_it(with_graph):
    right, wrong = with_graph.start(), with_graph.start()
    for _ in range(3):
        right, wrong = with_graph.step(right, "i2", 1.0), with_graph.step(wrong, "i2", 0.0)
    assert with_graph.mastery_of(right)["mastery"]["c5"] > with_graph.mastery_of(wrong)["mastery"]["c5"] + 0.3


def test_pads_and_company_change_nothing(course):
    """Learners of different length, items of several concepts and of none: alone or together, the same logits and gradients."""
    train, _, graph = course
    rows = train[train["learner_id"].isin(["u0", "u1", "u2"])]
    rows = rows[~((rows["learner_id"] == "u1") & (rows["order"] > 5))].copy()
    rows.iloc[3, rows.columns.get_loc("item_id")] = "several"
    rows.iloc[5, rows.columns.get_loc("item_id")] = "nothing listed"
    q_matrix = pd.concat([graph.q_matrix, pd.DataFrame({"item_id": "several", "concept_id": ["c0", "c1", "c3"]})])
    graph = ConceptGraph.from_tables(None, graph.prerequisites, q_matrix)
    vocabulary = Vocabulary.build(rows, graph)
    histories = encode(rows, vocabulary)
    model = GKT(**SMALL)
    torch.manual_seed(0)
    network = model._network(vocabulary, model._structure(graph)).eval()
    gradients = []
    for groups in ([[0, 1, 2]], [[1], [2], [0]]):
        network.zero_grad()
        found = {}
        for group in groups:
            steps = _steps(histories, vocabulary, np.array(group))
            network.loss(steps)[0].backward()
            found |= {u: network(steps)[k, :histories.lengths[u]].detach() for k, u in enumerate(group)}
        gradients.append([p.grad.clone() for p in network.parameters() if p.grad is not None])
        if groups == [[0, 1, 2]]:
            together = found
    for u in range(3):
        torch.testing.assert_close(found[u], together[u], atol=1e-6, rtol=0)
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def one_by_one(network, edges: np.ndarray, concepts: list[list[int]], items: list[int], correct: list[float]) -> list[torch.Tensor]:
    """Logits of one learner's responses by the equations of the paper, a state and an edge at a time."""
    states, found = list(network.first), []
    for own, item, right in zip(concepts, items, correct, strict=True):
        found.append(torch.stack([network.read(states[c])[0] + network.offset[c] for c in own]).mean() + network.item_bias.weight[item, 0])
        told = {c: right * network.response[c, 1] + (1 - right) * network.response[c, 0] for c in own}
        sources = {c: torch.cat([states[c], told[c]]) for c in own}
        messages = {c: network.own(sources[c]) for c in own}
        near: dict[int, list[list[torch.Tensor]]] = {}
        for requires, concept in edges.tolist():
            for source, target, relation in ((requires, concept, 0), (concept, requires, 1)):
                if source in own and target not in own:
                    sent = network.neighbours.send(sources[source]).view(2, -1)[relation]
                    kept = network.neighbours.receive(torch.cat([states[target], network.concept[target]])).view(2, -1)[relation]
                    near.setdefault(target, [[], []])[relation].append(torch.relu(sent + kept))
        for target, ways in near.items():
            means = [torch.stack(way).mean(0) if way else torch.zeros_like(network.first[0]) for way in ways]
            messages[target] = network.neighbours.read(torch.cat(means))
        for c, message in messages.items():
            erase, add = network.erase_add(message).chunk(2)
            states[c] = network.update((message - torch.sigmoid(erase) * message + torch.tanh(add))[None], states[c][None])[0]
    return found


def test_the_walk_over_all_learners_is_that_of_one_learner_and_one_edge_at_a_time(monkeypatch):
    """Items of one to three concepts on a graph with a triangle and a concept that two answered ones share: equal logits, equal gradients."""
    from edukit.tracing import recurrence

    monkeypatch.setattr(recurrence, "ROWS_AT_ONCE", 16)  # the gradient of the weights in several parts
    rng = np.random.default_rng(3)
    graph = ConceptGraph.from_tables(None, edges([("a", "b"), ("a", "c"), ("b", "c"), ("c", "d"), ("e", "d")]), pd.DataFrame(
        [(f"i{k}", c) for k, own in enumerate(("a", "b", "c", "bd", "cde", "e")) for c in own], columns=["item_id", "concept_id"]))
    rows = pd.DataFrame([(f"u{u}", f"i{rng.integers(0, 6)}", float(rng.choice([0, 0.5, 1])), t) for u, n in enumerate((5, 9, 2)) for t in range(n)],
                        columns=["learner_id", "item_id", "correct", "order"])
    vocabulary, model = Vocabulary.build(rows, graph), GKT(**SMALL)
    histories = encode(rows, vocabulary)
    torch.manual_seed(0)
    network = model._network(vocabulary, model._structure(graph))
    torch.nn.init.normal_(network.item_bias.weight)
    steps = _steps(histories, vocabulary, np.arange(3))
    together = network(steps)[steps.mask]
    apart = torch.stack([logit for u in range(3) for start, end in [histories.offsets[u:u + 2]] for logit in one_by_one(
        network, model._structure(graph)["edges"], [[c for c in row if c >= 0] for row in vocabulary.item_concepts[histories.item[start:end]].tolist()],
        histories.item[start:end].tolist(), histories.correct[start:end].tolist())])
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=0)
    sent, weights = torch.randn_like(apart), list(network.parameters())
    gradients = [torch.autograd.grad((found * sent).sum(), weights) for found in (together, apart)]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_only_the_most_probable_neighbours_are_kept():
    claims = pd.DataFrame({"requires_id": ["a", "a", "a", "b", "a"], "concept_id": ["b", "c", "d", "d", "c"],
                           "source": ["x", "x", "x", "x", "y"], "weight": [0.2, 0.1, 0.6, 0.9, 0.7]})
    graph = ConceptGraph.from_tables(None, claims, None)
    named = {tuple(graph.concept_ids[k] for k in edge) for edge in _strongest(graph, 2)}
    assert named == {("a", "c"), ("a", "d"), ("b", "d")}
    assert len(_strongest(graph.replace(None), 2)) == 0
