"""What is wrong with a prerequisite graph that people edited: every fault by its name, with the edges concerned.

It reads tables as they come, valid or not: a graph that cannot be used must still be one that can be mended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import pandas as pd

from edukit.schema import TABLES, DataError
from edukit.validation import validate

_PAIR = ["concept_id", "requires_id"]
MOST = 1_000  # cycles listed one by one; a graph can have more than there are atoms


@dataclass(frozen=True)
class Finding:
    """One thing found: its kind, what it is about (ids, or the concepts of a cycle in order), and a sentence. A note is no fault.

    Kinds: ``value``, ``range``, ``duplicate``, ``self-loop``, ``dangling``, ``cycle``, and the note ``isolated``. Two findings are equal when they
    are of one kind and about the same.
    """

    kind: str
    subject: tuple[str, ...]
    message: str = field(compare=False)
    fault: bool = field(default=True, compare=False)

    def __str__(self) -> str:
        return f"{self.kind if self.fault else 'note'}: {self.message}"


def _ids(values: pd.Series) -> pd.Series:
    """Ids as text; missing ones stay missing."""
    return values.map(lambda value: None if pd.isna(value) else str(value)).astype(object)


def _claim(concept: str, required: str) -> str:
    return f"{concept!r} requires {required!r}"


def cycles(pairs: Iterable[tuple[str, str]], most: int = MOST) -> tuple[list[tuple[str, ...]], bool]:
    """The circles in which concepts require each other, shortest first.

    Parameters
    ----------
    pairs : (concept, required) pairs; self-loops are left out.
    most : of more elementary cycles than these, so many are listed, and then one more through each edge that none of them runs through.

    Returns
    -------
    circles, complete
        Each circle as concepts, every one required by the next (the last by the first), beginning with the smallest id; and whether these are
        all. Every edge that lies on any cycle lies on one that is listed.

    References
    ----------
    Johnson (1975), SIAM Journal on Computing 4.

    Examples
    --------
    >>> cycles([("b", "a"), ("c", "b"), ("a", "c"), ("d", "c")])
    ([('a', 'b', 'c')], True)
    """
    import networkx as nx

    arrows = nx.DiGraph()
    arrows.add_edges_from(sorted((required, concept) for concept, required in pairs if concept != required))
    found: set[tuple[str, ...]] = set()
    every = list(islice(nx.simple_cycles(arrows), most + 1))
    complete = len(every) <= most

    def note(circle: list[str]) -> None:
        first = circle.index(min(circle))
        found.add(tuple(circle[first:] + circle[:first]))

    for circle in every[:most]:
        note(circle)
    if not complete:
        named = {arrow for circle in found for arrow in zip(circle, (*circle[1:], circle[0]), strict=True)}
        for part in map(arrows.subgraph, nx.strongly_connected_components(arrows)):
            for required, concept in sorted(part.edges):
                if (required, concept) not in named:
                    circle = nx.shortest_path(part, concept, required)
                    named |= set(zip(circle, [*circle[1:], circle[0]], strict=True))
                    note(circle)
    return sorted(found, key=lambda circle: (len(circle), circle)), complete


def _cycle_findings(edges: pd.DataFrame) -> list[Finding]:
    weight = pd.to_numeric(edges["weight"], errors="coerce").fillna(1.0) if "weight" in edges else pd.Series(1.0, index=edges.index)
    strongest = weight.groupby([edges[c] for c in _PAIR]).max().to_dict()
    circles, complete = cycles(strongest)
    findings = []
    for circle in circles:
        steps = list(zip((*circle[1:], circle[0]), circle, strict=True))
        weakest = min(steps, key=lambda step: (strongest[step], step))
        hint = f"; the weakest claim is {_claim(*weakest)} (weight {strongest[weakest]:g})" if len({strongest[step] for step in steps}) > 1 else ""
        findings.append(Finding("cycle", circle, f"{len(circle)} concepts require each other in a circle: {', '.join(_claim(*s) for s in steps)}{hint}"))
    if not complete:
        findings.append(Finding("cycle", (), f"there are more cycles than the {len(circles):,} listed; every claim that lies on one is in the list"))
    return findings


def _range_findings(edges: pd.DataFrame) -> tuple[list[Finding], pd.DataFrame]:
    """Numbers out of range, claim by claim, and the claims with these put right, so that other faults can be looked for."""
    findings, mended = [], edges.copy()
    for column in TABLES["prerequisites"].columns:
        if column.kind != "number" or column.name not in edges:
            continue
        values = pd.to_numeric(edges[column.name], errors="coerce").astype(float)
        wrong = np.flatnonzero(((values < column.low) | (values > column.high)).to_numpy(bool))
        for row in wrong:
            subject = tuple(str(edges[c].iloc[row]) for c in _PAIR if c in edges)
            findings.append(Finding("range", (column.name, *subject), f"{column.name} of {_claim(*subject) if len(subject) == 2 else subject} must lie in "
                                    f"[{column.low:g}, {column.high:g}]; found {values.iloc[row]:g}"))
        if len(wrong):
            mended[column.name] = edges[column.name].where(~np.isin(np.arange(len(edges)), wrong), column.low)
    return findings, mended


def _value_findings(table: pd.DataFrame, name: str) -> list[Finding]:
    """Columns that are absent or unknown and values of the wrong kind, in the words of the validation."""
    key = [c for c in TABLES[name].key if c in table]
    try:
        validate(table[~table.astype(object).duplicated(key)] if key else table, name)
    except DataError as error:
        return [Finding("value", (line,), line.rstrip(".")) for line in str(error).split("\n")]
    return []


def _duplicate_findings(table: pd.DataFrame, name: str) -> list[Finding]:
    key = [c for c in TABLES[name].key if c in table]
    if not key:
        return []
    counts = table[key].apply(_ids).dropna(subset=key[:1]).value_counts(dropna=False, sort=False)
    found = []
    for values, n in counts[counts > 1].sort_index().items():
        subject = tuple(str(v) for v in (values if isinstance(values, tuple) else (values,)))
        what = f"concept {subject[0]!r}" if name == "concepts" else f"{_claim(*subject[:2])} (source {', '.join(subject[2:])})" if name == "prerequisites" \
            else f"{name} ({', '.join(subject)})"
        found.append(Finding("duplicate", (name, *subject), f"{what} stands {n} times; keep one"))
    return found


def check(tables: Mapping[str, pd.DataFrame]) -> list[Finding]:
    """Everything that is wrong with a graph, and what is worth knowing.

    Parameters
    ----------
    tables : ``concepts`` and ``prerequisites`` (and ``concept_tree``, ``votes``) as they come, valid or not. Several sources may claim the same edge.

    Returns
    -------
    list of Finding
        Faults first: values, ranges, duplicates, self-loops, dangling concepts, cycles; then notes.

    Examples
    --------
    >>> c = pd.DataFrame({"concept_id": ["a", "b"], "name": ["a", "b"]})
    >>> p = pd.DataFrame({"concept_id": ["a", "b"], "requires_id": ["b", "x"], "source": "me", "weight": [1.0, 2.0]})
    >>> for finding in check({"concepts": c, "prerequisites": p}):
    ...     print(finding)
    range: weight of 'b' requires 'x' must lie in [0, 1]; found 2
    dangling: 'x' is no concept of this graph, but 'b' requires 'x' names it (prerequisites)
    """
    findings: list[Finding] = []
    ranges: list[Finding] = []
    for name, table in tables.items():
        if name == "prerequisites":
            ranges, table = _range_findings(table)
        findings += _value_findings(table, name) if len(table) else []
    return [*findings, *ranges, *structure(tables)]


def structure(tables: Mapping[str, pd.DataFrame]) -> list[Finding]:
    """The findings of :func:`check` that are about ids: duplicates, self-loops, dangling concepts, cycles, and isolated concepts as a note."""
    there = {name: table.reset_index(drop=True) for name, table in tables.items() if len(table)}
    edges = there.get("prerequisites")
    findings = [finding for name, table in there.items() for finding in _duplicate_findings(table, name)]
    known = set(_ids(there["concepts"]["concept_id"]).dropna()) if "concepts" in there and "concept_id" in there["concepts"] else set()
    used: set[str] = set()
    if edges is not None and set(_PAIR) <= set(edges):
        edges = edges.assign(**{c: _ids(edges[c]) for c in _PAIR}).dropna(subset=_PAIR)
        for concept in sorted(set(edges.loc[edges["concept_id"] == edges["requires_id"], "concept_id"])):
            findings.append(Finding("self-loop", (concept,), f"{_claim(concept, concept)}, that is itself; remove it"))
        used = {*edges["concept_id"], *edges["requires_id"]}
    findings += _dangling(there, known)
    if edges is not None and used:
        findings += _cycle_findings(edges)
    if alone := sorted(known - used):
        shown = ", ".join(map(repr, alone[:10])) + (f" and {len(alone) - 10:,} more" if len(alone) > 10 else "")
        findings.append(Finding("isolated", tuple(alone), f"{len(alone):,} of {len(known):,} concepts neither require nor are required: {shown}", fault=False))
    return findings


def _dangling(tables: Mapping[str, pd.DataFrame], known: set[str]) -> list[Finding]:
    """Ids that are named somewhere and are no concept, each once, with the first row that names it."""
    first: dict[str, str] = {}
    for name, second, words in (("prerequisites", "requires_id", "requires"), ("concept_tree", "parent_id", "under"), ("votes", "requires_id", "requires")):
        table = tables.get(name)
        if table is None or not {"concept_id", second} <= set(table):
            continue
        for concept, other in zip(_ids(table["concept_id"]), _ids(table[second]), strict=True):
            for end in (concept, other):
                if end is not None and end not in known:
                    first.setdefault(end, f"{concept!r} {words} {other!r} names it ({name})")
    return [Finding("dangling", (concept,), f"{concept!r} is no concept of this graph, but {where}") for concept, where in sorted(first.items())]
