"""How far the fused channels find an expert's prerequisites in topics they were taught nothing about, and what each channel is worth.

The rule of the trial. Topics are dealt out to parts (a concept without one is a topic of its own). A pair whose ends lie in parts k and l is
scored by a model that was taught no pair with an end in k or in l: neither end's topic was seen, in either place of a pair.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import pandas as pd

from edukit import metrics, splits
from edukit.graph.channels import CHANNELS, Sources, dealt
from edukit.graph.fusion import CIRCULAR, Fusion
from edukit.graph.judging import judge
from edukit.graph.pair_features import PAIR
from edukit.protocols import Tables
from edukit.schema import DataError

EXCHANGED = "responses (marks exchanged)"
ADDED = "log odds of "  # a channel: what it adds where all are on; ``prior``: before any


def combinations(channels: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Sets of channels that are compared: all, each alone, responses with exposure, and all but one; names join the channels by ``+``."""
    every = tuple(c for c in CHANNELS if c in channels)
    log = tuple(c for c in ("responses", "exposure") if c in every)
    sets = [every, *((c,) for c in every), log, *(tuple(o for o in every if o != c) for c in every)]
    return {"+".join(found): found for found in sets if found}


def labelled(sources: Sources, expert: pd.DataFrame, min_common: int) -> pd.DataFrame:
    """Ordered pairs of concepts that the expert connects and that enough learners both met: ``label``, ``implied`` and ``n``.

    ``implied``: follows from the expert's edges by transitivity without being one; neither taught nor judged.

    Raises
    ------
    DataError
        Where no edge is among them, or every pair is one.
    """
    assert sources.log is not None
    edges = expert.loc[expert["concept_id"] != expert["requires_id"], PAIR].drop_duplicates()
    ids = np.array([c for c in sources.log.concept_ids if c in {*edges["concept_id"], *edges["requires_id"]}], object)
    one, other = np.nonzero(~np.eye(len(ids), dtype=bool))
    pairs = pd.DataFrame({"concept_id": pd.Series(ids[one], dtype="str"), "requires_id": pd.Series(ids[other], dtype="str")})
    pairs["n"] = sources.log.learners(pairs)
    pairs = pairs[pairs["n"] >= min_common].reset_index(drop=True)
    pairs["label"] = pd.MultiIndex.from_frame(pairs[PAIR]).isin(pd.MultiIndex.from_frame(edges)).astype(float)
    if pairs["label"].nunique() < 2:
        raise DataError(f"prerequisites must hold edges, and leave pairs out, among those that {min_common} learners both met; found "
                        f"{int(pairs['label'].sum()):,} edges in {len(pairs):,} such pairs. Bring more responses.")
    return pairs.assign(implied=(splits.implied(edges.assign(label=1.0), pairs) & (pairs["label"] == 0)).to_numpy(bool))


def score_by_topic(model: Callable[[], Fusion], sources: Sources, pairs: pd.DataFrame, sets: dict[str, tuple[str, ...]], folds: int,
                   seed: int) -> pd.DataFrame:
    """Probability of every pair under each set of channels, by the rule above, and what each channel of the first set adds to its log odds there.

    All parts share the mean of their priors: the prior of one part says how many of the labels were held out there, and would rank the parts by it.

    Parameters
    ----------
    model : makes a new model. sources : of its channels, shared by all parts.
    pairs : of :func:`labelled`. sets : of :func:`combinations`.
    folds, seed : how many parts the topics are dealt out to, and how.

    Raises
    ------
    DataError
        Where a part leaves nothing to teach.
    """
    of = dealt(sources.groups(), folds, seed + 1000)
    ends = np.column_stack([pairs[column].map(of).to_numpy(int) for column in PAIR])
    taught = ~pairs["implied"].to_numpy(bool)
    found, priors = {name: np.full(len(pairs), np.nan) for name in sets}, {name: [] for name in sets}
    whole = next(iter(sets))
    added = {channel: np.full(len(pairs), np.nan) for channel in sets[whole]}
    for one, other in combinations_with_replacement(range(folds), 2):
        asked = (np.sort(ends, axis=1) == (one, other)).all(axis=1)
        rows = pairs[taught & ~np.isin(ends, (one, other)).any(axis=1)]
        if not asked.any():
            continue
        if rows["label"].nunique() < 2:
            raise DataError(f"a trial by topic in {folds} parts must leave edges to learn from; found {int(rows['label'].sum()):,} edges in "
                            f"{len(rows):,} pairs outside two of them. Choose more parts, or data with more topics.")
        fitted = model().learn(sources, rows)
        raw = fitted.raw(pairs[asked])
        for name, channels in sets.items():
            known = [c for c in channels if c in fitted.channels]
            if known:
                part = fitted.only(*known)
                said = part.combine(raw)
                priors[name].append(part.prior)
                found[name][asked] = said[list(part.channels)].sum(axis=1).where(said["probability"].notna())
                for channel in part.channels if name == whole else ():
                    added[channel][asked] = said[channel]
    prior = {name: float(np.mean(known or [0.0])) for name, known in priors.items()}
    return pairs.assign(seed=seed, **{name: 1 / (1 + np.exp(-(odds + prior[name]))) for name, odds in found.items()},
                        **{ADDED + name: values for name, values in added.items()}, **{f"{ADDED}prior": prior[whole]})


def by_channel(scored: pd.DataFrame) -> pd.DataFrame:
    """Per pair of a trial with all channels ``n``, ``probability``, and as :meth:`Fusion.by_channel` the log odds of each channel and ``prior``.

    Means over seeds of the log odds; a channel that has nothing to go on in a seed adds 0 there, and is NaN where it never has. ``probability`` is what they
    add up to. Pairs of which no channel says anything are left out.
    """
    added = {column: column.removeprefix(ADDED) for column in map(str, scored.columns) if column.startswith(ADDED)}
    channels = [name for name in added.values() if name != "prior"]
    kept = scored.dropna(subset="+".join(channels))[[*PAIR, "n", *added]].rename(columns=added)
    told = kept.fillna(dict.fromkeys(channels, 0.0)).groupby(PAIR).mean()
    told["probability"] = 1 / (1 + np.exp(-told[[*channels, "prior"]].sum(axis=1)))
    told[channels] = told[channels].where(kept.groupby(PAIR)[channels].count() > 0)
    return told.reset_index()[[*PAIR, "n", "probability", *channels, "prior"]]


def exchanged(tables: Tables, seed: int = 0) -> dict[str, pd.DataFrame]:
    """The same log with the marks of each item exchanged between its learners: who met what and how hard items are stay, all else goes."""
    rows = tables["interactions"].reset_index(drop=True)
    item = pd.factorize(rows["item_id"])[0]
    order = np.argsort(item, kind="stable")
    drawn = np.lexsort((np.random.default_rng(seed).random(len(rows)), item))
    marks = np.empty(len(rows))
    marks[order] = rows["correct"].to_numpy(float)[drawn]
    return {**tables, "interactions": rows.assign(correct=marks)}


def _mean(runs: list[list[dict]]) -> list[dict]:
    """Records of several seeds as one: means of values and of both ends of the intervals, where every seed has them."""
    frame = pd.concat([pd.DataFrame(run) for run in runs])
    records = []
    for (name, split, channel), rows in frame.groupby(["name", "split", "channel"], sort=False):
        value, low, high = (float(v.mean()) if (v := pd.to_numeric(rows[c])).notna().all() else None for c in ("value", "low", "high"))
        records.append(metrics.record(name, value, int(rows["n"].iloc[0]), low, high, split=split, model="fusion", channel=channel))
    return records


def _judged(scored: pd.DataFrame, name: str, tables: Tables, min_common: int, draws: int) -> list[dict]:
    """Records of one set of channels and one seed."""
    topics = tables["concepts"].set_index("concept_id")["topic"] if "concepts" in tables and "topic" in tables["concepts"] else None
    known = scored.dropna(subset=name)
    found = judge(known[[*PAIR, "n"]].assign(score=known[name]), tables["prerequisites"], topics, min_common, "fusion", name, draws,
                  int(scored["seed"].iloc[0]))
    kept = known[~known["implied"]]
    error = metrics.ece(kept["label"].to_numpy(), kept[name].to_numpy())
    return [*found, metrics.record("ece", error, len(kept), split="covered", model="fusion", channel=name)]


def trial(tables: Tables, channels: Sequence[str] | None = None, folds: int = 5, seeds: Sequence[int] = (0, 1, 2), draws: int = 200,
          say: Callable[[str], None] = print, settings: Mapping[str, Any] | None = None) -> tuple[list[dict], pd.DataFrame]:
    """Try the fusion by topic, with every channel and without each.

    Parameters
    ----------
    tables : with ``interactions``, ``q_matrix`` and ``prerequisites`` (and ``concepts``, with topics, where the data have them).
    channels : of :data:`~edukit.graph.channels.CHANNELS`; None = those the tables allow.
    folds, seeds : parts that the topics are dealt out to, and how often.
    draws : cohorts of concepts behind the intervals, over all seeds.
    say : is told what is found.
    settings : other arguments of :class:`~edukit.graph.fusion.Fusion`, less ``seed``; None = its defaults.

    Returns
    -------
    records : as :func:`edukit.graph.judging.judge` makes them, ``channel`` naming the set of channels; ``all_pairs`` ties pairs with too few
        common learners at the lowest score; ``ece`` besides. Means over seeds, intervals the mean of those of the seeds. ``responses (marks
        exchanged)``, of the first seed, is what the channel responses scores when only who met what, and how hard items are, is left in the log.
    scored : one row a pair and seed: ``concept_id, requires_id, n, label, implied, seed``, a probability per set of channels, and the log odds that
        each channel adds where all are on (:data:`ADDED` and its name; :func:`by_channel` reads them).

    Raises
    ------
    DataError
        Where a table is missing, or no expert edge can be judged.
    """
    for name in ("interactions", "q_matrix", "prerequisites"):
        if name not in tables or not len(tables[name]):
            raise DataError(f"a trial of the fusion needs the table {name}; found {', '.join(tables) or 'no table'}. Choose data with it (junyi).")
    asked = {**(settings or {}), **{c: None if channels is None else c in channels for c in CHANNELS}}
    seen = {name: table for name, table in tables.items() if name not in ("prerequisites", "concept_pairs")}
    model = Fusion(**asked)
    sources = model.sources(seen)
    counted = sources if sources.log is not None else Fusion(text=False, context=False).sources(seen)
    pairs = labelled(counted, tables["prerequisites"], model.min_common)
    judged = pairs[~pairs["implied"]]
    say(f"fusion by topic: {len(judged):,} pairs met by at least {model.min_common} learners, {int(judged['label'].sum()):,} of them prerequisites, in "
        f"{sources.groups().nunique():,} topics; channels {', '.join(sources.channels)}")
    if "exposure" in sources.channels:
        say(CIRCULAR)
    sets, each = combinations(sources.channels), max(draws // len(seeds), 2)
    parts = [score_by_topic(lambda seed=seed: Fusion(**asked, seed=seed), sources, pairs, sets, folds, seed) for seed in seeds]
    records = [r for name in sets for r in _mean([_judged(part, name, tables, model.min_common, each) for part in parts])]
    if "responses" in sources.channels:
        alone = {**asked, **{c: c == "responses" for c in CHANNELS}}
        blind = Fusion(**alone).sources(exchanged(seen, seeds[0]))
        control = score_by_topic(lambda: Fusion(**alone, seed=seeds[0]), blind, pairs, {EXCHANGED: ("responses",)}, folds, seeds[0])
        records += _judged(control, EXCHANGED, tables, model.min_common, each)
        parts[0] = parts[0].assign(**{EXCHANGED: control[EXCHANGED]})
    for r in [r for r in records if r["name"] in ("ap", "auc", "direction_accuracy", "ece") and r["split"] == "covered"]:
        say(f"{r['channel']}: {r['name']} {r['value']:.3f}" + ("" if r["low"] is None else f" [{r['low']:.3f}, {r['high']:.3f}]"))
    return records, pd.concat(parts, ignore_index=True)
