"""Wide tables: a response matrix (a row per learner, a column per item), and a Q-matrix (which item assesses which concept).

Source for the Q-matrix: Tatsuoka, K. K. (1983), Journal of Educational Measurement.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from edukit.formats.delimited import SPOILT, Say, fault, matches, numbers, quiet, read_marks, read_table
from edukit.schema import DataError

ITEM_NAMES = ("item_id", "question_id", "problem_id", "questionid", "item", "question", "problem", "exercise", "task")
CONCEPT_NAMES = ("concept_id", "skill_id", "concept", "skill", "kc", "topic", "standard", "objective", "concepts", "skills", "kcs", "topics", "standards",
                 "objectives")
LEARNER_NAMES = ("id", "id_number", "sis_id", "sis_user_id")
"""Columns of a matrix that hold the learner, wherever they are, beside those that ``about`` names; else it is the first."""
NO_ITEMS = ("name", "full_name", "first_name", "last_name", "surname", "given_name", "family_name", "email", "e_mail", "email_address", "username", "login",
            "gender", "sex", "age", "birthday", "date_of_birth", "ethnicity", "disability", "sen", "send", "eal", "fsm", "premium", "pupil_premium", "repeater",
            "date", "time", "vorname", "nachname", "geschlecht", "alter")
"""Columns of a matrix that tell of a person, not of an item."""
TOTALS = ("total", "total_score", "total_points", "total_marks", "overall", "sum", "score", "points", "mark", "marks", "grade", "percent", "percentage",
          "average", "mean", "summe", "gesamt", "punkte", "note")
"""Columns of a matrix that are no item where they stand before the first one or behind the last."""
AVERAGES = ("average", "class_average", "overall_average", "mean", "median", "total", "sum", "durchschnitt", "mittelwert", "summe", "gesamt", "moyenne",
            "promedio")
FULL = ("max", "maximum", "max_points", "max_score", "max_marks", "points_possible", "possible_points", "full_marks", "out_of", "maximalpunkte")
"""Rows of a matrix that are no learner where they stand first or last: means, and the full points of each item."""


def plain(name: str) -> str:
    """A column's name in small letters, with one underscore for blanks, points and hyphens."""
    return "_".join(str(name).strip().lower().replace("-", " ").replace(".", " ").replace("_", " ").split())


@dataclass(frozen=True)
class Layout:
    """Which column of a matrix holds the learner, which tell of the learner (column -> meaning), which are items, and which are left out."""

    learner: str
    about: dict[str, str]
    items: list[str]
    left_out: list[str]


def layout(table: pd.DataFrame, about: Mapping[str, str] | None = None) -> Layout:
    """What the columns of a matrix are; ``about`` maps columns to ``learner_id``, ``class_id``, ``teacher_id`` or ``term``."""
    about, columns = about or {}, list(table.columns)
    by_name = {plain(c): c for c in reversed(columns)}
    learner = next((c for c in columns if about.get(c) == "learner_id"), next((by_name[n] for n in LEARNER_NAMES if n in by_name), columns[0]))
    known = {c: m for c, m in about.items() if c != learner and m in ("class_id", "teacher_id", "term")}
    items = [c for c in columns if c != learner and c not in known and plain(c) not in NO_ITEMS and table[c].notna().any()]
    for end in (-1, 0):
        while items and plain(items[end].rstrip("% ")) in TOTALS:
            items.pop(end)
    return Layout(learner, known, items, [c for c in columns if c not in (learner, *known, *items) and table[c].notna().any()])


def _learners(table: pd.DataFrame, columns: Layout) -> tuple[pd.DataFrame, pd.Series | None, int]:
    """Rows of learners, the full points of each item where a row states them, and how many rows of means were left out."""
    called = table[columns.learner].fillna("").map(plain)
    edge = pd.Series(False, index=table.index)
    edge.iloc[[0, 1, -2, -1] if len(table) > 4 else [0, -1]] = True
    means = edge & called.isin(AVERAGES)
    full: pd.Series | None = None
    for row in table.index[edge & called.isin(FULL)]:
        points = numbers(table.loc[row, columns.items].astype("str"))
        most = table.drop(index=row)[columns.items].apply(numbers).max()
        if (points > 0).all() and (points > 1).any() and (called[row] != "max" or not (most > points).any()):  # a learner may be called Max
            full = pd.Series(table.loc[row, columns.items])
            means = means | (table.index == row)
            break
    return table[~means], full, int(means.sum()) - (full is not None)


def _cells(table: pd.DataFrame, columns: Layout) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame | None, int]:
    rows, full, means = _learners(table, columns)
    cells = rows[columns.items]
    most = None if full is None else pd.DataFrame(np.broadcast_to(full.to_numpy(dtype=object), cells.shape), columns=cells.columns, index=cells.index)
    return rows, cells, most, means


def recognise(table: pd.DataFrame, about: Mapping[str, str] | None = None, points: bool = True) -> bool:
    """Whether all columns but those of the learner hold marks (or, with ``points``, any numbers), as a response matrix does."""
    _, cells, full, _ = _cells(table, layout(table, about))
    if cells.shape[1] < 2 or cells.isna().all(axis=None):
        return False
    written = cells.stack()
    _, bad = read_marks(written, None if full is None else full.stack().reindex(written.index))
    return not bad.any() or points and bool(numbers(written[bad]).notna().all())


def warn_of_lists(concepts: pd.Series, say: Say) -> None:
    """Say where the concept of an item looks like a list of several: it is taken for one."""
    listed = concepts[concepts.str.contains(r";|\||~~|, ", na=False)].unique()
    if len(listed):
        say(f"{len(listed):,} concepts look like a list ({listed[0]!r}): each is taken for one concept. Where an item has several, give it a row "
            "for each")


def by_item(log: pd.DataFrame, names: pd.Series | None = None) -> dict[str, pd.DataFrame]:
    """Tables of responses whose concepts are not stated: each item is its own concept.

    Parameters
    ----------
    log : rows of ``interactions``; ``order`` is set to unknown where it is absent.
    names : wording of an item by its id, where there is one.
    """
    items = pd.Series(log["item_id"].unique(), dtype="str")
    named = items if names is None else items.map(names).fillna(items)
    tables = {"interactions": log if "order" in log else log.assign(order=pd.Series(pd.NA, index=log.index, dtype="Int64")),
              "q_matrix": pd.DataFrame({"item_id": items, "concept_id": items}),
              "concepts": pd.DataFrame({"concept_id": items, "name": named})}
    if names is not None:
        tables["items"] = pd.DataFrame({"item_id": items, "name": named})
    return tables


def melt(learner: pd.Series, cells: pd.DataFrame, full: pd.DataFrame | None = None) -> tuple[pd.DataFrame, pd.Series]:
    """One row per filled cell, learner by learner: its row and column by position, item, mark as written, share; and which are unreadable.

    ``full`` holds the full points of each cell, in the shape of ``cells``.
    """
    rows, columns = np.nonzero(cells.notna().to_numpy())
    written = pd.Series(cells.to_numpy(dtype=object)[rows, columns], dtype="str")
    most = None if full is None else pd.Series(full.to_numpy(dtype=object)[rows, columns], dtype="str")
    share, bad = read_marks(written, most)
    log = pd.DataFrame({"row": rows, "column": columns, "learner_id": learner.to_numpy()[rows], "item_id": cells.columns.to_numpy(dtype=object)[columns],
                        "written": written, "correct": share})
    return log, bad


def read(path: Path, sheet: str | None = None, say: Say = quiet, about: Mapping[str, str] | None = None) -> dict[str, pd.DataFrame]:
    """Tables interactions, q_matrix and concepts of a response matrix; an empty cell is an item that was not answered.

    Parameters
    ----------
    about : column of the file -> ``learner_id``, ``class_id``, ``teacher_id`` or ``term``, for columns that are no items.

    Raises
    ------
    DataError
        For a learner without id or in two rows, a header of marks, or a cell that is no mark; all at once.

    Notes
    -----
    Points need a row called ``max`` (or ``points possible``), first or last, with the full points of each item. Columns of totals and of
    personal traits (:data:`TOTALS`, :data:`NO_ITEMS`) and rows of means (:data:`AVERAGES`) are left out.
    """
    table = read_table(path, sheet)
    columns = layout(table, about)
    rows, cells, full, means = _cells(table, columns)
    learner = rows[columns.learner]
    log, bad = melt(learner, cells, full)
    place, faults = f"{path}: the learner's column, {columns.learner},", []
    if learner.isna().any():
        faults.append(fault(place, "hold a learner's id", learner, learner.isna()))
    if (twice := learner.duplicated() & learner.notna()).any():
        at = int(np.flatnonzero(twice)[0])
        faults.append(f"{place} must hold each learner once; found {int(twice.sum()):,} of {len(learner):,} rows that repeat one (first: row "
                      f"{learner.index[at] + 1:,}).")
    if (spoilt := matches(learner, SPOILT)).any():
        faults.append(fault(place, "hold ids", learner, spoilt) + " A spreadsheet lost the ids: give the column the format text, and export again.")
    header = pd.Series([re.sub(r" \(\d+\)$", "", c) for c in columns.items], dtype="str")
    if len(header) > 1 and not read_marks(header)[1].any():
        faults.append(f"{path} must name the items in its first row; found marks there ({', '.join(header.head(3))}, ...). Add a row with the names of the "
                      "columns above it.")
    if bad.any():
        first = log[bad].iloc[0]
        way = "" if full is not None else " Points need a row called max, first or last, with the full points of each item."
        faults.append(f"{path} must hold marks (0, 1, a share, per cent, yes or no) below each item; found {first['written']!r} and others in "
                      f"{int(bad.sum()):,} of {len(log):,} cells (first: row {rows.index[first['row']] + 1:,}, column {first['item_id']}).{way}")
    if not len(log):
        faults.append(f"{path} must hold at least one mark; found none.")
    if faults:
        raise DataError("\n".join(faults))
    if columns.left_out:
        say(f"columns that are no items were left out: {', '.join(columns.left_out)}")
    if full is not None:
        say(f"the row {table[columns.learner][~table.index.isin(rows.index)].iloc[0]!r} holds the full points of each item: marks are points out of them")
    if means:
        say(f"{means:,} rows of means or totals at the edge of the table were left out")
    if empty := cells.size - len(log):
        say(f"{empty:,} empty cells were left out: an item without a mark counts as not answered, not as wrong")
    for column, meaning in columns.about.items():
        log[meaning] = rows[column].to_numpy()[log["row"]]
    return by_item(log.drop(columns=["row", "column", "written"]))


def read_q_matrix(path: Path, sheet: str | None = None) -> pd.DataFrame:
    """Table ``q_matrix`` from a file with a row per (item, concept), or from a wide one with a row per item and 0 or 1 below each concept.

    Raises
    ------
    DataError
        For a file that is neither, an item or a concept without id, or a cell other than 0 and 1.
    """
    table = read_table(path, sheet)
    named = {plain(c): c for c in table.columns}
    item = next((named[n] for n in ITEM_NAMES if n in named), None)
    concept = next((named[n] for n in CONCEPT_NAMES if n in named), None)
    if concept is not None and (item is not None or table.shape[1] == 2):
        item = item if item is not None else next(c for c in table.columns if c != concept)
        q = table[[item, concept]].set_axis(["item_id", "concept_id"], axis=1)
        if (empty := q.isna().any(axis=1)).any():
            raise DataError(fault(f"{path}: {item} and {concept}", "both be filled", q["item_id"].where(q["item_id"].isna(), q["concept_id"]), empty))
        return q.drop_duplicates(ignore_index=True)
    if table.shape[1] < 2:
        raise DataError(f"{path} must have the columns item_id and concept_id, or a row per item with 0 or 1 below each concept; found "
                        f"{', '.join(table.columns)}.")
    items, cells = table.iloc[:, 0], table.iloc[:, 1:]
    faults = []
    if (bad := items.isna() | items.duplicated()).any():
        faults.append(fault(f"{path}: the first column", "hold each item once", items, bad))
    wrong = ~cells.isin(["0", "1", "0.0", "1.0"]) & cells.notna()
    if wrong.any(axis=None):
        column = cells.columns[wrong.any().to_numpy()][0]
        faults.append(fault(f"{path}: column {column}", "hold 0 or 1 (or name the columns item_id and concept_id)", cells[column], wrong[column]))
    if faults:
        raise DataError("\n".join(faults))
    rows, columns = np.nonzero(cells.isin(["1", "1.0"]).to_numpy())
    return pd.DataFrame({"item_id": items.to_numpy()[rows], "concept_id": cells.columns.to_numpy(dtype=object)[columns]}, dtype="str")
