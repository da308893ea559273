"""Editing a prerequisite graph by hand, together: what changed, both sides' changes in one graph, and every earlier version.

A graph here is the tables of a graph file (``concepts``, ``prerequisites``, ``concept_tree``, ``votes``). Rows are told apart by the key of their
table, never by their place, so that the order of rows says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from edukit.formats.graph_file import HELD, GraphFile, Version, canonical, fingerprint, key_of, rows_of, table_of
from edukit.graph.checking import Finding, structure
from edukit.schema import DataError

Graph = Mapping[str, pd.DataFrame]
Row = dict[str, Any]
Key = tuple[str, tuple[str, ...]]
_NOUNS = {"concepts": "concept", "prerequisites": "edge", "concept_tree": "heading", "votes": "vote"}


@dataclass(frozen=True)
class Change:
    """One row added, removed or changed.

    Attributes
    ----------
    table, key : which row.
    before, after : fields beside the key: all of the row where it was removed (``after`` is None) or added (``before`` is None), else those that
        differ, None where missing.
    """

    table: str
    key: tuple[str, ...]
    before: Row | None
    after: Row | None

    @property
    def kind(self) -> str:
        """``added``, ``removed`` or ``changed``."""
        return "added" if self.before is None else "removed" if self.after is None else "changed"

    def reversed(self) -> Change:
        """The change that takes this one back."""
        return Change(self.table, self.key, self.after, self.before)

    def record(self) -> dict[str, Any]:
        """Plain values, as a version of a graph file holds them."""
        return {"table": self.table, "key": list(self.key), "before": self.before, "after": self.after}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Change:
        """Read what :meth:`record` gave."""
        return cls(record["table"], tuple(record["key"]), record["before"], record["after"])

    def __str__(self) -> str:
        sign = {"added": "+", "removed": "-", "changed": "~"}[self.kind]
        if self.before is None or self.after is None:
            said = ", ".join(f"{name} {_shown(value)}" for name, value in (self.after or self.before or {}).items())
        else:
            said = ", ".join(f"{name} {_shown(self.before[name])} -> {_shown(self.after[name])}" for name in self.after)
        return f"{sign} {named(self.table, self.key)}{': ' * bool(said)}{said}"


def _shown(value: Any) -> str:
    return "nothing" if value is None else f"{value:g}" if isinstance(value, float) else repr(value)


def named(table: str, key: tuple[str, ...]) -> str:
    """A row in words: ``edge 'b' requires 'a' (source panel)``."""
    ids = [repr(part) for part in key]
    if table == "concepts":
        return f"concept {ids[0]}"
    link, more = ("under", "") if table == "concept_tree" else ("requires", f" ({'source' if table == 'prerequisites' else 'by'} {', '.join(key[2:])})")
    return f"{_NOUNS[table]} {ids[0]} {link} {ids[1]}{more}"


def _rows(tables: Graph) -> dict[Key, Row]:
    """Every row by its table and key."""
    found: dict[Key, Row] = {}
    for name, table in canonical(tables).items():
        key = key_of(name)
        for row in rows_of(table):
            found[name, tuple(row.pop(column) for column in key)] = row
    return found


def _tables(rows: Mapping[Key, Row]) -> dict[str, pd.DataFrame]:
    """The tables of some rows, in canonical form."""
    listed: dict[str, list[Row]] = {name: [] for name in HELD}
    for name, key in sorted(rows, key=_place):
        listed[name].append({**dict(zip(key_of(name), key, strict=True)), **rows[name, key]})
    return {name: table_of(name, of) for name, of in listed.items()}


def _place(key: Key) -> tuple[int, tuple[str, ...]]:
    return HELD.index(key[0]), key[1]


def diff(before: Graph, after: Graph) -> list[Change]:
    """What turns one graph into another: rows added, removed and changed, field by field, in the order of tables and keys.

    Raises
    ------
    DataError
        For tables that are not valid (``edukit graph check`` names every fault).

    Examples
    --------
    >>> a = pd.DataFrame({"concept_id": ["b"], "requires_id": ["a"], "source": "panel", "weight": 0.5})
    >>> for change in diff({"prerequisites": a}, {"prerequisites": a.assign(weight=0.75, rationale="b counts in a")}):
    ...     print(change)
    ~ edge 'b' requires 'a' (source panel): rationale nothing -> 'b counts in a', weight 0.5 -> 0.75
    """
    return _difference(_rows(before), _rows(after))


def _difference(old: Mapping[Key, Row], new: Mapping[Key, Row]) -> list[Change]:
    changes = []
    for key in sorted({*old, *new}, key=_place):
        was, now = old.get(key), new.get(key)
        if was is not None and now is not None:
            differ = [field for field in sorted({*was, *now}) if was.get(field) != now.get(field)]
            if not differ:
                continue
            was, now = {f: was.get(f) for f in differ}, {f: now.get(f) for f in differ}
        changes.append(Change(*key, was, now))
    return changes


def apply(tables: Graph, changes: Iterable[Change]) -> dict[str, pd.DataFrame]:
    """A graph after some changes: ``apply(a, diff(a, b))`` is ``b``.

    Raises
    ------
    DataError
        For a change that does not fit: a row that should be there is not, or holds something else.
    """
    return _tables(_applied(_rows(tables), changes))


def _applied(rows: dict[Key, Row], changes: Iterable[Change]) -> dict[Key, Row]:
    rows = dict(rows)
    for change in changes:
        key: Key = (change.table, change.key)
        was = rows.get(key)
        fits = was is None if change.before is None else was is not None and (
            was == change.before if change.after is None else all(was.get(f) == v for f, v in change.before.items()))
        if not fits:
            raise DataError(f"the change `{change}` must meet what it was made for; found {'no such row' if was is None else was}. "
                            "Was the graph changed meanwhile? Use merge.")
        if change.after is None:
            del rows[key]
        else:
            rows[key] = {f: v for f, v in {**(was or {}), **change.after}.items() if v is not None}
    return rows


@dataclass(frozen=True)
class Conflict:
    """A row, or one field of it, that both sides changed and not in the same way; a side that removed the row holds None and ``field`` is empty."""

    table: str
    key: tuple[str, ...]
    field: str
    base: Any
    ours: Any
    theirs: Any

    def __str__(self) -> str:
        if self.field:
            return f"{named(self.table, self.key)}: {self.field} was {_shown(self.base)}, ours says {_shown(self.ours)}, theirs {_shown(self.theirs)}"
        first, second = ("ours", "theirs") if self.ours is None else ("theirs", "ours")
        return f"{named(self.table, self.key)}: {first} removed it, {second} changed it"


@dataclass(frozen=True)
class Merged:
    """What came of a merge.

    Attributes
    ----------
    tables : the merged graph; None where conflicts are left.
    conflicts : what both sides changed differently, whether or not a side was preferred.
    faults : faults that neither side has alone (a circle that closes, a concept that one side removed and the other uses).
    """

    tables: dict[str, pd.DataFrame] | None
    conflicts: list[Conflict]
    faults: list[Finding]


def merge(base: Graph, ours: Graph, theirs: Graph, prefer: str | None = None) -> Merged:
    """Both sides' changes since the graph they began with, in one graph; what they disagree on is named, never chosen silently.

    Rows are merged field by field: two people may change different fields of one edge.

    Parameters
    ----------
    base : the graph both sides began with.
    prefer : 'ours' or 'theirs': the side taken where they disagree; the conflicts are still listed.

    Raises
    ------
    DataError
        For tables that are not valid, or another word for ``prefer``.
    """
    if prefer not in (None, "ours", "theirs"):
        raise DataError(f"prefer must be ours or theirs; found {prefer!r}")
    old, mine, other = _rows(base), _rows(ours), _rows(theirs)
    rows, conflicts = {}, []
    for key in sorted({*old, *mine, *other}, key=_place):
        was, a, b = old.get(key), mine.get(key), other.get(key)
        if a is None or b is None:
            kept = a if b == was else b
            if a != b and was not in (a, b):  # one side removed what the other changed
                conflicts.append(Conflict(*key, "", was, a, b))
                kept = b if prefer == "theirs" else a
            if kept is not None:
                rows[key] = kept
            continue
        rows[key] = {}
        for field in sorted({*(was or {}), *a, *b}):
            x, y, z = (was or {}).get(field), a.get(field), b.get(field)
            if y != z and y != x and z != x:
                conflicts.append(Conflict(*key, field, x, y, z))
                value = z if prefer == "theirs" else y
            else:
                value = z if y == x else y
            if value is not None:
                rows[key][field] = value
    if conflicts and prefer is None:
        return Merged(None, conflicts, [])
    tables = _tables(rows)
    found = [finding for finding in structure(tables) if finding.fault]
    known = {*structure(_tables(mine)), *structure(_tables(other))} if found else set()
    return Merged(tables, conflicts, [finding for finding in found if finding not in known])


def save(file: GraphFile | None, tables: Graph, time: str, author: str, note: str) -> GraphFile:
    """A graph file with one more version, which holds the tables as they are now; the file itself where nothing changed since the last.

    The same file, tables and words give the same bytes. What was changed by hand since the last version becomes part of this one.

    Parameters
    ----------
    file : None begins a history.
    time : ISO 8601 moment.
    author, note : who saves it, and why.
    """
    history = () if file is None else file.history
    old, new = _replayed(history), _rows(tables)
    changes = _difference(old, new)
    clean = _tables(new)
    if not changes and history:
        return GraphFile(clean, history)
    moment = pd.Timestamp(time)
    moment = moment.tz_localize("UTC") if moment.tz is None else moment.tz_convert("UTC")
    version = Version(len(history) + 1, moment.isoformat(), author, note, fingerprint(clean), tuple(change.record() for change in changes))
    return GraphFile(clean, (*history, version))


def _replayed(history: Iterable[Version]) -> dict[Key, Row]:
    rows: dict[Key, Row] = {}
    for version in history:
        try:
            rows = _applied(rows, map(Change.of, version.changes))
        except (DataError, KeyError, TypeError) as error:
            raise DataError(f"version {version.number} must follow from the one before; found that it does not ({error}). "
                            "The history must not be edited by hand: restore the file from a copy.") from None
    return rows


def at(file: GraphFile, number: int) -> dict[str, pd.DataFrame]:
    """The tables of an earlier version.

    Raises
    ------
    DataError
        For a version that is not there, or a history that was tampered with (its fingerprint does not fit).
    """
    if not 1 <= number <= len(file.history):
        raise DataError(f"the version must lie in 1 to {len(file.history)}; found {number}. `edukit graph history` lists them.")
    tables = _tables(_replayed(file.history[:number]))
    if fingerprint(tables) != file.history[number - 1].fingerprint:
        raise DataError(f"version {number} must have the fingerprint {file.history[number - 1].fingerprint[:12]}…; found another content. "
                        "The history must not be edited by hand: restore the file from a copy.")
    return tables


def unrecorded(file: GraphFile) -> list[Change]:
    """What was changed by hand since the last version; the next :func:`save` records it."""
    return _difference(_replayed(file.history), _rows(file.tables))
