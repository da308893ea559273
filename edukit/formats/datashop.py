"""Exports of PSLC DataShop: the student-step rollup (KDD Cup 2010 is of this form) and the transaction export.

One learner's first attempt at one step of one problem is one response. A step asked twice (another view of its problem) is two.
Columns: Koedinger et al., 2010, A data repository for the EDM community, Handbook of Educational Data Mining.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pandas as pd

from edukit.formats.delimited import need, read_text_table
from edukit.schema import DataError

ENCODINGS = ("utf-8-sig", "latin-1")
BETWEEN = "----"  # between problem and step in an item id
UNNAMED = "unnamed"  # the concept of steps without one
ALWAYS = ("Anon Student Id", "Problem Name", "Step Name")
RESULTS = ("First Attempt", "Correct First Attempt", "Outcome")
OPTIONAL = ("Row", "Sample", "Sample Name", "Problem Hierarchy", "Problem View", "Step Start Time", "First Transaction Time", "Time", "Hints",
            "Duration (sec)", "Attempt At Step", "Input", "Class")
MEANING = {"correct": "right", "ok": "right", "1": "right", "1.0": "right", "incorrect": "wrong", "bug": "wrong", "error": "wrong", "0": "wrong",
           "0.0": "wrong", "hint": "hint", "initial_hint": "hint", "hint_level_change": "hint"}
_KC = re.compile(r"KC ?\((.+)\)(?:\.\d+)?")


def recognise(columns: list[str]) -> bool:
    """Whether these are the columns of a DataShop export.

    Examples
    --------
    >>> recognise(["Row", "Anon Student Id", "Problem Name", "Step Name", "First Attempt"])
    True
    >>> recognise(["student", "question", "score"])
    False
    """
    return set(ALWAYS) <= set(columns) and any(result in columns for result in RESULTS)


def kc_models(columns: list[str]) -> list[str]:
    """Names of the knowledge component models of an export, in its order.

    Examples
    --------
    >>> kc_models(["KC (F2011)", "KC Category (F2011)", "KC (F2011).1", "KC(SubSkills)"])
    ['F2011', 'SubSkills']
    """
    return list(dict.fromkeys(found[1] for column in columns if (found := _KC.fullmatch(column))))


def read(path: Path, kc_model: str | None = None, first_hint: str = "wrong", untagged: str = "keep") -> dict[str, pd.DataFrame]:
    """Read one export into tables: a learner's first attempt at a step is one response, with all its concepts.

    Parameters
    ----------
    path : tab- or comma-separated file with a header.
    kc_model : which ``KC (model)`` columns hold the concepts; None = the first model. Without any such column every step is its own concept.
    first_hint : a step that began with a hint is 'wrong' (as the publisher counts it) or is left out ('drop').
    untagged : steps without a concept 'keep' one common concept ``unnamed``, or 'drop' leaves their responses out.

    Returns
    -------
    dict
        ``interactions`` (ordered by time where the file has times, else by row), ``q_matrix``, ``concepts``, ``items``. Times are the local
        times of the file, kept as they are. Rows without a result (nothing was attempted) are left out.

    Raises
    ------
    DataError
        For a missing column, an unknown model, result or time, a damaged file.
    """
    for name, value, offered in (("first_hint", first_hint, ("wrong", "drop")), ("untagged", untagged, ("keep", "drop"))):
        if value not in offered:
            raise DataError(f"{name} must be one of {', '.join(offered)}; found {value!r}.")
    table, kc_columns = _read(path, kc_model)
    steps = _steps(table, path)
    if first_hint == "drop":
        steps = steps[steps["result"] != "hint"]
    tags = _tags(steps, kc_columns)
    if untagged == "drop":
        tags = tags[tags["concept_id"] != UNNAMED]
        steps = steps.loc[steps.index.isin(tags.index.unique())]
    if steps.empty:
        raise DataError(f"{path} must hold at least one first attempt; found none after {len(table):,} rows were read. Is it the file that was meant?")
    return _tables(steps, tags)


def _read(path: Path, kc_model: str | None) -> tuple[pd.DataFrame, list[str]]:
    """The columns that are used, as text, and which of them hold the concepts."""
    with path.open("rb") as file:
        first = file.readline()
        file.seek(max(len(first), path.stat().st_size - 1_000_000))
        last = file.read().rstrip(b"\r\n").rsplit(b"\n", 1)[-1]
    tabs = b"\t" in first
    options = {"sep": "\t", "quoting": csv.QUOTE_NONE} if tabs else {"sep": ","}
    header = read_text_table(path, ENCODINGS, nrows=0, dtype="str", **options)
    columns = [str(c).strip() for c in header.columns]
    header.columns = columns
    need(path, header, ALWAYS)
    if not recognise(columns):
        raise DataError(f"{path} must have one of the columns {', '.join(RESULTS)}; found {', '.join(columns)}. Export it by student-step or by transaction.")
    if tabs and last and last.count(b"\t") < first.count(b"\t"):
        raise DataError(f"{path} must have {len(columns)} cells in every row; found {last.count(9) + 1} in the last. Is the file cut short?")
    models = kc_models(columns)
    chosen = (kc_model or (models[0] if models else "")).removeprefix("KC").strip(" ()") if kc_model not in models else kc_model
    if kc_model and chosen not in models:
        raise DataError(f"kc_model must be one of the models of {path.name}, {', '.join(models) or 'which has none'}; found {kc_model!r}.")
    kc_columns = [c for c in columns if (found := _KC.fullmatch(c)) and found[1] == chosen]
    used = [i for i, c in enumerate(columns) if c in (*ALWAYS, *RESULTS, *OPTIONAL, *kc_columns)]
    table = read_text_table(path, ENCODINGS, usecols=used, dtype="str", na_values=["", "."], keep_default_na=False, **options)
    table = table.rename(columns=str.strip)
    samples = [c for c in ("Sample", "Sample Name") if c in table]
    if samples and table[samples[0]].nunique() > 1:  # the export repeats a row for every sample that it is part of
        table = table.drop_duplicates([c for c in table if c not in (*samples, "Row")])
    if (nobody := table["Anon Student Id"].isna()).any():
        raise DataError(f"{path} must name a learner in every row; found nothing in {int(nobody.sum()):,} of {len(table):,} rows "
                        f"(first: row {int(np.flatnonzero(nobody)[0]) + 1:,}). The file may be truncated: obtain it again.")
    return table.reset_index(drop=True), kc_columns


def _steps(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """One row per learner, problem view and step, in the learner's order: result, time, hints, seconds, response, item and the concept columns."""
    by_transaction = "First Attempt" not in table and "Correct First Attempt" not in table
    source = "Outcome" if by_transaction else "First Attempt" if "First Attempt" in table else "Correct First Attempt"
    said = table[source].str.strip().str.lower()
    result = said.map(MEANING)
    unknown = (result.isna() & said.notna() & ~said.isin(["unknown", "unk", "n/a"])).to_numpy()
    if unknown.any():
        row = int(np.flatnonzero(unknown)[0])
        raise DataError(f"{path} must say correct, incorrect or hint in {source}; found {table[source].iloc[row]!r} in {int(unknown.sum()):,} of "
                        f"{len(table):,} rows (first: row {row + 1:,}). Is the column separator right, and the file whole?")
    problem = table["Problem Name"].fillna("")
    item = problem.str.cat(table["Step Name"], sep=BETWEEN).where(table["Step Name"].notna(), problem)
    if (nameless := (item == "").to_numpy()).any():
        raise DataError(f"{path} must name the problem or the step in every row; found neither in {int(nameless.sum()):,} of {len(table):,} rows "
                        f"(first: row {int(np.flatnonzero(nameless)[0]) + 1:,}). The file may be truncated: obtain it again.")
    time_column = next((c for c in ("First Transaction Time", "Time", "Step Start Time") if c in table), None)
    time = _times(table[time_column], f"{path}: {time_column}") if time_column else pd.Series(pd.NaT, table.index, dtype="datetime64[ns, UTC]")
    steps = table.assign(result=result, item_id=item, time=time)[result.notna()]
    near = steps.groupby("Anon Student Id")["time"].ffill()  # a row without a time stays beside the row before it
    near = near.groupby(steps["Anon Student Id"]).bfill()
    steps = steps.loc[steps.assign(near=near).sort_values(["Anon Student Id", "near"], kind="stable").index]
    if by_transaction:
        steps = _folded(steps)
    elif "Hints" in steps:
        steps = steps.assign(hints=pd.to_numeric(steps["Hints"], errors="coerce"))
    if by_transaction and "Duration (sec)" in steps:
        seconds = pd.to_numeric(steps["Duration (sec)"], errors="coerce")
        steps = steps.assign(seconds=seconds.where(seconds >= 0))
    elif time_column == "First Transaction Time" and "Step Start Time" in steps and (steps["time"].dt.second > 0).any():
        seconds = (steps["time"] - _times(steps["Step Start Time"], f"{path}: Step Start Time")).dt.total_seconds()
        steps = steps.assign(seconds=seconds.where(seconds >= 0))  # where times stop at the minute, no seconds are made up
    return steps


def _folded(transactions: pd.DataFrame) -> pd.DataFrame:
    """The first transaction of every learner at every view of a step, with the hints of that view counted."""
    step = [transactions["Anon Student Id"], transactions["item_id"]]
    if "Problem View" in transactions:
        view = transactions["Problem View"].fillna("")
    elif "Attempt At Step" in transactions:  # a number that does not grow begins another view
        attempt = pd.to_numeric(transactions["Attempt At Step"], errors="coerce")
        view = (attempt <= attempt.groupby(step).shift()).groupby(step).cumsum()
    else:
        view = pd.Series(0, transactions.index)
    view_of = transactions.assign(view=view).groupby(["Anon Student Id", "item_id", "view"], sort=False)
    hints = (transactions["result"] == "hint").groupby(view_of.ngroup()).transform("sum")
    return transactions.assign(hints=hints)[view_of.cumcount() == 0]


def _times(text: pd.Series, place: str) -> pd.Series:
    """Times in any of the forms DataShop takes: ISO with or without fractions, year/month/day without seconds, seconds or milliseconds since 1970."""
    text = text.str.strip()
    if re.fullmatch(r"\d+(\.\d+)?", str(text.dropna().iloc[0]) if text.notna().any() else ""):
        numbers = pd.to_numeric(text, errors="coerce")
        unit = "ms" if numbers.median() > 1e11 else "s"
        found = pd.to_datetime(numbers, unit=unit, utc=True).astype("datetime64[ns, UTC]")
    else:
        found = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True).astype("datetime64[ns, UTC]")
    for form in ("%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S"):
        if (left := found.isna() & text.notna()).any():
            found = found.mask(left, pd.to_datetime(text[left], format=form, errors="coerce", utc=True).astype("datetime64[ns, UTC]"))
    if (left := (found.isna() & text.notna()).to_numpy()).any():
        row = int(np.flatnonzero(left)[0])
        raise DataError(f"{place} must hold times such as 2011-09-21 17:35:04; found {text.iloc[row]!r} in {int(left.sum()):,} of {len(text):,} rows "
                        f"(first: row {row + 1:,}).")
    return found


def _tags(steps: pd.DataFrame, kc_columns: list[str]) -> pd.DataFrame:
    """(item_id, concept_id) of every response, indexed like ``steps``: `A~~B` is two concepts, and so are two columns of one model."""
    if not kc_columns:
        return pd.DataFrame({"item_id": steps["item_id"], "concept_id": steps["item_id"]})
    said = pd.concat([steps[c].str.split("~~").explode() for c in kc_columns]).str.strip()
    said = said[said.notna() & (said != "")]
    bare = steps.index.difference(said.index)
    concept = pd.concat([said, pd.Series(UNNAMED, bare, dtype="str")])
    return pd.DataFrame({"item_id": steps["item_id"].reindex(concept.index), "concept_id": concept})


def _tables(steps: pd.DataFrame, tags: pd.DataFrame) -> dict[str, pd.DataFrame]:
    learner = steps["Anon Student Id"]
    interactions = pd.DataFrame({
        "learner_id": learner, "item_id": steps["item_id"], "correct": (steps["result"] == "right").astype("float64"),
        "order": learner.groupby(learner).cumcount(), "attempt": steps.groupby(["Anon Student Id", "item_id"]).cumcount() + 1})
    if steps["time"].notna().any():
        interactions["timestamp"] = steps["time"]
    for new, old in (("hints", "hints"), ("response_time_s", "seconds"), ("class_id", "Class"), ("content_id", "Problem Hierarchy")):
        if old in steps and steps[old].notna().any():
            interactions[new] = steps[old]
    if "Input" in steps and steps["Input"].notna().any():
        interactions["response"] = steps["Input"].mask(steps["result"] == "hint")
    q = tags.drop_duplicates().sort_values(["item_id", "concept_id"])
    named = q["concept_id"] != UNNAMED
    q = q[named | ~named.groupby(q["item_id"]).transform("any")]  # a step that has a concept in one row has it in all
    concepts = pd.DataFrame({"concept_id": sorted(q["concept_id"].unique())})
    concepts["name"] = concepts["concept_id"].where(concepts["concept_id"] != UNNAMED, "no concept was named")
    once = steps.drop_duplicates("item_id")
    items = pd.DataFrame({"item_id": once["item_id"], "name": once["Problem Name"].fillna("").str.cat(once["Step Name"].fillna(""), sep=", ").str.strip(", ")})
    if "Problem Hierarchy" in steps and steps["Problem Hierarchy"].notna().any():
        items["content_id"] = once["Problem Hierarchy"]
        where = pd.DataFrame({"concept_id": tags["concept_id"], "topic": steps["Problem Hierarchy"].reindex(tags.index)})
        often = where.value_counts().reset_index().sort_values(["count", "topic"], ascending=[False, True]).drop_duplicates("concept_id")
        concepts = concepts.merge(often[["concept_id", "topic"]], on="concept_id", how="left")
        concepts["area"] = concepts["topic"].str.split(", ").str[0]  # a concept sits where it was practised most
    return {"interactions": interactions, "q_matrix": q, "concepts": concepts, "items": items.sort_values("item_id")}
