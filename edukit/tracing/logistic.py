"""Logistic regression over a learner's counts of right and wrong responses: Best-LR and its family, by flags."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd

from edukit.protocols import NotFittedError, PrerequisiteGraph
from edukit.tracing.sequences import Histories, Vocabulary, concentration, counts, encode, mastery_table, read_model, response_sd, write_model

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

CHUNK = 4_000_000  # learner x item cells of a mastery estimate held in memory at once


@dataclass(frozen=True)
class Counts:
    """Where one learner stands: right and wrong responses in all, per concept and per item (state of a live learner)."""

    total: np.ndarray
    concept: np.ndarray
    item: dict[int, tuple[float, float]]


class Logistic:
    """A learner answers the next item right more often the more they got right before: in all, and on its concepts.

    P(correct) = sigmoid(w0 + item + sum over its concepts [concept + right and wrong counts on it] + counts in all),
    where every count n enters as log(1 + n). A response with several concepts is one row whose concept terms add up.

    Parameters
    ----------
    items, concepts : one difficulty per item, one per concept.
    concept_counts : right and wrong counts on the item's concepts, one pair of weights per concept.
    total_counts : right and wrong counts over all earlier responses.
    item_counts : right and wrong counts on the very same item.
    strength : inverse of the L2 penalty on all weights.

    Notes
    -----
    All on but ``item_counts`` is Best-LR; ``items=False total_counts=False`` is PFA (:class:`PFA`); only ``items`` is a difficulty model.

    References
    ----------
    Pavlik, Cen and Koedinger (2009), AIED (PFA). Gervet, Koedinger, Schneider and Mitchell (2020), JEDM (Best-LR).
    """

    kind = "logistic"

    def __init__(self, items: bool = True, concepts: bool = True, concept_counts: bool = True, total_counts: bool = True,
                 item_counts: bool = False, strength: float = 1.0) -> None:
        self.items, self.concepts, self.concept_counts = items, concepts, concept_counts
        self.total_counts, self.item_counts = total_counts, item_counts
        self.strength = strength

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
        """
        from sklearn.linear_model import LogisticRegression

        vocabulary = Vocabulary.build(interactions, graph)
        histories = encode(interactions, vocabulary, self.kind)
        design = self._design(histories, vocabulary)
        right = histories.correct.astype(float)
        whole = bool(np.isin(right, (0.0, 1.0)).all())
        if whole:
            rows, label, weight = design, right, None
        else:  # a share of the marks counts as that much right and the rest wrong
            from scipy.sparse import vstack
            rows, label, weight = vstack([design, design]).tocsr(), np.repeat([1.0, 0.0], len(right)), np.concatenate([right, 1 - right])
        # Newton steps: counts and one-hot columns differ so much in scale that lbfgs is far from converged after 300 iterations
        solver = LogisticRegression(C=self.strength, solver="newton-cg", tol=1e-3, max_iter=200)
        solver.fit(rows, label, sample_weight=weight)
        self.vocabulary_ = vocabulary
        self.weights_ = np.append(solver.coef_[0], solver.intercept_[0])
        self.kappa_ = concentration(histories, vocabulary, self._probability(design))
        return self

    def _blocks(self, vocabulary: Vocabulary) -> dict[str, slice]:
        """Which columns of the design hold what."""
        width, at, found = len(vocabulary.concept_ids), 0, {}
        sizes = {"items": vocabulary.trained + 1, "concepts": width, "concept_counts": 2 * width, "total_counts": 2, "item_counts": 2}
        for name, size in sizes.items():
            if getattr(self, name):
                found[name] = slice(at, at + size)
                at += size
        found["all"] = slice(0, at)
        return found

    def _design(self, histories: Histories, vocabulary: Vocabulary) -> csr_matrix:
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
                right, wrong = _earlier(cell, histories.correct[rows])
                parts.append((rows, blocks[name].start + column, np.log1p(right)))
                parts.append((rows, blocks[name].start + column + 1, np.log1p(wrong)))
        rows, columns, values = (np.concatenate([p[i] for p in parts]) for i in range(3))
        keep = values != 0
        return csr_matrix((values[keep], (rows[keep], columns[keep])), shape=(number, blocks["all"].stop))

    def _probability(self, design: csr_matrix) -> np.ndarray:
        return _sigmoid(np.asarray(design @ self.weights_[:-1]) + self.weights_[-1])

    def predict(self, interactions: pd.DataFrame) -> pd.Series:
        """P(correct), aligned to the index; row t uses only earlier rows of that learner."""
        vocabulary = self._fitted()
        histories = encode(interactions, vocabulary, self.kind)
        return histories.align(self._probability(self._design(histories, vocabulary)), interactions.index)

    def mastery(self, interactions: pd.DataFrame) -> pd.DataFrame:
        """Table ``mastery``: expected share right over the concept's items after the whole history."""
        vocabulary = self._fitted()
        histories = encode(interactions, vocabulary, self.kind)
        width = len(vocabulary.concept_ids)
        row, concept = vocabulary.concept_pairs(histories.item)
        cell = histories.learner[row] * width + concept
        tally = np.stack([np.bincount(cell, values, len(histories) * width).reshape(-1, width)
                          for values in (histories.correct[row], 1 - histories.correct[row])], axis=2)
        total = np.stack([np.bincount(histories.learner, values, len(histories))
                          for values in (histories.correct, 1 - histories.correct)], axis=1)
        return mastery_table(histories.learner_ids, vocabulary, self._mastery(total, tally), counts(histories, vocabulary), self.kappa_)

    def _mastery(self, total: np.ndarray, tally: np.ndarray) -> np.ndarray:
        """(B, C) from counts in all (B, 2) and per concept (B, C, 2): mean over the concept's items, each met afresh."""
        vocabulary, blocks = self._fitted(), self._blocks(self._fitted())
        width = len(vocabulary.concept_ids)
        logit = np.full((len(total), width), self.weights_[-1])
        if self.concepts:
            logit += self.weights_[blocks["concepts"]]
        if self.concept_counts:
            logit += (np.log1p(tally) * self.weights_[blocks["concept_counts"]].reshape(width, 2)).sum(axis=2)
        if self.total_counts:
            logit += (np.log1p(total) @ self.weights_[blocks["total_counts"]])[:, None]
        item = np.arange(1, len(vocabulary.item_ids) + 1)
        entry, concept = vocabulary.concept_pairs(item)
        own = self.weights_[blocks["items"]][vocabulary.parameter(item)[entry]] if self.items else np.zeros(len(entry))
        share = np.bincount(concept, minlength=width)
        known = np.empty_like(logit)
        step = max(1, CHUNK // max(1, len(entry)))
        order = np.argsort(concept, kind="stable")
        with_items = np.flatnonzero(share)
        starts = (np.cumsum(share) - share)[with_items]
        for first in range(0, len(logit), step):
            some = logit[first:first + step]
            known[first:first + step] = _sigmoid(some)
            if len(entry):
                right = _sigmoid(some[:, concept[order]] + own[order])
                known[first:first + step, with_items] = np.add.reduceat(right, starts, axis=1) / share[with_items]
        return known

    def start(self) -> Counts:
        """State of a learner never seen."""
        return Counts(np.zeros(2), np.zeros((len(self._fitted().concept_ids), 2)), {})

    def step(self, state: Counts, item_id: str, correct: float) -> Counts:
        """State after one more response."""
        vocabulary = self._fitted()
        item = vocabulary.index(pd.Series([item_id]))
        gain = np.array([correct, 1 - correct], float)
        concept = state.concept.copy()
        concept[vocabulary.concept_pairs(item)[1]] += gain
        before = state.item.get(int(item[0]), (0.0, 0.0))
        return Counts(state.total + gain, concept, {**state.item, int(item[0]): (before[0] + gain[0], before[1] + gain[1])})

    def mastery_of(self, state: Counts) -> pd.DataFrame:
        """Per concept: mastery, sd and n."""
        known = self._mastery(state.total[None], state.concept[None])[0]
        n = state.concept.sum(axis=1)
        return pd.DataFrame({"mastery": known, "sd": response_sd(known, n, self.kappa_), "n": n.round().astype(int)},
                            index=pd.Index(self._fitted().concept_ids, name="concept_id"))

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


class PFA(Logistic):
    """A learner gets better at a concept with every response on it, more with right ones than with wrong ones.

    Performance factor analysis: P(correct) = sigmoid(w0 + sum over the item's concepts [concept + right and wrong counts on it]),
    the counts as log(1 + n). It is :class:`Logistic` with other flags on from the start.

    Parameters
    ----------
    items, concepts, concept_counts, total_counts, item_counts, strength : as of :class:`Logistic`.

    References
    ----------
    Pavlik, Cen and Koedinger (2009), AIED (who take the counts as they are). Gervet, Koedinger, Schneider and Mitchell (2020), JEDM.
    """

    kind = "pfa"

    def __init__(self, items: bool = False, concepts: bool = True, concept_counts: bool = True, total_counts: bool = False,
                 item_counts: bool = False, strength: float = 1.0) -> None:
        super().__init__(items, concepts, concept_counts, total_counts, item_counts, strength)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    from scipy.special import expit

    return expit(x)


def _earlier(cell: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every row, how many right and wrong responses its cell had before it (rows are in order of time)."""
    order = np.argsort(cell, kind="stable")
    ordered = cell[order]
    fresh = np.append(True, ordered[1:] != ordered[:-1]) if len(ordered) else np.zeros(0, bool)
    group = np.cumsum(fresh) - 1
    result = []
    for values in (correct[order].astype(float), 1 - correct[order].astype(float)):
        running = np.cumsum(values) - values
        before = np.empty_like(running)
        before[order] = running - running[fresh][group] if len(ordered) else running
        result.append(before)
    return result[0], result[1]
