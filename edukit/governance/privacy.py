"""What may leave: keyed pseudonyms in place of names, and no number that rests on fewer than k learners.

References
----------
Krawczyk, H., Bellare, M., & Canetti, R. (1997). HMAC: Keyed-hashing for message authentication. RFC 2104, IETF.
Hundepool, A., et al. (2012). Statistical Disclosure Control. Wiley. (Secondary suppression, chapter 4.)
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from edukit.schema import DataError

K = 10  # fewest learners a published number may rest on
TOTAL = "all"  # label of a row or column that holds totals
KEY_BYTES = 32
DIGITS = 16  # hex digits of a pseudonym: a million learners collide with probability 3e-8


def load_key(path: Path) -> bytes:
    """Read the secret that turns learners into pseudonyms, or make one that only its owner may read.

    The file holds 64 hex digits. A new one gets mode 0600, is written beside ``path`` and then moved there; of two
    processes that make it at once, both return the key that stays.

    Raises
    ------
    DataError
        When the file holds something else.
    """
    path = Path(path)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mkstemp creates with mode 0600
        try:
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_hex(KEY_BYTES) + "\n")
            os.link(beside, path)  # unlike a rename, never replaces a key that appeared meanwhile
        except FileExistsError:
            pass
        finally:
            os.unlink(beside)
    text = path.read_text().strip()
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) < KEY_BYTES:
        raise DataError(f"{path} must hold a key of {2 * KEY_BYTES} hex digits; found {len(text)} characters that are not one. "
                        "Restore the key from its backup, or move the file away to have a new one made (old pseudonyms are then lost).")
    return key


@dataclass(frozen=True)
class Pseudonymiser:
    """Gives every learner, class and teacher a stable name that says nothing without the key.

    Parameters
    ----------
    key : bytes
        At least 32 random bytes (:func:`load_key`).

    Examples
    --------
    >>> Pseudonymiser(bytes(32)).pseudonyms(pd.Series(["ann", "bob", "ann"]), "learner").nunique()
    2
    """

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) < KEY_BYTES:
            raise DataError(f"a pseudonym key must have at least {KEY_BYTES} bytes; found {len(self.key)}. Make one with load_key(path).")

    @property
    def key_version(self) -> str:
        """Short name of the key that does not give it away: part of every cache key."""
        return hashlib.sha256(b"edukit pseudonym key" + self.key).hexdigest()[:8]

    def pseudonyms(self, ids: pd.Series, kind: str) -> pd.Series:
        """Pseudonyms such as ``learner-3fa9c21b04de77a0``, aligned to ``ids``; a missing id stays missing.

        Parameters
        ----------
        ids : Series of id
        kind : str
            ``learner``, ``class`` or ``teacher``; the same id of another kind gets another pseudonym.

        Raises
        ------
        DataError
            When two ids would share one pseudonym.
        """
        codes, unique = pd.factorize(ids)
        digests = (hmac.new(self.key, f"{kind}\0{one}".encode(), hashlib.sha256).hexdigest() for one in unique)
        names = np.array([*(f"{kind}-{digest[:DIGITS]}" for digest in digests), None], dtype=object)  # code -1 (missing) reads the last
        twice = len(names) - len(set(names))
        if twice:
            raise DataError(f"{kind} pseudonyms must be unique; found {twice} shared among {len(unique):,} ids. Use another key.")
        return pd.Series(names[codes], index=ids.index, name=ids.name, dtype="str")

    def reveal(self, pseudonyms: pd.Series, ids: pd.Series, kind: str) -> pd.Series:
        """Map pseudonyms back to those of ``ids`` that have them (missing otherwise); for the holder of the key only."""
        known = ids.dropna().drop_duplicates()
        return pseudonyms.map(pd.Series(known.to_numpy(), index=self.pseudonyms(known, kind).to_numpy())).astype("str")


def _safe(counts: np.ndarray, k: int) -> bool:
    """Whether hidden cells whose sum is known stay unknown, also to someone who knows which of them are small.

    There must be two or more; together they must be no small cell themselves; and the sum must not force each of them to
    the end of its range (1 to k - 1 for a small cell, k or more for the others).
    """
    small = counts < k
    lowest = small.sum() + k * (~small).sum()
    highest = np.inf if not small.all() else len(counts) * (k - 1)
    return len(counts) >= 2 and counts.sum() >= k and lowest < counts.sum() < highest


def _exposed(counts: np.ndarray, hidden: np.ndarray, is_total: np.ndarray, k: int) -> bool:
    """Whether one line (its parts and its total) gives a hidden cell away."""
    parts = hidden & ~is_total
    if hidden[is_total].any():
        return not parts.any()  # a hidden total with every part shown is their sum
    return bool(parts.any()) and not _safe(counts[parts], k)


def _next(counts: np.ndarray, hidden: np.ndarray, is_total: np.ndarray) -> int | None:
    """Position of the smallest cell of a line that can still be hidden, its total last; None when only empty cells are left."""
    shown = np.flatnonzero(~hidden & (counts > 0))
    return int(shown[np.lexsort((counts[shown], is_total[shown]))[0]]) if len(shown) else None


def _protect_lines(counts: np.ndarray, hidden: np.ndarray, total: int, k: int) -> bool:
    """Hide further cells (in place) in each row of (R, C) ``counts`` that gives one away; True when something was hidden."""
    is_total = np.arange(counts.shape[1]) == total
    changed = False
    for line in np.flatnonzero(hidden.any(axis=1) & (counts[:, total] > 0)):
        while _exposed(counts[line], hidden[line], is_total, k):
            hidden[line, _next(counts[line], hidden[line], is_total)] = changed = True
    return changed


def _protect_pairs(counts: np.ndarray, hidden: np.ndarray, total_row: int, total_column: int) -> bool:
    """Hide further cells (in place) that rows and columns together give away; True when something was hidden.

    Every line with a total is an equation. Take lines as nodes (those without a total as one common node) and hidden cells
    as edges between their row and their column: a cell can be computed from what is shown exactly when its edge is a bridge.
    """
    import networkx as nx

    rows, columns = np.arange(counts.shape[0]), np.arange(counts.shape[1])

    def ends(row: int, column: int) -> tuple[Any, Any]:
        return ("row", row) if counts[row, total_column] > 0 else "open", ("column", column) if counts[total_row, column] > 0 else "open"

    graph = nx.MultiGraph()
    for row, column in np.argwhere(hidden):
        one, other = ends(row, column)
        if one != other:
            graph.add_edge(one, other, cell=(row, column))
    changed = False
    for one, other in list(nx.bridges(graph)):
        (row, column), = (data["cell"] for data in graph[one][other].values())
        beside = _next(counts[row], hidden[row], columns == total_column) if counts[row, total_column] > 0 else None
        below = _next(counts[:, column], hidden[:, column], rows == total_row) if counts[total_row, column] > 0 else None
        choices = [(beside == total_column, counts[row, beside], row, beside)] if beside is not None else []
        choices += [(below == total_row, counts[below, column], below, column)] if below is not None else []
        if not choices:  # nothing is left in its own lines: a cell elsewhere that ties together what the bridge alone holds together
            parted = graph.copy()
            parted.remove_edge(one, other)
            side = nx.node_connected_component(parted, one)
            other_side = nx.node_connected_component(parted, other)
            choices = [(r == total_row or c == total_column, counts[r, c], r, c) for r, c in np.argwhere(~hidden & (counts > 0))
                       if any(a in side and b in other_side for a, b in (ends(r, c), ends(r, c)[::-1]))]
        if choices:
            hidden[min(choices)[2:]] = changed = True
    return changed


def suppress(cells: pd.DataFrame, row: str, column: str, count: str, values: Sequence[str], k: int = K, total: str = TOTAL) -> pd.DataFrame:
    """Hide every cell with 1 to k - 1 learners, and as few others as needed so that no subtraction brings it back.

    A published total is a cell too: one whose row or column label is ``total``. A line (all cells of one row or one column)
    can be used for subtraction only where its total is in the table. Afterwards (a) the cells hidden in such a line are
    no small cell together and are not forced to the ends of their ranges, and (b) no hidden cell is determined by the
    linear equations of all lines. What is hidden next is the smallest cell of the line; its total only when nothing else is left.

    Parameters
    ----------
    cells : DataFrame
        One row per combination; a combination that is absent counts as 0.
    row, column : str
        Columns with the labels of the two directions.
    count : str
        Column with the number of distinct learners.
    values : list of str
        Columns to hide together with the count (means, sums, interval ends).
    k : int
        Fewest learners a shown cell may have.
    total : str
        The label of totals.

    Returns
    -------
    DataFrame
        A copy with ``count`` (Int64) and ``values`` missing where hidden, and a column ``hidden`` (bool).

    Raises
    ------
    DataError
        On a repeated combination, or a missing label or count.

    Examples
    --------
    >>> cells = pd.DataFrame({"class": ["a", "b", "c", "all"], "concept": "ratio", "n": [3, 12, 30, 45]})
    >>> suppress(cells, "class", "concept", "n", [])["n"].tolist()
    [<NA>, <NA>, 30, 45]
    """
    if cells.duplicated([row, column]).any():
        raise DataError(f"cells must hold each ({row}, {column}) once; found {int(cells.duplicated([row, column]).sum())} repeated. "
                        "Aggregate them first.")
    for name in (row, column, count):
        if cells[name].isna().any():
            raise DataError(f"cells.{name} must be known in every row; found {int(cells[name].isna().sum())} missing. "
                            "Suppress once, from the full counts.")
    r, row_labels = pd.factorize(cells[row], sort=True)
    c, column_labels = pd.factorize(cells[column], sort=True)
    counts = np.zeros((len(row_labels) + 1, len(column_labels) + 1), dtype=np.int64)  # last row and column: no total there
    counts[r, c] = cells[count].to_numpy(np.int64)
    hidden = (counts > 0) & (counts < k)
    total_row, total_column = (int(np.argmax(np.append(labels == total, True))) for labels in (row_labels, column_labels))
    while (_protect_lines(counts, hidden, total_column, k) | _protect_lines(counts.T, hidden.T, total_row, k)
           or _protect_pairs(counts, hidden, total_row, total_column)):
        pass
    result = cells.copy()
    result["hidden"] = hidden[r, c]
    result[count] = result[count].astype("Int64").mask(result["hidden"])
    for value in values:
        result[value] = result[value].mask(result["hidden"])
    return result


_GATE = object()


@dataclass(frozen=True, eq=False)
class Aggregate:
    """Numbers about groups of learners that have passed the small-cell gate; only :func:`aggregate` makes one.

    Attributes
    ----------
    by : tuple of str
        The grouping columns.
    k : int
        Fewest learners a shown cell has.
    cells : DataFrame
        The grouping columns (``all`` = total), ``n`` learners, ``<value>_mean``, ``<value>_sum`` and ``hidden``; a copy.
    """

    by: tuple[str, ...]
    k: int
    _cells: pd.DataFrame = field(repr=False)
    _gate: object = field(repr=False)

    def __post_init__(self) -> None:
        if self._gate is not _GATE:
            raise TypeError("an Aggregate is made by edukit.governance.privacy.aggregate only, which hides small cells")

    @property
    def cells(self) -> pd.DataFrame:
        return self._cells.copy()


def aggregate(table: pd.DataFrame, by: Sequence[str], values: Sequence[str] = (), k: int = K) -> Aggregate:
    """Count learners and average values per group, with totals, and hide what rests on fewer than k learners.

    Parameters
    ----------
    table : DataFrame
        With ``learner_id``, the ``by`` columns (rows with a missing group are left out) and the ``values`` (numbers).
    by : one or two column names
    values : column names
        Mean and sum are over rows.
    k : int
        At least 2.

    Raises
    ------
    DataError
        On an absent column, more than two groupings, k below 2, or a group that is called ``all``.
    """
    by, values = list(by), list(values)
    absent = [name for name in ("learner_id", *by, *values) if name not in table]
    if absent:
        raise DataError(f"the table to aggregate must have the columns {', '.join(absent)}; found {', '.join(map(str, table.columns))}.")
    if not 1 <= len(by) <= 2:
        raise DataError(f"aggregate groups by one or two columns; found {len(by)}. Aggregate over fewer.")
    if k < 2:
        raise DataError(f"k must be at least 2; found {k}. With fewer, single learners are published.")
    rows = table.dropna(subset=by)[["learner_id", *by, *values]].astype({name: "str" for name in by})
    taken = [name for name in by if (rows[name] == TOTAL).any()]
    if taken:
        raise DataError(f"{taken[0]} must not hold the value '{TOTAL}', which names totals. Rename that group.")
    parts = [rows]
    for name in by:
        parts += [part.assign(**{name: TOTAL}) for part in parts]
    grouped = pd.concat(parts, ignore_index=True).groupby(by, sort=True)
    cells = pd.DataFrame({"n": grouped["learner_id"].nunique()})
    for value in values:
        cells[f"{value}_mean"], cells[f"{value}_sum"] = grouped[value].mean(), grouped[value].sum()
    shown = cells.columns.drop("n").tolist()
    cells = cells.reset_index()
    column = by[1] if len(by) == 2 else "_line"
    cells = suppress(cells.assign(**({} if len(by) == 2 else {"_line": ""})), by[0], column, "n", shown, k)
    return Aggregate(tuple(by), k, cells.drop(columns="_line", errors="ignore"), _GATE)
