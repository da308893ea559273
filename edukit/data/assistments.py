"""ASSISTments as released for 2012-2013, 2015 and the competition of 2017: one row per response, concepts as the publisher tagged them.

The large files are read by DuckDB, so that the typed answers and action logs that fill most of them never reach memory.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd

from edukit.data.loader import find_raw
from edukit.formats.delimited import need, read_text_table
from edukit.schema import DataError

_MARK = "\u00ef\u00bb\u00bf"  # a byte-order mark that was read as Latin-1
_FRACTION = "(TRY_CAST(correct AS DOUBLE) > 0 AND TRY_CAST(correct AS DOUBLE) < 1) IS NOT TRUE"


@dataclass(frozen=True)
class Assistments2012:
    """ASSISTments school year 2012-2013 (with affect predictions): mathematics of 46,674 learners as published, with times, classes and schools.

    Parameters
    ----------
    path : folder with the csv; default ``EDUKIT_DATA/assistments2012``.
    file : its name.
    part_marks : keep responses with a share of the marks (such as 0.25); they are left out otherwise, as published comparisons do.
    scaffolds : keep scaffolding questions (``original`` = 0), as published comparisons do.
    untagged : keep responses to questions without a skill (more than half of the rows), under the concept ``unnamed``.

    References
    ----------
    Feng, Heffernan and Koedinger, "Addressing the assessment challenge with an online system that tutors as it assesses",
    User Modeling and User-Adapted Interaction, 2009.
    """

    name: ClassVar[str] = "assistments2012"
    path: str | None = None
    file: str = "2012-2013-data-with-predictions-4-final.csv"
    part_marks: bool = False
    scaffolds: bool = True
    untagged: bool = False

    def raw_dir(self) -> Path:
        """Folder with the publisher's file."""
        return find_raw(self.name, self.name, self.path, (self.file,))

    def files(self, raw_dir: Path) -> list[Path]:
        """The csv."""
        return [raw_dir / self.file]

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        """Tables q_matrix, concepts and learners (the school); the responses are streamed."""
        path, kept = raw_dir / self.file, self._kept(raw_dir)
        pairs = _ask(path, f"SELECT problem_id, concept_id, min(skill) AS name FROM ({kept}) GROUP BY ALL ORDER BY ALL")
        learners = _ask(path, f"SELECT user_id AS learner_id, arg_min(school_id, start_time) AS school_id FROM ({kept}) GROUP BY ALL ORDER BY ALL")
        named = pairs["concept_id"] != "unnamed"
        q = pairs[named | ~pairs["problem_id"].isin(pairs["problem_id"][named].unique())]
        names = q.groupby("concept_id", sort=True)["name"].min().reset_index()
        return {"q_matrix": q[["problem_id", "concept_id"]].set_axis(["item_id", "concept_id"], axis=1),
                "concepts": names.assign(name=names["name"].fillna(names["concept_id"])), "learners": learners}

    def streams(self, raw_dir: Path) -> dict[str, str]:
        """The responses; ordered by the time a question was begun, then as in the file."""
        return {"interactions": f"""
            SELECT user_id AS learner_id, problem_id AS item_id, correct, TRY_CAST(start_time AS TIMESTAMP) AS "order", start_time AS "timestamp",
                   hint_count AS hints, {_seconds("ms_first_response")} / 1000 AS response_time_s, answer_text AS response,
                   student_class_id AS class_id, teacher_id, sequence_id AS content_id
            FROM ({self._kept(raw_dir)})"""}

    def _kept(self, raw_dir: Path) -> str:
        """SQL of the rows that are kept, every column as text."""
        rows = _rows(raw_dir / self.file, ("user_id", "problem_id", "start_time", "correct", "original", "skill", "skill_id", "hint_count", "answer_text",
                                           "ms_first_response", "student_class_id", "teacher_id", "school_id", "sequence_id"))
        wanted = [*([] if self.part_marks else [_FRACTION]), *([] if self.scaffolds else ["original IS DISTINCT FROM '0'"]),
                  *([] if self.untagged else ["skill_id IS NOT NULL"])]
        return f"""SELECT *, coalesce(regexp_replace(skill_id, '\\.0$', ''), 'unnamed') AS concept_id FROM ({rows})
                   WHERE {" AND ".join(wanted) or "true"}"""


@dataclass(frozen=True)
class Assistments2015:
    """ASSISTments 2015, the 100 skill builders with most responses: no question ids, so that the skill builder is both item and concept.

    Parameters
    ----------
    path : folder with the csv; default ``EDUKIT_DATA/assistments2015``.
    file : its name.
    part_marks : keep responses with a share of the marks (such as 0.25); they are left out otherwise, as published comparisons do.
    """

    name: ClassVar[str] = "assistments2015"
    path: str | None = None
    file: str = "2015_100_skill_builders_main_problems.csv"
    part_marks: bool = False

    def raw_dir(self) -> Path:
        """Folder with the publisher's file."""
        return find_raw(self.name, self.name, self.path, (self.file,))

    def files(self, raw_dir: Path) -> list[Path]:
        """The csv."""
        return [raw_dir / self.file]

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        """Tables interactions, q_matrix, concepts; ordered by ``log_id``, then as in the file."""
        path = raw_dir / self.file
        log = read_text_table(path, encodings=("utf-8-sig", "latin-1"), dtype={"user_id": "str", "sequence_id": "str"})
        log.columns = [c.removeprefix(_MARK) for c in log.columns]
        need(path, log, ("user_id", "log_id", "sequence_id", "correct"))
        marks = pd.to_numeric(log["correct"], errors="coerce")
        if not self.part_marks:
            log = log[~((marks > 0) & (marks < 1))]
        log = log.sort_values(["user_id", "log_id"], kind="stable")
        ids = sorted(log["sequence_id"].dropna().unique())
        return {"interactions": pd.DataFrame({"learner_id": log["user_id"], "item_id": log["sequence_id"], "correct": log["correct"],
                                              "order": log.groupby("user_id").cumcount()}),
                "q_matrix": pd.DataFrame({"item_id": ids, "concept_id": ids}),
                "concepts": pd.DataFrame({"concept_id": ids, "name": [f"skill builder {i}" for i in ids]})}


@dataclass(frozen=True)
class Assistments2017:
    """ASSISTments data mining competition 2017: middle-school mathematics of 2004-2007, with what became of 1,709 learners as published.

    Rows of a learner that share question, start and answer and differ in the skill are one response with several concepts;
    a skill met again there begins another response.

    Parameters
    ----------
    path : folder with the csv; default ``EDUKIT_DATA/assistments2017``.
    file : its name.
    scaffolds : keep scaffolding questions (``original`` = 0), as published comparisons do.
    """

    name: ClassVar[str] = "assistments2017"
    path: str | None = None
    file: str = "anonymized_full_release_competition_dataset.csv"
    scaffolds: bool = True

    def raw_dir(self) -> Path:
        """Folder with the publisher's file."""
        return find_raw(self.name, self.name, self.path, (self.file,))

    def files(self, raw_dir: Path) -> list[Path]:
        """The csv."""
        return [raw_dir / self.file]

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        """Tables interactions, q_matrix, concepts, and learners with what is stated of them: school, inferred gender, test score, what became of them."""
        path = raw_dir / self.file
        stated = {"MiddleSchoolId": "school_id", "InferredGender": "inferred_gender", "MCAS": "mcas", "Enrolled": "enrolled", "Selective": "selective",
                  "isSTEM": "stem"}
        rows = _rows(path, ("studentId", "problemId", "skill", "action_num", "startTime", "timeTaken", "correct", "original", "hintCount", "assignmentId"),
                     tuple(stated), missing=("", "NA"))
        log = _ask(path, f"SELECT * FROM ({rows}) {'' if self.scaffolds else 'WHERE original IS DISTINCT FROM $$0$$'}")
        log[["startTime", "action_num"]] = log[["startTime", "action_num"]].apply(_numbers, path=path)
        log = log.sort_values(["studentId", "startTime", "action_num"], kind="stable").fillna({"skill": "noskill"})
        same = ["studentId", "problemId", "startTime", "correct"]
        again = log.groupby([*same, "skill"], dropna=False).cumcount()
        once = log[~log[same].assign(again=again).duplicated()]
        q = log[["problemId", "skill"]].drop_duplicates().set_axis(["item_id", "concept_id"], axis=1)
        ids = sorted(q["concept_id"].unique())
        taken = pd.to_numeric(once["timeTaken"], errors="coerce").clip(lower=0)
        learners = once.drop_duplicates("studentId")[["studentId", *(c for c in stated if c in once)]].rename(columns={"studentId": "learner_id", **stated})
        measured = {c: pd.to_numeric(learners[c], errors="coerce") for c in ("mcas", "enrolled", "selective", "stem") if c in learners}
        if "mcas" in measured:
            measured["mcas"] = measured["mcas"].mask(measured["mcas"] == -999)
        return {"interactions": pd.DataFrame({
                    "learner_id": once["studentId"], "item_id": once["problemId"], "correct": once["correct"],
                    "order": once.groupby("studentId").cumcount(), "timestamp": pd.to_datetime(once["startTime"], unit="s", utc=True),
                    "hints": once["hintCount"], "response_time_s": taken, "content_id": once["assignmentId"]}),
                "q_matrix": q, "concepts": pd.DataFrame({"concept_id": ids, "name": [i.replace("-", " ") for i in ids]}),
                "learners": learners.assign(**measured)}


def _numbers(column: pd.Series, path: Path) -> pd.Series:
    """A column of whole numbers; DataError naming the first value that is none."""
    found = pd.to_numeric(column, errors="coerce")
    if (bad := found.isna().to_numpy()).any():
        shown = column.iloc[int(bad.argmax())]
        raise DataError(f"{path}: {column.name} must be a number in every row; found {'nothing' if pd.isna(shown) else repr(shown)} in {int(bad.sum()):,} of "
                        f"{len(bad):,} rows (first: row {int(bad.argmax()) + 1:,}). The file may be damaged: obtain it again.")
    return found


def _seconds(column: str) -> str:
    """SQL of a duration, never below 0 (a clock set back); what is no number is missing."""
    return f"CASE WHEN TRY_CAST({column} AS DOUBLE) < 0 THEN 0 ELSE TRY_CAST({column} AS DOUBLE) END"


def _rows(path: Path, columns: tuple[str, ...], optional: tuple[str, ...] = (), missing: tuple[str, ...] = ("",)) -> str:
    """SQL that reads columns of a large csv as text; a cell that says what is ``missing`` is NULL, and a cell may hold line breaks.

    Raises
    ------
    DataError
        For an empty file or an absent column.
    """
    encoding = _encoding(path)
    header = read_text_table(path, encodings=(encoding,), nrows=0)
    header.columns = [c.removeprefix("\ufeff") for c in header.columns]
    written = {c.removeprefix(_MARK): c for c in header.columns}
    need(path, header.rename(columns={old: new for new, old in written.items()}), columns)
    place, every = str(path).replace("'", "''"), ", ".join("'" + c.replace("'", "''") + "': 'VARCHAR'" for c in header.columns)
    listed = ", ".join(f'"{written[c]}" AS "{c}"' for c in (*columns, *(c for c in optional if c in written)))
    return (f"SELECT {listed} FROM read_csv('{place}', auto_detect = false, columns = {{{every}}}, header = true, delim = ',', quote = '\"', "
            f"escape = '\"', nullstr = {list(missing)}, max_line_size = 16777216, encoding = '{encoding}')")


def _encoding(path: Path) -> str:
    """UTF-8 where the whole file is, else Latin-1."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as stream:
        try:
            while block := stream.read(1 << 24):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "latin-1"
    return "utf-8"


def _ask(path: Path, sql: str) -> pd.DataFrame:
    """Result of a query over a raw file; what the database cannot read becomes one clear error."""
    import duckdb

    with duckdb.connect(config={"threads": 1}) as database:
        try:
            return database.sql(sql).to_arrow_table().to_pandas()
        except duckdb.Error as error:
            told = " ".join(str(error).split("Possible fixes")[0].split())
            raise DataError(f"{path} must be a well-formed csv; found {told}. The file may be truncated: obtain it again.") from None
