"""What a learner reads after grading: what was found, what is still missing and what to do next, in the rubric's own words.

It speaks of the answer, never of the person. It is a draft: a teacher edits it, and the ledger keeps what was sent and by whom
(a ``decision`` with ``feedback``).
"""

from __future__ import annotations

import pandas as pd

from edukit.grading.rubric import Criterion, Rubric, alternatives
from edukit.schema import DataError

COLUMNS = ["criterion_id", "found", "missing", "next_step", "text"]
UNREAD = "A teacher will read this part."
DONE = "Everything that the rubric asks for here is there."
LEFT = "The highest level is reached."


def feedback(grades: pd.DataFrame, rubric: Rubric) -> pd.DataFrame:
    """Draft of the feedback on one answer.

    Parameters
    ----------
    grades : rows of the table ``grades`` of one answer. rubric : graded by.

    Returns
    -------
    DataFrame
        One row a criterion, in the order of the rubric: ``criterion_id, found`` (quotes, one a line), ``missing`` (elements, one a line, in their first
        wording), ``next_step`` (what the next level looks like; empty at the top and where nothing was scored) and ``text``, all of it in sentences.
        A criterion that the rubric has not (``overall``) comes last, without a next step.

    Raises
    ------
    DataError
        For grades of several answers, or of one criterion twice.

    References
    ----------
    Hattie, J., & Timperley, H. (2007). The power of feedback. Review of Educational Research, 77(1).

    Examples
    --------
    >>> from edukit.grading.rubric import Level
    >>> levels = (Level(0, "Names no cause."), Level(1, "Names one cause."))
    >>> rubric = Rubric("puddle", (Criterion("cause", levels, ("sun | warmth",)),))
    >>> grades = pd.DataFrame({"answer_id": ["a"], "criterion_id": ["cause"], "score": [0.0], "missing": ["sun | warmth"]})
    >>> print(feedback(grades, rubric)["text"].iloc[0])
    Still missing: sun, or warmth.
    Next step: Names one cause.
    """
    if grades["answer_id"].nunique() > 1 or grades["criterion_id"].duplicated().any():
        raise DataError(f"feedback must be on one answer, each criterion once; found {grades['answer_id'].nunique()} answers and "
                        f"{len(grades)} rows. Take the rows of one answer_id.")
    criteria = {criterion.criterion_id: criterion for criterion in rubric.criteria}
    place = {criterion_id: n for n, criterion_id in enumerate(criteria)}
    rows = sorted(grades.astype(object).to_dict("records"), key=lambda row: place.get(row["criterion_id"], len(place)))
    return pd.DataFrame([_row(row, criteria.get(row["criterion_id"])) for row in rows], columns=COLUMNS)


def _row(grade: dict, criterion: Criterion | None) -> dict[str, str]:
    found, missing = (_lines(grade.get(name)) for name in ("found", "missing"))
    named = [", or ".join(alternatives(element)) for element in missing]
    if pd.isna(grade.get("score")):
        return {"criterion_id": grade["criterion_id"], "found": "\n".join(found), "missing": "", "next_step": "", "text": UNREAD}
    above = criterion.above(float(grade["score"])) if criterion else None
    step = above.descriptor.strip() if above else ""
    parts = [f"Found: {'; '.join(found)}."] if found else []
    parts += [f"Still missing: {'; '.join(named)}."] if named else []
    parts += [f"Next step: {step}"] if step else [LEFT if named else DONE] if criterion and above is None else []
    return {"criterion_id": grade["criterion_id"], "found": "\n".join(found), "missing": "\n".join(named), "next_step": step, "text": "\n".join(parts)}


def _lines(text: object) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()] if isinstance(text, str) else []
