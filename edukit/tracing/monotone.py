"""Networks in which mastering more never makes a right answer less likely, and what they believe of a learner from responses without order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from edukit.tracing.sequences import Histories, Vocabulary

ROUNDS_FITTING, ROUNDS_ASKED = 4, 40  # most Newton steps towards a learner's most probable point, while items are learnt and afterwards
ARRIVED = 1e-7  # slope of the log posterior at which the steps end
CONCEPT_SPREAD, SLOPE_SPREAD, CURVE_SPREAD = 2.0, 0.3, 0.3  # prior spread of concepts' difficulty, log slopes and concepts' own curves


class Responses(NamedTuple):
    """Responses of B learners side by side, up to T each, items with up to K concepts; ``given`` are known, ``asked`` to be predicted."""

    item: Tensor  # (B, T), 0 = without parameters of its own
    concept: Tensor  # (B, T, K)
    share: Tensor  # (B, T, K) weight of each concept in its response: 1 over their number, 0 for a pad
    correct: Tensor  # (B, T)
    given: Tensor  # (B, T) boolean
    asked: Tensor  # (B, T) boolean


class Belief(NamedTuple):
    """What is believed of B learners: N(mean, root root^T) over their D coordinates, whose meaning lies in ``context``."""

    context: Any
    mean: Tensor  # (B, D)
    root: Tensor  # (B, D, D)


def side_by_side(histories: Histories, vocabulary: Vocabulary, learners: np.ndarray, hidden: np.ndarray | None, dtype: torch.dtype) -> Responses:
    """Responses of some learners; ``hidden`` (N,) are the sorted rows to be predicted (None: all of them, from all of them)."""
    padded = histories.pad(learners)
    concept, share = concepts_of(padded.item, vocabulary)
    asked = padded.mask if hidden is None else padded.mask & hidden[padded.rows]
    given = padded.mask if hidden is None else padded.mask & ~asked
    whole = (vocabulary.parameter(padded.item), concept, share, padded.correct, given, asked)
    return Responses(*(torch.from_numpy(part).to(dtype) if part.dtype.kind == "f" else torch.from_numpy(part) for part in whole))


def concepts_of(item: np.ndarray, vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """(..., K) concepts of items and their weights; an item that has none listed has the concept after the last."""
    concept = vocabulary.item_concepts[item]
    concept[..., 0] = np.where((concept < 0).all(axis=-1), len(vocabulary.concept_ids), concept[..., 0])
    listed = concept >= 0
    return np.maximum(concept, 0), listed / listed.sum(axis=-1, keepdims=True)


def _positive(*shape: int, mean: float) -> nn.Parameter:
    """Weights that softplus makes positive, of about this mean."""
    return nn.Parameter(torch.log(torch.expm1(mean * (0.5 + torch.rand(*shape)))))


class MonotoneNetwork(nn.Module, ABC):
    """logit P(right) = f(mean over an item's concepts of slope (sigmoid(level) - sigmoid(difficulty))), f with positive weights only."""

    def __init__(self, vocabulary: Vocabulary, hidden: int, item_spread: float, rows: int) -> None:
        super().__init__()
        self.unlisted, self.item_spread, self.rows = len(vocabulary.concept_ids), item_spread, rows
        self.centre = nn.Parameter(torch.zeros(self.unlisted + 1))
        self.deviation = nn.Embedding(vocabulary.trained + 1, vocabulary.item_concepts.shape[1], padding_idx=0)
        self.log_slope = nn.Embedding(vocabulary.trained + 1, 1, padding_idx=0)
        for table in (self.deviation, self.log_slope):
            nn.init.zeros_(table.weight)
        self.first, self.own = _positive(hidden, mean=1.0), nn.Parameter(torch.zeros(self.unlisted + 1, hidden))
        self.second = _positive(hidden, hidden // 2, mean=1 / hidden)
        self.third = _positive(hidden // 2, mean=10 / hidden)
        self.first_bias, self.second_bias = nn.Parameter(0.3 * torch.randn(hidden)), nn.Parameter(0.3 * torch.randn(hidden // 2))
        self.offset = nn.Parameter(torch.zeros(1))

    def logit(self, level: Tensor, item: Tensor, concept: Tensor, share: Tensor) -> Tensor:
        """(...) logit of a right answer from the level (..., K) on each concept of an item (...)."""
        positive = nn.functional.softplus
        difficulty = self.centre[concept] + self.deviation(item)[..., :concept.shape[-1]]
        above = (torch.sigmoid(level) - torch.sigmoid(difficulty)) * torch.exp(self.log_slope(item)) * share
        curve = positive(self.first + self.own)
        inner = torch.tanh(torch.einsum("...k,...kh->...h", above, nn.functional.embedding(concept, curve)) + self.first_bias)
        return torch.tanh(inner @ positive(self.second) + self.second_bias) @ positive(self.third) + self.offset

    @abstractmethod
    def context(self, responses: Responses) -> tuple[Any, int]:
        """What the coordinates of these learners mean, and their number D."""

    @abstractmethod
    def level(self, z: Tensor, concept: Tensor, context: Any) -> Tensor:
        """(B, T, K) level on concepts (B, T, K), a linear function of the coordinates (B, T, D)."""

    def penalty(self) -> Tensor:
        """Minus the log prior of all item and concept terms."""
        spreads = ((self.deviation.weight, self.item_spread), (self.centre, CONCEPT_SPREAD), (self.log_slope.weight, SLOPE_SPREAD),
                   (self.own, CURVE_SPREAD))
        return sum((values.square().sum() / (2 * spread**2) for values, spread in spreads), torch.zeros(()))

    def divergence(self, belief: Belief) -> Tensor | float:
        """What the belief itself adds to the loss."""
        return 0.0

    def _lean(self, mean: Tensor, responses: Responses, context: Any) -> tuple[Tensor, Tensor]:
        """(B, T) logits at one point (B, D) of each learner and (B, T, D) their derivatives."""
        with torch.enable_grad():
            z = mean.detach().unsqueeze(1).repeat(1, responses.item.shape[1], 1).requires_grad_()
            logit = self.logit(self.level(z, responses.concept, context), responses.item, responses.concept, responses.share)
            lean, = torch.autograd.grad(logit.sum(), z)
        return logit.detach(), lean

    def posterior(self, responses: Responses) -> Belief:
        """Laplace's approximation around the most probable coordinates given the known responses, under a prior N(0, I).

        Gauss-Newton steps, halved for a learner until they gain; every learner alone, so that company changes nothing.
        """
        context, size = self.context(responses)
        given = responses.given.to(responses.share.dtype)
        with torch.no_grad():
            eye = torch.eye(size, dtype=given.dtype, device=given.device)
            mean, scale = given.new_zeros(len(given), size), given.new_ones(len(given), 1)
            move, factor, best = torch.zeros_like(mean), eye.expand(len(given), -1, -1), torch.full_like(scale, -torch.inf)
            for _ in range(ROUNDS_FITTING if self.training else ROUNDS_ASKED):
                point = mean + scale * move
                logit, lean = self._lean(point, responses, context)
                p, miss = torch.sigmoid(logit), nn.functional.binary_cross_entropy_with_logits(logit, responses.correct, reduction="none")
                value = -(miss * given).sum(1, keepdim=True) - point.square().sum(1, keepdim=True) / 2
                precision = eye + torch.einsum("btd,bte->bde", lean * (p * (1 - p) * given).unsqueeze(-1), lean)
                cholesky, _ = torch.linalg.cholesky_ex(precision)
                slope = torch.einsum("btd,bt->bd", lean, (responses.correct - p) * given) - point
                gains = value >= best
                step = torch.cholesky_solve(slope.unsqueeze(-1), cholesky).squeeze(-1)
                mean, move, best = torch.where(gains, point, mean), torch.where(gains, step, move), torch.where(gains, value, best)
                factor, scale = torch.where(gains.unsqueeze(-1), cholesky, factor), torch.where(gains, torch.ones_like(scale), scale / 2)
                if bool((slope.abs() < ARRIVED).all()):
                    break
            root = torch.linalg.solve_triangular(factor.mT, eye.expand_as(factor), upper=True)
        return Belief(context, mean, root)

    def loss(self, responses: Responses) -> tuple[Tensor, int]:
        """While fitting: responses given a draw from what is believed of their learners, plus the prior's share; else the forecast's."""
        n, belief = int(responses.asked.sum()), self.posterior(responses)
        if self.training:
            noise = torch.randn_like(belief.mean).unsqueeze(-1)
            z = (belief.mean + (belief.root @ noise).squeeze(-1)).unsqueeze(1).expand(-1, responses.item.shape[1], -1)
            level = self.level(z, responses.concept, belief.context)
            logit = self.logit(level, responses.item, responses.concept, responses.share)
            prior = self.penalty() * (n / self.rows) + self.divergence(belief)
        else:
            logit, prior = self.forecast(responses, belief), 0.0
        each = nn.functional.binary_cross_entropy_with_logits(logit, responses.correct, reduction="none")
        return (each * responses.asked).sum() + prior, n

    def forecast(self, responses: Responses, belief: Belief) -> Tensor:
        """(B, T) logit of the expected probability over the belief (MacKay, 1992, Neural Computation)."""
        logit, lean = self._lean(belief.mean, responses, belief.context)
        variance = torch.einsum("btd,bde->bte", lean, belief.root).square().sum(-1)
        return logit / torch.sqrt(1 + torch.pi * variance / 8)

    def levels(self, belief: Belief) -> tuple[Tensor, Tensor]:
        """(B, C) level of each learner on each concept, and its standard deviation."""
        concept = torch.arange(self.unlisted, device=belief.mean.device).view(1, -1, 1).expand(len(belief.mean), -1, -1)

        def along(z: Tensor) -> Tensor:
            return self.level(z.unsqueeze(1).expand(-1, self.unlisted, -1), concept, belief.context).squeeze(-1)

        variance = torch.zeros(len(belief.mean), self.unlisted, dtype=belief.mean.dtype)
        for column in belief.root.unbind(-1):
            variance = variance + along(column).square()
        return along(belief.mean), variance.sqrt()


class OwnConcepts(MonotoneNetwork):
    """A learner has a level on every concept: s0 times a general coordinate plus s1 times one of the concept's own.

    Coordinates: 0 the general one, 1 that of any concept not met yet (nothing known), 2 and up those of the concepts met.
    """

    def __init__(self, vocabulary: Vocabulary, hidden: int, item_spread: float, rows: int) -> None:
        super().__init__(vocabulary, hidden, item_spread, rows)
        self.log_spread = nn.Parameter(torch.tensor([0.0, -0.5]))

    def context(self, responses: Responses) -> tuple[Tensor, int]:
        met = torch.zeros(len(responses.item), self.unlisted + 1, dtype=torch.long, device=responses.item.device)
        known = (responses.share > 0) & responses.given.unsqueeze(-1)
        met.scatter_reduce_(1, responses.concept.flatten(1), known.flatten(1).long(), "amax")
        slot = torch.where(met > 0, met.cumsum(1) + 1, 1)
        return slot, int(slot.max()) + 1

    def level(self, z: Tensor, concept: Tensor, context: Tensor) -> Tensor:
        slot = context.gather(1, concept.flatten(1)).view(concept.shape)
        general, own = torch.exp(self.log_spread).unbind()
        return general * z[..., :1] + own * z.gather(2, slot)


class SharedConcepts(MonotoneNetwork):
    """A learner's level on a concept is the product of their vectors, so that concepts never met are foretold from others."""

    def __init__(self, vocabulary: Vocabulary, hidden: int, item_spread: float, rows: int, embedding: int, concept_spread: float) -> None:
        super().__init__(vocabulary, hidden, item_spread, rows)
        self.concept_spread = concept_spread
        self.general = nn.Parameter(torch.eye(embedding)[0])
        self.vector = nn.Parameter(concept_spread * torch.randn(self.unlisted + 1, embedding))

    def vectors(self) -> Tensor:
        """(C + 1, D) concept vectors: what all concepts have in common, plus their own."""
        return self.general + self.vector

    def context(self, responses: Responses) -> tuple[Tensor, int]:
        return self.vectors(), self.vector.shape[1]

    def level(self, z: Tensor, concept: Tensor, context: Tensor) -> Tensor:
        return (nn.functional.embedding(concept, context) * z.unsqueeze(-2)).sum(-1)

    def penalty(self) -> Tensor:
        return super().penalty() + self.vector.square().sum() / (2 * self.concept_spread**2)
