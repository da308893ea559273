"""What became of every alert: one file that keeps, for good, who was alerted, what a teacher decided and tried, and how it ended.

The file is SQLite with a write-ahead log: a process that is killed loses at most the event it was writing, and never half of one. Events are only
added; what is undone is another event. The one exception is a learner's right to be forgotten (:meth:`AlertLog.forget`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from edukit.governance.privacy import K
from edukit.metrics import record
from edukit.schema import DataError

UNIT = ["learner_id", "module_id", "presentation"]
KINDS = ("alerted", "snoozed", "dismissed", "reopened", "tried", "outcome")
NEEDS_REASON = ("snoozed", "dismissed")
DECISIONS = ("snoozed", "dismissed", "reopened")
CONSENT, OBJECTED = "edukit consent", "the learner objected"
LAST_WEEK = 10_000  # of a course: a later one is a slip
SHOWN = ("rank", "risk", "low", "high", "actionable", "context", "counterfactual", "suggested", "expected")  # of an alert, as it was shown
ENDINGS = {"passed": 0.0, "not passed": 1.0}
_COLUMNS = ("number", "kind", *UNIT, "week", "day", "who", "reason", "until_week", "what", *SHOWN, "mark", "recorded_at")
_TABLE = f"""
create table if not exists events (
  number integer primary key autoincrement, kind text not null check (kind in ({', '.join(map(repr, KINDS))})),
  learner_id text not null, module_id text not null, presentation text not null, week integer not null, day real, who text not null,
  reason text, until_week integer, what text, rank integer, risk real, low real, high real, actionable text, context text, counterfactual text,
  suggested text, expected text, mark text unique, recorded_at text not null);
create unique index if not exists one_alert_a_week on events (learner_id, module_id, presentation, week) where kind = 'alerted';
create trigger if not exists never_changed before update on events begin select raise(abort, 'events of an alert log are never changed'); end;
create trigger if not exists never_removed before delete on events begin select raise(abort, 'events of an alert log are never removed'); end;
"""


class AlertLog:
    """The events of alerts in one SQLite file.

    Parameters
    ----------
    path : where it lies, or is begun.

    Raises
    ------
    DataError
        Where the file is something else, or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> log = AlertLog(Path(tempfile.mkdtemp()) / "alerts.sqlite")
    >>> log.add([{"kind": "alerted", "learner_id": "a", "week": 8, "rank": 1, "risk": .7}], who="edukit")
    1
    >>> log.events()["kind"].tolist()
    ['alerted']
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not self.path.exists():
                self.path.touch(mode=0o600)  # readable by its owner only, as are the files that SQLite puts beside it
            with self._open() as base:
                tables = {name for (name,) in base.execute("select name from sqlite_master where type = 'table'")}
                if tables and "events" not in tables:  # before anything is written: another file stays what it was
                    raise DataError(f"{self.path} must be an alert log; found an SQLite file with {', '.join(sorted(tables)[:3])}. Give another path.")
                base.execute("pragma journal_mode = wal")
                base.executescript(_TABLE)
                absent = set(_COLUMNS) - {row[1] for row in base.execute("pragma table_info(events)")}
        except (sqlite3.DatabaseError, OSError) as error:
            raise DataError(f"{self.path} must be an alert log (SQLite); found what cannot be used as one: {error}. Give another path.") from None
        if absent:
            raise DataError(f"{self.path} must be an alert log; found a table `events` without {', '.join(sorted(absent))}. Give another path.")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection whose block is one transaction: all of it is written, or nothing."""
        base = sqlite3.connect(self.path, timeout=30)
        try:
            base.execute("pragma synchronous = full")
            with base:
                yield base
        finally:
            base.close()

    def add(self, events: Sequence[Mapping[str, Any]], who: str = "", week: int | None = None, day: float | None = None) -> int:
        """Add events, all or none; an alert that the same unit and week already has, and an event whose mark is there, are passed over.

        Parameters
        ----------
        events : each with ``kind`` and ``learner_id``, and as it needs them ``module_id, presentation, week, day, reason, until_week, what`` and,
            of an alert, what was shown (:data:`SHOWN`). Of an outcome ``what`` is ``passed``, ``not passed``, or anything else in words.
        who : who says so. week, day : of the course, for events that do not state their own.

        Returns
        -------
        int
            How many were added.

        Raises
        ------
        DataError
            For an unknown kind or field, a snooze or dismissal without a reason, a snooze without an end, nobody named, or who says so called as the
            command is that hears objections.
        """
        if any(str(event.get("who") or who).strip() == CONSENT for event in events):
            raise DataError(f"{self.path}: nothing was written: who says so must be a person or a program; found {CONSENT!r}, by which objections are known.")
        return self._write(events, who, week, day)

    def _write(self, events: Sequence[Mapping[str, Any]], who: str, week: int | None = None, day: float | None = None) -> int:
        rows = [self._row(event, who, week, day) for event in events]
        marks = ", ".join("?" * len(_COLUMNS[1:]))
        with self._open() as base:
            before = base.total_changes
            base.executemany(f"insert into events ({', '.join(_COLUMNS[1:])}) values ({marks}) on conflict do nothing", rows)
            return base.total_changes - before

    def _row(self, event: Mapping[str, Any], who: str, week: int | None, day: float | None) -> tuple:
        kind = event.get("kind")
        full = {"who": who, "week": week, "day": day, "module_id": "", "presentation": "", **{k: v for k, v in event.items() if not _missing(v)},
                "recorded_at": datetime.now(UTC).isoformat(timespec="seconds")}
        faults = [f"the kind must be one of {', '.join(KINDS)}; found {kind!r}"] if kind not in KINDS else []
        faults += [f"there is no field {name}" for name in event if name not in _COLUMNS[1:]]
        if not str(full.get("learner_id") or ""):
            faults.append("a learner must be named")
        if not str(full["who"]).strip():
            faults.append("who says so must be named")
        if any(full[name] is not None and not 0 <= int(full[name]) <= LAST_WEEK for name in ("week", "until_week") if name in full) or full["week"] is None:
            faults.append(f"a week must be 0 to {LAST_WEEK:,}; found {full['week']}" + (f" until {full['until_week']}" if "until_week" in full else ""))
        if strange := [name for name, value in full.items() if isinstance(value, str) and not _writable(value)]:
            faults.append(f"words must be whole characters; found half of one in {', '.join(strange)}")
        if kind in NEEDS_REASON and not str(full.get("reason") or "").strip():
            faults.append(f"what is {kind} needs a reason")
        if kind == "snoozed" and not int(full.get("until_week") or -1) > int(full["week"] or 0):
            faults.append(f"a snooze needs the week it ends, after week {full['week']}; found {full.get('until_week')}")
        if kind in ("tried", "outcome") and not str(full.get("what") or "").strip():
            faults.append("what was tried, or came of it, must be said")
        if faults:
            raise DataError(f"{self.path}: nothing was written: {'; '.join(faults)} (learner {full.get('learner_id')}).")
        return tuple(value.item() if isinstance(value := full.get(name), np.generic) else value for name in _COLUMNS[1:])

    def events(self, kind: str | None = None) -> pd.DataFrame:
        """Every event in the order it was written: :data:`UNIT`, kind, week, day, who, reason and the rest."""
        with self._open() as base:
            rows = base.execute("select * from events where ? is null or kind = ? order by number", (kind, kind))
            found = pd.DataFrame(rows.fetchall(), columns=[column[0] for column in rows.description])
        numbers = ("day", "risk", "low", "high")
        return found[list(_COLUMNS)].astype({**dict.fromkeys(numbers, "float64"), **dict.fromkeys(("week", "rank", "until_week"), "Int64")})

    def states(self, week: int) -> pd.DataFrame:
        """What holds in a week, by unit: ``state`` (open, snoozed or dismissed) and ``state_reason``; units nobody decided on are not in it.

        The last decision up to that week counts. A snooze ends by itself. Who objected is off the list of every week, whatever a teacher decided before or
        since.
        """
        every = self.events()
        off, heard = every["learner_id"].isin(_withheld(every)), every["who"] == CONSENT
        said = every[every["kind"].isin(DECISIONS) & ~off & (heard | (every["week"] <= week))]
        said = said.assign(own=~heard[said.index]).sort_values(["own", "week"], kind="stable").drop_duplicates(UNIT, keep="last")
        over = (said["kind"] == "reopened") | ((said["kind"] == "snoozed") & (said["until_week"].fillna(0) <= week))
        said = said.assign(state=said["kind"].mask(over, "open").astype("str"), state_reason=said["reason"].mask(over))
        gone = every[off].drop_duplicates(UNIT).assign(state="dismissed", state_reason=OBJECTED)
        return pd.concat([said, gone]).set_index(UNIT)[["state", "state_reason"]]

    def withheld(self) -> set[str]:
        """Learners who objected, and have not agreed since."""
        return _withheld(self.events())

    def about(self, learner_ids: Sequence[str]) -> pd.DataFrame:
        """Every event about some learners, as :meth:`events` has them."""
        said = self.events()
        return said[said["learner_id"].isin([str(one) for one in learner_ids])].reset_index(drop=True)

    def objected(self, learner_ids: Sequence[str]) -> int:
        """Take learners who objected off the list until they agree again; how many alerts of theirs were set aside."""
        return self._heard("dismissed", learner_ids, self.withheld().isdisjoint)

    def agreed(self, learner_ids: Sequence[str]) -> int:
        """Let learners be alerted again who were off the list since they objected; what a teacher decided stays."""
        return self._heard("reopened", learner_ids, self.withheld().issuperset)

    def _heard(self, kind: str, learner_ids: Sequence[str], concerns: Callable[[list[str]], bool]) -> int:
        """An event for every unit of those learners whom it concerns, dated in the newest week of the log."""
        mine = self.about([one for one in learner_ids if concerns([str(one)])]).drop_duplicates(UNIT)
        last = self.events()["week"].max()
        return self._write([{"kind": kind, **unit, "reason": OBJECTED, "week": last} for unit in mine[UNIT].to_dict("records")], CONSENT)

    def forget(self, learner_ids: Sequence[str]) -> int:
        """Remove every event of learners who asked for it, for good; how many there were."""
        with self._open() as base:
            base.execute("pragma secure_delete = on")
            base.execute("begin immediate")
            base.execute("drop trigger never_removed")
            before = base.total_changes
            base.executemany("delete from events where learner_id = ?", [(str(one),) for one in learner_ids])
            removed = base.total_changes - before
            base.execute([line for line in _TABLE.splitlines() if "never_removed" in line][0])
        with self._open() as base:
            if base.execute("pragma wal_checkpoint(truncate)").fetchone()[0]:
                raise DataError(f"{self.path} must be in use by nobody else while learners are removed from it; found a reader. "
                                "Close it and remove them again.")
        return removed


def _withheld(events: pd.DataFrame) -> set[str]:
    """Learners whose last word on being alerted is an objection."""
    heard = events[events["who"] == CONSENT].drop_duplicates("learner_id", keep="last")
    return set(heard.loc[heard["kind"] == "dismissed", "learner_id"])


def _writable(text: str) -> bool:
    try:
        return bool(text.encode()) or True
    except UnicodeEncodeError:
        return False


def _missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))


def evaluate(events: pd.DataFrame, endings: pd.Series | None = None, k: int = K) -> list[dict]:
    """What came of the alerts: false alarms, and those with whom something was tried beside the others.

    A *false alarm* is a unit that was alerted, with whom nothing was tried, and who passed. Of those with whom something was tried and who
    passed nobody can tell whether the alert was false or the help worked: they are counted apart. Teachers chose with whom
    to try something: the two sides may differ, and their difference is no measure of an effect.

    Parameters
    ----------
    events : of one log, or of several beneath each other.
    endings : 1 = not passed, 0 = passed, by unit; where it says nothing, the last ``outcome`` event (``passed``, ``not passed``) does.
    k : fewest units with a known ending on each side for a share.

    Returns
    -------
    list of records
        ``alerted, ended, false_alarms, not_told_apart, right_alarms`` (did not pass) as counts; ``not_passed`` (group ``tried``,
        ``not tried``) with Wilson's interval, and ``difference`` (tried - not tried) with Newcombe's; their value is None where n is below ``k``.

    References
    ----------
    Newcombe, R. G. (1998). Interval estimation for the difference between independent proportions. Statistics in Medicine, 17(8).
    """
    alerted = events[events["kind"] == "alerted"].drop_duplicates(UNIT).set_index(UNIT).index
    tried = pd.MultiIndex.from_frame(events.loc[events["kind"] == "tried", UNIT].drop_duplicates())
    said = events[(events["kind"] == "outcome") & events["what"].isin(ENDINGS)].drop_duplicates(UNIT, keep="last").set_index(UNIT)["what"].map(ENDINGS)
    known = said.reindex(alerted).astype("float64")
    if endings is not None:
        known = endings.reindex(alerted).astype("float64").fillna(known)
    helped, bad = np.asarray(alerted.isin(tried)), known.to_numpy(float)
    ended = ~np.isnan(bad)
    count = {"alerted": len(alerted), "ended": ended.sum(), "false_alarms": (ended & ~helped & (bad == 0)).sum(),
             "not_told_apart": (ended & helped & (bad == 0)).sum(), "right_alarms": (ended & (bad == 1)).sum()}
    found = [record(name, int(value), int(ended.sum())) for name, value in count.items()]
    shares = {name: bad[ended & (helped == arm)] for name, arm in (("tried", True), ("not tried", False))}
    for name, values in shares.items():
        found.append(_share(values, name, k))
    return [*found, _difference(*shares.values(), k)]


def _share(values: np.ndarray, group: str, k: int) -> dict:
    """Share that did not pass, or no number where it rests on too few."""
    if len(values) < k:
        return record("not_passed", None, len(values), group=group)
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(values.sum(), len(values), method="wilson")
    return record("not_passed", float(values.mean()), len(values), float(low), float(high), group=group)


def _difference(tried: np.ndarray, rest: np.ndarray, k: int) -> dict:
    n = len(tried) + len(rest)
    if min(len(tried), len(rest)) < k:
        return record("difference", None, n, group="tried - not tried")
    from statsmodels.stats.proportion import confint_proportions_2indep

    low, high = confint_proportions_2indep(tried.sum(), len(tried), rest.sum(), len(rest), method="newcomb")
    return record("difference", float(tried.mean() - rest.mean()), n, float(low), float(high), group="tried - not tried")
