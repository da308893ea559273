"""Explanations agree with each model's own terms, and name what was planted."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from edukit.graph.concept_graph import ConceptGraph
from edukit.schema import DataError
from edukit.tracing.bkt import BKT, Parameters
from edukit.tracing.dkt import DKT
from edukit.tracing.explaining import explain, sentence
from edukit.tracing.irt import IRT, StaticIRT
from edukit.tracing.logistic import DAS3H, Logistic

CONCEPTS = ("counting", "adding", "multiplying", "drawing")  # each of the first three requires the one before
PER = 3  # items of each, but one of drawing


@cache
def graph() -> ConceptGraph:
    items = [(f"{c[:3]}{k}", c) for c in CONCEPTS for k in range(1 if c == "drawing" else PER)]
    edges = pd.DataFrame({"concept_id": ["adding", "multiplying"], "requires_id": ["counting", "adding"], "source": "expert", "weight": 1.0})
    return ConceptGraph.from_tables(None, edges, pd.DataFrame(items, columns=["item_id", "concept_id"]))


def history(*responses: tuple[str, float], learner: str = "ann") -> pd.DataFrame:
    return pd.DataFrame({"learner_id": learner, "item_id": [r[0] for r in responses], "correct": [float(r[1]) for r in responses],
                         "order": np.arange(len(responses))})


@cache
def log(learners: int = 150, seed: int = 3) -> pd.DataFrame:
    """Learners know counting or not; who knows it, and only they, know adding; drawing is a matter of its own."""
    rng = np.random.default_rng(seed)
    items, found = graph().q_matrix, []
    for u in range(learners):
        counts, draws = rng.random() < 0.5, rng.random() < 0.5
        knows = {"counting": counts, "adding": counts, "multiplying": counts, "drawing": draws}
        asked = items.sample(frac=1, random_state=int(rng.integers(2**31)))
        p = np.where(asked["concept_id"].map(knows), 0.9, 0.12)
        found.append(history(*zip(asked["item_id"], rng.random(len(p)) < p, strict=True), learner=f"u{u}"))
    return pd.concat(found, ignore_index=True)


@cache
def fitted(kind: type, **settings):
    return kind(**settings).fit(log(), graph())


ANN = history(("dra0", 1), ("cou0", 1), ("add0", 0), ("cou1", 0), ("add1", 1), ("dra0", 1))


def test_logistic_agrees_with_its_own_terms():
    model, found = fitted(Logistic), explain(fitted(Logistic), ANN, "drawing", graph())
    own, weights = model._blocks(model.vocabulary_), model.weights_
    place = model.vocabulary_.concept_ids.index("drawing")
    right, total = weights[own["concept_counts"]][2 * place], weights[own["total_counts"]][0]
    logit = lambda p: np.log(p / (1 - p))  # noqa: E731 (drawing has one item, so that mastery is a sigmoid of the terms)
    response = found.responses.iloc[0]
    assert response["relation"] == "itself" and response["item_id"] == "dra0"
    gain = logit(found.mastery) - logit(found.mastery - response["moved"])
    assert gain == pytest.approx(right * np.log(3 / 2) + total * np.log(5 / 4), abs=1e-9)  # 2 right on drawing, 4 in all


def test_the_whole_and_its_parts_are_what_the_model_says():
    for kind in (Logistic, IRT, BKT):
        model = fitted(kind)
        found = explain(model, ANN, "adding", graph())
        told = model.mastery(ANN).set_index("concept_id").loc["adding"]
        assert (found.mastery, found.sd, found.n) == (told["mastery"], told["sd"], 2)
        assert found.baseline == pytest.approx(model.mastery_of(model.start()).loc["adding", "mastery"])
        assert found.remainder == pytest.approx(found.mastery - found.baseline - found.responses["moved"].sum())
        without = model.mastery(ANN[ANN["item_id"].str[:3] != "cou"]).set_index("concept_id").loc["adding", "mastery"]
        part = found.concepts.set_index("concept_id").loc["counting"]
        assert (part["relation"], part["steps"], part["n"]) == ("prerequisite", 1, 2) and part["moved"] == pytest.approx(found.mastery - without)


def test_an_unrelated_response_moves_what_the_model_lets_it_move():
    bkt, irt = (explain(fitted(kind), ANN, "multiplying", graph()) for kind in (BKT, IRT))
    assert (bkt.responses["moved"] == 0).all() and bkt.mastery == bkt.baseline  # a chain per concept
    assert (irt.responses.loc[irt.responses["correct"] == 1, "moved"] > 0).all()  # one ability for all concepts
    assert set(irt.responses["relation"]) == {"other", "prerequisite"}


def test_the_one_item_that_cannot_be_guessed_is_named():
    model = fitted(BKT)
    keen = BKT()
    guess = np.where(np.isin([*("",), *model.vocabulary_.item_ids], ["cou1"])[:, None], 0.01, 0.45)
    keen.vocabulary_, keen.rate_ = model.vocabulary_, model.rate_
    keen.parameters_ = Parameters(*np.repeat([[0.3], [0.01], [0.01]], 4, axis=1), guess, np.full_like(guess, 0.2))
    found = explain(keen, history(("cou0", 1), ("cou1", 1), ("cou2", 0), ("dra0", 0)), "counting", graph())
    assert found.responses.loc[found.responses["moved"].idxmax(), "item_id"] == "cou1" and found.responses["moved"].max() > 0.3
    assert "right on item cou1 (+" in sentence(found).split("What moved it most: ")[1].split(";")[0]


def test_a_network_finds_the_planted_prerequisite():
    model = fitted(DKT, hidden=16, embedding=16, epochs=8, batch_size=16)
    failed, passed = (explain(model, history(*((f"cou{k}", mark) for k in range(3)), ("dra0", 1 - mark)), "adding", graph()) for mark in (0.0, 1.0))
    for found, sign in ((failed, -1), (passed, 1)):
        part = found.concepts.set_index("relation")["moved"] * sign
        assert part["prerequisite"] > 0.1 and part["prerequisite"] > 2 * abs(part["other"])
        assert f"responses on the prerequisite Counting: {'+' if sign > 0 else '-'}0." in sentence(found, {"counting": "Counting"})


def test_a_model_without_order_is_explained_from_the_same_question():
    model = fitted(StaticIRT)
    one = explain(model, ANN.iloc[:1].assign(order=pd.NA), "drawing", graph())
    assert one.responses["moved"].iloc[0] == pytest.approx(one.mastery - one.baseline) and one.remainder == pytest.approx(0)
    assert one.mastery > one.baseline > 0


def test_a_model_that_follows_nobody_live_is_asked_for_a_first_response():
    """DAS3H sees a learner's moment: the first answer on an item is what it says of somebody never seen."""
    timed = lambda rows: rows.assign(timestamp=pd.Timestamp("2025-09-01", tz="UTC") + pd.to_timedelta(rows["order"].astype(int), unit="h"))  # noqa: E731
    model = DAS3H().fit(timed(log()), graph())
    found = explain(model, timed(ANN), "drawing", graph())
    first = timed(history(("dra0", 1), learner="new"))
    assert found.baseline == pytest.approx(model.predict(first).iloc[0]) and (found.responses["moved"].iloc[[0, 5]] > 0).all()


def test_asked_in_portions_the_answer_is_the_same(monkeypatch):
    from edukit.tracing import explaining

    whole = explain(fitted(IRT), ANN, "adding", graph())
    monkeypatch.setattr(explaining, "CELLS", 12)
    again = explain(fitted(IRT), ANN, "adding", graph())
    pd.testing.assert_frame_equal(whole.responses, again.responses)
    pd.testing.assert_frame_equal(whole.concepts, again.concepts)


def test_two_learners_or_an_unknown_concept_are_refused():
    with pytest.raises(DataError, match="of one learner; found 2"):
        explain(fitted(IRT), pd.concat([ANN, history(("cou0", 1), learner="bob")]), "adding", graph())
    with pytest.raises(DataError, match="one of the 4 concepts"):
        explain(fitted(IRT), ANN, "algebra", graph())
    wider = ConceptGraph.from_tables(None, None, pd.concat([graph().q_matrix, pd.DataFrame({"item_id": ["alg0"], "concept_id": ["algebra"]})]))
    for model in (fitted(IRT), fitted(StaticIRT)):  # one that follows learners live, and one that does not
        with pytest.raises(DataError, match="a concept of the model; found 'algebra'"):
            explain(model, ANN, "algebra", wider)


def test_the_sentence_says_what_it_is():
    found = explain(fitted(IRT), ANN, "adding", graph())
    said = sentence(found, {"adding": "Adding <b>x</b>"})
    assert said.startswith(f"Mastery of Adding <b>x</b> is estimated at {found.mastery:.2f} (sd {found.sd:.2f}, 2 responses on it).")
    assert "Taken together, all responses on it: " in said and "prerequisite counting: " in said and "everything else: " in said
    assert "never seen" in said and said.endswith("not why the learner answers so.")
