"""What it costs to turn a click file of the size of the publisher's into weeks of every enrolment, in a process of its own.

``python -m edukit.experiments.scale_events run``: 10,655,280 invented rows with the columns of the published ``studentVle.csv`` (about 430 MB of
disk, removed afterwards), then the weekly features up to the last day of a year.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from edukit.reproducibility import environment, write_json

from .scale import Meter

app = typer.Typer(help=__doc__, add_completion=False, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})
ROWS, ENROLMENTS, RUNS, PAGES, DAYS = 10_655_280, 29_228, 22, 280, 270  # rows and enrolments as published; pages of a run and days of a course are round
SECONDS, MEGABYTES = 60.0, 2048.0  # what it may take
FIRST_DAY = -10
CSV = """SELECT 'M' || run % 7 AS code_module, 2013 + run // 14 || CASE run // 7 % 2 WHEN 0 THEN 'B' ELSE 'J' END AS code_presentation,
                100000 + who * 7 AS id_student, 500000 + run * {pages} + CAST(floor(pow(hash(i * 5 + 2) % 10007 / 10007.0, 2) * {pages}) AS INTEGER) AS id_site,
                {first} + CAST(hash(i * 3 + 1) % {days} AS INTEGER) AS date, 1 + CAST(floor(-3 * ln((hash(i + 9) % 9973 + 1) / 9974.0)) AS INTEGER) AS sum_click
         FROM (SELECT i, who, who % {runs} AS run FROM (SELECT i, CAST(floor({enrolments} * pow(i / {rows}, 1.3)) AS BIGINT) AS who FROM range({rows}) r(i)))"""
"""An enrolment's rows follow one another, few for the last ones; days are even, and a few pages have most of the clicks."""


def invent(rows: int, path: Path) -> None:
    """A click file of so many rows with the publisher's columns."""
    import duckdb

    sql = CSV.format(rows=rows, pages=PAGES, first=FIRST_DAY, days=DAYS, runs=RUNS, enrolments=max(RUNS, round(ENROLMENTS * rows / ROWS)))
    with duckdb.connect(config={"memory_limit": "1GB", "threads": 1}) as database:
        quoted = "'" + str(path).replace("'", "''") + "'"
        database.execute(f"COPY ({sql}) TO {quoted} (HEADER, QUOTE '\"', FORCE_QUOTE *)")


@app.command(hidden=True)
def step(path: Path) -> None:
    """The features in this process; prints what they took as a line of JSON. Called by `run`."""
    from edukit.risk.weekly_events import weekly

    meter = Meter()
    table = weekly(path, FIRST_DAY + DAYS)
    typer.echo(meter.read(enrolments=len(table), features=table.shape[1]))


@app.command()
def run(
    rows: Annotated[int, typer.Option(help="rows of the click file")] = ROWS,
    out: Annotated[Path, typer.Option(help="folder of the report")] = Path("outputs/scale"),
    scratch: Annotated[Path | None, typer.Option(help="folder with room for the file; default the system's")] = None,
) -> None:
    """Make the file, measure, and write events_scale.json; fails where the full size takes a minute or 2 GiB."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        path = Path(folder) / "studentVle.csv"
        invent(rows, path)
        size = path.stat().st_size
        command = [sys.executable, "-m", "edukit.experiments.scale_events", "step", str(path)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    found: dict[str, Any] = {"rows": rows, "csv_bytes": size, **json.loads(done.stdout.strip().split("\n")[-1])}
    kept = found["processor_seconds"] < SECONDS and found["peak_mb"] < MEGABYTES
    write_json(out / "events_scale.json", {**found, "limits": {"processor_seconds": SECONDS, "peak_mb": MEGABYTES}, "environment": environment()})
    typer.echo(f"{rows:,} rows ({size / 1e6:,.0f} MB) to {found['features']} features of {found['enrolments']:,} enrolments: {found['seconds']:.1f} s, "
               f"{found['processor_seconds']:.1f} s of processor (at most {SECONDS:g}), {found['peak_mb']:,.0f} MB peak (at most {MEGABYTES:,.0f})")
    typer.echo(str(out / "events_scale.json"))
    if not kept:
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
