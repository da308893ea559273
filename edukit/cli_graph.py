"""`edukit graph diff | merge | check | save | history | restore | vote | export`: a prerequisite graph corrected by people, with every version kept.

A SOURCE is a graph file (.json, .parquet; ``maths.json@3`` is its third version), a CASE framework (.json), .graphml, .mmd, a table of edges
(.csv, .xlsx), or a data set (``junyi``).
"""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from edukit.formats.graph_file import GraphFile

graph_app = typer.Typer(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})
Source = Annotated[str, typer.Argument(metavar="SOURCE", help="a graph file (maths.json, maths.json@3), CASE, GraphML, Mermaid, csv of edges, or a data set")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="a graph file: .json, or .parquet for a large one")]
Author = Annotated[str, typer.Option(help="who saves it")]
PICTURES = (".png", ".svg", ".pdf")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _told(read: Any, *given: Any) -> Any:
    """What a reader returns; its warnings are printed as notes."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        found = read(*given)
    for warning in said:
        typer.echo(f"note: {warning.message}", err=True)
    return found


def _graph(source: str) -> GraphFile:
    """A graph by its file, its file and version, or the label of a data set."""
    from edukit.formats import graph_export, graph_file
    from edukit.graph.editing import at

    if Path(source).is_file():
        return _told(graph_export.read, Path(source))
    name, mark, number = source.rpartition("@")
    if mark and number.isdecimal() and Path(name).is_file():
        file = graph_file.read(name)
        return graph_file.GraphFile(at(file, int(number)), file.history[:int(number)])
    return _of_data(source)


def _of_data(label: str) -> GraphFile:
    from edukit.data.catalogue import catalogue, loader
    from edukit.data.store import load
    from edukit.formats import graph_file
    from edukit.graph.concept_graph import named
    from edukit.schema import DataError

    if label not in {known for entry in catalogue().items() for known in (entry[0], entry[1][0])}:
        raise DataError(f"a graph must be a file or a data set of `edukit data list`; found neither by the name {label}.")
    tables = load(loader(label), lambda line: typer.echo(line, err=True), purpose="graph").tables
    if "prerequisites" not in tables:
        raise DataError(f"data {label} holds no prerequisites; found {', '.join(tables)}. Sets with a graph: edukit data card NAME says so.")
    held = {name: tables.get(name, graph_file.empty(name)) for name in graph_file.HELD}
    return graph_file.GraphFile({**held, "concepts": tables["concepts"] if "concepts" in tables else named(tables["prerequisites"])})


@graph_app.command()
def diff(before: Source, after: Source) -> None:
    """What turns BEFORE into AFTER: edges, concepts and votes added (+), removed (-) and changed (~), field by field."""
    from edukit.graph.editing import diff as difference

    changes = difference(_graph(before).tables, _graph(after).tables)
    for change in changes:
        typer.echo(change)
    typer.echo(_summary(changes))


def _summary(changes: list) -> str:
    from collections import Counter

    count = Counter(f"{change.table} {change.kind}" for change in changes)
    return ", ".join(f"{n:,} {what}" for what, n in count.items()) or "no difference"


@graph_app.command()
def merge(
    base: Source, ours: Source, theirs: Source,
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="graph file to write, with the history of OURS; without it nothing is written")] = None,
    prefer: Annotated[str | None, typer.Option(help="ours or theirs: the side taken where they disagree")] = None,
    author: Author = "not stated",
) -> None:
    """Both sides' changes since BASE in one graph; exit code 1, and nothing written, where they disagree or would break the graph."""
    from edukit.formats import graph_file
    from edukit.graph.editing import diff as difference
    from edukit.graph.editing import merge as merged
    from edukit.graph.editing import save as saved

    start, mine, other = _graph(base), _graph(ours), _graph(theirs)
    outcome = merged(start.tables, mine.tables, other.tables, prefer)
    for conflict in outcome.conflicts:
        typer.echo(f"conflict: {conflict}")
    for finding in outcome.faults:
        typer.echo(f"only merged: {finding}")
    if outcome.tables is None or outcome.faults:
        left = f"{len(outcome.conflicts):,} conflicts" if outcome.tables is None else f"{len(outcome.faults):,} faults that neither side has alone"
        typer.echo(f"{left}; nothing was written. Mend one side{', or give --prefer ours or theirs' if outcome.tables is None else ''}.")
        raise typer.Exit(1)
    typer.echo(f"from theirs: {_summary(difference(mine.tables, outcome.tables))}")
    if to is not None:
        words = f"merged {theirs} into {ours} (from {base})" + (f"; {len(outcome.conflicts)} conflicts went to {prefer}" if outcome.conflicts else "")
        typer.echo(_written(graph_file.write(saved(mine, outcome.tables, _now(), author, words), to)))


def _written(path: Path) -> str:
    from edukit.formats import graph_file

    return f"{path}  version {len(graph_file.read(path).history)}"


@graph_app.command()
def check(source: Source) -> None:
    """Name every cycle, dangling concept, duplicate, self-loop and value out of range; exit code 1 where there is one."""
    from edukit.graph.checking import check as checked

    tables = _graph(source).tables
    findings = checked(tables)
    for finding in findings:
        typer.echo(finding)
    size = f"{len(tables['concepts']):,} concepts, {len(tables['prerequisites']):,} edges"
    if faults := sum(finding.fault for finding in findings):
        typer.echo(f"{faults:,} fault{'s' * (faults > 1)} in {size}")
        raise typer.Exit(1)
    typer.echo(f"no fault found in {size}")


@graph_app.command()
def save(
    source: Source, file: File,
    note: Annotated[str, typer.Option(help="why")] = "", author: Author = "not stated",
) -> None:
    """Make SOURCE the next version of a graph file, or begin one; SOURCE may be the file itself after an edit by hand."""
    from edukit.formats import graph_file
    from edukit.graph.editing import save as saved

    before = graph_file.read(file) if file.is_file() else None
    after = saved(before, _graph(source).tables, _now(), author, note)
    if before is not None and after.history == before.history:
        typer.echo(f"nothing changed since version {len(before.history)}; nothing was written")
        return
    typer.echo(_written(graph_file.write(after, file)))


@graph_app.command()
def history(file: File) -> None:
    """Every version of a graph file: when, by whom, why, and what it changed."""
    from edukit.formats import graph_file
    from edukit.graph.editing import Change, unrecorded

    found = graph_file.read(file)
    for version in found.history:
        about = "  ".join(part for part in (version.author, version.note) if part)
        typer.echo(f"{version.number:>4}  {version.time}  {version.fingerprint[:12]}  {about}")
        typer.echo(f"      {_summary([Change.of(record) for record in version.changes])}")
    if changes := unrecorded(found):
        typer.echo(f"since then, by hand: {_summary(changes)}   (edukit graph save {file} {file} records it)")


@graph_app.command()
def restore(
    file: File,
    number: Annotated[int, typer.Argument(metavar="VERSION", help="as `edukit graph history` lists it")],
    author: Author = "not stated",
) -> None:
    """Bring back an earlier version as the newest one; nothing of the history is lost."""
    from edukit.formats import graph_file
    from edukit.graph.editing import at
    from edukit.graph.editing import save as saved
    from edukit.schema import DataError

    before = graph_file.read(file)
    old = at(before, number)
    try:
        before = saved(before, before.tables, _now(), author, "changed by hand")  # what was edited since is kept as a version of its own
    except DataError as error:
        typer.echo(f"note: what was changed by hand since version {len(before.history)} cannot be kept: {error}", err=True)
    typer.echo(_written(graph_file.write(saved(before, old, _now(), author, f"restored version {number}"), file)))


@graph_app.command()
def vote(
    file: File,
    concept: Annotated[str, typer.Argument(metavar="CONCEPT", help="what is learnt")],
    requires: Annotated[str, typer.Argument(metavar="REQUIRES", help="what it may build on")],
    verdict: Annotated[str, typer.Argument(metavar="yes|no|reversed", help="yes, no (neither requires the other), or reversed (the other way round)")],
    by: Annotated[str, typer.Option(help="who votes, under a name of their choice")],
    why: Annotated[str | None, typer.Option(help="the reason")] = None,
) -> None:
    """Record one expert's vote on one edge; an earlier vote of the same expert on it is replaced (and stays in the history)."""
    from edukit.formats import graph_file
    from edukit.graph.editing import save as saved
    from edukit.graph.voting import agreement, cast, tally
    from edukit.schema import DataError

    before = graph_file.read(file)
    known = set(before.tables["concepts"]["concept_id"].astype("str"))
    for end in (concept, requires):
        if end not in known:
            raise DataError(f"a vote must speak of concepts of {file}; found {end!r}, which is none of its {len(known):,}.")
    votes = cast(before.tables["votes"], concept, requires, by, verdict, why, _now())
    graph_file.write(saved(before, {**before.tables, "votes": votes}, _now(), by, f"vote: {concept} requires {requires}: {verdict}"), file)
    counts = tally(votes)
    row = counts[counts["concept_id"].isin([concept, requires]) & counts["requires_id"].isin([concept, requires])].iloc[0]
    typer.echo(f"{row['concept_id']!r} requires {row['requires_id']!r}: yes {row['yes']}, reversed {row['reversed']}, no {row['no']}")
    kappa = agreement(votes)
    if kappa["value"] is not None:
        ends = "" if kappa["low"] is None else f" [{kappa['low']:.2f}, {kappa['high']:.2f}]"
        typer.echo(f"agreement of the experts: Fleiss' kappa {kappa['value']:.2f}{ends} over {kappa['n']} pairs with two votes or more")


@graph_app.command()
def export(
    source: Source,
    path: Annotated[Path, typer.Argument(metavar="OUT", help=".graphml, .mmd (Mermaid), .csv, .json (CASE), or a picture: .png .svg .pdf")],
    form: Annotated[str | None, typer.Option("--format", help="graphml, mermaid, csv, case, picture or labels (the votes as csv of training labels); "
                                             "by the ending where it is not given")] = None,
) -> None:
    """Write a graph for other tools; every id leaves as it came."""
    from edukit.formats import graph_export, graph_file
    from edukit.reproducibility import replacing
    from edukit.schema import DataError

    forms = {**graph_export.FORMS, **dict.fromkeys(PICTURES, "picture")}
    chosen = form or forms.get(path.suffix.lower())
    if chosen not in {*forms.values(), "labels"}:
        raise DataError(f"the form of a graph must be one of {', '.join(dict.fromkeys(forms.values()))}, labels; found {chosen or path.name}. Give --format.")
    file = _graph(source)
    if chosen == "labels":
        from edukit.graph.voting import labels

        if not len(file.tables["votes"]):
            raise DataError(f"{source} holds no votes; `edukit graph vote` records them.")
        with replacing(path) as fresh:
            labels(file.tables["votes"]).to_csv(fresh, index=False, encoding="utf-8")
    elif chosen == "picture":
        from edukit.report import figures

        tables = graph_file.canonical(file.tables, source)
        figures.save(figures.concept_graph(None, tables["concepts"], tables["prerequisites"]), path)
    else:
        moment = file.history[-1].time if file.history else _now()
        graph_export.write(file.tables, path, chosen, Path(source).stem, moment)
    typer.echo(path)
