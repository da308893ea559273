"""What things cost: start-up, and every step of the main job on the embedded classroom, each as the median of several runs.

``make bench``, or ``python -m edukit.experiments.bench start --runs 9``. Timings are benchmarks, never tests: machines differ.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from edukit.reproducibility import environment

app = typer.Typer(help=__doc__, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
Runs = Annotated[int, typer.Option(help="runs behind each median")]


def _shown(name: str, seconds: list[float]) -> None:
    typer.echo(f"{name:<44}{statistics.median(seconds):8.2f} s   ({min(seconds):.2f} to {max(seconds):.2f}, {len(seconds)} runs)")


def _measure(name: str, work: Callable[[], Any], runs: int) -> Any:
    seconds, result = [], None
    for _ in range(runs):
        began = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - began)
    _shown(name, seconds)
    return result


@app.command()
def start(runs: Runs = 5) -> None:
    """Start-up in fresh processes, the two imports in turn so that a drifting machine weighs on both alike."""
    programs = {"import numpy, pandas": ["-c", "import numpy, pandas"], "import numpy, pandas, edukit and its ground": [
        "-c", "import numpy, pandas, edukit, edukit.schema, edukit.protocols, edukit.splits, edukit.metrics"], "edukit --help": ["-m", "edukit.cli", "--help"]}
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(runs):
        for name, words in programs.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, *words], check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - began)
    for name, found in seconds.items():
        _shown(name, found)
    typer.echo(f"edukit adds {statistics.median(b - a for a, b in zip(*list(seconds.values())[:2], strict=True)):.2f} s (median of paired differences)")


@app.command()
def classroom(runs: Runs = 3) -> None:
    """Each step of the main job on the embedded classroom, imports left out."""
    from edukit.data.synthetic import Synthetic
    from edukit.gaps.gap_map import GapMap
    from edukit.graph.evidence import pairwise
    from edukit.graph.sources import Expert
    from edukit.report import gap_page
    from edukit.splits import by_learner
    from edukit.tracing.irt import IRT
    from edukit.tracing.logistic import Logistic

    tables = _measure("draw the classroom", lambda: Synthetic().parse(Path()), runs)
    log = tables["interactions"]
    graph = Expert().fit(tables).graph()
    train = by_learner(log).part(log, "train")
    Logistic().fit(train.head(2000), graph)  # imports
    _measure("fit irt", lambda: IRT().fit(train, graph), runs)
    model = _measure("fit logistic", lambda: Logistic().fit(train, graph), runs)
    mastery = _measure("mastery of every learner and concept", lambda: model.mastery(log), runs)
    _measure("pairwise evidence", lambda: pairwise(log, tables["q_matrix"]), runs)
    gaps = _measure("gap map", lambda: GapMap().map(mastery, log, tables["q_matrix"]), runs)
    with tempfile.TemporaryDirectory() as place:
        _measure("gap page", lambda: gap_page.write(Path(place) / "map.html", gaps, tables["concepts"], graph.prerequisites, "bench", [], {}), runs)


@app.callback(invoke_without_command=True)
def everything(context: typer.Context) -> None:
    """All benchmarks, where none is named."""
    if context.invoked_subcommand is None:
        typer.echo("  ".join(f"{name} {version}" for name, version in environment().items() if name in ("python", "platform", "cores", "edukit")))
        start()
        classroom()


if __name__ == "__main__":
    app()
