"""What an entry of a ledger may say, how it is hashed, and which of its words are a learner's own and can be erased.

An entry has two parts. What the *chain* holds stays for good: who decided what, when, by which rubric and model. A learner's own words and name
(:data:`PERSONAL`) stand in a second table beside a random salt; the chain holds only the SHA-256 of salt and words. While they stand, a changed
letter is found; once words and salt are erased, nothing in the chain lets anybody guess them back.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from edukit.grading.rubric import Rubric
from edukit.schema import DataError

START = b"\0" * 32  # what stands before the first entry
ACTIONS = ("accept", "edit", "reject")
PERSONAL = ("learner_id", "text", "found", "reason", "feedback", "by")  # erased when a learner asks for it
_ABOUT = ("answer_id", "question_id", "criterion_id")
_MADE_BY = ("route", "model", "model_version", "model_fingerprint", "data_hash", "rubric_id", "rubric_version", "rubric_fingerprint", "decided_by")
_GRADE = (*_ABOUT, "score", "confidence", "deferred", "missing", "flags", *_MADE_BY)
FIELDS = {  # what each kind may say, beside PERSONAL words
    "rubric": ("rubric_id", "rubric_version", "rubric_fingerprint", "rubric"),
    "answer": ("answer_id", "question_id"),
    "grade": _GRADE,
    "regrade": (*_GRADE, "about"),
    "decision": (*_ABOUT, "action", "about", "score", "decided_by"),
    "appeal": (*_ABOUT, "about"),
    "forget": ("entries",),
}
WORDS = {"rubric": (), "answer": ("learner_id", "text"), "grade": ("learner_id", "text", "found"), "forget": (),
         "regrade": ("learner_id", "text", "found", "reason"), "decision": ("reason", "feedback"), "appeal": ("by", "reason")}
NEEDED = {"grade": ("answer_id", "criterion_id", "decided_by"), "regrade": ("answer_id", "criterion_id", "decided_by", "reason"),
          "decision": ("answer_id", "criterion_id", "action", "decided_by"), "appeal": ("answer_id", "by", "reason"), "rubric": ("rubric",)}
NUMBERS = {"score": (0.0, math.inf), "confidence": (0.0, 1.0)}


def canonical(content: Mapping[str, Any]) -> str:
    """The one spelling of an entry that is hashed: JSON with sorted keys and no space."""
    return json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def link(previous: bytes, body: str) -> bytes:
    """Hash of an entry: SHA-256 over the hash of the entry before it and its own words."""
    return hashlib.sha256(previous + body.encode("utf-8", "surrogateescape")).digest()


def seal(salt: bytes, words: str) -> str:
    """What the chain holds of erasable words: SHA-256 over their salt and themselves."""
    return hashlib.sha256(salt + words.encode("utf-8", "surrogateescape")).hexdigest()


def fresh_salt() -> bytes:
    """16 bytes that nobody can guess."""
    return os.urandom(16)


def cleaned(entry: Mapping[str, Any], place: str) -> tuple[str, dict[str, Any], dict[str, str]]:
    """Kind, lasting fields and erasable words of an entry as somebody gives it; missing values are left out.

    Raises
    ------
    DataError
        Naming every fault of the entry: an unknown kind or field, what it needs and has not, a number out of range, text that is no text.
    """
    if not isinstance(entry, Mapping):
        raise DataError(f"{place} must be a dictionary with a kind; found {str(entry)[:60]!r}.")
    kind, given = entry.get("kind"), {name: value for name, value in entry.items() if name != "kind" and not _absent(value)}
    if kind not in NEEDED:
        raise DataError(f"{place} must be of kind {', '.join(NEEDED)}; found {kind!r}.")
    faults = [f"it has no field {name}" for name in given if name not in (*FIELDS[kind], *WORDS[kind])]
    if kind == "rubric" and isinstance(given.get("rubric"), Rubric):
        given = rubric_fields(given["rubric"])
    elif kind == "rubric" and "rubric" in given:
        faults.append("rubric must be an edukit.grading.rubric.Rubric")
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in given.items()}
    for name in NEEDED[kind]:
        if not str(plain.get(name, "")).strip():
            faults.append(f"a {kind} needs {name}")
    for name, value in plain.items():
        if name in NUMBERS:
            low, high = NUMBERS[name]
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high or math.isinf(value):
                faults.append(f"{name} must be a number from {low:g}{'' if math.isinf(high) else f' to {high:g}'}; found {value!r}")
            else:
                plain[name] = float(value)
        elif name == "deferred":
            plain[name] = bool(value)
        elif name == "about":
            if isinstance(value, bool) or not isinstance(value, int):
                faults.append(f"about must be the number of an entry; found {value!r}")
        elif name != "rubric":
            plain[name] = _text(name, value, faults)
    if kind == "decision":
        faults += _decision_faults(plain)
    if faults:
        raise DataError(f"{place}: nothing was written: {'; '.join(faults)} (answer {str(plain.get('answer_id'))[:60]!r}). "
                        f"A {kind} may hold {', '.join((*FIELDS[kind], *WORDS[kind]))}.")
    words = {name: plain.pop(name) for name in WORDS[kind] if name in plain}
    return str(kind), plain, words


def _text(name: str, value: Any, faults: list[str]) -> str:
    text = value if isinstance(value, str) else str(value) if isinstance(value, int) else ""
    if not text and value != "":
        faults.append(f"{name} must be text; found {str(value)[:60]!r}")
    if any("\ud800" <= mark <= "\udfff" for mark in text):
        faults.append(f"{name} must be whole characters; found half of a pair in {text[:40]!r}")
    return text


def _decision_faults(decision: Mapping[str, Any]) -> list[str]:
    action, faults = decision.get("action"), []
    if action not in ACTIONS:
        faults.append(f"action must be one of {', '.join(ACTIONS)}; found {action!r}")
    if action == "edit" and "score" not in decision and "feedback" not in decision:
        faults.append("an edit needs a score or feedback")
    if action != "edit" and "score" in decision:
        faults.append(f"only an edit gives a score; this decision is {action!r}")
    if (action == "reject" or "score" in decision) and not decision.get("reason", "").strip():
        faults.append("another score needs a reason" if action == "edit" else "a rejection needs a reason")
    return faults


def _absent(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float | np.floating) and math.isnan(value))


def rubric_fields(rubric: Rubric) -> dict[str, Any]:
    """A rubric as an entry keeps it, whole."""
    return {"rubric_id": rubric.rubric_id, "rubric_version": rubric.version, "rubric_fingerprint": rubric.fingerprint, "rubric": rubric.content()}


def from_grades(grades: pd.DataFrame, answers: pd.DataFrame, rubric: Rubric | None = None, kind: str = "grade", **made_by: Any) -> list[dict[str, Any]]:
    """Entries of graded answers, for :meth:`edukit.grading.ledger.Ledger.append`.

    Parameters
    ----------
    grades : table ``grades``. answers : table ``answers`` (who wrote what); their own scores are not kept.
    rubric : graded by; it must have been appended before.
    made_by : the same for all: ``model, model_version, model_fingerprint, data_hash, route`` and, of a regrade, ``reason``. The hash is of what the
        model learnt from and was told of the questions, never of the one answer: that could be guessed back from it.

    Returns
    -------
    list of dict
        One a row, in the order of the rows.

    Raises
    ------
    DataError
        For a grade whose answer is not given.
    """
    if unknown := sorted(set(grades["answer_id"]) - set(answers["answer_id"])):
        raise DataError(f"grades must be of the answers given; found {len(unknown):,} others (first: {unknown[0]!r}). Give their answers too.")
    known = answers.set_index("answer_id")[[name for name in ("question_id", "text", "learner_id") if name in answers]]
    told = grades[[name for name in grades.columns if name in (*_GRADE, "found")]].astype(object)
    by = {"decided_by": "model", **({"rubric_id": rubric.rubric_id, "rubric_version": rubric.version, "rubric_fingerprint": rubric.fingerprint}
                                   if rubric is not None else {}), **made_by}
    rows = [{**by, **{name: value for name, value in row.items() if not _absent(value)}, "kind": kind} for row in told.to_dict("records")]
    written = known.loc[grades["answer_id"]].astype(object).to_dict("records")
    return [{str(name): value for name, value in {**row, **who}.items()} for row, who in zip(rows, written, strict=True)]
