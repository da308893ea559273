"""The gap page shows what the table holds and nothing else, asks nothing of the network, and runs no text as code."""

from __future__ import annotations

import base64
import csv
import hashlib
import html
import json
import re
import time

import numpy as np
import pandas as pd
import pytest

from edukit.governance.privacy import TOTAL
from edukit.report.gap_page import gap_page, layers, write, write_csv
from edukit.schema import DataError


@pytest.fixture(scope="module")
def tables(invented):
    return invented.tables


def data_of(page: str) -> dict:
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)[1])


# ---- layout ------------------------------------------------------------------------------------------


def dag(concepts: int, edges: int, seed: int) -> tuple[list[str], list[tuple[str, str]]]:
    rng = np.random.default_rng(seed)
    pairs = {tuple(sorted(rng.choice(concepts, 2, replace=False))) for _ in range(edges)}
    return [f"k{i}" for i in rng.permutation(concepts)], [(f"k{a}", f"k{b}") for a, b in pairs]


@pytest.mark.parametrize("seed", range(8))
def test_prerequisites_lie_left_and_no_two_concepts_overlap(seed):
    concepts, edges = dag(60, 20 * seed, seed)
    place = layers(concepts, edges).set_index("concept_id")
    assert place.index.tolist() == concepts
    assert all(place.loc[a, "x"] < place.loc[b, "x"] for a, b in edges)
    for _, column in place.groupby("x"):
        assert (np.diff(np.sort(column["y"])) >= 1 - 1e-9).all()
    assert place.min().tolist() == [0, 0]


def test_crossings_become_fewer():
    """A bipartite matching drawn in random order: sorting by neighbours undoes every crossing."""
    rng = np.random.default_rng(0)
    right = rng.permutation(15)
    concepts = [f"a{i}" for i in range(15)] + [f"b{i}" for i in right] + ["root", "end"]
    edges = [(f"a{i}", f"b{i}") for i in range(15)] + [("root", f"a{i}") for i in range(15)] + [(f"b{i}", "end") for i in range(15)]
    y = layers(concepts, edges).set_index("concept_id")["y"]
    assert np.corrcoef([y[f"a{i}"] for i in range(15)], [y[f"b{i}"] for i in range(15)])[0, 1] > 0.999


def test_a_cycle_is_drawn_and_an_unknown_concept_refused():
    assert layers(["a", "b", "c"], [("a", "b"), ("b", "c"), ("c", "a"), ("b", "b")])["x"].tolist() == [0, 1, 2]
    with pytest.raises(DataError, match="must be found in concepts"):
        layers(["a"], [("a", "z")])


def test_a_large_map_is_laid_out_quickly():
    concepts, edges = dag(835, 979, 1)
    started = time.process_time()
    layers(concepts, edges)
    assert time.process_time() - started < 2


# ---- what is in the file -----------------------------------------------------------------------------


def test_hidden_cells_hold_no_number(tables):
    gaps, concepts, prerequisites = tables
    assert {"not enough data", "suppressed", "estimated"} == set(gaps["state"])
    cohorts = {c["id"]: c["cells"] for c in data_of(gap_page(gaps, concepts, prerequisites, "t", [], {}))["cohorts"]}
    assert list(cohorts)[0] == TOTAL and set(cohorts) == set(gaps["class_id"])
    for cell in gaps.itertuples():
        stored = cohorts[cell.class_id][int(cell.concept_id[1:])]
        if cell.state == "estimated":
            assert stored[:2] == [cell.n, cell.responses] and stored[2] == pytest.approx(cell.mastery, abs=1e-6)
        else:
            assert stored == {"not enough data": 0, "suppressed": 1}[cell.state]


def test_a_number_in_a_hidden_cell_is_refused(tables):
    gaps, concepts, prerequisites = tables
    leaking = gaps.assign(mastery=gaps["mastery"].fillna(0.5))
    with pytest.raises(DataError, match="no number where state is not"):
        gap_page(leaking, concepts, prerequisites, "t", [], {})
    with pytest.raises(DataError, match="c3"):
        gap_page(gaps, concepts[concepts["concept_id"] != "c3"], prerequisites, "t", [], {})
    with pytest.raises(DataError, match="Choose one term"):
        gap_page(pd.concat([gaps, gaps]), concepts, prerequisites, "t", [], {})


def test_the_file_names_no_address_and_its_policy_allows_its_own_script_only(tables):
    page = gap_page(*tables, "A title", ["A note"], {"data": "invented"})
    assert set(re.findall(r"https?://[^\s\"'<]+", page)) == {"http://www.w3.org/2000/svg"}  # a name, not a request
    assert not re.search(r"<(?:link(?! rel=\"icon\" href=\"data:,\")|iframe|img|script src|form)", page)
    assert not re.search(r"(inner|outer)HTML\s*=|setHTML|srcdoc|insertAdjacent|document\.write|eval\(|new Function|fetch\(|XMLHttpRequest|import\(", page)
    script = re.search(r"</script>\s*<script>(.*?)</script>", page, re.S)[1]
    allowed = html.unescape(re.search(r"script-src 'sha256-([^']+)'", page)[1])
    assert allowed == base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in page


def test_hostile_text_is_text_everywhere(tables, invented):
    gaps, concepts, prerequisites = tables
    attack = "<script>alert(3)</script>"
    page = gap_page(gaps, concepts, prerequisites.assign(source=attack), attack, [attack], {attack: attack})
    assert page.count("<script") == 2 and page.count("</script>") == 2 and "<img" not in page
    assert [c["name"] for c in data_of(page)["concepts"]] == invented.names


def test_same_tables_same_bytes(tables, tmp_path):
    one = write(tmp_path / "a" / "map.html", *tables, "t", [], {})
    assert one.read_bytes() == write(tmp_path / "b.html", *tables, "t", [], {}).read_bytes()
    assert [p.name for p in one.parent.iterdir()] == ["map.html"]


def test_csv_runs_no_formula_and_can_be_undone(invented, tmp_path):
    gaps, _, _ = invented.school({"=cmd|' /C calc'!A0": 25, "+7b": 24, "@x": 30, "'=y": 22, "-z": 6}, ["a"])
    path = write_csv(gaps, tmp_path / "gaps.csv")
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert not [value for row in rows for name, value in row.items() if value and value[0] in "=+-@" and name != "need"]
    assert all(row["need"] == "" or np.isfinite(float(row["need"])) for row in rows)  # numbers stay numbers, negative ones too
    assert [re.sub(r"^'(?='*[=+\-@])", "", row["class_id"]) for row in rows] == gaps["class_id"].tolist()
    assert all(row["mastery"] == "" for row, state in zip(rows, gaps["state"], strict=True) if state != "estimated")
