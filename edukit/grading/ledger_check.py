"""Looking a ledger through for tampering and damage, entry by entry, from the first to the head that was noted."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from edukit.grading import ledger_file
from edukit.grading.ledger_entries import START, link, seal
from edukit.schema import DataError

COPY = "Keep the file as it is, compare with a copy, and put back one that is sound."
_COLUMNS = ("answer_id", "question_id", "criterion_id")
_ROWS = ("select e.entry_id, e.kind, e.answer_id, e.question_id, e.criterion_id, e.body, e.previous, e.hash, p.salt, p.learner_id, p.words, f.by_entry "
         "from entries e left join personal p using (entry_id) left join forgotten f using (entry_id) order by e.entry_id")
_STRAY = "select entry_id from {0} where entry_id not in (select entry_id from entries) order by 1"

Fault = tuple[int | None, str, str]


def check(path: Path, head: str | None = None) -> pd.DataFrame:
    """Every fault of a ledger (see :meth:`edukit.grading.ledger.Ledger.verify`).

    Parameters
    ----------
    path : of the ledger. head : a hash that was noted elsewhere and must be in the chain.

    Returns
    -------
    DataFrame
        ``entry_id`` (missing where it is the file as a whole), ``fault``, ``next_step``; no row = sound.
    """
    found: list[Fault] = []
    try:
        with ledger_file.opened(path) as base:
            base.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
            for fault in _faults(base, path, head):
                found.append(fault)
    except DataError as error:
        found.append((None, str(error), COPY))
    table = pd.DataFrame(found, columns=["entry_id", "fault", "next_step"])
    return table.astype({"entry_id": "Int64"})


def _faults(base: sqlite3.Connection, path: Path, head: str | None) -> Iterator[Fault]:
    for (told,) in base.execute("pragma integrity_check(20)"):
        if told != "ok":
            yield None, f"the file is damaged: {told}", COPY
    yield from _schema(base)
    tied = _Words()
    last, before, hashes = 0, START, {0: START.hex()}
    noted = ledger_file.noted(path)
    for number, kind, *columns, body, previous, own, salt, learner, words, forgotten in base.execute(_ROWS):
        if number != last + 1:
            yield number, f"{number - last - 1:,} before it absent, from entry {last + 1:,} on", COPY
        elif previous != before:
            yield number, f"does not follow entry {last:,}: one of the two was changed, moved or put in", COPY
        if not isinstance(body, str) or not isinstance(previous, bytes) or link(previous, body) != own:
            yield number, "was changed: its words are not those that were hashed", COPY
        entry = _read(body)
        if entry.get("entry_id") != number or entry.get("kind") != kind or [entry.get(name) for name in _COLUMNS] != columns:
            yield number, "is filed under another number, kind, answer, question or criterion than its words say", COPY
        yield from tied.look(number, entry, salt, learner, words, forgotten)
        last, before = number, own
        if isinstance(own, bytes) and ((noted and number == noted[0]) or own.hex() == head):
            hashes[number] = own.hex()
    yield from tied.rest(base)
    yield from _head(last, hashes, noted, head)


def _schema(base: sqlite3.Connection) -> Iterator[Fault]:
    """Triggers and tables that are not as they were made."""
    there = {_plain(sql) for (sql,) in base.execute("select sql from sqlite_master where sql is not null")}
    wanted = {_plain(sql): sql for sql in ledger_file.STATEMENTS}
    for sql in wanted.keys() - there:
        yield None, f"the {' '.join(wanted[sql].split()[1:3])} that guards it is gone or was changed", COPY
    for sql in there - wanted.keys():
        yield None, f"something was added to it: {sql[:80]}", COPY


def _plain(sql: str) -> str:
    return " ".join(sql.split()).casefold()


def _read(body: Any) -> dict[str, Any]:
    try:
        entry = json.loads(body)
    except (TypeError, ValueError, RecursionError):
        return {}
    return entry if isinstance(entry, dict) else {}


class _Words:
    """Erasable words against what the chain says of them."""

    def __init__(self) -> None:
        self.erased: dict[int, int] = {}  # entry -> the entry that says it was to be forgotten, as the table has it
        self.asked: dict[int, int] = {}  # the same, as the chain has it

    def look(self, number: int, entry: dict[str, Any], salt: Any, learner: Any, words: Any, forgotten: int | None) -> Iterator[Fault]:
        if entry.get("kind") == "forget" and isinstance(entry.get("entries"), list):
            self.asked |= dict.fromkeys(entry["entries"], number)
        sealed = entry.get("seal")
        if forgotten is not None:
            self.erased[number] = forgotten
            if words is not None:
                yield number, "was to be forgotten, and its words are there", "Forget the learner again."
        elif sealed and words is None:
            yield number, "has lost a learner's words, though nobody asked to forget them", COPY
        elif words is not None and not sealed:
            yield number, "has a learner's words that were put in later", COPY
        elif sealed and (not isinstance(salt, bytes) or not isinstance(words, str) or seal(salt, words) != sealed):
            yield number, "was changed: the learner's words are not those that were sealed", COPY
        elif sealed and _read(words).get("learner_id") != learner:
            yield number, "is filed under another learner than its words say", COPY

    def rest(self, base: sqlite3.Connection) -> Iterator[Fault]:
        for number in sorted(set(self.erased.items()) ^ set(self.asked.items())):
            yield number[0], "is said to be forgotten in one place only: in the chain, or in the table", COPY
        for name in ("personal", "forgotten"):
            for (number,) in base.execute(_STRAY.format(name)):
                yield number, f"is no entry, and yet stands in the table {name}", COPY


def _head(last: int, hashes: dict[int, str], noted: tuple[int, str] | None, head: str | None) -> Iterator[Fault]:
    if noted is None and last:
        yield None, "its head file is absent: whether entries were cut off the end cannot be seen", \
            "Compare the number of entries with what was noted elsewhere; the next entry writes a new head file."
    elif noted and noted[0] > last:
        yield None, f"{noted[0] - last:,} of {noted[0]:,} entries were cut off the end, as its head file says", COPY
    elif noted and noted[0] and hashes.get(noted[0]) != noted[1]:
        yield noted[0], "is not the entry that the head file tells of", COPY
    if head is not None and head not in hashes.values():
        yield None, f"no entry has the hash that was noted elsewhere ({head[:12]}…)", COPY
