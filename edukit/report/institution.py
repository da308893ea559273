"""The institution's view as one HTML file that prints well: module gaps, assessments that tell little, engagement, tutoring, feedback.

It is built from :class:`edukit.governance.privacy.Aggregate` tables and nothing else: each part hands over an aggregate and a function that is given
that aggregate alone, so that no number on the page can rest on fewer learners than the gate lets through.
"""

from __future__ import annotations

import base64
import io
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from edukit.governance.privacy import Aggregate
from edukit.metrics import shown
from edukit.report import institution_figures
from edukit.report.gap_page import _part
from edukit.reproducibility import replacing
from edukit.schema import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VIEWS = ("funnel", "trends", "intervals", "table")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Part:
    """One part of the page.

    Parameters
    ----------
    title, words : heading, and what to know when reading it.
    cells : the aggregate, small cells hidden.
    derive : from that aggregate to the table that is shown; it is given nothing else.
    view : funnel, trends, intervals or table.
    label, value, mark : of intervals: the columns with the name and the number of a row, and where the dashed line stands.
    picture : what the picture shows, for those who do not see it.
    """

    title: str
    words: str
    cells: Aggregate
    derive: Callable[[Aggregate], pd.DataFrame]
    view: str = "table"
    label: str = ""
    value: str = ""
    mark: float | None = None
    picture: str = ""

    def draw(self, table: pd.DataFrame) -> Figure | None:
        """The picture of the part."""
        if self.view == "funnel":
            return institution_figures.funnel(table)
        if self.view == "trends":
            return institution_figures.trends(table)
        return institution_figures.intervals(table, self.label, self.value, self.mark) if self.view == "intervals" else None


def page(title: str, parts: Sequence[Part], notes: Sequence[str] = (), source: Mapping[str, str] | None = None) -> str:
    """A complete HTML document without a script; its policy forbids every request.

    Parameters
    ----------
    title : heading of the page.
    parts : in the order they are shown.
    notes : sentences at the top.
    source : where the numbers come from, with the command.

    Raises
    ------
    DataError
        Where a part rests on anything but an ``Aggregate``, or on none at all.
    """
    from jinja2 import Environment

    for part in parts:
        if not isinstance(part.cells, Aggregate):
            raise DataError(f"part '{part.title}' of the institution's page must rest on a privacy.Aggregate; found {type(part.cells).__name__}. "
                            "Make one with edukit.governance.privacy.aggregate, which hides small cells.")
        if part.view not in VIEWS:
            raise DataError(f"part '{part.title}' must be shown as one of {', '.join(VIEWS)}; found {part.view}")
    if not parts:
        raise DataError("the institution's page needs a part; found none. See what the data allows with `edukit data card`.")
    made = []
    for number, part in enumerate(parts):
        table = part.derive(part.cells)
        made.append({"id": f"part{number}", "title": part.title, "words": part.words, "k": part.cells.k, "picture": part.picture or part.title,
                     "image": _image(part.draw(table)), "columns": [str(c).replace("_", " ") for c in table],
                     "rows": [[_cell(v) for v in row] for row in table.itertuples(index=False)]})
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_part("institution.html.jinja")).render(
        title=title, notes=list(notes), parts=made, source=dict(source or {}), css=_part("gap_page.css") + _part("institution.css"))


def write(path: Path, title: str, parts: Sequence[Part], notes: Sequence[str] = (), source: Mapping[str, str] | None = None) -> Path:
    """Write :func:`page` to ``path``, whole or not at all."""
    text = page(title, parts, notes, source)
    with replacing(Path(path)) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")
    return Path(path)


def pdf(html: Path, path: Path, seconds: float = 120) -> Path | None:
    """Print the page to PDF with a Chromium (``EDUKIT_CHROMIUM`` or the system's); None where there is none.

    Raises
    ------
    DataError
        Where the browser prints nothing.
    """
    browser = next((found for name in (os.environ.get("EDUKIT_CHROMIUM"), *BROWSERS) if name and (found := shutil.which(name))), None)
    if browser is None:
        return None
    root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with replacing(Path(path)) as beside:
        words = [browser, "--headless", "--disable-gpu", *root, "--no-pdf-header-footer", f"--print-to-pdf={beside}", Path(html).resolve().as_uri()]
        try:
            done = subprocess.run(words, capture_output=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            raise DataError(f"{browser} must print {html} in {seconds:.0f} s; found no end. Open the page and print it by hand.") from None
        if not beside.is_file() or not beside.stat().st_size:
            raise DataError(f"{browser} must print {html}; found no file (exit code {done.returncode}). Open the page and print it by hand.")
    return Path(path)


def _image(figure: Figure | None) -> str:
    """The picture as base64 of a png."""
    if figure is None:
        return ""
    held = io.BytesIO()
    figure.savefig(held, format="png", dpi=150)
    return base64.b64encode(held.getvalue()).decode()


def _cell(value: Any) -> dict[str, Any]:
    """What a cell shows, and whether it is a number."""
    if value is None or value is pd.NA or (isinstance(value, float) and pd.isna(value)):
        return {"words": "–", "number": True}
    if isinstance(value, float):
        return {"words": shown(value), "number": True}
    return {"words": f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value), "number": not isinstance(value, str)}
