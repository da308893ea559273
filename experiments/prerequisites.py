"""Which model tells what a concept requires? Every data set, track and model of the benchmark, five folds by three seeds, in one table.

``python -m edukit.experiments.prerequisites``; cells already written are not run again, and ``--data ucd --track inductive`` runs a part of it.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from hydra.utils import instantiate
from omegaconf import OmegaConf

from edukit.data import LearningData
from edukit.data.catalogue import loader
from edukit.data.store import load
from edukit.graph import pair_benchmark, pair_judging
from edukit.metrics import holm
from edukit.protocols import PrerequisiteModel
from edukit.reproducibility import bundled, fingerprint, replacing
from edukit.schema import DataError

app = typer.Typer(help=__doc__, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
DATA = ("ucd", "alcpl_data_mining", "alcpl_geometry", "alcpl_precalculus", "lecturebank_cd")
LEAVE_OUT = {"alcpl_all": ("data_mining", "geometry", "precalculus")}
FLOORS = ("constant", "closure_rule", "degree_logistic", "refd", "name_logistic")
MODELS = (*FLOORS, "logistic", "extra_trees", "kernel_svm")
LEAKY = ("constant", "closure_rule", "degree_logistic", "name_logistic")  # random_leaky is there to show these
SHOWN = ("auc", "ap", "f1", "direction_accuracy", "ece", "kendall_tau", "cycles")


def maker(name: str, seed: int) -> Callable[[], PrerequisiteModel]:
    """Makes a new model of ``conf/graph/<name>.yaml`` under a seed."""
    path = bundled("conf") / "graph" / f"{name}.yaml"
    if not path.is_file():
        raise DataError(f"model must be one of conf/graph ({', '.join(sorted(p.stem for p in path.parent.glob('*.yaml')))}); found {name}")
    cfg = OmegaConf.merge({"seed": seed}, {"model": OmegaConf.load(path)})
    return lambda: instantiate(cfg.model)


def _code(module: str, seen: set[str] | None = None) -> set[str]:
    """Files of a module of edukit and of those it takes names from, so that only cells whose own code changed run again."""
    seen = set() if seen is None else seen
    found = importlib.import_module(module)
    if found.__file__ not in seen:
        seen.add(str(found.__file__))
        for name in {getattr(value, "__module__", None) or getattr(value, "__name__", "") for value in vars(found).values()}:
            if str(name).startswith("edukit.") and not str(name).startswith("edukit.experiments."):
                _code(str(name), seen)
    return seen


def cell_key(data: LearningData, model: str, folds: int) -> str:
    """What a cell depends on besides its place in the plan: the data, the model's settings, the code behind it, the number of folds."""
    settings = (bundled("conf") / "graph" / f"{model}.yaml").read_text(encoding="utf-8")
    module = str(OmegaConf.create(settings)._target_).rpartition(".")[0]
    files = [Path(f) for f in sorted(_code(module) | _code("edukit.graph.pair_benchmark"))]
    return fingerprint(data.fingerprint, settings, folds, *files)[:12]


def plan(data: tuple[str, ...], tracks: tuple[str, ...], models: tuple[str, ...], seeds: int, folds: int) -> Iterator[tuple[str, str, str, int, int]]:
    """Every cell asked for: data, track, model, seed, fold. Leaving a domain out has one fold, and a seed for the model and the validation rows."""
    for label in data:
        for track in LEAVE_OUT.get(label, tuple(pair_benchmark.TRACKS)):
            if tracks and track not in tracks:
                continue
            for model in models:
                if (model == "refd" and not label.startswith("alcpl")) or (track == "random_leaky" and model not in LEAKY):
                    continue
                for seed in range(seeds):
                    for fold in range(1 if label in LEAVE_OUT else folds):
                        yield label, track, model, seed, fold


def answers(data: LearningData, track: str, model: Callable[[], PrerequisiteModel], seed: int, fold: int, folds: int) -> pd.DataFrame:
    """One cell: the answers of a model to one fold of one track."""
    pairs = pair_benchmark.with_reversed(data["concept_pairs"])
    part = pair_benchmark.make_fold(pairs, track, seed, fold, folds)
    return pair_benchmark.run_fold(model, data.tables, part, pair_benchmark.random_negatives(pairs))


def judged(found: pd.DataFrame, data: LearningData, models: Mapping[str, str], draws: int) -> tuple[list[dict], list[dict]]:
    """Metric records of each part and model, and each model against the best of the floors by average precision on that part."""
    pairs = data["concept_pairs"]
    concepts = sorted({*pairs["concept_id"], *pairs["requires_id"]})
    records: list[dict] = []
    differences: list[dict] = []
    for part, rows in found.groupby("part", sort=True):
        measured = {}
        for name, said in rows.groupby("model", sort=False):
            told, measured[name] = pair_judging.judge_pairs(said, concepts, str(name), str(part), draws)
            records += told
        floors = [m for m in measured if models.get(str(m)) == "floor" and measured[m].value["ap"] == measured[m].value["ap"]]
        if not floors:
            continue
        best = max(floors, key=lambda m: measured[m].value["ap"])
        for name in measured.keys() - {best}:
            for metric, row in pair_judging.compare(measured[name], measured[best]).items():
                differences.append({"split": part, "model": name, "against": best, "name": metric, **row})
    return records, differences


def _bar(done: int, total: int, began: float, words: str) -> None:
    if not sys.stderr.isatty():
        return
    filled = round(30 * done / max(total, 1))
    left = (time.monotonic() - began) / max(done, 1) * (total - done)
    typer.echo(f"\r[{'#' * filled}{'.' * (30 - filled)}] {done}/{total}  {left / 60:.0f} min left  {words:<60}", nl=False, err=True)


def _split(words: str | None, default: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(words.split(",")) if words else default


@app.command()
def table(data: Annotated[str | None, typer.Option(help="comma between: data sets; default all")] = None,
          track: Annotated[str | None, typer.Option(help="random_leaky, grouped, inductive, or a domain to leave out; default all")] = None,
          model: Annotated[str | None, typer.Option(help="names of conf/graph; default all of the table")] = None,
          folds: int = 5, seeds: int = 3, draws: Annotated[int, typer.Option(help="draws of the concepts behind each interval")] = 200,
          out: Annotated[Path | None, typer.Option(help="folder for cells and tables; default EDUKIT_OUTPUTS/prerequisites")] = None) -> None:
    """Run the benchmark, or a part of it, and print its table; metrics.parquet and differences.parquet are written beside the cells."""
    place = out or Path(os.environ.get("EDUKIT_OUTPUTS") or "outputs") / "prerequisites"
    labels, models = _split(data, (*DATA, *LEAVE_OUT)), _split(model, MODELS)
    cells = list(plan(labels, _split(track, ()), models, seeds, folds))
    if not cells:
        raise DataError(f"track must be one of {', '.join(pair_benchmark.TRACKS)}, or a domain of alcpl_all; found {track}")
    began, loaded = time.monotonic(), {label: load(loader(label), typer.echo) for label in labels}
    keys: dict[tuple[str, str], str] = {}
    files: dict[tuple[str, str, str], list[Path]] = {}
    for number, (label, each, name, seed, fold) in enumerate(cells):
        if (label, name) not in keys:
            keys[label, name] = cell_key(loaded[label], name, folds)
        file = place / "cells" / label / each / f"{name}_seed{seed}_fold{fold}_{keys[label, name]}.parquet"
        files.setdefault((label, each, name), []).append(file)
        _bar(number, len(cells), began, f"{label} {each} {name} seed {seed} fold {fold}")
        if not file.is_file():
            started = time.perf_counter()
            found = answers(loaded[label], each, maker(name, seed), seed, fold, folds).assign(model=name, seconds=0.0)
            found["seconds"] = time.perf_counter() - started
            with replacing(file) as fresh:
                found.to_parquet(fresh, index=False)
    _bar(len(cells), len(cells), began, "")
    typer.echo("", err=True)
    kinds = {name: "floor" if name in FLOORS else "model" for name in models}
    records: list[dict] = []
    differences: list[dict] = []
    for label, each in dict.fromkeys((label, each) for label, each, _ in files):
        found = pd.concat([pd.read_parquet(f) for (a, b, _), some in files.items() if (a, b) == (label, each) for f in some], ignore_index=True)
        told, against = judged(found, loaded[label], kinds, draws)
        records += [{"data": label, "track": each, **r} for r in told]
        differences += [{"data": label, "track": each, **r} for r in against]
        seconds = found.drop_duplicates(["model", "seed", "fold"]).groupby("model")["seconds"].mean()
        records += [{"data": label, "track": each, "name": "seconds", "value": v, "model": m} for m, v in seconds.items()]
    compared = pd.DataFrame(differences)
    if len(compared):
        compared["p_holm"] = holm(compared["p_value"].tolist())
        compared.to_parquet(place / "differences.parquet", index=False)
    metrics = pd.DataFrame(records)
    metrics.to_parquet(place / "metrics.parquet", index=False)
    typer.echo(shown(metrics))
    typer.echo(f"{time.monotonic() - began:.0f} s; {place / 'metrics.parquet'}")


def shown(metrics: pd.DataFrame) -> str:
    """The headline as text: a line per data, part and model, each score with its interval."""
    head = metrics[metrics["name"].isin(SHOWN) & metrics["group"].isna()]
    lines = []
    for (label, track, part), rows in head.groupby(["data", "track", "split"], sort=False):
        lines += ["", f"{label}, {track if part == 'domain' else part}: {int(rows['n'].max()):,} answers", f"  {'':<18}{''.join(f'{n:>20}' for n in SHOWN)}"]
        for model, of in rows.groupby("model", sort=False):
            value = of.set_index("name")
            texts = []
            for name in SHOWN:
                v, low, high = (value.loc[name, c] for c in ("value", "low", "high"))
                texts.append("-" if pd.isna(v) else f"{v:.3f}" if pd.isna(low) else f"{v:.3f} [{low:.3f},{high:.3f}]")
            lines.append(f"  {model:<18}" + "".join(f"{t:>20}" for t in texts))
    return "\n".join(lines)


if __name__ == "__main__":
    app()
