"""How data is parted for evaluation: by learner, by time, by class, by cold item, by cells; pairs of concepts grouped, by concept, by domain.

A split names its parts and holds row positions; sizes are asserted by name and the ids are saved with the run.
Learners are drawn in their order of first appearance, so that renaming ids (pseudonyms) changes no split. Pairs of concepts are drawn in
the order of their ids, so that the order of rows changes no split.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from edukit.reproducibility import fingerprint, replacing
from edukit.schema import DataError

ROW_IDS = ("learner_id", "item_id", "order", "concept_id", "requires_id", "domain")
"""Columns saved beside the position where single rows were drawn."""


@dataclass(frozen=True)
class Split:
    """Row positions of each part of one table.

    ``unit`` is the column whose values were drawn (``learner_id``, ``class_id``, ``item_id``; ``row`` for cells, time and pairs of concepts).
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

    def expect(self, sizes: Mapping[str, int]) -> Split:
        """This split, if its parts are those of ``sizes`` with as many rows each; else DataError naming every part that differs."""
        found = self.sizes()
        wrong = [f"{name} must have {sizes[name]:,} rows; found {found[name]:,}" for name in sizes if name in found and found[name] != sizes[name]]
        wrong += [f"{name} must be a part; found {', '.join(found)}" for name in sizes if name not in found]
        wrong += [f"no part {name} was expected; found it with {found[name]:,} rows" for name in found if name not in sizes]
        if wrong:
            raise DataError(f"split {self.name} (seed {self.seed}): {'; '.join(wrong)}. Is it the same data, variant and seed?")
        return self

    @property
    def fingerprint(self) -> str:
        """Identity of this split, part of every cache key of what was fitted on it."""
        return fingerprint(self.name, self.seed, *(self.rows[name] for name in sorted(self.rows)))

    def save(self, path: Path, table: pd.DataFrame) -> Path:
        """Write one row per drawn unit: ``part`` and its id; per row its position (``row``) and the ids of :data:`ROW_IDS` it has."""
        frames = []
        for name, rows in self.rows.items():
            part = table.iloc[rows]
            ids = part[[c for c in ROW_IDS if c in table]].assign(row=rows) if self.unit == "row" else part[[self.unit]].drop_duplicates()
            ids.insert(0, "part", name)
            frames.append(ids)
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


def learner_fold(interactions: pd.DataFrame, seed: int = 0, folds: int = 5, fold: int = 0) -> Split:
    """Set one of ``folds`` equal folds of the learners aside as `valid`; the others are `train`. Raises DataError where a part would be empty."""
    codes = pd.factorize(interactions["learner_id"])[0]
    aside = _in_folds(int(codes.max(initial=-1)) + 1, seed, folds, fold, 0.0)[codes] == "test"
    return _check(Split("learner_fold", "learner_id", seed, {"train": np.flatnonzero(~aside), "valid": np.flatnonzero(aside)}), interactions)


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


# ---- pairs of concepts ------------------------------------------------------------------------------------
# The unit is the unordered pair: a pair and its reverse are never in two parts, and neither is a pair that two domains share.


def _pair_key(pairs: pd.DataFrame) -> pd.Series:
    """Number of the unordered pair of each row, from 0 in the order of the ids."""
    if absent := [c for c in ("concept_id", "requires_id") if c not in pairs]:
        raise DataError(f"a split of pairs needs the columns {', '.join(absent)} of concept_pairs; found {', '.join(map(str, pairs.columns))}.")
    ends = np.sort(pairs[["concept_id", "requires_id"]].to_numpy(dtype=object), axis=1)
    return pd.DataFrame(ends, index=pairs.index).groupby([0, 1], sort=True).ngroup()


def _in_folds(units: int, seed: int, folds: int, fold: int, valid: float) -> np.ndarray:
    """Part of each of the units 0..n-1: the numbered one of ``folds`` equal folds is `test`, a share ``valid`` of the others `valid`."""
    if not 0 <= fold < folds or folds < 2:
        raise DataError(f"folds must be at least 2 and fold one of 0 to folds - 1; found folds {folds}, fold {fold}")
    if not 0 <= valid < 1:
        raise DataError(f"valid must be a share below 1 of what is not tested; found {valid:g}")
    drawn = np.random.default_rng(seed).permutation(units)
    part = np.full(units, "train", dtype=object)
    test = np.array_split(drawn, folds)[fold]
    part[test] = "test"
    rest = drawn[~np.isin(drawn, test)]
    part[rest[:round(valid * len(rest))]] = "valid"
    return part


def _parted(name: str, seed: int, part: np.ndarray, pairs: pd.DataFrame, names: tuple[str, ...]) -> Split:
    return _check(Split(name, "row", seed, {each: np.flatnonzero(part == each) for each in names}), pairs)


def _named(valid: float, *more: str) -> tuple[str, ...]:
    return ("train", *(("valid",) if valid else ()), "test", *more)


def pairs_random(pairs: pd.DataFrame, seed: int = 0, folds: int = 5, fold: int = 0, valid: float = 0.0) -> Split:
    """Rows drawn one by one, as many papers do: a pair may be tested whose reverse was trained on. Only to show what such a split gives away.

    Parameters and Raises as :func:`pairs_grouped`.
    """
    _pair_key(pairs)
    ids = pairs[[c for c in ("concept_id", "requires_id", "domain") if c in pairs]]
    return _parted("random_leaky", seed, _in_folds(len(pairs), seed, folds, fold, valid)[ids.groupby(list(ids), dropna=False).ngroup()], pairs, _named(valid))


def pairs_grouped(pairs: pd.DataFrame, seed: int = 0, folds: int = 5, fold: int = 0, valid: float = 0.0) -> Split:
    """Hold out unordered pairs of concepts: a pair and its reverse, in whatever domain, stay together.

    Parameters
    ----------
    pairs : table ``concept_pairs``.
    seed : draws the folds.
    folds, fold : how many folds, and which of them (from 0) is tested.
    valid : share of what is not tested that is set apart to choose thresholds and epochs.

    Raises
    ------
    DataError
        Where a part would be empty, or an option makes no sense.
    """
    key = _pair_key(pairs).to_numpy()
    return _parted("grouped", seed, _in_folds(int(key.max(initial=-1)) + 1, seed, folds, fold, valid)[key], pairs, _named(valid))


def pairs_inductive(pairs: pd.DataFrame, seed: int = 0, folds: int = 5, fold: int = 0, valid: float = 0.0) -> Split:
    """Hold out concepts: what can be said of a concept that was in no training pair?

    Of the pairs that have a held-out concept, `test` holds those whose other end is in some training pair, and `inductive_both` those with
    two unseen ends. Pairs with a validation concept and no held-out one are `valid`. Parameters and Raises as :func:`pairs_grouped`;
    the folds and the share are of concepts.
    """
    _pair_key(pairs)
    ids, codes = np.unique(pairs[["concept_id", "requires_id"]].to_numpy(dtype=object).astype(str), return_inverse=True)
    of = _in_folds(len(ids), seed, folds, fold, valid)
    first, second = codes.reshape(-1, 2).T
    train = (of[first] == "train") & (of[second] == "train")
    seen = np.isin(np.arange(len(ids)), [first[train], second[train]])
    held = (of[first] == "test") | (of[second] == "test")
    part = np.where(train, "train", np.where(~held, "valid", np.where(seen[first] | seen[second], "test", "inductive_both")))
    return _parted("inductive", seed, part, pairs, _named(valid, "inductive_both"))


def pairs_by_domain(pairs: pd.DataFrame, domain: str) -> Split:
    """Leave one domain out: train on the others. Their rows of a pair that the tested domain has too, in any order, are in the part `shared`.

    Raises DataError where there is no such domain, or only one.
    """
    key = _pair_key(pairs)
    if "domain" not in pairs or domain not in set(pairs["domain"]):
        found = ", ".join(map(str, pd.unique(pairs["domain"].dropna()))) if "domain" in pairs else "no column domain"
        raise DataError(f"a split by domain needs concept_pairs.domain to hold {domain}; found {found}")
    test = (pairs["domain"] == domain).to_numpy(dtype=bool)
    shared = key.isin(key[test]).to_numpy() & ~test
    part = np.where(test, "test", np.where(shared, "shared", "train"))
    return _parted("domain", 0, part, pairs, ("train", "test", *(("shared",) if shared.any() else ())))


def implied(train: pd.DataFrame, pairs: pd.DataFrame) -> pd.Series:
    """Whether the training positives already imply each pair, as a prerequisite of a prerequisite; such pairs are reported apart.

    Parameters
    ----------
    train, pairs : tables ``concept_pairs``; of ``train`` the rows with label 1 are used.

    Returns
    -------
    Series of bool, aligned to the index of ``pairs``.
    """
    import networkx as nx

    known = train.loc[train["label"] == 1, ["concept_id", "requires_id"]]
    graph = nx.from_pandas_edgelist(known, "concept_id", "requires_id", create_using=nx.DiGraph)
    below = {concept: nx.descendants(graph, concept) for concept in pairs["concept_id"].unique() if concept in graph}
    reached = [requires in below.get(concept, ()) for concept, requires in zip(pairs["concept_id"], pairs["requires_id"], strict=True)]
    return pd.Series(reached, index=pairs.index, dtype=bool)
