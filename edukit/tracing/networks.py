"""What every tracing network shares: how it is fitted, asked, followed live and kept. A model adds its network and settings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from edukit.protocols import NotFittedError, PrerequisiteGraph
from edukit.reproducibility import fingerprint, one_thread
from edukit.tracing.fitting import TrainingSettings
from edukit.tracing.sequences import (
    Histories,
    Vocabulary,
    concentration,
    counts,
    encode,
    mastery_table,
    read_model,
    response_sd,
    write_model,
)

WINDOW = 200  # steps of a training sequence; predictions always follow the full history
ASKED_AT_ONCE = 256  # learners in a batch of predictions


class Steps(NamedTuple):
    """Padded responses: all (B, T). ``item`` 0 = no parameters of its own, ``concepts`` a row of the concept sets."""

    item: Tensor
    concepts: Tensor
    correct: Tensor
    mask: Tensor


class TracingNetwork(nn.Module, ABC):
    """Logits of next responses from earlier ones; ``item_bias`` (I + 1,) is the easiness of each item, entry 0 fixed at zero."""

    trim: ClassVar[float] = 0.6  # where batches are cut by length, see Histories.batches

    def __init__(self, vocabulary: Vocabulary, item_bias: bool) -> None:
        super().__init__()
        self.unlisted = len(vocabulary.concept_ids)  # stands for the concept of an item that has none listed
        sets = vocabulary.concept_sets.copy()
        sets[(sets < 0).all(axis=1), 0] = self.unlisted
        self.register_buffer("members", torch.from_numpy(np.maximum(sets, 0)), persistent=False)
        share = (sets >= 0) / (sets >= 0).sum(axis=1, keepdims=True)
        self.register_buffer("share", torch.from_numpy(share.astype(np.float32)), persistent=False)
        self.item_bias = nn.Embedding(vocabulary.trained + 1, 1, padding_idx=0) if item_bias else None
        if self.item_bias is not None:
            nn.init.zeros_(self.item_bias.weight)

    def over_sets(self, table: Tensor) -> Tensor:
        """(S, ...) mean over the members of every concept set of a table (C + 1, ...)."""
        return torch.einsum("sk,sk...->s...", self.share, table[self.members])

    def easiness(self, item: Tensor) -> Tensor | float:
        """Logit that an item adds; same shape as ``item``."""
        return self.item_bias(item).squeeze(-1) if self.item_bias is not None else 0.0

    @abstractmethod
    def forward(self, steps: Steps) -> Tensor:
        """(B, T) logits; entry t is computed from the entries before t and the item at t."""

    def loss(self, steps: Steps) -> tuple[Tensor, int]:
        """Summed cross-entropy of the responses, and their number."""
        each = nn.functional.binary_cross_entropy_with_logits(self(steps), steps.correct, reduction="none")
        return (each * steps.mask).sum(), int(steps.mask.sum())

    @abstractmethod
    def start(self) -> Any:
        """State (batch of one) of a learner never seen."""

    @abstractmethod
    def after(self, steps: Steps, state: Any) -> Any:
        """State of each learner after all their steps, from ``state`` on (None = the start)."""

    @abstractmethod
    def concept_logits(self, state: Any) -> Tensor:
        """(B, C) logit of each concept, item easiness aside."""


class NetworkModel(ABC):
    """A learner model whose mathematics is a :class:`TracingNetwork`; follows ``OnlineLearnerModel``."""

    kind: ClassVar[str]

    @property
    def name(self) -> str:
        """What messages call the model; a kind that is several models by its settings tells which."""
        return self.kind

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Constructor arguments that shape the fitted model (not where it runs)."""

    @abstractmethod
    def _network(self, vocabulary: Vocabulary, structure: dict[str, np.ndarray]) -> TracingNetwork:
        """A network with fresh weights."""

    def _structure(self, graph: PrerequisiteGraph) -> dict[str, np.ndarray]:
        """What the network keeps of the graph beside items and concepts."""
        return {}

    @one_thread()
    def fit(self, interactions: pd.DataFrame, graph: PrerequisiteGraph, dif_groups: pd.Series | None = None, earlier: Self | None = None) -> Self:
        """Learn from the training rows; some of their learners are set aside to decide when to stop.

        Parameters
        ----------
        interactions : table ``interactions`` with known order
        graph : concepts, q_matrix and prerequisites
        dif_groups : not used: this model has no group terms
        earlier : a fitted model to go on from: training begins at its weights, see :func:`carry`

        Raises
        ------
        OrderUnknownError
            When the order of responses is unknown.
        DiagnosticError
            When the loss stops being a number.
        """
        settings, vocabulary, structure = TrainingSettings.of(self), Vocabulary.build(interactions, graph), self._structure(graph)
        histories = encode(interactions, vocabulary, self.name)
        train, valid, _ = settings.set_aside(histories, self.name)
        train = train.windows(WINDOW)
        with settings.fresh():
            network = self._network(vocabulary, structure)
        if earlier is not None:
            with settings.fresh():
                wider = self._network(_wider(vocabulary), structure)
            carry(earlier.network_, earlier.vocabulary_, network, vocabulary, wider)
        begun = () if earlier is None else tuple(value.numpy() for value in network.state_dict().values())
        data = (*begun, histories.offsets, histories.item, histories.correct, vocabulary.item_concepts, *structure.values())
        self.training_ = settings.train(
            network, (train, lambda learners: _steps(train, vocabulary, learners)), (valid, lambda learners: _steps(valid, vocabulary, learners)),
            ASKED_AT_ONCE, network.trim, fingerprint(self.kind, self.settings, *data))
        self._keep(vocabulary, structure, network, concentration(valid, vocabulary, _probabilities(network, valid, vocabulary)))
        return self

    def _keep(self, vocabulary: Vocabulary, structure: dict[str, np.ndarray], network: TracingNetwork, kappa: float) -> None:
        self.vocabulary_, self.structure_, self.network_, self.kappa_ = vocabulary, structure, network, kappa
        bias = network.item_bias
        self._item_logit = bias.weight.detach().numpy()[:, 0].astype(np.float64) if bias is not None else np.zeros(vocabulary.trained + 1)

    @one_thread()
    def predict(self, interactions: pd.DataFrame) -> pd.Series:
        """P(correct) in [0, 1], aligned to the index; row t uses only earlier rows of the same learner."""
        self._check_fitted()
        histories = encode(interactions, self.vocabulary_, self.name)
        return histories.align(_probabilities(self.network_, histories, self.vocabulary_), interactions.index)

    @one_thread()
    @torch.no_grad()
    def mastery(self, interactions: pd.DataFrame) -> pd.DataFrame:
        """Table ``mastery``: the share of each concept's items a learner would now be expected to answer correctly.

        Its sd is that of :func:`edukit.tracing.sequences.response_sd`, with kappa estimated on the learners set aside in ``fit``.
        """
        self._check_fitted()
        histories = encode(interactions, self.vocabulary_, self.name)
        logit = np.empty((len(histories), len(self.vocabulary_.concept_ids)))
        for batch in histories.batches(ASKED_AT_ONCE, trim=self.network_.trim):
            for micro in batch:
                logit[micro] = self.network_.concept_logits(self.network_.after(_steps(histories, self.vocabulary_, micro), None)).numpy()
        known = share_of_items(logit, self._item_logit, self.vocabulary_)
        return mastery_table(histories.learner_ids, self.vocabulary_, known, counts(histories, self.vocabulary_), self.kappa_)

    def start(self) -> tuple[Any, np.ndarray]:
        """State of a learner never seen."""
        self._check_fitted()
        with torch.no_grad():
            return self.network_.start(), np.zeros(len(self.vocabulary_.concept_ids), np.int64)

    @torch.no_grad()
    def step(self, state: tuple[Any, np.ndarray], item_id: str, correct: float) -> tuple[Any, np.ndarray]:
        """State after one more response; the given state is left as it was."""
        self._check_fitted()
        item = self.vocabulary_.index(pd.Series([item_id]))
        one = _as_steps(item[None], np.array([[correct]], np.float32), np.ones((1, 1), bool), self.vocabulary_)
        return self.network_.after(one, state[0]), state[1] + self.vocabulary_.multi_hot(item)[0]

    @torch.no_grad()
    def mastery_of(self, state: tuple[Any, np.ndarray]) -> pd.DataFrame:
        """Per concept_id (index): ``mastery``, its ``sd`` and ``n`` responses."""
        self._check_fitted()
        known = share_of_items(self.network_.concept_logits(state[0]).numpy(), self._item_logit, self.vocabulary_)[0]
        return pd.DataFrame({"mastery": known, "sd": response_sd(known, state[1], self.kappa_), "n": state[1]},
                            index=pd.Index(self.vocabulary_.concept_ids, name="concept_id"))

    def save(self, path: Path) -> None:
        """Write the fitted model into one file; the same fit gives the same bytes."""
        self._check_fitted()
        arrays = {f"network.{name}": value.numpy() for name, value in self.network_.state_dict().items()}
        arrays |= {f"structure.{name}": value for name, value in self.structure_.items()}
        write_model(path, self.kind, self.settings, self.vocabulary_, arrays | {"kappa": np.array([self.kappa_])})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote; predictions are identical."""
        settings, vocabulary, arrays = read_model(path, cls.kind)
        model = cls(**settings)
        parts: dict[str, dict[str, np.ndarray]] = {"structure": {}, "network": {}, "kappa": {}}
        for name, value in arrays.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = value
        structure, network = parts["structure"], model._network(vocabulary, parts["structure"])
        network.load_state_dict({name: torch.from_numpy(value) for name, value in parts["network"].items()})
        model._keep(vocabulary, structure, network.eval(), float(arrays["kappa"][0]))
        return model

    def _check_fitted(self) -> None:
        if not hasattr(self, "network_"):
            raise NotFittedError(f"this {self.name} has not been fitted; call fit(interactions, graph) first")


@torch.no_grad()
def carry(old: TracingNetwork, known: Vocabulary, new: TracingNetwork, vocabulary: Vocabulary, wider: TracingNetwork) -> None:
    """Begin a network at the weights of an earlier one: rows of items and of concepts by their ids, all else of one shape as it is.

    What the earlier network has no like of (new items and concepts, a width that changed) stays as it was drawn. ``wider``, the network of
    :func:`_wider`, tells which tables have a row per item or concept: of their length alone, another table could have as many.
    """
    items = (None, *known.item_ids[:known.trained]), (None, *vocabulary.item_ids[:vocabulary.trained])
    kinds = {1: items, 2: ((*known.concept_ids, None), (*vocabulary.concept_ids, None))}
    weights, grown = old.state_dict(), wider.state_dict()
    for name, value in new.state_dict().items():
        from_old = weights.get(name)
        if from_old is None or from_old.shape[1:] != value.shape[1:]:
            continue
        rows = kinds.get(len(grown[name]) - len(value)) if value.ndim else None
        if rows:
            place = pd.Index(rows[0], dtype=object).get_indexer(pd.Index(rows[1], dtype=object))
            value[place >= 0] = from_old[place[place >= 0]]
        elif from_old.shape == value.shape:
            value.copy_(from_old)


def _wider(vocabulary: Vocabulary) -> Vocabulary:
    """The same with one trained item and two concepts more."""
    return Vocabulary(("", *vocabulary.item_ids), vocabulary.trained + 1, (*vocabulary.concept_ids, "", ""),
                      np.insert(vocabulary.item_concepts, 0, -1, axis=0))


def share_of_items(logit: np.ndarray, item_logit: np.ndarray, vocabulary: Vocabulary, cells: int = 4_000_000) -> np.ndarray:
    """Share of a concept's items that a learner is expected to answer correctly: mean of sigmoid(concept + item) over its items.

    Parameters
    ----------
    logit : (B, C) of each learner on each concept
    item_logit : (I + 1,) easiness of each trained item on top of it; entry 0 is that of every other item
    cells : int
        Learner x item probabilities held in memory at once.

    Returns
    -------
    (B, C) array in (0, 1); where a concept has no item, sigmoid of its logit.
    """
    item, concept, some, first, n = vocabulary.by_concept
    own = item_logit[vocabulary.parameter(item)]
    share = _sigmoid(logit.astype(np.float64))
    step = max(1, cells // max(1, len(concept)))
    for b in range(0, len(logit) if len(concept) else 0, step):
        share[b:b + step, some] = np.add.reduceat(_sigmoid(logit[b:b + step, concept].astype(np.float64) + own), first, axis=1) / n
    return share


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * x))


def _as_steps(item: np.ndarray, correct: np.ndarray, mask: np.ndarray, vocabulary: Vocabulary) -> Steps:
    return Steps(torch.from_numpy(vocabulary.parameter(item)), torch.from_numpy(vocabulary.set_of_item[item]),
                 torch.from_numpy(correct), torch.from_numpy(mask))


def _steps(histories: Histories, vocabulary: Vocabulary, learners: np.ndarray) -> Steps:
    padded = histories.pad(learners)
    return _as_steps(padded.item, padded.correct, padded.mask, vocabulary)


@torch.no_grad()
def _probabilities(network: TracingNetwork, histories: Histories, vocabulary: Vocabulary) -> np.ndarray:
    """(N,) prediction of every sorted row."""
    found = np.empty(len(histories.item))
    for batch in histories.batches(ASKED_AT_ONCE, trim=network.trim):
        for micro in batch:
            padded = histories.pad(micro)
            logit = network(_as_steps(padded.item, padded.correct, padded.mask, vocabulary))
            found[padded.rows[padded.mask]] = torch.sigmoid(logit.double()).numpy()[padded.mask]
    return found
