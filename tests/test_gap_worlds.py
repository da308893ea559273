"""The causes of a gap map against planted truth, and the experiment that scores them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from edukit.experiments import gap_causes, gap_truth, gap_worlds, recipe

from edukit.data.synthetic import LOW, random_concepts, simulate
from edukit.graph.concept_graph import ConceptGraph
from edukit.schema import DataError

QUICK = ("posterior.draws=60", "posterior.burn=90")


@pytest.fixture(scope="module")
def cfg():
    return recipe.config("gap_worlds", *QUICK)


@pytest.fixture(scope="module")
def world():
    return simulate(*random_concepts(seed=2), seed=2)


def explained(world, cfg, **options):
    tables = world.tables
    graph = ConceptGraph.from_tables(tables["concepts"], options.pop("edges", tables["prerequisites"]), tables["q_matrix"])
    return gap_causes.explain(tables, graph, cfg, **options)


@pytest.fixture(scope="module")
def told(world, cfg):
    return explained(world, cfg)


def test_planted_causes_are_found_and_beat_thresholds_on_raw_rates(world, cfg, told):
    rows = {model: pd.DataFrame(gap_truth.records([gap_truth.beside(gaps, world.truth, 0.6)], model, "standard", 0.6, draws=20)) for model, gaps in
            (("posterior", told.gaps), ("naive", gap_truth.naive(world.tables, 0.6)))}
    at = {model: r[r["channel"] == "mark_0.60"].set_index(["name", "group"])["value"] for model, r in rows.items()}
    for cause in ("prior_knowledge", "content", "curriculum_wide"):
        assert at["posterior"]["precision", cause] > 0.7 and at["posterior"]["recall", cause] > 0.7
    assert np.nan_to_num(at["naive"]["recall", "curriculum_wide"].astype(float)) < at["posterior"]["recall", "curriculum_wide"]
    broken = set(world.items.loc[world.items["flaw"] == "broken", "concept_id"])
    assert set(told.contents.loc[told.contents["suspected"].fillna(False).astype(bool), "concept_id"]) == broken


def test_the_missing_ancestor_is_one_that_the_class_lacks(world, told):
    named = told.gaps.dropna(subset="missing_ancestor")
    named = named[named["class_id"] != "all"]
    mastery = world.truth.set_index(["class_id", "concept_id"])["mastery"]
    low = [mastery[c, a] < 0.65 for c, a in named[["class_id", "missing_ancestor"]].itertuples(index=False)]
    assert len(named) > 20 and np.mean(low) > 0.9


def test_without_a_graph_prior_knowledge_is_never_named(world, cfg):
    found = explained(world, cfg, edges=world.tables["prerequisites"].head(0)).gaps
    assert set(found["label"].dropna()) <= {"content", "undetermined"} and found["prior_knowledge"].isna().all()


def test_of_several_terms_the_last_one_in_which_a_concept_was_met_counts():
    log = pd.DataFrame({"learner_id": "u", "item_id": ["a1", "b1", "ab", "a2", "a1"], "correct": [0.0, 0.0, 1.0, 1.0, 1.0], "order": range(5),
                        "term": ["t1", "t1", "t1", "t2", "t2"]})
    q_matrix = pd.DataFrame({"item_id": ["a1", "a2", "b1", "ab", "ab"], "concept_id": ["a", "a", "b", "a", "b"]})
    assert gap_causes.latest(log, q_matrix)["order"].tolist() == [1, 2, 3, 4]  # b was met in t1 only; the first answer on a is outdated
    for table in (log.assign(term="t1"), log.drop(columns="term"), log.assign(order=pd.array([pd.NA] * 5, "Int64"))):
        assert gap_causes.latest(table, q_matrix) is table


def test_truth_at_the_generators_own_mark_is_its_label(world):
    assert (gap_truth.truth_at(world.truth, LOW) == world.truth["label"]).all()
    lower, higher = (np.mean(gap_truth.truth_at(world.truth, mark) != "none") for mark in (0.3, 0.7))
    assert lower < higher


def test_a_map_without_a_concept_of_two_items_takes_the_mastery_it_is_given(cfg):
    world = simulate(*random_concepts(12, seed=4), classes=3, items_per_concept=1, answered=1.0, seed=4)
    log, q_matrix = world.tables["interactions"], world.tables["q_matrix"]
    mastery = log.merge(q_matrix, on="item_id").rename(columns={"correct": "mastery"})[["learner_id", "concept_id", "mastery"]].assign(sd=0.1, n=1)
    found = explained(world, cfg, otherwise=lambda: mastery)
    assert found.posterior is None and found.gaps["label"].isna().all() and (found.gaps["badge"].dropna() == "one item: no cause").all()
    assert found.gaps["mastery"].notna().any()


def test_the_experiment_writes_precision_and_recall_by_cause_and_refuses_a_variant_it_does_not_know(tmp_path, monkeypatch):
    monkeypatch.setenv("EDUKIT_OUTPUTS", str(tmp_path))
    monkeypatch.delenv("EDUKIT_TRACKING", raising=False)
    report = gap_worlds.run(recipe.config("gap_worlds", *QUICK, "worlds=1", "first_world=3", "only=[standard]", "compared=[standard]", "workers=1", "draws=20"))
    metrics = json.loads((report.folder / "run_report.json").read_text())["metrics"]
    names = {(m["name"], m["model"], m["group"]) for m in metrics}
    assert {("precision", "posterior", "prior_knowledge"), ("recall", "naive", "content"), ("share_coverage", "posterior", "teaching")} <= names
    assert (Path(report.folder) / "causes.png").stat().st_size > 0
    with pytest.raises(DataError, match="only must name variants"):
        gap_worlds.run(recipe.config("gap_worlds", "only=[moon]"))
