"""The file of a ledger: its tables, the triggers that let it only grow, and the head that is noted beside it.

``entries`` is the chain. ``personal`` holds erasable words with their salts; a row goes only where ``forgotten`` names it. The head file
(``<ledger>.head``: how many entries, hash of the last) is written after each commit.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edukit.grading.ledger_entries import START
from edukit.schema import DataError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

WAIT = 30.0  # seconds that a writer waits for another one
HEAD = re.compile(rb"(\d{20}) ([0-9a-f]{64})\n")
_NEVER = "an entry of a ledger is never {0}"
STATEMENTS = (
    """create table entries (entry_id integer primary key, kind text not null, answer_id text, question_id text, criterion_id text,
  body text not null, previous blob not null, hash blob not null)""",
    "create table personal (entry_id integer primary key, salt blob not null, learner_id text, words text not null)",
    "create table forgotten (entry_id integer primary key, by_entry integer not null)",
    "create index of_answer on entries (answer_id, entry_id) where answer_id is not null",
    "create index of_question on entries (question_id, entry_id) where question_id is not null",
    "create index of_rubrics on entries (kind, entry_id) where kind = 'rubric'",
    "create index of_learner on personal (learner_id, entry_id) where learner_id is not null",
    """create trigger entries_follow before insert on entries when new.entry_id is not (select coalesce(max(entry_id), 0) + 1 from entries)
  begin select raise(abort, 'an entry of a ledger follows the last one'); end""",
    f"create trigger entries_stay before update on entries begin select raise(abort, '{_NEVER.format('changed')}'); end",
    f"create trigger entries_last before delete on entries begin select raise(abort, '{_NEVER.format('removed')}'); end",
    """create trigger words_once before insert on personal when exists (select 1 from personal where entry_id = new.entry_id)
  begin select raise(abort, 'the words of an entry are written once'); end""",
    f"create trigger words_stay before update on personal begin select raise(abort, '{_NEVER.format('changed')}'); end",
    """create trigger words_last before delete on personal when not exists (select 1 from forgotten where entry_id = old.entry_id)
  begin select raise(abort, 'words are erased only by forgetting a learner'); end""",
    """create trigger forgotten_once before insert on forgotten when exists (select 1 from forgotten where entry_id = new.entry_id)
  begin select raise(abort, 'words are forgotten once'); end""",
    f"create trigger forgotten_stay before update on forgotten begin select raise(abort, '{_NEVER.format('changed')}'); end",
    f"create trigger forgotten_last before delete on forgotten begin select raise(abort, '{_NEVER.format('removed')}'); end",
)


@contextmanager
def opened(path: Path, writing: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection to a ledger; where ``writing``, its block is one transaction that no other writer is in: all of it is on the disk, or nothing.

    Raises
    ------
    DataError
        For whatever SQLite refuses.
    """
    base = None
    try:
        base = sqlite3.connect(path, timeout=WAIT, isolation_level=None)
        base.execute("pragma synchronous = full")
        if writing:
            base.execute("begin immediate")
        yield base
        if writing:
            base.execute("commit")
    except (sqlite3.Error, sqlite3.Warning) as error:
        if "locked" in str(error):
            raise DataError(f"{path} must be free to be written; another process has held it for {WAIT:g} s. Nothing was written; try again.") from None
        raise DataError(f"{path} must be a sound ledger; SQLite refuses it: {error}. `edukit ledger verify` says more; "
                        "keep the file as it is, and put back a copy that is sound.") from None
    finally:
        if base is not None:
            base.close()  # what was not committed is undone


def begin(path: Path) -> None:
    """Make sure that a ledger lies at ``path``: begin one where there is nothing.

    Raises
    ------
    DataError
        For a file that is something else, and for an empty one whose head says that it held entries; neither is touched.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)  # readable by its owner only, as are the files that SQLite puts beside it
    except OSError as error:
        raise DataError(f"{path} must be a ledger (SQLite); found a place where none can be written ({error.strerror}). Give another path.") from None
    with opened(path) as base:
        names = {name for (name,) in base.execute("select name from sqlite_master")}
    if names:
        if not names >= {"entries", "personal", "forgotten"}:
            raise DataError(f"{path} must be a ledger; found a file of SQLite with {', '.join(sorted(names))}. Give another path.")
        if head(path)[0] or head_file(path).exists():
            return
    elif (count := (noted(path) or (0, ""))[0]):
        raise DataError(f"{path} must hold the {count:,} entries that {head_file(path).name} tells of; found none. "
                        "Put back a copy of the ledger; to begin anew, use another path.")
    with opened(path) as base:
        base.execute("pragma journal_mode = wal")
    with opened(path, writing=True) as base:
        if not base.execute("select count(*) from sqlite_master").fetchone()[0]:
            for statement in STATEMENTS:
                base.execute(statement)
    note(path)  # before there is any entry, so that a ledger with entries and no head is one whose head was taken away


def head_file(path: Path) -> Path:
    """Where the head of a ledger is noted."""
    return path.with_name(f"{path.name}.head")


def head(path: Path) -> tuple[int, str]:
    """How many entries a ledger has, and the hash of the last one."""
    with opened(path) as base:
        row = base.execute("select entry_id, hash from entries order by entry_id desc limit 1").fetchone()
    return (row[0], bytes(row[1]).hex()) if row else (0, START.hex())


def noted(path: Path) -> tuple[int, str] | None:
    """How many entries the head file tells of, and the hash of the last one; None where there is none.

    Raises
    ------
    DataError
        For a head file that is something else.
    """
    try:
        found = head_file(path).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{head_file(path)} must be the head of a ledger; found what cannot be read ({error.strerror}). Put back a copy of it.") from None
    if not (match := HEAD.fullmatch(found)):
        raise DataError(f"{head_file(path)} must be the head of a ledger (a count and a hash); found {found[:40]!r}. Put back a copy of it.")
    return int(match[1]), match[2].decode()


def note(path: Path) -> None:
    """Write the head as it is now; it never goes back to fewer entries, whatever another process writes meanwhile.

    One line of fixed length goes over the old one in a single write that is flushed to the disk: a file put in its place
    would leave its scratch behind wherever the process is killed.
    """
    file = os.open(head_file(path), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)  # let go as the file is closed
        count, last = head(path)
        found = os.read(file, 200)
        if found and not ((match := HEAD.fullmatch(found)) and int(match[1]) < count):
            return
        os.lseek(file, 0, os.SEEK_SET)
        os.write(file, f"{count:020d} {last}\n".encode())
        os.fsync(file)
    finally:
        os.close(file)
