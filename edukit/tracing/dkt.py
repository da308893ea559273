"""Deep knowledge tracing: one recurrent state per learner, moved by every response, read out for every concept."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from edukit.tracing.networks import NetworkModel, Steps, TracingNetwork
from edukit.tracing.sequences import Vocabulary

State = tuple[Tensor, Tensor]


class DKTNetwork(TracingNetwork):
    """LSTM over (concepts, correct), linear read-out per concept, plus the easiness of the item asked next."""

    def __init__(self, vocabulary: Vocabulary, hidden: int, embedding: int, dropout: float, item_bias: bool,
                 reconstruction: float, waviness: float) -> None:
        super().__init__(vocabulary, item_bias)
        width = len(vocabulary.concept_ids) + 1
        self.reconstruction, self.waviness = reconstruction, waviness
        self.response = nn.Parameter(torch.randn(width, 2, embedding) / embedding**0.5)
        self.memory = nn.LSTM(embedding, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.weight = nn.Parameter(torch.randn(width, hidden) / hidden**0.5)
        self.offset = nn.Parameter(torch.zeros(width))

    def _inputs(self, steps: Steps) -> Tensor:
        """(B, T, embedding) mean over the concepts of what a right or a wrong response to each looks like."""
        wrong, right = self.over_sets(self.response).unbind(1)
        share = steps.correct.unsqueeze(-1)
        return share * nn.functional.embedding(steps.concepts, right) + (1 - share) * nn.functional.embedding(steps.concepts, wrong)

    def _read(self, hidden: Tensor, steps: Steps) -> Tensor:
        """(B, T) logit of each step's own item, as seen from the hidden state at the same place."""
        weight = nn.functional.embedding(steps.concepts, self.over_sets(self.weight))
        offset = nn.functional.embedding(steps.concepts, self.over_sets(self.offset.unsqueeze(-1))).squeeze(-1)
        return (hidden * weight).sum(-1) + offset + self.easiness(steps.item)

    def _run(self, steps: Steps) -> Tensor:
        """(B, T + 1, hidden): the state before the first response and after each."""
        hidden, _ = self.memory(self._inputs(steps))
        return self.dropout(torch.cat([torch.zeros_like(hidden[:, :1]), hidden], dim=1))

    def forward(self, steps: Steps) -> Tensor:
        return self._read(self._run(steps)[:, :-1], steps)

    def loss(self, steps: Steps) -> tuple[Tensor, int]:
        if not self.training or not (self.reconstruction or self.waviness):  # when to stop is decided by the next response alone
            return super().loss(steps)
        hidden, cross_entropy = self._run(steps), nn.functional.binary_cross_entropy_with_logits
        each = cross_entropy(self._read(hidden[:, :-1], steps), steps.correct, reduction="none")
        each = each + self.reconstruction * cross_entropy(self._read(hidden[:, 1:], steps), steps.correct, reduction="none")
        if self.waviness:
            known = torch.sigmoid(nn.functional.linear(hidden[:, 1:], self.weight, self.offset))
            each = each + self.waviness * nn.functional.pad((known[:, 1:] - known[:, :-1]).square().mean(-1), (1, 0))
        return (each * steps.mask).sum(), int(steps.mask.sum())

    def start(self) -> State:
        zero = torch.zeros(1, 1, self.memory.hidden_size)
        return zero, zero

    def after(self, steps: Steps, state: State | None) -> State:
        length = steps.mask.sum(1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(self._inputs(steps), length, batch_first=True, enforce_sorted=False)
        return self.memory(packed, state)[1]

    def concept_logits(self, state: State) -> Tensor:
        return nn.functional.linear(state[0][-1], self.weight[:self.unlisted], self.offset[:self.unlisted])


class DKT(NetworkModel):
    """Follows a learner by one hidden state that every response updates and every concept is read from.

    h_t = LSTM(h_{t-1}, mean of v[concept, correct]); P(item i right next) = sigmoid(mean of (w_c h_t + o_c) + b_i).
    A response with several concepts is one step: its concepts are averaged on the way in and on the way out.

    Parameters
    ----------
    hidden, embedding : int
        Width of the state and of a response.
    dropout : float
        Of the state, where it is read.
    item_bias : bool
        Whether every item has an easiness b_i of its own; worth more than any change of architecture.
    reconstruction : float
        Weight of also explaining the response just given from the state after it (DKT+).
    waviness : float
        Weight of the squared change of all concepts' probabilities between two responses (DKT+).
    epochs, patience, batch_size, learning_rate : see :class:`edukit.training.TrainingLoop`; the batch counts learners.
    valid_share : float
        Share of the training learners set aside to decide when to stop.
    device : 'cpu' | 'cuda' | 'auto'
        Where it trains; predictions are made on the CPU.
    checkpoint_dir : str, optional
        Where a run leaves its state after every epoch, so that a killed one can go on.
    seed : int

    References
    ----------
    Piech et al., "Deep Knowledge Tracing", NeurIPS 2015.
    Yeung and Yeung, "Addressing Two Problems in Deep Knowledge Tracing via Prediction-Consistent Regularization", L@S 2018.
    """

    kind: ClassVar[str] = "dkt"

    def __init__(self, hidden: int = 100, embedding: int = 64, dropout: float = 0.2, item_bias: bool = True,
                 reconstruction: float = 0.0, waviness: float = 0.0, epochs: int = 20, patience: int = 3, batch_size: int = 64,
                 learning_rate: float = 1e-2, valid_share: float = 0.1, device: str = "cpu", checkpoint_dir: str | None = None,
                 seed: int = 0) -> None:
        self.hidden, self.embedding, self.dropout, self.item_bias = hidden, embedding, dropout, item_bias
        self.reconstruction, self.waviness = reconstruction, waviness
        self.epochs, self.patience, self.batch_size, self.learning_rate = epochs, patience, batch_size, learning_rate
        self.valid_share, self.device, self.checkpoint_dir, self.seed = valid_share, device, checkpoint_dir, seed

    @property
    def settings(self) -> dict[str, Any]:
        """Constructor arguments that shape the fitted model."""
        return {name: getattr(self, name) for name in (
            "hidden", "embedding", "dropout", "item_bias", "reconstruction", "waviness", "epochs", "patience", "batch_size",
            "learning_rate", "valid_share", "seed")}

    def _network(self, vocabulary: Vocabulary, structure: dict[str, np.ndarray]) -> DKTNetwork:
        return DKTNetwork(vocabulary, self.hidden, self.embedding, self.dropout, self.item_bias, self.reconstruction, self.waviness)
