"""Exports of learning platforms: Canvas (a quiz's student analysis, the gradebook) and Moodle (a quiz's grades and responses).

Columns as the platforms write them: canvas-lms ``Quizzes::QuizStatistics::StudentAnalysis`` and the gradebook's export; Moodle
``mod/quiz/report``. Names, e-mail addresses and logins are never kept: a learner is known by the export's id column.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from edukit.formats.delimited import SHEETS, Say, quiet, read_sheet, read_strings
from edukit.formats.response_matrix import by_item, melt, plain
from edukit.schema import DataError

_QUESTION = re.compile(r"^(\d+): ?(.*)$", re.DOTALL)  # Canvas quiz: "123456: What is a half of 3?"
_ASSIGNMENT = re.compile(r"^(.*) \((\d+)\)$", re.DOTALL)  # Canvas gradebook: "Essay 1 (98765)"
_SLOT = re.compile(r"^(\D{1,20}?)\s*(\d+)\s*/\s*(\d+(?:[.,]\d+)?)$")  # Moodle: "Q. 1 /1.00", "F 1 /1,00"
_GRADE = re.compile(r"^\D+/\s*\d+(?:[.,]\d+)?$")  # Moodle: "Grade/10.00"
_RESPONSE, _RIGHT = re.compile(r"^Response (\d+)$", re.IGNORECASE), re.compile(r"^Right answer (\d+)$", re.IGNORECASE)
_MOODLE_ID = ("id_number", "idnumber", "id_nummer", "matrikelnummer")
_STARTED, _ENDED = ("started_on", "started", "begonnen_am", "begonnen"), ("completed", "beendet")
_PERSON = ("surname", "last_name", "nachname", "first_name", "vorname", "email_address", "email", "e_mail_adresse", "username")


def recognise(columns: Sequence[str]) -> str | None:
    """``canvas`` or ``moodle`` where the header is one of theirs, else None."""
    names = {plain(c) for c in columns}
    if {"section", "n_correct", "n_incorrect"} <= names and any(_QUESTION.match(c) for c in columns):
        return "canvas"
    if {"student", "id", "section"} <= names and any(_ASSIGNMENT.match(c) for c in columns):
        return "canvas"
    slots = any(_SLOT.match(c) for c in columns)
    answers = any(_RESPONSE.match(c) for c in columns)
    return "moodle" if any(_GRADE.match(c) for c in columns) and (slots or answers) and names & {*_PERSON, *_MOODLE_ID} else None


def _column(table: pd.DataFrame, names: Sequence[str]) -> pd.Series | None:
    found = {plain(c): c for c in reversed(table.columns)}
    name = next((found[n] for n in names if n in found), None)
    return None if name is None else table[name]


def _marked(path: Path, log: pd.DataFrame, bad: pd.Series, say: Say) -> pd.DataFrame:
    """Rows with a mark in [0, 1]: a bonus counts as full marks; what is no number was not marked and is left out."""
    if (bonus := log["correct"] > 1).any():
        say(f"{int(bonus.sum()):,} marks above the full points count as full marks")
    unread = bad & ~bonus
    if unread.any():
        say(f"{int(unread.sum()):,} cells that hold no mark, or one below none (such as {log.loc[unread, 'written'].iloc[0]!r}) were left out")
    kept = log.assign(correct=log["correct"].clip(upper=1))[~unread]
    if not len(kept):
        raise DataError(f"{path} must hold at least one mark; found none. Export the points of each question as well.")
    return kept


def _attempts(log: pd.DataFrame, attempt: pd.Series) -> pd.DataFrame:
    """The log with the attempt of each row of the export, where a learner has more than one."""
    return log.assign(attempt=attempt.to_numpy()[log["row"]]) if attempt.max() > 1 else log


def read_canvas(path: Path, sheet: str | None = None, say: Say = quiet) -> dict[str, pd.DataFrame]:
    """Tables of a Canvas export; each question (or assignment) is an item, its wording is kept in ``items``.

    The order of answers within a quiz is not in the export, so that it counts as unknown.

    Raises
    ------
    DataError
        For an anonymous export (no id), a question without its column of points, or a file without a mark.
    """
    table = read_sheet(path, sheet) if path.suffix.lower() in SHEETS else read_strings(path)
    learner = _column(table, ("id",))
    if learner is None:
        raise DataError(f"{path} must have the column id; found {', '.join(table.columns[:8])}, ... An anonymous survey cannot be followed by learner.")
    if any(_QUESTION.match(c) for c in table.columns):
        return _canvas_quiz(path, table, learner, say)
    return _canvas_gradebook(path, table, say)


def _canvas_quiz(path: Path, table: pd.DataFrame, learner: pd.Series, say: Say) -> dict[str, pd.DataFrame]:
    columns = list(table.columns)
    places = [i for i, c in enumerate(columns) if _QUESTION.match(c)]
    points = {i: re.sub(r" \(\d+\)$", "", columns[i + 1]) if i + 1 < len(columns) else "" for i in places}  # a repeated "1.0" was numbered
    broken = [columns[i] for i, p in points.items() if not re.fullmatch(r"\d+(\.\d+)?", p)]
    if broken:
        raise DataError(f"{path} must have a column of points behind each question; found none behind {broken[0]!r} ({len(broken):,} in all).")
    asked = [i for i in places if float(points[i]) > 0]
    if len(asked) < len(places):
        say(f"{len(places) - len(asked):,} questions without points (texts, surveys) were left out")
    items = {i: found for i in asked if (found := _QUESTION.match(columns[i]))}
    if (stray := learner.isna()).any():
        say(f"{int(stray.sum()):,} rows without an id (people who were not logged in) were left out")
        table, learner = table[~stray].reset_index(drop=True), learner[~stray].reset_index(drop=True)
    earned = table.iloc[:, [i + 1 for i in asked]].set_axis([m[1] for m in items.values()], axis=1)
    full = pd.DataFrame({m[1]: [points[i]] * len(table) for i, m in items.items()}, index=table.index)
    log, bad = melt(learner, earned, full)
    log = _marked(path, log, bad, say)
    log["response"] = pd.Series(table.iloc[:, asked].to_numpy(dtype=object)[log["row"], log["column"]], index=log.index, dtype="str")
    section, submitted, attempt = (_column(table, (name,)) for name in ("section", "submitted", "attempt"))
    if section is not None:
        log["class_id"] = section.to_numpy()[log["row"]]
    if submitted is not None:
        log["timestamp"] = _when(submitted, say).to_numpy()[log["row"]]
    number = pd.to_numeric(attempt, errors="coerce").fillna(1).astype(int) if attempt is not None else learner.groupby(learner).cumcount() + 1
    return by_item(_attempts(log, number).drop(columns=["row", "column", "written"]), pd.Series({m[1]: m[2] or m[1] for m in items.values()}))


def _canvas_gradebook(path: Path, table: pd.DataFrame, say: Say) -> dict[str, pd.DataFrame]:
    work = {c: found for c in table.columns if (found := _ASSIGNMENT.match(c))}
    student, section, ids = (_column(table, (name,)) for name in ("student", "section", "id"))
    if student is None or section is None or ids is None or not work:
        raise DataError(f"{path} must be a quiz's student analysis or a gradebook of Canvas (Student, ID, Section, and assignments such as "
                        f"`Essay (98765)`); found {', '.join(table.columns[:8])}.")
    head = student.str.contains("Points Possible", na=False)
    if not head.any():
        raise DataError(f"{path} must have the row `Points Possible` below its header, as the gradebook is exported; found none.")
    full = table[head].iloc[0]
    people = ~head & ids.notna() & ~student.str.fullmatch(r"Student, Test|Test Student", na=False)
    rows = table[people].reset_index(drop=True)
    if (dropped := int((~head).sum()) - len(rows)) > 0:
        say(f"{dropped:,} rows that are no learner (settings, the test student) were left out")
    learner = ids[people].reset_index(drop=True)
    counted = [c for c in work if re.fullmatch(r"\d+([.,]\d+)?", str(full[c])) and float(str(full[c]).replace(",", ".")) > 0]
    if len(counted) < len(work):
        say(f"{len(work) - len(counted):,} columns without full points (read only, practice) were left out")
    if not counted:
        raise DataError(f"{path} must have at least one assignment with points; found none among {len(work):,}.")
    names = [work[c][2] for c in counted]
    log, bad = melt(learner, rows[counted].set_axis(names, axis=1), pd.DataFrame([[full[c] for c in counted]] * len(rows), columns=names))
    log = _marked(path, log, bad, say)
    log["class_id"] = section[people].to_numpy()[log["row"]]
    say("each assignment of the gradebook is one item: a quiz's own export tells more")
    return by_item(log.drop(columns=["row", "column", "written"]), pd.Series({work[c][2]: work[c][1] or work[c][2] for c in counted}))


def read_moodle(path: Path, sheet: str | None = None, say: Say = quiet) -> dict[str, pd.DataFrame]:
    """Tables of a Moodle quiz report (grades or responses); each question, by its number in the quiz, is an item.

    Points come from the columns ``Q. 1 /1.00``; a report of responses without them is right where the response is the right answer (part
    marks are not in it). Averages at the foot are left out. Without an ID number, learners are numbered: their names go no further.

    Raises
    ------
    DataError
        For a report without marks and without right answers.
    """
    table = read_sheet(path, sheet) if path.suffix.lower() in SHEETS else read_strings(path)
    columns = list(table.columns)
    slots = {c: found for c in columns if (found := _SLOT.match(c))}
    replies = {found[1]: c for c in columns if (found := _RESPONSE.match(c))}
    rights = {found[1]: c for c in columns if (found := _RIGHT.match(c))}
    if not slots and not set(replies) & set(rights):
        raise DataError(f"{path} must have the points of each question (`Q. 1 /1.00`, report Grades) or its right answers (report Responses, with "
                        f"`right answer` ticked); found {', '.join(columns[-6:])}. Export it again with one of them.")
    started, ended = _column(table, _STARTED), _column(table, _ENDED)
    footer = pd.concat([c for c in (started, ended) if c is not None] or [table.iloc[:, 1]], axis=1).isna().all(axis=1)
    if footer.any():
        say(f"{int(footer.sum()):,} rows without a time (averages, people who did not begin) were left out")
    table = table[~footer].reset_index(drop=True)
    learner = _moodle_learners(table, say)
    if slots:
        cells = table[list(slots)].set_axis([m[2] for m in slots.values()], axis=1)
        full = pd.DataFrame([[m[3].replace(",", ".") for m in slots.values()]] * len(table), columns=cells.columns)
        log, bad = melt(learner, cells.mask(cells == "-"), full)
    else:
        given = sorted(set(replies) & set(rights), key=int)
        answers = table[[replies[n] for n in given]].set_axis(given, axis=1)
        right = table[[rights[n] for n in given]].set_axis(given, axis=1)
        cells = (answers == right).astype("str").where(answers.notna() & (answers != "-") & right.notna())
        log, bad = melt(learner, cells)
        say("right or wrong was told by comparing each response with the right answer: part marks are not in this report")
    log = _marked(path, log, bad, say)
    if replies:
        said = table.reindex(columns=[replies.get(n, "") for n in cells.columns]).to_numpy(dtype=object)
        log["response"] = pd.Series(said[log["row"], log["column"]], index=log.index, dtype="str")
    begun = _when(_column(table, _STARTED) if started is not None else pd.Series(pd.NaT, index=table.index), say)
    number = (begun.groupby(learner).rank(method="first") if begun.notna().all() else learner.groupby(learner).cumcount() + 1).astype(int)
    if ended is not None:
        log["timestamp"] = _when(_column(table, _ENDED), quiet).to_numpy()[log["row"]]
    return by_item(_attempts(log, number).drop(columns=["row", "column", "written"]))


def _moodle_learners(table: pd.DataFrame, say: Say) -> pd.Series:
    ids = _column(table, _MOODLE_ID)
    if ids is not None and ids.notna().all():
        return ids
    person = [c for c in table.columns if plain(c) in _PERSON]
    if not person:
        raise DataError("a Moodle report must tell learners apart; found neither an ID number nor a name. Export it again with one of them.")
    say("not every learner has an ID number, so that learners were numbered in the order of the file: two exports cannot be joined")
    return (table.groupby(person, dropna=False, sort=False).ngroup() + 1).astype("str")


def _when(values: pd.Series, say: Say) -> pd.Series:
    """Times in UTC; those that cannot be read are missing."""
    found = pd.to_datetime(values.str.replace(r"\s+", " ", regex=True) if values.dtype == "str" else values, utc=True, errors="coerce", format="mixed")
    if (lost := found.isna() & values.notna()).any():
        say(f"{int(lost.sum()):,} times such as {values[lost].iloc[0]!r} could not be read and count as missing")
    return found
