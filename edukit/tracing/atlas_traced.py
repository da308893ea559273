"""ATLAS over time: mastery along a prerequisite graph, and a logistic regression on counts for what the graph does not explain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from edukit.metrics import log_loss
from edukit.protocols import PrerequisiteGraph
from edukit.schema import DataError
from edukit.tracing.atlas_steps import Learners, Steps, edges_of, forecast, logit, walk
from edukit.tracing.bkt import BKT, Parameters
from edukit.tracing.counting import CHUNK, CountModel
from edukit.tracing.logistic import Counts
from edukit.tracing.sequences import Histories, Vocabulary, counts, encode, mastery_table, read_model, response_sd, write_model
from edukit.tracing.sparse_logistic import fit_logistic, sigmoid

TUNED_ON, TOLERANCE = 20_000, 0.02  # responses that rho, message and ability are learned from; how exactly
MOST_RHO, MOST_ABILITY, FIRST_MESSAGE = 0.98, 3.0, 0.2
SHARES = ("share_of_graph", "share_of_latent", "share_of_counters")


@dataclass(frozen=True)
class Standing:
    """Where one learner stands: along the graph, in the same model without edges, and in counts (state of a live learner)."""

    along: Learners
    apart: Learners
    counts: Counts


class AtlasTraced(CountModel):
    """A learner masters a concept more readily once its prerequisites are mastered; what they answer tells of the neighbours too.

    Mastery r_k begins at sigma(alpha_k + theta) R_k, where R_k = prod over prerequisites i of (1 - rho A_ik (1 - r_i)) and theta is the
    learner's ability, estimated as they go. A response is Bayes' rule with the item's guess and slip; then r <- r + (1 - r) lambda_k R_k.
    One message goes out: a failed concept lowers those that require it, a passed one raises those it requires, nothing else.

    Parameters
    ----------
    use_graph : use the edges of the graph given to ``fit``; off = as if it had none.
    residual : predict by a logistic regression on Best-LR's counts and the two inputs of the latent model: its logit of P(correct)
        without edges, and what the edges add to that. Off = the latent model alone.
    forgetting : let what is known be forgotten, with one chance per response on the concept.
    rho : share of a concept's chance that a certain prerequisite withholds, in [0, 1); None = learned.
    message : how much of a message is believed, in [0, 1]; 0 = no messages; None = learned.
    ability : standard deviation of theta in logits; None = learned.
    pooling : how many observations the average of concepts is worth in one, and a concept in one of its items; above 0.
    strength : inverse of the L2 penalty of the logistic regression.
    valid_share : share of the training learners on whom the shares of the explained loss are measured.
    seed : draws the halves of the learners, and those set aside.

    Attributes
    ----------
    report_ : ``share_of_graph``, ``share_of_latent``, ``share_of_counters``: by how much of the explained loss (that of the share right,
        less that of the model) the loss of learners set aside rises, once the edges, the latent model, or the counts are left out and the
        regression is fitted again. Not a number without ``residual``. They need not add up to 1: parts stand in for one another.

    Notes
    -----
    Guess, slip, learning and first mastery come from EM without edges (:class:`edukit.tracing.bkt.BKT`); under edges the last two are
    divided by the readiness of a learner of whom nothing is known. The regression learns from forecasts for learners on whom the latent
    model was not fitted: each half of the learners is forecast by the other. ``rho``, ``message`` and ``ability`` maximise the likelihood
    of the next response of learners of the other half. A response whose items have no concept moves the counts only.
    ``mastery`` is that of the latent model, its sd that of a state which is 0 or 1.

    References
    ----------
    Corbett and Anderson (1995), User Modeling and User-Adapted Interaction (the steps). Käser, Klingler, Schwing and Gross (2017), IEEE
    Transactions on Learning Technologies (skills that depend on each other). Gervet, Koedinger, Schneider and Mitchell (2020), JEDM (Best-LR).
    """

    kind = "atlas_traced"

    def __init__(self, use_graph: bool = True, residual: bool = True, forgetting: bool = True, rho: float | None = None,
                 message: float | None = None, ability: float | None = None, pooling: float = 30.0, strength: float = 1.0,
                 valid_share: float = 0.2, seed: int = 0) -> None:
        super().__init__(items=True, concepts=True, concept_counts=True, total_counts=True, item_counts=False, strength=strength)
        wrong = [f"{name} must be {wanted}; found {value:g}" for name, value, wanted, fits in (
            ("rho", rho, "in [0, 1)", lambda v: 0 <= v < 1), ("message", message, "in [0, 1]", lambda v: 0 <= v <= 1),
            ("ability", ability, "0 or above", lambda v: v >= 0), ("pooling", pooling, "above 0", lambda v: v > 0),
            ("valid_share", valid_share, "between 0 and 1", lambda v: 0 < v < 1)) if value is not None and not fits(value)]
        if wrong:
            raise DataError(f"atlas_traced: {'; '.join(wrong)}. Leave rho, message and ability out (null) to have them learned.")
        self.use_graph, self.residual, self.forgetting = use_graph, residual, forgetting
        self.rho, self.message, self.ability, self.pooling, self.valid_share, self.seed = rho, message, ability, pooling, valid_share, seed

    @property
    def settings(self) -> dict:
        """The constructor's arguments."""
        return {name: getattr(self, name) for name in ("use_graph", "residual", "forgetting", "rho", "message", "ability", "pooling", "strength",
                                                       "valid_share", "seed")}

    def fit(self, interactions: pd.DataFrame, graph: PrerequisiteGraph, dif_groups: pd.Series | None = None) -> Self:
        """Learn the latent model and the regression from training rows; ``dif_groups`` is not used.

        Raises
        ------
        OrderUnknownError
            Where the order of responses is unknown.
        DataError
            With fewer than 4 learners, or where no response is to an item with a concept.
        """
        vocabulary = Vocabulary.build(interactions, graph)
        histories = encode(interactions, vocabulary, self.kind)
        if len(histories) < 4:
            raise DataError(f"interactions must hold 4 learners or more to fit {self.kind} (each half is forecast by the other); found {len(histories)}")
        place = np.random.default_rng(self.seed).permutation(len(histories))
        half, aside = place % 2, place < max(1, round(self.valid_share * len(histories)))
        fitted = [self._parameters(interactions, histories.take(np.flatnonzero(half != k)), vocabulary, graph) for k in (0, 1)]
        self.rate_ = float(histories.correct.mean(dtype=float))
        self.pairs_, self.trust_ = edges_of(graph) if self.use_graph else (np.zeros((0, 2), np.int64), np.zeros(0))
        some = np.flatnonzero((half == 1) & ~aside)
        some = some[np.cumsum(histories.lengths[some]) <= max(TUNED_ON, histories.lengths[some[:1]].sum())]
        self._tune(fitted[1], histories.take(some), vocabulary)
        self.vocabulary_ = vocabulary
        if self.residual:
            inputs = np.empty((len(histories.item), 2))
            for k in (0, 1):
                own = np.flatnonzero(half == k)
                steps = self._steps(fitted[k]), self._steps(fitted[k], edges=False)
                inputs[np.isin(histories.learner, own)] = self._inputs(histories.take(own), *steps, vocabulary)
            self.weights_, self.report_ = self._head(histories, inputs, aside[histories.learner], vocabulary)
        else:
            self.weights_, self.report_ = np.zeros(0), dict.fromkeys(SHARES, float("nan"))
        self._settle(self._parameters(interactions, histories, vocabulary, graph))
        return self

    def _parameters(self, interactions: pd.DataFrame, histories: Histories, vocabulary: Vocabulary, graph: PrerequisiteGraph) -> Parameters:
        """Of the latent model without edges, fitted to some learners, for all items of the vocabulary."""
        model = BKT(forgetting=self.forgetting, pooling=self.pooling).fit(interactions.iloc[np.sort(histories.position)], graph)
        own, found = np.append(0, model.vocabulary_.index(pd.Series(vocabulary.item_ids, dtype=object))), model.parameters_
        return Parameters(found.prior, found.learn, found.forget, found.guess[own], found.slip[own])

    def _steps(self, parameters: Parameters, edges: bool = True, **fixed: float) -> Steps:
        """The latent model with these parameters, and with edges or without."""
        told = {"rho": self.rho_, "message": self.message_, "ability": self.ability_, **fixed}
        some = slice(None) if edges else slice(0)
        return Steps.of(parameters, self.pairs_[some], told["rho"] * self.trust_[some], told["ability"] ** 2, told["message"])

    def _settle(self, parameters: Parameters) -> None:
        self.parameters_ = parameters
        self.along_, self.apart_ = self._steps(parameters), self._steps(parameters, edges=False)

    def _tune(self, parameters: Parameters, histories: Histories, vocabulary: Vocabulary) -> None:
        """Set ability, then rho, then message, each to what forecasts these learners best; 0 unless that is worse."""
        right = histories.correct.astype(float)

        def lost(edges: bool, name: str) -> Callable[[float], float]:
            return lambda value: log_loss(right, forecast(histories, self._steps(parameters, edges, **{name: value}), vocabulary, self.rate_))

        self.ability_, self.rho_, self.message_ = 0.0, 0.0, FIRST_MESSAGE if self.message is None else self.message
        self.ability_ = _best(lost(False, "ability"), MOST_ABILITY) if self.ability is None else self.ability
        if len(self.pairs_):
            self.rho_ = _best(lost(True, "rho"), MOST_RHO) if self.rho is None else self.rho
            self.message_ = _best(lost(True, "message"), 1.0) if self.message is None and self.rho_ else self.message_

    def _inputs(self, histories: Histories, along: Steps, apart: Steps, vocabulary: Vocabulary) -> np.ndarray:
        """(N, 2) what the regression hears of the latent model: the logit without edges, and what edges add to it."""
        without = logit(forecast(histories, apart, vocabulary, self.rate_))
        gained = logit(forecast(histories, along, vocabulary, self.rate_)) - without if len(self.pairs_) else np.zeros_like(without)
        return np.column_stack([without, gained])

    def _head(self, histories: Histories, inputs: np.ndarray, aside: np.ndarray, vocabulary: Vocabulary) -> tuple[np.ndarray, dict[str, float]]:
        """Weights of the regression from all rows, and the shares measured on the rows set aside by regressions on the others."""
        from scipy.sparse import csr_matrix, hstack, vstack

        counted, right = vstack([part for _, part in self._designs(histories, vocabulary, None)], format="csr"), histories.correct.astype(float)
        known = csr_matrix(inputs)
        whole = hstack([counted, known], format="csr")

        def lost(design: csr_matrix) -> float:
            weights = fit_logistic(design[~aside], right[~aside], self.strength)
            return log_loss(right[aside], sigmoid(np.asarray(design[aside] @ weights[:-1]) + weights[-1]))

        left_out = {"share_of_graph": hstack([counted, known[:, :1]], format="csr"), "share_of_latent": counted, "share_of_counters": known}
        best = lost(whole)
        explained = log_loss(right[aside], np.full(int(aside.sum()), right[~aside].mean())) - best
        shares = {name: (lost(design) - best) / explained if explained > 0 else float("nan") for name, design in left_out.items()}
        return fit_logistic(whole, right, self.strength), shares

    def predict(self, interactions: pd.DataFrame) -> pd.Series:
        """P(correct), aligned to the index; row t uses only earlier rows of that learner."""
        vocabulary = self._fitted()
        histories = encode(interactions, vocabulary, self.kind)
        if not self.residual:
            return histories.align(forecast(histories, self.along_, vocabulary, self.rate_), interactions.index)
        found = self._inputs(histories, self.along_, self.apart_, vocabulary) @ self.weights_[-3:-1] + self.weights_[-1]
        for rows, design in self._designs(histories, vocabulary, None):
            found[rows] += np.asarray(design @ self.weights_[:-3])
        return histories.align(sigmoid(found), interactions.index)

    def mastery(self, interactions: pd.DataFrame) -> pd.DataFrame:
        """Table ``mastery``: P(mastered) after the whole history, with what the last response taught and told."""
        vocabulary = self._fitted()
        histories, width = encode(interactions, vocabulary, self.kind), len(vocabulary.concept_ids)
        known, n = np.empty((len(histories), width)), np.empty((len(histories), width), int)
        step = max(1, CHUNK // (width * max(1, self.along_.edges.parents.shape[1])))
        for learners, some, _, state in walk(histories, self.along_, vocabulary, self.rate_):
            n[learners] = counts(some, vocabulary)
            for first in range(0, len(learners), step):
                who = np.arange(first, min(first + step, len(learners)))
                known[learners[who]] = self._mastered(state, who)
        return mastery_table(histories.learner_ids, vocabulary, known, np.zeros_like(n), kappa=0.0).assign(n=n.reshape(-1))

    def _mastered(self, state: Learners, who: np.ndarray) -> np.ndarray:
        """(B, C) P(mastered) of every concept for some learners."""
        width = len(self._fitted().concept_ids)
        return self.along_.read(state, np.repeat(who, width), np.tile(np.arange(width), len(who)))[0].reshape(-1, width)

    def start(self) -> Standing:
        """State of a learner never seen."""
        width = len(self._fitted().concept_ids)
        return Standing(self.along_.start(1), self.apart_.start(1), Counts(np.zeros(2), np.zeros((width, 2)), {}))

    def step(self, state: Standing, item_id: str, correct: float) -> Standing:
        """State after one more response."""
        return self._answered(state, item_id, float(correct))[1]

    def chance(self, state: Standing, item_id: str) -> float:
        """P(correct) of the learner's next response, were it to this item."""
        return self._answered(state, item_id, 1.0)[0]

    def _answered(self, state: Standing, item_id: str, correct: float) -> tuple[float, Standing]:
        """P(correct) of a response, and the state after it."""
        vocabulary = self._fitted()
        item = vocabulary.index(pd.Series([item_id]))
        entry, concept = vocabulary.concept_pairs(item)
        p, moved = [], (state.along.copy(), state.apart.copy())
        for latent, steps in zip(moved, (self.along_, self.apart_), strict=True):
            told = steps.answer(latent, entry, concept, item[entry], np.arange(len(entry)), np.full(len(entry), correct)) if len(entry) else [self.rate_]
            p.append(told[0])
        gain, tally = np.array([correct, 1 - correct]), state.counts.concept.copy()
        tally[concept] += gain
        after = Standing(*moved, Counts(state.counts.total + gain, tally, state.counts.item))
        if not self.residual:
            return float(p[0]), after
        along, apart = logit(np.array(p))
        weights, blocks, seen = self.weights_, self._blocks(vocabulary), np.log1p(state.counts.concept[concept])
        told = weights[blocks["items"]][vocabulary.parameter(item)[0]] + weights[blocks["concepts"]][concept].sum() + weights[-1]
        told += (seen * weights[blocks["concept_counts"]].reshape(-1, 2)[concept]).sum() + np.log1p(state.counts.total) @ weights[blocks["total_counts"]]
        return float(sigmoid(told + np.array([apart, along - apart]) @ weights[-3:-1])), after

    def mastery_of(self, state: Standing) -> pd.DataFrame:
        """Per concept: mastery, sd and n."""
        known, n = self._mastered(state.along, np.zeros(1, int))[0], state.counts.concept.sum(axis=1).round().astype(int)
        return pd.DataFrame({"mastery": known, "sd": response_sd(known, np.zeros_like(n), 0.0), "n": n},
                            index=pd.Index(self._fitted().concept_ids, name="concept_id"))

    def save(self, path: Path) -> None:
        """Write the fitted model into one file."""
        vocabulary = self._fitted()
        learned = np.array([self.rate_, self.ability_, self.rho_, self.message_, *(self.report_[name] for name in SHARES)])
        write_model(path, self.kind, self.settings, vocabulary,
                    {**vars(self.parameters_), "pairs": self.pairs_, "trust": self.trust_, "weights": self.weights_, "learned": learned})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote."""
        settings, vocabulary, arrays = read_model(path, cls.kind)
        model = cls(**settings)
        model.vocabulary_ = vocabulary
        model.pairs_, model.trust_, model.weights_ = (arrays.pop(name) for name in ("pairs", "trust", "weights"))
        model.rate_, model.ability_, model.rho_, model.message_, *shares = arrays.pop("learned").tolist()
        model.report_ = dict(zip(SHARES, shares, strict=True))
        model._settle(Parameters(**arrays))
        return model


def _best(lost: Callable[[float], float], most: float) -> float:
    """Where a loss is least between 0 and ``most``; 0 where no other place is better."""
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(lost, bounds=(0.0, most), method="bounded", options={"xatol": TOLERANCE})
    return float(found.x) if found.fun < lost(0.0) else 0.0
