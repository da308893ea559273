"""How cost grows with the log: invented responses from csv to parquet, then prerequisite evidence and counts per concept, each in its own process.

``python -m edukit.experiments.scale run --millions 5 --millions 10``. Needs about 60 MB of disk per million responses; all of it is removed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from edukit.reproducibility import environment, write_json

app = typer.Typer(help=__doc__, add_completion=False, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})
LIMITS = {"csv to parquet": 2048.0, "evidence": 4096.0}  # MB that a step may take at 50 million responses
STEPS = ("csv to parquet", "evidence", "per concept")
ITEMS, CONCEPTS, EACH = 200, 40, 100  # responses a learner
CSV = """SELECT 'u' || u AS learner, 'q' || q AS item, CAST(hash(i * 3 + 1) % 1000 / 1000.0 < 1 / (1 + exp(hard - able)) AS INTEGER) AS correct, step
         FROM (SELECT *, hash(u + 77) % 1000 / 500.0 - 1 AS able, q % {concepts} / 20.0 - 1.5 AS hard
               FROM (SELECT i, i // {each} AS u, i % {each} AS step, hash(i) % {items} AS q FROM range({rows}) r(i)))"""
LOG = """SELECT learner AS learner_id, item AS item_id, correct, step AS "order"
         FROM read_csv({path}, header = true, delim = ',', columns = {{learner: 'VARCHAR', item: 'VARCHAR', correct: 'DOUBLE', step: 'BIGINT'}})"""


def q_matrix() -> pd.DataFrame:
    """Five items a concept."""
    items = range(ITEMS)
    return pd.DataFrame({"item_id": [f"q{i}" for i in items], "concept_id": [f"c{i % CONCEPTS:02d}" for i in items]})


@app.command()
def step(name: str, place: Path) -> None:
    """One step in this process; prints what it took as a line of JSON. Called by `run`."""
    import resource

    from edukit.data.interaction_store import InteractionStore
    from edukit.data.streaming import quoted
    from edukit.governance.privacy import Pseudonymiser
    from edukit.graph.cells import per_concept
    from edukit.graph.evidence import pairwise

    began, worked = time.perf_counter(), time.process_time()
    if name == "csv to parquet":
        select = LOG.format(path=quoted(place / "log.csv"))
        log = InteractionStore.write(select, "interactions", place / "log", Pseudonymiser(bytes(32)), others={"q_matrix": q_matrix()})
        found: dict[str, Any] = {"bytes": log.bytes_on_disk, "as_a_table": log.bytes_in_memory, "learners": log.learners}
    else:
        log = InteractionStore.open(place / "log")
        table = pairwise(log, q_matrix()) if name == "evidence" else per_concept(log, q_matrix())
        found = {"bytes": log.bytes_on_disk, "pairs" if name == "evidence" else "concepts": len(table)}
    seconds, processor, peak = time.perf_counter() - began, time.process_time() - worked, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    typer.echo(json.dumps({"step": name, "rows": len(log), "seconds": round(seconds, 2), "processor_seconds": round(processor, 2),
                           "peak_mb": round(peak / (1024 if sys.platform != "darwin" else 1024**2), 1), **found}))


def exponent(table: pd.DataFrame) -> float:
    """Slope of log processor seconds on log rows: 1 = in proportion to the rows; NaN for a single size."""
    import numpy as np

    return float(np.polyfit(np.log(table["rows"]), np.log(table["processor_seconds"]), 1)[0]) if table["rows"].nunique() > 1 else float("nan")


@app.command()
def run(
    millions: Annotated[list[float], typer.Option(help="sizes, in million responses; may be given several times")] = [5, 10, 20, 50],  # noqa: B006
    out: Annotated[Path, typer.Option(help="folder of the report and the figure")] = Path("outputs/scale"),
    scratch: Annotated[Path | None, typer.Option(help="folder with room for the largest csv; default the system's")] = None,
) -> None:
    """Measure every step at every size; write scale.json and scale.png."""
    from edukit.data.streaming import connect, quoted
    from edukit.report import figures

    found: list[dict[str, Any]] = []
    for size in millions:
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            place, select = Path(folder), CSV.format(each=EACH, items=ITEMS, concepts=CONCEPTS, rows=round(size * 1e6))
            database = connect("1GB")
            database.execute(f"COPY ({select}) TO {quoted(place / 'log.csv')} (HEADER)")
            database.close()
            size_of_csv = (place / "log.csv").stat().st_size
            for name in STEPS:
                words = [sys.executable, "-m", "edukit.experiments.scale", "step", name, str(place)]
                done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
                found.append({**json.loads(done.stdout.strip().split("\n")[-1]), "csv_bytes": size_of_csv})
                one = found[-1]
                typer.echo(f"{name:<16}{one['rows']:>12,} rows{one['seconds']:>9.1f} s, {one['processor_seconds']:.1f} s of processor"
                           f"{one['peak_mb']:>9,.0f} MB peak   csv {size_of_csv / 1e6:,.0f} MB, parquet {one['bytes'] / 1e6:,.0f} MB")
    table = pd.DataFrame(found)
    grows = {name: exponent(table[table["step"] == name]) for name in STEPS}
    typer.echo("time grows as rows to the power " + ", ".join(f"{power:.2f} ({name})" for name, power in grows.items()) + "; 1 is in proportion")
    write_json(out / "scale.json", {"measured": found, "exponent": grows, "limits_mb": LIMITS, "environment": environment()})
    figures.save(figures.growth(table.assign(seconds=table["processor_seconds"]), LIMITS), out / "scale.png")
    typer.echo(f"{out / 'scale.json'}\n{out / 'scale.png'}")


if __name__ == "__main__":
    app()
