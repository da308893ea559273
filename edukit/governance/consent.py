"""What a learner has said about their own data: agreed, objected, deleted, corrected; loaders honour it before anything else sees a row.

The list is a file of its own (JSON lines, or a csv that a school keeps) with one entry a line, read in order of day and then of line; the
last word on a purpose counts. An entry for ``purpose`` `all` covers every purpose, and one for the learner ``*`` everybody who is not named,
so that a list which must hold an agreement for everyone begins with ``{"learner_id": "*", "state": "objected", ...}``. It holds ids as they
stand in the raw files: keep it as safe as those.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from edukit.reproducibility import bundled, cache_dir, fingerprint
from edukit.schema import TABLES, DataError
from edukit.validation import validate

ALL, EVERYBODY = "all", "*"
STATES = ("agreed", "objected", "deleted", "corrected")
NEEDED = ("learner_id", "purpose", "state", "day")
TOLD = ("data", "table", "column", "value", "where")

FURTHER = ("prerequisites", "causal_check", "graph_search", "leakage", "bench", "graph", "export", "describe", "session")


def purposes() -> list[str]:
    """What data may be used for: every experiment with a config of its own, the benchmarks and audits without one, graphs, exports, and all of it."""
    return [ALL, *sorted({p.stem for p in bundled("conf").glob("*.yaml") if p.stem != "config"} | set(FURTHER))]


def datasets() -> list[str]:
    """What data an entry may be about: every data set that has a card, and all of them."""
    return [ALL, *sorted(p.stem for p in bundled("data_cards").glob("*.json"))]


def consent_path() -> Path:
    """Where the list lies: ``EDUKIT_CONSENT``, else ``consent.jsonl`` beside the pseudonym key."""
    return Path(os.environ.get("EDUKIT_CONSENT") or cache_dir() / "consent.jsonl")


def _entries(path: Path) -> list[dict[str, Any]]:
    """Every entry, checked, in the order in which it counts."""
    if path.suffix.lower() == ".csv":
        try:
            table = pd.read_csv(path, dtype="str", keep_default_na=False)
        except ValueError as error:  # an empty file, or none in UTF-8
            raise DataError(f"{path} must be a csv with the columns {', '.join(NEEDED)}; found {error}. Mend it; nothing is loaded while it is unclear "
                            "who agreed.") from None
        raw = [{name: value for name, value in row.items() if value != ""} for row in table.to_dict("records")]
    else:
        raw = []
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):  # an id may hold other marks that end a line
            try:
                raw += [json.loads(line)] if line.strip() else []
            except json.JSONDecodeError:
                raise DataError(f"{path} must hold one JSON entry a line; found something else in line {number:,}. Mend the line; nothing is loaded "
                                "while it is unclear who agreed.") from None
    known = {"purpose": purposes(), "data": datasets()}
    for number, entry in enumerate(raw, 1):
        absent = [name for name in NEEDED if not entry.get(name)] if isinstance(entry, dict) else list(NEEDED)
        unknown = sorted(set(entry) - {*NEEDED, *TOLD}) if not absent else []
        if absent or unknown or entry["state"] not in STATES or not _is_day(entry["day"]) or not isinstance(entry.get("where", {}), dict):
            wrong = f"without {', '.join(absent)}" if absent else f"with the unknown {', '.join(unknown)}" if unknown else \
                f"with the state {entry['state']!r} and the day {entry['day']!r}"
            raise DataError(f"{path}: an entry must hold {', '.join(NEEDED)} (state one of {', '.join(STATES)}; day as 2026-01-31), and may hold "
                            f"{', '.join(TOLD)}; found entry {number:,} {wrong}. Mend it; nothing is loaded while it is unclear who agreed.")
        for name, words in known.items():  # an objection to a misspelt purpose would be heard by nobody
            if entry.get(name, ALL) not in words:
                raise DataError(f"{path}: the {name} of an entry must be one of {', '.join(words)}; found {entry[name]!r} in entry {number:,}. Mend it; "
                                "nothing is loaded while it is unclear who agreed.")
        if entry["state"] == "corrected" and not (entry.get("table") and entry.get("column") and "value" in entry):
            raise DataError(f"{path}: a correction must name table, column and value; found entry {number:,} without. Mend or remove it.")
    return sorted(({**entry, "learner_id": str(entry["learner_id"])} for entry in raw), key=lambda entry: entry["day"])


def _is_day(text: Any) -> bool:
    """Whether it is written as 2026-01-31: days are compared as text."""
    try:
        return isinstance(text, str) and date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


@dataclass(frozen=True)
class Standing:
    """What the list means for one data set and one purpose.

    Attributes
    ----------
    left_out : learners whose rows leave every table.
    only : where everybody who is not named has objected, the learners whose rows stay; else None.
    corrections : entries that correct a value.
    """

    left_out: frozenset[str] = frozenset()
    only: frozenset[str] | None = None
    corrections: tuple[Mapping[str, Any], ...] = field(default=())

    @property
    def fingerprint(self) -> str:
        """Part of the key under which prepared tables are kept; `none` where the list changes nothing."""
        if not self.left_out and self.only is None and not self.corrections:
            return "none"
        return fingerprint(sorted(self.left_out), None if self.only is None else sorted(self.only), [dict(c) for c in self.corrections])

    def apply(self, tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
        """Validated tables with corrections made, then without the rows of learners who are left out; a row of nobody stays.

        Raises
        ------
        DataError
            Where a corrected value is none that the column may hold.
        """
        tables = dict(tables)
        for entry in self.corrections:
            name = entry["table"]
            if name in tables and entry["column"] in tables[name]:
                tables[name] = validate(corrected(tables[name], entry)[0], name, "the consent list")
        return {name: self._stay(table) if "learner_id" in table else table for name, table in tables.items()}

    def _stay(self, table: pd.DataFrame) -> pd.DataFrame:
        ids = table["learner_id"]
        stay = ~ids.isin(self.left_out) if self.only is None else ids.isin(self.only) | ids.isna()
        return table if stay.all() else table[stay].reset_index(drop=True)

    def select(self, select: str) -> str:
        """For a log that is streamed: a DuckDB ``SELECT`` without the rows of learners who are left out; corrections are made where its columns are known,
        in :func:`edukit.data.streaming.write`."""
        ids = self.left_out if self.only is None else self.only
        if not ids and self.only is None:
            return select
        listed = ", ".join("'" + one.replace("'", "''") + "'" for one in sorted(ids)) or "NULL"
        who = ("""CASE WHEN typeof("learner_id") IN ('DOUBLE', 'FLOAT') THEN CAST(TRY_CAST("learner_id" AS BIGINT) AS VARCHAR) """
               """ELSE CAST("learner_id" AS VARCHAR) END""")
        there = f"coalesce({who} IN ({listed}), false)"
        return f"SELECT * FROM ({select}) WHERE {there if self.only is not None else f'NOT {there}'}"


def corrected(table: pd.DataFrame, entry: Mapping[str, Any]) -> tuple[pd.DataFrame, int]:
    """A copy with the correction made, and how many rows it concerned."""
    rows = table["learner_id"] == entry["learner_id"]
    for column, value in (entry.get("where") or {}).items():
        if column not in table:
            raise DataError(f"a correction of {entry['table']} must point at its columns; found {column}, which is none of {', '.join(table.columns)}.")
        rows &= table[column].astype("str") == str(value)
    values = table[entry["column"]].astype(object)
    values[rows] = entry["value"]
    return table.assign(**{entry["column"]: values}), int(rows.sum())


@dataclass(frozen=True)
class Consent:
    """The list at ``path``; an absent file is an empty list.

    Examples
    --------
    >>> Consent(Path("nowhere.jsonl")).standing("oulad").fingerprint
    'none'
    """

    path: Path

    @classmethod
    def here(cls) -> Consent:
        """The list of this machine.

        Raises
        ------
        DataError
            If ``EDUKIT_CONSENT`` names a file that is not there: objections must not be lost by a typing error.
        """
        path = consent_path()
        if os.environ.get("EDUKIT_CONSENT") and not path.is_file():
            raise DataError(f"EDUKIT_CONSENT must name the consent list; found no file {path}. Give its path, or begin one with `edukit consent agree`.")
        return cls(path)

    def entries(self) -> list[dict[str, Any]]:
        """Every entry in the order in which it counts; each has been checked."""
        return _entries(self.path) if self.path.is_file() else []

    def standing(self, data: str, purpose: str = ALL) -> Standing:
        """What the list means for one data set (its name in `edukit data list`) when it is used for ``purpose`` (the name of an experiment).

        An objection to one purpose leaves the rows in for all others; an entry without ``data`` counts for every data set.
        """
        said: dict[str, bool] = {}
        corrections: dict[tuple, dict[str, Any]] = {}
        for entry in self.entries():
            if entry.get("data", data) not in (data, ALL):
                continue
            if entry["state"] == "corrected":
                where = entry.get("where") or {}
                corrections[entry["learner_id"], entry["table"], entry["column"], json.dumps(where, sort_keys=True)] = {
                    name: entry[name] for name in ("learner_id", "table", "column", "value")} | {"where": where}
            elif entry["purpose"] in (ALL, purpose):
                said[entry["learner_id"]] = entry["state"] == "agreed"
        everybody = said.pop(EVERYBODY, True)
        return Standing(frozenset(one for one, agreed in said.items() if not agreed),
                        None if everybody else frozenset(one for one, agreed in said.items() if agreed), tuple(corrections.values()))

    def last_word(self, learner_id: str, data: str, purpose: str = ALL) -> str | None:
        """What a learner said last of a purpose (agreed, objected, deleted), by name; None where the list does not name them."""
        said = [entry["state"] for entry in self.entries() if entry["learner_id"] == learner_id and entry.get("data", data) in (data, ALL)
                and entry["purpose"] in (ALL, purpose) and entry["state"] != "corrected"]
        return said[-1] if said else None

    def add(self, learner_id: str, state: str, data: str = ALL, purpose: str = ALL, **more: Any) -> dict[str, Any]:
        """Write one entry at the end, dated today; nothing that was said before is changed.

        Raises
        ------
        DataError
            Where the list is a csv, which its owner edits, or the entry is not one.
        """
        if self.path.suffix.lower() == ".csv":
            raise DataError(f"{self.path} is a csv that its owner edits; edukit writes to lists of JSON lines only. Add there: learner_id {learner_id}, "
                            f"data {data}, purpose {purpose}, state {state}, and the day; then give the command again, for what else it does.")
        entry = {"learner_id": learner_id, "data": data, "purpose": purpose, "state": state, "day": datetime.now(UTC).date().isoformat(), **more}
        if state not in STATES or set(more) - set(TOLD):
            raise DataError(f"an entry must have one of the states {', '.join(STATES)}; found {state!r} with {', '.join(more) or 'nothing more'}.")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            torn = os.fstat(handle).st_size and os.pread(handle, 1, os.fstat(handle).st_size - 1) != b"\n"
            os.write(handle, (b"\n" if torn else b"") + json.dumps(entry, ensure_ascii=False).encode() + b"\n")  # one write, so that two do not mix
            os.fsync(handle)
        finally:
            os.close(handle)
        return entry


def own_rows(tables: Mapping[str, pd.DataFrame], learner_id: str) -> dict[str, pd.DataFrame]:
    """Every row about one learner, from every table that names learners; tables without such a row are left out."""
    found = {name: table[table["learner_id"] == learner_id] for name, table in tables.items() if "learner_id" in table}
    return {name: rows.reset_index(drop=True) for name, rows in found.items() if len(rows)}


def meanings(tables: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, Any]]:
    """What a row and each column of the given tables mean, for a reader who is no programmer."""
    return {name: {"a row is": TABLES[name].row, "rows": len(table),
                   "columns": {column.name: column.meaning for column in TABLES[name].columns if column.name in table}} for name, table in tables.items()}
