"""Did the reform help? One design on real or invented data, and how often its intervals hold the truth in invented reforms."""

from __future__ import annotations

from typing import Any

import hydra
import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf

from edukit.evaluation import RunReport, reform_worlds
from edukit.evaluation.methods_effect import evaluate_methods
from edukit.evaluation.module_gaps import NOT_PASSED
from edukit.evaluation.reform import SHOWN, evaluate_reform, together
from edukit.governance.privacy import K
from edukit.metrics import record
from edukit.report.gap_page import write_csv
from edukit.schema import DataError

from . import recipe

TABLES = ("effects", "naive", "placebos", "balance", "attrition")


def run(cfg: DictConfig) -> RunReport:
    """Judge the reform that ``cfg.reform`` describes, compare teaching approaches where asked, and try the designs on invented reforms."""
    with recipe.open_run(cfg) as job:
        rows = learners_of(job.data.tables)
        asked: dict[str, Any] = OmegaConf.to_container(cfg.reform, resolve=True)  # type: ignore[assignment]
        outcomes = asked.pop("outcome")
        named = outcomes if isinstance(outcomes, list) else [outcomes]
        found = [evaluate_reform(places(rows, asked["treatment"], cfg.reformed), outcome=outcome, seed=job.seed, **asked) for outcome in named]
        for outcome, said in zip(named, together(found), strict=True):
            for line in said.lines():
                recipe.say(line)
            job.metrics += said.records()
            for name in TABLES:
                keep(job, f"{outcome}_{name}.csv", getattr(said, name))
        if cfg.methods.approach is not None:
            table = evaluate_methods(rows, seed=job.seed, **OmegaConf.to_container(cfg.methods, resolve=True))  # type: ignore[arg-type]
            keep(job, "methods.csv", table)
            for row in table.to_dict("records"):
                recipe.say(f"{row['approach']} against {row['against']}, {cfg.methods.suits} {row['group']}: {row['verdict']} "
                           f"({row['value']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}])")
                job.metrics.append(record("approach_effect", row["value"], row["n"], row["low"], row["high"], group=f"{row['group']}", channel=row["approach"]))
        for design in cfg.designs if cfg.worlds else ():
            job.metrics += tried(design, cfg.world_effect, cfg.worlds, job.seed)
    return job.report


def learners_of(tables: dict[str, Any]) -> pd.DataFrame:
    """One row an enrolment with the attributes of its learner and whether it was passed; of data without endings one row a learner."""
    learners, seats = tables.get("learners"), tables.get("enrolments")
    if seats is None or "final_result" not in seats:
        if learners is None:
            raise DataError(f"a reform is judged from the table learners or enrolments; found {', '.join(tables)}.")
        return learners
    rows = seats.dropna(subset=["final_result"])
    rows = rows.assign(passed=(~rows["final_result"].isin(NOT_PASSED)).astype(float))
    return rows if learners is None else rows.merge(learners, on="learner_id", how="left")


def places(rows: pd.DataFrame, treatment: str, reformed: Any) -> pd.DataFrame:
    """The rows with a column ``reformed`` where the config names the modules that were."""
    return rows if treatment != "reformed" or reformed is None else rows.assign(reformed=rows["module_id"].isin(list(reformed)))


def keep(job: recipe.Run, name: str, table: pd.DataFrame) -> None:
    """Leave a table with the run, without the numbers that rest on fewer than ten learners."""
    write_csv(few_hidden(table), job.folder / name)
    job.tracked.append(name)


def few_hidden(table: pd.DataFrame, k: int = K) -> pd.DataFrame:
    """Without the numbers of rows of fewer than ``k`` learners, and without shares that stand for 1 to ``k`` - 1 who were lost."""
    safe, numbers = table.copy(), table.select_dtypes("number").columns
    if "n" in safe:
        safe[numbers] = safe[numbers].astype("float64").mask(table["n"].between(1, k - 1), axis=0)
    if "n_approach" in safe:
        safe.loc[table["n_approach"].between(1, k - 1), numbers] = np.nan
    if {"n", "missing"} <= set(safe):
        lost = (table["n"] * table["missing"]).round().between(1, k - 1)
        safe.loc[lost, [c for c in ("missing", "difference", "low", "high") if c in safe]] = np.nan
    return safe


def tried(design: str, effect: float, worlds: int, seed: int) -> list[dict]:
    """How often the 95 % interval of a design holds the planted effect, how far off it is, and the same of the naive comparison; and its false alarms."""
    found = reform_worlds.coverage(design, effect, worlds, seed)
    nothing = reform_worlds.coverage(design, 0.0, worlds, seed + 1)
    made = []
    for name, start in (("", ""), ("naive_", "naive_")):
        table = found.dropna(subset=[f"{start}low"])
        held = float(((table[f"{start}low"] <= effect) & (table[f"{start}high"] >= effect)).mean())
        half = 1.96 * float(np.sqrt(held * (1 - held) / len(table)))
        made += [record(f"{name}coverage", held, len(table), max(held - half, 0), min(held + half, 1), model=design),
                 record(f"{name}bias", float(table[f"{start}value"].mean() - effect), len(table), model=design)]
    made += [record("shown", float((found["verdict"] == SHOWN).mean()), worlds, model=design),
             record("shown_without_effect", float((nothing["verdict"] == SHOWN).mean()), worlds, model=design)]
    recipe.say(f"{design:<14}of {worlds} invented reforms the interval holds the truth in {made[0]['value']:.1%} (naive {made[2]['value']:.1%}); off by "
               f"{made[1]['value']:+.3f} on average (naive {made[3]['value']:+.3f}); shown {made[4]['value']:.1%}, without any effect {made[5]['value']:.1%}")
    return made


@hydra.main(version_base="1.3", config_path=recipe.CONF, config_name="evaluate_reform")
def main(cfg: DictConfig) -> None:
    """Entry of the command line."""
    recipe.guard(run, cfg)
