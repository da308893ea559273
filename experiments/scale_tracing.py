"""How the cost of tracing grows with the log: processor time and memory of fitting and of asking, each model at each size in a process of its own.

``python -m edukit.experiments.scale_tracing run --learners 5000 --learners 20000``: invented logs of about 60 responses a learner. ``fit`` and
``predict`` work on one table in memory; ``predict in batches`` and ``mastery in batches`` ask a model for batches of learners, as they come from
a log on disk, so that the table is never whole. Memory is told beyond what the process and its table took before. The figure in docs is
``run --figure docs/tracing_scale.png``.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from edukit.reproducibility import environment, write_json

from . import recipe
from .scale import exponents, told

app = typer.Typer(help=__doc__, add_completion=False, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})
MODELS = ("bkt", "logistic", "irt", "dkt", "simplekt")
MOST = {"simplekt": 20_000}  # learners beyond which a model is not measured, for time
STEPS = ("fit", "predict", "predict in batches", "mastery in batches")
ITEMS, CONCEPTS, SHORTEST, LONGEST = 500, 50, 20, 100  # responses a learner: 60 on average
BATCH, FEW = 5_000, 200  # learners of a batch; learners on whom a model is warmed up, and those asked in batches are fitted


def q_matrix() -> pd.DataFrame:
    """Ten items a concept; every third of them assesses the next concept as well."""
    both = [(i, i % CONCEPTS) for i in range(ITEMS)] + [(i, (i + 1) % CONCEPTS) for i in range(0, ITEMS, 3)]
    return pd.DataFrame({"item_id": [f"q{i:03d}" for i, _ in both], "concept_id": [f"c{k:02d}" for _, k in both]})


def batch(number: int, learners: int) -> pd.DataFrame:
    """The responses of the learners of one batch, always the same ones: abler as they practise, on items easy and hard."""
    rng = np.random.default_rng((7, number))
    length = rng.integers(SHORTEST, LONGEST + 1, learners)
    learner = np.repeat(np.arange(learners), length)
    order = np.arange(len(learner)) - np.repeat(np.cumsum(length) - length, length)
    item = rng.integers(0, ITEMS, len(learner))
    logit = rng.normal(0, 1, learners)[learner] + np.sin(np.arange(ITEMS) * 2.4)[item] + 0.01 * order
    ids = np.array([f"u{number * BATCH + k}" for k in range(learners)], object)
    return pd.DataFrame({"learner_id": pd.Series(ids[learner]).astype("str"), "item_id": pd.Series(q_ids()[item]).astype("str"),
                         "correct": (rng.random(len(item)) < 1 / (1 + np.exp(-logit))).astype(float), "order": order})


def q_ids() -> np.ndarray:
    """Names of the items."""
    return np.array([f"q{i:03d}" for i in range(ITEMS)], object)


def batches(learners: int) -> Iterator[pd.DataFrame]:
    """The log of so many learners, in batches."""
    for number, first in enumerate(range(0, learners, BATCH)):
        yield batch(number, min(BATCH, learners - first))


def resident_mb(largest: bool = False) -> float:
    """Memory of this process now, or the largest since it was last forgotten; NaN where the system does not tell."""
    try:
        told = Path("/proc/self/status").read_text(encoding="ascii")
        return float(told.split("VmHWM:" if largest else "VmRSS:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        return float("nan")


class Phase:
    """What one phase of work in this process takes, beyond what was taken before."""

    def __init__(self) -> None:
        gc.collect()
        try:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the largest memory so far (Linux)
        except OSError:
            pass
        self.before, self.seconds, self.processor = resident_mb(), time.perf_counter(), time.process_time()

    def read(self, **also: Any) -> dict[str, Any]:
        """Seconds, seconds of processor, memory beyond before, and what else is given."""
        seconds, processor, largest = time.perf_counter() - self.seconds, time.process_time() - self.processor, resident_mb(largest=True)
        return {**also, "seconds": round(seconds, 2), "processor_seconds": round(processor, 3), "extra_mb": round(max(largest - self.before, 0), 1),
                "peak_mb": round(largest, 1)}


def model_of(name: str) -> Any:
    """A model as its yaml has it; of a network one pass over the learners, since each costs the same."""
    cfg = recipe.config("trace", f"tracing={name}")
    if "epochs" in cfg.tracing:
        cfg.tracing.epochs = 1
    return recipe.instantiate(cfg.tracing)


@app.command(hidden=True)
def step(name: str, learners: int, in_batches: bool = False) -> None:
    """One model at one size in this process; prints a line of JSON per phase. Called by `run`."""
    from edukit.graph.concept_graph import ConceptGraph

    graph, few = ConceptGraph.from_tables(None, None, q_matrix()), batch(0, FEW)
    model = model_of(name).fit(few, graph)  # imports, and what is built once
    model.predict(few)
    model.mastery(few)
    found = []
    if in_batches:
        for words, ask in (("predict in batches", model.predict), ("mastery in batches", model.mastery)):
            rows, phase, spent = 0, Phase(), 0.0
            for table in batches(learners):
                began = time.process_time()
                ask(table)
                spent += time.process_time() - began
                rows += len(table)
            found.append({**phase.read(step=words, model=name, learners=learners, rows=rows), "processor_seconds": round(spent, 3)})
    else:
        log = pd.concat(batches(learners), ignore_index=True)
        own = {"model": name, "learners": learners, "rows": len(log), "table_mb": round(float(log.memory_usage(deep=True).sum()) / 2**20, 1)}
        model, phase = model_of(name), Phase()
        model.fit(log, graph)
        found.append(phase.read(step="fit", **own))
        phase = Phase()
        model.predict(log)
        found.append(phase.read(step="predict", **own))
    for one in found:
        typer.echo(json.dumps(one))


def measured(name: str, learners: int, in_batches: bool) -> list[dict[str, Any]]:
    """What `step` prints, from a process of its own with one thread."""
    command = [sys.executable, "-m", "edukit.experiments.scale_tracing", "step", name, str(learners), *(["--in-batches"] if in_batches else [])]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def bytes_per_row(table: pd.DataFrame) -> dict[str, float]:
    """Per model and step the bytes of memory that one more response takes, beyond the table: slope of a line through the sizes."""
    groups = table.groupby(["model", "step"], sort=False)
    return {f"{model} {name}": round(float(np.polyfit(rows["rows"], rows["extra_mb"] * 2**20, 1)[0]), 1)
            for (model, name), rows in groups if rows["rows"].nunique() > 1}


@app.command()
def run(
    learners: Annotated[list[int], typer.Option(help="sizes; may be given several times")] = [5_000, 20_000, 50_000, 150_000, 500_000],  # noqa: B006
    model: Annotated[list[str], typer.Option(help="models; may be given several times")] = list(MODELS),  # noqa: B006
    out: Annotated[Path, typer.Option(help="folder of the report")] = Path("outputs/scale"),
    figure: Annotated[Path | None, typer.Option(help="where the figure goes; default beside the report")] = None,
    at_once: Annotated[int, typer.Option(help="processes at a time, one thread each")] = 2,
) -> None:
    """Measure every model at every size; write tracing_scale.json and tracing_scale.png."""
    from edukit.report import figures, graph_growth

    place, found = figure or out / "tracing_scale.png", list[dict[str, Any]]()
    jobs = [(size, name, way) for size in sorted(learners) for name in model for way in (False, True) if size <= MOST.get(name, size)]
    pool = ThreadPoolExecutor(at_once)
    for number, ones in enumerate(pool.map(lambda job: measured(job[1], job[0], job[2]), jobs), 1):
        for one in ones:
            found.append(one)
            speed = one["rows"] / max(one["processor_seconds"], 1e-3)
            typer.echo(f"[{number}/{len(jobs)}] {one['model']:<10}{one['step']:<20}{one['rows']:>12,} rows{one['seconds']:>9.1f} s, "
                       f"{one['processor_seconds']:.1f} s of processor{one['extra_mb']:>9,.0f} MB more   {speed:,.0f} rows a second")
        table = pd.DataFrame(found)  # written after every process, so that a run that is stopped leaves what it measured
        grows = exponents(table.assign(step=table["model"] + " " + table["step"]), "rows")
        write_json(out / "tracing_scale.json", {"measured": found, "exponent": grows, "bytes_per_row": bytes_per_row(table), "environment": environment()})
        figures.save(graph_growth.tracing_growth(table, "Invented logs of about 60 responses a learner; one thread; networks: one pass over the learners. "
                                                        "Each model at each size in its own process."), place)
    pool.shutdown()
    told(grows, "rows")
    typer.echo("bytes a row beyond the table: " + ", ".join(f"{value:,.0f} ({name})" for name, value in bytes_per_row(table).items()))
    typer.echo(f"{out / 'tracing_scale.json'}\n{place}")


if __name__ == "__main__":
    app()
