"""Where live sessions are kept: every answer once, on the disk before it is acknowledged, under pseudonyms; one SQLite file.

Answers are only added. What is left of a process that was killed is every unit whose commit had returned, and nothing of the others. The one exception to
"only added" is a learner's right to be forgotten (:meth:`SessionStore.forgotten`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from edukit.schema import DataError

Unit = Sequence[tuple[str, tuple]]
"""Statements that are written together or not at all."""
FORMAT = "edukit sessions 1"
WAIT = 30.0  # seconds that a writer waits for another process
_TABLES = """
create table if not exists about (name text primary key, value text not null);
create table if not exists sessions (session_id text primary key, learner_id text not null unique, started_at text not null);
create table if not exists answers (number integer primary key autoincrement, session_id text not null, step integer not null, answer_id text not null,
  item_id text not null, correct real not null check (correct between 0 and 1), response text, response_time_s real, source text not null,
  answered_at text not null, unique (session_id, answer_id), unique (session_id, step));
create index if not exists of_statement on answers (answer_id) where source = 'xapi';
create table if not exists snapshots (session_id text primary key, step integer not null, fingerprint text not null, state text not null);
create trigger if not exists never_changed before update on answers begin select raise(abort, 'an answer is never changed'); end;
"""
_COLUMNS = "session_id, step, answer_id, item_id, correct, response, response_time_s, source, answered_at"


@dataclass(frozen=True)
class Answer:
    """One answer as it is kept: the ``step``-th of its session, from 0.

    Parameters
    ----------
    answer_id : given by who sends it; once in a session.
    correct : a mark in [0, 1]. response : the chosen option, as a short label. response_time_s : seconds.
    source : ``answer``, or ``xapi`` for a statement. answered_at : UTC, ISO 8601.
    """

    session_id: str
    step: int
    answer_id: str
    item_id: str
    correct: float
    response: str | None
    response_time_s: float | None
    source: str
    answered_at: str

    def says(self) -> tuple:
        """What must be the same where the same id is sent again."""
        return self.session_id, self.item_id, self.correct, self.response, self.response_time_s, self.source


def now() -> str:
    """This moment, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class SessionStore:
    """Sessions and their answers in one file: one connection that writes, in whatever thread, and one that reads.

    Parameters
    ----------
    path : where it lies, or is begun; readable by its owner only.
    key_version : of the key that makes the pseudonyms: with another key nobody would be known again. None to look into a store that is there.

    Raises
    ------
    DataError
        Where the file is something else, was made with another key, or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> store = SessionStore(Path(tempfile.mkdtemp()) / "sessions.sqlite", "k1")
    >>> _ = store.write([store.started("s", "learner-1"), store.added([Answer("s", 0, "a", "i", 1.0, None, None, "answer", now())])])
    >>> [answer.item_id for answer in store.answers("s")], store.session_of("learner-1")
    (['i'], 's')
    """

    def __init__(self, path: Path | str, key_version: str | None) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.path.touch(mode=0o600)
            self._writing, self._reading = self._opened(), self._opened()
            self._writing.executescript(_TABLES)
            told = [("format", FORMAT), *([("key", key_version)] if key_version else [])]
            self._writing.executemany("insert into about values (?, ?) on conflict do nothing", told)
            about = dict(self._writing.execute("select name, value from about"))
            self._writing.execute(f"select number, {_COLUMNS} from answers limit 1")
        except (sqlite3.Error, OSError) as error:
            raise DataError(f"{self.path} must be a store of sessions (SQLite); found what cannot be used as one: {error}. Give another --store.") from None
        if about["format"] != FORMAT or key_version not in (None, about["key"]):
            raise DataError(f"{self.path} must be of {FORMAT!r} and key {key_version}; found {about['format']!r} and key {about.get('key')}. Use the key it "
                            "was made with, or another --store.")

    def _opened(self) -> sqlite3.Connection:
        base = sqlite3.connect(self.path, timeout=WAIT, isolation_level=None, check_same_thread=False)
        base.execute("pragma journal_mode = wal")
        base.execute("pragma synchronous = full")  # a commit returns when it is on the disk
        base.execute("pragma secure_delete = on")
        return base

    def write(self, units: Sequence[Unit]) -> list[Exception | None]:
        """Write units under one commit; where that fails, each under its own. None for each that is on the disk, else why it is not."""
        try:
            self._write(units)
        except sqlite3.Error as error:
            if len(units) == 1:
                return [error]
            return [self.write([unit])[0] for unit in units]
        if any(statement.startswith("delete") for unit in units for statement, _ in unit):
            self._writing.execute("pragma wal_checkpoint(truncate)")  # what is forgotten leaves the log, too
        return [None] * len(units)

    def _write(self, units: Sequence[Unit]) -> None:
        base = self._writing
        base.execute("begin immediate")
        try:
            for unit in units:
                for statement, values in unit:
                    base.execute(statement, values)
            base.execute("commit")
        except BaseException:
            if base.in_transaction:
                base.execute("rollback")
            raise

    # units

    @staticmethod
    def started(session_id: str, learner_id: str) -> Unit:
        """A session is begun."""
        return [("insert into sessions values (?, ?, ?)", (session_id, learner_id, now()))]

    @staticmethod
    def added(answers: Sequence[Answer]) -> Unit:
        """Answers are added; those of a session that is gone are refused."""
        return [(f"insert into answers ({_COLUMNS}) values ((select session_id from sessions where session_id = ?), ?, ?, ?, ?, ?, ?, ?, ?)",
                 tuple(vars(answer).values())) for answer in answers]

    @staticmethod
    def snapshot(session_id: str, step: int, fingerprint: str, state: dict[str, Any]) -> Unit:
        """Where a session stood after so many answers, so that a restart need not go through them all."""
        return [("insert or replace into snapshots select session_id, ?, ?, ? from sessions where session_id = ?",
                 (step, fingerprint, json.dumps(state), session_id))]

    @staticmethod
    def forgotten(session_id: str) -> Unit:
        """A session and all that was kept of it goes, for good."""
        return [(f"delete from {table} where session_id = ?", (session_id,)) for table in ("answers", "snapshots", "sessions")]

    # reading

    def session_of(self, learner_id: str) -> str | None:
        """The session of a learner; None for one never seen."""
        found = self._reading.execute("select session_id from sessions where learner_id = ?", (learner_id,)).fetchone()
        return found[0] if found else None

    def learner_of(self, session_id: str) -> str | None:
        """The pseudonym behind a session; None where there is no such session."""
        found = self._reading.execute("select learner_id from sessions where session_id = ?", (session_id,)).fetchone()
        return found[0] if found else None

    def answers(self, session_id: str, first: int = 0) -> list[Answer]:
        """Answers of a session from a step on, in their order."""
        rows = self._reading.execute(f"select {_COLUMNS} from answers where session_id = ? and step >= ? order by step", (session_id, first))
        return [Answer(*row) for row in rows]

    def answer(self, session_id: str, answer_id: str) -> Answer | None:
        """One answer; None where there is none of that id."""
        found = self._reading.execute(f"select {_COLUMNS} from answers where session_id = ? and answer_id = ?", (session_id, answer_id)).fetchone()
        return Answer(*found) if found else None

    def statement(self, answer_id: str) -> Answer | None:
        """The answer that a statement of this id was kept as, whoever's it is."""
        found = self._reading.execute(f"select {_COLUMNS} from answers where answer_id = ? and source = 'xapi'", (answer_id,)).fetchone()
        return Answer(*found) if found else None

    def listed(self, session_id: str | None, after: int, most: int) -> list[tuple[int, str, Answer]]:
        """Answers of a session, or of all, as (number, learner_id, answer), by number; those after a number, so many at most."""
        rows = self._reading.execute(f"select number, learner_id, {', '.join('a.' + name for name in _COLUMNS.split(', '))} from answers a join sessions "
                                     "using (session_id) where number > ? and (? is null or a.session_id = ?) order by number limit ?",
                                     (after, session_id, session_id, most))
        return [(row[0], row[1], Answer(*row[2:])) for row in rows]

    def latest(self, session_id: str, fingerprint: str) -> tuple[int, dict[str, Any]] | None:
        """The snapshot of a session, of a course with this fingerprint; None where there is none."""
        found = self._reading.execute("select step, state from snapshots where session_id = ? and fingerprint = ?", (session_id, fingerprint)).fetchone()
        return (found[0], json.loads(found[1])) if found else None

    # rights of learners

    def about(self, names: Sequence[str]) -> pd.DataFrame:
        """All that is kept of a learner, under any of the names: a row an answer, in their order; one row without an answer where there is none yet."""
        rows = self._reading.execute("select learner_id, session_id, started_at, step, item_id, correct, response, response_time_s, source, answered_at "
                                     f"from sessions left join answers using (session_id) where learner_id in ({','.join('?' * len(names))}) "
                                     "order by session_id, step", tuple(names))
        return pd.DataFrame(rows.fetchall(), columns=[name for name, *_ in rows.description])

    def forget(self, names: Sequence[str]) -> int:
        """Take a learner out, under any of the names, for good; how many sessions and answers went.

        Raises
        ------
        DataError
            Where the disk takes nothing.
        """
        found = self.about(names)
        sessions = list(found["session_id"].unique())
        if errors := [error for error in self.write([self.forgotten(one) for one in sessions]) if error] if sessions else []:
            raise DataError(f"{self.path} must be writable; found {errors[0]}. Nothing is promised to be gone: look at the disk, then do it again.")
        return len(sessions) + int(found["step"].notna().sum())

    @contextmanager
    def held(self) -> Iterator[SessionStore]:
        """Be the only service at work here, then close; the system lets go when the process ends, however it ends.

        Raises
        ------
        DataError
            Where another service is at work here: what it holds in memory would be behind.
        """
        try:
            import fcntl
        except ImportError:  # not POSIX: nothing is held
            fcntl = None
        with self.path.with_name(f".{self.path.name}.held").open("w") as lock:
            try:
                if fcntl is not None:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DataError(f"{self.path} must be served once; found a service at work there. Use that one, or another --store.") from None
            try:
                yield self
            finally:
                self.close()

    def close(self) -> None:
        """Put everything into the one file."""
        self._reading.close()
        self._writing.execute("pragma wal_checkpoint(truncate)")
        self._writing.close()
