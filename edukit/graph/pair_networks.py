"""Which concept requires which, read by networks that pass messages between concepts and courses; with 0 layers, each is its own twin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from edukit.graph.pair_features import PairFeatures
from edukit.graph.pair_models import BLOCK, PairModel, Scaler
from edukit.reproducibility import one_thread
from edukit.schema import DataError

if TYPE_CHECKING:  # torch takes seconds to import: each model does so when it is fitted
    from edukit.graph.hetero_network import Messages, PairNetwork
    from edukit.graph.label_propagation import Judgements
    from edukit.graph.network_training import Step
    from edukit.graph.surroundings import Surroundings

Both = tuple[np.ndarray, np.ndarray]  # of pairs, and of their reverses
SHARPNESS = (6.0, 15.0)  # how fast a name ceases to count as alike, where labels are carried from concept to concept


def unseen_part(a: np.ndarray, b: np.ndarray, label: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Which training pairs decide when to stop: those with an end among a ``share`` of the concepts, taken for unseen.

    Both parts hold both labels, or DataError says that there are too few pairs.
    """
    concepts = np.unique([a, b])
    rng = np.random.default_rng(seed)
    for _ in range(50):
        held = rng.choice(concepts, max(1, round(share * len(concepts))), replace=False)
        valid = np.isin(a, held) | np.isin(b, held)
        if len(np.unique(label[valid])) == len(np.unique(label[~valid])) == 2:
            return valid
    raise DataError(f"labels must hold enough pairs to set some concepts apart with both labels; found {len(label):,} pairs of {len(concepts):,} concepts. "
                    "Bring more judged pairs, or use a model without a network (logistic, extra_trees).")


class PairNetworkModel(PairModel):
    """What the networks share: several of them, each stopped on concepts of its own, averaged.

    A training pair is asked while the concepts of a part it has an end in are taken for unseen: neither it, nor its reverse, nor any other judged
    pair of these concepts is among the messages. Asked for new pairs, all training pairs (``edges`` permitting) are messages, and nothing else is.

    Attributes
    ----------
    messages_ : edges of each kind that carry messages when pairs are asked; none with 0 layers.
    """

    def __init__(self, layers: int, hidden: int, components: int, neighbours: int, edges: tuple[str, ...], convolution: str, pair_features: bool,
                 surroundings: bool, propagation: int, course_weight: float, course_epochs: int, networks: int, parts: int, dropout: float, epochs: int,
                 patience: int, learning_rate: float, valid_share: float, threshold: float, most_candidates: int, seed: int) -> None:
        super().__init__(threshold, most_candidates, seed)
        self.layers, self.hidden, self.components, self.neighbours, self.edges = layers, hidden, components, neighbours, tuple(edges)
        self.convolution, self.pair_features, self.surroundings, self.propagation = convolution, pair_features, surroundings, propagation
        self.course_weight, self.course_epochs, self.networks, self.parts = course_weight, course_epochs, networks, parts
        self.dropout, self.epochs, self.patience, self.learning_rate, self.valid_share = dropout, epochs, patience, learning_rate, valid_share

    def predict(self, pairs: pd.DataFrame) -> pd.Series:
        """Probability of each pair, aligned to the index; two concepts are read once for both orders, so that all pairs cost half."""
        if self._features is None:
            return super().predict(pairs)
        a, b = self._features.positions(pairs)
        size, turned = len(self._features.concepts), a > b
        code = np.where(turned, b * size + a, a * size + b) + size**2 * (pairs["domain"].factorize()[0] if "domain" in pairs else 0)
        _, first, place = np.unique(code, return_index=True, return_inverse=True)
        kept = pairs.iloc[first]
        found = [self._both_ways(self._features, kept.iloc[k:k + BLOCK]) for k in range(0, len(kept), BLOCK)]
        said = np.concatenate(found)[place, (turned != turned[first][place]).astype(int)] if found else np.zeros(0)
        return pd.Series(said, index=pairs.index, name="score", dtype="float64")

    def _plain(self, features: PairFeatures, pairs: pd.DataFrame) -> Both:
        """(N, F) features of pairs and of their reverses; F is 0 where they are not used."""
        found = []
        for asked in (pairs, pairs.rename(columns={"concept_id": "requires_id", "requires_id": "concept_id"})):
            parts = [features.numbers(asked)] if self.pair_features else []
            parts += [self._around.numbers(*features.positions(asked))] if self._around is not None else []
            found.append(np.hstack(parts) if parts else np.zeros((len(pairs), 0), np.float32))
        return found[0], found[1]

    def _learn(self, features: PairFeatures, rows: pd.DataFrame, label: np.ndarray) -> None:
        from edukit.graph.free_edges import course_edges
        from edukit.graph.hetero_network import label_free, network_data, with_judged
        from edukit.graph.label_propagation import Judgements, held_out, likeness
        from edukit.graph.surroundings import Surroundings

        edges = self.edges if self.layers else ()
        data = network_data(features, self.components, self.neighbours, edges)
        self._around: Surroundings | None = Surroundings(features, self.neighbours) if self.surroundings else None
        free, links = label_free(data), course_edges(features)
        alike = likeness(features, self.propagation, SHARPNESS) if self.propagation else []
        ends, plain = np.stack(features.positions(rows)), self._plain(features, rows)

        def asked(held: np.ndarray, told: np.ndarray) -> tuple[np.ndarray, Both, np.ndarray, Messages]:
            """Pairs, their numbers and labels, and the messages, where only the pairs ``told`` are known."""
            judged = Judgements(alike, *ends[:, told], label[told]) if alike else None
            numbers = _with_judged((plain[0][held], plain[1][held]), judged, ends[:, held])
            return ends[:, held], numbers, label[held], with_judged(free, edges, *ends[:, told], label[told])

        self.messages_ = with_judged(free, edges, *ends, label)
        self._judged = Judgements(alike, *ends, label) if alike else None
        self._members: list[tuple[PairNetwork, Any]] = []
        self._scaler: Scaler | None = None
        for number in range(self.networks):
            seed = self.seed * 1000 + number
            valid = unseen_part(*ends, label, self.valid_share, seed)
            inside = np.flatnonzero(~valid)
            parts = [asked(held, np.setdiff1d(inside, held)) for held in (inside[h] for h in held_out(*ends[:, inside], self.parts, seed))]
            if not parts:
                raise DataError(f"labels must hold enough pairs to take some concepts in turn for unseen; found {len(label):,} pairs. Bring more judged "
                                "pairs, or use a model without a network (logistic, extra_trees).")
            self._scaler = self._scaler or Scaler(np.concatenate([numbers[0] for _, numbers, _, _ in parts]))
            with one_thread():
                steps = [_step(self._scaler, *part) for part in parts]
                network = self._train(data, steps, _step(self._scaler, *asked(np.flatnonzero(valid), inside)), links, seed)
                self._members.append((network, network.concepts(self.messages_)))

    def _train(self, data: Any, steps: list[Step], valid: Step, links: np.ndarray, seed: int) -> PairNetwork:
        import torch

        from edukit.graph.hetero_network import PairNetwork
        from edukit.graph.network_training import Training

        kinds = list(dict.fromkeys(edge for messages in (valid.messages, self.messages_) for edge in messages.index))
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            width = 0 if valid.numbers is None else valid.numbers.shape[1]
            network = PairNetwork(data, kinds, self.hidden, self.layers, width, self.convolution, self.dropout)
        plan = Training(self.epochs, self.patience, self.learning_rate, self.course_weight, self.course_epochs, seed)
        self.training_ = plan.fit(network, steps, valid, links, data["course"].num_nodes)
        return network

    def _both_ways(self, features: PairFeatures, pairs: pd.DataFrame) -> np.ndarray:
        """(N, 2) probabilities of pairs and of their reverses."""
        ends = np.stack(features.positions(pairs))
        numbers = _with_judged(self._plain(features, pairs), self._judged, ends)
        with one_thread():
            step = _step(self._scaler, ends, numbers, np.zeros(len(pairs)), self.messages_)
            return np.mean([network.probability(h, step.ends, step.numbers, step.turned) for network, h in self._members], axis=0)


def _with_judged(plain: Both, judged: Judgements | None, ends: np.ndarray) -> Both:
    """The features of pairs and of their reverses and, beside them, what is judged of concepts like these."""
    if judged is None:
        return plain
    carried = judged.numbers(*ends)
    return np.hstack([plain[0], carried]), np.hstack([plain[1], judged.turned(carried)])


def _step(scaler: Scaler | None, ends: np.ndarray, numbers: Both, label: np.ndarray, messages: Messages) -> Step:
    import torch

    from edukit.graph.network_training import Step, no_courses

    said = [torch.from_numpy(scaler(n)) if scaler is not None and n.shape[1] else None for n in numbers]
    return Step(messages, torch.from_numpy(ends), said[0], said[1], torch.from_numpy(label.astype(np.float32)), *no_courses())


class CourseGNN(PairNetworkModel):
    """Messages between concepts and the courses that mention them, and between courses and the courses they require; names where there are none.

    p(a requires b) = r sigmoid(u(a, b) - u(b, a)); r is the relatedness of the two, the same both ways; u reads what the network says of both concepts,
    the numbers of the pair, and what is judged of concepts like them (``propagation``).

    Parameters
    ----------
    layers : rounds of messages; with 0 no edge is looked at, and the model is the twin that a network is held against. Say which: it has no default.
    hidden : width of the network.
    components : main components of the texts that concepts and courses bring.
    neighbours : concepts that a concept is joined to by its name, or by courses that mention both.
    edges : which kinds of edge carry messages: similar, together, links, courses (need no label), positives, judged (training pairs).
    convolution : 'mean' | 'attention' (weighs each message by what both ends and the edge say).
    pair_features : whether the decoder reads the numbers of the pair.
    surroundings : whether it reads what lies around the two in the graph that needs no label (shared neighbours, walks), with layers or without.
    propagation : concepts with the closest names from whose judged pairs labels are carried to a pair, as numbers for the decoder; 0 = none.
    course_weight : weight of telling which course requires which, learnt by the same weights from the courses' own texts; 0 = not learnt.
    course_epochs : epochs that learn only this, before the pairs.
    networks : networks averaged, each stopped on validation concepts of its own.
    parts : parts of the concepts that are in turn taken for unseen.
    dropout, epochs, patience, learning_rate : of training.
    valid_share : share of the training concepts whose pairs decide when to stop.
    threshold, most_candidates : of :meth:`graph`.
    seed : of weights, parts and dropout.

    Notes
    -----
    The defaults were chosen on inductive folds of UCD with seeds from 100 on, which no reported number comes from
    (``python -m edukit.experiments.graph_search``): it is there, and not on AL-CPL, that ``propagation`` is shown to pay, with messages or more networks.

    References
    ----------
    Roy, Madhyastha, Lawrence & Rajan (2019), AAAI (EAAI), for concepts and courses read together; Morris et al. (2019), AAAI (the convolution);
    Brody, Alon & Yahav (2022), ICLR (attention); Zhou et al. (2004), NeurIPS (labels carried along likeness).
    """

    def __init__(self, layers: int, hidden: int = 48, components: int = 48, neighbours: int = 8, edges: tuple[str, ...] = ("similar", "courses"),
                 convolution: str = "mean", pair_features: bool = True, surroundings: bool = False, propagation: int = 40, course_weight: float = 0.3,
                 course_epochs: int = 0, networks: int = 2, parts: int = 5, dropout: float = 0.3, epochs: int = 30, patience: int = 4,
                 learning_rate: float = 0.005, valid_share: float = 0.1, threshold: float = 0.5, most_candidates: int = 400, seed: int = 0) -> None:
        super().__init__(layers, hidden, components, neighbours, edges, convolution, pair_features, surroundings, propagation, course_weight, course_epochs,
                         networks, parts, dropout, epochs, patience, learning_rate, valid_share, threshold, most_candidates, seed)


class DirectedGNN(PairNetworkModel):
    """Messages along the training pairs that are prerequisites, one way and the other apart, and between concepts with names alike.

    A concept that nobody has judged hears only from those whose names are like its own.

    Parameters
    ----------
    layers : rounds of messages; with 0 no edge is looked at, and the model is the twin that a network is held against. Say which: it has no default.
    hidden, components, neighbours, convolution, pair_features, networks, parts, dropout, epochs, patience, learning_rate, valid_share, threshold,
    most_candidates, seed : as of :class:`CourseGNN`.

    References
    ----------
    Hamilton, Ying & Leskovec (2017), NeurIPS (messages to concepts never seen); Rossi et al. (2023), LoG (one way and the other apart).
    """

    def __init__(self, layers: int, hidden: int = 48, components: int = 48, neighbours: int = 8, convolution: str = "mean", pair_features: bool = True,
                 networks: int = 2, parts: int = 5, dropout: float = 0.3, epochs: int = 30, patience: int = 4, learning_rate: float = 0.005,
                 valid_share: float = 0.1, threshold: float = 0.5, most_candidates: int = 400, seed: int = 0) -> None:
        super().__init__(layers, hidden, components, neighbours, ("similar", "positives"), convolution, pair_features, False, 0, 0.0, 0, networks, parts,
                         dropout, epochs, patience, learning_rate, valid_share, threshold, most_candidates, seed)


class SymmetricVGAE(PairModel):
    """A negative control: places for concepts whose product says how related two are, so that it cannot say which requires which.

    Each epoch, half of the training prerequisites are messages and the others are asked, with pairs nobody joined as negatives.

    Parameters
    ----------
    hidden, width : of the layer between, and of the places.
    components : main components of the names that concepts bring.
    epochs, patience, learning_rate : of training.
    valid_share : share of the training concepts whose pairs decide when to stop.
    threshold, most_candidates : of :meth:`graph`; a tie of two directions is no edge either way.
    seed : of weights, halves and negatives.

    References
    ----------
    Kipf & Welling (2016), NeurIPS workshop on Bayesian deep learning.
    """

    def __init__(self, hidden: int = 48, width: int = 24, components: int = 48, epochs: int = 80, patience: int = 10, learning_rate: float = 0.01,
                 valid_share: float = 0.1, threshold: float = 0.5, most_candidates: int = 400, seed: int = 0) -> None:
        super().__init__(threshold, most_candidates, seed)
        self.hidden, self.width, self.components, self.epochs, self.patience = hidden, width, components, epochs, patience
        self.learning_rate, self.valid_share = learning_rate, valid_share

    def _learn(self, features: PairFeatures, rows: pd.DataFrame, label: np.ndarray) -> None:
        from edukit.graph.hetero_network import network_data
        from edukit.graph.network_training import fit_symmetric
        from edukit.training import TrainingLoop

        ends = np.stack(features.positions(rows))
        valid = unseen_part(*ends, label, self.valid_share, self.seed)
        x = network_data(features, self.components, 0, ())["concept"].x
        yes, loop = label == 1, TrainingLoop(self.epochs, self.patience, self.learning_rate, seed=self.seed)
        with one_thread():
            places, self.messages_, self.training_ = fit_symmetric(x, ends[:, yes], valid[yes], self.hidden, self.width, loop)
        self._places = places.astype(float)

    def _score(self, features: PairFeatures, pairs: pd.DataFrame) -> np.ndarray:
        a, b = features.positions(pairs)
        return 1 / (1 + np.exp(-(self._places[a] * self._places[b]).sum(axis=1)))
