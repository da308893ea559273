"""How engagement goes through a term, by group, with intervals; and what feedback forms say, in numbers only."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from edukit.evaluation.module_gaps import of_few
from edukit.governance.privacy import TOTAL, Aggregate, K, aggregate
from edukit.schema import DataError

UNIT = ["learner_id", "module_id", "presentation"]
WORD = re.compile(r"[^\W\d_]{3,}")
UNKNOWN = "not known"


def weekly_aggregate(enrolments: pd.DataFrame, weekly: pd.DataFrame, learners: pd.DataFrame, group: str, weeks: int) -> Aggregate:
    """Share of learners who did anything in a week, by group and week, among those still enrolled.

    Parameters
    ----------
    enrolments : with unregistered_day where known; only enrolments of learners in ``weekly`` are counted (clicks may be known of some only).
    weekly : learner_id, module_id, presentation, week (0, 1 …): one row where something was done.
    learners : with the column ``group``.
    weeks : how many weeks.

    Raises
    ------
    DataError
        Where the group is no column of learners.
    """
    if group not in learners:
        raise DataError(f"learners must have the column {group}; found {', '.join(map(str, learners.columns))}.")
    seats = enrolments[enrolments["learner_id"].isin(weekly["learner_id"])]
    left = seats["unregistered_day"].fillna(np.inf).to_numpy(float) if "unregistered_day" in seats else np.full(len(seats), np.inf)
    place = np.repeat(np.arange(len(seats)), weeks)
    week = np.tile(np.arange(weeks), len(seats))
    rows = seats[UNIT].iloc[place].assign(week=week)[left[place] >= 7 * week]
    done = weekly[[*UNIT, "week"]].drop_duplicates().assign(active=1.0)
    rows = rows.merge(done, on=[*UNIT, "week"], how="left").fillna({"active": 0.0})
    rows[group] = rows["learner_id"].map(learners.set_index("learner_id")[group]).astype("object").where(lambda v: v.notna(), UNKNOWN).astype(str)
    return aggregate(rows.assign(week=[f"{w:02d}" for w in rows["week"]]), [group, "week"], ["active"])


def trends(cells: Aggregate) -> pd.DataFrame:
    """Share active with its 95 % interval (Wilson, 1927, JASA), by group and week; a hidden cell stays hidden, and a share of few is hidden as well
    (:func:`~edukit.evaluation.module_gaps.of_few`); where a week has nothing left to hide it behind, the share of everybody goes too.

    Returns
    -------
    DataFrame
        group, week, n, value, low, high, state.
    """
    group, table = cells.by[0], cells.cells
    table = table[table["week"] != TOTAL].reset_index(drop=True)
    n, p, z = table["n"].astype("Float64").astype(float), table["active_mean"], 1.959964
    whole = table[group] == TOTAL
    hide = pd.Series(False, table.index)
    hide[~whole] = of_few((p * n)[~whole], n[~whole], cells.k, table.loc[~whole, "week"]).to_numpy()
    alone = (hide & ~whole).groupby(table["week"]).transform("sum") == 1
    p = p.mask(hide | (whole & (alone | of_few(p * n, n, cells.k, pd.Series(range(len(p)))))))
    middle, half = (p + z**2 / (2 * n)) / (1 + z**2 / n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return pd.DataFrame({"group": table[group], "week": table["week"].astype(int), "n": table["n"], "value": p, "low": middle - half, "high": middle + half,
                         "state": np.where(p.isna(), "suppressed", "estimated")})


def _people(surveys: pd.DataFrame) -> pd.Series:
    """Who replied: the learner, else the place among the replies to the question, so that one person is never counted as two in a form."""
    place = surveys.groupby([c for c in ("survey_id", "question_id", "module_id", "term") if c in surveys], dropna=False).cumcount().astype(str)
    run = [surveys[c].astype(str) + " " for c in ("module_id", "term") if c in surveys]
    anonymous = "reply " + place
    for part in run:
        anonymous = part + anonymous
    return surveys["learner_id"].fillna(anonymous) if "learner_id" in surveys else anonymous


def scales_aggregate(surveys: pd.DataFrame) -> Aggregate:
    """Ratings by form and question: n, mean, and what an interval needs; forms without a name count no person twice in a form."""
    rows = surveys.assign(learner_id=_people(surveys)).dropna(subset=["rating"])
    return aggregate(rows.assign(rating_squared=rows["rating"] ** 2), ["survey_id", "question_id"], ["rating", "rating_squared"])


def scales(cells: Aggregate) -> pd.DataFrame:
    """Mean rating with its 95 % interval by form and question; those who did not reply are not in it."""
    table = cells.cells
    table = table[(table["survey_id"] != TOTAL) & (table["question_id"] != TOTAL)].reset_index(drop=True)
    n, mean = table["n"].astype(float), table["rating_mean"]
    half = 1.959964 * np.sqrt((table["rating_squared_mean"] - mean**2).clip(lower=0) / (n - 1))
    return table[["survey_id", "question_id", "n"]].assign(mean=mean, low=mean - half, high=mean + half, state=np.where(mean.isna(), "suppressed", "estimated"))


def terms_aggregate(surveys: pd.DataFrame, k: int = K) -> Aggregate | None:
    """How many people at least used a word, of words that at least ``k`` used; a comment itself is never kept. None where no word is that frequent."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    if "comment" not in surveys:
        return None
    said = surveys.assign(learner_id=_people(surveys)).dropna(subset=["comment"])
    rows = pd.DataFrame([(who, word) for who, text in zip(said["learner_id"], said["comment"], strict=True)
                         for word in sorted(set(WORD.findall(str(text).lower())) - ENGLISH_STOP_WORDS)], columns=["learner_id", "word"]).drop_duplicates()
    rows = rows[(rows["word"] != TOTAL) & rows.groupby("word")["learner_id"].transform("nunique").ge(k)]
    return aggregate(rows.assign(said=1.0), ["word"], [], k) if len(rows) else None


def words(cells: Aggregate) -> pd.DataFrame:
    """Words with the number of replies that hold them, most frequent first."""
    table = cells.cells
    table = table[(table["word"] != TOTAL) & table["n"].notna()]
    return table[["word", "n"]].sort_values(["n", "word"], ascending=[False, True], ignore_index=True)


def weekly_counts(events: Mapping[str, object] | pd.DataFrame, weeks: int) -> pd.DataFrame:
    """One row a learner, run and week with any logged action, from a table of events in memory or on disk (anything with ``query``)."""
    if isinstance(events, pd.DataFrame):
        day = events["day"]
        rows = events[(day >= 0) & (day < 7 * weeks)]
        return rows[UNIT].assign(week=(rows["day"] // 7).astype(int)).drop_duplicates(ignore_index=True)
    return events.query(  # type: ignore[attr-defined]
        f'SELECT DISTINCT learner_id, module_id, presentation, CAST(floor("day" / 7) AS INTEGER) AS week FROM log WHERE "day" >= 0 AND "day" < {7 * weeks}')
