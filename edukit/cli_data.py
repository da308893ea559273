"""`edukit data list | card | fetch | check | export | where`: what there is, what may be done with it, and whether a file can be used."""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

data_app = typer.Typer(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})


def configs(group: str = "") -> list[Path]:
    """Config files of one group, or of the experiments."""
    from edukit.reproducibility import bundled

    return [p for p in sorted((bundled("conf") / group).glob("*.yaml")) if p.stem != "config"]


def _target(yaml: Path) -> str:
    """Dotted name of the class that a config builds."""
    return next((line.split(":", 1)[1].strip() for line in yaml.read_text(encoding="utf-8").splitlines() if line.startswith("_target_:")), "")


def about(yaml: Path) -> str:
    """First sentence of the class that a config builds, read from its source so that nothing heavy is imported."""
    module, _, name = _target(yaml).rpartition(".")
    source = Path(__file__).parent.parent.joinpath(*module.split(".")).with_suffix(".py")
    tree = ast.parse(source.read_text(encoding="utf-8")) if source.is_file() else ast.Module([], [])
    found = next((n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name), None)
    return ((ast.get_docstring(found) or "") if found else "").split("\n")[0]


@data_app.command("list")
def data_list() -> None:
    """Every data set: what it is, whether its files are here, and its variants."""
    from edukit.data.catalogue import catalogue, loader

    for path in configs("data"):
        states = {variant: _state(loader(label)) for label, (name, variant) in catalogue().items() if name == path.stem}
        typer.echo(f"{path.stem:<22}{'ready' if 'ready' in states.values() else 'file needed':<13}{about(path)}")
        if len(states) > 1:
            typer.echo(f"{'':<22}variants: {', '.join(f'{v} ({state})' for v, state in states.items())}")


def _state(loader: Any) -> str:
    from edukit.schema import DataError

    try:
        loader.raw_dir()
    except DataError:
        return "file needed"
    return "ready"


@data_app.command("card")
def data_card(label: Annotated[str, typer.Argument(help="data set, or data set and variant: junyi_cut10k")]) -> None:
    """The card of a data set: who is in it, what may be done with it, known flaws, how to obtain it."""
    from rich.console import Console
    from rich.markdown import Markdown

    from edukit.data.card import load_card, render
    from edukit.data.catalogue import loader

    Console().print(Markdown(render(load_card(loader(label).name))))


@data_app.command("fetch")
def data_fetch(
    label: Annotated[str, typer.Argument(help="data set, or data set and variant: junyi_cut10k")],
    agree: Annotated[bool, typer.Option("--agree", help="agree to the terms without being asked, for scripts")] = False,
    to: Annotated[str | None, typer.Option(metavar="FOLDER", help="folder of raw files, in place of EDUKIT_DATA")] = None,
) -> None:
    """Obtain raw files: downloads what is open once you agree to its terms, and says for the rest which file to get where."""
    from edukit.data.card import load_card
    from edukit.data.catalogue import loader
    from edukit.data.fetch import describe, how_to_obtain, obtain, plan, raw_root
    from edukit.data.loader import data_root
    from edukit.schema import DataError

    chosen: Any = loader(label)
    name, variant = chosen.name, getattr(chosen, "variant", "")
    wanted = plan(load_card(name), variant, raw_root(to))
    if not wanted.files:
        typer.echo(f"{wanted.label} needs no file from elsewhere. {wanted.card.sections.get('How to obtain', '')}")
        return
    typer.echo(describe(wanted))
    if wanted.to_fetch and not agree:
        if not sys.stdin.isatty():
            raise DataError("to download, you must agree to the terms above; found no terminal to ask on. Give --agree if you do. Nothing was written.")
        if not typer.confirm("Do you agree to these terms? Then the files are downloaded"):
            typer.echo("nothing was downloaded")
            raise typer.Exit(1)
    try:
        obtain(wanted)
    except KeyboardInterrupt:
        typer.echo("stopped; what came is kept, and the same command goes on from there", err=True)
        raise typer.Exit(130) from None
    if wanted.to_ask:
        typer.echo(how_to_obtain(wanted))
        raise typer.Exit(2)
    typer.echo(f"  ready     edukit data check {wanted.label}; in a run data={name}" + (f" data.variant={variant}" if variant else ""))
    if wanted.root != data_root():
        typer.echo(f"  note      set EDUKIT_DATA={wanted.root}, so that they are found")


@data_app.command("check")
def data_check(
    name_or_file: Annotated[str, typer.Argument(metavar="NAME-or-FILE", help="a data set (with its variant: junyi_cut10k), or a file of your own")],
    kind: Annotated[str, typer.Option(help="what your file is, where it is not recognised: rows (a row per response), matrix (a row per learner), canvas, "
                                           "moodle, datashop, xapi, oneroster, pykt, three_line, triple")] = "auto",
    sheet: Annotated[str | None, typer.Option(help="sheet of your workbook")] = None,
    q_matrix: Annotated[str | None, typer.Option(help="your file of items and concepts")] = None,
    graph: Annotated[str | None, typer.Option(help="your file of prerequisites")] = None,
) -> None:
    """Read a data set, or a file of your own, afresh: report every fault, or what it holds, what is doubtful and what is missing."""
    from edukit.data.catalogue import loader
    from edukit.data.store import check
    from edukit.schema import DataError

    if name_or_file not in [p.stem for p in configs("data")] and (Path(name_or_file).suffix or Path(name_or_file).exists()):
        _check_own({"path": name_or_file, "kind": kind, "sheet": sheet, "q_matrix": q_matrix, "graph": graph})
        return
    chosen = loader(name_or_file)
    if kind != "auto" or sheet or q_matrix or graph:
        raise DataError(f"--kind, --sheet, --q-matrix and --graph are for a file of your own; found the data set {name_or_file}. Leave them out.")
    _describe(chosen.name, check(chosen))
    typer.echo("no fault found")


def _check_own(given: dict[str, str | None]) -> None:
    """What a school's own file is taken for, its faults or its profile, and the command that comes next."""
    import shlex

    from edukit.data.school_csv import SchoolCsv
    from edukit.formats.delimited import sheets
    from edukit.validation import validate_all

    loader = SchoolCsv(**given)  # type: ignore[arg-type]
    loader.raw_dir()
    typer.echo(f"read as      {loader.recognised()}" + ("" if loader.kind != "auto" else "   (recognised; --kind says otherwise)"))
    if len(pages := sheets(Path(str(loader.path)))) > 1:
        others = [page for page in pages if page != (loader.sheet or pages[0])]
        typer.echo(f"sheet        {loader.sheet or pages[0]}   (not read: {', '.join(others)}; --sheet names another)")
    columns = loader.columns()
    for column, meaning, sure in columns[:30]:
        typer.echo(f"  {column:<24} -> {meaning or '(not used)'}{f'   ({sure})' if sure else ''}")
    if len(columns) > 30:
        typer.echo(f"  and {len(columns) - 30:,} more columns, the last of them {columns[-1][0]} -> {columns[-1][1] or '(not used)'}")
    tables = validate_all(loader.read(lambda line: typer.echo(f"note         {line}")), source="data_cards/school_csv.md")
    _describe(loader.name, tables)
    typer.echo("no fault found")
    if "interactions" in tables:
        options = [f"data.{field}={_quoted(value)}" for field, value in given.items() if value and value != "auto"]
        typer.echo("next:\nedukit run map_gaps data=school_csv " + " ".join(map(shlex.quote, options)))


def _quoted(value: str) -> str:
    """A value as an override of Hydra takes it."""
    import re

    return value if re.fullmatch(r"[\w./-]+", value, re.ASCII) else "'" + re.sub(r"(\\*)'", r"\1\1\\'", value) + "'"


def _describe(name: str, tables: dict[str, Any]) -> None:
    """Print what validated tables hold, what is doubtful, and what is missing."""
    import pandas as pd

    from edukit.data.card import load_card
    from edukit.data.loader import LearningData
    from edukit.data.profile import missing, profile

    for table, rows in tables.items():
        typer.echo(f"{table:<16}{len(rows):>10,} rows   {', '.join(rows.columns)}")
    if "interactions" in tables:
        data = LearningData(name, "", tables, load_card(name), "")
        in_memory = isinstance(tables["interactions"], pd.DataFrame)
        counted = "" if in_memory else "responses    {responses:,} of {learners:,} learners to {items:,} items; correct {correct:.3f}".format(**data.counts())
        typer.echo("\n".join([*(profile(tables).lines() if in_memory else [counted]), *missing(data.allows())]))


@data_app.command("export")
def data_export(
    label: Annotated[str, typer.Argument(help="data set, or data set and variant: junyi_cut10k")],
    folder: Annotated[Path, typer.Argument(help="a new folder")],
    form: Annotated[str, typer.Option("--format", help="csv, parquet, case (concepts and prerequisites) or xapi (responses)")] = "csv",
    path: Annotated[str | None, typer.Option(metavar="FILE", help="the raw file or folder, as data.path of a run")] = None,
) -> None:
    """Write the prepared tables for other tools; learner, class and teacher ids leave as pseudonyms, all others as they came."""
    from edukit.data.catalogue import loader
    from edukit.data.export import export
    from edukit.data.store import load

    for file in export(load(loader(label, **({"path": path} if path else {})), typer.echo, purpose="export"), folder, form):
        typer.echo(file)


@data_app.command("where")
def data_where() -> None:
    """Where raw files are looked for, and where prepared tables are kept."""
    from edukit.data.fetch import raw_root
    from edukit.reproducibility import cache_dir

    typer.echo(f"raw files        {raw_root()}" + ("" if os.environ.get("EDUKIT_DATA") else "   (EDUKIT_DATA is not set)"))
    typer.echo(f"prepared tables  {cache_dir() / 'data'}")
    typer.echo(f"pseudonym key    {cache_dir() / 'pseudonym.key'}")
