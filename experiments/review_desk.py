"""What a person who reviews grades is shown, and how a decision reaches the ledger: the queue, one answer with its evidence, and entries made of decisions.

Everything comes from the ledger; the question's wording and the names of learners only where a file of them is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from edukit.grading.answer_clusters import UNLIKE, representatives
from edukit.grading.feedback import feedback
from edukit.grading.ledger import Ledger
from edukit.grading.normal_form import normalise
from edukit.grading.rubric import Criterion, Rubric
from edukit.report.review import ReviewPage, least_sure_first, parts, preview, quotes, span
from edukit.schema import DataError

MODEL = "model"  # who decided where no person did
OPEN = ("graded", "deferred", "regraded")
EXEMPLARS, COMPARED = 3, 2_000  # shown, and characters of an answer by which the nearest are found
BUDGET = 0.5  # share of the open answers that may stand for a cluster
WAS_LEFT = "The score was left to a person."


@dataclass
class Desk:
    """The answers of a ledger as they stand.

    Parameters
    ----------
    path : the ledger; it must be there. question_id : only its answers; None = all.
    asked : by question_id (or by nothing: of every question), what is known of its wording: ``prompt`` and ``reference``. names : learner by answer_id.
    """

    path: Path
    question_id: str | None = None
    asked: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.path.is_file():
            raise DataError(f"a ledger must be a file; found no {self.path}. `edukit grade` begins one.")
        self.ledger, self._seen, self._clusters = Ledger(self.path), (-1, ""), {}
        self._read()
        if not self._answers:
            raise DataError(f"{self.path} must hold graded answers{'' if self.question_id is None else f' to {self.question_id!r}'}; found none. "
                            "`edukit grade` adds them.")

    def _read(self) -> None:
        """The ledger as it is now, read again where somebody has added to it."""
        head = self.ledger.head()
        if head == self._seen:
            return
        self._seen, self._table = head, self.ledger.standing(self.question_id)
        self._rubrics = self.ledger.rubrics()
        self._known: dict[tuple, tuple | None] = {}
        before = self._table["state"].isin(OPEN) & (self._table["decided_by"] != MODEL)  # graded by people before: exemplars, with nothing to decide
        self._answers = {str(answer_id): rows for answer_id, rows in self._table[~before].groupby("answer_id", sort=False)}
        first = not self._clusters
        self._rows = {answer_id: self._row(answer_id, rows) for answer_id, rows in self._answers.items()}
        if first:
            self._clusters = self._clustered()
            self._rows = {answer_id: self._row(answer_id, rows) for answer_id, rows in self._answers.items()}
        placed = set() if first else set(self._order)
        self._order = [row["id"] for row in least_sure_first(list(self._rows.values()))] if first else [i for i in self._order if i in self._rows] + [
            i for i in self._rows if i not in placed]

    def _clustered(self) -> dict[str, tuple[int, bool]]:
        """Cluster and whether it stands for the others, of open answers of which some are alike."""
        found: dict[str, tuple[int, bool]] = {}
        for question_id in dict.fromkeys(row["question"] for row in self._rows.values()):
            texts = {i: row for i, row in self._rows.items() if row["question"] == question_id and row["state"] == "open" and self._text(i).strip()}
            if len(texts) < 2:
                continue
            sure = pd.Series({i: 0.0 if row["confidence"] is None else row["confidence"] for i, row in texts.items()})
            words = pd.Series({i: normalise(self._text(i)[:COMPARED]) for i in texts})
            told = representatives(words, sure, max(1, int(BUDGET * len(words))))
            told = told[told["likeness"] >= UNLIKE]
            size = told.groupby("cluster")["answer_id"].transform("size")
            found |= {str(r.answer_id): (int(r.cluster), bool(r.representative)) for r in told[size > 1].itertuples()}
        return found

    def _text(self, answer_id: str) -> str:
        return _words(self._answers[answer_id]["text"].iloc[0])

    def _row(self, answer_id: str, rows: pd.DataFrame) -> dict[str, Any]:
        """An answer as the queue shows it."""
        sure = rows["confidence"].dropna()
        waiting = rows["state"].isin(OPEN) & (rows["decided_by"] == MODEL)
        states = set(rows["state"])
        state = ("appealed" if rows["appealed"].any() else "open" if waiting.any() else "rejected" if "rejected" in states
                 else "edited" if "edited" in states else "accepted")
        cluster, stands = self._clusters.get(answer_id, (None, False))
        flags = sorted({flag.strip() for cell in rows["flags"].dropna() for flag in cell.split(",") if flag.strip()})
        return {"id": answer_id, "question": _words(rows["question_id"].iloc[0]), "state": state, "deferred": bool((rows["deferred"] & waiting).any()),
                "flags": flags, "confidence": float(sure.min()) if len(sure) else None, "cluster": cluster, "representative": stands,
                "preview": preview(self._text(answer_id))}

    def queue(self) -> list[dict[str, Any]]:
        """Every answer: the least sure first as the ledger was opened, those alike together; later ones at the end."""
        self._read()
        return [self._rows[answer_id] for answer_id in self._order]

    def answer(self, answer_id: str) -> dict[str, Any]:
        """Everything that the page shows of one answer.

        Raises
        ------
        DataError
            Where the ledger has no such answer.
        """
        self._read()
        if answer_id not in self._answers:
            raise DataError(f"the ledger must hold the answer; found no {answer_id[:80]!r}. Was the page opened for another ledger?")
        rows, text, row = self._answers[answer_id], self._text(answer_id), self._rows[answer_id]
        past = self.ledger.history(answer_id)
        rubric = self._rubric(rows)
        words = self._feedback(rows, rubric)
        criteria, spans = [], []
        for one in rows.to_dict("records"):
            told = []
            for element, quote in quotes(_words(one["found"])):
                at = span(text, quote)
                spans += [(*at, len(spans) + 1)] if at else []
                told.append({"element": element, "quote": quote, "mark": len(spans) if at else None})
            levels = {c.criterion_id: c for c in rubric.criteria}.get(one["criterion_id"]) if rubric else None
            criteria.append({"id": one["criterion_id"], "score": _number(one["score"]), "confidence": _number(one["confidence"]), "found": told,
                             "missing": [line for line in _words(one["missing"]).split("\n") if line], "feedback": words.get(one["criterion_id"], ""),
                             "by": None if one["decided_by"] == MODEL else one["decided_by"], "levels": _levels(levels), "most": None,
                             "exemplars": list(self._exemplars(answer_id, one, levels))})
        alike = [other for other in self._rows.values() if row["cluster"] is not None and other["cluster"] == row["cluster"] and other["id"] != answer_id
                 and other["question"] == row["question"] and other["state"] == "open"]
        asked = self.asked.get(row["question"]) or self.asked.get("", {})
        return {**row, "question": {"id": row["question"], "prompt": asked.get("prompt") or "", "reference": asked.get("reference") or ""},
                "who": _words(rows["learner_id"].iloc[0]), "name": self.names.get(answer_id), "parts": parts(text, spans), "size": len(text),
                "criteria": criteria, "alike": [{"id": other["id"], "preview": other["preview"]} for other in alike],
                "history": [_said(entry) for entry in past.to_dict("records") if entry["kind"] != "answer"], "seen": int(past["entry_id"].max())}

    def _rubric(self, rows: pd.DataFrame) -> Rubric | None:
        return next((self._rubrics[mark] for mark in rows["rubric_fingerprint"].dropna() if mark in self._rubrics), None)

    def _feedback(self, rows: pd.DataFrame, rubric: Rubric | None) -> dict[str, str]:
        """Per criterion what was released, else what the rubric says."""
        drafted = {} if rubric is None else feedback(rows, rubric).set_index("criterion_id")["text"].to_dict()
        released = rows.dropna(subset="feedback").set_index("criterion_id")["feedback"].to_dict()
        return {**drafted, **released}

    def _exemplars(self, answer_id: str, one: Mapping[str, Any], criterion: Criterion | None) -> Iterator[dict[str, Any]]:
        """Answers whose score a person gave, and those of the rubric, the nearest first."""
        place = (_words(one["question_id"]), one["criterion_id"])
        if place not in self._known:
            self._known[place] = self._compared(place, criterion)
        if (told := self._known[place]) is None:
            return
        known, counted, words = told
        near = (words @ counted.transform([normalise(self._text(answer_id)[:COMPARED])]).T).toarray().ravel()
        others = [n for n in np.argsort(-near, kind="stable") if near[n] > 0 and known[n][0] != answer_id]
        for n in others[:EXEMPLARS]:
            yield {"score": known[n][1], "text": known[n][2][:COMPARED]}

    def _compared(self, place: tuple, criterion: Criterion | None) -> tuple[list, Any, Any] | None:
        """(answer, score, text) of what a criterion was scored for by people, or by the rubric's words, and their letters counted; None where nothing was."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        same = (self._table["question_id"].map(_words) == place[0]) & (self._table["criterion_id"] == place[1])
        given = self._table[same & (self._table["decided_by"] != MODEL) & self._table["score"].notna()]
        known = [(r.answer_id, float(r.score), r.text) for r in given.itertuples() if isinstance(r.text, str) and r.text.strip()]
        known += [("", level.score, text) for level in (criterion.levels if criterion else ()) for text in level.exemplars if text.strip()]
        counted = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4))
        return (known, counted, counted.fit_transform([normalise(text[:COMPARED]) for _, _, text in known])) if known else None

    def decide(self, answer_id: str, action: str, who: str, seen: int, scores: Mapping[str, float], feedback: Mapping[str, str], reason: str = "",
               blind: Mapping[str, float] | None = None, also: list[str] | None = None) -> int:
        """Write a decision, and the same of answers alike, into the ledger in one commit; returns how many answers it decided.

        Parameters
        ----------
        seen : the newest entry of the answer that the person saw. scores, feedback : by criterion; a criterion without one keeps what it has.
        blind : scores that the person gave before the suggestion was shown.

        Raises
        ------
        DataError
            Where somebody decided in between, where a score is no level of the rubric, and for what the ledger refuses.
        """
        shown = self._shown(answer_id, seen)
        alike = {other["id"] for other in shown["alike"]}  # open ones only
        if strange := [other for other in also or [] if other not in alike]:
            raise DataError(f"answers decided together must be open and alike; found {strange[0][:80]!r}, which is not; open the answer again")
        ids = [answer_id, *dict.fromkeys(also or [])]
        entries = [entry for one in ids for entry in self._entries(one, answer_id, action, who, scores, feedback if one == answer_id else {}, reason, blind)]
        self.ledger.append(entries)
        return len(ids)

    def _entries(self, answer_id: str, first: str, action: str, who: str, scores: Mapping[str, float], feedback: Mapping[str, str], reason: str,
                 blind: Mapping[str, float] | None) -> Iterator[dict[str, Any]]:
        """One decision a criterion."""
        rows = self._answers[answer_id]
        if unknown := sorted((set(scores) | set(feedback)) - set(rows["criterion_id"])):
            raise DataError(f"scores must be of criteria of the answer; found {', '.join(map(repr, unknown[:3]))}")
        rubric = self._rubric(rows)
        drafted = self._feedback(rows, rubric)
        why = [reason, "" if answer_id == first else f"Decided together with {first}, which is alike.",
               "" if not blind or answer_id != first else "Scored before the suggestion was shown: "
               + ", ".join(f"{name} {value:g}" for name, value in blind.items()) + "."]
        for one in rows.to_dict("records"):
            name, now = one["criterion_id"], _number(one["score"])
            score, words = scores.get(name, now), feedback.get(name)
            if words is None and score != now and rubric is not None and action != "reject":  # the draft follows the score
                drafted |= self._feedback(rows[rows["criterion_id"] == name].assign(score=score, feedback=None), rubric)
            entry = {"kind": "decision", "answer_id": answer_id, "criterion_id": name, "about": int(one["entry_id"]), "action": action, "decided_by": who,
                     "reason": " ".join(part for part in why if part) or None, "feedback": drafted.get(name) if words is None else words}
            if action == "reject":
                yield {**entry, "feedback": None}
                continue
            if score is None:
                raise DataError(f"an answer without a score cannot be accepted; found none for {name!r}. Give one, or reject it.")
            _check_level(rubric, name, score)
            if score != now:
                yield {**entry, "action": "edit", "score": float(score), "reason": entry["reason"] or WAS_LEFT}
            elif words is not None and words != drafted.get(name, ""):
                yield {**entry, "action": "edit"}
            else:
                yield {**entry, "action": "accept"}

    def _shown(self, answer_id: str, seen: int) -> dict[str, Any]:
        """An answer that nobody has added to since it was shown."""
        if (now := self.answer(answer_id))["seen"] != seen:
            raise DataError("the ledger holds newer entries of this answer than the page shows (perhaps this very decision); open the answer again")
        return now

    def appeal(self, answer_id: str, who: str, reason: str, seen: int) -> None:
        """Note an appeal; the answer is to be decided again, and what stood keeps standing until then."""
        self._shown(answer_id, seen)
        self.ledger.append([{"kind": "appeal", "answer_id": answer_id, "by": who, "reason": reason}])

    def copy(self, title: str, made: str) -> ReviewPage:
        """A page to read, which needs no server and takes no decision."""
        rows = self.queue()
        return ReviewPage(title, rows, {row["id"]: self.answer(row["id"]) for row in rows}, made=made)


def _words(value: Any) -> str:
    """Text, or nothing where there is none."""
    return value if isinstance(value, str) else ""


def _number(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)


def _levels(criterion: Criterion | None) -> list[dict[str, Any]]:
    return [] if criterion is None else [{"score": level.score, "descriptor": level.descriptor} for level in criterion.levels]


def _check_level(rubric: Rubric | None, name: str, score: float) -> None:
    known = next((c.scores for c in rubric.criteria if c.criterion_id == name), None) if rubric else None
    if known is not None and score not in known or not 0 <= score < 1e6:
        raise DataError(f"the score of {name!r} must be {'one of ' + ', '.join(f'{s:g}' for s in known) if known else 'a number from 0 on'}; found {score:g}")


def _said(entry: Mapping[str, Any]) -> str:
    """One entry in words."""
    score, words = _number(entry["score"]), {name: _words(value) for name, value in entry.items()}
    left = "left to a person" if entry["kind"] in ("grade", "regrade") and score is None else ""
    told = [words["recorded_at"][:16].replace("T", " "), " ".join(filter(None, [words["action"] or words["kind"], words["criterion_id"]])),
            "" if score is None else f"score {score:g}", left, f"by {words['decided_by'] or words['by']}",
            f"rubric version {words['rubric_version']}" if words["rubric_version"] else "", words["reason"]]
    return f"{int(entry['entry_id'])}: " + ", ".join(part for part in told if part)
