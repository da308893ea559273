"""Item response theory: one ability per learner against one difficulty per item, live (Kalman) or for data without order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from edukit.protocols import NotFittedError, PrerequisiteGraph
from edukit.tracing.sequences import Histories, Vocabulary, counts, encode, read_model, write_model

DRIFTS = (0.0, 0.002, 0.005, 0.01, 0.02, 0.05)  # ability variance added per step, chosen on training rows
ROUNDS = 3  # of item parameters given the ability variance, and back


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


def _fit_items(item: np.ndarray, concept: np.ndarray, learner: np.ndarray, correct: np.ndarray, sizes: tuple[int, int, int],
               slopes: bool, spread: float) -> tuple[Items, np.ndarray, np.ndarray]:
    """Posterior mode of abilities and items, with the ability variance by EM; also ability means and variances (B,).

    An item's intercept is its concept's mean plus a deviation N(0, spread^2), so that rare items lean on their concept;
    log slopes are N(0, 0.3^2). Full-length arrays: item index 0..I, concept set 0..S-1, learner 0..B-1.
    """
    from scipy.optimize import minimize

    items, sets, learners = sizes
    cuts = np.cumsum([learners, items, sets])

    def unpack(x: np.ndarray) -> tuple[np.ndarray, ...]:
        ability, own, shared, logs = np.split(x, cuts)
        return ability, own, shared, logs if slopes else np.zeros(items)

    x, variance, noise = np.zeros(cuts[-1] + (items if slopes else 0)), 1.0, np.zeros(learners)
    for _ in range(ROUNDS):
        def loss(x: np.ndarray, variance: float = variance) -> tuple[float, np.ndarray]:
            ability, own, shared, logs = unpack(x)
            slope = np.exp(logs)[item]
            logit = slope * ability[learner] + own[item] + shared[concept]
            error = _sigmoid(logit) - correct
            value = np.logaddexp(0, logit).sum() - correct @ logit
            value += (ability @ ability / variance + own @ own / spread**2 + shared @ shared / 9 + logs @ logs / 0.09) / 2
            gradient = [np.bincount(learner, slope * error, learners) + ability / variance,
                        np.bincount(item, error, items) + own / spread**2, np.bincount(concept, error, sets) + shared / 9]
            if slopes:
                gradient.append(np.bincount(item, error * slope * ability[learner], items) + logs / 0.09)
            return float(value), np.concatenate(gradient)

        x = minimize(loss, x, jac=True, method="L-BFGS-B", options={"maxiter": 200, "maxcor": 20}).x
        ability, own, shared, logs = unpack(x)
        scale = np.exp(logs.mean())  # slopes of geometric mean 1 fix the unit of ability
        x[:cuts[0]] *= scale
        x[cuts[2]:] -= np.log(scale)
        ability, own, shared, logs = unpack(x)
        slope = np.exp(logs)[item]
        p = _sigmoid(slope * ability[learner] + own[item] + shared[concept])
        noise = 1 / (1 / variance + np.bincount(learner, slope**2 * p * (1 - p), learners))
        variance = float(np.mean(ability**2 + noise))
    of_item = np.zeros(items, int)
    of_item[item] = concept
    seen = np.bincount(item, minlength=items) > 0
    intercept = np.where(seen, own + shared[of_item], np.average(own[item] + shared[concept]) if len(item) else 0.0)
    return Items(np.exp(logs), intercept, variance), ability, noise


class _ItemModel:
    """What the live and the static model share: item terms, mastery on a concept, files."""

    kind: str
    vocabulary_: Vocabulary
    items_: Items

    def _fitted(self) -> Vocabulary:
        if not hasattr(self, "vocabulary_"):
            raise NotFittedError(f"this {self.kind} model has not been fitted; call fit(interactions, graph) first")
        return self.vocabulary_

    def _learn(self, histories: Histories, vocabulary: Vocabulary, slopes: bool, spread: float) -> None:
        sizes = (len(vocabulary.item_ids) + 1, len(vocabulary.concept_sets), len(histories))
        self.items_, _, _ = _fit_items(histories.item, vocabulary.set_of_item[histories.item], histories.learner, histories.correct.astype(float),
                                       sizes, slopes, spread)
        known = np.arange(len(vocabulary.item_ids) + 1) <= vocabulary.trained
        known[0] = False
        by_set = np.bincount(vocabulary.set_of_item[known], self.items_.intercept[known], sizes[1])
        share = np.bincount(vocabulary.set_of_item[known], minlength=sizes[1])
        fallback = np.where(share > 0, by_set / np.maximum(share, 1), self.items_.intercept[known].mean())
        self.items_ = replace(self.items_, intercept=np.where(known, self.items_.intercept, fallback[vocabulary.set_of_item]))
        self.vocabulary_ = vocabulary

    def _mastery(self, learner_ids: np.ndarray, mean: np.ndarray, variance: np.ndarray, n: np.ndarray) -> pd.DataFrame:
        """Table ``mastery`` from ability means and variances (B,): expected share right over each concept's items, and its sd."""
        vocabulary, items = self._fitted(), self.items_
        width = len(vocabulary.concept_ids)
        entry, concept = vocabulary.concept_pairs(np.arange(1, len(vocabulary.item_ids) + 1))
        share = np.bincount(concept, minlength=width)
        expected, slope = np.full((len(mean), width), 0.0), np.zeros((len(mean), width))
        for i, c in zip(entry + 1, concept, strict=True):
            p = _expected(items.slope[i] * mean + items.intercept[i], items.slope[i] ** 2 * variance)
            expected[:, c] += p
            slope[:, c] += items.slope[i] * p * (1 - p)
        typical = float(items.intercept[1:].mean())
        expected = np.where(share > 0, expected / np.maximum(share, 1), _expected(mean + typical, variance)[:, None])
        sd = np.where(share > 0, slope / np.maximum(share, 1), 0.25) * np.sqrt(variance)[:, None]
        return pd.DataFrame({"learner_id": np.repeat(learner_ids, width), "concept_id": np.tile(np.asarray(vocabulary.concept_ids, object), len(mean)),
                             "mastery": expected.reshape(-1), "sd": np.clip(sd, 1e-6, 0.5).reshape(-1),
                             "n": n.reshape(-1).astype(np.int64)}).astype({"learner_id": "str", "concept_id": "str"})

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
        self._learn(histories, vocabulary, self.slopes, self.item_spread)
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
        table = self._mastery(np.array(["live"], object), np.array([state.mean]), np.array([state.variance]), state.n[None])
        return table.set_index("concept_id")[["mastery", "sd", "n"]]

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

    P(correct) = E sigmoid(a theta + d), theta at its posterior mode given the learner's responses, with the curvature there.

    Parameters
    ----------
    slopes : give each item a discrimination of its own (2PL); off = 1PL.
    item_spread : standard deviation of items around their concept, in logits.

    References
    ----------
    Rasch (1960), Probabilistic models. Mislevy (1986), Psychometrika (ability variance by EM).
    """

    kind = "irt_static"

    def __init__(self, slopes: bool = False, item_spread: float = 1.0) -> None:
        self.slopes, self.item_spread = slopes, item_spread

    def fit(self, interactions: pd.DataFrame, graph: PrerequisiteGraph, dif_groups: pd.Series | None = None) -> Self:
        """Learn item terms from training rows; their order is ignored."""
        vocabulary = Vocabulary.build(interactions, graph)
        self._learn(_unordered(interactions, vocabulary), vocabulary, self.slopes, self.item_spread)
        return self

    def _abilities(self, histories: Histories) -> tuple[np.ndarray, np.ndarray]:
        """Posterior mode and variance of every learner's ability (B,), by Newton steps."""
        learner, items = histories.learner, self.items_
        a, d = items.slope[histories.item], items.intercept[histories.item]
        mean = np.zeros(len(histories))
        for _ in range(12):
            p = _sigmoid(a * mean[learner] + d)
            curvature = np.bincount(learner, a * a * p * (1 - p), len(mean)) + 1 / items.variance
            mean = mean + (np.bincount(learner, a * (histories.correct - p), len(mean)) - mean / items.variance) / curvature
        return mean, 1 / curvature

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
