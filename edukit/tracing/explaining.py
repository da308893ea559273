"""Why a model takes a learner to know a concept as it does: which past responses moved the estimate, and which prerequisites.

Every model of this package is asked in the same way and through its public verbs only: what would it say had a response not been given?
(occlusion, the leave-one-out history). That is exact in the model's own terms, for counts, filters, Markov chains and networks alike, and a
removed response leaves a history that could have been. Gradient methods (integrated gradients and the others of captum) need a differentiable
input, hence one wrapper per network around its embeddings and none for the models that are no network, and compare with an embedding of no
response at all; captum's own ablation is this one, for tensors only. It is therefore not used.

A model that reads the clock (DAS3H) is asked at the moment of the last response there is: without the last response it is asked earlier, and
what that response moved holds what was forgotten until it.

References
----------
Zeiler and Fergus (2014), ECCV (occlusion). Covert, Lundberg and Lee (2021), JMLR (explaining by removing).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from edukit.protocols import PrerequisiteGraph
from edukit.schema import DataError

CELLS = 4_000_000  # rows of pseudo-histories, and learner x concept estimates, asked for at once
SHOWN = 3  # responses and prerequisites named in the sentence
LEAST = 0.005  # what moves mastery by less is not worth a word


@dataclass(frozen=True)
class Explanation:
    """What moved one learner's mastery of one concept; ``moved`` is mastery with the whole history less mastery without that part of it.

    Attributes
    ----------
    concept_id : the concept.
    mastery, sd, n : as the model estimates it from the whole history; ``n`` responses on the concept.
    baseline : its mastery by a learner never seen.
    responses : DataFrame
        One row per response in order: ``order, item_id, correct, relation`` (``itself``, ``prerequisite`` or ``other``: the nearest of what its item
        assesses), ``moved``.
    concepts : DataFrame
        One row per part of the history: the concept itself, each prerequisite (also of a prerequisite) with responses, everything else:
        ``concept_id`` (missing for everything else), ``relation``, ``steps`` (edges away), ``n`` responses, ``moved``. A response to an item of
        several concepts is in several parts.
    remainder : float
        ``mastery - baseline`` less the sum over responses: what they do only together. The parts do not add up, and nothing is made to.
    """

    concept_id: str
    mastery: float
    sd: float
    n: int
    baseline: float
    responses: pd.DataFrame
    concepts: pd.DataFrame
    remainder: float


def explain(model: Any, history: pd.DataFrame, concept_id: str, graph: PrerequisiteGraph) -> Explanation:
    """What moved ``model``'s estimate of one learner's mastery of one concept.

    Parameters
    ----------
    model : a fitted ``LearnerModel`` or ``StaticLearnerModel``. Of one that follows nobody live, the learner never seen is the mean forecast of the
        concept's items for a learner without a response.
    history : table ``interactions`` of one learner.
    concept_id : a concept of the model.
    graph : says what each item assesses, and what the concept builds on.

    Raises
    ------
    DataError
        Where the history is of none or several learners, or the graph or the model does not know the concept.
    """
    if (learners := history["learner_id"].nunique()) != 1:
        raise DataError(f"an explanation is of one learner; found {learners} in the history. Give the responses of one.")
    if concept_id not in set(graph.concept_ids):
        raise DataError(f"concept_id must be one of the {len(graph.concept_ids):,} concepts of the graph; found {concept_id!r} "
                        f"(the first are {', '.join(map(repr, graph.concept_ids[:3]))}).")
    rows = history.sort_values("order", kind="stable") if history["order"].notna().all() else history
    steps = _steps_to(concept_id, graph)
    assessed = graph.q_matrix.groupby("item_id")["concept_id"].agg(set)
    of = [assessed.get(item, set()) for item in rows["item_id"]]
    parts = [(concept_id, "itself", 0), *((c, "prerequisite", steps[c]) for c in sorted(steps, key=lambda c: (steps[c], c)))]
    inside = np.array([[c in some for some in of] for c, _, _ in parts], bool).reshape(len(parts), len(rows))
    parts, inside = [*parts, (None, "other", -1)], np.vstack([inside, ~inside.any(axis=0)])
    there = np.flatnonzero(inside.any(axis=1))
    without = np.vstack([np.eye(len(rows), dtype=bool), inside[there]])
    baseline = _never_seen(model, rows, concept_id, graph)
    whole, left = _asked(model, rows, concept_id, without, baseline, max(1, CELLS // max(len(rows), len(graph.concept_ids))))
    moved = whole["mastery"] - left
    nearest = np.where(inside[0], "itself", np.where(inside[-1], "other", "prerequisite"))
    responses = rows[["order", "item_id", "correct"]].assign(relation=nearest, moved=moved[:len(rows)]).reset_index(drop=True)
    concepts = pd.DataFrame({"concept_id": pd.Series([parts[k][0] for k in there], dtype="str"), "relation": [parts[k][1] for k in there],
                             "steps": pd.Series([parts[k][2] for k in there], dtype="Int64").where(lambda s: s >= 0),
                             "n": inside[there].sum(axis=1), "moved": moved[len(rows):]})
    return Explanation(concept_id, float(whole["mastery"]), float(whole["sd"]), int(whole["n"]), baseline, responses, concepts,
                       float(whole["mastery"] - baseline - moved[:len(rows)].sum()))


def _steps_to(concept_id: str, graph: PrerequisiteGraph) -> dict[str, int]:
    """How many edges each prerequisite, and each of theirs, lies before the concept."""
    import networkx as nx

    backwards = nx.DiGraph(graph.adjacency()[:, ::-1].tolist())
    start = graph.concept_ids.index(concept_id)
    far = nx.single_source_shortest_path_length(backwards, start) if start in backwards else {}
    return {graph.concept_ids[node]: edges for node, edges in far.items() if edges}


def _never_seen(model: Any, history: pd.DataFrame, concept_id: str, graph: PrerequisiteGraph) -> float:
    """Mastery by a learner without a response; of a model that follows nobody live, its forecast of the concept's items for such a learner."""
    if hasattr(model, "start"):
        known = model.mastery_of(model.start())["mastery"]
        if concept_id not in known:
            raise _unknown(concept_id)
        return float(known[concept_id])
    items = graph.q_matrix.loc[graph.q_matrix["concept_id"] == concept_id, "item_id"].drop_duplicates().to_numpy()
    if not len(items):
        return float("nan")
    asked = history.iloc[[-1] * len(items)].reset_index(drop=True).assign(item_id=items, learner_id=[f"{n:09d}" for n in range(len(items))])
    asked = asked.astype({"item_id": "str", "learner_id": "str"})
    static = "given" in inspect.signature(model.predict).parameters
    return float((model.predict(asked, history.iloc[:0]) if static else model.predict(asked)).mean())


def _unknown(concept_id: str) -> DataError:
    return DataError(f"concept_id must be a concept of the model; found {concept_id!r}. Give the graph that the model was fitted with.")


def _asked(model: Any, rows: pd.DataFrame, concept_id: str, without: np.ndarray, baseline: float,
           at_once: int) -> tuple[pd.Series, np.ndarray]:
    """Mastery from the whole history (a row of table ``mastery``), and from it without the responses of each row of ``without`` (V, N)."""
    left = np.full(len(without), baseline)
    some = np.flatnonzero(~without.all(axis=1))
    kept = np.vstack([np.ones(len(rows), bool), ~without[some]])
    found = []
    for first in range(0, len(kept), at_once):
        who, which = np.nonzero(kept[first:first + at_once])
        learner = pd.Series([f"{first + w:09d}" for w in who], dtype="str")
        table = model.mastery(rows.iloc[which].reset_index(drop=True).assign(learner_id=learner))
        found.append(table[table["concept_id"] == concept_id])
    told = pd.concat(found).sort_values("learner_id", ignore_index=True)
    if told.empty:
        raise _unknown(concept_id)
    left[some] = told["mastery"].to_numpy()[1:]
    return told.iloc[0], left


def sentence(found: Explanation, names: Mapping[str, str] | None = None) -> str:
    """The explanation in words; ``names`` of concepts by id, where they have any."""
    called = dict(names or {})
    name = called.get(found.concept_id, found.concept_id)
    rise = found.mastery - found.baseline
    where = f"{abs(rise):.2f} {'higher' if rise > 0 else 'lower'} than" if abs(rise) >= LEAST else "where it does"
    said = [f"Mastery of {name} is estimated at {found.mastery:.2f} (sd {found.sd:.2f}, {found.n} response{'s' * (found.n != 1)} on it). "
            f"It stands {where} for a learner never seen ({found.baseline:.2f})."]
    largest = found.responses.reindex(found.responses["moved"].abs().sort_values(ascending=False, kind="stable").index)
    told = largest[largest["moved"].abs() >= LEAST].head(SHOWN)
    said.append("What moved it most: " + "; ".join(f"{_mark(r.correct)} on item {r.item_id} ({r.moved:+.2f})" for r in told.itertuples()) + "."
                if len(told) else f"No single response moved it by {LEAST:g} or more.")
    parts = found.concepts.reindex(found.concepts["moved"].abs().sort_values(ascending=False, kind="stable").index)
    own, before, rest = (parts[parts["relation"] == which] for which in ("itself", "prerequisite", "other"))
    titles = [*["all responses on it"] * len(own), *(f"responses on the prerequisite {called.get(c, c)}" for c in before["concept_id"].head(SHOWN)),
              *["everything else"] * len(rest)]
    moved = [*own["moved"], *before["moved"].head(SHOWN), *rest["moved"]]
    said.append(f"Taken together, {'; '.join(f'{title}: {by:+.2f}' for title, by in zip(titles, moved, strict=True))}.")
    said.append(f"Taken one by one the responses account for {found.responses['moved'].sum():+.2f} of {rise:+.2f}; the remainder, {found.remainder:+.2f}, "
                "is what they do only with one another.")
    return " ".join([*said, "This is how the model reads the history, not why the learner answers so."])


def _mark(correct: float) -> str:
    return {0.0: "wrong", 1.0: "right"}.get(float(correct), f"{correct:.0%} of the marks")
