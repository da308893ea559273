"""A rubric: what an answer is looked at for, and what each level of it looks like, so that every learner is graded by the same words.

A rubric lies in a yaml file, in a CASE file (:mod:`edukit.formats.case_rubric`) or in rows of the table ``rubrics``. In yaml:

.. code-block:: yaml

    rubric_id: evaporation
    title: Where does the puddle go?
    version: "1"
    criteria:
      - criterion_id: process
        weight: 0.5
        key_elements: [evaporates | turns to vapour, "heat | warmth | sun"]
        levels:
          - {score: 0, descriptor: Names no process.}
          - {score: 1, descriptor: Names the process., exemplars: [It evaporates in the sun.]}
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd

from edukit.formats import case_rubric
from edukit.grading import rubric_file
from edukit.reproducibility import fingerprint
from edukit.schema import DataError
from edukit.validation import refuse, validate

BAR = re.compile(r"\s+\|\s+")  # between the alternatives of a key element


@dataclass(frozen=True)
class Level:
    """One level of a criterion: its score, what an answer at this level looks like, and answers that stand at it."""

    score: float
    descriptor: str
    exemplars: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "score", _number(self.score))
        object.__setattr__(self, "exemplars", tuple(self.exemplars))


@dataclass(frozen=True)
class Criterion:
    """One thing that is looked at: its levels, the key elements that show it, and its share of the whole score.

    A key element may give alternatives, separated by `` | ``: any one of them counts.
    """

    criterion_id: str
    levels: tuple[Level, ...]
    key_elements: tuple[str, ...] = ()
    weight: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", tuple(self.levels))
        object.__setattr__(self, "key_elements", tuple(self.key_elements))
        object.__setattr__(self, "weight", _number(self.weight))

    @property
    def scores(self) -> list[float]:
        """Scores of the levels, ascending."""
        return sorted(level.score for level in self.levels)

    def above(self, score: float) -> Level | None:
        """The next level above a score; None at the top."""
        return min((level for level in self.levels if level.score > score), key=lambda level: level.score, default=None)


@dataclass(frozen=True)
class Rubric:
    """Criteria that together make a score.

    A rubric that can be graded by may still be a bad one: :func:`edukit.grading.rubric_check.lint` says where.

    Parameters
    ----------
    rubric_id : its name in tables. criteria : at least one. version : as its authors count. title : for people; the id where not given.

    Raises
    ------
    DataError
        Naming every fault at once: no criterion, no level, an id or a score that stands twice, a score or weight that is no number from 0 on.

    References
    ----------
    Brookhart, S. M. (2013). How to create and use rubrics for formative assessment and grading. ASCD.

    Examples
    --------
    >>> levels = (Level(0, "Names no process."), Level(2, "Names the process."))
    >>> rubric = Rubric("puddle", (Criterion("process", levels, ("evaporates | turns to vapour",)),))
    >>> rubric.total({"process": 2}, max_score=10), alternatives(rubric.criteria[0].key_elements[0])
    (10.0, ['evaporates', 'turns to vapour'])
    """

    rubric_id: str
    criteria: tuple[Criterion, ...]
    version: str = "1"
    title: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "criteria", tuple(self.criteria))
        object.__setattr__(self, "title", self.title or self.rubric_id)
        refuse(list(_faults(self)), None)

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the whole content: equal rubrics have equal ones, and one changed word changes it."""
        return fingerprint(asdict(self))

    def total(self, scores: Mapping[str, float], max_score: float = 1.0) -> float:
        """Score of the whole answer: of each criterion its share of the top level, weighted, times ``max_score``; NaN where one is not scored.

        Parameters
        ----------
        scores : score by criterion_id. max_score : full marks of the question.

        Raises
        ------
        DataError
            For a criterion that the rubric has not.
        """
        if unknown := sorted(set(scores) - {c.criterion_id for c in self.criteria}):
            raise DataError(f"scores must be of criteria of the rubric {self.rubric_id}; found {', '.join(map(repr, unknown))}. "
                            f"It has {', '.join(c.criterion_id for c in self.criteria)}.")
        parts = [c.weight * _share(scores.get(c.criterion_id), c.scores[-1]) for c in self.criteria]
        return float(max_score) * math.fsum(parts) / math.fsum(c.weight for c in self.criteria)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read one rubric from yaml, or from CASE where the name ends in ``.json``.

        Every value is text as it stands: ``version: 1.10`` stays ``1.10``, and an element ``no`` stays a word.

        Raises
        ------
        DataError
            For a file that is absent or no rubric, with all faults at once.
        """
        path = Path(path)
        if path.suffix.lower() == ".json":
            found = case_rubric.read_rubrics(path)
            return cls.from_table(found.table, title=next(iter(found.titles.values())))
        content = rubric_file.read(path)
        try:
            return cls.from_content(content)
        except DataError as error:
            refuse([f"{path}: {line.removesuffix('.')}" for line in str(error).split("\n")], rubric_file.EXAMPLES)
            raise

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> Self:
        """The rubric of plain texts, numbers and lists, as :meth:`content` gives them."""
        criteria = (Criterion(**{**one, "levels": tuple(Level(**level) for level in one["levels"])}) for one in content["criteria"])
        return cls(**{**content, "criteria": tuple(criteria)})

    def content(self) -> dict[str, Any]:
        """The whole rubric in plain texts, numbers and lists, as it is kept."""
        plain = asdict(self)
        return {**plain, "criteria": plain.pop("criteria")}

    def write(self, path: str | Path) -> Path:
        """Write as yaml; :meth:`read` gives the same rubric back, whatever its text holds."""
        return rubric_file.write(self.content(), path)

    @classmethod
    def from_table(cls, rubrics: pd.DataFrame, title: str = "") -> Self:
        """The one rubric in a table ``rubrics``; :func:`rubrics_of` for several. Weights that are not given are equal."""
        found = rubrics_of(rubrics)
        if len(found) != 1:
            raise DataError(f"the table rubrics must hold one rubric here; found {len(found)} ({', '.join(list(found)[:5])}). Choose one by its rubric_id.")
        one = next(iter(found.values()))
        return cls(one.rubric_id, one.criteria, one.version, title)

    def table(self) -> pd.DataFrame:
        """Table ``rubrics``, one row a level; exemplars one a line (line breaks inside one become spaces), the title left out."""
        rows = [{"rubric_id": self.rubric_id, "criterion_id": c.criterion_id, "level": level.score, "descriptor": level.descriptor, "weight": c.weight,
                 "key_elements": "\n".join(c.key_elements) or None, "exemplar": "\n".join(" ".join(e.splitlines()) for e in level.exemplars) or None,
                 "version": self.version} for c in self.criteria for level in c.levels]
        return validate(pd.DataFrame(rows), "rubrics")


def alternatives(element: str) -> list[str]:
    """The wordings of a key element any one of which counts."""
    return [part for part in BAR.split(element.strip()) if part]


def rubrics_of(rubrics: pd.DataFrame) -> dict[str, Rubric]:
    """Every rubric of a table ``rubrics``, by rubric_id, criteria and levels in the order of the rows."""
    checked = validate(rubrics, "rubrics").astype(object)
    checked = checked.where(checked.notna(), None)
    found = {}
    for rubric_id, rows in checked.groupby("rubric_id", sort=False):
        criteria = []
        for criterion_id, levels in rows.groupby("criterion_id", sort=False):
            records = levels.to_dict("records")
            elements = list(dict.fromkeys(line for row in records for line in _lines(row.get("key_elements"))))
            weight = next((row["weight"] for row in records if row.get("weight") is not None), 1.0)
            made = tuple(Level(row["level"], row["descriptor"], tuple(_lines(row.get("exemplar")))) for row in records)
            criteria.append(Criterion(str(criterion_id), made, tuple(elements), weight))
        version = next((row["version"] for row in rows.to_dict("records") if row.get("version")), "1")
        found[str(rubric_id)] = Rubric(str(rubric_id), tuple(criteria), version)
    return found


def _lines(text: str | None) -> list[str]:
    return [line.strip() for line in (text or "").split("\n") if line.strip()]


def _share(score: float | None, top: float) -> float:
    if score is None or pd.isna(score):
        return float("nan")
    return float(score) / top if top else 0.0


def _number(value: Any) -> Any:
    """A number as float, anything else as it was, for the check that names it."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _faults(rubric: Rubric) -> Iterator[str]:
    """What keeps a rubric from being graded by."""
    named = [("rubric_id", rubric.rubric_id, True), ("version", rubric.version, True), ("title", rubric.title, False)]
    if not rubric.criteria:
        yield "criteria must hold at least one criterion; found none"
    seen: set[str] = set()
    for n, criterion in enumerate(rubric.criteria, start=1):
        place = f"criteria[{n}]"
        named.append((f"{place}.criterion_id", criterion.criterion_id, True))
        named += [(f"{place}.key_elements[{i}]", element, True) for i, element in enumerate(criterion.key_elements, start=1)]
        if criterion.criterion_id in seen:
            yield f"{place}.criterion_id must be of this criterion only; found {criterion.criterion_id!r} again"
        seen.add(criterion.criterion_id)
        if not _counts(criterion.weight) or not criterion.weight:
            yield f"{place}.weight must be a number above 0; found {criterion.weight!r}"
        if not criterion.levels:
            yield f"{place}.levels must hold at least one level; found none"
        scores: set[float] = set()
        for i, level in enumerate(criterion.levels, start=1):
            named.append((f"{place}.levels[{i}].descriptor", level.descriptor, False))
            named += [(f"{place}.levels[{i}].exemplars[{j}]", text, False) for j, text in enumerate(level.exemplars, start=1)]
            if not _counts(level.score):
                yield f"{place}.levels[{i}].score must be a number from 0 on; found {level.score!r}"
            elif level.score in scores:
                yield f"{place}.levels[{i}].score must be of this level only; found {level.score:g} again"
            else:
                scores.add(level.score)
    for place, text, needed in named:
        if not isinstance(text, str) or (needed and not text.strip()):
            yield f"{place} must be text{' that is not empty' if needed else ''}; found {text!r}"
        elif any("\ud800" <= mark <= "\udfff" for mark in text):
            yield f"{place} must be whole characters; found half of a pair in {text[:40]!r}"
        elif "key_elements" in place and len(text.splitlines()) > 1:
            yield f"{place} must stand on one line; found {text[:40]!r}"


def _counts(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value) and value >= 0
