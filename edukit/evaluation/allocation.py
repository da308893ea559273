"""Who gets the tutoring hours there are: the largest expected benefit first, under an exact capacity, with a fair share where one is asked for."""

from __future__ import annotations

import numpy as np
import pandas as pd

from edukit.schema import DataError

COLUMNS = ["tutored", "benefit", "state"]


def allocate(risk: pd.Series, capacity_hours: int, hours_each: int, effect: float, groups: pd.Series | None = None, floor: float = 0.0) -> pd.DataFrame:
    """Give tutoring of ``hours_each`` hours to the learners for whom it is expected to lower risk the most.

    What tutoring does is an input, not a finding: ``effect`` is by how much it lowers the logit of the risk. Of the same effect those in the middle
    gain more than those whose risk is near 0 or 1.

    Parameters
    ----------
    risk : P(fail or leave) by learner; missing = not enough data, which gets no place by this rule and is named so.
    capacity_hours : whole hours there are in all.
    hours_each : whole hours for one learner.
    effect : by how much tutoring lowers the logit of the risk (from a trial, or a belief that is stated).
    groups : group of each learner, for the floor; in nothing else.
    floor : 0 to 1: each group gets at least this part of the places it would have by its size (rounded down).

    Returns
    -------
    DataFrame
        Index of ``risk``: tutored (bool), benefit (expected fall of risk), state (estimated, not enough data). Ties go by the index, so that equal
        input gives equal places.

    Raises
    ------
    DataError
        On negative capacity, an hour count that is not whole, or risks outside 0 to 1.

    Examples
    --------
    >>> allocate(pd.Series({"a": .5, "b": .99, "c": .2}), capacity_hours=5, hours_each=4, effect=.6)["tutored"].tolist()
    [True, False, False]
    """
    rules = ((capacity_hours >= 0 and capacity_hours == int(capacity_hours), f"capacity_hours must be a whole number of at least 0; found {capacity_hours}"),
             (hours_each >= 1 and hours_each == int(hours_each), f"hours_each must be a whole number of at least 1; found {hours_each}"),
             (0 <= floor <= 1, f"floor must lie between 0 and 1; found {floor}"), (np.isfinite(effect), f"effect must be finite; found {effect}"),
             (not floor or groups is not None, "floor needs groups=; found none"),
             (bool(risk.dropna().between(0, 1).all()), "risk must lie between 0 and 1"))
    faults = [words for holds, words in rules if not holds]
    if faults or risk.index.has_duplicates:
        raise DataError(f"tutoring: {'; '.join(faults or ['each learner must stand once in risk'])}.")
    p = risk.clip(1e-9, 1 - 1e-9)
    benefit = risk - 1 / (1 + np.exp(-(np.log(p / (1 - p)) - effect)))
    table = pd.DataFrame({"tutored": False, "benefit": benefit, "state": np.where(risk.isna(), "not enough data", "estimated")}, index=risk.index)
    eligible = table[benefit > 0].assign(_key=[str(i) for i in benefit.index[benefit > 0]])
    order = eligible.sort_values(["benefit", "_key"], ascending=[False, True]).index
    places = int(capacity_hours) // int(hours_each)
    first: list = []
    if floor and groups is not None:
        own = groups.reindex(risk.index)
        for group, size in own.value_counts().sort_index().items():
            least = int(np.floor(floor * places * size / len(risk) + 1e-9))
            first += [i for i in order if own[i] == group][:least]
    chosen = (first + [i for i in order if i not in set(first)])[:places]
    table.loc[chosen, "tutored"] = True
    return table[COLUMNS]
