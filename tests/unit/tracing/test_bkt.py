"""Knowledge tracing by Bayes' rule finds what was planted, agrees with the sum over all paths, and cannot turn known into unknown."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest

from edukit.graph.concept_graph import ConceptGraph
from edukit.metrics import auc
from edukit.schema import DataError
from edukit.tracing.bkt import BKT, CEILING, Parameters
from edukit.tracing.sequences import Vocabulary, encode
from edukit.tracing.waves import Waves, batches

LEARNERS, STEPS = 5000, 12
PLANTED = {"prior": [0.2, 0.5, 0.8], "learn": [0.1, 0.25, 0.1], "forget": [0.0, 0.0, 0.0], "guess": [0.15, 0.3, 0.1], "slip": [0.1, 0.05, 0.2]}
FORGETTING = {**PLANTED, "forget": [0.05, 0.1, 0.15]}


def graph_of(concepts_of_item: dict[str, str], more: str = "") -> ConceptGraph:
    """Items with one letter per concept; ``more`` names concepts without an item."""
    pairs = [(item, concept) for item, concepts in concepts_of_item.items() for concept in concepts]
    ids = sorted({concept for _, concept in pairs} | set(more))
    return ConceptGraph.from_tables(pd.DataFrame({"concept_id": ids, "name": ids}), None, pd.DataFrame(pairs, columns=["item_id", "concept_id"]))


def table(learner: np.ndarray, item: np.ndarray, correct: np.ndarray) -> pd.DataFrame:
    """Responses in the order given."""
    rows = pd.DataFrame({"learner_id": [f"l{u}" for u in learner], "item_id": item, "correct": np.asarray(correct, float)})
    return rows.assign(order=rows.groupby("learner_id").cumcount())


def simulate(planted: dict[str, list[float]], learners: int = LEARNERS, seed: int = 3) -> tuple[pd.DataFrame, ConceptGraph, np.ndarray]:
    """Responses of learners who meet every concept :data:`STEPS` times in random order, the graph, and who knows what at the end (B, C)."""
    rng = np.random.default_rng(seed)
    p = {name: np.array(values) for name, values in planted.items()}
    width, who = len(p["prior"]), np.arange(learners)
    known = rng.random((learners, width)) < p["prior"]
    concept = np.argsort(rng.random((learners, STEPS * width)), axis=1) % width
    right = np.empty(concept.shape)
    for t in range(concept.shape[1]):
        c = concept[:, t]
        k = known[who, c]
        right[:, t] = rng.random(learners) < np.where(k, 1 - p["slip"][c], p["guess"][c])
        known[who, c] = np.where(k, rng.random(learners) >= p["forget"][c], rng.random(learners) < p["learn"][c])
    names = np.array(list("abcdef")[:width])
    return table(np.repeat(who, concept.shape[1]), names[concept.ravel()], right.ravel()), graph_of({c: c for c in names}), known


def with_parameters(graph: ConceptGraph, items: dict[str, tuple[float, float]], **values: list[float]) -> BKT:
    """A model as if fitted: ``prior``, ``learn`` and ``forget`` per concept, guess and slip per item."""
    model = BKT()
    model.vocabulary_ = Vocabulary.build(pd.DataFrame({"item_id": sorted(items)}), graph)
    shape, rows = model.vocabulary_.item_concepts.shape, [(0.2, 0.1)] + [items[i] for i in model.vocabulary_.item_ids]
    guess, slip = (np.repeat(np.array(rows)[:, [i]], shape[1], axis=1) for i in (0, 1))
    model.parameters_, model.rate_ = Parameters(**{name: np.array(v) for name, v in values.items()}, guess=guess, slip=slip), 0.5
    return model


@pytest.mark.parametrize(("planted", "forgetting"), [(PLANTED, False), (PLANTED, True), (FORGETTING, True)])
def test_planted_probabilities_are_recovered(planted, forgetting):
    """Within .05 each (about twice the largest error seen), of 5,000 learners with 12 responses per concept."""
    log, graph, known = simulate(planted)
    model = BKT(items=False, forgetting=forgetting).fit(log, graph)
    own = model.vocabulary_.index(pd.Series(["a", "b", "c"]))
    for name, values in planted.items():
        found = getattr(model.parameters_, name)
        np.testing.assert_allclose(found[own, 0] if name in ("guess", "slip") else found, values, atol=0.05, err_msg=name)
    mastery = model.mastery(log)
    assert auc(known.ravel().astype(float), mastery["mastery"].to_numpy()) > 0.85
    assert mastery["mastery"].mean() == pytest.approx(known.mean(), abs=0.02)
    # the share who know among those said to know with probability m is m: a mastery and its sd that can be believed
    for low, high in ((0.0, 0.3), (0.3, 0.7), (0.7, 1.0)):
        some = mastery["mastery"].between(low, high).to_numpy()
        assert known.ravel()[some].mean() == pytest.approx(mastery["mastery"][some].mean(), abs=0.05)
        assert ((known.ravel()[some] - mastery["mastery"][some]) ** 2).mean() == pytest.approx((mastery["sd"][some] ** 2).mean(), abs=0.03)


def test_what_was_planted_as_forgotten_is_not_read_into_a_model_without_forgetting():
    log, graph, _ = simulate(FORGETTING, learners=800)
    model = BKT(items=False, forgetting=False).fit(log, graph)
    assert (model.parameters_.forget == 0).all()
    late = log["order"] >= 18
    gain = [((m.predict(log) - log["correct"]) ** 2)[late].mean() for m in (model, BKT(items=False).fit(log, graph))]
    assert gain[1] < gain[0] - 0.001


def test_probabilities_are_those_of_the_sum_over_all_paths():
    prior, learn, forget, guess, slip = 0.35, 0.2, 0.07, 0.15, 0.12
    model = with_parameters(graph_of({"x": "a", "y": "a"}), {"x": (guess, slip), "y": (0.3, 0.05)}, prior=[prior], learn=[learn], forget=[forget])
    items, right = ["x", "y", "x", "x", "y"], [1, 0, 0, 1, 1]
    emits = {"x": (guess, 1 - slip), "y": (0.3, 0.95)}

    def joint(path: tuple[int, ...], length: int) -> float:
        p = prior if path[0] else 1 - prior
        for t in range(len(path)):
            if t:
                p *= ((1 - forget) if path[t] else forget) if path[t - 1] else (learn if path[t] else 1 - learn)
            if t < length:
                hit = emits[items[t]][path[t]]
                p *= hit if right[t] else 1 - hit
        return p

    log = table(np.zeros(5, int), np.array(items), np.array(right))
    for t, found in enumerate(model.predict(log)):
        paths = list(product((0, 1), repeat=t + 1))
        weight = np.array([joint(path, t) for path in paths])
        assert found == pytest.approx(weight @ [emits[items[t]][path[-1]] for path in paths] / weight.sum(), abs=1e-12)
    paths = list(product((0, 1), repeat=6))
    weight = np.array([joint(path, 5) for path in paths])
    assert model.mastery(log)["mastery"].iloc[0] == pytest.approx(weight @ [path[-1] for path in paths] / weight.sum(), abs=1e-12)


@pytest.mark.parametrize("right", [1, 0])
def test_a_response_with_two_concepts_is_one_step_and_moves_each_by_its_own_posterior(right):
    prior, learn, guess, slip = np.array([0.3, 0.8]), np.array([0.1, 0.2]), 0.2, 0.1
    model = with_parameters(graph_of({"x": "ab"}), {"x": (guess, slip)}, prior=prior.tolist(), learn=learn.tolist(), forget=[0.0, 0.0])
    states = list(product((0, 1), repeat=2))
    before = np.array([np.prod([prior[i] if k[i] else 1 - prior[i] for i in (0, 1)]) for k in states])
    hit = np.array([np.prod([1 - slip if known else guess for known in k]) for k in states])
    log = table(np.array([0]), np.array(["x"]), np.array([right]))
    assert model.predict(log).iloc[0] == pytest.approx(before @ hit)
    after = before * (hit if right else 1 - hit)
    marginal = np.array([after @ [k[i] for k in states] for i in (0, 1)]) / after.sum()
    mastery = model.mastery(log).set_index("concept_id")["mastery"]
    np.testing.assert_allclose(mastery[["a", "b"]], marginal + (1 - marginal) * learn)
    np.testing.assert_allclose(model.mastery_of(model.step(model.start(), "x", right))["mastery"], mastery)


def test_a_planted_conjunction_is_recovered():
    """Half of the items need both concepts; guess and slip of each are found again, though no single response shows them."""
    rng = np.random.default_rng(1)
    known, item = rng.random((3000, 2)) < (0.4, 0.7), rng.integers(0, 3, (3000, 15))
    hit = np.where(known, 0.9, 0.2)
    p = np.stack([hit[:, 0], hit[:, 1], hit.prod(axis=1)], axis=1)
    log = table(np.repeat(np.arange(3000), 15), np.array(["a", "b", "both"])[item.ravel()], (rng.random(item.shape) < np.take_along_axis(p, item, 1)).ravel())
    model = BKT(forgetting=False).fit(log, graph_of({"a": "a", "b": "b", "both": "ab"}))
    own = model.vocabulary_.index(pd.Series(["a", "b", "both"]))
    np.testing.assert_allclose(model.parameters_.prior, (0.4, 0.7), atol=0.05)
    for values, wanted in ((model.parameters_.guess, 0.2), (model.parameters_.slip, 0.1)):
        np.testing.assert_allclose([values[own[0], 0], values[own[1], 0], *values[own[2]]], wanted, atol=0.08)
    assert model.parameters_.learn.max() < 0.03


@pytest.mark.parametrize("right", [0.1, 0.9, "reversed"])
def test_a_right_response_never_speaks_against_knowing(right):
    """Even where nearly all or no responses are right, or those who answered right at first are wrong ever after."""
    rng = np.random.default_rng(2)
    draws = rng.random((200, 10))
    answers = draws < right if right != "reversed" else (np.arange(10) < 5) ^ (draws[:, :1] < 0.5)
    log = table(np.repeat(np.arange(200), 10), np.tile(np.array(["x", "y"]), 1000), answers.ravel())
    for items, forgetting in product((False, True), repeat=2):
        model = BKT(items=items, forgetting=forgetting).fit(log, graph_of({"x": "a", "y": "ab"}))
        p = model.parameters_
        assert max(p.guess.max(), p.slip.max()) <= CEILING < 0.5 and (p.guess + p.slip < 1).all()
        for item in ("x", "y"):
            after = {mark: model.mastery_of(model.step(model.start(), item, mark))["mastery"] for mark in (0.0, 0.5, 1.0)}
            assert (after[0.0] <= after[0.5] + 1e-12).all() and (after[0.5] <= after[1.0] + 1e-12).all() and after[0.0]["a"] < after[1.0]["a"]


def test_marks_between_are_that_much_of_a_right_response_and_the_rest_of_a_wrong_one():
    model = with_parameters(graph_of({"x": "a"}), {"x": (0.2, 0.1)}, prior=[0.4], learn=[0.1], forget=[0.05])
    yes, no = 0.4 * 0.9**0.3 * 0.1**0.7, 0.6 * 0.2**0.3 * 0.8**0.7
    after = yes / (yes + no)
    assert model.step(model.start(), "x", 0.3).known[0] == pytest.approx(after * 0.95 + (1 - after) * 0.1)
    log, graph, _ = simulate(PLANTED, learners=400)
    kind = log.assign(correct=0.2 + 0.6 * log["correct"])
    p = BKT(items=False).fit(kind, graph).predict(kind)
    assert p.mean() == pytest.approx(kind["correct"].mean(), abs=0.01) and auc(log["correct"].to_numpy(), p.to_numpy()) > 0.7


def test_small_concepts_lean_on_the_others_and_unknown_ones_take_their_average():
    log, _, _ = simulate(PLANTED, learners=300)
    few = pd.concat([log, table(np.array([900, 900, 901]), np.array(["d"] * 3), np.array([0, 0, 0]))], ignore_index=True)
    graph = graph_of({c: c for c in "abcd"} | {"new": "e"})
    model = BKT().fit(few, graph)
    slip, guess = (v[model.vocabulary_.index(pd.Series(list("abcd") + ["new"])), 0] for v in (model.parameters_.slip, model.parameters_.guess))
    assert slip[:3].min() < slip[4] < slip[:3].max() and guess[:3].min() < guess[4] < guess[:3].max()
    assert 0.05 < slip[3] < 0.4 and 0.02 < guess[3] < guess[4] and 0.2 < model.parameters_.prior[3] < model.parameters_.prior[4]
    loose = BKT(pooling=0.1).fit(few, graph)
    assert loose.parameters_.prior[3] < model.parameters_.prior[3]


def test_waves_take_every_response_once_in_the_order_of_its_learner():
    rng = np.random.default_rng(4)
    graph = graph_of({"x": "a", "y": "bc", "z": "abd", "w": "d", "bare": ""})
    log = table(np.repeat(np.arange(30), 20), np.array(["x", "y", "z", "w", "bare"])[rng.integers(0, 5, 600)], rng.random(600) < 0.5)
    vocabulary = Vocabulary.build(log, graph)
    histories = encode(log, vocabulary)
    waves = Waves.of(histories, vocabulary)
    assert sorted(zip(waves.row, waves.concept, strict=True)) == sorted(zip(*vocabulary.concept_pairs(histories.item), strict=True))
    for some in waves:
        assert len(set(waves.cell[some])) == len(waves.cell[some]) and waves.fresh[some.start]
    for cell in range(len(waves.cells)):
        assert (np.diff(waves.row[waves.cell == cell]) > 0).all()
    p = rng.random(len(waves.row))
    wanted = {row: p[waves.row == row].prod() for row in set(waves.row)}
    np.testing.assert_allclose(waves.product(p), [wanted[row] for row in waves.row])


def test_learners_in_one_batch_or_in_several_give_the_same_model_and_answers(monkeypatch):
    """Histories of every length, items of several concepts and of none, rows in no order."""
    rng = np.random.default_rng(5)
    learner = np.repeat(np.arange(80), rng.integers(1, 40, 80))
    item = np.array(["x", "y", "z", "bare"])[rng.integers(0, 4, len(learner))]
    log = table(learner, item, np.round(rng.random(len(learner)), 1)).sample(frac=1, random_state=0)
    graph, found = graph_of({"x": "a", "y": "bc", "z": "abd", "bare": ""}), []
    for rows in (10_000, 100):
        monkeypatch.setattr("edukit.tracing.waves.ROWS", rows)
        model = BKT().fit(log, graph)
        found.append((vars(model.parameters_), model.predict(log), model.mastery(log)))
    histories = encode(log, model.vocabulary_)
    parts = batches(histories)
    assert len(parts) > 5 and sorted(np.concatenate(parts)) == list(range(80))
    assert max(histories.lengths[part].sum() for part in parts) < 100 + 40
    (one, p, mastery), (several, p2, mastery2) = found
    for name, values in one.items():
        np.testing.assert_allclose(several[name], values, rtol=1e-12, err_msg=name)
    pd.testing.assert_series_equal(p, p2, rtol=1e-12, atol=0)
    pd.testing.assert_frame_equal(mastery, mastery2, rtol=1e-12, atol=0)


def test_items_without_a_concept_are_answered_and_move_nothing():
    log, graph, _ = simulate(PLANTED, learners=100)
    model = BKT().fit(log, graph)
    state = model.start()
    pd.testing.assert_frame_equal(model.mastery_of(model.step(state, "unheard of", 1.0)), model.mastery_of(state))
    assert model.predict(log.assign(item_id="unheard of")).to_numpy() == pytest.approx(log["correct"].mean())
    with pytest.raises(DataError, match="add the items to the q_matrix"):
        BKT().fit(log.assign(item_id="unheard of"), graph)
