"""What every network for data without order shares: how it is fitted, asked and kept. A model adds its network and settings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch

from edukit.protocols import NotFittedError, PrerequisiteGraph
from edukit.reproducibility import fingerprint, one_thread
from edukit.tracing.fitting import TrainingSettings
from edukit.tracing.monotone import MonotoneNetwork, Responses, concepts_of, side_by_side
from edukit.tracing.sequences import Histories, Padded, Vocabulary, counts, encode, read_model, write_model

GRID = np.linspace(-8, 8, 161)  # levels at which the share of a concept's items answered right is known
HELD_OUT = 0.2  # share of a validation learner's responses that is forecast from the others
ASKED_AT_ONCE = 64  # learners in a batch of predictions
TRIM = 0.6  # where training batches are cut by length, see Histories.batches


class DiagnosisModel(ABC):
    """A static learner model around a :class:`MonotoneNetwork`; a learner never seen is placed from given responses, nothing else."""

    kind: ClassVar[str]

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Constructor arguments that shape the fitted model (not where it runs)."""

    @abstractmethod
    def _network(self, vocabulary: Vocabulary, edges: np.ndarray, rows: int) -> MonotoneNetwork:
        """A network with fresh weights."""

    @one_thread()
    def fit(self, interactions: pd.DataFrame, graph: PrerequisiteGraph, dif_groups: pd.Series | None = None) -> Self:
        """Learn item and concept terms from the training rows; some of their learners are set aside to decide when to stop.

        Parameters
        ----------
        interactions : table ``interactions``; its order is ignored
        graph : concepts, q_matrix and prerequisites
        dif_groups : not used: this model has no group terms

        Raises
        ------
        DataError
            With fewer than 2 learners.
        DiagnosticError
            When the loss stops being a number.
        """
        vocabulary, edges = Vocabulary.build(interactions, graph), graph.adjacency().astype(np.int64).reshape(-1, 2)
        settings, histories = TrainingSettings.of(self), unordered(interactions, vocabulary)[0]
        train, valid, rng = settings.set_aside(histories, self.kind)
        hidden = rng.random(len(valid.item)) < HELD_OUT
        with settings.fresh():
            network = self._network(vocabulary, edges, len(train.item))
        data = (histories.offsets, histories.item, histories.correct, vocabulary.item_concepts, edges)
        self.training_ = settings.train(
            network, (train, lambda learners: side_by_side(train, vocabulary, learners, None, torch.float32)),
            (valid, lambda learners: side_by_side(valid, vocabulary, learners, hidden, torch.float32)),
            ASKED_AT_ONCE, TRIM, fingerprint(self.kind, self.settings, *data))
        self._keep(vocabulary, edges, network)
        return self

    def _keep(self, vocabulary: Vocabulary, edges: np.ndarray, network: MonotoneNetwork) -> None:
        self.vocabulary_, self.edges_, self.network_ = vocabulary, edges, network.double().eval()
        self._curves = _curves(self.network_, vocabulary)

    @one_thread()
    def predict(self, targets: pd.DataFrame, given: pd.DataFrame) -> pd.Series:
        """P(correct) for ``targets``, aligned to its index; a learner without given responses is held to be an average one."""
        self._check_fitted()
        known = given[given["learner_id"].isin(targets["learner_id"].unique())]
        rows = pd.concat([targets[["learner_id", "item_id"]].assign(correct=0.0), known[["learner_id", "item_id", "correct"]]], ignore_index=True)
        histories, hidden = unordered(rows, self.vocabulary_, np.arange(len(rows)) < len(targets))
        found = np.empty(len(rows))
        for responses, at in _asked(histories, self.vocabulary_, hidden):
            probability = torch.sigmoid(self.network_.forecast(responses, self.network_.posterior(responses)).detach()).numpy()
            found[histories.position[at.rows[at.mask]]] = probability[at.mask]
        return pd.Series(found[:len(targets)], index=targets.index, name="probability")

    @one_thread()
    @torch.no_grad()
    def mastery(self, interactions: pd.DataFrame) -> pd.DataFrame:
        """Table ``mastery``: the share of each concept's items a learner would be expected to answer correctly, given all responses.

        It is read at the most probable level; the sd is what the level's own standard deviation does to that share.
        """
        self._check_fitted()
        vocabulary = self.vocabulary_
        histories = unordered(interactions, vocabulary)[0]
        width = len(vocabulary.concept_ids)
        share, sd = np.empty((len(histories), width)), np.empty((len(histories), width))
        for batch in histories.batches(ASKED_AT_ONCE):
            for micro in batch:
                responses = side_by_side(histories, vocabulary, micro, None, torch.float64)
                level, spread = (part.numpy() for part in self.network_.levels(self.network_.posterior(responses)))
                share[micro] = self._share(level)
                sd[micro] = np.clip((self._share(level + spread) - self._share(level - spread)) / 2, 1e-6, 0.5)
        return pd.DataFrame({
            "learner_id": np.repeat(histories.learner_ids, width), "concept_id": np.tile(np.asarray(vocabulary.concept_ids, object), len(histories)),
            "mastery": share.reshape(-1), "sd": sd.reshape(-1), "n": counts(histories, vocabulary).reshape(-1).astype(np.int64),
        }).astype({"learner_id": "str", "concept_id": "str"})

    def _share(self, level: np.ndarray) -> np.ndarray:
        """(B, C) share of a concept's items answered right at these levels, between the nodes of :data:`GRID` on a straight line."""
        place = np.clip((level - GRID[0]) / (GRID[1] - GRID[0]), 0, len(GRID) - 1.001)
        low, concept = place.astype(int), np.arange(level.shape[1])
        return self._curves[concept, low] + (place - low) * (self._curves[concept, low + 1] - self._curves[concept, low])

    def save(self, path: Path) -> None:
        """Write the fitted model into one file; the same fit gives the same bytes."""
        self._check_fitted()
        arrays = {f"network.{name}": value.numpy() for name, value in self.network_.state_dict().items()}
        write_model(path, self.kind, self.settings, self.vocabulary_, arrays | {"edges": self.edges_})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote; predictions are identical."""
        settings, vocabulary, arrays = read_model(path, cls.kind)
        model, edges = cls(**settings), arrays.pop("edges")
        network = model._network(vocabulary, edges, 1).double()
        network.load_state_dict({name.removeprefix("network."): torch.from_numpy(value) for name, value in arrays.items()})
        model._keep(vocabulary, edges, network)
        return model

    def _check_fitted(self) -> None:
        if not hasattr(self, "network_"):
            raise NotFittedError(f"this {self.kind} has not been fitted; call fit(interactions, graph) first")


def unordered(interactions: pd.DataFrame, vocabulary: Vocabulary, hidden: np.ndarray | None = None) -> tuple[Histories, np.ndarray]:
    """Histories in an order that only items and answers decide, so that the order of the rows changes no bit; hidden rows come last."""
    hidden = np.zeros(len(interactions), bool) if hidden is None else hidden
    order = np.empty(len(interactions), np.int64)
    order[np.lexsort((interactions["correct"], vocabulary.index(interactions["item_id"]), hidden))] = np.arange(len(interactions))
    histories = encode(interactions.assign(order=order), vocabulary)
    return histories, hidden[histories.position]


def _asked(histories: Histories, vocabulary: Vocabulary, hidden: np.ndarray) -> Iterator[tuple[Responses, Padded]]:
    for batch in histories.batches(ASKED_AT_ONCE):
        for micro in batch:
            yield side_by_side(histories, vocabulary, micro, hidden, torch.float64), histories.pad(micro)


@torch.no_grad()
def _curves(network: MonotoneNetwork, vocabulary: Vocabulary, at_once: int = 500) -> np.ndarray:
    """(C, nodes of GRID) share of each concept's items answered right at a level; an item's other concepts are left out of it."""
    width, item = len(vocabulary.concept_ids), np.arange(1, len(vocabulary.item_ids) + 1)
    entry, concept = vocabulary.concept_pairs(item)
    total, n = np.zeros((width, len(GRID))), np.bincount(concept, minlength=width)
    level = torch.from_numpy(GRID).view(1, -1, 1)
    for first in range(0, len(entry), at_once):
        some = slice(first, first + at_once)
        number, about = item[entry[some]], concept[some]
        members = concepts_of(number, vocabulary)[0]
        only = members == about[:, None]
        only &= np.cumsum(only, axis=1) == 1  # a pad looks like concept 0
        told = (torch.from_numpy(part).unsqueeze(1) for part in (vocabulary.parameter(number), members, only.astype(np.float64)))
        np.add.at(total, about, torch.sigmoid(network.logit(level, *told)).numpy())
    return np.where(n[:, None] > 0, total / np.maximum(n, 1)[:, None], 1 / (1 + np.exp(-GRID)))
