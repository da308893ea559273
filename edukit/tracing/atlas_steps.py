"""One step of a learner along a concept graph: readiness, Bayes' rule, one-sided messages, learning. Many learners at once, or one live."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from edukit.protocols import PrerequisiteGraph
from edukit.tracing.bkt import Parameters
from edukit.tracing.sequences import Histories, Vocabulary
from edukit.tracing.sparse_logistic import sigmoid
from edukit.tracing.waves import batches

ALMOST = 1e-6  # mastery stays this far from 0 and 1


def logit(p: np.ndarray) -> np.ndarray:
    """Log odds, finite for every probability."""
    p = np.clip(p, ALMOST, 1 - ALMOST)
    return np.log(p) - np.log1p(-p)


def _shifted(p: np.ndarray, by: np.ndarray) -> np.ndarray:
    """A probability whose log odds are moved."""
    odds = p * np.exp(by)
    return odds / (1 - p + odds)


@dataclass(frozen=True)
class Edges:
    """Prerequisites as every concept sees them, E in all; position C is nobody and has weight 0.

    Parameters
    ----------
    parents, children : (C + 1, D) int arrays
    needs, serves : (C + 1, D) arrays in [0, 1)
        Which share of its first mastery and its learning a concept loses while that parent is not mastered; of a child alike.
    """

    parents: np.ndarray
    needs: np.ndarray
    children: np.ndarray
    serves: np.ndarray

    @classmethod
    def of(cls, pairs: np.ndarray, weight: np.ndarray, concepts: int) -> Edges:
        """From (E, 2) positions of (prerequisite, concept) and the share (E,) that each prerequisite withholds."""
        return cls(*_beside(pairs[:, 1], pairs[:, 0], weight, concepts), *_beside(pairs[:, 0], pairs[:, 1], weight, concepts))


def _beside(own: np.ndarray, other: np.ndarray, weight: np.ndarray, concepts: int) -> tuple[np.ndarray, np.ndarray]:
    """(C + 1, D) neighbours of every concept and their weights, side by side."""
    order = np.lexsort((other, own))
    own, other, weight = own[order], other[order], weight[order]
    count = np.bincount(own, minlength=concepts + 1)
    place = np.arange(len(own)) - (np.cumsum(count) - count)[own]
    shape = (concepts + 1, int(count.max(initial=0)))
    beside, weights = np.full(shape, concepts, np.int64), np.zeros(shape)
    beside[own, place], weights[own, place] = other, weight
    return beside, weights


def edges_of(graph: PrerequisiteGraph) -> tuple[np.ndarray, np.ndarray]:
    """(E, 2) positions of (prerequisite, concept) and the probability (E,) of each; of several sources the largest."""
    place = pd.Series(np.arange(len(graph.concept_ids)), index=pd.Index(graph.concept_ids, dtype=object))
    weight = graph.prerequisites.groupby(["requires_id", "concept_id"])["weight"].max()
    ends = weight.index.to_frame(index=False).astype(object)
    return np.column_stack([place.reindex(ends[name]).to_numpy(np.int64) for name in ("requires_id", "concept_id")]), weight.to_numpy(float)


@dataclass(frozen=True)
class Learners:
    """Where B learners stand on each of C + 1 concepts (the last is nobody).

    Parameters
    ----------
    known : (B, C + 1) array
        P(mastered) of concepts that were answered.
    met : (B, C + 1) bool array
        Which were.
    raised : (B, C + 1) array
        Log odds that passed children add to a concept not answered yet.
    leans : (B, C + 1) array
        How far ``known`` would move with the learner's ability.
    ability, doubt : (B,) arrays
        Mean and variance of the learner's ability in logits.
    """

    known: np.ndarray
    met: np.ndarray
    raised: np.ndarray
    leans: np.ndarray
    ability: np.ndarray
    doubt: np.ndarray

    def copy(self) -> Learners:
        """The same, to be changed apart."""
        return Learners(*(getattr(self, field.name).copy() for field in fields(self)))


@dataclass(frozen=True)
class Steps:
    """The latent model: what moves a learner's mastery, given its parameters.

    Parameters
    ----------
    first : (C + 1,) array
        Log odds of mastering a concept at first, its prerequisites aside, for a learner of ability 0.
    ready : (C + 1,) array
        Readiness for each concept before anything is known of the learner.
    learn, forget : (C + 1,) arrays
        P(learnt) and P(forgotten) in one response.
    guess, slip : arrays of the shape of ``Vocabulary.item_concepts``
    spread : variance of ability among learners.
    message : how much of a message neighbours believe, in [0, 1].
    """

    first: np.ndarray
    ready: np.ndarray
    learn: np.ndarray
    forget: np.ndarray
    guess: np.ndarray
    slip: np.ndarray
    spread: float
    edges: Edges
    message: float

    @classmethod
    def of(cls, parameters: Parameters, pairs: np.ndarray, weight: np.ndarray, spread: float, message: float) -> Steps:
        """Steps under which first mastery and learning are on average those of ``parameters``, which know no prerequisites.

        First mastery is divided by the readiness of a learner of whom nothing is known, and so is learning: what a concept
        lacks for want of its prerequisites is not laid on the concept a second time.
        """
        concepts, nobody = len(parameters.prior), np.array([0.0])
        edges = Edges.of(pairs, weight, concepts)
        prior = np.append(parameters.prior, 1.0)
        ready = np.prod(1 - edges.needs * (1 - prior[edges.parents]), axis=1)
        first = logit(np.minimum(prior / ready, 0.98)) * np.sqrt(1 + np.pi * spread / 8)
        learn = np.minimum(np.append(parameters.learn, nobody) / ready, 0.9)
        return cls(first, ready, learn, np.append(parameters.forget, nobody), parameters.guess, parameters.slip, spread, edges, message)

    def start(self, learners: int) -> Learners:
        """Learners of whom nothing is known."""
        shape = (learners, len(self.first))
        return Learners(np.zeros(shape), np.zeros(shape, bool), np.zeros(shape), np.zeros(shape), np.zeros(learners), np.full(learners, float(self.spread)))

    def read(self, state: Learners, who: np.ndarray, concept: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """P(mastered), how far it leans on ability, and readiness, of concepts (M,) of learners (M,)."""
        parents, needs, beside = self.edges.parents[concept], self.edges.needs[concept], who[:, None]
        usual = self._usual(state, beside, parents)
        now, _ = self._held(state, beside, parents, usual)
        ready, expected = np.prod(1 - needs * (1 - now), axis=1), np.prod(1 - needs * (1 - usual), axis=1)
        alone = sigmoid(self.first[concept] + state.ability[who])
        fresh = _shifted(alone * np.minimum(ready, expected), state.raised[who, concept])  # a passed prerequisite raises nothing
        met = state.met[who, concept]
        known = np.clip(np.where(met, state.known[who, concept], fresh), ALMOST, 1 - ALMOST)
        return known, np.where(met, state.leans[who, concept], fresh * (1 - alone)), ready

    def _usual(self, state: Learners, beside: np.ndarray, concept: np.ndarray) -> np.ndarray:
        """First mastery of concepts whose own prerequisites are as ready as for a learner of whom nothing is known."""
        return sigmoid(self.first[concept] + state.ability[beside]) * self.ready[concept]

    def _held(self, state: Learners, beside: np.ndarray, concept: np.ndarray, usual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """P(mastered) of neighbours, and whether they were answered."""
        met = state.met[beside, concept]
        return np.where(met, state.known[beside, concept], _shifted(usual, state.raised[beside, concept])), met

    def answer(self, state: Learners, who: np.ndarray, concept: np.ndarray, item: np.ndarray, place: np.ndarray,
               right: np.ndarray) -> np.ndarray:
        """P(correct) of one response of every learner in ``who``; then the state is moved in place by what the response was.

        Parameters
        ----------
        who, concept, item, place, right : (M,) arrays
            One entry per concept of a response, those of a response next to each other; no learner has two responses.

        Returns
        -------
        (M,) array
            The same number for all entries of a response.
        """
        known, leans, ready = self.read(state, who, concept)
        hit, miss = 1 - self.slip[item, place], self.guess[item, place]
        p = known * hit + (1 - known) * miss
        fresh = place == 0
        response = np.cumsum(fresh) - 1
        whole = np.multiply.reduceat(p, np.flatnonzero(fresh))[response]
        others = whole / p
        if_known, if_not = others * hit, others * miss
        # a mark between 0 and 1 is that much of a right response and the rest of a wrong one
        speaks = right * (np.log(hit) - np.log(miss)) + (1 - right) * (np.log1p(-if_known) - np.log1p(-if_not))
        after = np.clip(_shifted(known, speaks), ALMOST, 1 - ALMOST)
        self._ability(state, who, fresh, response, (after - known) / (known * (1 - known)) * leans)
        if self.message and self.edges.needs.shape[1]:
            for nth in range(int(place.max(initial=0)) + 1):
                some = slice(None) if fresh.all() else place == nth
                self._tell(state, who[some], concept[some], known[some], after[some])
        keeps = 1 - self.forget[concept] - self.learn[concept] * ready
        state.met[who, concept] = True
        state.known[who, concept] = after * keeps + self.learn[concept] * ready
        state.leans[who, concept] = leans * after * (1 - after) / (known * (1 - known)) * keeps
        return whole

    def _ability(self, state: Learners, who: np.ndarray, fresh: np.ndarray, response: np.ndarray, slope: np.ndarray) -> None:
        """Move ability by the slope (M,) of the log-likelihood of the response, and lessen its variance by the slope squared."""
        slope, learner = np.bincount(response, slope, minlength=int(fresh.sum())), who[fresh]
        doubt = state.doubt[learner] / (1 + state.doubt[learner] * slope**2)
        state.doubt[learner] = doubt
        state.ability[learner] += doubt * slope

    def _tell(self, state: Learners, who: np.ndarray, concept: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
        """One message to every neighbour of a concept (M,): a parent that fell lowers the child, a child that rose raises the parent."""
        rose = after > before
        beside, some = who[rose, None], concept[rose]
        parents, child = self.edges.parents[some], before[rose, None]
        held, met = self._held(state, beside, parents, self._usual(state, beside, parents))
        share = self.message * (after - before)[rose, None] / (child * (1 - child))
        gained = np.clip(held + share * _together(held, child, self.edges.needs[some]), ALMOST, 1 - ALMOST)
        state.known[beside, parents] = np.where(met, gained, state.known[beside, parents])
        state.raised[beside, parents] += np.where(met, 0.0, logit(gained) - logit(held))
        beside, some = who[~rose, None], concept[~rose]
        children, parent = self.edges.children[some], before[~rose, None]
        held, share = state.known[beside, children], self.message * (after - before)[~rose, None] / (parent * (1 - parent))
        lowered = np.clip(held + share * _together(parent, held, self.edges.serves[some]), ALMOST, 1 - ALMOST)
        state.known[beside, children] = np.where(state.met[beside, children], lowered, held)  # of others readiness tells


def _together(parent: np.ndarray, child: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Covariance of mastering a parent and a child that without it loses ``share`` of its chance."""
    return parent * (np.minimum(child / (1 - share * (1 - parent)), 1) - child)


def turns(histories: Histories, vocabulary: Vocabulary) -> Iterator[tuple[np.ndarray, ...]]:
    """The n-th responses of all learners, for n = 1, 2, …: (row, who, concept, item, place, right) of every concept of each."""
    row, concept = vocabulary.concept_pairs(histories.item)
    place = np.arange(len(row)) - np.searchsorted(row, row)
    who = histories.learner[row]
    turn = row - histories.offsets[who]
    order = np.argsort(turn, kind="stable")
    ends = np.cumsum(np.bincount(turn))
    arrays = [v[order] for v in (row, who, concept, histories.item[row], place, histories.correct[row].astype(float))]
    for low, high in zip(np.append(0, ends), ends, strict=False):
        if high > low:
            yield tuple(v[low:high] for v in arrays)


def walk(histories: Histories, steps: Steps, vocabulary: Vocabulary, rate: float) -> Iterator[tuple[np.ndarray, Histories, np.ndarray, Learners]]:
    """Per batch of learners: who, their histories, P(correct) of every row before it was answered, and where they stand at the end.

    ``rate`` answers an item without a concept.
    """
    for learners in batches(histories):
        some = histories.take(learners)
        state, p = steps.start(len(some)), np.full(len(some.item), rate)
        for row, *entries in turns(some, vocabulary):
            p[row] = steps.answer(state, *entries)
        yield learners, some, p, state


def forecast(histories: Histories, steps: Steps, vocabulary: Vocabulary, rate: float) -> np.ndarray:
    """(N,) P(correct) of every sorted row, from earlier rows of the same learner."""
    found = np.empty(int(histories.position.max(initial=-1)) + 1)
    for _, some, p, _ in walk(histories, steps, vocabulary, rate):
        found[some.position] = p
    return found[histories.position]
