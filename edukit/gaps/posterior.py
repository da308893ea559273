"""What each class masters, and what it would master had its prerequisites, its class effect or its items been otherwise: joint posterior draws."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Self

import numpy as np
import pandas as pd

from edukit.gaps.posterior_chain import ALL, CERTAIN, GUESS, SLIP, PosteriorChain, Responses
from edukit.gaps.posterior_effects import NOBODY, EffectPrior
from edukit.graph.cells import few_enough, shared_items
from edukit.graph.noisy_chain import likely
from edukit.protocols import NotFittedError, PrerequisiteGraph
from edukit.schema import DataError

MIN_COMMON = 20  # learners who must have met both concepts before an edge that nobody named is considered
PREREQUISITES, CLASS_EFFECTS, ITEMS = ("observed", "mastered"), ("fitted", "zero"), ("all", "clean")


class Posterior:
    """Why a class may be stuck, as far as responses can tell: mastery, graph, class effects and items in one posterior (ATLAS, static form).

    P(learner u of class c masters k) = sigmoid(ease_k + ability_u + effect_ck), times ``leak`` while a prerequisite is missing; an item is
    answered right with 1 - slip where all its concepts are mastered and with guess otherwise. Abilities lean on their class, class effects are
    small but for a few (Cauchy), and partly their teacher's where one has several classes; the given edges are doubted and others are considered.
    Sampled by Markov chain Monte Carlo.

    Parameters
    ----------
    draws, burn : sweeps that are kept, and thrown away before.
    trust : probability that a given edge of weight 1 holds. missing_edges : prior expectation of prerequisites that a concept has beyond the
        given ones. learn_edges : false = the given graph as it is, every edge certain.
    candidates : edges considered per concept beyond the given ones.
    class_scale : scale of the Cauchy prior of class effects, in logits (half of them lie closer to 0 than that); 0 = classes add nothing.
    by : column that makes the classes: ``class_id``, ``teacher_id`` or ``term``.
    seed : of the chain.

    References
    ----------
    Junker & Sijtsma (2001), Applied Psychological Measurement 25 (noisy inputs, AND gate). Pearl (2009), Causality, ch. 7 (counterfactuals: all
    else, down to chance, left as it was). Gelman et al. (2013), Bayesian Data Analysis, ch. 5 and 11.
    """

    def __init__(self, *, draws: int = 200, burn: int = 200, trust: float = 0.9, missing_edges: float = 0.3, learn_edges: bool = True,
                 candidates: int = 32, class_scale: float = 0.25, by: str = "class_id", seed: int = 0) -> None:
        if draws < 20 or burn < 1 or not 0 < trust < 1 or missing_edges <= 0 or class_scale < 0:
            raise DataError(f"Posterior needs draws >= 20, burn >= 1, trust in (0, 1), missing_edges > 0 and class_scale >= 0; found draws={draws}, "
                            f"burn={burn}, trust={trust}, missing_edges={missing_edges}, class_scale={class_scale}.")
        self.draws_kept = draws
        self.burn = burn
        self.trust = trust
        self.missing_edges = missing_edges
        self.learn_edges = learn_edges
        self.candidates = candidates
        self.class_scale = class_scale
        self.by = by
        self.seed = seed

    def fit(self, interactions: pd.DataFrame, graph: PrerequisiteGraph, dif_groups: pd.Series | None = None, flawed: Collection[str] = (),
            dif_items: Mapping[str, str] | None = None, progress=lambda rows: rows) -> Self:
        """Sample the posterior.

        Parameters
        ----------
        interactions : table ``interactions``. graph : its edges are doubted by ``trust``; concepts and q_matrix.
        dif_groups : group per learner_id (index). dif_items : per item the group for whom it gets a slip and guess of its own.
        flawed : items whose responses say nothing of mastery; they enter ``draws(items='all')`` only.
        progress : wraps the range of sweeps, for a progress bar.
        """
        few_enough(len(graph.concept_ids))
        seen = Responses.of(interactions, graph, self.by)
        sound = ~seen.item_ids.isin(list(flawed))
        kind = seen.item.copy()
        for item, group in (dif_items or {}).items():
            focal = seen.learner_ids.isin(dif_groups.index[dif_groups == group]) if dif_groups is not None else np.zeros(len(seen.learner_ids), bool)
            kind[(seen.item == seen.item_ids.get_loc(item)) & focal[seen.learner]] += len(seen.item_ids)
        rows = sound[seen.item]
        clean, kinds = seen.only(rows), 2 * len(seen.item_ids)
        rng = np.random.default_rng(self.seed)
        effect = EffectPrior(self.class_scale) if self.class_scale else None
        chain = PosteriorChain(clean, kind[rows], kinds, self._prior(clean, graph), effect, rng)
        for child, parent in ((c, p) for p, c in graph.adjacency()):
            chain.graph[child, parent] = True
        counted = self._mean_of(seen, seen.answered, np.ones((len(seen.concept_ids), len(seen.class_ids) + 1)))  # (K + 1, C)
        means = np.zeros((self.draws_kept, 2, 2, *counted.shape), np.float32)
        effects, rates = np.zeros((self.draws_kept, *chain.effect.T.shape), np.float32), np.zeros((self.draws_kept, *chain.rates.shape), np.float32)
        shared = np.zeros((self.draws_kept, len(chain.teachers.effect) if chain.teachers else 0), np.float32)
        edges, known = np.zeros_like(chain.graph, float), np.zeros_like(chain.missing, float)
        for step in progress(range(self.burn + self.draws_kept)):
            found = chain.sweep(step >= 5, held=step < self.burn // 3)
            if (at := step - self.burn) >= 0:
                worlds = chain.worlds()
                means[at] = [[self._mean_of(seen, world * seen.answered, counted.T) for world in row] for row in worlds]
                effects[at], rates[at] = chain.effect.T, chain.rates
                if chain.teachers:
                    shared[at] = chain.teachers.effect
                edges += found / self.draws_kept
                known += (1 - chain.missing) / self.draws_kept
        whole = seen.class_ids == [ALL]
        self.class_ids_, self.concept_ids_, self.learner_ids_ = [ALL] if whole else [*seen.class_ids, ALL], seen.concept_ids, seen.learner_ids
        keep = slice(int(whole), None)
        self.means_, self.counted_, self.effects_, self.edges_, self.known_ = means[:, :, :, keep], counted[keep], effects, edges, known
        self.rates_ = rates[:, :, : len(seen.item_ids)]
        self.shared_, self.teacher_ids_ = shared, seen.teacher_ids
        self.group_of_ = chain.teachers.group_of.T if chain.teachers else np.full(chain.effect.T.shape, NOBODY)  # (K, C)
        self.teacher_of_ = seen.teacher_of.T
        self.flawed_share_, self.reading_ = self._flawed(seen, sound, rng)
        return self

    @staticmethod
    def _mean_of(seen: Responses, values: np.ndarray, counted: np.ndarray) -> np.ndarray:
        """(K + 1, C) sums of (C, B) values by class and for the whole cohort, over ``counted`` (C, K + 1); 0 where nobody counts."""
        sums = np.column_stack([seen.by_class(values), values.sum(axis=1)])
        return (sums / np.maximum(counted, 1)).T

    def _prior(self, seen: Responses, graph: PrerequisiteGraph) -> np.ndarray:
        """(C, C) log odds of each edge before any response is seen."""
        size = len(seen.concept_ids)
        prior = np.full((size, size), -np.inf)
        if self.learn_edges:
            right, wrong = np.zeros((2, size + 1, len(seen.learner_ids)), np.float32)
            for table, share in ((right, seen.right), (wrong, 1 - seen.right)):
                for concepts in seen.concepts_of.T:
                    np.add.at(table, (concepts[seen.item], seen.learner), share)
            chosen = likely(right[:-1], wrong[:-1], shared_items(graph.q_matrix, seen.concept_ids), MIN_COMMON, self.candidates)[2]
            share = min(self.missing_edges / max(chosen.sum() / size, 1e-9), 0.5)
            prior[chosen] = np.log(share / (1 - share))
        place = {concept: i for i, concept in enumerate(seen.concept_ids)}
        surest = graph.prerequisites.groupby(["concept_id", "requires_id"], as_index=False)["weight"].max()
        given = [(place[c], place[p], w) for c, p, w in surest.itertuples(index=False)]
        for child, parent, _ in given:  # a given edge may be false, but it is not turned around
            prior[parent, child] = -np.inf
        for child, parent, weight in given:
            p = min(max(weight * self.trust, 1e-3), 1 - 1e-3)
            prior[child, parent] = np.log(p / (1 - p)) if self.learn_edges else CERTAIN
        return prior

    def _flawed(self, seen: Responses, sound: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(C,) share of a concept's own items that are flawed, and (draws, classes, C) the mastery that those items alone would report."""
        size, classes = len(seen.concept_ids), len(seen.class_ids)
        own = (seen.concepts_of < size).sum(axis=1) == 1
        concept = seen.concepts_of[:, 0]
        asked = np.bincount(seen.item, minlength=len(sound)) > 0
        share = np.zeros(size)
        reading = np.zeros((self.draws_kept, len(self.class_ids_), size), np.float32)
        for k in range(size):
            items = np.flatnonzero(own & asked & (concept == k))
            bad, good = items[~sound[items]], items[sound[items]]
            if not len(bad):
                continue
            share[k] = len(bad) / len(items)
            slip, guess = (self.rates_[:, which][:, good].mean(axis=1) if len(good) else np.full(self.draws_kept, usual)
                           for which, usual in ((SLIP, 0.12), (GUESS, 0.18)))
            met = np.zeros(len(self.class_ids_))
            for q in bad:
                rows = np.flatnonzero(seen.item == q)
                seat = seen.cohort[k, seen.learner[rows]]
                n, right = (np.bincount(seat, weight, classes) for weight in (np.ones(len(rows)), seen.right[rows]))
                n, right = (np.append(one, one.sum())[-len(self.class_ids_):] for one in (n, right))
                rate = rng.beta(right + 0.5, n - right + 0.5, (self.draws_kept, len(n)))
                reading[:, :, k] += np.where(n > 0, np.clip((rate - guess[:, None]) / (1 - slip - guess)[:, None], 0, 1), 0)
                met += n > 0
            reading[:, :, k] = np.where(met > 0, reading[:, :, k] / np.maximum(met, 1), self.means_[:, 0, 0, :, k])
        return share, reading

    def draws(self, n: int, prerequisites: str = "observed", class_effects: str = "fitted", items: str = "all") -> np.ndarray:
        """(n, classes, C) draws of the mean mastery of the learners of a class who met the concept; ``class_ids_`` and ``concept_ids_`` name the axes.

        Draw d of any two calls belongs to the same joint sample, so that differences may be taken draw by draw. ``items='all'``: as all of a
        concept's items report it, flawed ones included; ``items='clean'``: the mastery itself.
        """
        self._fitted()
        for value, allowed in ((prerequisites, PREREQUISITES), (class_effects, CLASS_EFFECTS), (items, ITEMS)):
            if value not in allowed:
                raise DataError(f"draws takes {' or '.join(allowed)}; found {value!r}.")
        if n > self.draws_kept:
            raise DataError(f"draws has {self.draws_kept} joint samples; found n={n}. Fit with draws={n}.")
        mean = self.means_[:n, PREREQUISITES.index(prerequisites), CLASS_EFFECTS.index(class_effects)]
        return mean if items == "clean" else mean * (1 - self.flawed_share_) + self.reading_[:n] * self.flawed_share_

    def class_effects(self, n: int) -> np.ndarray:
        """(n, classes, C) draws of the class effects in logits; 0 for the whole cohort."""
        self._fitted()
        found = np.zeros((n, len(self.class_ids_), len(self.concept_ids_)), np.float32)
        if len(self.class_ids_) > 1:
            found[:, :-1] = self.effects_[:n]
        return found

    def teachers(self, below: float) -> pd.DataFrame:
        """Cells whose teacher has at least two classes on the concept: ``class_id, concept_id, teacher_id, p_low`` = P(what these share < ``below`` logits)."""
        self._fitted()
        at = np.nonzero(self.group_of_ != NOBODY)
        low = (self.shared_ < below).mean(axis=0)
        return pd.DataFrame({"class_id": np.array(self.class_ids_, object)[at[0]], "concept_id": np.array(self.concept_ids_, object)[at[1]],
                             "teacher_id": np.array(self.teacher_ids_, object)[self.teacher_of_[at]] if len(at[0]) else np.zeros(0, object),
                             "p_low": low[self.group_of_[at]]})

    def learners(self) -> np.ndarray:
        """(classes, C) learners behind each mean of :meth:`draws`."""
        self._fitted()
        return self.counted_

    def edge_probabilities(self) -> np.ndarray:
        """(C, C) posterior probability that the row's concept requires the column's."""
        self._fitted()
        return self.edges_

    def mastery(self) -> pd.DataFrame:
        """Table ``mastery`` of every learner and concept (sd of knowing it or not)."""
        self._fitted()
        known = np.clip(self.known_.T.ravel(), 0, 1)
        return pd.DataFrame({"learner_id": np.repeat(self.learner_ids_.to_numpy(), len(self.concept_ids_)),
                             "concept_id": np.tile(np.array(self.concept_ids_, object), len(self.learner_ids_)),
                             "mastery": known, "sd": np.sqrt(known * (1 - known)), "n": 0}).astype({"n": "int64"})

    def _fitted(self) -> None:
        if not hasattr(self, "means_"):
            raise NotFittedError("this Posterior has not been fitted; call fit(interactions, graph) first")
