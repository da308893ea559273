"""How entries enter the chain of a ledger: tied to the words, the rubric and the grade that they are about, each with the hash of the one before."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from edukit.grading.ledger_entries import START, canonical, fresh_salt, link, seal
from edukit.grading.ledger_standing import SELECT, fold, parsed
from edukit.schema import DataError

_INSERT = "insert into entries values (?, ?, ?, ?, ?, ?, ?, ?)"
_AT_ONCE = 500  # answers asked for in one query


class Appending:
    """Entries on their way into the chain, within one transaction."""

    def __init__(self, path: Path, base: Connection, head: tuple[int, str] | None, answers: set[str]) -> None:
        self.path, self.base = path, base
        self.rows: list[tuple] = []
        self.words: list[tuple] = []
        last = base.execute("select entry_id, hash from entries order by entry_id desc limit 1").fetchone()
        self.number, self.hash = (last[0], bytes(last[1])) if last else (0, START)
        if head and head[0]:
            known = base.execute("select hash from entries where entry_id = ?", (head[0],)).fetchone()
            if known is None or bytes(known[0]).hex() != head[1]:
                raise DataError(f"{path} must go on from the {head[0]:,} entries that its head tells of; found {self.number:,} or others. Nothing was "
                                "written. `edukit ledger verify` says more.")
        self.kept = {entry["rubric_fingerprint"]: entry for entry in parsed(base.execute(f"{SELECT} where e.kind = 'rubric' order by e.entry_id"))}
        self.answers: dict[str, dict[str, Any]] = {}
        wanted = sorted(answers)
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start:start + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            for entry in parsed(base.execute(f"{SELECT} where e.kind = 'answer' and e.answer_id in ({marks}) order by e.entry_id", some)):
                self.answers[entry["answer_id"]] = entry
        self.now = datetime.now(UTC).isoformat(timespec="milliseconds")

    def add_all(self, rows: list[tuple[str, dict, dict]]) -> list[int]:
        numbers = []
        for n, (kind, fields, words) in enumerate(rows, start=1):
            if kind == "rubric" and fields["rubric_fingerprint"] in self.kept:
                numbers.append(self.kept[fields["rubric_fingerprint"]]["entry_id"])
                continue
            if kind in ("grade", "regrade"):
                self._written_by(n, fields, words)
                if (mark := fields.get("rubric_fingerprint")) and mark not in self.kept:
                    raise DataError(f"entry {n} must be graded by a rubric that is kept; found the unknown fingerprint {mark[:12]}. Append the rubric first.")
            elif kind in ("decision", "appeal"):
                self._aim(n, kind, fields)
            numbers.append(self.add(kind, fields, words))
            if kind == "rubric":
                self.kept[fields["rubric_fingerprint"]] = {**fields, "entry_id": numbers[-1]}
        self.flush()
        return numbers

    def add(self, kind: str, fields: dict[str, Any], words: dict[str, str]) -> int:
        self.number += 1
        sealed = {}
        if words:
            salt, kept = fresh_salt(), canonical(words)
            sealed = {"seal": seal(salt, kept)}
            self.words.append((self.number, salt, words.get("learner_id"), kept))
        body = canonical({"entry_id": self.number, "kind": kind, "recorded_at": self.now, **fields, **sealed})
        previous, self.hash = self.hash, link(self.hash, body)
        self.rows.append((self.number, kind, *(fields.get(name) for name in ("answer_id", "question_id", "criterion_id")), body, previous, self.hash))
        return self.number

    def flush(self) -> None:
        """Hand what was gathered to SQLite."""
        self.base.executemany(_INSERT, self.rows)
        self.base.executemany("insert into personal values (?, ?, ?, ?)", self.words)
        self.rows, self.words = [], []

    def _written_by(self, n: int, fields: dict[str, Any], words: dict[str, str]) -> None:
        """Tie a grade to the entry of its answer's words; add one where they are new."""
        said = {name: words.pop(name) for name in ("learner_id", "text") if name in words}
        known = self.answers.get(fields["answer_id"], {})
        if "learner_id" in said and known.get("learner_id", said["learner_id"]) != said["learner_id"]:
            raise DataError(f"entry {n}: the answer {fields['answer_id']!r} must be one learner's; found {said['learner_id']!r} and another before. "
                            "Nothing was written. Give each answer an answer_id of its own.")
        if any(known.get(name) != value for name, value in said.items()):
            question = {name: fields[name] for name in ("question_id",) if name in fields}
            full = {**{name: known[name] for name in ("learner_id", "text") if name in known}, **said}
            number = self.add("answer", {"answer_id": fields["answer_id"], **question}, full)
            known = self.answers[fields["answer_id"]] = {"entry_id": number, **question, **full}
        if known:
            fields["answer"] = known["entry_id"]
            if "question_id" not in fields and "question_id" in known:
                fields["question_id"] = known["question_id"]

    def _aim(self, n: int, kind: str, fields: dict[str, Any]) -> None:
        """Say which entry a decision or an appeal is about, and of which question."""
        self.flush()
        said = list(parsed(self.base.execute(f"{SELECT} where e.answer_id = ? order by e.entry_id", (fields["answer_id"],))))
        criteria = {mark: {one["criterion_id"] for one in kept["rubric"]["criteria"]} for mark, kept in self.kept.items()}
        standing, resolved = fold(said, criteria)
        if "about" in fields:
            standing = [resolved[fields["about"]]] if fields["about"] in resolved else []
        mine = [one for one in standing if one["criterion_id"] == fields.get("criterion_id", one["criterion_id"])]
        if not mine:
            known = ", ".join(f"{name} ({times})" for name, times in Counter(one["criterion_id"] for one in said if "criterion_id" in one).items())
            raise DataError(f"entry {n} ({kind}) must be about a grade; found none of answer {fields['answer_id']!r}, criterion "
                            f"{fields.get('criterion_id', 'any')!r}{', entry ' + str(fields['about']) if 'about' in fields else ''}; of that answer there are "
                            f"{known or 'no grades'}. Nothing was written.")
        if kind == "decision" and fields["action"] == "accept" and mine[0].get("score") is None:
            raise DataError(f"entry {n}: the answer {fields['answer_id']!r} has no score to accept ({fields['criterion_id']} was left to a person). "
                            "Nothing was written. Give one: action edit, with a score.")
        if kind == "decision" or "criterion_id" in fields:
            fields["about"] = mine[0]["entry_id"]
        if "question_id" in mine[0]:
            fields["question_id"] = mine[0]["question_id"]
