"""A school's own responses, in whatever form they were exported: recognised, read, and joined with its own Q-matrix and graph."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd

from edukit.formats import case, datashop, lms, oneroster, response_matrix, response_rows, sequence_files, xapi
from edukit.formats.delimited import SHEETS, Say, forget, quiet, read_table, read_text, separator_of
from edukit.formats.response_rows import match_columns
from edukit.schema import DataError

GRAPH_COLUMNS = {"concept_id": ("concept", "skill"), "requires_id": ("prerequisite_id", "requires", "prerequisite", "needs")}
KINDS = ("auto", "rows", "matrix", "canvas", "moodle", "datashop", "xapi", "oneroster", "pykt", "three_line", "triple")


@dataclass(frozen=True)
class SchoolCsv:
    """Your own file of responses: a csv or sheet, a Canvas, Moodle or OneRoster export, xAPI, DataShop or a research format.

    Without concepts each item is its own concept. Without order or time the order of rows is **not** taken for the order of responses: it
    counts as unknown. Cells are stripped of blanks at both ends; only an empty cell is missing (``NA`` is an id like any other).

    Parameters
    ----------
    path : the file (or the folder of a OneRoster export).
    kind : one of :data:`KINDS`; ``auto`` recognises it by its ending, its header and its shape.
    sheet : name of the sheet of a workbook; the first where it is not given.
    q_matrix : a second file that says which item assesses which concept: a row for each pair, or a row an item with 0 or 1 below each concept.
    graph : a file of prerequisites: CASE (.json), or a table with the columns concept and requires (what is learnt, and what it builds on).
    """

    name: ClassVar[str] = "school_csv"
    path: str | None = None
    kind: str = "auto"
    sheet: str | None = None
    q_matrix: str | None = None
    graph: str | None = None

    def raw_dir(self) -> Path:
        """The folder the file lies in."""
        if not self.path:
            raise DataError("data school_csv needs a file; found none. Give data.path=FILE.csv (one row per response: learner, item, correct).")
        if self.kind not in KINDS:
            raise DataError(f"data.kind of school_csv must be one of {', '.join(KINDS)}; found {self.kind}")
        for field, file in (("path", self.path), ("q_matrix", self.q_matrix), ("graph", self.graph)):
            if file and not (Path(file).is_file() or field == "path" and Path(file).is_dir()):
                raise DataError(f"data school_csv needs the file {file}; found no such file. Check data.{field} (it is relative to where you start edukit).")
        return Path(self.path).parent

    def files(self, raw_dir: Path) -> list[Path]:
        """The file itself (of a folder, the files that are read), then the Q-matrix and the graph where they are given."""
        path = Path(str(self.path))
        own = [path / f"{name}.csv" for name in oneroster.FILES if (path / f"{name}.csv").is_file()] if path.is_dir() else [path]
        return own + [Path(file) for file in (self.q_matrix, self.graph) if file]

    def recognised(self) -> str:
        """The kind of the file: as stated, else by its ending, its header and its shape; ``rows`` where nothing else fits."""
        path = Path(str(self.path))
        if self.kind != "auto":
            return self.kind
        if path.is_dir() or path.suffix.lower() == ".zip":
            if not oneroster.recognise(path):
                raise DataError(f"{path} must be a OneRoster export where it is a folder or a zip file (users.csv, enrollments.csv); found neither. "
                                "Give the path of one file.")
            return "oneroster"
        if path.suffix.lower() in (".json", ".jsonl", ".ndjson"):
            return "xapi"
        if path.suffix.lower() not in SHEETS:
            head = read_text(path)[:50_000]
            rows = csv.reader(io.StringIO(head, newline=""), delimiter=separator_of(head))
            if datashop.recognise(next(rows, [])):
                return "datashop"
            if sequence := sequence_files.recognise(head):
                return sequence
        table = read_table(path, self.sheet)
        if platform := lms.recognise(list(table.columns)):
            return platform
        mapped = match_columns(list(table.columns))
        whole = set(response_rows.NEEDED) <= set(mapped.values())
        return "matrix" if not whole and response_matrix.recognise(table, _about(mapped), "item_id" not in mapped.values()) else "rows"

    def columns(self) -> list[tuple[str, str, str]]:
        """What each column of the file is taken for: its name, the meaning (empty = not used) and how sure that is.

        Only of kinds whose columns are a person's choice (``rows``, ``matrix``); the others have columns of their own.
        """
        kind = self.recognised()
        if kind not in ("rows", "matrix"):
            return []
        table = read_table(Path(str(self.path)), self.sheet)
        if kind == "matrix":
            found = response_matrix.layout(table, _about(match_columns(list(table.columns))))
            by_place = found.learner == table.columns[0]
            shown = {found.learner: ("learner_id", "by its place" if by_place else "by its name"), **{c: (m, "by its name") for c, m in found.about.items()},
                     **dict.fromkeys(found.items, ("an item", "by its marks"))}
            return [(c, *shown.get(c, ("", ""))) for c in table.columns]
        mapped = response_rows.understand(table)
        sure = {c: "sure" if response_matrix.plain(c) == meaning else "likely: check it" for c, meaning in mapped.items()}
        return [(c, mapped.get(c, ""), sure.get(c, "")) for c in table.columns]

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        """Tables interactions, q_matrix, concepts, and what else the file holds."""
        return self.read()

    def read(self, say: Say = quiet) -> dict[str, pd.DataFrame]:
        """As :meth:`parse`; ``say`` is told every decision that was taken on the way."""
        path, kind = Path(str(self.path)), self.recognised()
        if kind == "rows":
            tables = response_rows.read(path, self.sheet, say)
        elif kind == "matrix":
            tables = response_matrix.read(path, self.sheet, say, _about(match_columns(list(read_table(path, self.sheet).columns))))
        elif kind in ("canvas", "moodle"):
            tables = (lms.read_canvas if kind == "canvas" else lms.read_moodle)(path, self.sheet, say)
        elif kind == "datashop":
            tables = datashop.read(path)
        elif kind == "xapi":
            tables = _telling(xapi.read, path, say)
        elif kind == "oneroster":
            tables = oneroster.read(path, say)
        else:
            tables = {"pykt": sequence_files.read_pykt, "three_line": sequence_files.read_three_line, "triple": sequence_files.read_triple}[kind](path, say)
        if "interactions" in tables and "q_matrix" not in tables:
            tables = {**response_matrix.by_item(tables["interactions"]), **tables}
        if self.q_matrix:
            tables = _with_q_matrix(tables, Path(self.q_matrix), say)
        elif "q_matrix" in tables and tables["q_matrix"]["item_id"].eq(tables["q_matrix"]["concept_id"]).all():
            say("no concepts are stated: each item is its own concept")
        tables = _with_graph(tables, Path(self.graph), say) if self.graph else tables
        forget()
        return tables


def _telling(read: Callable[[Path], dict[str, pd.DataFrame]], path: Path, say: Say) -> dict[str, pd.DataFrame]:
    """What a reader returns; its warnings go to ``say``."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        tables = read(path)
    for warning in told:
        say(str(warning.message))
    return tables


def _about(mapped: dict[str, str]) -> dict[str, str]:
    """Columns of a matrix that name the learner or tell of one, and are no items."""
    return {c: meaning for c, meaning in mapped.items() if meaning in ("learner_id", "class_id", "teacher_id", "term")}


def _with_q_matrix(tables: dict[str, pd.DataFrame], path: Path, say: Say) -> dict[str, pd.DataFrame]:
    """The tables with the concepts of a Q-matrix file in place of those of the responses."""
    q = response_matrix.read_q_matrix(path)
    response_matrix.warn_of_lists(q["concept_id"], say)
    if "interactions" not in tables:
        raise DataError(f"a Q-matrix needs responses; found none to join {path} with.")
    items = pd.Series(tables["interactions"]["item_id"].unique(), dtype="str")
    absent = items[~items.isin(q["item_id"])]
    if len(absent):
        raise DataError(f"{path} must name a concept for every item that was answered; found none for {len(absent):,} of {len(items):,} "
                        f"({', '.join(map(repr, absent.head(5)))}{', ...' if len(absent) > 5 else ''}).")
    if unanswered := int((~pd.Series(q["item_id"].unique()).isin(items)).sum()):
        say(f"{unanswered:,} items of {path.name} have no response")
    names = pd.Series(q["concept_id"].unique(), dtype="str")
    joined = {**tables, "q_matrix": q, "concepts": pd.DataFrame({"concept_id": names, "name": names})}
    if "items" in tables:
        more = pd.Series(q["item_id"].unique(), dtype="str")
        more = more[~more.isin(tables["items"]["item_id"])]
        joined["items"] = pd.concat([tables["items"], pd.DataFrame({"item_id": more, "name": more})], ignore_index=True)
    return joined


def _with_graph(tables: dict[str, pd.DataFrame], path: Path, say: Say) -> dict[str, pd.DataFrame]:
    """The tables with prerequisites, and with the names of the concepts that the graph gives."""
    if path.suffix.lower() == ".json":
        found = _telling(case.read, path, say)
    else:
        claims = read_table(path)
        claims = claims.rename(columns={c: response_matrix.plain(c) for c in claims.columns})
        for target, names in GRAPH_COLUMNS.items():  # an id goes before a name
            if target not in claims and (first := next((n for n in names if n in claims), None)):
                claims = claims.rename(columns={first: target})
        claims = claims.loc[:, ~claims.columns.duplicated()]
        if absent := [c for c in GRAPH_COLUMNS if c not in claims]:
            raise DataError(f"{path} must have a column for {', '.join(absent)}; found {', '.join(map(str, claims.columns))}. Name the columns concept and "
                            "requires: what is learnt, and what it builds on.")
        kept = [c for c in ("concept_id", "requires_id", "source", "weight", "type", "rationale", "group") if c in claims]
        found = {"prerequisites": claims[kept].assign(source=claims["source"] if "source" in claims else "school",
                                                      weight=claims["weight"] if "weight" in claims else 1.0)}
    graph = found.get("prerequisites")
    if graph is None or not len(graph):
        raise DataError(f"{path} must hold at least one prerequisite; found none.")
    ids = pd.Series(pd.unique(pd.concat([graph["concept_id"], graph["requires_id"]])), dtype="str").dropna()
    stated = found.get("concepts", pd.DataFrame({"concept_id": ids, "name": ids}))
    own = tables.get("concepts", stated.iloc[:0])
    if "name" in stated and not own["concept_id"].isin(ids).any() and own["concept_id"].isin(stated["name"]).any():
        found, ids = _by_name(found), ids.map(_codes(stated)).fillna(ids)
        graph, stated = found["prerequisites"], found["concepts"]
        say(f"{path.name} was joined by the names of its concepts, which are the concepts of the responses")
    if not own["concept_id"].isin(ids).any():
        raise DataError(f"{path} must speak of concepts that the responses have ({', '.join(map(repr, own['concept_id'].head(3)))}, ...); found none "
                        f"of them, but {', '.join(map(repr, ids.head(3)))}, ... Give a Q-matrix (data.q_matrix=FILE) with the concepts of the graph.")
    new = ids[~ids.isin(own["concept_id"])]
    if len(new):
        say(f"{len(new):,} concepts of {path.name} have no item here")
    unnamed = own[~own["concept_id"].isin(stated["concept_id"])]
    return {**tables, **found, "concepts": pd.concat([stated, unnamed], ignore_index=True)}


def _codes(concepts: pd.DataFrame) -> pd.Series:
    """Name of each concept by its id, where no other has the same name."""
    return concepts[~concepts["name"].duplicated(keep=False)].set_index("concept_id")["name"]


def _by_name(found: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables of a graph with the names of concepts in place of ids (of CASE: codes in place of GUIDs)."""
    codes = _codes(found["concepts"])
    ids = {column for table in found.values() for column in table if column in ("concept_id", "requires_id", "parent_id")}
    return {name: table.assign(**{c: table[c].map(codes).fillna(table[c]) for c in ids if c in table}) for name, table in found.items()}
