"""Deep knowledge tracing: one recurrent state per learner, moved by every response, read out for every concept."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from edukit.tracing.networks import NetworkModel, Steps, TracingNetwork
from edukit.tracing.recurrence import Ordered, dropped, lstm, scattered
from edukit.tracing.sequences import Vocabulary

State = tuple[Tensor, Tensor]


class DKTNetwork(TracingNetwork):
    """LSTM over (concepts, correct), linear read-out per concept, plus the easiness of the item asked next."""

    trim: ClassVar[float] = 0.0  # a step computes only the learners who are still there: pads cost nothing, cutting a batch would

    def __init__(self, vocabulary: Vocabulary, hidden: int, embedding: int, dropout: float, item_bias: bool,
                 reconstruction: float, waviness: float) -> None:
        super().__init__(vocabulary, item_bias)
        width = len(vocabulary.concept_ids) + 1
        self.dropout, self.reconstruction, self.waviness = dropout, reconstruction, waviness
        self.response = nn.Parameter(torch.randn(width, 2, embedding) / embedding**0.5)
        self.memory = nn.LSTM(embedding, hidden, batch_first=True)
        self.weight = nn.Parameter(torch.randn(width, hidden) / hidden**0.5)
        self.offset = nn.Parameter(torch.zeros(width))

    def _walk(self, steps: Steps, state: State) -> tuple[Ordered, Tensor, Tensor]:
        """The order of the responses, and the hidden state and the cell (N, hidden) after each."""
        ordered = Ordered.of(steps.mask)
        told = (steps.concepts + 0.5 * steps.correct.double()).flatten()[ordered.place]  # concept set and correct in one number
        different, rows = torch.unique(told, return_inverse=True)
        wrong, right = self.over_sets(self.response)[different.long()].unbind(1)
        inputs = torch.lerp(wrong, right, 2 * different.frac().to(wrong.dtype).unsqueeze(1))
        hidden, cell = (part[-1].expand(len(steps.mask), -1)[ordered.learners] for part in state)
        return ordered, *lstm(self.memory, inputs, rows, ordered, (hidden, cell))

    def _run(self, steps: Steps) -> tuple[Ordered, Tensor, Tensor]:
        """The order of the responses, and the state (N, hidden) before and after each, as it is read."""
        ordered, hidden, _ = self._walk(steps, self.start())
        hidden = dropped(hidden, self.dropout, self.training)
        first = hidden.new_zeros(len(steps.mask), hidden.shape[1])
        return ordered, torch.cat([first, nn.functional.embedding(ordered.previous, hidden)]), hidden

    def _read(self, hidden: Tensor, steps: Steps, ordered: Ordered) -> Tensor:
        """(N,) logit of each response's own item, as seen from a hidden state (N, hidden)."""
        sets, item = (part.flatten()[ordered.place] for part in (steps.concepts, steps.item))
        weight = nn.functional.embedding(sets, self.over_sets(self.weight))
        return (hidden * weight).sum(-1) + self.over_sets(self.offset)[sets] + self.easiness(item)

    def forward(self, steps: Steps) -> Tensor:
        ordered, before, _ = self._run(steps)
        return scattered(self._read(before, steps, ordered), ordered, steps.mask)

    def loss(self, steps: Steps) -> tuple[Tensor, int]:
        if not self.training or not (self.reconstruction or self.waviness):  # when to stop is decided by the next response alone
            return super().loss(steps)
        ordered, before, after = self._run(steps)
        correct, cross_entropy = steps.correct.flatten()[ordered.place], nn.functional.binary_cross_entropy_with_logits
        total = cross_entropy(self._read(before, steps, ordered), correct, reduction="sum")
        total = total + self.reconstruction * cross_entropy(self._read(after, steps, ordered), correct, reduction="sum")
        if self.waviness:
            known = torch.sigmoid(nn.functional.linear(after, self.weight, self.offset))
            total = total + self.waviness * (known[len(steps.mask):] - known[ordered.previous]).square().mean(-1).sum()
        return total, len(correct)

    def start(self) -> State:
        zero = torch.zeros(1, 1, self.memory.hidden_size, device=self.weight.device)
        return zero, zero

    def after(self, steps: Steps, state: State | None) -> State:
        ordered, hidden, cell = self._walk(steps, state or self.start())
        return hidden[ordered.last].unsqueeze(0), cell[ordered.last].unsqueeze(0)

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
        Of the state, where it is read; rounded to 1/256.
    item_bias : bool
        Whether every item has an easiness b_i of its own; worth more than any change of architecture.
    reconstruction : float
        Weight of also explaining the response just given from the state after it (DKT+).
    waviness : float
        Weight of the squared change of all concepts' probabilities between two responses (DKT+).
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
