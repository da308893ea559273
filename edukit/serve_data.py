"""From a dropped file to responses that can be mapped: what its columns are taken for, what a person says they are, and what is then known of it."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from edukit.data.card import load_card
from edukit.data.loader import LearningData
from edukit.data.profile import missing, profile
from edukit.data.school_csv import SchoolCsv
from edukit.formats.delimited import SHEETS, numbers, read_marks, read_table, sheets
from edukit.formats.response_matrix import plain, recognise
from edukit.formats.response_rows import read_times, understand
from edukit.governance.privacy import Pseudonymiser, load_key
from edukit.reproducibility import replacing
from edukit.schema import DataError
from edukit.serve_column_names import about_a_person, guessed, meaning_of
from edukit.serve_store import Project
from edukit.validation import validate_all

ROWS = {"learner_id": "the learner", "item_id": "the question", "correct": "the mark (right or wrong, or points)", "percent": "the mark, in per cent",
        "max_score": "the full points", "concept_id": "the concept", "class_id": "the class", "timestamp": "the date or time",
        "time of day": "the time of day, beside a date", "order": "the place in the learner's order", "attempt": "the attempt",
        "response": "the option chosen", "teacher_id": "the teacher", "term": "the term"}
"""What a column of a file with a row per answer may hold; the first three are needed."""
WIDE = {"learner_id": "the learner", "item": "a question", "class_id": "the class", "teacher_id": "the teacher", "term": "the term"}
"""What a column of a file with a row per learner may hold."""
KINDS = {"rows": "a row for each answer", "matrix": "a row for each learner, a column for each question", "canvas": "a Canvas export",
         "moodle": "a Moodle export", "datashop": "a DataShop export", "xapi": "xAPI statements", "pykt": "a research file (pyKT)",
         "three_line": "a research file (three lines a learner)", "triple": "a research file (three lines a learner)"}
SHOWN, LONG = 8, 80  # rows and characters of the first look
LOOKED_AT = 2000  # rows from which a column is guessed by its values
_PERSONAL = {"learner_id": "learner", "class_id": "class", "teacher_id": "teacher"}


@dataclass(frozen=True)
class Source:
    """The files of a project as the reader of school files takes them."""

    path: str
    kind: str = "auto"
    sheet: str | None = None
    q_matrix: str | None = None
    graph: str | None = None

    def tables(self) -> tuple[dict[str, pd.DataFrame], list[str]]:
        """Validated tables, and every decision that reading took.

        Raises
        ------
        DataError
            For every fault of the files, and for files without responses.
        """
        told: list[str] = []
        loader = SchoolCsv(**asdict(self))
        loader.raw_dir()
        tables = validate_all(loader.read(told.append), source="the notes below the columns")
        if "interactions" not in tables:
            raise DataError(f"{self.path} must hold answers of learners; found {', '.join(tables)}.")
        return tables, told


def source_of(project: Project, graph: bool = True) -> Source:
    """The files of a project, as far as they were confirmed; with its graph where it has one."""
    found = project.read()
    if "confirmed" not in found:
        raise DataError("the columns must be confirmed first; found that they are not. Go back to step 2.")
    given = {name: str(project.folder / file) for name, file in found["confirmed"].items() if file and name != "kind" and name != "sheet"}
    drawn = project.folder / "graph.case.json"
    return Source(**given, kind=found["confirmed"]["kind"], sheet=found["confirmed"]["sheet"], graph=str(drawn) if graph and drawn.is_file() else None)


def _guess(table: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Column -> meaning and how sure: by its name, in several languages, and for a mark or a time that no name told, by its values."""
    head = table.head(LOOKED_AT)
    mapped = {c: (meaning, "by its name") for c, meaning in understand(table).items() if meaning in ROWS}
    known = {c: meaning for c, (meaning, _) in mapped.items()}
    mapped |= {c: (m, "by its name: check it") for c, m in guessed(list(table.columns), known, lambda c, m: _fits(head[c], m)).items()}
    taken = {meaning for meaning, _ in mapped.values()} | ({"correct"} if "percent" in (m for m, _ in mapped.values()) else set())
    for column in table.columns:
        values = head[column]
        if column in mapped or values.notna().sum() < 2 or about_a_person(column):
            continue
        if "correct" not in taken and values.nunique() > 1 and not read_marks(values)[1].any():
            mapped[column] = ("correct", "by its values: check it")
        elif "timestamp" not in taken and numbers(values).notna().sum() == 0 and not read_times(values)[1].any():
            mapped[column] = ("timestamp", "by its values: check it")
        taken.add(mapped.get(column, ("", ""))[0])
    marks = next((c for c, (meaning, _) in mapped.items() if meaning == "correct"), None)
    if marks is not None and plain(marks) in ("percent", "percentage"):
        mapped[marks] = ("percent", "by its name")
    return mapped


def _persons(table: pd.DataFrame, known: dict[str, str]) -> dict[str, str]:
    """Columns that name the learner or tell of one, and hold no marks."""
    return {c: m for c, m in guessed(list(table.columns), known).items() if m in WIDE and (m == "learner_id" or read_marks(table[c])[1].any())}


def _spread(table: pd.DataFrame) -> bool:
    """Whether a file whose names the reader does not know has a column for each question: marks everywhere but in what tells of a learner."""
    named = {*guessed(list(table.columns)).values(), *understand(table).values()}
    if {"learner_id", "item_id"} <= named and {"correct", "percent"} & named:
        return False
    questions = sum(meaning_of(c) == "item_id" for c in table.columns)
    return recognise(table, _persons(table, {}), points=questions != 1)


def _wide(table: pd.DataFrame, mapped: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """The same of a file with a row per learner: a learner, a class, a teacher or a term in another language, unless it holds marks as an item does."""
    named = _persons(table, {c: m for c, (m, sure) in mapped.items() if m != "item" and sure == "by its name"})
    if "learner_id" in named.values():
        mapped = {c: row for c, row in mapped.items() if row[0] != "learner_id"}
    return mapped | {c: (m, "by its name: check it") for c, m in named.items()}


def _fits(values: pd.Series, meaning: str) -> bool:
    """Whether a column could hold what its name says: marks, times and numbers are read."""
    there = values.dropna()
    if meaning == "correct":
        return len(there) > 0 and (not read_marks(values)[1].any() or bool(numbers(there).notna().all()))
    if meaning == "timestamp":
        return len(there) > 0 and not read_times(values)[1].any()
    return len(there) > 0 and (meaning not in ("percent", "max_score", "order", "attempt") or bool(numbers(there).notna().all()))


def look(path: Path, kind: str = "auto", sheet: str | None = None) -> dict[str, Any]:
    """What a file is, its first rows, and what each column is taken for.

    Returns
    -------
    dict
        ``kind``, ``kinds`` and ``meanings`` (words for each), ``sheets``, ``sheet``, ``columns`` (each ``name, meaning, sure``), ``rows`` (the
        first of them, as text) and ``size``. A file whose columns are not a person's choice has none.

    Raises
    ------
    DataError
        For a file that cannot be read.
    """
    loader = SchoolCsv(str(path), kind, sheet)
    loader.raw_dir()
    found = loader.recognised()
    if kind == "auto" and found == "rows" and _spread(read_table(path, sheet)):
        loader, found = SchoolCsv(str(path), "matrix", sheet), "matrix"
    offered = sheets(path)
    about = {"kind": found, "kinds": KINDS, "sheets": offered, "sheet": sheet or next(iter(offered), None), "meanings": {}, "columns": [], "rows": [],
             "size": 0}
    if found not in ("rows", "matrix"):
        return about
    table = read_table(path, sheet)
    if found == "rows":
        meanings, taken_for = ROWS, _guess(table)
    else:
        meanings = WIDE
        taken_for = _wide(table, {c: ("item" if m == "an item" else m, sure) for c, m, sure in loader.columns() if m})
    columns = [{"name": c, "meaning": taken_for.get(c, ("", ""))[0], "sure": taken_for.get(c, ("", ""))[1]} for c in table.columns]
    rows = [["" if pd.isna(value) else str(value)[:LONG] for value in row] for row in table.head(SHOWN).itertuples(index=False)]
    return {**about, "meanings": meanings, "columns": columns, "rows": rows, "size": len(table)}


def confirm(project: Project, kind: str, sheet: str | None, meanings: list[str]) -> dict[str, Any]:
    """Write the responses as a person says they are to be read, read them, and say what is known of them.

    Parameters
    ----------
    meanings : what each column holds, in the order of the columns: a key of :data:`ROWS` or :data:`WIDE`, or nothing where it is not used.

    Raises
    ------
    DataError
        For a meaning that is needed and absent or given twice, and for every fault of the responses; what was confirmed before stays.
    """
    found = project.read()
    upload, q_matrix = project.folder / found["upload"], found.get("q_matrix")
    if kind not in KINDS:
        raise DataError(f"the file must be one of: {', '.join(KINDS.values())}; found {kind!r}. Choose one of them.")
    sheet = sheet if upload.suffix.lower() in SHEETS else None
    joined = str(project.folder / q_matrix) if q_matrix else None
    if kind not in ("rows", "matrix"):
        known = _known(Source(str(upload), kind, sheet, joined))
        project.note(confirmed={"path": upload.name, "kind": kind, "sheet": sheet, "q_matrix": q_matrix}, sheet=sheet, known=known)
        return known
    table = read_table(upload, sheet)
    renamed = _renamed(list(table.columns), kind, meanings)
    with replacing(project.folder / "responses.csv") as fresh:
        kept = [place for place, name in enumerate(renamed) if name]
        _write(table.iloc[:, kept].set_axis([renamed[place] for place in kept], axis=1), fresh)
        try:
            known = _known(Source(str(fresh), kind, None, joined))
        except DataError as error:
            told = str(error).replace(str(fresh), found["name"])
            for old, new in zip(table.columns, renamed, strict=True):
                told = told.replace(f": {new} (", f": {old} (")
            raise DataError(told) from None
    project.note(confirmed={"path": "responses.csv", "kind": kind, "sheet": None, "q_matrix": q_matrix}, sheet=sheet, meanings=meanings,
                 known=known)
    return known


def with_q_matrix(project: Project, file: str) -> dict[str, Any]:
    """Join a file of items and concepts, and say anew what is known; a file that does not fit is left out again.

    Raises
    ------
    DataError
        Where the columns are not confirmed, and for every fault of the file.
    """
    found = project.read()
    source_of(project)
    before = {name: found.get(name) for name in ("q_matrix", "confirmed", "known")}
    project.note(q_matrix=file)
    try:
        return confirm(project, found["confirmed"]["kind"], found.get("sheet"), found.get("meanings", []))
    except BaseException:
        project.note(**before)
        raise


def _renamed(columns: list[str], kind: str, meanings: list[str]) -> list[str]:
    """Names that the reader understands, in place of a person's; nothing for a column that is left out.

    Of a row per answer every column is kept, since rows that differ in an unused one are different answers.
    """
    offered = ROWS if kind == "rows" else WIDE
    if len(meanings) != len(columns) or set(meanings) - {*offered, ""}:
        raise DataError(f"each of the {len(columns)} columns must have one of the meanings offered, or none; found {len(meanings)} meanings.")
    count, faults = Counter(meaning for meaning in meanings if meaning and meaning != "item"), []
    for needed in ("learner_id", "item_id") if kind == "rows" else ("learner_id",):
        if needed not in count:
            faults.append(f"one column must hold {offered[needed]}; found none. Choose it above the column.")
    if kind == "rows" and not count["correct"] + count["percent"]:
        faults.append("one column must hold the mark; found none. Choose it above the column.")
    if count["correct"] and count["percent"]:
        faults.append("the mark must be in one column; found two. Choose one of them.")
    faults += [f"{offered[meaning]} must be in one column; found {n}. Choose one of them." for meaning, n in count.items() if n > 1]
    if kind == "matrix" and "item" not in meanings:
        faults.append("at least one column must be a question; found none.")
    if faults:
        raise DataError("\n".join(faults))
    if kind == "matrix":
        return [column if meaning == "item" else meaning for column, meaning in zip(columns, meanings, strict=True)]
    called = {"correct": "score" if "max_score" in count else "correct"}  # of a column called `correct`, points would be taken for right or wrong
    if "time of day" in count:
        called |= {"timestamp": "date", "time of day": "time"}
    return [called.get(meaning, meaning) or f"unused {place}" for place, meaning in enumerate(meanings, 1)]


def _write(table: pd.DataFrame, path: Path) -> None:
    """A csv that is read back cell by cell, whatever characters its names hold."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        stream.write("sep=,\n")
        table.to_csv(stream, index=False, quoting=csv.QUOTE_ALL, lineterminator="\n")


def _known(source: Source) -> dict[str, Any]:
    """What validated responses hold, what is doubtful and what cannot be told; and their concepts, with the share answered right."""
    tables, notes = source.tables()
    data = LearningData(SchoolCsv.name, "", tables, load_card(SchoolCsv.name), "")
    q, log = tables["q_matrix"], tables["interactions"]
    joined = q[["item_id", "concept_id"]].merge(log[["item_id", "correct"]], on="item_id").groupby("concept_id")["correct"].agg(["mean", "size"])
    items = q.groupby("concept_id")["item_id"].nunique()
    named = tables["concepts"].set_index("concept_id")["name"]
    concepts = [{"id": str(c), "name": str(named.get(c, c)), "right": round(float(joined["mean"][c]), 4), "responses": int(joined["size"][c]),
                 "items": int(items[c])} for c in joined.index]
    return {"notes": notes, "lines": [*profile(tables).lines(), *missing(data.allows())], "allows": data.allows(), "concepts": concepts}


def names(project: Project) -> pd.DataFrame:
    """Who is who on the maps of a project: ``kind, pseudonym, name`` of every learner, class and teacher; for the owner of the files only."""
    key = Pseudonymiser(load_key(project.folder / "cache" / "pseudonym.key"))
    log = source_of(project, graph=False).tables()[0]["interactions"]
    parts = []
    for column, kind in _PERSONAL.items():
        if column in log:
            ids = log[column].dropna().drop_duplicates().sort_values()
            parts.append(pd.DataFrame({"kind": kind, "pseudonym": key.pseudonyms(ids, kind).to_numpy(), "name": ids.to_numpy()}))
    return pd.concat(parts, ignore_index=True)
