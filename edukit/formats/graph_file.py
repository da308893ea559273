"""Graph files: concepts, prerequisites, headings and expert votes with every earlier version, in one ``.json`` (or ``.parquet`` for large ones).

JSON holds one row a line, sorted by its key, so that a person can edit it and a version control system can show what changed. A version holds
the changes to the one before; the tables as they stand are written beside them, and are what a person edits. Reading is lenient, so that
:func:`edukit.graph.checking.check` can name what is wrong with a file edited by hand; writing is not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from edukit import reproducibility
from edukit.reproducibility import replacing
from edukit.schema import TABLES, DataError
from edukit.validation import refuse, validate

HELD = ("concepts", "prerequisites", "concept_tree", "votes")
"""The tables that a graph file holds; the first two are what it is about."""
MARK, FORMAT = "edukit_graph", 1
SUFFIXES = (".json", ".parquet")
_DTYPES = {"number": "float64", "count": "int64", "time": "datetime64[ns, UTC]"}


@dataclass(frozen=True)
class Version:
    """One saved state: who saved it when and why, the fingerprint of its tables, and the changes to the version before (the first: to nothing)."""

    number: int
    time: str
    author: str
    note: str
    fingerprint: str
    changes: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class GraphFile:
    """What a graph file holds: its tables (those of :data:`HELD`) as they stand, and its versions, oldest first."""

    tables: dict[str, pd.DataFrame]
    history: tuple[Version, ...] = ()


def key_of(name: str) -> list[str]:
    """Columns that identify a row of a table of a graph file."""
    return list(TABLES[name].key)


def empty(name: str) -> pd.DataFrame:
    """A table of a graph file without rows."""
    return pd.DataFrame({c.name: pd.Series(dtype=_DTYPES.get(c.kind, "str")) for c in TABLES[name].columns if c.required})


def canonical(tables: Mapping[str, pd.DataFrame], source: str | None = None) -> dict[str, pd.DataFrame]:
    """All tables of a graph file, validated, each sorted by its key and without columns that say nothing: equal content, equal tables.

    References between the tables are not looked at, nor are cycles: a graph under work may have them.

    Raises
    ------
    DataError
        Naming every fault of every table.
    """
    clean, faults = {}, []
    for name in HELD:
        if name not in tables or not len(tables[name]):
            clean[name] = empty(name)
            continue
        try:
            table = validate(tables[name], name)
        except DataError as error:
            faults += [line.rstrip(".") for line in str(error).split("\n")]
            continue
        hollow = [c.name for c in TABLES[name].columns if not c.required and c.name in table and table[c.name].isna().all()]
        clean[name] = table.drop(columns=hollow).sort_values(key_of(name), ignore_index=True)
    refuse(faults, source)
    return clean


def table_of(name: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows that :func:`rows_of` gave, in the declared dtypes and without columns that say nothing; they are not validated again."""
    if not rows:
        return empty(name)
    table = {}
    for column in TABLES[name].columns:
        if column.required or any(column.name in row for row in rows):
            values = [row.get(column.name) for row in rows]
            whole = None in values and column.kind == "count"
            table[column.name] = pd.to_datetime(pd.Series(values), utc=True) if column.kind == "time" else \
                pd.Series(values, dtype="Int64" if whole else _DTYPES.get(column.kind, "str"))
    return pd.DataFrame(table)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, pd.Timestamp) else value


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain values, without the cells that are missing; times in ISO form."""
    columns = [(str(name), table[name].astype(object).tolist(), table[name].notna().tolist()) for name in table]
    return [{name: _plain(values[i]) for name, values, there in columns if there[i]} for i in range(len(table))]


def fingerprint(tables: Mapping[str, pd.DataFrame]) -> str:
    """Fingerprint of the content of tables in canonical form."""
    return reproducibility.fingerprint({name: rows_of(tables[name]) for name in HELD})


def recognise(path: Path) -> bool:
    """Whether a file is a graph file, by its ending and, of JSON, its first words."""
    if path.suffix.lower() == ".json":
        with path.open(encoding="utf-8-sig", errors="replace") as stream:
            return f'"{MARK}"' in stream.read(200)
    return path.suffix.lower() == ".parquet"


def _table(rows: Any, name: str, path: Path) -> pd.DataFrame:
    """Rows as a table of objects, as lenient as a table can be."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path} must list the rows of {name}, each an object; found {str(rows)[:80]}. Mend it, or restore the file from a copy.")
    for number, row in enumerate(rows, start=1):
        if strange := next((field for field, value in row.items() if isinstance(value, list | dict)), None):
            raise DataError(f"{path}: {name}.{strange} must be one value; found {str(row[strange])[:80]} in row {number:,}. Mend it in the file.")
    return pd.DataFrame(rows, dtype=object) if rows else empty(name)


def _version(stated: Any, path: Path) -> Version:
    if not isinstance(stated, dict) or {f.name for f in fields(Version)} - set(stated) or not isinstance(stated["changes"], list):
        raise DataError(f"{path} must tell of each version {', '.join(f.name for f in fields(Version))}; found {str(stated)[:80]}. "
                        "The history must not be edited by hand: restore the file from a copy.")
    return Version(**{f.name: tuple(stated["changes"]) if f.name == "changes" else stated[f.name] for f in fields(Version)})


def read(path: str | Path) -> GraphFile:
    """Read a graph file; its tables are not validated.

    Raises
    ------
    DataError
        For a file that is no graph file, or of a later format.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} must be a graph file; found no such file. `edukit graph save SOURCE {path}` makes one.")
    content = _from_parquet(path) if path.suffix.lower() == ".parquet" else _from_json(path)
    if not isinstance(content, dict) or MARK not in content:
        raise DataError(f"{path} must be a graph file of edukit; found something else. "
                        f"`edukit graph save {path} NEW.json` makes one of a graph in another form.")
    if content[MARK] != FORMAT:
        raise DataError(f"{path} must have the format {FORMAT} of graph files; found {content[MARK]}. Install a newer edukit.")
    tables = {name: _table(content.get(name, []), name, path) for name in HELD}
    return GraphFile(tables, tuple(_version(stated, path) for stated in content.get("history", [])))


def write(file: GraphFile, path: str | Path) -> Path:
    """Write a graph file, whole or not at all; the same content gives the same bytes.

    Raises
    ------
    DataError
        For tables that do not validate, or an ending other than .json and .parquet.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"a graph file must end in {' or '.join(SUFFIXES)}; found {path.name}. To write another form, use `edukit graph export`.")
    tables = canonical(file.tables, str(path))
    with replacing(path) as fresh:
        if path.suffix.lower() == ".parquet":
            _to_parquet(tables, file.history, fresh)
        else:
            fresh.write_text(_as_json(tables, file.history), encoding="utf-8")
    return path


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _listed(rows: Iterable[Any], indent: str) -> str:
    lines = [f"{indent} {_dumps(row)}" for row in rows]
    return "[\n" + ",\n".join(lines) + f"\n{indent}]" if lines else "[]"


def _as_json(tables: Mapping[str, pd.DataFrame], history: Iterable[Version]) -> str:
    parts = [f' "{MARK}": {FORMAT}', *(f' "{name}": {_listed(rows_of(tables[name]), " ")}' for name in HELD)]
    versions = []
    for version in history:
        about = {f.name: getattr(version, f.name) for f in fields(Version) if f.name != "changes"}
        versions.append(f'  {_dumps(about)[:-1]}, "changes": {_listed(version.changes, "  ")}}}')
    parts.append(' "history": ' + ("[\n" + ",\n".join(versions) + "\n ]" if versions else "[]"))
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _from_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path} must be JSON in UTF-8; found {error}. Mend that line, or restore the file from a copy.") from None


def _to_parquet(tables: Mapping[str, pd.DataFrame], history: Iterable[Version], path: Path) -> None:
    """One row a row of any table, and one a version; ``table`` says which."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {c.name: c.kind for name in HELD for c in TABLES[name].columns}
    types = {"number": pa.float64(), "count": pa.int64()}
    schema = pa.schema([("table", pa.string()), *((name, types.get(kind, pa.string())) for name, kind in kinds.items()), ("version", pa.string())],
                       metadata={MARK: str(FORMAT)})
    rows = [{"table": name, **row} for name in HELD for row in rows_of(tables[name])]
    rows += [{"table": "history", "version": _dumps(asdict(version))} for version in history]
    pq.write_table(pa.Table.from_pylist(rows, schema), path, compression="zstd")


def _from_parquet(path: Path) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} must be a parquet file; found {error}. Restore the file from a copy.") from None
    stated = (found.schema.metadata or {}).get(MARK.encode())
    if stated is None:
        return {}
    content: dict[str, Any] = {MARK: int(stated), **{name: [] for name in HELD}, "history": []}
    for row in found.to_pylist():
        name = row.pop("table")
        content[name].append(json.loads(row["version"]) if name == "history" else {k: v for k, v in row.items() if v is not None})
    return content
