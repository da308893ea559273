"""Where concepts stand on a page, so that what a learner needs first lies before what needs it.

References
----------
Sugiyama, K., Tagawa, S., & Toda, M. (1981). Methods for visual understanding of hierarchical system structures. IEEE SMC.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from edukit.schema import DataError

SWEEPS = 24  # rounds of crossing reduction


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
