"""No test pair, its reverse or what follows from it reaches what is fitted, whatever the track, the seed and the size of the validation set."""

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edukit.graph.floors import ClosureRule, DegreeLogistic
from edukit.graph.pair_benchmark import PAIR, ask_random, best_threshold, make_fold, random_negatives, run_fold, with_reversed, without_labels
from edukit.schema import DataError


def world(seed: int = 0, concepts: int = 24, share: float = 0.3) -> dict[str, pd.DataFrame]:
    """A partial order of concepts, judged both ways with unrelated pairs among them."""
    rng = np.random.default_rng(seed)
    ids = np.array([f"c{k:02d}" for k in range(concepts)])
    edges = [(a, b) for a in range(concepts) for b in range(a) if rng.random() < 3 / concepts]
    closed = nx.transitive_closure(nx.DiGraph(edges))
    rows = [(ids[a], ids[b], 1.0) for a, b in closed.edges] + [(ids[b], ids[a], 0.0) for a, b in closed.edges if rng.random() < 0.5]
    rows += [(ids[a], ids[b], 0.0) for a, b in rng.integers(0, concepts, (80, 2)) if a != b and not closed.has_edge(a, b) and not closed.has_edge(b, a)]
    pairs = pd.DataFrame(rows, columns=["concept_id", "requires_id", "label"]).drop_duplicates(PAIR).assign(origin="annotated")
    return {"concepts": pd.DataFrame({"concept_id": ids, "name": ids}), "concept_pairs": pairs.sample(frac=1, random_state=seed).reset_index(drop=True),
            "prerequisites": pairs.loc[pairs["label"] == 1, PAIR].assign(source="expert", weight=1.0)}


def unordered(rows: pd.DataFrame) -> set[frozenset]:
    return {frozenset(p) for p in rows[PAIR].itertuples(index=False, name=None)}


class Recorder:
    """A model that keeps whatever it was handed."""

    handed: list = []

    def fit(self, tables, labels=None):
        Recorder.handed.append((dict(tables), labels))
        return self

    def predict(self, pairs):
        assert not {"label", "origin", "implied", "votes", "agreement"} & set(pairs)
        return pd.Series(0.5, index=pairs.index)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 50), track=st.sampled_from(["grouped", "inductive"]), number=st.integers(0, 3), valid=st.sampled_from([0, 4]))
def test_what_is_tested_reaches_nothing_that_is_fitted(seed, track, number, valid):
    tables = world(seed)
    pairs = with_reversed(tables["concept_pairs"])
    fold = make_fold(pairs, track, seed, number, folds=4, valid=valid)
    Recorder.handed = []
    asked = run_fold(Recorder, tables, fold, random_negatives(pairs))
    assert len(Recorder.handed) == (2 if len(fold.valid) else 1)
    assert (len(fold.valid) > 0) == (valid > 0)
    for handed, labels in Recorder.handed:
        assert not {"concept_pairs", "prerequisites"} & set(handed)
        assert not unordered(labels) & unordered(fold.test), "a test pair or its reverse was handed over"
        assert not unordered(labels) & unordered(asked[asked["origin"] == "random"])
        if track == "inductive":
            seen = {*labels["concept_id"], *labels["requires_id"]}
            assert not fold.test[PAIR].isin(seen).all(axis=1).any()
    assert not unordered(Recorder.handed[0][1]) & unordered(fold.valid) or not valid
    known = nx.DiGraph([(a, b) for a, b, y in pd.concat([fold.train, fold.valid])[[*PAIR, "label"]].itertuples(index=False) if y == 1])
    follows = [y == 1 and a in known and b in known and nx.has_path(known, a, b) for a, b, y in fold.test[[*PAIR, "label"]].itertuples(index=False)]
    assert fold.test["implied"].tolist() == follows, "every positive that training implies is reported apart"
    if track == "inductive":
        assert not fold.test["implied"].any()


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 20), track=st.sampled_from(["grouped", "inductive"]), valid=st.sampled_from([0, 4]))
def test_other_test_labels_change_no_score(seed, track, valid):
    tables = world(seed)
    pairs = with_reversed(tables["concept_pairs"])
    fold = make_fold(pairs, track, seed, 0, folds=4, valid=valid)
    turned = pairs.copy()
    turned.loc[fold.test.index, "label"] = 1 - fold.test["label"]
    other = make_fold(turned, track, seed, 0, folds=4, valid=valid)
    random = random_negatives(pairs)
    for model in (ClosureRule, DegreeLogistic):
        one, two = (run_fold(model, {**tables, "prerequisites": p.loc[p["label"] == 1, PAIR]}, f, random) for p, f in ((pairs, fold), (turned, other)))
        pd.testing.assert_frame_equal(one[["score", "reverse", "threshold"]], two[["score", "reverse", "threshold"]])


def test_the_leaky_track_leaks_and_the_others_do_not():
    pairs = with_reversed(world()["concept_pairs"])
    shared = {t: len(unordered(f.train) & unordered(f.test)) for t in ("random_leaky", "grouped", "inductive") for f in [make_fold(pairs, t)]}
    assert shared["random_leaky"] > 0 and shared["grouped"] == shared["inductive"] == 0


def test_leaving_a_domain_out_leaves_its_pairs_out():
    pairs = pd.concat([world(1)["concept_pairs"].assign(domain="a"), world(2)["concept_pairs"].assign(domain="b")], ignore_index=True)
    fold = make_fold(with_reversed(pairs), "a")
    assert set(fold.test["domain"]) == {"a"} and set(fold.train["domain"]) == {"b"}
    assert not unordered(pd.concat([fold.train, fold.valid])) & unordered(fold.test)
    with pytest.raises(DataError, match="track must be one of"):
        make_fold(pairs, "nowhere")


def test_reversed_positives_are_added_once_and_random_pairs_are_new():
    pairs = world()["concept_pairs"]
    whole = with_reversed(pairs)
    positive = whole.loc[whole["label"] == 1, PAIR]
    assert pd.MultiIndex.from_frame(positive[PAIR[::-1]]).isin(pd.MultiIndex.from_frame(whole.loc[whole["label"] == 0, PAIR])).all()
    assert not whole.duplicated(PAIR).any()
    pd.testing.assert_frame_equal(with_reversed(whole), whole)
    random = random_negatives(whole, 3)
    assert len(random) and not unordered(random) & unordered(whole)
    assert (random["concept_id"] != random["requires_id"]).all()
    pd.testing.assert_frame_equal(random, random_negatives(whole.sample(frac=1, random_state=1), 3))


def test_random_negatives_of_an_inductive_fold_are_as_strange_as_its_pairs():
    pairs = with_reversed(world()["concept_pairs"])
    fold = make_fold(pairs, "inductive")
    seen = {*pd.concat([fold.train, fold.valid])[PAIR].to_numpy().ravel()}
    asked = ask_random(fold, random_negatives(pairs))
    unseen = (~asked[PAIR].isin(seen)).sum(axis=1)
    assert (unseen > 0).all() and ((unseen == 2) == (asked["part"] == "inductive_both")).all()


def test_threshold_has_the_best_f1_and_half_where_there_is_nothing_to_choose_on():
    rng = np.random.default_rng(0)
    label, score = rng.integers(0, 2, 60).astype(float), rng.random(60).round(1)
    f1 = {t: 2 * (label[score >= t] == 1).sum() / ((score >= t).sum() + label.sum()) for t in [*np.unique(score), best_threshold(label, score)]}
    assert f1[best_threshold(label, score)] == max(f1.values())
    assert best_threshold(np.zeros(0), np.zeros(0)) == 0.5
    assert without_labels({"concepts": 1, "prerequisites": 2, "concept_pairs": 3}) == {"concepts": 1}
