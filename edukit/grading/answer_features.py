"""Answers to one question as numbers: how alike any two of them are, in words, in letters, in meaning and in length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edukit.grading.normal_form import stems

Array = np.ndarray
WORDS = 600  # most frequent stems and pairs of stems that trees may ask for
DIRECTIONS = 40  # of the embeddings, those in which the answers differ most
NEAREST = (1, 5, 15)  # graded answers of each level that an answer is compared with


def _pairs_too(text: str) -> list[str]:
    """Stems of a text, and each two of them that stand together."""
    found = stems(text)
    return found + [f"{one} {other}" for one, other in zip(found, found[1:], strict=False)]


@dataclass(frozen=True)
class Alike:
    """(M, N) similarities of M answers to the N graded ones: cosines of words, of letters and of embeddings, and nearness in length."""

    words: Array
    letters: Array
    meaning: Array | None
    length: Array

    def kernels(self) -> list[Array]:
        """Two positive definite mixtures of them, on which ridge regression is done."""
        near = [self.words, self.letters] if self.meaning is None else [self.words, self.letters, self.meaning**3]
        curved = [np.exp((self.words + self.letters) / 2 - 1)] + ([] if self.meaning is None else [np.exp(4 * (self.meaning - 1))])
        return [sum(near) + 0.3 * self.length, sum(curved) + 0.3 * self.length]

    def by_level(self, y: Array, levels: int, part: Array | None = None) -> Array:
        """(M, F) mean similarity to the nearest 1, 5 and 15 graded answers of each level; 0 where a level has none.

        ``part`` (N,): the answers are the graded ones themselves, and each is compared with those of the other parts only, so that nothing tells its own level.
        """
        tables = (self.words, self.letters) if self.meaning is None else (self.words, self.letters, self.meaning)
        if part is None:
            return np.column_stack([_nearest(table[:, y == level]) for table in tables for level in range(levels)])
        found = np.zeros((len(y), len(tables) * levels * len(NEAREST)))
        for k in np.unique(part):
            here, there = np.flatnonzero(part == k), part != k
            found[here] = np.column_stack([_nearest(table[np.ix_(here, there & (y == level))]) for table in tables for level in range(levels)])
        return found


def _nearest(near: Array) -> Array:
    """(M, 3) mean of the highest 1, 5 and 15 of each row, of all where there are fewer, 0 of none."""
    if not near.shape[1]:
        return np.zeros((len(near), len(NEAREST)))
    size = min(max(NEAREST), near.shape[1])
    top = -np.sort(np.partition(-near, size - 1, axis=1)[:, :size], axis=1)
    return np.column_stack([top[:, :n].mean(1) for n in NEAREST])


class AnswerFeatures:
    """What is counted in the graded answers to one question; the same texts give the same features, so only the texts need be kept.

    Parameters
    ----------
    texts : N graded answers in normal form. vectors : (N, E) their embeddings, or None.
    """

    def __init__(self, texts: Sequence[str], vectors: Array | None) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        rare = 2 if len(texts) >= 100 else 1
        self._words = TfidfVectorizer(analyzer=_pairs_too, min_df=rare, sublinear_tf=True)
        self._letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), min_df=rare, sublinear_tf=True, lowercase=False)
        self._w, self._c = _fitted(self._words, texts), _fitted(self._letters, texts)
        count = np.zeros(0) if self._w is None else np.asarray((self._w > 0).sum(0)).ravel()
        self._top = np.argsort(-count, kind="stable")[:WORDS]
        self._vectors, length = vectors, _length(texts)
        self._middle, self._spread = float(length.mean()), float(length.std()) or 1.0
        self._length = (length - self._middle) / self._spread
        if vectors is not None:
            self._mean = vectors.mean(0)
            self._turned = np.linalg.svd(vectors - self._mean, full_matrices=False)[2][:DIRECTIONS]

    def alike(self, texts: Sequence[str] | None = None, vectors: Array | None = None) -> Alike:
        """Similarities of answers to the graded ones; None = of these to one another."""
        vectors = self._vectors if texts is None else vectors
        length = self._length if texts is None else (_length(texts) - self._middle) / self._spread
        size = len(length)
        words, letters = (np.zeros((size, len(self._length))) if graded is None else ((graded if texts is None else way.transform(texts)) @ graded.T).toarray()
                          for way, graded in ((self._words, self._w), (self._letters, self._c)))
        meaning = None if self._vectors is None else np.asarray(vectors @ self._vectors.T, float)
        return Alike(words, letters, meaning, np.exp(-0.5 * (length[:, None] - self._length[None, :]) ** 2))

    def dense(self, texts: Sequence[str] | None = None, vectors: Array | None = None) -> Array:
        """(M, F) weights of the most frequent stems and pairs, the embeddings along their main directions, and the length."""
        vectors = self._vectors if texts is None else vectors
        length = self._length if texts is None else (_length(texts) - self._middle) / self._spread
        parts = [length[:, None]]
        if self._w is not None:
            from scipy.sparse import csr_array

            parts.append(csr_array(self._w if texts is None else self._words.transform(texts))[:, self._top].toarray())
        if vectors is not None:
            parts.append((vectors - self._mean) @ self._turned.T)
        return np.hstack(parts)


def _fitted(way: Any, texts: Sequence[str]) -> Any:
    """The weights of the texts, or None where none of them holds anything to count."""
    try:
        return way.fit_transform(texts)
    except ValueError:  # an empty vocabulary
        return None


def _length(texts: Sequence[str]) -> Array:
    return np.log1p(np.array([len(text.split()) for text in texts], float))
