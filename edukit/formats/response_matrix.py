"""Wide tables: a response matrix (a row per learner, a column per item), and a Q-matrix (which item assesses which concept).

Source for the Q-matrix: Tatsuoka, K. K. (1983), Journal of Educational Measurement.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from edukit.formats.delimited import Say, fault, quiet, read_marks, read_table
from edukit.schema import DataError

ITEM_NAMES = ("item_id", "item", "question", "question_id", "problem", "problem_id", "exercise", "task")
CONCEPT_NAMES = ("concept_id", "concept", "skill", "skill_id", "kc", "topic", "standard", "objective")


def plain(name: str) -> str:
    """A column's name in small letters, with one underscore for blanks, points and hyphens."""
    return "_".join(str(name).strip().lower().replace("-", " ").replace(".", " ").replace("_", " ").split())


def recognise(table: pd.DataFrame, about: Mapping[str, str] | None = None) -> bool:
    """Whether every column but the first (and those ``about`` the learner) holds marks, as a response matrix does."""
    cells = table.drop(columns=[table.columns[0], *(about or {})], errors="ignore")
    if cells.shape[1] < 2 or cells.isna().all(axis=None):
        return False
    _, bad = read_marks(cells.stack())
    return not bad.any()


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
    about : column of the file -> ``class_id``, ``teacher_id`` or ``term``, for columns that are no items.

    Raises
    ------
    DataError
        For a learner without id or in two rows, or a cell that is no mark; all at once.
    """
    table = read_table(path, sheet)
    about = {c: meaning for c, meaning in (about or {}).items() if meaning in ("class_id", "teacher_id", "term") and c != table.columns[0]}
    learner = table.iloc[:, 0]
    log, bad = melt(learner, table.drop(columns=[table.columns[0], *about]))
    faults = []
    if learner.isna().any():
        faults.append(fault(f"{path}: the first column, {table.columns[0]},", "hold a learner's id", learner, learner.isna()))
    if (twice := learner.duplicated() & learner.notna()).any():
        faults.append(fault(f"{path}: the first column, {table.columns[0]},", "hold each learner once", learner, twice))
    if bad.any():
        first = log[bad].iloc[0]
        faults.append(f"{path} must hold marks (0, 1, a share, per cent, yes or no) below each item; found {first['written']!r} and others in "
                      f"{int(bad.sum()):,} of {len(log):,} cells (first: row {first['row'] + 1:,}, column {first['item_id']}).")
    if not len(log):
        faults.append(f"{path} must hold at least one mark; found none.")
    if faults:
        raise DataError("\n".join(faults))
    if empty := len(table) * (table.shape[1] - 1 - len(about)) - len(log):
        say(f"{empty:,} empty cells were left out: an item without a mark counts as not answered, not as wrong")
    for column, meaning in about.items():
        log[meaning] = table[column].to_numpy()[log["row"]]
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
