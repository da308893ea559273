"""The experiment: followers that agree with the models they stand for, every number in the report, and refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from edukit.experiments import recipe, recommend, recommend_checks, recommend_worlds

from edukit.data.curriculum import random_concepts
from edukit.graph.concept_graph import ConceptGraph
from edukit.recommend.policies import ExpertOrder, RandomChoice
from edukit.recommend.simulate import GatedWorld
from edukit.recommend.terrain import Terrain
from edukit.schema import DataError
from edukit.tracing.atlas_traced import AtlasTraced

WITHOUT = ("recommend@policies.outer_fringe", "recommend@policies.weakest_first", "recommend@policies.greedy_gain", "recommend@policies.spaced_zpdes",
           "simulators@worlds.forgetting", "simulators@worlds.irt_growth")
SMALL = ("cohort=40", "steps=4", "seeds=[100]", "practice=16", "log.logs=2", "log.cohorts=[10]", "log.steps=4", "log.targets=[target_p]", "resources=20",
         "latency=[12]", "matrix=[bkt_gated,dkt_fitted,atlas_fitted,no_prerequisites]", "fitted.dkt_fitted.epochs=1", "fitted.dkt_fitted.hidden=8",
         "fitted.dkt_fitted.embedding=8", "draws=20", "paths.tracking=null", *(f"~{name}" for name in WITHOUT))


@pytest.fixture(scope="module")
def graph():
    concepts, edges = random_concepts(8, layers=3, seed=1)
    ids = concepts["concept_id"].to_numpy(object)
    pairs = [(f"{c}-{k}", c) for c in ids for k in (0, 1)] + [(f"{ids[0]}-1", ids[5])]
    return ConceptGraph.from_tables(concepts, edges, pd.DataFrame(pairs, columns=["item_id", "concept_id"]))


@pytest.fixture(scope="module")
def log(graph):
    return recommend_worlds.practised(GatedWorld(graph), [RandomChoice(), ExpertOrder()], 24, 15, 0)


def test_practice_is_led_by_every_policy_in_turn(graph, log):
    assert len(log) == 24 * 15 and log["learner_id"].nunique() == 24 and set(log["correct"]) == {0.0, 1.0}
    distinct = log.groupby("learner_id")["item_id"].nunique().to_numpy()
    assert distinct[::2].mean() > distinct[1::2].mean()  # at random, and in the expert's order


def test_a_follower_says_what_its_model_says_of_each_learner(graph, log):
    model = AtlasTraced(residual=False).fit(log, graph)
    items = Terrain.of(graph).item_ids
    cohort = recommend_worlds.Led(model, items)
    cohort.begin(3)
    rng = np.random.default_rng(0)
    item, correct = rng.integers(0, len(items), (6, 3)), (rng.random((6, 3)) < 0.5).astype(float)
    chances = []
    for step in range(6):
        chances.append(cohort.chance(item[step]))
        cohort.follow(item[step], correct[step])
    table = pd.DataFrame({"learner_id": np.tile(["a", "b", "c"], 6), "item_id": np.array(items, object)[item.ravel()], "correct": correct.ravel(),
                          "order": np.repeat(np.arange(6), 3)})
    np.testing.assert_allclose(np.concatenate(chances), model.predict(table), atol=1e-5)
    told = model.mastery(table).pivot(index="learner_id", columns="concept_id", values="mastery")[graph.concept_ids]
    np.testing.assert_allclose(cohort.mastery(), told, atol=1e-5)


def test_the_whole_matrix_lands_in_the_report(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("EDUKIT_OUTPUTS", str(tmp_path))
    report = recommend.run(recipe.config("recommend", *SMALL))
    table, told = report.table(group=None), capsys.readouterr().out
    finals = table[table["name"] == "final_mastery"]
    cfg = recipe.config("recommend", *SMALL)
    right = finals[finals["split"] == recommend.RIGHT]
    assert set(zip(right["model"], right["channel"], strict=True)) == {(p, w) for p in cfg.policies for w in cfg.worlds}
    wrong = finals[finals["split"] == "25% missing, 25% false"]
    assert set(wrong["channel"]) == set(cfg.matrix) and "random" not in set(wrong["model"])
    assert finals["value"].between(0, 1).all() and (finals["low"] <= finals["value"]).all() and (finals["value"] <= finals["high"]).all()
    assert (table.loc[table["name"] == "readiness_broken", "value"] == 0).all()
    assert table[table["name"] == "regret"].groupby(["split", "channel"])["value"].min().eq(0).all()
    assert {"worst_regret", "gain_of_default", "cost_of_wrong_graph", "unready_share", "exposure_gini", "coverage", "refused", "resource_helps",
            "imitation_hit_rate", "latency_p50_ms", "latency_p95_ms", "group_gap"} <= set(table["name"])
    assert report.value("refused", model="target_p", channel="snips, 10 learners") == 1  # two logs of ten learners say nothing
    assert "zpdes less random" in told and "imitates who led these learners" in told and "refused on all 2 logs" in told
    trials, matrix, steps = (pd.read_parquet(report.folder / f"{name}.parquet") for name in ("trials", "matrix", "steps"))
    assert len(trials) == len(finals) == len(matrix) and set(report.figures) == {"recommend_matrix", "recommend_steps"}
    ends = steps[steps["step"] == cfg.steps].merge(trials, on=["world", "graph", "policy", "seed"])
    np.testing.assert_allclose(ends["mastery"], ends["ended"])
    assert set(recommend.drawn(matrix, steps, cfg.default)) == set(report.figures)  # from the tables that the run left
    assert all(r["n"] >= recommend.FEWEST for r in report.metrics if r["group"])


def test_the_verdict_names_what_is_not_met():
    cfg = recipe.config("recommend", "matrix=[bkt_gated,no_prerequisites]")
    gains = {("random", "bkt_gated"): (0.2, 0.1), ("weakest_first", "bkt_gated"): (0.02, -0.01), ("target_p", "bkt_gated"): (-0.005, -0.02),
             ("random", "no_prerequisites"): (-0.03, -0.05)}
    told = recommend.verdict([{"name": "gain_of_default", "split": recommend.RIGHT, "model": other, "channel": world, "value": value, "low": low, "high": value}
                              for (other, world), (value, low) in gains.items()], cfg)
    assert "2 of 4 comparisons" in told and "weakest_first in bkt_gated (.0200 -.0100 .0200)" in told and "random in no_prerequisites" in told


def test_odd_settings_are_refused_before_anything_is_tried():
    for words in (["default=moon"], ["matrix=[moon]"], ["log.targets=[moon]"], ["graph_noise=[0.25]"]):
        with pytest.raises(DataError, match="recommend needs a default and targets"):
            recommend.run(recipe.config("recommend", *words))


def test_worlds_that_are_asked_for_are_tried_alone():
    cfg = recommend.narrowed(recipe.config("recommend", "only=[irt_growth,forgetting]"))
    assert list(cfg.worlds) == ["irt_growth", "forgetting"] and list(cfg.matrix) == ["irt_growth"] and cfg.worlds.irt_growth.seed == 0
    with pytest.raises(DataError, match=r"recommend.only must name worlds .* found moon"):
        recommend.narrowed(recipe.config("recommend", "only=[moon]"))


def test_a_graph_without_items_is_refused_and_concepts_without_items_are_left_out(graph):
    with pytest.raises(DataError, match="needs items of concepts"):
        recommend.in_reach(ConceptGraph.from_tables(graph.concepts, graph.prerequisites, None))
    some = ConceptGraph.from_tables(graph.concepts, graph.prerequisites, graph.q_matrix[graph.q_matrix["concept_id"] != graph.concept_ids[-1]])
    assert recommend.in_reach(some).concept_ids == graph.concept_ids[:-1]


def test_a_wrong_graph_has_as_many_edges_and_no_circle(graph):
    right, wrong = recommend.believed(graph, 0.0, 0), recommend.believed(graph, 0.5, 0)
    assert (right.weights > 0).sum() == (wrong.weights > 0).sum() and wrong.depth.max() < len(graph.concept_ids)
    assert recommend_checks.map_of(30).prerequisites.shape[0] > 0
