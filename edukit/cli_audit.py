"""`edukit audit leakage`: proofs that a model, or somebody else's table of predictions, does not know what it should not."""

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
