"""Graph-based knowledge tracing: a state per learner and concept, and messages along the concept graph."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from edukit.protocols import PrerequisiteGraph
from edukit.tracing.networks import NetworkModel, Steps, TracingNetwork
from edukit.tracing.recurrence import dropped, walk
from edukit.tracing.sequences import Vocabulary

RELATIONS = 2  # 0: to what requires the answered concept; 1: to what the answered concept requires


class Touched(NamedTuple):
    """What the responses of some learners touch, step after step: A answered (learner, concept) pairs, and N next to them."""

    response: Tensor  # (A,) which response, counted step by step
    concept: Tensor  # (A,) the concept answered
    learner: Tensor  # (A,)
    near: Tensor  # (N,) the concept next to an answered one
    near_learner: Tensor  # (N,)
    ports: Tensor  # (2, E) from (answered) and to (near) which port: that number times RELATIONS, plus the relation
    share: Tensor  # (E, 1) one by the number of edges to the same port
    ends: list[list[int]]  # per step, where its answered pairs, those near and its edges end; the first entry is zero

    def between(self, first: int, last: int) -> tuple[slice, slice, Tensor, Tensor]:
        """Rows of the answered pairs and of those near in some steps; their ports, counted from the first of these rows, with shares."""
        (answer, near, edge), (answer_end, near_end, edge_end) = self.ends[first], self.ends[last]
        shift = torch.tensor([[answer * RELATIONS], [near * RELATIONS]], device=self.ports.device)
        return slice(answer, answer_end), slice(near, near_end), self.ports[:, edge:edge_end] - shift, self.share[edge:edge_end]


class Reach(nn.Module):
    """For every concept set, its concepts, those next to them and the edges between, as flat tables."""

    def __init__(self, members: list[list[int]], edges: np.ndarray) -> None:
        super().__init__()
        around: dict[int, list[tuple[int, int]]] = {}
        for requires, concept in edges.tolist():
            around.setdefault(requires, []).append((concept, 0))
            around.setdefault(concept, []).append((requires, 1))
        near: list[int] = []
        arrows: list[tuple[int, int, int]] = []
        ends = [[0, 0, 0]]
        for own in members:
            place: dict[int, int] = {}
            for source, concept in enumerate(own):
                arrows += [(source, place.setdefault(target, len(place)), relation)
                           for target, relation in around.get(concept, ()) if target not in own]
            near += place
            ends.append([ends[-1][0] + len(own), len(near), len(arrows)])
        for name, value in (("own", np.concatenate(members)), ("near", np.array(near, np.int64)), ("ends", np.array(ends)),
                            ("arrows", np.array(arrows, np.int64).reshape(-1, 3))):
            self.register_buffer(name, torch.from_numpy(value), persistent=False)

    def touched(self, steps: Steps) -> Touched:
        """What every step touches, from (B, T) padded responses."""
        when, who = torch.nonzero(steps.mask.T, as_tuple=True)
        sets = steps.concepts[who, when]
        size = self.ends[sets + 1] - self.ends[sets]  # (responses, 3)
        before = torch.cumsum(size, 0) - size
        owner = [torch.repeat_interleave(torch.arange(len(sets), device=sets.device), n) for n in size.unbind(1)]
        row = [torch.arange(len(of), device=sets.device) + (self.ends[sets, k] - before[:, k])[of] for k, of in enumerate(owner)]
        response, near, sent = owner
        ports = (self.arrows[row[2], :2] + before[sent, :2]).T * RELATIONS + self.arrows[row[2], 2]
        share = 1 / torch.bincount(ports[1])[ports[1]].unsqueeze(1)
        by_step = torch.zeros(steps.mask.shape[1] + 1, 3, dtype=torch.int64, device=sets.device).index_add_(0, when + 1, size)
        return Touched(response, self.own[row[0]], who[response], self.near[row[1]], who[near], ports, share, torch.cumsum(by_step, 0).tolist())


class Messages(nn.Module):
    """Mean over answered neighbours i of f_r([h_i, x_i, h_j, x_j]), summed over the relations r (Nakagawa et al., 2019, equation 2).

    f_r = V_r relu(S_r [h_i, x_i] + R_r [h_j, x_j]). Every pair has one port per relation, so that one pass serves all of them.
    """

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.send, self.receive = nn.Linear(features, RELATIONS * hidden), nn.Linear(features, RELATIONS * hidden)
        self.read = nn.Linear(RELATIONS * hidden, hidden, bias=False)

    def forward(self, sent: Tensor, kept: Tensor, ports: Tensor, share: Tensor) -> Tensor:
        """(N, hidden) messages, from S [h, x] (A, RELATIONS * hidden) and R [h, x] (N, RELATIONS * hidden)."""
        ways = [part.reshape(len(part) * RELATIONS, self.read.out_features) for part in (sent, kept)]
        each = torch.relu(ways[0].index_select(0, ports[0]) + ways[1].index_select(0, ports[1])) * share
        return self.read(torch.zeros_like(ways[1]).index_add(0, ports[1], each).view(kept.shape))


def _two_layers(features: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, hidden))


class GKTNetwork(TracingNetwork):
    """(B, C, hidden) states; a response updates its own concepts and, by messages, their neighbours; all else stays."""

    trim: ClassVar[float] = 0.0  # a step computes only what it touches: pads cost nothing, cutting a batch would

    def __init__(self, vocabulary: Vocabulary, edges: np.ndarray, hidden: int, dropout: float, item_bias: bool) -> None:
        super().__init__(vocabulary, item_bias)
        self.width, self.dropout = len(vocabulary.concept_ids) + 1, dropout
        members = [[c for c in row if c >= 0] or [self.unlisted] for row in vocabulary.concept_sets.tolist()]
        self.reach = Reach(members, edges)
        self.first = nn.Parameter(0.1 * torch.randn(self.width, hidden))
        self.response = nn.Parameter(torch.randn(self.width, 2, hidden) / hidden**0.5)
        self.concept = nn.Parameter(torch.randn(self.width, hidden) / hidden**0.5)
        self.own = _two_layers(2 * hidden, hidden)
        self.neighbours = Messages(2 * hidden, hidden) if len(edges) else None
        self.erase_add = nn.Linear(hidden, 2 * hidden)
        self.update = nn.GRUCell(hidden, hidden)
        self.read = nn.Linear(hidden, 1, bias=False)
        self.offset = nn.Parameter(torch.zeros(self.width))

    def _inputs(self, held: Tensor, told: Tensor, *layers: nn.Linear) -> list[Tensor]:
        """What ``layers`` make of [held, told], where ``told`` went through them before (see ``_told``)."""
        width = held.shape[1]
        product = torch.addmm(told, held, torch.cat([layer.weight[:, :width] for layer in layers]).t())
        return list(product.split([layer.out_features for layer in layers], dim=1))

    def _told(self, told: Tensor, *layers: nn.Linear) -> Tensor:
        """The part of ``layers`` that reads what was told, which waits for no state: for all steps at once."""
        width = self.first.shape[1]
        return nn.functional.linear(told, torch.cat([layer.weight[:, width:] for layer in layers]), torch.cat([layer.bias for layer in layers]))

    @property
    def _answering(self) -> list[Any]:
        return [self.own[0], *([self.neighbours.send] if self.neighbours is not None else [])]

    def change(self, held: Tensor, told: Tensor, near_told: Tensor, ports: Tensor, share: Tensor) -> Tensor:
        """(A + N, hidden) states of the touched pairs after their responses, the answered ones first, from those before."""
        answers = len(told)
        own, *sent = self._inputs(held[:answers], told, *self._answering)
        message = self.own[2](torch.relu(own))
        if self.neighbours is not None:
            kept, = self._inputs(held[answers:], near_told, self.neighbours.receive)
            message = torch.cat([message, self.neighbours(sent[0], kept, ports, share)])
        erase, add = self.erase_add(message).chunk(2, dim=-1)
        return self.update(message - torch.sigmoid(erase) * message + torch.tanh(add), held)

    def _walk(self, steps: Steps, state: Tensor | None) -> tuple[Tensor, Touched, Tensor]:
        """State (B, C + 1, hidden) after all steps, what they touched, and the states (A, hidden) of answered concepts just before."""
        learners, touched = len(steps.mask), self.reach.touched(steps)
        correct = steps.correct.T[steps.mask.T][touched.response].unsqueeze(-1)
        wrong, right = nn.functional.embedding(touched.concept, self.response.flatten(1)).chunk(2, dim=-1)
        told = self._told(torch.lerp(wrong, right, correct), *self._answering)
        near = nn.functional.embedding(touched.near, self.concept)
        near = self._told(near, self.neighbours.receive) if self.neighbours is not None else near
        parts = (self.own, self.neighbours, self.erase_add, self.update)
        weights = [weight for part in parts if part is not None for weight in part.parameters()]
        start = (self.first.expand(learners, -1, -1) if state is None else state).reshape(learners * self.width, -1)
        places = (touched.learner * self.width + touched.concept, touched.near_learner * self.width + touched.near)
        after, before = walk(self.change, touched, places, start, (told, near), weights)
        return after.view(learners, self.width, -1), touched, before

    def forward(self, steps: Steps) -> Tensor:
        _, touched, before = self._walk(steps, None)
        each = self.read(dropped(before, self.dropout, self.training)).squeeze(-1) + self.offset[touched.concept]
        number = int(steps.mask.sum())
        mean = torch.zeros(number, device=each.device).index_add(0, touched.response, each) / torch.bincount(touched.response, minlength=number)
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
        Of the state, where it is read; rounded to 1/256.
    item_bias : bool
        Whether every item has an easiness b_i of its own.
    top_k : int
        Neighbours a concept sends messages to in each direction, the most probable edges first; a graph without edges is
        allowed, and every concept is then traced alone.
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
