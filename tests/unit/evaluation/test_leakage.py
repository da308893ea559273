"""The proofs find leaks that were planted, each by the proof that is there for it, and clear a model that has none."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from edukit import splits
from edukit.evaluation import leakage
from edukit.graph.concept_graph import ConceptGraph
from edukit.schema import DataError
from edukit.tracing.irt import StaticIRT
from edukit.tracing.logistic import Logistic

LEARNERS, STEPS = 80, 30


@pytest.fixture(scope="module")
def world() -> tuple[pd.DataFrame, pd.DataFrame]:
    """80 learners of different ability answer 30 of 24 items; each item has one concept."""
    rng = np.random.default_rng(5)
    item = rng.integers(0, 24, (LEARNERS, STEPS))
    p = 1 / (1 + np.exp(-rng.normal(0, 1.2, (LEARNERS, 1)) - rng.normal(0, 1, 24)[item]))
    log = pd.DataFrame({"learner_id": np.repeat([f"u{u}" for u in range(LEARNERS)], STEPS), "item_id": [f"q{i}" for i in item.ravel()],
                        "correct": (rng.random(item.shape) < p).astype(float).ravel(), "order": np.tile(np.arange(STEPS), LEARNERS)})
    log["hints"] = (rng.random(len(log)) < 0.5 * (1 - log["correct"])).astype(int)
    return log, pd.DataFrame({"item_id": [f"q{i}" for i in range(24)], "concept_id": [f"c{i % 4}" for i in range(24)]})


class Sound:
    """The learner's rate so far, and nothing else."""

    def fit(self, rows: pd.DataFrame, graph: ConceptGraph) -> Sound:
        self.rate, self.concepts = rows["correct"].mean(), graph.q_matrix
        return self

    def predict(self, rows: pd.DataFrame) -> pd.Series:
        by = rows.sort_values("order").groupby("learner_id")["correct"]
        right, seen = by.cumsum() - rows["correct"], by.cumcount()
        return ((right + 2 * self.rate) / (seen + 2)).reindex(rows.index)

    def save(self, path: Path) -> None:
        path.write_text(str(self.rate))


class Expanding(Sound):
    """Makes a row of each concept, says what the row before said, and takes the last row of a response for its prediction."""

    def predict(self, rows: pd.DataFrame) -> pd.Series:
        each = rows.reset_index(names="row").merge(self.concepts, on="item_id").sort_values(["learner_id", "order"], kind="stable")
        told = each.groupby("learner_id")["correct"].shift(fill_value=self.rate)
        return told.groupby(each["row"]).last().reindex(rows.index)


class Foreseeing(Sound):
    """The learner's rate over all answers, those to come among them."""

    def predict(self, rows: pd.DataFrame) -> pd.Series:
        return rows.groupby("learner_id")["correct"].transform("mean")


class Counting(Sound):
    """Knows how many answers a learner will give."""

    def predict(self, rows: pd.DataFrame) -> pd.Series:
        return (super().predict(rows) + rows.groupby("learner_id")["order"].transform("max") / 100).clip(0, 1)


class Hinted(Sound):
    """Reads the hints of the very response."""

    def predict(self, rows: pd.DataFrame) -> pd.Series:
        return (super().predict(rows) - 0.1 * rows["hints"]).clip(0, 1)


class Unseeded(Sound):
    """Fits another number each time."""

    def save(self, path: Path) -> None:
        path.write_text(str(np.random.default_rng().random()))


class Crowded(Sound):
    """Set off against the mean of whoever is asked at the same time."""

    def predict(self, rows: pd.DataFrame) -> pd.Series:
        p = super().predict(rows)
        return (p - 0.2 * (p.mean() - self.rate)).clip(0, 1)


def verdicts(make, world, graph_of=None) -> dict[str, bool | None]:
    log, q_matrix = world
    graph_of = graph_of or (lambda train: ConceptGraph.from_tables(None, None, q_matrix))
    return {proof.name: proof.held for proof in leakage.prove(make, log, q_matrix, graph_of)}


@pytest.mark.parametrize("make", [Sound, Logistic, StaticIRT])
def test_what_does_not_leak_is_cleared(make, world):
    found = verdicts(make, world)
    assert len(found) == 4 and all(found.values())


@pytest.mark.parametrize(("make", "caught"), [(Expanding, "random answers"), (Foreseeing, "later rows"), (Counting, "later rows"), (Hinted, "later rows"),
                                              (Crowded, "other learners")])
def test_each_planted_leak_is_found_by_its_proof(make, caught, world):
    assert verdicts(make, world)[caught] is False


def test_a_fit_that_keeps_what_it_was_asked_is_found(world):
    class Keeping(Sound):
        asked: ClassVar[list[float]] = []

        def fit(self, rows, graph):
            super().fit(rows, graph)
            self.rate = self.asked[-1] if self.asked else self.rate
            return self

        def predict(self, rows):
            self.asked.append(rows["correct"].mean())
            return super().predict(rows)

    assert verdicts(Keeping, world)["test answers"] is False


def test_a_fit_without_a_seed_is_no_leak(world):
    assert verdicts(Unseeded, world) == {"random answers": True, "later rows": True, "other learners": True, "test answers": None}


@pytest.mark.parametrize(("change", "message"), [
    (lambda p: p * np.nan, "found nan in"), (lambda p: p + 1, r"must lie in \[0, 1\]"), (lambda p: p.to_numpy(), "found ndarray")])
def test_what_is_no_prediction_is_refused(change, message, world):
    class Broken(Sound):
        def predict(self, rows):
            return change(super().predict(rows))

    with pytest.raises(DataError, match=message):
        verdicts(Broken, world)
    with pytest.raises(DataError, match="no predict, save"):
        verdicts(type("Half", (), {"fit": Sound.fit}), world)


def test_the_first_offender_is_named(world):
    log, q_matrix = world
    proof = next(p for p in leakage.prove(Foreseeing, log, q_matrix, lambda train: ConceptGraph.from_tables(None, None, q_matrix)) if p.name == "later rows")
    assert "LEAK" in str(proof) and "first: learner u" in proof.found


def predictions(world, p: np.ndarray) -> pd.DataFrame:
    return world[0].assign(probability=p)


def told(table: pd.DataFrame) -> dict[str, bool | None]:
    return {proof.name: proof.held for proof in leakage.of_predictions(table)}


def test_an_honest_table_of_predictions_is_cleared(world):
    assert told(predictions(world, Sound().fit(world[0], ConceptGraph.from_tables(None, None, world[1])).predict(world[0]))) == {
        "plausible score": True, "one row each": True, "first answers": True}


def test_rows_per_concept_are_seen_and_what_they_are_worth_is_told(world):
    rng, log = np.random.default_rng(0), world[0]
    log = log.assign(correct=(rng.random(len(log)) < 0.6).astype(float))
    twice = log.loc[np.repeat(log.index, 2)].drop(columns="order").reset_index(drop=True)
    previous = twice.groupby("learner_id")["correct"].shift(fill_value=0.6)
    proof = next(p for p in leakage.of_predictions(twice.assign(probability=previous)) if p.name == "one row each")
    assert proof.held is False
    first, other = (float(proof.found.split(words)[1].split()[0].strip(",;")) for words in ("first rows of a response ", "its other rows "))
    assert abs(first - 0.5) < 0.04 and other > 0.95
    ordered = log.loc[np.repeat(log.index, 2)].drop(columns="item_id")
    assert told(ordered.assign(probability=0.5))["one row each"] is False  # the same order twice tells as well


def test_predictions_that_know_their_answer_are_seen(world):
    log = world[0]
    assert told(predictions(world, 0.1 + 0.8 * log["correct"]))["plausible score"] is False
    hint = np.where(log["order"] == 0, 0.3 + 0.4 * log["correct"], 0.5)
    assert told(predictions(world, hint).assign(item_id="the same"))["first answers"] is False


def test_what_cannot_be_told_is_said(world):
    bare = predictions(world, np.full(len(world[0]), 0.5))[["learner_id", "correct", "probability"]]
    found = told(bare)
    assert found["one row each"] is None and found["first answers"] is None
    assert told(predictions(world, world[0]["correct"].to_numpy())[:30])["plausible score"] is None  # too few to say


def test_sound_tables_of_other_shapes_raise_no_alarm(world):
    log, q_matrix = world
    part = splits.cells(log, 0)
    static = StaticIRT().fit(part.part(log, "train"), ConceptGraph.from_tables(None, None, q_matrix))
    asked = part.part(log, "test")
    cells = told(asked.assign(probability=static.predict(asked, part.part(log, "train"))))
    assert cells["first answers"] is None and cells["plausible score"] is True  # what came before a learner's first row here is not known
    rng = np.random.default_rng(3)
    drill = pd.DataFrame({"learner_id": np.repeat(np.arange(60), 40), "item_id": "the same", "correct": (rng.random(2400) < 0.95) * 1.0, "probability": 0.9})
    quiz = log.assign(order=log["order"] // 5, probability=0.6).drop_duplicates(["learner_id", "order", "item_id"])
    marks = log.assign(correct=0.6 + 0.3 * log["correct"], probability=0.7)
    for table in (drill, quiz, marks):
        assert False not in told(table).values()


@pytest.mark.parametrize(("change", "message"), [
    (lambda t: t.drop(columns="probability"), "probability not among"), (lambda t: t.assign(probability=1.2), r"must lie in \[0, 1\]; found 1.2 in 2,400"),
    (lambda t: t.assign(correct="yes"), "predictions.correct must lie"), (lambda t: t[:0], "found none")])
def test_a_table_that_is_none_is_refused(change, message, world):
    with pytest.raises(DataError, match=message):
        leakage.of_predictions(change(predictions(world, np.full(len(world[0]), 0.5))))
