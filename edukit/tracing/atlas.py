"""ATLAS for data without order: what each learner knows, read from their answers through a graph that is given, learnt, or shown to be of no use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch

from edukit.graph.stability import SOMETHING
from edukit.protocols import NotFittedError, PrerequisiteGraph
from edukit.reproducibility import one_thread
from edukit.schema import DataError
from edukit.tracing.atlas_edges import Candidates, EdgeNetwork, draw, find, given_edges
from edukit.tracing.atlas_messages import Asked, Messages, Residual, Wires, wire
from edukit.tracing.atlas_training import MASKS, Scene, Taught, head, judged, learn, parts, placed, scenes, settle, verdict, with_head
from edukit.tracing.irt import StaticIRT
from edukit.tracing.sequences import Histories, counts, mastery_table, read_model, write_model
from edukit.tracing.static_networks import unordered

GRAPHS = ("none", "given", "learned", "given_and_learned")
LEARNERS = 1_000  # whose answers are wired at once
LEAST_COMMON = 10  # learners who met both concepts, below which nothing is said of a learnt edge
LABEL_WEIGHT = 1.0  # a labelled pair against a response


class Atlas:
    """Estimates what a learner knows of every concept from answers in no order, using what concepts require of each other.

    P(correct) starts from a one-parameter logistic model. Each answered concept becomes a belief (answers slip and guess); a failed prerequisite
    then lowers a concept through the gate 1 - rho A (1 - r), a passed concept raises what it requires, nothing else. Edges may be given, or
    learnt as a function of statistics of the pair that other learners supplied (see :mod:`edukit.tracing.atlas_edges`), for no other end than
    foretelling hidden answers. If learners set aside are not foretold better, no edge is used, and ``report_`` says so.

    Parameters
    ----------
    graph : 'none' | 'given' | 'learned' | 'given_and_learned'
        Edges of the graph handed to ``fit`` are taken as they are, not looked at, or are candidates that begin as likely.
    candidates : prerequisites considered of each concept. min_common : learners who must have met both, in the half that is counted.
    edges_per_concept : prior expectation of prerequisites of a concept.
    sparsity : weights of the penalty on edges that are tried; the one with the lowest log-loss on learners set aside is kept.
    potential : whether concepts have a place in an order. layers : rounds of message passing behind it (0 = none).
    cross_fitted : whether the statistics of a pair come from other learners than those they are judged on.
    exposure, text : whether who met what, and how alike names are, may speak for an edge.
    labels : share of the concepts, .5 at most, whose given prerequisites are learnt from as labels (with graph='learned').
    residual : whether a small network takes what is left; its share of the explained loss is in ``report_``.
    abstain : whether a graph that is not shown to help is left out of the forecasts; the verdict is in ``report_`` either way.
    item_spread : of the logistic model, see :class:`edukit.tracing.irt.StaticIRT`.
    hidden : width of the networks. epochs : passes over the training learners at most. learning_rate : of Adam.
    valid_share : share of the learners set aside, a third of them to choose by, the others (of a given graph all) to judge the graph by.
    permutations : exchanged graphs behind the p-value. seed : of everything drawn.

    Attributes
    ----------
    edges_ : table ``prerequisites`` of the candidates, with ``n`` common learners and whether the edge is ``used`` in forecasts: not where the
        graph as a whole helps nobody, nor a learnt edge whose concepts fewer than 10 learners both met.
    report_ : verdict on the graph, gain in log-loss with interval, p-value, strengths, shares of the explained loss.

    Notes
    -----
    Groups of learners play no part here: item terms are common to all.

    References
    ----------
    Junker and Sijtsma (2001), Applied Psychological Measurement 25. Chernozhukov et al. (2018), Econometrics Journal 21 (cross-fitting).
    """

    kind: ClassVar[str] = "atlas"

    def __init__(self, graph: str = "given_and_learned", candidates: int = 32, min_common: int = 5, edges_per_concept: float = 1.5,
                 sparsity: tuple[float, ...] = (0.1, 0.3), potential: bool = True, layers: int = 2, cross_fitted: bool = True, exposure: bool = False,
                 text: bool = False, labels: float = 0.0, residual: bool = False, abstain: bool = True, item_spread: float = 1.0, hidden: int = 16,
                 epochs: int = 60, learning_rate: float = 0.01, valid_share: float = 0.2, permutations: int = 39, seed: int = 0) -> None:
        wrong = [f"graph={graph!r} (one of {', '.join(GRAPHS)})"] if graph not in GRAPHS else []
        wrong += [f"labels={labels} (0 to 0.5)"] if not 0 <= labels <= 0.5 else []
        wrong += [f"labels={labels} with graph={graph!r} (labels teach graph='learned')"] if labels and graph != "learned" else []
        wrong += ["sparsity without a weight"] if not len(sparsity) else []
        if wrong:
            raise DataError(f"Atlas cannot be set up: {'; '.join(wrong)}.")
        self.graph, self.candidates, self.min_common, self.edges_per_concept = graph, candidates, min_common, edges_per_concept
        self.sparsity, self.potential, self.layers, self.cross_fitted = tuple(sparsity), potential, layers, cross_fitted
        self.exposure, self.text, self.labels, self.residual, self.abstain = exposure, text, labels, residual, abstain
        self.item_spread, self.hidden, self.epochs, self.learning_rate = item_spread, hidden, epochs, learning_rate
        self.valid_share, self.permutations, self.seed = valid_share, permutations, seed

    @property
    def settings(self) -> dict[str, Any]:
        """Constructor arguments."""
        names = ("graph", "candidates", "min_common", "edges_per_concept", "sparsity", "potential", "layers", "cross_fitted", "exposure", "text", "labels",
                 "residual", "abstain", "item_spread", "hidden", "epochs", "learning_rate", "valid_share", "permutations", "seed")
        return {name: getattr(self, name) for name in names}

    @one_thread()
    def fit(self, interactions: pd.DataFrame, graph: PrerequisiteGraph, dif_groups: pd.Series | None = None) -> Self:
        """Learn items, strengths and edges from training rows; their order is ignored.

        Parameters
        ----------
        interactions : table ``interactions``. graph : concepts, q_matrix and the edges that may be given. dif_groups : not used.
        """
        base = StaticIRT(item_spread=self.item_spread).fit(interactions, graph)
        histories = unordered(interactions, base.vocabulary_)[0]
        rng = np.random.default_rng(self.seed)
        aside = rng.permutation(len(histories)) < min(round(self.valid_share * len(histories)), len(histories) - 1)
        second = aside & ((rng.permutation(len(histories)) % 3 > 0) | ("learned" not in self.graph))  # of a given graph nothing is chosen
        fold, part = rng.permutation(len(histories)) % 2, parts(histories, rng)
        fold = fold if self.cross_fitted and "learned" in self.graph else np.zeros_like(fold)
        found, labels = self._candidates(interactions, histories, fold, graph, rng)
        cast = [scenes(base, histories, part, fold, some, found.pairs) for some in (~aside, aside & ~second, second)]
        with torch.random.fork_rng():
            none, taught = self._taught(base, cast, found, labels)
            report = verdict(base, none, taught, found.pairs, cast[2], self.permutations, rng)
            used = (np.isnan(found.common) | (found.common >= LEAST_COMMON) | (found.given > 0)) & (report["verdict"] == SOMETHING or not self.abstain)
            kept = taught if used.any() else none
            residual = head(kept, self.hidden, cast[0], cast[1], MASKS * self.epochs, self.learning_rate) if self.residual else None
        self.report_ = report | _shares(none, taught, kept, residual, cast[2] or cast[0])
        mean = kept.probability.mean(dim=0, keepdim=True) * torch.from_numpy(used)
        settle(kept.messages, mean.expand_as(kept.probability), [scene for some in cast for scene in some])
        heights = taught.network.heights().detach().mean(dim=0).double().numpy() if taught.network is not None else None
        likely = taught.probability.mean(dim=0).double().numpy()
        self._keep(base, kept.messages, residual, found.pairs, likely, used, found.common, heights)
        return self

    def _candidates(self, interactions: pd.DataFrame, histories: Histories, fold: np.ndarray, graph: PrerequisiteGraph,
                    rng: np.random.Generator) -> tuple[Candidates, tuple[torch.Tensor, torch.Tensor, float] | None]:
        """Pairs that may be edges, and those whose truth is known."""
        nothing, stated = (np.zeros((0, 2), np.int64), np.zeros(0)), given_edges(graph)
        self.labelled_: list[str] = []
        if "learned" not in self.graph:
            pairs, weight = stated if self.graph == "given" else nothing
            return Candidates(pairs, np.ones((1, len(pairs)), bool), np.zeros((1, len(pairs), 0), np.float32), np.zeros((1, 0, 0), np.float32), weight,
                              np.full(len(pairs), np.nan)), None
        who = np.empty(len(interactions), np.int64)
        who[histories.position] = histories.learner
        rows = interactions.assign(learner_id=np.char.zfill(who.astype(str), 9), order=pd.array([pd.NA] * len(who), "Int64"))
        rows = rows.iloc[histories.position]
        seen = [rows[(fold != f)[histories.learner]] for f in (0, 1)] if fold.any() else [rows]
        found = find(seen, graph, self.candidates, self.min_common, self.exposure, self.text, stated if self.graph == "given_and_learned" else nothing)
        if not self.labels:
            return found, None
        size = len(graph.concept_ids)
        taught = rng.permutation(size) < round(self.labels * size)
        self.labelled_ = [concept for concept, known in zip(graph.concept_ids, taught, strict=True) if known]
        known = np.flatnonzero(taught[found.pairs[:, 1]])
        true = pd.MultiIndex.from_arrays(found.pairs[known].T).isin(pd.MultiIndex.from_arrays(stated[0].T))
        return found, (torch.from_numpy(known), torch.from_numpy(true).float(), LABEL_WEIGHT)

    def _taught(self, base: StaticIRT, cast: list[list[Scene]], found: Candidates,
                labels: tuple[torch.Tensor, torch.Tensor, float] | None) -> tuple[Taught, Taught]:
        """What is learnt without edges, and with them under the penalty that learners set aside like best."""
        items, steps = len(base.items_.intercept), MASKS * self.epochs
        bare = [[scene.rewired(base, np.zeros((0, 2), np.int64)) for scene in some] for some in cast[:2]]
        alone = any(scene.wires.own.shape[1] for scene in bare[0])  # without a concept's own answers there is nothing to learn
        none = learn(items, torch.zeros(1, 0), *bare, 0.0, steps if alone else 0, self.learning_rate, None)
        nowhere = torch.zeros(len(found.allowed), len(found.pairs))
        none = Taught(none.messages, None, nowhere, none.loss, 0.0)
        if not len(found.pairs):
            return none, none
        if "learned" not in self.graph:
            return none, learn(items, torch.from_numpy(found.given).float().unsqueeze(0), *cast[:2], 0.0, steps, self.learning_rate, None)
        tried = []
        for sparsity in self.sparsity:
            torch.manual_seed(self.seed)
            network = EdgeNetwork(found, self.hidden, self.layers, self.potential, self.candidates, self.edges_per_concept)
            tried.append(learn(items, network, *cast[:2], sparsity, steps, self.learning_rate, labels))
        return none, min(tried, key=lambda taught: taught.loss)

    def _keep(self, base: StaticIRT, messages: Messages, residual: Residual | None, pairs: np.ndarray, likely: np.ndarray, used: np.ndarray,
              common: np.ndarray, heights: np.ndarray | None) -> None:
        self.base_, self.messages_, self.residual_ = base, messages.double().eval(), None if residual is None else residual.double().eval()
        self._pairs, self._likely, self._used, self._common, self._heights = pairs, likely, used, common, heights
        self._wired, self._weights = pairs[used], torch.from_numpy(likely[used]).unsqueeze(0)

    def _fitted(self) -> StaticIRT:
        if not hasattr(self, "base_"):
            raise NotFittedError(f"this {self.kind} model has not been fitted; call fit(interactions, graph) first")
        return self.base_

    @property
    def edges_(self) -> pd.DataFrame:
        """Table ``prerequisites`` of all candidates, the likeliest first: ``weight`` is the probability, ``n`` the learners who met both, ``used``."""
        ids = np.asarray(self._fitted().vocabulary_.concept_ids, object)
        table = pd.DataFrame({"concept_id": ids[self._pairs[:, 1]], "requires_id": ids[self._pairs[:, 0]],
                              "source": "atlas" if "learned" in self.graph else "given", "weight": self._likely, "n": self._common, "used": self._used})
        return table.sort_values(["weight", "concept_id", "requires_id"], ascending=[False, True, True], ignore_index=True)

    def sample_graph(self, rng: np.random.Generator) -> pd.DataFrame:
        """Table ``prerequisites`` of one graph that could be true; never with a circle."""
        self._fitted()
        kept = draw(self._pairs, self._likely * self._used, self._heights, rng)
        ids = np.asarray(self.base_.vocabulary_.concept_ids, object)
        return pd.DataFrame({"concept_id": ids[self._pairs[kept, 1]], "requires_id": ids[self._pairs[kept, 0]], "source": "atlas", "weight": 1.0})

    @one_thread()
    @torch.no_grad()
    def predict(self, targets: pd.DataFrame, given: pd.DataFrame) -> pd.Series:
        """P(correct) for ``targets``, aligned to its index; a learner without given responses gets the average ability and no message."""
        base = self._fitted()
        known = given[given["learner_id"].isin(targets["learner_id"].unique())]
        rows = pd.concat([targets[["learner_id", "item_id"]].assign(correct=0.0), known[["learner_id", "item_id", "correct"]]], ignore_index=True)
        histories, hidden = unordered(rows, base.vocabulary_, np.arange(len(rows)) < len(targets))
        mean, variance = placed(base, histories, ~hidden)
        found = np.empty(len(rows))
        for first in range(0, len(histories), LEARNERS):
            some = slice(histories.offsets[first], histories.offsets[min(first + LEARNERS, len(histories))])
            asked, told = (np.flatnonzero(mask[some]) + some.start for mask in (hidden, ~hidden))
            block = slice(first, first + LEARNERS)
            wires = self._wires(histories.learner[asked] - first, histories.item[asked], histories, told, first, mean[block], variance[block])
            sums = self.messages_.sums(wires, self._weights)
            p = self.messages_.joined(wires, *sums)
            found[histories.position[asked]] = (p if self.residual_ is None else self.residual_(wires, p, *sums)).numpy()
        return pd.Series(found[:len(targets)], index=targets.index, name="probability")

    def _wires(self, learner: np.ndarray, item: np.ndarray, histories: Histories, told: np.ndarray, first: int, mean: np.ndarray,
               variance: np.ndarray) -> Wires:
        asked = Asked(learner, item, histories.learner[told] - first, histories.item[told], histories.correct[told], mean, variance,
                      np.zeros(len(mean), np.int64))
        return wire(asked, self.base_.items_, self.base_.vocabulary_, self._wired, torch.float64)

    @one_thread()
    @torch.no_grad()
    def mastery(self, interactions: pd.DataFrame) -> pd.DataFrame:
        """Table ``mastery`` given all responses of each learner: the share of a concept's items they would be expected to answer correctly.

        Its sd is what is left open about the learner's ability. The residual head has no say: it knows items, not concepts.
        """
        base = self._fitted()
        vocabulary, items = base.vocabulary_, base.items_
        histories = unordered(interactions, vocabulary)[0]
        everything = np.arange(len(histories.item))
        mean, variance = placed(base, histories, everything >= 0)
        expected, sd = base._known(mean, variance)
        item, concept, some, first, n = vocabulary.by_concept
        cover = np.unique(item[first]) if len(item) else item
        moved = self.messages_.centred.numpy()[item]
        for start in range(0, len(histories) if len(item) else 0, LEARNERS):
            block = slice(start, min(start + LEARNERS, len(histories)))
            told = everything[histories.offsets[block.start]:histories.offsets[block.stop]]
            size = block.stop - start
            wires = self._wires(np.repeat(np.arange(size), len(cover)), np.tile(cover, size), histories, told, start, mean[block], variance[block])
            added, log_gate = (part.reshape(size, -1).numpy()[:, np.searchsorted(some, concept)] for part in self.messages_.of_places(wires, self._weights))
            shrunk = np.sqrt(1 + np.pi * variance[block, None] / 8)
            p = 1 / (1 + np.exp(-((mean[block, None] + items.intercept[item]) / shrunk + moved + added))) * np.exp(log_gate)
            expected[block, some] = np.add.reduceat(p, first, axis=1) / n
            sd[block, some] = np.add.reduceat(p * (1 - p), first, axis=1) / n * np.sqrt(variance[block, None])
        table = mastery_table(histories.learner_ids, vocabulary, expected, counts(histories, vocabulary), kappa=0.0)
        return table.assign(sd=np.clip(sd, 1e-6, 0.5).reshape(-1))

    def save(self, path: Path) -> None:
        """Write the fitted model into one file; the same fit gives the same bytes."""
        base = self._fitted()
        arrays = {"slope": base.items_.slope, "intercept": base.items_.intercept, "variance": np.array([base.items_.variance]), "pairs": self._pairs,
                  "likely": self._likely, "used": self._used, "common": self._common,
                  "told": np.frombuffer(json.dumps({"report": self.report_, "labelled": self.labelled_}, sort_keys=True).encode(), np.uint8).copy()}
        arrays |= {} if self._heights is None else {"heights": self._heights}
        for name, module in (("messages", self.messages_), ("residual", self.residual_)):
            arrays |= {} if module is None else {f"{name}.{key}": value.numpy() for key, value in module.state_dict().items()}
        write_model(path, self.kind, self.settings, base.vocabulary_, arrays)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote."""
        settings, vocabulary, arrays = read_model(path, cls.kind)
        model, base = cls(**settings), StaticIRT(item_spread=settings["item_spread"])
        base._restore(vocabulary, arrays)
        told = json.loads(arrays["told"].tobytes())
        model.report_, model.labelled_ = told["report"], told["labelled"]
        state = {name: {key.removeprefix(f"{name}."): torch.from_numpy(value) for key, value in arrays.items() if key.startswith(f"{name}.")}
                 for name in ("messages", "residual")}
        messages, residual = Messages(len(base.items_.intercept)).double(), Residual(settings["hidden"]).double() if state["residual"] else None
        messages.load_state_dict(state["messages"])
        if residual is not None:
            residual.load_state_dict(state["residual"])
        model._keep(base, messages, residual, arrays["pairs"], arrays["likely"], arrays["used"], arrays["common"], arrays.get("heights"))
        return model


def _shares(none: Taught, taught: Taught, kept: Taught, residual: Residual | None, held: list[Scene]) -> dict[str, Any]:
    """Strengths, and how the loss that is explained parts among items and ability, graph, and residual head."""
    correct = np.concatenate([s.correct.numpy() for s in held])
    rate = float(np.clip(correct.mean(), 1e-6, 1 - 1e-6))
    losses = [float(-(correct * np.log(rate) + (1 - correct) * np.log(1 - rate)).mean()), float(judged(none.messages, none.probability, held).mean())]
    losses.append(float(judged(kept.messages, kept.probability, held).mean()))
    losses.append(losses[-1] if residual is None else float(with_head(kept, residual, held).mean()))
    whole = max(losses[0] - losses[-1], 1e-9)
    shares = {f"share_{name}": (losses[k] - losses[k + 1]) / whole for k, name in enumerate(("ability", "graph", "residual"))}
    strengths = dict(zip(("gate", "slip", "guess", "own"), (value.item() for value in taught.messages.strengths()), strict=True))
    return {"log_loss": losses[-1], **shares, **strengths, "sparsity": taught.sparsity, "expected_edges": float(taught.probability.mean(dim=0).sum())}
