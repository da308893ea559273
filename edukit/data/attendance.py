"""Attendance registers: read from a school's own file, and what they say about a learner: absence runs, lateness, weekdays, decline.

Everything is derived from days that were recorded: a day without a record is neither presence nor absence. `away` is absent or excused.
Give the rows up to a day to know what was known on that day; later rows change nothing but runs that were still going on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from edukit.formats.delimited import read_text_table
from edukit.schema import DataError
from edukit.validation import validate

CODES = {**dict.fromkeys(("p", "present", "1", "yes", "/", "\\"), "present"), **dict.fromkeys(("l", "late", "t", "tardy"), "late"),
         **dict.fromkeys(("a", "absent", "0", "no"), "absent"), **dict.fromkeys(("e", "excused", "authorised", "authorized"), "excused")}
SYNONYMS = {"learner_id": ("student_id", "pupil_id", "user_id", "learner", "student", "pupil"), "date": ("day", "school_day"),
            "status": ("code", "mark", "attendance"), "minutes_late": ("minutes", "late_minutes"), "class_id": ("class", "group", "section"),
            "term": ("semester",)}
AWAY = ("absent", "excused")
FEWEST_DAYS = 20  # recorded days below which change and slope are not available
Z = 1.959964  # normal quantile of a 95 % interval
SHOWN = 20  # codes or dates listed in one message


def read_register(path: str | Path, codes: Mapping[str, str] | None = None, date_format: str = "ISO8601", ignore: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read a register: one row per learner and day (learner, date, status, and minutes late), or one row per learner and one column per day.

    Parameters
    ----------
    path : csv file; separated by comma, semicolon, tab or bar.
    codes : meaning of further codes, such as ``{"U": "late"}``; beside P, L, A, E and the words. Case does not matter. A blank is no record.
    date_format : of the dates, as in :func:`pandas.to_datetime`, such as ``%d/%m/%Y``.
    ignore : columns of a wide register that are no days.

    Returns
    -------
    table `attendance`.

    Raises
    ------
    DataError
        Naming at once every unknown code, every date that cannot be read and its column, or the columns that are missing; and days twice.
    """
    path = Path(path)
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        header = stream.readline()
    raw = read_text_table(path, sep=max(",;\t|", key=header.count), dtype="str", keep_default_na=False).drop(columns=list(ignore), errors="ignore")
    plain = {c: str(c).strip().lower().replace(" ", "_").replace("-", "_") for c in raw}
    known = {c: target for c, p in plain.items() for target, others in SYNONYMS.items() if p == target or p in others}
    raw = raw.rename(columns=known)
    if "learner_id" not in raw or raw.columns.duplicated().any():
        raise DataError(f"{path} must have one column for the learner, and each column once; found {', '.join(plain)}. Rename the column to learner_id.")
    if "status" in raw and "date" in raw:
        table = raw[[c for c in SYNONYMS if c in raw]].copy()
    else:
        about = [c for c in ("learner_id", "class_id", "term") if c in raw]
        days = [c for c in raw if c not in about]
        wrong = pd.to_datetime(pd.Series(days), errors="coerce", format=date_format, utc=True).isna().to_numpy()
        if not days or wrong.any():
            named = ", ".join(np.array(days, object)[wrong][:SHOWN]) or "no day"
            raise DataError(f"{path} must have the columns date and status, or one column per day whose name is a date ({date_format}); found {named}. "
                            "Name such columns in `ignore`, or give date_format, for example %d/%m/%Y.")
        table = raw.melt(id_vars=about, value_vars=days, var_name="date", value_name="status")
    code = table["status"].str.strip()
    table, code = table[code != ""].reset_index(drop=True), code[code != ""].reset_index(drop=True)
    meaning = CODES | {str(k).strip().lower(): v for k, v in (codes or {}).items()}
    table["status"], date = code.str.lower().map(meaning), pd.to_datetime(table["date"], errors="coerce", format=date_format, utc=True)
    faults = []
    for wanted, found, bad in (("a date", table["date"], date.isna()), ("a code of attendance", code, table["status"].isna())):
        if bad.any():
            shown = ", ".join(f"{v} ({n:,} times)" for v, n in found[bad].value_counts().head(SHOWN).items())
            faults.append(f"{path} must hold {wanted} in every record; found {shown} (first: learner {table['learner_id'][bad].iloc[0]})")
    if faults:
        raise DataError(".\n".join(faults) + ". Give `codes` (such as {'U': 'late'}) or `date_format` (such as %d/%m/%Y).")
    for column in [c for c in ("minutes_late", "class_id", "term") if c in table]:
        table[column] = table[column].str.strip().replace("", None)
    if "minutes_late" in table:
        table["minutes_late"] = pd.to_numeric(table["minutes_late"], errors="coerce").where(table["minutes_late"].notna())
    return validate(table.assign(date=date.dt.normalize()), "attendance", source=str(path))


def _with_days(attendance: pd.DataFrame) -> pd.DataFrame:
    """Rows by learner and day, with `away`, the number of the school day in the calendar of the class, and the last such number."""
    log = attendance.assign(away=attendance["status"].isin(AWAY), cohort=attendance["class_id"].fillna("") if "class_id" in attendance else "")
    log["place"] = log.groupby("cohort")["date"].rank(method="dense").astype(int)
    log["last"] = log.groupby("cohort")["place"].transform("max")
    return log.sort_values(["learner_id", "date"], ignore_index=True)


def absence_runs(attendance: pd.DataFrame) -> pd.DataFrame:
    """Every run of consecutive school days that a learner missed.

    The school days of a class are the days on which anybody of it has a record (of the cohort, where there are no classes): weekends and
    holidays do not end a run. A school day without a record of the learner ends it, and so does a change of class.

    Returns
    -------
    table `absence_runs`; no rows where nobody was away.
    """
    log = _with_days(attendance)
    same = (log["learner_id"] == log["learner_id"].shift()) & (log["cohort"] == log["cohort"].shift()) & (log["place"] == log["place"].shift() + 1)
    log["run"] = (~(same & log["away"] & log["away"].shift(fill_value=False))).cumsum()
    log = log[log["away"]].assign(excused=lambda t: t["status"] == "excused", ongoing=lambda t: t["place"] == t["last"])
    more = {"class_id": ("class_id", "first")} if "class_id" in log else {}
    return log.groupby("run").agg(learner_id=("learner_id", "first"), start=("date", "first"), end=("date", "last"), days=("date", "size"),
                                  excused=("excused", "mean"), ongoing=("ongoing", "last"), **more).reset_index(drop=True)


def _wilson(hits: pd.Series, n: pd.Series) -> tuple[pd.Series, pd.Series]:
    p, half = hits / n, Z * np.sqrt(hits / n * (1 - hits / n) / n + Z**2 / (4 * n**2))
    middle, scale = p + Z**2 / (2 * n), 1 + Z**2 / n
    return ((middle - half) / scale).clip(0, 1), ((middle + half) / scale).clip(0, 1)


def attendance_summary(attendance: pd.DataFrame) -> pd.DataFrame:
    """Each learner's attendance: how much was missed, how late, and whether it changes.

    absent = days away / days recorded, with the interval of Wilson (1927, JASA); a share of .10 is what Balfanz and Byrnes (2012, Johns
    Hopkins University) call chronic. late = late days / days attended. change = attendance of the last half of the recorded days minus that
    of the first half (the middle day of an odd number is in neither). slope = least squares of attendance (0 or 1) on the date, per 28 days, with
    the interval of White (1980, Econometrica). change and slope are missing below 20 recorded days; late where nothing was attended.

    Returns
    -------
    table `attendance_summary`, one row per learner.
    """
    log = _with_days(attendance)
    log["unexcused"], log["late"] = log["status"] == "absent", log["status"] == "late"
    minutes = log["minutes_late"].where(log["late"]) if "minutes_late" in log else pd.Series(np.nan, log.index)
    by = log.assign(minutes=minutes.astype("float64")).groupby("learner_id")
    sums = by.agg(days=("away", "size"), away=("away", "sum"), unexcused=("unexcused", "mean"), late=("late", "sum"), minutes_late=("minutes", "mean"))
    low, high = _wilson(sums["away"], sums["days"])
    longest = absence_runs(attendance).groupby("learner_id")["days"].max().reindex(sums.index, fill_value=0)
    enough = sums["days"] >= FEWEST_DAYS
    here, half = 1 - log["away"].astype(float), by["away"].transform("size") // 2
    first = here.where(by.cumcount() < half).groupby(log["learner_id"]).mean()
    last = here.where(by.cumcount(ascending=False) < half).groupby(log["learner_id"]).mean()
    time = (log["date"] - log["date"].min()) / pd.Timedelta(days=28)
    t = time - time.groupby(log["learner_id"]).transform("mean")
    spread = (t**2).groupby(log["learner_id"]).sum()
    slope = (t * here).groupby(log["learner_id"]).sum() / spread.where(spread > 0)
    left = here - here.groupby(log["learner_id"]).transform("mean") - t * log["learner_id"].map(slope)
    error = np.sqrt((t**2 * left**2).groupby(log["learner_id"]).sum() * sums["days"] / (sums["days"] - 2).clip(lower=1)) / spread.where(spread > 0)
    return pd.DataFrame({
        "days": sums["days"], "absent": sums["away"] / sums["days"], "absent_low": low, "absent_high": high, "unexcused": sums["unexcused"],
        "longest_run": longest, "late": sums["late"] / (sums["days"] - sums["away"]).where(sums["days"] > sums["away"]), "minutes_late": sums["minutes_late"],
        "change": (last - first).where(enough), "slope": slope.where(enough), "slope_low": (slope - Z * error).where(enough),
        "slope_high": (slope + Z * error).where(enough)}).reset_index()


def weekday_absence(attendance: pd.DataFrame) -> pd.DataFrame:
    """Whether a learner misses one weekday more than the others.

    With N recorded days, K of them missed, and n of them on this weekday, the number missed on it is hypergeometric (N, K, n) if no weekday
    is special: p is the chance of as many or more (exact one-sided test of Fisher, 1935, JRSS). p_adjusted = p times the number of weekdays
    of the learner (Bonferroni). Over many learners some small p are to be expected: count them. p is missing where nothing or everything
    was missed, or only one weekday is recorded.

    Returns
    -------
    table `weekday_absence`, one row per learner and weekday with a record.
    """
    from scipy.stats import hypergeom

    log = attendance.assign(away=attendance["status"].isin(AWAY), weekday=attendance["date"].dt.day_of_week)
    table = log.groupby(["learner_id", "weekday"]).agg(days=("away", "size"), absent=("away", "sum")).reset_index()
    by = table.groupby("learner_id")
    total, missed, weekdays = by["days"].transform("sum"), by["absent"].transform("sum"), by["weekday"].transform("size")
    told = (missed > 0) & (missed < total) & (weekdays > 1)
    p = pd.Series(hypergeom.sf(table["absent"] - 1, total, missed, table["days"]), table.index).clip(0, 1).where(told)
    elsewhere = (missed - table["absent"]) / (total - table["days"]).where(weekdays > 1)
    return table.assign(elsewhere=elsewhere, p=p, p_adjusted=(p * weekdays).clip(upper=1))
