"""A log of clicks as weeks of each enrolment: how much, on how many days, with how many pages; from a table, or from millions of rows on disk.

Week w ends on day 7w (week 8 on day 56, where a snapshot of week 8 is taken), so that week 1 is days 1 to 7; everything up to day 0 is week 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from edukit.risk import features
from edukit.risk.clicks import DAYS
from edukit.risk.features import OBSERVED, check_latest
from edukit.risk.snapshot import RUN, UNIT, Taken, banked
from edukit.schema import DataError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PUBLISHED = {"id_student": "learner_id", "code_module": "module_id", "code_presentation": "presentation", "id_site": "resource_id", "date": "day",
             "sum_click": "count"}
"""Columns of the click file of Kuzilek, Hlosta and Zdrahal (2017, Scientific Data), and what they are here."""
CLICKS, ACTIVE, PAGES, HANDED, MARK = "clicks", "active days", "pages", "handed in", "mark to mean"
CHANNELS = (CLICKS, ACTIVE, PAGES, HANDED, MARK)
"""What is told of every week, each in a column such as ``week 03: clicks``; clicks are log(1 + count)."""
TREND, WEEKS_OF_TREND = "click trend", 4
NAME = re.compile(rf"^week (?P<week>\d+): (?P<channel>{'|'.join(CHANNELS)})$")
SQL = """
WITH seen AS (
  SELECT learner_id, module_id, presentation, CAST(greatest(ceil(day / 7), 0) AS INTEGER) AS week, {kind} AS kind, {page} AS page,
         sum(CASE WHEN {kind} = '{days}' THEN 0 ELSE {count} END) AS clicks, sum(CASE WHEN {kind} = '{days}' THEN {count} ELSE 0 END) AS told,
         bit_or(1::UBIGINT << CAST((CAST(floor(day) AS BIGINT) % 64 + 64) % 64 AS UBIGINT)) AS days, max(day) AS latest
  FROM log WHERE day <= {cutoff} GROUP BY ALL)
SELECT learner_id, module_id, presentation, week, kind, CAST(sum(clicks) AS DOUBLE) AS clicks, CAST(sum(told) AS DOUBLE) AS told,
       CAST(bit_count(bit_or(days)) AS DOUBLE) AS days, CAST(count(DISTINCT page) AS DOUBLE) AS pages, max(latest) AS latest
FROM seen GROUP BY GROUPING SETS ((learner_id, module_id, presentation, week), (learner_id, module_id, presentation, kind))
"""


def column_of(week: int, channel: str) -> str:
    """Name of the column of one week and one of :data:`CHANNELS`; sorted by name, weeks are in order."""
    return f"week {week:02d}: {channel}"


def weekly(log: Any, cutoff_day: float, units: pd.MultiIndex | None = None, sites: pd.DataFrame | None = None, memory: str = "1GB") -> pd.DataFrame:
    """Every enrolment's weeks up to a cutoff.

    Parameters
    ----------
    log : table ``events`` with module_id and presentation; a store of it (anything with ``query(sql)`` over a view ``log``); or the path of a parquet
        or csv file, of that table or of the publisher's clicks (:data:`PUBLISHED`).
    cutoff_day : last day that counts. Later rows are not read into any number.
    units : enrolments to tell of; default: those with a row. One without a row has 0 where its run has one, NaN where its run has none.
    sites : table ``sites``, to tell the kind of page where the log does not.
    memory : most that the database may take, such as ``1GB``; what is more goes to the disk.

    Returns
    -------
    DataFrame
        One row a unit (index, sorted). For every week up to the cutoff the first three of :data:`CHANNELS`; ``clicks: KIND`` (log of 1 + count
        up to the cutoff) for each kind of page; :data:`TREND`, the slope of the weekly log clicks over the last four weeks; and
        :data:`~edukit.risk.features.OBSERVED`, days with an action. ``attrs['latest']`` holds the last day that was read.

    Raises
    ------
    DataError
        Where columns are missing, a value cannot be read, or a row names no learner or run.
    """
    found = _counted(log, cutoff_day, sites, memory)
    if found[UNIT].isna().any(axis=None):
        raise DataError("events must name learner, module and presentation in every row; found rows without. Leave them out, or name their run.")
    weeks = np.arange(max(int(np.ceil(cutoff_day / 7)), 0) + 1)
    by_week, by_kind = found[found["week"].notna()].astype({"week": int}), found[found["week"].isna() & found["kind"].notna() & (found["kind"] != DAYS)]
    told = by_week["told"].sum() > 0
    units = pd.MultiIndex.from_frame(found[UNIT].drop_duplicates().sort_values(UNIT)) if units is None else units
    blocks, there = [], _logged(units, found)
    for name, column in ((CLICKS, "clicks"), (ACTIVE, "told" if told else "days"), *([(PAGES, "pages")] if found["pages"].any() else [])):
        wide = by_week.pivot(index=UNIT, columns="week", values=column).reindex(index=units, columns=weeks).fillna(0.0)
        blocks.append((wide.transform(np.log1p) if name == CLICKS else wide).rename(columns=lambda week, name=name: column_of(week, name)))
    kinds = by_kind.pivot(index=UNIT, columns="kind", values="clicks").reindex(units).fillna(0.0).transform(np.log1p).add_prefix("clicks: ")
    table = pd.concat([*blocks, kinds], axis=1).rename_axis(columns=None)
    last = blocks[0].to_numpy()[:, -WEEKS_OF_TREND:]
    step = np.arange(last.shape[1]) - (last.shape[1] - 1) / 2
    table[TREND] = last @ step / (step @ step) if len(step) > 1 else np.nan
    table.insert(0, OBSERVED, blocks[1].sum(axis=1))
    table.loc[~there, [c for c in table if c != OBSERVED]] = np.nan
    table.attrs["latest"] = float(found["latest"].max()) if len(found) else float("nan")
    return table


def build(taken: Taken, attendance: pd.DataFrame | None = None, mastery: pd.DataFrame | None = None) -> pd.DataFrame:
    """What a model over weeks reads of a snapshot: every week's :data:`CHANNELS`, beside the features of the whole time up to the cutoff.

    Parameters
    ----------
    taken : what :meth:`edukit.risk.snapshot.Snapshot.take` returned; without events or submissions their columns are left out.
    attendance, mastery : as :func:`edukit.risk.features.build` takes them.

    Returns
    -------
    DataFrame
        As :func:`edukit.risk.features.build` returns it, with further columns.

    Raises
    ------
    DataError
        Where anything rests on a day after the cutoff.
    """
    whole, blocks = features.build(taken, attendance, mastery), []
    if "events" in taken.tables and all(c in taken.tables["events"] for c in RUN):
        clicks = weekly(taken.tables["events"].dropna(subset=RUN), taken.snapshot.cutoff_day, taken.enrolments, taken.tables.get("sites"))
        check_latest({"weekly clicks": clicks.attrs["latest"]}, taken.snapshot.cutoff_day)
        blocks.append(clicks[[c for c in clicks if NAME.match(c)]])
    if "submissions" in taken.tables and "assessments" in taken.tables:
        blocks.append(_work(taken))
    table = pd.concat([whole, *blocks], axis=1)
    table.attrs["latest"] = {**whole.attrs["latest"], **{c: taken.snapshot.cutoff_day for block in blocks for c in block}}
    return table


def _work(taken: Taken) -> pd.DataFrame:
    """Per week: pieces of work handed in, and the mean of their marks less the mean of all marks known for the same work; marks that were banked are
    no work of these weeks."""
    cutoff, rows = taken.snapshot.cutoff_day, taken.tables["submissions"]
    check_latest({"weekly work": float(rows["day"].max())}, cutoff)
    rows = rows[~banked(rows)].merge(taken.tables["assessments"][["assessment_id", *RUN]], on="assessment_id")
    score = rows["score"] if "score" in rows else pd.Series(np.nan, rows.index)
    rows = rows.assign(week=np.ceil(rows["day"] / 7).clip(lower=0).astype(int), mark=score - score.groupby(rows["assessment_id"]).transform("mean"))
    by = rows.groupby([*UNIT, "week"])["mark"].agg(["size", "mean"])
    weeks = range(max(int(np.ceil(cutoff / 7)), 0) + 1)
    parts = [by[column].unstack("week").reindex(index=taken.enrolments, columns=weeks).fillna(0.0).rename(columns=lambda w, name=name: column_of(w, name))
             for column, name in (("size", HANDED), ("mean", MARK))]
    return pd.concat(parts, axis=1).rename_axis(columns=None)


def _logged(units: pd.MultiIndex, found: pd.DataFrame) -> np.ndarray:
    """(units,) whether the run of each has a log."""
    return units.droplevel("learner_id").isin(pd.MultiIndex.from_frame(found[RUN].drop_duplicates()))


def _counted(log: Any, cutoff: float, sites: pd.DataFrame | None, memory: str) -> pd.DataFrame:
    """Counts by enrolment and week (``kind`` missing), and by enrolment and kind (``week`` missing)."""
    import duckdb

    with _database(memory) as database:
        try:
            columns = list(log.columns) if _is_store(log) else _view(database, log, sites)
            sql = SQL.format(kind='"kind"' if "kind" in columns else "NULL", page="resource_id" if "resource_id" in columns else "NULL",
                             count='coalesce("count", 1)' if "count" in columns else "1", days=DAYS, cutoff=float(cutoff))
            found = log.query(sql, memory) if _is_store(log) else database.sql(sql).to_arrow_table().to_pandas()
        except duckdb.Error as error:
            raise DataError(f"events must be a log of {', '.join(UNIT)}, day and, where they are there, kind, resource_id and count; found that it cannot be "
                            f"read: {str(error).splitlines()[0]}") from None
    return found


def _view(database: DuckDBPyConnection, log: pd.DataFrame | Path | str, sites: pd.DataFrame | None) -> list[str]:
    """Make the view ``log`` of a table or file, with the kind of each page where ``sites`` tells it; names of its columns."""
    if isinstance(log, pd.DataFrame):
        database.register("given", log)
        source = "given"
    elif Path(log).suffix == ".parquet":
        source = f"read_parquet({_quoted(log)})"
    else:
        head = _columns(database, f"read_csv({_quoted(log)}, header = true, all_varchar = true)")
        types = {"id_student": "VARCHAR", "id_site": "VARCHAR", "learner_id": "VARCHAR", "resource_id": "VARCHAR", "date": "DOUBLE", "sum_click": "BIGINT"}
        source = f"read_csv({_quoted(log)}, header = true, types = { {c: t for c, t in types.items() if c in head} }, nullstr = ['?', ''])"
    found = _columns(database, source)
    names = PUBLISHED if set(PUBLISHED) <= set(found) else {c: c for c in found}
    columns = list(names.values())
    if absent := [c for c in (*UNIT, "day") if c not in columns]:
        raise DataError(f"events must have the columns {', '.join((*UNIT, 'day'))}, or the publisher's {', '.join(PUBLISHED)}; found no "
                        f"{', '.join(absent)} among {', '.join(found)}. Name the run of every event.")
    chosen = ", ".join(f'g."{a}" AS "{b}"' for a, b in names.items())
    if sites is not None and "kind" not in columns and "resource_id" in columns:
        database.register("sites", sites[["resource_id", "kind"]].astype("object"))
        page = next(a for a, b in names.items() if b == "resource_id")
        database.execute(f'CREATE VIEW log AS SELECT {chosen}, s.kind AS kind FROM {source} AS g LEFT JOIN sites AS s ON g."{page}" = s.resource_id')
        return [*columns, "kind"]
    database.execute(f"CREATE VIEW log AS SELECT {chosen} FROM {source} AS g")
    return columns


def _columns(database: DuckDBPyConnection, source: str) -> list[str]:
    return [row[0] for row in database.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]


def _quoted(path: Path | str) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _is_store(log: Any) -> bool:
    """Whether it is a log on disk that is asked by SQL, over its view ``log``."""
    return not isinstance(log, pd.DataFrame | str | Path)


@contextmanager
def _database(memory: str) -> Iterator[DuckDBPyConnection]:
    """A database in memory, on one thread, that may spill to a folder which is removed."""
    import tempfile

    import duckdb

    with tempfile.TemporaryDirectory() as spill:
        database = duckdb.connect(config={"memory_limit": memory, "threads": 1, "temp_directory": spill, "preserve_insertion_order": False})
        try:
            yield database
        finally:
            database.close()
