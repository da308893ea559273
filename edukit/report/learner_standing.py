"""Where one learner stands, concept by concept: what is known, what is in reach, what is not yet there, and what cannot be told."""

from __future__ import annotations

import numpy as np
import pandas as pd

from edukit.graph.concept_graph import ConceptGraph
from edukit.report.gap_page import RULES
from edukit.schema import DataError

STRENGTH, NOT_YET, UNSURE, LITTLE = "strength", "not yet", "not sure", "not enough data"
STATES = (STRENGTH, NOT_YET, UNSURE, LITTLE)
FEW = 3  # responses on a concept below which no number is shown of it
EVEN = 0.5
LEVEL = 0.80  # of every interval on the page
COLUMNS = ("concept_id", "name", "n", "right", "mastery", "sd", "low", "high", "p_mastered", "state", "in_reach", "ready", "prerequisites", "missing")


def spread(mastery: np.ndarray, sd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Parameters of the beta distribution with this mean and standard deviation, so that no interval leaves [0, 1]."""
    mean = np.clip(mastery, 1e-4, 1 - 1e-4)
    weight = np.clip(mean * (1 - mean) / np.maximum(sd, 1e-3) ** 2 - 1, 1e-2, None)
    return mean * weight, (1 - mean) * weight


def ends(mastery: np.ndarray, sd: np.ndarray, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Interval of that distribution which leaves out as much on either side."""
    from scipy.special import betaincinv

    a, b = spread(mastery, sd)
    return betaincinv(a, b, (1 - level) / 2), betaincinv(a, b, (1 + level) / 2)


def readiness(graph: ConceptGraph, known: pd.Series) -> pd.Series:
    """P(everything a concept directly requires is known), per concept_id; what learners know of different concepts is taken as independent.

    Parameters
    ----------
    graph : an edge counts as much as it is probable; of edges that share a ``group`` one is enough.
    known : P(mastered) per concept_id.
    """
    edges = graph.prerequisites
    pairs = edges.assign(group=edges["group"] if "group" in edges else None).sort_values("weight", ascending=False)
    pairs = pairs.drop_duplicates(["concept_id", "requires_id"]).astype({"weight": "float64"})
    if pairs.empty:
        return pd.Series(1.0, index=pd.Index(graph.concept_ids, name="concept_id"))
    met = 1 - pairs["weight"] * (1 - pairs["requires_id"].map(known).fillna(0))
    lacking = (1 - met).clip(0, 1)
    alone = "alone\0" + pairs["requires_id"]
    need = pairs["group"].map(lambda name: f"group\0{name}", na_action="ignore").fillna(alone)
    missed = lacking.groupby([pairs["concept_id"], need]).prod()
    return (1 - missed).groupby("concept_id").prod().reindex(graph.concept_ids, fill_value=1.0)


def standing(mastery: pd.DataFrame, history: pd.DataFrame, graph: ConceptGraph, mark: float = RULES["fail"],
             sure: float = RULES["stuck_level"]) -> pd.DataFrame:
    """Every concept of one learner with its state.

    The estimate is read as a beta distribution of that mean and standard deviation. A strength is a concept that is mastered with probability ``sure``
    or more; `not yet` is the opposite; with fewer than three responses there is not enough data. In reach is the outer fringe of what is more likely
    mastered than not; of a graph without prerequisites nothing can be said to be.

    Parameters
    ----------
    mastery : table ``mastery`` of one learner. history : the learner's responses, a table ``interactions``. graph : concepts, prerequisites, items.
    mark : share of a concept's items answered right from which it counts as mastered.
    sure : probability from which that is said.

    Returns
    -------
    DataFrame
        In the order of the graph: ``concept_id, name, n, right`` (share of the responses), ``mastery, sd, low, high`` (80 % interval), ``p_mastered``,
        ``state``, ``in_reach, ready`` (P(all direct prerequisites mastered)), ``prerequisites`` and ``missing`` (lists of ids). Numbers of a concept
        without enough data are missing, and so is ``ready`` where a direct prerequisite has no response.

    Raises
    ------
    DataError
        Where the table is of several learners, or lacks a concept of the graph.
    """
    from scipy.special import betaincc

    if mastery["learner_id"].nunique() != 1:
        raise DataError(f"a profile is of one learner; found {mastery['learner_id'].nunique()} in mastery. Keep the rows of one learner_id.")
    own = mastery.set_index("concept_id")
    if absent := [c for c in graph.concept_ids if c not in own.index]:
        raise DataError(f"mastery must hold every concept of the graph; found no row of {absent[0]!r}. Give the graph that the model was fitted with.")
    own = own.loc[graph.concept_ids]
    estimate = (own["mastery"].to_numpy(float), own["sd"].to_numpy(float))
    known = pd.Series(betaincc(*spread(*estimate), mark), index=own.index)
    met = history[["item_id", "correct"]].merge(graph.q_matrix[["item_id", "concept_id"]].drop_duplicates(), on="item_id").groupby("concept_id")["correct"]
    n, right = met.size().reindex(own.index, fill_value=0), met.mean().reindex(own.index)
    mastered = [c for c in own.index if known[c] >= EVEN]
    reach = set(graph.outer_fringe(mastered)) if len(graph.prerequisites) else set()
    ready = readiness(graph, known)
    parents = {c: graph.parents(c) for c in own.index}
    little = (n < FEW).to_numpy()
    state = np.select([little, known >= sure, known <= 1 - sure], [LITTLE, STRENGTH, NOT_YET], UNSURE)
    blind = np.array([any(n[p] == 0 for p in parents[c]) for c in own.index], bool)
    low, high = ends(*estimate)
    table = pd.DataFrame({"concept_id": own.index, "name": graph.concepts["name"].to_numpy(), "n": n.to_numpy(), "right": right.where(~little).to_numpy(),
                          "mastery": own["mastery"].mask(little).to_numpy(), "sd": own["sd"].mask(little).to_numpy(), "low": np.where(little, np.nan, low),
                          "high": np.where(little, np.nan, high), "p_mastered": known.mask(little).to_numpy(), "state": state,
                          "in_reach": [c in reach for c in own.index], "ready": ready.mask(blind).to_numpy(),
                          "prerequisites": [parents[c] for c in own.index], "missing": [[p for p in parents[c] if known[p] < EVEN] for c in own.index]})
    return table[list(COLUMNS)]


def strengths(table: pd.DataFrame) -> pd.DataFrame:
    """Concepts that are mastered as far as can be told, the surest first."""
    return table[table["state"] == STRENGTH].sort_values(["p_mastered", "mastery", "concept_id"], ascending=[False, False, True])


def in_reach(table: pd.DataFrame) -> pd.DataFrame:
    """Concepts whose prerequisites are most likely known and which are not mastered yet, the readiest first; those with too few answers come last."""
    reach = table[table["in_reach"]].assign(little=lambda rows: rows["state"] == LITTLE)
    return reach.sort_values(["little", "ready", "p_mastered", "concept_id"], ascending=[True, False, False, True]).drop(columns="little")


def not_yet(table: pd.DataFrame) -> pd.DataFrame:
    """Concepts that are not mastered as far as can be told, the lowest first, without those in reach."""
    return table[(table["state"] == NOT_YET) & ~table["in_reach"]].sort_values(["mastery", "concept_id"])
