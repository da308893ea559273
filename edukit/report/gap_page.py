"""The gap map as one HTML file: a curriculum designer opens it, asks it, prints it; it asks nothing of the network.

References
----------
Sugiyama, K., Tagawa, S., & Toda, M. (1981). Methods for visual understanding of hierarchical system structures. IEEE SMC.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd

from edukit.governance.privacy import TOTAL
from edukit.reproducibility import replacing
from edukit.schema import DataError

RULES = {"target": 0.70, "fail": 0.60, "k": 10, "min_responses": 20, "stuck_level": 0.90, "interval": 0.95}
SCRIPTS = ("gap_graph.js", "gap_cells.js", "gap_panels.js", "gap_page.js")
SWEEPS = 24  # rounds of crossing reduction
_HIDDEN = {"not enough data": 0, "suppressed": 1}  # how the page stores a cell without numbers
_FORMULA = r"^('*[=+\-@\t\r])"  # a spreadsheet runs text that begins like this


# ---- layout ------------------------------------------------------------------------------------------


def layers(concept_ids: Sequence[str], edges: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """Place concepts so that every prerequisite lies left of what requires it, with few crossings.

    Longest-path layers; concepts with more dependants than prerequisites move right, next to what needs them. Within layers,
    sweeps to the mean position of the neighbours, then the least moves that keep one unit of distance. Connected parts are
    laid out one by one, the largest on top; the small ones and single concepts fill rows below. In a cycle, one edge is ignored.

    Parameters
    ----------
    concept_ids : C ids
    edges : pairs (prerequisite, concept)

    Returns
    -------
    DataFrame
        ``concept_id, x, y`` in the given order; x counts layers and y rows, both from 0.

    Raises
    ------
    DataError
        On an edge to a concept that is not there.

    Examples
    --------
    >>> layers(["a", "b", "c"], [("a", "b"), ("b", "c")])["x"].tolist()
    [0.0, 1.0, 2.0]
    """
    place = {concept: i for i, concept in enumerate(concept_ids)}
    pairs = list(edges)
    unknown = [pair for pair in pairs if pair[0] not in place or pair[1] not in place]
    if unknown:
        raise DataError(f"every prerequisite must be found in concepts; found {unknown[0]!r} and {len(unknown) - 1} more. "
                        "Add the concept or drop the edge.")
    parents: list[list[int]] = [[] for _ in concept_ids]
    children: list[list[int]] = [[] for _ in concept_ids]
    for one, other in sorted({(place[a], place[b]) for a, b in pairs if a != b}):
        parents[other].append(one)
        children[one].append(other)
    depth = _depths(parents, children)
    x, y = np.zeros(len(depth)), np.zeros(len(depth))
    parts = [(part, min(depth[i] for i in part), max(depth[i] for i in part)) for part in _parts(parents, children)]
    width = max([last - first + 1 for _, first, last in parts] + [int(np.sqrt(len(depth) / 3))])
    left, top, height = 0.0, 0.0, 0.0  # of the row of parts that is being filled
    for part, first, last in parts:
        rows = _rows(part, depth, parents, children)
        if left + last - first + 1 > width:
            left, top, height = 0.0, top + height, 0.0
        for i in part:
            x[i], y[i] = left + depth[i] - first, top + rows[i]
        left, height = left + last - first + 1, max(height, max(rows.values()) + 1 + (len(part) > 1) * 0.6)
    return pd.DataFrame({"concept_id": list(concept_ids), "x": x, "y": y})


def _depths(parents: list[list[int]], children: list[list[int]]) -> list[int]:
    waiting = [len(p) for p in parents]
    left, depth, order = set(range(len(parents))), [0] * len(parents), []
    ready = [i for i in left if not waiting[i]]
    while left:
        if not ready:  # a cycle: start with the concept that waits for least
            ready = [min(left, key=lambda i: (waiting[i], i))]
        node = ready.pop()
        left.remove(node)
        order.append(node)
        depth[node] = 1 + max((depth[p] for p in parents[node] if p not in left), default=-1)
        for child in children[node]:
            waiting[child] -= 1
            if child in left and not waiting[child]:
                ready.append(child)
    for node in reversed(order):
        later = [depth[c] for c in children[node] if depth[c] > depth[node]]
        if later and len(children[node]) > len(parents[node]):
            depth[node] = min(later) - 1
    return depth


def _parts(parents: list[list[int]], children: list[list[int]]) -> list[list[int]]:
    """Connected parts, the largest first."""
    seen, parts = set(), []
    for start in range(len(parents)):
        if start not in seen:
            part, todo = [], [start]
            seen.add(start)
            while todo:
                node = todo.pop()
                part.append(node)
                fresh = [n for n in parents[node] + children[node] if n not in seen]
                seen.update(fresh)
                todo += dict.fromkeys(fresh)
            parts.append(sorted(part))
    return sorted(parts, key=lambda part: (-len(part), part[0]))


def _rows(part: list[int], depth: list[int], parents: list[list[int]], children: list[list[int]]) -> dict[int, float]:
    """Row of each concept of one part, from 0."""
    by_layer: dict[int, list[int]] = {}
    for node in part:
        by_layer.setdefault(depth[node], []).append(node)
    row = {node: float(i) for nodes in by_layer.values() for i, node in enumerate(nodes)}
    for sweep in range(SWEEPS if len(by_layer) > 1 else 0):
        forward = sweep % 2 == 0
        for layer in sorted(by_layer, reverse=not forward):
            wish = {}
            for node in by_layer[layer]:
                near = parents[node] if forward else children[node]
                near = near + (children[node] if forward else parents[node]) if sweep >= SWEEPS - 4 or not near else near
                wish[node] = sum(row[n] for n in near) / len(near)
            by_layer[layer].sort(key=lambda n: (wish[n], row[n]))
            row.update(zip(by_layer[layer], _spaced([wish[n] for n in by_layer[layer]]), strict=True))
    top = min(row.values())
    return {node: value - top for node, value in row.items()}


def _spaced(wishes: list[float]) -> list[float]:
    """Nearest positions (least squares) at least 1 apart, for wishes in ascending order: pool adjacent violators."""
    blocks: list[list[float]] = []  # sum and count of wish - index
    for i, wish in enumerate(wishes):
        blocks.append([wish - i, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, count = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += count
    starts = [total / count for total, count in blocks for _ in range(int(count))]
    return [start + i for i, start in enumerate(starts)]


# ---- the page ----------------------------------------------------------------------------------------


def gap_page(gaps: pd.DataFrame, concepts: pd.DataFrame, prerequisites: pd.DataFrame, title: str, notes: Sequence[str],
             source: Mapping[str, object], rules: Mapping[str, float] = RULES) -> str:
    """Turn a gap map into a page that shows where a cohort may be stuck, with the evidence for each cell.

    Parameters
    ----------
    gaps : table ``gaps``
        Hidden cells must hold no number; the page then holds none either.
    concepts, prerequisites : tables of those names
        ``prerequisites`` may be empty.
    title : str
    notes : list of str
        What the data allows, and what is left out and why; shown at the top.
    source : mapping
        Where the numbers come from (data set, date, model, fingerprint), shown as it is.
    rules : mapping
        ``target, fail, k, min_responses, stuck_level, interval`` the map was made with (the fields of a ``GapMap``).

    Returns
    -------
    str
        A complete HTML document. Its policy forbids every request and every script but its own.

    Raises
    ------
    DataError
        When a concept of ``gaps`` is not in ``concepts``, a cell comes twice, or a hidden cell holds a number.
    """
    from jinja2 import Environment

    rules = {name: rules[name] for name in RULES}
    data = _page_data(gaps, concepts, prerequisites, rules)
    script, css, page = "\n".join(map(_part, SCRIPTS)), _part("gap_page.css"), _part("gap_page.html.jinja")
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(page).render(
        title=title, notes=list(notes), source=dict(source), rules=rules, classes=len(data["cohorts"]) > 1, css=css, script=script,
        data=_json({**data, "title": title}), policy=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode())


def write(path: Path, gaps: pd.DataFrame, concepts: pd.DataFrame, prerequisites: pd.DataFrame, title: str, notes: Sequence[str],
          source: Mapping[str, object], rules: Mapping[str, float] = RULES) -> Path:
    """Write :func:`gap_page` to ``path``, whole or not at all."""
    page = gap_page(gaps, concepts, prerequisites, title, notes, source, rules)
    with replacing(Path(path)) as beside:
        beside.write_text(page, encoding="utf-8", newline="\n")
    return Path(path)


def write_csv(gaps: pd.DataFrame, path: Path) -> Path:
    """Write a gap map for a spreadsheet; text that a spreadsheet would run as a formula gets a leading apostrophe.

    Numbers stay numbers, hidden ones stay empty. The change can be undone: take one apostrophe off any text that begins with
    apostrophes followed by ``= + - @``, tab or return.
    """
    safe = gaps.copy()
    for name in safe.columns:
        if not (pd.api.types.is_numeric_dtype(safe[name]) or pd.api.types.is_bool_dtype(safe[name])):
            safe[name] = safe[name].astype("str").str.replace(_FORMULA, r"'\1", regex=True).where(safe[name].notna())
    with replacing(Path(path)) as beside:
        safe.to_csv(beside, index=False, encoding="utf-8-sig", lineterminator="\r\n")  # the mark makes spreadsheets read UTF-8
    return Path(path)


def _page_data(gaps: pd.DataFrame, concepts: pd.DataFrame, prerequisites: pd.DataFrame, rules: dict[str, float]) -> dict:
    """Everything the page shows, as plain lists; a hidden cell is 0 or 1 and nothing else."""
    key = ["class_id", "concept_id"]
    if gaps.duplicated(key).any():
        raise DataError(f"a page shows each class and concept once; found {int(gaps.duplicated(key).sum())} repeated. Choose one term.")
    lost = gaps.loc[~gaps["concept_id"].isin(concepts["concept_id"]), "concept_id"]
    if len(lost):
        raise DataError(f"gaps.concept_id must be found in concepts; found {lost.iloc[0]!r} and {lost.nunique() - 1} more. "
                        "Give the concepts the map was made with.")
    numbers = ["n", "responses", "mastery", "low", "high"]
    shown = gaps["state"] == "estimated"
    if gaps.loc[~shown, numbers].notna().any(axis=None):
        raise DataError("gaps must hold no number where state is not 'estimated'; found some. Make it with GapMap.map, which hides them.")
    z = NormalDist().inv_cdf((1 + rules["interval"]) / 2)
    place = {concept: i for i, concept in enumerate(concepts["concept_id"])}
    cohorts = sorted(gaps["class_id"].unique(), key=lambda name: (name != TOTAL, name))
    cells: dict[str, list] = {cohort: [0] * len(place) for cohort in cohorts}
    for cohort, concept, state in gaps.loc[~shown, [*key, "state"]].itertuples(index=False):
        cells[cohort][place[concept]] = _HIDDEN[state]
    for cohort, concept, n, responses, mastery, low, high in gaps.loc[shown, [*key, *numbers]].itertuples(index=False):
        se = max(high - mastery, mastery - low) / z  # an end that was clipped at 0 or 1 is the shorter one
        cells[cohort][place[concept]] = [int(n), int(responses), *(round(float(v), 6) for v in (mastery, low, high, se))]
    first = gaps.drop_duplicates("concept_id").set_index("concept_id")
    badges = gaps.dropna(subset="badge").drop_duplicates("concept_id").set_index("concept_id")["badge"] if "badge" in gaps else {}
    edges = [(a, b, claims["weight"].max(), ", ".join(sorted(set(claims["source"])))) for (a, b), claims in
             prerequisites.groupby(["requires_id", "concept_id"]) if a != b]
    where = layers(list(place), [edge[:2] for edge in edges])
    topics = concepts["topic"] if "topic" in concepts else pd.Series(pd.NA, index=concepts.index)
    return {
        "rules": {**rules, "zStuck": NormalDist().inv_cdf(rules["stuck_level"])},
        "concepts": [{"id": c, "name": name, "topic": None if pd.isna(topic) else topic, "x": round(x, 3), "y": round(y, 3),
                      "items": int(first["items"].get(c, 0)), "badge": badges.get(c)}
                     for c, name, topic, x, y in zip(place, concepts["name"], topics, where["x"], where["y"], strict=True)],
        "edges": [[place[a], place[b], round(float(weight), 3), told] for a, b, weight, told in edges],
        "cohorts": [{"id": str(cohort), "cells": cells[cohort]} for cohort in cohorts],
    }


def _part(name: str) -> str:
    return files("edukit.report").joinpath(name).read_text(encoding="utf-8")


def _json(data: dict) -> str:
    """JSON that cannot end the script element it stands in, whatever a concept is called."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text
