"""EdNet KT1 (Choi et al., 2020, AIED): preparing for an English test in Korea with the tutor Santa, one csv file a learner."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd

from edukit.data.loader import find_raw
from edukit.data.streaming import quoted
from edukit.formats.delimited import need, read_text_table
from edukit.schema import DataError

QUESTIONS = "contents/questions.csv"
LOG = ("timestamp", "solving_id", "question_id", "user_answer", "elapsed_time")
UNNAMED = "unnamed"  # the concept of questions without a tag


@dataclass(frozen=True)
class EdNet:
    """English test preparation (TOEIC) in Korea, EdNet KT1: chosen options with times, of some 780,000 learners; larger than memory.

    A response is one file row: question given, option chosen. Rows without an option, and rows whose question the table of questions does
    not list, cannot be called right or wrong and are left out. The log is streamed from the files of the learners.

    Parameters
    ----------
    path : folder with ``KT1/u*.csv`` and ``contents/questions.csv``; default ``EDUKIT_DATA/ednet``.
    """

    name: ClassVar[str] = "ednet"
    path: str | None = None

    def raw_dir(self) -> Path:
        """Folder with the publisher's files."""
        place = find_raw(self.name, "ednet", self.path, (QUESTIONS,))
        if next((place / "KT1").glob("*.csv"), None) is None:
            raise DataError(f"data {self.name} needs KT1/u1.csv and so on (one file a learner) in {place}; found none. "
                            f"`edukit data fetch {self.name}` says how to obtain them; terms: edukit data card {self.name}.")
        return place

    def files(self, raw_dir: Path) -> list[Path]:
        """The table of questions and the file of every learner."""
        return [raw_dir / QUESTIONS, *sorted((raw_dir / "KT1").glob("*.csv"))]

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        """Tables items, q_matrix, concepts; the responses are streamed."""
        table = read_text_table(raw_dir / QUESTIONS, dtype="str")
        need(raw_dir / QUESTIONS, table, ("question_id", "bundle_id", "correct_answer", "part", "tags"))
        if table["tags"].isna().all():
            raise DataError(f"{raw_dir / QUESTIONS} must give the tags of each question; found none in {len(table):,} rows. The file may be truncated: "
                            "obtain it again.")
        questions = table.drop_duplicates("question_id")
        tags = questions.assign(concept_id=questions["tags"].str.split(";")).explode("concept_id")
        tags["concept_id"] = tags["concept_id"].str.strip()
        tags["concept_id"] = tags["concept_id"].mask(tags["concept_id"].isin(["", "-1"]) | tags["concept_id"].isna(), UNNAMED)
        q = tags[["question_id", "concept_id"]].drop_duplicates().rename(columns={"question_id": "item_id"})
        often = tags[["concept_id", "part"]].value_counts().reset_index().sort_values(["count", "part"], ascending=[False, True])
        concepts = often.drop_duplicates("concept_id").sort_values("concept_id")
        return {
            "items": pd.DataFrame({"item_id": questions["question_id"], "answer_key": questions["correct_answer"],
                                   "options": questions["part"].eq("2").map({True: 3, False: 4}), "content_id": questions["bundle_id"]}),
            "q_matrix": q,
            "concepts": pd.DataFrame({"concept_id": concepts["concept_id"], "name": ("tag " + concepts["concept_id"]).mask(
                concepts["concept_id"] == UNNAMED, "no tag was given"), "area": "part " + concepts["part"]}),
        }

    def streams(self, raw_dir: Path) -> dict[str, str]:
        """The responses of every learner's file; rows of one instant keep the order of the file."""
        first = next((raw_dir / "KT1").glob("*.csv"))
        need(first, read_text_table(first, dtype="str", nrows=5), LOG)
        columns = "{" + ", ".join(f"{quoted(c)}: 'VARCHAR'" for c in LOG) + "}"
        form = """header = true, delim = ',', quote = '"'"""
        logs = f"read_csv({quoted(raw_dir / 'KT1' / '*.csv')}, auto_detect = false, {form}, columns = {columns}, filename = true)"
        questions = f"read_csv({quoted(raw_dir / QUESTIONS)}, {form}, all_varchar = true)"
        # a bare TRY_CAST of a column is moved into the csv scan (DuckDB 2.0), where it raises: trim keeps it here
        time, elapsed = "TRY_CAST(trim(log.timestamp) AS BIGINT)", "TRY_CAST(trim(log.elapsed_time) AS DOUBLE)"
        return {"interactions": f"""
            SELECT regexp_extract(log.filename, '([^/\\\\]+)\\.csv$', 1) AS learner_id, log.question_id AS item_id,
                   CAST(lower(trim(log.user_answer)) = lower(trim(question.correct_answer)) AS DOUBLE) AS correct,
                   {time} AS "order", make_timestamp_ms({time}) AS timestamp,
                   CASE WHEN {elapsed} >= 0 THEN {elapsed} / 1000 END AS response_time_s,
                   log.user_answer AS response, question.bundle_id AS content_id
            FROM {logs} AS log
            JOIN (SELECT DISTINCT ON (question_id) question_id, correct_answer, bundle_id FROM {questions}) AS question USING (question_id)
            WHERE log.user_answer IS NOT NULL AND trim(log.user_answer) <> ''"""}
