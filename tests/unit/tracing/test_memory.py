"""Dynamic key-value memory: what is written where, and what concepts that share slots tell of each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.graph.concept_graph import ConceptGraph
from edukit.metrics import auc
from edukit.tracing.memory import DKVMN
from edukit.tracing.networks import _steps
from edukit.tracing.sequences import Vocabulary, encode

torch = pytest.importorskip("torch")

SMALL = {"slots": 4, "hidden": 16, "embedding": 8, "epochs": 12, "batch_size": 16, "learning_rate": 0.03, "dropout": 0.0}
GROUPS = 3


@pytest.fixture(scope="module")
def course() -> tuple[pd.DataFrame, pd.DataFrame, ConceptGraph]:
    """Three pairs of concepts; who knows one of a pair knows both. The first of each pair is asked four times, then the second once."""
    rng = np.random.default_rng(4)
    rows = []
    for u in range(240):
        knows = rng.random(GROUPS) < 0.5
        asked = [*rng.permutation(np.repeat(np.arange(GROUPS), 4)), *(GROUPS + rng.permutation(GROUPS))]
        rows += [(f"u{u}", f"i{k}", float(rng.random() < (0.9 if knows[k % GROUPS] else 0.1)), t) for t, k in enumerate(asked)]
    table = pd.DataFrame(rows, columns=["learner_id", "item_id", "correct", "order"])
    q_matrix = pd.DataFrame({"item_id": [f"i{k}" for k in range(2 * GROUPS)], "concept_id": [f"c{k}" for k in range(2 * GROUPS)]})
    cut = 180 * 5 * GROUPS
    return table[:cut], table[cut:], ConceptGraph.from_tables(None, None, q_matrix)


@pytest.fixture(scope="module")
def fitted(course) -> DKVMN:
    return DKVMN(**SMALL).fit(course[0], course[2])


def test_what_is_known_of_a_concept_reaches_those_that_share_its_slots(course, fitted):
    test = course[1]
    first = test["order"] >= 4 * GROUPS
    assert auc(test["correct"][first], fitted.predict(test)[first]) > 0.8
    with torch.no_grad():
        where = fitted.network_._attention(fitted.network_.key[:-1])
    alike = where @ where.T / where.norm(dim=1).outer(where.norm(dim=1))
    partner = alike[range(GROUPS), range(GROUPS, 2 * GROUPS)].mean()
    stranger = (alike[:GROUPS, GROUPS:].sum() / GROUPS - partner) / (GROUPS - 1)
    assert partner > stranger + 0.2


def test_right_answers_raise_the_concept_more_than_wrong_ones(fitted):
    after = {c: fitted.mastery_of(fitted.step(fitted.step(fitted.start(), "i0", c), "i0", c))["mastery"] for c in (0.0, 0.5, 1.0)}
    assert after[1.0]["c0"] > after[0.5]["c0"] > after[0.0]["c0"]


def test_a_slot_is_erased_and_written_in_the_measure_of_its_weight(course):
    """Two steps by hand: M_s = M_s (1 - w_s e) + w_s a."""
    vocabulary = Vocabulary.build(course[0], course[2])
    torch.manual_seed(0)
    network = DKVMN(**SMALL)._network(vocabulary, {}).eval()
    with torch.no_grad():
        steps = _steps(encode(course[0].iloc[:2], vocabulary), vocabulary, np.array([0]))
        weight, erase, add = (part[0].numpy() for part in network._writes(steps))
        memory = network.first.numpy().copy()
        for t in range(2):
            for slot in range(SMALL["slots"]):
                memory[slot] = memory[slot] * (1 - weight[t, slot] * erase[t]) + weight[t, slot] * add[t]
        np.testing.assert_allclose(network.after(steps, None)[0].numpy(), memory, atol=1e-6)
    np.testing.assert_allclose(weight.sum(1), 1, atol=1e-6)


def test_pads_and_company_change_nothing(course):
    """Learners of different length, items of several concepts and of none: alone or together, the same logits and gradients."""
    train, _, graph = course
    rows = train[train["learner_id"].isin(["u0", "u1", "u2"])]
    rows = rows[~((rows["learner_id"] == "u1") & (rows["order"] > 5))].copy()
    rows.iloc[3, rows.columns.get_loc("item_id")] = "several"
    rows.iloc[5, rows.columns.get_loc("item_id")] = "nothing listed"
    q_matrix = pd.concat([graph.q_matrix, pd.DataFrame({"item_id": "several", "concept_id": ["c0", "c1", "c3"]})])
    vocabulary = Vocabulary.build(rows, ConceptGraph.from_tables(None, None, q_matrix))
    histories = encode(rows, vocabulary)
    torch.manual_seed(0)
    network = DKVMN(**SMALL)._network(vocabulary, {}).eval()
    found, gradients = [{}, {}], []
    for nth, groups in enumerate(([[0, 1, 2]], [[1], [2], [0]])):
        network.zero_grad()
        for group in groups:
            steps = _steps(histories, vocabulary, np.array(group))
            network.loss(steps)[0].backward()
            found[nth] |= {u: network(steps)[k, :histories.lengths[u]].detach() for k, u in enumerate(group)}
        gradients.append([p.grad.clone() for p in network.parameters()])
    for u in range(3):
        torch.testing.assert_close(found[0][u], found[1][u], atol=1e-6, rtol=0)
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
