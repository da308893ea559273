"""Responses as sequences: which row of a table is which step of whose history, and what each item assesses.

Numpy only, shared by every tracing model. A response to an item with several concepts is ONE step with a concept axis;
it is never expanded into one row per concept, which would show the answer to the following row.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from edukit.protocols import OrderUnknownError, PrerequisiteGraph
from edukit.reproducibility import replacing
from edukit.schema import DataError, has_order


@dataclass(frozen=True)
class Vocabulary:
    """The items and concepts a fitted model knows.

    Parameters
    ----------
    item_ids : tuple of str
        Items with an index from 1: first those seen in training (sorted), then those only listed in the q_matrix.
    trained : int
        I, how many items were seen in training; they have the indices 1 .. I, and only they have parameters of their own.
    concept_ids : tuple of str
        The C concepts, in the order of the graph.
    item_concepts : (len(item_ids) + 1, K) int array
        Positions of the concepts of each item, padded with -1; row 0 (an item never heard of) has none.
    """

    item_ids: tuple[str, ...]
    trained: int
    concept_ids: tuple[str, ...]
    item_concepts: np.ndarray

    @classmethod
    def build(cls, interactions: pd.DataFrame, graph: PrerequisiteGraph) -> Vocabulary:
        """Vocabulary of the training ``interactions``; concepts of every item come from ``graph.q_matrix``.

        Raises
        ------
        DataError
            If the q_matrix names a concept that the graph does not have.
        """
        q = graph.q_matrix
        seen = sorted(pd.unique(interactions["item_id"]))
        item_ids = seen + sorted(set(q["item_id"]).difference(seen))
        item = pd.Index(item_ids, dtype=object).get_indexer(q["item_id"].astype(object)) + 1
        concept = pd.Index(graph.concept_ids, dtype=object).get_indexer(q["concept_id"].astype(object))
        if (concept < 0).any():
            raise DataError(f"q_matrix.concept_id must be a concept of the graph; found {q['concept_id'].iloc[int(np.argmin(concept))]!r} "
                            f"(first of {int((concept < 0).sum()):,} rows); add it to the concepts or drop its rows")
        rows = np.unique(np.stack([item, concept], axis=1), axis=0)
        counts = np.bincount(rows[:, 0], minlength=len(item_ids) + 1)
        table = np.full((len(item_ids) + 1, max(1, int(counts.max(initial=0)))), -1, np.int64)
        place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        table[rows[:, 0], place] = rows[:, 1]
        return cls(tuple(item_ids), len(seen), tuple(graph.concept_ids), table)

    @cached_property
    def _sets(self) -> tuple[np.ndarray, np.ndarray]:
        sets, of_item = np.unique(self.item_concepts, axis=0, return_inverse=True)
        return sets, of_item.reshape(-1)

    @property
    def concept_sets(self) -> np.ndarray:
        """(S, K) the distinct combinations of concepts, padded with -1."""
        return self._sets[0]

    @property
    def set_of_item(self) -> np.ndarray:
        """(len(item_ids) + 1,) which row of :attr:`concept_sets` each item has."""
        return self._sets[1]

    def index(self, item_ids: pd.Series) -> np.ndarray:
        """(N,) index of each item; 0 = never heard of."""
        codes, names = pd.factorize(item_ids)
        return np.append(self._items.get_indexer(np.asarray(names, object)) + 1, 0)[codes]  # the last stands for a missing id, code -1

    @cached_property
    def _items(self) -> pd.Index:
        return pd.Index(self.item_ids, dtype=object)

    @cached_property
    def by_concept(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Items sorted by what they assess: item and concept of every pair (M,), the concepts that have any, where each begins, and how many it has."""
        item = np.arange(1, len(self.item_ids) + 1)
        entry, concept = self.concept_pairs(item)
        order = np.argsort(concept, kind="stable")
        some, first, n = np.unique(concept[order], return_index=True, return_counts=True)
        return item[entry[order]], concept[order], some, first, n

    def parameter(self, item: np.ndarray) -> np.ndarray:
        """(N,) index among items with parameters: 1 .. I as seen in training, 0 for every other item."""
        return np.where(item <= self.trained, item, 0)

    def concept_pairs(self, item: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows (M,) and concepts (M,) such that row ``rows[m]`` of ``item`` assesses concept ``concepts[m]``."""
        table = self.item_concepts[item]
        rows, column = np.nonzero(table >= 0)
        return rows, table[rows, column]

    def multi_hot(self, item: np.ndarray) -> np.ndarray:
        """(N, C) boolean: which concepts each of the N items assesses."""
        hot = np.zeros((len(item), len(self.concept_ids)), bool)
        hot[self.concept_pairs(item)] = True
        return hot


@dataclass(frozen=True)
class Histories:
    """Responses sorted by learner and order; learner b owns the rows ``offsets[b]`` to ``offsets[b + 1]``.

    Parameters
    ----------
    learner_ids : (B,) array
        In order of first appearance, so that renaming learners changes nothing.
    offsets : (B + 1,) int array
    item : (N,) int array
        Index in the :class:`Vocabulary` (0 = never heard of).
    correct : (N,) float32 array in [0, 1]
    position : (N,) int array
        Row of the original table that each sorted row came from.
    """

    learner_ids: np.ndarray
    offsets: np.ndarray
    item: np.ndarray
    correct: np.ndarray
    position: np.ndarray

    def __len__(self) -> int:
        """Number of learners (or windows), B."""
        return len(self.learner_ids)

    @property
    def lengths(self) -> np.ndarray:
        """(B,) number of responses of each learner."""
        return np.diff(self.offsets)

    @property
    def learner(self) -> np.ndarray:
        """(N,) which learner (0 .. B - 1) each sorted row belongs to."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def pad(self, learners: np.ndarray) -> Padded:
        """The histories of some learners side by side, as long as the longest of them."""
        start, length = self.offsets[learners], self.lengths[learners]
        step = np.arange(int(length.max(initial=0)))
        mask = step[None, :] < length[:, None]
        rows = np.where(mask, start[:, None] + step[None, :], -1)
        return Padded(rows, mask, np.where(mask, self.item[rows], 0), np.where(mask, self.correct[rows], 0).astype(np.float32))

    def take(self, learners: np.ndarray) -> Histories:
        """Only these learners, in this order; ``position`` still points into the original table."""
        length = self.lengths[learners]
        offsets = np.concatenate([[0], np.cumsum(length)])
        rows = np.arange(offsets[-1]) + np.repeat(self.offsets[learners] - offsets[:-1], length)
        return Histories(self.learner_ids[learners], offsets, self.item[rows], self.correct[rows], self.position[rows])

    def windows(self, steps: int) -> Histories:
        """The same rows, long histories cut into windows of about equal length, none over ``steps``, each a history of its own."""
        pieces = np.maximum(1, -(-self.lengths // steps))
        owner = np.repeat(np.arange(len(self)), pieces)
        nth = np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        starts = self.offsets[owner] + nth * self.lengths[owner] // pieces[owner]
        return Histories(self.learner_ids[owner], np.append(starts, self.offsets[-1]), self.item, self.correct, self.position)

    def batches(self, size: int, shuffle: tuple[int, int] | None = None, trim: float = 0.6) -> Iterator[list[np.ndarray]]:
        """Batches of learners, each cut by length into micro-batches that waste few padded steps.

        Parameters
        ----------
        size : int
            Learners in a batch.
        shuffle : (seed, epoch), optional
            Draw the batches at random, the same for the same pair; without it learners come in order of length.
        trim : float
            A micro-batch ends where a history is shorter than this share of its longest one.

        Yields
        ------
        list of int arrays
            The micro-batches of one batch. Only inside a batch are learners sorted by length: sorting the whole set
            would be faster still, and learn worse.
        """
        lengths = self.lengths
        some = np.flatnonzero(lengths)
        ordered = some[np.argsort(-lengths[some], kind="stable")] if shuffle is None else np.random.default_rng(shuffle).permutation(some)
        for first in range(0, len(ordered), size):
            batch = ordered[first:first + size]
            batch = batch[np.argsort(-lengths[batch], kind="stable")]
            cuts, longest = [], lengths[batch[0]]
            for place, length in enumerate(lengths[batch]):
                if length < trim * longest:
                    cuts.append(place)
                    longest = length
            yield np.split(batch, cuts)

    def align(self, values: np.ndarray, index: pd.Index) -> pd.Series:
        """Values of the sorted rows (N,) as a Series in the order of the original table."""
        aligned = np.empty(len(values), np.float64)
        aligned[self.position] = values
        return pd.Series(aligned, index=index, name="probability")


@dataclass(frozen=True)
class Padded:
    """Histories side by side: ``rows`` (B, T) of the sorted arrays (-1 = pad), ``mask``, ``item`` and ``correct`` (B, T)."""

    rows: np.ndarray
    mask: np.ndarray
    item: np.ndarray
    correct: np.ndarray


def encode(interactions: pd.DataFrame, vocabulary: Vocabulary, model: str = "this model") -> Histories:
    """Sort responses into histories.

    Raises
    ------
    OrderUnknownError
        If the table does not say in which order the responses were given; ``model`` is named in the message.
    """
    if len(interactions) and not has_order(interactions):
        raise OrderUnknownError(f"{model} traces learners over time, but interactions.order is missing in these rows; "
                                "use a model for data without order (irt_static), or a data set that states the order")
    code, learner_ids = pd.factorize(interactions["learner_id"])
    order = np.lexsort((interactions["order"].to_numpy(np.int64), code))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(code, minlength=len(learner_ids)))]).astype(np.int64)
    return Histories(np.asarray(learner_ids, object), offsets, vocabulary.index(interactions["item_id"])[order],
                     interactions["correct"].to_numpy(np.float32)[order], order)


def response_sd(p: np.ndarray, n: np.ndarray, kappa: float) -> np.ndarray:
    """Standard deviation of mastery that a point prediction leaves open.

    What a learner knows of a concept is held to be Beta distributed with mean ``p`` and a weight of ``kappa`` responses
    before any response on the concept and ``kappa + n`` after n: ``sd = sqrt(p (1 - p) / (kappa + n + 1))``.

    Parameters
    ----------
    p : array in [0, 1], mastery
    n : array of the same shape, responses of the learner on the concept
    kappa : float, see :func:`concentration`

    Examples
    --------
    >>> float(response_sd(np.array([0.5]), np.array([3]), 5.0).round(3)[0])
    0.167
    """
    p = np.clip(p, 1e-3, 1 - 1e-3)
    return np.sqrt(p * (1 - p) / (kappa + np.asarray(n) + 1))


def concentration(histories: Histories, vocabulary: Vocabulary, probability: np.ndarray,
                  bounds: tuple[float, float] = (1.0, 200.0)) -> float:
    """How many responses a model's first forecast for a learner and a concept is worth (kappa of :func:`response_sd`).

    For every learner and concept with two responses or more, the forecast p made before the first one is held fixed.
    Responses that share an unknown mastery then err together, with intraclass correlation rho = 1 / (kappa + 1);
    rho is the sum of the products of the errors over all pairs of responses, divided by the same sum of p (1 - p).

    Parameters
    ----------
    histories, vocabulary : held-out learners and what their items assess
    probability : (N,) the model's prediction of every sorted row, from earlier rows only
    bounds : the range in which an estimate is believed

    References
    ----------
    Kleinman, "Proportions with extraneous variance", Journal of the American Statistical Association, 1973.
    """
    rows, concept = vocabulary.concept_pairs(histories.item)
    cell = histories.learner[rows] * len(vocabulary.concept_ids) + concept
    _, first, group = np.unique(cell, return_index=True, return_inverse=True)
    forecast = np.clip(probability[rows][first][group], 1e-3, 1 - 1e-3)
    error, n = histories.correct[rows] - forecast, np.bincount(group)
    total, squares = np.bincount(group, error), np.bincount(group, error**2)
    variance = np.bincount(group, forecast * (1 - forecast)) * (n - 1)
    rho = float((total**2 - squares).sum() / variance.sum()) if variance.sum() > 0 else 0.0
    return float(np.clip(1 / rho - 1, *bounds)) if rho > 0 else bounds[1]


def counts(histories: Histories, vocabulary: Vocabulary) -> np.ndarray:
    """(B, C) how many responses each learner gave on each concept."""
    rows, concept = vocabulary.concept_pairs(histories.item)
    width = len(vocabulary.concept_ids)
    return np.bincount(histories.learner[rows] * width + concept, minlength=len(histories) * width).reshape(len(histories), width)


def mastery_table(learner_ids: np.ndarray, vocabulary: Vocabulary, mastery: np.ndarray, n: np.ndarray, kappa: float) -> pd.DataFrame:
    """Table ``mastery`` from (B, C) arrays: every learner x every concept, with a standard deviation."""
    learners, concepts = mastery.shape
    return pd.DataFrame({
        "learner_id": np.repeat(learner_ids, concepts), "concept_id": np.tile(np.asarray(vocabulary.concept_ids, object), learners),
        "mastery": mastery.reshape(-1).astype(np.float64), "sd": response_sd(mastery, n, kappa).reshape(-1),
        "n": n.reshape(-1).astype(np.int64),
    }).astype({"learner_id": "str", "concept_id": "str"})


def write_model(path: Path, kind: str, settings: dict, vocabulary: Vocabulary, arrays: dict[str, np.ndarray]) -> None:
    """Write a fitted model into one file without any code in it; the same fit gives the same bytes."""
    from safetensors.numpy import save_file

    told = {"kind": kind, "settings": settings, "trained": vocabulary.trained,
            "item_ids": vocabulary.item_ids, "concept_ids": vocabulary.concept_ids}
    whole = {name: np.ascontiguousarray(values) for name, values in {**arrays, "item_concepts": vocabulary.item_concepts}.items()}
    with replacing(Path(path)) as draft:  # safetensors takes any memory for rows of C order, hence the line above
        save_file(whole, str(draft), metadata={"edukit": json.dumps(told, sort_keys=True)})


def read_model(path: Path, kind: str) -> tuple[dict, Vocabulary, dict[str, np.ndarray]]:
    """Settings, vocabulary and arrays that :func:`write_model` wrote.

    Raises
    ------
    DataError
        If the file is none of ours, or holds another kind of model.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "numpy") as file:
            told = json.loads((file.metadata() or {}).get("edukit", "{}"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except SafetensorError as error:
        raise DataError(f"{path} must be a model saved by edukit; found another format ({error}); fit it again and save it") from error
    if told.get("kind") != kind:
        raise DataError(f"{path} must hold a model of kind {kind}; found {told.get('kind', 'none')}; load it with the class that wrote it")
    vocabulary = Vocabulary(tuple(told["item_ids"]), told["trained"], tuple(told["concept_ids"]), arrays.pop("item_concepts"))
    return told["settings"], vocabulary, arrays
