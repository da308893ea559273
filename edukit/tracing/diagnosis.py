"""Cognitive diagnosis: how much of each concept a learner masters, from responses whose order is unknown."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from edukit.tracing.monotone import Belief, OwnConcepts, Responses, SharedConcepts
from edukit.tracing.sequences import Vocabulary
from edukit.tracing.static_networks import DiagnosisModel

KEPT = 0.7  # share of responses the relation graph sees of a learner while it learns to foretell all of them
COMMON = ("hidden", "item_spread", "epochs", "patience", "batch_size", "learning_rate", "valid_share", "seed")


class RelationNetwork(SharedConcepts):
    """Concepts take in what requires them and what they require; a learner is what their right and wrong answers, as nodes, sum up to."""

    def __init__(self, vocabulary: Vocabulary, hidden: int, item_spread: float, rows: int, embedding: int, concept_spread: float,
                 edges: np.ndarray) -> None:
        from torch_geometric.nn import RGCNConv, SimpleConv

        super().__init__(vocabulary, hidden, item_spread, rows, embedding, concept_spread)
        both = np.concatenate([edges, edges[:, ::-1]]).T
        self.register_buffer("edges", torch.from_numpy(np.ascontiguousarray(both)), persistent=False)
        self.register_buffer("relation", torch.arange(2).repeat_interleave(len(edges)), persistent=False)
        self.around = RGCNConv(embedding, embedding, num_relations=2, aggr="mean", bias=False) if len(edges) else None
        self.sum = SimpleConv(aggr="sum")
        self.node = nn.Embedding(vocabulary.trained + 1, hidden, padding_idx=0)
        nn.init.normal_(self.node.weight, std=0.1)
        self.assesses = nn.Linear(embedding, hidden)
        self.read = nn.Sequential(nn.Linear(2 * hidden + 2, hidden), nn.Tanh(), nn.Linear(hidden, 2 * embedding))

    def vectors(self) -> Tensor:
        around = self.around(self.vector, self.edges, self.relation) if self.around is not None else self.vector
        return self.general + around

    def posterior(self, responses: Responses) -> Belief:
        """Mean and spread of the coordinates, read from the sums of the nodes answered right and of those answered wrong."""
        context, _ = self.context(responses)
        given = responses.given & (torch.rand(responses.given.shape, device=responses.given.device) < KEPT) if self.training else responses.given
        learner, step = torch.nonzero(given, as_tuple=True)
        item, correct = responses.item[learner, step], responses.correct[learner, step]
        concept = (nn.functional.embedding(responses.concept[learner, step], context) * responses.share[learner, step].unsqueeze(-1)).sum(1)
        nodes = torch.cat([self.node(item) + self.assesses(concept), torch.ones_like(correct).unsqueeze(-1)], dim=-1)
        arrows, size = torch.stack([torch.arange(len(item), device=item.device), learner]), (len(item), len(given))
        right, wrong = (self.sum((nodes, None), arrows, weight, size=size) for weight in (correct, 1 - correct))
        n = 1 + right[:, -1:] + wrong[:, -1:]
        mean, log_scale = self.read(torch.cat([right / n, wrong / n], dim=-1)).chunk(2, dim=-1)
        return Belief(context, mean, torch.diag_embed(torch.exp(log_scale)))

    def divergence(self, belief: Belief) -> Tensor:
        scale = torch.diagonal(belief.root, dim1=-2, dim2=-1)
        return (belief.mean.square() + scale.square() - 1).sum() / 2 - torch.log(scale).sum()


class NCDM(DiagnosisModel):
    """Diagnoses a learner by a level on every concept, and asks of an item how far its concepts' levels are above its difficulty.

    logit P(item i right) = f(mean over its concepts k of a_i (sigmoid(theta_k) - sigmoid(d_ik))), f a network with positive weights;
    theta_k = s_0 g + s_1 e_k with g, e_k ~ N(0, 1), so that a concept never met leans on the learner's general level g (the published
    model leaves it where training began). Items are learnt by expectation-maximisation with Laplace's approximation; a learner is
    the most probable theta given his or her responses, so that a right answer never lowers mastery of its concept (where it has one).

    Parameters
    ----------
    hidden : int
        Width of the first layer of f; the second has half of it.
    item_spread : float
        Standard deviation of items around the difficulty of their concept, in logits.
    epochs, patience, batch_size, learning_rate : see :class:`edukit.training.TrainingLoop`; the batch counts learners.
    valid_share : float
        Share of the training learners set aside to decide when to stop: a fifth of their responses is forecast from the others.
    device : 'cpu' | 'cuda' | 'auto'
        Where it trains; predictions are made on the CPU.
    checkpoint_dir : str, optional
        Where a run leaves its state after every epoch, so that a killed one can go on.
    seed : int

    References
    ----------
    Wang, Liu, Chen, Huang, Chen, Yin, Huang and Wang, "Neural Cognitive Diagnosis for Intelligent Education Systems", AAAI 2020.
    """

    kind: ClassVar[str] = "ncdm"

    def __init__(self, hidden: int = 16, item_spread: float = 1.0, epochs: int = 20, patience: int = 3, batch_size: int = 64,
                 learning_rate: float = 5e-3, valid_share: float = 0.1, device: str = "cpu", checkpoint_dir: str | None = None,
                 seed: int = 0) -> None:
        self.hidden, self.item_spread = hidden, item_spread
        self.epochs, self.patience, self.batch_size, self.learning_rate = epochs, patience, batch_size, learning_rate
        self.valid_share, self.device, self.checkpoint_dir, self.seed = valid_share, device, checkpoint_dir, seed

    @property
    def settings(self) -> dict[str, Any]:
        """Constructor arguments that shape the fitted model."""
        return {name: getattr(self, name) for name in COMMON}

    def _network(self, vocabulary: Vocabulary, edges: np.ndarray, rows: int) -> OwnConcepts:
        return OwnConcepts(vocabulary, self.hidden, self.item_spread, rows)


class KaNCD(DiagnosisModel):
    """Diagnoses a learner by few coordinates that all concepts share, so that a concept never met is foretold from those met.

    As :class:`NCDM`, with theta_k = z (v + v_k), z ~ N(0, I) the learner, v what all concepts have in common and v_k ~ N(0, spread^2).

    Parameters
    ----------
    hidden, item_spread, epochs, patience, batch_size, learning_rate, valid_share, device, checkpoint_dir, seed : see :class:`NCDM`.
    embedding : int
        D, coordinates of a learner and of a concept.
    concept_spread : float
        How far concepts differ from each other; small where responses are few for each concept.

    References
    ----------
    Wang, Liu, Chen, Huang, Yin, Wang and Su, "NeuralCD: A General Framework for Cognitive Diagnosis", IEEE TKDE 2022.
    """

    kind: ClassVar[str] = "kancd"

    def __init__(self, hidden: int = 16, embedding: int = 4, item_spread: float = 1.0, concept_spread: float = 0.1, epochs: int = 20,
                 patience: int = 3, batch_size: int = 64, learning_rate: float = 5e-3, valid_share: float = 0.1, device: str = "cpu",
                 checkpoint_dir: str | None = None, seed: int = 0) -> None:
        self.hidden, self.embedding, self.item_spread, self.concept_spread = hidden, embedding, item_spread, concept_spread
        self.epochs, self.patience, self.batch_size, self.learning_rate = epochs, patience, batch_size, learning_rate
        self.valid_share, self.device, self.checkpoint_dir, self.seed = valid_share, device, checkpoint_dir, seed

    @property
    def settings(self) -> dict[str, Any]:
        """Constructor arguments that shape the fitted model."""
        return {name: getattr(self, name) for name in ("embedding", "concept_spread", *COMMON)}

    def _network(self, vocabulary: Vocabulary, edges: np.ndarray, rows: int) -> SharedConcepts:
        return SharedConcepts(vocabulary, self.hidden, self.item_spread, rows, self.embedding, self.concept_spread)


class RCD(KaNCD):
    """Diagnoses a learner by messages in a graph of learners, items and concepts, responses being edges with a sign.

    Concept vectors take in those of their prerequisites and of what requires them; an item is a node of its own and its concepts'; a
    learner is read from the mean of the nodes answered right and of those answered wrong. No learner has parameters, so this form is
    inductive (the published ones learn a vector per learner): learners never seen are read as all others are. The reading is learnt
    as that of a variational autoencoder from 70 % of the responses. That a right answer never lowers mastery is not guaranteed here.

    Parameters
    ----------
    hidden, embedding, item_spread, concept_spread, epochs, patience, batch_size, learning_rate, valid_share, device, checkpoint_dir, seed :
        See :class:`KaNCD`; a graph without prerequisites is allowed.

    References
    ----------
    Gao et al., "RCD: Relation Map Driven Cognitive Diagnosis for Intelligent Education Systems", SIGIR 2021.
    Qian et al., "ORCDF: An Oversmoothing-Resistant Cognitive Diagnosis Framework for Student Learning in Online Education Systems", KDD 2024.
    """

    kind: ClassVar[str] = "rcd"

    def _network(self, vocabulary: Vocabulary, edges: np.ndarray, rows: int) -> RelationNetwork:
        return RelationNetwork(vocabulary, self.hidden, self.item_spread, rows, self.embedding, self.concept_spread, edges)
