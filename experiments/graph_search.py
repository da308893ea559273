"""What makes a graph help? Variants of the course network, each beside its twin without a graph, on folds that no reported number comes from.

``python -m edukit.experiments.graph_search --data ucd``; seeds start at 100, those of the benchmark at 0. Folds already answered are not run again.
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
from .prerequisites import code_of

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
}
ENSEMBLES = {"messages with twin": ("messages", TWIN), "propagation, messages with none": ("propagation", "propagation, messages")}
AGAINST = {name: ("propagation" if name.startswith("propagation,") else TWIN) for name in (*VARIANTS, *ENSEMBLES)}  # the same without messages


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


def shown(table: pd.DataFrame) -> str:
    """The table as text; "not shown" stands where the interval of a difference includes 0."""
    lines = [f"{'variant':<34}{'AUC':>7}{'AP':>7}{'direction':>10}{'s':>6}  {'AP - twin':<36}AP - same without messages"]
    for row in table.to_dict("records"):
        words = []
        for other in ("twin", "without"):
            gain, low, high = (row.get(f"ap_{other}_{k}") for k in ("difference", "low", "high"))
            if gain is None or low is None or high is None or pd.isna(gain) or pd.isna(low):
                words.append("-")
            else:
                words.append(f"{gain:+.3f} [{low:+.3f},{high:+.3f}]{'' if low > 0 or high < 0 else ' not shown'}")
        scores = f"{row['auc']:>7.3f}{row['ap']:>7.3f}{row['direction_accuracy']:>10.3f}{row['seconds']:>6.1f}"
        lines.append(f"{row['variant']:<34}{scores}  {words[0]:<36}{words[1]}")
    return "\n".join(lines)


@app.command()
def search(data: Annotated[str, typer.Option(help="one data set with judged pairs")] = "ucd",
           variant: Annotated[str | None, typer.Option(help="semicolons between: names of variants; default all")] = None,
           folds: int = 5, seeds: int = 1, draws: Annotated[int, typer.Option(help="draws of the concepts behind each interval")] = 200,
           out: Annotated[Path | None, typer.Option(help="folder for answers and table; default EDUKIT_OUTPUTS/graph_search")] = None) -> None:
    """Run the variants on inductive folds and print the table; it is kept as table_<data>.parquet."""
    place = out or Path(os.environ.get("EDUKIT_OUTPUTS") or "outputs") / "graph_search"
    names = variant.split(";") if variant else list(VARIANTS)
    if unknown := set(names) - set(VARIANTS):
        raise DataError(f"variant must be among {'; '.join(VARIANTS)}; found {'; '.join(sorted(unknown))}")
    loaded = load(loader(data), typer.echo)
    found = [answered(loaded, name, VARIANTS[name], 100 + seed, fold, folds, place) for name in names for seed in range(seeds) for fold in range(folds)]
    table = compared(pd.concat(found, ignore_index=True), draws)
    with replacing(place / f"table_{data}.parquet") as fresh:
        table.to_parquet(fresh, index=False)
    typer.echo(f"{data}, inductive, {folds} folds, seeds 100-{99 + seeds}\n{shown(table)}")


if __name__ == "__main__":
    recipe.guard(app)
