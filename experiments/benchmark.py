"""Which tracing model should one use? Every model on the same folds and seeds, beside the floors: scores, calibration, cost and paired tests."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
import joblib
import numpy as np
import pandas as pd
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from edukit.evaluation import RunReport, comparison, evaluate
from edukit.metrics import record
from edukit.report import figures, leaderboard, leaderboard_figures
from edukit.reproducibility import code_fingerprint
from edukit.schema import DataError

from . import benchmark_cells, fairness_audit, recipe
from .benchmark_cells import FLOORS, FOLDS, Bench, Cell

COSTS = {"fit_seconds": "fit_seconds", "predict_seconds": "predict_seconds", "peak_rss_mb": "cell_peak_rss_mb", "parameters": "parameters"}
LEAST_DRAWS = 20


def run(cfg: DictConfig) -> RunReport:
    """Fit every model of ``cfg.models`` on the cells that are not on disk yet, judge them on the test learners, write the leaderboard."""
    check(cfg)
    with recipe.open_run(cfg) as job:
        models, static = benchmark_cells.chosen(cfg.models, job.data)
        train, test = job.part(static)
        if static and cfg.folds > 1:
            recipe.say(f"folds={cfg.folds} plays no part: without order each seed sets aside other responses; use seeds")
        resolved: Any = OmegaConf.to_container(cfg, resolve=True)
        bench = Bench(resolved, job.data, train, test, static)
        cells = benchmark_cells.plan(bench, models, job.split["fingerprint"], Path(cfg.paths.tracking).parent / "cells")
        refused = benchmark_cells.finish(cells, bench, cfg.workers)
        for model, why in refused.items():
            recipe.say(f"left out: {model}: {why}")
        kept = [cell for cell in cells if cell.model not in refused]
        if not kept:
            raise DataError(f"a benchmark needs a model that can learn from data {job.data.label}; each declined: {'; '.join(refused.values())}")
        recipe.say("judging")
        found = judged(kept, bench, cfg.draws)
        networks = list(dict.fromkeys(row["model"] for row in found["cells"] if row.get("network")))
        verdicts = comparison.verdicts(found["records"], networks, FLOORS, next((m for m in models if m.split()[0] == "logistic"), None))
        job.metrics += found["records"]
        for line in (*evaluate.lines([r for r in job.metrics if r["split"] == "test" and r["channel"] is None], ("auc", "log_loss", "ece")), *verdicts):
            recipe.say(line)
        keep(job, found, test)
        page = leaderboard.Leaderboard(
            title=f"Tracing models on {job.data.label}", records=job.metrics, verdicts=verdicts, protocol=protocol(bench, job.split, cfg),
            differences=comparison.sentences(job.metrics), left_out=refused, floors=FLOORS, networks=networks,
            source=source(job, train, test), pictures={name: job.folder / file for name, file in job.figures.items()})
        job.figures["leaderboard"] = page.write(job.folder / "leaderboard.html").name
        job.tracked += ["predictions.parquet", "cells.parquet"]
    return job.report


def check(cfg: DictConfig) -> None:
    """Refuse numbers that make no plan."""
    for name, most in (("seeds", None), ("folds", FOLDS), ("workers", None)):
        value = cfg[name]
        if not isinstance(value, int) or value < 1 or (most and value > most):
            raise DataError(f"{name} must be a whole number from 1{f' to {most}' if most else ' up'}; found {value}")
    if cfg.draws < LEAST_DRAWS:
        raise DataError(f"draws must be {LEAST_DRAWS} or more, for intervals of any use; found {cfg.draws}")


def judged(cells: Sequence[Cell], bench: Bench, draws: int) -> dict[str, Any]:
    """Records of all models and floors, their differences, a row for each cell, and per model what each cell said of the test rows, as it is and calibrated."""
    places = list(dict.fromkeys((cell.seed, cell.fold) for cell in cells))
    aside = {place: bench.aside(*place)[1] for place in places}
    told: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    rows: list[dict] = []
    for cell in cells:
        table, cost = benchmark_cells.answers(cell)
        by_part = {part: own.set_index("row")["probability"] for part, own in table.groupby("part")}
        told.setdefault(cell.model, []).append((by_part["valid"].reindex(aside[cell.seed, cell.fold].index).to_numpy(float),
                                                by_part["test"].reindex(bench.test.index).to_numpy(float)))
        rows.append({"model": cell.model, "seed": cell.seed, "fold": cell.fold, **cost, "file": str(cell.file)})
    for place in places:
        for floor, both in bench.floors(*place).items():
            told.setdefault(floor, []).append(both)
            rows.append({"model": floor, "seed": place[0], "fold": place[1]})
    learners = bench.data.tables.get("learners")
    jobs = [joblib.delayed(comparison.judge)(model, some, list(aside.values()), bench.test, learners, int(bench.cfg["seed"]), draws)
            for model, some in told.items()]
    with joblib.parallel_config("loky", n_jobs=int(bench.cfg["workers"]), inner_max_num_threads=1):
        found: dict[str, comparison.Judged] = dict(zip(told, joblib.Parallel()(jobs), strict=True))  # type: ignore[arg-type]
    records = [r for one in found.values() for r in one.records] + costs(rows)
    records += comparison.differences({model: one.auc for model, one in found.items()}, len(bench.test))
    at = {model: iter(range(len(places))) for model in found}
    for row in rows:
        k, one = next(at[row["model"]]), found[row["model"]]
        row |= {"auc": float(one.auc.each[k]), "calibrated_by": one.methods[k]}
    return {"records": records, "cells": rows, "said": {m: ([p for _, p in told[m]], one.calibrated) for m, one in found.items()}}


def costs(rows: Sequence[Mapping]) -> list[dict]:
    """What a cell of each model took, on average: processor seconds, peak memory, learnt numbers."""
    table = pd.DataFrame(rows).reindex(columns=["model", *COSTS]).groupby("model", sort=False)
    return [record(name, float(value), int(n), split="test", model=str(model)) for column, name in COSTS.items()
            for model, value, n in zip(table[column].mean().index, table[column].mean(), table[column].count(), strict=True) if n]


def keep(job: recipe.Run, found: Mapping[str, Any], test: pd.DataFrame) -> None:
    """Write predictions (means over cells; those of each cell lie in the files that cells.parquet names), cells and figures."""
    said = [evaluate.table(test, np.mean(plain, axis=0), model, "test").assign(calibrated=np.mean(calibrated, axis=0))
            for model, (plain, calibrated) in found["said"].items()]
    pd.concat(said, ignore_index=True).to_parquet(job.folder / "predictions.parquet", index=False)
    pd.DataFrame(found["cells"]).to_parquet(job.folder / "cells.parquet", index=False)
    overall = [r for r in job.metrics if r["name"] == "auc" and r["split"] == "test" and not r["group"]]
    order = [r["model"] for r in sorted(overall, key=lambda r: -(r["value"] if r["value"] == r["value"] else 0))]
    job.keep("comparison", figures.metric_comparison(sorted(overall, key=lambda r: order.index(r["model"]))))
    y = test["correct"].to_numpy(float)
    if best := next((model for model in order if model not in FLOORS), None):
        fairness_audit.of_run(job, y, np.mean(found["said"][best][0], axis=0), test["learner_id"], model=best, split="test")
    job.keep("reliability", leaderboard_figures.reliabilities(y, {m: found["said"][m] for m in order if m not in FLOORS}))
    job.keep("cost", leaderboard_figures.cost(job.metrics))
    if any(str(r["group"]).startswith("first ") and str(r["group"]).endswith(" answers") for r in job.metrics):
        job.keep("cold_start", leaderboard_figures.cold_start(job.metrics, FLOORS))


def protocol(bench: Bench, split: Mapping[str, Any], cfg: DictConfig) -> list[str]:
    """What was done, in sentences."""
    if bench.static:
        aside = (f"The order of responses plays no part: the test rows are a share of each learner's responses (split {split['name']}). Each of "
                 f"{cfg.seeds} seeds sets aside a fifth of each learner's other responses for calibration; the test rows are forecast from all "
                 "responses that are not test rows.")
    else:
        aside = (f"Test rows: split {split['name']}, the same for every model. The training learners are cut into {FOLDS} folds by each of {cfg.seeds} seeds; "
                 + (f"{cfg.folds} of them are set aside in turn" if cfg.folds > 1 else "one of them is set aside")
                 + " for calibration, and a model learns from the other four, so that a run on all training learners (`edukit run trace`) may score "
                 "a little higher.")
    return [aside, "A score is the mean over these cells, with its standard deviation over them; the interval (95 %) is over learners drawn again. "
                   "One response is one row: nothing here is scored per concept.",
            "Calibration: none, a line through the log-odds (Platt), the same with a bend (beta) or a rising staircase (isotonic), whichever does best on "
            "learners set aside. Test answers choose and fit nothing.",
            "Models are compared in pairs on the same cells and the same drawn learners; p-values are adjusted over all pairs (Holm). "
            "Seconds are processor seconds of one thread; memory is the peak of the process of a cell, libraries included."]


def source(job: recipe.Run, train: pd.DataFrame, test: pd.DataFrame) -> dict[str, str]:
    """Where the numbers come from, and the command that gives them again."""
    cfg = job.cfg
    if HydraConfig.initialized():
        words = list(HydraConfig.get().overrides.task)
    else:  # called from Python, which leaves no list of what was changed
        words = [f"data={job.data.name}", f"seed={cfg.seed}", f"seeds={cfg.seeds}", f"folds={cfg.folds}",
                 *([f"models=[{','.join(repr(m) if ' ' in m else m for m in cfg.models)}]"] if cfg.models is not None else []),
                 *([f"learners={cfg.learners}"] if cfg.learners is not None else [])]
    return {"data": f"{job.data.label}, fingerprint {job.data.fingerprint[:12]}", "split": f"{job.split['name']}, fingerprint {job.split['fingerprint'][:12]}",
            "training": f"{len(train):,} responses of {train['learner_id'].nunique():,} learners",
            "test": f"{len(test):,} responses of {test['learner_id'].nunique():,} learners",
            "seed": str(job.seed), "code": code_fingerprint()[:12],
            "command": " ".join(["edukit run benchmark", *(f'"{word}"' if "'" in word else shlex.quote(word) for word in words)])}


@hydra.main(version_base="1.3", config_path=recipe.CONF, config_name="benchmark")
def main(cfg: DictConfig) -> None:
    """Entry of the command line."""
    recipe.guard(run, cfg)


if __name__ == "__main__":
    main()
