"""Prerequisites as the gates that explain who masters what: a latent noisy-AND graph, sampled together with each learner's mastery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from edukit.graph.cells import few_enough, first_attempts, shared_items
from edukit.graph.concept_graph import ConceptGraph
from edukit.graph.noisy_chain import MasteryChain, likely, sigmoid
from edukit.graph.pair_scores import PairScores, fitted, need_log
from edukit.protocols import LearnerBatches, Tables
from edukit.schema import DataError

GUESS_PRIOR, SLIP_PRIOR = (2.0, 6.0), (2.0, 12.0)  # Beta: mean .25, .14


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


class _Chain(MasteryChain):
    """The chain over counts of marks per concept: slip and guess per concept, one ability per learner."""

    def __init__(self, marks: Tally, prior: np.ndarray, rng: np.random.Generator) -> None:
        size, people = marks.right.shape
        super().__init__(prior, people, rng)
        self.marks = marks
        self.slip, self.guess = np.full((size, 1), 0.12), np.full((size, 1), 0.2)
        self.ease, self.ability, self.spread = np.full((size, 1), 2.0), np.zeros((1, people)), 1.0
        self._evidence()
        self.missing = (rng.random((size, people)) >= sigmoid(self.evidence)).astype(np.float32)

    def _evidence(self) -> None:
        """Log odds of the responses, mastered against not."""
        self.evidence = self.marks.right * np.log((1 - self.slip) / self.guess) + self.marks.wrong * np.log(self.slip / (1 - self.guess))

    def evidence_of(self, k: int) -> np.ndarray:
        """(B,) log odds of the responses, k mastered against not."""
        return self.evidence[k]

    def lean(self, k: int) -> np.ndarray:
        """(B,) log odds of mastering k when nothing it requires is missing."""
        return self.ease[k] + self.ability[0]

    def parameters(self, free: bool) -> None:
        """Draw slips, guesses, leak, abilities and ease given mastery and graph."""
        known, rng = 1 - self.missing, self.rng
        right, wrong = self.marks.right, self.marks.wrong
        draws = [rng.beta(a + (up * who).sum(axis=1), b + (down * who).sum(axis=1)) for up, down, who, (a, b) in
                 ((wrong, right, known, SLIP_PRIOR), (right, wrong, self.missing, GUESS_PRIOR))]
        self.slip, self.guess = (np.clip(d, 0.01, 0.49)[:, None] for d in draws)
        self._evidence()
        would = self.would(sigmoid(self.ease + self.ability))
        if free:  # before the graph has taken shape the gate would be drawn wide open
            self.draw_leak(would)
        for _ in range(3):
            self.ease = self._moved(would, self.ease, self.ability, 1, 10.0)
            self.ability = self._moved(would, self.ability, self.ease, 0, self.spread)
        people = self.ability.size
        self.spread = float(((self.ability**2).sum() + 5) / rng.chisquare(people + 5))

    def _moved(self, would: np.ndarray, own: np.ndarray, other: np.ndarray, axis: int, variance: float) -> np.ndarray:
        """One Metropolis step of every ease or ability (prior N(0, variance)), each on its own scale."""
        open_ = sigmoid(own + other)
        scale = 1.5 / np.sqrt((open_ * (1 - open_)).sum(axis=axis, keepdims=True) + 1 / variance)
        moved = own + self.rng.normal(size=own.shape) * scale
        change = np.log((1 - sigmoid(moved + other)) / (1 - open_))
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
        common, possible, chosen = likely(marks.right, marks.wrong, marks.shared, self.min_common, self.candidates)
        total = np.zeros_like(common, dtype=float)
        half = self.sweeps // 2
        share = min(self.edges_per_concept / max(chosen.sum() / len(chosen), 1e-9), 0.5)
        prior = np.where(chosen, np.log(share / (1 - share)), -np.inf)
        for number in range(self.chains):
            chain = _Chain(marks, prior, np.random.default_rng([self.seed, number]))
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
