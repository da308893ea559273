"""Bayesian knowledge tracing: each concept is known or not yet, for every learner and all concepts at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from edukit.protocols import NotFittedError, PrerequisiteGraph
from edukit.schema import DataError
from edukit.tracing.sequences import Histories, Vocabulary, counts, encode, mastery_table, read_model, write_model
from edukit.tracing.waves import Waves, batches

ROUNDS, TOLERANCE = 100, 5e-6  # most EM rounds; the gain in log-likelihood per response that ends them
FLOOR, CEILING = 0.005, 0.495  # guess and slip stay between, so that they never add up to one
START = (0.4, 0.1, 0.05, 0.25, 0.15)  # where EM begins for every concept: the fields of Parameters


@dataclass(frozen=True)
class Parameters:
    """Probabilities: a concept is known at first, learnt or forgotten after a response (C,); an item is guessed, slipped on.

    ``guess`` and ``slip`` have the shape of ``Vocabulary.item_concepts``: one value per item and concept of it.
    """

    prior: np.ndarray
    learn: np.ndarray
    forget: np.ndarray
    guess: np.ndarray
    slip: np.ndarray

    def at(self, concept: np.ndarray, item: np.ndarray, place: np.ndarray) -> Parameters:
        """One value per entry (M,): its concept, its item, and which of the item's concepts it is."""
        return Parameters(self.prior[concept], self.learn[concept], self.forget[concept], self.guess[item, place], self.slip[item, place])

    def part(self, some: slice) -> Parameters:
        """Of values per entry, some of them."""
        return Parameters(self.prior[some], self.learn[some], self.forget[some], self.guess[some], self.slip[some])


@dataclass(frozen=True)
class Knowledge:
    """Where one learner stands: P(known) and responses per concept (C,) (state of a live learner)."""

    known: np.ndarray
    n: np.ndarray


def _success(known: np.ndarray, at: Parameters) -> np.ndarray:
    return known * (1 - at.slip) + (1 - known) * at.guess


def _likelihood(right: np.ndarray, hit: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Of a response that succeeds with probability ``hit`` on this concept and ``others`` on the rest of them.

    Marks between 0 and 1 are that much of a right and the rest of a wrong response.
    """
    if ((right == 0) | (right == 1)).all():
        return np.where(right == 1, hit, 1 - hit * others)
    return hit**right * (1 - hit * others) ** (1 - right)


def _advance(known: np.ndarray, right: np.ndarray, others: np.ndarray, at: Parameters) -> np.ndarray:
    """P(known) once a response is over, from P(known) before it; ``others`` = P(success on the item's other concepts)."""
    yes, no = known * _likelihood(right, 1 - at.slip, others), (1 - known) * _likelihood(right, at.guess, others)
    after = yes / (yes + no)
    return after * (1 - at.forget) + (1 - after) * at.learn


def _forward(waves: Waves, each: Parameters, state: np.ndarray) -> np.ndarray:
    """P(known) before the response of every entry (M,); ``state`` (S,) goes from before the first response to after the last."""
    before = np.empty(len(waves.row))
    for some in waves:
        at, cell = each.part(some), waves.cell[some]
        before[some] = known = state[cell]
        p = _success(known, at)
        state[cell] = _advance(known, waves.right[some], waves.product(p, some) / p, at)
    return before


def _backward(waves: Waves, each: Parameters, yes: np.ndarray, no: np.ndarray) -> np.ndarray:
    """(M,) how far the responses after each entry speak for known (1) or not (0) once it is over; .5 = not at all."""
    state, after = np.full(len(waves.cells), 0.5), np.empty(len(waves.row))
    for some in reversed(list(waves)):
        at, cell = each.part(some), waves.cell[some]
        after[some] = b = state[cell]
        known, unknown = yes[some] * (b + at.forget * (1 - 2 * b)), no[some] * (1 - b + at.learn * (2 * b - 1))
        state[cell] = known / (known + unknown)
    return after


def _expect(waves: Waves, each: Parameters, state: np.ndarray) -> tuple[list[tuple[np.ndarray, np.ndarray]], float]:
    """E step: expected events and trials of each parameter per entry (M,), and the log-likelihood of all responses."""
    before = _forward(waves, each, state)
    p = _success(before, each)
    whole, right = waves.product(p), waves.right
    others, hits = whole / p, (1 - each.slip, each.guess)
    yes, no = (_likelihood(right, hit, others) for hit in hits)
    b = _backward(waves, each, yes, no)
    yes, no = before * yes, (1 - before) * no
    stays, loses = yes * (1 - each.forget) * b, yes * each.forget * (1 - b)
    learns, waits = no * each.learn * b, no * (1 - each.learn) * (1 - b)
    total = stays + loses + learns + waits
    known = (stays + loses) / total
    # a wrong response to an item with several concepts may have been a success on this one
    firm, lucky = (right + (1 - right) * hit * (1 - others) / (1 - hit * others) for hit in hits)
    entries = np.arange(len(known))
    first, last = np.empty(len(waves.cells), int), np.empty(len(waves.cells), int)
    first[waves.cell[::-1]], last[waves.cell] = entries[::-1], entries
    begins, goes_on = np.zeros(len(known)), np.ones(len(known))
    begins[first], goes_on[last] = 1, 0  # what the last response of a cell taught was never seen
    logs = right * np.log(whole) + (1 - right) * np.log1p(-whole)
    return [(known * begins, begins), (learns / total * goes_on, (1 - known) * goes_on), (loses / total * goes_on, known * goes_on),
            ((1 - known) * lucky, 1 - known), (known * (1 - firm), known)], float(logs[waves.fresh].sum())


class BKT:
    """A learner knows a concept or does not yet; every response is evidence of it, and a chance to learn it.

    P(right) = k (1 - slip) + (1 - k) guess, k = P(known); Bayes' rule gives k after the response, and then k becomes
    k (1 - forget) + (1 - k) learn. A response with several concepts is one step, right where the learner succeeds on each of
    them (conjunctive): P(right) is the product, and a wrong one is blamed most on what is least likely known.

    Parameters
    ----------
    items : give each item a guess and a slip of its own, around those of its concept; off = one pair per concept.
    forgetting : let what is known be forgotten, with one chance per response on the concept.
    pooling : how many observations the average of all concepts is worth in the estimate of one, and that of a concept in the
        estimate of one of its items; above 0. What was never met stands at that average.

    Notes
    -----
    Both flags off is the first form of the model. Fitted by EM from one start; for a response with several concepts EM takes
    the other concepts at their filtered value. Several sets of parameters can explain the same responses, one of them with
    known and unknown exchanged: guess and slip are held below one half each, hence guess + slip < 1, and a right response
    never speaks against knowing. ``mastery`` is P(known) now, and its sd that of a state which is 0 or 1: sqrt(k (1 - k)).
    An item without a concept is answered by the share right in training, and moves nothing.

    References
    ----------
    Corbett and Anderson (1995), User Modeling and User-Adapted Interaction (the model). Pardos and Heffernan (2011), UMAP (items).
    Koedinger, Pavlik, Stamper, Nixon and Ritter (2011), EDM (conjunctive). Khajah, Lindsey and Mozer (2016), EDM (forgetting).
    Beck and Chang (2007), User Modeling, and van de Sande (2013), JEDM (identifiability).
    """

    kind = "bkt"

    def __init__(self, items: bool = True, forgetting: bool = True, pooling: float = 5.0) -> None:
        if not pooling > 0:
            raise DataError(f"bkt.pooling must be above 0; found {pooling:g}. It is a number of observations, such as 5.")
        self.items, self.forgetting, self.pooling = items, forgetting, pooling

    def fit(self, interactions: pd.DataFrame, graph: PrerequisiteGraph, dif_groups: pd.Series | None = None) -> Self:
        """Learn the probabilities of every concept and item from training rows; ``dif_groups`` is not used.

        Raises
        ------
        OrderUnknownError
            Where the order of responses is unknown.
        DataError
            Where no response is to an item with a concept.
        """
        vocabulary = Vocabulary.build(interactions, graph)
        histories = encode(interactions, vocabulary, self.kind)
        waves = [Waves.of(histories.take(some), vocabulary).narrow() for some in batches(histories)]
        if not any(len(batch.row) for batch in waves):
            raise DataError(f"bkt needs responses to items with a concept; found none in {len(interactions):,} responses; "
                            "add the items to the q_matrix, or use a model of items (irt)")
        per_concept, reached = np.repeat(np.array(START)[:, None], len(vocabulary.concept_ids), axis=1), -np.inf
        parameters = self._guard(per_concept, per_concept[3:, vocabulary.item_concepts])
        kept = parameters
        for _ in range(ROUNDS):
            further, fit = self._improve(waves, parameters, vocabulary.item_concepts)
            if fit < reached + TOLERANCE:  # with several concepts a response EM is approximate, and may lead down
                parameters = parameters if fit > reached else kept
                break
            kept, reached, parameters = parameters, fit, further
        self.vocabulary_, self.parameters_ = vocabulary, parameters
        self.rate_ = float(histories.correct.mean(dtype=float))
        return self

    def _improve(self, kept: list[Waves], parameters: Parameters, concepts: np.ndarray) -> tuple[Parameters, float]:
        """Parameters after one round of EM, and the mean log-likelihood of a response under those before it."""
        width, log, responses = len(parameters.prior), 0.0, 0
        tally, own = np.zeros((2, 5, width)), np.zeros((2, 2, concepts.size))  # events and trials, of concepts and of items
        for batch in kept:
            waves = batch.wide()
            sums, likelihood = _expect(waves, parameters.at(waves.concept, waves.item, waves.place), parameters.prior[waves.cells % width])
            log, responses = log + likelihood, responses + int(waves.fresh.sum())
            where = waves.item * concepts.shape[1] + waves.place
            for i in (0, 1):
                tally[i] += [np.bincount(waves.concept, pair[i], width) for pair in sums]
                if self.items:
                    own[i] += [np.bincount(where, pair[i], concepts.size) for pair in sums[3:]]
        events, trials = tally
        typical = (events.sum(axis=1) / np.maximum(trials.sum(axis=1), 1e-9))[:, None]
        per_concept = (events + self.pooling * typical) / (trials + self.pooling)
        per_item = per_concept[3:, concepts]
        if self.items:
            events, trials = own.reshape(2, 2, *concepts.shape)
            per_item = (events + self.pooling * per_item) / (trials + self.pooling)
        return self._guard(per_concept, per_item), log / responses

    def _guard(self, per_concept: np.ndarray, per_item: np.ndarray) -> Parameters:
        """Keep every estimate in its range: each maximises a function with one peak, so the nearest allowed value is the best allowed."""
        prior, learn, forget = np.clip(per_concept[:3], 1e-4, 1 - 1e-4)
        return Parameters(prior, learn, forget if self.forgetting else np.zeros_like(forget), *np.clip(per_item, FLOOR, CEILING))

    def _trace(self, histories: Histories) -> Iterator[tuple[np.ndarray, Histories, Waves, np.ndarray, np.ndarray]]:
        """Per batch of learners: who, their histories and waves, P(correct) of every entry (M,) and P(known) of every state at the end (S,)."""
        parameters = self.parameters_
        for learners in batches(histories):
            some = histories.take(learners)
            waves = Waves.of(some, self.vocabulary_)
            each, state = parameters.at(waves.concept, waves.item, waves.place), parameters.prior[waves.cells % len(parameters.prior)]
            p = waves.product(_success(_forward(waves, each, state), each))
            yield learners, some, waves, p, state

    def predict(self, interactions: pd.DataFrame) -> pd.Series:
        """P(correct), aligned to the index; row t uses only earlier rows of that learner."""
        histories = encode(interactions, self._fitted(), self.kind)
        found = np.full(len(interactions), self.rate_)
        for _, some, waves, p, _ in self._trace(histories):
            found[some.position[waves.row]] = p
        return pd.Series(found, index=interactions.index, name="probability")

    def mastery(self, interactions: pd.DataFrame) -> pd.DataFrame:
        """Table ``mastery``: P(known) after the whole history, with what the last response taught."""
        vocabulary = self._fitted()
        histories, width = encode(interactions, vocabulary, self.kind), len(vocabulary.concept_ids)
        known, n = np.tile(self.parameters_.prior, (len(histories), 1)), np.empty((len(histories), width), int)
        for learners, some, waves, _, state in self._trace(histories):
            known[learners[waves.cells // width], waves.cells % width], n[learners] = state, counts(some, vocabulary)
        table = mastery_table(histories.learner_ids, vocabulary, known, n, kappa=0.0)
        return table.assign(sd=_doubt(known).reshape(-1))

    def start(self) -> Knowledge:
        """State of a learner never seen."""
        width = len(self._fitted().concept_ids)
        return Knowledge(self.parameters_.prior.copy(), np.zeros(width, int))

    def step(self, state: Knowledge, item_id: str, correct: float) -> Knowledge:
        """State after one more response."""
        vocabulary = self._fitted()
        item = vocabulary.index(pd.Series([item_id]))
        entry, concept = vocabulary.concept_pairs(item)
        at, known, n = self.parameters_.at(concept, item[entry], np.arange(len(entry))), state.known.copy(), state.n.copy()
        p = _success(known[concept], at)
        known[concept] = _advance(known[concept], np.full(len(concept), float(correct)), p.prod() / p, at)
        n[concept] += 1
        return Knowledge(known, n)

    def mastery_of(self, state: Knowledge) -> pd.DataFrame:
        """Per concept: mastery, sd and n."""
        return pd.DataFrame({"mastery": state.known, "sd": _doubt(state.known), "n": state.n},
                            index=pd.Index(self._fitted().concept_ids, name="concept_id"))

    def save(self, path: Path) -> None:
        """Write the fitted model into one file."""
        vocabulary, arrays = self._fitted(), {**vars(self.parameters_), "rate": np.array([self.rate_])}
        write_model(path, self.kind, {"items": self.items, "forgetting": self.forgetting, "pooling": self.pooling}, vocabulary, arrays)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote."""
        settings, vocabulary, arrays = read_model(path, cls.kind)
        model = cls(**settings)
        model.rate_ = float(arrays.pop("rate")[0])
        model.vocabulary_, model.parameters_ = vocabulary, Parameters(**arrays)
        return model

    def _fitted(self) -> Vocabulary:
        if not hasattr(self, "vocabulary_"):
            raise NotFittedError("this bkt model has not been fitted; call fit(interactions, graph) first")
        return self.vocabulary_


def _doubt(known: np.ndarray) -> np.ndarray:
    """Standard deviation of a state that is 1 with probability ``known`` and else 0."""
    known = np.clip(known, 1e-3, 1 - 1e-3)
    return np.sqrt(known * (1 - known))
