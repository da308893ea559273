"""What a gap page knows of causes and evidence: all that the tables hold of shown cells, and nothing of hidden ones."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest

from edukit.report.gap_page import gap_page
from edukit.report.gap_page_data import page_data
from edukit.schema import DataError

RULES = {"target": 0.70, "fail": 0.60, "k": 10, "min_responses": 20, "stuck_level": 0.90, "interval": 0.95}


def data_of(page: str) -> dict:
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)[1])


def test_shares_labels_and_what_ifs_reach_the_page(told):
    tables, more = told
    cohorts = {c["id"]: c for c in data_of(gap_page(*tables, "t", [], {}, **more))["cohorts"]}
    for cell in tables[0].itertuples():
        cause = cohorts[cell.class_id]["causes"].get(cell.concept_id[1:])
        if cell.state != "estimated":
            assert cause is None
            continue
        label, p, ancestor, shares, instead = cause
        assert label == (None if pd.isna(cell.label) else cell.label) and p == (None if label is None else 0.83)
        assert shares[1] == pytest.approx([cell.teaching, cell.teaching_low, cell.teaching_high], abs=1e-4)
        assert instead[0] == pytest.approx([cell.if_ready, cell.if_ready_low, cell.if_ready_high], abs=1e-4)
        shown = isinstance(cohorts[cell.class_id]["cells"][1], list)
        assert ancestor == (1 if label == "prior_knowledge" and shown else None)


def test_nothing_is_said_of_a_hidden_cell(told):
    tables, more = told
    page = gap_page(*tables, "t", [], {}, **more)
    assert (tables[0]["state"] != "estimated").any() and "0.41" in page
    assert "0.1358" not in page  # neither evidence nor text of a hidden cell, nor an item that fewer than ten answered
    for cohort in data_of(page)["cohorts"]:
        hidden = {str(i) for i, cell in enumerate(cohort["cells"]) if not isinstance(cell, list)}
        assert not hidden & {*cohort["causes"], *cohort["evidence"], *cohort["texts"]}


@pytest.mark.parametrize("column", ["n", "need", "p_stuck", "teaching", "content_low", "prior_knowledge_high", "if_ready", "if_clean_items_high", "label",
                                    "label_probability", "missing_ancestor"])
def test_a_hidden_cell_that_holds_anything_is_refused(told, column):
    (gaps, concepts, prerequisites), _ = told
    row = gaps.index[gaps["state"] == "suppressed"][0]
    leaking = gaps.astype({"label": object, "missing_ancestor": object})
    leaking.loc[row, column] = {"label": "content", "missing_ancestor": "c1"}.get(column, 1)
    with pytest.raises(DataError, match="no number where state is not"):
        gap_page(leaking, concepts, prerequisites, "t", [], {})


def test_what_would_speak_of_a_hidden_neighbour_is_left_out(told):
    (gaps, concepts, prerequisites), more = told
    hide = (gaps["class_id"] == "7e") & (gaps["concept_id"] == "c1")
    every = [name for name in gaps if name not in ("class_id", "concept_id", "state", "items", "term", "teacher_id")]
    gaps = gaps.copy()
    for name in every:
        gaps[name] = gaps[name].mask(hide)
    gaps["state"] = gaps["state"].mask(hide, "suppressed")
    prior = gaps["label"].notna() & (gaps["class_id"] == "7e")
    gaps["missing_ancestor"] = gaps["missing_ancestor"].mask(prior, "c1")
    cohorts = {c["id"]: c for c in page_data(gaps, concepts, prerequisites, RULES, more["evidence"], None, None)["cohorts"]}
    assert prior.any() and all(cause[2] is None for cause in cohorts["7e"]["causes"].values())
    kinds = {concept: [(row[0], row[1]) for row in rows] for concept, rows in cohorts["7e"]["evidence"].items()}
    assert ("prerequisite", "c1") not in kinds[2] and ("distractor", "c2/0: =cmd()") in kinds[2]
    assert ("comparison", "7e") not in [row[:2] for row in map(tuple, cohorts["7a"]["evidence"][1])]  # 7e on c1 is hidden
    assert ("comparison", "7e") in [tuple(row[:2]) for row in cohorts["7a"]["evidence"][2]]


def test_evidence_on_few_learners_and_a_strange_label_are_refused(told):
    (gaps, concepts, prerequisites), more = told
    with pytest.raises(DataError, match="at least 10 learners; found 1 rows"):
        gap_page(gaps, concepts, prerequisites, "t", [], {}, evidence=more["evidence"].assign(n=[3, *more["evidence"]["n"][1:]]))
    with pytest.raises(DataError, match="laziness"):
        gap_page(gaps.assign(label=gaps["label"].replace("content", "laziness")), concepts, prerequisites, "t", [], {})
    with pytest.raises(DataError, match="missing_ancestor must be found in concepts; found 'c99'"):
        gap_page(gaps.assign(missing_ancestor=gaps["missing_ancestor"].replace("c1", "c99")), concepts, prerequisites, "t", [], {})


def test_a_map_without_causes_stays_valid_and_says_so(invented):
    gaps, concepts, prerequisites = invented.tables
    page = gap_page(gaps, concepts, prerequisites, "t", [], {})
    assert data_of(page)["causes"] is False and 'id="colour"' not in page
    assert "This map says where" in page and "12 concepts have one item" in page


def test_what_cannot_be_told_is_said(invented):
    gaps, concepts, prerequisites = invented.tables
    whole = gaps[gaps["class_id"] == "all"]
    page = gap_page(whole, concepts, prerequisites.iloc[:0], "t", [], {})
    assert "Without a graph prior knowledge cannot be judged" in page and "Without classes teaching cannot be judged" in page
    assert 'id="compare"' not in page
    full = gap_page(invented.attributed(gaps), concepts, prerequisites, "t", [], {})
    assert "cannot be judged: nothing" not in full and "Without classes" not in full and "This map says where" not in full


def test_a_class_in_two_terms_is_two_cohorts(invented):
    gaps, concepts, prerequisites = invented.tables
    both = pd.concat([gaps.assign(term="spring"), gaps[gaps["class_id"] != "7e"].assign(term="autumn")])
    cohorts = data_of(gap_page(both, concepts, prerequisites, "t", [], {}))["cohorts"]
    found = [(c["id"], c.get("term")) for c in cohorts]
    assert found[:2] == [("all", "autumn"), ("all", "spring")] and {("7a", "autumn"), ("7a", "spring"), ("7e", None)} <= set(found)
    with pytest.raises(DataError, match="Choose one term"):
        gap_page(pd.concat([both, both]), concepts, prerequisites, "t", [], {})


def test_only_a_page_that_may_refit_holds_a_request_and_may_send_it_home_alone(invented):
    page, serving = (gap_page(*invented.tables, "t", [], {}, refit=refit) for refit in (None, "/refit"))
    assert "connect-src" not in page.split("<style>")[0] and "fetch(" not in page and "Fit again" not in page
    assert "connect-src 'self';" in serving and data_of(serving)["refit"] == "/refit" and "default-src 'none'" in serving
    for elsewhere in ("https://example.org/refit", "//example.org/refit", "/\\example.org", "refit"):
        with pytest.raises(DataError, match="own server"):
            gap_page(*invented.tables, "t", [], {}, refit=elsewhere)


def test_the_graph_comes_whole_and_numbers_stay_short(invented):
    gaps, concepts, prerequisites = invented.tables
    more = concepts.assign(level=np.where(concepts.index == 2, 3.0, np.nan), description="A sentence")
    two = pd.concat([prerequisites.assign(rationale="why"), prerequisites.assign(source="log", weight=0.25)])
    data = page_data(gaps, more, two, RULES, None, None, None)
    assert data["claims"][0] == [0, 1, {"source": "expert", "weight": 1.0, "rationale": "why"}] and len(data["claims"]) == len(two)
    assert [c["more"].get("level") for c in data["concepts"][:3]] == [None, None, 3.0]
