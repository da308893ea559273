"""Dynamic key-value memory: what a learner knows lies in slots, which concepts share by how alike their keys are."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from edukit.tracing.networks import NetworkModel, Steps, TracingNetwork
from edukit.tracing.sequences import Vocabulary


class DKVMNNetwork(TracingNetwork):
    """(B, slots, hidden) value memory, read and written through an attention over slots that only a response's concepts decide."""

    def __init__(self, vocabulary: Vocabulary, slots: int, hidden: int, embedding: int, dropout: float, item_bias: bool) -> None:
        super().__init__(vocabulary, item_bias)
        width = len(vocabulary.concept_ids) + 1
        self.key = nn.Parameter(torch.randn(width, embedding) / embedding**0.5)
        self.slot_key = nn.Parameter(torch.randn(slots, embedding))
        self.first = nn.Parameter(0.1 * torch.randn(slots, hidden))
        self.response = nn.Parameter(torch.randn(width, 2, hidden) / hidden**0.5)
        self.erase_add = nn.Linear(hidden, 2 * hidden)
        self.summary = nn.Linear(hidden + embedding, hidden)
        self.dropout = nn.Dropout(dropout)
        self.read = nn.Linear(hidden, 1)

    def _writes(self, steps: Steps) -> tuple[Tensor, Tensor, Tensor]:
        """Where each response writes (B, T, slots; nowhere for a pad), and what it erases and adds there (B, T, hidden)."""
        weight = nn.functional.embedding(steps.concepts, self._attention(self.over_sets(self.key))) * steps.mask.unsqueeze(-1)
        wrong, right = (table.chunk(2, dim=-1) for table in self.erase_add(self.over_sets(self.response)).unbind(1))
        share = steps.correct.unsqueeze(-1)
        erase, add = (share * nn.functional.embedding(steps.concepts, r) + (1 - share) * nn.functional.embedding(steps.concepts, w)
                      for w, r in zip(wrong, right, strict=True))
        return weight, torch.sigmoid(erase), torch.tanh(add)

    def _attention(self, key: Tensor) -> Tensor:
        """(..., slots) weights, of sum 1, of the slots that hold what is known of a key (..., embedding)."""
        return torch.softmax(key @ self.slot_key.T, dim=-1)

    def _logit(self, content: Tensor, key: Tensor) -> Tensor:
        """(...) logit of a concept or concept set from what its slots hold (..., hidden) and its key (..., embedding)."""
        return self.read(self.dropout(torch.tanh(self.summary(torch.cat([content, key], dim=-1))))).squeeze(-1)

    def forward(self, steps: Steps) -> Tensor:
        weight, erase, add = self._writes(steps)
        memory, contents = self.first.expand(len(steps.mask), -1, -1), []
        for w, e, a in zip(weight.unsqueeze(-1).unbind(1), erase.unsqueeze(-2).unbind(1), add.unsqueeze(-2).unbind(1), strict=True):
            contents.append((w * memory).sum(1))
            memory = _written(memory, w, e, a)
        key = nn.functional.embedding(steps.concepts, self.over_sets(self.key))
        return self._logit(torch.stack(contents, dim=1), key) + self.easiness(steps.item)

    def start(self) -> Tensor:
        return self.first.unsqueeze(0).clone()

    def after(self, steps: Steps, state: Tensor | None) -> Tensor:
        memory = self.first.expand(len(steps.mask), -1, -1) if state is None else state
        for w, e, a in zip(*(part.unbind(1) for part in self._writes(steps)), strict=True):
            memory = _written(memory, w.unsqueeze(-1), e.unsqueeze(-2), a.unsqueeze(-2))
        return memory

    def concept_logits(self, state: Tensor) -> Tensor:
        key = self.key[:self.unlisted]
        content = torch.einsum("cs,bsh->bch", self._attention(key), state)
        return self._logit(content, key.expand(len(state), -1, -1))


def _written(memory: Tensor, weight: Tensor, erase: Tensor, add: Tensor) -> Tensor:
    """Memory (B, slots, hidden) after a response: weight (B, slots, 1) of each slot keeps (1 - weight erase) and gains weight add."""
    return torch.addcmul(memory, weight, torch.addcmul(add, erase, memory, value=-1))


class DKVMN(NetworkModel):
    """Follows a learner by a memory of a few slots; a response reads and writes those that its concepts point to.

    w = softmax(k M_key); before a response P(item i right) = sigmoid(v tanh(W [sum_s w_s M_s, k]) + b_i);
    after it M_s = M_s (1 - w_s e) + w_s a, with erase e and add a from the response. Concepts of one response are averaged.

    Parameters
    ----------
    slots : int
        Places of the memory: about how many groups of concepts are told apart.
    hidden, embedding : int
        Width of a slot's value and of a key.
    dropout : float
        Of the summary, where it is read.
    item_bias : bool
        Whether every item has an easiness b_i of its own.
    epochs, patience, batch_size, learning_rate : see :class:`edukit.training.TrainingLoop`; the batch counts windows.
    valid_share : float
        Share of the training learners set aside to decide when to stop.
    device : 'cpu' | 'cuda' | 'auto'
        Where it trains; predictions are made on the CPU.
    checkpoint_dir : str, optional
        Where a run leaves its state after every epoch, so that a killed one can go on.
    seed : int

    References
    ----------
    Zhang, Shi, King and Yeung, "Dynamic Key-Value Memory Networks for Knowledge Tracing", WWW 2017.
    """

    kind: ClassVar[str] = "dkvmn"

    def __init__(self, slots: int = 20, hidden: int = 64, embedding: int = 32, dropout: float = 0.2, item_bias: bool = True,
                 epochs: int = 20, patience: int = 3, batch_size: int = 64, learning_rate: float = 1e-2, valid_share: float = 0.1,
                 device: str = "cpu", checkpoint_dir: str | None = None, seed: int = 0) -> None:
        self.slots, self.hidden, self.embedding, self.dropout, self.item_bias = slots, hidden, embedding, dropout, item_bias
        self.epochs, self.patience, self.batch_size, self.learning_rate = epochs, patience, batch_size, learning_rate
        self.valid_share, self.device, self.checkpoint_dir, self.seed = valid_share, device, checkpoint_dir, seed

    @property
    def settings(self) -> dict[str, Any]:
        """Constructor arguments that shape the fitted model."""
        return {name: getattr(self, name) for name in (
            "slots", "hidden", "embedding", "dropout", "item_bias", "epochs", "patience", "batch_size", "learning_rate", "valid_share", "seed")}

    def _network(self, vocabulary: Vocabulary, structure: dict[str, np.ndarray]) -> DKVMNNetwork:
        return DKVMNNetwork(vocabulary, self.slots, self.hidden, self.embedding, self.dropout, self.item_bias)
