"""A whole cohort followed side by side, from where each learner's history left them: what forecasts and invented worlds ask of a fitted model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Self

import numpy as np
import pandas as pd

from edukit.schema import DataError
from edukit.tracing.atlas_steps import Learners, Steps, logit, walk
from edukit.tracing.bkt import _advance, _success
from edukit.tracing.irt import _expected, _update
from edukit.tracing.sequences import Histories, Vocabulary, encode
from edukit.tracing.sparse_logistic import sigmoid


class Cohort(ABC):
    """M learners as a fitted model sees them; items are positions of the model's vocabulary (:meth:`place`).

    Parameters
    ----------
    model : the fitted model. It is only read.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.vocabulary: Vocabulary = model.vocabulary_

    def place(self, item_ids: Sequence[str] | np.ndarray) -> np.ndarray:
        """(N,) position of each item; 0 = never heard of."""
        return self.vocabulary.index(pd.Series(item_ids, dtype=object))

    def after(self, history: pd.DataFrame, learner_ids: Sequence[str] | np.ndarray) -> Self:
        """These learners after all their rows of a table ``interactions``; one without rows is as never seen.

        Raises
        ------
        OrderUnknownError
            Where the order of responses is unknown.
        """
        self.begin(len(learner_ids))
        histories = encode(history[history["learner_id"].isin(set(learner_ids))], self.vocabulary, self.model.kind)
        if len(histories):
            self._read(histories, pd.Index(learner_ids, dtype=object).get_indexer(pd.Index(histories.learner_ids, dtype=object)))
        return self

    @property
    @abstractmethod
    def numbers(self) -> int:
        """How many numbers are kept of each learner: what decides how many can be followed at once."""

    @abstractmethod
    def begin(self, learners: int) -> None:
        """Learners never seen."""

    @abstractmethod
    def _read(self, histories: Histories, who: np.ndarray) -> None:
        """Move learners ``who`` of the cohort, in the order of the histories, to the end of them."""

    @abstractmethod
    def repeated(self, times: int) -> Self:
        """Each learner as many times, next to each other, to go apart from here on."""

    @abstractmethod
    def chance(self, item: np.ndarray) -> np.ndarray:
        """(M,) P(correct) of each learner's next response, were it to these items (M,)."""

    @abstractmethod
    def follow(self, item: np.ndarray, correct: np.ndarray) -> None:
        """Every learner has answered one item (M,)."""

    @abstractmethod
    def mastery(self) -> np.ndarray:
        """(M, C) mastery as the model sees it."""


class KnowledgeCohort(Cohort):
    """A cohort as :class:`edukit.tracing.bkt.BKT` sees it: P(known) (M, C)."""

    @property
    def numbers(self) -> int:
        return len(self.vocabulary.concept_ids)

    def begin(self, learners: int) -> None:
        self._known = np.tile(self.model.parameters_.prior, (learners, 1))

    def _read(self, histories: Histories, who: np.ndarray) -> None:
        width = self._known.shape[1]
        for learners, _, waves, _, state in self.model._trace(histories):
            self._known[who[learners[waves.cells // width]], waves.cells % width] = state

    def repeated(self, times: int) -> Self:
        other = type(self)(self.model)
        other._known = np.repeat(self._known, times, axis=0)
        return other

    def _entries(self, item: np.ndarray) -> tuple[np.ndarray, np.ndarray, Any, np.ndarray]:
        """Learner and concept of every concept of the items, the parameters there, and P(success on it)."""
        who, concept = self.vocabulary.concept_pairs(item)
        at = self.model.parameters_.at(concept, item[who], np.arange(len(who)) - np.searchsorted(who, who))
        return who, concept, at, _success(self._known[who, concept], at)

    def chance(self, item: np.ndarray) -> np.ndarray:
        who, _, _, p = self._entries(item)
        whole = np.ones(len(item))
        np.multiply.at(whole, who, p)
        return np.where(np.bincount(who, minlength=len(item)) > 0, whole, self.model.rate_)

    def follow(self, item: np.ndarray, correct: np.ndarray) -> None:
        who, concept, at, p = self._entries(item)
        whole = np.ones(len(item))
        np.multiply.at(whole, who, p)
        self._known[who, concept] = _advance(self._known[who, concept], np.asarray(correct, float)[who], whole[who] / p, at)

    def mastery(self) -> np.ndarray:
        return self._known.copy()


class AbilityCohort(Cohort):
    """A cohort as :class:`edukit.tracing.irt.IRT` sees it: mean and variance of ability (M,)."""

    @property
    def numbers(self) -> int:
        return 2

    def begin(self, learners: int) -> None:
        self._mean, self._variance = np.zeros(learners), np.full(learners, float(self.model.items_.variance))

    def _read(self, histories: Histories, who: np.ndarray) -> None:
        _, self._mean[who], self._variance[who] = self.model._filter(histories, self.model.drift_)

    def repeated(self, times: int) -> Self:
        other = type(self)(self.model)
        other._mean, other._variance = np.repeat(self._mean, times), np.repeat(self._variance, times)
        return other

    def chance(self, item: np.ndarray) -> np.ndarray:
        a = self.model.items_.slope[item]
        return _expected(a * self._mean + self.model.items_.intercept[item], a * a * self._variance)

    def follow(self, item: np.ndarray, correct: np.ndarray) -> None:
        a, right = self.model.items_.slope[item], np.asarray(correct, float)
        self._mean, self._variance = _update(self._mean, self._variance, a, self.chance(item), right, self.model.drift_)

    def mastery(self) -> np.ndarray:
        return self.model._known(self._mean, self._variance)[0]


class CountCohort(Cohort):
    """A cohort as :class:`edukit.tracing.logistic.Logistic` sees it: right and wrong responses in all (M, 2), per concept (M, C, 2), perhaps per item."""

    @property
    def numbers(self) -> int:
        return 2 * (len(self.vocabulary.concept_ids) + self.model.item_counts * len(self.vocabulary.item_ids))

    def begin(self, learners: int) -> None:
        self._total, self._tally = np.zeros((learners, 2)), np.zeros((learners, len(self.vocabulary.concept_ids), 2))
        self._items = np.zeros((learners, len(self.vocabulary.item_ids) + 1, 2)) if self.model.item_counts else None

    def _read(self, histories: Histories, who: np.ndarray) -> None:
        marks = np.stack([histories.correct, 1 - histories.correct], axis=1).astype(float)
        row, concept = self.vocabulary.concept_pairs(histories.item)
        learner = who[histories.learner]
        np.add.at(self._total, learner, marks)
        np.add.at(self._tally, (learner[row], concept), marks[row])
        if self._items is not None:
            np.add.at(self._items, (learner, histories.item), marks)

    def repeated(self, times: int) -> Self:
        other = type(self)(self.model)
        other._total, other._tally = np.repeat(self._total, times, axis=0), np.repeat(self._tally, times, axis=0)
        other._items = None if self._items is None else np.repeat(self._items, times, axis=0)
        return other

    def chance(self, item: np.ndarray) -> np.ndarray:
        return sigmoid(self._told(item))

    def _told(self, item: np.ndarray) -> np.ndarray:
        """(M,) logit of the counts, items and concepts."""
        model, weights, blocks = self.model, self.model.weights_, self.model._blocks(self.vocabulary)
        row, concept = self.vocabulary.concept_pairs(item)
        told, added = np.full(len(item), weights[-1]), np.zeros(len(row))
        if model.items:
            told += weights[blocks["items"]][self.vocabulary.parameter(item)]
        if model.concepts:
            added += weights[blocks["concepts"]][concept]
        if model.concept_counts:
            added += (np.log1p(self._tally[row, concept]) * weights[blocks["concept_counts"]].reshape(-1, 2)[concept]).sum(axis=1)
        if model.total_counts:
            told += np.log1p(self._total) @ weights[blocks["total_counts"]]
        if self._items is not None:
            told += np.log1p(self._items[np.arange(len(item)), item]) @ weights[blocks["item_counts"]]
        return told + np.bincount(row, added, minlength=len(item))

    def follow(self, item: np.ndarray, correct: np.ndarray) -> None:
        marks = np.stack([correct, 1 - np.asarray(correct, float)], axis=1)
        row, concept = self.vocabulary.concept_pairs(item)
        self._total += marks
        self._tally[row, concept] += marks[row]
        if self._items is not None:
            self._items[np.arange(len(item)), item] += marks

    def mastery(self) -> np.ndarray:
        return self.model._share(self.model._logit(self._total, self._tally))


class AtlasCohort(CountCohort):
    """A cohort as :class:`edukit.tracing.atlas_traced.AtlasTraced` sees it: the latent model along the graph and without edges, and counts."""

    @property
    def numbers(self) -> int:
        return 10 * len(self.vocabulary.concept_ids)

    def begin(self, learners: int) -> None:
        super().begin(learners)
        self._latent: list[tuple[Steps, Learners]] = [(steps, steps.start(learners)) for steps in self._models()]

    def _models(self) -> list[Steps]:
        return [self.model.along_, self.model.apart_] if self.model.residual else [self.model.along_]

    def _read(self, histories: Histories, who: np.ndarray) -> None:
        super()._read(histories, who)
        for steps, own in self._latent:
            for learners, _, _, state in walk(histories, steps, self.vocabulary, self.model.rate_):
                for field in fields(Learners):
                    getattr(own, field.name)[who[learners]] = getattr(state, field.name)

    def repeated(self, times: int) -> Self:
        other = super().repeated(times)
        other._latent = [(steps, Learners(*(np.repeat(getattr(state, field.name), times, axis=0) for field in fields(Learners))))
                         for steps, state in self._latent]
        return other

    def _entries(self, item: np.ndarray) -> tuple[np.ndarray, ...]:
        who, concept = self.vocabulary.concept_pairs(item)
        return who, concept, item[who], np.arange(len(who)) - np.searchsorted(who, who)

    def _success(self, steps: Steps, state: Learners, item: np.ndarray) -> np.ndarray:
        """(M,) P(correct) by the latent model; an item without a concept has the share right in training."""
        who, concept, own, place = self._entries(item)
        known = steps.read(state, who, concept)[0]
        whole = np.ones(len(item))
        np.multiply.at(whole, who, known * (1 - steps.slip[own, place]) + (1 - known) * steps.guess[own, place])
        return np.where(np.bincount(who, minlength=len(item)) > 0, whole, self.model.rate_)

    def chance(self, item: np.ndarray) -> np.ndarray:
        p = [self._success(steps, state, item) for steps, state in self._latent]
        if not self.model.residual:
            return p[0]
        along, apart = logit(p[0]), logit(p[1])
        return sigmoid(self._told(item) + np.column_stack([apart, along - apart]) @ self.model.weights_[-3:-1])

    def follow(self, item: np.ndarray, correct: np.ndarray) -> None:
        super().follow(item, correct)
        who, concept, own, place = self._entries(item)
        for steps, state in self._latent if len(who) else ():
            steps.answer(state, who, concept, own, place, np.asarray(correct, float)[who])

    def mastery(self) -> np.ndarray:
        return self.model._mastered(self._latent[0][1], np.arange(len(self._total)))


KINDS: dict[str, type[Cohort]] = {"atlas_traced": AtlasCohort, "bkt": KnowledgeCohort, "irt": AbilityCohort, "logistic": CountCohort, "pfa": CountCohort}


def cohort_of(model: Any) -> Cohort:
    """A cohort as a fitted model sees it, no learner in it yet.

    Raises
    ------
    DataError
        Naming the models that can, where this one cannot follow a cohort.
    """
    kind = getattr(model, "kind", type(model).__name__)
    if kind == "dkt":
        from edukit.tracing.network_cohort import NetworkCohort

        return NetworkCohort(model)
    if kind not in KINDS:
        raise DataError(f"a cohort can be followed by {', '.join(sorted([*KINDS, 'dkt']))}; found {kind}. Choose one of those: tracing=logistic.")
    return KINDS[kind](model)
