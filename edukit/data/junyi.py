"""Junyi Academy (Chang, Hsu and Chen, 2015, EDM): exercises with expert prerequisites, and the responses, cut or in full."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from edukit.data.loader import check_variant, find_raw
from edukit.data.streaming import connect, quoted
from edukit.formats.delimited import need, read_text_table
from edukit.schema import DataError

EXERCISES = "junyi_Exercise_table.csv"
RESPONSES = {"cut10k": "response.csv", "full": "junyi_ProblemLog_original.csv"}
LOG = ("user_id", "exercise", "problem_number", "time_done", "time_taken_attempts", "correct", "count_hints")


@dataclass(frozen=True)
class Junyi:
    """Mathematics practice in Taiwan with prerequisites by experts: a cut of 10,000 learners without order, or the full log.

    One exercise is one concept with one item. Self-loops among the prerequisites are dropped; a cycle of three is kept in the table,
    and is broken, and reported, where a graph is built.

    Parameters
    ----------
    variant : 'cut10k' is `learner,exercise,correct` without order; number k is the k-th name of the sorted distinct exercise names. 'full' is the
        publisher's log, streamed: first attempts at problems with their time (microseconds), hints and seconds.
    path : folder with the two files; default ``EDUKIT_DATA/junyi``.
    """

    name: ClassVar[str] = "junyi"
    variants: ClassVar[tuple[str, ...]] = ("cut10k", "full")
    variant: str = "cut10k"
    path: str | None = None

    def raw_dir(self) -> Path:
        """Folder with the publisher's files."""
        check_variant(self.name, self.variant, self.variants)
        return find_raw(self.name, "junyi", self.path, (EXERCISES, RESPONSES[self.variant]))

    def files(self, raw_dir: Path) -> list[Path]:
        """The exercise table and the responses."""
        return [raw_dir / EXERCISES, raw_dir / RESPONSES[self.variant]]

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        """Tables interactions (of the cut; the full log is streamed), concepts, items, q_matrix, prerequisites."""
        table = read_text_table(raw_dir / EXERCISES, dtype="str")
        need(raw_dir / EXERCISES, table, ("name", "prerequisites", "pretty_display_name", "topic", "area"))
        if self.variant == "full":  # an exercise that the table lacks has its name and nothing else
            table = pd.concat([table, self._unlisted(raw_dir, table["name"])], ignore_index=True)
        exercises = table.drop_duplicates("name", keep="first")
        names = np.array(sorted(exercises["name"]), dtype=object)
        asked = exercises.assign(requires_id=exercises["prerequisites"].str.split(",")).explode("requires_id").dropna(subset=["requires_id"])
        asked = asked.assign(requires_id=asked["requires_id"].str.strip())
        edges = asked.loc[asked["name"] != asked["requires_id"], ["name", "requires_id"]].drop_duplicates()
        responses = {} if self.variant == "full" else {"interactions": self._responses(raw_dir / RESPONSES[self.variant], names)}
        return {
            **responses,
            "concepts": pd.DataFrame({"concept_id": exercises["name"], "name": exercises["name"].str.replace("_", " "),
                                      "topic": exercises["topic"], "area": exercises["area"],
                                      "description": exercises["pretty_display_name"]}),
            "items": pd.DataFrame({"item_id": exercises["name"], "name": exercises["name"].str.replace("_", " ")}),
            "q_matrix": pd.DataFrame({"item_id": exercises["name"], "concept_id": exercises["name"]}),
            "prerequisites": pd.DataFrame({"concept_id": edges["name"], "requires_id": edges["requires_id"],
                                           "source": "Junyi experts", "weight": 1.0, "channel": "expert"}),
        }

    def _responses(self, path: Path, names: np.ndarray) -> pd.DataFrame:
        log = read_text_table(path, header=None, names=["learner_id", "exercise", "correct"], dtype="str", index_col=False)
        numbers = log.apply(pd.to_numeric, errors="coerce")
        broken = numbers.isna().any(axis=1) | (numbers % 1 != 0).any(axis=1)
        if broken.any():
            row = int(np.flatnonzero(broken)[0])
            raise DataError(f"{path} must hold three whole numbers a line (learner, exercise, correct); found "
                            f"{','.join(log.iloc[row].fillna('').astype(str))!r} in {int(broken.sum()):,} of {len(log):,} lines "
                            f"(first: line {row + 1:,}). The file may be truncated: obtain it again.")
        outside = ~numbers["exercise"].between(0, len(names) - 1)
        if outside.any():
            row = int(np.flatnonzero(outside)[0])
            raise DataError(f"{path} must name exercises 0 to {len(names) - 1}; found the unknown item {numbers['exercise'].iloc[row]:.0f} in "
                            f"{int(outside.sum()):,} of {len(log):,} lines (first: line {row + 1:,}). Do both files belong together?")
        return pd.DataFrame({"learner_id": log["learner_id"], "item_id": names[numbers["exercise"].astype(int)],
                             "correct": numbers["correct"], "order": pd.array([pd.NA] * len(log), dtype="Int64")})

    def streams(self, raw_dir: Path) -> dict[str, str]:
        """The full log in time; nothing for the cut.

        ``attempt`` is the publisher's count of problems of this exercise; seconds are those of the first attempt, missing where only hints
        were asked for. The publisher counts a problem as wrong where a hint was asked for.
        """
        if self.variant != "full":
            return {}
        need(raw_dir / RESPONSES["full"], read_text_table(raw_dir / RESPONSES["full"], dtype="str", nrows=5), LOG)
        # a bare TRY_CAST of a column is moved into the csv scan (DuckDB 2.0), where it raises: trim keeps it here
        number = {c: f"TRY_CAST(trim({c}) AS BIGINT)" for c in ("time_done", "problem_number", "count_hints")}
        seconds = "TRY_CAST(string_split(time_taken_attempts, '&')[1] AS DOUBLE)"
        return {"interactions": f"""
            SELECT user_id AS learner_id, exercise AS item_id, CAST(TRY_CAST(trim(correct) AS BOOLEAN) AS DOUBLE) AS correct, {number['time_done']} AS "order",
                   make_timestamp({number['time_done']}) AS timestamp, CASE WHEN {number['problem_number']} >= 1 THEN {number['problem_number']} END AS attempt,
                   CASE WHEN {number['count_hints']} >= 0 THEN {number['count_hints']} END AS hints,
                   CASE WHEN {seconds} >= 0 THEN {seconds} END AS response_time_s
            FROM {_log(raw_dir)}"""}

    def _unlisted(self, raw_dir: Path, listed: pd.Series) -> pd.DataFrame:
        import duckdb

        database = connect("1GB")
        try:
            met = database.execute(f"SELECT DISTINCT exercise FROM {_log(raw_dir)} WHERE exercise IS NOT NULL ORDER BY 1").df()["exercise"]
        except duckdb.Error as error:
            raise DataError(f"{raw_dir / RESPONSES['full']} must be a whole csv file; found {error}. Obtain it again.") from None
        finally:
            database.close()
        return pd.DataFrame({"name": met[~met.isin(listed)]})


def _log(raw_dir: Path) -> str:
    """SQL: the full log with every column as text."""
    path = raw_dir / RESPONSES["full"]
    header = read_text_table(path, dtype="str", nrows=0).columns
    columns = "{" + ", ".join(f"{quoted(c)}: 'VARCHAR'" for c in header) + "}"
    return f"read_csv({quoted(path)}, auto_detect = false, header = true, delim = ',', quote = '\"', columns = {columns})"
