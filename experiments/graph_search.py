"""What makes a graph help? Variants of the course network, each beside its twin without a graph, on folds that no reported number comes from.

``python -m edukit.experiments.graph_search --data ucd,alcpl_geometry``; seeds start at 100, those of the benchmark at 0. Folds already answered are not
run again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from edukit.data import LearningData
from edukit.data.catalogue import loader
from edukit.data.store import load
from edukit.graph import pair_benchmark, pair_judging, pair_networks
from edukit.reproducibility import fingerprint, replacing
from edukit.schema import DataError

from . import recipe
from .cells import code_of

app = typer.Typer(help=__doc__, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
TWIN = "twin"
CODE = fingerprint(*code_of("edukit.graph.pair_networks").values(), *code_of("edukit.graph.pair_benchmark").values())
NAMES = {"edges": ("similar",)}
JUDGED = {"edges": ("similar", "courses", "judged")}
WIDE = {"edges": ("similar", "together", "links", "courses"), "neighbours": 20}
VARIANTS: dict[str, dict[str, Any]] = {  # settings of CourseGNN
    TWIN: {"layers": 0, "propagation": 0},
    "messages": {"layers": 2, "propagation": 0},
    "messages, judged pairs": {"layers": 2, "propagation": 0, **JUDGED},
    "propagation": {"layers": 0},
    "propagation, messages": {"layers": 2},
    "propagation, judged pairs": {"layers": 2, **JUDGED},
    "propagation, one layer": {"layers": 1},
    "propagation, attention": {"layers": 1, "convolution": "attention"},
    "propagation, names only": {"layers": 2, **NAMES},
    "propagation, larger graph": {"layers": 2, **WIDE},
    "propagation, no course loss": {"layers": 2, "course_weight": 0.0},
    "propagation, pre-training": {"layers": 2, "course_weight": 0.0, "course_epochs": 8},
    "surroundings": {"layers": 0, "propagation": 0, "surroundings": True},
    "surroundings, messages": {"layers": 2, "propagation": 0, "surroundings": True},
    "propagation, surroundings": {"layers": 0, "surroundings": True},
    "propagation, surroundings, messages": {"layers": 2, "surroundings": True},
    "four twins": {"layers": 0, "propagation": 0, "networks": 4},
    "propagation, four networks": {"layers": 0, "networks": 4},
}
TELLING = (TWIN, "messages", "propagation", "propagation, messages", "surroundings", "surroundings, messages")
ENSEMBLES = {"messages with twin": ("messages", TWIN), "propagation, messages with none": ("propagation", "propagation, messages")}
AGAINST = {name: ("propagation" if name.startswith("propagation,") else TWIN) for name in (*VARIANTS, *ENSEMBLES)}  # the same without messages
AGAINST |= {"surroundings, messages": "surroundings", "propagation, surroundings, messages": "propagation, surroundings",
            "messages with twin": "four twins", "propagation, messages with none": "propagation, four networks"}  # as many networks, none with messages


def answered(data: LearningData, name: str, settings: Mapping[str, Any], seed: int, fold: int, folds: int, place: Path) -> pd.DataFrame:
    """The answers of one variant to one inductive fold, kept under what they depend on."""
    key = fingerprint(data.fingerprint, dict(settings), seed, fold, folds, CODE)[:16]
    file = place / f"{key}.parquet"
    if not file.is_file():
        pairs = pair_benchmark.with_reversed(data["concept_pairs"])
        part = pair_benchmark.make_fold(pairs, "inductive", seed, fold, folds, valid=0)
        began = time.process_time()
        found = pair_benchmark.run_fold(lambda: pair_networks.CourseGNN(**{"seed": seed, **settings}), data.tables, part, part.test.iloc[:0])
        with replacing(file) as fresh:
            found.assign(seconds=time.process_time() - began).to_parquet(fresh, index=False)
    return pd.read_parquet(file).assign(model=name)


def compared(found: pd.DataFrame, draws: int) -> pd.DataFrame:
    """A row per variant: AUC, AP, direction and seconds, and its difference in AP and AUC to the twin and to the same without messages."""
    concepts = sorted({*found["concept_id"], *found["requires_id"]})
    asked = found[(found["part"] == "inductive") & ~found["implied"].astype(bool)]
    said = {str(name): rows for name, rows in asked.groupby("model", sort=False)}
    key = ["seed", "fold", "concept_id", "requires_id"]
    for name, (one, other) in ENSEMBLES.items():
        if one in said and other in said:
            first, second = (said[n].sort_values(key, kind="stable") for n in (one, other))
            both = {c: (first[c].to_numpy() + second[c].to_numpy()) / 2 for c in ("score", "reverse")}
            said[name] = first.assign(**both, seconds=first["seconds"].to_numpy() + second["seconds"].to_numpy())
    measured = {name: pair_judging.measure(rows, concepts, draws) for name, rows in said.items()}
    rows = []
    for name, value in measured.items():
        row: dict[str, Any] = {"variant": name, **{s: value.value[s] for s in ("auc", "ap", "direction_accuracy")}, "seconds": said[name]["seconds"].mean()}
        for words, other in (("twin", TWIN), ("without", AGAINST.get(name, TWIN))):
            if other in measured and other != name:
                for score, told in pair_judging.compare(value, measured[other]).items():
                    if score in ("auc", "ap", "direction_accuracy"):
                        row |= {f"{score}_{words}_{k}": told[k] for k in ("difference", "low", "high")}
        rows.append(row)
    return pd.DataFrame(rows)


def _gain(row: dict[str, Any], other: str) -> tuple[str, int]:
    """A difference in AP with its interval, and whether the interval lies above 0 (1), below (-1), or around it (0)."""
    gain, low, high = (row.get(f"ap_{other}_{k}") for k in ("difference", "low", "high"))
    if gain is None or low is None or high is None or pd.isna(gain) or pd.isna(low):
        return "-", 0
    side = int(low > 0) - int(high < 0)
    return f"{gain:+.3f} [{low:+.3f},{high:+.3f}]{'' if side else ' not shown'}", side


def shown(table: pd.DataFrame) -> str:
    """The table as text, a variant's data sets together; "not shown" stands where the interval of a difference includes 0."""
    wide = max(map(len, table["data"])) + 2
    lines = [f"{'variant':<38}{'data':<{wide}}{'AUC':>6}{'AP':>7}{'direction':>10}{'s':>6}  {'AP - twin':<34}AP - same without messages"]
    for name, rows in table.groupby("variant", sort=False):
        sides = []
        for k, row in enumerate(rows.to_dict("records")):
            (twin, over), (without, more) = _gain(row, "twin"), _gain(row, "without")
            sides.append((over, more))
            scores = f"{row['auc']:>6.3f}{row['ap']:>7.3f}{row['direction_accuracy']:>10.3f}{row['seconds']:>6.1f}"
            lines.append(f"{'' if k else name:<38}{row['data']:<{wide}}{scores}  {twin:<34}{without}")
        if len(sides) > 1:
            words = [f"above 0 on {s.count(1)}, below on {s.count(-1)} of {len(s)}" for s in zip(*sides, strict=True)]
            lines.append(f"{'':<{38 + wide + 29}}  {words[0]:<34}{words[1]}")
    return "\n".join(lines)


@app.command()
def search(data: Annotated[str, typer.Option(help="comma between: data sets with judged pairs")] = "ucd",
           variant: Annotated[str | None, typer.Option(help="semicolons between: names of variants; 'telling' for six of them; default all")] = None,
           folds: Annotated[int, typer.Option(help="how many parts the concepts are dealt into")] = 5,
           run: Annotated[int | None, typer.Option(help="how many of the folds are asked; default all")] = None,
           first_seed: Annotated[int, typer.Option(min=100, help="from 100 on")] = 100, seeds: int = 1,
           draws: Annotated[int, typer.Option(help="draws of the concepts behind each interval")] = 200,
           out: Annotated[Path | None, typer.Option(help="folder for answers and tables; default EDUKIT_OUTPUTS/graph_search")] = None) -> None:
    """Run the variants on inductive folds and print one table over all data sets; it is kept as table_<data>.parquet."""
    place = out or Path(os.environ.get("EDUKIT_OUTPUTS") or "outputs") / "graph_search"
    names = list(TELLING) if variant == "telling" else variant.split(";") if variant else list(VARIANTS)
    if unknown := set(names) - set(VARIANTS):
        raise DataError(f"variant must be among {'; '.join(VARIANTS)}; found {'; '.join(sorted(unknown))}")
    labels, asked = data.split(","), range(folds if run is None else min(run, folds))
    tables = []
    for label in labels:
        loaded = load(loader(label), typer.echo, purpose="graph_search")
        found = [answered(loaded, name, VARIANTS[name], first_seed + seed, fold, folds, place) for name in names for seed in range(seeds) for fold in asked]
        tables.append(compared(pd.concat(found, ignore_index=True), draws).assign(data=label))
    table = pd.concat(tables, ignore_index=True)
    with replacing(place / f"table_{'_'.join(labels)}.parquet") as fresh:
        table.to_parquet(fresh, index=False)
    typer.echo(f"inductive, {len(asked)} of {folds} folds, seeds {first_seed}-{first_seed + seeds - 1}\n{shown(table)}")


if __name__ == "__main__":
    recipe.guard(app)
