"""`edukit data list | card | fetch | check | where`: what there is, what may be done with it, and whether a file can be used."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Annotated, Any

import typer

data_app = typer.Typer(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})


def configs(group: str = "") -> list[Path]:
    """Config files of one group, or of the experiments."""
    from edukit.reproducibility import bundled

    return [p for p in sorted((bundled("conf") / group).glob("*.yaml")) if p.stem != "config"]


def about(yaml: Path) -> str:
    """First sentence of the class that a config builds, read from its source so that nothing heavy is imported."""
    target = next((line.split(":", 1)[1].strip() for line in yaml.read_text(encoding="utf-8").splitlines() if line.startswith("_target_:")), "")
    module, _, name = target.rpartition(".")
    source = Path(__file__).parent.parent.joinpath(*module.split(".")).with_suffix(".py")
    tree = ast.parse(source.read_text(encoding="utf-8")) if source.is_file() else ast.Module([], [])
    found = next((n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name), None)
    return ((ast.get_docstring(found) or "") if found else "").split("\n")[0]


def _loader(name: str, *overrides: str) -> Any:
    from hydra import compose, initialize_config_dir
    from hydra.utils import instantiate

    from edukit.reproducibility import bundled
    from edukit.schema import DataError

    known = [p.stem for p in configs("data")]
    if name not in known:
        raise DataError(f"data must be one of {', '.join(known)}; found {name}. To check a file of your own, give its path.")
    with initialize_config_dir(str(bundled("conf").resolve()), version_base="1.3"):
        return instantiate(compose("config", [f"data={name}", *overrides]).data)


@data_app.command("list")
def data_list() -> None:
    """Every data set: what it is, and whether its files are here."""
    from edukit.schema import DataError

    for path in configs("data"):
        try:
            _loader(path.stem).raw_dir()
            state = "ready"
        except DataError:
            state = "file needed"
        typer.echo(f"{path.stem:<18}{state:<13}{about(path)}")


@data_app.command("card")
def data_card(name: str) -> None:
    """The card of a data set: who is in it, what may be done with it, known flaws, how to obtain it."""
    from rich.console import Console
    from rich.markdown import Markdown

    from edukit.data.card import load_card, render

    Console().print(Markdown(render(load_card(name))))


@data_app.command("check")
def data_check(name_or_file: Annotated[str, typer.Argument(metavar="NAME-or-FILE")]) -> None:
    """Read a data set, or a csv of your own, afresh; report every fault, or what it holds and allows."""
    from edukit.data.store import check

    own = Path(name_or_file).suffix != "" or Path(name_or_file).is_file()
    loader = _loader("school_csv", f"data.path='{name_or_file}'") if own else _loader(name_or_file)
    if own:
        import pandas as pd

        from edukit.data.school_csv import match_columns

        loader.raw_dir()
        found = [str(c) for c in pd.read_csv(name_or_file, nrows=0, sep=None, engine="python", encoding="utf-8-sig", encoding_errors="replace").columns] \
            if Path(name_or_file).stat().st_size else []
        matched = match_columns(found)
        for column in found:
            typer.echo(f"  {column:<24} -> {matched.get(column, '(not used)')}")
    tables = check(loader)
    for table, rows in tables.items():
        typer.echo(f"{table:<16}{len(rows):>10,} rows   {', '.join(rows.columns)}")
    log = tables.get("interactions")
    if log is not None:
        typer.echo(f"learners {log['learner_id'].nunique():,}, items {log['item_id'].nunique():,}, correct {log['correct'].mean():.3f}, "
                   f"order {'known' if log['order'].notna().all() else 'unknown'}")
    typer.echo("no fault found")


@data_app.command("where")
def data_where() -> None:
    """Where raw files are looked for, and where prepared tables are kept."""
    from edukit.data.loader import data_root
    from edukit.reproducibility import cache_dir

    typer.echo(f"raw files        {data_root() or 'EDUKIT_DATA is not set'}")
    typer.echo(f"prepared tables  {cache_dir() / 'data'}")
    typer.echo(f"pseudonym key    {cache_dir() / 'pseudonym.key'}")
