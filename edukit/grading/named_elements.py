"""Key elements of a rubric looked for once in each answer, and quoted as the learner wrote them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from edukit.grading import elements
from edukit.grading.normal_form import LONGEST, words

Array = np.ndarray


class NamedElements:
    """Remembers which answers (normal forms) name which key elements, so that a criterion and the whole answer look once.

    Parameters
    ----------
    embed : texts -> (n, d) unit vectors, to find clauses that mean an element without its words; None = words only. A clause then means the nearest of the
        elements asked for, so ask for all those of a question first.
    """

    def __init__(self, embed: elements.Embed | None = None) -> None:
        self._embed = embed
        self._found: dict[str, dict[str, tuple[bool, object]]] = {}

    def hits(self, wanted: Sequence[str], forms: Sequence[str]) -> Array | None:
        """(N, E) whether each key element is named in each normal form; None where there are no elements."""
        if not wanted:
            return None
        unknown = sorted({form for form in forms if any(form not in self._found.get(e, {}) for e in wanted)})
        if unknown:
            table = elements.find(unknown, list(wanted), self._embed)
            rows = zip(table["found"].to_numpy(), table["quote"].to_numpy(object), strict=True)
            for form in unknown:
                for element in wanted:
                    self._found.setdefault(element, {})[form] = next(rows)
        return np.array([[self._found[e][form][0] for e in wanted] for form in forms], float).reshape(len(forms), len(wanted))

    def quotes(self, wanted: Sequence[str], texts: Sequence[str], forms: Sequence[str]) -> list[tuple[str | None, str | None]]:
        """Of each answer: the elements it names, each with its words as they were written, one a line; and those it does not name, one a line."""
        hits = self.hits(wanted, forms)
        if hits is None:
            return [(None, None)] * len(forms)
        found = []
        for written, form, row in zip(texts, forms, hits, strict=True):
            there = [f'{e}: "{as_written(written, self._found[e][form][1])}"' for e, hit in zip(wanted, row, strict=True) if hit]
            found.append(("\n".join(there) or None, "\n".join(e for e, hit in zip(wanted, row, strict=True) if not hit) or None))
        return found


def as_written(written: str, quote: object) -> str:
    """The words of a normal form as they stand in the answer, on one line; the normal form itself where they cannot be told there.

    Examples
    --------
    >>> as_written("It  EVAPORATES \\n in the Sun", "evaporates in the sun")
    'EVAPORATES in the Sun'
    """
    wanted = words(str(quote))
    place = re.search(r"\W+".join(re.escape(word) for word in wanted), written[:4 * LONGEST], re.IGNORECASE) if wanted else None
    return " ".join((place.group() if place else str(quote)).split())
