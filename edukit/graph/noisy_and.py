"""Prerequisites as the gates that explain who masters what: a latent noisy-AND graph, sampled together with each learner's mastery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from edukit.graph.cells import few_enough, first_attempts, shared_items
from edukit.graph.concept_graph import ConceptGraph
from edukit.graph.pair_scores import PairScores, fitted, need_log
from edukit.protocols import LearnerBatches, Tables
from edukit.schema import DataError

FLOOR = 1e-6
GUESS_PRIOR, SLIP_PRIOR, LEAK_PRIOR = (2.0, 6.0), (2.0, 12.0), (1.0, 4.0)  # Beta: mean .25, .14, .2


@dataclass(frozen=True, eq=False)
class Tally:
    """Marks per learner and concept: what the log-based models are fitted on.

    Attributes
    ----------
    concept_ids : the C concepts of the q_matrix, sorted. learner_ids : the B learners, sorted.
    right, wrong : (C, B) float32 sums of the marks and of what was missing to full marks; 0 and 0 = never met.
    shared : (C, C) whether two concepts are tagged on one item (then one response counts for both).
    """

    concept_ids: list[str]
    learner_ids: list[str]
    right: np.ndarray
    wrong: np.ndarray
    shared: np.ndarray


def tally(interactions: pd.DataFrame | LearnerBatches, q_matrix: pd.DataFrame) -> Tally:
    """Sum the marks of first attempts per learner and concept.

    Parameters
    ----------
    interactions : table ``interactions``, or batches of it. q_matrix : table ``q_matrix``.

    Raises
    ------
    DataError
        If no response is on an item of the q_matrix.
    """
    concept_ids = sorted(q_matrix["concept_id"].unique())
    sums = []
    for batch in interactions.iter_learners() if isinstance(interactions, LearnerBatches) else [interactions]:
        rows = first_attempts(batch)[["learner_id", "item_id", "correct"]].merge(q_matrix[["item_id", "concept_id"]], on="item_id")
        sums.append(rows.groupby(["learner_id", "concept_id"])["correct"].agg(["sum", "size"]).reset_index())
    cells = pd.concat(sums, ignore_index=True)
    if not len(cells):
        raise DataError("interactions.item_id must name items of the q_matrix; found no response on any of them. Hand in their q_matrix.")
    learner_ids = sorted(cells["learner_id"].unique())
    at = (pd.Index(concept_ids).get_indexer(cells["concept_id"]), pd.Index(learner_ids).get_indexer(cells["learner_id"]))
    right, wrong = np.zeros((2, len(concept_ids), len(learner_ids)), np.float32)
    right[at] = cells["sum"]
    wrong[at] = cells["size"] - cells["sum"]
    return Tally(concept_ids, learner_ids, right, wrong, shared_items(q_matrix, concept_ids))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))


class _Chain:
    """One Markov chain over mastery, graph and parameters; arrays are (C, B), graph[k, i] = k requires i."""

    def __init__(self, marks: Tally, candidates: np.ndarray, prior: float, rng: np.random.Generator) -> None:
        self.marks, self.candidates, self.prior, self.rng = marks, candidates, prior, rng
        size, people = marks.right.shape
        self.graph = np.zeros((size, size), bool)
        self.slip, self.guess, self.leak = np.full((size, 1), 0.12), np.full((size, 1), 0.2), 0.2
        self.ease, self.ability, self.spread = np.full((size, 1), 2.0), np.zeros((1, people)), 1.0
        self._evidence()
        self.missing = (rng.random((size, people)) >= _sigmoid(self.evidence)).astype(np.float32)

    def _evidence(self) -> None:
        """Log odds of the responses, mastered against not."""
        self.evidence = self.marks.right * np.log((1 - self.slip) / self.guess) + self.marks.wrong * np.log(self.slip / (1 - self.guess))

    def _blocked(self, k: int) -> np.ndarray:
        """(B,) number of missing prerequisites of k."""
        return self.missing[self.graph[k]].sum(axis=0)

    def _pull(self, k: int) -> np.ndarray:
        """(B,) what the concepts that require k say about its mastery, in log odds."""
        pull = np.zeros(self.missing.shape[1])
        for child in np.flatnonzero(self.graph[:, k]):
            free = self._blocked(child) - self.missing[k] == 0  # otherwise the gate is shut whatever k is
            open_ = _sigmoid(self.ease[child] + self.ability[0, free])
            failed = self.missing[child, free] > 0
            pull[free] += np.where(failed, np.log((1 - open_ + FLOOR) / (1 - open_ * self.leak)), -np.log(self.leak))
        return pull

    def _gains(self, k: int, odds: np.ndarray, open_: np.ndarray) -> np.ndarray:
        """(M,) log odds of each candidate being required by k, all else as it is, mastery of k summed out."""
        blocked = self._blocked(k)
        ratio = np.exp(np.clip(odds, -30, 30)) - 1
        loss = np.log1p(open_ * self.leak * ratio) - np.log1p(open_ * ratio)  # what a shut gate adds to the log-likelihood
        possible = self.candidates[k]
        on = self.graph[k, possible]
        gains = np.empty(len(possible))
        gains[~on] = self.missing[possible[~on]] @ (loss * (blocked == 0))
        gains[on] = self.missing[possible[on]] @ (loss * (blocked == 1))
        return gains + self.prior

    def _builds_on(self, k: int) -> np.ndarray:
        """(C,) k and whatever builds on it, however far on."""
        found, edge = np.zeros(len(self.graph), bool), np.array([k])
        while len(edge):
            found[edge] = True
            edge = np.flatnonzero(self.graph[:, edge].any(axis=1) & ~found)
        return found

    def sweep(self, free: bool) -> np.ndarray:
        """One visit of every concept's prerequisites and mastery, then of the parameters; returns (C, C) edge probabilities given the rest."""
        size, people = self.missing.shape
        found, rate = np.zeros((size, size)), 1 - self.missing.mean(axis=1)
        for k in self.rng.permutation(size):
            odds = self.evidence[k] + self._pull(k)
            open_ = _sigmoid(self.ease[k] + self.ability[0])
            possible = self.candidates[k]
            allowed = ~self._builds_on(k)[possible]  # what builds on k cannot be required by k
            never = np.where(free | (rate[possible] > rate[k]), 0.0, -np.inf)
            gains = self._gains(k, odds, open_) + never
            threshold = self.rng.logistic(size=len(possible))
            order, place = self.rng.permutation(np.flatnonzero(allowed)), 0
            while place < len(order):  # one candidate after the other; those that stay as they are are passed over at once
                rest = order[place:]
                turned = np.flatnonzero((threshold[rest] < gains[rest]) != self.graph[k, possible[rest]])
                if not len(turned):
                    break
                self.graph[k, possible[rest[turned[0]]]] ^= True
                gains, place = self._gains(k, odds, open_) + never, place + turned[0] + 1
            found[k, possible] = np.where(allowed, _sigmoid(gains), 0)
            gate = open_ * np.where(self._blocked(k) > 0, self.leak, 1)
            self.missing[k] = self.rng.random(people) >= _sigmoid(odds + np.log(gate / (1 - gate + FLOOR)))
        self._turn()
        self._parameters(free)
        return found

    def _fit_of(self, k: int, parents: np.ndarray) -> float:
        """Log-likelihood of the mastery of k under other prerequisites."""
        gate = _sigmoid(self.ease[k] + self.ability[0]) * np.where(self.missing[parents].sum(axis=0) > 0, self.leak, 1)
        return float(np.log(np.where(self.missing[k] > 0, 1 - gate, gate) + FLOOR).sum())

    def _turn(self) -> None:
        """Propose to turn each edge around; single changes pass between the two directions only through a graph without the edge."""
        for k, i in self.rng.permutation(np.argwhere(self.graph)):
            if not np.isin(k, self.candidates[i]):
                continue
            kept = self.graph[k].copy()
            kept[i] = False
            if (self._builds_on(i) & kept).any():  # another path from i to k: the turned edge would close a circle
                continue
            gained = self.graph[i].copy()
            gained[k] = True
            change = self._fit_of(k, kept) + self._fit_of(i, gained) - self._fit_of(k, self.graph[k]) - self._fit_of(i, self.graph[i])
            if np.log(self.rng.random()) < change:
                self.graph[k], self.graph[i] = kept, gained

    def _parameters(self, free: bool) -> None:
        """Draw slips, guesses, leak, abilities and ease given mastery and graph."""
        known, rng = 1 - self.missing, self.rng
        right, wrong = self.marks.right, self.marks.wrong
        draws = [rng.beta(a + (up * who).sum(axis=1), b + (down * who).sum(axis=1)) for up, down, who, (a, b) in
                 ((wrong, right, known, SLIP_PRIOR), (right, wrong, self.missing, GUESS_PRIOR))]
        self.slip, self.guess = (np.clip(d, 0.01, 0.49)[:, None] for d in draws)
        self._evidence()
        shut = self.graph.astype(np.float32) @ self.missing > 0
        open_ = _sigmoid(self.ease + self.ability)
        would = np.where(known > 0, 1.0, rng.random(known.shape) < np.where(shut, open_ * (1 - self.leak) / (1 - open_ * self.leak), 0))
        if free:  # before the graph has taken shape the gate would be drawn wide open
            leaked, held = float((known * shut).sum()), float((would * self.missing * shut).sum())
            self.leak = float(np.clip(rng.beta(LEAK_PRIOR[0] + leaked, LEAK_PRIOR[1] + held), 0.01, 0.9))
        for _ in range(3):
            self.ease = self._moved(would, self.ease, self.ability, 1, 10.0)
            self.ability = self._moved(would, self.ability, self.ease, 0, self.spread)
        people = self.ability.size
        self.spread = float(((self.ability**2).sum() + 5) / rng.chisquare(people + 5))

    def _moved(self, would: np.ndarray, own: np.ndarray, other: np.ndarray, axis: int, variance: float) -> np.ndarray:
        """One Metropolis step of every ease or ability (prior N(0, variance)), each on its own scale."""
        open_ = _sigmoid(own + other)
        scale = 1.5 / np.sqrt((open_ * (1 - open_)).sum(axis=axis, keepdims=True) + 1 / variance)
        moved = own + self.rng.normal(size=own.shape) * scale
        change = np.log((1 - _sigmoid(moved + other)) / (1 - open_))
        gain = (would * (moved - own) + change).sum(axis=axis, keepdims=True)
        gain += (own**2 - moved**2) / (2 * variance)
        return np.where(np.log(self.rng.random(own.shape)) < gain, moved, own)


class NoisyAnd:
    """What must be mastered first, read from answers alone: the graphs under which the learners' mastery makes most sense.

    P(k mastered) = σ(ease_k + ability_u), times ``leak`` if any concept that k requires is not mastered; answers slip and guess.
    Gibbs sampling over mastery, acyclic graph (mastery of the child summed out while its prerequisites are drawn) and parameters.
    The score of a pair is the posterior probability of the edge, averaged over sweeps and chains.

    Parameters
    ----------
    edges_per_concept : prior expectation of direct prerequisites of a concept.
    candidates : concepts considered as a prerequisite of each: those that most often were passed with it and seldom failed where it was passed.
    min_common : learners who must have met both concepts; below, the model abstains.
    sweeps : sweeps of each chain; the first half is thrown away, and in its first half new edges run from easier to harder concepts only.
    chains : independent chains.
    seed : of the chains.

    Notes
    -----
    Concepts tagged on one item are no candidates of each other: the shared response would speak for any direction. The probabilities hold
    under the model; mastery that depends on more than one ability makes them too sure (see :mod:`edukit.graph.stability`).
    One sweep costs O(C M B) for M candidates and B learners.

    References
    ----------
    Junker & Sijtsma (2001), Applied Psychological Measurement 25 (noisy inputs, AND gate). Madigan & York (1995), International Statistical
    Review 63 (sampling graphs). van Dyk & Park (2008), Journal of the American Statistical Association 103 (partially collapsed Gibbs).
    """

    reads: ClassVar[str] = "responses"

    def __init__(self, *, edges_per_concept: float = 1.5, candidates: int = 32, min_common: int = 20, sweeps: int = 80, chains: int = 3,
                 seed: int = 0) -> None:
        wrong = [f"{n}={v}" for n, v in (("candidates", candidates), ("min_common", min_common), ("chains", chains)) if v < 1]
        if wrong or sweeps < 4 or edges_per_concept <= 0:
            raise DataError(f"NoisyAnd needs candidates, min_common and chains of at least 1, sweeps >= 4 and edges_per_concept > 0; found "
                            f"{', '.join([*wrong, f'sweeps={sweeps}', f'edges_per_concept={edges_per_concept}'])}.")
        self.edges_per_concept = edges_per_concept
        self.candidates = candidates
        self.min_common = min_common
        self.sweeps = sweeps
        self.chains = chains
        self.seed = seed
        self._found: PairScores | None = None

    def fit(self, tables: Tables, labels: pd.DataFrame | None = None) -> Self:
        """Sample from ``interactions`` and ``q_matrix`` (training rows); ``concepts`` adds those never met; ``labels`` are not used.

        Raises
        ------
        DataError
            If a table is missing.
        """
        need_log(self, tables)
        few_enough(tables["q_matrix"]["concept_id"].nunique())
        marks = tally(tables["interactions"], tables["q_matrix"])
        met = (marks.right + marks.wrong > 0).astype(np.float32)
        common = met @ met.T
        possible = (common >= self.min_common) & ~marks.shared & ~np.eye(len(common), dtype=bool)
        passed = (marks.right >= marks.wrong) * met
        with np.errstate(divide="ignore", invalid="ignore"):  # share of the child's passers who pass the other, less that of all
            lift = np.nan_to_num((passed @ passed.T) / (passed @ met.T) - (met @ passed.T) / common) * np.sqrt(common)
        ranked = np.argsort(np.where(possible, -lift, np.inf), axis=1, kind="stable")
        candidates = [np.sort(ranked[k, : min(self.candidates, int(possible[k].sum()))]) for k in range(len(common))]
        total = np.zeros_like(common, dtype=float)
        half = self.sweeps // 2
        share = min(self.edges_per_concept / max(np.mean([len(c) for c in candidates]), 1e-9), 0.5)
        for number in range(self.chains):
            chain = _Chain(marks, np.array(candidates, object) if len({len(c) for c in candidates}) > 1 else np.array(candidates),
                           float(np.log(share / (1 - share))), np.random.default_rng([self.seed, number]))
            for step in range(self.sweeps):
                found = chain.sweep(step >= half // 2)
                if step >= half:
                    total += found / (self.sweeps - half) / self.chains
        self._found = PairScores.of("noisy_and", tables, marks.concept_ids, total, common, possible, total > 0.5)
        return self

    def scores(self) -> pd.DataFrame:
        """Every judged pair: ``concept_id, requires_id, score`` (posterior probability), ``n`` common learners."""
        return fitted(self, self._found).table

    def predict(self, pairs: pd.DataFrame) -> pd.Series:
        """Posterior probability of each edge, aligned to the index; NaN where too few learners met both, or one item carries both."""
        return fitted(self, self._found).predict(pairs)

    def graph(self) -> ConceptGraph:
        """Edges more likely than not, less what would close a cycle; ``weight`` is their probability."""
        return fitted(self, self._found).graph()
