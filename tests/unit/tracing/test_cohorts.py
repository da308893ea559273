"""A cohort that is followed says of every learner what its model says, from any history on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from edukit.data.curriculum import random_concepts
from edukit.graph.concept_graph import ConceptGraph
from edukit.schema import DataError
from edukit.tracing.atlas_traced import AtlasTraced
from edukit.tracing.bkt import BKT
from edukit.tracing.cohorts import cohort_of
from edukit.tracing.dkt import DKT
from edukit.tracing.irt import IRT
from edukit.tracing.logistic import PFA, Logistic
from edukit.tracing.sequences import Vocabulary

MODELS = {"dkt": DKT(hidden=6, embedding=4, epochs=1), "logistic": Logistic(item_counts=True), "pfa": PFA(), "bkt": BKT(), "irt": IRT(slopes=True),
          "atlas": AtlasTraced(), "atlas without residual": AtlasTraced(residual=False)}


@pytest.fixture(scope="module")
def graph():
    concepts, edges = random_concepts(6, layers=3, seed=1)
    ids = concepts["concept_id"].to_numpy(object)
    pairs = [(f"{c}-{k}", c) for c in ids for k in (0, 1)] + [(f"{ids[0]}-1", ids[4])]
    return ConceptGraph.from_tables(concepts, edges, pd.DataFrame(pairs, columns=["item_id", "concept_id"]))


@pytest.fixture(scope="module")
def log(graph):
    rng, items = np.random.default_rng(0), sorted({*graph.q_matrix["item_id"], "of no concept"})
    rows = [(f"u{u:02d}", items[rng.integers(len(items))], t, float(rng.random() < 0.3 + 0.4 * (u % 2))) for u in range(24) for t in range(8 + u % 4)]
    return pd.DataFrame(rows, columns=["learner_id", "item_id", "order", "correct"])


def fitted(name, log, graph):
    """The model; a network with the weights it begins with, since what it has learnt is not asked about."""
    model = MODELS[name]
    if not isinstance(model, DKT):
        return model.fit(log, graph)
    vocabulary = Vocabulary.build(log, graph)
    torch.manual_seed(0)
    model._keep(vocabulary, {}, model._network(vocabulary, {}).eval(), 5.0)
    return model


@pytest.mark.parametrize("name", MODELS)
def test_a_cohort_says_what_its_model_says_of_each_learner(graph, log, name):
    model = fitted(name, log, graph)
    asked = log[log["learner_id"].isin(["u01", "u02", "u03"])]
    early, later = asked[asked["order"] < 5], asked[asked["order"].between(5, 8)]
    who = ["u03", "u01", "new", "u02"]
    later = pd.concat([later, later[later["learner_id"] == "u01"].assign(learner_id="new")]).query("learner_id != 'u00'")
    later = later[later["order"].between(5, 7)].reset_index(drop=True)
    cohort = cohort_of(model).after(early, who)
    said = model.predict(pd.concat([early, later], ignore_index=True))[len(early):].to_numpy()
    twice = cohort.repeated(2)
    for step in range(5, 8):
        rows = later[later["order"] == step].set_index("learner_id").loc[who]
        wanted = pd.Series(said[later["order"] == step], later.loc[later["order"] == step, "learner_id"]).loc[who].to_numpy()
        item, correct = cohort.place(rows["item_id"].to_numpy(object)), rows["correct"].to_numpy()
        for some, times in ((cohort, 1), (twice, 2)):
            np.testing.assert_allclose(some.chance(np.repeat(item, times)), np.repeat(wanted, times), atol=1e-5)
            some.follow(np.repeat(item, times), np.repeat(correct, times))
    told = model.mastery(pd.concat([early, later])).pivot(index="learner_id", columns="concept_id", values="mastery")
    np.testing.assert_allclose(cohort.mastery(), told.loc[who, list(model.vocabulary_.concept_ids)], atol=1e-5)
    assert cohort.numbers > 0


def test_going_on_does_not_move_the_learners_it_was_repeated_from(graph, log):
    for name in ("dkt", "bkt", "atlas"):
        cohort = cohort_of(fitted(name, log, graph)).after(log, ["u01", "u02"])
        item = cohort.place(["of no concept", log["item_id"].iloc[0]])
        before, other = cohort.chance(item), cohort.repeated(1)
        other.follow(item, np.ones(2))
        np.testing.assert_array_equal(cohort.chance(item), before)


def test_a_model_that_cannot_be_followed_is_refused_by_name(graph, log):
    with pytest.raises(DataError, match="can be followed by atlas_traced, bkt, dkt, irt, logistic, pfa; found sakt"):
        cohort_of(type("Other", (), {"kind": "sakt"})())
