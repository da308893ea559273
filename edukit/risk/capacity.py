"""Who is called first when only so many can be: exactly as many as a teacher can look after, never a threshold."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from edukit.risk.snapshot import UNIT
from edukit.schema import DataError

NOW, NEXT, LATER, UNKNOWN = "contact now", "next in line", "not now", "not enough data"
TIERS = (NOW, NEXT, LATER, UNKNOWN)
"""The highest risks, as many as there is time for; as many again after them; everybody else; those of whom nothing was seen."""


def in_turn(risk: pd.Series) -> np.ndarray:
    """Positions (N,) from the highest risk down; NaN comes last.

    Equal risks are ordered by a hash of the index (learner, module, presentation): the same on every machine, and in favour of nobody.
    """
    lots = np.array([hashlib.sha256("\0".join(map(str, unit if isinstance(unit, tuple) else (unit,))).encode()).hexdigest() for unit in risk.index])
    return np.lexsort([lots, -risk.to_numpy(float)])


def tiers(risk: pd.Series, capacity: int) -> pd.Series:
    """The tier of every unit, aligned to the index: exactly ``capacity`` of them are to be contacted now, fewer only where fewer have a risk.

    Raises
    ------
    DataError
        Where the capacity is below 1, or a unit is there twice.
    """
    if capacity < 1:
        raise DataError(f"capacity must be 1 or more; found {capacity}. It is the number of learners whom there is time for.")
    if risk.index.has_duplicates:
        raise DataError(f"risks must hold each unit once; found {int(risk.index.duplicated().sum())} twice")
    order = in_turn(risk)
    found = pd.Series(LATER, index=risk.index, name="tier", dtype="object")
    found.iloc[order[:capacity]], found.iloc[order[capacity:2 * capacity]] = NOW, NEXT
    return found.mask(risk.isna(), UNKNOWN).astype("str")


def risk_table(predicted: pd.DataFrame, cutoff_day: float, capacity: int) -> pd.DataFrame:
    """Table ``risks``, the highest risk first.

    Parameters
    ----------
    predicted : ``risk, low, high`` by unit, as a model's ``predict`` returns; NaN where nothing was seen.
    capacity : how many can be contacted.
    """
    table = predicted.assign(tier=tiers(predicted["risk"], capacity), cutoff_day=float(cutoff_day)).iloc[in_turn(predicted["risk"])]
    return table.reset_index()[["learner_id", "cutoff_day", "risk", "low", "high", "tier", *UNIT[1:]]]
