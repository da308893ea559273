"""What every model under conf/graph must hold, whether it learns from judged pairs, from responses, from both or from nothing."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import yaml

from edukit.graph import pair_features
from edukit.metrics import auc
from edukit.protocols import NotFittedError, PrerequisiteModel
from edukit.schema import DataError

CONF = Path(__file__).resolve().parents[2] / "conf" / "graph"
NAMES = sorted(path.stem for path in CONF.glob("*.yaml"))
QUICK = {"hidden": 16, "components": 8, "networks": 1, "epochs": 8, "trees": 30, "rounds": 20, "sweeps": 30, "samples": 20}  # where a model has a size
PAIR = ["concept_id", "requires_id"]
SIZE, LEARNERS = 30, 60
NEW = [f"id{k:02d}" for k in range(2, SIZE, 6)]  # in no training pair


def build(name: str) -> Any:
    """The model of a yaml as users get it, only smaller where it has a size."""
    settings = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    module, _, kind = settings.pop("_target_").rpartition(".")
    settings = {key: 0 if value == "${seed}" else min(value, QUICK[key]) if key in QUICK else value for key, value in settings.items()}
    return getattr(importlib.import_module(module), kind)(**settings)


def noise(texts) -> np.ndarray:
    """In place of an embedding: names that say nothing."""
    rows = [np.random.default_rng(sum((k + 1) * ord(c) for k, c in enumerate(t))).normal(size=384) for t in texts]
    return np.array([row / np.linalg.norm(row) for row in rows], np.float32).reshape(-1, 384)


@pytest.fixture(autouse=True)
def _no_embedding(monkeypatch):
    monkeypatch.setattr(pair_features, "embed", noise)
    pair_features._features.cache_clear()


@cache
def world() -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Concepts that require the few before them; courses, link counts and answers that show it; and judged pairs of them."""
    rng = np.random.default_rng(0)
    ids = np.array([f"id{k:02d}" for k in range(SIZE)])
    ends = np.array([(a, b) for a in range(SIZE) for b in range(SIZE) if a != b])
    asked = ends[rng.random(len(ends)) < 0.5]
    near = (asked[:, 0] > asked[:, 1]) & (asked[:, 0] - asked[:, 1] < 9)
    pairs = pd.DataFrame({"concept_id": ids[asked[:, 0]], "requires_id": ids[asked[:, 1]], "label": near.astype(float), "origin": "annotated"})
    frontier = rng.integers(2, SIZE, LEARNERS)
    learner, item = np.divmod(np.arange(LEARNERS * SIZE), SIZE)
    log = pd.DataFrame({"learner_id": [f"u{k:02d}" for k in learner], "item_id": [f"q{k:02d}" for k in item], "order": item,
                        "correct": (rng.random(len(item)) < np.where(item < frontier[learner], 0.9, 0.15)).astype(float)})
    tables = {
        "concepts": pd.DataFrame({"concept_id": ids, "name": [f"c{k} (algebra)" for k in range(SIZE)]}),
        "documents": pd.DataFrame({"document_id": [f"d{k}" for k in range(SIZE)], "text": [f"About c{k}. Then c{min(k + 1, SIZE - 1)}." for k in range(SIZE)],
                                   "level": np.arange(SIZE) // 10.0}),
        "document_links": pd.DataFrame([(f"d{k}", f"d{k - j}") for k in range(SIZE) for j in (1, 2) if k >= j], columns=["document_id", "requires_id"]),
        "pair_features": pd.DataFrame({"concept_id": ids[ends[:, 0]], "requires_id": ids[ends[:, 1]],
                                       "refd": np.sign(ends[:, 0] - ends[:, 1]) + rng.normal(size=len(ends)).round(6)}),
        "interactions": log, "q_matrix": pd.DataFrame({"item_id": [f"q{k:02d}" for k in range(SIZE)], "concept_id": ids}),
        "prerequisites": pd.DataFrame({"concept_id": ids[1:], "requires_id": ids[:-1], "source": "teacher", "weight": 1.0, "channel": "expert"})}
    return tables, pairs


def labels_for(model: Any, pairs: pd.DataFrame) -> pd.DataFrame | None:
    return pairs if model.reads in ("labels", "both") else None


@cache
def taught(name: str) -> Any:
    """A fitted model, which has met no judged pair of the new concepts."""
    tables, pairs = world()
    model = build(name)
    return model.fit(tables, labels_for(model, pairs[~pairs[PAIR].isin(NEW).any(axis=1)]))


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_reads_and_answers_only_when_taught(name):
    model = build(name)
    assert isinstance(model, PrerequisiteModel) and model.reads in ("labels", "responses", "both", "nothing")
    with pytest.raises(NotFittedError):
        model.predict(world()[1])
    with pytest.raises(NotFittedError):
        model.graph()
    if model.reads == "labels":
        with pytest.raises(DataError, match="label"):
            build(name).fit(world()[0])


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_aligned_and_given_for_concepts_never_judged_too(name):
    model, pairs = taught(name), world()[1]
    asked = pairs.sample(frac=0.7, random_state=1)
    score = model.predict(asked)
    assert score.index.equals(asked.index) and np.isfinite(score.dropna()).all()
    if model.reads in ("labels", "both"):  # of logs a score may be any statistic, and a model may abstain
        assert score.between(0, 1).all()
    np.testing.assert_allclose(model.predict(asked.iloc[::-1])[asked.index], score, atol=1e-6)  # whatever the order of the questions


@pytest.mark.parametrize("name", NAMES)
def test_the_graph_has_no_circle_and_only_concepts_that_are_there(name):
    graph, ids = taught(name).graph(), set(world()[0]["concepts"]["concept_id"])
    assert set(graph.concept_ids) == ids and set(graph.prerequisites[PAIR].to_numpy().ravel()) <= ids
    assert nx.is_directed_acyclic_graph(nx.DiGraph(map(tuple, graph.adjacency()))) and graph.prerequisites["weight"].between(0, 1).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_fit_gives_the_same_scores_and_no_answer_is_read_from_the_tables(name):
    tables, pairs = world()
    model = build(name)
    if model.reads != "nothing":  # the experts' graph is what `expert` stands for
        hidden = pairs.assign(label=1 - pairs["label"])
        tables = {**tables, "concept_pairs": hidden, "prerequisites": tables["prerequisites"].rename(columns=dict(zip(PAIR, PAIR[::-1], strict=True)))}
    again = model.fit(tables, labels_for(model, pairs[~pairs[PAIR].isin(NEW).any(axis=1)]))
    np.testing.assert_allclose(again.predict(pairs), taught(name).predict(pairs), atol=1e-6)


@pytest.mark.parametrize("name", [n for n in NAMES if build(n).reads == "labels"])
def test_labels_dealt_at_random_teach_nothing_of_new_concepts(name):
    tables, pairs = world()
    found = []
    for seed in range(3):
        dealt = pairs.assign(label=np.random.default_rng(seed).permutation(pairs["label"]))
        new = dealt[PAIR].isin(NEW).any(axis=1)
        told = {**tables, "concept_pairs": dealt, "prerequisites": tables["prerequisites"].iloc[:0]}
        found.append(auc(dealt.loc[new, "label"].to_numpy(), build(name).fit(told, dealt[~new]).predict(dealt[new]).to_numpy()))
    assert abs(np.mean(found) - 0.5) < 0.12, found
