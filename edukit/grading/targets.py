"""What is graded: one criterion of one question, or the whole answer, with its levels and what is known of a good answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from edukit.grading.normal_form import LONGEST
from edukit.grading.ordinal import decide
from edukit.grading.pair_features import Asked, asked
from edukit.grading.rubric import Criterion, Rubric, rubrics_of
from edukit.grading.scales import CRITERION, OVERALL, scale
from edukit.grading.seen_route import SeenRoute
from edukit.schema import DataError

Array = np.ndarray


@dataclass
class Target:
    """One criterion of one question, or the whole answer (``criterion_id`` overall).

    Attributes
    ----------
    levels : (K,) rising. named : levels are labels, of which the most likely is given, and no marks. counts : (K,) graded answers of each level.
    elements : key elements that count here. seen : the model of this question, where enough answers are graded. cuts : on the expected level.
    """

    question_id: str
    criterion_id: str
    levels: Array
    named: bool
    asked: Asked
    elements: tuple[str, ...] = ()
    counts: Array = field(default_factory=lambda: np.zeros(0))
    seen: SeenRoute | None = None
    cuts: Array | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Question and criterion."""
        return self.question_id, self.criterion_id

    def given(self, probabilities: Array) -> Array:
        """(N,) positions of the levels that answers get."""
        middle = None if self.named else (self.levels[1:] + self.levels[:-1]) / 2 if self.cuts is None else self.cuts
        return decide(probabilities, self.levels, middle)

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Plain values and arrays of what was learnt."""
        told: dict[str, Any] = {"question_id": self.question_id, "criterion_id": self.criterion_id, "named": self.named, "elements": self.elements,
                                "asked": [self.asked.prompt, self.asked.references, self.asked.elements, self.asked.best], "seen": None}
        arrays = {"levels": self.levels, "counts": self.counts} | ({} if self.cuts is None else {"cuts": self.cuts})
        if self.seen is not None:
            told["seen"], inside = self.seen.state()
            arrays |= {f"seen.{name}": value for name, value in inside.items()}
        return told, arrays

    @classmethod
    def restored(cls, told: Mapping[str, Any], arrays: Mapping[str, Array], empty: SeenRoute) -> Target:
        """The target as :meth:`state` left it."""
        prompt, *parts = told["asked"]
        inside = {name.removeprefix("seen."): value for name, value in arrays.items() if name.startswith("seen.")}
        return cls(told["question_id"], told["criterion_id"], arrays["levels"], told["named"], Asked(prompt, *(tuple(part) for part in parts)),
                   tuple(told["elements"]), arrays["counts"], empty.restored(told["seen"], inside) if told["seen"] else None, arrays.get("cuts"))


def targets_of(answers: pd.DataFrame, questions: pd.DataFrame, rubrics: Mapping[str, Rubric], labels: Mapping[str, float]) -> list[Target]:
    """Everything there is to grade: of each question the whole answer, and each criterion of its rubric.

    Parameters
    ----------
    answers : graded ones with ``score``, and perhaps a column ``criterion:<id>`` a criterion. rubrics : by rubric_id. labels : levels of labels, where the
        score stands for one.
    """
    found = []
    for row in questions.to_dict("records"):
        question, top = str(row["question_id"]), row.get("max_score")
        rubric, mine = rubric_of(row, rubrics), answers[answers["question_id"] == question]
        criteria = rubric.criteria if rubric else ()
        every = tuple(dict.fromkeys(element for c in criteria for element in c.key_elements))
        best = tuple(text for c in criteria for text in _best(c))
        only = criteria[0].scores if len(criteria) == 1 and not labels else ()
        levels = np.array(sorted(labels.values())) if labels else scale(mine["score"].dropna(), None if top is None or pd.isna(top) else float(top), only)
        found.append(Target(question, OVERALL, levels, bool(labels), asked(row.get("prompt"), row.get("reference"), every, best), every))
        for c in criteria:
            known = mine[CRITERION + c.criterion_id].dropna() if CRITERION + c.criterion_id in mine else ()
            found.append(Target(question, c.criterion_id, scale(known, None, c.scores), False,
                                asked(row.get("prompt"), row.get("reference") if len(criteria) == 1 else None, c.key_elements, _best(c)), c.key_elements))
    return found


def rubric_of(question: Mapping[str, Any], rubrics: Mapping[str, Rubric]) -> Rubric | None:
    """The rubric of a question: the one it names, else the only one there is.

    Raises
    ------
    DataError
        Where it names one that is not there.
    """
    name = question.get("rubric_id")
    if name is None or pd.isna(name):
        return next(iter(rubrics.values())) if len(rubrics) == 1 else None
    if rubrics and name not in rubrics:
        raise DataError(f"questions.rubric_id must be of the table rubrics; found {name!r} (question {question['question_id']}), which holds "
                        f"{', '.join(list(rubrics)[:5])}. Add that rubric, or leave rubric_id empty.")
    return rubrics.get(str(name))


def read_rubrics(rubric: Rubric | pd.DataFrame | None) -> dict[str, Rubric]:
    """Rubrics by id, of a table ``rubrics``, of one rubric, or of none."""
    if rubric is None or (isinstance(rubric, pd.DataFrame) and not len(rubric)):
        return {}
    return {rubric.rubric_id: rubric} if isinstance(rubric, Rubric) else rubrics_of(rubric)


def _best(criterion: Criterion) -> tuple[str, ...]:
    """What the top level looks like: its exemplars, else its descriptor."""
    top = max(criterion.levels, key=lambda level: level.score)
    return top.exemplars or ((top.descriptor,) if top.descriptor else ())


def flags_of(written: str, form: str) -> str | None:
    """``empty`` where nothing was written, ``cut`` where more was written than is read."""
    found = (["empty"] if not form else []) + (["cut"] if len(written) > LONGEST and len(form) > LONGEST - 10 else [])
    return ",".join(found) or None
