"""`edukit consent list | export | agree | object | delete | correct | rotate-key | expired`: what learners may ask of whoever holds their data."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

consent_app = typer.Typer(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})

DATA = Annotated[str, typer.Argument(metavar="DATA", help="data set, or data set and variant: junyi_cut10k")]
LEARNER = Annotated[str, typer.Argument(metavar="LEARNER", help="id as it stands in the raw file")]
PURPOSE = Annotated[str, typer.Option(help="an experiment of `edukit experiments list`, a benchmark, leakage, graph, export, describe, or all")]
LOG = Annotated[list[Path] | None, typer.Option("--log", metavar="FILE", help="an alert log, ledger or store of sessions outside the outputs; "
                                          "repeat for several")]
PLACE = Annotated[str | None, typer.Option("--path", metavar="FILE", help="the raw file or folder, as data.path of a run")]


def _outputs() -> Path:
    return Path(os.environ.get("EDUKIT_OUTPUTS") or "outputs")


def _loader(label: str, path: str | None) -> Any:
    from edukit.data.catalogue import loader

    return loader(label, **({"path": path} if path else {}))


def _own(label: str, learner: str, path: str | None) -> tuple[Any, dict[str, Any]]:
    """The loader of a data set, and all rows of one learner in it, under the id of the raw file; other people stay pseudonyms."""
    import pandas as pd

    from edukit.data.store import check, pseudonymiser
    from edukit.governance.consent import own_rows
    from edukit.schema import DataError

    chosen = _loader(label, path)
    tables = {name: table if isinstance(table, pd.DataFrame) else table.of([learner]) for name, table in check(chosen).items()
              if "learner_id" in table.columns}
    rows = own_rows(tables, learner)
    if not rows:
        raise DataError(f"{label} must have rows of the learner; found none for {learner!r} in {', '.join(tables) or 'any table'}. "
                        "Give the id as it stands in the raw file.")
    keyed = pseudonymiser()
    return chosen, {name: table.assign(**{c: keyed.pseudonyms(table[c], c.removesuffix("_id")) for c in ("class_id", "teacher_id") if c in table})
                    for name, table in rows.items()}


def holding(name: str, learner: str) -> Iterator[tuple[Path, dict[str, Any], str]]:
    """Prepared tables that hold a learner, under this machine's key or one that it has retired: folder, what is known of it, the pseudonym."""
    from edukit.data.store import entries, learners_of

    names = names_of(learner)
    for place, told in entries(name):
        for one in names & set(learners_of(place)):
            yield place, told, one


def names_of(learner: str) -> set[str]:
    """The id, and every pseudonym that a learner has or had on this machine."""
    import pandas as pd

    from edukit.data.store import key_file, pseudonymiser
    from edukit.governance.rotation import retired

    return {learner, *(keyed.pseudonyms(pd.Series([learner]), "learner")[0] for keyed in [pseudonymiser(), *retired(key_file())])}


def _reports() -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """Every report in the tracking and in the folder of outputs: what to call it, its folder, and its content."""
    from edukit.evaluation import tracking

    root = tracking.default_root()
    places: dict[str, Path] = {f"run {row['run_id'][:8]} ({row['experiment']})": row["files"] for row in tracking.runs(root).to_dict("records")} \
        if (root / tracking.DATABASE).is_file() else {}
    places |= {str(report.parent): report.parent for report in sorted(_outputs().glob("*/*/run_report.json"))}
    for name, place in places.items():
        if (place / "run_report.json").is_file():
            yield name, place, json.loads((place / "run_report.json").read_text(encoding="utf-8"))


def _logs(name: str, further: Iterable[Path] | None) -> list[tuple[Path, Any]]:
    """Alert logs, ledgers and stores of sessions that may hold learners of a data set."""
    from edukit.learner_logs import logs, named
    from edukit.schema import DataError

    if absent := [path for path in further or () if not path.is_file()]:
        raise DataError(f"--log must be a file; found no {absent[0]}.")
    known = [(place, report) for _, place, report in _reports()]
    for path in dict.fromkeys(path for _, report in known if report["data"]["name"] == name for path in named(report)):
        if not path.is_file():
            typer.echo(f"not found    {path}   (the log of a run on {name}; where it lies elsewhere now: --log FILE)")
    return list(logs(name, _outputs(), known, list(further or ())))


def runs_on(name: str, held: Iterable[tuple[Path, dict[str, Any], str]]) -> list[str]:
    """Runs and output folders whose data fingerprint is that of prepared tables in ``held``, or of learners drawn from them with this one among them."""
    from edukit.data.store import drawable, learners_of
    from edukit.reproducibility import fingerprint

    known, found = list(held), []
    for run, _, report in _reports():
        data, drawn = report["data"], report["config"].get("learners")
        if data["name"] != name:
            continue
        for place, told, pseudonym in known:
            sizes = {int(size) for size in (data.get("learners"), drawn, told.get("drawn_from")) if size}
            if data["fingerprint"] == told["fingerprint"]:
                found.append(run)
            elif drawn and "drawn_from" in told and any(fingerprint(told["fingerprint"], size, report["seed"]) == data["fingerprint"] for size in sizes):
                if pseudonym in drawable(told, learners_of(place), int(drawn), report["seed"]):
                    found.append(run)
    return list(dict.fromkeys(found))


def _unfinished(name: str) -> list[Path]:
    """Folders that a killed command leaves: prepared tables and outputs that were being written, and raw rows that were being checked."""
    from edukit.reproducibility import cache_dir

    found = [*(cache_dir() / "data" / name).glob(".*"), *cache_dir().glob("check-*"), *_outputs().glob("*/.*")]
    return sorted(place for place in found if place.is_dir())


def _say_runs(runs: list[str]) -> None:
    """Name what was computed with a learner's rows and still lies there."""
    for run in runs:
        typer.echo(f"used in      {run}")
    typer.echo(f"{len(runs)} tracked runs and output folders used rows of this learner" + ("; what they fitted still does: run them again, or remove them"
                                                                                          if runs else ""))


@consent_app.callback()
def consent() -> None:
    """What learners may ask: to see, correct or delete what is held about them, or to object to a use of it."""


@consent_app.command("list")
def list_entries(data: Annotated[str | None, typer.Argument(metavar="[DATA]", help="one data set; all of them if left out")] = None) -> None:
    """Where the consent list lies, and every entry in it, in the order in which they count."""
    from edukit.governance.consent import ALL, Consent

    here = Consent.here()
    entries = [one for one in here.entries() if data is None or one.get("data", ALL) in (data, ALL)]
    typer.echo(f"{here.path}: {len(entries)} entries")
    for one in entries:
        more = f"   {one['table']}.{one['column']} = {one['value']!r} {one.get('where') or ''}" if one["state"] == "corrected" else ""
        typer.echo(f"{one['day']:<12}{one['state']:<10}{one.get('data', ALL):<18}{one['purpose']:<14}{one['learner_id']}{more}")


@consent_app.command()
def export(data: DATA, learner: LEARNER, file: Annotated[Path, typer.Argument(metavar="FILE", help="a new .zip")], path: PLACE = None,
           log: LOG = None) -> None:
    """Everything that DATA and its alert logs, ledgers and sessions hold about LEARNER, as a zip of one JSON per table, with what each column
    means and which runs used it."""
    from edukit.data.store import pseudonymiser
    from edukit.governance.consent import meanings
    from edukit.learner_logs import about as logged
    from edukit.reproducibility import replacing
    from edukit.schema import DataError

    if file.exists() or file.suffix.lower() != ".zip":
        raise DataError(f"FILE must be a new .zip; found {file}{' there already' if file.exists() else ''}. Name another.")
    chosen, tables = _own(data, learner, path)
    runs = runs_on(chosen.name, holding(chosen.name, learner))
    kept, keyed = {}, pseudonymiser()
    for place, kind, rows in logged(_logs(chosen.name, log), names_of(learner)):
        others = {c: rows[c].where(rows[c].isin(["edukit", "model"]), keyed.pseudonyms(rows[c], "teacher")) for c in ("who", "decided_by") if c in rows}
        kept[f"{kind.what.replace(' ', '_')}_{len(kept) + 1}"] = place, rows.assign(learner_id=learner, **others)
    about = {"learner": learner, "data": data, "tables": meanings(tables), "logs": {name: str(place) for name, (place, _) in kept.items()}, "used in": runs}
    tables |= {name: rows for name, (_, rows) in kept.items()}
    with replacing(file) as fresh:
        with zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("about.json", json.dumps(about, indent=2, ensure_ascii=False))
            for name, table in tables.items():
                archive.writestr(f"{name}.json", table.to_json(orient="records", date_format="iso", force_ascii=False, indent=1))
        fresh.chmod(0o600)
    for name, table in tables.items():
        typer.echo(f"{name:<16}{len(table):>8,} rows")
    _say_runs(runs)
    typer.echo(str(file))


@consent_app.command()
def agree(data: DATA, learner: LEARNER, purpose: PURPOSE = "all", log: LOG = None) -> None:
    """LEARNER agrees (again) that DATA is used for a purpose; the next run has their rows, and the next alerts may name them."""
    from edukit.learner_logs import heard

    found = _logs(_loader(data, None).name, log)
    _enter(data, learner, "agreed", purpose)
    for place, kind, count in heard(found, names_of(learner), purpose, agreed=True):
        typer.echo(f"{kind.what:<16}{place}   ({count} back on the list)")


@consent_app.command("object")
def objects(data: DATA, learner: LEARNER, purpose: PURPOSE = "all", log: LOG = None) -> None:
    """LEARNER objects to a purpose: their rows are in no table that is loaded for it from now on, and no list of alerts has them; says which runs used
    them."""
    from edukit.learner_logs import about, heard

    found = _logs(_loader(data, None).name, log)
    name = _enter(data, learner, "objected", purpose)
    for place, kind, count in heard(found, names_of(learner), purpose, agreed=False):
        typer.echo(f"{kind.what:<16}{place}   ({count} taken off the list)")
    for place, kind, rows in about(found, names_of(learner)):
        typer.echo(f"{kind.what:<16}{place}   ({len(rows)} entries stay on record; `edukit consent delete` removes them)")
    _say_runs(runs_on(name, holding(name, learner)))


def _enter(label: str, learner: str, state: str, purpose: str) -> str:
    """Write one entry; returns the name of the data set."""
    from edukit.governance.consent import Consent, consent_path, purposes
    from edukit.schema import DataError

    if purpose not in (known := purposes()):
        raise DataError(f"the purpose must be one of {', '.join(known)}; found {purpose}")
    name, listed = _loader(label, None).name, Consent(consent_path())
    if listed.path.suffix.lower() == ".csv" and listed.last_word(learner, name, purpose) == state:  # its owner has written it there: the rest is to do
        typer.echo(f"{learner} {state}: stands in {listed.path}")
        return str(name)
    entry = listed.add(learner, state, name, purpose)
    typer.echo(f"{entry['day']}  {learner} {state}: {name}, purpose {purpose}   ({consent_path()})")
    return str(name)


@consent_app.command()
def delete(data: DATA, learner: LEARNER, path: PLACE = None, log: LOG = None) -> None:
    """LEARNER leaves every table, alert log and ledger for good: prepared tables that hold them are removed, and the runs and raw files that do are
    named."""
    from edukit.data.store import forget
    from edukit.learner_logs import forget as forget_in_logs

    chosen = _loader(data, path)
    logs = _logs(chosen.name, log)
    _enter(data, learner, "deleted", "all")  # first, so that what is loaded from now on leaves the learner out
    held = list(holding(chosen.name, learner))
    runs = runs_on(chosen.name, held)
    for place, told, pseudonym in held:
        forget(place, pseudonym)
        typer.echo(f"removed      {place}   (data fingerprint {told['fingerprint'][:12]})" if "learners" not in told else f"forgotten in {place}")
    for place, kind, count in forget_in_logs(logs, names_of(learner)):
        typer.echo(f"{kind.what:<16}{place}   ({count} entries forgotten; pages and tables that were written from it are to be written again)")
    typer.echo(f"{sum('learners' not in told for _, told, _ in held)} prepared forms of {chosen.name} held this learner")
    for place in _unfinished(chosen.name):
        typer.echo(f"unfinished   {place}   (of a command that runs, or was killed; it may hold the learner: remove it once nothing runs)")
    _say_runs(runs)
    raw = chosen.files(chosen.raw_dir())
    for file in raw:
        typer.echo(f"raw file     {file}   (not touched)")
    typer.echo("no raw file" if not raw else "edukit never changes raw files: who owns them must take the learner out, and then forget this entry's id too")


@consent_app.command()
def correct(
    data: DATA, learner: LEARNER, column: Annotated[str, typer.Argument(metavar="TABLE.COLUMN", help="learners.gender, submissions.score, ...")],
    value: Annotated[str, typer.Argument(help="the right value")],
    where: Annotated[list[str] | None, typer.Option(metavar="COLUMN=VALUE", help="which of the learner's rows; repeat for several columns")] = None,
    path: PLACE = None,
) -> None:
    """A value of LEARNER is wrong: from now on it is loaded as corrected; the raw file stays as it is."""
    from edukit.governance.consent import Consent, consent_path, corrected
    from edukit.schema import DataError
    from edukit.validation import validate

    chosen, tables = _own(data, learner, path)
    table, _, name = column.partition(".")
    if table not in tables or name not in tables[table] or name in ("learner_id", "class_id", "teacher_id"):
        listed = "; ".join(f"{one}: {', '.join(rows.columns)}" for one, rows in tables.items())
        raise DataError(f"TABLE.COLUMN must be a column of the learner's rows, and no id of a person; found {column} beside {listed}")
    if any("=" not in pair for pair in where or ()):
        raise DataError(f"--where must be COLUMN=VALUE; found {', '.join(where or ())}")
    if "order" in (name, *(pair.split("=")[0] for pair in where or ())) and hasattr(chosen, "streams") and table in chosen.streams(chosen.raw_dir()):
        raise DataError(f"a correction of {table} must not name its order, which is counted while the log of {data} is read; found it. Point at the row by "
                        "other columns: --where timestamp=…, --where item_id=….")
    more = {"table": table, "column": name, "value": value, "where": dict(pair.split("=", 1) for pair in where or ())}
    changed, rows = corrected(tables[table], {"learner_id": learner, **more})
    if not rows:
        raise DataError(f"--where must fit rows of the learner; found none in {table} with {more['where']}.")
    validate(changed, table)
    Consent(consent_path()).add(learner, "corrected", chosen.name, **more)
    typer.echo(f"{column} is {value!r} in {rows} rows of {learner} from now on")
    _say_runs(runs_on(chosen.name, holding(chosen.name, learner)))


@consent_app.command("rotate-key")
def rotate_key() -> None:
    """A new pseudonym key: learners leave under other names from now on; says which prepared tables and runs carry the old names."""
    from edukit.data.catalogue import catalogue
    from edukit.data.store import entries, key_file
    from edukit.governance.rotation import rotate

    old, new = rotate(key_file())
    typer.echo(f"key {old.key_version} is kept as {key_file().name}.{old.key_version} until you remove it; the key is now {new.key_version}")
    names, found = sorted({name for name, _ in catalogue().values()}), 0
    fingerprints = set()
    for name in names:
        for place, told in entries(name):
            if told.get("key_version", old.key_version) == old.key_version:
                typer.echo(f"old names    {place}")
                fingerprints.add(told["fingerprint"])
                found += 1
    runs = [run for run, _, report in _reports() if report["data"]["fingerprint"] in fingerprints]
    for run in runs:
        typer.echo(f"old names    {run}")
    kept = {place: kind for name in names for place, kind in _logs(name, None)}
    for place, kind in kept.items():
        typer.echo(f"old names    {place}   ({kind.what}: what it says of earlier names is not joined to the new ones)")
    typer.echo(f"{found} prepared forms and {len(runs)} runs and output folders carry names of the old key")


@consent_app.command()
def expired(
    prepared: Annotated[float, typer.Option(help="days that prepared tables are kept after they were written")] = 365,
    outputs: Annotated[float, typer.Option(help="days that output folders and files of tracked runs are kept")] = 1095,
    checkpoints: Annotated[float, typer.Option(help="days that a killed run's state is kept")] = 30,
    clear: Annotated[bool, typer.Option("--remove", help="remove what is listed")] = False,
) -> None:
    """What has been kept longer than its retention; removed only with --remove."""
    from edukit.evaluation import tracking
    from edukit.governance.retention import Rule, remove
    from edukit.governance.retention import expired as older
    from edukit.reproducibility import cache_dir

    found = older([Rule("prepared tables", cache_dir() / "data", "*/*", prepared), Rule("run", tracking.default_root() / "artifacts", "*/*", outputs),
                   Rule("checkpoint", _outputs() / "checkpoints", "*", checkpoints),
                   *(Rule("outputs", report.parent.parent, report.parent.name, outputs) for report in sorted(_outputs().glob("*/*/run_report.json")))])
    for row in found.itertuples():
        typer.echo(f"{row.what:<16}{row.age_days:>7.0f} days  {row.megabytes:>9.1f} MB   {row.place}")
    typer.echo(f"{len(found)} things are older than their retention" + (f"; {remove(found['place'])} removed" if clear else ""))
