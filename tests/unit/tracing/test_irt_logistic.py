"""Item response and logistic models recover what was planted, and follow a learner as they should."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.graph.concept_graph import ConceptGraph
from edukit.metrics import auc
from edukit.schema import DataError
from edukit.tracing.irt import IRT, StaticIRT
from edukit.tracing.logistic import PFA, Logistic

LEARNERS, ITEMS, CONCEPTS = 300, 30, 6


@pytest.fixture(scope="module")
def world():
    """A Rasch world: ability N(0, 1.2), difficulty N(0, 1), every learner meets 25 of 30 items in random order."""
    rng = np.random.default_rng(5)
    ability, difficulty = rng.normal(0, 1.2, LEARNERS), rng.normal(0, 1, ITEMS)
    item = np.concatenate([rng.permutation(ITEMS)[:25] for _ in range(LEARNERS)])
    learner = np.repeat(np.arange(LEARNERS), 25)
    right = rng.random(len(item)) < 1 / (1 + np.exp(difficulty[item] - ability[learner]))
    log = pd.DataFrame({"learner_id": [f"l{i}" for i in learner], "item_id": [f"q{i:02d}" for i in item], "correct": right.astype(float),
                        "order": np.tile(np.arange(25), LEARNERS)})
    q = pd.DataFrame({"item_id": [f"q{i:02d}" for i in range(ITEMS)], "concept_id": [f"c{i % CONCEPTS}" for i in range(ITEMS)]})
    concepts = pd.DataFrame({"concept_id": [f"c{i}" for i in range(CONCEPTS)], "name": [f"c{i}" for i in range(CONCEPTS)]})
    return log, ConceptGraph.from_tables(concepts, None, q), ability, difficulty


@pytest.mark.parametrize("model", [IRT(), StaticIRT()])
def test_planted_difficulties_and_ability_spread_are_recovered(world, model):
    log, graph, _, difficulty = world
    model.fit(log, graph)
    estimated = -model.items_.intercept[1:ITEMS + 1]
    assert np.corrcoef(estimated, difficulty)[0, 1] > 0.97 and abs(estimated - difficulty).mean() < 0.25
    assert 0.9 < np.sqrt(model.items_.variance) < 1.5


def test_two_parameters_recover_discrimination_with_a_fixed_unit(world):
    rng = np.random.default_rng(9)
    slope, ability = np.exp(rng.normal(0, 0.5, 20)), rng.normal(0, 1, 2000)
    right = rng.random((2000, 20)) < 1 / (1 + np.exp(-slope * ability[:, None]))
    log = pd.DataFrame({"learner_id": np.repeat([f"l{i}" for i in range(2000)], 20), "item_id": np.tile([f"q{i:02d}" for i in range(20)], 2000),
                        "correct": right.reshape(-1).astype(float), "order": pd.array([pd.NA] * 40_000, dtype="Int64")})
    q = pd.DataFrame({"item_id": [f"q{i:02d}" for i in range(20)], "concept_id": "c"})
    model = StaticIRT(slopes=True).fit(log, ConceptGraph.from_tables(None, None, q))
    assert np.corrcoef(np.log(model.items_.slope[1:21]), np.log(slope))[0, 1] > 0.9
    assert np.exp(np.log(model.items_.slope).mean()) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("slopes", [False, True])
def test_answers_that_tell_nothing_of_ability_leave_no_hole_in_the_numbers(world, slopes):
    """Every learner is right on every second item: ability varies less than chance alone would have it."""
    log, graph, _, _ = world
    same = log.assign(correct=(log["order"] % 2).astype(float))
    live, still = IRT(slopes=slopes).fit(same, graph), StaticIRT(slopes=slopes).fit(same, graph)
    for model, p in ((live, live.predict(same)), (still, still.predict(same, same))):
        assert 0 < model.items_.variance < 0.05
        assert np.isfinite(model.items_.intercept).all() and p.between(0.2, 0.8).all()
        assert np.isfinite(model.mastery(same)[["mastery", "sd"]].to_numpy()).all()


def test_ability_is_estimated_from_given_responses_only_and_its_interval_is_honest(world):
    log, graph, ability, _ = world
    given, targets = log[log["order"] < 12], log[log["order"] >= 12]
    model = StaticIRT().fit(given, graph)
    p = model.predict(targets, given)
    assert auc(targets["correct"].to_numpy(), p.to_numpy()) > 0.72
    flipped = targets.assign(correct=1 - targets["correct"])
    pd.testing.assert_series_equal(p, model.predict(flipped, given))
    from edukit.tracing.irt import _unordered

    mean, variance = model._abilities(_unordered(log, model.vocabulary_))
    inside = np.abs(mean - ability) < 1.96 * np.sqrt(variance)
    assert 0.90 < inside.mean() < 0.99
    nobody = model.predict(targets.assign(learner_id="never seen"), given)
    assert nobody.between(0.05, 0.95).all() and nobody.groupby(targets["item_id"]).nunique().eq(1).all()


def test_uncertainty_falls_and_mastery_rises_with_right_answers(world):
    log, graph, _, _ = world
    for model in (IRT().fit(log, graph), Logistic().fit(log, graph)):
        state = model.start()
        before = model.mastery_of(state)
        for item in ("q00", "q06", "q12", "q18"):
            state = model.step(state, item, 1.0)
        after = model.mastery_of(state)
        assert after.loc["c0", "mastery"] > before.loc["c0", "mastery"] and after.loc["c0", "sd"] < before.loc["c0", "sd"]
        assert after.loc["c0", "n"] == 4 and after.loc["c1", "n"] == 0


def test_wrong_answers_weigh_on_their_own_concept_in_logistic(world):
    log, graph, _, _ = world
    rng = np.random.default_rng(0)
    knows = rng.random((LEARNERS, CONCEPTS)) < 0.5
    learner = log["learner_id"].str[1:].astype(int).to_numpy()
    concept = log["item_id"].str[1:].astype(int).to_numpy() % CONCEPTS
    planted = log.assign(correct=(rng.random(len(log)) < np.where(knows[learner, concept], 0.9, 0.2)).astype(float))
    model = Logistic().fit(planted, graph)
    mastery = model.mastery(planted).set_index(["learner_id", "concept_id"])["mastery"].unstack()
    estimated = mastery.loc[[f"l{i}" for i in range(LEARNERS)], [f"c{i}" for i in range(CONCEPTS)]].to_numpy()
    assert auc(knows.reshape(-1).astype(float), estimated.reshape(-1)) > 0.9


def test_the_family_by_flags_orders_as_it_should(world):
    log, graph, _, _ = world
    train, test = log[log["learner_id"] < "l250"], log[log["learner_id"] >= "l250"]
    y = test["correct"].to_numpy()
    best = auc(y, Logistic().fit(train, graph).predict(test).to_numpy())
    without_items = auc(y, Logistic(items=False).fit(train, graph).predict(test).to_numpy())
    only_items = auc(y, Logistic(concepts=False, concept_counts=False, total_counts=False).fit(train, graph).predict(test).to_numpy())
    assert best > without_items + 0.03 and best > only_items + 0.03


def test_performance_factor_analysis_is_the_logistic_model_with_its_flags(world, tmp_path):
    log, graph, _, _ = world
    model = PFA().fit(log, graph)
    assert len(model.weights_) == 3 * CONCEPTS + 1
    p = model.predict(log)
    pd.testing.assert_series_equal(p, Logistic(items=False, total_counts=False).fit(log, graph).predict(log))
    model.save(tmp_path / "model")
    pd.testing.assert_series_equal(p, PFA.load(tmp_path / "model").predict(log))
    with pytest.raises(DataError, match="must hold a model of kind logistic; found pfa"):
        Logistic.load(tmp_path / "model")


def test_a_file_of_another_model_is_refused(world, tmp_path):
    log, graph, _, _ = world
    Logistic().fit(log, graph).save(tmp_path / "model")
    with pytest.raises(DataError, match="must hold a model of kind irt; found logistic"):
        IRT.load(tmp_path / "model")
