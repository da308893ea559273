"""How every experiment begins and ends: seed, data, split, graph; then report, tracking and the path of the report."""

from __future__ import annotations

import importlib
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from edukit import splits
from edukit.data import LearningData
from edukit.data.interaction_store import InteractionStore
from edukit.data.profile import MEANING, WITHOUT
from edukit.data.store import load
from edukit.evaluation import RunReport, tracking
from edukit.graph.sources import Expert, NoGraph
from edukit.metrics import record
from edukit.processes import agreed, first_before_others, is_first, part_ways
from edukit.protocols import DiagnosticError, NotFittedError, OrderUnknownError, PrerequisiteGraph
from edukit.reproducibility import bundled, code_fingerprint, draw_seed, environment, replacing, seed_everything
from edukit.schema import DataError

from . import run_record

CONF = str(bundled("conf").resolve())
NEEDED = 4  # times the size of a table that an experiment on it takes in memory


def say(line: str) -> None:
    """Print one line of progress at once; of several processes only the first speaks."""
    if is_first():
        print(line, flush=True)


def learner_model(tracing: DictConfig, paths: DictConfig) -> Any:
    """The learner model of a config; a network leaves its state under the outputs, so that a killed run goes on where it was."""
    left = {"checkpoint_dir": str(Path(paths.outputs) / "checkpoints")} if tracing.get("checkpoint_dir", "") is None else {}
    return instantiate(tracing, **left)


def name_of(model: Any) -> str:
    """What tables and messages call a learner model; one class that is several published models by its settings tells which."""
    return str(getattr(model, "name", model.kind))


@dataclass
class Run:
    """One experiment under way: its config, data, split and folder, and what it has found so far."""

    cfg: DictConfig
    data: LearningData
    folder: Path
    split: dict[str, Any] = field(default_factory=dict)
    metrics: list[dict] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)
    tracked: list[str] = field(default_factory=list)
    fairness: pd.DataFrame | None = None
    report: RunReport | None = None

    @property
    def seed(self) -> int:
        """The seed in force."""
        return int(self.cfg.seed)

    def part(self, static: bool = False) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Training and test rows of the responses; the ids of each part are saved with the run.

        A ``static`` model needs some responses of every learner, so that ``split=auto`` is then by cells.
        """
        log = self.data["interactions"]
        split = make_split(self.data, "cells" if static and self.cfg.split == "auto" else self.cfg.split, self.seed)
        split.save(self.folder / "split.parquet", log)
        self.tracked.append("split.parquet")
        self.split = {"name": split.name, "seed": split.seed, "rows": split.sizes(), "fingerprint": split.fingerprint, "file": "split.parquet"}
        say(f"split {split.name}: {', '.join(f'{size:,} {name}' for name, size in split.sizes().items())} rows")
        return split.part(log, "train"), split.part(log, "test")

    def graph(self, train: pd.DataFrame) -> PrerequisiteGraph:
        """The concept graph of the config, from training rows only; none, and it is said, where the data has no expert graph."""
        source = instantiate(self.cfg.graph)
        if isinstance(source, Expert) and not self.data.allows()["graph"]:
            say("no prerequisites in the data: the graph is empty (graph=evidence reads one from the responses)")
            source = NoGraph()
        return graph_of(source, self.data, train)

    def keep(self, name: str, figure: Any) -> None:
        """Save a matplotlib figure with the run."""
        from edukit.report.figures import save

        save(figure, self.folder / f"{name}.png")
        self.figures[name] = f"{name}.png"


def graph_of(source: Any, data: LearningData, train: pd.DataFrame) -> PrerequisiteGraph:
    """Fit a prerequisite model on the tables of the data with training rows in place of all responses; say what it dropped."""
    graph = source.fit({**data.tables, "interactions": train}).graph()
    dropped = getattr(source, "report", {}).get("dropped")
    if dropped is not None and len(dropped):
        edges = "; ".join(f"{r.requires_id} -> {r.concept_id}" for r in dropped.head(3).itertuples())
        say(f"graph: dropped {len(dropped)} of {source.report['claims']} prerequisites to break cycles ({edges})")
    return graph


def make_split(data: LearningData, kind: str, seed: int) -> splits.Split:
    """The split of the config; ``auto`` is the publisher's where there is one, cells without order, else by learner."""
    log, learners = data["interactions"], data.tables.get("learners")
    part = None if learners is None or "published_part" not in learners else log["learner_id"].map(learners.set_index("learner_id")["published_part"])
    if kind == "auto":
        kind = "cells" if not data.allows()["order"] else "published" if part is not None and (part == "train").any() else "learner"
    if kind == "published" and part is None:
        raise DataError(f"split=published needs a publisher's split; data {data.label} has none. Use split=learner.")
    makers: dict[str, Callable[[], splits.Split]] = {
        "published": lambda: splits.published(log, part), "learner": lambda: splits.by_learner(log, seed),  # type: ignore[arg-type]
        "class": lambda: splits.by_class(log, seed), "cold_item": lambda: splits.by_cold_item(log, seed),
        "time": lambda: splits.by_time(log), "cells": lambda: splits.cells(log, seed)}
    if kind not in makers:
        raise DataError(f"split must be one of auto, {', '.join(makers)}; found {kind}")
    return makers[kind]()


def describe(data: LearningData) -> None:
    """Say what the data holds and allows, and what will therefore be left out."""
    concepts = data.tables["concepts"]["concept_id"].nunique() if "concepts" in data.tables else 0
    if "interactions" not in data.tables and "concept_pairs" in data.tables:
        pairs = data["concept_pairs"]
        say(f"data {data.label}: {len(pairs):,} judged pairs of {concepts:,} concepts, {(pairs['label'] == 1).sum():,} of them prerequisites; no responses")
        return
    if "interactions" not in data.tables:
        kinds = ("enrolments", "submissions", "events", "questions", "answers", "learners")
        rows = "; ".join(f"{len(data[name]):,} {name}" for name in kinds if name in data.tables)
        say(f"data {data.label}: {rows or ', '.join(data.tables)}; no responses")
        return
    counts, allows = data.counts(), data.allows()
    say(f"data {data.label}: {counts['responses']:,} responses, {counts['learners']:,} learners, {counts['items']:,} items answered, "
        f"{concepts:,} concepts, correct {counts['correct']:.3f}")
    say("  it has      " + "; ".join(MEANING[k] for k, there in allows.items() if there))
    if missing := [k for k, there in allows.items() if not there]:
        say("  it lacks    " + "; ".join(MEANING[k] for k in missing))
        say("  left out    " + "; ".join(WITHOUT[k] for k in missing))


def in_memory(data: LearningData) -> LearningData:
    """The data with every log that stays on disk as a table, where the memory that is free now is enough for an experiment on it.

    Raises
    ------
    DataError
        Naming how many learners would fit, where it is not.
    """
    stores = {name: log for name, log in data.tables.items() if isinstance(log, InteractionStore)}
    needed, free = NEEDED * sum(log.bytes_in_memory for log in stores.values()), free_memory()
    if needed > free:
        learners = max(log.learners for log in stores.values())
        fewer = max(int(float(f"{learners * free / needed / 2:.1g}")), 1)
        raise DataError(f"data {data.label} must fit into memory here; found {', '.join(f'{name} of {len(log):,} rows' for name, log in stores.items())}, "
                        f"which needs about {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB free. Draw some of its {learners:,} learners: learners={fewer}.")
    return replace(data, tables={name: log.to_frame() if name in stores else log for name, log in data.tables.items()}) if stores else data


def free_memory() -> float:
    """Bytes of memory that programs can have now: what Linux tells, elsewhere the memory of the machine, infinite where it is not told."""
    try:
        told = Path("/proc/meminfo").read_text(encoding="ascii").split("MemAvailable:")[1]
        return 1024 * float(told.split()[0])
    except (OSError, IndexError):
        names = ("SC_PHYS_PAGES", "SC_PAGE_SIZE")
        return float(math.prod(os.sysconf(name) for name in names)) if hasattr(os, "sysconf") else math.inf


@contextmanager
def open_run(cfg: DictConfig, batches: bool = False) -> Iterator[Run]:
    """Open a run, and close it: everything lands in one folder that appears whole or not at all, then in the tracking.

    Of several processes only the first comes to the end.

    Parameters
    ----------
    cfg : the config of the experiment.
    batches : whether the experiment reads a log that stays on disk as it is; otherwise it is made a table, or refused where it does not fit.

    Yields
    ------
    Run
        With ``report`` set after the block; the path of ``run_report.json`` is printed as the last line.
    """
    started = int(time.time() * 1000)
    if cfg.seed is None:
        cfg.seed = agreed(draw_seed())
        say(f"seed {cfg.seed} (drawn)")
    seed_everything(int(cfg.seed))
    OmegaConf.resolve(cfg)
    with first_before_others():
        data = load(loader := instantiate(cfg.data), say, purpose=str(cfg.experiment))
    describe(data)
    if cfg.learners is not None:
        data = data.sample(cfg.learners, int(cfg.seed))
        say(f"  drawn       {cfg.learners:,} learners" + (f" with {data.counts()['responses']:,} responses" if "interactions" in data.tables else ""))
    elif not batches:
        data = in_memory(data)
    with run_record.claimed(Path(cfg.paths.outputs) / cfg.experiment / time.strftime("%Y-%m-%d_%H-%M-%S")) as place, run_record.noted(cfg, data, place), \
            replacing(place) as folder:
        folder.mkdir()
        run = Run(cfg, data, folder)
        yield run
        part_ways()
        ended = int(time.time() * 1000)
        usage = {"seconds": (ended - started) / 1000, "peak_rss_mb": _peak_memory_mb()}
        run.metrics += [record(name, round(value, 2)) for name, value in usage.items()]
        about = {"name": data.name, "variant": data.variant, "label": data.label, "fingerprint": data.fingerprint, "allows": data.allows(),
                 "rows": {name: len(table) for name, table in data.tables.items()},
                 "learners": data.counts()["learners"] if "interactions" in data.tables else None}
        resolved: Any = OmegaConf.to_container(cfg, resolve=True)
        made_with = {**environment(), "code": code_fingerprint()}
        run.report = RunReport(cfg.experiment, resolved, run.seed, about, run.split, run.metrics, run.figures, made_with, folder=place)
        run.report.save(folder)
        run.tracked += run_record.write(run, place, loader, made_with)
    files = [place / name for name in ("run_report.json", *run.figures.values(), *run.tracked)]
    if cfg.paths.tracking:
        tracking.track(Path(cfg.paths.tracking), run.report.content(), files, started, ended)
    for name, file in run.figures.items():
        say(f"{name:<14}{place / file}")
    if cfg.paths.tracking:
        say(f"{'tracked in':<14}{cfg.paths.tracking}  (look at it with: edukit ui)")
    say(str(place / "run_report.json"))


def _peak_memory_mb() -> float:
    try:
        import resource
    except ImportError:  # not on Windows
        return float("nan")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def config(experiment: str, *overrides: str) -> DictConfig:
    """The composed config of an experiment, as the command line would build it from the same overrides."""
    with initialize_config_dir(CONF, version_base="1.3"):
        return compose(experiment, list(overrides))


def start(experiment: str, *overrides: str) -> RunReport:
    """Run an experiment from Python or a notebook: the same run, and the same numbers, as ``edukit run experiment …``."""
    return importlib.import_module(f"edukit.experiments.{experiment}").run(config(experiment, *overrides))


def finished(cfg: object) -> str | None:
    """Id of the run that this job of a sweep already was, before the sweep was stopped and started again with the same words.

    Never of a job that takes its data from elsewhere than the config: a refresh of a run, and the quick form of a paper.
    """
    if tracking.PARENT not in os.environ or not isinstance(cfg, DictConfig) or cfg.get("seed") is None or cfg.get("data") is None or cfg.get("quick"):
        return None
    data = load(instantiate(cfg.data), say, purpose=str(cfg.experiment))
    drawn = data if cfg.learners is None else data.sample(cfg.learners, int(cfg.seed))
    resolved: Any = OmegaConf.to_container(cfg, resolve=True)
    return tracking.done_before(Path(cfg.paths.tracking), resolved, drawn.fingerprint, code_fingerprint())


def guard(run: Callable[..., object], *words: object) -> None:
    """Run a job of the command line; an error of the house is one message and exit code 2, without a traceback."""
    try:
        if before := finished(words[0] if words else None):
            say(f"done before in this sweep, with the same settings, data and code: run {before[:8]}")
            return
        run(*words)
    except (DataError, OrderUnknownError, DiagnosticError, NotFittedError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        raise SystemExit(2) from None
