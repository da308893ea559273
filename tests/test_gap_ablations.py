"""Parts of the gap posterior taken away one at a time."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from edukit.experiments import gap_ablations, gap_truth, recipe
from omegaconf import OmegaConf

from edukit.data.synthetic import random_concepts, simulate
from edukit.schema import DataError

QUICK = ("posterior.draws=20", "posterior.burn=25", "worlds=1", "first_world=2", "workers=1", "draws=20")


@pytest.fixture(scope="module")
def world():
    return simulate(*random_concepts(12, seed=4), classes=3, learners_per_class=12, seed=4)


def edges_of(world, kind: str) -> pd.DataFrame:
    cfg = recipe.config("gap_ablations", f"edges={kind}", "learner.sweeps=15", "learner.chains=2")
    return gap_ablations.graph_of(world, cfg, 3).prerequisites


def test_graphs_are_turned_dealt_anew_emptied_or_learned_without_the_given_one(world):
    given, turned, dealt = (edges_of(world, kind) for kind in ("given", "reversed", "random"))
    assert set(zip(turned["requires_id"], turned["concept_id"], strict=True)) == set(zip(given["concept_id"], given["requires_id"], strict=True))
    for end in ("concept_id", "requires_id"):
        assert sorted(dealt[end].value_counts()) == sorted(given[end].value_counts())  # as many edges at each end
    assert set(zip(dealt["concept_id"], dealt["requires_id"], strict=True)) != set(zip(given["concept_id"], given["requires_id"], strict=True))
    assert not len(edges_of(world, "none"))
    without = {**world.tables, "prerequisites": world.tables["prerequisites"].head(0)}
    bare = type(world)(without, world.truth, world.mastery, world.items, world.learners, world.mastered)
    pd.testing.assert_frame_equal(edges_of(world, "learned"), edges_of(bare, "learned"))


def test_every_ablation_changes_a_setting_and_no_graph_means_no_prior_knowledge(tmp_path, monkeypatch):
    monkeypatch.setenv("EDUKIT_OUTPUTS", str(tmp_path))
    monkeypatch.delenv("EDUKIT_TRACKING", raising=False)
    cfg = recipe.config("gap_ablations", *QUICK)
    bare = {key: value for key, value in OmegaConf.to_container(cfg, resolve=True).items() if key != "ablations"}
    assert sum(OmegaConf.merge(bare, change) == bare for change in cfg.ablations.values()) == 1  # the one with all parts
    cfg.ablations = {name: cfg.ablations[name] for name in ("all parts", "no graph", "no teachers", "no item screen")}
    report = gap_ablations.run(cfg)
    table = pd.read_csv(report.folder / "ablations.csv", index_col="model")
    assert table.index.tolist() == ["all parts", "no graph", "no teachers", "no item screen"] and not table.duplicated().any()
    recall = table[[f"recall {cause}" for cause in ("prior_knowledge", "content")]]
    assert (recall.loc[["all parts", "no teachers"]] > 0.6).all(axis=None) and recall.loc["no graph"].iloc[0] == 0 and recall.loc["no item screen"].iloc[1] == 0
    assert {m["split"] for m in json.loads((report.folder / "run_report.json").read_text())["metrics"] if m["name"] == "precision"} == {"ablation"}
    with pytest.raises(DataError, match="edges must be one of"):
        gap_ablations.run(recipe.config("gap_ablations", "edges=moon"))


def test_shares_that_are_nothing_in_truth_or_that_nobody_claims_are_left_out_of_the_further_coverages():
    cells = pd.DataFrame({"stuck": True, "teaching_share": [0.0, 0.0, 0.5], "teaching": [0.0, 0.1, 0.8], "teaching_low": [-0.1, -0.1, 0.6],
                          "teaching_high": [0.1, 0.3, 0.9]})
    found = {name: gap_truth._covered(cells, "teaching", column).tolist() for name, column in gap_truth.COVERAGE.items()}
    assert found == {"share_coverage": [2, 3], "share_coverage_above_.05": [0, 1], "share_coverage_said_above_.05": [1, 2]}


def test_shares_of_all_causes_together_are_covered_as_often_as_those_of_each_and_too_low_ones_are_told():
    cells = pd.DataFrame({"class_id": list("abc"), "concept_id": "k", "injected": "none", "state": "estimated", "label": "teaching",
                          "stuck": [True, True, False], "true_low": "none", "true_fail": "none"})
    for cause, true, said in (("prior_knowledge", 0.4, 0.4), ("teaching", 0.9, 0.2), ("content", 0.0, 0.0)):
        cells = cells.assign(**{f"{cause}_share": true, cause: said, f"{cause}_low": said - 0.1, f"{cause}_high": said + 0.1})
    found = pd.DataFrame(gap_truth.records([cells, cells], "posterior", "standard", 0.6, draws=10)).set_index(["name", "group"])
    above = found.loc["share_coverage_above_.05"]
    assert above["n"].to_dict() == {"prior_knowledge": 4, "teaching": 4, "content": 0, "all": 8}
    assert above["value"].drop("content").to_dict() == {"prior_knowledge": 1, "teaching": 0, "all": 0.5}
    assert found.loc[("share_coverage", "all"), "value"] == pytest.approx(2 / 3)
    assert found.loc[(gap_truth.ERROR, "teaching"), "value"] == pytest.approx(-0.7) and found.loc[(gap_truth.ERROR, "prior_knowledge"), "value"] == 0
