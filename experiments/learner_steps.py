"""One learner followed through a model, response by response: what was believed of each concept after every answer, as a picture."""

from __future__ import annotations

from typing import Any

import pandas as pd

from edukit.protocols import OnlineLearnerModel
from edukit.report.learner_trajectory import MOST, trajectory
from edukit.schema import DataError

from .serving import Tracked


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
