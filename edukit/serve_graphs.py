"""The graph of a start page: from a file, drawn edge by edge with a reason, or suggested from names for a person to accept or drop."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from edukit.formats import case, graph_export, graph_file
from edukit.graph.checking import check
from edukit.graph.editing import save
from edukit.reproducibility import replacing
from edukit.schema import DataError
from edukit.serve_data import source_of
from edukit.serve_store import Project

DRAWN, SUGGESTED = "drawn on the start page", "suggested from names"
ALIKE = 0.50  # least likeness of two names (cosine of their letter groups) for a suggestion
EASIER = 0.05  # least difference in the share answered right that gives a suggestion its direction
MOST = 2  # prerequisites suggested for a concept
UNSURE = 0.15  # weight of a suggestion: about the share that proved right on Junyi
EDGES = 20_000  # edges a page may send


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def concepts_of(project: Project) -> pd.DataFrame:
    """The concepts of the responses: ``concept_id, name, right`` (share answered right)."""
    found = project.read().get("known", {}).get("concepts", [])
    return pd.DataFrame({"concept_id": [c["id"] for c in found], "name": [c["name"] for c in found], "right": [c["right"] for c in found]})


def suggest(concepts: pd.DataFrame) -> list[dict[str, Any]]:
    """Edges that names and marks make worth a look: of concepts with names alike, the one answered right more often may come first.

    A guess to be judged edge by edge, not a finding. Of 653 suggestions for the 706 exercises of Junyi, 16 % were prerequisites of its experts
    (of all pairs .2 % are), 11 % were so the other way round, and 12 % of the experts' prerequisites were among them.

    Parameters
    ----------
    concepts : ``concept_id, name, right``.

    Returns
    -------
    list of dict
        ``concept_id, requires_id, rationale``; without a cycle, since what comes first is strictly easier.

    Examples
    --------
    >>> found = suggest(pd.DataFrame({"concept_id": ["a", "b", "c"], "name": ["adding fractions", "fractions", "angles"], "right": [0.5, 0.8, 0.9]}))
    >>> [(edge["concept_id"], edge["requires_id"]) for edge in found]
    [('a', 'b')]
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    named = concepts["name"].str.replace("_", " ").str.lower()
    if len(concepts) < 2 or not named.str.contains(r"\w", regex=True).any():
        return []
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, token_pattern=None).fit_transform(named)
    right, edges = concepts["right"].to_numpy(float), []
    for i in range(len(concepts)):
        likeness = (letters @ letters[i].T).toarray().ravel()
        likeness[right - right[i] < EASIER] = 0
        for j in np.argsort(-likeness, kind="stable")[:MOST]:
            if likeness[j] >= ALIKE:
                edges.append({"concept_id": concepts["concept_id"].iloc[i], "requires_id": concepts["concept_id"].iloc[j],
                              "rationale": f"names are alike ({likeness[j]:.0%}), and it is answered right more often ({right[j]:.0%} against {right[i]:.0%})"})
    return edges


def edges_of(project: Project) -> list[dict[str, Any]]:
    """The edges of the graph that is chosen now, as the editor shows them; none where there is no graph."""
    place = project.folder / "graph.json"
    return graph_file.rows_of(graph_file.read(place).tables["prerequisites"]) if place.is_file() else []


def take_file(project: Project, path: Path) -> list[str]:
    """Choose the graph of a file in any form that is understood; what was left out of it.

    Raises
    ------
    DataError
        For a file that is no graph, a graph with a cycle or another fault, or one that speaks of none of the concepts of the responses.
    """
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        found = graph_export.read(path)
    return [str(warning.message) for warning in told] + take(project, found.tables, "start page", f"from the file {path.name}")


def take_edges(project: Project, edges: list[Mapping[str, Any]]) -> list[str]:
    """Choose the edges that the editor sends, each with its reason.

    Raises
    ------
    DataError
        For an edge without a reason or of an unknown concept, and for a cycle.
    """
    if len(edges) > EDGES:
        raise DataError(f"a graph drawn here may have {EDGES:,} edges; found {len(edges):,}. Give it as a file.")
    concepts = concepts_of(project)
    known, rows, faults = set(concepts["concept_id"]), {}, []
    for edge in edges:
        ends = [str(edge.get(name) or "") for name in ("concept_id", "requires_id")]
        why, source = str(edge.get("rationale") or "").strip(), str(edge.get("source") or DRAWN)
        if lost := [end for end in ends if end not in known]:
            faults.append(f"an edge must join two concepts of the responses; found {lost[0]!r}")
        elif not why:
            faults.append(f"every edge must have a reason; found none for {ends[0]!r} builds on {ends[1]!r}. Say in a few words why it is needed")
        try:
            weight = float(edge.get("weight") or (UNSURE if source == SUGGESTED else 1.0))
        except (TypeError, ValueError, OverflowError):
            faults.append(f"the weight of an edge must be a number; found {str(edge['weight'])[:60]!r} for {ends[0]!r} builds on {ends[1]!r}")
            continue
        rows[(*ends, source)] = {"concept_id": ends[0], "requires_id": ends[1], "source": source, "rationale": why, "weight": weight}
    if faults:
        raise DataError(".\n".join(faults[:5]) + ".")
    prerequisites = pd.DataFrame(list(rows.values())) if rows else graph_file.empty("prerequisites")
    return take(project, {"concepts": concepts[["concept_id", "name"]], "prerequisites": prerequisites}, "start page", "drawn on the start page")


def take(project: Project, tables: Mapping[str, pd.DataFrame], author: str, note: str) -> list[str]:
    """Make these tables the graph of a project, as one more version of it; notes of how they were joined to the responses.

    Without a prerequisite the project has no graph.

    Raises
    ------
    DataError
        For a fault of the graph, or where it speaks of none of the concepts of the responses; the graph chosen before stays.
    """
    if faults := [finding for finding in check(tables) if finding.fault]:
        more = f"\n(and {len(faults) - 10} more)" if len(faults) > 10 else ""
        raise DataError("the graph must have no fault; found " + "\n".join(map(str, faults[:10])) + more + ". Mend it, or drop the edge.")
    place, joined = project.folder / "graph.json", project.folder / "graph.case.json"
    if not len(tables["prerequisites"]):
        place.unlink(missing_ok=True)
        joined.unlink(missing_ok=True)
        return []
    before = graph_file.read(place) if place.is_file() else None
    after = save(before, tables, _now(), author, note)
    with replacing(project.folder / "graph.case.json") as fresh:
        case.write(after.tables, fresh, "Concepts and prerequisites", changed=_now())
        read = replace(source_of(project, graph=False), graph=str(fresh)).tables()
    graph_file.write(after, place)
    plain = source_of(project, graph=False).tables()[1]
    return [line for line in read[1] if line not in plain]


def drop(project: Project) -> None:
    """Choose no graph."""
    for name in ("graph.json", "graph.case.json"):
        (project.folder / name).unlink(missing_ok=True)


def take_posted(project: Project, path: Path, note: str) -> list[str]:
    """Choose the graph file that the page of a map sends, as one more version.

    Raises
    ------
    DataError
        For anything that is no graph file, and as :func:`take`.
    """
    try:
        tables = graph_file.read(path).tables
    except RecursionError:
        raise DataError("the graph must be a graph file; found lists within lists without end.") from None
    return take(project, tables, "map page", note)
