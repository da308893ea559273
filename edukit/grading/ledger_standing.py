"""Which score stands, out of everything that was said of an answer: models propose, people decide, and nothing said before is lost.

A grade of a model stands until a person decides, or until the answer is graded again. A person's decision stands over any later grade of the same
words; it gives way to another decision, to a regrade (which somebody ordered, with a reason), and to a grade of other words: those were never
decided on. A regrade under another rubric takes criteria that this rubric has not off the list. An appeal changes no score: it is open until a
person decides, or regrades, after it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any

import numpy as np
import pandas as pd

from edukit.schema import TABLES

SELECT = "select e.entry_id, e.body, p.words, f.entry_id from entries e left join personal p using (entry_id) left join forgotten f using (entry_id)"
GRADES = TABLES["grades"].names
STANDING = (*GRADES, "entry_id", "question_id", "learner_id", "text", "state", "appealed", "reason", "feedback", "route", "rubric_id",
            "rubric_fingerprint", "recorded_at")
DECIDED = {"accept": "accepted", "edit": "edited", "reject": "rejected"}
SAID = ("entry_id", "kind", "recorded_at", "answer_id", "question_id", "criterion_id", "score", "confidence", "deferred", "found", "missing", "flags",
        "action", "about", "decided_by", "by", "reason", "feedback", "route", "rubric_id", "rubric_version", "rubric_fingerprint", "model",
        "model_version", "model_fingerprint", "data_hash", "learner_id", "text", "answer", "erased")
_NUMBERS = ("score", "confidence")
_COUNTS = ("entry_id", "about", "answer")
_FLAGS = ("erased", "appealed", "deferred")


def parsed(rows: Iterable[tuple]) -> Iterator[dict[str, Any]]:
    """Entries as dictionaries; rows are those of :data:`SELECT`."""
    for _, body, words, forgotten in rows:
        yield {**json.loads(body), **(json.loads(words) if words else {}), "erased": forgotten is not None}


def table(entries: Iterable[Mapping[str, Any]], columns: tuple[str, ...] = SAID) -> pd.DataFrame:
    """Entries as a table, one row each; what an entry does not say is missing."""
    rows = list(entries)
    return pd.DataFrame({name: _column(name, [row.get(name) for row in rows]) for name in columns})


def _column(name: str, values: list[Any]) -> Any:
    if name in _NUMBERS:
        return np.array([np.nan if value is None else value for value in values], float)
    if name in _COUNTS:
        return pd.array(values, dtype="Int64")
    if name in _FLAGS:
        return np.array([bool(value) for value in values], bool)
    return pd.Series(values, dtype=object)


def stand(entries: Iterable[Mapping[str, Any]], criteria: Mapping[str, Set[str]]) -> list[dict[str, Any]]:
    """The standing grade of each answer and criterion, in the order in which they were first graded.

    Parameters
    ----------
    entries : in the order of the chain.
    criteria : criterion ids by fingerprint of each rubric that is kept.
    """
    return fold(entries, criteria)[0]


def fold(entries: Iterable[Mapping[str, Any]], criteria: Mapping[str, Set[str]]) -> tuple[list[dict[str, Any]], dict[int, Mapping[str, Any]]]:
    """As :func:`stand`, and each grade and decision by its number, with the score that it gave."""
    by_entry: dict[int, Mapping[str, Any]] = {}
    words: dict[str, Mapping[str, Any]] = {}
    standing: dict[str, dict[str, dict[str, Any]]] = {}
    for entry in entries:
        kind = entry["kind"]
        if kind == "answer":
            words[entry["answer_id"]] = entry
            continue
        of_answer = standing.setdefault(entry["answer_id"], {})
        now = of_answer.get(entry.get("criterion_id", ""))
        if kind in ("grade", "regrade"):
            by_entry[entry["entry_id"]] = entry
            if kind == "grade" and now and now["state"] in DECIDED.values() and now["answer"] == entry.get("answer"):
                continue
            if kind == "regrade" and (wanted := criteria.get(entry.get("rubric_fingerprint", ""))):
                for absent in set(of_answer) - wanted:
                    del of_answer[absent]
            of_answer[entry["criterion_id"]] = _graded(entry)
        elif kind == "decision":
            by_entry[entry["entry_id"]] = of_answer[entry["criterion_id"]] = _decided(entry, by_entry.get(entry["about"], {}))
        elif kind == "appeal":
            for criterion_id, one in of_answer.items():
                one["appealed"] |= entry.get("criterion_id", criterion_id) == criterion_id
    found = [{**one, **{name: words.get(one["answer_id"], {}).get(name) for name in ("learner_id", "text")}}
             for of_answer in standing.values() for one in of_answer.values()]
    return found, by_entry


def _graded(entry: Mapping[str, Any]) -> dict[str, Any]:
    unscored = entry.get("score") is None
    state = "deferred" if unscored else "regraded" if entry["kind"] == "regrade" else "graded"
    return {**entry, "answer": entry.get("answer"), "deferred": unscored or bool(entry.get("deferred")), "state": state, "appealed": False}


def _decided(entry: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    """A decision carries on what it was made on: its score where it gives none, its elements, its rubric, its feedback."""
    kept = {name: value for name, value in about.items() if name not in ("reason", "by")}
    score = None if entry["action"] == "reject" else entry.get("score", about.get("score"))
    edited = entry["action"] == "edit" and "score" in entry
    return {**kept, **entry, "answer": about.get("answer"), "score": score, "confidence": None if edited or score is None else about.get("confidence"),
            "deferred": score is None, "state": DECIDED[entry["action"]], "appealed": False}
