"""Logs that keep learners for good beside the prepared tables: what was said of their alerts and of their grades, and their live sessions.

Consent reaches into them, too. Each log is one SQLite file with a class of its own, which knows how to hand out what it holds of a learner and to
lose it; one whose lists a learner can be taken off does that for an objection (``objected``, ``agreed``). Another such log is one more
:class:`Kind` in :data:`LOGS`.
"""

from __future__ import annotations

import contextlib
import importlib
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from edukit.governance.consent import ALL
from edukit.schema import DataError

SQLITE = b"SQLite format 3\0"  # how such a file begins


@dataclass(frozen=True)
class Kind:
    """A kind of log.

    Attributes
    ----------
    what : what it is called.
    purpose : the experiment it serves.
    module, name : its class.
    table : by which a file of it is known.
    about, forget : of an open log and the names of a learner: what it holds of them, and how many entries lost them.
    settings : what its class is given besides the file.
    """

    what: str
    purpose: str
    module: str
    name: str
    table: str
    about: Callable[[Any, list[str]], pd.DataFrame]
    forget: Callable[[Any, list[str]], int]
    settings: tuple[Any, ...] = ()

    def open(self, path: Path) -> Any:
        """The log in a file."""
        return getattr(importlib.import_module(self.module), self.name)(path, *self.settings)


LOGS = (
    Kind("alert log", "warn", "edukit.alert_log", "AlertLog", "events", lambda log, names: log.about(names), lambda log, names: log.forget(names)),
    Kind("grading ledger", "grade", "edukit.grading.ledger", "Ledger", "entries",
         lambda log, names: pd.concat([log.export_learner(name) for name in names], ignore_index=True), lambda log, names: sum(map(log.forget, names))),
    Kind("session store", "session", "edukit.recommend.session_store", "SessionStore", "sessions", lambda log, names: log.about(names),
         lambda log, names: log.forget(names), (None,)),
)


def kind_of(path: Path) -> Kind | None:
    """What kind of log a file is; None for any other file.

    Raises
    ------
    DataError
        For an SQLite file that cannot be read: it may hold learners.
    """
    with path.open("rb") as file:
        if file.read(len(SQLITE)) != SQLITE:
            return None
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            columns = {row[1] for table in tables for row in database.execute('PRAGMA table_info("{}")'.format(table.replace('"', '""')))}
            return next((kind for kind in LOGS if kind.table in tables and "learner_id" in columns), None)
    except sqlite3.DatabaseError as error:
        raise DataError(f"{path} must be readable to tell whether it holds learners; found an SQLite file that is not: {error}. Mend it, or move it away "
                        "from the outputs.") from None


def logs(name: str, outputs: Path, reports: Iterable[tuple[Path, Mapping[str, Any]]], further: Sequence[Path] = ()) -> Iterator[tuple[Path, Kind]]:
    """Every log that may hold learners of a data set.

    Parameters
    ----------
    name : of the data set.
    outputs : folder that is searched for logs.
    reports : folder and content of every known run: its log lies in its folder, or where its config says.
    further : files to look into whatever they belong to.

    Yields
    ------
    Path, Kind
        A log of a run on other data is left out: the same id is somebody else there.

    Raises
    ------
    DataError
        For one of ``further`` that is no kind of log.
    """
    owners: dict[Path, set[str]] = {}
    for place, report in reports:
        for path in (*named(report), *place.glob("*.sqlite")):
            owners.setdefault(path.resolve(), set()).add(report["data"]["name"])
    asked = [path.resolve() for path in further]
    for path in dict.fromkeys([*asked, *owners, *(path.resolve() for path in sorted(outputs.rglob("*.sqlite")))]):
        known = owners.get(path, {name})
        if path.is_file() and (path in asked or name in known):
            if kind := kind_of(path):
                yield path, kind
            elif path in asked:
                raise DataError(f"--log must be one of {', '.join(f'an {kind.what}' if kind.what[0] in 'aeiou' else f'a {kind.what}' for kind in LOGS)}; found "
                                f"{path}, which is none.")


def named(report: Mapping[str, Any]) -> list[Path]:
    """Files that the config of a run names as its log; other settings may go by the same word."""
    given = (report.get("config", {}).get(word) for word in ("log", "ledger"))
    return [Path(path) for path in given if isinstance(path, str) and path]


def about(found: Iterable[tuple[Path, Kind]], names: Collection[str]) -> Iterator[tuple[Path, Kind, pd.DataFrame]]:
    """What each log holds of a learner, under any of the learner's names; logs without a row are left out."""
    for path, kind in found:
        rows = kind.about(kind.open(path), sorted(names))
        if len(rows):
            yield path, kind, rows


def forget(found: Iterable[tuple[Path, Kind]], names: Collection[str]) -> Iterator[tuple[Path, Kind, int]]:
    """Take a learner out of every log; how many entries each lost."""
    for path, kind in found:
        if removed := kind.forget(kind.open(path), sorted(names)):
            yield path, kind, removed


def heard(found: Iterable[tuple[Path, Kind]], names: Collection[str], purpose: str, agreed: bool) -> Iterator[tuple[Path, Kind, int]]:
    """Tell the logs that serve a purpose that a learner objected to it, or agreed again; how many entries each added."""
    for path, kind in found:
        log = kind.open(path) if purpose in (ALL, kind.purpose) else None
        tell = getattr(log, "agreed" if agreed else "objected", None)
        if tell and (added := tell(sorted(names))):
            yield path, kind, added
