"""How much has been told already: a ledger of privacy spent per data fingerprint, which refuses when the budget is used up.

Epsilons of releases on the same data add up (basic composition), whoever made them, so that one file keeps the account for a machine. A
spending is committed before the number it pays for is drawn: a process that is killed has spent, never told more than it paid for. Two
processes cannot spend the same budget, since SQLite gives the file to one writer at a time. Entries are added, never changed.

References
----------
Dwork, C., & Roth, A. (2014). The algorithmic foundations of differential privacy. Foundations and Trends in Theoretical Computer Science, 9(3-4).
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from edukit.reproducibility import cache_dir
from edukit.schema import DataError

UNIT = 1_000_000  # the account is kept in whole millionths of an epsilon, rounded up: sums are exact
WAIT_S = 60  # how long one process waits for another to finish its entry
TABLES = """
CREATE TABLE IF NOT EXISTS budgets (data TEXT PRIMARY KEY, total INTEGER NOT NULL CHECK (total > 0), day TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS spent (entry INTEGER PRIMARY KEY AUTOINCREMENT, data TEXT NOT NULL REFERENCES budgets (data),
                                  epsilon INTEGER NOT NULL CHECK (epsilon > 0), what TEXT NOT NULL, time TEXT NOT NULL);
"""
FOR_GOOD = ("CREATE TRIGGER IF NOT EXISTS {table}_{act} BEFORE {act} ON {table} BEGIN SELECT RAISE(ABORT, 'the ledger is only added to'); END;")


@dataclass(frozen=True)
class Budget:
    """The privacy budget of one data set.

    Parameters
    ----------
    data : str
        Fingerprint of the data (``LearningData.fingerprint``). Data with a learner more or less has another fingerprint and hence an account of
        its own: what was spent on the earlier form still counts for everybody who is in both. Add the two up before a further release.
    total : float
        Epsilon that may be spent on it, ever; set by the first entry, and the same from then on.
    path : Path, optional
        The ledger; default ``privacy_budget.db`` beside the pseudonym key.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     budget = Budget("3fa9", total=1.0, path=Path(place) / "ledger.db")
    ...     budget.spend(0.4, "learners by class")
    ...     round(budget.left, 6)
    0.6
    """

    data: str
    total: float = 1.0
    path: Path | None = None

    def __post_init__(self) -> None:
        if not self.data or not math.isfinite(self.total) or self.total <= 0:
            raise DataError(f"a privacy budget needs the data's fingerprint and a total epsilon above 0; found {self.data!r} and {self.total}.")

    @contextmanager
    def _ledger(self) -> Iterator[sqlite3.Connection]:
        """The open ledger inside a transaction that no other process can enter; all of it is written, or none."""
        file = Path(self.path or cache_dir() / "privacy_budget.db")
        file.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(file, timeout=WAIT_S, isolation_level=None)) as database:
            try:
                database.execute("PRAGMA synchronous = FULL")
                database.execute("BEGIN IMMEDIATE")
                for statement in [*TABLES.split(";"), *(FOR_GOOD.format(table=t, act=a) for t in ("budgets", "spent") for a in ("UPDATE", "DELETE"))]:
                    database.execute(statement)
                yield database
                database.execute("COMMIT")
            except BaseException as error:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                if isinstance(error, sqlite3.DatabaseError):
                    raise DataError(f"{file} must be a privacy ledger of edukit; found: {error}. Nothing was released.") from error
                raise

    def _account(self, database: sqlite3.Connection) -> tuple[int, int]:
        """Total and what is spent, in :data:`UNIT`."""
        wanted = math.floor(self.total * UNIT + 1e-6)
        known = database.execute("SELECT total FROM budgets WHERE data = ?", (self.data,)).fetchone()
        if known and known[0] != wanted:
            raise DataError(f"the budget of data {self.data[:12]} is {known[0] / UNIT:g}, set by its first entry; found {self.total:g}. A budget that can be "
                            "raised is none: go on with the one that was set.")
        spent = database.execute("SELECT coalesce(sum(epsilon), 0) FROM spent WHERE data = ?", (self.data,)).fetchone()[0]
        return wanted, int(spent)

    def spend(self, epsilon: float, what: str) -> None:
        """Enter a spending, before the number is drawn that it pays for.

        Raises
        ------
        DataError
            Where less than ``epsilon`` is left; nothing is entered then.
        """
        if not math.isfinite(epsilon) or epsilon <= 0:
            raise DataError(f"epsilon must be above 0; found {epsilon}. Smaller is more private; 0.1 to 1 is usual.")
        cost, now = math.ceil(epsilon * UNIT - 1e-6), datetime.now(UTC).isoformat(timespec="seconds")
        with self._ledger() as database:
            total, spent = self._account(database)
            if spent + cost > total:
                raise DataError(f"{what} needs epsilon {epsilon:g}, but of the budget {total / UNIT:g} of data {self.data[:12]} only "
                                f"{(total - spent) / UNIT:g} is left. Nothing was released: use what was published before.")
            database.execute("INSERT OR IGNORE INTO budgets VALUES (?, ?, ?)", (self.data, total, now))
            database.execute("INSERT INTO spent (data, epsilon, what, time) VALUES (?, ?, ?, ?)", (self.data, cost, what, now))

    @property
    def left(self) -> float:
        """Epsilon that has not been spent."""
        with self._ledger() as database:
            total, spent = self._account(database)
        return (total - spent) / UNIT

    def entries(self) -> pd.DataFrame:
        """What was released on this data, in order: ``epsilon, what, time, left`` (after the entry)."""
        with self._ledger() as database:
            total, _ = self._account(database)
            rows = database.execute("SELECT epsilon, what, time FROM spent WHERE data = ? ORDER BY entry", (self.data,)).fetchall()
        table = pd.DataFrame(rows, columns=["epsilon", "what", "time"])
        return table.assign(left=(total - table["epsilon"].cumsum()) / UNIT, epsilon=table["epsilon"] / UNIT)
