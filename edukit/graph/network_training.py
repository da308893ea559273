"""How a network learns from judged pairs: in turn, some concepts are taken for unseen, their pairs are asked and pass no message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from edukit.graph.hetero_network import COURSES, Messages, PairNetwork

if TYPE_CHECKING:
    from edukit.training import TrainingLoop


class Step(NamedTuple):
    """Pairs asked together, and the messages while they are asked; ``course_ends`` and ``course_label`` are asked of courses (may be empty)."""

    messages: Messages
    ends: Tensor
    numbers: Tensor | None
    turned: Tensor | None
    label: Tensor
    course_ends: Tensor
    course_label: Tensor


def no_courses() -> tuple[Tensor, Tensor]:
    """Ends and labels where nothing is asked of courses."""
    return torch.zeros((2, 0), dtype=torch.int64), torch.zeros(0)


def ask_courses(step: Step, links: np.ndarray, courses: int, rng: np.random.Generator) -> Step:
    """The step with half of the course edges asked, with their reverses and as many random pairs as negatives, and left out of the messages."""
    if not links.shape[1]:
        return step
    asked = rng.random(links.shape[1]) < 0.5
    yes = links[:, asked]
    no = np.hstack([yes[::-1], rng.integers(0, courses, (2, yes.shape[1]))])
    known = set(map(tuple, links.T.tolist()))
    no = no[:, [pair[0] != pair[1] and pair not in known for pair in map(tuple, no.T.tolist())]]
    index, weight = dict(step.messages.index), dict(step.messages.weight)
    kept = links[:, ~asked]
    for edge, ends in zip(COURSES, (kept[::-1], kept), strict=True):
        if edge in index:
            index[edge], weight[edge] = torch.from_numpy(ends.copy()), torch.ones(ends.shape[1])
    label = torch.cat([torch.ones(yes.shape[1]), torch.zeros(no.shape[1])])
    return step._replace(messages=Messages(index, weight), course_ends=torch.from_numpy(np.hstack([yes, no])), course_label=label)


def _cross_entropy(found: tuple[Tensor, Tensor], label: Tensor) -> Tensor:
    yes, no = found
    return -(label * yes + (1 - label) * no).sum()


@dataclass(frozen=True)
class Training:
    """How long and how fast a network learns, and how much the courses' own prerequisites count beside the pairs."""

    epochs: int
    patience: int
    learning_rate: float
    course_weight: float
    course_epochs: int
    seed: int

    def loss(self, network: PairNetwork, step: Step) -> tuple[Tensor, int]:
        """Summed cross-entropy of the pairs (and of courses, scaled to as many), and their number."""
        h = network.encode(step.messages)
        n = len(step.label)
        total = _cross_entropy(network(h["concept"], step.ends, step.numbers, step.turned), step.label) if n else torch.zeros(())
        if len(step.course_label):
            asked = _cross_entropy(network(h["course"], step.course_ends, None, None), step.course_label) / len(step.course_label)
            total = total + (self.course_weight * n if n else 1.0) * asked
        return total, max(n, 1)

    def fit(self, network: PairNetwork, steps: list[Step], valid: Step, links: np.ndarray, courses: int) -> pd.DataFrame:
        """Train in place until ``valid`` is predicted no better; see :meth:`edukit.training.TrainingLoop.fit`.

        The first ``course_epochs`` epochs ask of courses only; then each step asks of both.
        """
        from edukit.training import TrainingLoop

        def batches(epoch: int) -> list[list[Step]]:
            rng = np.random.default_rng((self.seed, epoch))
            order = [steps[k] for k in rng.permutation(len(steps))]
            if self.course_weight or epoch < self.course_epochs:
                order = [ask_courses(step, links, courses, rng) for step in order]
            if epoch < self.course_epochs and links.shape[1]:
                order = [step._replace(ends=step.ends[:, :0], label=step.label[:0], numbers=None, turned=None) for step in order]
            return [[step] for step in order]

        loop = TrainingLoop(self.epochs + self.course_epochs, self.patience + self.course_epochs, self.learning_rate, seed=self.seed)
        return loop.fit(network, batches, lambda: [[valid]], self.loss)  # type: ignore[arg-type]


def fit_symmetric(x: Tensor, positives: np.ndarray, valid: np.ndarray, hidden: int, width: int, loop: TrainingLoop) -> tuple[np.ndarray, Tensor, pd.DataFrame]:
    """Fit a variational graph autoencoder on training prerequisites whose direction is forgotten.

    Parameters
    ----------
    x : (C, F) texts of the concepts.
    positives, valid : (2, E) ends of the prerequisites, and (E,) which of them decide when to stop.
    hidden, width : of the layer between, and of the places.
    loop : how it is trained.

    Returns
    -------
    (C, width) places, (2, M) edges that carried messages to them, and the record of training.
    """
    from torch_geometric.nn import VGAE
    from torch_geometric.utils import to_undirected

    from edukit.graph.hetero_network import SymmetricEncoder

    size, edges = len(x), torch.from_numpy(positives)
    joined = to_undirected(edges, num_nodes=size)
    known = joined[0].numpy() * size + joined[1].numpy()

    def asked(told: np.ndarray, yes: np.ndarray, epoch: int) -> tuple[Tensor, Tensor, Tensor]:
        """Messages, prerequisites asked, and as many pairs that nobody joined."""
        drawn = np.random.default_rng((loop.seed, epoch, 1)).integers(0, size, (2, 4 * int(yes.sum())))
        free = drawn[:, ~np.isin(drawn[0] * size + drawn[1], known) & (drawn[0] != drawn[1])][:, :int(yes.sum())]
        return to_undirected(edges[:, torch.from_numpy(told)], num_nodes=size), edges[:, torch.from_numpy(yes)], torch.from_numpy(free)

    def batches(epoch: int) -> list[list[tuple[Tensor, Tensor, Tensor]]]:
        half = np.random.default_rng((loop.seed, epoch)).random(len(valid)) < 0.5
        return [[asked(half & ~valid, ~half & ~valid, epoch)]]

    def loss(module: Any, part: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, int]:
        told, yes, no = part
        n = max(yes.shape[1], 1)
        place = module.encode(x, told)
        return (module.recon_loss(place, yes, no) if yes.shape[1] and no.shape[1] else torch.zeros(())) * n + module.kl_loss() * n / size, n

    with torch.random.fork_rng():
        torch.manual_seed(loop.seed)
        network = VGAE(SymmetricEncoder(x.shape[1], hidden, width))
    last = [[asked(~valid, valid, loop.epochs)]]
    record = loop.fit(network, batches, lambda: last, loss)
    with torch.no_grad():
        return network.encode(x, joined).numpy(), joined, record
