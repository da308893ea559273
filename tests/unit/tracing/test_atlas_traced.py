"""ATLAS over time: what a response tells the neighbours, planted prerequisites found, and none found where there are none."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from edukit.graph.concept_graph import ConceptGraph
from edukit.metrics import auc, log_loss
from edukit.schema import DataError
from edukit.tracing.atlas_steps import Steps
from edukit.tracing.atlas_traced import AtlasTraced
from edukit.tracing.bkt import Parameters
from edukit.tracing.sequences import Vocabulary

PARENT_OF = {1: (0,), 2: (0,), 3: (1,), 4: (1, 2), 5: (2,)}
WIDTH, GUESS, SLIP = 6, 0.2, 0.1


def graph_of(items: dict[str, str], edges: str = "") -> ConceptGraph:
    """Items with one letter per concept; ``edges`` such as ``"ab bc"``: a is required by b, b by c."""
    q = pd.DataFrame([(item, concept) for item, concepts in items.items() for concept in concepts], columns=["item_id", "concept_id"])
    arrows = pd.DataFrame([(child, parent, "expert", 1.0) for parent, child in edges.split()], columns=["concept_id", "requires_id", "source", "weight"])
    ids = sorted(set(q["concept_id"]) | set(arrows["concept_id"]) | set(arrows["requires_id"]))
    return ConceptGraph.from_tables(pd.DataFrame({"concept_id": ids, "name": ids}), arrows, q)


def family(rho: float = 0.8, message: float = 1.0, ability: float = 0.0, forget: float = 0.0, learn: float = 0.1) -> AtlasTraced:
    """The latent model as if fitted: a is required by b, and c is on its own; one item each (and one of a and c)."""
    graph = graph_of({"a": "a", "b": "b", "c": "c", "ac": "ac"}, "ab")
    model = AtlasTraced(residual=False, rho=rho, message=message, ability=ability)
    model.vocabulary_ = Vocabulary.build(pd.DataFrame({"item_id": ["a", "b", "c", "ac"]}), graph)
    model.rate_, model.rho_, model.message_, model.ability_ = 0.5, rho, message, ability
    model.pairs_, model.trust_, model.weights_ = graph.adjacency(), graph.weights(), np.zeros(0)
    shape = model.vocabulary_.item_concepts.shape
    model._settle(Parameters(np.full(3, 0.5), np.full(3, learn), np.full(3, forget), np.full(shape, GUESS), np.full(shape, SLIP)))
    return model


def chances(model: AtlasTraced, *answers: tuple[str, float]) -> np.ndarray:
    """P(correct) on a, b and c after some answers."""
    state = model.start()
    for item, right in answers:
        state = model.step(state, item, right)
    return np.array([model.chance(state, item) for item in "abc"])


def test_a_failed_parent_lowers_the_child_and_a_passed_one_does_not_raise_it():
    a, b, c = chances(family())
    for known in ((), (("b", 1.0),), (("b", 0.0),)):  # a child not answered yet, passed, failed
        before, failed, passed = (chances(family(), *known, *more) for more in ((), (("a", 0.0),), (("a", 1.0),)))
        assert failed[0] < before[0] - 0.05 < before[0] < passed[0] and failed[1] < before[1] - 0.005
        assert passed[1] == pytest.approx(before[1], abs=1e-12) and failed[2] == passed[2] == before[2]
    assert a == pytest.approx(c) == pytest.approx(b)  # what a concept lacks for want of prerequisites is not laid on it twice


def test_a_passed_child_raises_the_parent_and_a_failed_one_does_not_lower_it():
    for known in ((), (("a", 1.0),), (("a", 0.0),)):
        before, passed, failed = (chances(family(), *known, *more) for more in ((), (("b", 1.0),), (("b", 0.0),)))
        assert passed[0] > before[0] + 0.005 and failed[0] == pytest.approx(before[0], abs=1e-12) and passed[2] == failed[2] == before[2]
        silent = chances(family(message=0.0), *known, ("b", 1.0))
        assert silent[0] == pytest.approx(before[0], abs=1e-12)
    loud, soft = (chances(family(message=m), ("b", 1.0))[0] for m in (1.0, 0.3))
    assert chances(family())[0] < soft < loud
    unrelated = family(rho=0.0)
    assert chances(unrelated, ("b", 1.0))[0] == chances(unrelated)[0] and chances(unrelated, ("a", 0.0))[1] == chances(unrelated)[1]


def test_who_lacks_the_parent_learns_less_of_the_child():
    model = family()
    lost, kept = [], []
    for parent, found in ((0.0, lost), (1.0, kept)):
        state = model.start()
        for _ in range(6):
            state = model.step(state, "a", parent)
        ready = model.along_.read(state.along, np.array([0]), np.array([1]))[2][0]
        found += [ready, model.along_.learn[1] * ready]
    assert lost[0] == pytest.approx(0.2, abs=0.2) and kept[0] > 0.95 and lost[1] < 0.4 * kept[1]


def test_one_response_is_bayes_rule_then_learning_then_forgetting():
    model = family(rho=0.0, learn=0.2, forget=0.1)
    for right, hit, miss in ((1.0, 1 - SLIP, GUESS), (0.0, SLIP, 1 - GUESS)):
        after = 0.5 * hit / (0.5 * hit + 0.5 * miss)
        found = model.mastery_of(model.step(model.start(), "a", right)).loc["a"]
        assert found["mastery"] == pytest.approx(after + (1 - after) * 0.2 - after * 0.1)
        assert found["sd"] == pytest.approx(np.sqrt(found["mastery"] * (1 - found["mastery"]))) and found["n"] == 1
    forgets, keeps = (chances(family(rho=0.0, forget=f), *[("a", 1.0)] * 9)[0] for f in (0.2, 0.0))
    assert forgets < keeps - 0.05
    both = model.mastery_of(model.step(model.start(), "ac", 0.0))["mastery"]  # conjunctive: P(wrong | a known) = 1 - .9 x .55
    after = 0.5 * (1 - 0.9 * 0.55) / (1 - 0.55**2)
    assert both["a"] == both["c"] == pytest.approx(after + (1 - after) * 0.2 - after * 0.1)


def test_ability_is_told_by_every_concept_and_only_where_learners_differ():
    np.testing.assert_allclose(chances(family(ability=0.0), ("c", 1.0))[:2], chances(family())[:2])
    low, high = (chances(family(ability=1.5), ("c", right))[:2] for right in (0.0, 1.0))
    assert (high > low + 0.05).all()


@cache
def classroom(withheld: float = 0.9) -> tuple[pd.DataFrame, pd.DataFrame, ConceptGraph, np.ndarray]:
    """Training and test responses, the graph, and who masters what: without a parent a concept is mastered (1 - withheld) times as often."""
    rng = np.random.default_rng(8)
    learners, answers = 500, 4
    known = rng.random((learners, WIDTH)) < 0.7
    for k, parents in PARENT_OF.items():
        ready = known[:, list(parents)].all(axis=1)
        known[:, k] &= ready | (rng.random(learners) >= withheld)
    concept = np.repeat(np.arange(WIDTH), answers)
    right = rng.random((learners, len(concept))) < np.where(known[:, concept], 1 - SLIP, GUESS)
    item = [f"{'abcdef'[k]}{j % 2}" for j, k in enumerate(concept)]
    rows = pd.DataFrame({"learner_id": np.repeat([f"l{u}" for u in range(learners)], len(concept)), "item_id": item * learners,
                         "correct": right.ravel().astype(float), "order": np.tile(np.arange(len(concept)), learners)})
    edges = " ".join("abcdef"[p] + "abcdef"[k] for k, parents in PARENT_OF.items() for p in parents)
    cut = 350 * len(concept)
    return rows[:cut], rows[cut:].reset_index(drop=True), graph_of({name: name[0] for name in sorted(set(item))}, edges), known[350:]


@cache
def fitted(withheld: float = 0.9, **settings: bool) -> AtlasTraced:
    train, _, graph, _ = classroom(withheld)
    return AtlasTraced(**settings).fit(train, graph)


def test_planted_prerequisites_are_found_and_their_share_is_told():
    _, test, graph, known = classroom()
    model, right = fitted(), test["correct"].to_numpy()
    assert model.rho_ > 0.6
    assert model.report_["share_of_graph"] > 0.03 and model.report_["share_of_latent"] > model.report_["share_of_graph"]
    without = AtlasTraced(use_graph=False).fit(classroom()[0], graph)
    assert without.rho_ == 0 and without.report_["share_of_graph"] == pytest.approx(0, abs=1e-9)
    assert log_loss(right, model.predict(test)) < log_loss(right, without.predict(test)) - 0.004
    mastery = model.mastery(test)
    assert auc(known.ravel().astype(float), mastery["mastery"].to_numpy()) > 0.93
    for low, high in ((0.0, 0.3), (0.3, 0.7), (0.7, 1.0)):  # a mastery, and a sd, that can be believed
        some = mastery["mastery"].between(low, high).to_numpy()
        assert known.ravel()[some].mean() == pytest.approx(mastery["mastery"][some].mean(), abs=0.08)


def test_a_world_without_prerequisites_gives_the_graph_no_share():
    assert abs(fitted(0.0).report_["share_of_graph"]) < 0.01
    assert fitted(0.0).rho_ < 0.35
    assert fitted(0.0).report_["share_of_latent"] > -0.02


@pytest.mark.parametrize("residual", [True, False])
def test_step_by_step_is_the_whole_history_at_once(residual):
    """Items of one, two and no concepts, unheard of ones, and marks between."""
    rng = np.random.default_rng(5)
    items = {"x": "a", "y": "bc", "z": "abd", "w": "d", "bare": ""}
    lengths = rng.integers(5, 30, 60)
    log = pd.DataFrame({"learner_id": np.repeat([f"l{u}" for u in range(60)], lengths), "item_id": np.array(list(items))[rng.integers(0, 5, lengths.sum())],
                        "correct": np.round(rng.random(lengths.sum()) * 2) / 2, "order": np.concatenate([np.arange(n) for n in lengths])})
    model = AtlasTraced(residual=residual, rho=0.7, message=0.8, ability=1.0).fit(log, graph_of(items, "ab bc ad"))
    told = log[log["learner_id"].isin(["l3", "l4"])].copy()
    told.loc[told.index[2], "item_id"] = "unheard of"
    whole = model.predict(told.sample(frac=1, random_state=0))
    for _, rows in told.groupby("learner_id"):
        state = model.start()
        for row, item, right in zip(rows.index, rows["item_id"], rows["correct"], strict=True):
            assert model.chance(state, item) == pytest.approx(whole[row], abs=1e-9)
            state = model.step(state, item, right)
        last = model.mastery(rows).set_index("concept_id")[["mastery", "sd", "n"]]
        np.testing.assert_allclose(model.mastery_of(state)[["mastery", "sd", "n"]], last, atol=1e-9)


def test_learners_in_one_batch_or_in_several_give_the_same_answers(monkeypatch):
    _, test, _, _ = classroom()
    p, mastery = fitted().predict(test), fitted().mastery(test)
    monkeypatch.setattr("edukit.tracing.waves.ROWS", 200)
    monkeypatch.setattr("edukit.tracing.atlas_traced.CHUNK", 50)
    pd.testing.assert_series_equal(fitted().predict(test), p, rtol=1e-12, atol=0)
    pd.testing.assert_frame_equal(fitted().mastery(test), mastery, rtol=1e-12, atol=0)


def test_a_loaded_model_keeps_its_report(tmp_path):
    fitted().save(tmp_path / "model")
    again = AtlasTraced.load(tmp_path / "model")
    assert again.report_ == fitted().report_ and again.settings == fitted().settings


def test_a_prerequisite_of_several_sources_counts_once():
    pairs, parameters = np.array([[0, 1], [0, 2]]), Parameters(np.full(3, 0.5), *np.zeros((2, 3)), *np.full((2, 1, 1), 0.2))
    edges = Steps.of(parameters, pairs, np.array([0.5, 0.25]), 0.0, 1.0).edges
    assert edges.parents[1, 0] == edges.parents[2, 0] == 0 and set(edges.children[0]) == {1, 2} and edges.serves[0].sum() == 0.75
    train, test, graph, _ = classroom()
    twice = graph.replace(pd.concat([graph.prerequisites, graph.prerequisites.assign(source="mined", weight=0.5)], ignore_index=True))
    model = AtlasTraced(residual=False, rho=0.5, message=0.5, ability=1.0)
    pd.testing.assert_series_equal(model.fit(train, twice).predict(test), model.fit(train, graph).predict(test))


def test_settings_and_tables_that_make_no_sense_are_refused():
    with pytest.raises(DataError, match=r"rho must be in \[0, 1\); found 1; message must be in \[0, 1\]; found -1"):
        AtlasTraced(rho=1, message=-1)
    train, _, graph, _ = classroom()
    with pytest.raises(DataError, match="4 learners or more"):
        AtlasTraced().fit(train[train["learner_id"] == "l0"], graph)
    with pytest.raises(DataError, match="items with a concept"):
        AtlasTraced().fit(train.assign(item_id="bare"), graph)
