"""A Markov chain over who masters what and which concept requires which: mastery is a gate that shuts while a prerequisite is missing.

What the responses say of mastery, and how easy a concept is for whom, is told by the chain that builds on it
(:mod:`edukit.graph.noisy_and`, ``edukit.gaps.posterior_chain``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

FLOOR = 1e-6
LEAK_PRIOR = (1.0, 4.0)  # Beta: mean .2


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), safe for large x."""
    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))


def likely(right: np.ndarray, wrong: np.ndarray, shared: np.ndarray, min_common: int, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which concepts may be a prerequisite of which: those passed by the passers of the other more than by all who met both.

    Parameters
    ----------
    right, wrong : (C, B) float32 sums of marks and of what was missing. shared : (C, C) tagged on one item: left out.
    min_common : learners who must have met both. most : candidates of a concept.

    Returns
    -------
    (C, C) common learners; (C, C) whether a pair can be judged; (C, C) whether the column is a candidate of the row.
    """
    met = (right + wrong > 0).astype(np.float32)
    common = met @ met.T
    possible = (common >= min_common) & ~shared & ~np.eye(len(common), dtype=bool)
    passed = (right >= wrong) * met
    with np.errstate(divide="ignore", invalid="ignore"):  # share of the child's passers who pass the other, less that of all
        lift = np.nan_to_num((passed @ passed.T) / (passed @ met.T) - (met @ passed.T) / common) * np.sqrt(common)
    ranked = np.argsort(np.where(possible, -lift, np.inf), axis=1, kind="stable")[:, :most]
    chosen = np.zeros_like(possible)
    np.put_along_axis(chosen, ranked, True, axis=1)
    return common, possible, chosen & possible


class MasteryChain(ABC):
    """P(k mastered) = sigmoid(lean), times ``leak`` if any prerequisite is not mastered. C concepts, B learners, M candidates of a concept.

    Parameters
    ----------
    prior : (C, C) log odds that row requires column before any response is seen; -inf = not considered.
    learners : B.
    rng : of the chain.

    Attributes
    ----------
    graph : (C, C) bool, [k, i] = k requires i. missing : (C, B) float32, 1 = not mastered. leak : P(mastered) with a gate shut, as a factor.

    References
    ----------
    Junker & Sijtsma (2001), Applied Psychological Measurement 25 (noisy inputs, AND gate). Madigan & York (1995), International Statistical
    Review 63 (sampling graphs). van Dyk & Park (2008), Journal of the American Statistical Association 103 (partially collapsed Gibbs).
    """

    def __init__(self, prior: np.ndarray, learners: int, rng: np.random.Generator) -> None:
        self.prior, self.rng = prior, rng
        self.candidates = [np.flatnonzero(np.isfinite(row)) for row in prior]
        self.graph = np.zeros(prior.shape, bool)
        self.leak = 0.2
        self.missing = np.zeros((len(prior), learners), np.float32)

    @abstractmethod
    def evidence_of(self, k: int) -> np.ndarray:
        """(B,) log odds of the responses, k mastered against not."""

    @abstractmethod
    def lean(self, k: int) -> np.ndarray:
        """(B,) log odds of mastering k when nothing it requires is missing."""

    @abstractmethod
    def parameters(self, free: bool) -> None:
        """Draw everything else, given mastery and graph; ``free`` as in :meth:`sweep`."""

    def blocked(self, k: int) -> np.ndarray:
        """(B,) number of missing prerequisites of k."""
        return self.missing[self.graph[k]].sum(axis=0)

    def _pull(self, k: int) -> np.ndarray:
        """(B,) what the concepts that require k say about its mastery, in log odds."""
        pull = np.zeros(self.missing.shape[1])
        for child in np.flatnonzero(self.graph[:, k]):
            free = self.blocked(child) - self.missing[k] == 0  # otherwise the gate is shut whatever k is
            open_ = sigmoid(self.lean(child)[free])
            failed = self.missing[child, free] > 0
            pull[free] += np.where(failed, np.log((1 - open_ + FLOOR) / (1 - open_ * self.leak)), -np.log(self.leak))
        return pull

    def _gains(self, k: int, odds: np.ndarray, open_: np.ndarray) -> np.ndarray:
        """(M,) log odds of each candidate being required by k, all else as it is, mastery of k summed out."""
        blocked = self.blocked(k)
        ratio = np.exp(np.clip(odds, -30, 30)) - 1
        loss = np.log1p(open_ * self.leak * ratio) - np.log1p(open_ * ratio)  # what a shut gate adds to the log-likelihood
        possible = self.candidates[k]
        on = self.graph[k, possible]
        gains = np.empty(len(possible))
        gains[~on] = self.missing[possible[~on]] @ (loss * (blocked == 0))
        gains[on] = self.missing[possible[on]] @ (loss * (blocked == 1))
        return gains + self.prior[k, possible]

    def _builds_on(self, k: int) -> np.ndarray:
        """(C,) k and whatever builds on it, however far on."""
        found, edge = np.zeros(len(self.graph), bool), np.array([k])
        while len(edge):
            found[edge] = True
            edge = np.flatnonzero(self.graph[:, edge].any(axis=1) & ~found)
        return found

    def sweep(self, free: bool, held: bool = False) -> np.ndarray:
        """One visit of every concept's prerequisites and mastery, then of the parameters; returns (C, C) edge probabilities given the rest.

        ``free``: edges may run from a harder to an easier concept, and the leak is drawn. ``held``: the graph stays as it is.
        """
        size, people = self.missing.shape
        found, rate = np.zeros((size, size)), 1 - self.missing.mean(axis=1)
        for k in self.rng.permutation(size):
            odds = self.evidence_of(k) + self._pull(k)
            open_ = sigmoid(self.lean(k))
            possible = self.candidates[k]
            allowed = ~self._builds_on(k)[possible]  # what builds on k cannot be required by k
            never = np.where(free | (rate[possible] > rate[k]), 0.0, -np.inf)
            gains = self._gains(k, odds, open_) + never
            threshold = self.rng.logistic(size=len(possible))
            order, place = self.rng.permutation(np.flatnonzero(allowed & (not held))), 0
            while place < len(order):  # one candidate after the other; those that stay as they are are passed over at once
                rest = order[place:]
                turned = np.flatnonzero((threshold[rest] < gains[rest]) != self.graph[k, possible[rest]])
                if not len(turned):
                    break
                self.graph[k, possible[rest[turned[0]]]] ^= True
                gains, place = self._gains(k, odds, open_) + never, place + turned[0] + 1
            found[k, possible] = np.where(allowed, sigmoid(gains), 0)
            gate = open_ * np.where(self.blocked(k) > 0, self.leak, 1)
            self.missing[k] = self.rng.random(people) >= sigmoid(odds + np.log(gate / (1 - gate + FLOOR)))
        if not held:
            self._turn()
        self.parameters(free)
        return found

    def _fit_of(self, k: int, parents: np.ndarray) -> float:
        """Log-likelihood of the mastery of k under other prerequisites."""
        gate = sigmoid(self.lean(k)) * np.where(self.missing[parents].sum(axis=0) > 0, self.leak, 1)
        return float(np.log(np.where(self.missing[k] > 0, 1 - gate, gate) + FLOOR).sum())

    def _turn(self) -> None:
        """Propose to turn each edge around; single changes pass between the two directions only through a graph without the edge."""
        for k, i in self.rng.permutation(np.argwhere(self.graph)):
            if not np.isfinite(self.prior[i, k]):
                continue
            kept = self.graph[k].copy()
            kept[i] = False
            if (self._builds_on(i) & kept).any():  # another path from i to k: the turned edge would close a circle
                continue
            gained = self.graph[i].copy()
            gained[k] = True
            change = self._fit_of(k, kept) + self._fit_of(i, gained) - self._fit_of(k, self.graph[k]) - self._fit_of(i, self.graph[i])
            if np.log(self.rng.random()) < change + self.prior[i, k] - self.prior[k, i]:
                self.graph[k], self.graph[i] = kept, gained

    def would(self, open_: np.ndarray) -> np.ndarray:
        """(C, B) whether each concept would be mastered with its gate open, given (C, B) probabilities of that; draws the leak's counterpart."""
        shut = self.shut()
        chance = np.where(shut, open_ * np.float32(1 - self.leak) / (1 - open_ * np.float32(self.leak)), np.float32(0))
        return np.where(self.missing < 1, np.float32(1), self.rng.random(self.missing.shape, np.float32) < chance)

    def shut(self) -> np.ndarray:
        """(C, B) whether a prerequisite of the concept is missing."""
        return self.graph.astype(np.float32) @ self.missing > 0

    def draw_leak(self, would: np.ndarray) -> None:
        """Draw the leak, given who would master what with the gate open."""
        shut, known = self.shut(), 1 - self.missing
        leaked, held = float((known * shut).sum()), float((would * self.missing * shut).sum())
        self.leak = float(np.clip(self.rng.beta(LEAK_PRIOR[0] + leaked, LEAK_PRIOR[1] + held), 0.01, 0.9))
