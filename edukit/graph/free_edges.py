"""Edges between concepts, and between courses, that need no label: names alike, mentioned together, courses that require courses, links of Wikipedia."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from edukit.graph.pair_features import PairFeatures


def nearest(vectors: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each row with the ``most`` rows closest to it: its position, theirs, and the cosine; never more than a block of all pairs at once."""
    size, near = len(vectors), min(most, len(vectors) - 1)
    if near < 1:
        return np.zeros(0, int), np.zeros(0, int), np.zeros(0)
    found, cosine = [], []
    for first in range(0, size, 1024):
        alike = vectors[first:first + 1024] @ vectors.T
        alike[np.arange(len(alike)), np.arange(first, first + len(alike))] = -np.inf
        rows = np.argpartition(-alike, near - 1, axis=1)[:, :near]
        found.append(rows)
        cosine.append(np.take_along_axis(alike, rows, axis=1))
    return np.repeat(np.arange(size), near), np.concatenate(found).ravel(), np.concatenate(cosine).ravel()


def together(features: PairFeatures, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each concept with the ``most`` concepts that courses name beside it most often: its position, theirs, share of shared courses."""
    named = sparse.csr_array((features.mentions == 1).astype(np.float32))
    shared = (named @ named.T).tocoo()
    count = np.maximum(np.asarray(named.sum(axis=1)).ravel(), 1)
    one, other = shared.coords
    share = shared.data / np.sqrt(count[one] * count[other])
    order = np.lexsort((other, -share, one))
    order = order[one[order] != other[order]]
    rank = np.arange(len(order)) - np.searchsorted(one[order], one[order])
    kept = order[rank < most]
    return one[kept], other[kept], share[kept]


def course_edges(features: PairFeatures) -> np.ndarray:
    """(2, E) positions of a course and of one that it requires; none without courses."""
    if features.documents is None or features.document_links is None:
        return np.zeros((2, 0), int)
    place = {d: k for k, d in enumerate(features.documents["document_id"])}
    ends = np.stack([features.document_links[c].map(place).to_numpy(float) for c in ("document_id", "requires_id")])
    return np.unique(ends[:, ~np.isnan(ends).any(axis=0)].astype(int), axis=1)


def linked(features: PairFeatures) -> np.ndarray:
    """(2, E) positions of a concept whose Wikipedia page links to that of another, and of the other; none without such columns.

    Both columns of a pair are read, so that an edge does not tell which order of the pair the table holds: that goes with what was judged.
    """
    found = [np.zeros((2, 0), int)]
    for column, way in (("links_concept_to_requires", 1), ("links_requires_to_concept", -1)):
        if features.columns is not None and column in features.columns:
            found.append(np.stack(features.positions(features.columns[features.columns[column] > 0]))[::way])
    return np.unique(np.hstack(found), axis=1)
