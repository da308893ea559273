"""All data sets side by side: how large, how sparse, what is known of order, groups and prerequisites, and what each may be used for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from edukit.data.card import load_card
from edukit.data.interaction_store import InteractionStore
from edukit.data.loader import LearningData
from edukit.data.store import load
from edukit.protocols import Loader
from edukit.schema import DataError

USES = ("trace learning", "estimate ability", "map gaps", "compare classes", "learn prerequisites", "warn early", "grade answers", "audit groups")
_NO_GROUP = {"learner_id", "published_part"}


def _query(log: Any, sql: str) -> pd.DataFrame:
    import duckdb

    if isinstance(log, InteractionStore):
        return log.query(sql)
    with duckdb.connect() as base:
        base.register("log", log)
        return base.sql(sql).df()


def uses(data: LearningData) -> dict[str, bool]:
    """What the tables of one data set can answer; each key is one of :data:`USES`. Its card may still forbid it."""
    tables, allows = data.tables, data.allows()
    responses = "interactions" in tables
    groups = "learners" in tables and bool(set(tables["learners"].columns) - _NO_GROUP)
    return {
        "trace learning": responses and allows["order"], "estimate ability": responses, "map gaps": responses and allows["q_matrix"],
        "compare classes": responses and allows["classes"], "learn prerequisites": allows["graph"] or "concept_pairs" in tables,
        "warn early": "enrolments" in tables and "submissions" in tables, "grade answers": "answers" in tables, "audit groups": groups,
    }


def describe(data: LearningData) -> dict[str, Any]:
    """One row of the atlas: counts that do not apply are missing, never 0.

    Returns
    -------
    dict
        ``responses, learners, items, concepts`` (counts), ``correct`` (mean share of the marks), ``density`` (share of the learner x item
        cells with a response), ``responses_per_learner`` (median), ``concepts_per_item`` (mean), ``concepts_answered`` (share of the concepts
        with at least one response), ``prerequisites``, ``pairs``, ``answers`` (rows of those tables), and :func:`uses`.
    """
    tables = data.tables
    row: dict[str, Any] = {"data": data.label}
    log, q = tables.get("interactions"), tables.get("q_matrix")
    if log is not None:
        row |= data.counts()
        row["responses_per_learner"] = _query(log, "select median(n) as n from (select count(*) as n from log group by learner_id)")["n"].iloc[0]
        row["density"] = len(_query(log, "select distinct learner_id, item_id from log")) / (row["learners"] * row["items"])
    elif "learners" in tables:
        row["learners"] = len(tables["learners"])
    if "concepts" in tables:
        row["concepts"] = len(tables["concepts"])
    if q is not None and log is not None:
        met = q[q["item_id"].isin(_query(log, "select distinct item_id from log")["item_id"])]
        row["concepts_per_item"] = len(met) / met["item_id"].nunique()
        row["concepts_answered"] = met["concept_id"].nunique() / row["concepts"]
    row |= {name: len(tables[table]) for name, table in (("prerequisites", "prerequisites"), ("pairs", "concept_pairs"), ("answers", "answers"))
            if table in tables}
    return row | uses(data)


def atlas(loaders: Iterable[Loader], say: Callable[[str], None] = lambda line: None) -> pd.DataFrame:
    """One row per data set, in the given order; where its files are absent only ``data``, ``licence`` and ``state`` are filled.

    Parameters
    ----------
    loaders : as ``conf/data/*.yaml`` builds them.
    say : told about each data set that is prepared for the first time.
    """
    rows = []
    for loader in loaders:
        licence = load_card(loader.name).croissant.get("license", "")
        about = {"licence": "; ".join(map(str, licence)) if isinstance(licence, list) else str(licence)}
        try:
            loader.raw_dir()
        except DataError:
            variant = str(getattr(loader, "variant", ""))
            rows.append({"data": f"{loader.name}_{variant}" if variant else loader.name, "state": "file needed", **about})
            continue
        rows.append({**describe(load(loader, say, purpose="describe")), "state": "ready", **about})
    table = pd.DataFrame(rows)
    first = ["data", "state", "responses", "learners", "items", "concepts", "correct", "density", "responses_per_learner", "concepts_per_item",
             "concepts_answered", "prerequisites", "pairs", "answers", *USES, "licence"]
    return table.reindex(columns=first).convert_dtypes()
