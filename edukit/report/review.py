"""Graded answers as one HTML page, one answer at a time: what it says, what was found in it, which level that is, and what a person decided.

The page is served by `edukit review`, where decisions are taken, or written as a file to read. Text of answers, rubrics and feedback is never parsed as
HTML: the script builds elements and puts text into them.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edukit.report.gap_page import _json, _part
from edukit.reproducibility import replacing

PREVIEW = 70  # characters of an answer in the queue
_FOUND = re.compile(r'(?P<element>.*?):\s*"(?P<quote>.*)"\s*', re.DOTALL)


@dataclass(frozen=True)
class ReviewPage:
    """Everything that the page shows.

    Parameters
    ----------
    title : str
    queue : what the list of answers shows, in its order: rows with ``id, state, deferred, flags, confidence, cluster, preview``; state is one of
        ``open, accepted, edited, rejected, appealed``.
    answers : by id, what the page shows of one answer; empty where a server is asked for each.
    served : whether a server stands behind the page and decisions can be taken.
    names : whether that server may tell names of learners.
    made : when a copy was made.
    """

    title: str
    queue: Sequence[Mapping] = ()
    answers: Mapping[str, Mapping] = field(default_factory=dict)
    served: bool = False
    names: bool = False
    made: str = ""

    def page(self) -> str:
        """A complete HTML document; a copy carries its data and its only script, and its policy forbids every request."""
        from jinja2 import Environment

        script = part("js")
        data = "" if self.served else _json({"queue": list(self.queue), "answers": dict(self.answers)})
        return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_part("review.html.jinja")).render(
            title=self.title, served=self.served, names=self.names, made=self.made, data=data, css=part("css"), script=script,
            policy=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode())

    def write(self, path: Path) -> Path:
        """Write :meth:`page` to ``path``, whole or not at all."""
        page = self.page()
        with replacing(Path(path)) as beside:
            beside.write_text(page, encoding="utf-8", errors="replace", newline="\n")
        return Path(path)


def part(kind: str) -> str:
    """The script (``js``) or the style (``css``) of the page."""
    return _part("review.js") if kind == "js" else _part("gap_page.css") + _part("review.css")


def preview(text: str) -> str:
    """The beginning of an answer on one line.

    Examples
    --------
    >>> preview("It  evaporates\\nin the sun.")
    'It evaporates in the sun.'
    """
    start = " ".join(text[: 4 * PREVIEW].split())
    return start if len(start) <= PREVIEW and len(text) <= 4 * PREVIEW else start[: PREVIEW - 1] + "…"


def quotes(found: str) -> list[tuple[str, str]]:
    """(element, quoted words) of every line of the column ``found`` of a table ``grades``.

    Examples
    --------
    >>> quotes('heat | warmth: "in the sun"')
    [('heat | warmth', 'in the sun')]
    """
    return [(told["element"].strip(), told["quote"]) if (told := _FOUND.fullmatch(line)) else (line.strip(), "") for line in found.split("\n") if line.strip()]


def span(text: str, quote: str) -> tuple[int, int] | None:
    """Where quoted words stand in an answer (blanks and line breaks may differ); None where they do not.

    Examples
    --------
    >>> span("It dries\\nin the sun", "in the sun"), span("It dries", "the sun")
    ((9, 19), None)
    """
    if not quote.strip():
        return None
    at = text.find(quote)
    if at >= 0:
        return at, at + len(quote)
    words = r"\s+".join(re.escape(word) for word in quote.split())
    told = re.search(words, text, re.IGNORECASE)
    return told.span() if told else None


def parts(text: str, spans: Iterable[tuple[int, int, int]]) -> list[tuple[str, list[int]]]:
    """An answer cut where marks begin and end: pieces of text, each with the numbers of the marks upon it.

    Parameters
    ----------
    spans : (start, end, number) of each mark, in characters.

    Examples
    --------
    >>> parts("it dries in the sun", [(3, 8, 1), (12, 19, 2)])
    [('it ', []), ('dries', [1]), (' in ', []), ('the sun', [2])]
    """
    marks = [(max(start, 0), min(end, len(text)), number) for start, end, number in spans if start < end]
    cuts = sorted({0, len(text), *(place for start, end, _ in marks for place in (start, end) if 0 <= place <= len(text))})
    return [(text[a:b], sorted(number for start, end, number in marks if start <= a and b <= end)) for a, b in zip(cuts, cuts[1:], strict=False)]


def least_sure_first(rows: Sequence[Mapping]) -> list[Mapping]:
    """Rows of a queue: the least sure first, those of one cluster together where their least sure stands, a representative ahead of the others.

    Parameters
    ----------
    rows : with ``id``, ``confidence`` (None comes first), ``cluster`` (None = alone) and ``representative``.
    """
    def sure(row: Mapping) -> float:
        return -1.0 if row["confidence"] is None else float(row["confidence"])

    group = {row["id"]: ("", row["id"]) if row["cluster"] is None else (str(row["question"]), row["cluster"]) for row in rows}
    least: dict[tuple, float] = {}
    for row in rows:
        least[group[row["id"]]] = min(sure(row), least.get(group[row["id"]], 2.0))
    return sorted(rows, key=lambda row: (least[group[row["id"]]], str(group[row["id"]]), not row["representative"], sure(row), row["id"]))
