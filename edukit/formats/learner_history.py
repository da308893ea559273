"""The responses of one learner, or of a few, in a file: what was answered, whether it was right, and in which order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from edukit.formats.delimited import Say, fault, forget, numbers, quiet, read_marks, read_table
from edukit.formats.response_rows import SYNONYMS, match_columns, read_times
from edukit.schema import DataError
from edukit.validation import validate

ALONE = "of this file"  # id of the learner of a file that names none


def read(path: Path, say: Say = quiet) -> pd.DataFrame:
    """Table ``interactions`` of a csv or a sheet with a row per response: ``item_id``, ``correct``, and ``order`` or a time where there is one.

    A file without a column for the learner is the history of one. Without order and time the rows are taken in the order of the file, and ``say``
    is told so. Rows that differ in nothing but their concept are one response, where they state their order or their time.

    Raises
    ------
    DataError
        For every fault at once: a column that is missing, an empty id, a mark, a place or a time that cannot be read, no row at all.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} must be a file with a row per response (columns item_id, correct); found no such file.")
    table = read_table(path)
    forget()
    column = {meaning: name for name, meaning in match_columns(list(table.columns)).items()}
    faults = [f"{path} must have a column for {needed}; found {', '.join(map(str, table.columns))}. Name it {needed} (also understood: "
              f"{', '.join(SYNONYMS[needed])})." for needed in ("item_id", "correct") if needed not in column]
    if faults:
        raise DataError("\n".join(faults))
    log = pd.DataFrame({"learner_id": table[column["learner_id"]] if "learner_id" in column else ALONE, "item_id": table[column["item_id"]]})
    for who in ("learner_id", "item_id"):
        if (empty := log[who].isna()).any():
            faults.append(fault(f"{path}: {column.get(who, who)} ({who})", "not be empty", log[who], empty))
    full = table[column["max_score"]] if "max_score" in column else None
    log["correct"], bad = read_marks(table[column["correct"]], full)
    if bad.any():
        faults.append(fault(f"{path}: {column['correct']} (correct)", "be a mark from none to all of the full marks (0 or 1, a share, 80 %)",
                            table[column["correct"]], bad))
    faults += _places(path, table, column, log)
    if faults:
        raise DataError("\n".join(faults))
    if (unmarked := log["correct"].isna()).any():
        say(f"{int(unmarked.sum()):,} rows without a mark were left out: not answered is not wrong")
        if unmarked.all():
            raise DataError(f"{path} must hold at least one response with a mark; found none in {len(log):,} rows.")
    return validate(_sorted(log[~unmarked], "concept_id" in column, say), "interactions", str(path))


def _places(path: Path, table: pd.DataFrame, column: dict[str, str], log: pd.DataFrame) -> list[str]:
    """Add ``order`` and ``timestamp`` to the log, as far as the file has them; the faults found."""
    faults = []
    if "order" in column:
        written = table[column["order"]]
        log["order"] = numbers(written)
        if (bad := ~np.isfinite(log["order"])).any():
            faults.append(fault(f"{path}: {column['order']} (order)", "be a number in every row", written, bad))
    if "timestamp" in column:
        written = table[column["timestamp"]]
        log["timestamp"], bad = read_times(written)
        if bad.any():
            faults.append(fault(f"{path}: {column['timestamp']} (timestamp)", "be a date or a time, such as 2025-09-30 14:05", written, bad))
    return faults


def _sorted(log: pd.DataFrame, concepts: bool, say: Say) -> pd.DataFrame:
    by = [name for name in ("order", "timestamp") if name in log and log[name].notna().all()][:1]
    if by and concepts and (again := log.duplicated()).any():
        say(f"{int(again.sum()):,} rows repeat a response for a further concept: it is one response")
        log = log[~again]
    if by and (tied := log.duplicated(["learner_id", *by])).any():
        say(f"{int(tied.sum()):,} responses have the {by[0]} of an earlier one: these follow the order of the file")
    if not by:
        say("the file states neither order nor time of every response: its rows are taken in the order of the file")
    log = log.sort_values(["learner_id", *by], kind="stable") if by else log
    return log.assign(order=log.groupby("learner_id").cumcount()).reset_index(drop=True)
