"""How ATLAS learns: hide a fifth of everybody's answers, foretell it from the rest, and keep a graph only if that helps learners set aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from edukit.graph.stability import NOTHING, SOMETHING, TOO_LITTLE
from edukit.tracing.atlas_edges import EdgeNetwork
from edukit.tracing.atlas_messages import Asked, Messages, Residual, Wires, wire
from edukit.tracing.irt import StaticIRT
from edukit.tracing.sequences import Histories

MASKS = 5  # a learner's answers are hidden in as many parts, one after the other
CHECK = 10  # steps between two looks at the learners set aside
PATIENCE = 6  # looks without a better one that end the training
STEADY = 4  # rounds that bring item terms to rest
LEAST = 10  # learners set aside, below which nothing can be said of a graph
LEVEL, ONE_SIDED = 0.05, 1.645  # of the verdict
SMALL = -1e-5  # a gain in log-loss that is none


@dataclass(frozen=True, eq=False)
class Scene:
    """Hidden answers of some learners: what is asked, its wires for a set of edges, the answers (N,) and whose they are (N,)."""

    asked: Asked
    wires: Wires
    correct: Tensor
    learner: np.ndarray

    def rewired(self, base: StaticIRT, edges: np.ndarray) -> Scene:
        """The same under other edges."""
        return replace(self, wires=wire(self.asked, base.items_, base.vocabulary_, edges, torch.float32))


def placed(base: StaticIRT, histories: Histories, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean and variance of every learner's ability (B,) from the kept rows only."""
    offsets = np.concatenate([[0], np.cumsum(np.bincount(histories.learner[kept], minlength=len(histories)))])
    return base._abilities(Histories(histories.learner_ids, offsets, histories.item[kept], histories.correct[kept], histories.position[kept]))


def parts(histories: Histories, rng: np.random.Generator) -> np.ndarray:
    """(N,) which of :data:`MASKS` equal parts of a learner's answers each one is in."""
    order = np.lexsort((rng.random(len(histories.item)), histories.learner))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - histories.offsets[histories.learner[order]]
    return (rank + rng.integers(0, MASKS, len(histories))[histories.learner]) % MASKS


def scenes(base: StaticIRT, histories: Histories, part: np.ndarray, fold: np.ndarray, some: np.ndarray, edges: np.ndarray) -> list[Scene]:
    """One scene per part that is hidden, of the learners ``some`` (B,) bool; ``fold`` (B,) says whose edge numbers a learner sees."""
    found, mine = [], some[histories.learner]
    for hidden in range(MASKS):
        asked, kept = mine & (part == hidden), mine & (part != hidden)
        if asked.any():
            told = Asked(histories.learner[asked], histories.item[asked], histories.learner[kept], histories.item[kept], histories.correct[kept],
                         *placed(base, histories, kept), fold)
            found.append(Scene(told, wire(told, base.items_, base.vocabulary_, edges, torch.float32), torch.from_numpy(histories.correct[asked]).float(),
                               histories.learner[asked]))
    return found


def log_losses(p: Tensor, correct: Tensor) -> Tensor:
    """(N,) negative log-likelihood."""
    return nn.functional.binary_cross_entropy(p, correct, reduction="none")


@torch.no_grad()
def judged(messages: Messages, probability: Tensor, held: Sequence[Scene]) -> np.ndarray:
    """(rows,) losses of scenes, one after the other."""
    return np.concatenate([log_losses(messages(s.wires, probability), s.correct).numpy() for s in held]) if held else np.zeros(0)


@torch.no_grad()
def settle(messages: Messages, probability: Tensor, held: Sequence[Scene]) -> None:
    """Bring the item terms to rest for these edges; no answer is read."""
    for _ in range(STEADY):
        for scene in held:
            messages.centre(scene.wires, messages(scene.wires, probability), 0.5)


@dataclass(frozen=True, eq=False)
class Taught:
    """A trained model: its state, its loss on learners set aside, and the penalty it was trained under."""

    messages: Messages
    network: EdgeNetwork | None
    probability: Tensor
    loss: float
    sparsity: float


def learn(items: int, edges: EdgeNetwork | Tensor, train: Sequence[Scene], valid: Sequence[Scene], sparsity: float, steps: int, rate: float,
          labels: tuple[Tensor, Tensor, float] | None) -> Taught:
    """Fit strengths, and edges where they are a network, by minibatches of one scene; the best look at ``valid`` is kept.

    Parameters
    ----------
    edges : a network, or fixed (1, E) probabilities. sparsity : weight of the penalty on edges; 1 is that of the evidence lower bound.
    labels : candidates whose truth is known (indices, 0 or 1), and the weight of one of them, or None.
    """
    messages = Messages(items)
    network = edges if isinstance(edges, EdgeNetwork) else None
    groups = [{"params": [messages.raw], "lr": 5 * rate}] + ([{"params": list(network.parameters()), "lr": rate}] if network is not None else [])
    optimiser, rows = torch.optim.Adam(groups), sum(len(s.correct) for s in train)
    best: tuple[float, dict, dict] | None = None
    waited = 0
    for step in range(steps + 1):
        if step % CHECK == 0:
            with torch.no_grad():
                probability = network()[0] if network is not None else edges
            loss = float(judged(messages, probability, valid or train).mean())
            if best is None or loss < best[0] + SMALL:
                best = (loss, _copied(messages), _copied(network))
                waited = 0
            elif (waited := waited + 1) > PATIENCE:
                break
        scene = train[step % len(train)]
        probability = network()[0] if network is not None else edges
        p = messages(scene.wires, probability)
        loss_of = log_losses(p, scene.correct).mean()
        if network is not None:
            loss_of = loss_of + sparsity * network.penalty(probability) / rows
            if labels is not None:
                loss_of = loss_of + labels[2] * sum(log_losses(each[labels[0]], labels[1]).sum() for each in probability) / len(probability) / rows
        optimiser.zero_grad()
        loss_of.backward()
        optimiser.step()
        messages.centre(scene.wires, p.detach(), 0.5)
    assert best is not None
    messages.load_state_dict(best[1])
    if network is not None:
        network.load_state_dict(best[2])
    with torch.no_grad():
        probability = network()[0] if network is not None else edges
    return Taught(messages, network, probability, best[0], sparsity)


def _copied(module: nn.Module | None) -> dict:
    return {name: value.detach().clone() for name, value in module.state_dict().items()} if module is not None else {}


def head(taught: Taught, hidden: int, train: Sequence[Scene], valid: Sequence[Scene], steps: int, rate: float) -> Residual:
    """Fit the residual head on what the messages leave."""
    residual = Residual(hidden)
    optimiser, best, waited = torch.optim.Adam(residual.parameters(), lr=rate), (np.inf, _copied(residual)), 0
    with torch.no_grad():
        told = {id(s): (p := taught.messages.sums(s.wires, taught.probability), taught.messages.joined(s.wires, *p)) for s in (*train, *valid)}

    def loss_of(scene: Scene) -> Tensor:
        sums, p = told[id(scene)]
        return log_losses(residual(scene.wires, p, *sums), scene.correct)

    for step in range(steps + 1):
        if step % CHECK == 0:
            with torch.no_grad():
                loss = float(torch.cat([loss_of(s) for s in valid or train]).mean())
            if loss < best[0] + SMALL:
                best, waited = (loss, _copied(residual)), 0
            elif (waited := waited + 1) > PATIENCE:
                break
        optimiser.zero_grad()
        loss_of(train[step % len(train)]).mean().backward()
        optimiser.step()
    residual.load_state_dict(best[1])
    return residual


@torch.no_grad()
def with_head(taught: Taught, residual: Residual, held: Sequence[Scene]) -> np.ndarray:
    """(rows,) losses with the residual head."""
    found = []
    for s in held:
        sums = taught.messages.sums(s.wires, taught.probability)
        found.append(log_losses(residual(s.wires, taught.messages.joined(s.wires, *sums), *sums), s.correct).numpy())
    return np.concatenate(found)


def verdict(base: StaticIRT, none: Taught, taught: Taught, pairs: np.ndarray, check: Sequence[Scene], permutations: int,
            rng: np.random.Generator) -> dict[str, float | str]:
    """Whether the graph helps learners that neither training nor any choice has seen.

    Two questions: is the log-loss lower than without a graph (paired over learners), and lower than with the same edges between other concepts
    (concepts exchanged at random, strengths kept, item terms brought to rest anew)?

    Returns
    -------
    dict
        ``gain`` in log-loss with ``gain_low, gain_high`` (95 %), ``p_value`` of the exchange, ``learners``, and the ``verdict``.
    """
    who = np.concatenate([s.learner for s in check]) if check else np.zeros(0, int)
    learners = len(np.unique(who))
    if learners < LEAST or not len(pairs):
        return {"gain": 0.0, "gain_low": float("nan"), "gain_high": float("nan"), "p_value": float("nan"), "learners": learners, "verdict": TOO_LITTLE}
    settled = taught.messages.centred.clone()
    settle(taught.messages, taught.probability, check)
    before = judged(none.messages, none.probability, check)
    saved = before - judged(taught.messages, taught.probability, check)
    by_learner, n = np.bincount(who, saved)[np.unique(who)], np.bincount(who)[np.unique(who)]
    gain = float(saved.mean())
    error = float(np.sqrt(((by_learner - gain * n) ** 2).sum()) / n.sum())
    beaten, size = 0, len(base.vocabulary_.concept_ids)
    for _ in range(permutations):
        other = rng.permutation(size)[pairs]
        moved = [s.rewired(base, other) for s in check]
        settle(taught.messages, taught.probability, moved)
        beaten += float((before - judged(taught.messages, taught.probability, moved)).mean()) >= gain
    taught.messages.centred = settled
    p = (1 + beaten) / (1 + permutations)
    low, high = gain - 1.96 * error, gain + 1.96 * error
    return {"gain": gain, "gain_low": low, "gain_high": high, "p_value": p, "learners": learners,
            "verdict": SOMETHING if p <= LEVEL and gain - ONE_SIDED * error > 0 else NOTHING}
