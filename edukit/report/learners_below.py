"""Whom to talk to: of each stuck cell, the learners whose estimate lies furthest below the mark; for the page that a data owner's own server shows."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from edukit.governance.privacy import TOTAL
from edukit.report.narrative import learner_text
from edukit.report.narrative_cells import ESTIMATED, LIMITS
from edukit.schema import DataError

__all__ = ["NAMES", "learners_below"]

MOST = 10  # learners of one cell
NAMES = ("class_id", "concept_id", "learner_id", "mastery", "text")


def learners_below(mastery: pd.DataFrame, gaps: pd.DataFrame, interactions: pd.DataFrame, q_matrix: pd.DataFrame, concepts: pd.DataFrame,
                   prerequisites: pd.DataFrame, rules: Mapping[str, float] = LIMITS, by: str = "class_id") -> pd.DataFrame:
    """Of every stuck cell of a class, at most ten learners whose expected mastery lies below the mark, the lowest first.

    Parameters
    ----------
    mastery : table ``mastery``
        Of each learner; ``n`` is counted anew from the responses, and only concepts that a learner answered something on are looked at.
    gaps : table ``gaps``
        Learners are named in its estimated, stuck cells only, and a learner's text speaks of no concept whose cell in the class is hidden.
    interactions, q_matrix, concepts, prerequisites : tables of those names
    rules : mapping
        ``fail`` and ``stuck_level`` of the map.
    by : column of ``interactions`` that made the classes.

    Returns
    -------
    DataFrame
        ``class_id, concept_id, learner_id, mastery, text``; empty where there are no classes or none is stuck.

    Raises
    ------
    DataError
        Where ``interactions`` have no column ``by`` although the map has classes.
    """
    rules = {**LIMITS, **rules}
    classes = gaps[(gaps["class_id"] != TOTAL) & (gaps["state"] == ESTIMATED)]
    stuck = classes.loc[classes["stuck"].fillna(False).astype(bool), ["class_id", "concept_id"]]
    if stuck.empty:
        return pd.DataFrame({name: pd.Series([], dtype="float64" if name == "mastery" else "str") for name in NAMES})
    if by not in interactions:
        raise DataError(f"interactions must have the column that made the classes; found no {by!r}. Give the responses the map was made from.")
    of = interactions[["learner_id", by]].dropna().drop_duplicates().rename(columns={by: "class_id"})
    answered = interactions[["learner_id", "item_id"]].merge(q_matrix[["item_id", "concept_id"]].drop_duplicates(), on="item_id")
    n = answered.groupby(["learner_id", "concept_id"]).size().rename("n").reset_index()
    counted = mastery.drop(columns="n", errors="ignore").merge(n, on=["learner_id", "concept_id"], how="left").fillna({"n": 0}).astype({"n": "int64"})
    known = counted.merge(of, on="learner_id").merge(classes[["class_id", "concept_id"]], on=["class_id", "concept_id"])
    met = known[known["n"] > 0].merge(stuck, on=["class_id", "concept_id"])
    below = met[met["mastery"] < rules["fail"]].sort_values(["class_id", "concept_id", "mastery", "learner_id"])
    below = below.groupby(["class_id", "concept_id"]).head(MOST)
    asked = set(zip(below["class_id"], below["learner_id"], strict=True))
    texts = {key: learner_text(rows, concepts, prerequisites, rules).text for key, rows in known.groupby(["class_id", "learner_id"]) if key in asked}
    text = [texts[key] for key in zip(below["class_id"], below["learner_id"], strict=True)]
    return below.assign(text=text)[list(NAMES)].reset_index(drop=True)
