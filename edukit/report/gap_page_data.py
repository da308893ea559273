"""What the gap page knows of each class and concept, as plain lists: hidden cells hold nothing, and nothing else speaks of them."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

import pandas as pd

from edukit.governance.privacy import TOTAL
from edukit.report.graph_layout import layers
from edukit.schema import DataError

LABELS = ("prior_knowledge", "teaching", "content", "curriculum_wide", "undetermined")
CAUSE_INTERVAL = 0.80  # level of the intervals of shares and of mastery had something been otherwise
_SHARES = ("prior_knowledge", "teaching", "content")
_INSTEAD = ("if_ready", "if_typical_class", "if_clean_items")
_ENDS = ("", "_low", "_high")
_NUMBERS = ("n", "responses", "mastery", "low", "high")
_SILENT = (*_NUMBERS, "need", "p_stuck", "stuck", "label", "label_probability", "missing_ancestor",
           *(name + end for name in (*_SHARES, *_INSTEAD) for end in _ENDS))  # what a hidden cell must not hold
_HIDDEN = {"not enough data": 0, "suppressed": 1}  # how the page stores a cell without numbers
_ITEM = ("correct", "discrimination", "discrimination_low", "discrimination_high", "information", "dif_delta", "dif_low", "dif_high", "contradiction",
         "slip_guess")
Cohort = tuple[str, str | None]  # class, and term where a class comes in several
TextKey = tuple[str | None, str | None]  # class and concept a text is about; None: all of them


def page_data(gaps: pd.DataFrame, concepts: pd.DataFrame, prerequisites: pd.DataFrame, rules: Mapping[str, float],
              evidence: pd.DataFrame | None, items: pd.DataFrame | None, texts: Mapping[TextKey, str] | None,
              learners: pd.DataFrame | None = None) -> dict[str, Any]:
    """Everything the page shows; arguments and errors as of :func:`edukit.report.gap_page.gap_page`.

    Returns
    -------
    dict
        ``rules, concepts, claims, cohorts, causes``; a hidden cell is 0 or 1 and nothing else. What ``evidence``, ``items``, ``texts`` and
        ``learners`` say of a hidden cell, or of a prerequisite or class whose own cell is hidden, is left out.
    """
    terms = _terms(gaps)
    _refuse(gaps, concepts, terms, rules, evidence)
    place = {concept: i for i, concept in enumerate(concepts["concept_id"])}
    cohorts: list[Cohort] = sorted(set(zip(gaps["class_id"], terms, strict=True)), key=lambda cohort: (cohort[0] != TOTAL, cohort[0], cohort[1] or ""))
    cells: dict[Cohort, list] = {cohort: [0] * len(place) for cohort in cohorts}
    causes: dict[Cohort, dict[int, list]] = {cohort: {} for cohort in cohorts}
    z = NormalDist().inv_cdf((1 + rules["interval"]) / 2)
    for cohort, row in zip(zip(gaps["class_id"], terms, strict=True), gaps.to_dict("records"), strict=True):
        i = place[row["concept_id"]]
        if row["state"] != "estimated":
            cells[cohort][i] = _HIDDEN[row["state"]]
            continue
        mastery, low, high = row["mastery"], row["low"], row["high"]
        se = max(high - mastery, mastery - low) / z  # an end that was clipped at 0 or 1 is the shorter one
        cells[cohort][i] = [int(row["n"]), int(row["responses"]), *(round(float(v), 6) for v in (mastery, low, high, se))]
        if cause := _cause(row, place):
            causes[cohort][i] = cause
    for cohort in cohorts:
        for cause in causes[cohort].values():
            if cause[2] is not None and not isinstance(cells[cohort][cause[2]], list):
                cause[2] = None  # naming it would speak of a hidden cell
    about = _evidence(evidence, cells, place, {cohort[0] for cohort in cohorts})
    told = {cohort: {place[concept]: text for (name, concept), text in (texts or {}).items()
                     if name == cohort[0] and concept in place and isinstance(cells[cohort][place[concept]], list)} for cohort in cohorts}
    shown = {concept for concept, i in place.items() if any(isinstance(cells[cohort][i], list) for cohort in cohorts)}
    known = _concepts(gaps, concepts, prerequisites, place, items, cells, rules["k"])
    for concept in known:
        if concept["id"] in shown and (text := (texts or {}).get((None, concept["id"]))):
            concept["told"] = text
    whole = {cohort: text for cohort in cohorts if (text := (texts or {}).get((cohort[0], None))) and any(isinstance(cell, list) for cell in cells[cohort])}
    return {
        "rules": {**rules, "causeInterval": CAUSE_INTERVAL, "zStuck": NormalDist().inv_cdf(rules["stuck_level"]), "zInterval": z},
        "concepts": known,
        "claims": _claims(prerequisites, place),
        "causes": any(causes.values()),
        "cohorts": [{"id": str(name), **({"term": term} if term else {}), "cells": cells[name, term], "causes": causes[name, term],
                     "evidence": about[name, term], "texts": told[name, term], **({"told": whole[name, term]} if (name, term) in whole else {})}
                    for name, term in cohorts],
        **({} if learners is None else {"learners": _learners(learners, cells, place)}),
    }


def limits(data: Mapping[str, Any]) -> list[str]:
    """What cannot be told from this map, one sentence each."""
    said = []
    if not data["claims"]:
        said.append("Without a graph prior knowledge cannot be judged: nothing says which concept builds on which.")
    classes = [cohort for cohort in data["cohorts"] if cohort["id"] != TOTAL]
    if len(names := {cohort["id"] for cohort in classes}) <= 1:
        said.append(f"{'With one class' if names else 'Without classes'} teaching cannot be judged: there is no other class to compare with"
                    f"{'' if names else ', all learners are one cohort'}.")
    elif sum(any(isinstance(cell, list) for cell in cohort["cells"]) for cohort in classes) <= 1:
        said.append("Teaching cannot be judged: at most one class has enough data to be shown, so there is no other to compare with.")
    single = sum(concept["items"] == 1 for concept in data["concepts"])
    if single:
        said.append(f"{single:,} of {len(data['concepts']):,} concepts have one item: there a hard concept and a flawed item look the same, "
                    "so no cause is named.")
    if not data["causes"]:
        said.append("This map says where, not with what a gap is associated: its table holds no shares and no labels.")
    return said


def _terms(gaps: pd.DataFrame) -> list[str | None]:
    """The term of each row where a class has several; else none, and the class says it all."""
    if "term" not in gaps:
        return [None] * len(gaps)
    several = gaps.groupby("class_id")["term"].transform("nunique") > 1
    return [str(term) if more and pd.notna(term) else None for term, more in zip(gaps["term"], several, strict=True)]


def _refuse(gaps: pd.DataFrame, concepts: pd.DataFrame, terms: list[str | None], rules: Mapping[str, float], evidence: pd.DataFrame | None) -> None:
    twice = gaps[["class_id", "concept_id"]].assign(term=terms).duplicated()
    if twice.any():
        raise DataError(f"a page shows each class and concept once; found {int(twice.sum())} repeated. Choose one term.")
    lost = gaps.loc[~gaps["concept_id"].isin(concepts["concept_id"]), "concept_id"]
    if "missing_ancestor" in gaps and not len(lost):
        named = gaps["missing_ancestor"].dropna()
        lost = named[~named.isin(concepts["concept_id"])]
    if len(lost):
        raise DataError(f"gaps.{lost.name} must be found in concepts; found {lost.iloc[0]!r} and {lost.nunique() - 1} more. "
                        "Give the concepts the map was made with.")
    silent = [name for name in _SILENT if name in gaps]
    if gaps.loc[gaps["state"] != "estimated", silent].notna().any(axis=None):
        raise DataError("gaps must hold no number where state is not 'estimated'; found some. Make it with GapMap.map, which hides them.")
    if "label" in gaps and len(strange := gaps.loc[gaps["label"].notna() & ~gaps["label"].isin(LABELS), "label"]):
        raise DataError(f"gaps.label must be one of {', '.join(LABELS)}; found {strange.iloc[0]!r} in {len(strange):,} rows. Leave it empty where not stuck.")
    if evidence is not None and "n" in evidence and (few := evidence["n"] < rules["k"]).fillna(False).any():
        raise DataError(f"gap_evidence must rest on at least {rules['k']} learners; found {int(few.sum()):,} rows with fewer "
                        f"(first: row {int(few.to_numpy(bool, na_value=False).argmax()) + 1:,}). Leave them out.")


def _number(value: Any, digits: int = 6) -> float | None:
    return None if value is None or pd.isna(value) else round(float(value), digits)


def _text(value: Any) -> str | None:
    return None if value is None or pd.isna(value) else str(value)


def _cause(row: Mapping[str, Any], place: Mapping[str, int]) -> list | None:
    """Label, its probability, first missing ancestor, three shares and three what-ifs with their ends; none where nothing is said."""
    triples = [[_number(row.get(name + end)) for end in _ENDS] for name in (*_SHARES, *_INSTEAD)]
    shown = [triple if triple[0] is not None else 0 for triple in triples]
    label, ancestor = _text(row.get("label")), _text(row.get("missing_ancestor"))
    if label is None and ancestor is None and not any(shown):
        return None
    return [label, _number(row.get("label_probability")), None if ancestor is None else place[ancestor], shown[:3], shown[3:]]


def _evidence(evidence: pd.DataFrame | None, cells: Mapping[Cohort, list], place: Mapping[str, int], classes: set[str]) -> dict[Cohort, dict[int, list]]:
    """Per cohort and concept: kind, about, n, value, low, high, note."""
    found: dict[Cohort, dict[int, list]] = {cohort: {} for cohort in cells}

    def shown(cohort: Cohort, concept: str) -> bool:
        return cohort in cells and concept in place and isinstance(cells[cohort][place[concept]], list)

    for row in () if evidence is None else evidence.to_dict("records"):
        cohort = (row["class_id"], _text(row.get("term")))
        cohort = cohort if cohort in cells else (row["class_id"], None)
        concept, kind, about = row["concept_id"], row["kind"], str(row["about"])
        if not shown(cohort, concept) or (kind == "prerequisite" and not shown(cohort, about)):
            continue
        if kind == "comparison" and about in classes and not shown((about, cohort[1]), concept):
            continue
        n = _number(row.get("n"))
        found[cohort].setdefault(place[concept], []).append(
            [kind, about, None if n is None else int(n), *(_number(row.get(name)) for name in ("value", "low", "high")), _text(row.get("note"))])
    return found


def _learners(learners: pd.DataFrame, cells: Mapping[Cohort, list], place: Mapping[str, int]) -> dict[str, dict[int, list]]:
    """Per class and concept: learner, expected mastery and text, where the cell is shown in every term of the class."""
    found: dict[str, dict[int, list]] = {}
    for row in learners.to_dict("records"):
        name, i = row["class_id"], place.get(row["concept_id"])
        own = [cells[cohort] for cohort in cells if cohort[0] == name]
        if i is not None and own and all(isinstance(cell[i], list) for cell in own):
            found.setdefault(name, {}).setdefault(i, []).append([row["learner_id"], _number(row["mastery"]), row["text"]])
    return found


def _concepts(gaps: pd.DataFrame, concepts: pd.DataFrame, prerequisites: pd.DataFrame, place: Mapping[str, int], items: pd.DataFrame | None,
              cells: Mapping[Cohort, list], k: float) -> list[dict[str, Any]]:
    first = gaps.drop_duplicates("concept_id").set_index("concept_id")
    badges = gaps.dropna(subset="badge").drop_duplicates("concept_id").set_index("concept_id")["badge"] if "badge" in gaps else {}
    pairs = sorted({(a, b) for a, b in zip(prerequisites["requires_id"], prerequisites["concept_id"], strict=True) if a != b})
    where = layers(list(place), pairs)
    screened = _items(items, cells, place, k)
    told = []
    for row, x, y in zip(concepts.to_dict("records"), where["x"], where["y"], strict=True):
        concept = row["concept_id"]
        more = {name: row[name] for name in ("area", "description", "level") if _text(row.get(name)) is not None}  # for the exports alone
        told.append({"id": concept, "name": row["name"], "topic": _text(row.get("topic")), "x": round(x, 3), "y": round(y, 3),
                     "items": int(first["items"].get(concept, 0)), "badge": badges.get(concept),
                     **({"more": more} if more else {}), **({"screen": screened[concept]} if concept in screened else {})})
    return told


def _items(items: pd.DataFrame | None, cells: Mapping[Cohort, list], place: Mapping[str, int], k: float) -> dict[str, list]:
    """Per concept, of each item: id, flags, group of the difference, n and numbers; the latter only where enough learners answered."""
    found: dict[str, list] = {}
    whole = next((of for (name, _), of in cells.items() if name == TOTAL), None)
    for row in () if items is None else items.to_dict("records"):
        concept = row["concept_id"]
        if concept in place:
            open_ = row["n"] >= k and (whole is None or isinstance(whole[place[concept]], list))
            numbers = [int(row["n"]), *(_number(row.get(name)) for name in _ITEM)] if open_ else None
            flags = [flag for flag in (_text(row.get("flags")) or "").split("; ") if flag] if open_ else []
            found.setdefault(concept, []).append([row["item_id"], flags, _text(row.get("dif_group")) if open_ else None, numbers])
    return found


def _claims(prerequisites: pd.DataFrame, place: Mapping[str, int]) -> list[list]:
    """Each claim as prerequisite, concept and its other columns; a concept is no prerequisite of itself."""
    rows = prerequisites.to_dict("records")
    return [[place[row["requires_id"]], place[row["concept_id"]],
             {name: value for name, value in row.items() if name not in ("requires_id", "concept_id") and _text(value) is not None}]
            for row in rows if row["requires_id"] != row["concept_id"]]
