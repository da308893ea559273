"""What things cost: start-up, and every step of the main job on the embedded classroom, each as the median of several runs.

``make bench``, or ``python -m edukit.experiments.bench start --runs 9``. Timings are benchmarks, never tests: machines differ.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from edukit.reproducibility import environment
from edukit.schema import DataError

from .bench_tracing_pykt import PYKT

app = typer.Typer(help=__doc__, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
Runs = Annotated[int, typer.Option(help="runs behind each median")]

_OURS = """
import time
import pandera.pandas, pyarrow.parquet, networkx
from edukit.data import store
from edukit.data.assistments2009 import Assistments2009
from edukit.graph.concept_graph import ConceptGraph
from edukit.tracing.sequences import Vocabulary, encode
at = [time.process_time()]
data = store.load(Assistments2009(variant="akt"), purpose="bench")
at.append(time.process_time())
log = data["interactions"]
histories = encode(log, Vocabulary.build(log, ConceptGraph.from_tables(data["concepts"], None, data["q_matrix"])))
at.append(time.process_time())
parts = {"raw to checked tables in parquet": at[1] - at[0], "tables to sequences": at[2] - at[1]}
told = f"{len(log):,} responses of {len(histories):,} learners"
"""

_THEIRS = """
import time
from pykt.preprocess import process_raw_data
from pykt.preprocess.split_datasets import main as by_concept
at = [time.process_time()]
folder, text = process_raw_data("assist2009", {"assist2009": "data/assist2009/rows.csv"})
at.append(time.process_time())
by_concept(folder, text, "assist2009", "data_config.json", 3, 200, 5)
at.append(time.process_time())
parts = {"raw to data.txt": at[1] - at[0], "data.txt to sequences": at[2] - at[1]}
told = "rows as they are, one per concept"
"""

_TELL = """
import json, sys
print(json.dumps({"imports": at[0], "work": at[-1] - at[0], "whole": time.process_time(), "parts": parts, "told": told}), file=sys.stderr)
"""


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


def _fresh(python: str, program: str, place: Path, path: Path) -> dict[str, Any]:
    """CPU-seconds (user and system) that one program took in a fresh process, as it told at its end."""
    ran = subprocess.run([python, "-c", program + _TELL], cwd=place, capture_output=True, text=True,
                         env={**os.environ, "PYTHONPATH": str(path), "PYTHONPYCACHEPREFIX": str(place / "compiled"), "PYTHONDONTWRITEBYTECODE": "",
                              "OMP_NUM_THREADS": "1", "EDUKIT_CACHE": str(place / "cache")})
    if ran.returncode:
        raise DataError(f"{python} must run the preparation; found {ran.stderr.strip().splitlines()[-1]}. Install what it misses.")
    shutil.rmtree(place / "cache", ignore_errors=True)
    return json.loads(ran.stderr.strip().splitlines()[-1])


@app.command()
def prepare(pykt: Annotated[Path | None, typer.Option(help=f"folder with pyKT to compare with ({PYKT})")] = None,
            pykt_python: Annotated[str, typer.Option(help="Python that can import pyKT")] = sys.executable, runs: Runs = 3) -> None:
    """ASSISTments 2009 (akt) from raw files to sequences, in CPU-seconds of fresh processes, in turn with pyKT on the same 325,589 rows.

    Ours: read, check, pseudonymise, write parquet, encode. pyKT's: its csv reader, then its split and its training, test and window sequences by
    concept (its second pass, by question, is left out). Imports are shown apart; a first run of each is not counted.
    """
    from edukit.data.assistments2009 import Assistments2009, four_lines
    from edukit.data.loader import data_root

    loader = Assistments2009(variant="akt")
    raw = loader.raw_dir()
    programs = {"edukit": (sys.executable, _OURS, Path(__file__).resolve().parents[1])}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        os.environ["EDUKIT_DATA"] = str(data_root())
        if pykt:
            if not (pykt / "pykt" / "preprocess").is_dir():
                raise typer.BadParameter(f"--pykt must be a folder with pyKT; found no {pykt / 'pykt' / 'preprocess'}. Clone {PYKT}.")
            rows = [four_lines(file) for file in loader.files(raw) if file.suffix == ".csv"]
            (place / "data" / "assist2009").mkdir(parents=True)
            names = {"learner_id": "user_id", "item_id": "problem_id", "concept_id": "skill_id"}
            log = pd.concat(rows, ignore_index=True).rename(columns=names)
            log.set_axis(log.index + 10**7).rename_axis("order_id").to_csv(place / "data" / "assist2009" / "rows.csv")  # sorted as text, so of one width
            (place / "data_config.json").write_text("{}")
            programs["pyKT"] = (pykt_python, _THEIRS, pykt.resolve())
        found: dict[str, list[dict]] = {name: [] for name in programs}
        for run in range(runs + 1):
            for name, (python, program, path) in programs.items():
                told = _fresh(python, program, place, path)
                if run:  # the first compiles the modules
                    found[name].append(told)
        for name, told in found.items():
            typer.echo(f"{name}: {told[0]['told']}; CPU-seconds")
            for part in ("work", *told[0]["parts"]):
                _shown(f"  {part}", [t["work"] if part == "work" else t["parts"][part] for t in told])
            _shown("  imports", [t["imports"] for t in told])
            _shown("  work and imports", [t["whole"] for t in told])
        if pykt:
            for part, words in (("work", "without imports"), ("whole", "with imports")):
                share = [ours[part] / theirs[part] for ours, theirs in zip(found["edukit"], found["pyKT"], strict=True)]
                typer.echo(f"edukit / pyKT {words}: {statistics.median(share):.3f}   ({min(share):.3f} to {max(share):.3f}, {runs} pairs)")


@app.command()
def tracing(
    pykt: Annotated[Path | None, typer.Option(help=f"folder with pyKT to compare with ({PYKT}); without it edukit alone is timed")] = None,
    peer_python: Annotated[str, typer.Option(help="Python of its own for pyKT, with torch, numpy, pandas, scikit-learn, tqdm and einops")] = sys.executable,
    models: Annotated[str, typer.Option(help="which of dkt, simplekt, akt, gkt")] = "dkt,simplekt,akt,gkt",
    parity: Annotated[str, typer.Option(help="of which the validation AUC is compared over all seeds (pyKT's gkt takes half an hour)")] = "dkt,simplekt,akt",
    threads: Annotated[str, typer.Option(help="numbers of threads; AUC is compared on the first")] = "1,2",
    seeds: Annotated[int, typer.Option(help="seeds of the comparison of AUC")] = 3,
    rounds: Annotated[int, typer.Option(help="timed turns of each run, after one of warm-up")] = 2,
    quick: Annotated[bool, typer.Option(help="two batches a turn, a tenth of the learners, one seed: a look at the instrument")] = False,
    profile: Annotated[bool, typer.Option(help="where a target is missed, show the operations that take edukit's time")] = False,
    out: Annotated[Path | None, typer.Option(help="folder of the tables; default EDUKIT_OUTPUTS/bench_tracing/TIME")] = None,
) -> None:
    """Networks beside pyKT's, epochs in turn: seconds per epoch, memory, validation AUC on the same rows (ASSISTments 2009, lpp, training part)."""
    from .bench_tracing import Bench, compare
    from .recipe import guard

    place = out or _folder("bench_tracing")
    bench = Bench(peer_python, pykt, [int(n) for n in threads.split(",")], 1 if quick else seeds, rounds, 2 if quick else None, place)

    def work() -> None:
        place.mkdir(parents=True, exist_ok=True)
        typer.echo(compare(models.split(","), [name for name in parity.split(",") if name], 0.1 if quick else 1.0, profile, bench, typer.echo))

    guard(work)


@app.command()
def serving(
    models: Annotated[str, typer.Option(help="which of conf/tracing, with commas; all by default")] = "",
    concepts: Annotated[int, typer.Option(help="concepts of the vocabulary")] = 835,
    calls: Annotated[int, typer.Option(help="timed calls after each history")] = 300,
    out: Annotated[Path | None, typer.Option(help="folder of the table; default EDUKIT_OUTPUTS/bench_serving/TIME")] = None,
) -> None:
    """Milliseconds from a response to the mastery of every concept, for every model that follows a learner live."""
    from .bench_serving import serve
    from .recipe import guard

    place = out or _folder("bench_serving")
    guard(lambda: typer.echo(serve([name for name in models.split(",") if name], concepts, calls, place, typer.echo)))


@app.command()
def grading(
    learners: Annotated[int, typer.Option(help="who write the answers of one round, six each")] = 60,
    rounds: Annotated[int, typer.Option(help="timed rounds, after one of warm-up")] = 3,
    threads: Annotated[int, typer.Option(help="of the network that embeds texts")] = 2,
    out: Annotated[Path | None, typer.Option(help="folder of the table; default EDUKIT_OUTPUTS/bench_grading/TIME")] = None,
) -> None:
    """Answers graded in a second, with embeddings that are known and with texts never seen."""
    from .bench_grading import grade
    from .recipe import guard

    place = out or _folder("bench_grading")
    guard(lambda: typer.echo(grade(learners, rounds, threads, place, typer.echo)))


def _folder(name: str) -> Path:
    return Path(os.environ.get("EDUKIT_OUTPUTS") or "outputs") / name / time.strftime("%Y-%m-%d_%H-%M-%S")


@app.callback(invoke_without_command=True)
def everything(context: typer.Context) -> None:
    """All benchmarks, where none is named."""
    if context.invoked_subcommand is None:
        typer.echo("  ".join(f"{name} {version}" for name, version in environment().items() if name in ("python", "platform", "cores", "edukit")))
        start()
        classroom()


if __name__ == "__main__":
    app()
