"""Responses as sequences: nothing is lost, mixed up, or expanded."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from edukit.graph.concept_graph import ConceptGraph
from edukit.protocols import OrderUnknownError
from edukit.schema import DataError
from edukit.tracing.sequences import Vocabulary, concentration, counts, encode, read_model, response_sd, write_model


@pytest.fixture
def graph() -> ConceptGraph:
    return ConceptGraph.from_tables(None, None, pd.DataFrame({
        "item_id": ["b", "a", "a", "unasked", "a.*"], "concept_id": ["add", "take", "add", "share", "add"]}))


@pytest.fixture
def rows() -> pd.DataFrame:
    return pd.DataFrame({"learner_id": ["zoë", "al", "zoë", "al", "zoë"], "item_id": ["b", "a", "a", "off the list", "a.*"],
                         "correct": [1.0, 0.0, 0.5, 1.0, 0.0], "order": [7, 2, 3, 1, 9]}, index=[10, 3, 5, 8, 1])


def test_items_of_training_come_first_and_listed_ones_keep_their_concepts(graph, rows):
    vocabulary = Vocabulary.build(rows, graph)
    assert vocabulary.item_ids == ("a", "a.*", "b", "off the list", "unasked") and vocabulary.trained == 4
    item = vocabulary.index(pd.Series(["unasked", "never heard of", "a"]))
    assert item.tolist() == [5, 0, 1] and vocabulary.parameter(item).tolist() == [0, 0, 1]
    hot = vocabulary.multi_hot(item)
    assert [{vocabulary.concept_ids[c] for c in np.flatnonzero(row)} for row in hot] == [{"share"}, set(), {"add", "take"}]
    for index in range(6):
        assert set(vocabulary.concept_sets[vocabulary.set_of_item[index]]) == set(vocabulary.item_concepts[index])


def test_rows_are_sorted_by_learner_and_order_and_find_their_way_back(graph, rows):
    vocabulary = Vocabulary.build(rows, graph)
    histories = encode(rows, vocabulary)
    assert histories.learner_ids.tolist() == ["zoë", "al"] and histories.lengths.tolist() == [3, 2]
    assert [vocabulary.item_ids[i - 1] for i in histories.item] == ["a", "b", "a.*", "off the list", "a"]
    back = histories.align(histories.correct, rows.index)
    pd.testing.assert_series_equal(back, rows["correct"], check_names=False)


def test_a_response_with_two_concepts_is_one_step(graph, rows):
    vocabulary = Vocabulary.build(rows, graph)
    histories = encode(rows, vocabulary)
    assert len(histories.item) == len(rows)
    assert counts(histories, vocabulary).tolist() == [[3, 0, 1], [1, 0, 1]]  # add, share, take


def test_names_of_learners_do_not_decide_anything(graph, rows):
    vocabulary = Vocabulary.build(rows, graph)
    one, two = encode(rows, vocabulary), encode(rows.replace({"learner_id": {"zoë": "a", "al": "z"}}), vocabulary)
    assert (one.item == two.item).all() and (one.position == two.position).all()


def test_padding_windows_and_subsets_hold_the_same_responses():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 90, 30)
    rows = pd.DataFrame({"learner_id": np.repeat(np.arange(30).astype(str), lengths), "item_id": [str(i) for i in range(lengths.sum())],
                         "correct": rng.random(lengths.sum()), "order": np.concatenate([np.arange(n) for n in lengths])})
    rows = rows.sample(frac=1, random_state=1)
    q_matrix = pd.DataFrame({"item_id": rows["item_id"], "concept_id": "c"})
    vocabulary = Vocabulary.build(rows, ConceptGraph.from_tables(None, None, q_matrix))
    histories = encode(rows, vocabulary)
    padded = histories.pad(np.arange(30))
    assert (padded.item[padded.mask] == histories.item).all() and (padded.item[~padded.mask] == 0).all()
    cut = histories.windows(20)
    assert cut.lengths.max() <= 20 and cut.lengths.sum() == len(rows) and (cut.item == histories.item).all()
    assert all(len(set(pieces)) <= 2 and max(pieces) - min(pieces) <= 1 for _, pieces in pd.Series(cut.lengths).groupby(cut.learner_ids))
    some = histories.take(np.array([7, 2]))
    assert (rows["item_id"].to_numpy()[some.position] == np.array(vocabulary.item_ids)[some.item - 1]).all()
    assert some.lengths.tolist() == histories.lengths[[7, 2]].tolist()


def test_batches_are_drawn_from_seed_and_epoch_and_cut_only_inside_a_batch():
    rows = pd.DataFrame({"learner_id": np.repeat(np.arange(100).astype(str), np.arange(1, 101)), "item_id": "i", "correct": 1.0,
                         "order": np.concatenate([np.arange(n) for n in range(1, 101)])})
    graph = ConceptGraph.from_tables(None, None, pd.DataFrame({"item_id": ["i"], "concept_id": ["c"]}))
    histories = encode(rows, Vocabulary.build(rows, graph))

    def drawn(epoch: int) -> list[list[list[int]]]:
        return [[micro.tolist() for micro in batch] for batch in histories.batches(16, (3, epoch))]

    assert drawn(0) == drawn(0) != drawn(1)
    for batch in drawn(0)[:-1]:
        flat = [u for micro in batch for u in micro]
        assert len(flat) == 16 and np.std(histories.lengths[flat]) > 15  # a batch is not sorted by length as a whole
        for micro in batch:
            assert histories.lengths[micro].min() >= 0.6 * histories.lengths[micro].max()
    assert sorted(u for batch in drawn(0) for micro in batch for u in micro) == list(range(100))


def test_unknown_order_is_refused_with_the_name_of_the_model(graph, rows):
    with pytest.raises(OrderUnknownError, match="dkt.*order"):
        encode(rows.assign(order=pd.array([pd.NA] * 5, "Int64")), Vocabulary.build(rows, graph), "dkt")


def test_three_hundred_thousand_rows_take_less_than_two_seconds():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"learner_id": rng.integers(0, 3000, 300_000).astype(str), "item_id": rng.integers(0, 15_000, 300_000).astype(str),
                         "correct": 1.0, "order": np.arange(300_000)})
    q_matrix = pd.DataFrame({"item_id": np.arange(15_000).astype(str), "concept_id": (np.arange(15_000) % 150).astype(str)})
    graph = ConceptGraph.from_tables(None, None, q_matrix)
    began = time.process_time()
    encode(rows, Vocabulary.build(rows, graph))
    assert time.process_time() - began < 2


def test_uncertainty_shrinks_with_responses_and_is_widest_in_the_middle():
    sd = response_sd(np.array([0.5, 0.5, 0.9, 0.0]), np.array([0, 20, 0, 0]), 4.0)
    assert sd[0] == pytest.approx((0.25 / 5) ** 0.5) and sd[1] < sd[0] and sd[2] < sd[0] and sd[3] > 0


@pytest.mark.parametrize("kappa", [3.0, 12.0])
def test_the_weight_of_a_forecast_is_recovered(kappa):
    """Learners whose mastery of each concept is Beta(kappa p, kappa (1 - p)) around a forecast p."""
    rng = np.random.default_rng(5)
    learners, steps = 3000, 8
    p = rng.uniform(0.2, 0.9, (learners, 2))
    mastery = rng.beta(kappa * p, kappa * (1 - p))
    concept = np.tile(np.arange(steps) % 2, (learners, 1))
    correct = rng.random((learners, steps)) < np.take_along_axis(mastery, concept, 1)
    rows = pd.DataFrame({"learner_id": np.repeat(np.arange(learners).astype(str), steps), "item_id": [f"i{k}" for k in concept.ravel()],
                         "correct": correct.ravel().astype(float), "order": np.tile(np.arange(steps), learners)})
    graph = ConceptGraph.from_tables(None, None, pd.DataFrame({"item_id": ["i0", "i1"], "concept_id": ["c0", "c1"]}))
    vocabulary = Vocabulary.build(rows, graph)
    found = concentration(encode(rows, vocabulary), vocabulary, np.take_along_axis(p, concept, 1).ravel())
    assert found == pytest.approx(kappa, rel=0.15)


def test_a_model_file_gives_back_what_was_written_and_names_what_it_is_not(tmp_path, graph, rows):
    vocabulary = Vocabulary.build(rows, graph)
    arrays = {"turned": np.arange(6.0).reshape(2, 3).T, "none": np.zeros((0, 2), np.int64)}
    for name in ("one", "two"):
        write_model(tmp_path / name, "dkt", {"hidden": 3, "seed": None}, vocabulary, arrays)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    settings, again, found = read_model(tmp_path / "one", "dkt")
    assert settings == {"hidden": 3, "seed": None} and again.item_ids == vocabulary.item_ids
    assert (again.item_concepts == vocabulary.item_concepts).all()
    assert all((found[name] == arrays[name]).all() and found[name].shape == arrays[name].shape for name in arrays)
    with pytest.raises(DataError, match="kind gkt; found dkt"):
        read_model(tmp_path / "one", "gkt")
    (tmp_path / "table.csv").write_text("learner_id,item_id\n1,2\n")
    with pytest.raises(DataError, match="saved by edukit"):
        read_model(tmp_path / "table.csv", "dkt")
