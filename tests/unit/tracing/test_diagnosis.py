"""Cognitive diagnosis: planted mastery is recovered, for learners never seen, and right answers never speak against a concept."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from edukit.graph.concept_graph import ConceptGraph
from edukit.metrics import auc
from edukit.schema import DataError
from edukit.tracing.diagnosis import NCDM, RCD, KaNCD
from edukit.tracing.monotone import side_by_side
from edukit.tracing.static_networks import unordered

torch = pytest.importorskip("torch")

SMALL = {"hidden": 16, "epochs": 7, "batch_size": 16, "learning_rate": 0.02}
CONCEPTS, ITEMS, TRAIN, TEST, ASKED = 6, 30, 240, 60, 15
MODELS = {"ncdm": NCDM(**SMALL), "kancd": KaNCD(embedding=4, concept_spread=0.5, **SMALL), "rcd": RCD(embedding=4, concept_spread=0.5, **SMALL)}


@pytest.fixture(scope="module")
def world() -> tuple[pd.DataFrame, pd.DataFrame, ConceptGraph, np.ndarray]:
    """Concepts c0, c2, c4 go together in a learner, c1, c3, c5 too; a learner answers half of the items, which differ in difficulty."""
    rng = np.random.default_rng(7)
    learners = TRAIN + TEST
    level = 1.6 * np.repeat(rng.normal(size=(learners, 1, 2)), 3, axis=1).reshape(learners, CONCEPTS) + rng.normal(0, 0.6, (learners, CONCEPTS))
    difficulty = rng.normal(0, 1, ITEMS)
    item = np.stack([rng.permutation(ITEMS)[:ASKED] for _ in range(learners)])
    right = rng.random(item.shape) < 1 / (1 + np.exp(difficulty[item] - np.take_along_axis(level, item % CONCEPTS, 1)))
    rows = pd.DataFrame({"learner_id": np.repeat([f"u{u:03d}" for u in range(learners)], ASKED), "item_id": [f"i{i}" for i in item.ravel()],
                         "correct": right.astype(float).ravel(), "order": pd.array([pd.NA] * right.size, dtype="Int64")})
    q_matrix = pd.DataFrame({"item_id": [f"i{i}" for i in range(ITEMS)], "concept_id": [f"c{i % CONCEPTS}" for i in range(ITEMS)]})
    edges = pd.DataFrame({"requires_id": [f"c{k}" for k in range(4)], "concept_id": [f"c{k + 2}" for k in range(4)], "source": "expert", "weight": 1.0})
    cut = TRAIN * ASKED
    return rows[:cut], rows[cut:].reset_index(drop=True), ConceptGraph.from_tables(None, edges, q_matrix), level[TRAIN:]


@pytest.fixture(scope="module")
def fitted(world):
    return {name: model.fit(world[0], world[2]) for name, model in MODELS.items()}


def known(model, rows: pd.DataFrame, column: str = "mastery") -> np.ndarray:
    """(learners, concepts) mastery, learners in the order of the rows."""
    return model.mastery(rows)[column].to_numpy().reshape(-1, CONCEPTS)


@pytest.mark.parametrize("name", MODELS)
def test_planted_mastery_of_new_learners_is_recovered(world, fitted, name):
    _, test, _, level = world
    found = known(fitted[name], test)
    rank = [spearmanr(found[:, c], level[:, c]).statistic for c in range(CONCEPTS)]
    assert min(rank) > 0.4 and np.mean(rank) > (0.6 if name == "kancd" else 0.5)


def test_a_concept_never_answered_is_foretold_from_those_that_go_with_it(world, fitted):
    _, test, _, level = world
    without = test[~test["item_id"].isin([f"i{i}" for i in range(0, ITEMS, CONCEPTS)])]
    assert without["learner_id"].nunique() == TEST
    found, truth = known(fitted["kancd"], without)[:, 0], level[:, 0]
    assert spearmanr(found, truth).statistic > 0.4
    assert (known(fitted["kancd"], without, "sd")[:, 0] > 0.02).all()


@pytest.mark.parametrize("name", ["ncdm", "kancd"])
def test_a_right_answer_never_lowers_mastery_of_its_concept(world, fitted, name):
    """Wrong answers of new learners turned right, and right ones added, on one item of a concept at a time."""
    _, test, _, _ = world
    model, before = fitted[name], known(fitted[name], test)
    for c in (0, 3):
        turned = test.assign(correct=np.where(test["item_id"] == f"i{c}", 1.0, test["correct"]))
        one_more = pd.concat([test, pd.DataFrame({"learner_id": test["learner_id"].unique(), "item_id": f"i{c}", "correct": 1.0})])
        for rows in (turned, one_more):
            assert (known(model, rows)[:, c] >= before[:, c] - 1e-6).all()
        assert known(model, one_more)[:, c].mean() > before[:, c].mean() + 0.01


@pytest.mark.parametrize("name", MODELS)
def test_mastering_more_never_makes_a_right_answer_less_likely(fitted, name):
    network, rng = fitted[name].network_, np.random.default_rng(0)
    low = torch.from_numpy(rng.normal(0, 2, (ITEMS, 50, 1)))
    high = low + torch.from_numpy(rng.exponential(1, (ITEMS, 50, 1)))
    item, concept = torch.arange(1, ITEMS + 1).view(-1, 1), torch.from_numpy(fitted[name].vocabulary_.item_concepts[1:, :1]).unsqueeze(1)
    with torch.no_grad():
        less, more = (network.logit(level, item, concept, torch.ones(())) for level in (low, high))
    assert (more >= less).all() and (more > less).double().mean() > 0.95


@pytest.mark.parametrize("name", ["ncdm", "kancd"])
def test_the_place_of_a_learner_is_the_most_probable_one(world, fitted, name):
    model = fitted[name]
    histories, _ = unordered(world[1], model.vocabulary_)
    responses = side_by_side(histories, model.vocabulary_, np.arange(TEST), None, torch.float64)
    belief = model.network_.posterior(responses)
    z = belief.mean.clone().requires_grad_()
    level = model.network_.level(z.unsqueeze(1).expand(-1, ASKED, -1), responses.concept, belief.context)
    logit = model.network_.logit(level, responses.item, responses.concept, responses.share)
    (torch.nn.functional.binary_cross_entropy_with_logits(logit, responses.correct, reduction="sum") + z.square().sum() / 2).backward()
    assert z.grad.abs().max() < 1e-4


@pytest.mark.parametrize("name", MODELS)
def test_held_out_cells_are_foretold_whatever_the_order_of_rows(world, fitted, name):
    train, test, _, _ = world
    asked = np.arange(len(test)) % 3 == 0
    p = fitted[name].predict(test[asked].drop(columns="correct"), test[~asked])
    turned = fitted[name].predict(test[asked].sample(frac=1, random_state=1), test[~asked].sample(frac=1, random_state=2))
    np.testing.assert_allclose(p, turned.reindex(p.index), atol=1e-9)
    rate = test["item_id"][asked].map(train.groupby("item_id")["correct"].mean())
    assert auc(test["correct"][asked], p) > auc(test["correct"][asked], rate) + 0.05


@pytest.mark.parametrize("name", MODELS)
def test_a_learner_without_responses_is_an_average_one(world, fitted, name):
    train, test, _, _ = world
    targets = pd.DataFrame({"learner_id": np.repeat(["nobody", "no one"], ITEMS), "item_id": [f"i{i}" for i in range(ITEMS)] * 2})
    p = fitted[name].predict(targets, test).to_numpy().reshape(2, ITEMS)
    rate = train.groupby("item_id")["correct"].mean().reindex([f"i{i}" for i in range(ITEMS)])
    np.testing.assert_allclose(p[0], p[1], atol=1e-9)
    assert np.corrcoef(p[0], rate)[0, 1] > 0.85 and abs(p[0].mean() - rate.mean()) < 0.1


def test_a_concept_of_its_own_is_moved_by_its_own_answers_most(fitted):
    rows = pd.DataFrame({"learner_id": "one", "item_id": ["i0", "i6", "i12", "i18"], "correct": 1.0})
    up = known(fitted["ncdm"], rows)[0] - known(fitted["ncdm"], rows.assign(correct=0.0))[0]
    assert up[0] > up[1:].max() + 0.05 and up[1:].min() > 0


def test_prerequisites_reach_what_requires_them(fitted):
    """A concept's vector is made of its neighbours' as well as its own, and of nobody else's."""
    network = fitted["rcd"].network_
    network.vectors()[2].sum().backward()
    reached = set(torch.nonzero(network.vector.grad.abs().sum(1) > 0).flatten().tolist())
    network.zero_grad()
    assert reached == {0, 2, 4}


def test_one_learner_is_too_few_to_know_when_to_stop(world):
    with pytest.raises(DataError, match="2 learners or more to fit kancd .one.*found 1"):
        KaNCD().fit(world[0][:ASKED], world[2])
