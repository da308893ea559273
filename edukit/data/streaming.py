"""From raw files to parquet without holding the log: read once in order, check by SQL, then rank, pseudonymise and sort bucket by bucket.

A bucket holds whole learners (by hash of the id), so that what is counted per learner never needs more than one of them in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from edukit.governance.privacy import Pseudonymiser
from edukit.reproducibility import fingerprint, replacing, write_json
from edukit.schema import REFERENCES, TABLES, Column, DataError
from edukit.validation import WANTED, bounds, fault, refuse, shape_faults

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PERSONAL = ("learner_id", "class_id", "teacher_id", "school_id")
META, LEARNERS = "store.json", "learners.parquet"
BUCKETS = 64  # 50 million rows give parts of 800,000
TYPES = {"id": "VARCHAR", "text": "VARCHAR", "number": "DOUBLE", "count": "BIGINT", "flag": "BOOLEAN", "time": "TIMESTAMPTZ"}
_FLOATS = ("DOUBLE", "FLOAT")
_ROW = "__row"


def quoted(path: Path | str) -> str:
    """A path as an SQL string."""
    return "'" + str(path).replace("'", "''") + "'"


def connect(memory: str, spill: Path | None = None) -> DuckDBPyConnection:
    """A database in memory with a limit; times are UTC; one thread, so that row order and sums are the same every time."""
    import duckdb

    database = duckdb.connect(config={"memory_limit": memory, "threads": 1})
    database.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
    if spill:
        database.execute(f"SET temp_directory = {quoted(spill)}")
    return database


def _one(database: DuckDBPyConnection, sql: str) -> tuple:
    return database.execute(sql).fetchall()[0]  # fetchone would leave the result open, and the connection in use


def _value(column: Column, found: str) -> str:
    """SQL of a column in its declared type; NULL where it cannot be converted. ``found`` is the type it comes in."""
    name = f'"{column.name}"'
    if column.kind in ("id", "text"):
        return f"CAST({name} AS VARCHAR)"
    if column.kind == "time":
        return f"CAST({name} AS TIMESTAMPTZ)" if found.startswith(("TIMESTAMP", "DATE")) else f"TRY_CAST(CAST({name} AS VARCHAR) AS TIMESTAMPTZ)"
    if column.kind == "count":
        return f"TRY_CAST(TRY_CAST({name} AS DOUBLE) AS BIGINT)"
    return f"TRY_CAST({name} AS {TYPES[column.kind]})"


def _written(column: Column, found: str) -> str:
    """SQL of a column as text, as it would be written in a file; a whole number has no point."""
    name = f'"{column.name}"'
    if found not in _FLOATS:
        return f"CAST({name} AS VARCHAR)"
    return (f"CASE WHEN isnan({name}) THEN NULL WHEN {name} = round({name}) AND abs({name}) < {2**53} THEN CAST(CAST({name} AS BIGINT) AS VARCHAR) "
            f"ELSE CAST({name} AS VARCHAR) END")


def _corrected(database: DuckDBPyConnection, select: str, table: str, corrections: Sequence[Mapping[str, Any]]) -> str:
    """The ``SELECT`` with every correction of the consent list made that is of this table, in the order of the list; checked like all other values."""
    mine = [entry for entry in corrections if entry["table"] == table]
    found = {name: kind for name, kind, *_ in database.execute(f"DESCRIBE {select}").fetchall()} if mine else {}
    mine = [entry for entry in mine if entry["column"] in found]  # as for a table: what this log does not hold needs no correction
    if not mine:
        return select
    known = {c.name: c for c in TABLES[table].columns if c.name in found and (table, c.name) != ("interactions", "order")}
    if unknown := {column for entry in mine for column in (entry["column"], *entry["where"])} - set(known):
        raise DataError(f"a correction of {table} must name columns that are read from its file: {', '.join(known)}; found {', '.join(sorted(unknown))}. "
                        "The consent list holds it: `edukit consent list` shows the entry; remove it there, and point at the row by other columns.")
    while mine:
        values: dict[str, str] = {}
        while mine and not set(mine[0]["where"]) & set(values):  # an entry that points by a value corrected before it sees the corrected one
            entry = mine.pop(0)
            rows = [f"{_written(known['learner_id'], found['learner_id'])} = {quoted(entry['learner_id'])}"]
            for name, value in entry["where"].items():
                same = known[name].kind in ("id", "text")
                rows.append(f"{_written(known[name], found[name])} = {quoted(value)}" if same else
                            f"{_value(known[name], found[name])} = TRY_CAST({quoted(value)} AS {TYPES[known[name].kind]})")
            right, column = "NULL" if entry["value"] is None else quoted(entry["value"]), entry["column"]
            values[column] = f"CASE WHEN {' AND '.join(rows)} THEN {right} ELSE {values.get(column) or _written(known[column], found[column])} END"
        select = f"""SELECT * REPLACE ({', '.join(f'{value} AS "{column}"' for column, value in values.items())}) FROM ({select})"""
        found |= dict.fromkeys(values, "VARCHAR")
    return select


def _rules(column: Column, value: str) -> list[tuple[str, str, str]]:
    """Per rule of a column: what is wanted, the condition of an offender, and the value to show."""
    name = f'"{column.name}"'
    bad = {"id": f"{value} = ''", "text": "false", "number": f"{name} IS NOT NULL AND ({value} IS NULL OR isinf({value}))",
           "count": f"{name} IS NOT NULL AND ({value} IS NULL OR TRY_CAST({name} AS DOUBLE) <> {value} OR abs({value}) > {2**53})"}
    rules = [(WANTED[column.kind], bad.get(column.kind, f"{name} IS NOT NULL AND {value} IS NULL"), name)]
    if not column.nullable:
        rules.append(("not be missing", f"{name} IS NULL", name))
    outside = [f"{value} < {column.low}"] * (column.low is not None) + [f"{value} > {column.high}"] * (column.high is not None)
    if column.values:
        outside.append(f"{value} NOT IN ({', '.join(quoted(v) for v in column.values)})")
    return [*rules, (bounds(column), " OR ".join(outside), value)] if outside else rules


def _faults(database: DuckDBPyConnection, table: str, values: dict[str, str], others: Mapping[str, pd.DataFrame]) -> list[str]:
    """Everything that is wrong with the values of the view ``raw``, in the words of :func:`edukit.validation.validate`."""
    rules = [(f"{table}.{c.name}", *rule) for c in TABLES[table].columns if c.name in values for rule in _rules(c, values[c.name])
             if (table, c.name) != ("interactions", "order")]  # any value that sorts: it is ranked
    if _ordered(database, table):
        rules.append(("interactions.order", "be known in every row or in none", '"order" IS NULL', '"order"'))
    asked = ", ".join(f"count_if({bad}), min({_ROW}) FILTER ({bad}), arg_min_null({shown}, {_ROW}) FILTER ({bad})" for _, _, bad, shown in rules)
    rows, *found = _one(database, f"SELECT count(*), {asked} FROM raw")
    faults = [fault(place, wanted, found[3 * at + 2], found[3 * at], rows, found[3 * at + 1])
              for at, (place, wanted, _, _) in enumerate(rules) if found[3 * at]]
    for name, column, other, target in REFERENCES:
        if name == table and column in values and other in others:
            database.register("known", pd.DataFrame({"id": others[other][target].dropna().astype("str").unique()}))
            bad, first, shown = _one(database, f"""SELECT count(*), min({_ROW}), arg_min({values[column]}, {_ROW}) FROM raw
                                                   WHERE {values[column]} IS NOT NULL AND {values[column]} NOT IN (SELECT id FROM known)""")
            faults += [fault(f"{table}.{column}", f"be found in {other}.{target}", shown, bad, rows, first)] if bad else []
    return faults


def _ordered(database: DuckDBPyConnection, table: str) -> bool:
    return table == "interactions" and bool(_one(database, 'SELECT count("order") FROM raw')[0])


def _twice(database: DuckDBPyConnection, table: str, values: dict[str, str]) -> list[str]:
    """Rows whose key was there before; a known order is ranked, and so never twice."""
    key = [c for c in (("learner_id", "item_id", "attempt", "term") if table == "interactions" else TABLES[table].key) if c in values]
    if not key or _ordered(database, table):
        return []
    named, listed = ", ".join(f'{values[c]} AS "{c}"' for c in key), ", ".join(f'"{c}"' for c in key)
    found = [_one(database, f"""SELECT count(*), min({_ROW}), {", ".join(f'arg_min_null("{c}", {_ROW})' for c in key)}
                                FROM (SELECT *, row_number() OVER (PARTITION BY {listed} ORDER BY {_ROW}) AS time
                                      FROM (SELECT {named}, {_ROW} FROM raw WHERE bucket = {bucket})) WHERE time > 1""") for bucket in range(BUCKETS)]
    if not (bad := sum(count for count, *_ in found)):
        return []
    rows, (_, first, *ids) = _one(database, "SELECT count(*) FROM raw")[0], min((f for f in found if f[0]), key=lambda f: f[1])
    return [f"{table} must hold each ({', '.join(key)}) once; found a duplicate in {bad:,} of {rows:,} rows "
            f"(first: row {first:,}, {', '.join(f'{c}={i}' for c, i in zip(key, ids, strict=True))})"]


def _stage(database: DuckDBPyConnection, select: str, table: str, place: Path) -> dict[str, str]:
    """Read the raw files once into parquet, one folder a bucket; returns, per column of the view ``raw``, the SQL of its value."""
    found = {name: kind for name, kind, *_ in database.execute(f"DESCRIBE {select}").fetchall()}
    refuse(shape_faults(table, list(found), 1), None)
    columns = ", ".join(f'CASE WHEN isnan("{name}") THEN NULL ELSE "{name}" END AS "{name}"' if kind in _FLOATS else f'"{name}"'
                        for name, kind in found.items())  # in the type that was found, so that a fault can show what was written
    database.execute(f"""COPY (SELECT {columns}, row_number() OVER () AS {_ROW}, coalesce(hash(CAST("learner_id" AS VARCHAR)), 0) % {BUCKETS} AS bucket
                               FROM ({select})) TO {quoted(place)} (FORMAT parquet, PARTITION_BY (bucket), COMPRESSION zstd)""")
    refuse(shape_faults(table, list(found), any(place.rglob("*.parquet"))), None)
    database.execute(f"""CREATE VIEW raw AS SELECT * FROM read_parquet({quoted(place / "*" / "*.parquet")}, hive_partitioning = true,
                                                                     hive_types = {{'bucket': INT}})""")
    values = {c.name: _value(c, found[c.name]) for c in TABLES[table].columns if c.name in found}
    for c in TABLES[table].columns:  # ids that were read as 12.0 are 12, as in pandas
        if c.kind in ("id", "text") and found.get(c.name) in _FLOATS and _one(database, f'SELECT bool_and("{c.name}" = round("{c.name}")) FROM raw')[0]:
            values[c.name] = f'CAST(CAST("{c.name}" AS BIGINT) AS VARCHAR)'
    return values


def _people(database: DuckDBPyConnection, values: dict[str, str], keyed: Pseudonymiser | None) -> dict[str, str]:
    """Make a table per kind of person: id, name (the pseudonym), of learners also their number by name and where their rows begin in the bucket."""
    joins = {}
    for column in (c for c in PERSONAL if c in values and (keyed or c == "learner_id")):
        people = database.execute(f"""SELECT {values[column]} AS id, min({_ROW}) AS first, count(*) AS rows, any_value(bucket) AS bucket FROM raw
                                      WHERE {values[column]} IS NOT NULL GROUP BY 1 ORDER BY first""").df()
        people["name"] = keyed.pseudonyms(people["id"], column.removesuffix("_id")) if keyed else people["id"]
        people = people.sort_values("name", ignore_index=True).assign(number=range(len(people)))
        people["start"] = people.groupby("bucket")["rows"].cumsum() - people["rows"]
        database.register("given", people)
        database.execute(f"CREATE TABLE {column} AS FROM given")
        database.unregister("given")
        joins[column] = f"LEFT JOIN {column} ON {column}.id = {values[column]}"
    return joins


def write(select: str, table: str, place: Path, keyed: Pseudonymiser | None = None, others: Mapping[str, pd.DataFrame] | None = None,
          source: str | None = None, memory: str = "1GB", corrections: Sequence[Mapping[str, Any]] = ()) -> None:
    """Stream the result of a DuckDB ``SELECT`` into one folder of parquet parts, checked, ranked, sorted and pseudonymised.

    Parameters
    ----------
    select : with the columns of ``table``; ``"order"`` may be any value that sorts (ties keep the order of the files), or NULL in every row.
    table : ``interactions`` or another table with learners.
    place : folder to make; nothing is left behind where something is wrong.
    keyed : gives pseudonyms to learners, classes and teachers; None keeps the ids (invented data, or a check).
    others : tables whose ids the log must refer to (``q_matrix``).
    source : named in the errors.
    memory : limit of the database; Python adds some hundred MB.
    corrections : of the consent list (:attr:`edukit.governance.consent.Standing.corrections`); made before anything is checked.

    Raises
    ------
    DataError
        Naming every fault at once, with how many rows and the first one, or what the database could not read.
    """
    import duckdb

    with replacing(place) as fresh:
        fresh.mkdir()
        database = connect(memory, fresh.parent / "spill")
        try:
            values = _stage(database, _corrected(database, select, table, corrections), table, fresh.parent / "raw")
            refuse(_faults(database, table, values, others or {}), source)
            refuse(_twice(database, table, values), source)
            _parts(database, table, values, _people(database, values, keyed), fresh)
            _describe(database, table, list(values), fresh)
        except duckdb.Error as error:
            raise DataError(f"{table} could not be read from the raw files: {error}\nA file may be damaged or truncated: obtain it again"
                            f"{f'; see {source}' if source else ''}.") from None
        finally:
            database.close()


def _parts(database: DuckDBPyConnection, table: str, values: dict[str, str], joins: dict[str, str], place: Path) -> None:
    """One part a bucket: learners sorted, rows of a learner in order; and the learners in their order of first appearance."""
    shown = {name: f"{name}.name" if name in joins else value for name, value in values.items()}
    by, listed = _ROW, ", ".join(f'"{c}"' for c in shown)
    if table == "interactions":
        by, shown["order"] = f'"order", {_ROW}', 'raw."order"'
        # rows come sorted by learner, so that the place in the bucket less where the learner begins is the rank
        rank = "row_number() OVER () - 1 - __start" if _ordered(database, table) else "CAST(NULL AS BIGINT)"
        listed = listed.replace('"order"', f'{rank} AS "order"')
    columns, joined = ", ".join(f'{value} AS "{name}"' for name, value in shown.items()), " ".join(joins.values())
    for bucket in range(BUCKETS):
        if _one(database, f"SELECT count(*) FROM raw WHERE bucket = {bucket}")[0]:
            database.execute(f"""COPY (SELECT {listed} FROM (SELECT {columns}, learner_id.start AS __start FROM raw {joined} WHERE raw.bucket = {bucket}
                                                             ORDER BY learner_id.number, raw.{by}))
                                 TO {quoted(place / f"part-{bucket:02d}.parquet")} (FORMAT parquet, COMPRESSION zstd)""")
    database.execute(f"""COPY (SELECT name AS learner_id, first, rows FROM learner_id ORDER BY first)
                         TO {quoted(place / LEARNERS)} (FORMAT parquet, COMPRESSION zstd)""")


def _describe(database: DuckDBPyConnection, table: str, columns: list[str], place: Path) -> None:
    """Write what can be known of the log without reading it again: counts, columns without a missing value, size as a table, fingerprint."""
    parts = sorted(place.glob("part-*.parquet"))
    kinds = {c.name: c.kind for c in TABLES[table].columns}
    text = [c for c in columns if kinds[c] in ("id", "text")]
    asked = ", ".join([*(f'count("{c}")' for c in columns), *(f'coalesce(sum(strlen("{c}")), 0)' for c in text)])
    rows, *found = _one(database, f"SELECT count(*), {asked} FROM read_parquet({quoted(place / 'part-*.parquet')})")
    learners = _one(database, f"SELECT count(*) FROM read_parquet({quoted(place / LEARNERS)})")[0]
    write_json(place / META, {
        "table": table, "columns": columns, "rows": rows, "learners": learners, "filled": [c for c, n in zip(columns, found, strict=False) if n == rows],
        "bytes_in_memory": int(rows * 8 * len(columns) + sum(found[len(columns):])), "fingerprint": fingerprint(table, columns, *parts),
        "files": {p.name: p.stat().st_size for p in [*parts, place / LEARNERS]}})
