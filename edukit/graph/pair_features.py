"""What can be said of two concepts before anyone has judged them: their names, the courses that mention them, their numbers from Wikipedia.

Nothing here reads a label: the tables ``concept_pairs`` and ``prerequisites`` are not looked at, so that a concept in no training pair has the
same features as any other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

from edukit.graph.course_features import COURSES, CourseFeatures, hubness, products
from edukit.protocols import Tables
from edukit.reproducibility import fingerprint
from edukit.schema import DataError
from edukit.text import WIDTH, embed

if TYPE_CHECKING:
    from edukit.graph.surroundings import Surroundings

PAIR = ["concept_id", "requires_id"]
NAMES = ("cosine_names", "words_concept", "words_requires", "words_difference", "letters_difference", "name_in_other", "other_in_name", "shared_words",
         "same_last_word", "hubness_of_concept", "hubness_of_requires", "hubness_of_names_difference")
CONTEXT = (*COURSES, *NAMES)
EVERY = 600  # up to so many concepts, the context of all pairs is kept
NEIGHBOURS = 8  # edges of a kind that a concept keeps, where walks over them are counted
_BRACKET = re.compile(r"\s*\([^)]*\)$")


def _key(pairs: pd.DataFrame, *more: str) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(pairs[[*PAIR, *more]])


def _turn(pairs: pd.DataFrame) -> pd.DataFrame:
    """The pairs the other way round."""
    return pairs.rename(columns=dict(zip(PAIR, PAIR[::-1], strict=True)))


@dataclass(frozen=True)
class _Sources:
    """Tables under the fingerprint of what is read of them."""

    key: str
    tables: dict[str, pd.DataFrame | None] = field(compare=False, repr=False)

    @classmethod
    def of(cls, tables: Tables) -> _Sources:
        read = {"concepts": None, "documents": ("document_id", "text", "title", "level"), "document_links": ("document_id", "requires_id"),
                "pair_features": None}
        kept = {name: tables.get(name) for name in read}
        parts = [repr([(c, t[c].tolist()) for c in t.columns if read[name] is None or c in read[name]]) if (t := kept[name]) is not None else name
                 for name in read]
        return cls(fingerprint(*parts), kept)


@dataclass(frozen=True, eq=False)
class PairFeatures:
    """Features of ordered pairs of the C concepts of some tables.

    Attributes
    ----------
    concepts : table ``concepts``.
    documents, document_links : the courses, where the data have them, else None.
    columns : table ``pair_features`` (numbers that came with the pairs), else None.

    References
    ----------
    Liang et al. (2017), AAAI (EAAI), for reading concept prerequisites off course prerequisites; Liang et al. (2018), AAAI (EAAI), for the
    Wikipedia columns.
    """

    concepts: pd.DataFrame
    documents: pd.DataFrame | None = None
    document_links: pd.DataFrame | None = None
    columns: pd.DataFrame | None = None

    @classmethod
    def from_tables(cls, tables: Tables) -> PairFeatures:
        """Take what is needed of the tables, and nothing that holds a label.

        Raises
        ------
        DataError
            Where there are no concepts.
        """
        if "concepts" not in tables or not len(tables["concepts"]):
            raise DataError("features of pairs need the table concepts with a name each; found none. Bring a table concept_id, name.")
        return _features(_Sources.of(tables))

    def positions(self, pairs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Position in ``concepts`` of ``concept_id`` and of ``requires_id`` of each pair.

        Raises DataError for a concept that is not in the table.
        """
        found = [self._place.get_indexer(pd.Index(pairs[column].to_numpy(dtype=object), dtype=object)) for column in PAIR]
        for column, at in zip(PAIR, found, strict=True):
            if (at < 0).any():
                first = pairs[column].iloc[int(np.flatnonzero(at < 0)[0])]
                raise DataError(f"pairs.{column} must be found in concepts.concept_id; found {first!r} in {int((at < 0).sum()):,} of {len(pairs):,} "
                                "rows. Add the concept, with its name, to the table concepts.")
        return found[0], found[1]

    @cached_property
    def _place(self) -> pd.Index:
        """Concepts in the order of their positions."""
        return pd.Index(self.concepts["concept_id"].to_numpy(dtype=object), dtype=object)

    @cached_property
    def names(self) -> np.ndarray:
        """(C, 384) unit-length embeddings of the concepts' names."""
        return embed(self.concepts["name"].tolist())

    @cached_property
    def spoken(self) -> list[re.Pattern[str]]:
        """Per concept, what its name looks like in a text: a bracket at its end is left out, the plural of the last word is allowed."""
        bare = self.concepts["name"].str.replace(_BRACKET, "", regex=True).str.strip()
        bare = bare.where(bare != "", self.concepts["name"])
        return [re.compile(rf"(?<!\w){re.escape(name.lower())}(?:s|es)?(?!\w)") for name in bare]

    @cached_property
    def courses(self) -> CourseFeatures | None:
        """What the courses say, where the data have them."""
        if self.documents is None:
            return None
        return CourseFeatures(self.documents, self.document_links, self.names, self.spoken, embed)

    @property
    def texts(self) -> np.ndarray:
        """(D, 384) unit-length embeddings of the course texts; no rows without courses."""
        return np.zeros((0, WIDTH), np.float32) if self.courses is None else self.courses.texts

    @property
    def mentions(self) -> np.ndarray:
        """(C, D) float32: 1 where a course's text holds the concept's name, half where it is only among the five closest to it."""
        return np.zeros((len(self.concepts), 0), np.float32) if self.courses is None else self.courses.mentions

    @property
    def sentences(self) -> np.ndarray:
        """(C, 384) unit-length mean embedding of the sentences that mention each concept; of the name without courses."""
        return self.names if self.courses is None else self.courses.sentences

    @cached_property
    def _words(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, sparse.csr_array, sparse.csr_array]:
        """Log number of words and of letters, hubness; sparse (C, words) of the words in a name, and of its last word."""
        bare = self.concepts["name"].str.lower().str.replace(_BRACKET, "", regex=True).str.findall(r"\w+")
        stems = [list(dict.fromkeys(w[:-1] if len(w) > 3 and w.endswith("s") else w for w in said)) for said in bare]
        place = {w: k for k, w in enumerate(dict.fromkeys(w for said in stems for w in said))}
        shape = (len(stems), max(len(place), 1))
        rows = [(c, place[w]) for c, said in enumerate(stems) for w in said]
        last = [(c, place[said[-1]]) for c, said in enumerate(stems) if said]
        held = [sparse.csr_array((np.ones(len(at)), tuple(np.array(at, int).reshape(-1, 2).T)), shape=shape) for at in (rows, last)]
        return (np.log1p(self.concepts["name"].str.split().map(len).to_numpy(float)), np.log1p(self.concepts["name"].str.len().to_numpy(float)),
                hubness(self.names), held[0], held[1])

    def _computed(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        words, letters, hub, held, last = self._words
        size = np.maximum(np.asarray(held.sum(axis=1)).ravel(), 1)
        shared = products(held, held, a, b)
        named = np.column_stack([
            products(self.names, self.names, a, b), words[a], words[b], words[a] - words[b], letters[a] - letters[b], shared / size[a] >= 1,
            shared / size[b] >= 1, shared / (size[a] + size[b] - shared), products(last, last, a, b), hub[a], hub[b], hub[a] - hub[b]])
        return named if self.courses is None else np.hstack([self.courses.numbers(a, b), named])

    @cached_property
    def _every(self) -> np.ndarray:
        """(C, C, F) context of all ordered pairs of few concepts, so that it is computed once."""
        size = len(self.concepts)
        return self._computed(*np.divmod(np.arange(size**2), size)).astype(np.float32).reshape(size, size, -1)

    def context(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(N, F) float32 features of :data:`CONTEXT` of positions, those of courses where the data have them, then those of :data:`NAMES`."""
        return self._every[a, b] if len(self.concepts) <= EVERY else self._computed(a, b).astype(np.float32)

    def stated(self, pairs: pd.DataFrame) -> np.ndarray:
        """(N, F) columns of the pairs as they stand, of the pairs' own domain where they name one."""
        means, owns = self._kept
        found = means.reindex(_key(pairs)).to_numpy(float)
        if "domain" in pairs and owns is not None:
            own = owns.reindex(_key(pairs, "domain")).to_numpy(float)
            found = np.where(np.isnan(own), found, own)
        return found

    @cached_property
    def _kept(self) -> tuple[pd.DataFrame, pd.DataFrame | None]:
        """The columns by pair, a mean where several domains hold it, and by pair and domain."""
        assert self.columns is not None
        own = self.columns.drop_duplicates([*PAIR, "domain"]).set_index([*PAIR, "domain"])[self._held] if "domain" in self.columns else None
        return self.columns.groupby(PAIR)[self._held].mean(), own

    @property
    def _held(self) -> list[str]:
        return [] if self.columns is None else [str(c) for c in self.columns if c not in (*PAIR, "domain")]

    @cached_property
    def _turned(self) -> tuple[np.ndarray, np.ndarray]:
        """Per column, that which holds its value for the pair the other way round, and the sign it then has; NaN where the data do not show one.

        A column ``x_concept`` is turned into ``x_requires``; whether that is so, and which differences change sign, is read off the pairs that the
        table holds both ways.
        """
        assert self.columns is not None
        swap = {"concept": "requires", "requires": "concept"}
        name = ["_".join(swap.get(w, w) for w in c.split("_")) for c in self._held]
        other = np.array([self._held.index(n if n in self._held else c) for n, c in zip(name, self._held, strict=True)])
        ways = self.columns[[c for c in (*PAIR, "domain") if c in self.columns]]
        here, there = self.stated(ways), self.stated(_turn(ways))[:, other]
        both = np.isfinite(there).all(axis=1)
        same, against = (both.sum() >= 10 and np.isclose(here[both], way * there[both]).all(axis=0) for way in (1, -1))
        return other, np.where(same, 1.0, np.where(against, -1.0, np.nan))

    def wikipedia(self, pairs: pd.DataFrame) -> np.ndarray:
        """(N, F) numbers that came with the pairs, each of its own domain where the pairs name one; F may be 0.

        A pair that is held the other way round only has those numbers turned; NaN for a pair that is not held, and in a column that cannot be
        turned: where it is missing would tell which order the table holds, and so what was judged.
        """
        if self.columns is None:
            return np.zeros((len(pairs), 0))
        other, sign = self._turned
        found = self.stated(pairs)
        found = np.where(np.isnan(found), self.stated(_turn(pairs))[:, other] * sign, found)
        return np.where(np.isnan(sign), np.nan, found)

    def signed(self, numbers: np.ndarray) -> np.ndarray:
        """Numbers of any size brought together: sign times log of 1 + size, so that a count of 10,000 does not drown a share."""
        return np.sign(numbers) * np.log1p(np.abs(numbers))

    def numbers(self, pairs: pd.DataFrame, ends: tuple[np.ndarray, np.ndarray] | None = None) -> np.ndarray:
        """(N, F) float32 context features and Wikipedia columns side by side; NaN where a column does not know a pair.

        ``ends`` are the :meth:`positions` of the pairs, where they are known already.
        """
        context = self.context(*(self.positions(pairs) if ends is None else ends))
        return context if self.columns is None else np.hstack([context, self.signed(self.wikipedia(pairs)).astype(np.float32)])

    @cached_property
    def _around(self) -> Surroundings:
        from edukit.graph.surroundings import Surroundings

        return Surroundings(self, NEIGHBOURS)

    def surroundings(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(N, F) float32 numbers of positions, read off the graph that needs no label; F is 0 beyond :data:`EVERY` concepts, where they cost too much."""
        return self._around.numbers(a, b) if len(self.concepts) <= EVERY else np.zeros((len(a), 0), np.float32)


@lru_cache(maxsize=4)
def _features(sources: _Sources) -> PairFeatures:
    """Built once for the same tables, so that folds and models share what they do not learn."""
    found = sources.tables
    return PairFeatures(found["concepts"], found["documents"], found["document_links"], found["pair_features"])  # type: ignore[arg-type]
