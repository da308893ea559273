"""Scales on which answers are graded: the levels of a question or a criterion, and categorical grades put in an order."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from edukit.schema import DataError

OVERALL = "overall"
CRITERION = "criterion:"  # before the id of a criterion, in the name of a column of answers that holds its scores
ORDER = ("contradictory", "incorrect", "partially_correct_incomplete", "correct")  # of the labels that published data carry, from worst to best
MOST = 100  # levels of a scale; more is no scale of a rubric


def labels_in_order(labels: Iterable[str]) -> dict[str, float]:
    """The level of each categorical grade: published ones from worst to best, others by the alphabet.

    Examples
    --------
    >>> labels_in_order(["correct", "incorrect", "contradictory"])
    {'contradictory': 0.0, 'incorrect': 1.0, 'correct': 2.0}
    """
    rank = {label: i for i, label in enumerate(ORDER)}
    return {label: float(i) for i, label in enumerate(sorted(set(labels), key=lambda one: (rank.get(one, len(rank)), one)))}


def scored(answers: pd.DataFrame, labels: dict[str, float] | None = None) -> tuple[pd.DataFrame, dict[str, float]]:
    """Answers with a ``score`` each, also where people gave a label, and which level each label is.

    Parameters
    ----------
    answers : table ``answers``. labels : levels of the labels, where they are known; else by :func:`labels_in_order`.

    Raises
    ------
    DataError
        For a label that is not among the known ones.
    """
    known = "score" in answers and answers["score"].notna().any()
    if known or "label" not in answers or not answers["label"].notna().any():
        return (answers if "score" in answers else answers.assign(score=np.nan)), {}
    found = labels or labels_in_order(answers["label"].dropna())
    if odd := sorted(set(answers["label"].dropna()) - set(found)):
        raise DataError(f"answers.label must be one of {', '.join(found)}; found {odd[0]!r}. Fit a grader on answers that carry this label too.")
    return answers.assign(score=answers["label"].map(found).astype(float)), found


def scale(given: Iterable[float], top: float | None, known: Iterable[float] = ()) -> np.ndarray:
    """The levels of a scale, rising: those that a rubric knows, else whole marks from 0 to the top where the given ones are whole, else the given ones.

    Examples
    --------
    >>> scale([0, 2], 3).tolist(), scale([0.5, 1], None).tolist(), scale([], 1).tolist()
    ([0.0, 1.0, 2.0, 3.0], [0.5, 1.0], [0.0, 1.0])
    """
    given, known = sorted({float(v) for v in given}), sorted({float(v) for v in known})
    if known and set(given) <= set(known):
        return np.array(known)
    highest = max([*given, *([] if top is None or not np.isfinite(top) else [float(top)])], default=1.0)
    if all(v == int(v) for v in [*given, highest]) and 1 <= highest < MOST and (not given or given[0] >= 0):
        return np.arange(int(highest) + 1, dtype=float)
    return np.array(given if len(given) > 1 else [*given, max(highest, *given) + 1.0] if given else [0.0, highest])
