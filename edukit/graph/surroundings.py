"""What lies around two concepts in the graph that needs no label: shared neighbours, walks of two and three steps by kind, visits from one to the other."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from edukit.graph.free_edges import course_edges, linked, nearest, together
from edukit.graph.pair_features import EVERY, PairFeatures

RESTART = 0.15  # chance that a random walk goes back to where it began
STEPS = 20  # after which less than a twentieth of the walks go on without a restart
BLOCK = 1_024  # concepts that walks start from at once


def rows_to_one(weights: Any) -> Any:
    """Each row of a sparse (C, C) array divided by its sum: where a walk goes from there; a row of zeros stays."""
    total = np.asarray(weights.sum(axis=1)).ravel()
    return sparse.csr_array(sparse.diags_array(1 / np.where(total > 0, total, 1.0)) @ weights)


def largest(weights: Any, most: int) -> Any:
    """The ``most`` largest entries of each row of a sparse (C, C) array, less its diagonal."""
    found = weights.tocoo()
    one, other = found.coords
    order = np.lexsort((other, -found.data, one))
    order = order[one[order] != other[order]]
    kept = order[np.arange(len(order)) - np.searchsorted(one[order], one[order]) < most]
    return sparse.csr_array((found.data[kept], (one[kept], other[kept])), shape=weights.shape)


def kinds_of(features: PairFeatures, neighbours: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sparse (C, C) weights of the edges that need no label: those without direction (names alike, mentioned together), and from concept to required.

    Of the courses: concepts whose courses require each other; of Wikipedia: links. A concept keeps ``neighbours`` edges of a kind, links all.
    """
    shape = (len(features.concepts),) * 2
    plain, directed = {}, {}
    for name, (one, other, weight) in (("alike", nearest(features.names, neighbours)), ("together", together(features, neighbours))):
        if len(one):
            found = sparse.csr_array((np.maximum(weight, 0), (one, other)), shape=shape)
            plain[name] = found.maximum(found.T).tocsr()
    if (ends := course_edges(features)).shape[1]:
        courses = features.mentions.shape[1]
        mentions = rows_to_one(sparse.csr_array(features.mentions))
        directed["courses"] = largest(mentions @ sparse.csr_array((np.ones(ends.shape[1]), tuple(ends)), shape=(courses, courses)) @ mentions.T, neighbours)
    one, other = linked(features)
    directed["links"] = sparse.csr_array((np.ones(len(one)), (one, other)), shape=shape)
    return plain, {name: found for name, found in directed.items() if found.nnz}


class Surroundings:
    """Numbers of ordered pairs of the C concepts, read off the edges that need no label.

    Parameters
    ----------
    features : names, courses and Wikipedia links; no label is looked at.
    neighbours : edges of a kind that a concept keeps.

    References
    ----------
    Liben-Nowell & Kleinberg (2007), JASIST 58 (shared neighbours, walks); Zhou, Lü & Zhang (2009), European Physical Journal B 71 (resource
    allocation); Jeh & Widom (2003), WWW (visits of a walk with restarts).
    """

    def __init__(self, features: PairFeatures, neighbours: int) -> None:
        self.size = len(features.concepts)
        plain, directed = kinds_of(features, neighbours)
        step = {name: rows_to_one(w) for name, w in (plain | directed).items()}
        self.chains: dict[str, list[Any]] = {}
        for name, found in plain.items():
            there = (found > 0).astype(float)
            self.chains |= {f"{name}, neighbours shared": [there, there / self.size], f"{name}, resource allocation": [there, step[name]]}
        for name, p in step.items():
            self.chains |= {f"{name}, {n} steps": [p] * n for n in (1, 2, 3)}
        for name in directed:
            back = rows_to_one(directed[name].T.tocsr())
            self.chains |= {f"{name}, to the same": [step[name], back], f"{name}, from the same": [back, step[name]]}
            for way, p in ((name, step[name]), (f"{name} back", back)):
                for other in plain:
                    self.chains |= {f"{other}, {way}": [step[other], p], f"{way}, {other}": [p, step[other]],
                                    f"{other}, {way}, {other}": [step[other], p, step[other]]}
        everything = sum((p + rows_to_one(p.T.tocsr()) for p in step.values()), sparse.csr_array((self.size, self.size)))
        self.walks = {"any way": rows_to_one(everything)}
        if directed:
            self.walks["towards required"] = rows_to_one(sum((step[name] for name in directed), sparse.csr_array((self.size, self.size))))

    @property
    def names(self) -> list[str]:
        """What is told of a pair in one order; :meth:`numbers` says it of both."""
        return [*self.chains, *(f"visits {way}" for way in self.walks)]

    def _from(self, sources: np.ndarray) -> np.ndarray:
        """(S, C, K) from each source to each concept: log of 1 + how often, in times of a walk that goes anywhere."""
        found = []
        for first, *more in self.chains.values():
            reached = first[sources].toarray()
            for step in more:
                reached = reached @ step
            found.append(reached)
        for walk in self.walks.values():
            at = np.eye(self.size)[sources]
            visits = RESTART * at
            for _ in range(STEPS):
                at = (1 - RESTART) * (at @ walk)
                visits += RESTART * at
            found.append(visits)
        return np.log1p(self.size * np.stack(found, axis=-1)).astype(np.float32)

    @cached_property
    def _every(self) -> np.ndarray:
        """(C, C, K) of few concepts, so that it is computed once."""
        return self._from(np.arange(self.size))

    def _one_way(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        if self.size <= EVERY:
            return self._every[a, b]
        found = np.zeros((len(a), len(self.names)), np.float32)
        sources, place = np.unique(a, return_inverse=True)
        for first in range(0, len(sources), BLOCK):
            inside = (place >= first) & (place < first + BLOCK)
            found[inside] = self._from(sources[first:first + BLOCK])[place[inside] - first, b[inside]]
        return found

    def numbers(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(N, 2 K) float32 of the pairs of concepts at ``a`` and ``b``: from the first to the second, then back."""
        return np.hstack([self._one_way(a, b), self._one_way(b, a)])
