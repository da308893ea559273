"""Item response theory: one ability per learner against one difficulty per item, live (Kalman) or for data without order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd

from edukit.protocols import NotFittedError, PrerequisiteGraph
from edukit.tracing.sequences import Histories, Vocabulary, counts, encode, mastery_table, read_model, write_model

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

DRIFTS = (0.0, 0.002, 0.005, 0.01, 0.02, 0.05)  # ability variance added per step, chosen on training rows
GRID = np.linspace(-6, 6, 49)  # abilities, in logits, over which posteriors are summed
CELLS = 4_000_000  # learner x item probabilities held in memory at once
LEAST_VARIANCE = 1e-3  # of ability; answers that tell nothing of it would lead to 0, and 0 to numbers that are none
ROUNDS, TOLERANCE = 100, 2e-3  # most EM steps; the change of an item's intercept that ends them


def _sigmoid(x: np.ndarray) -> np.ndarray:
    from scipy.special import expit

    return expit(x)


def _expected(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """E sigmoid(x) for x ~ N(mean, variance) (MacKay, 1992, Neural Computation)."""
    return _sigmoid(mean / np.sqrt(1 + np.pi * variance / 8))


@dataclass(frozen=True)
class Items:
    """Fitted item terms: ``slope`` (I + 1,), ``intercept`` (I + 1,) (row 0: an unknown item), ability ``variance``.

    P(correct) = sigmoid(slope * ability + intercept); minus intercept over slope is the difficulty.
    """

    slope: np.ndarray
    intercept: np.ndarray
    variance: float


def _tables(histories: Histories, items: int) -> tuple[csr_matrix, csr_matrix]:
    """(B, I + 1) sparse: how often each learner met each item, and the marks they got there."""
    from scipy.sparse import csr_matrix

    where, shape = (histories.learner, histories.item), (len(histories), items)
    return csr_matrix((np.ones(len(histories.item)), where), shape), csr_matrix((histories.correct.astype(float), where), shape)


def _posterior(met: csr_matrix, marks: csr_matrix, items: Items) -> np.ndarray:
    """(B, Q) posterior of every learner's ability over the nodes of :data:`GRID`."""
    logit = items.slope[:, None] * GRID + items.intercept[:, None]
    logs = marks @ logit - met @ np.logaddexp(0, logit) - GRID**2 / (2 * items.variance)
    weight = np.exp(logs - logs.max(axis=1, keepdims=True))
    return weight / weight.sum(axis=1, keepdims=True)


def _fit_items(histories: Histories, vocabulary: Vocabulary, slopes: bool, spread: float) -> Items:
    """Item terms by marginal maximum likelihood: EM over a grid of abilities (Bock and Aitkin, 1981, Psychometrika).

    An item's intercept is its concepts' mean plus a deviation N(0, spread^2), so that rare items lean on their concepts, and an
    item never met stands at that mean; log slopes are N(0, 0.3^2) and of mean 0, which fixes the unit of ability.
    """
    concepts, sets = vocabulary.set_of_item, len(vocabulary.concept_sets)
    known = np.bincount(histories.item, minlength=len(concepts)) > 0
    met, marks = _tables(histories, len(concepts))
    overall = float(np.log((histories.correct.sum() + 1) / ((1 - histories.correct).sum() + 1)))
    items = Items(np.ones(len(concepts)), np.full(len(concepts), overall), 1.0)
    shared, share = np.full(sets, overall), np.bincount(concepts[known], minlength=sets)
    for _ in range(ROUNDS):
        belief = _posterior(met, marks, items)
        asked, right = met.T @ belief, marks.T @ belief
        d, log_slope = items.intercept, np.log(items.slope)
        for _ in range(2):  # Newton steps, all items at once
            lean = np.exp(log_slope)[:, None] * GRID
            p = _sigmoid(lean + d[:, None])
            error, weight = right - asked * p, asked * p * (1 - p)
            g, h = error.sum(axis=1) - (d - shared[concepts]) / spread**2, weight.sum(axis=1) + 1 / spread**2
            if slopes:
                g2, h2 = (error * lean).sum(axis=1) - log_slope / 0.09, (weight * lean**2).sum(axis=1) + 1 / 0.09
                cross = (weight * lean).sum(axis=1)
                both = h * h2 - cross**2
                d, log_slope = d + np.clip((h2 * g - cross * g2) / both, -1, 1), log_slope + np.clip((h * g2 - cross * g) / both, -0.5, 0.5)
            else:
                d = d + np.clip(g / h, -1, 1)
        variance = max(float((belief @ GRID**2).mean()), LEAST_VARIANCE)
        if slopes:  # slopes of geometric mean 1
            log_slope, variance = log_slope - log_slope[known].mean(), variance * np.exp(2 * log_slope[known].mean())
        shared = (np.bincount(concepts[known], d[known], sets) / spread**2 + overall) / (share / spread**2 + 1)
        change = np.abs(d - items.intercept).max()
        items = Items(np.where(known, np.exp(log_slope), 1.0), np.where(known, d, shared[concepts]), variance)
        if change < TOLERANCE:
            break
    return items


class _ItemModel:
    """What the live and the static model share: item terms, mastery on a concept, files."""

    kind: str
    vocabulary_: Vocabulary
    items_: Items

    def _fitted(self) -> Vocabulary:
        if not hasattr(self, "vocabulary_"):
            raise NotFittedError(f"this {self.kind} model has not been fitted; call fit(interactions, graph) first")
        return self.vocabulary_

    def _known(self, mean: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(B, C) expected share right over each concept's items, and its sd, from ability means and variances (B,)."""
        vocabulary, items = self._fitted(), self.items_
        item, _, some, first, n = vocabulary.by_concept
        a, d = items.slope[item], items.intercept[item]
        typical = float(items.intercept[1:].mean())
        expected = np.repeat(_expected(mean + typical, variance)[:, None], len(vocabulary.concept_ids), axis=1)
        slope = np.full_like(expected, 0.25)
        step = max(1, CELLS // max(1, len(item)))
        for b in range(0, len(mean) if len(item) else 0, step):
            p = _expected(a * mean[b:b + step, None] + d, a * a * variance[b:b + step, None])
            expected[b:b + step, some] = np.add.reduceat(p, first, axis=1) / n
            slope[b:b + step, some] = np.add.reduceat(a * p * (1 - p), first, axis=1) / n
        return expected, np.clip(slope * np.sqrt(variance)[:, None], 1e-6, 0.5)

    def _mastery(self, learner_ids: np.ndarray, mean: np.ndarray, variance: np.ndarray, n: np.ndarray) -> pd.DataFrame:
        """Table ``mastery`` from ability means and variances (B,)."""
        expected, sd = self._known(mean, variance)
        table = mastery_table(learner_ids, self._fitted(), expected, n, kappa=0.0)
        return table.assign(sd=sd.reshape(-1))

    def _save(self, path: Path, settings: dict, more: dict[str, np.ndarray]) -> None:
        arrays = {"slope": self.items_.slope, "intercept": self.items_.intercept, "variance": np.array([self.items_.variance]), **more}
        write_model(path, self.kind, settings, self._fitted(), arrays)

    def _restore(self, vocabulary: Vocabulary, arrays: dict[str, np.ndarray]) -> None:
        self.vocabulary_ = vocabulary
        self.items_ = Items(arrays["slope"], arrays["intercept"], float(arrays["variance"][0]))


@dataclass(frozen=True)
class Ability:
    """A live learner: mean and variance of ability, responses per concept (C,)."""

    mean: float
    variance: float
    n: np.ndarray


class IRT(_ItemModel):
    """Follows a learner's ability response by response, with its uncertainty.

    Before a response P(correct) = E sigmoid(a theta + d), theta ~ N(m, v). After it v becomes 1 / (1 / (v + drift) + a^2 p (1 - p))
    and m moves by v a (correct - p): a Kalman filter on the logistic scale.

    Parameters
    ----------
    slopes : give each item a discrimination of its own (2PL); off = 1PL.
    item_spread : standard deviation of items around their concept, in logits.

    References
    ----------
    Rasch (1960), Probabilistic models. Birnbaum (1968), in Lord and Novick. Glickman (1999), JRSS C (the filter).
    """

    kind = "irt"

    def __init__(self, slopes: bool = False, item_spread: float = 1.0) -> None:
        self.slopes, self.item_spread = slopes, item_spread

    def fit(self, interactions: pd.DataFrame, graph: PrerequisiteGraph, dif_groups: pd.Series | None = None) -> Self:
        """Learn item terms from training rows, then the drift that predicts the next responses best."""
        vocabulary = Vocabulary.build(interactions, graph)
        histories = encode(interactions, vocabulary, "irt")
        self.vocabulary_, self.items_ = vocabulary, _fit_items(histories, vocabulary, self.slopes, self.item_spread)
        losses = []
        for drift in DRIFTS:
            p = np.clip(self._filter(histories, drift)[0], 1e-6, 1 - 1e-6)
            losses.append(-(histories.correct * np.log(p) + (1 - histories.correct) * np.log1p(-p)).mean())
        self.drift_ = DRIFTS[int(np.argmin(losses))]
        return self

    def _filter(self, histories: Histories, drift: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Predictions of all sorted rows (N,), and every learner's ability mean and variance (B,) at the end."""
        order = np.argsort(-histories.lengths, kind="stable")
        start, length = histories.offsets[:-1][order], histories.lengths[order]
        mean, variance = np.zeros(len(order)), np.full(len(order), self.items_.variance)
        predicted = np.empty(len(histories.item))
        for step in range(int(length.max(initial=0))):
            active = int(np.searchsorted(-length, -step, side="left"))
            row = start[:active] + step
            item = histories.item[row]
            a, m, v = self.items_.slope[item], mean[:active], variance[:active]
            logit = a * m + self.items_.intercept[item]
            p = _expected(logit, a * a * v)
            predicted[row] = p
            mean[:active], variance[:active] = _update(m, v, a, p, histories.correct[row], drift)
        back = np.argsort(order)
        return predicted, mean[back], variance[back]

    def predict(self, interactions: pd.DataFrame) -> pd.Series:
        """P(correct), aligned to the index; row t uses only earlier rows of that learner."""
        histories = encode(interactions, self._fitted(), "irt")
        return histories.align(self._filter(histories, self.drift_)[0], interactions.index)

    def mastery(self, interactions: pd.DataFrame) -> pd.DataFrame:
        """Table ``mastery`` after the whole history."""
        histories = encode(interactions, self._fitted(), "irt")
        _, mean, variance = self._filter(histories, self.drift_)
        return self._mastery(histories.learner_ids, mean, variance, counts(histories, self.vocabulary_))

    def start(self) -> Ability:
        """State of a learner never seen."""
        n = np.zeros(len(self._fitted().concept_ids), int)
        return Ability(0.0, self.items_.variance, n)

    def step(self, state: Ability, item_id: str, correct: float) -> Ability:
        """State after one more response."""
        vocabulary = self._fitted()
        item = vocabulary.index(pd.Series([item_id]))
        a = self.items_.slope[item]
        p = _expected(a * state.mean + self.items_.intercept[item], a * a * state.variance)
        mean, variance = _update(np.array([state.mean]), np.array([state.variance]), a, p, np.array([correct]), self.drift_)
        n = state.n.copy()
        n[vocabulary.concept_pairs(item)[1]] += 1
        return Ability(float(mean[0]), float(variance[0]), n)

    def mastery_of(self, state: Ability) -> pd.DataFrame:
        """Per concept: mastery, sd and n."""
        known, sd = self._known(np.array([state.mean]), np.array([state.variance]))
        return pd.DataFrame({"mastery": known[0], "sd": sd[0], "n": state.n}, index=pd.Index(self._fitted().concept_ids, name="concept_id"))

    def save(self, path: Path) -> None:
        """Write the fitted model into one file."""
        self._fitted()
        self._save(path, {"slopes": self.slopes, "item_spread": self.item_spread}, {"drift": np.array([self.drift_])})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote."""
        settings, vocabulary, arrays = read_model(path, cls.kind)
        model = cls(**settings)
        model._restore(vocabulary, arrays)
        model.drift_ = float(arrays["drift"][0])
        return model


def _update(mean: np.ndarray, variance: np.ndarray, slope: np.ndarray, p: np.ndarray, correct: np.ndarray, drift: float) -> tuple[np.ndarray, np.ndarray]:
    after = 1 / (1 / (variance + drift) + slope**2 * np.maximum(p * (1 - p), 1e-4))
    return mean + after * slope * (correct - p), after


class StaticIRT(_ItemModel):
    """Estimates a learner's ability from responses whose order is unknown, with its uncertainty.

    P(correct) = E sigmoid(a theta + d) over the posterior of theta given the learner's responses.

    Parameters
    ----------
    slopes : give each item a discrimination of its own (2PL); off = 1PL.
    item_spread : standard deviation of items around their concept, in logits.

    References
    ----------
    Rasch (1960), Probabilistic models. Bock and Aitkin (1981), Psychometrika.
    """

    kind = "irt_static"

    def __init__(self, slopes: bool = False, item_spread: float = 1.0) -> None:
        self.slopes, self.item_spread = slopes, item_spread

    def fit(self, interactions: pd.DataFrame, graph: PrerequisiteGraph, dif_groups: pd.Series | None = None) -> Self:
        """Learn item terms from training rows; their order is ignored."""
        vocabulary = Vocabulary.build(interactions, graph)
        self.vocabulary_, self.items_ = vocabulary, _fit_items(_unordered(interactions, vocabulary), vocabulary, self.slopes, self.item_spread)
        return self

    def _abilities(self, histories: Histories) -> tuple[np.ndarray, np.ndarray]:
        """Posterior mean and variance of every learner's ability (B,)."""
        belief = _posterior(*_tables(histories, len(self.items_.slope)), self.items_)
        mean = belief @ GRID
        return mean, belief @ GRID**2 - mean**2

    def predict(self, targets: pd.DataFrame, given: pd.DataFrame) -> pd.Series:
        """P(correct) for ``targets``, aligned to its index; a learner without given responses gets the average ability."""
        vocabulary = self._fitted()
        histories = _unordered(given, vocabulary)
        mean, variance = self._abilities(histories)
        who = pd.Index(histories.learner_ids, dtype=object).get_indexer(targets["learner_id"].astype(object))
        mean, variance = np.append(mean, 0.0)[who], np.append(variance, self.items_.variance)[who]
        item = vocabulary.index(targets["item_id"])
        a = self.items_.slope[item]
        return pd.Series(_expected(a * mean + self.items_.intercept[item], a * a * variance), index=targets.index, name="probability")

    def mastery(self, interactions: pd.DataFrame) -> pd.DataFrame:
        """Table ``mastery`` given all responses of each learner."""
        histories = _unordered(interactions, self._fitted())
        return self._mastery(histories.learner_ids, *self._abilities(histories), counts(histories, self.vocabulary_))

    def save(self, path: Path) -> None:
        """Write the fitted model into one file."""
        self._fitted()
        self._save(path, {"slopes": self.slopes, "item_spread": self.item_spread}, {})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote."""
        settings, vocabulary, arrays = read_model(path, cls.kind)
        model = cls(**settings)
        model._restore(vocabulary, arrays)
        return model


def _unordered(interactions: pd.DataFrame, vocabulary: Vocabulary) -> Histories:
    """Histories in the order of the rows, which means nothing here."""
    return encode(interactions.assign(order=np.arange(len(interactions))), vocabulary)
