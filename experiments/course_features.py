"""Every feature of a snapshot that its tables allow: work, clicks, attendance where there is a register, weeks for a model that reads them; and days nearby."""

from __future__ import annotations

import pandas as pd
from hydra.utils import get_class
from omegaconf import DictConfig

from edukit.data.attendance import absence_runs, attendance_summary, weekday_absence
from edukit.risk import features, weekly_events
from edukit.risk.attendance_features import attendance_features
from edukit.risk.snapshot import Snapshot, Taken


def attended(taken: Taken) -> pd.DataFrame | None:
    """Attendance features by learner and presentation (a term of the register), from the register up to the cutoff; None where there is none."""
    register = taken.tables.get("attendance")
    if register is not None:
        register = register[register["term"].isin(taken.enrolments.unique("presentation"))]
    if register is None or register.empty:
        return None
    parts = [attendance_features(attendance_summary(rows), absence_runs(rows), weekday_absence(rows), float(rows["day"].max())).assign(presentation=str(term))
             for term, rows in register.groupby("term")]
    return pd.concat(parts, ignore_index=True)


def course_features(taken: Taken, weekly: bool = False) -> pd.DataFrame:
    """Features by unit, as :func:`edukit.risk.features.build` returns them; ``weekly`` adds the columns of each week."""
    return (weekly_events.build if weekly else features.build)(taken, attended(taken))


def reads_weeks(cfg: DictConfig) -> bool:
    """Whether the model of the config reads a column a week."""
    return bool(getattr(get_class(cfg.risk._target_), "weekly", False))


def built(tables: dict[str, pd.DataFrame], cfg: DictConfig, day: int, attributes: tuple[str, ...]) -> pd.DataFrame:
    """Features of everybody at the end of a day."""
    taken = Snapshot(day, cfg.population, cfg.assessments_by, attributes).take(tables)
    return course_features(taken, reads_weeks(cfg))


def apart(tables: dict[str, pd.DataFrame], judged: pd.MultiIndex, kind: str) -> dict[str, pd.DataFrame]:
    """The tables without a row of those who are judged (``kind`` = learner), or else of the presentations that are."""
    names, level = (("learner_id",), "learner_id") if kind == "learner" else (("presentation", "term"), "presentation")
    out, found = judged.get_level_values(level).unique(), dict(tables)
    for name, table in tables.items():
        for column in (c for c in names if c in table):
            found[name] = found[name][~found[name][column].isin(out)]
    return found


def beside(tables: dict[str, pd.DataFrame], cfg: DictConfig, week: int, attributes: tuple[str, ...]) -> dict[int, pd.DataFrame]:
    """Features at the ends of days near that of a week, to learn from: due days move from year to year. None for a model that reads weeks.

    The later of these days lies after the cutoff: hand over tables without those who are judged (:func:`apart`), whose work then counts in no mean.
    """
    days = [7 * week + step * cfg.nearby for step in (-1, 1)] if cfg.nearby and not reads_weeks(cfg) else []
    return {day: built(tables, cfg, day, attributes) for day in days if day >= 0}


def learnt_from(train: pd.DataFrame, near: dict[int, pd.DataFrame], cutoff: int) -> pd.DataFrame:
    """Rows of the learning part, those of the days nearby beside them, with the day as a further level; the columns are those of the cutoff."""
    rows = pd.concat({cutoff: train, **{day: table.reindex(columns=train.columns) for day, table in near.items()}}, names=["cutoff"])
    return rows.fillna({name: 0.0 for name in rows if "=" in name}).reorder_levels([*train.index.names, "cutoff"])
