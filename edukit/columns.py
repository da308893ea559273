"""What a table is made of: columns with kind, unit and range. The tables themselves stand in :mod:`edukit.schema`.

Kinds of column: ``id`` (non-empty string, any characters), ``text`` (string), ``number`` (float64),
``count`` (int64; Int64 where missing values are allowed), ``flag`` (bool), ``time`` (datetime64, UTC).
"""

from __future__ import annotations

from dataclasses import dataclass


class DataError(ValueError):
    """Input that cannot be used; the message says where, wanted, found, first offender and next step."""


@dataclass(frozen=True)
class Column:
    """One column: its name, kind, meaning and allowed range or values."""

    name: str
    kind: str
    meaning: str
    low: float | None = None
    high: float | None = None
    required: bool = True
    nullable: bool = False
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One table: what a row is, its columns, the columns that identify a row, and whether it is open.

    An ``open`` table may carry further columns (learner attributes, features of pairs); every other table refuses a column it
    does not know, so that a typo is found by name and sensitive attributes cannot slip in.
    """

    name: str
    row: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    open: bool = False

    @property
    def names(self) -> list[str]:
        """Names of all declared columns."""
        return [c.name for c in self.columns]


def an_id(name: str, meaning: str, **options) -> Column:
    """A column of ids."""
    return Column(name, "id", meaning, **options)


def optional(name: str, kind: str, meaning: str, **options) -> Column:
    """A column that may be absent, and empty where it is there."""
    return Column(name, kind, meaning, required=False, nullable=True, **options)


def share(name: str, meaning: str, **options) -> Column:
    """A column of numbers from 0 to 1."""
    return Column(name, "number", meaning, 0.0, 1.0, **options)


LEARNER = an_id("learner_id", "who (a pseudonym outside the raw file)")
ITEM = an_id("item_id", "the question")
CONCEPT = an_id("concept_id", "the concept (knowledge component, skill)")
CLASS = optional("class_id", "id", "the class the learner sat in")
TEACHER = optional("teacher_id", "id", "who taught")
TERM = optional("term", "text", "term or presentation")
DAY = Column("day", "number", "day since the module began (may be negative)")
MODULE = (an_id("module_id", "the course"), Column("presentation", "text", "which run of the course"))
