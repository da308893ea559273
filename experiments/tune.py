"""Find the settings of a model that predict new learners best, on learners of the training part; a study that was stopped goes on."""

from __future__ import annotations

import inspect
import os
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import pandas as pd
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from edukit import splits
from edukit.evaluation import RunReport, tracking
from edukit.metrics import SCORES, record
from edukit.reproducibility import code_fingerprint, fingerprint
from edukit.schema import DataError

from . import recipe
from .study import FEW, HELD, KINDS, Study, search, workers

DIRECTION = {"log_loss": "minimize", "auc": "maximize"}
OWN = ("trials", "workers", "objective", "valid", "space", "ranges")  # words of this experiment, unknown to `trace`


def space_of(cfg: DictConfig) -> dict[str, list]:
    """Settings to be looked for, each with its range or choices.

    Raises
    ------
    DataError
        For a name that is no argument of the model or has no range, and for a range that cannot be read.
    """
    settings, asked = set(cfg.tracing) - {"_target_"}, OmegaConf.to_container(cfg)["space"]  # type: ignore[index]
    ranges: dict[str, Any] = OmegaConf.to_container(cfg.ranges)  # type: ignore[assignment]
    if asked is None:
        asked = [name for name in ranges if name in settings]
    if unknown := sorted(set(asked) - settings):
        raise DataError(f"space must name arguments of {cfg.tracing._target_}: {', '.join(sorted(settings))}; found {', '.join(map(str, unknown))}")
    if unknown := [name for name in asked if isinstance(asked, list) and name not in ranges]:
        raise DataError(f"space names {', '.join(unknown)} without a range, and none is known; write space={{{unknown[0]}: [uniform, 0, 1]}}")
    found = asked if isinstance(asked, dict) else {name: ranges[name] for name in asked}
    if not found:
        raise DataError(f"space must name a setting to look for; found none that {cfg.tracing._target_} has. Write space={{name: [uniform, 0, 1]}}.")
    for name, entry in found.items():
        bounds = entry[1:] if isinstance(entry, list) and entry[:1] and entry[0] in KINDS else None
        if not isinstance(entry, list) or (len(entry) < 2 if bounds is None else len(bounds) != 2 or bounds[0] >= bounds[1]):
            raise DataError(f"space.{name} must be [log, low, high], [uniform, low, high], [int, low, high] or two choices and more; found {entry}")
    return found


def run(cfg: DictConfig, words: Sequence[str] = ()) -> RunReport:
    """Look for settings of ``cfg.tracing`` on learners of the training part; ``words`` are what the user typed, to print the command that comes next."""
    if cfg.objective not in DIRECTION:
        raise DataError(f"objective must be one of {', '.join(DIRECTION)}; found {cfg.objective}")
    if min(cfg.trials, cfg.workers) < 1:
        raise DataError(f"trials and workers must be 1 or more; found trials={cfg.trials} workers={cfg.workers}")
    space, name = space_of(cfg), cfg.tracing._target_.rsplit(".", 1)[-1]
    with _nested(), recipe.open_run(cfg) as job:
        static = _static(instantiate(cfg.tracing))
        train, _ = job.part(static)
        split = splits.cells(train, job.seed, cfg.valid) if static else splits.by_learner(train, job.seed, cfg.valid)
        fit, valid = split.part(train, "train"), split.part(train, "test")
        config: Any = OmegaConf.to_container(cfg, resolve=True)
        same = {k: v for k, v in config.items() if k not in ("trials", "workers", "paths", "hydra", "ranges")} | {"space": space}
        code = code_fingerprint()
        key = fingerprint(same, job.data.fingerprint, code, split.fingerprint)[:16]
        study = Study(Path(cfg.paths.outputs) / "tune" / "studies" / f"{key}.db", space, DIRECTION[cfg.objective], job.seed, cfg.tracing)
        recipe.say(f"fitted on {len(fit):,} responses of the training part, judged on {len(valid):,} of {valid['learner_id'].nunique():,} learners there; "
                   "the test part is not read")
        os.environ[tracking.PARENT] = study.parent(cfg.paths.tracking, lambda: _parent(cfg, name, job.data.label))
        _announce(study, cfg, name)
        with workers(cfg.workers, fit=fit, valid=valid, graph=job.graph(fit)) as pool:
            search(study, cfg.trials, cfg.workers, pool, lambda found: (_score, {**config["tracing"], **found}, config["paths"], cfg.objective),
                   lambda number, found, scores: _track(job, config, code, number, found, scores, len(valid)),
                   lambda found, scores: recipe.say(_line(study, cfg, found, scores)))
        table = study.table()
        table.to_csv(job.folder / "trials.csv", index=False)
        job.tracked.append("trials.csv")
        job.metrics += _results(study, table, name, len(valid), cfg.objective, [w for w in words if w.split("=")[0].lstrip("+~") not in OWN])
    return job.report


def _parent(cfg: DictConfig, name: str, label: str) -> str:
    """A run in the tracking that the trials of a study nest under."""
    with tracking.sweep(Path(cfg.paths.tracking), cfg.experiment, ["trials", "of", name, "on", label]) as parent:
        return parent


def _announce(study: Study, cfg: DictConfig, name: str) -> None:
    """Say what it will cost before it is begun."""
    done, seconds = len(study.scores), [s["seconds"] for s in study.scores.values()]
    left = max(cfg.trials - done, 0)
    cost = f"about {left * np.mean(seconds) / cfg.workers / 60:.1f} minutes" if seconds else "how long is told after the first"
    recipe.say(f"{left} trials of {name} to run, {cfg.workers} at a time, one thread each" + (f"; {done} of {cfg.trials} are done already" if done else "")
               + (f"; {cost}" if left else ""))
    recipe.say("  settings    " + "; ".join(f"{k} {_shown(v)}" for k, v in study.ranges.items()))
    if left and cfg.workers > 1:
        recipe.say("  note        with several workers the settings tried depend on which trial ends first; workers=1 repeats exactly")


def _shown(entry: list) -> str:
    return f"{entry[1]:g} to {entry[2]:g}{' (log)' if entry[0] == 'log' else ''}" if entry[0] in KINDS else ", ".join(map(str, entry))


def _track(job: recipe.Run, config: dict, code: str, number: int, found: dict, scores: dict, n: int) -> None:
    """Write one finished trial under the parent run."""
    ended, name = int(time.time() * 1000), config["tracing"]["_target_"].rsplit(".", 1)[-1]
    metrics = [record(k, v, n, split="valid", model=name) for k, v in scores.items() if k in DIRECTION] + [record("seconds", scores["seconds"])]
    report = {"experiment": config["experiment"], "config": {**config, "tracing": {**config["tracing"], **found}}, "seed": job.seed, "split": job.split,
              "data": {"label": f"{job.data.label}, trial {number}", "fingerprint": job.data.fingerprint},
              "environment": {"code": code}, "metrics": metrics}
    tracking.track(Path(config["paths"]["tracking"]), report, [], ended - int(1000 * scores["seconds"]), ended)


def _line(study: Study, cfg: DictConfig, found: dict, scores: dict) -> str:
    """What is printed of a finished trial, with the time that the others will take."""
    done = study.scores
    left = max(cfg.trials - len(done), 0) * float(np.mean([s["seconds"] for s in done.values()])) / cfg.workers / 60
    result = f"failed: {scores['failed']}" if "failed" in scores else f"{cfg.objective} {scores['value']:.4f}"
    return f"trial {len(done)}/{cfg.trials}  {result}  {scores['seconds']:.0f} s  {_words(found)}" + (f"  about {left:.1f} min to go" if left else "")


def _words(found: dict[str, Any], prefix: str = "") -> str:
    return " ".join(f"{prefix}{k}={v}" for k, v in found.items())


def _results(study: Study, table: pd.DataFrame, name: str, n: int, objective: str, words: Sequence[str]) -> list[dict]:
    """Print the best settings, what each matters, and the command that scores them once on the test part; their records."""
    good = table[table["value"].notna()]
    if good.empty:
        raise DataError(f"some trial must end with a score; found {len(table)} that failed, the first with: {table['failed'].iloc[0]}. Narrow the space.")
    best, first = good.iloc[0], good[good["trial"] == 0]
    settings = study.settings(int(best["trial"]))
    metrics = [record(k, float(best[k]), n, split="valid", model=name, channel="best settings") for k in DIRECTION]
    recipe.say(f"best        {objective} {best['value']:.4f}, trial {best['trial']:.0f}: {_words(settings)}")
    if len(first):
        metrics += [record(k, float(first.iloc[0][k]), n, split="valid", model=name, channel="first settings") for k in DIRECTION]
        recipe.say(f"at first    {objective} {first['value'].iloc[0]:.4f}: {_words(study.settings(0))}")
    recipe.say(f"            the best of {len(good)} on the same learners looks a little better than it is; only the test part tells, once")
    importance = study.importance() if len(settings) > 1 else {}
    metrics += [record("importance", share, len(good), model=name, group=setting) for setting, share in importance.items()]
    recipe.say("importance  " + (", ".join(f"{k} {share:.2f}" for k, share in importance.items()) if importance else
                                 f"not enough data: two settings and {FEW} trials are needed; found {len(settings)} and {len(good)}"))
    recipe.say("next        " + shlex.join(["edukit", "run", "trace", *words, *(f"tracing.{k}={v}" for k, v in settings.items())]))
    return metrics


def _score(settings: dict[str, Any], paths: dict[str, str], objective: str) -> dict[str, Any]:
    """In a worker: fit one model and score it on those set aside; a network goes on where it was killed, and one that cannot be fitted says why."""
    began, fit, valid = time.perf_counter(), HELD["fit"], HELD["valid"]
    try:
        model = recipe.learner_model(OmegaConf.create(settings), OmegaConf.create(paths)).fit(fit, HELD["graph"])
        p = (model.predict(valid, fit) if _static(model) else model.predict(valid)).to_numpy()
    except Exception as error:  # whatever a library says of settings that do not go together
        return {"failed": f"{type(error).__name__}: {error}".split("\n")[0], "value": None, "seconds": time.perf_counter() - began}
    found = {name: SCORES[name](valid["correct"].to_numpy(float), p) for name in DIRECTION}
    if not np.isfinite(found[objective]):
        return {"failed": f"{objective} is {found[objective]}", "value": None, "seconds": time.perf_counter() - began}
    return {**found, "value": found[objective], "seconds": time.perf_counter() - began}


def _static(model: Any) -> bool:
    return "given" in inspect.signature(model.predict).parameters


@contextmanager
def _nested() -> Iterator[None]:
    """What is tracked inside may be put under a parent run; afterwards all is as before."""
    before = os.environ.get(tracking.PARENT)
    try:
        yield
    finally:
        os.environ.pop(tracking.PARENT, None) if before is None else os.environ.update({tracking.PARENT: before})


@hydra.main(version_base="1.3", config_path=recipe.CONF, config_name="tune")
def main(cfg: DictConfig) -> None:
    """Entry of the command line."""
    recipe.guard(run, cfg, HydraConfig.get().overrides.task)


if __name__ == "__main__":
    main()
