"""What every model under conf/tracing must hold, whatever it is made of."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from edukit.graph.concept_graph import ConceptGraph
from edukit.metrics import auc, log_loss
from edukit.protocols import NotFittedError, OrderUnknownError

CONF = Path(__file__).resolve().parents[2] / "conf" / "tracing"
NAMES = sorted(path.stem for path in CONF.glob("*.yaml"))
QUICK = {"epochs": 6, "hidden": 16, "embedding": 16, "batch_size": 16, "learning_rate": 0.01}  # by parameter name, where a model has it
CONCEPTS, ITEMS, STEPS = 8, 24, 40


def build(name: str) -> Any:
    """The model of a yaml as users get it, only smaller where it has a size."""
    settings = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    module, _, kind = settings.pop("_target_").rpartition(".")
    settings = {key: 0 if value == "${seed}" else QUICK.get(key, value) for key, value in settings.items()}
    return getattr(importlib.import_module(module), kind)(**settings)


def is_static(model: Any) -> bool:
    return "given" in inspect.signature(model.predict).parameters


@dataclass(frozen=True)
class World:
    """Responses with a planted truth (or none at all), parted by learner."""

    train: pd.DataFrame
    test: pd.DataFrame
    graph: ConceptGraph


@cache
def world(random_answers: bool = False) -> World:
    """Learners differ in ability and per concept, items in difficulty; two thirds of the items carry two concepts."""
    rng = np.random.default_rng(11)
    train, test = (100, 200) if random_answers else (120, 60)
    learners = train + test
    first = np.arange(ITEMS) % CONCEPTS
    second = np.where(np.arange(ITEMS) % 3 > 0, (first + 1 + np.arange(ITEMS) // CONCEPTS) % CONCEPTS, first)
    ability = rng.normal(0, 1, (learners, 1)) + rng.normal(0, 0.7, (learners, CONCEPTS))
    item = rng.integers(0, ITEMS, (learners, STEPS))
    known = (np.take_along_axis(ability, first[item], 1) + np.take_along_axis(ability, second[item], 1)) / 2
    logit = known + rng.normal(0.3, 1.2, ITEMS)[item] + 0.02 * np.arange(STEPS)
    p = np.full(item.shape, 0.6) if random_answers else 1 / (1 + np.exp(-logit))
    rows = pd.DataFrame({"learner_id": np.repeat([f"L{u:03d}" for u in range(learners)], STEPS), "item_id": [f"q{i}" for i in item.ravel()],
                         "correct": (rng.random(item.shape) < p).astype(float).ravel(), "order": np.tile(np.arange(STEPS), learners)})
    minutes = np.arange(len(rows)) % STEPS * 7 + np.arange(len(rows)) % STEPS // 8 * 4_000 + np.arange(len(rows)) // STEPS  # sittings, days apart
    rows["timestamp"] = pd.Timestamp("2026-01-05", tz="UTC") + pd.to_timedelta(minutes, unit="min")
    pairs = sorted({(i, int(k)) for i in range(ITEMS) for k in (first[i], second[i])})
    q_matrix = pd.DataFrame({"item_id": [f"q{i}" for i, _ in pairs], "concept_id": [f"c{k}" for _, k in pairs]})
    edges = pd.DataFrame({"concept_id": [f"c{k}" for k in range(1, CONCEPTS)], "requires_id": [f"c{k // 2}" for k in range(1, CONCEPTS)],
                          "source": "expert", "weight": 1.0})
    cut = train * STEPS
    return World(rows[:cut].reset_index(drop=True), rows[cut:].reset_index(drop=True), ConceptGraph.from_tables(None, edges, q_matrix))


@cache
def fitted(name: str) -> Any:
    return build(name).fit(world().train, world().graph)


def cells(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(targets, given): every fifth response is asked, the others are known."""
    asked = np.arange(len(table)) % 5 == 4
    return table[asked], table[~asked]


def ask(model: Any, table: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """(answers, predictions) on held-out learners, by whichever way the model works."""
    if is_static(model):
        targets, given = cells(table)
        return targets["correct"], model.predict(targets.drop(columns="correct"), given)
    return table["correct"], model.predict(table)


every_model = pytest.mark.parametrize("name", NAMES)


@every_model
def test_predictions_are_probabilities_in_the_rows_of_the_table(name):
    table = world().test.sample(frac=1, random_state=3)  # any order, any index
    table.index = [f"row {i}" for i in table.index]
    answers, p = ask(fitted(name), table)
    assert p.index.equals(answers.index)
    assert p.dtype == np.float64 and p.between(0, 1).all()
    assert p.std() > 0.02


@every_model
def test_a_later_row_never_changes_an_earlier_prediction(name):
    model, table = fitted(name), world().test
    if is_static(model):  # the counterpart without order: nobody's asked answer, and no other learner, changes a prediction
        targets, given = cells(table)
        alone = targets["learner_id"] == targets["learner_id"].iloc[0]
        p = model.predict(targets.assign(correct=1 - targets["correct"]), given)[alone]
        q = model.predict(targets[alone], given[given["learner_id"] == targets["learner_id"].iloc[0]])
        np.testing.assert_allclose(p, q, atol=1e-6)
        return
    changed = table.copy()
    late = changed["order"] >= 25
    changed.loc[late, "correct"] = 1 - changed.loc[late, "correct"]
    changed.loc[late, "item_id"] = changed.loc[late, "item_id"].to_numpy()[::-1]
    changed.loc[late, "timestamp"] += pd.Timedelta(days=3)
    p, q = model.predict(table), model.predict(changed)
    np.testing.assert_allclose(p[~late], q[~late], atol=1e-6)
    assert np.abs(p[table["order"] > 25] - q[table["order"] > 25]).max() > 0.01
    own = table.copy()
    own.loc[own["order"] == STEPS - 1, "correct"] = 1 - own.loc[own["order"] == STEPS - 1, "correct"]
    np.testing.assert_allclose(p, model.predict(own), atol=1e-6)  # nor does a row's own answer


@every_model
def test_the_order_of_learners_does_not_matter(name):
    model, table = fitted(name), world().test
    turned = table.sort_values(["learner_id", "order"], ascending=False)
    if is_static(model):
        targets, given = cells(table)
        p, q = model.predict(targets, given), model.predict(targets[::-1], given[::-1])
    else:
        p, q = model.predict(table), model.predict(turned)
    np.testing.assert_allclose(p, q.reindex(p.index), atol=1e-6)
    key = ["learner_id", "concept_id"]
    one, two = (model.mastery(t).set_index(key).sort_index() for t in (table, turned))
    np.testing.assert_allclose(one[["mastery", "sd", "n"]], two[["mastery", "sd", "n"]], atol=1e-6)


@every_model
def test_the_same_fit_gives_the_same_bytes_whatever_the_test_answers_and_names(name, tmp_path):
    """One seed, other names of learners, all answers of the test learners turned round: the fitted model is the same file."""
    whole = pd.concat([world().train, world().test], ignore_index=True)
    tests = whole["learner_id"].isin(world().test["learner_id"].unique())
    whole.loc[tests, "correct"] = 1 - whole.loc[tests, "correct"]
    whole["learner_id"] = whole["learner_id"].map({u: f"someone {-k % 97} {k}" for k, u in enumerate(whole["learner_id"].unique())})
    model = fitted(name)
    model.save(tmp_path / "one")
    ask(model, whole[tests])
    model.save(tmp_path / "asked")
    build(name).fit(whole[~tests].reset_index(drop=True), world().graph).save(tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "asked").read_bytes() == (tmp_path / "two").read_bytes()


@every_model
def test_a_saved_model_predicts_the_same(name, tmp_path):
    model = fitted(name)
    model.save(tmp_path / "model")
    again = type(model).load(tmp_path / "model")
    pd.testing.assert_series_equal(ask(model, world().test)[1], ask(again, world().test)[1], check_exact=True)
    pd.testing.assert_frame_equal(model.mastery(world().test), again.mastery(world().test), check_exact=True)


@every_model
def test_an_unfitted_model_says_so(name, tmp_path):
    model = build(name)
    for ask_it in (lambda: ask(model, world().test), lambda: model.mastery(world().test), lambda: model.save(tmp_path / "model")):
        with pytest.raises(NotFittedError, match="fit"):
            ask_it()
    assert not (tmp_path / "model").exists()


@every_model
def test_random_answers_cannot_be_predicted(name):
    """A label that leaks, by expanded rows or otherwise, would show here."""
    answers, p = ask(build(name).fit(world(True).train, world(True).graph), world(True).test)
    assert abs(auc(answers, p) - 0.5) < (0.045 if len(p) < 4000 else 0.03)


@every_model
def test_beats_the_majority_rate_where_there_is_a_truth(name):
    answers, p = ask(fitted(name), world().test)
    rate = np.full(len(p), world().train["correct"].mean())
    assert log_loss(answers, p) < log_loss(answers, rate) - 0.02
    assert auc(answers, p) > 0.65


@every_model
def test_mastery_covers_every_learner_and_concept_with_its_uncertainty(name):
    table = fitted(name).mastery(world().test)
    learners, concepts = world().test["learner_id"].unique(), world().graph.concept_ids
    assert set(zip(table["learner_id"], table["concept_id"], strict=True)) == {(u, c) for u in learners for c in concepts}
    assert list(table.columns) == ["learner_id", "concept_id", "mastery", "sd", "n"]
    assert not table.duplicated(["learner_id", "concept_id"]).any()
    assert table["mastery"].between(0, 1).all() and table["sd"].between(0, 0.5, inclusive="right").all()
    by_hand = world().test.merge(world().graph.q_matrix).groupby(["learner_id", "concept_id"]).size()
    assert (table.set_index(["learner_id", "concept_id"])["n"].reindex(by_hand.index) == by_hand).all()


@every_model
def test_mastery_is_higher_for_those_who_answer_right(name):
    table = world().test
    means = [fitted(name).mastery(table.assign(correct=value))["mastery"].mean() for value in (0.0, 1.0)]
    assert means[1] > means[0] + 0.1


@every_model
def test_an_item_never_seen_is_still_answered(name):
    table = world().test[:STEPS].copy()
    table.loc[table.index[::2], "item_id"] = "an item without a past"
    assert ask(fitted(name), table)[1].between(0, 1).all()


@every_model
def test_a_live_learner_ends_where_the_whole_history_does(name):
    model = fitted(name)
    if not all(hasattr(model, verb) for verb in ("start", "step", "mastery_of")):
        pytest.skip(f"{name} does not follow learners live")
    history = world().test[world().test["learner_id"] == world().test["learner_id"].iloc[-1]].sort_values("order")
    fresh = state = model.start()
    before = model.mastery_of(fresh)
    assert before.index.name == "concept_id" and list(before.index) == world().graph.concept_ids and (before["n"] == 0).all()
    for item, correct in zip(history["item_id"], history["correct"], strict=True):
        state = model.step(state, item, correct)
    whole = model.mastery(history).set_index("concept_id")[["mastery", "sd", "n"]]
    np.testing.assert_allclose(model.mastery_of(state)[["mastery", "sd", "n"]], whole.loc[before.index], atol=1e-6)
    pd.testing.assert_frame_equal(model.mastery_of(fresh), before)  # the first state was left as it was


@every_model
def test_data_without_order_is_refused_by_those_who_need_it(name):
    model = fitted(name)
    if is_static(model):
        pytest.skip(f"{name} is made for data without order")
    unordered = world().test.assign(order=pd.array([pd.NA] * len(world().test), "Int64"))
    for ask_it in (lambda: build(name).fit(unordered, world().graph), lambda: model.predict(unordered), lambda: model.mastery(unordered)):
        with pytest.raises(OrderUnknownError, match=name):
            ask_it()
