"""Audit predictions for gaps between groups: those of a run, and what `edukit audit fairness` reads from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from edukit.evaluation import by_group
from edukit.governance import fairness
from edukit.report import fairness_figures
from edukit.report.gap_page import write_csv
from edukit.schema import DataError

from . import recipe

OUTCOME, PREDICTION, LEARNER = ("y", "outcome", "correct", "label"), ("p", "probability", "risk", "prediction"), "learner_id"
UNIT = (LEARNER, "module_id", "presentation")
FILE = "fairness.csv"


def of_run(job: recipe.Run, y: np.ndarray, p: np.ndarray, learner_ids: pd.Series | pd.Index, *, model: str, split: str, **settings: Any) -> pd.DataFrame:
    """Audit predictions by every attribute of the run's learners: ``fairness.csv``, records, a figure, and a line for each gap that holds.

    Parameters
    ----------
    y, p, learner_ids : (N,) outcomes, probabilities, and whose they are. settings : ``strata, threshold, permutations, draws`` of the audit.
    """
    table, records = by_group.audited(np.asarray(y, float), np.asarray(p, float), learner_ids, job.data.tables.get("learners"), model=model, split=split,
                                      seed=job.seed, **settings)
    if table.empty:
        recipe.say("fairness: not audited, as the data tells no attribute of learners")
        return table
    job.metrics += records
    job.fairness = table
    job.tracked.append(write_csv(table, job.folder / FILE).name)
    job.keep("fairness", fairness_figures.gaps_by_group(table))
    for line in summary(table):
        recipe.say(line)
    return table


def summary(table: pd.DataFrame) -> list[str]:
    """What an audit found, in lines."""
    told = int((table["state"] == fairness.ESTIMATED).sum())
    found = fairness.found_gaps(table)
    begin = f"fairness: {told} of {len(table)} groups could be audited"
    if not told:
        return [f"{begin}, for want of learners or of both outcomes"]
    return [f"{begin}; {len(found)} gap{'s' * (len(found) != 1)} hold{'s' * (len(found) == 1)} after correction" if found
            else f"{begin}; no gap shown after correction (which is no proof that there is none: see power)", *(f"  {line}" for line in found)]


def lines(table: pd.DataFrame) -> list[str]:
    """The audit as text: a line per group, then what was found."""
    def number(value: float) -> str:
        return f"{value:6.3f}" if np.isfinite(value) else "     -"

    shown = [f"{'group':<44}{'learners':>8}  abroca  [95 %]            p(Holm)  power   tpr gap  fpr gap  calibration gap"]
    for row in table.to_dict("records"):
        name = f"{row['attribute']} = {row['group']}"[:43]
        if row["state"] != fairness.ESTIMATED:
            shown.append(f"{name:<44}{'':>8}  {row['state']}: {row['reason']}")
            continue
        learners = "hidden" if pd.isna(row["learners"]) else f"{row['learners']:,}"
        shown.append(f"{name:<44}{learners:>8}  {number(row['abroca'])}  [{number(row['low'])}, {number(row['high'])}]  {row['p_adjusted']:7.3g}  "
                     f"{row['power']:5.2f}   {number(row['tpr_gap'])}   {number(row['fpr_gap'])}   {number(row['calibration_gap'])}")
    return [*shown, *summary(table)]


def of_files(predictions: Path, groups: Path, *, within: str | None = None, threshold: float = 0.5, seed: int = 0) -> pd.DataFrame:
    """Audit a table of predictions by the columns of a table of groups.

    Parameters
    ----------
    predictions : csv or parquet with ``learner_id`` (and ``module_id``, ``presentation`` where one has several), an outcome (``outcome``, ``correct``,
        ``label`` or ``y``) and a probability (``probability``, ``risk``, ``prediction``, ``p``).
    groups : csv or parquet with ``learner_id`` and a column per attribute; joined by ``module_id`` and ``presentation`` too where both tables have them.
    within : column of either table within whose values groups are compared.
    threshold : probability from which on a prediction counts as an alarm.

    Raises
    ------
    DataError
        Where a file or column is missing, a learner has two rows of groups, or none of the learners is known.
    """
    told, known = _read(predictions, "PREDICTIONS"), _read(groups, "--groups")
    outcome, probability = (_one(told, names, predictions) for names in (OUTCOME, PREDICTION))
    keys = [c for c in UNIT if c in told and c in known]
    if LEARNER not in keys:
        raise DataError(f"PREDICTIONS and --groups must both have the column {LEARNER}; found {', '.join(told)} and {', '.join(known)}.")
    if twice := int(known.duplicated(keys).sum()):
        raise DataError(f"--groups must hold a learner once ({', '.join(keys)}); found {twice} repeated. Keep one row of each.")
    both = told.merge(known, on=keys, how="left", suffixes=("", " of groups"), indicator="found in both")
    if not (both["found in both"] == "both").any():
        raise DataError(f"--groups must know learners of PREDICTIONS; found none of {told[LEARNER].nunique():,}. Are both under the same pseudonyms?")
    if within is not None and within not in both:
        raise DataError(f"--within must name a column; found {within} in neither file. Columns are {', '.join(both.columns[:-1])}.")
    columns = [c if c not in told else f"{c} of groups" for c in known if c not in (*UNIT, within, "published_part")]
    y, p = (pd.to_numeric(both[c], errors="coerce").to_numpy(float) for c in (outcome, probability))
    own = both[columns].rename(columns=lambda c: c.removesuffix(" of groups"))
    return fairness.audit(y, p, own, None if within is None else both[within].to_numpy(), units=both[LEARNER].to_numpy(), threshold=threshold, seed=seed)


def _one(table: pd.DataFrame, names: tuple[str, ...], path: Path) -> str:
    found = next((name for name in names if name in table), None)
    if found is None:
        raise DataError(f"{path} must have one of the columns {', '.join(names)}; found {', '.join(map(str, table.columns))}.")
    return found


def _read(path: Path, what: str) -> pd.DataFrame:
    if not path.is_file():
        raise DataError(f"{what} must be a csv or parquet file; found no {path}.")
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype={name: "str" for name in UNIT})
    except (ValueError, OSError) as error:
        raise DataError(f"{what} {path} must be a csv or parquet file with a header; found something else ({str(error).splitlines()[0]}).") from error
    return table.assign(**{name: table[name].astype("str") for name in UNIT if name in table})
