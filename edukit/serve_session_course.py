"""What a session service teaches: a graph file or a data set with its items, or the embedded classroom to try it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from edukit.graph.concept_graph import ConceptGraph
from edukit.recommend.session import Course, policy_of
from edukit.schema import DataError
from edukit.validation import validate


def course_of(graph: str | None = None, items: Path | None = None, policy: str = "zpdes") -> Course:
    """The course of a service.

    Parameters
    ----------
    graph : a graph file of any kind that edukit reads, or a data set of `edukit data list`; None = the embedded classroom of 40 concepts.
    items : table of ``item_id`` and ``concept_id`` (csv, xlsx); None = those of the data set, or the concepts themselves, one item each.
    policy : a name of ``conf/recommend``, or a yaml file.

    Raises
    ------
    DataError
        For what is not there or does not fit: items of concepts that the graph does not have, a circle, a policy without readiness.
    """
    tables: Mapping[str, Any] = _demo() if graph is None else _read(graph)
    concepts, edges, q_matrix = tables["concepts"], tables.get("prerequisites"), tables.get("q_matrix")
    if items is not None:
        q_matrix = _items(items)
    elif q_matrix is None or not len(q_matrix):
        ids = concepts["concept_id"]
        q_matrix = pd.DataFrame({"item_id": ids, "concept_id": ids})
    absent = q_matrix.loc[~q_matrix["concept_id"].isin(concepts["concept_id"]), "concept_id"]
    if len(absent):
        raise DataError(f"{items or graph}: the concept_id of every item must be a concept of the graph; found {absent.iloc[0]!r} (first of {len(absent):,}). "
                        "Add these concepts to the graph, or leave the items out.")
    return Course(ConceptGraph.from_tables(concepts, edges, q_matrix), policy_of(policy))


def _demo() -> dict[str, pd.DataFrame]:
    """The embedded curriculum, four items a concept."""
    from edukit.data import curriculum

    concepts = curriculum.concepts()
    ids = concepts["concept_id"].repeat(4).reset_index(drop=True)
    items = [f"{concept}-{k % 4 + 1}" for k, concept in enumerate(ids)]
    return {"concepts": concepts, "prerequisites": curriculum.prerequisites(), "q_matrix": pd.DataFrame({"item_id": items, "concept_id": ids})}


def _read(graph: str) -> Mapping[str, Any]:
    if Path(graph).is_file():
        from edukit.formats import graph_export

        return {**graph_export.read(Path(graph)).tables}
    from edukit.data.catalogue import catalogue, loader
    from edukit.data.store import load

    if graph not in {known for entry in catalogue().items() for known in (entry[0], entry[1][0])}:
        raise DataError(f"--graph must be a file or a data set of `edukit data list`; found neither by the name {graph}.")
    tables = dict(load(loader(graph), purpose="session").tables)
    if "concepts" not in tables or "prerequisites" not in tables:
        raise DataError(f"data {graph} holds no graph; found {', '.join(tables)}. `edukit data card NAME` says which sets have one.")
    return tables


def _items(path: Path) -> pd.DataFrame:
    from edukit.formats.delimited import need, read_table

    table = read_table(path)
    need(path, table, ["item_id", "concept_id"])
    return validate(table[["item_id", "concept_id"]].drop_duplicates(), "q_matrix", str(path))
