"""Whatever lies in a folder of outputs, as tables and as texts, so that it can be looked through for what should not leave.

Tables: csv, tsv, parquet, the records in JSON and in pages, tables of pages, and every table of an SQLite file (where tracked runs are). Texts:
every other word that a reader of the file could see.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd

TEXTS = {".md", ".txt", ".log", ".yaml", ".yml", ".svg", ".tex", ".xml", ".css"}
PAGES = {".html", ".htm"}
JSONS = {".json", ".jsonl", ".ipynb", ".geojson"}
DATABASES = {".db", ".sqlite", ".sqlite3"}


@dataclass
class Opened:
    """What one file holds: named tables, and texts."""

    tables: list[tuple[str, pd.DataFrame]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


class _Page(HTMLParser):
    """The words, tables and data blocks of a page; its program and its style are left aside."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found, self.blocks = Opened(), []
        self.skips, self.data = False, False
        self.rows: list[list[str]] | None = None
        self.cell: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style"):
            self.data = tag == "script" and "json" in (dict(attrs).get("type") or "")
            self.skips = not self.data
        elif tag == "table":
            self.rows = []
        elif tag == "tr" and self.rows is not None:
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.cell = []

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self.skips = self.data = False
        elif tag in ("td", "th") and self.cell is not None and self.rows:
            self.rows[-1].append(" ".join(self.cell).strip())
            self.cell = None
        elif tag == "table" and self.rows is not None:
            rows, self.rows = [row for row in self.rows if row], None
            if len(rows) > 1:
                wide = max(map(len, rows))
                head = [*rows[0], *(f"column {n + 1}" for n in range(len(rows[0]), wide))]
                head = [name if head.index(name) == n else f"{name} {n + 1}" for n, name in enumerate(head)]
                self.found.tables.append((f"table {len(self.found.tables) + 1}", pd.DataFrame([row + [""] * (wide - len(row)) for row in rows[1:]],
                                                                                               columns=head, dtype="object")))

    def handle_data(self, data: str) -> None:
        if self.data:
            self.blocks.append(data)
        elif not self.skips and data.strip():
            (self.found.texts if self.cell is None else self.cell).append(data)


def _walk(content: Any, place: str, found: Opened) -> None:
    """Tables and texts of a JSON value: a list of records is a table, as is a record of lists of one length."""
    if isinstance(content, dict):
        lists = {name: value for name, value in content.items() if isinstance(value, list) and not any(isinstance(v, dict | list) for v in value)}
        lengths = {len(value) for value in lists.values()}
        if len(lists) > 1 and len(lengths) == 1 and lengths.pop() > 1:
            found.tables.append((place, pd.DataFrame(lists, dtype="object")))
            content = {name: value for name, value in content.items() if name not in lists}
        for name, value in content.items():
            _walk(value, f"{place}.{name}".lstrip("."), found)
    elif isinstance(content, list) and content and all(isinstance(one, dict) for one in content):
        flat = [{name: value for name, value in one.items() if not isinstance(value, dict | list)} for one in content]
        found.tables.append((place, pd.DataFrame(flat, dtype="object")))
        for one in content:
            for name, value in one.items():
                if isinstance(value, dict | list):
                    _walk(value, f"{place}.{name}".lstrip("."), found)
    elif isinstance(content, list):
        for one in content:
            _walk(one, place, found)
    elif isinstance(content, str):
        found.texts.append(content)


def _notebook(content: dict[str, Any], found: Opened) -> None:
    """What a notebook shows: its words, and what its cells printed."""
    for cell in content["cells"]:
        found.texts.append("".join(cell.get("source", "")))
        for output in cell.get("outputs", ()):
            found.texts.append("".join(output.get("text", "")))
            shown = output.get("data", {})
            if "text/html" in shown:
                _page("".join(shown["text/html"]), found)
            else:
                found.texts.append("".join(shown.get("text/plain", "")))


def _page(text: str, found: Opened) -> None:
    page = _Page()
    page.feed(text)
    page.close()
    found.tables += page.found.tables
    found.texts += page.found.texts
    for number, block in enumerate(page.blocks, 1):
        with contextlib.suppress(json.JSONDecodeError):
            _walk(json.loads(block), f"data {number}", found)


def _json(path: Path, found: Opened) -> None:
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    try:
        content = [json.loads(line) for line in text.split("\n") if line.strip()] if path.suffix == ".jsonl" else json.loads(text)
    except json.JSONDecodeError:
        found.texts.append(text)
        return
    if path.suffix == ".ipynb" and isinstance(content, dict) and isinstance(content.get("cells"), list):
        _notebook(content, found)
    else:
        _walk(content, "", found)


def _database(path: Path, found: Opened) -> None:
    with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            rows = database.execute('SELECT * FROM "{}"'.format(name.replace('"', '""')))
            if path.name == "mlflow.db":  # its users, names and ids are those of runs
                found.texts += [value for row in rows for value in row if isinstance(value, str)]
                continue
            found.tables.append((name, pd.DataFrame(rows.fetchall(), columns=[c[0] for c in rows.description], dtype="object")))


def opened(path: Path) -> Opened | None:
    """Tables and texts of one file; None where edukit cannot look into it (pictures, fitted models), or where it is broken."""
    found, kind = Opened(), path.suffix.lower()
    try:
        if kind in (".csv", ".tsv"):
            found.tables.append(("", pd.read_csv(path, sep="\t" if kind == ".tsv" else ",", dtype="str", encoding="utf-8-sig", na_values=[""],
                                                 keep_default_na=False, encoding_errors="replace")))
        elif kind == ".parquet":
            found.tables.append(("", pd.read_parquet(path)))
        elif kind in JSONS:
            _json(path, found)
        elif kind in PAGES:
            _page(path.read_text(encoding="utf-8", errors="replace"), found)
        elif kind in DATABASES:
            _database(path, found)
        elif kind in TEXTS:
            found.texts.append(path.read_text(encoding="utf-8", errors="replace"))
        else:
            return None
    except (OSError, ValueError, sqlite3.DatabaseError):
        return None
    return found


def outputs(place: Path) -> Iterator[tuple[Path, Opened | None]]:
    """Every file of a folder, or the one file, and what it holds."""
    for path in [place] if place.is_file() else sorted(file for file in place.rglob("*") if file.is_file()):
        if path.name.endswith(("-wal", "-shm")) and path.with_name(path.name[:-4]).is_file():
            continue  # of the SQLite file beside it, and read with it
        yield path, opened(path)
