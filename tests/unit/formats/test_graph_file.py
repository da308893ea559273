"""Graph files come back whole in both forms, with the same bytes each time, and a broken one is one clear error."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from edukit.formats import graph_file
from edukit.formats.graph_file import GraphFile, Version
from edukit.schema import DataError

TABLES = {
    "concepts": pd.DataFrame({"concept_id": ["10^n)", "🦉 \"owl\"", "c[0]{x}\n"], "name": ["", "Owls <b>", "line\nbreak"], "level": [5, None, 2.5],
                              "description": [None, "a\tb", None]}),
    "prerequisites": pd.DataFrame({"concept_id": ["10^n)", "10^n)"], "requires_id": ["🦉 \"owl\"", "🦉 \"owl\""], "source": ["panel", "model"],
                                   "weight": [0.1 + 0.2, 1], "type": ["hard", None], "rationale": ["owls count", None], "group": [None, "g"],
                                   "channel": ["expert", "fusion"], "agreement": [-0.5, None]}),
    "concept_tree": pd.DataFrame({"concept_id": ["10^n)"], "parent_id": ["c[0]{x}\n"], "order": [2]}),
    "votes": pd.DataFrame({"concept_id": ["10^n)"], "requires_id": ["c[0]{x}\n"], "rater_id": ["Ana"], "vote": ["no"], "rationale": ["never"],
                           "timestamp": ["2026-01-02T03:04:05+01:00"]}),
}
HISTORY = (Version(1, "2026-01-01T00:00:00+00:00", "Ana", "began {here}", "0" * 64,
                   ({"table": "concepts", "key": ["\x85\u2028"], "before": None, "after": {"name": "x"}},)),
           Version(2, "2026-01-02T00:00:00+00:00", "Bo", "", "1" * 64, ()))


def same(found: dict[str, pd.DataFrame], given: dict[str, pd.DataFrame]) -> None:
    found, given = graph_file.canonical(found), graph_file.canonical(given)
    for name in graph_file.HELD:
        pd.testing.assert_frame_equal(found[name], given[name])


@pytest.mark.parametrize("ending", [".json", ".parquet"])
def test_everything_comes_back_and_equal_content_has_equal_bytes(tmp_path: Path, ending: str):
    one, two = (tmp_path / f"{n}{ending}" for n in "12")
    graph_file.write(GraphFile(TABLES, HISTORY), one)
    shuffled = {name: table.iloc[::-1][table.columns[::-1]] for name, table in TABLES.items()}
    graph_file.write(GraphFile(shuffled, HISTORY), two)
    found = graph_file.read(one)
    same(found.tables, TABLES)
    assert found.history == HISTORY and one.read_bytes() == two.read_bytes() and graph_file.recognise(one)
    graph_file.write(found, two)
    assert one.read_bytes() == two.read_bytes()


def test_the_fingerprint_knows_content_and_not_order():
    turned = {name: table.iloc[::-1] for name, table in TABLES.items()}
    edges = TABLES["prerequisites"]
    mark, same_mark, other = (graph_file.fingerprint(graph_file.canonical(tables))
                              for tables in (TABLES, turned, {**TABLES, "prerequisites": edges.assign(weight=[0.3, 1])}))
    assert mark == same_mark != other


def test_rows_make_the_canonical_table_again():
    for name, table in graph_file.canonical(TABLES).items():
        pd.testing.assert_frame_equal(graph_file.table_of(name, graph_file.rows_of(table)), table)


def test_a_row_is_a_line_that_a_person_can_edit(tmp_path: Path):
    path = graph_file.write(GraphFile(TABLES), tmp_path / "g.json")
    lines = path.read_text(encoding="utf-8").split("\n")
    assert sum('"source": "panel"' in line for line in lines) == 1
    edited = path.read_text(encoding="utf-8").replace('"weight": 1.0', '"weight": 7').replace('"type": "hard"', '"colour": "red"')
    path.write_text(edited, encoding="utf-8")
    rough = graph_file.read(path)  # lenient: what is wrong is named by check
    assert 7 in rough.tables["prerequisites"]["weight"].tolist() and "colour" in rough.tables["prerequisites"]
    before = path.read_bytes()
    with pytest.raises(DataError, match="no column colour"):
        graph_file.write(rough, path)
    assert path.read_bytes() == before  # nothing half-written


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "must be JSON"), ("[]", "must be a graph file"), ("{}", "must be a graph file"), ('{"edukit_graph": 9}', "format 1"),
     ('{"edukit_graph": 1, "concepts": 3}', "list the rows of concepts"),
     ('{"edukit_graph": 1, "concepts": [{"concept_id": ["a"]}]}', "concepts.concept_id must be one value"),
     ('{"edukit_graph": 1, "history": [{"number": 1}]}', "must tell of each version")],
)
def test_a_broken_file_is_one_clear_error(tmp_path: Path, text: str, words: str):
    (tmp_path / "g.json").write_text(text)
    with pytest.raises(DataError, match=words):
        graph_file.read(tmp_path / "g.json")


def test_a_foreign_parquet_another_ending_and_no_file_are_refused(tmp_path: Path):
    TABLES["concepts"].to_parquet(tmp_path / "g.parquet")
    with pytest.raises(DataError, match="must be a graph file"):
        graph_file.read(tmp_path / "g.parquet")
    (tmp_path / "h.parquet").write_text("no parquet")
    with pytest.raises(DataError, match="must be a parquet file"):
        graph_file.read(tmp_path / "h.parquet")
    with pytest.raises(DataError, match="must end in .json or .parquet"):
        graph_file.write(GraphFile(TABLES), tmp_path / "g.csv")
    with pytest.raises(DataError, match="no such file"):
        graph_file.read(tmp_path / "absent.json")
    (tmp_path / "case.json").write_text(json.dumps({"CFItems": []}))
    assert not graph_file.recognise(tmp_path / "case.json")
