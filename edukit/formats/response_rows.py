"""A table with a row per response, as schools and platforms write it: columns known by their usual names, every fault told at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from edukit.formats.delimited import SPOILT, Say, fault, matches, numbers, quiet, read_marks, read_table
from edukit.formats.response_matrix import CONCEPT_NAMES, ITEM_NAMES, plain, warn_of_lists
from edukit.schema import DataError

# What schools and platforms call the columns, beside the schema's own names; of two the first counts, so that an id goes before a name or a wording.
SYNONYMS = {
    "learner_id": ("student_id", "user_id", "pupil_id", "studentid", "userid", "learner", "student", "user", "pupil"),
    "item_id": ITEM_NAMES[1:],
    "correct": ("is_correct", "iscorrect", "score", "outcome", "result", "points", "mark", "marks", "percent", "percentage"),
    "max_score": ("points_possible", "max_points", "max_marks", "full_marks", "out_of"),
    "order": ("order_id", "position", "step", "sequence"),
    "timestamp": ("time", "date", "datetime", "created_at", "answered_at", "start_time", "submitted_at"),
    "concept_id": CONCEPT_NAMES[1:],
    "class_id": ("class", "group", "section", "class_name"),
    "teacher_id": ("teacher",),
    "response": ("answer", "chosen", "option", "answer_text"),
    "term": ("semester",),
    "attempt": ("attempt_number",), "hints": ("hint_count",), "content_id": ("page", "unit"),
    "response_time_s": ("seconds", "seconds_taken", "duration_s"),
}
NEEDED = ("learner_id", "item_id", "correct")
CLOCK, DATE = r"(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d)?(?:\s*[AaPp]\.?[Mm]\.?)?", ("date", "datum")
_OF_HUNDRED = ("percent", "percentage")
_RIGHT_OR_WRONG = ("correct", "is_correct", "iscorrect")
_OF_CONCEPTS = {"concept_id", *SYNONYMS["concept_id"], "concept_name", "skill_name", "kc_name", "topic_name"}
TIED = 0.5  # with a larger share of responses at the same time as another of the same learner, times give no order


def match_columns(found: Sequence[str]) -> dict[str, str]:
    """Guess which column of a file holds what: ``{column of the file: column of edukit}``; exact names win over synonyms.

    Examples
    --------
    >>> match_columns(["Student ID", "Question", "Score", "Shoe size"])
    {'Student ID': 'learner_id', 'Question': 'item_id', 'Score': 'correct'}
    """
    named = {c: plain(c) for c in found}
    mapped: dict[str, str] = {}
    for target, others in SYNONYMS.items():
        for name in (target, *others):
            hit = next((c for c, p in named.items() if p == name and c not in mapped), None)
            if hit is not None:
                mapped[hit] = target
                break
    return {c: mapped[c] for c in found if c in mapped}


def read_times(values: pd.Series, say: Say = quiet) -> tuple[pd.Series, pd.Series]:
    """Times in UTC, and which of those that are there could not be read.

    Understood are ISO 8601, seconds or milliseconds since 1970, ``31/12/2025`` and ``12/31/2025`` (told apart by a day above 12) and
    ``31.12.2025``. One column has one such order: dates that contradict it cannot be read. Mixed time zones become UTC; a time without a zone
    is taken to be UTC.
    """
    there = values.notna()
    number = pd.to_numeric(values, errors="coerce")
    if there.any() and number[there].between(3e8, 3e9).all() or number[there].between(3e11, 3e12).all() and there.any():
        seconds = number / (1 if number.max() < 3e9 else 1000)
        return pd.to_datetime(seconds * 1000, unit="ms", utc=True), pd.Series(False, index=values.index)
    text = values.astype("str")
    found = pd.to_datetime(text, utc=True, errors="coerce", format="ISO8601")
    parts = text[found.isna() & there].str.extract(r"^(\d{1,2})([/.\-])(\d{1,2})[/.\-](\d{4}|\d{2})(?!\d)\s*(.*)$").reindex(text.index)
    short = parts[0].notna()
    for mark in ("/", ".", "-") if short.any() else ():
        if (of := short & parts[1].eq(mark)).any():
            found = found.mask(of, _short_dates(text.where(of), parts.where(of), found[~short], say))
    rest = found.isna() & there & ~short & text.str.contains(r"\d", na=False) & text.str.contains("[A-Za-z]", na=False)
    if rest.any():
        found = found.mask(rest, pd.to_datetime(text.where(rest), utc=True, errors="coerce", format="mixed"))
    return found, there & found.isna()


def _short_dates(text: pd.Series, parts: pd.DataFrame, others: pd.Series, say: Say) -> pd.Series:
    """Dates of one form, of which the column tells whether the day or the month is first; NaT where one contradicts the others."""
    first, second = pd.to_numeric(parts[0]), pd.to_numeric(parts[2])
    example, dots = text.dropna().iloc[0], parts[1].dropna().iloc[0] == "."
    days, months = first > 12, second > 12
    day_first = bool(days.any()) or (dots and not months.any())
    if days.any() and months.any():
        say(f"dates such as {text[days].iloc[0]!r} put the day first and others, such as {text[months].iloc[0]!r}, the month: one column must have one order")
    elif not (days.any() or months.any() or dots):
        say(f"dates such as {example!r} were read as month, then day: none of them tells which comes first")
    if parts[3].str.len().eq(2).any():
        say(f"dates such as {example!r} state the year with two digits: they were read as {'day, month' if day_first else 'month, day'}, year")
    if day_first and bool(days[text.notna()].all()) and others.notna().sum() > 2 and (others.dt.day <= 12).all():
        say(f"all dates such as {example!r} have a day above 12, and all others one up to 12: a spreadsheet may have taken the day for the month in the "
            "others. Export the file again with dates such as 2025-09-30")
    day, month = (parts[0], parts[2]) if day_first else (parts[2], parts[0])
    clock = parts[4].str.replace(r"^(\d):", r"0\1:", regex=True).str.upper()
    year = parts[3].where(parts[3].str.len() == 4, ("20" + parts[3]).where(parts[3] < "70", "19" + parts[3]))
    written = (year + "-" + month.str.zfill(2) + "-" + day.str.zfill(2) + " " + clock).str.strip()
    found = pd.to_datetime(written, utc=True, errors="coerce", format="ISO8601")
    for form in ("%Y-%m-%d %I:%M:%S %p", "%Y-%m-%d %I:%M %p"):
        if (left := found.isna() & written.notna()).any():
            found = found.mask(left, pd.to_datetime(written.where(left), utc=True, errors="coerce", format=form))
    fits = text.notna() & ~(months if day_first else days)
    if (left := found.isna() & fits).any():
        found = found.mask(left, pd.to_datetime(text.where(left), utc=True, errors="coerce", format="mixed", dayfirst=day_first))
    return found


def _not_a_time(values: pd.Series) -> bool:
    """Whether a column called time holds a clock without a date, or small numbers only: seconds spent."""
    there, clock = values.dropna(), r"\d{1,4}:\d{2}(?::\d{2})?(?:[.,]\d+)?(?:\s*[AaPp]\.?[Mm]\.?)?"
    if len(there) and there.head(100).str.fullmatch(clock).all() and matches(there, clock).all():
        return True
    number = pd.to_numeric(values, errors="coerce")
    return bool(values.notna().any() and number[values.notna()].notna().all() and (number.max() < 3e8))


def understand(table: pd.DataFrame) -> dict[str, str]:
    """Column of the file -> meaning, from names, and from values where a name may mislead."""
    filled = [c for c in table.columns if table[c].notna().any()]
    mapped = match_columns([c for c in filled if plain(c) not in ("timestamp", *SYNONYMS["timestamp"]) or not _not_a_time(table[c])])
    useful = mapped | {c: m for c, m in match_columns(list(table.columns)).items() if m in NEEDED and m not in mapped.values()}
    day = next((c for c, m in useful.items() if m == "timestamp" and plain(c) in DATE), None)
    clock = next((c for c in filled if day and plain(c) in ("time", "start_time") and c not in useful and matches(table[c].dropna(), CLOCK).all()), None)
    if clock is not None and not table[day].str.contains(":", na=False).where(~table[day].str.endswith("T00:00:00", na=False), False).any():
        useful[clock] = "time of day"
    return {c: useful[c] for c in table.columns if c in useful}


def _with_clock(day: pd.Series, clock: pd.Series) -> pd.Series:
    """Date and time of day in one; missing where either is."""
    hour = clock.str.replace(r"^(\d):", r"0\1:", regex=True)
    return day.str.removesuffix("T00:00:00") + " " + hour


def read(path: Path, sheet: str | None = None, say: Say = quiet) -> dict[str, pd.DataFrame]:
    """Tables interactions, q_matrix and concepts of a file with a row per response.

    - Rows that differ in nothing but the concept are one response to an item with several concepts.
    - A row without a mark is no response, and is left out.
    - Order comes from a column for it, else from times; else it is unknown, and the order of rows is not taken for it.
    - A learner who answers an item again without a stated attempt gets attempts numbered in the order of the file, as labels only.
    - An item without a concept is its own concept.

    Raises
    ------
    DataError
        For every fault at once: a column that is missing, an empty id, a mark, time or number that cannot be read, the same row twice.
    """
    table = read_table(path, sheet)
    mapped = understand(table)
    column = {meaning: c for c, meaning in mapped.items()}
    faults = [f"{path} must have a column for {needed}; found {', '.join(table.columns)}. Rename the column that holds it to {needed} (also "
              f"understood: {', '.join(SYNONYMS[needed])})."
              for needed in NEEDED if needed not in column]
    if len(faults) > 1:
        faults.append("(Is it a row per learner with a column per item? Then each cell of an item must be a mark; --kind matrix names the first that is "
                      "not. Or is there no row with the names of the columns?)")
    for who in ("learner_id", "item_id"):
        if who in column and (empty := table[column[who]].isna()).any():
            faults.append(fault(f"{path}: {column[who]} ({who})", "not be empty", table[column[who]], empty))
        if who in column and (spoilt := matches(table[column[who]], SPOILT)).any():
            faults.append(fault(f"{path}: {column[who]} ({who})", "hold ids", table[column[who]], spoilt) + " A spreadsheet lost the ids: different "
                          "ones may have become the same. Give the column the format text, and export again.")
    log = pd.DataFrame({meaning: table[c] for c, meaning in mapped.items()})
    if "correct" in column:
        log["correct"], told = _marks(path, table, column, say)
        faults += told
    if "timestamp" in column:
        written = table[column["timestamp"]]
        log["timestamp"], bad = read_times(_with_clock(written, table[column["time of day"]]) if "time of day" in column else written, say)
        if bad.any():
            faults.append(fault(f"{path}: {column['timestamp']} (timestamp)", "be a date or a time, such as 2025-09-30 14:05", table[column["timestamp"]], bad))
    for name, whole in (("order", False), ("attempt", True), ("hints", True), ("response_time_s", False)):
        if name in column:
            log[name] = numbers(table[column[name]])
            bad = table[column[name]].notna() & ~(np.isfinite(log[name]) & ((log[name] >= 0) | (name == "order")) & ((log[name] % 1 == 0) | (not whole)))
            if bad.any():
                faults.append(fault(f"{path}: {column[name]} ({name})", f"be a {'whole ' * whole}number", table[column[name]], bad))
    if (twice := table.duplicated()).any():
        row = int(np.flatnonzero(twice)[0])
        alike = table.groupby(list(table.columns), dropna=False, sort=False).ngroup().to_numpy()
        before = int(np.flatnonzero(alike == alike[row])[0])
        faults.append(f"{path} must hold each row once; found {int(twice.sum()):,} of {len(table):,} rows that repeat an earlier one in every column "
                      f"(first: row {row + 1:,} repeats row {before + 1:,}). Delete them, or add a column attempt where the learner did answer twice.")
    if faults:
        raise DataError("\n".join(faults))
    if pd.Series(table[column["learner_id"]].unique(), dtype="str").str.contains(r"[^\W\d][\s,]+[^\W\d]", na=False).mean() > 0.5:
        say(f"{column['learner_id']} seems to hold names: two learners of the same name count as one. A column of ids, called learner_id, is safer")
    return _tables(path, table, log.drop(columns="time of day", errors="ignore"), say)


def _marks(path: Path, table: pd.DataFrame, column: dict[str, str], say: Say) -> tuple[pd.Series, list[str]]:
    written, name = table[column["correct"]], plain(column["correct"])
    full = table[column["max_score"]] if "max_score" in column else None
    if full is None and name in _OF_HUNDRED and read_marks(written)[1].any():
        full = pd.Series("100", index=table.index)
    elif full is None and name in _OF_HUNDRED and not written.str.endswith("%").all():
        say(f"no value of {column['correct']} is above 1: taken as shares (0.5 is a half), not as per cent")
    elif full is not None and name in _RIGHT_OR_WRONG:
        full = None  # already right or wrong
    share, bad = read_marks(written, full)
    if not bad.any():
        most = numbers(full).min() if full is not None and "max_score" in column else 1
        if most > 1 and numbers(written).max() <= 1:
            say(f"no {column['correct']} is above 1, though {column['max_score']} is at least {most:g}: taken as points. Where they are right or wrong, or "
                f"shares, leave out {column['max_score']}")
        return share, []
    where = f"{path}: {column['correct']} (correct)" + (f" out of {column['max_score']}" if full is not None and "max_score" in column else "")
    way = "" if full is not None else " Points need a column max_score beside them, per cent a % sign; then 0 to 1, yes or no, right or wrong."
    return share, [fault(where, "be a mark from none to all of the full marks", written, bad) + way]


def _tables(path: Path, table: pd.DataFrame, log: pd.DataFrame, say: Say) -> dict[str, pd.DataFrame]:
    unmarked = log["correct"].isna()
    if unmarked.any():
        say(f"{int(unmarked.sum()):,} rows without a mark were left out: an item without a mark counts as not answered, not as wrong")
    if unmarked.all():
        raise DataError(f"{path} must hold at least one response with a mark; found none.")
    q = _concepts_of(path, log[~unmarked], say)
    if "concept_id" in log:
        warn_of_lists(q["concept_id"], say)
    if "concept_id" in log:
        stated = {"order", "attempt", "timestamp"} & set(log)
        apart = log.drop(columns="concept_id") if stated else table[[c for c in table.columns if plain(c) not in _OF_CONCEPTS]]
        again = apart.duplicated() & ~unmarked
        if again.any():
            say(f"{int(again.sum()):,} rows repeat a response for a further concept: it is one response, and its item has several concepts")
        log = log[~again]
    log = _ordered(log[log["correct"].notna()].drop(columns=["concept_id", "max_score"], errors="ignore").reset_index(drop=True), say)
    key = [c for c in ("learner_id", "item_id", "term") if c in log]
    again = log.duplicated(key, keep=False)
    if "attempt" not in log and again.any() and not log["order"].notna().all():
        log["attempt"] = log.groupby(key, dropna=False).cumcount() + 1
        say(f"{int(again.sum()):,} responses are of a learner who has several to the same item, without order or attempt: they were numbered in the order "
            "of the file as labels only; which came first is not known, so that first attempts cannot be told")
    names = q["concept_id"].unique()
    return {"interactions": log, "q_matrix": q, "concepts": pd.DataFrame({"concept_id": names, "name": names})}


def _concepts_of(path: Path, log: pd.DataFrame, say: Say) -> pd.DataFrame:
    """Table q_matrix; an item without a stated concept is its own."""
    items = pd.Series(log["item_id"].unique(), dtype="str")
    q = log[["item_id", "concept_id"]].dropna() if "concept_id" in log else pd.DataFrame({"item_id": items, "concept_id": items})
    q = q.drop_duplicates(ignore_index=True)
    alone = items[~items.isin(q["item_id"])]
    if len(alone):
        if (clash := alone[alone.isin(q["concept_id"])]).any():
            raise DataError(f"{path} must state the concept of item {clash.iloc[0]!r}, which has none and is called as a concept is; "
                            f"{len(clash):,} such items in all.")
        say(f"{len(alone):,} items have no concept: each is its own concept")
        q = pd.concat([q, pd.DataFrame({"item_id": alone, "concept_id": alone})], ignore_index=True)
    return q


def _ordered(log: pd.DataFrame, say: Say) -> pd.DataFrame:
    """The log sorted by learner and place in the history where that is known, as a rank from 0; else with an unknown order."""
    timed, placed = ("timestamp" in log and bool(log["timestamp"].notna().all()), "order" in log and bool(log["order"].notna().all()))
    once = placed and not log.duplicated(["learner_id", "order"]).any()
    by = ["order"] if once else ["timestamp", "order"] if timed and placed else ["timestamp"] if timed else []
    unknown = pd.Series(pd.NA, index=log.index, dtype="Int64")
    if not by:
        if "order" in log:
            say("the column for the order is empty in some rows, or holds a place twice for a learner: it is no order of the whole history, which is unknown")
        elif "timestamp" in log:
            say("some responses have no time: the order of responses counts as unknown")
        return log.assign(order=unknown)
    tied = float(log.duplicated(["learner_id", *by], keep=False).mean())
    if tied > TIED:
        say(f"{tied:.0%} of responses have the same time as another of the same learner: the order of responses counts as unknown")
        return log.assign(order=unknown)
    if tied:
        say(f"{tied:.0%} of responses have the same time as another of the same learner: these follow the order of the file")
    log = log.sort_values(["learner_id", *by], kind="stable").reset_index(drop=True)
    return log.assign(order=log.groupby("learner_id").cumcount())
