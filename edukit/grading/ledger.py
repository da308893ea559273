"""The ledger: every score with the rubric, the model and the person behind it, kept so that it can be defended, appealed and graded again.

One SQLite file that only grows. Each entry holds the hash of the one before it, and is on the disk before :meth:`Ledger.append` returns: a process
that is killed loses no entry that was acknowledged. A learner's own words stand apart from the chain and can be erased without breaking it.

What :meth:`Ledger.verify` can show: a changed, removed, added or moved entry; changed or removed words that nobody asked to forget; entries cut off
the end, as long as the head file beside the ledger still tells of them. What it cannot: somebody who may write both files can build a whole
new chain. Against that, note the head (:meth:`Ledger.head`) where they cannot write (a letter, another machine), and give it to ``verify``. Bytes of
the file that hold nothing (free space between records) may change without anything being said, or found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from edukit.grading import ledger_file
from edukit.grading.ledger_append import Appending
from edukit.grading.ledger_entries import cleaned
from edukit.grading.ledger_standing import GRADES, SAID, SELECT, STANDING, parsed, stand, table
from edukit.grading.rubric import Rubric
from edukit.protocols import Grader
from edukit.schema import DataError

_OF_LEARNER = "where e.answer_id in (select answer_id from entries where entry_id in (select entry_id from personal where learner_id = ?))"


class Ledger:
    """Entries of grades, decisions, appeals and rubrics in one SQLite file.

    Parameters
    ----------
    path : where it lies, or is begun.

    Raises
    ------
    DataError
        Where the file is something else, cannot be written, or was emptied.

    References
    ----------
    Haber, S., & Stornetta, W. S. (1991). How to time-stamp a digital document. Journal of Cryptology, 3(2).

    Examples
    --------
    >>> import tempfile
    >>> ledger = Ledger(Path(tempfile.mkdtemp()) / "ledger.sqlite")
    >>> grade = {"kind": "grade", "answer_id": "a1", "criterion_id": "overall", "score": 2, "decided_by": "model", "learner_id": "kim", "text": "It dries."}
    >>> ledger.append([grade, {"kind": "decision", "action": "accept", "answer_id": "a1", "criterion_id": "overall", "decided_by": "Ms Lee"}])
    [2, 3]
    >>> ledger.current()[["answer_id", "score", "decided_by"]].to_dict("records"), len(ledger.verify())
    ([{'answer_id': 'a1', 'score': 2.0, 'decided_by': 'Ms Lee'}], 0)
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        ledger_file.begin(self.path)

    def append(self, entries: Iterable[Mapping[str, Any]]) -> list[int]:
        """Add entries, all or none; they are on the disk when this returns.

        Parameters
        ----------
        entries : each with ``kind`` and the fields of its kind (:data:`edukit.grading.ledger_entries.FIELDS` and ``WORDS``). ``rubric``: ``rubric`` (a
            Rubric; one that is kept already is not added again). ``grade``: ``answer_id, criterion_id, score`` (absent where deferred), ``decided_by``,
            what it was made by, and who wrote what (``learner_id, text``), which becomes an entry of its own, once an answer. ``decision``:
            ``action`` (accept, edit, reject), ``decided_by``, ``reason``; an edit gives a ``score`` or ``feedback``; it is ``about`` the standing grade
            where no entry is named. ``appeal``: ``by``, ``reason``. ``regrade``: as a grade, with a ``reason``.

        Returns
        -------
        list of int
            The number of the entry of each.

        Raises
        ------
        DataError
            For an entry with faults, a rubric that is not kept, an entry that is not there to decide on, an answer that somebody else
            wrote, and a ledger that is shorter than its head tells. Nothing is written then.
        """
        rows = [cleaned(entry, f"entry {n}") for n, entry in enumerate(entries, start=1)]
        if not rows:
            return []
        head = ledger_file.noted(self.path)
        with ledger_file.opened(self.path, writing=True) as base:
            numbers = Appending(self.path, base, head, {fields["answer_id"] for _, fields, _ in rows if "answer_id" in fields}).add_all(rows)
        ledger_file.note(self.path)
        return numbers

    def keep(self, rubric: Rubric) -> int:
        """Add a rubric, once; the number of its entry."""
        return self.append([{"kind": "rubric", "rubric": rubric}])[0]

    def _entries(self, where: str = "", values: tuple = ()) -> list[dict[str, Any]]:
        with ledger_file.opened(self.path) as base:
            return list(parsed(base.execute(f"{SELECT} {where} order by e.entry_id", values)))

    def entry(self, entry_id: int) -> dict[str, Any]:
        """One entry with everything it says."""
        if not (found := self._entries("where e.entry_id = ?", (int(entry_id),))):
            raise DataError(f"{self.path} must have an entry {entry_id}; found {self.head()[0]:,} entries. `edukit ledger history` lists those of an answer.")
        return found[0]

    def history(self, answer_id: str) -> pd.DataFrame:
        """Everything that was ever said of one answer, in order: a row an entry (columns :data:`edukit.grading.ledger_standing.SAID`)."""
        return table(self._entries("where e.answer_id = ?", (str(answer_id),)))

    def current(self, question_id: str | None = None) -> pd.DataFrame:
        """Table ``grades``: what stands for each answer and criterion, of one question or of all."""
        return self.standing(question_id)[GRADES]

    def standing(self, question_id: str | None = None) -> pd.DataFrame:
        """As :meth:`current`, with what a person who decides needs.

        Beside the columns of ``grades``: ``entry_id`` (that stands), ``question_id, learner_id, text, state`` (graded, deferred, accepted, edited,
        rejected, regraded), ``appealed`` (an appeal is open), ``reason, feedback, route, rubric_id, rubric_fingerprint, recorded_at``.
        """
        where, values = ("where e.answer_id is not null", ()) if question_id is None else ("where e.question_id = ?", (str(question_id),))
        criteria = {mark: {c.criterion_id for c in rubric.criteria} for mark, rubric in self.rubrics().items()}
        return table(stand(self._entries(where, values), criteria), STANDING)

    def rubrics(self) -> dict[str, Rubric]:
        """Every rubric that is kept, by its fingerprint, oldest first."""
        return {one["rubric_fingerprint"]: Rubric.from_content(one["rubric"]) for one in self._entries("where e.kind = 'rubric'")}

    def replay(self, entry_id: int, grader: Grader | Callable[[Rubric | None], Grader]) -> dict[str, Any]:
        """Grade the answer of a past entry again, and compare.

        Parameters
        ----------
        entry_id : of a grade or regrade.
        grader : a fitted grader, or a function that makes one from the rubric that is kept with the entry (None where it was graded without).

        Returns
        -------
        dict
            ``entry_id, answer_id, criterion_id, score, replayed_score, confidence, replayed_confidence, same`` (score and confidence, to 1e-9; the score
            counts only where one was given), ``same_model`` (None where grader or entry states no fingerprint), ``rubric_version``.

        Raises
        ------
        DataError
            For an entry that is no grade, words that were never kept or were erased, and a grader without that criterion.
        """
        entry = self.entry(entry_id)
        if entry["kind"] not in ("grade", "regrade"):
            raise DataError(f"entry {entry_id} must be a grade to be graded again; found a {entry['kind']}. `edukit ledger history` lists the grades.")
        words = self.entry(entry["answer"]) if entry.get("answer") else {}
        if "text" not in words:
            why = "were erased" if words.get("erased") else "were not kept"
            raise DataError(f"entry {entry_id} must have the words of its answer to be graded again; they {why}. Its score stays in the ledger.")
        if not hasattr(grader, "grade"):
            grader = grader(self.rubrics().get(entry.get("rubric_fingerprint", "")))
        answer = {"answer_id": entry["answer_id"], "question_id": entry.get("question_id", ""), "text": words["text"]}
        grades = grader.grade(pd.DataFrame([answer]))
        again = grades[grades["criterion_id"] == entry["criterion_id"]]
        if len(again) != 1:
            raise DataError(f"the grader must grade the criterion {entry['criterion_id']!r} of entry {entry_id}; "
                            f"found {', '.join(map(repr, grades['criterion_id']))}. Use the grader and the rubric it was graded with.")
        result = {"entry_id": int(entry_id), **{name: entry[name] for name in ("answer_id", "criterion_id")}}
        same = True
        for name in ("score", "confidence"):
            before, now = entry.get(name), again.iloc[0].get(name)
            now = None if pd.isna(now) else float(now)
            result |= {name: before, f"replayed_{name}": now}
            same &= before is None or (now is not None and abs(before - now) <= 1e-9)
        marks = entry.get("model_fingerprint"), getattr(grader, "fingerprint", None)
        return {**result, "same": same, "same_model": None if None in marks else marks[0] == marks[1], "rubric_version": entry.get("rubric_version")}

    def forget(self, learner_id: str) -> int:
        """Erase the words of a learner who asks for it, for good: name, answers, quotes, reasons and feedback.

        Scores stay, under the answer_id, and the chain stays whole; that something was erased, and when, becomes an entry. Choose answer_ids that
        name nobody. Copies and exports made before are not reached.

        Returns
        -------
        int
            How many entries lost words.

        Raises
        ------
        DataError
            For a ledger that is shorter than its head tells; nothing is erased then.
            Where somebody reads the ledger for so long that its file cannot be cleaned: the words are gone from it, but may stand in the log beside it.
        """
        head = ledger_file.noted(self.path)
        with ledger_file.opened(self.path, writing=True) as base:
            base.execute("pragma secure_delete = on")
            numbers = [row[0] for row in base.execute(
                "select entry_id from personal where entry_id in (select entry_id from entries where answer_id in "
                "(select answer_id from entries where entry_id in (select entry_id from personal where learner_id = ?))) order by 1", (str(learner_id),))]
            if numbers:
                at = Appending(self.path, base, head, set())
                by = at.add("forget", {"entries": numbers}, {})
                at.flush()
                base.executemany("insert into forgotten values (?, ?)", [(number, by) for number in numbers])
                base.executemany("delete from personal where entry_id = ?", [(number,) for number in numbers])
        if numbers:  # where nothing was erased, the head stays what it was, so that it tells of entries that were cut off
            ledger_file.note(self.path)
        with ledger_file.opened(self.path) as base:
            busy = base.execute("pragma wal_checkpoint(truncate)").fetchone()[0]
        if busy:
            raise DataError(f"{self.path} must be in use by nobody else while words are erased from it; found a reader. Close it and forget again.")
        return len(numbers)

    def export_learner(self, learner_id: str) -> pd.DataFrame:
        """Everything that is kept of one learner, as :meth:`history` has it; for a learner who asks what that is."""
        return table(self._entries(_OF_LEARNER, (str(learner_id),)))

    def export(self, path: Path | str, personal: bool = False, learner_id: str | None = None) -> list[Path]:
        """Write every entry as ``<path>.csv`` (for a spreadsheet) and ``<path>.jsonl`` (exact); learners' own words only where ``personal``.

        Of one learner where ``learner_id`` is given, with the words: they are the learner's.
        """
        from edukit.grading.ledger_export import export

        def entries() -> Iterator[dict[str, Any]]:
            where, values = ("", ()) if learner_id is None else (_OF_LEARNER, (str(learner_id),))
            with ledger_file.opened(self.path) as base:
                yield from parsed(base.execute(f"{SELECT} {where} order by e.entry_id", values))

        return export(entries(), Path(path), SAID, personal or learner_id is not None)

    def verify(self, head: str | None = None) -> pd.DataFrame:
        """Everything that shows tampering or damage: ``entry_id`` (missing where it is the file as a whole), ``fault``, ``next_step``; empty = sound.

        Parameters
        ----------
        head : a hash that was noted earlier (:meth:`head`); it must still be in the chain.
        """
        from edukit.grading.ledger_check import check

        return check(self.path, head)

    def head(self) -> tuple[int, str]:
        """How many entries there are, and the hash of the last one: note it where nobody who writes the ledger can write."""
        return ledger_file.head(self.path)
