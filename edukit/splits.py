"""How data is parted for evaluation: by learner, by time, by class, by cold item, by cells.

A split names its parts and holds row positions; sizes are asserted by name and the ids are saved with the run.
Learners are drawn in their order of first appearance, so that renaming ids (pseudonyms) changes no split.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from edukit.reproducibility import fingerprint, replacing
from edukit.schema import DataError


@dataclass(frozen=True)
class Split:
    """Row positions of each part of one table.

    ``unit`` is the column whose values were drawn (``learner_id``, ``class_id``, ``item_id``; ``row`` for cells and time).
    """

    name: str
    unit: str
    seed: int
    rows: dict[str, np.ndarray]

    def part(self, table: pd.DataFrame, name: str) -> pd.DataFrame:
        """The rows of one part, in their order in ``table``, with their index."""
        if name not in self.rows:
            raise DataError(f"split {self.name} has the parts {', '.join(self.rows)}; found no part {name}")
        return table.iloc[self.rows[name]]

    def sizes(self) -> dict[str, int]:
        """Number of rows per part."""
        return {name: len(rows) for name, rows in self.rows.items()}

    @property
    def fingerprint(self) -> str:
        """Identity of this split, part of every cache key of what was fitted on it."""
        return fingerprint(self.name, self.seed, *(self.rows[name] for name in sorted(self.rows)))

    def save(self, path: Path, table: pd.DataFrame) -> Path:
        """Write one row per drawn unit (or per row): ``part`` and its id."""
        frames = []
        for name, rows in self.rows.items():
            ids = pd.Series(rows, dtype="int64") if self.unit == "row" else table[self.unit].iloc[rows].drop_duplicates()
            frames.append(pd.DataFrame({"part": name, self.unit: ids.to_numpy()}))
        with replacing(path) as fresh:
            pd.concat(frames, ignore_index=True).to_parquet(fresh, index=False)
        return path


def _check(split: Split, table: pd.DataFrame, disjoint: bool = True) -> Split:
    together = np.concatenate(list(split.rows.values()))
    if disjoint and len(np.unique(together)) != len(together):
        raise DataError(f"split {split.name} must put each row into one part; found {len(together) - len(np.unique(together)):,} twice")
    empty = [name for name, rows in split.rows.items() if not len(rows)]
    if empty:
        raise DataError(f"split {split.name} must leave rows in every part; found none in {', '.join(empty)} "
                        f"({len(table):,} rows in all). Use more data or a smaller share.")
    return split


def _draw(codes: np.ndarray, shares: dict[str, float], seed: int) -> dict[str, np.ndarray]:
    """Parts of the units 0..n-1: each named share of them, the rest `train`."""
    units = int(codes.max()) + 1 if len(codes) else 0
    shuffled = np.random.default_rng(seed).permutation(units)
    part_of = np.full(units, "train", dtype=object)
    at = 0
    for name, share in shares.items():
        size = round(share * units)
        part_of[shuffled[at:at + size]] = name
        at += size
    return {name: np.flatnonzero(part_of[codes] == name) for name in ("train", *shares)}


def _by(column: str, name: str) -> Callable[..., Split]:
    def split(interactions: pd.DataFrame, seed: int = 0, test: float = 0.2, valid: float = 0.0) -> Split:
        if column not in interactions or interactions[column].isna().any():
            raise DataError(f"a split by {column} needs interactions.{column} in every row; found it "
                            f"{'missing in some' if column in interactions else 'absent'}. Choose another split.")
        codes = pd.factorize(interactions[column])[0]
        shares = {**({"valid": valid} if valid else {}), "test": test}
        return _check(Split(name, column, seed, _draw(codes, shares, seed)), interactions)

    split.__name__ = f"by_{name}"
    split.__doc__ = (f"Hold out whole values of ``{column}``: a share ``test`` (and ``valid``) of them, drawn by ``seed``.\n\n"
                     f"    Raises DataError where ``{column}`` is absent or a part would be empty.")
    return split


by_learner = _by("learner_id", "learner")
by_class = _by("class_id", "class")
by_cold_item = _by("item_id", "cold_item")


def published(interactions: pd.DataFrame, part: pd.Series) -> Split:
    """The publisher's own parts, one value of ``part`` per row (aligned to the index)."""
    values = part.reindex(interactions.index).to_numpy()
    return _check(Split("published", "row", 0, {str(name): np.flatnonzero(values == name) for name in pd.unique(values)}), interactions)


def by_time(interactions: pd.DataFrame, share: float = 0.8) -> Split:
    """Train on the earliest ``share`` of the responses by ``timestamp``, test on the rest.

    Raises DataError where a timestamp is missing.
    """
    if "timestamp" not in interactions or interactions["timestamp"].isna().any():
        raise DataError("a split by time needs interactions.timestamp in every row; found it missing. Split by learner instead.")
    cut = interactions["timestamp"].sort_values().iloc[int(share * len(interactions)) - 1]
    early = (interactions["timestamp"] <= cut).to_numpy()
    return _check(Split("time", "row", 0, {"train": np.flatnonzero(early), "test": np.flatnonzero(~early)}), interactions)


def cells(interactions: pd.DataFrame, seed: int = 0, test: float = 0.2) -> Split:
    """For data without order: hold out a share of **each learner's** responses; ability comes from the rest.

    Learners with one response keep it in training. The number held out is the share rounded at random, so that
    short histories are held out in proportion.
    """
    codes = pd.factorize(interactions["learner_id"])[0]
    rng = np.random.default_rng(seed)
    draw = rng.random(len(codes))
    order = np.lexsort((draw, codes))
    counts = np.bincount(codes)
    rank = np.empty(len(codes), int)
    rank[order] = np.arange(len(codes)) - np.repeat(np.cumsum(counts) - counts, counts)
    held = np.minimum(np.floor(test * counts + rng.random(len(counts))), counts - 1)
    out = rank < held[codes]
    return _check(Split("cells", "row", seed, {"train": np.flatnonzero(~out), "test": np.flatnonzero(out)}), interactions)
