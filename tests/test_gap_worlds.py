"""The causes of a gap map against planted truth, and the experiment that scores them."""

from __future__ import annotations

import json
from dataclasses import replace
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


def test_without_a_graph_prior_knowledge_is_never_named_and_that_is_said(world, cfg):
    found = explained(world, cfg, edges=world.tables["prerequisites"].head(0))
    assert set(found.gaps["label"].dropna()) <= {"content", "undetermined"} and found.gaps["prior_knowledge"].isna().all()
    assert gap_causes.remarks(found, "class_id")[0].startswith("prerequisites: none known")


def test_concepts_with_too_few_items_for_a_cause_are_counted(told):
    few = told.gaps["concept_id"].isin(told.gaps["concept_id"].unique()[:2])
    said = gap_causes.remarks(replace(told, gaps=told.gaps.assign(badge=np.where(few, "one item: no cause", None))), "class_id")
    assert said[0].startswith("items: 2 of 24 concepts have too few") and said[1:] == gap_causes.remarks(told, "class_id")


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
    assert gap_causes.remarks(found, "class_id") == ["causes: not asked, as no concept has two items: a gap looks like a hard item"]


def test_a_teacher_is_meant_in_truth_where_every_class_of_theirs_was_taught_badly(told):
    cells = pd.DataFrame({"class_id": ["a", "b", "c", "d", "e"], "concept_id": "k", "injected": ["badly_taught"] * 3 + ["none", "badly_taught"]})
    met = cells[["class_id", "concept_id"]].assign(teacher_id=["t", "t", "v", "v", "w"])
    levels = pd.DataFrame({"class_id": ["a", "c"], "concept_id": "k", "level": ["teacher", "class"]})
    found = gap_truth.with_levels(cells, levels, met)
    assert found["true_level"].tolist() == ["teacher", "teacher", "class", "class", "class"]
    assert found["level"].fillna("").tolist() == ["teacher", "", "class", "", ""]
    line, = gap_causes.remarks(told, "class_id")
    assert line.startswith("teaching: ") and len(told.levels) == (told.gaps["label"] == "teaching").sum()


def test_answers_given_before_learning_are_counted():
    still = simulate(*random_concepts(12, seed=4), classes=3, learners_per_class=10, seed=4)
    learning = simulate(*random_concepts(12, seed=4), classes=3, learners_per_class=10, terms=2, learned_in_class=0.5, seed=4)
    shares = [gap_truth.later(w, w.tables["q_matrix"], rows) for w in (still, learning)
              for rows in (w.tables["interactions"], gap_causes.latest(w.tables["interactions"], w.tables["q_matrix"]))]
    assert shares[:2] == [0, 0] and shares[2] > shares[3] > 0  # fewer of them in the last term


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
