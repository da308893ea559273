"""Which model tells what a concept requires? Every data set, track and model of the benchmark, five folds by three seeds, in one table.

``python -m edukit.experiments.prerequisites table``; cells already written are not run again, and ``--data ucd --track inductive`` runs a part of it.
``… curve`` shows how a model's scores grow with the pairs that it may learn from.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import lru_cache
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from hydra.utils import instantiate
from omegaconf import OmegaConf

from edukit.data import LearningData
from edukit.data.catalogue import loader
from edukit.data.store import load
from edukit.graph import pair_benchmark
from edukit.protocols import PrerequisiteModel
from edukit.report import benchmark_figures, figures
from edukit.reproducibility import bundled, fingerprint, replacing
from edukit.schema import DataError

from . import prerequisite_report, recipe
from .cells import EVERY, Progress, code_of, settings_of

app = typer.Typer(help=__doc__, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
DATA = ("ucd", "alcpl_data_mining", "alcpl_geometry", "alcpl_precalculus", "lecturebank_cd")
LEAVE_OUT = {"alcpl_all": ("data_mining", "geometry", "precalculus")}
FLOORS = ("constant", "closure_rule", "degree_logistic", "refd", "name_logistic")
NETWORKS = ("symmetric_vgae", "directed_gnn", "directed_gnn_no_layers", "course_gnn", "course_gnn_no_layers")
MODELS = (*FLOORS, "logistic", "extra_trees", "kernel_svm", "blend", *NETWORKS)
LEAKY = ("constant", "closure_rule", "degree_logistic", "name_logistic")  # random_leaky is there to show these
SHARES = (0.1, 0.25, 0.5, 1.0)
HEAVY = ("extra_trees", "directed_gnn", "course_gnn", "directed_gnn_no_layers", "course_gnn_no_layers", "blend")  # run first: no worker idles at the end


def maker(name: str, seed: int, **settings: object) -> Callable[[], PrerequisiteModel]:
    """Makes new models of ``conf/graph/<name>.yaml`` under a seed, with other settings where some are given."""
    cfg = settings_of("graph", name, seed, **settings)
    return lambda: instantiate(cfg)


@lru_cache(maxsize=64)
def _model_key(model: str) -> str:
    settings = (bundled("conf") / "graph" / f"{model}.yaml").read_text(encoding="utf-8")
    module = str(OmegaConf.create(settings)._target_).rpartition(".")[0]
    files = {**code_of(module), **code_of("edukit.graph.pair_benchmark"), "cells": Path(__file__)}
    return fingerprint(settings, *(files[name] for name in sorted(files)))


def cell_key(data: LearningData, model: str, folds: int) -> str:
    """What a cell depends on besides its place in the plan: the data, the model's settings, the code behind it, the number of folds."""
    return fingerprint(data.fingerprint, _model_key(model), folds)[:12]


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


def answers(data: LearningData, track: str, model: Callable[[], PrerequisiteModel], seed: int, fold: int, folds: int, share: float = 1.0) -> pd.DataFrame:
    """One cell: the answers of a model to one fold of one track, having learnt from a share of the training pairs (both orders stay together)."""
    pairs = pair_benchmark.with_reversed(data["concept_pairs"])
    part = pair_benchmark.make_fold(pairs, track, seed, fold, folds)
    if share < 1:
        part = replace(part, train=_fewer(part.train, share, seed), valid=_fewer(part.valid, share, seed))
    return pair_benchmark.run_fold(model, data.tables, part, pair_benchmark.random_negatives(pairs))


def _fewer(rows: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """A share of the unordered pairs, drawn at random."""
    ends = np.sort(rows[list(pair_benchmark.PAIR)].to_numpy(dtype=object).astype(str), axis=1)
    pair = pd.MultiIndex.from_arrays(ends.T).factorize()[0]
    drawn = np.random.default_rng(seed).permutation(pair.max(initial=-1) + 1)
    return rows[drawn[pair] < np.ceil(share * len(drawn))] if len(rows) else rows


def _split(words: str | None, default: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(words.split(",")) if words else default


@lru_cache(maxsize=2)
def _loaded(label: str) -> LearningData:
    return load(loader(label), purpose="prerequisites")


def run_cell(label: str, track: str, name: str, seed: int, fold: int, folds: int, share: float, file: Path) -> None:
    """One cell in a process of its own: the answers of a model to one fold of one track, with the processor seconds it took, written to ``file``."""
    data, started = _loaded(label), time.process_time()
    found = answers(data, track, maker(name, seed), seed, fold, folds, share).assign(model=name, seconds=0.0)
    found["seconds"] = time.process_time() - started
    with replacing(file) as fresh:
        found.to_parquet(fresh, index=False)


def run_cells(cells: list[tuple[str, str, str, int, int]], place: Path, folds: int, pool: Executor,
              shares: tuple[float, ...] = (1.0,)) -> dict[tuple[str, str, str, float], list[Path]]:
    """Run the cells that are not on disk yet in a pool; files by data, track, model and share of the training pairs."""
    keys = {(label, name): cell_key(_loaded(label), name, folds) for label, name in dict.fromkeys((c[0], c[2]) for c in cells)}
    files: dict[tuple[str, str, str, float], list[Path]] = {}
    missing = []
    for (label, track, name, seed, fold), share in product(cells, shares):
        part = "" if share == 1 else f"_share{share:g}"
        file = place / "cells" / label / track / f"{name}_seed{seed}_fold{fold}{part}_{keys[label, name]}.parquet"
        files.setdefault((label, track, name, share), []).append(file)
        if not file.is_file():
            missing.append((label, track, name, seed, fold, folds, share, file))
    size = {label: len(_loaded(label)["concept_pairs"]) for label in dict.fromkeys(cell[0] for cell in missing)}
    missing.sort(key=lambda cell: (-size[cell[0]], cell[0], cell[2] not in HEAVY))  # one data set after the other: a worker holds few at a time
    _finish(pool, {pool.submit(run_cell, *cell): cell for cell in missing})
    return files


def _pool(workers: int) -> Executor:
    """Processes with one thread each; a thread of this process for one worker."""
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))  # read by the workers as they start
    return ThreadPoolExecutor(1) if workers == 1 else ProcessPoolExecutor(workers, mp_context=get_context("spawn"))


def _finish(pool: Executor, waiting: dict[Future, tuple]) -> None:
    """Wait for all cells. One that fails stops no other; in the end DataError names each that failed."""
    failed: list[str] = []
    tell, left, words = Progress(len(waiting), EVERY), set(waiting), ""
    try:
        while left:
            done, left = wait(left, timeout=EVERY, return_when=FIRST_COMPLETED)
            for job in done:
                label, track, name, seed, fold, _, share = waiting[job][:7]
                words = f"{label} {track} {name} seed {seed} fold {fold}"
                error = job.exception()
                if isinstance(error, BrokenExecutor):
                    raise DataError(f"the processes of the benchmark must live to its end; found one dead after {words or 'no cell at all'}. Was memory short? "
                                    "What was written is kept: run again, with --workers 1.") from error
                if error is not None:
                    failed.append(f"data {label}, track {track}, model {name}, seed {seed}, fold {fold}, share {share:g}: {type(error).__name__}: {error}")
                    typer.echo(f"failed: {failed[-1]}", err=True)
            tell(len(waiting) - len(left), words)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    if failed:
        raise DataError(f"every cell of the benchmark must end with answers; found {len(failed):,} of {len(waiting):,} that failed:\n  " + "\n  ".join(failed)
                        + "\nThe others are kept. Mend the model and run again, or name the other models with --model.")


def _judge(label: str, track: str, files: list[Path], draws: int) -> tuple[list[dict], list[dict], pd.DataFrame]:
    """Metric records, differences and reliability of all models on one track of one data set."""
    found = pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
    records, differences = prerequisite_report.judged(found, _loaded(label), FLOORS, draws)
    seconds = found.drop_duplicates(["model", "seed", "fold"]).groupby("model")["seconds"].mean()
    records += [{"name": "seconds", "value": value, "model": model} for model, value in seconds.items()]
    told, against = ([{"data": label, "track": track, **row} for row in rows] for rows in (records, differences))
    return told, against, prerequisite_report.reliabilities(found).assign(data=label)


def _grown(file: Path, folds: int) -> pd.DataFrame | None:
    """Rows of a learning curve that the code, settings and data of now would give again; None where there is no curve."""
    found = pd.read_parquet(file) if file.is_file() else pd.DataFrame()
    if "key" not in found:
        return None
    keys = {(label, name): cell_key(_loaded(label), name, folds) for label, name in set(zip(found["data"], found["model"], strict=True))}
    return found[[keys[row.data, row.model] == row.key for row in found.itertuples()]]


DataOption = Annotated[str | None, typer.Option(help="comma between: data sets; default all")]
OutOption = Annotated[Path | None, typer.Option(help="folder for cells and tables; default EDUKIT_OUTPUTS/prerequisites")]


@app.command()
def table(data: DataOption = None,
          track: Annotated[str | None, typer.Option(help="random_leaky, grouped, inductive, or a domain to leave out; default all")] = None,
          model: Annotated[str | None, typer.Option(help="names of conf/graph; default all of the table")] = None,
          folds: int = 5, seeds: int = 3, draws: Annotated[int, typer.Option(help="draws of the concepts behind each interval")] = 200,
          workers: Annotated[int, typer.Option(help="cells at a time")] = 2, out: OutOption = None) -> None:
    """Run the benchmark, or a part of it, and print its report; report.txt, metrics.parquet, differences.parquet, average_precision.png
    and reliability.png are written; what `curve` wrote there stands behind the targets that are not met."""
    place = out or Path(os.environ.get("EDUKIT_OUTPUTS") or "outputs") / "prerequisites"
    labels, models = _split(data, (*DATA, *LEAVE_OUT)), _split(model, MODELS)
    cells = list(plan(labels, _split(track, ()), models, seeds, folds))
    if not cells:
        raise DataError(f"track must be one of {', '.join(pair_benchmark.TRACKS)}, or a domain of alcpl_all; found {track}")
    began = time.monotonic()
    with _pool(workers) as pool:
        files = run_cells(cells, place, folds, pool)
        typer.echo(f"judging {len(cells):,} cells", err=True)
        asked = {pair: [f for (a, b, _, _), some in files.items() if (a, b) == pair for f in some] for pair in dict.fromkeys(key[:2] for key in files)}
        told = [job.result() for job in [pool.submit(_judge, *pair, some, draws) for pair, some in asked.items()]]
    metrics, compared = (pd.DataFrame([row for each in told for row in each[k]]) for k in (0, 1))
    reliability = pd.concat([each[2] for each in told], ignore_index=True)
    if len(compared):
        compared.to_parquet(place / "differences.parquet", index=False)
    metrics.to_parquet(place / "metrics.parquet", index=False)
    words = prerequisite_report.text(metrics, compared, FLOORS, _grown(place / "curve.parquet", folds))
    with replacing(place / "report.txt") as fresh:
        fresh.write_text(words + "\n", encoding="utf-8")
    figures.save(benchmark_figures.average_precisions(prerequisite_report.precisions(metrics), FLOORS), place / "average_precision.png")
    if len(best := prerequisite_report.calibrated(metrics, reliability, FLOORS)):
        figures.save(benchmark_figures.reliabilities(best), place / "reliability.png")
    typer.echo(f"{words}\n{time.monotonic() - began:.0f} s; {place / 'report.txt'}")


@app.command()
def curve(data: DataOption = None, track: Annotated[str, typer.Option(help="grouped or inductive")] = "inductive",
          model: Annotated[str | None, typer.Option(help="names of conf/graph; default blend, logistic and name_logistic")] = None,
          folds: int = 5, seeds: int = 1, draws: int = 200, workers: int = 2, out: OutOption = None) -> None:
    """Average precision by the share of the training pairs that a model may learn from; curve.parquet and curve.png are written."""
    place = out or Path(os.environ.get("EDUKIT_OUTPUTS") or "outputs") / "prerequisites"
    cells = list(plan(_split(data, DATA), (track,), _split(model, ("blend", "logistic", "name_logistic")), seeds, folds))
    records = []
    with _pool(workers) as pool:
        files = run_cells(cells, place, folds, pool, SHARES)
    for (label, each, name, share), some in files.items():
        found = pd.concat([pd.read_parquet(f) for f in some], ignore_index=True)
        told = prerequisite_report.judged(found[found["part"] == track], _loaded(label), FLOORS, draws)[0]
        of = {"data": label, "track": each, "share": share, "key": cell_key(_loaded(label), name, folds)}
        records += [{**of, **r} for r in told if r["name"] in ("auc", "ap", "f1", "direction_accuracy")]
    grown, file = pd.DataFrame(records), place / "curve.parquet"
    if file.is_file():  # curves of other data, tracks and models stay
        grown, key = pd.concat([pd.read_parquet(file), grown], ignore_index=True), ["data", "track", "model"]
        fresh = pd.MultiIndex.from_frame(grown[key]).isin({tuple(row[c] for c in key) for row in records})
        grown = grown[~fresh | (grown.index >= len(grown) - len(records))]
    grown.to_parquet(file, index=False)
    shown = grown[(grown["name"] == "ap") & grown["group"].isna() & (grown["track"] == track)]
    figures.save(benchmark_figures.learning_curves(shown), place / "curve.png")
    typer.echo(shown[["data", "model", "share", "value", "low", "high"]].round(3).to_string(index=False))
    typer.echo(str(place / "curve.png"))


if __name__ == "__main__":
    recipe.guard(app)
