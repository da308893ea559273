"""A search for settings that can be stopped and gone on with: trials in one sqlite file, run by processes of one thread each."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from edukit.schema import DataError

FEW = 10  # finished trials below which the importance of settings is not told
KINDS = ("log", "uniform", "int")  # first word of a range; anything else is a list of choices
HELD: dict[str, Any] = {}  # in a worker: the tables it was given


def _distribution(entry: list) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    kind = entry[0]
    if kind == "int":
        return IntDistribution(entry[1], entry[2])
    return FloatDistribution(entry[1], entry[2], log=kind == "log") if kind in ("log", "uniform") else CategoricalDistribution(entry)


def _inside(entry: list, value: Any) -> bool:
    if entry[0] in KINDS:
        return isinstance(value, int | float) and entry[1] <= value <= entry[2]
    return value in entry


class Study:
    """The trials of one search, kept in one sqlite file; only this process writes to it.

    A trial is finished once its scores are kept (``scores``); one that was running when the process was killed is run again under its number.

    Parameters
    ----------
    file : where the trials are kept; a file that is there is gone on with.
    space : range or choices per setting.
    direction : 'minimize' | 'maximize'
    seed : with the number of the trial it fixes what the sampler draws.
    first : settings of the first trial (those of the yaml), where they lie in the space.
    """

    def __init__(self, file: Path, space: dict[str, list], direction: str, seed: int, first: Mapping[str, Any]) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        file.parent.mkdir(parents=True, exist_ok=True)
        self.study = optuna.create_study(storage=f"sqlite:///{file.resolve().as_posix()}", study_name="tune", direction=direction, load_if_exists=True)
        self.ranges, self.space, self.seed = space, {name: _distribution(entry) for name, entry in space.items()}, seed
        if not self.study.trials:
            self.study.enqueue_trial({name: first[name] for name, entry in space.items() if _inside(entry, first[name])})
        self.again = [t for t in self.study.trials if t.state == optuna.trial.TrialState.RUNNING]

    @property
    def scores(self) -> dict[int, dict[str, Any]]:
        """Of every finished trial, by number: its scores, or ``failed`` with the reason."""
        kept = self.study.user_attrs
        return {t.number: kept[str(t.number)] for t in self.study.trials if t.state.is_finished() and str(t.number) in kept}

    def settings(self, number: int) -> dict[str, Any]:
        """Settings of one trial."""
        return _rounded(self.study.trials[number].params)

    def parent(self, place: str, make: Callable[[], str]) -> str:
        """Id of the run that trials nest under in the tracking at ``place``: the one of before, or a new one."""
        name = f"parent in {Path(place).resolve()}"
        if name not in self.study.user_attrs:
            self.study.set_user_attr(name, make())
        return self.study.user_attrs[name]

    def table(self) -> pd.DataFrame:
        """One row per finished trial: ``trial``, its settings and scores, best first."""
        rows = [{"trial": t.number, **_rounded(t.params), **self.scores[t.number]} for t in self.study.trials if t.number in self.scores]
        best_first = pd.DataFrame(rows).sort_values("value", ascending=self.study.direction.name == "MINIMIZE", kind="stable", na_position="last")
        return best_first.reset_index(drop=True)

    def ask(self) -> tuple[int, dict[str, Any]]:
        """Number and settings of the next trial: first those that a killed process left behind."""
        import optuna

        while self.again:
            left = self.again.pop(0)
            if set(left.params) == set(self.space):
                return left.number, _rounded(left.params)
            self.study.tell(left.number, state=optuna.trial.TrialState.FAIL)  # killed while it was being drawn
        drawn = np.random.SeedSequence((self.seed, len(self.study.trials))).generate_state(1)[0]
        self.study.sampler = optuna.samplers.TPESampler(seed=int(drawn))  # afresh, so that a study gone on with draws as an unbroken one
        trial = self.study.ask(self.space)
        return trial.number, _rounded(trial.params)

    def tell(self, number: int, scores: dict[str, Any]) -> None:
        """Keep the scores of a trial, which finishes it."""
        import optuna

        self.study.set_user_attr(str(number), scores)
        if "failed" in scores:
            self.study.tell(number, state=optuna.trial.TrialState.FAIL)
        else:
            self.study.tell(number, scores["value"])

    def importance(self) -> dict[str, float]:
        """Share of the variance of the objective that goes with each setting (fANOVA: Hutter, Hoos and Leyton-Brown, 2014, ICML); may be empty."""
        import optuna

        values = [s["value"] for s in self.scores.values() if "failed" not in s]
        if len(values) < FEW or np.ptp(values) == 0:
            return {}
        return optuna.importance.get_param_importances(self.study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=self.seed))


def _rounded(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Four digits are enough, and can be typed again."""
    return {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in settings.items()}


@contextmanager
def workers(number: int, **tables: Any) -> Iterator[ProcessPoolExecutor]:
    """Processes of one thread each that hold the tables; they end with this one, however it ends."""
    before, others = os.environ.get("OMP_NUM_THREADS"), set(multiprocessing.active_children())
    os.environ["OMP_NUM_THREADS"] = "1"
    pool = ProcessPoolExecutor(number, multiprocessing.get_context("spawn"), _begin, (tables,))
    try:
        yield pool
    except BrokenProcessPool:
        raise DataError("a trial must end by itself; found its process killed, which most often means that memory ran out. The same command goes on; "
                        "try workers=1 or fewer learners.") from None
    except BaseException:
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        os.environ.pop("OMP_NUM_THREADS") if before is None else os.environ.update(OMP_NUM_THREADS=before)


def _begin(tables: dict[str, Any]) -> None:
    """In a new worker: hold the tables, leave Ctrl-C to the parent, and end when the parent has ended."""
    HELD.update(tables)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent: Any = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def search(study: Study, trials: int, at_once: int, pool: ProcessPoolExecutor, job: Callable[[dict], tuple],
           track: Callable[..., None], said: Callable[..., None]) -> None:
    """Run trials until ``trials`` are finished in all; ``job`` says what the pool runs, ``track`` keeps a trial before it counts as finished."""
    pending: dict[Any, tuple[int, dict]] = {}
    while True:
        while len(pending) < at_once and len(study.scores) + len(pending) < trials:
            number, settings = study.ask()
            pending[pool.submit(*job(settings))] = (number, settings)
        if not pending:
            return
        for future in wait(pending, return_when=FIRST_COMPLETED).done:
            number, settings = pending.pop(future)
            scores = future.result()
            track(number, settings, scores)
            study.tell(number, scores)
            said(settings, scores)
