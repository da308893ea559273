"""What the judged pairs around two concepts say of them: labels carried along likeness, from pairs of concepts like the one to the other.

No label is carried to its own pair: a concept is not among those like it. What is learnt from must also be asked with concepts left out
(:func:`held_out`), as a concept that nobody has judged will be.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse

from edukit.graph.free_edges import nearest
from edukit.graph.pair_features import PairFeatures

PRIOR = 0.05  # weight of the mean label beside what is carried
DENSE = 2_000  # concepts up to which whole matrices are faster than sparse ones


def likeness(features: PairFeatures, neighbours: int, sharpness: tuple[float, ...]) -> list[sparse.csr_array]:
    """(C, C) weights exp(sharpness (cosine of names - 1)) of the ``neighbours`` closest concepts, none of a concept to itself."""
    size = len(features.concepts)
    one, other, cosine = nearest(features.names, neighbours)
    return [sparse.csr_array((np.exp(s * (cosine - 1)).astype(np.float32), (one, other)), shape=(size, size)) for s in sharpness]


class Judgements:
    """Labels of judged pairs, carried along likeness to one end, to the other, and to both.

    Parameters
    ----------
    alike : of :func:`likeness`.
    a, b, label : (N,) positions of ``concept_id`` and ``requires_id``, and 0 or 1.

    References
    ----------
    Zhou, Bousquet, Lal, Weston & Schölkopf (2004), NeurIPS (label propagation); Ben-Hur & Noble (2005), Bioinformatics 21 (both ends alike).
    """

    def __init__(self, alike: list[sparse.csr_array], a: np.ndarray, b: np.ndarray, label: np.ndarray) -> None:
        self.rate = float(label.mean()) if len(label) else 0.5
        shape: Any = alike[0].shape
        size = shape[0]
        kind: Any = sparse.csr_array.toarray if size <= DENSE else sparse.csr_array
        values = (label.astype(np.float32), np.ones(len(a), np.float32))
        yes, all_ = (kind(sparse.csr_array((value, (a, b)), shape=(size, size))) for value in values)
        self.carried: list[tuple[Any, Any]] = []
        for k in map(kind, alike):
            to_a, to_b = (k @ yes, k @ all_), (yes @ k.T, all_ @ k.T)
            self.carried += [to_a, to_b, (to_a[0] @ k.T, to_a[1] @ k.T)]
        self.sums = [[np.asarray(m.sum(axis=axis)).ravel() for m in (yes, all_)] for axis in (0, 1)]

    def numbers(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(N, F) shares of positives among what reaches each pair and its reverse, how much reaches it, and how its ends were judged elsewhere."""
        found = []
        for yes, all_ in self.carried:
            for one, other in ((a, b), (b, a)):
                reach = np.asarray(all_[one, other]).ravel()
                found += [(np.asarray(yes[one, other]).ravel() + PRIOR * self.rate) / (reach + PRIOR), np.log(reach + PRIOR)]
        for yes, all_ in self.sums:
            for end in (a, b):
                found += [(yes[end] + 2 * self.rate) / (all_[end] + 2), np.log1p(all_[end])]
        return np.column_stack(found)

    @staticmethod
    def turned(numbers: np.ndarray) -> np.ndarray:
        """(N, F) the numbers of the reverse pairs, from those of :meth:`numbers`: two columns of one order and two of the other, again and again."""
        return numbers[:, np.arange(numbers.shape[1]).reshape(-1, 2, 2)[:, ::-1].ravel()]


def held_out(a: np.ndarray, b: np.ndarray, parts: int, seed: int) -> Iterator[np.ndarray]:
    """For each of ``parts`` parts of the concepts, which pairs have an end in it; a pair comes once or twice."""
    number = np.random.default_rng(seed).permutation(np.arange(max(int(max(a.max(), b.max())) + 1, parts)) % parts)
    for part in range(parts):
        held = (number[a] == part) | (number[b] == part)
        if held.any() and not held.all():
            yield held
