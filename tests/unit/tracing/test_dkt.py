"""Deep knowledge tracing: what each of its parts is for, shown on learners whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.graph.concept_graph import ConceptGraph
from edukit.metrics import auc, ece, log_loss
from edukit.schema import DataError
from edukit.tracing.dkt import DKT
from edukit.tracing.networks import _steps, share_of_items
from edukit.tracing.recurrence import Ordered, dropped, lstm, scattered
from edukit.tracing.sequences import Vocabulary, encode

torch = pytest.importorskip("torch")

SMALL = {"hidden": 16, "embedding": 16, "epochs": 8, "batch_size": 16, "learning_rate": 0.02, "dropout": 0.1}


@pytest.fixture(scope="module")
def classroom() -> tuple[pd.DataFrame, ConceptGraph, np.ndarray]:
    """150 learners of different ability on 4 concepts with 5 items each, of very different easiness; histories of 5 to 60."""
    rng = np.random.default_rng(2)
    easiness = rng.normal(0, 1.5, 20)
    parts = []
    for u in range(150):
        n = int(rng.integers(5, 61))
        item = rng.integers(0, 20, n)
        known = rng.normal(0, 1) + rng.normal(0, 1, 4)
        correct = rng.random(n) < 1 / (1 + np.exp(-(known[item % 4] + easiness[item])))
        parts.append(pd.DataFrame({"learner_id": f"u{u}", "item_id": [f"i{k}" for k in item], "correct": correct.astype(float),
                                   "order": range(n)}))
    q_matrix = pd.DataFrame({"item_id": [f"i{k}" for k in range(20)], "concept_id": [f"c{k % 4}" for k in range(20)]})
    return pd.concat(parts, ignore_index=True), ConceptGraph.from_tables(None, None, q_matrix), easiness


@pytest.fixture(scope="module")
def fitted(classroom) -> DKT:
    return DKT(**SMALL).fit(*classroom[:2])


def test_the_easiness_of_items_is_recovered(fitted, classroom):
    bias = fitted._item_logit[fitted.vocabulary_.index(pd.Series([f"i{k}" for k in range(20)]))]
    within = bias - pd.Series(bias).groupby(np.arange(20) % 4).transform("mean")  # a concept's level is shared with its offset
    truth = classroom[2] - pd.Series(classroom[2]).groupby(np.arange(20) % 4).transform("mean")
    assert np.corrcoef(within, truth)[0, 1] > 0.85


def test_without_item_bias_items_of_a_concept_are_alike(classroom):
    rows, graph, _ = classroom
    model = DKT(**SMALL, item_bias=False).fit(rows, graph)
    first = rows[rows["order"] == 0].assign(p=model.predict(rows))
    assert first.groupby(first["item_id"].str[1:].astype(int) % 4)["p"].nunique().max() == 1


def test_cutting_a_batch_changes_no_gradient(classroom):
    """Micro-batches trimmed to their own length give the gradients of one fully padded batch."""
    rows, graph, _ = classroom
    model = DKT(**SMALL)
    vocabulary = Vocabulary.build(rows, graph)
    histories = encode(rows, vocabulary)
    torch.manual_seed(0)
    network = model._network(vocabulary, {}).eval()
    learners = next(iter(histories.batches(48, (0, 0))))
    cut, whole = ([_steps(histories, vocabulary, some) for some in parts] for parts in (learners, [np.concatenate(learners)]))
    assert len(cut) > 2
    gradients = []
    for batch in (cut, whole):
        network.zero_grad()
        responses = 0
        for steps in batch:
            total, n = network.loss(steps)
            total.backward()
            responses += n
        gradients.append([p.grad / responses for p in network.parameters()])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=0)


def test_the_recurrence_is_that_of_an_lstm():
    """Histories of different length, from any state: hidden states, last cells and all gradients are those of torch.nn.LSTM, which pads."""
    torch.manual_seed(1)
    memory, inputs = torch.nn.LSTM(5, 7, batch_first=True), torch.randn(6, 5, requires_grad=True)
    length = torch.tensor([3, 9, 1, 9, 4])
    mask, which = torch.arange(9) < length[:, None], torch.randint(0, 6, (5, 9))
    hidden0, cell0 = torch.randn(2, 5, 7)
    ordered = Ordered.of(mask)
    hidden, cell = lstm(memory, inputs, which.flatten()[ordered.place], ordered, (hidden0[ordered.learners], cell0[ordered.learners]))
    packed = torch.nn.utils.rnn.pack_padded_sequence(inputs[which], length, batch_first=True, enforce_sorted=False)
    expected, (_, cells) = memory(packed, (hidden0[None], cell0[None]))
    torch.testing.assert_close(hidden, expected.data, atol=1e-6, rtol=0)
    torch.testing.assert_close(cell[ordered.last], cells[0], atol=1e-6, rtol=0)
    sent = torch.randn_like(hidden)  # what a read-out would send back
    for ours, theirs in zip(*(torch.autograd.grad((found * sent).sum(), [*memory.parameters(), inputs]) for found in (hidden, expected.data)),
                            strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-6, rtol=1e-6)


def test_responses_find_their_way_back_to_their_place():
    mask = torch.arange(4) < torch.tensor([2, 4, 1])[:, None]
    ordered = Ordered.of(mask)
    assert ordered.sizes == [3, 2, 1, 1] and ordered.learners.tolist() == [1, 0, 2]
    assert ordered.place.tolist() == [4, 0, 8, 5, 1, 6, 7]
    assert ordered.previous.tolist() == [0, 1, 3, 5] and ordered.last.tolist() == [4, 6, 2]
    assert scattered(ordered.place.double(), ordered, mask).tolist() == [[0, 1, 0, 0], [4, 5, 6, 7], [8, 0, 0, 0]]


def test_dropout_leaves_the_mean_and_drops_its_share():
    torch.manual_seed(0)
    found = dropped(torch.ones(400, 251), 0.2, True)
    assert abs(float(found.mean()) - 1) < 0.01 and abs(float((found == 0).float().mean()) - 0.2) < 0.01
    assert torch.equal(found[0].unique(), torch.tensor([0, 256 / 205]))
    assert torch.equal(dropped(found, 0.2, False), found) and torch.equal(dropped(found, 0.0, True), found)


def test_reconstruction_makes_the_state_agree_with_the_last_response(classroom):
    """After a response, the same item should be predicted the way it was just answered (what DKT+ set out to mend)."""
    rows, graph, _ = classroom
    final = rows[rows["order"] == rows.groupby("learner_id")["order"].transform("max")]
    twice = pd.concat([rows, final.assign(order=1000)], ignore_index=True)
    last = twice["order"] == 1000
    models = [DKT(**SMALL, reconstruction=weight).fit(rows, graph) for weight in (0.0, 1.0)]
    agreement = [auc(twice["correct"][last], model.predict(twice)[last]) for model in models]
    assert agreement[1] > agreement[0] + 0.02


def test_waviness_calms_what_one_response_does_to_all_concepts(classroom):
    rows, graph, _ = classroom
    moves = []
    for weight in (0.0, 30.0):
        model = DKT(**SMALL, waviness=weight).fit(rows, graph)
        state, known = model.start(), []
        for item, correct in zip(rows["item_id"][:40], rows["correct"][:40], strict=True):
            state = model.step(state, item, correct)
            known.append(model.mastery_of(state)["mastery"].to_numpy())
        moves.append(np.square(np.diff(known, axis=0)).mean())
    assert moves[1] < 0.6 * moves[0]


def test_right_answers_raise_the_concept_more_than_wrong_ones(fitted):
    after = {c: fitted.mastery_of(fitted.step(fitted.step(fitted.start(), "i0", c), "i4", c))["mastery"] for c in (0.0, 0.5, 1.0)}
    assert after[1.0]["c0"] > after[0.5]["c0"] > after[0.0]["c0"]


def test_a_run_can_be_taken_up_with_the_same_data_only(classroom, tmp_path, monkeypatch):
    rows, graph, _ = classroom
    from edukit import training

    keys = []
    monkeypatch.setattr(training.TrainingLoop, "fit", lambda self, *_, run_key: keys.append((run_key, self.checkpoint_dir)))
    for table, seed in ((rows, 0), (rows, 0), (rows.assign(correct=1 - rows["correct"]), 0), (rows, 1)):
        DKT(**SMALL, seed=seed, checkpoint_dir=str(tmp_path)).fit(table, graph)
    assert keys[0] == keys[1] and len(set(keys)) == 3 and keys[0][1] == tmp_path


def test_one_learner_is_too_few_to_know_when_to_stop(classroom):
    rows, graph, _ = classroom
    with pytest.raises(DataError, match="2 learners or more to fit dkt .one.*found 1"):
        DKT().fit(rows[rows["learner_id"] == "u0"], graph)


def test_mastery_is_the_mean_over_the_items_of_a_concept(fitted):
    vocabulary = fitted.vocabulary_
    logit, own = np.array([[0.3, -1.0, 2.0, 0.0], [0.0, 0.0, 0.0, 9.0]]), np.linspace(-2, 2, vocabulary.trained + 1)
    found = share_of_items(logit, own, vocabulary, cells=25)
    for c in range(4):
        index = vocabulary.index(pd.Series([f"i{k}" for k in range(c, 20, 4)]))
        np.testing.assert_allclose(found[:, c], (1 / (1 + np.exp(-logit[:, [c]] - own[index]))).mean(1))


@pytest.mark.realdata
def test_reaches_its_reference_on_assistments_2009(edukit_data):
    from scipy.sparse import load_npz

    folder = edukit_data / "assistments2009" / "lpp"
    parts = []
    for part in ("train", "test"):
        raw = pd.read_csv(folder / f"preprocessed_data_{part}.csv", sep="\t")
        parts.append(pd.DataFrame({"learner_id": raw["user_id"].astype("str"), "item_id": raw["item_id"].astype("str"),
                                   "correct": raw["correct"].astype(float), "order": raw.groupby("user_id").cumcount()}))
    pairs = load_npz(folder / "q_mat.npz").tocoo()
    graph = ConceptGraph.from_tables(None, None, pd.DataFrame({"item_id": pairs.row.astype(str), "concept_id": pairs.col.astype(str)}))
    p, y = DKT().fit(parts[0], graph).predict(parts[1]), parts[1]["correct"]
    assert auc(y, p) > 0.765 and log_loss(y, p) < 0.535 and ece(y, p) < 0.02
