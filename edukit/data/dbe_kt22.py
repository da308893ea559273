"""DBE-KT22, an undergraduate course on databases: ordered answers with concepts and dependencies drawn by the course's experts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from edukit.data.loader import check_variant, find_raw
from edukit.formats.delimited import need, read_text_table
from edukit.schema import DataError

_PART = ("interactions_valid_test.csv", "KC_Relationships_mapped.csv")
_FULL = ("Transaction.csv", "KC_Relationships.csv", "KCs.csv", "Question_KC_Relationships.csv", "Questions.csv", "Question_Choices.csv")
_STUDIES = "Student_Speciali[sz]ation.csv"


@dataclass(frozen=True)
class DbeKt22:
    """Databases course at the Australian National University, 2019-2022: ordered answers and expert dependencies between concepts.

    A dependency runs from the concept that comes first to the one that builds on it: ``from_knowledgecomponent_id`` is the prerequisite.
    Source: Abdelrahman, Abdelfattah, Wang and Lin, 2022, arXiv 2208.12651.

    Parameters
    ----------
    variant : which form.
        'part' : two of three parts of a third party's split, rewritten as one csv: order without time, at most 200 answers a learner;
        'full' : the publisher's tables, with times, hints, changed answers, chosen options, wording and feedback.
    path : folder with the files; default ``EDUKIT_DATA/dbe_kt22``.
    """

    name: ClassVar[str] = "dbe_kt22"
    variants: ClassVar[tuple[str, ...]] = ("part", "full")
    variant: str = "part"
    path: str | None = None

    def raw_dir(self) -> Path:
        """Folder with the files."""
        check_variant(self.name, self.variant, self.variants)
        return find_raw(self.name, "dbe_kt22", self.path, _PART if self.variant == "part" else _FULL)

    def files(self, raw_dir: Path) -> list[Path]:
        """The files of this variant; the full one may have a table of what learners study."""
        return [raw_dir / f for f in _PART] if self.variant == "part" else [*(raw_dir / f for f in _FULL), *sorted(raw_dir.glob(_STUDIES))]

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        """Tables interactions, concepts, items, q_matrix, prerequisites, learners; of the full form also surveys."""
        return self._part(raw_dir) if self.variant == "part" else self._full(raw_dir)

    def _part(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        log = _read(raw_dir / _PART[0], ("split", "student_id", "order", "question_id", "kc_ids", "correct"))
        _numbers(raw_dir / _PART[0], log, ("order", "correct"))
        if (bad := ~log["kc_ids"].fillna("").str.fullmatch(r"\d+(_\d+)*")).any():
            row = int(np.flatnonzero(bad)[0])
            raise DataError(f"{raw_dir / _PART[0]}: kc_ids must be numbers joined by underscores, such as 88_98; found {log['kc_ids'].iloc[row]!r} in "
                            f"{int(bad.sum()):,} of {len(log):,} rows (first: line {row + 2:,}). The file may be truncated: obtain it again.")
        asked = log[["question_id", "kc_ids"]].drop_duplicates()
        q = pd.DataFrame({"item_id": asked["question_id"], "concept_id": asked["kc_ids"].str.split("_")}).explode("concept_id").drop_duplicates()
        edges = _edges(raw_dir / _PART[1])
        ids = pd.concat([edges["concept_id"], edges["requires_id"], q["concept_id"]]).drop_duplicates().sort_values(key=pd.to_numeric)
        parts = log[["student_id", "split"]].drop_duplicates("student_id")
        return {"interactions": pd.DataFrame({"learner_id": log["student_id"], "item_id": log["question_id"], "correct": log["correct"],
                                              "order": log["order"]}),
                "concepts": pd.DataFrame({"concept_id": ids, "name": "concept " + ids}), "items": pd.DataFrame({"item_id": log["question_id"].unique()}),
                "q_matrix": q, "prerequisites": edges,
                "learners": parts.rename(columns={"student_id": "learner_id", "split": "published_part"})}

    def _full(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        path = raw_dir / _FULL[0]
        log = _read(path, ("id", "student_id", "question_id", "answer_choice_id", "answer_state", "hint_used", "selection_change", "start_time",
                           "end_time", "difficulty_feedback", "trust_feedback"))
        _numbers(path, log, ("id",))
        right = log["answer_state"].str.lower().map({"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0})
        times = log[["start_time", "end_time"]].apply(pd.to_datetime, errors="coerce", utc=True, format="ISO8601")
        for bad, wanted, column in ((right.isna(), "be true or false", "answer_state"), (times["start_time"].isna(), "be a date and time", "start_time")):
            if bad.any():
                row = int(np.flatnonzero(bad)[0])
                raise DataError(f"{path}: {column} must {wanted}; found {log[column].iloc[row]!r} in {int(bad.sum()):,} of {len(log):,} rows "
                                f"(first: line {row + 2:,}). The file may be truncated: obtain it again.")
        log = log.assign(right=right, start=times["start_time"], seconds=(times["end_time"] - times["start_time"]).dt.total_seconds(),
                         number=pd.to_numeric(log["id"])).sort_values(["student_id", "start", "number"], kind="stable")
        who, again = log.groupby("student_id"), log.groupby(["student_id", "question_id"])
        table = pd.DataFrame({"learner_id": log["student_id"], "item_id": log["question_id"], "correct": log["right"], "order": who.cumcount(),
                              "timestamp": log["start"], "attempt": again.cumcount() + 1,
                              "hints": log["hint_used"].str.lower().map({"true": 1, "false": 0, "1": 1, "0": 0}),
                              "response_time_s": log["seconds"].where(log["seconds"] >= 0), "response": log["answer_choice_id"],
                              "answer_changes": pd.to_numeric(log["selection_change"], errors="coerce")})
        said = pd.concat([pd.DataFrame({"survey_id": kind, "question_id": log["question_id"], "learner_id": log["student_id"],
                                        "rating": pd.to_numeric(log[f"{kind}_feedback"], errors="coerce")}) for kind in ("difficulty", "trust")])
        said = said.dropna(subset=["rating"])
        concepts = _read(raw_dir / _FULL[2], ("id", "name", "description"))
        links = _read(raw_dir / _FULL[3], ("question_id", "knowledgecomponent_id"))
        asked = _read(raw_dir / _FULL[4], ("id", "question_title", "question_text"))
        choices = _read(raw_dir / _FULL[5], ("id", "question_id", "is_correct"))
        key = choices[choices["is_correct"].str.lower().isin(["true", "1"])].groupby("question_id")["id"].agg("|".join)
        tables = {
            "interactions": table, "prerequisites": _edges(raw_dir / _FULL[1]),
            "concepts": pd.DataFrame({"concept_id": concepts["id"], "name": concepts["name"].fillna("concept " + concepts["id"]),
                                      "description": concepts["description"]}),
            "q_matrix": pd.DataFrame({"item_id": links["question_id"], "concept_id": links["knowledgecomponent_id"]}).drop_duplicates(),
            "items": pd.DataFrame({"item_id": asked["id"], "name": asked["question_text"].fillna(asked["question_title"]),
                                   "answer_key": asked["id"].map(key), "options": asked["id"].map(choices["question_id"].value_counts())}),
            "learners": self._learners(raw_dir, log["student_id"]),
        }
        return {**tables, "surveys": said} if len(said) else tables

    def _learners(self, raw_dir: Path, student: pd.Series) -> pd.DataFrame:
        """Who answered, with what they study where that table is there; several studies are joined by a bar."""
        people = pd.DataFrame({"learner_id": student.unique()})
        for path in sorted(raw_dir.glob(_STUDIES)):
            told = _read(path, ("student_id",)).drop(columns="id", errors="ignore")
            several = told.groupby("student_id").agg(lambda met: "|".join(met.dropna().unique()) or None)
            people = people.merge(several, how="left", left_on="learner_id", right_index=True)
        return people


def _read(path: Path, columns: Iterable[str]) -> pd.DataFrame:
    table = read_text_table(path, dtype="str")
    need(path, table, columns)
    return table


def _numbers(path: Path, table: pd.DataFrame, columns: Iterable[str]) -> None:
    """Raise DataError unless these columns hold numbers in every row."""
    for column in columns:
        bad = pd.to_numeric(table[column], errors="coerce").isna()
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise DataError(f"{path}: {column} must be a number; found {table[column].iloc[row]!r} in {int(bad.sum()):,} of {len(table):,} rows "
                            f"(first: line {row + 2:,}). The file may be truncated: obtain it again.")


def _edges(path: Path) -> pd.DataFrame:
    """Table prerequisites; a row of the file says that ``to`` builds on ``from``."""
    table = _read(path, ("from_knowledgecomponent_id", "to_knowledgecomponent_id"))
    _numbers(path, table, ("from_knowledgecomponent_id", "to_knowledgecomponent_id"))
    edges = pd.DataFrame({"concept_id": table["to_knowledgecomponent_id"], "requires_id": table["from_knowledgecomponent_id"]}).drop_duplicates()
    return edges.assign(source="course experts", weight=1.0, channel="expert")
