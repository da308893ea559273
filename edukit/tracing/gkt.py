"""Graph-based knowledge tracing: a state per learner and concept, and messages along the concept graph."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from edukit.protocols import PrerequisiteGraph
from edukit.tracing.networks import NetworkModel, Steps, TracingNetwork
from edukit.tracing.sequences import Vocabulary

RELATIONS = 2  # 0: to what requires the answered concept; 1: to what the answered concept requires


class Touched(NamedTuple):
    """What the responses of some learners touch, step after step; ``cuts`` say where each step ends.

    Nodes are (learner, concept) pairs: first the answered concepts of all learners of a step, then their neighbours.
    """

    response: Tensor  # (M,) which response, counted step by step, touched the node
    concept: Tensor  # (M,) concept of the node
    learner: Tensor  # (M,) learner of the node
    answered: Tensor  # (M,) whether the concept was answered rather than only next to an answered one
    node_cuts: list[int]
    ports: Tensor  # (2, E) from and to which port: number of the node within its step, times RELATIONS, plus the relation
    edge_cuts: list[int]


class Reach(nn.Module):
    """For every concept set, the concepts a response to it touches and the edges between them, as flat tables."""

    def __init__(self, members: list[list[int]], edges: np.ndarray) -> None:
        super().__init__()
        around: dict[int, list[tuple[int, int]]] = {}
        for requires, concept in edges.tolist():
            around.setdefault(requires, []).append((concept, 0))
            around.setdefault(concept, []).append((requires, 1))
        nodes: list[tuple[int, bool]] = []
        arrows: list[tuple[int, int, int]] = []
        node_end, edge_end = [0], [0]
        for own in members:
            place = {concept: k for k, concept in enumerate(own)}
            for source in own:
                for target, relation in around.get(source, ()):
                    if target not in own:
                        arrows.append((place[source], place.setdefault(target, len(place)), relation))
            nodes += [(concept, k < len(own)) for concept, k in place.items()]
            node_end.append(len(nodes))
            edge_end.append(len(arrows))
        for name, value in (("nodes", np.array(nodes, np.int64).reshape(-1, 2)), ("arrows", np.array(arrows, np.int64).reshape(-1, 3)),
                            ("node_end", np.array(node_end)), ("edge_end", np.array(edge_end))):
            self.register_buffer(name, torch.from_numpy(value), persistent=False)

    @staticmethod
    def _spread(ends: Tensor, sets: Tensor) -> tuple[Tensor, Tensor]:
        """Which response each row of a flat table belongs to, and which row it is, for responses to these sets."""
        n = ends[sets + 1] - ends[sets]
        owner = torch.repeat_interleave(torch.arange(len(sets), device=sets.device), n)
        return owner, torch.arange(len(owner), device=sets.device) - (torch.cumsum(n, 0) - n - ends[sets])[owner]

    def touched(self, steps: Steps) -> Touched:
        """Nodes and edges of every step, from (B, T) padded responses."""
        when, who = torch.nonzero(steps.mask.T, as_tuple=True)
        sets, length = steps.concepts[who, when], steps.mask.shape[1]
        response, row = self._spread(self.node_end, sets)
        size = torch.bincount(when[response], minlength=length)
        origin = self.node_end[sets + 1] - self.node_end[sets]
        origin = torch.cumsum(origin, 0) - origin  # first node of each response
        before = torch.cumsum(size, 0) - size  # first node of each step
        sent, arrow = self._spread(self.edge_end, sets)
        base = (origin - before[when])[sent]
        flow = torch.bincount(when[sent], minlength=length)
        return Touched(response, self.nodes[row, 0], who[response], self.nodes[row, 1].bool(), size.tolist(),
                       torch.stack([(base + self.arrows[arrow, end]) * RELATIONS + self.arrows[arrow, 2] for end in (0, 1)]), flow.tolist())


@cache
def _neighbour_messages() -> type[nn.Module]:
    """The message passing layer; torch_geometric is imported the first time a graph with edges is used."""
    from torch_geometric.nn import MessagePassing

    class NeighbourMessages(MessagePassing):
        """Mean over answered neighbours i of f_r([h_i, x_i, h_j, x_j]), summed over the relations r (Nakagawa et al., 2019, equation 2).

        f_r = V_r relu(S_r [h_i, x_i] + R_r [h_j, x_j]). Every node has one port per relation, so that one pass serves all of them.
        """

        def __init__(self, features: int, hidden: int) -> None:
            super().__init__(aggr="mean")
            self.send, self.receive = nn.Linear(features, RELATIONS * hidden), nn.Linear(features, RELATIONS * hidden)
            self.read = nn.Linear(RELATIONS * hidden, hidden, bias=False)
            self.hidden = hidden

        def forward(self, x: Tensor, ports: Tensor) -> Tensor:
            sent, kept = self.send(x).view(-1, self.hidden), self.receive(x).view(-1, self.hidden)
            return self.read(self.propagate(ports, sent=sent, kept=kept).view(len(x), -1))

        def message(self, sent_j: Tensor, kept_i: Tensor) -> Tensor:
            return torch.relu(sent_j + kept_i)

    return NeighbourMessages


def _two_layers(features: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, hidden))


class GKTNetwork(TracingNetwork):
    """(B, C, hidden) states; a response updates its own concepts and, by messages, their neighbours; all else stays."""

    trim: ClassVar[float] = 0.0  # a step computes only what it touches: pads cost nothing, cutting a batch would

    def __init__(self, vocabulary: Vocabulary, edges: np.ndarray, hidden: int, dropout: float, item_bias: bool) -> None:
        super().__init__(vocabulary, item_bias)
        self.width = len(vocabulary.concept_ids) + 1
        members = [[c for c in row if c >= 0] or [self.unlisted] for row in vocabulary.concept_sets.tolist()]
        self.reach = Reach(members, edges)
        self.first = nn.Parameter(0.1 * torch.randn(self.width, hidden))
        self.response = nn.Parameter(torch.randn(self.width, 2, hidden) / hidden**0.5)
        self.concept = nn.Parameter(torch.randn(self.width, hidden) / hidden**0.5)
        self.own = _two_layers(2 * hidden, hidden)
        self.neighbours = _neighbour_messages()(2 * hidden, hidden) if len(edges) else None
        self.erase_add = nn.Linear(hidden, 2 * hidden)
        self.update = nn.GRUCell(hidden, hidden)
        self.dropout = nn.Dropout(dropout)
        self.read = nn.Linear(hidden, 1, bias=False)
        self.offset = nn.Parameter(torch.zeros(self.width))

    def _walk(self, steps: Steps, state: Tensor | None) -> tuple[Tensor, Touched, list[Tensor]]:
        """State (B, C + 1, hidden) after all steps, what they touched, and the touched states just before each step."""
        learners = len(steps.mask)
        states = (self.first.expand(learners, -1, -1) if state is None else state).reshape(learners * self.width, -1)
        touched = self.reach.touched(steps)
        correct = steps.correct.T[steps.mask.T][touched.response].unsqueeze(-1)
        wrong, right = self.response[touched.concept].unbind(1)
        told = torch.where(touched.answered.unsqueeze(-1), correct * right + (1 - correct) * wrong, self.concept[touched.concept])
        before = []
        nodes = touched.learner * self.width + touched.concept
        by_step = (part.split(touched.node_cuts) for part in (nodes, told, touched.answered))
        for node, x, answered, ports in zip(*by_step, touched.ports.split(touched.edge_cuts, dim=1), strict=True):
            held = states.index_select(0, node)
            before.append(held)
            features = torch.cat([held, x], dim=-1)
            message = self.own(features)
            if self.neighbours is not None:
                message = torch.where(answered.unsqueeze(-1), message, self.neighbours(features, ports))
            erase, add = self.erase_add(message).chunk(2, dim=-1)
            message = message - torch.sigmoid(erase) * message + torch.tanh(add)
            states = states.index_copy(0, node, self.update(message, held))
        return states.reshape(learners, self.width, -1), touched, before

    def forward(self, steps: Steps) -> Tensor:
        _, touched, before = self._walk(steps, None)
        answered = touched.answered
        held = self.dropout(torch.cat(before)[answered])
        each = self.read(held).squeeze(-1) + self.offset[touched.concept[answered]]
        response = touched.response[answered]
        number = int(steps.mask.sum())
        mean = torch.zeros(number, device=each.device).index_add(0, response, each) / torch.bincount(response, minlength=number)
        logit = torch.zeros_like(steps.correct).T.masked_scatter(steps.mask.T, mean).T
        return logit + self.easiness(steps.item)

    def start(self) -> Tensor:
        return self.first.unsqueeze(0).clone()

    def after(self, steps: Steps, state: Tensor | None) -> Tensor:
        return self._walk(steps, state)[0]

    def concept_logits(self, state: Tensor) -> Tensor:
        return self.read(state[:, :self.unlisted]).squeeze(-1) + self.offset[:self.unlisted]


class GKT(NetworkModel):
    """Follows a learner by one state per concept: a response moves its concepts, and what is next to them in the graph.

    m_k = f_own(h_k, response) for answered concepts; m_j = mean f_r(h_k, response, h_j, concept j) for their neighbours,
    with one f_r towards what requires k and one towards what k requires; h = GRU(erase-add(m), h);
    P(item i right next) = sigmoid(mean over its concepts of (w h_k + o_k) + b_i). Every other concept keeps its state.

    Parameters
    ----------
    hidden : int
        Width of the state of one concept.
    dropout : float
        Of the state, where it is read.
    item_bias : bool
        Whether every item has an easiness b_i of its own.
    top_k : int
        Neighbours a concept sends messages to in each direction, the most probable edges first; a graph without edges is
        allowed, and every concept is then traced alone.
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
    Nakagawa, Iwasawa and Matsuo, "Graph-based Knowledge Tracing: Modeling Student Proficiency Using Graph Neural Network", WI 2019.
    """

    kind: ClassVar[str] = "gkt"

    def __init__(self, hidden: int = 32, dropout: float = 0.2, item_bias: bool = True, top_k: int = 8, epochs: int = 20, patience: int = 3,
                 batch_size: int = 64, learning_rate: float = 1e-2, valid_share: float = 0.1, device: str = "cpu",
                 checkpoint_dir: str | None = None, seed: int = 0) -> None:
        self.hidden, self.dropout, self.item_bias, self.top_k = hidden, dropout, item_bias, top_k
        self.epochs, self.patience, self.batch_size, self.learning_rate = epochs, patience, batch_size, learning_rate
        self.valid_share, self.device, self.checkpoint_dir, self.seed = valid_share, device, checkpoint_dir, seed

    @property
    def settings(self) -> dict[str, Any]:
        """Constructor arguments that shape the fitted model."""
        return {name: getattr(self, name) for name in (
            "hidden", "dropout", "item_bias", "top_k", "epochs", "patience", "batch_size", "learning_rate", "valid_share", "seed")}

    def _structure(self, graph: PrerequisiteGraph) -> dict[str, np.ndarray]:
        return {"edges": _strongest(graph, self.top_k)}

    def _network(self, vocabulary: Vocabulary, structure: dict[str, np.ndarray]) -> GKTNetwork:
        return GKTNetwork(vocabulary, structure["edges"], self.hidden, self.dropout, self.item_bias)


def _strongest(graph: PrerequisiteGraph, top_k: int) -> np.ndarray:
    """(E, 2) edges (prerequisite, concept) that are among the ``top_k`` most probable of both of their ends."""
    pairs = graph.prerequisites.groupby(["requires_id", "concept_id"])["weight"].max()
    edges = pd.DataFrame(graph.adjacency(), columns=["requires", "concept"])
    ids = np.asarray(graph.concept_ids, object)
    weight = -pairs.reindex(pd.MultiIndex.from_arrays([ids[edges["requires"]], ids[edges["concept"]]])).to_numpy(float)
    edges = edges.assign(weight=weight).sort_values(["weight", "requires", "concept"])
    kept = (edges.groupby("requires").cumcount() < top_k) & (edges.groupby("concept").cumcount() < top_k)
    return edges.loc[kept, ["requires", "concept"]].sort_values(["requires", "concept"]).to_numpy(np.int64)
