"""How a table is checked: every fault at once, each with where, wanted, found and the first offender.

pandera is imported the first time a table is checked, so that importing this module stays cheap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from edukit.schema import REFERENCES, TABLES, Column, DataError, key_of

FAULTS_SHOWN = 20  # faults listed in one message; the rest are counted


def _coerce(values: pd.Series, kind: str) -> tuple[pd.Series, pd.Series]:
    """Values in the dtype of ``kind`` and a mask of those that could not be converted."""
    missing = values.isna()
    if kind in ("id", "text"):
        if pd.api.types.is_float_dtype(values):
            whole = values.dropna()
            if bool((whole == whole.round()).all()):
                values = values.astype("Int64")
        text = values.astype("str").mask(missing, None)
        return text, (text == "") & ~missing if kind == "id" else pd.Series(False, index=values.index)
    if kind == "flag":
        found = values.map({True: True, False: False, "True": True, "False": False, "true": True, "false": False})
        return found.astype("boolean"), found.isna() & ~missing
    if kind == "time":
        found = pd.to_datetime(values, utc=True, errors="coerce")
        return found, found.isna() & ~missing
    found = pd.to_numeric(values, errors="coerce").astype("float64")
    bad = (found.isna() & ~missing) | np.isinf(found)
    if kind == "count":
        bad = bad | (found.notna() & (found != found.round())) | (found.abs() > 2**53)
        whole = found.mask(bad).astype("Int64")
        return (whole.astype("int64") if not whole.isna().any() else whole), bad
    return found, bad


WANTED = {"id": "be a non-empty id", "text": "be text", "number": "be a number", "count": "be a whole number",
           "flag": "be true or false", "time": "be a date or a time"}


def bounds(column: Column) -> str:
    """What the declared range or values of a column ask for, in words."""
    if column.values:
        return f"be one of {', '.join(column.values)}"
    if column.low is not None and column.high is not None:
        return f"lie in [{column.low:g}, {column.high:g}]"
    return f"be at least {column.low:g}" if column.low is not None else f"be at most {column.high:g}"


def fault(place: str, wanted: str, found: Any, bad: int, rows: int, first: int) -> str:
    """One fault in the words of the house: ``found`` is the first offender, in row ``first`` (from 1), of ``bad`` in ``rows`` rows."""
    shown = "nothing" if pd.isna(found) else repr(found) if isinstance(found, str) else f"{found:g}" if isinstance(found, float) else str(found)
    return f"{place} must {wanted}; found {shown} in {bad:,} of {rows:,} rows (first: row {first:,})"


def _fault(place: str, wanted: str, values: pd.Series, bad: np.ndarray) -> str:
    rows = np.flatnonzero(bad)
    return fault(place, wanted, values.iloc[rows[0]], len(rows), len(values), int(rows[0]) + 1)


def shape_faults(name: str, columns: Sequence[str], rows: int) -> list[str]:
    """Faults that need no value: columns that are absent or unknown, and no row at all."""
    declared, faults = TABLES[name], []
    absent = [c.name for c in declared.columns if c.required and c.name not in columns]
    if absent:
        faults.append(f"{name} must have the column{'s' * (len(absent) > 1)} {', '.join(absent)}; found {', '.join(map(str, columns)) or 'no column'}")
    unknown = [str(c) for c in columns if c not in declared.names]
    if unknown and not declared.open:
        faults.append(f"{name} has no column {', '.join(unknown)}; it may hold {', '.join(declared.names)} "
                      "(learner attributes belong in `learners`)")
    return [*faults, f"{name} must have at least one row; found none"] if not rows else faults


def refuse(faults: Sequence[str], source: str | None) -> None:
    """Raise DataError with all faults of a table, where there is one."""
    if faults:
        more = f"\n(and {len(faults) - FAULTS_SHOWN} more faults)" if len(faults) > FAULTS_SHOWN else ""
        raise DataError("\n".join(f"{f}.{f' See {source}.' if source else ''}" for f in faults[:FAULTS_SHOWN]) + more)


def validate(table: pd.DataFrame, name: str, source: str | None = None) -> pd.DataFrame:
    """Return ``table`` in the declared dtypes and column order, or say everything that is wrong with it.

    Parameters
    ----------
    table : DataFrame
        Any index; the result has a fresh ``RangeIndex`` and the rows in the given order.
    name : str
        A key of :data:`TABLES`.
    source : str, optional
        Where the table came from (a file or a card), named in the error.

    Raises
    ------
    DataError
        Naming every fault at once: missing or unknown columns, values of the wrong kind or out of range,
        missing values, duplicate keys; each with how many rows and the first one.
    """
    import pandera.pandas as pa

    declared = TABLES[name]
    faults = shape_faults(name, table.columns, len(table))
    unknown = [str(c) for c in table.columns if c not in declared.names]
    raw = table.reset_index(drop=True)
    clean: dict[str, pd.Series] = {}
    checks: dict[str, pa.Column] = {}
    for column in declared.columns:
        if column.name not in raw:
            continue
        values, bad = _coerce(raw[column.name], column.kind)
        if bad.any():
            faults.append(_fault(f"{name}.{column.name}", WANTED[column.kind], raw[column.name], bad.to_numpy(bool)))
        missing = raw[column.name].isna().to_numpy()
        if missing.any() and not column.nullable:
            faults.append(_fault(f"{name}.{column.name}", "not be missing", raw[column.name], missing))
        clean[column.name] = values
        rules = []
        if column.low is not None:
            rules.append(pa.Check.ge(column.low))
        if column.high is not None:
            rules.append(pa.Check.le(column.high))
        if column.values:
            rules.append(pa.Check.isin(column.values))
        checks[column.name] = pa.Column(checks=rules, nullable=True, name=column.name)
    for extra in unknown if declared.open else ():
        clean[extra] = raw[extra]
    result = pd.DataFrame(clean, index=raw.index)
    try:
        pa.DataFrameSchema(checks).validate(result, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases
        for column in declared.columns:
            rows = cases.loc[(cases["column"] == column.name) & cases["index"].notna(), "index"].astype(int).unique()
            if len(rows):
                bad = np.zeros(len(result), bool)
                bad[rows] = True
                faults.append(_fault(f"{name}.{column.name}", bounds(column), result[column.name], bad))
    if name == "interactions" and "order" in result:
        gaps = result["order"].isna()
        if gaps.any() and not gaps.all():
            faults.append(_fault("interactions.order", "be known in every row or in none", result["order"], gaps.to_numpy()))
    if not faults:
        key = key_of(name, result)
        twice = result.duplicated(key, keep="first").to_numpy() if key else np.zeros(len(result), bool)
        if twice.any():
            row = int(np.flatnonzero(twice)[0])
            shown = ", ".join(f"{c}={result[c].iloc[row]}" for c in key)
            faults.append(f"{name} must hold each ({', '.join(key)}) once; found a duplicate in {int(twice.sum()):,} of {len(result):,} rows "
                          f"(first: row {row + 1:,}, {shown})")
    refuse(faults, source)
    return result


def validate_all(tables: Mapping[str, pd.DataFrame], source: str | None = None) -> dict[str, pd.DataFrame]:
    """Check every table and every reference between them; report all faults at once.

    Raises
    ------
    DataError
        As :func:`validate`, and for an id that refers to nothing (an unknown item, a dangling concept).
    """
    clean: dict[str, pd.DataFrame] = {}
    faults: list[str] = []
    for name, table in tables.items():
        if name not in TABLES:
            faults.append(f"no table is called {name}; the tables are {', '.join(TABLES)}.")
            continue
        try:
            clean[name] = validate(table, name, source)
        except DataError as error:
            faults.append(str(error))
    for name, column, other, target in REFERENCES:
        if name in clean and other in clean and column in clean[name]:
            bad = ~clean[name][column].isin(clean[other][target].unique()).to_numpy()
            if bad.any():
                told = _fault(f"{name}.{column}", f"be found in {other}.{target}", clean[name][column], bad)
                faults.append(f"{told}. See {source}." if source else f"{told}.")
    if faults:
        raise DataError("\n".join(faults))
    return clean
