"""What answers on one concept say of its neighbours in a graph: a failed prerequisite lowers, a mastered successor raises, nothing else.

Every learner's given responses become beliefs about the concepts they answered; each belief travels one edge, and meets the forecasts
that need it. Only the meetings that happen are listed (as triples of forecast, belief and edge), so that a step costs what they are many.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from edukit.graph.cells import PASSED
from edukit.tracing.irt import Items
from edukit.tracing.sequences import Vocabulary

BLOCK = 1 << 22  # learner x concept places looked up at once
NEARLY_ONE = 1 - 1e-6


@dataclass(frozen=True, eq=False)
class Asked:
    """N responses to foretell from the given responses of V learners (a learner may stand here several times, each time with others hidden).

    Attributes
    ----------
    learner, item : (N,) of the responses to foretell. given_learner, given_item, given_correct : (G,) of the given ones, sorted by learner.
    mean, variance : (V,) posterior of ability from the given responses. fold : (V,) which edge probabilities a learner sees.
    """

    learner: np.ndarray
    item: np.ndarray
    given_learner: np.ndarray
    given_item: np.ndarray
    given_correct: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    fold: np.ndarray


@dataclass(frozen=True, eq=False)
class Wires:
    """Tensors of one :class:`Asked`: N forecasts, S places (learner and concept of a forecast), K beliefs, and the triples between them.

    Attributes
    ----------
    base : (N,) logit without a graph. item : (N,). row, place, share : which places a forecast rests on, and with what share.
    right, wrong, prior : (K,) answers behind a belief, and its logit before them.
    own : (2, .) places that have a belief about their own concept. down, up : (4, .) place, belief, edge and fold of every triple.
    told : (N, 4) logit, its spread, difficulty and number of given responses, for the residual head.
    """

    base: Tensor
    item: Tensor
    row: Tensor
    place: Tensor
    share: Tensor
    places: int
    right: Tensor
    wrong: Tensor
    prior: Tensor
    own: Tensor
    down: Tensor
    up: Tensor
    told: Tensor


def ease_of(items: Items, vocabulary: Vocabulary) -> np.ndarray:
    """(C,) mean intercept of each concept's items; of a concept without items the mean of all."""
    item, _, some, first, n = vocabulary.by_concept
    ease = np.full(len(vocabulary.concept_ids), float(items.intercept[1:].mean()))
    if len(item):
        ease[some] = np.add.reduceat(items.intercept[item], first) / n
    return ease


def wire(asked: Asked, items: Items, vocabulary: Vocabulary, edges: np.ndarray, dtype: torch.dtype) -> Wires:
    """List what meets what.

    Parameters
    ----------
    asked : what is foretold from what. items, vocabulary : terms of the items and what they assess.
    edges : (E, 2) positions of (prerequisite, concept).
    """
    size, learners = len(vocabulary.concept_ids), len(asked.mean)
    shrunk = np.sqrt(1 + np.pi * asked.variance / 8)
    rows, concept = vocabulary.concept_pairs(asked.item)
    keys, place = np.unique(asked.learner[rows] * size + concept, return_inverse=True)
    answered, of = vocabulary.concept_pairs(asked.given_item)
    cells, at = np.unique(asked.given_learner[answered] * size + of, return_inverse=True)
    marks = asked.given_correct[answered].astype(float)
    right, met = np.bincount(at, marks, len(cells)), np.bincount(at, minlength=len(cells))
    who, about = cells // size, cells % size
    prior = (ease_of(items, vocabulary)[about] + asked.mean[who]) / shrunk[who]
    own = np.searchsorted(keys, cells)
    known = np.append(keys, -1)[own] == cells if len(keys) else np.zeros(len(cells), bool)
    passed = right >= PASSED * met
    down, up = (_triples(cells[some], np.flatnonzero(some), keys, edges[:, near], edges[:, far], size, learners)
                for some, near, far in ((~passed, 0, 1), (passed, 1, 0)))
    n = np.bincount(asked.given_learner, minlength=learners)
    base = (asked.mean[asked.learner] + items.intercept[asked.item]) / shrunk[asked.learner]
    told = np.column_stack([base, np.sqrt(asked.variance)[asked.learner], items.intercept[asked.item], np.log1p(n)[asked.learner]])

    def numbers(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(dtype)

    def triples(found: np.ndarray) -> Tensor:
        return torch.from_numpy(np.vstack([found, asked.fold[keys[found[0]] // size]]))

    return Wires(numbers(base), torch.from_numpy(asked.item), torch.from_numpy(rows), torch.from_numpy(place),
                 numbers(1 / np.bincount(rows, minlength=len(base))[rows]), len(keys), numbers(right), numbers(met - right), numbers(prior),
                 torch.from_numpy(np.stack([own[known], np.flatnonzero(known)])), triples(down), triples(up), numbers(told))


def _triples(cells: np.ndarray, number: np.ndarray, keys: np.ndarray, near: np.ndarray, far: np.ndarray, size: int, learners: int) -> np.ndarray:
    """(3, T) place, belief and edge wherever an edge leads from a belief's concept (``near``) to a place (``far``) of the same learner."""
    if not len(near) or not len(cells) or not len(keys):
        return np.zeros((3, 0), np.int64)
    order = np.argsort(near, kind="stable")
    many = np.bincount(near, minlength=size)
    begin = np.cumsum(many) - many
    found, step = [], max(1, BLOCK // size)
    for first in range(0, learners, step):
        (low, high), (start, end) = (np.searchsorted(sorted_keys, [first * size, (first + step) * size]) for sorted_keys in (keys, cells))
        where = np.full(step * size, -1, np.int64)
        where[keys[low:high] - first * size] = np.arange(low, high)
        concept, degree = cells[start:end] % size, many[cells[start:end] % size]
        entry = np.repeat(begin[concept] - (np.cumsum(degree) - degree), degree) + np.arange(degree.sum())
        edge, belief = order[entry], np.repeat(np.arange(start, end), degree)
        place = where[cells[belief] // size * size - first * size + far[edge]]
        met = place >= 0
        found.append(np.stack([place[met], number[belief[met]], edge[met]]))
    return np.concatenate(found, axis=1)


class Messages(nn.Module):
    """How strongly a graph speaks: one gate strength, one slip and one guess for all edges, and the weight of a concept's own answers.

    A belief q about concept i has the log odds of its prior plus right log((1 - slip) / guess) + wrong log(slip / (1 - guess)). With edge
    probability a, a failed prerequisite multiplies P(child) by (1 - rho a (1 - q)) / (1 - rho a (1 - prior)); a passed child of odds ratio L
    multiplies the odds of its prerequisite by 1 - a + a (1 + c (L - 1)) / (1 + c (1 - rho) (L - 1)), c its own prior. Item terms are moved
    so that messages shift learners against each other, and no item's rate (``centred``).

    References
    ----------
    Junker and Sijtsma (2001), Applied Psychological Measurement 25 (slips, guesses and the gate).
    """

    centred: Tensor

    def __init__(self, items: int) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.tensor([-1.0, -1.5, -1.5, -1.0]))
        self.register_buffer("centred", torch.zeros(items))

    def strengths(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """rho, slip, guess in (0, 1), and the weight of own answers, at least 0."""
        rho, slip, guess = torch.sigmoid(self.raw[0]) * 0.98, *(0.02 + 0.46 * torch.sigmoid(self.raw[k]) for k in (1, 2))
        return rho, slip, guess, nn.functional.softplus(self.raw[3])

    def of_places(self, wires: Wires, probability: Tensor) -> tuple[Tensor, Tensor]:
        """(S,) what is added to the logit of each place (own answers, passed children), and the log of what multiplies it (failed prerequisites).

        ``probability`` is (folds, E) of the edges.
        """
        rho, slip, guess, weight = self.strengths()
        told = wires.right * torch.log((1 - slip) / guess) + wires.wrong * torch.log(slip / (1 - guess))
        before, after = torch.sigmoid(wires.prior), torch.sigmoid(wires.prior + told)
        added, log_gate = torch.zeros(2, wires.places, dtype=wires.base.dtype)
        place, belief = wires.own
        reads = [torch.logit(guess + (1 - slip - guess) * q[belief]) for q in (after, before)]
        added = added.index_add(0, place, weight * (reads[0] - reads[1]))
        place, belief, edge, fold = wires.down
        held = rho * probability[fold, edge]
        change = torch.log1p(-held * (1 - after)[belief]) - torch.log1p(-held * (1 - before)[belief])
        log_gate = log_gate.index_add(0, place, change.clamp(max=0))
        place, belief, edge, fold = wires.up
        odds = before * torch.expm1(told.clamp(0, 12))
        added = added.index_add(0, place, torch.log1p(probability[fold, edge] * ((1 + odds) / (1 + (1 - rho) * odds) - 1)[belief]))
        return added, log_gate

    def sums(self, wires: Wires, probability: Tensor) -> tuple[Tensor, Tensor]:
        """(N,) the same for forecasts, each the mean of its places."""
        each = torch.zeros_like(wires.base)
        return tuple(each.index_add(0, wires.row, wires.share * part[wires.place]) for part in self.of_places(wires, probability))  # type: ignore[return-value]

    def forward(self, wires: Wires, probability: Tensor) -> Tensor:
        """(N,) P(correct)."""
        added, log_gate = self.sums(wires, probability)
        return self.joined(wires, added, log_gate)

    def joined(self, wires: Wires, added: Tensor, log_gate: Tensor) -> Tensor:
        """(N,) P(correct) from what :meth:`sums` found."""
        p = torch.sigmoid(wires.base + self.centred[wires.item].to(wires.base.dtype) + added) * torch.exp(log_gate)
        return p.clamp(1 - NEARLY_ONE, NEARLY_ONE)

    @torch.no_grad()
    def centre(self, wires: Wires, p: Tensor, share: float = 1.0) -> None:
        """One Newton step of the item terms towards forecasts whose mean, per item, is that without a graph."""
        size = len(self.centred)
        wanted, found, slope = (torch.zeros(size, dtype=wires.base.dtype).index_add(0, wires.item, v)
                                for v in (torch.sigmoid(wires.base), p, p * (1 - p)))
        self.centred = (self.centred + share * ((wanted - found) / (slope + 1)).to(self.centred.dtype)).clamp(-3, 3)


class Residual(nn.Module):
    """Whatever else a forecast can be told by: a small network over what is known of learner and item, added to the logit. Starts at nothing."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, hidden), nn.Tanh(), nn.Linear(hidden, 1))
        for values in self.layers[2].parameters():
            nn.init.zeros_(values)

    def forward(self, wires: Wires, p: Tensor, added: Tensor, log_gate: Tensor) -> Tensor:
        """(N,) P(correct), given that of the messages."""
        told = torch.cat([wires.told, added.unsqueeze(1), log_gate.unsqueeze(1)], dim=1)
        return torch.sigmoid(torch.logit(p) + self.layers(told).squeeze(1)).clamp(1 - NEARLY_ONE, NEARLY_ONE)
