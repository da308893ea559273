"""Graphs leave for other tools and come back with every id, whatever its characters; what is not ours is read as well as it can be."""

from __future__ import annotations

import tempfile
from pathlib import Path

import networkx as nx
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edukit.formats import graph_export, graph_file
from edukit.schema import DataError

HOSTILE = ["\"quoted\" 'x'", "a[0](b){c}", "end", "%% n0", "n0 --> n1", "\\u0041\\", "tab\tline\nreturn\r", "\x00\x0b\x85\ufffe", "🦉 ﷽ e\u0301", " blanks ",
           "#35;&amp;<b>", "style x:#fff;", "-0", "NA", "1e5", "a,b;c|d", "%%{init}%%", "`md`"]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8) | st.sampled_from(HOSTILE)
FORMS = {"graphml": ".graphml", "mermaid": ".mmd", "csv": ".csv", "case": ".json"}


@st.composite
def graphs(draw, text=TEXT) -> dict[str, pd.DataFrame]:
    """Concepts with any ids, and claims of two sources, with and without the optional fields."""
    ids = draw(st.lists(text, min_size=1, max_size=6, unique=True))
    share = st.floats(0, 1, allow_subnormal=False)
    row = st.tuples(st.sampled_from(ids), st.sampled_from(ids), st.sampled_from(["panel", "model"]), share, st.none() | text, st.none() | text,
                    st.none() | st.floats(-1, 1, allow_subnormal=False))
    rows = draw(st.lists(row, max_size=8, unique_by=lambda r: r[:3]))
    names = draw(st.lists(text, min_size=len(ids), max_size=len(ids)))
    return {"concepts": pd.DataFrame({"concept_id": ids, "name": names}),
            "prerequisites": pd.DataFrame(rows, columns=["concept_id", "requires_id", "source", "weight", "rationale", "group", "agreement"])}


def back(tables: dict[str, pd.DataFrame], form: str) -> dict[str, pd.DataFrame]:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / f"graph{FORMS[form]}"
        graph_export.write(tables, path, form, "invented", "2026-01-01T00:00:00Z")
        return graph_export.read(path).tables


def same(found: dict[str, pd.DataFrame], given: dict[str, pd.DataFrame]) -> None:
    found, given = graph_file.canonical(found), graph_file.canonical(given)
    for name in ("concepts", "prerequisites"):
        pd.testing.assert_frame_equal(found[name], given[name])


def hostile(form: str) -> dict[str, pd.DataFrame]:
    """Every hostile id, each requiring the next."""
    ids = [text for text in HOSTILE if "\0" not in text or form in ("graphml", "mermaid")]
    return {"concepts": pd.DataFrame({"concept_id": ids, "name": ids}),
            "prerequisites": pd.DataFrame({"concept_id": ids[1:], "requires_id": ids[:-1], "source": ids[1:], "weight": 0.25, "rationale": ids[:-1]})}


@pytest.mark.parametrize("form", FORMS)
def test_hostile_ids_come_back_and_equal_content_has_equal_bytes(tmp_path: Path, form: str):
    tables = hostile(form)
    found = back(tables, form)
    assert set(found["concepts"]["concept_id"]) == set(tables["concepts"]["concept_id"])
    pd.testing.assert_frame_equal(graph_file.canonical(found)["prerequisites"], graph_file.canonical(tables)["prerequisites"])
    if form != "case":  # whose concepts keep the order they are given in
        for number, given_ in enumerate((tables, {name: table.iloc[::-1] for name, table in tables.items()})):
            graph_export.write(given_, tmp_path / f"{number}", form, "t", "2026-01-01")
        assert (tmp_path / "0").read_bytes() == (tmp_path / "1").read_bytes()


@pytest.mark.parametrize("form", ["graphml", "mermaid"])
@given(tables=graphs())
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_graphml_and_mermaid_give_everything_back(form: str, tables):
    same(back(tables, form), tables)


@given(tables=graphs(TEXT.map(lambda t: t.replace("\0", "0"))))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_csv_gives_everything_back(tables):
    same(back(tables, "csv"), tables)


def test_mermaid_has_no_syntax_in_a_label_and_one_line_a_thing():
    tables = {"concepts": pd.DataFrame({"concept_id": HOSTILE, "name": HOSTILE}),
              "prerequisites": pd.DataFrame({"concept_id": HOSTILE[1:3], "requires_id": HOSTILE[0], "source": "x", "weight": [1, 0.5], "group": ["g", None]})}
    lines = graph_export.mermaid(tables).rstrip("\n").split("\n")
    assert len(lines) == 1 + 2 * len(HOSTILE) + 2 * 2
    for line in lines[1:]:
        words = line.strip()
        assert words.startswith(("n", "%% [")) and not (words.startswith("%%") and set(words) & set("{}"))
        if '["' in words and words.startswith("n"):
            assert not set(words.split('["', 1)[1].removesuffix('"]')) & set("\"[]{}<>|`\r\t%&:")
    assert sum("-.->" in line and "%%" not in line for line in lines) == 1 and any("-->|0.5|" in line for line in lines)


def test_a_flowchart_edited_by_hand_or_made_elsewhere_is_refused(tmp_path: Path):
    tables = {"concepts": pd.DataFrame({"concept_id": ["a", "b"], "name": ["A", "B"]}),
              "prerequisites": pd.DataFrame({"concept_id": ["b"], "requires_id": ["a"], "source": "x", "weight": [1]})}
    path = tmp_path / "g.mmd"
    path.write_text(graph_export.mermaid(tables) + "  n1 --> n0\n")
    with pytest.raises(DataError, match="n1 n0 with 1 drawn and 0 told of"):
        graph_export.read(path)
    path.write_text("flowchart TD\n  A --> B\n")
    with pytest.raises(DataError, match="made elsewhere"):
        graph_export.read(path)


def test_graphml_of_another_tool_is_read_and_an_undirected_one_refused(tmp_path: Path):
    graph = nx.DiGraph()
    graph.add_node("a", label="Adding", colour="red")
    graph.add_edge("a", "b", weight=0.5, thickness=3)
    graph.add_edge("a", "c")
    path = tmp_path / "theirs.graphml"
    nx.write_graphml(graph, path)
    found = graph_file.canonical(graph_export.read(path).tables)
    assert found["concepts"].values.tolist() == [["a", "Adding"], ["b", ""], ["c", ""]]
    assert found["prerequisites"].values.tolist() == [["b", "a", "theirs.graphml", 0.5], ["c", "a", "theirs.graphml", 1.0]]
    nx.write_graphml(graph.to_undirected(), path)
    with pytest.raises(DataError, match="directed graph"):
        graph_export.read(path)
    path.write_text("<no graph")
    with pytest.raises(DataError, match="must be a GraphML file"):
        graph_export.read(path)


def test_a_persons_csv_is_read_by_its_columns(tmp_path: Path):
    path = tmp_path / "edges.csv"
    path.write_text("Skill;Requires;Weight;teacher's remark\n b ; a ;0.5;x\nc;b;;\n")
    found = graph_export.read(path).tables
    assert sorted(found["concepts"]["concept_id"]) == ["a", "b", "c"]
    assert found["prerequisites"][["concept_id", "requires_id", "source"]].values.tolist() == [["b", "a", "edges.csv"], ["c", "b", "edges.csv"]]
    assert found["prerequisites"]["weight"].tolist() == ["0.5", 1.0]
    path.write_text("x,y\n1,2\n")
    with pytest.raises(DataError, match="concept_id, requires_id"):
        graph_export.read(path)


def test_a_graph_that_dangles_is_not_exported(tmp_path: Path):
    tables = {"concepts": pd.DataFrame({"concept_id": ["a"], "name": ["A"]}),
              "prerequisites": pd.DataFrame({"concept_id": ["a"], "requires_id": ["x"], "source": "x", "weight": [1]})}
    for form in ("graphml", "mermaid", "csv", "case"):
        with pytest.raises(DataError, match="must be found in concepts"):
            graph_export.write(tables, tmp_path / "g", form, "t", "2026-01-01")
    with pytest.raises(DataError, match="must be one of"):
        graph_export.write(tables, tmp_path / "g", "dot", "t", "2026-01-01")
    assert not list(tmp_path.iterdir())
    with pytest.raises(DataError, match="a graph must be a file in"):
        (tmp_path / "g.docx").write_text("x")
        graph_export.read(tmp_path / "g.docx")
