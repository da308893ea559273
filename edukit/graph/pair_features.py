"""What can be said of two concepts before anyone has judged them: their names, the courses that mention them, their numbers from Wikipedia.

Nothing here reads a label: the tables ``concept_pairs`` and ``prerequisites`` are not looked at, so that a concept in no training pair has the
same features as any other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
import pandas as pd

from edukit.protocols import Tables
from edukit.reproducibility import fingerprint
from edukit.schema import DataError
from edukit.text import WIDTH, embed

PAIR = ["concept_id", "requires_id"]
CLOSEST = 5  # course texts that count as half a mention, where they are the closest to a name
CONTEXT = ("flow", "flow_back", "flow_per_mention", "flow_back_per_mention", "comention_of_concept", "comention_of_requires", "level_difference",
           "mentions_concept", "mentions_requires", "mentions_difference", "cosine_names", "cosine_texts", "crossed_cosines", "words_concept",
           "words_requires", "words_difference")
_BRACKET = re.compile(r"\s*\([^)]*\)$")
_SENTENCE = re.compile(r"(?<=[.!?;])\s+")


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1; a row of zeros stays."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _key(pairs: pd.DataFrame, *more: str) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(pairs[[*PAIR, *more]])


@dataclass(frozen=True)
class _Sources:
    """Tables under the fingerprint of what is read of them."""

    key: str
    tables: dict[str, pd.DataFrame | None] = field(compare=False, repr=False)

    @classmethod
    def of(cls, tables: Tables) -> _Sources:
        read = {"concepts": ("concept_id", "name"), "documents": ("document_id", "text", "level"), "document_links": ("document_id", "requires_id"),
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
    _place: dict[str, int] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._place.update({concept: k for k, concept in enumerate(self.concepts["concept_id"])})

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
        found = [pairs[column].map(self._place).to_numpy(float) for column in PAIR]
        for column, at in zip(PAIR, found, strict=True):
            if np.isnan(at).any():
                first = pairs[column].iloc[int(np.flatnonzero(np.isnan(at))[0])]
                raise DataError(f"pairs.{column} must be found in concepts.concept_id; found {first!r} in {int(np.isnan(at).sum()):,} of {len(pairs):,} "
                                "rows. Add the concept, with its name, to the table concepts.")
        return found[0].astype(int), found[1].astype(int)

    @cached_property
    def names(self) -> np.ndarray:
        """(C, 384) unit-length embeddings of the concepts' names."""
        return embed(self.concepts["name"].tolist())

    @cached_property
    def texts(self) -> np.ndarray:
        """(D, 384) unit-length embeddings of the course texts; no rows without courses."""
        return np.zeros((0, WIDTH), np.float32) if self.documents is None else embed(self.documents["text"].tolist())

    @cached_property
    def spoken(self) -> list[re.Pattern[str]]:
        """Per concept, what its name looks like in a text: a bracket at its end is left out, the plural of the last word is allowed."""
        bare = self.concepts["name"].str.replace(_BRACKET, "", regex=True).str.strip()
        return [re.compile(rf"(?<!\w){re.escape(name.lower())}(?:s|es)?(?!\w)") for name in bare]

    @cached_property
    def mentions(self) -> np.ndarray:
        """(C, D) float32: 1 where a course's text holds the concept's name, half where it is only among the five closest to it."""
        found = np.zeros((len(self.concepts), len(self.texts)), np.float32)
        if self.documents is None:
            return found
        lower = self.documents["text"].str.lower().tolist()
        for row in range(0, len(found), 1024):
            near = np.argsort(-self.names[row:row + 1024] @ self.texts.T, axis=1, kind="stable")[:, :CLOSEST]
            np.put_along_axis(found[row:row + 1024], near, 0.5, axis=1)
        for row, pattern in enumerate(self.spoken):
            stem = pattern.pattern[len(r"(?<!\w)"):-len(r"(?:s|es)?(?!\w)")].replace("\\", "")
            found[row, [k for k, text in enumerate(lower) if stem in text and pattern.search(text)]] = 1.0
        return found

    @cached_property
    def sentences(self) -> np.ndarray:
        """(C, 384) unit-length mean embedding of the sentences that mention each concept; of the closest course texts where none does."""
        if self.documents is None:
            return self.names
        split = [_SENTENCE.split(text) for text in self.documents["text"]]
        of = [[(d, s) for d in np.flatnonzero(row == 1) for s in split[d] if pattern.search(s.lower())]
              for row, pattern in zip(self.mentions, self.spoken, strict=True)]
        distinct = list(dict.fromkeys(s for said in of for _, s in said))
        place, vectors = {s: k for k, s in enumerate(distinct)}, embed(distinct)
        near = _unit((self.mentions > 0).astype(np.float32) @ self.texts)
        return _unit(np.stack([vectors[[place[s] for _, s in said]].mean(axis=0) if said else near[c] for c, said in enumerate(of)]))

    @cached_property
    def _courses(self) -> dict[str, np.ndarray]:
        """Numbers of each concept from the courses, and (C, C) matrices of two concepts."""
        from scipy import sparse

        assert self.documents is not None
        weight = sparse.csr_array(self.mentions)
        count = np.asarray(weight.sum(axis=1)).ravel()
        place = {d: k for k, d in enumerate(self.documents["document_id"])}
        links = self.document_links if self.document_links is not None else pd.DataFrame({"document_id": [], "requires_id": []})
        ends = [links[c].map(place).to_numpy(float) for c in ("document_id", "requires_id")]
        there = ~(np.isnan(ends[0]) | np.isnan(ends[1]))
        size = len(place)
        requires = sparse.csr_array((np.ones(int(there.sum())), (ends[0][there].astype(int), ends[1][there].astype(int))), shape=(size, size))
        level = self.documents["level"].to_numpy(float) if "level" in self.documents else np.full(size, np.nan)
        known = np.isfinite(level)
        among = np.asarray(weight[:, known].sum(axis=1)).ravel()
        mean = np.divide(weight[:, known] @ level[known], among, out=np.full(len(count), level[known].mean() if known.any() else 0.0), where=among > 0)
        return {"count": count, "level": mean, "texts": _unit(weight @ self.texts), "flow": weight @ requires @ weight.T,
                "both": weight.minimum(1) @ weight.T.minimum(1)}

    def context(self, pairs: pd.DataFrame) -> np.ndarray:
        """(N, 16) features of :data:`CONTEXT` from courses; 4 of names only where the data have no courses.

        ``flow``: log of the courses that mention the concept and require a course that mentions the other; per mention: its share of all pairs of
        such courses. ``comention``: share of the one's mentions that are beside the other. ``level``: mean number of the courses that mention it.
        """
        a, b = self.positions(pairs)
        names = np.einsum("nf,nf->n", self.names[a], self.names[b])
        words = np.log1p(self.concepts["name"].str.split().map(len).to_numpy(float))
        length = [words[a], words[b], words[a] - words[b]]
        if self.documents is None:
            return np.column_stack([names, *length])
        found = self._courses
        flow, both = (np.asarray(found[name][a, b]).ravel() for name in ("flow", "both"))
        back, count, text = np.asarray(found["flow"][b, a]).ravel(), found["count"], found["texts"]
        each = np.maximum(count[a] * count[b], 1e-9)
        logs = np.log1p(count)
        crossed = np.einsum("nf,nf->n", self.names[a], text[b]) - np.einsum("nf,nf->n", self.names[b], text[a])
        return np.column_stack([
            np.log1p(flow), np.log1p(back), flow / each, back / each, both / np.maximum(count[a], 1e-9), both / np.maximum(count[b], 1e-9),
            found["level"][a] - found["level"][b], logs[a], logs[b], logs[a] - logs[b], names, np.einsum("nf,nf->n", text[a], text[b]), crossed, *length])

    def wikipedia(self, pairs: pd.DataFrame) -> np.ndarray:
        """(N, F) numbers that came with the pairs, each of its own domain where the pairs name one; NaN for a pair they do not hold; F may be 0."""
        if self.columns is None:
            return np.zeros((len(pairs), 0))
        numbers = [c for c in self.columns if c not in (*PAIR, "domain")]
        found = self.columns.groupby(PAIR)[numbers].mean().reindex(_key(pairs)).to_numpy(float)
        if "domain" in pairs and "domain" in self.columns:
            own = self.columns.drop_duplicates([*PAIR, "domain"]).set_index([*PAIR, "domain"])[numbers].reindex(_key(pairs, "domain")).to_numpy(float)
            found = np.where(np.isnan(own), found, own)
        return found

    def signed(self, numbers: np.ndarray) -> np.ndarray:
        """Numbers of any size brought together: sign times log of 1 + size, so that a count of 10,000 does not drown a share."""
        return np.sign(numbers) * np.log1p(np.abs(numbers))

    def numbers(self, pairs: pd.DataFrame) -> np.ndarray:
        """(N, F) context features and Wikipedia columns side by side; NaN where a column does not know a pair."""
        return np.hstack([self.context(pairs), self.signed(self.wikipedia(pairs))])

    def name_pair(self, pairs: pd.DataFrame) -> np.ndarray:
        """(N, 768) the two name embeddings side by side."""
        a, b = self.positions(pairs)
        return np.hstack([self.names[a], self.names[b]])


@lru_cache(maxsize=4)
def _features(sources: _Sources) -> PairFeatures:
    """Built once for the same tables, so that folds and models share what they do not learn."""
    found = sources.tables
    return PairFeatures(found["concepts"], found["documents"], found["document_links"], found["pair_features"])  # type: ignore[arg-type]
