"""`edukit audit leakage | disclosure | privacy | budget | fairness | trail`: what can be shown to hold; each exits with 1 where something is found."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated

import typer

audit_app = typer.Typer(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})


@audit_app.callback()
def audit() -> None:
    """Audits; each exits with 1 where something is found."""


@audit_app.command()
def leakage(
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="a name of `edukit models list` (tracing=dkt: dkt), or FILE.py:Class")] = None,
    predictions: Annotated[Path | None, typer.Option(metavar="FILE", help="csv or parquet: learner_id, correct, probability, and item_id, order")] = None,
    data: Annotated[str, typer.Option(help="data set of `edukit data list`")] = "synthetic",
    learners: Annotated[int, typer.Option(help="learners drawn from it")] = 300,
    seed: Annotated[int, typer.Option(help="draws learners, splits and answers")] = 0,
) -> None:
    """Does a MODEL read answers ahead of time, or do PREDICTIONS give that away? Exit code 1 where a leak is found.

    A model is asked with answers drawn at random, with later answers changed, without the other learners, and fitted again once it was asked with all
    test answers turned round; four fits in all. A table can only be searched for traces.
    """
    from edukit.schema import DataError

    leakage_audit = importlib.import_module("edukit.experiments.leakage_audit")

    if (model is None) == (predictions is None):
        raise DataError("edukit audit leakage needs either a MODEL or --predictions FILE; found " + ("both." if model else "neither. See --help."))
    found = []
    for proof in leakage_audit.of_file(predictions) if predictions else leakage_audit.of_model(str(model), data, learners, seed):
        typer.echo(str(proof))
        found.append(proof)
    leaks = sum(proof.held is False for proof in found)
    untold = sum(proof.held is None for proof in found)
    typer.echo(f"{leaks} of {len(found)} show a leak" + (f", {untold} cannot be told" if untold else ""))
    if leaks:
        raise typer.Exit(1)


@audit_app.command()
def disclosure(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="csv or parquet; a row is one learner, or one enrolment")],
    by: Annotated[str, typer.Option(help="columns that an outsider may know, separated by commas")],
    sensitive: Annotated[str, typer.Option(help="columns that they must not learn, separated by commas")] = "",
    k: Annotated[int, typer.Option(help="fewest rows that a combination should have")] = 10,
) -> None:
    """Could somebody be recognised in FILE? How many rows share each combination of the columns (k-anonymity, l-diversity)."""
    import pandas as pd

    from edukit.governance import disclosure as reports
    from edukit.schema import DataError

    if not file.is_file():
        raise DataError(f"FILE must be a csv or parquet file; found no {file}.")
    table = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file, dtype="str", keep_default_na=False)
    columns = [[name.strip() for name in words.split(",") if name.strip()] for words in (by, sensitive)]
    found = reports.disclosure(table, *columns, k)
    typer.echo(f"{found}\n")
    for title, part in (("combinations by their size", found.distribution), ("what each column adds", found.columns), ("within combinations", found.diversity)):
        if len(part):
            typer.echo(f"{title}\n{part.to_string(index=False, float_format='{:.2f}'.format)}\n")
    if found.below:
        raise typer.Exit(1)


@audit_app.command()
def privacy(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="a file or folder of outputs; tracked runs lie in outputs/tracking")],
    k: Annotated[int, typer.Option(help="fewest learners that a number may rest on")] = 10,
) -> None:
    """Does anything in PATH tell who somebody is, or rest on too few learners? Exit code 1 where something is found."""
    from edukit.data.catalogue import catalogue, loader
    from edukit.data.store import entries, key_file, learners_of, pseudonymiser
    from edukit.governance.exposure import Search
    from edukit.schema import DataError

    if not path.exists():
        raise DataError(f"PATH must be a file or folder; found no {path}.")
    names = sorted({name for name, _ in catalogue().values()})
    invented = [name for name in names if getattr(loader(name), "invented", False)]
    known = {one for name in names if name not in invented for place, _ in entries(name) for one in learners_of(place) if one}
    found = Search(k, pseudonymiser() if key_file().is_file() else None, known, invented)(path)
    for finding in found.findings:
        typer.echo(str(finding))
    for file in found.rows_of_learners:
        typer.echo(f"{'rows of learners':<24}{file}   (under pseudonyms: for those who hold the data, not to be published)")
    kinds = ", ".join(sorted({file.suffix or "no suffix" for file in found.unread}))
    typer.echo(f"{len(found.findings)} findings in {found.read} files" + (f"; {len(found.unread)} could not be looked into ({kinds})" if found.unread else ""))
    if found.findings:
        raise typer.Exit(1)


@audit_app.command()
def budget(data: Annotated[str, typer.Argument(metavar="FINGERPRINT", help="data fingerprint of the releases")],
           total: Annotated[float, typer.Option(help="the budget, as its first release set it")] = 1.0) -> None:
    """What was released with noise on one data set, and how much of its privacy budget is left; exit code 1 where none is."""
    from edukit.governance.privacy_budget import Budget

    account = Budget(data, total)
    for row in account.entries().itertuples():
        typer.echo(f"{row.time}  epsilon {row.epsilon:<8g}left {row.left:<8g}{row.what}")
    typer.echo(f"{account.left:g} of {total:g} is left")
    if not account.left:
        raise typer.Exit(1)


@audit_app.command()
def fairness(
    predictions: Annotated[Path, typer.Argument(metavar="PREDICTIONS", help="csv or parquet: learner_id, an outcome and a probability")],
    groups: Annotated[Path, typer.Argument(metavar="GROUPS", help="csv or parquet: learner_id and a column per attribute")],
    within: Annotated[str | None, typer.Option(help="compare groups within the values of this column (the course)")] = None,
    threshold: Annotated[float, typer.Option(help="probability from which on a prediction is an alarm")] = 0.5,
    seed: Annotated[int, typer.Option(help="draws permutations and intervals")] = 0,
) -> None:
    """Do PREDICTIONS serve each of the GROUPS as well as the rest? Exit code 1 where a gap holds after correction."""
    audits = importlib.import_module("edukit.experiments.fairness_audit")
    from edukit.governance.fairness import found_gaps

    table = audits.of_files(predictions, groups, within=within, threshold=threshold, seed=seed)
    for line in audits.lines(table):
        typer.echo(line)
    if found_gaps(table):
        raise typer.Exit(1)


@audit_app.command()
def trail(folder: Annotated[Path | None, typer.Argument(metavar="[OUTPUTS]", help="folder of outputs; default EDUKIT_OUTPUTS, else outputs")] = None) -> None:
    """Who ran what on which data, and whether that record is whole; exit code 1 where it was changed, cut or slipped in."""
    import os

    from edukit.evaluation import audit_trail

    root = folder or Path(os.environ.get("EDUKIT_OUTPUTS") or "outputs")
    known = audit_trail.read(root)
    for line in known:
        typer.echo(f"{line['when']}  {line['who']:<12}{line['experiment']:<18}{line['data']:<22}{line['state']:<10}{line['run']}")
    faults = audit_trail.faults(root)
    for one in faults:
        typer.echo(f"FAULT  {one}")
    typer.echo(f"{len(known)} lines, {len(faults)} faults" + ("" if known else f"; no trail in {root}"))
    if faults:
        raise typer.Exit(1)
