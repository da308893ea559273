"""Project STAR, Tennessee 1985-1989 (Word et al., 1990): children and teachers drawn at random into small or regular classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from edukit.data.loader import find_raw
from edukit.formats.delimited import need, read_text_table
from edukit.schema import DataError
from edukit.validation import fault

FILE = "STAR.csv"
GRADES = {"k": "kindergarten", "1": "grade 1", "2": "grade 2", "3": "grade 3"}
CLASSES = ("small", "regular", "regular+aide")
NUMBERS = {"read": "read", "math": "math", "experience": "teacher_experience"}
LABELS = {"star": "class_type", "lunch": "lunch", "school": "school_kind", "degree": "teacher_degree", "ladder": "teacher_ladder",
          "tethnicity": "teacher_ethnicity", "system": "system", "schoolid": "school"}


@dataclass(frozen=True)
class Star:
    """The Tennessee class-size experiment: test scores of children drawn at random into small or regular classes.

    The form that circulates is wide: a column per measure and grade (``readk``, ``read1`` ...). It becomes one row a learner with
    ``read_k``, ``read_1`` and so on, and one enrolment per grade attended, whose presentation is the kind of class.

    Parameters
    ----------
    path : folder with ``STAR.csv``; default ``EDUKIT_DATA/star``.
    """

    name: ClassVar[str] = "star"
    path: str | None = None

    def raw_dir(self) -> Path:
        """Folder with the file."""
        return find_raw(self.name, "star", self.path, (FILE,))

    def files(self, raw_dir: Path) -> list[Path]:
        """The one file."""
        return [raw_dir / FILE]

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        """Tables learners (everything that is known of a child, scores in scaled points) and enrolments (grade and kind of class)."""
        path = raw_dir / FILE
        wide = read_text_table(path, dtype="str")
        measures = {f"{old}{grade}": f"{new}_{grade}" for old, new in {**LABELS, **NUMBERS}.items() for grade in GRADES}
        need(path, wide, ["rownames", "gender", "ethnicity", "birth", *measures])
        faults = []
        for grade in GRADES:
            faults += _strange(path, wide[f"star{grade}"], wide[f"star{grade}"].isin(CLASSES), f"be {', '.join(CLASSES)} or missing")
            for old in NUMBERS:
                number = pd.to_numeric(wide[f"{old}{grade}"], errors="coerce")
                faults += _strange(path, wide[f"{old}{grade}"], number.notna(), "be a number or missing")
                wide[f"{old}{grade}"] = number
        if faults:
            raise DataError("\n".join(faults))
        learners = wide.rename(columns={"rownames": "learner_id", **measures})[["learner_id", "gender", "ethnicity", "birth", *measures.values()]]
        seats = learners.melt("learner_id", [f"class_type_{grade}" for grade in GRADES], "module_id", "presentation").dropna(subset=["presentation"])
        return {"learners": learners, "enrolments": seats.assign(module_id=seats["module_id"].str.removeprefix("class_type_").map(GRADES))}


def _strange(path: Path, values: pd.Series, good: pd.Series, wanted: str) -> list[str]:
    """One sentence where a value is neither good nor missing."""
    rows = np.flatnonzero((values.notna() & ~good).to_numpy())
    if not len(rows):
        return []
    return [fault(f"{path}: {values.name}", wanted, values.iloc[rows[0]], len(rows), len(values), int(rows[0]) + 1) + ". See data_cards/star.md."]
