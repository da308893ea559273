"""What every policy under conf/recommend must hold, whatever it prefers."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from edukit.data.curriculum import random_concepts
from edukit.graph.concept_graph import ConceptGraph
from edukit.protocols import NotFittedError, Policy
from edukit.recommend.terrain import Terrain
from edukit.schema import DataError
from edukit.validation import validate

CONF = Path(__file__).resolve().parents[2] / "conf" / "recommend"
NAMES = sorted(path.stem for path in CONF.glob("*.yaml"))
EVERYTHING = pd.DataFrame({"item_id": []})
every_policy = pytest.mark.parametrize("name", NAMES)


def build(name: str) -> Any:
    settings = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    module, _, kind = settings.pop("_target_").rpartition(".")
    return getattr(importlib.import_module(module), kind)(**settings)


def graph_of(seed: int, size: int = 15) -> ConceptGraph:
    """An invented map; two items a concept, and some that carry a second concept."""
    concepts, edges = random_concepts(size, layers=4, seed=seed)
    rng, ids = np.random.default_rng(seed), concepts["concept_id"].to_numpy(object)
    pairs = [(f"{c}-{k}", c) for c in ids for k in (0, 1)] + [(f"{c}-1", rng.choice(ids[ids != c])) for c in ids[::3]]
    return ConceptGraph.from_tables(concepts, edges, pd.DataFrame(pairs, columns=["item_id", "concept_id"]))


def known(graph: ConceptGraph, values: np.ndarray | float) -> pd.DataFrame:
    return pd.DataFrame({"mastery": values, "sd": 0.1, "n": 0}, index=pd.Index(graph.concept_ids, name="concept_id"))


def session(policy: Any, graph: ConceptGraph, steps: int, seed: int) -> list[tuple[str, str]]:
    """Concepts and items of a learner whose mastery and marks are drawn."""
    rng, history, found = np.random.default_rng(seed), [], []
    for _ in range(steps):
        row = policy.recommend(known(graph, rng.random(len(graph.concept_ids))), history).iloc[0]
        found.append((row["concept_id"], row["item_id"]))
        correct = float(rng.random() < 0.5)
        policy.observe(row["item_id"], correct)
        history.append((row["item_id"], correct))
    return found


@every_policy
def test_it_follows_the_protocol_and_says_so_before_it_has_begun(name):
    policy = build(name)
    assert isinstance(policy, Policy) and policy.name == name
    for ask in (lambda: policy.recommend(pd.DataFrame({"mastery": []}), []), lambda: policy.observe("q", 1.0), policy.state):
        with pytest.raises(NotFittedError, match="start"):
            ask()


@every_policy
def test_recommendations_are_the_declared_table_and_each_carries_its_reason(name):
    graph = graph_of(1)
    found = build(name).start(graph, EVERYTHING, 0).recommend(known(graph, np.linspace(0.1, 0.95, 15)), [], n=4)
    table = validate(found.assign(learner_id="u"), "recommendations")
    assert table["rank"].tolist() == list(range(1, len(found) + 1)) and table["concept_id"].is_unique and 1 <= len(found) <= 4
    names = dict(zip(graph.concepts["concept_id"], graph.concepts["name"], strict=True))
    assert all(names[c] in reason and len(reason) > 30 for c, reason in zip(found["concept_id"], found["reason"], strict=True))


@every_policy
def test_no_recommendation_breaks_readiness(name):
    """Whatever is known of a learner: of the concept, and of every concept of its item."""
    for seed in range(12):
        graph, policy = graph_of(seed), build(name)
        policy.start(graph, EVERYTHING, seed)
        terrain, rng = Terrain.of(graph), np.random.default_rng(seed)
        for _ in range(8):
            values = rng.random(15) ** rng.choice([0.2, 1, 4])
            found = policy.recommend(known(graph, values), [], n=5)
            ready = dict(zip(graph.concept_ids, terrain.readiness(values[None])[0], strict=True))
            items = found["item_id"].dropna()
            touched = set(found["concept_id"]) | set(graph.q_matrix.loc[graph.q_matrix["item_id"].isin(items), "concept_id"])
            assert len(found) and all(ready[c] >= policy.ready for c in touched)
            np.testing.assert_allclose(found["readiness"], [ready[c] for c in found["concept_id"]])


@every_policy
def test_an_item_assesses_the_concept_it_is_recommended_for(name):
    graph = graph_of(3)
    pairs = set(zip(graph.q_matrix["item_id"], graph.q_matrix["concept_id"], strict=True))
    assert {(item, concept) for concept, item in session(build(name).start(graph, EVERYTHING, 0), graph, 30, 0)} <= pairs


@every_policy
def test_a_learner_never_seen_gets_a_first_step(name):
    graph = graph_of(4)
    policy = build(name).start(graph, EVERYTHING, 0)
    first = policy.recommend(known(graph, 0.0), []).iloc[0]
    if policy.ready:
        assert not graph.parents(first["concept_id"]) and "builds on nothing" in first["reason"]
    assert "You have not tried it yet" in first["reason"] and first["item_id"]


@every_policy
def test_the_same_seed_gives_the_same_steps_and_a_saved_session_goes_on(name):
    graph = graph_of(5)
    one, two = (build(name).start(graph, EVERYTHING, 7) for _ in range(2))
    assert session(one, graph, 12, 1) == session(two, graph, 12, 1)
    saved = json.loads(json.dumps(one.state()))
    again = build(name).start(graph, EVERYTHING, 99).restore(saved)
    values, history = known(graph, 0.4), [("x", 0.0)] * 12
    for policy in (one, two, again):
        policy.observe(graph.item_ids[0], 1.0)
    told = [policy.recommend(values, [*history, ("x", 0.0)], n=6) for policy in (one, two, again)]
    pd.testing.assert_frame_equal(told[0], told[1])
    pd.testing.assert_frame_equal(told[0], told[2])
    with pytest.raises(DataError, match="policy"):
        again.restore({**saved, "policy": "another"})
    with pytest.raises(DataError, match="concepts and items of the graph"):
        build(name).start(graph_of(5, size=8), EVERYTHING, 0).restore(saved)


@every_policy
def test_what_was_not_observed_is_taken_from_the_history(name):
    graph = graph_of(6)
    told, asked = (build(name).start(graph, EVERYTHING, 2) for _ in range(2))
    history = [(item, float(k % 2)) for k, item in enumerate(graph.item_ids[:6])]
    for item, correct in history:
        told.observe(item, correct)
    pd.testing.assert_frame_equal(told.recommend(known(graph, 0.5), history, 3), asked.recommend(known(graph, 0.5), history, 3))


@every_policy
def test_one_learner_is_treated_as_many_are(name):
    """The chances of a live learner are those of the same learner in a cohort."""
    graph, policy = graph_of(7), build(name)
    terrain, rng = Terrain.of(graph), np.random.default_rng(0)
    items, marks, mastery = rng.integers(0, len(terrain.item_ids), (3, 10)), rng.random((3, 10)) < 0.5, rng.random((3, 15))
    progress = policy.begin(3, terrain)
    for step in range(10):
        policy.note(terrain, progress, items[:, step], marks[:, step].astype(float))
    odds = policy.odds(policy.view(terrain, progress, mastery), np.random.default_rng(1))
    np.testing.assert_allclose(odds.sum(axis=1), 1)
    for learner in range(3):
        alone = policy.begin(1, terrain)
        for step in range(10):
            policy.note(terrain, alone, items[[learner], step], marks[[learner], step].astype(float))
        np.testing.assert_allclose(policy.odds(policy.view(terrain, alone, mastery[[learner]]), np.random.default_rng(1))[0], odds[learner])


@every_policy
def test_only_items_that_may_be_asked_are_asked_and_odd_input_is_refused(name):
    graph = graph_of(8)
    few = pd.DataFrame({"item_id": [f"{c}-0" for c in graph.concept_ids]})
    assert {item[-2:] for _, item in session(build(name).start(graph, few, 0), graph, 15, 0)} == {"-0"}
    bare = ConceptGraph.from_tables(graph.concepts, graph.prerequisites, None)
    first = build(name).start(bare, EVERYTHING, 0).recommend(known(bare, 0.2), []).iloc[0]
    assert first["item_id"] is None and "by other means" in first["reason"]
    for values, n in ((2.0, 1), (0.5, 0)):
        with pytest.raises(DataError, match="recommend needs"):
            build(name).start(graph, EVERYTHING, 0).recommend(known(graph, values), [], n=n)
    for correct in (2.0, float("nan")):
        with pytest.raises(DataError, match="correct must lie"):
            build(name).start(graph, EVERYTHING, 0).observe(graph.item_ids[0], correct)
