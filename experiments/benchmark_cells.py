"""The cells of a tracing benchmark: one model, seed and fold each, fitted in a process of its own and kept on disk by all it depends on."""

from __future__ import annotations

import contextlib
import inspect
import io
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from edukit import splits
from edukit.data import LearningData
from edukit.evaluation.evaluate import floors
from edukit.protocols import DiagnosticError, NotFittedError, OrderUnknownError
from edukit.reproducibility import bundled, fingerprint, replacing
from edukit.schema import DataError

from . import recipe
from .cells import Progress, code_of, settings_of

FOLDS = 5  # the training learners are always cut into so many
FLOORS = ("item_mean", "learner_mean")
VARIANTS = {"irt_static": ("slopes=true",)}  # of a model that is offered where none is named, beside its settings as they are
REFUSALS = (DataError, OrderUnknownError, DiagnosticError, NotFittedError)  # a model says that it cannot, and why


@dataclass(frozen=True)
class Cell:
    """One fit that is asked for, and the file it is kept in."""

    model: str
    seed: int
    fold: int
    settings: dict[str, Any]
    file: Path


@dataclass(frozen=True)
class Bench:
    """What all cells share: config, data and its two parts; ``static`` where the order of responses plays no part."""

    cfg: dict[str, Any]
    data: LearningData
    train: pd.DataFrame
    test: pd.DataFrame
    static: bool

    def aside(self, seed: int, fold: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Training rows that a cell learns from, and those it sets aside: a fold of the learners, or without order a share of each one's responses."""
        if self.static:
            split = splits.cells(self.train, seed)
            return split.part(self.train, "train"), split.part(self.train, "test")
        split = splits.learner_fold(self.train, seed, FOLDS, fold)
        return split.part(self.train, "train"), split.part(self.train, "valid")

    def floors(self, seed: int, fold: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Per floor its probabilities of the rows set aside and of the test rows, from the rows that the cell learns from."""
        fitted, valid = self.aside(seed, fold)
        before, after = floors(fitted, valid), floors(self.train if self.static else fitted, self.test)
        return {name: (before[name], after[name]) for name in FLOORS}


# ---- which models ------------------------------------------------------------------------------------


def settings(entry: str, seed: int) -> DictConfig:
    """Settings of ``name`` or ``name key=value …`` of conf/tracing under a seed."""
    name, *changes = entry.split()
    return settings_of("tracing", name, seed, **dict(OmegaConf.from_dotlist(changes)))  # type: ignore[arg-type]


def is_static(entry: str) -> bool:
    """Whether a model places a learner from given responses, in whatever order."""
    model: Any = get_class(settings(entry, 0)._target_)
    return "given" in inspect.signature(model.predict).parameters


def chosen(models: Sequence[str] | None, data: LearningData) -> tuple[list[str], bool]:
    """The models asked for, or all whose kind the data allows; and whether they are static.

    Raises
    ------
    DataError
        For an unknown model, one named twice, or models of both kinds, which no split serves.
    """
    if models is None:
        ordered = data.allows()["order"]
        names = [p.stem for p in sorted((bundled("conf") / "tracing").glob("*.yaml")) if is_static(p.stem) != ordered]
        return [entry for name in names for entry in (name, *(f"{name} {change}" for change in VARIANTS.get(name, ())))], not ordered
    asked = [" ".join(str(entry).split()) for entry in models]
    if not asked or len(set(asked)) < len(asked):
        raise DataError(f"models must name each model once, and one at least; found {', '.join(asked) or 'none'}.")
    kinds = {entry: is_static(entry) for entry in asked}
    if len(set(kinds.values())) > 1:
        raise DataError(f"models must all follow the order of responses, or all do without it; found {', '.join(e for e in asked if not kinds[e])} that follow "
                        f"it and {', '.join(e for e in asked if kinds[e])} that do not. Run the benchmark once for each kind.")
    return asked, kinds[asked[0]]


# ---- the plan ----------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _code(*modules: str) -> str:
    files = {name: file for module in modules for name, file in code_of(module).items()} | {"cells": Path(__file__)}
    return fingerprint(*(files[name] for name in sorted(files)))


def plan(bench: Bench, models: Sequence[str], split: str, folder: Path) -> list[Cell]:
    """Every cell, by seed and fold, so that the first of each model come first; a cell is kept by data, split, graph, settings and code."""
    cfg, found = bench.cfg, []
    for seed in range(int(cfg["seed"]), int(cfg["seed"]) + int(cfg["seeds"])):
        for fold in range(1 if bench.static else int(cfg["folds"])):
            for model in models:
                own = OmegaConf.to_container(settings(model, seed))
                assert isinstance(own, dict)
                code = _code(*(str(part["_target_"]).rpartition(".")[0] for part in (own, cfg["graph"])), "edukit.splits")
                key = fingerprint(bench.data.fingerprint, split, cfg["graph"], own, fold, code)[:16]
                name = re.sub(r"[^A-Za-z0-9_.-]+", "_", model)[:80]
                place = folder / re.sub(r"[^A-Za-z0-9_.-]+", "_", bench.data.label)
                found.append(Cell(model, seed, fold, {str(k): v for k, v in own.items()}, place / f"{name}_seed{seed}_fold{fold}_{key}.parquet"))
    return found


# ---- fitting -----------------------------------------------------------------------------------------


def fit_cell(cell: Cell, bench: Bench) -> None:
    """Fit one cell and write its probabilities (of the rows set aside and of the test rows) with what it cost; test answers reach no fit."""
    began = time.monotonic()
    fitted, valid = bench.aside(cell.seed, cell.fold)
    forget_peak()
    with contextlib.redirect_stdout(io.StringIO()):  # what a graph dropped is not told once a cell
        graph = recipe.Run(OmegaConf.create(bench.cfg), bench.data, Path()).graph(fitted)
    started = time.process_time()
    model = recipe.learner_model(OmegaConf.create(cell.settings), OmegaConf.create(bench.cfg["paths"]))
    model.fit(fitted, graph)
    ended = time.process_time()
    given = ((fitted,), (bench.train,)) if bench.static else ((), ())
    told = [model.predict(rows, *some) for rows, some in zip((valid, bench.test), given, strict=True)]
    cost = {"fit_seconds": ended - started, "predict_seconds": time.process_time() - ended, "peak_rss_mb": peak_mb(), **size(model)}
    table = pd.concat([pd.DataFrame({"part": part, "row": p.index.to_numpy(), "probability": p.to_numpy(np.float32)})
                       for part, p in zip(("valid", "test"), told, strict=True)], ignore_index=True)
    with replacing(cell.file) as fresh:
        table.assign(**cost, wall_seconds=time.monotonic() - began).to_parquet(fresh, index=False)


def size(model: Any) -> dict[str, Any]:
    """How many numbers a fitted model has learnt, and whether it is a neural network."""
    network = getattr(model, "network_", None)
    if network is not None:
        return {"parameters": sum(p.numel() for p in network.parameters()), "network": True}
    from tempfile import TemporaryDirectory

    from safetensors.numpy import load_file

    with TemporaryDirectory() as folder:
        model.save(Path(folder) / "model")
        arrays = load_file(Path(folder) / "model")
    return {"parameters": sum(a.size for a in arrays.values() if a.dtype.kind == "f" and np.ptp(a) > 0), "network": False}


def forget_peak() -> None:
    """From here on the peak memory of this process counts anew; nothing where the system cannot do that."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_mb() -> float:
    """Most memory (MB) of this process since :func:`forget_peak`, libraries and data included; NaN where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return float("nan")
    return float(status.split("VmHWM:")[1].split()[0]) / 1024 if "VmHWM:" in status else float("nan")


def _attempt(cell: Cell, bench: Bench) -> tuple[Cell, str | None, bool]:
    """A cell in a process of a pool; what went wrong as text, and whether the model itself declined."""
    try:
        fit_cell(cell, bench)
    except Exception as error:  # told by name at the end; one cell stops no other
        return cell, str(error) if isinstance(error, REFUSALS) else f"{type(error).__name__}: {error}", isinstance(error, REFUSALS)
    return cell, None, False


def finish(cells: Sequence[Cell], bench: Bench, workers: int) -> dict[str, str]:
    """Fit the cells that are not on disk, some at a time, each process on one thread; say what that will cost once one cell of each model is timed.

    Returns
    -------
    dict
        Models that declined this data, and why; they have no result.

    Raises
    ------
    DataError
        Naming every cell that broke down; all others are kept, and a second run fits only what is missing.
    """
    import joblib

    missing = [cell for cell in cells if not cell.file.is_file()]
    fits, there = _Cost(cells, missing, workers), len(cells) - len(missing)
    recipe.say(f"{len(cells)} cells: {len(dict.fromkeys(c.model for c in cells))} models x {len({(c.seed, c.fold) for c in cells})} seeds and folds"
               + (f"; {there} are on disk from an earlier run" if there else "")
               + (f"; {workers} at a time, and what they cost is told when one of each model is timed" if missing else ""))
    refused: dict[str, str] = {}
    broken: list[str] = []
    if missing:
        tell = Progress(len(missing))
        with joblib.parallel_config("loky", n_jobs=min(workers, len(missing)), inner_max_num_threads=1):
            for done, (cell, wrong, declined) in enumerate(_results(missing, bench), 1):
                if wrong and declined:
                    refused.setdefault(cell.model, wrong)
                elif wrong:
                    broken.append(f"{cell.model}, seed {cell.seed}, fold {cell.fold}: {wrong}")
                fits.tell(cell, done)
                tell(done, f"{cell.model} seed {cell.seed} fold {cell.fold}")
        if sys.stderr.isatty():
            print(file=sys.stderr)
    if broken:
        raise DataError(f"every cell of the benchmark must end with answers; found {len(broken)} that did not:\n  " + "\n  ".join(broken)
                        + "\nThe others are kept. Mend the model and run again, or leave it out of models.")
    return refused


def _results(missing: Sequence[Cell], bench: Bench) -> Iterator[Any]:
    """What :func:`_attempt` says of each cell, as they end."""
    import joblib
    from joblib.externals.loky.process_executor import BrokenProcessPool

    try:
        yield from joblib.Parallel(return_as="generator_unordered")(joblib.delayed(_attempt)(cell, bench) for cell in missing)
    except BrokenProcessPool as error:
        raise DataError(f"the processes of the benchmark must live to its end; found one dead ({error}). Was memory short? "
                        "What was written is kept: run again, with workers=1.") from error


class _Cost:
    """Says once, as soon as one cell of every model is timed, how long the rest will take."""

    def __init__(self, cells: Sequence[Cell], missing: Sequence[Cell], workers: int) -> None:
        self._left, self._workers = list(missing), workers
        self._seconds = {cell.model: self._timed(cell) for cell in cells if cell.file.is_file()}
        self._told = False
        self._say()

    @staticmethod
    def _timed(cell: Cell) -> float:
        return float(pd.read_parquet(cell.file, columns=["wall_seconds"])["wall_seconds"].iloc[0])

    def tell(self, cell: Cell, done: int) -> None:
        self._left.remove(cell)
        self._seconds.setdefault(cell.model, self._timed(cell) if cell.file.is_file() else 0.0)
        self._say()

    def _say(self) -> None:
        if self._told or not self._left or any(cell.model not in self._seconds for cell in self._left):
            return
        self._told = True
        rest = sum(self._seconds[cell.model] for cell in self._left) / self._workers
        each = ", ".join(f"{model} {seconds:.0f} s" for model, seconds in sorted(self._seconds.items(), key=lambda kv: -kv[1]))
        recipe.say(f"one cell takes: {each}; the other {len(self._left)} cells will take at most about "
                   + (f"{rest / 60:.0f} min" if rest >= 90 else f"{rest:.0f} s") + "; stopped, the benchmark goes on where it was")


def answers(cell: Cell) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Probabilities of a cell (``part, row, probability``), and what it cost."""
    table = pd.read_parquet(cell.file)
    kept = ["part", "row", "probability"]
    return table[kept], {str(name): value for name, value in table.drop(columns=kept).iloc[0].items()}
