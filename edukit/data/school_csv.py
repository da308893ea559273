"""A school's own responses: one csv with a row per response, whose columns are recognised by their usual names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd

from edukit.formats.delimited import read_text_table
from edukit.schema import DataError

# What schools and platforms call the columns, beside the schema's own names.
SYNONYMS = {
    "learner_id": ("learner", "student", "student_id", "user", "user_id", "pupil", "pupil_id", "userid"),
    "item_id": ("item", "question", "question_id", "problem", "problem_id", "exercise", "task", "questionid"),
    "correct": ("is_correct", "iscorrect", "score", "outcome", "result"),
    "order": ("order_id", "position", "step", "sequence"),
    "timestamp": ("time", "date", "datetime", "created_at", "answered_at", "start_time"),
    "concept_id": ("concept", "skill", "skill_id", "kc", "topic", "standard", "objective"),
    "class_id": ("class", "group", "section", "class_name"),
    "teacher_id": ("teacher",),
    "response": ("answer", "chosen", "option", "answer_text"),
    "term": ("semester",),
    "attempt": ("attempt_number",), "hints": ("hint_count",), "content_id": ("page", "unit"),
}


def match_columns(found: list[str]) -> dict[str, str]:
    """Guess which column of a file holds what: ``{column of the file: column of edukit}``; exact names win over synonyms."""
    plain = {c: c.strip().lower().replace(" ", "_").replace("-", "_") for c in found}
    mapped: dict[str, str] = {}
    for target, others in SYNONYMS.items():
        for name in (target, *others):
            hit = next((c for c, p in plain.items() if p == name and c not in mapped), None)
            if hit is not None:
                mapped[hit] = target
                break
    return mapped


@dataclass(frozen=True)
class SchoolCsv:
    """Any csv with a learner, an item and whether it was right; concept, class, time and order where there are such columns.

    Without a concept column each item is its own concept. Without order or time the order of rows is **not** taken
    for the order of responses: it counts as unknown.

    Parameters
    ----------
    path : the csv file.
    """

    name: ClassVar[str] = "school_csv"
    path: str | None = None

    def raw_dir(self) -> Path:
        """The folder the file lies in."""
        if not self.path:
            raise DataError("data school_csv needs a file; found none. Give data.path=FILE.csv (one row per response: learner, item, correct).")
        if not Path(self.path).is_file():
            raise DataError(f"data school_csv needs the file {self.path}; found no such file. Check data.path (it is relative to where you start edukit).")
        return Path(self.path).parent

    def files(self, raw_dir: Path) -> list[Path]:
        """The file itself."""
        return [raw_dir / Path(str(self.path)).name]

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        """Tables interactions, q_matrix, concepts."""
        path = self.files(raw_dir)[0]
        raw = read_text_table(path, sep=None, engine="python", dtype="str")
        mapped = match_columns([str(c) for c in raw.columns])
        log = raw.rename(columns=mapped)[list(mapped.values())]
        if absent := [c for c in ("learner_id", "item_id", "correct") if c not in log]:
            raise DataError(f"{path} must have a column for {', '.join(absent)}; found {', '.join(map(str, raw.columns))}. Rename the "
                            f"column to {absent[0]} (also understood: {', '.join(SYNONYMS[absent[0]])}).")
        truth = {"true": "1", "false": "0", "yes": "1", "no": "0", "right": "1", "wrong": "0"}
        log["correct"] = log["correct"].map(lambda v: truth.get(str(v).strip().lower(), v))
        if "timestamp" in log and "order" not in log:
            moment = pd.to_datetime(log["timestamp"], utc=True, errors="coerce")
            log = log.assign(_at=moment).sort_values(["learner_id", "_at"], kind="stable").drop(columns="_at") if moment.notna().all() else log
            log["order"] = log.groupby("learner_id").cumcount() if moment.notna().all() else pd.NA
        elif "order" not in log:
            log["order"] = pd.NA
        concept = log["concept_id"] if "concept_id" in log else log["item_id"]
        q = pd.DataFrame({"item_id": log["item_id"], "concept_id": concept}).drop_duplicates()
        return {"interactions": log.drop(columns="concept_id", errors="ignore").reset_index(drop=True), "q_matrix": q,
                "concepts": pd.DataFrame({"concept_id": q["concept_id"].unique(), "name": q["concept_id"].unique()})}
