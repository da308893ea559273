"""Layers that gather from a learner's earlier responses what matters for the next: attention that may be drawn to the latest, or fade."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from edukit.tracing.networks import WINDOW

HALF = WINDOW // 2
BLOCK = 50  # queries whose fading weights are worked out together: their scores stay in the cache, and later responses are left out

Memory = tuple[Tensor, Tensor]  # keys and values (B, heads, 1 + T, width); the first entry stands for no response


class DropFeatures(nn.Dropout1d):
    """Dropout (B, T, hidden) of the same features at all steps of a learner (Gal and Ghahramani, 2016), from a mask of T times fewer numbers."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class Recall(nn.Module):
    """One layer: every query gathers, from the entries of a memory up to its own place, what it then adds to itself.

    Parameters
    ----------
    own_keys : bool
        Whether what is looked up and what it is looked up by go through two maps, as they do where they are different things.
    latest : bool
        Whether the score of an entry falls by a slope for every step that it lies back, a slope that each head learns; that of
        the entry of no response does not fall, so that what is long ago comes to count as nothing known (Press, Smith and Lewis,
        "Train Short, Test Long", ICLR 2022, where slopes are fixed).
    decay : bool
        Whether scores shrink with the distance, less where nothing similar lies between (Ghosh, Heffernan and Lan, KDD 2020).
    """

    def __init__(self, hidden: int, heads: int, dropout: float, own_keys: bool, latest: bool, decay: bool) -> None:
        super().__init__()
        self.heads, self.drop = heads, DropFeatures(dropout)
        compared = hidden - 2 * heads if latest else hidden  # two features of each head tell the place
        self.query = nn.Linear(hidden, compared)
        self.key = nn.Linear(hidden, compared) if own_keys else self.query  # items are looked up by items: one map for both
        self.slope = nn.Parameter(torch.linspace(math.log(0.5), math.log(0.005), heads).view(-1, 1, 1)) if latest else None
        self.value, self.gathered = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.first = nn.Parameter(torch.randn(2, 1, 1, hidden) / hidden**0.5)
        self.rate = nn.Parameter(torch.zeros(heads, 1, 1)) if decay else None
        self.wide, self.narrow = nn.Linear(hidden, 2 * hidden), nn.Linear(2 * hidden, hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def remember(self, told: Tensor, gained: Tensor, before: Memory | None = None) -> Memory:
        """Memory that goes on from ``before`` with steps (B, T, hidden) found again by ``told`` and then giving ``gained``."""
        if before is None:
            told, gained = (torch.cat([first.expand(len(told), 1, -1), x], dim=1) for first, x in zip(self.first, (told, gained), strict=True))
        key, value = self._split(self.key(told)), self._split(self.value(gained))
        if self.slope is not None:
            entry = torch.arange(key.shape[2], device=key.device) + (before[0].shape[2] if before else 0)
            told = torch.stack([torch.where(entry > 0, entry - HALF, 0), entry == 0], dim=-1)
            key = torch.cat([key, (self.slope.exp() * told).expand(len(key), -1, -1, -1)], dim=-1)
        return (key, value) if before is None else (torch.cat([before[0], key], dim=2), torch.cat([before[1], value], dim=2))

    def forward(self, asked: Tensor, memory: Memory, place: Tensor | None) -> Tensor:
        """(B, Q, hidden) from as many queries; ``place`` (B,) is the last entry a learner's may read, None = query t reads entries 0 .. t."""
        query, (key, value) = self._split(self.query(asked)), memory
        if self.slope is not None:  # its product with a key adds slope (entry - place), and nothing to the entry of no response
            last = torch.arange(query.shape[2], device=key.device) if place is None else place.view(-1, 1, 1)
            told = math.sqrt(key.shape[-1]) * torch.stack([torch.ones_like(last), last - HALF], dim=-1)
            query = torch.cat([query, told.expand(*query.shape[:-1], 2)], dim=-1)
        if self.rate is not None:
            found = self._faded(query, key, value, place)
        elif place is None:
            length = query.shape[2]
            found = functional.scaled_dot_product_attention(query, key[:, :, :length], value[:, :, :length], is_causal=True)
        else:
            found = functional.scaled_dot_product_attention(query, key, value, attn_mask=_seen(place, key.shape[2]))
        x = self.norms[0](asked + self.drop(self.gathered(found.transpose(1, 2).flatten(2))))
        return self.norms[1](x + self.drop(self.narrow(functional.relu(self.wide(x)))))

    def _faded(self, query: Tensor, key: Tensor, value: Tensor, place: Tensor | None) -> Tensor:
        """(B, heads, Q, width) what is found by weights that fade; the near entries come first."""
        query, key, value = query / math.sqrt(query.shape[-1]), key.flip(2), value.flip(2)
        if place is not None:
            return self._weights(query, key, place.view(-1, 1, 1, 1)) @ value
        found = []
        for first in range(0, query.shape[2], BLOCK):
            asked = query[:, :, first:first + BLOCK]
            last = first + asked.shape[2]
            weights = self._weights(asked, key[:, :, -last:], torch.arange(first, last, device=key.device).unsqueeze(-1))
            found.append(weights @ value[:, :, -last:])
        return torch.cat(found, dim=2)

    def _weights(self, query: Tensor, key: Tensor, place: Tensor) -> Tensor:
        """(B, heads, Q, 1 + T) weights that fade with the distance between responses, less where nothing similar lies between."""
        entry = torch.arange(key.shape[2] - 1, -1, -1, device=key.device)
        score = (query @ key.transpose(-1, -2)).add_(torch.where(entry > place, -1e30, 0.0))
        with torch.no_grad():
            between = torch.empty_like(score)
            between[..., 0] = 0.0
            torch.cumsum(torch.softmax(score, -1)[..., :-1], -1, out=between[..., 1:])
            between.sqrt_()
        distance = ((place + 1 - entry).clamp(min=0) * (entry > 0)).sqrt()  # no response is not far away
        return torch.softmax(score * (between * (-functional.softplus(self.rate) * distance)).exp_(), -1)


def _seen(place: Tensor, entries: int) -> Tensor | None:
    """(B, 1, 1, entries) which entries of a memory may be read, None = all."""
    return None if int(place.min()) == entries - 1 else torch.arange(entries, device=place.device) <= place.view(-1, 1, 1, 1)
