"""`edukit alerts show | snooze | dismiss | reopen | tried | outcome | take | serve | evaluate`: what a teacher decides about alerts, kept in one log.

`edukit run warn` begins the LOG and adds to it each week; it lies beside the page of the alerts (alerts.sqlite).
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edukit.cli_serve import HOST, PORT, TOKEN, TOKEN_FILE, token_of

if TYPE_CHECKING:
    from edukit.alert_log import AlertLog

alerts_app = typer.Typer(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})
Log = Annotated[Path, typer.Argument(metavar="LOG", help="the alert log (alerts.sqlite)")]
Learner = Annotated[str, typer.Option(help="who it is about")]
Module = Annotated[str | None, typer.Option(help="the module, where the learner is alerted in several")]
Presentation = Annotated[str | None, typer.Option(help="which run of it")]
Week = Annotated[int | None, typer.Option(help="week of the course; the newest in the log where it is not given")]
Day = Annotated[float | None, typer.Option(help="day of the course")]
Who = Annotated[str, typer.Option(help="who decides")]
Reason = Annotated[str, typer.Option(help="why")]
What = Annotated[str, typer.Option(help="in words; an outcome may be `passed` or `not passed`")]
ACTIONS = {"snooze": "snoozed", "dismiss": "dismissed", "reopen": "reopened", "tried": "tried", "outcome": "outcome"}
DECIDED: dict[str, tuple[type, ...]] = {**dict.fromkeys(("action", "learner_id", "module_id", "presentation", "what", "reason", "who", "mark"), (str,)),
                                        "week": (int,), "weeks": (int, type(None))}


def _escaped(text: str) -> str:
    """Text in which what a terminal would take for an order (control characters, marks that turn the direction of writing) is spelt out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _say(line: object) -> None:
    typer.echo(_escaped(str(line)))


def _log(path: Path) -> AlertLog:
    """A log that is there."""
    from edukit.alert_log import AlertLog
    from edukit.schema import DataError

    if not path.is_file():
        raise DataError(f"an alert log must be a file; found no {path}. `edukit run warn` begins one.")
    return AlertLog(path)


def newest(log: AlertLog) -> int:
    """The last week that has alerts."""
    from edukit.schema import DataError

    weeks = log.events("alerted")["week"]
    if weeks.empty:
        raise DataError(f"{log.path} must hold alerts; found none. `edukit run warn` writes them.")
    return int(weeks.max())


def _known(log: AlertLog) -> Any:
    """Every alerted enrolment of learners on whom something may be decided, and those who objected."""
    from edukit.alert_log import UNIT

    return log.events("alerted").drop_duplicates(UNIT), log.withheld()


def _unit(log: AlertLog, known: Any, learner: str, module: str | None, presentation: str | None) -> dict[str, str]:
    """The one alerted enrolment that is meant."""
    from edukit.alert_log import UNIT
    from edukit.schema import DataError

    alerted, withheld = known
    if learner in withheld:
        raise DataError(f"nothing may be decided on a learner who objected; found {learner!r} in {log.path}. `edukit consent agree` lets them be alerted "
                        "again.")
    mine = alerted[alerted["learner_id"] == learner]
    for name, value in (("module_id", module), ("presentation", presentation)):
        mine = mine[mine[name] == value] if value else mine
    if len(mine) != 1:
        places = ", ".join(_escaped(f"{row.module_id} {row.presentation}") for row in mine.head(5).itertuples())
        raise DataError(f"the learner must be one with one alert in {log.path}; found {len(mine)} of {learner!r}"
                        + (f" ({places}). Give --module and --presentation." if len(mine) else ". `edukit alerts show` lists them."))
    return {name: str(mine.iloc[0][name]) for name in UNIT}


def _decide(path: Path, kind: str, learner: str, module: str | None, presentation: str | None, week: int | None, day: float | None, who: str,
            weeks: int | None = None, **more: str) -> None:
    log = _log(path)
    week = newest(log) if week is None else week
    unit = _unit(log, _known(log), learner, module, presentation)
    until = {} if weeks is None else {"until_week": week + weeks}
    log.add([{"kind": kind, **unit, **until, **more}], who, week, day)
    _say(f"{learner} ({unit['module_id']} {unit['presentation']}): {kind} in week {week}" + (f", until week {week + weeks}" if weeks is not None else ""))


@alerts_app.command()
def show(
    log: Log, week: Week = None,
    page: Annotated[Path | None, typer.Option(metavar="FILE", help="write the page again, with what was decided since")] = None,
    table: Annotated[Path | None, typer.Option(metavar="FILE", help="write the table (csv)")] = None,
) -> None:
    """Who needs attention, why, what changed and what was tried, as the log has it."""
    weekly_alerts = importlib.import_module("edukit.experiments.weekly_alerts")
    from edukit.report.alerts import write_csv
    from edukit.schema import DataError

    found = _log(log)
    week = newest(found) if week is None else week
    known = sorted(found.events("alerted")["week"].unique())
    if week not in known:
        raise DataError(f"{log} must hold alerts of week {week}; found those of {', '.join(map(str, known)) or 'no week'}.")
    alerts = weekly_alerts.alerts_of(found, week)
    for row in alerts.to_dict("records"):
        state = "" if row["state"] == "open" else f"  {row['state']}" + (f" ({row['state_reason']})" if isinstance(row["state_reason"], str) else "")
        _say(f"{row['rank']:>3}  {row['learner_id']}  {row['module_id']} {row['presentation']}  risk {row['risk']:.2f}  {row['changed']}{state}")
        _say(f"     {row['reason']}")
        for line in row["tried"].split("\n") if isinstance(row["tried"], str) else []:
            _say(f"     {line}")
    for row in weekly_alerts.gone(found, alerts, week).to_dict("records"):
        _say(f"  –  {row['learner_id']}  {row['module_id']} {row['presentation']}  was number {row['was']}: {row['why']}")
    if page is not None:
        _say(weekly_alerts.page_of(found, alerts, week, None, weekly_alerts.TITLE, {"log": found.path.name}).write(page))
    if table is not None:
        _say(write_csv(alerts, table))


@alerts_app.command()
def snooze(log: Log, learner: Learner, reason: Reason, who: Who, weeks: Annotated[int, typer.Option(min=1, help="for how many weeks")] = 1,
           module: Module = None, presentation: Presentation = None, week: Week = None, day: Day = None) -> None:
    """Take a learner off the list for some weeks; the next one gets the place when the week is written again."""
    _decide(log, "snoozed", learner, module, presentation, week, day, who, weeks, reason=reason)


@alerts_app.command()
def dismiss(log: Log, learner: Learner, reason: Reason, who: Who, module: Module = None, presentation: Presentation = None, week: Week = None,
            day: Day = None) -> None:
    """Take a learner off the list for good, with the reason; `reopen` undoes it."""
    _decide(log, "dismissed", learner, module, presentation, week, day, who, reason=reason)


@alerts_app.command()
def reopen(log: Log, learner: Learner, who: Who, reason: Reason = "", module: Module = None, presentation: Presentation = None, week: Week = None,
           day: Day = None) -> None:
    """Let a snoozed or dismissed learner be alerted again."""
    _decide(log, "reopened", learner, module, presentation, week, day, who, reason=reason)


@alerts_app.command()
def tried(log: Log, learner: Learner, what: What, who: Who, reason: Reason = "", module: Module = None, presentation: Presentation = None,
          week: Week = None, day: Day = None) -> None:
    """Note what was tried with a learner."""
    _decide(log, "tried", learner, module, presentation, week, day, who, what=what, reason=reason)


@alerts_app.command()
def outcome(log: Log, learner: Learner, what: What, who: Who, reason: Reason = "", module: Module = None, presentation: Presentation = None,
            week: Week = None, day: Day = None) -> None:
    """Note what came of it: `passed`, `not passed`, or in words."""
    _decide(log, "outcome", learner, module, presentation, week, day, who, what=what, reason=reason)


@alerts_app.command()
def take(log: Log, file: Annotated[Path, typer.Argument(metavar="FILE", help="decisions_week_N.json, as the page saves it")]) -> None:
    """Put what was decided on the page into the log, all of it or nothing; a file that was taken before adds nothing."""
    import json

    from edukit.schema import DataError

    found = _log(log)
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file} must be what the page saved (decisions_week_N.json); found a file that cannot be read: {error}") from None
    events = decided(found, content, str(file))
    for one in events:
        _say(f"{one['learner_id']} ({one['module_id']} {one['presentation']}): {one['kind']} in week {one['week']}")
    _say(f"{found.add(events)} of {len(events)} decisions are new in {log}")


def decided(log: AlertLog, content: object, place: str) -> list[dict[str, Any]]:
    """Events of what was decided on a page of alerts.

    Raises
    ------
    DataError
        Naming ``place`` and the first that is no decision, or whose learner has no alert in the log.
    """
    from edukit.schema import DataError

    sound = [isinstance(one, dict) and set(one) == set(DECIDED) and all(type(one[name]) in kinds for name, kinds in DECIDED.items())
             and one["action"] in ACTIONS for one in content] if isinstance(content, list) else [False]
    if not all(sound) or not sound:
        raise DataError(f"{place} must hold decisions with {', '.join(DECIDED)}, as the page saves them; found something else "
                        f"(first: number {sound.index(False) + 1 if sound else 1}).")
    events, known, last = [], _known(log), newest(log)
    for one in content:  # type: ignore[attr-defined]
        unit = _unit(log, known, one["learner_id"], one["module_id"], one["presentation"])
        if one["week"] > last:
            raise DataError(f"{place} must hold decisions of weeks that had alerts, the newest {last}; found week {one['week']} "
                            f"(learner {unit['learner_id']}).")
        until = one["week"] + one["weeks"] if one["weeks"] else None
        said = {name: one[name] or None for name in ("what", "reason", "who", "mark")}
        events.append({"kind": ACTIONS[one["action"]], **unit, "week": one["week"], "until_week": until, **said})
    return events


@alerts_app.command()
def serve(context: typer.Context, log: Log, host: HOST = "127.0.0.1", port: PORT = 8767, token: TOKEN = None, token_file: TOKEN_FILE = None) -> None:
    """Open the page of the newest week: what is decided on it goes into the log at once. Nothing leaves this machine."""
    from edukit.serve_alerts import serve as serve_pages

    serve_pages(_log(log), host, port, token_of(context, token, token_file), lambda line: print(line, flush=True))


@alerts_app.command()
def evaluate(
    log: Log,
    endings: Annotated[Path | None, typer.Option(metavar="FILE", help="enrolments with final_result (csv or parquet); else the outcomes in the log")] = None,
) -> None:
    """What came of the alerts: false alarms, and those with whom something was tried beside the others, with intervals."""
    from edukit.alert_log import evaluate as evaluated
    from edukit.report.alerts import CAUTION, COUNTS, SHARES

    for record in evaluated(_log(log).events(), None if endings is None else _endings(endings)):
        value = record["value"]
        if record["name"] in COUNTS:
            _say(f"{value:>6}  {COUNTS[record['name']]}")
        elif value is None:
            _say(f"        {SHARES[record['name']]}, {record['group']}: not enough data ({record['n']} with a known ending)")
        else:
            _say(f"  {value:+.2f}  {SHARES[record['name']]}, {record['group']} [{record['low']:.2f}, {record['high']:.2f}], n {record['n']}")
    _say(CAUTION)


def _endings(file: Path) -> Any:
    """1 = not passed, by unit."""
    import pandas as pd

    from edukit.alert_log import UNIT
    from edukit.schema import DataError

    try:
        table = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file, dtype=str)
    except (OSError, ValueError) as error:
        raise DataError(f"{file} must be a csv or parquet of enrolments; found a file that cannot be read: {error}") from None
    if absent := [name for name in (*UNIT, "final_result") if name not in table]:
        raise DataError(f"{file} must have the columns {', '.join((*UNIT, 'final_result'))}; found no {', '.join(absent)}.")
    result = table.drop_duplicates(UNIT).set_index(UNIT)["final_result"]
    return result.isin(["Fail", "Withdrawn"]).astype("float64").where(result.notna())
