"""One posterior over who masters what, which concept requires which, what each class adds or lacks and how sound each item is.

A gap map is read from its joint samples: what a class masters, and what it would master had its prerequisites, its class effect or its
items been otherwise. Causes read from it are associations under the model's assumptions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from edukit.gaps.posterior_effects import EffectPrior, TeacherEffects
from edukit.graph.noisy_chain import MasteryChain, sigmoid
from edukit.protocols import PrerequisiteGraph
from edukit.schema import DataError

ALL = "all"  # the whole cohort, after the classes
NO_CLASS = "\0none"  # of learners whose class is not stated; never shown, and nothing is compared with it
SLIP_PRIOR, GUESS_PRIOR = (2.0, 12.0), (2.0, 6.0)  # Beta: mean .14, .25
EASE_VARIANCE, CLASS_VARIANCE = 6.0, 0.25
CERTAIN = 1e9  # log odds of an edge that is not to be doubted
SLIP, GUESS = 0, 1


@dataclass(frozen=True)
class Responses:
    """Responses as whole numbers. R rows, I items, W most concepts of an item, B learners, K classes, C concepts.

    Attributes
    ----------
    learner, item : (R,) positions. right : (R,) share of the marks.
    concepts_of : (I, W) positions of an item's concepts, C where there is none.
    class_of : (B,) position of each learner's class. cohort : (C, B) the class in which the learner met the concept (``class_of`` where not met).
    answered : (C, B) float32, 1 = met an item of the concept.
    teacher_of : (C, K) position in ``teacher_ids`` of who taught the concept in the class, -1 where nobody is stated or teachers make the classes.
    """

    learner: np.ndarray
    item: np.ndarray
    right: np.ndarray
    concepts_of: np.ndarray
    class_of: np.ndarray
    cohort: np.ndarray
    answered: np.ndarray
    learner_ids: pd.Index
    item_ids: pd.Index
    class_ids: list[str]
    concept_ids: list[str]
    teacher_of: np.ndarray
    teacher_ids: list[str]

    @classmethod
    def of(cls, interactions: pd.DataFrame, graph: PrerequisiteGraph, by: str) -> Self:
        """Encode a table ``interactions``; a learner of several classes belongs to the one with most responses (the first of equals)."""
        tags = graph.q_matrix[["item_id", "concept_id"]].drop_duplicates()
        item_ids, learner_ids = pd.Index(sorted(tags["item_id"].unique())), pd.Index(sorted(interactions["learner_id"].unique()))
        item, learner = item_ids.get_indexer(interactions["item_id"]), learner_ids.get_indexer(interactions["learner_id"])
        if (item < 0).any():
            row = int(np.flatnonzero(item < 0)[0])
            raise DataError(f"interactions.item_id must be found in q_matrix; found {interactions['item_id'].iloc[row]!r} (row {row + 1:,}) and "
                            f"{int((item < 0).sum()) - 1:,} more. Tag the item with a concept, or leave its responses out.")
        concept_ids = list(graph.concept_ids)
        of, at = pd.Index(concept_ids).get_indexer(tags["concept_id"]), item_ids.get_indexer(tags["item_id"])
        place = tags.groupby("item_id").cumcount().to_numpy()
        concepts_of = np.full((len(item_ids), place.max() + 1), len(concept_ids))
        concepts_of[at, place] = of
        answered = np.zeros((len(concept_ids) + 1, len(learner_ids)), np.float32)
        answered[concepts_of[item].T, learner] = 1
        class_ids, class_of = [ALL], np.zeros(len(learner_ids), int)
        cohort = np.zeros((len(concept_ids), len(learner_ids)), int)
        teacher_of, teacher_ids = np.full((len(concept_ids), 1), -1), []
        if by in interactions and interactions[by].notna().any():
            named = interactions[by].astype("str").fillna(NO_CLASS)
            class_ids = sorted(named.unique())
            if ALL in class_ids:
                raise DataError(f"interactions.{by} must not hold '{ALL}', which names the whole cohort. Rename that class.")
            seat = pd.Index(class_ids).get_indexer(named)
            class_of = _most(learner, seat, len(learner_ids), len(class_ids))
            cohort[:] = class_of
            for concepts in concepts_of.T:  # a learner who changed class belongs to the one in which most of a concept's items were met
                met = concepts[item] < len(concept_ids)
                cells, where = np.unique(concepts[item][met] * len(learner_ids) + learner[met], return_inverse=True)
                cohort.ravel()[cells] = _most(where, seat[met], len(cells), len(class_ids))
            teacher_of, teacher_ids = _teachers(interactions, by, concepts_of[item], np.where(named == NO_CLASS, -1, seat), (len(concept_ids), len(class_ids)))
        return cls(learner, item, interactions["correct"].to_numpy(float), concepts_of, class_of, cohort, answered[:-1], learner_ids, item_ids, class_ids,
                   concept_ids, teacher_of, teacher_ids)

    def by_class(self, values: np.ndarray) -> np.ndarray:
        """(C, K) sums of (C, B) values over the learners of each class, as they met the concept."""
        classes = len(self.class_ids)
        place = np.arange(len(self.cohort))[:, None] * classes + self.cohort
        return np.bincount(place.ravel(), values.ravel(), len(self.cohort) * classes).reshape(-1, classes)

    def only(self, rows: np.ndarray) -> Self:
        """The same learners, items and concepts with some of the rows."""
        return type(self)(self.learner[rows], self.item[rows], self.right[rows], self.concepts_of, self.class_of, self.cohort, self.answered,
                          self.learner_ids, self.item_ids, self.class_ids, self.concept_ids, self.teacher_of, self.teacher_ids)


def _most(of: np.ndarray, kind: np.ndarray, size: int, kinds: int) -> np.ndarray:
    """(size,) the most frequent kind of each, the first of equals."""
    pairs, count = np.unique(of * kinds + kind, return_counts=True)
    order = np.lexsort((-pairs, count))  # the last one written is the most frequent, and of equals the first kind
    found = np.zeros(size, int)
    found[pairs[order] // kinds] = pairs[order] % kinds
    return found


def _teachers(interactions: pd.DataFrame, by: str, concepts_of: np.ndarray, seat: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, list[str]]:
    """(C, K) who taught each concept in each class, by most responses, and the ids; ``concepts_of`` (R, W) and ``seat`` (R,) are of the responses."""
    found = np.full(shape, -1)
    if by != "class_id" or "teacher_id" not in interactions or interactions["teacher_id"].isna().all():
        return found, []
    who, ids = pd.factorize(interactions["teacher_id"], sort=True)
    row, column = np.nonzero((concepts_of < shape[0]) & ((who >= 0) & (seat >= 0))[:, None])
    cells, where = np.unique(concepts_of[row, column] * shape[1] + seat[row], return_inverse=True)
    found.ravel()[cells] = _most(where, who[row], len(cells), len(ids))
    return found, [str(one) for one in ids]


class PosteriorChain(MasteryChain):
    """The chain over single responses: slip and guess of every item, ease of every concept, ability of every learner, effect of every class.

    Parameters
    ----------
    seen : the responses. kind_of : (R,) which slip and guess a row has (items, or items x groups). kinds : how many there are.
    prior : (C, C) log odds of each edge. effects : prior of a class effect, in logits; None = classes add nothing.
    """

    def __init__(self, seen: Responses, kind_of: np.ndarray, kinds: int, prior: np.ndarray, effects: EffectPrior | None, rng: np.random.Generator) -> None:
        super().__init__(prior, len(seen.learner_ids), rng)
        self.seen, self.kind_of = seen, kind_of
        self.teachers = TeacherEffects(seen.teacher_of, effects) if effects and len(seen.class_ids) > 1 else None
        size, people, classes = len(prior), len(seen.learner_ids), len(seen.class_ids)
        self.rates = np.stack([np.full(kinds, 0.12), np.full(kinds, 0.2)])
        self.ease, self.ability = np.full((size, 1), 2.0, np.float32), np.zeros((1, people), np.float32)
        self.spread, self.class_mean = 1.0, np.zeros(classes)
        self.effect = np.zeros((size, classes), np.float32)
        self.member = np.eye(classes, dtype=np.float32)[seen.class_of]  # (B, K)
        self.rows = np.arange(size)[:, None]
        own = (seen.concepts_of[seen.item] < size).sum(axis=1) == 1
        self._cell = seen.concepts_of[seen.item[own], 0] * people + seen.learner[own]
        self._own = np.flatnonzero(own)
        self._shared = [self._rows_shared(k, np.flatnonzero(~own)) for k in range(size)]
        self._evidence()
        self.missing = (rng.random((size, people)) >= sigmoid(self.evidence)).astype(np.float32)

    def _rows_shared(self, k: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows of items that assess k and more: their positions, and (rows, W) the concepts other than k."""
        of = self.seen.concepts_of[self.seen.item[rows]]
        mine = (of == k).any(axis=1)
        return rows[mine], np.where(of[mine] == k, len(self.prior), of[mine])

    def _evidence(self) -> None:
        """Log odds of every response, mastered against not, and their sums over the items of one concept."""
        slip, guess = self.rates[:, self.kind_of]
        right = self.seen.right
        self.odds = right * np.log((1 - slip) / guess) + (1 - right) * np.log(slip / (1 - guess))
        self.evidence = np.bincount(self._cell, self.odds[self._own], self.missing.size).reshape(self.missing.shape).astype(np.float32)

    def evidence_of(self, k: int) -> np.ndarray:
        """(B,) log odds of the responses, k mastered against not; an item of several concepts tells of k where the others are mastered."""
        rows, others = self._shared[k]
        if not len(rows):
            return self.evidence[k]
        learner = self.seen.learner[rows]
        ready = self._lacking(others, learner) == 0
        return self.evidence[k] + np.bincount(learner, self.odds[rows] * ready, self.missing.shape[1])

    def _lacking(self, concepts: np.ndarray, learner: np.ndarray) -> np.ndarray:
        """(R,) how many of a row's concepts (position C = none) the learner has not mastered."""
        there = concepts < len(self.missing)
        return (self.missing[np.where(there, concepts, 0), learner[:, None]] * there).sum(axis=1)

    def lean(self, k: int) -> np.ndarray:
        """(B,) log odds of mastering k when nothing it requires is missing."""
        return self.ease[k] + self.ability[0] + self.effect[k, self.seen.cohort[k]]

    def parameters(self, free: bool) -> None:
        """Draw slips, guesses, leak, ease, abilities and class effects, given mastery and graph."""
        seen, rng = self.seen, self.rng
        known = self._lacking(seen.concepts_of[seen.item], seen.learner) == 0
        size = self.rates.shape[1]
        for which, share, among, (a, b) in ((SLIP, 1 - seen.right, known, SLIP_PRIOR), (GUESS, seen.right, ~known, GUESS_PRIOR)):
            hit, miss = (np.bincount(self.kind_of, w * among, size) for w in (share, 1 - share))
            self.rates[which] = np.clip(rng.beta(a + hit, b + miss), 0.01, 0.49)
        self._evidence()
        gated = _Gated(self.missing < 1, np.where(self.shut(), np.float32(1 - self.leak), np.float32(0)))
        effects = self.effect[self.rows, seen.cohort]
        for _ in range(2):
            self.ease = self._moved(gated, self.ease, self.ability + effects, lambda x: x.sum(axis=1, keepdims=True), 0.0, EASE_VARIANCE)
            mean = self.class_mean[seen.class_of][None]
            self.ability = self._moved(gated, self.ability, self.ease + effects, lambda x: x.sum(axis=0, keepdims=True), mean, self.spread)
            if self.teachers:
                for leap in (False, True):
                    self.effect = self._moved_effects(gated, leap, self.teachers)
                self.teachers.move(self.effect, rng)
                effects = self.effect[self.rows, seen.cohort]
        if free:
            self.draw_leak(self.would(sigmoid(self.ease + self.ability + effects)))
        off = self.ability[0] - self.class_mean[seen.class_of]
        self.spread = float(((off**2).sum() + 5) / rng.chisquare(len(off) + 5))
        weight = self.member.sum(axis=0) / self.spread + 1 / CLASS_VARIANCE
        if len(seen.class_ids) > 1:
            self.class_mean = (self.ability[0] @ self.member) / self.spread / weight + rng.normal(size=len(weight)) / np.sqrt(weight)

    def _moved(self, gated: _Gated, own: np.ndarray, rest: np.ndarray, total, mean: np.ndarray | float, variance: float) -> np.ndarray:
        """One Metropolis step of every ease or ability (prior N(mean, variance)), each on its own scale."""
        before, told = gated.fit(own + rest)
        scale = 1.5 / np.sqrt(total(told) + 1 / variance)
        moved = (own + self.rng.normal(size=own.shape) * scale).astype(np.float32)
        after, tells = gated.fit(moved + rest)
        gain = total(after - before) + ((own - mean) ** 2 - (moved - mean) ** 2) / (2 * variance)
        gain += _there_and_back(moved - own, scale, 1.5 / np.sqrt(total(tells) + 1 / variance))
        return np.where(np.log(self.rng.random(own.shape)) < gain, moved, own)

    def _moved_effects(self, gated: _Gated, leap: bool, teachers: TeacherEffects) -> np.ndarray:
        """One Metropolis step of every class effect: near by, or a ``leap``, as no small steps lead from an effect near 0 to a large one."""
        seen, own, rest, centre, prior = self.seen, self.effect, self.ease + self.ability, teachers.centre(), teachers.rest
        before, told = gated.fit(rest + own[self.rows, seen.cohort])
        scale = 1.5 / np.sqrt(seen.by_class(told) + 1)
        moved = centre + prior.draw(self.rng, own.shape) if leap else own + self.rng.normal(size=own.shape) * scale
        moved = moved.astype(np.float32)
        after, tells = gated.fit(rest + moved[self.rows, seen.cohort])
        gain = seen.by_class(after - before)
        if not leap:  # a leap is drawn from the prior, which then cancels
            gain += prior.log(moved - centre) - prior.log(own - centre) + _there_and_back(moved - own, scale, 1.5 / np.sqrt(seen.by_class(tells) + 1))
        return np.where(np.log(self.rng.random(own.shape)) < gain, moved, own)

    def worlds(self) -> np.ndarray:
        """(2, 2, C, B) mastery, 1 or 0, everything else down to the learner's own chance left as it was.

        First axis: prerequisites as they are, or all mastered; second: the class effect of the concept as it is, or zero.
        """
        open_, plain = sigmoid(self.ease + self.ability + self.effect[self.rows, self.seen.cohort]), sigmoid(self.ease + self.ability)
        gate, known = np.where(self.shut(), np.float32(self.leak), np.float32(1)), self.missing < 1
        p, u = open_ * gate, self.rng.random(known.shape, np.float32)
        chance = np.where(known, u * p, p + u * (1 - p))  # mastered where the chance lies below the probability
        return np.array([[known, chance < plain * gate], [chance < open_, chance < plain]], np.float32)


@dataclass(frozen=True)
class _Gated:
    """Who masters what, with the chance of it that a missing prerequisite takes away, the leak's own draws summed out.

    Attributes
    ----------
    known : (C, B) bool, mastered. held : (C, B) share of the chance that the gate holds back, 0 where it is open.
    """

    known: np.ndarray
    held: np.ndarray

    def fit(self, lean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(C, B) log-likelihood of mastery at log odds ``lean`` (gate open), and its Fisher information about them."""
        lean = np.clip(lean, -30, 30)
        odds = np.exp(lean)
        left = 1 + self.held * odds  # over 1 + odds: not mastered
        return np.where(self.known, lean, np.log(left)) - np.log(1 + odds), (1 - self.held) * odds / (1 + odds) / ((1 + odds) * left)


def _there_and_back(step: np.ndarray, scale: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Log ratio of the chance to propose the way back over that of the way there, for normal steps of scales of their own (Hastings, 1970, Biometrika)."""
    return np.log(scale / back) + step**2 / 2 * (scale**-2.0 - back**-2.0)
