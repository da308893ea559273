"""The command line, thin: it hands on and prints.

`edukit run | data | graph | audit | alerts | consent | learner | refresh | experiments | models | show | ui | lab | serve`
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from edukit.cli_alerts import alerts_app
from edukit.cli_audit import audit_app
from edukit.cli_consent import consent_app
from edukit.cli_data import about, configs, data_app
from edukit.cli_grade import grade, review
from edukit.cli_graph import graph_app
from edukit.cli_ledger import ledger_app
from edukit.cli_serve import serve_app
from edukit.cli_tracing import learner, refresh

HELP = {"no_args_is_help": True, "context_settings": {"help_option_names": ["-h", "--help"]}}
app = typer.Typer(help="The open research bench for learning: what depends on what, what each learner knows, where a cohort is stuck.",
                  add_completion=False, pretty_exceptions_enable=False, **HELP)
experiments_app, models_app, show_app = (typer.Typer(**HELP) for _ in range(3))
app.add_typer(data_app, name="data", help="Data sets: list, card, fetch, check, export, where.")
app.add_typer(graph_app, name="graph", help="Prerequisite graphs: diff, merge, check, save, history, restore, vote, export.")
app.add_typer(audit_app, name="audit", help="Audits: leakage, disclosure, privacy, budget, fairness, trail.")
app.add_typer(alerts_app, name="alerts", help="Alerts: show, snooze, dismiss, reopen, tried, outcome, take, serve, evaluate.")
app.add_typer(consent_app, name="consent", help="Rights of learners: list, export, agree, object, delete, correct, rotate-key, expired.")
app.add_typer(ledger_app, name="ledger", help="Grades that are kept: verify, head, history, standing, replay, override, appeal, export, forget.")
app.add_typer(experiments_app, name="experiments", help="Experiments: list.")
app.add_typer(models_app, name="models", help="Models: list.")
app.add_typer(serve_app, name="serve", help="Open the start page, or the map of a run; `serve session`: what should a learner do next?")
app.add_typer(show_app, name="show", help="Results: last.")
app.command()(grade)
app.command()(review)
app.command()(learner)
app.command()(refresh)


def _outputs() -> Path:
    return Path(os.environ.get("EDUKIT_OUTPUTS") or "outputs")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": ["-h", "--help"]})
def run(context: typer.Context, experiment: Annotated[str, typer.Argument(help="one of `edukit experiments list`")]) -> None:
    """Run EXPERIMENT [key=value …]: `edukit run trace data=assistments2009 tracing=dkt`, a sweep with -m: `edukit run trace -m seed=0,1,2`.

    Options are Hydra overrides; `--cfg job` shows the config without running it.
    """
    from edukit.schema import DataError

    known = [p.stem for p in configs()]
    if experiment not in known:
        raise DataError(f"experiment must be one of {', '.join(known)}; found {experiment}")
    sys.argv = [f"edukit run {experiment}", *context.args]
    try:
        main_of = importlib.import_module(f"edukit.experiments.{experiment}").main
        if {"-m", "--multirun"} & set(context.args):
            from edukit.evaluation import tracking

            recipe = importlib.import_module("edukit.experiments.recipe")
            paths = recipe.config(experiment, *[word for word in context.args if word.lstrip("+").startswith("paths.")]).paths
            with tracking.sweep(Path(paths.tracking), experiment, context.args):
                main_of()
        else:
            main_of()
    except KeyboardInterrupt:
        typer.echo("stopped; nothing half-written was left", err=True)
        raise typer.Exit(130) from None


@experiments_app.command("list")
def experiments_list() -> None:
    """Every experiment, and what it answers."""
    for path in configs():
        first = path.read_text(encoding="utf-8").split("\n")[0]
        typer.echo(f"{path.stem:<18}{first.removeprefix('# ')}")
    typer.echo("\npapers: edukit run reproduce experiment=NAME   (quick=true tries it on invented data)")
    for path in configs("experiment"):
        second = path.read_text(encoding="utf-8").split("\n")[1]
        typer.echo(f"{path.stem:<38}{second.removeprefix('# ')}")


@models_app.command("list")
def models_list() -> None:
    """Every model, by the group and name that `edukit run` takes, and what it means for a learner."""
    for group in ("tracing", "graph", "gaps", "risk", "grading", "recommend", "simulators"):
        for path in configs(group):
            typer.echo(f"{group + '=' + path.stem:<24}{about(path)}")


@show_app.command("last")
def show_last(json: Annotated[bool, typer.Option("--json", help="the whole report as JSON")] = False) -> None:
    """The newest run: its metrics, figures and where they are."""
    from edukit.evaluation.evaluate import lines
    from edukit.evaluation.run_report import RunReport, latest

    path = latest(_outputs())
    if json:
        typer.echo(path.read_text(encoding="utf-8"))
        return
    report = RunReport.read(path)
    typer.echo(str(report))
    for line in lines(report.metrics, ("auc", "log_loss", "ece", "ap", "direction_accuracy", "coverage", "cells_stuck", "seconds", "peak_rss_mb")):
        typer.echo(line)
    for name, file in report.figures.items():
        typer.echo(f"{name:<14}{path.parent / file}")
    typer.echo(str(path))


@app.command()
def ui(port: Annotated[int, typer.Option(help="port on this machine")] = 5000) -> None:
    """Open the tracked runs in MLflow, on this machine only."""
    from edukit.evaluation.tracking import default_root, experiment_ids, tracking_uri

    root = default_root()
    ids = experiment_ids(root)
    page = f"http://127.0.0.1:{port}/#/experiments/{ids[0]}/runs" if ids else f"http://127.0.0.1:{port}"
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")  # its background jobs are not used, and double the start
    typer.echo(f"tracked runs of {root}: {page}   (starts in half a minute; Ctrl-C ends it)")
    sys.stdout.flush()  # what is printed before the process is replaced
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", tracking_uri(root), "--host", "127.0.0.1",
                              "--port", str(port), "--workers", "1"])


@app.command()
def lab() -> None:
    """Open the notebooks in JupyterLab; outside a checkout they are copied to ./edukit_notebooks first."""
    import shutil

    from edukit.reproducibility import bundled

    place = bundled("notebooks")
    if place.parent == Path(__file__).parent:
        here = Path("edukit_notebooks")
        if not here.exists():
            shutil.copytree(place, here)
        place = here
    os.execv(sys.executable, [sys.executable, "-m", "jupyter", "lab", "--ip", "127.0.0.1", "--notebook-dir", str(place.resolve())])


def main() -> None:
    """Entry point: an error of the house is one message and exit code 2."""
    try:
        app()
    except Exception as error:
        schema = sys.modules.get("edukit.schema")  # not imported here: it brings pandas, and `edukit --help` must not wait for that
        if schema is None or not isinstance(error, schema.DataError):
            raise
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
