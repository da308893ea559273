"""Prerequisite graphs in the forms other tools read: GraphML (Gephi, yEd, networkx), Mermaid (text in a page), csv; and read back from them.

Arrows run from a prerequisite to the concept that requires it. Ids of any characters come back as they were: GraphML, which cannot carry control
characters, holds them as ``\\u000b``; Mermaid, whose node names are narrow, holds ids in comments beside the nodes. An empty text counts as missing.

Source: Brandes, Eiglsperger, Herman, Himsolt and Marshall (2002), GraphML progress report, Graph Drawing; Mermaid 11, flowchart syntax.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from edukit.formats import case, graph_file
from edukit.formats.delimited import SHEETS, read_table, read_text, read_text_table
from edukit.formats.response_matrix import plain
from edukit.reproducibility import replacing
from edukit.schema import TABLES, DataError
from edukit.validation import validate_all

if TYPE_CHECKING:
    import networkx as nx

Graph = Mapping[str, pd.DataFrame]
FORMS = {".graphml": "graphml", ".mmd": "mermaid", ".csv": "csv", ".json": "case"}
"""The form that an ending stands for."""
CALLED = {"concept": "concept_id", "skill": "concept_id", "requires": "requires_id", "prerequisite": "requires_id", "prerequisite_id": "requires_id",
          "needs": "requires_id"}
_PAIR = ["concept_id", "requires_id"]
_NOT_XML = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffe\uffff]|\\(?=u[0-9a-f]{4})")
_NOT_COMMENT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029{}]")


def _checked(tables: Graph) -> dict[str, pd.DataFrame]:
    """Concepts and prerequisites in the order of their keys, every reference good."""
    held = graph_file.canonical({name: tables[name] for name in ("concepts", "prerequisites") if name in tables})
    found = {name: held[name] for name in ("concepts", "prerequisites")}
    if not len(found["concepts"]):
        raise DataError("a graph must have concepts to be exported; found none.")
    validate_all({name: table for name, table in found.items() if len(table)})
    return found


def _understood(concepts: list[dict[str, Any]], edges: list[dict[str, Any]], path: Path, source: str) -> dict[str, pd.DataFrame]:
    """Rows from another tool as tables; columns of its own are left out, what is required and absent gets its default."""
    rows = {"concepts": [{**row, "name": row.get("name") or row.get("label") or ""} for row in concepts],
            "prerequisites": [{"source": source, "weight": 1.0, **row} for row in edges]}
    tables = {}
    for name, found in rows.items():
        known = TABLES[name].names
        tables[name] = pd.DataFrame([{k: v for k, v in row.items() if k in known} for row in found], dtype=object) if found else graph_file.empty(name)
    if not len(tables["concepts"]):
        raise DataError(f"{path} must hold at least one concept; found none.")
    return tables


def _escaped(text: str) -> str:
    return _NOT_XML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _unescaped(text: str) -> str:
    return re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), text)


def write_graphml(tables: Graph, path: str | Path) -> Path:
    """Write concepts as nodes and each claim as a directed edge, with all that is known of them.

    Raises
    ------
    DataError
        For tables that do not validate, or a prerequisite that is no concept.
    """
    import networkx as nx

    tables, graph = _checked(tables), nx.MultiDiGraph()
    for row in map(_attributes, graph_file.rows_of(tables["concepts"])):
        graph.add_node(row.pop("concept_id"), **row)
    for row in map(_attributes, graph_file.rows_of(tables["prerequisites"])):
        child = row.pop("concept_id")
        graph.add_edge(row.pop("requires_id"), child, **row)
    with replacing(Path(path)) as fresh:
        nx.write_graphml_xml(graph, fresh)
    return Path(path)


def _attributes(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _escaped(value) if isinstance(value, str) else value for name, value in row.items() if value != ""}


def read_graphml(path: str | Path) -> dict[str, pd.DataFrame]:
    """Concepts and prerequisites of a directed GraphML file, ours or another tool's (``label`` counts as the name; a claim without weight has 1).

    Raises
    ------
    DataError
        For a file that is no GraphML, or whose edges have no direction.
    """
    import xml.etree.ElementTree as xml

    import networkx as nx

    path = Path(path)
    try:
        graph: nx.Graph = nx.read_graphml(path, force_multigraph=True)
    except (xml.ParseError, nx.NetworkXError, ValueError, KeyError, StopIteration) as error:
        raise DataError(f"{path} must be a GraphML file; found {type(error).__name__}: {error}. Export the graph again.") from None
    if not graph.is_directed():
        raise DataError(f"{path} must be a directed graph (edgedefault=\"directed\"), from a prerequisite to what requires it; found one without direction.")

    def row(attributes: Mapping[str, Any], **ids: str) -> dict[str, Any]:
        return {name: _unescaped(v) if isinstance(v, str) else v for name, v in {**attributes, **ids}.items()}

    return _understood([row(attributes, concept_id=node) for node, attributes in graph.nodes(data=True)],
                       [row(attributes, requires_id=a, concept_id=b) for a, b, attributes in graph.edges(data=True)], path, path.name)


def _label(text: str) -> str:
    """Text that Mermaid draws as it is: what it could read as syntax becomes a character code."""
    return re.sub(r"[^\w .,+=/()\-]|[\x00-\x1f]", lambda found: f"#{ord(found[0])};" if ord(found[0]) < 128 else found[0], text) or " "


def _comment(*words: Any) -> str:
    said = json.dumps(words, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _NOT_COMMENT.sub(lambda found: f"\\u{ord(found[0]):04x}", said)


def _pairs(row: Mapping[str, Any]) -> list[Any]:
    return [part for item in row.items() for part in item]


def mermaid(tables: Graph) -> str:
    """The graph as a Mermaid flowchart from left to right: a weight below 1 stands on its arrow, alternatives (OR) have dotted arrows.

    Each node and arrow is followed by a comment with its id and all that is known of it.

    Examples
    --------
    >>> c = pd.DataFrame({"concept_id": ["a", "b"], "name": ["Add", "Say \\"b\\""]})
    >>> p = pd.DataFrame({"concept_id": ["b"], "requires_id": ["a"], "source": "me", "weight": 0.5})
    >>> print(mermaid({"concepts": c, "prerequisites": p}))
    flowchart LR
      n0["Add"]
      %% ["n0","concept_id","a","name","Add"]
      n1["Say #34;b#34;"]
      %% ["n1","concept_id","b","name","Say \\"b\\""]
      n0 -->|0.5| n1
      %% ["n0 n1","source","me","weight",0.5]
    <BLANKLINE>
    """
    tables = _checked(tables)
    place = {concept: f"n{k}" for k, concept in enumerate(tables["concepts"]["concept_id"])}
    lines = ["flowchart LR"]
    for row in graph_file.rows_of(tables["concepts"]):
        node = place[row["concept_id"]]
        lines += [f'{node}["{_label(row["name"] or row["concept_id"])}"]', f"%% {_comment(node, *_pairs(row))}"]
    for row in graph_file.rows_of(tables["prerequisites"]):
        ends = place[row.pop("requires_id")], place[row.pop("concept_id")]
        arrow = ("-.->" if "group" in row else "-->") + (f"|{row['weight']:.2g}|" if row["weight"] < 1 else "")
        lines += [f"{ends[0]} {arrow} {ends[1]}", f"%% {_comment(' '.join(ends), *_pairs(row))}"]
    return "\n  ".join(lines) + "\n"


def read_mermaid(path: str | Path) -> dict[str, pd.DataFrame]:
    """Concepts and prerequisites of a flowchart that :func:`mermaid` wrote.

    Raises
    ------
    DataError
        For a flowchart made elsewhere, or one whose arrows were changed by hand (the comments beside them would then be wrong).
    """
    path = Path(path)
    nodes: dict[str, dict[str, Any]] = {}
    edges: list[dict[str, Any]] = []
    drawn: Counter[str] = Counter()
    told: Counter[str] = Counter()
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
        if arrow := re.match(r"\s*(n\d+) -\.?->(?:\|[^|]*\|)? (n\d+)\s*$", line):
            drawn[f"{arrow[1]} {arrow[2]}"] += 1
        elif node := re.match(r'\s*(n\d+)\["', line):
            drawn[node[1]] += 1
        if not (comment := re.match(r"\s*%% (\[.*\])\s*$", line)):
            continue
        try:
            name, *pairs = json.loads(comment[1])
            row = dict(zip(pairs[::2], pairs[1::2], strict=True))
            told[name] += 1
            if " " in name:
                origin, destination = name.split(" ")
                edges.append({"requires_id": nodes[origin]["concept_id"], "concept_id": nodes[destination]["concept_id"], **row})
            else:
                nodes[name] = row
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} must hold comments as edukit writes them; found another in line {number:,} ({error}). Export the graph again.") from None
    if not nodes:
        raise DataError(f"{path} must be a flowchart that edukit wrote, with ids in comments; found none. Mermaid made elsewhere cannot be read: "
                        "write the edges into a csv with the columns concept and requires.")
    if drawn != told:
        odd = next(iter((drawn - told) + (told - drawn)))
        raise DataError(f"{path} must have a comment beside each node and arrow; found {odd} with {drawn[odd]} drawn and {told[odd]} told of. "
                        "Do not edit the flowchart: edit the graph file, and export it again.")
    return _understood(list(nodes.values()), edges, path, path.name)


def beside(path: Path) -> Path:
    """Where the concepts of a csv of edges lie: ``maths.concepts.csv`` beside ``maths.csv``."""
    return path.with_suffix(f".concepts{path.suffix}")


def write_csv(tables: Graph, path: str | Path) -> Path:
    """Write the prerequisites as csv, and the concepts beside it (:func:`beside`)."""
    tables, path = _checked(tables), Path(path)
    for table, place in ((tables["concepts"], beside(path)), (tables["prerequisites"], path)):
        with replacing(place) as fresh:
            table.to_csv(fresh, index=False, encoding="utf-8", quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    return path


def read_csv(path: str | Path) -> dict[str, pd.DataFrame]:
    """Prerequisites of a csv or sheet, ours or a person's (columns concept and requires), and the concepts that lie beside it or that it names.

    Of a file with the very columns ``concept_id`` and ``requires_id`` every character counts; of others blanks around a cell are stripped.

    Raises
    ------
    DataError
        For a table without the two columns.
    """
    path = Path(path)
    ours = path.suffix.lower() not in SHEETS and '"concept_id"' in read_text(path).split("\n", 1)[0]
    table = _exact(path) if ours else read_table(path)
    table = table.rename(columns={c: CALLED.get(plain(c), plain(c)) for c in table.columns})
    if absent := [c for c in _PAIR if c not in table]:
        raise DataError(f"{path} must have a column for {', '.join(absent)}; found {', '.join(map(str, table.columns))}. Name the columns concept and "
                        "requires: what is learnt, and what it builds on.")
    edges = graph_file.rows_of(table)
    if beside(path).is_file():
        return _understood(graph_file.rows_of(_exact(beside(path))), edges, path, path.name)
    ids = sorted({row[c] for row in edges for c in _PAIR if c in row})
    return _understood([{"concept_id": concept, "name": concept} for concept in ids], edges, path, path.name)


def _exact(path: Path) -> pd.DataFrame:
    return read_text_table(path, dtype="str", keep_default_na=False, na_values=[""], lineterminator="\n")


def write(tables: Graph, path: str | Path, form: str, title: str, changed: str) -> Path:
    """Write a graph in one of the forms of :data:`FORMS`.

    Parameters
    ----------
    title, changed : of a CASE framework: its name, and the ISO 8601 moment of its last change.
    """
    path = Path(path)
    if form == "graphml":
        return write_graphml(tables, path)
    if form == "csv":
        return write_csv(tables, path)
    if form == "mermaid":
        with replacing(path) as fresh:
            fresh.write_text(mermaid(tables), encoding="utf-8", newline="\n")
        return path
    if form == "case":
        return case.write(tables, path, title, changed=changed)
    raise DataError(f"the form of a graph must be one of {', '.join(FORMS.values())}; found {form}.")


def read(path: str | Path) -> graph_file.GraphFile:
    """Read a graph in whatever form it is: a graph file (which alone has a history), CASE, GraphML, Mermaid, or a table of edges.

    Raises
    ------
    DataError
        For a file that is none of these.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending in graph_file.SUFFIXES and graph_file.recognise(path):
        return graph_file.read(path)
    readers = {".json": case.read, ".graphml": read_graphml, ".mmd": read_mermaid, **dict.fromkeys((".csv", ".tsv", ".txt", *SHEETS), read_csv)}
    if ending not in readers:
        raise DataError(f"a graph must be a file in .json, .parquet, {', '.join(e for e in readers if e != '.json')}; found {path.name}.")
    tables = readers[ending](path)
    return graph_file.GraphFile({name: tables.get(name, graph_file.empty(name)) for name in graph_file.HELD})
