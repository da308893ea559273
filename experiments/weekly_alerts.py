"""This week's alerts: exactly as many as a teacher has time for, into the log, a page and a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from edukit.alert_log import UNIT, AlertLog, evaluate
from edukit.report.alerts import AlertPage, write_csv
from edukit.risk import capacity, interventions, outcomes
from edukit.risk.counterfactual import counterfactuals
from edukit.risk.expected_benefit import by_kind, in_words
from edukit.risk.reasons import reasons as reasons_of
from edukit.risk.reasons import texts
from edukit.schema import DataError

if TYPE_CHECKING:
    from .recipe import Run

NOBODY_YET = "first list"
TITLE = "Who needs attention this week"
WHO = "edukit"
COLUMNS = ("learner_id", "module_id", "presentation", "week", "rank", "risk", "low", "high", "reason", "actionable", "context", "counterfactual", "suggested",
           "expected", "changed", "tried", "state", "state_reason")


def explained(model: Any, features: pd.DataFrame, risks: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Why each risk, and what would take those who are to be contacted off the list.

    Parameters
    ----------
    model : a fitted model of early warning (``score``, ``contributions``).
    features : what it was asked with, by unit.
    risks : table ``risks`` of one cutoff, with ``tier``.

    Returns
    -------
    risks, reasons : DataFrames
        The table with ``actionable, context, counterfactual``; and what :func:`edukit.risk.reasons.reasons` says. Without a risk there is neither.
    """
    table = risks.set_index(UNIT)
    known = table.index[table["risk"].notna()]
    found = reasons_of(model.contributions(features.loc[known]), features)
    table = table.drop(columns=["actionable", "context", "counterfactual"], errors="ignore").join(texts(found, known))
    now = table["tier"] == capacity.NOW
    first_left_out = table.loc[~now, "risk"].max()
    words = pd.Series(dtype="str", index=table.index[:0])
    if now.any() and pd.notna(first_left_out):
        words = counterfactuals(model.score, features.loc[table.index[now]], float(first_left_out), seen=features)["words"]
    return table.assign(counterfactual=words.reindex(table.index)).reset_index(), found


def write_alerts(folder: Path, risks: pd.DataFrame, reasons: pd.DataFrame, log: AlertLog | Path | str, week: int, capacity: int,
                 expected: pd.Series | None = None, catalogue: Path | str | None = None, title: str = TITLE,
                 source: Mapping[str, object] | None = None) -> pd.DataFrame:
    """Choose whom a teacher should look at this week, note it in the log, and write ``alerts.html`` and ``alerts.csv``.

    The highest risks come first, in the order of :func:`edukit.risk.capacity.in_turn`. Who was snoozed or dismissed takes no place; the next one does, so that
    there are exactly ``capacity`` open alerts, or all learners with a risk where there are fewer. A week that was written before keeps whom it
    alerted; only places that were freed since are filled.

    Parameters
    ----------
    folder : where the two files go.
    risks : table ``risks`` of one cutoff, a row a unit; who has no risk ("not enough data") is never alerted.
    reasons : what :func:`edukit.risk.reasons.reasons` returned for them.
    log : the alert log, or where it lies; it is begun where there is none.
    week : of the course.
    capacity : how many learners a teacher can look at this week.
    expected : what a learner may expect of what was tried before, by unit, one line a kind (:func:`edukit.risk.expected_benefit.in_words`).
    catalogue : of interventions, where it is not the default one.
    title, source : shown on the page.

    Returns
    -------
    DataFrame
        Table ``alerts``: the open ones by rank, then those set aside.

    Raises
    ------
    DataError
        For a capacity below 1, or a unit that comes twice.
    """
    if capacity < 1:
        raise DataError(f"capacity must be at least 1 learner; found {capacity}.")
    if risks.duplicated(UNIT).any():
        raise DataError(f"risks must hold each enrolment once; found {int(risks.duplicated(UNIT).sum())} twice. Hand over one cutoff.")
    log = log if isinstance(log, AlertLog) else AlertLog(log)
    told = {} if expected is None else expected.to_dict()
    events = _events(chosen(risks, log, week, capacity), reasons, interventions.read(catalogue), told)
    log.add(events, WHO, week, float(risks["cutoff_day"].iloc[0]))
    table = alerts_of(log, week, capacity)
    folder = Path(folder)
    write_csv(table, folder / "alerts.csv")
    page_of(log, table, week, capacity, title, source or {}).write(folder / "alerts.html")
    return table


def of_run(job: Run, weeks: Sequence[Any], past: pd.DataFrame, y: pd.Series) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The alerts of a run of early warning: into the log of the config, or a log of the run's own; beside the report ``alerts.html`` and ``alerts.csv``.

    Into a log of the run's own the week before the one that was asked for is written first, so that the page can say what changed. Where the data
    holds interventions and there are past learners, it is said what may be expected of each kind.

    Parameters
    ----------
    job : with ``capacity, week, log, interventions`` in its config.
    weeks : of those who are judged, in the order of time: ``week, cutoff, model, features, predicted``; the one that was asked for among them.
    past : features, at the end of that week, of learners whose ending is known; may be empty.
    y : 1 = failed or withdrew, by unit.

    Returns
    -------
    risks, reasons : DataFrames
        As :func:`explained` returns them, of the week that was asked for.
    """
    from .recipe import say

    cfg = job.cfg
    log, told = AlertLog(cfg.log or job.folder / "alerts.sqlite"), None
    for found in [week for week in weeks if week.week <= cfg.week][-1 if cfg.log else -2:]:
        risks, reasons = explained(found.model, found.features, capacity.risk_table(found.predicted, found.cutoff, cfg.capacity))
        if found.week == cfg.week and "interventions" in job.data.tables and len(past):
            known = past.drop(columns="observed", errors="ignore")
            told, said, records = by_kind(job.data.tables["interventions"], known, y.reindex(past.index), found.features, found.cutoff,
                                           outcomes.left_day(job.data.tables))
            job.metrics += [{**row, "model": "expected benefit"} for row in records]
            for line in said.values():
                say(f"expected     of a {line}")
        alerts = write_alerts(job.folder, risks, reasons, log, found.week, cfg.capacity, None if told is None else in_words(told), cfg.interventions,
                              source={"data": job.data.label, "week": found.week, "model": type(found.model).__name__.lower(), "log": log.path.name})
    open_ = int((alerts["state"] == "open").sum())
    say(f"alerts       {open_} open in {cfg.capacity} places, {len(alerts) - open_} set aside: alerts.html and alerts.csv beside the report; "
        f"log {cfg.log or 'alerts.sqlite, beside them'}")
    return risks, reasons


def chosen(risks: pd.DataFrame, log: AlertLog, week: int, capacity: int) -> pd.DataFrame:
    """Rows of ``risks`` to alert this week, those of an earlier writing of the week among them."""
    ranked = in_order(risks[risks["risk"].notna()])
    states = log.states(week)
    aside = states.index[states["state"] != "open"]
    before = log.events("alerted")
    units = pd.MultiIndex.from_frame(ranked[UNIT].astype("str"))
    held = units.isin(pd.MultiIndex.from_frame(before.loc[before["week"] == week, UNIT]))
    free = ranked[~units.isin(aside)]
    kept = free[held[~units.isin(aside)]]
    rest = free.drop(index=kept.index)
    return in_order(pd.concat([kept.head(capacity), rest.head(max(capacity - len(kept), 0))]))


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """The highest risk first; equal ones in the order of their lots."""
    return table.iloc[capacity.in_turn(table.set_index(UNIT)["risk"])] if len(table) else table


def _events(picked: pd.DataFrame, reasons: pd.DataFrame, catalogue: list[interventions.Intervention], expected: Mapping[tuple, str]) -> list[dict]:
    """One event ``alerted`` a row, with all that is shown of it; reasons and suggestions one a line."""
    units = pd.MultiIndex.from_frame(picked[UNIT])
    mine = reasons[reasons.index.isin(units)]
    levels = list(range(3))
    said = {kind: mine[mine["kind"] == kind].groupby(level=levels)["words"].agg("\n".join).to_dict() for kind in ("actionable", "context")}
    offered = interventions.suggest(mine, catalogue)
    tips = offered.groupby(level=levels)["words"].agg("\n".join).to_dict() if len(offered) else {}
    events = []
    for rank, (unit, row) in enumerate(zip(units, picked.to_dict("records"), strict=True), 1):
        own = {name: row.get(name) for name in (*UNIT, "risk", "low", "high", "counterfactual")}
        events.append({"kind": "alerted", **own, "rank": rank, "actionable": said["actionable"].get(unit), "context": said["context"].get(unit),
                       "suggested": tips.get(unit), "expected": expected.get(unit)})
    return events


def alerts_of(log: AlertLog, week: int, capacity: int | None = None) -> pd.DataFrame:
    """Table ``alerts`` of a week, read from the log alone: open alerts by rank, then what was set aside."""
    events, states = log.events(), log.states(week)
    alerted = events[events["kind"] == "alerted"]
    latest = in_order(alerted[alerted["week"] <= week].sort_values("week", kind="stable").drop_duplicates(UNIT, keep="last")).set_index(UNIT)
    latest = latest.drop(columns=["reason", "kind"]).join(states)
    latest["state"] = latest["state"].fillna("open")
    open_ = latest[(latest["week"] == week) & (latest["state"] == "open")].head(capacity)
    aside = latest[latest["state"] != "open"]
    table = pd.concat([open_, aside])
    table = table.assign(week=week, rank=range(1, len(table) + 1), tried=tried(events[events["week"] <= week]).reindex(table.index))
    table["changed"] = _changed(table, previous(alerted, week))
    table["reason"] = [reason(a, c) for a, c in zip(table["actionable"], table["context"], strict=True)]
    return table.reset_index()[list(COLUMNS)]


def reason(actionable: str | None, context: str | None) -> str:
    """Both kinds of reasons in one line.

    Examples
    --------
    >>> reason("days since the last action: 16; typical 2", None)
    'associated with: days since the last action: 16; typical 2'
    """
    lines = [line for text in (actionable, context) if isinstance(text, str) for line in text.split("\n")]
    return "associated with: " + " | ".join(lines) if lines else "nothing known stands out"


def previous(alerted: pd.DataFrame, week: int) -> pd.DataFrame:
    """The alerts of the last week before this one that had any, by unit."""
    before = alerted[alerted["week"] < week]
    return before[before["week"] == before["week"].max()].set_index(UNIT)


def _changed(table: pd.DataFrame, before: pd.DataFrame) -> list[str]:
    """What is different from the list before, a learner."""
    if before.empty:
        return [NOBODY_YET] * len(table)
    ranks, words = before["rank"].reindex(table.index), []
    for now, then, state in zip(table["rank"], ranks, table["state"], strict=True):
        moved = "as before" if pd.isna(then) or now == then else f"moved {'up' if now < then else 'down'} from {then}"
        words.append("new" if pd.isna(then) and state == "open" else "set aside" if state != "open" else moved)
    return words


def tried(events: pd.DataFrame) -> pd.Series:
    """What was tried and what came of it, one a line, by unit."""
    told = events[events["kind"].isin(["tried", "outcome"])]
    words = [f"week {row.week}: {'tried' if row.kind == 'tried' else 'came of it'}: {row.what}" + (f" ({row.reason})" if isinstance(row.reason, str) else "")
             for row in told.itertuples()]
    return told.assign(words=words).groupby(UNIT)["words"].agg("\n".join) if len(told) else told.set_index(UNIT)["what"]


def gone(log: AlertLog, table: pd.DataFrame, week: int) -> pd.DataFrame:
    """Who was on the list before and is on this one no longer, with what is known of it: ``learner_id, module_id, presentation, was, why``."""
    before = previous(log.events("alerted"), week)
    here = table.set_index(UNIT)["state"]
    rows = [(*unit, int(row["rank"]), f"{here[unit]} since" if unit in here.index else "no longer among the highest risks, or gone from the course")
            for unit, row in before.sort_values("rank").iterrows() if here.get(unit) != "open"]
    return pd.DataFrame(rows, columns=[*UNIT, "was", "why"])


def page_of(log: AlertLog, table: pd.DataFrame, week: int, capacity: int | None, title: str, source: Mapping[str, object]) -> AlertPage:
    """The page of a table of alerts."""
    return AlertPage(title, table, week, capacity, gone(log, table, week), evaluate(log.events()), log.path.name, source)


