"""A learner followed response by response: no step knows the next answer, and the picture holds the concepts that moved."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from edukit.experiments import learner_steps

from edukit.data.synthetic import random_concepts, simulate
from edukit.graph.concept_graph import ConceptGraph
from edukit.schema import DataError
from edukit.tracing.irt import IRT


@pytest.fixture(scope="module")
def run():
    world = simulate(*random_concepts(12, seed=2), classes=3, learners_per_class=12, seed=2)
    graph = ConceptGraph.from_tables(world.tables["concepts"], world.tables["prerequisites"], world.tables["q_matrix"])
    log = world.tables["interactions"]
    model = IRT().fit(log, graph)
    learner = log["learner_id"].iloc[0]
    names = dict.fromkeys(graph.concept_ids, "a <b> $name$")
    return SimpleNamespace(model=model, graph=graph, names=names, label="irt", history=log[log["learner_id"] == learner].sort_values("order"))


def test_every_step_is_the_mastery_of_the_responses_until_then(run):
    steps = learner_steps.followed(run, run.history)
    assert sorted(steps["step"].unique()) == list(range(len(run.history) + 1))
    for at in (1, 7, len(run.history)):
        known = run.model.mastery(run.history.head(at)).set_index("concept_id")["mastery"]
        live = steps[steps["step"] == at].set_index("concept_id")["mastery"]
        np.testing.assert_allclose(live[known.index], known, atol=1e-9)
    changed = run.history.assign(correct=[*run.history["correct"][:-1], 1 - run.history["correct"].iloc[-1]])
    pd.testing.assert_frame_equal(*(table[table["step"] < len(run.history)] for table in (steps, learner_steps.followed(run, changed))))


def test_concepts_that_were_answered_on_are_drawn_as_many_as_asked(run):
    panels = [ax for ax in learner_steps.drawn(run, run.history, most=4).axes if ax.axison]
    assert len(panels) == 4 and all("(n 0)" not in ax.get_title(loc="left") for ax in panels)


def test_two_learners_a_model_without_steps_and_unknown_items_are_refused(run):
    with pytest.raises(DataError, match="one learner; found 2"):
        learner_steps.followed(run, pd.concat([run.history, run.history.assign(learner_id="another")]))
    with pytest.raises(DataError, match="follows a learner live; found whole"):
        learner_steps.followed(SimpleNamespace(model=object(), label="whole"), run.history)
    with pytest.raises(DataError, match="found none in"):
        learner_steps.drawn(run, run.history.assign(item_id="alien"))
