"""The channels that can speak of two concepts (names, courses, answers, exposure), made once and read pair by pair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from edukit.graph.concept_graph import named
from edukit.graph.log_features import LogFeatures
from edukit.graph.pair_features import PairFeatures
from edukit.graph.pair_models import Components, candidates
from edukit.protocols import Tables
from edukit.schema import DataError

CHANNELS = ("text", "context", "responses", "exposure")
NEEDS = {"text": ("concepts",), "context": ("concepts", "documents"), "responses": ("interactions", "q_matrix"), "exposure": ("interactions", "q_matrix")}


def lacking(tables: Tables, channel: str) -> list[str]:
    """Tables the channel lacks."""
    if channel == "context" and "concepts" in tables and ("documents" in tables or "pair_features" in tables):
        return []
    if channel == "text" and "concepts" in tables and "name" not in tables["concepts"]:
        return ["concepts.name"]
    return [name for name in NEEDS[channel] if name not in tables or not len(tables[name])]


@dataclass(frozen=True, eq=False)
class Sources:
    """What the channels that are switched on know of any pair; no label is in it, so that one is made for all folds of a trial.

    Attributes
    ----------
    channels : those switched on, in the order of :data:`CHANNELS`.
    concepts : table ``concepts`` (without one, the concepts of the q_matrix). q_matrix : or None.
    pairs : names, courses and Wikipedia numbers, or None where neither text nor context is on.
    names : (C, K) main components of the name embeddings in the order of ``pairs.concepts``; no column where text is off.
    log : what the log says, or None where neither responses nor exposure is on.
    """

    channels: tuple[str, ...]
    concepts: pd.DataFrame
    q_matrix: pd.DataFrame | None
    pairs: PairFeatures | None
    names: np.ndarray
    log: LogFeatures | None

    @classmethod
    def of(cls, tables: Tables, wanted: dict[str, bool | None], min_common: int, components: int) -> Sources:
        """Take what the wanted channels read (None = where the tables allow it), and nothing else.

        Raises DataError for a channel that was asked for and whose table is missing, or where no channel is left.
        """
        lacks = {channel: lacking(tables, channel) for channel in CHANNELS}
        for channel in CHANNELS:
            if wanted[channel] and lacks[channel]:
                raise DataError(f"Fusion(channel {channel}) needs the table {' and '.join(lacks[channel])}; found {', '.join(tables) or 'no table'}. "
                                f"Bring it, or leave {channel} out.")
        on = tuple(c for c in CHANNELS if wanted[c] is not False and not lacks[c])
        if not on:
            raise DataError(f"Fusion needs at least one channel of {', '.join(CHANNELS)}; found {', '.join(tables) or 'no table'} and nothing else on.")
        q_matrix = tables.get("q_matrix")
        pairs = PairFeatures.from_tables(tables) if {"text", "context"} & {*on} else None
        names = np.zeros((0, 0))
        if pairs is not None and "text" in on:
            raw = Components(pairs.names, components)(pairs.names)
            names = raw / np.maximum(raw.std(axis=0), 1e-9)
        log = LogFeatures.from_log(tables["interactions"], tables["q_matrix"], min_common) if {"responses", "exposure"} & {*on} else None
        concepts = tables["concepts"] if "concepts" in tables else named(tables["q_matrix"][["concept_id"]])
        return cls(on, concepts, q_matrix, pairs, names, log)

    def rows(self, channel: str, pairs: pd.DataFrame) -> np.ndarray:
        """(N, F) float32 numbers of one channel; a row of NaN where it has nothing to go on."""
        if channel in ("responses", "exposure"):
            assert self.log is not None
            return self.log.rows(channel, pairs)
        assert self.pairs is not None
        if channel == "context":
            return self.pairs.numbers(pairs).astype(np.float32)
        a, b = self.pairs.positions(pairs)
        one, other, names = self.names[a], self.names[b], self.pairs.names
        cosine = np.einsum("nf,nf->n", names[a], names[b])
        return np.column_stack([cosine, one * other, one - other]).astype(np.float32)

    def groups(self) -> pd.Series:
        """What is held out together when a channel is judged inside training (index concept_id): the topic, without one the concept."""
        own = self.concepts["concept_id"].astype("str")
        topic = self.concepts["topic"] if "topic" in self.concepts else pd.Series(pd.NA, index=own.index)
        return pd.Series(np.where(topic.isna(), "concept " + own, "topic " + topic.astype("str")), index=own)

    def candidates(self, most: int) -> pd.DataFrame:
        """Ordered pairs worth a score: all of few concepts; of many, those with the closest names and those met by enough learners."""
        ids = self.concepts["concept_id"].to_numpy(dtype=object)
        size = len(ids)
        if size <= most + 1:
            one, other = np.nonzero(~np.eye(size, dtype=bool))
            return pd.DataFrame({"concept_id": ids[one], "requires_id": ids[other]})
        found = [candidates(self.pairs, most)] if self.pairs is not None else []
        if self.log is not None:
            known = np.array(self.log.concept_ids, object)
            a, b = np.nonzero(np.isfinite(next(iter(self.log.channels["responses"].values()))))
            found.append(pd.DataFrame({"concept_id": known[a], "requires_id": known[b]}))
        return pd.concat(found).drop_duplicates().reset_index(drop=True)


def dealt(groups: pd.Series, parts: int, seed: int) -> pd.Series:
    """Part of each concept when whole groups are dealt out to parts in a drawn order (index concept_id)."""
    names = np.random.default_rng(seed).permutation(np.unique(groups))
    return groups.map(dict(zip(names, np.arange(len(names)) % parts, strict=True)))
