"""Attention: one definite past per response, fading where it should, and items that differ, shown where the truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.graph.concept_graph import ConceptGraph
from edukit.metrics import auc
from edukit.schema import DataError
from edukit.tracing.attention import FAST, Attention
from edukit.tracing.networks import WINDOW, _steps
from edukit.tracing.recall import HALF
from edukit.tracing.sequences import Vocabulary, encode

torch = pytest.importorskip("torch")

SAKT = {"rasch": False, "decay": False, "keys": "responses", "positions": True, "layers": 1}
SIMPLEKT = {"rasch": True, "decay": False, "keys": "items", "positions": True, "layers": 2}
AKT = {"rasch": True, "decay": True, "keys": "items", "positions": False, "layers": 2}
SMALL = {"hidden": 16, "heads": 2, "epochs": 8, "batch_size": 16, "learning_rate": 0.01, "dropout": 0.1}
every_kind = pytest.mark.parametrize("flags", [SAKT, SIMPLEKT, AKT], ids=["sakt", "simplekt", "akt"])
LONG = 2 * WINDOW + HALF // 2


def responses(rng: np.random.Generator, lengths: list[int], easiness: np.ndarray) -> pd.DataFrame:
    """Learners of different ability on 4 concepts; item i{k} assesses concept k % 4."""
    parts = []
    for u, n in enumerate(lengths):
        item = rng.integers(0, len(easiness), n)
        known = rng.normal(0, 1) + rng.normal(0, 1, 4)
        correct = rng.random(n) < 1 / (1 + np.exp(-(known[item % 4] + easiness[item])))
        parts.append(pd.DataFrame({"learner_id": f"u{u}", "item_id": [f"i{k}" for k in item], "correct": correct.astype(float), "order": range(n)}))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def classroom() -> tuple[pd.DataFrame, ConceptGraph, np.ndarray]:
    """140 learners with histories of 5 to 60, on 20 items of very different easiness; one item more has all four concepts."""
    rng = np.random.default_rng(2)
    easiness = rng.normal(0, 1.5, 20)
    rows = responses(rng, rng.integers(5, 61, 140).tolist(), easiness)
    q_matrix = pd.DataFrame({"item_id": [f"i{k}" for k in range(20)] + ["all"] * 4, "concept_id": [f"c{k % 4}" for k in range(24)]})
    return rows, ConceptGraph.from_tables(None, None, q_matrix), easiness


@pytest.fixture(scope="module")
def marathon() -> pd.DataFrame:
    """Four histories that fill several windows, end at the edge of one, or none."""
    return responses(np.random.default_rng(5), [LONG, WINDOW, WINDOW + HALF, 7], np.zeros(20))


def unfitted(flags: dict, classroom: tuple) -> Attention:
    """A model with the random weights of its start (and places told apart), for what must hold whatever was learnt."""
    model, vocabulary = Attention(**SMALL | flags), Vocabulary.build(*classroom[:2])
    torch.manual_seed(0)
    network = model._network(vocabulary, {}).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        for table in (network.item_bias, getattr(network, "difficulty", None)):
            if table is not None:
                table.weight.div_(FAST)[0] = 0.0  # an item without parameters of its own
    model._keep(vocabulary, {}, network, 5.0)
    return model


@pytest.fixture(scope="module")
def fitted(classroom) -> Attention:
    return Attention(**SMALL, **SIMPLEKT).fit(*classroom[:2])


@every_kind
def test_a_prediction_reads_its_window_and_nothing_before_or_after(flags, classroom, marathon):
    model, alone = unfitted(flags, classroom), marathon[marathon["learner_id"] == "u0"]
    whole = model.predict(marathon)
    for t in (0, 1, HALF, WINDOW - 1, WINDOW, WINDOW + HALF - 1, WINDOW + HALF, LONG - 1):
        first = HALF * max(0, t // HALF - 1)
        assert model.predict(alone[first:t + 1]).iloc[-1] == pytest.approx(whole[t], abs=1e-6)
        turned = alone.assign(correct=np.where((alone["order"] < first) | (alone["order"] >= t), 1 - alone["correct"], alone["correct"]))
        assert model.predict(turned).iloc[t] == pytest.approx(whole[t], abs=1e-6)
        if t:
            latest = alone.assign(correct=np.where(alone["order"].between(first, t - 1), 1 - alone["correct"], alone["correct"]))
            assert model.predict(latest).iloc[t] != pytest.approx(whole[t], abs=1e-4)


@every_kind
def test_learners_followed_live_stay_with_their_whole_history(flags, classroom, marathon):
    """Through every turn of the window, and whoever else is asked with them."""
    model, alone = unfitted(flags, classroom), marathon[marathon["learner_id"] == "u0"][:LONG if flags is SIMPLEKT else WINDOW + 1]
    together = model.mastery(marathon).set_index(["learner_id", "concept_id"])["mastery"]
    state = model.start()
    for t, (item, correct) in enumerate(zip(alone["item_id"], alone["correct"], strict=True)):
        state = model.step(state, item, correct)
        assert state[0].steps.mask.shape[1] < WINDOW
        if t + 1 in (1, HALF, WINDOW - 1, WINDOW, WINDOW + 1, WINDOW + HALF, LONG):
            table = model.mastery(alone[:t + 1])
            np.testing.assert_allclose(model.mastery_of(state)["mastery"], table["mastery"], atol=1e-6)
    for learner in ("u0", "u1", "u2", "u3"):
        table = model.mastery(marathon[marathon["learner_id"] == learner])
        np.testing.assert_allclose(together[learner], table["mastery"], atol=1e-6)


def test_many_responses_can_be_added_to_a_state_at_once(classroom, marathon):
    model = unfitted(SIMPLEKT, classroom)
    histories = encode(marathon, model.vocabulary_)
    steps = _steps(histories, model.vocabulary_, np.arange(4))
    with torch.no_grad():
        whole = model.network_.concept_logits(model.network_.after(steps, None))
        for cut in (3, 150, 320):
            early, late = (type(steps)(*(x[:, part] for x in steps)) for part in (slice(0, cut), slice(cut, None)))
            parted = model.network_.concept_logits(model.network_.after(late, model.network_.after(early, None)))
            torch.testing.assert_close(parted, whole, atol=1e-5, rtol=0)


@every_kind
def test_the_concept_asked_is_the_item_of_that_concept(flags, classroom):
    """Without anything known of an item but its concept, asking the item and asking the concept are one question."""
    rows, graph, _ = classroom
    model = unfitted({**flags, "rasch": False, "item_bias": False}, classroom)
    history = rows[rows["learner_id"] == "u3"]
    asked = pd.concat([history, history[:1].assign(item_id="i6", order=999)])
    known = model.mastery(history).set_index("concept_id")["mastery"]
    assert model.predict(asked).iloc[-1] == pytest.approx(known["c2"], abs=1e-6)


def test_the_slope_of_a_head_says_how_far_back_it_reads(classroom, marathon):
    model, history = unfitted(SAKT, classroom), marathon[marathon["learner_id"] == "u1"][:31].reset_index(drop=True)
    turned = history.assign(order=[*range(29, -1, -1), 30])
    early = history.assign(correct=[*(1 - history["correct"][:29]), *history["correct"][29:]])

    def moved(slope: float) -> list[bool]:
        with torch.no_grad():
            model.network_.layers[0].slope.fill_(np.log(slope))
        p, *others = (model.predict(table)[30] for table in (history, turned, early))
        return [bool(abs(other - p) > 1e-4) for other in others]

    assert moved(1e-9) == [False, True]  # all that was ever answered, in no order
    assert moved(0.3) == [True, True]
    assert moved(50.0)[1] is False  # the latest response alone


def test_decay_turns_attention_from_far_responses_to_near_ones(classroom):
    layer = unfitted(AKT, classroom).network_.layers[0]
    key = torch.ones(1, 2, 41, 8)  # everything ever asked looks alike, and like what is asked
    place = torch.tensor([[[[40]]]])
    with torch.no_grad():
        weight = layer._weights(key[:, :, :1], key, place)[0, :, 0].flip(1)
        layer.rate.fill_(-50.0)  # a rate of nothing
        level = layer._weights(key[:, :, :1], key, place)[0, :, 0]
    torch.testing.assert_close(level, torch.full((2, 41), 1 / 41))
    assert (weight[:, 2:] >= weight[:, 1:-1]).all()
    assert (weight[:, 1:11].sum(1) < 0.8 * weight[:, 31:].sum(1)).all()


def first_logits(model: Attention) -> pd.Series:
    """Logit of each item for a learner never seen, about the mean of its concept."""
    p = model.predict(pd.DataFrame({"learner_id": [f"new {k}" for k in range(20)], "item_id": [f"i{k}" for k in range(20)], "correct": 0.0, "order": 0}))
    logit = np.log(p / (1 - p)).reset_index(drop=True)
    return logit - logit.groupby(np.arange(20) % 4).transform("mean")


def test_rasch_embeddings_learn_the_difficulty_of_items(classroom):
    """With no easiness beside them: without them, all items of a concept are alike."""
    rows, graph, easiness = classroom
    alike = first_logits(unfitted({**SIMPLEKT, "rasch": False, "item_bias": False}, classroom))
    assert np.abs(alike).max() < 1e-6
    found = first_logits(Attention(**SMALL | {"epochs": 4}, **SIMPLEKT, item_bias=False, item_l2=0.0).fit(rows, graph))
    truth = pd.Series(easiness) - pd.Series(easiness).groupby(np.arange(20) % 4).transform("mean")
    assert np.corrcoef(found, truth)[0, 1] > 0.85


def test_items_are_drawn_to_the_mean_in_training_only(classroom):
    model = unfitted({**SIMPLEKT, "dropout": 0.0, "item_l2": 0.01}, classroom)
    network, steps = model.network_, _steps(encode(classroom[0], model.vocabulary_), model.vocabulary_, np.arange(3))
    plain, n = network.loss(steps)
    drawn, _ = network.train().loss(steps)
    squares = (FAST * network.item_bias.weight).square().sum() + (FAST * network.difficulty.weight).square().sum()
    torch.testing.assert_close(drawn - plain, 0.01 * n * squares, atol=1e-2, rtol=1e-4)


def test_a_right_answer_raises_its_concept_most(fitted):
    right, wrong = (fitted.mastery_of(fitted.step(fitted.step(fitted.start(), "i0", c), "i4", c))["mastery"] for c in (1.0, 0.0))
    gap = right - wrong
    assert gap["c0"] > 0.1 and gap["c0"] == gap.max()


@every_kind
def test_cutting_a_batch_changes_no_gradient(flags, classroom):
    rows, graph, _ = classroom
    model = unfitted({**flags, "dropout": 0.0}, classroom)
    histories, network = encode(rows, model.vocabulary_), model.network_
    cut = [_steps(histories, model.vocabulary_, part) for part in next(iter(histories.batches(48, (0, 0))))]
    learners = np.concatenate(next(iter(histories.batches(48, (0, 0)))))
    assert len(cut) > 2
    gradients = []
    for batch in (cut, [_steps(histories, model.vocabulary_, learners)]):
        network.zero_grad()
        responses = 0
        for steps in batch:
            total, n = network.loss(steps)
            total.backward()
            responses += n
        gradients.append([torch.zeros_like(p) if p.grad is None else p.grad / responses for p in network.parameters()])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, atol=2e-6, rtol=1e-4)


def test_an_item_of_several_concepts_is_one_step(classroom):
    model = unfitted(SIMPLEKT, classroom)
    state = model.step(model.start(), "all", 1.0)
    assert state[0].steps.mask.shape == (1, 1) and list(state[1]) == [1, 1, 1, 1]
    table = model.network_.concept.detach()
    steps = state[0].steps._replace(item=torch.zeros(1, 1, dtype=torch.int64))
    torch.testing.assert_close(model.network_._embed(steps)[0][0, 0], table[:4, 0].mean(0))


def test_settings_that_make_no_model_are_refused():
    with pytest.raises(DataError, match="keys must be one of items, responses; found 'answers'"):
        Attention(**{**SAKT, "keys": "answers"})
    with pytest.raises(DataError, match=r"hidden must be a multiple of heads \(4\), 4 for each or more; found 30"):
        Attention(**SAKT, hidden=30)
    with pytest.raises(DataError, match="positions must be false where decay is true"):
        Attention(**{**AKT, "positions": True})
    with pytest.raises(DataError, match="layers must be 1 or more; found 0"):
        Attention(**{**SAKT, "layers": 0})
    assert [Attention(**flags).name for flags in (SAKT, SIMPLEKT, AKT)] == ["sakt", "simplekt", "akt"]


@pytest.mark.realdata
def test_a_tenth_of_assistments_2009_is_traced(edukit_data):
    from scipy.sparse import load_npz

    folder = edukit_data / "assistments2009" / "lpp"
    raw = pd.read_csv(folder / "preprocessed_data_train.csv", sep="\t")
    rows = pd.DataFrame({"learner_id": raw["user_id"].astype("str"), "item_id": raw["item_id"].astype("str"),
                         "correct": raw["correct"].astype(float), "order": raw.groupby("user_id").cumcount()})
    pairs = load_npz(folder / "q_mat.npz").tocoo()
    graph = ConceptGraph.from_tables(None, None, pd.DataFrame({"item_id": pairs.row.astype(str), "concept_id": pairs.col.astype(str)}))
    learners = np.random.default_rng(0).permutation(rows["learner_id"].unique())[:500]
    train, test = (rows[rows["learner_id"].isin(part)] for part in (learners[:350], learners[350:]))
    model = Attention(**SIMPLEKT, epochs=5).fit(train, graph)
    assert auc(test["correct"], model.predict(test)) > 0.7
