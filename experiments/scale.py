"""How cost grows, with the log and with the number of concepts; every step at every size in its own process.

``python -m edukit.experiments.scale run --millions 5 --millions 10``: invented responses from csv to parquet, then prerequisite evidence and counts
per concept. Needs about 60 MB of disk per million responses; all of it is removed.

``python -m edukit.experiments.scale graph --concepts 400 --concepts 5000``: reading names and courses, scoring candidate pairs by a fitted model,
learning a graph from a log of 60 responses per concept, and making claims acyclic, on invented tables. No step makes a matrix of all concepts by
all concepts. The figure in docs is ``scale graph --figure docs/graph_scale.png``.
"""

from __future__ import annotations

import json
import os
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
GRAPH_STEPS = ("read names and courses", "score candidate pairs", "learn from responses", "make claims acyclic")
NEAR, COURSES = 32, 100  # candidates a concept; courses that mention eight concepts each
RESPONSES, AROUND = 60, 120  # responses a learner, as many learners as concepts; neighbouring concepts that they are on
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


class Meter:
    """What this process takes from the moment the meter is made."""

    def __init__(self) -> None:
        self.began, self.worked = time.perf_counter(), time.process_time()

    def read(self, **also: Any) -> str:
        """A line of JSON: seconds, seconds of processor, the largest memory of the process in MB, and what else is given."""
        import resource

        seconds, processor, peak = time.perf_counter() - self.began, time.process_time() - self.worked, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return json.dumps({**also, "seconds": round(seconds, 2), "processor_seconds": round(processor, 3),
                           "peak_mb": round(peak / (1024 if sys.platform != "darwin" else 1024**2), 1)})


def measured(*words: str, **variables: str) -> dict[str, Any]:
    """What a command of this module that prints a meter's line took, in a process of its own."""
    command = [sys.executable, "-m", "edukit.experiments.scale", *words]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **variables})
    return json.loads(done.stdout.strip().split("\n")[-1])


def said(one: dict[str, Any], size: str, came: str, place: str) -> None:
    """Print one measurement; ``place`` says how far the whole run is."""
    typer.echo(f"[{place}] {one['step']:<24}{one[size]:>12,} {size}{one['seconds']:>9.1f} s, {one['processor_seconds']:.1f} s of processor"
               f"{one['peak_mb']:>9,.0f} MB peak   {came}")


def exponents(table: pd.DataFrame, size: str) -> dict[str, float]:
    """Per step the power of the size with which its time grows."""
    return {str(name): exponent(rows, size) for name, rows in table.groupby("step", sort=False)}


def told(powers: dict[str, float], size: str) -> None:
    """Print how time grows with the size."""
    typer.echo(f"time grows as {size} to the power " + ", ".join(f"{power:.2f} ({name})" for name, power in powers.items()) + "; 1 is in proportion")


@app.command(hidden=True)
def step(name: str, place: Path) -> None:
    """One step in this process; prints what it took as a line of JSON. Called by `run`."""
    from edukit.data.interaction_store import InteractionStore
    from edukit.data.streaming import quoted
    from edukit.governance.privacy import Pseudonymiser
    from edukit.graph.cells import per_concept
    from edukit.graph.evidence import pairwise

    meter = Meter()
    if name == "csv to parquet":
        select = LOG.format(path=quoted(place / "log.csv"))
        log = InteractionStore.write(select, "interactions", place / "log", Pseudonymiser(bytes(32)), others={"q_matrix": q_matrix()})
        found: dict[str, Any] = {"bytes": log.bytes_on_disk, "as_a_table": log.bytes_in_memory, "learners": log.learners}
    else:
        log = InteractionStore.open(place / "log")
        table = pairwise(log, q_matrix()) if name == "evidence" else per_concept(log, q_matrix())
        found = {"bytes": log.bytes_on_disk, "pairs" if name == "evidence" else "concepts": len(table)}
    typer.echo(meter.read(step=name, rows=len(log), **found))


def exponent(table: pd.DataFrame, size: str = "rows") -> float:
    """Slope of log processor seconds on log size: 1 = in proportion to the rows (or concepts); NaN for a single size."""
    import numpy as np

    return float(np.polyfit(np.log(table[size]), np.log(table["processor_seconds"]), 1)[0]) if table[size].nunique() > 1 else float("nan")


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
                one = {**measured("step", name, str(place)), "csv_bytes": size_of_csv}
                found.append(one)
                said(one, "rows", f"csv {size_of_csv / 1e6:,.0f} MB, parquet {one['bytes'] / 1e6:,.0f} MB", f"{len(found)}/{len(millions) * len(STEPS)}")
    table = pd.DataFrame(found)
    grows = exponents(table, "rows")
    told(grows, "rows")
    write_json(out / "scale.json", {"measured": found, "exponent": grows, "limits_mb": LIMITS, "environment": environment()})
    figures.save(figures.growth(table.assign(seconds=table["processor_seconds"]), LIMITS), out / "scale.png")
    typer.echo(f"{out / 'scale.json'}\n{out / 'scale.png'}")


def invented_map(concepts: int, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Concepts in a line, each requiring up to three of the ten before it; courses along the line; training pairs; claims, one in a hundred reversed."""
    import numpy as np

    rng = np.random.default_rng(seed)
    words = ("linear", "random", "sparse", "finite", "dual", "local", "convex", "joint", "binary", "nested", "graph", "matrix", "tree", "field", "set", "code",
             "signal", "model", "query", "kernel", "limit", "proof", "class", "test", "order", "norm", "cell", "wave", "force", "gene")
    ids = np.array([f"c{k:05d}" for k in range(concepts)], object)
    names = [f"{words[k % 30]} {words[k // 30 % 30]} {words[k // 900 % 30]}" for k in range(concepts)]
    child = np.repeat(np.arange(1, concepts), 3)
    parent = np.maximum(child - rng.integers(1, 11, len(child)), 0)
    turned = rng.random(len(child)) < 0.01
    claims = pd.DataFrame({"concept_id": ids[np.where(turned, parent, child)], "requires_id": ids[np.where(turned, child, parent)], "source": "invented",
                           "weight": rng.uniform(0.5, 1, len(child))}).drop_duplicates(["concept_id", "requires_id"])
    start = np.linspace(0, concepts - 8, COURSES).astype(int)
    documents = pd.DataFrame({"document_id": [f"d{k}" for k in range(COURSES)], "title": [names[k] for k in start], "level": np.arange(COURSES) // 20 + 1.0,
                              "text": [". ".join(f"this course treats {name}" for name in names[k:k + 8]) for k in start]})
    links = pd.DataFrame({"document_id": documents["document_id"][1:].to_numpy(), "requires_id": documents["document_id"][:-1].to_numpy()})
    some = rng.choice(len(child), min(1000, len(child)), replace=False)
    labels = pd.DataFrame({"concept_id": ids[np.r_[child[some], parent[some]]], "requires_id": ids[np.r_[parent[some], child[some]]],
                           "label": np.repeat([1.0, 0.0], len(some))})
    return {"concepts": pd.DataFrame({"concept_id": ids, "name": names}), "documents": documents, "document_links": links, "labels": labels, "claims": claims}


def invented_log(concepts: int, seed: int = 0) -> pd.DataFrame:
    """As many learners as concepts, each with 60 responses on different ones of 120 neighbouring concepts, one item a concept."""
    import numpy as np

    rng = np.random.default_rng(seed)
    start, near = rng.integers(0, max(concepts - AROUND, 1), concepts), rng.random((concepts, min(AROUND, concepts))).argsort(axis=1)[:, :RESPONSES]
    item = (start[:, None] + near).ravel()
    learner, order = np.divmod(np.arange(len(item)), RESPONSES)
    return pd.DataFrame({"learner_id": pd.Series(learner).astype("str"), "item_id": pd.Series(item).astype("str"),
                         "correct": (rng.random(len(item)) < 0.7).astype(float), "order": pd.array(order, "Int64")})


def _graph_work(name: str, tables: dict[str, pd.DataFrame], log: pd.DataFrame | None) -> dict[str, int]:
    """What one step does, and how much came of it."""
    from edukit.graph.concept_graph import ConceptGraph, break_cycles
    from edukit.graph.evidence import Evidence
    from edukit.graph.pair_features import PairFeatures
    from edukit.graph.pair_models import Logistic, candidates

    seen = {k: t for k, t in tables.items() if k not in ("labels", "claims")}
    concepts = tables["concepts"]
    if name == "read names and courses":
        features = PairFeatures.from_tables(seen)
        return {"numbers": features.numbers(tables["labels"]).shape[1] + 2 * features.names.shape[1]}
    if name == "score candidate pairs":
        pairs = candidates(PairFeatures.from_tables(seen), NEAR)
        return {"pairs": int(Logistic().fit(seen, tables["labels"]).predict(pairs).notna().sum())}
    if log is not None:
        q = pd.DataFrame({"item_id": [str(k) for k in range(len(concepts))], "concept_id": concepts["concept_id"]})
        model = Evidence().fit({"interactions": log, "q_matrix": q})
        return {"pairs": len(model.scores()), "edges": len(model.graph().adjacency())}
    kept, dropped = break_cycles(concepts, tables["claims"])
    return {"edges": len(ConceptGraph.from_tables(concepts, kept, None).adjacency()), "dropped": len(dropped)}


@app.command(hidden=True)
def graph_step(name: str, concepts: int) -> None:
    """One step at one number of concepts in this process; prints what it took as a line of JSON. Called by `graph`."""
    few, large = ((invented_map(size), invented_log(size) if name == "learn from responses" else None) for size in (100, concepts))
    _graph_work(name, *few)  # imports
    meter = Meter()
    found = _graph_work(name, *large)
    typer.echo(meter.read(step=name, concepts=concepts, **found))


@app.command()
def graph(
    concepts: Annotated[list[int], typer.Option(help="sizes; may be given several times")] = [400, 1000, 2000, 5000, 10_000, 20_000],  # noqa: B006
    out: Annotated[Path, typer.Option(help="folder of the report")] = Path("outputs/scale"),
    figure: Annotated[Path | None, typer.Option(help="where the figure goes; default beside the report")] = None,
) -> None:
    """Measure what a graph of so many concepts costs, each step at each size in its own process; write graph_scale.json and graph_scale.png."""
    from edukit.report import figures, graph_growth

    data = (f"Invented data: {COURSES} courses, {RESPONSES} responses by each of as many learners as concepts, {NEAR} candidates a concept by name. "
            "Each step in its own process.")
    place, found, grows = figure or out / "graph_scale.png", list[dict[str, Any]](), dict[str, float]()
    with tempfile.TemporaryDirectory() as cache:  # what is embedded is kept from one step to the next, and from no earlier run
        for size in sorted(concepts):
            for name in GRAPH_STEPS:
                one = measured("graph-step", name, str(size), EDUKIT_CACHE=cache)
                found.append(one)
                came = ", ".join(f"{one[k]:,} {k}" for k in ("pairs", "edges", "dropped", "numbers") if k in one)
                said(one, "concepts", came, f"{len(found)}/{len(concepts) * len(GRAPH_STEPS)}")
            table = pd.DataFrame(found)  # after every size, so that a run that is stopped leaves what it measured
            grows = exponents(table, "concepts")
            write_json(out / "graph_scale.json", {"measured": found, "exponent": grows, "environment": environment()})
            figures.save(graph_growth.graph_growth(table.assign(seconds=table["processor_seconds"]), data), place)
    told(grows, "concepts")
    typer.echo(f"{out / 'graph_scale.json'}\n{place}")


if __name__ == "__main__":
    app()
