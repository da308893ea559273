"""What every model of counts shares: features of earlier responses, a sparse logistic regression on them, and mastery."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import pandas as pd

from edukit.protocols import NotFittedError, PrerequisiteGraph
from edukit.schema import DataError
from edukit.tracing.sequences import Histories, Vocabulary, concentration, counts, encode, mastery_table, read_model, write_model
from edukit.tracing.sparse_logistic import fit_logistic, sigmoid

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

CHUNK = 4_000_000  # learner x item (or x concept) cells of a mastery estimate held in memory at once
ROWS = 100_000  # responses whose features are made at once
HOUR, DAY = 3600, 86_400
WINDOWS = (HOUR, DAY, 7 * DAY, 30 * DAY, None)  # seconds before a response; None = ever


class CountModel(ABC):
    """Probability of a right response from counts of earlier ones; a model chooses which counts by its constructor.

    Attributes
    ----------
    kind : name in messages and files.
    windows : whether responses on a concept are also counted in each of :data:`WINDOWS`, for which rows need a timestamp.
    """

    kind: ClassVar[str]
    windows: ClassVar[bool] = False

    def __init__(self, items: bool, concepts: bool, concept_counts: bool, total_counts: bool, item_counts: bool, strength: float) -> None:
        self.items, self.concepts, self.concept_counts = items, concepts, concept_counts
        self.total_counts, self.item_counts = total_counts, item_counts
        self.strength = strength
        if not (items or concepts or concept_counts or total_counts or item_counts or self.windows):
            raise DataError(f"{self.kind} must have one of items, concepts, concept_counts, total_counts, item_counts; found all of them off")

    @property
    def settings(self) -> dict:
        """The constructor's arguments."""
        return {name: getattr(self, name) for name in ("items", "concepts", "concept_counts", "total_counts", "item_counts", "strength")}

    def fit(self, interactions: pd.DataFrame, graph: PrerequisiteGraph, dif_groups: pd.Series | None = None) -> Self:
        """Learn the weights from training rows; ``dif_groups`` is not used.

        Raises
        ------
        OrderUnknownError
            Where the order of responses is unknown.
        DataError
            Where the model counts in windows of time, and rows have none.
        """
        from scipy.sparse import vstack

        vocabulary = Vocabulary.build(interactions, graph)
        histories = encode(interactions, vocabulary, self.kind)
        design = vstack([part for _, part in self._designs(histories, vocabulary, self._moments(interactions, histories))], format="csr")
        self.vocabulary_, self.weights_ = vocabulary, fit_logistic(design, histories.correct.astype(float), self.strength)
        probability = self._probability(design)
        del design  # the largest of all, and no longer needed
        self.kappa_ = concentration(histories, vocabulary, probability)
        return self

    def _moments(self, interactions: pd.DataFrame, histories: Histories) -> np.ndarray | None:
        """(N,) second of every sorted row; where a learner's clock goes back it stands still, so that no row lies in the future of a later one."""
        if not self.windows:
            return None
        missing = interactions["timestamp"].isna() if "timestamp" in interactions else pd.Series(True, index=interactions.index)
        if missing.any():
            raise DataError(f"{self.kind} counts responses in windows of time, so interactions.timestamp must hold the time of every row; found none in "
                            f"{int(missing.sum()):,} of {len(missing):,} rows (first: row {missing.idxmax()}). Use tracing=logistic, which needs order only.")
        told = pd.to_datetime(interactions["timestamp"], utc=True).dt.tz_localize(None).to_numpy("datetime64[s]").astype(np.int64)[histories.position]
        span = int(np.ptp(told)) + 1 if len(told) else 1
        shift = histories.learner * span  # one rising clock after the other
        return np.maximum.accumulate(told + shift) - shift if len(told) else told

    def _blocks(self, vocabulary: Vocabulary) -> dict[str, slice]:
        """Which columns of the design hold what."""
        width, at, found = len(vocabulary.concept_ids), 0, {}
        sizes = {"items": vocabulary.trained + 1, "concepts": width, "concept_counts": 2 * width, "total_counts": 2, "item_counts": 2,
                 "windows": 2 * width * len(WINDOWS)}
        for name, size in sizes.items():
            if getattr(self, name):
                found[name] = slice(at, at + size)
                at += size
        found["all"] = slice(0, at)
        return found

    def _designs(self, histories: Histories, vocabulary: Vocabulary, moments: np.ndarray | None) -> Iterator[tuple[slice, csr_matrix]]:
        """Sorted rows and their features, whole learners at a time, so that what is built on the way stays small."""
        cuts = np.searchsorted(histories.offsets, np.arange(ROWS, histories.offsets[-1], ROWS))
        cuts = np.unique(np.r_[0, cuts, len(histories)]) if len(histories) else np.array([0, 0])
        for first, last in zip(cuts[:-1], cuts[1:], strict=True):
            rows = slice(int(histories.offsets[first]), int(histories.offsets[last]))
            some = histories.take(np.arange(first, last))
            yield rows, self._design(some, vocabulary, None if moments is None else moments[rows])

    def _design(self, histories: Histories, vocabulary: Vocabulary, moments: np.ndarray | None) -> csr_matrix:
        """(N, F) sparse features of every sorted row, from earlier rows of the same learner only."""
        from scipy.sparse import csr_matrix

        blocks, number = self._blocks(vocabulary), len(histories.item)
        learner, width = histories.learner, len(vocabulary.concept_ids)
        row, concept = vocabulary.concept_pairs(histories.item)
        parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        if self.items:
            parts.append((np.arange(number), blocks["items"].start + vocabulary.parameter(histories.item), np.ones(number)))
        if self.concepts:
            parts.append((row, blocks["concepts"].start + concept, np.ones(len(row))))
        for name, rows, cell, column in (
            ("concept_counts", row, learner[row] * width + concept, 2 * concept),
            ("total_counts", np.arange(number), learner, np.zeros(number, int)),
            ("item_counts", np.arange(number), learner * (len(vocabulary.item_ids) + 1) + histories.item, np.zeros(number, int)),
        ):
            if getattr(self, name):
                right, wrong = earlier(cell, histories.correct[rows])
                parts.append((rows, blocks[name].start + column, np.log1p(right)))
                parts.append((rows, blocks[name].start + column + 1, np.log1p(wrong)))
        if moments is not None:
            column = blocks["windows"].start + 2 * len(WINDOWS) * concept
            for w, (wins, attempts) in enumerate(recent(learner[row] * width + concept, histories.correct[row], moments[row])):
                parts.append((row, column + 2 * w, np.log1p(wins)))
                parts.append((row, column + 2 * w + 1, np.log1p(attempts)))
        rows, columns, values = (np.concatenate([p[i] for p in parts]) for i in range(3))
        keep = values != 0
        return csr_matrix((values[keep], (rows[keep].astype(np.int32), columns[keep].astype(np.int32))), shape=(number, blocks["all"].stop))

    def _probability(self, design: csr_matrix) -> np.ndarray:
        return sigmoid(np.asarray(design @ self.weights_[:-1]) + self.weights_[-1])

    def predict(self, interactions: pd.DataFrame) -> pd.Series:
        """P(correct), aligned to the index; row t uses only earlier rows of that learner."""
        vocabulary = self._fitted()
        histories = encode(interactions, vocabulary, self.kind)
        found = np.empty(len(histories.item))
        for rows, design in self._designs(histories, vocabulary, self._moments(interactions, histories)):
            found[rows] = self._probability(design)
        return histories.align(found, interactions.index)

    def mastery(self, interactions: pd.DataFrame) -> pd.DataFrame:
        """Table ``mastery``: expected share right over the concept's items after the whole history (with windows: at its last moment)."""
        vocabulary = self._fitted()
        histories = encode(interactions, vocabulary, self.kind)
        moments, width = self._moments(interactions, histories), len(vocabulary.concept_ids)
        known = np.empty((len(histories), width))
        step = max(1, CHUNK // max(1, width))
        for first in range(0, len(histories), step):
            some = histories.take(np.arange(first, min(first + step, len(histories))))
            row, concept = vocabulary.concept_pairs(some.item)
            cell, size = some.learner[row] * width + concept, (len(some), width)
            marks = np.stack([some.correct, 1 - some.correct], axis=1).astype(float)
            tally = np.stack([np.bincount(cell, v, len(some) * width).reshape(size) for v in marks[row].T], axis=2)
            total = np.stack([np.bincount(some.learner, v, len(some)) for v in marks.T], axis=1)
            logit = self._logit(total, tally)
            if moments is not None:
                own = moments[histories.offsets[first]:histories.offsets[first] + len(some.item)]
                logit += self._lately(cell, some.correct[row], (own[some.offsets[1:] - 1][some.learner] - own)[row], size)
            known[first:first + step] = self._share(logit)
        return mastery_table(histories.learner_ids, vocabulary, known, counts(histories, vocabulary), self.kappa_)

    def _logit(self, total: np.ndarray, tally: np.ndarray) -> np.ndarray:
        """(B, C) logit of each concept, items aside, from counts in all (B, 2) and per concept (B, C, 2)."""
        blocks, width = self._blocks(self._fitted()), tally.shape[1]
        logit = np.full((len(total), width), self.weights_[-1])
        if self.concepts:
            logit += self.weights_[blocks["concepts"]]
        if self.concept_counts:
            logit += (np.log1p(tally) * self.weights_[blocks["concept_counts"]].reshape(width, 2)).sum(axis=2)
        if self.total_counts:
            logit += (np.log1p(total) @ self.weights_[blocks["total_counts"]])[:, None]
        return logit

    def _lately(self, cell: np.ndarray, correct: np.ndarray, age: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """(B, C) what responses of an ``age`` in seconds add to the logit of their ``cell`` (learner x C + concept)."""
        weights = self.weights_[self._blocks(self._fitted())["windows"]].reshape(size[1], len(WINDOWS), 2)
        added = np.zeros(size)
        for w, length in enumerate(WINDOWS):
            inside = age <= (np.inf if length is None else length)
            wins = np.bincount(cell[inside], correct[inside], size[0] * size[1]).reshape(size)
            attempts = np.bincount(cell[inside], minlength=size[0] * size[1]).reshape(size)
            added += np.log1p(wins) * weights[:, w, 0] + np.log1p(attempts) * weights[:, w, 1]
        return added

    def _share(self, logit: np.ndarray) -> np.ndarray:
        """(B, C) expected share right from (B, C) logits: mean over the concept's items, each met afresh."""
        vocabulary = self._fitted()
        item, concept, some, starts, n = vocabulary.by_concept
        own = self.weights_[self._blocks(vocabulary)["items"]][vocabulary.parameter(item)] if self.items else np.zeros(len(item))
        known = sigmoid(logit)
        step = max(1, CHUNK // max(1, len(item)))
        for first in range(0, len(logit) if len(item) else 0, step):
            known[first:first + step, some] = np.add.reduceat(sigmoid(logit[first:first + step, concept] + own), starts, axis=1) / n
        return known

    def save(self, path: Path) -> None:
        """Write the fitted model into one file."""
        write_model(path, self.kind, self.settings, self._fitted(), {"weights": self.weights_, "kappa": np.array([self.kappa_])})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote."""
        settings, vocabulary, arrays = read_model(path, cls.kind)
        model = cls(**settings)
        model.vocabulary_, model.weights_, model.kappa_ = vocabulary, arrays["weights"], float(arrays["kappa"][0])
        return model

    def _fitted(self) -> Vocabulary:
        if not hasattr(self, "vocabulary_"):
            raise NotFittedError(f"this {self.kind} model has not been fitted; call fit(interactions, graph) first")
        return self.vocabulary_


def _cells(cell: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Order that brings equal cells together, the number of its cell of each row so ordered, and where each cell begins."""
    order = np.argsort(cell, kind="stable")
    ordered = cell[order]
    fresh = np.append(True, ordered[1:] != ordered[:-1]) if len(ordered) else np.zeros(0, bool)
    return order, np.cumsum(fresh) - 1, np.flatnonzero(fresh)


def earlier(cell: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every row, how many right and wrong responses its cell had before it (rows are in order of time)."""
    order, group, starts = _cells(cell)
    result = []
    for values in (correct[order].astype(float), 1 - correct[order].astype(float)):
        running = np.cumsum(values) - values
        before = np.empty_like(running)
        before[order] = running - running[starts][group]
        result.append(before)
    return result[0], result[1]


def recent(cell: np.ndarray, correct: np.ndarray, moment: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Per window of :data:`WINDOWS`: for every row, wins and attempts of its cell before it and no longer ago than the window.

    Parameters
    ----------
    cell, correct : (N,) rows in order of time.
    moment : (N,) seconds, never falling within a cell.
    """
    order, group, starts = _cells(cell)
    place, values = np.arange(len(order)), correct[order].astype(float)
    running, lowest = np.cumsum(values) - values, int(moment.min()) if len(moment) else 0
    own = moment[order] - lowest
    span = int(own.max()) + 1 if len(own) else 1
    clock = group * span + own  # one rising clock after the other
    for length in WINDOWS:
        first = starts[group] if length is None else np.searchsorted(clock, group * span + np.maximum(own - length, 0), side="left")
        wins, attempts = np.empty(len(order)), np.empty(len(order))
        wins[order], attempts[order] = running - running[first], place - first
        yield wins, attempts
