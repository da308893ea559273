"""Which concept may be required by which, how likely each is, and in which order all of them stand: probabilities without a parameter of any edge's own.

What the responses say of a pair is counted on one half of the learners and judged on the other, and the order is a height of every
concept, so that what is drawn can never run in a circle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from edukit.graph.cells import shared_items
from edukit.graph.log_features import LogFeatures
from edukit.protocols import PrerequisiteGraph
from edukit.schema import DataError

RELATED = {"responses": ("correct_if_passed_z", "fails_if_failed_z", "shrunken_correlation"), "exposure": ("correlation", "partial_correlation")}
CLIP = 4.0  # standard deviations beyond which a number tells nothing more


@dataclass(frozen=True, eq=False)
class Candidates:
    """E ordered pairs of the C concepts that may be edges, with what is known of them; F folds see other numbers of the same pairs.

    Attributes
    ----------
    pairs : (E, 2) positions of (prerequisite, concept). allowed : (F, E) whether the fold's numbers make the pair a candidate.
    features : (F, E, K) and nodes : (F, C, N) float32, standardised. given : (E,) probability that a given graph states.
    common : (E,) learners who met both concepts.
    """

    pairs: np.ndarray
    allowed: np.ndarray
    features: np.ndarray
    nodes: np.ndarray
    given: np.ndarray
    common: np.ndarray


def given_edges(graph: PrerequisiteGraph) -> tuple[np.ndarray, np.ndarray]:
    """(E, 2) positions and (E,) probabilities of the edges of a graph."""
    edges = np.array(graph.adjacency(), np.int64).reshape(-1, 2)
    place = {concept: k for k, concept in enumerate(graph.concept_ids)}
    table = graph.prerequisites
    ends = pd.MultiIndex.from_arrays([table["requires_id"].map(place), table["concept_id"].map(place)])
    stated = pd.Series(table["weight"].to_numpy(float), ends).groupby(level=[0, 1]).max()
    return edges, stated.reindex(pd.MultiIndex.from_arrays(edges.T)).fillna(1.0).to_numpy(float, copy=True) if len(edges) else np.zeros(0)


def similarity(graph: PrerequisiteGraph) -> np.ndarray:
    """(C, C) cosine of the concepts' names; raises DataError where the graph has no names."""
    from edukit.text import embed

    concepts = getattr(graph, "concepts", None)
    if concepts is None or "name" not in concepts:
        raise DataError("Atlas(text=true) needs the names of the concepts; found a graph without concepts.name. Hand in a ConceptGraph, or set text=false.")
    vectors = embed(concepts.set_index("concept_id")["name"].reindex(graph.concept_ids).astype("str").tolist())
    return vectors @ vectors.T


def _spread(numbers: dict[str, np.ndarray], at: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """(C, C) matrices over the concepts of the q_matrix, in the order of the graph's C concepts; NaN = not known."""
    found = {}
    for name, values in numbers.items():
        found[name] = np.full((size, size), np.nan, np.float32)
        found[name][np.ix_(at, at)] = values
    return found


def _closest(scores: Sequence[np.ndarray], most: int) -> np.ndarray:
    """(C, C) bool, [concept, candidate prerequisite]: the ``most`` with the highest score, the scores taking turns."""
    size = len(scores[0])
    kept = np.zeros((size, size), bool)
    ranks = [np.argsort(np.argsort(np.where(np.isfinite(s), -s, np.inf), axis=1, kind="stable"), axis=1) + np.where(np.isfinite(s), 0, size**2) for s in scores]
    best = np.min([rank * len(ranks) + turn for turn, rank in enumerate(ranks)], axis=0)
    np.fill_diagonal(best, size**3)
    order = np.argsort(best, axis=1, kind="stable")[:, :most]
    np.put_along_axis(kept, order, True, axis=1)
    return kept & (best < size**2)


def _nodes(log: LogFeatures, at: np.ndarray, size: int, exposure: bool) -> np.ndarray:
    """(C, N) what a fold's responses say of each concept: ease, how its pairs lean, and (exposure) how many met it."""
    told = log.channels["responses"]
    columns = []
    with np.errstate(invalid="ignore", divide="ignore"):
        for name in ("difficulty_difference", "correct_if_passed", "fails_if_failed", "mcnemar"):
            known = np.isfinite(told[name])
            lean = np.where(known, told[name] - (told[name].T if name != "difficulty_difference" else 0), 0)
            columns.append(lean.sum(axis=1) / (known.sum(axis=1) + 5))
        easiest = np.where(np.isfinite(told["easiness_concept"]), told["easiness_concept"], 0).max(axis=1)
        columns.append(easiest)
        if exposure:
            met = np.diag(log.common).astype(float)
            columns += [np.log1p(met), (log.common.sum(axis=1) - met) / (met + 1)]
    found = np.zeros((size, len(columns)), np.float32)
    found[at] = np.nan_to_num(np.column_stack(columns))
    return found


def _standard(values: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and sd 1 over all rows and folds, clipped; what is not known is 0."""
    flat = values.reshape(-1, values.shape[-1])
    with np.errstate(invalid="ignore"):
        known = np.isfinite(flat)
        n = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, flat, 0).sum(axis=0) / n
        sd = np.sqrt(np.where(known, (flat - mean) ** 2, 0).sum(axis=0) / n)
    return np.nan_to_num(np.clip((values - mean) / np.maximum(sd, 1e-6), -CLIP, CLIP)).astype(np.float32)


def find(folds: Sequence[pd.DataFrame], graph: PrerequisiteGraph, most: int, min_common: int, exposure: bool, text: bool,
         given: tuple[np.ndarray, np.ndarray]) -> Candidates:
    """Choose candidates, and count what is known of them.

    Parameters
    ----------
    folds : per fold the responses from which its numbers are counted; with cross-fitting those of all other learners.
    most : candidate prerequisites of a concept. min_common : learners of the counted ones who must have met both concepts.
    exposure, text : whether who met what, and the similarity of names, may speak.
    given : edges that are candidates whatever the responses say, with their probability.
    """
    size, q_matrix = len(graph.concept_ids), graph.q_matrix
    alike = similarity(graph) if text else None
    apart, together = ~np.eye(size, dtype=bool), shared_items(q_matrix, graph.concept_ids)
    stated = np.zeros((size, size), np.float32)
    stated[given[0][:, 1], given[0][:, 0]] = given[1]
    chosen, numbers, nodes, common = [], [], [], np.zeros((size, size))
    for rows in folds:
        log = LogFeatures.from_log(rows, q_matrix, min_common)
        at = pd.Index(graph.concept_ids).get_indexer(log.concept_ids)
        told = {channel: _spread(log.channels[channel], at, size) for channel in ("responses", *(("exposure",) if exposure else ()))}
        scores = [sum((told[c][name] + told[c][name].T) / np.maximum(np.nanstd(told[c][name]), 1e-6) for name in RELATED[c]) for c in told]
        scores += [np.where(apart, alike, np.nan)] if alike is not None else []
        chosen.append((_closest(scores, most) & ~together) | (stated > 0))
        pairs = {f"{channel} {name}": values for channel, by_name in told.items() for name, values in by_name.items()}
        pairs["known"] = np.isfinite(told["responses"]["odds"]).astype(np.float32)
        numbers.append(pairs | ({"text": alike} if alike is not None else {}))
        nodes.append(_nodes(log, at, size, exposure))
        common[np.ix_(at, at)] += log.common / (max(len(folds) - 1, 1))
    child, parent = np.nonzero(np.any(chosen, axis=0))
    features = np.stack([np.column_stack([values[child, parent] for values in fold.values()]) for fold in numbers])
    allowed = np.stack([fold[child, parent] for fold in chosen])
    return Candidates(np.column_stack([parent, child]), allowed, _standard(features), _standard(np.stack(nodes)), stated[child, parent],
                      common[child, parent])


class EdgeNetwork(nn.Module):
    """Edge probability = sigma(relatedness of the pair's numbers) x sigma(height of the concept - height of the prerequisite).

    Heights come from concepts' numbers and those of their candidates, passed along the candidate pairs both ways; a and b cannot both require
    each other with more than probability 1 together.

    Parameters
    ----------
    candidates : what is known of the pairs.
    hidden : width of both networks. layers : rounds of passing; 0 = each concept by itself. potential : heights, or none (then the pair's
        own numbers tell the direction, and draws need not be acyclic by themselves).
    most, expected : candidates and expected prerequisites of a concept; their ratio is where probabilities begin, and the prior of the penalty.

    References
    ----------
    Hamilton, Ying and Leskovec (2017), NeurIPS (GraphSAGE).
    """

    features: Tensor
    nodes: Tensor
    ends: Tensor
    allowed: Tensor
    given: Tensor

    def __init__(self, candidates: Candidates, hidden: int, layers: int, potential: bool, most: int, expected: float) -> None:
        from torch_geometric.nn import SAGEConv

        super().__init__()
        for name in ("features", "nodes", "allowed", "given"):
            self.register_buffer(name, torch.from_numpy(getattr(candidates, name).astype(np.float32)))
        self.register_buffer("ends", torch.from_numpy(candidates.pairs.T.copy()))
        self.prior, self.potential = min(expected / max(most, 1), 0.5), potential
        self.related = nn.Sequential(nn.Linear(self.features.shape[2], hidden), nn.Tanh(), nn.Linear(hidden, 1))
        nn.init.constant_(self.related[2].bias, float(np.log(self.prior / (1 - self.prior))))
        self.stated = nn.Parameter(torch.tensor(3.0))
        self.first = nn.Linear(self.nodes.shape[2], hidden)
        self.around = nn.ModuleList(SAGEConv(hidden, hidden) for _ in range(layers))
        self.height = nn.Linear(hidden, 1, bias=False)

    def heights(self) -> Tensor:
        """(F, C) place of every concept in the order; what is higher comes later."""
        if not self.potential:
            return torch.zeros(self.nodes.shape[:2])
        arrows, found = torch.cat([self.ends, self.ends.flip(0)], dim=1), []
        for nodes in self.nodes:
            x = torch.tanh(self.first(nodes))
            for layer in self.around:
                x = torch.tanh(layer(x, arrows)) + x
            found.append(self.height(x).squeeze(1))
        return torch.stack(found)

    def forward(self) -> tuple[Tensor, Tensor]:
        """(F, E) probability of every candidate, and (F, C) heights."""
        heights = self.heights()
        related = self.related(self.features).squeeze(2) + nn.functional.softplus(self.stated) * self.given
        forward = torch.sigmoid(heights[:, self.ends[1]] - heights[:, self.ends[0]]) if self.potential else 1.0
        return (torch.sigmoid(related) * forward * self.allowed).clamp(0, 1 - 1e-6), heights

    def penalty(self, probability: Tensor) -> Tensor:
        """Kullback-Leibler divergence of the edges from the prior, a fold's sum: many edges must pay for themselves."""
        p, prior = probability.clamp(1e-6), self.prior
        apart = p * torch.log(p / prior) + (1 - p) * torch.log((1 - p) / (1 - prior))
        return (apart * self.allowed).sum() / len(self.allowed)


def draw(pairs: np.ndarray, probability: np.ndarray, heights: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """(E,) bool: one acyclic graph, in O(E + C log C).

    Heights get Gumbel noise, whose differences are logistic: concept j then stands above i with probability sigma(height_j - height_i), so that
    an edge drawn forward only has its own ``probability`` again. Without heights (None) the pairs must be acyclic as they are; where all are equal the
    order is drawn, and no edge is drawn more than half of the times.
    """
    if heights is None:
        return rng.random(len(pairs)) < probability
    noisy = heights + rng.gumbel(size=len(heights))
    before, after = noisy[pairs[:, 0]], noisy[pairs[:, 1]]
    forward = 1 / (1 + np.exp(heights[pairs[:, 0]] - heights[pairs[:, 1]]))
    return (before < after) & (rng.random(len(pairs)) < np.minimum(probability / forward, 1))
