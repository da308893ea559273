"""Attentive knowledge tracing: the next response is foretold from the earlier responses that matter for it (SAKT, simpleKT, AKT)."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edukit.schema import DataError
from edukit.tracing.networks import WINDOW, NetworkModel, Steps, TracingNetwork
from edukit.tracing.recall import HALF, DropFeatures, Memory, Recall
from edukit.tracing.sequences import Vocabulary

CELLS = 4_000_000  # attention weights held in memory at once where concepts are asked
FAST = 10.0  # easiness and difficulty are kept at 1 / FAST of their values, so that Adam moves them, which few batches hold, FAST times as far as the rest
KEYS = ("items", "responses")


class Past(NamedTuple):
    """What a learner's next response is read from: the latest responses, and what each layer remembers of them."""

    steps: Steps
    memories: list[Memory]


class AttentionNetwork(TracingNetwork):
    """Embeddings of the item asked and of the responses before it, layers of :class:`Recall`, and a read-out of two layers."""

    def __init__(self, vocabulary: Vocabulary, hidden: int, layers: int, heads: int, dropout: float, item_bias: bool, rasch: bool,
                 decay: bool, keys: str, positions: bool, item_l2: float) -> None:
        super().__init__(vocabulary, item_bias)
        width, self.hidden, self.by_items, self.item_l2 = len(vocabulary.concept_ids) + 1, hidden, keys == "items", item_l2
        # of each concept: as asked; what a response adds to that; what a right one (or, turned round, a wrong one) adds beside what every
        # right one does; with Rasch embeddings how the first two vary with the difficulty of the item
        size = torch.tensor([1.0, 0.0, 0.0, 0.1, 0.1] if rasch else [1.0, 0.0, 0.0])
        self.concept = nn.Parameter(torch.randn(width, len(size), hidden) * size.unsqueeze(-1))
        self.right = nn.Parameter(torch.randn(hidden))
        self.difficulty = nn.Embedding(vocabulary.trained + 1, 1, padding_idx=0) if rasch else None
        if self.difficulty is not None:
            nn.init.zeros_(self.difficulty.weight)
            entry, concept = vocabulary.concept_pairs(np.arange(1, vocabulary.trained + 1))
            self.register_buffer("of_item", torch.from_numpy(np.stack([entry + 1, concept])), persistent=False)
        self.register_buffer("asked", torch.zeros(self.unlisted, hidden), persistent=False)  # of each concept, see settle
        self.layers = nn.ModuleList(Recall(hidden, heads, dropout, not self.by_items, positions, decay) for _ in range(layers))
        self.read = nn.Sequential(DropFeatures(dropout), nn.Linear(2 * hidden, hidden), nn.ReLU(), DropFeatures(dropout), nn.Linear(hidden, 1))

    def _embed(self, steps: Steps) -> tuple[Tensor, Tensor]:
        """(B, T, hidden) of the items asked, and of the responses to them."""
        sets, which = torch.unique(steps.concepts, return_inverse=True)
        rows = torch.einsum("sk,sknh->nsh", self.share[sets], self.concept[self.members[sets]])
        table = torch.stack([rows[0], rows[0] + rows[1], rows[2] + self.right, *rows[3:]], dim=1)
        asked, response, turn, *slope = functional.embedding(which, table.flatten(1)).split(self.hidden, dim=-1)
        response = torch.addcmul(response, 2 * steps.correct.unsqueeze(-1) - 1, turn)
        if self.difficulty is not None:
            difficulty = FAST * self.difficulty(steps.item)
            asked, response = torch.addcmul(asked, difficulty, slope[0]), torch.addcmul(response, difficulty, slope[1])
        return asked, response

    def easiness(self, item: Tensor) -> Tensor | float:
        return FAST * super().easiness(item)

    def _answer(self, found: Tensor, asked: Tensor) -> Tensor:
        return self.read(torch.cat([found, asked], dim=-1)).squeeze(-1)

    def _run(self, steps: Steps, past: Past | None = None) -> tuple[Tensor, Tensor, list[Memory]]:
        """(B, T, hidden) what is found for steps (one, after a past) that fit into the window, and what is asked; what every layer then remembers."""
        place = torch.tensor([past.steps.mask.shape[1]]) if past else None
        asked, response = self._embed(steps)
        found, memories = asked, []
        for n, layer in enumerate(self.layers):
            before = past.memories[n] if past else None
            memories.append(layer.remember(found if self.by_items else response, response, before))
            found = layer(found, before or memories[n], place)
        return found, asked, memories

    def _logits(self, steps: Steps) -> Tensor:
        found, asked, _ = self._run(steps)
        return self._answer(found, asked) + self.easiness(steps.item)

    def loss(self, steps: Steps) -> tuple[Tensor, int]:
        total, n = super().loss(steps)
        tables = [table.weight for table in (self.item_bias, self.difficulty) if table is not None]
        if self.training and tables:  # when to stop is decided by the responses alone
            total = total + self.item_l2 * FAST**2 * n * torch.stack([weight.square().sum() for weight in tables]).sum()
        return total, n

    def forward(self, steps: Steps) -> Tensor:
        length = steps.mask.shape[1]
        if length <= WINDOW:
            return self._logits(steps)
        logit = torch.zeros_like(steps.correct)
        for start in range(0, length - HALF, HALF):
            fresh = HALF if start else 0  # what the window before this one has not told yet
            learners = steps.mask[:, start + fresh]
            logit[learners, start + fresh:start + WINDOW] = self._logits(Steps(*(x[learners, start:start + WINDOW] for x in steps)))[:, fresh:]
        return logit

    def start(self) -> Past:
        zero = torch.zeros(1, 0, dtype=torch.int64)
        nothing = torch.zeros(1, 0, self.hidden)
        return Past(Steps(zero, zero, torch.zeros(1, 0), zero.bool()), [layer.remember(nothing, nothing) for layer in self.layers])

    def after(self, steps: Steps, state: Past | None) -> Past:
        if state is not None:
            joined = Steps(*(torch.cat(pair, dim=1) for pair in zip(state.steps, steps, strict=True)))
            if steps.mask.shape == (1, 1) and joined.mask.shape[1] < WINDOW:
                return Past(joined, self._run(steps, state)[2])
            order = torch.argsort(~joined.mask, dim=1, stable=True)
            steps = Steps(*(x.gather(1, order) for x in joined))
        count = steps.mask.sum(1, keepdim=True)
        first = HALF * (count // HALF - 1).clamp(min=0)
        place = torch.arange(int((count - first).max()), device=count.device)
        latest = Steps(*(x.gather(1, (first + place).clamp(max=x.shape[1] - 1)) for x in steps))._replace(mask=place < count - first)
        return Past(latest, self._run(latest)[2])

    @torch.no_grad()
    def settle(self) -> None:
        """Work out, from weights that no longer change, what it is to ask each concept: an item of the mean difficulty of those seen in training."""
        self.asked.copy_(self.concept[:self.unlisted, 0])
        if self.difficulty is not None:
            item, concept = self.of_item
            total = torch.zeros(self.unlisted).index_add(0, concept, self.difficulty.weight[item, 0])
            typical = FAST * total / torch.bincount(concept, minlength=self.unlisted).clamp(min=1)
            self.asked.add_(typical.unsqueeze(-1) * self.concept[:self.unlisted, 3])

    def concept_logits(self, state: Past) -> Tensor:
        size = max(1, CELLS // max(1, len(self.asked) * state.memories[0][0][0, :, :, 0].numel()))
        found = []
        for first in range(0, len(state.steps.mask), size):
            learners = slice(first, first + size)
            place = state.steps.mask[learners].sum(1)
            x = asked = self.asked.expand(len(place), -1, -1)
            for layer, (key, value) in zip(self.layers, state.memories, strict=True):
                x = layer(x, (key[learners], value[learners]), place)
            found.append(self._answer(x, asked))
        return torch.cat(found)


class Attention(NetworkModel):
    """Foretells a learner's next response from the earlier responses that an attention finds to matter for it.

    x_t = c + m_i d_c (the item asked: its concepts c, its difficulty m_i), y_t = c + e_c + m_i f_c + (2 correct - 1) g_c (the response
    to it); in every layer x_t takes up sum_s<t softmax(q(x_t) k_s) v(y_s); P(item i right) = sigmoid(read-out(x_t) + b_i).
    A response with several concepts is one step: its concepts are averaged. Step t reads the responses from
    200-step windows that overlap by half: the latest 100 at least (or all there are), 199 at most.

    Parameters
    ----------
    rasch : bool
        Whether items differ by a difficulty along which the embeddings of their concepts vary (simpleKT, AKT).
    decay : bool
        Whether attention fades with the distance in time, less where nothing similar lies between (AKT); slower.
    keys : 'items' | 'responses'
        Whether a past response is found by what was asked (simpleKT, AKT) or by what was asked and answered (SAKT).
    positions : bool
        Whether every head is drawn to the latest responses as far as it learns to be, in the place of embeddings of the place
        (SAKT, simpleKT), which take far longer to tell the same; not with ``decay``.
    layers, heads, hidden : int
        Layers of attention, parts of each that attend on their own, and the width of all of them together.
    dropout : float
        Of what each layer adds and of the read-out, the same features at all steps of a learner.
    item_bias : bool
        Whether every item has an easiness b_i of its own, added to the logit.
    item_l2 : float
        Weight of the squared easiness and difficulty of all items in the mean loss: most items are answered a few times only.
    epochs, patience, batch_size, learning_rate : see :class:`edukit.training.TrainingLoop`; the batch counts windows.
        The parameters of items are moved 10 times as fast as the learning rate says: a batch holds few of them.
    valid_share : float
        Share of the training learners set aside to decide when to stop.
    device : 'cpu' | 'cuda' | 'auto'
        Where it trains; predictions are made on the CPU.
    checkpoint_dir : str, optional
        Where a run leaves its state after every epoch, so that a killed one can go on.
    seed : int

    Raises
    ------
    DataError
        For keys that do not exist, for no layer, for a width that the heads do not divide, and for positions beside decay.

    References
    ----------
    Pandey and Karypis, "A Self-Attentive Model for Knowledge Tracing", EDM 2019 (SAKT).
    Ghosh, Heffernan and Lan, "Context-Aware Attentive Knowledge Tracing", KDD 2020 (AKT; without its two encoders).
    Liu et al., "simpleKT: A Simple But Tough-to-Beat Baseline for Knowledge Tracing", ICLR 2023.
    """

    kind: ClassVar[str] = "attention"

    def __init__(self, *, rasch: bool, decay: bool, keys: str, positions: bool, layers: int, heads: int = 4, hidden: int = 64,
                 dropout: float = 0.2, item_bias: bool = True, item_l2: float = 1e-5, epochs: int = 20, patience: int = 3, batch_size: int = 32,
                 learning_rate: float = 1e-3, valid_share: float = 0.1, device: str = "cpu", checkpoint_dir: str | None = None,
                 seed: int = 0) -> None:
        if keys not in KEYS:
            raise DataError(f"keys must be one of {', '.join(KEYS)}; found {keys!r}")
        if layers < 1:
            raise DataError(f"layers must be 1 or more; found {layers}")
        if hidden % heads or hidden < 4 * heads:
            raise DataError(f"hidden must be a multiple of heads ({heads}), 4 for each or more; found {hidden}")
        if positions and decay:
            raise DataError("positions must be false where decay is true (both tell how far back a response lies); found both; leave one out")
        self.rasch, self.decay, self.keys, self.positions, self.layers, self.heads = rasch, decay, keys, positions, layers, heads
        self.hidden, self.dropout, self.item_bias, self.item_l2 = hidden, dropout, item_bias, item_l2
        self.epochs, self.patience, self.batch_size, self.learning_rate = epochs, patience, batch_size, learning_rate
        self.valid_share, self.device, self.checkpoint_dir, self.seed = valid_share, device, checkpoint_dir, seed

    @property
    def name(self) -> str:
        """The published model that the flags come closest to."""
        return "akt" if self.decay else "simplekt" if self.keys == "items" else "sakt"

    @property
    def settings(self) -> dict[str, Any]:
        """Constructor arguments that shape the fitted model."""
        return {name: getattr(self, name) for name in (
            "rasch", "decay", "keys", "positions", "layers", "heads", "hidden", "dropout", "item_bias", "item_l2", "epochs", "patience", "batch_size",
            "learning_rate", "valid_share", "seed")}

    def _network(self, vocabulary: Vocabulary, structure: dict[str, np.ndarray]) -> AttentionNetwork:
        return AttentionNetwork(vocabulary, self.hidden, self.layers, self.heads, self.dropout, self.item_bias, self.rasch, self.decay,
                                self.keys, self.positions, self.item_l2)

    def _keep(self, vocabulary: Vocabulary, structure: dict[str, np.ndarray], network: TracingNetwork, kappa: float) -> None:
        super()._keep(vocabulary, structure, network, kappa)
        cast(AttentionNetwork, network).settle()
        self._item_logit = FAST * self._item_logit
