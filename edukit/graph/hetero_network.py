"""The network of concepts and courses, and what passes messages along it: edges that need no label, an encoder, a decoder that knows direction."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.nn import GATv2Conv, GCNConv, GraphConv, HeteroConv

from edukit.graph.free_edges import course_edges, linked, nearest, together
from edukit.graph.pair_features import PairFeatures
from edukit.graph.pair_models import Components
from edukit.schema import DataError

Edge = tuple[str, str, str]
SIMILAR: Edge = ("concept", "similar_to", "concept")
TOGETHER: Edge = ("concept", "mentioned_beside", "concept")
LINKED: tuple[Edge, Edge] = (("concept", "links_to", "concept"), ("concept", "linked_from", "concept"))
MENTION: tuple[Edge, Edge] = (("concept", "mentioned_in", "course"), ("course", "mentions", "concept"))
COURSES: tuple[Edge, Edge] = (("course", "requires", "course"), ("course", "required_by", "course"))
JUDGED: tuple[Edge, ...] = (("concept", "requires", "concept"), ("concept", "required_by", "concept"),
                            ("concept", "does_not_require", "concept"), ("concept", "not_required_by", "concept"))
EDGES: dict[str, tuple[Edge, ...]] = {"similar": (SIMILAR,), "together": (TOGETHER,), "links": LINKED, "courses": (*MENTION, *COURSES),
                                      "positives": JUDGED[:2], "judged": JUDGED}


class Messages(NamedTuple):
    """Edges of each kind: (2, E) positions from and to, and (E,) weights."""

    index: dict[Edge, Tensor]
    weight: dict[Edge, Tensor]


def network_data(features: PairFeatures, components: int, neighbours: int, edges: tuple[str, ...]) -> HeteroData:
    """Concepts and courses with the main components of their texts, and the edges between them that need no label.

    Parameters
    ----------
    features : names, courses and Wikipedia numbers.
    components : main directions of the concepts' names kept, for courses too.
    neighbours : concepts that a concept is joined to by its name, or by courses that mention both.
    edges : kinds of :data:`EDGES`; a kind that the data cannot give adds nothing.

    Raises
    ------
    DataError
        For an unknown kind of edge.
    """
    if unknown := set(edges) - set(EDGES):
        raise DataError(f"edges must be among {', '.join(EDGES)}; found {', '.join(sorted(unknown))}")
    axes = Components(features.names, components)
    scale = max(float(axes(features.names).std()), 1e-6)
    data = HeteroData()
    for kind, texts in (("concept", features.names), ("course", features.texts)):
        data[kind].x = torch.from_numpy((axes(texts) / scale).astype(np.float32))

    def add(edge: Edge, source: np.ndarray, target: np.ndarray, weight: np.ndarray) -> None:
        if len(source):
            data[edge].edge_index = torch.from_numpy(np.stack([source, target]).astype(np.int64))
            data[edge].edge_weight = torch.from_numpy(np.asarray(weight, np.float32))

    if "similar" in edges:
        one, other, cosine = nearest(features.names, neighbours)
        add(SIMILAR, other, one, cosine)
    if "together" in edges:
        one, other, share = together(features, neighbours)
        add(TOGETHER, other, one, share)
    if "links" in edges:
        one, other = linked(features)
        add(LINKED[0], other, one, np.ones(len(one)))
        add(LINKED[1], one, other, np.ones(len(one)))
    if "courses" in edges:
        concept, course = np.nonzero(features.mentions)
        weight = features.mentions[concept, course]
        add(MENTION[0], concept, course, weight)
        add(MENTION[1], course, concept, weight)
        one, other = course_edges(features)
        add(COURSES[0], other, one, np.ones(len(one)))
        add(COURSES[1], one, other, np.ones(len(one)))
    return data


def label_free(data: HeteroData) -> Messages:
    """The edges of a network as messages."""
    return Messages({e: data[e].edge_index for e in data.edge_types}, {e: data[e].edge_weight for e in data.edge_types})


def with_judged(messages: Messages, edges: tuple[str, ...], a: np.ndarray, b: np.ndarray, label: np.ndarray) -> Messages:
    """The messages and, where ``edges`` names them, the given training pairs, both ways: from what is required, and to it."""
    index, weight = dict(messages.index), dict(messages.weight)
    kinds = JUDGED if "judged" in edges else JUDGED[:2] if "positives" in edges else ()
    for edge, value, turned in zip(kinds, (1, 1, 0, 0), (False, True, False, True), strict=False):
        there = label == value
        ends = np.stack([a[there], b[there]] if turned else [b[there], a[there]])
        if ends.shape[1]:
            index[edge] = torch.from_numpy(ends.astype(np.int64))
            weight[edge] = torch.ones(ends.shape[1])
    return Messages(index, weight)


def _convolution(kind: str, hidden: int) -> nn.Module:
    if kind == "attention":
        return GATv2Conv((hidden, hidden), hidden, heads=1, edge_dim=1, add_self_loops=False)
    return GraphConv((hidden, hidden), hidden, aggr="mean")


class Encoder(nn.Module):
    """(C, hidden) concepts and (D, hidden) courses: their texts, then ``layers`` rounds of messages, each added to what was there.

    Concepts and courses share the first layer, so that what is learnt of courses holds for concepts. With 0 layers no edge is looked at.
    """

    def __init__(self, width: int, hidden: int, layers: int, edges: list[Edge], convolution: str, dropout: float) -> None:
        super().__init__()
        self.first = nn.Linear(width, hidden)
        self.dropout = nn.Dropout(dropout)
        self.rounds = nn.ModuleList(HeteroConv({e: _convolution(convolution, hidden) for e in edges}, aggr="mean") for _ in range(layers if edges else 0))
        self.convolution = convolution

    def forward(self, x: dict[str, Tensor], messages: Messages) -> dict[str, Tensor]:
        h = {kind: self.dropout(torch.relu(self.first(value))) for kind, value in x.items()}
        for layer in self.rounds:
            if self.convolution == "attention":
                told = layer(h, messages.index, edge_attr_dict={e: w[:, None] for e, w in messages.weight.items()})
            else:
                told = layer(h, messages.index, edge_weight_dict=messages.weight)
            h = {kind: value + self.dropout(torch.relu(told[kind])) if kind in told else value for kind, value in h.items()}
        return h


class Decoder(nn.Module):
    """Relatedness times direction: p(a requires b) = r sigmoid(u(a, b) - u(b, a)), with r = 1 - 1 / (1 + exp u(a, b) + exp u(b, a)).

    r is the same for both orders, so that p(a requires b) + p(b requires a) = r is below 1. u reads both concepts and the numbers of the pair.
    """

    def __init__(self, hidden: int, numbers: int, dropout: float) -> None:
        super().__init__()
        self.ends = nn.Linear(2 * hidden, hidden)
        self.numbers = nn.Linear(numbers, hidden, bias=False) if numbers else None
        self.read = nn.Sequential(nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, 1))

    def lean(self, first: Tensor, second: Tensor, numbers: Tensor | None) -> Tensor:
        """(N,) u(a, b) from what a brings as the first of two and b as the second."""
        both = first + second
        if numbers is not None and self.numbers is not None:
            both = both + self.numbers(numbers)
        return self.read(both).squeeze(-1)

    def both(self, h: Tensor, ends: Tensor, numbers: Tensor | None, turned: Tensor | None) -> Tensor:
        """(3, N) u(a, b), u(b, a) and 0, for (2, N) pairs of rows of ``h``; ``turned`` are the numbers of the pairs (b, a)."""
        width = h.shape[1]  # each concept is read once as the first and once as the second, not once a pair
        first = nn.functional.linear(h, self.ends.weight[:, :width], self.ends.bias)
        second = nn.functional.linear(h, self.ends.weight[:, width:])
        one = self.lean(first[ends[0]], second[ends[1]], numbers).double()
        other = self.lean(first[ends[1]], second[ends[0]], turned).double()
        return torch.stack([one, other, torch.zeros_like(one)])

    def forward(self, h: Tensor, ends: Tensor, numbers: Tensor | None, turned: Tensor | None) -> tuple[Tensor, Tensor]:
        """Log of p(a requires b), and of 1 - p."""
        said = self.both(h, ends, numbers, turned)
        total = torch.logsumexp(said, dim=0)
        return said[0] - total, torch.logsumexp(said[1:], dim=0) - total


class PairNetwork(nn.Module):
    """Encoder and decoder, with the texts that they read."""

    def __init__(self, data: HeteroData, edges: list[Edge], hidden: int, layers: int, numbers: int, convolution: str, dropout: float) -> None:
        super().__init__()
        self.x = {kind: data[kind].x for kind in data.node_types}
        self.encoder = Encoder(next(iter(self.x.values())).shape[1], hidden, layers, edges, convolution, dropout)
        self.decoder = Decoder(hidden, numbers, dropout)

    def encode(self, messages: Messages) -> dict[str, Tensor]:
        """Concepts and courses after the messages."""
        return self.encoder(self.x, messages)

    def forward(self, h: Tensor, ends: Tensor, numbers: Tensor | None, turned: Tensor | None) -> tuple[Tensor, Tensor]:
        """Log of p and of 1 - p for (2, N) pairs of rows of ``h``."""
        found: Any = self.decoder(h, ends, numbers, turned)
        return found

    @torch.no_grad()
    def concepts(self, messages: Messages) -> Tensor:
        """(C, hidden) concepts after the messages."""
        return self.encode(messages)["concept"]

    @torch.no_grad()
    def probability(self, h: Tensor, ends: Tensor, numbers: Tensor | None, turned: Tensor | None) -> np.ndarray:
        """(N, 2) p(a requires b) and p(b requires a) of pairs of rows of ``h``."""
        return torch.softmax(self.decoder.both(h, ends, numbers, turned), dim=0)[:2].T.numpy()


class SymmetricEncoder(nn.Module):
    """Mean and log deviation of a place (C, width) for each concept, from its text and from messages that have no direction."""

    def __init__(self, inputs: int, hidden: int, width: int) -> None:
        super().__init__()
        self.first = GCNConv(inputs, hidden)
        self.mean, self.log_sd = GCNConv(hidden, width), GCNConv(hidden, width)

    def forward(self, x: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.relu(self.first(x, edges))
        return self.mean(h, edges), self.log_sd(h, edges)
