"""Files of the knowledge-tracing literature: pyKT's windows, records of three or four lines, and triples without a header.

Layouts: pyKT (Liu et al., 2022, NeurIPS datasets and benchmarks); three lines (Piech et al., 2015, NeurIPS); four lines (Ghosh et al., 2020, KDD).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from edukit.formats.delimited import BLANKS, Say, fault, quiet, read_marks, read_strings, read_text
from edukit.formats.response_matrix import by_item
from edukit.schema import DataError

_LISTS = ("questions", "concepts", "responses", "timestamps", "usetimes", "selectmasks", "is_repeat")


def recognise(head: str) -> str | None:
    """``pykt``, ``three_line`` (also four) or ``triple`` where the first lines of a file are one of theirs, else None."""
    lines = [line.strip(BLANKS) for line in head.lstrip("\ufeff").splitlines()[:8]]
    if not lines:
        return None
    if {"uid", "responses"} <= {name.strip('" ') for name in lines[0].split(",")}:
        return "pykt"
    cells = [line.rstrip(", ").split(",") for line in lines]
    if all(value.strip().isdigit() for value in cells[0]) and len(cells[0]) <= 2 and len(lines) >= 3:
        answers = {len(row) for row in cells[1:4] if set(v.strip() for v in row) <= {"0", "1", "-1", "0.0", "1.0"}}
        if answers & {len(row) for row in cells[1:3]} and (len(cells[0]) == 1 or len(lines) >= 4 and len(cells[1]) == len(cells[2]) == len(cells[3])):
            return "three_line"
    parts = [line.replace("\t", ",").replace(" ", ",").split(",") for line in lines[:-1] or lines if line]
    if not parts or not all(len(row) == 3 and row[2] in ("0", "1", "0.0", "1.0") for row in parts):
        return None
    matrix = {row[1] for row in parts} == {"0", "1"} and len({row[0] for row in parts}) == len(parts)  # a row per learner, of two items without names
    return None if matrix else "triple"


def read_pykt(path: Path, say: Say = quiet) -> dict[str, pd.DataFrame]:
    """Tables of a pyKT csv (``train_valid_sequences.csv`` and the like): windows are joined again, pads and repeated context dropped.

    A position counts where ``selectmasks`` is 1; one with ``is_repeat`` 1 is a further concept of the response before it. Times are
    milliseconds.

    Raises
    ------
    DataError
        For lists of unequal length in a row, an answer other than 0 and 1, or a file of question sequences (their history repeats).
    """
    table = read_strings(path, separator=",")
    if absent := [c for c in ("uid", "responses") if c not in table] or (["questions or concepts"] if not {"questions", "concepts"} & set(table) else []):
        raise DataError(f"{path} must have the columns {', '.join(absent)}; found {', '.join(table.columns)}.")
    if "qidxs" in table:
        raise DataError(f"{path} must hold each response once; found question sequences (column qidxs), which repeat the history before each question. "
                        "Give train_valid_sequences.csv, test_sequences.csv or a window file.")
    lists = [c for c in _LISTS if c in table]
    cut = {c: table[c].fillna("").str.rstrip(",").str.split(",") for c in lists}
    length = pd.DataFrame({c: values.map(len) for c, values in cut.items()})
    if (uneven := length.ne(length["responses"], axis=0).any(axis=1)).any():
        row = int(np.flatnonzero(uneven)[0])
        shown = ", ".join(f"{n} {c}" for c, n in length.iloc[row].items())
        raise DataError(f"{path} must give as many {', '.join(lists[:-1])} as {lists[-1]} in a row; found {shown} (first: row {row + 1:,}, "
                        f"{int(uneven.sum()):,} rows in all). The file may be truncated.")
    kept = {c: table[c] for c in ("uid", "fold") if c in table}
    log = pd.DataFrame({**kept, **cut}).explode(lists, ignore_index=True)
    log = log[(log["selectmasks"] == "1") if "selectmasks" in log else (log["responses"] != "-1")]
    log = log[log["responses"] != "-1"].sort_values("uid", kind="stable", key=lambda uid: pd.factorize(uid)[0]).reset_index(drop=True)
    again = log["is_repeat"].eq("1") & log["uid"].eq(log["uid"].shift()) if "is_repeat" in log else pd.Series(False, index=log.index)
    item = log["questions"] if "questions" in log else log["concepts"]
    once = log[~again]
    response = pd.DataFrame({"learner_id": once["uid"], "item_id": item[~again], "correct": _answers(path, once["responses"]),
                             "order": once.groupby("uid").cumcount()})
    if "timestamps" in log:
        at = pd.to_numeric(once["timestamps"], errors="coerce")
        if at.between(1e11, 1e13).all():
            response["timestamp"] = pd.to_datetime(at.astype("int64"), unit="ms", utc=True)
        else:
            say("timestamps are no times in milliseconds, so that only the order is kept")
    if "usetimes" in log:
        response["response_time_s"] = pd.to_numeric(once["usetimes"], errors="coerce").clip(lower=0) / 1000
    tables = _with_concepts(response.reset_index(drop=True), item, log["concepts"] if "concepts" in log else item)
    if "fold" in log:
        tables["learners"] = once[["uid", "fold"]].drop_duplicates("uid").set_axis(["learner_id", "fold"], axis=1)
    return tables


def _answers(path: Path, values: pd.Series) -> pd.Series:
    share, bad = read_marks(values)
    if (bad := bad | values.isna()).any():
        raise DataError(fault(f"{path}: an answer", "be 0 or 1", values, bad))
    return share


def _with_concepts(log: pd.DataFrame, item: pd.Series, concept: pd.Series) -> dict[str, pd.DataFrame]:
    """Tables with the concepts of each item; ``_`` joins several concepts where all of them are numbers."""
    q = pd.DataFrame({"item_id": item, "concept_id": concept}).drop_duplicates(ignore_index=True)
    joined = q["concept_id"].str.fullmatch(r"\d+(_\d+)+").fillna(False).astype(bool)
    several = q[joined].assign(concept_id=q.loc[joined, "concept_id"].str.split("_")).explode("concept_id")
    q = pd.concat([q[~joined], several]).sort_index(kind="stable").drop_duplicates(ignore_index=True)
    ids = q["concept_id"].unique()
    return {"interactions": log, "q_matrix": q, "concepts": pd.DataFrame({"concept_id": ids, "name": ids})}


def first_of_response(log: pd.DataFrame) -> np.ndarray:
    """(R,) which rows begin a response, where a response to an item of several concepts stands once per concept.

    Rows in a row that differ in nothing but ``concept_id`` are one response; a concept met again begins another.
    """
    learner, item, concept, correct = (pd.factorize(log[c])[0] for c in ("learner_id", "item_id", "concept_id", "correct"))
    differs = (np.diff(learner) != 0) | (np.diff(item) != 0) | (np.diff(correct) != 0)
    run = np.concatenate([[0], np.cumsum(differs)])
    again = pd.Series(concept).groupby(run * (concept.max() + 1) + concept).cumcount()
    return ~pd.Series(run * (int(again.max()) + 1) + again).duplicated().to_numpy()


def _records(path: Path, lines: Sequence[str], size: int) -> tuple[pd.DataFrame, int]:
    """Lines as records of ``size`` lines with a count of the values in each, and how many records do not fit."""
    if len(lines) % size:
        return pd.DataFrame(), len(lines)
    table = pd.DataFrame(np.array(lines, dtype=object).reshape(-1, size)).astype("str")
    for column in range(size):
        table[f"n{column}"] = (table[column].str.count(",") + 1).where(table[column] != "", 0)
    fits = table[f"n{size - 1}"].eq(table[f"n{size - 2}"])
    return table, int((~fits).sum())


def read_three_line(path: Path, say: Say = quiet) -> dict[str, pd.DataFrame]:
    """Tables of a file with three lines a learner (how many, items, answers), or four.

    Four lines are either a head, items, concepts, answers, or a learner, how many, items, answers. Commas at the end of a line and pads of
    -1 are dropped. Where the head names no learner, the records are numbered.

    Raises
    ------
    DataError
        For a number of lines that is no multiple, as many answers as items missing, or an answer other than 0 and 1; the first line is named.
    """
    lines = [line.strip(BLANKS).rstrip(", ") for line in read_text(path).splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    tried = {size: _records(path, lines, size) for size in (3, 4)}
    size = min(tried, key=lambda s: tried[s][1])
    table, wrong = tried[size]
    if not len(table):
        raise DataError(f"{path} must hold records of three or four lines; found {len(lines):,} lines. The file may be truncated.")
    if wrong:
        row = int(np.flatnonzero(table[f"n{size - 1}"] != table[f"n{size - 2}"])[0])
        raise DataError(f"{path} must give as many answers as items; found {table[f'n{size - 1}'][row]} answers and {table[f'n{size - 2}'][row]} items "
                        f"(first: line {row * size + 1:,}, {wrong:,} records in all). The file may be truncated.")
    n = table[f"n{size - 1}"]
    with_concepts = size == 4 and bool((table["n1"] == n).all()) and not bool((table[1] == n.astype("str")).all())
    if size == 4 and not with_concepts:
        learner = table[0]
    else:
        first, _, second = (table[0].str.partition(",")[i].str.strip() for i in range(3))
        named = second.where(second.ne("") & second.ne(n.astype("str")), first)  # of two numbers the one that is not the count
        unpadded = n - table[size - 1].str.count(r"(?:^|,)\s*-1\s*(?=,|$)")
        counted = first.str.fullmatch(r"\d+") & (first.eq(n.astype("str")) | first.eq(unpadded.astype("str")) | (size == 3))
        known = bool((second != "").all()) or not bool(counted.all())
        learner = named if known else pd.Series(np.arange(1, len(table) + 1), index=table.index).astype("str")
        if not known:
            say("the file names no learner: its records were numbered, and a learner cut into several records counts as several")
    items, answers = table[1 if with_concepts or size == 3 else 2], table[size - 1]
    columns = {"item_id": items.str.split(","), "written": answers.str.split(",")}
    columns |= {"concept_id": table[2].str.split(",")} if with_concepts else {}
    log = pd.DataFrame({"learner_id": learner, **columns})[n > 0].explode(list(columns), ignore_index=True)
    log = log.apply(lambda column: column.astype("str").str.strip(BLANKS))
    log = log[log["written"] != "-1"].reset_index(drop=True)
    if not len(log):
        raise DataError(f"{path} must hold at least one answer; found {len(table):,} records that are empty or hold nothing but pads of -1.")
    log = log.sort_values("learner_id", kind="stable", key=lambda ids: pd.factorize(ids)[0]).reset_index(drop=True)
    log["correct"] = _answers(path, log["written"])
    if not with_concepts:
        return by_item(log.assign(order=log.groupby("learner_id").cumcount()).drop(columns="written"))
    once = log[first_of_response(log)].drop(columns=["written", "concept_id"])
    return _with_concepts(once.assign(order=once.groupby("learner_id").cumcount()).reset_index(drop=True), log["item_id"], log["concept_id"])


def read_triple(path: Path, say: Say = quiet) -> dict[str, pd.DataFrame]:
    """Rows of learner, item and answer without a header, separated by comma, tab or blank; their order counts as unknown.

    Raises
    ------
    DataError
        For rows of another width, an empty cell, or an answer that is no mark.
    """
    head = read_text(path).lstrip("\ufeff").splitlines()[0].strip(BLANKS)
    table = read_strings(path, header=False, separator=" " if len(head.split()) == 3 and "," not in head and "\t" not in head else None)
    if table.shape[1] != 3:
        raise DataError(f"{path} must hold three values a row (learner, item, answer); found {table.shape[1]}.")
    log = table.set_axis(["learner_id", "item_id", "written"], axis=1)
    empty = log[["learner_id", "item_id"]].isna().any(axis=1)
    if empty.any():
        raise DataError(fault(f"{path}: learner and item", "both be filled", log["item_id"].where(log["learner_id"].notna()), empty))
    return by_item(log.assign(correct=_answers(path, log["written"])).drop(columns="written"))
