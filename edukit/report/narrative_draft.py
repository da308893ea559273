"""The pieces of a narrative: numbers rounded in one way, names as they are, and a record of every figure that was written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor

import pandas as pd

from edukit.governance.privacy import TOTAL

NAMED = 3  # names in one list; the others are counted


@dataclass(frozen=True)
class Narrative:
    """A text, and the figures and names it rests on, called as in the tables.

    Numbers are unrounded; ``rule: ...`` is a setting of the map, and ``more_learners`` is computed from the interval.
    """

    text: str
    figures: Mapping[str, str | int | float]

    def __str__(self) -> str:
        return self.text


def percent(value: float) -> str:
    """A share as every text prints it, rounded as on the page.

    Examples
    --------
    >>> percent(0.425), percent(-0.04), percent(1.0)
    ('43 %', '−4 %', '100 %')
    """
    whole = floor(100 * value + 0.5)
    return f"{'−' if whole < 0 else ''}{abs(whole)} %"


def probability(value: float) -> str:
    """A probability in words; one that a model gives is never nothing and never certain.

    Examples
    --------
    >>> probability(0.31), probability(0.995), probability(0.001)
    ('31 %', 'above 99 %', 'below 1 %')
    """
    return "above 99 %" if value >= 0.995 else "below 1 %" if value < 0.005 else percent(value)


class Draft:
    """Sentences and the figures they use; writing a number down is what puts it among the figures."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.figures: dict[str, str | int | float] = {}

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence[0].upper() + sentence[1:] + ".")

    def share(self, name: str, value: float) -> str:
        self.figures[name] = float(value)
        return percent(value)

    def chance(self, name: str, value: float) -> str:
        self.figures[name] = float(value)
        return probability(value)

    def points(self, name: str, value: float) -> str:
        self.figures[name] = float(value)
        whole = percent(value).removesuffix(" %")
        return f"{whole} point{'' if whole == '1' else 's'}"

    def some(self, name: str, count: int, thing: str = "", things: str = "") -> str:
        self.figures[name] = int(count)
        return f"{int(count):,} {thing if count == 1 else things or thing + 's'}".rstrip() if thing else f"{int(count):,}"

    def called(self, name: str, text: str) -> str:
        self.figures[name] = text
        return f"“{text}”"

    def names(self, name: str, texts: Sequence[str], quoted: bool = True) -> str:
        """A list of at most three names; the others are counted."""
        for i, text in enumerate(texts[:NAMED], 1):
            self.figures[f"{name} {i}"] = text
        shown = [f"“{text}”" if quoted else text for text in texts[:NAMED]]
        return listed([*shown, f"{self.some(f'further {name}', len(texts) - NAMED)} more"] if len(texts) > NAMED else shown)

    def done(self) -> Narrative:
        return Narrative(" ".join(self.sentences), self.figures)


def listed(parts: Sequence[str]) -> str:
    """Parts of a sentence as one: with commas, and `and` before the last."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def there(row: Mapping, name: str) -> bool:
    """Whether a row of a table holds a value under this name."""
    return name in row and not pd.isna(row[name])


def place(draft: Draft, row: Mapping) -> str:
    """Who a cell is about, as the end of a sentence."""
    cohort = str(row["class_id"])
    if cohort == TOTAL:
        return "among all learners"
    draft.figures["cohort"] = cohort
    if there(row, "teacher_id") and row["teacher_id"] == cohort:
        return f"among the learners of {cohort}"
    if there(row, "term") and row["term"] == cohort or cohort.lower().startswith("class"):
        return f"in {cohort}"
    return f"in class {cohort}"


def span(draft: Draft, row: Mapping, low: str, high: str) -> str:
    """The interval of a row in words; both ends become figures of the draft."""
    return f"{draft.share(low, row[low]).removesuffix(' %')} to {draft.share(high, row[high])}"
