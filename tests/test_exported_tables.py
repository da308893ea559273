"""What a gap map exports withstands the search for small cells, and a subtraction attack on every one of its tables."""

from __future__ import annotations

import pandas as pd
from edukit.experiments import gap_causes, recipe

from edukit.data.synthetic import random_concepts, simulate
from edukit.governance.exposure import Search
from edukit.governance.privacy import K
from edukit.governance.subtraction import recovered
from edukit.graph.concept_graph import ConceptGraph
from edukit.report.gap_page import write_csv


def test_nothing_small_is_recovered_from_the_tables_of_a_map_of_small_classes(tmp_path):
    """Classes of 11 who answered a quarter of the items: most cells have 5 to 11 learners, and the totals of the concepts stand beside them."""
    tables = simulate(*random_concepts(seed=2), classes=5, learners_per_class=11, answered=0.25, seed=2).tables
    graph = ConceptGraph.from_tables(tables["concepts"], tables["prerequisites"], tables["q_matrix"])
    found = gap_causes.explain(tables, graph, recipe.config("map_gaps", "posterior.draws=20", "posterior.burn=10"), "class_id")
    for name, table in (("gap_map", found.gaps), ("items", found.screen), ("evidence", found.evidence)):
        write_csv(table, tmp_path / f"{name}.csv")
    assert [str(one) for one in Search(invented=["synthetic"])(tmp_path).findings if one.kind != "raw id"] == []
    gaps = found.gaps.assign(n=found.gaps["n"].astype("Int64"))
    back = recovered(gaps, "class_id", "concept_id", "n", least=0)
    assert not back["low"].between(1, K - 1).any()
    log = tables["interactions"].merge(tables["q_matrix"], on="item_id").drop_duplicates(["learner_id", "concept_id"])
    true = log.groupby(["class_id", "concept_id"]).size()
    small = true[true.between(1, K - 1)]
    assert len(small) > 20 and gaps["n"].notna().sum() > 20, "there is something to hide, and something is shown"
    hidden = pd.MultiIndex.from_frame(gaps.loc[gaps["n"].isna(), ["class_id", "concept_id"]])
    assert small.index.isin(hidden).all()
    evidence = found.evidence[found.evidence[["n", "value"]].notna().any(axis=1)]
    for other in ("concept_id", "about"):
        assert not pd.MultiIndex.from_frame(evidence[["class_id", other]]).isin(hidden).any(), "evidence shows no number of a hidden cell"
