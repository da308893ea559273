"""One learner followed through a model, response by response: what was believed of each concept after every answer, and what each answer moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from edukit.data.working_pace import pace
from edukit.protocols import OnlineLearnerModel, PrerequisiteGraph
from edukit.report.learner import LearnerPage
from edukit.report.learner_standing import in_reach, not_yet, standing, strengths
from edukit.report.learner_trajectory import MOST, trajectory
from edukit.schema import DataError
from edukit.tracing.explaining import CELLS, LEAST

from .serving import Tracked

ITSELF = "itself"


def followed(run: Tracked, history: pd.DataFrame) -> pd.DataFrame:
    """Mastery of every concept after each response, no step knowing what comes later.

    Parameters
    ----------
    run : whose model follows learners live. history : table ``interactions`` of one learner, in the order in which it is read.

    Returns
    -------
    DataFrame
        ``step`` (responses seen so far, 0 = none), ``concept_id, mastery, sd, n``.

    Raises
    ------
    DataError
        For more learners than one, or a model that needs the whole history at once.
    """
    learners = history["learner_id"].unique()
    if len(learners) != 1:
        raise DataError(f"a trajectory follows one learner; found {len(learners):,} in the history. Keep the rows of one learner_id.")
    if not isinstance(run.model, OnlineLearnerModel):
        raise DataError(f"a trajectory needs a model that follows a learner live; found {run.label}. Choose a run of tracing=logistic, bkt, irt or dkt.")
    state = run.model.start()
    tables = [run.model.mastery_of(state)]
    for item, correct in history[["item_id", "correct"]].itertuples(index=False):
        state = run.model.step(state, item, correct)
        tables.append(run.model.mastery_of(state))
    return pd.concat([table.reset_index().assign(step=step) for step, table in enumerate(tables)], ignore_index=True)


def drawn(run: Tracked, history: pd.DataFrame, most: int = 6) -> Any:
    """A figure of the concepts that the learner answered on and whose estimate moved furthest, at most ``most`` of them.

    Raises
    ------
    DataError
        As :func:`followed`, and where no response is on a concept that the model knows.
    """
    steps = followed(run, history)
    of = history.assign(step=range(1, len(history) + 1)).merge(run.graph.q_matrix, on="item_id")[["step", "concept_id", "correct"]]
    first, last = (steps[steps["step"] == at].set_index("concept_id")["mastery"] for at in (0, len(history)))
    moved = (last - first).abs()[last.index.isin(of["concept_id"])].sort_values(ascending=False, kind="stable")
    if not len(moved):
        raise DataError(f"a trajectory needs a response on a concept that the model knows; found none in {len(history):,}. Check the item_id column.")
    return trajectory(steps, of, run.names, list(moved.index[:min(most, MOST)]))


def profiled(run: Tracked, history: pd.DataFrame) -> LearnerPage:
    """The profile of one learner from a tracked model and a history alone: nothing that needs the answers of others, and no forecast.

    Raises
    ------
    DataError
        For more learners than one.
    """
    learners = history["learner_id"].unique()
    if len(learners) != 1:
        raise DataError(f"a profile is of one learner; found {len(learners):,} in the history. Keep the rows of one learner_id.")
    where = standing(run.model.mastery(history), history, run.graph)
    told = [*strengths(where)["concept_id"], *in_reach(where)["concept_id"], *not_yet(where)["concept_id"]]
    return LearnerPage(str(learners[0]), history, where, run.graph, pace=pace(history, history.iloc[:0]), evidence=moved(run.model, history, run.graph, told),
                       forecast_words="No forecast: it needs other learners, as in `edukit run profile_learner`.", source={"model": run.label})


def moved(model: Any, history: pd.DataFrame, graph: PrerequisiteGraph, concept_ids: Sequence[str], most: int = 200) -> pd.DataFrame:
    """How far each of a learner's latest responses moves what the model says of some concepts: mastery with the whole history less mastery without it.

    Parameters
    ----------
    model : a fitted learner model. history : table ``interactions`` of one learner, in the order in which it is read.
    graph : says what each item assesses, and what a concept builds on.
    concept_ids : which concepts. most : latest responses that are left out in turn.

    Returns
    -------
    DataFrame
        ``concept_id, order`` (position in the history, from 0), ``item_id, correct, relation`` (`itself`, `prerequisite` or `other`), ``moved``: the responses
        on the concept itself, and all others that move it by half a point of 100 or more.
    """
    rows = history.reset_index(drop=True)
    last = range(max(len(rows) - most, 0), len(rows))
    columns = {"concept_id": "str", "order": "int64", "item_id": "str", "correct": "float64", "relation": "str", "moved": "float64"}
    if not concept_ids or len(rows) < 2:
        return pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in columns.items()})
    wanted, found = set(concept_ids), []
    whole = model.mastery(rows).set_index("concept_id")["mastery"]
    at_once = max(1, CELLS // max(len(rows), len(whole)))
    for first in range(0, len(last), at_once):
        without = pd.concat([rows.drop(index=out).assign(learner_id=f"{out:09d}") for out in last[first:first + at_once]], ignore_index=True)
        table = model.mastery(without)
        found.append(table[table["concept_id"].isin(wanted)])
    table = pd.concat(found, ignore_index=True)
    table = table.assign(order=table["learner_id"].astype(int), moved=table["concept_id"].map(whole) - table["mastery"])
    table = table.merge(rows[["item_id", "correct"]].rename_axis("order").reset_index(), on="order")
    of = graph.q_matrix.groupby("item_id")["concept_id"].agg(set)
    needs = graph.prerequisites.groupby("concept_id")["requires_id"].agg(set)
    about = [_relation(concept, of.get(item, set()), needs.get(concept, set())) for concept, item in zip(table["concept_id"], table["item_id"], strict=True)]
    table = table.assign(relation=about)[(table["moved"].abs() >= LEAST) | (np.array(about) == ITSELF)]
    return table[list(columns)].sort_values(["concept_id", "order"], ignore_index=True)


def _relation(concept: str, assessed: set[str], needed: set[str]) -> str:
    return ITSELF if concept in assessed else "prerequisite" if assessed & needed else "other"
