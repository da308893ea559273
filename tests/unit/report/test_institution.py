"""The institution's page rests on aggregates only, shows text as text, asks nothing of the network and needs no script."""

from __future__ import annotations

import re
import subprocess

import pandas as pd
import pytest

from edukit.governance.privacy import aggregate
from edukit.report import institution
from edukit.report.institution import Part
from edukit.schema import DataError

MODULES = ["<script>alert(1)</script>"] * 20 + ["=cmd()"] * 20 + ["tiny"] * 3
ROWS = pd.DataFrame({"learner_id": [f"u{i}" for i in range(43)], "module_id": MODULES, "mark": 61.375})


def part(**changes) -> Part:
    return Part(**{"title": "Marks & more", "words": "Mean marks.", "cells": aggregate(ROWS, ["module_id"], ["mark"]), "derive": lambda a: a.cells, **changes})


@pytest.mark.parametrize("cells", [ROWS, aggregate(ROWS, ["module_id"], ["mark"]).cells, None, [1]])
def test_anything_but_an_aggregate_is_refused(cells):
    with pytest.raises(DataError, match=r"must rest on a privacy\.Aggregate"):
        institution.page("x", [part(), part(cells=cells)])


def test_the_page_shows_text_as_text_and_hides_small_cells():
    page = institution.page("A <b>title</b>", [part()], ["A note"], {"command": "edukit run institution"})
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "A &lt;b&gt;title" in page
    tiny = re.search(r"<td>tiny</td>(.*?)</tr>", page, re.DOTALL).group(1)
    assert "–" in tiny
    assert "61" not in tiny
    assert "script-src" not in page
    assert "default-src 'none'" in page
    assert not re.findall(r"(?:src|href)=\"(?!#|data:)", page)
    assert page == institution.page("A <b>title</b>", [part()], ["A note"], {"command": "edukit run institution"})


def test_every_picture_has_words_and_every_part_can_be_reached_by_keyboard():
    table = pd.DataFrame({"module_id": ["a", "b"], "presentation": "t", "gap": [0.1, None], "error": [0.02, None], "state": ["outside 95 %", "suppressed"]})
    weeks = pd.DataFrame({"group": ["all", "x"] * 2, "week": [0, 0, 1, 1], "value": 0.5, "low": 0.4, "high": 0.6})
    ends = pd.DataFrame({"name": ["a", "b"], "auc": [0.7, None], "low": [0.6, None], "high": [0.8, None], "state": ["tells", "suppressed"]})
    parts = [part(view="funnel", derive=lambda _: table), part(view="trends", derive=lambda _: weeks, picture="Engagement"),
             part(view="intervals", derive=lambda _: ends, label="name", value="auc", mark=0.5)]
    page = institution.page("x", parts)
    assert len(re.findall(r'<img alt="[^"]+" src="data:image/png', page)) == 3
    assert page.count('tabindex="0"') == page.count("<details") == 3
    assert page.count('<a href="#part') == 3


def test_an_unknown_view_and_no_part_are_refused(tmp_path):
    with pytest.raises(DataError, match="must be shown as one of"):
        institution.page("x", [part(view="pie")])
    with pytest.raises(DataError, match="needs a part"):
        institution.write(tmp_path / "page.html", "x", [])
    assert list(tmp_path.iterdir()) == []


def test_no_browser_no_pdf(tmp_path, monkeypatch):
    monkeypatch.setattr(institution.shutil, "which", lambda _: None)
    page = institution.write(tmp_path / "page.html", "x", [part()])
    assert institution.pdf(page, tmp_path / "page.pdf") is None
    monkeypatch.setattr(institution.shutil, "which", lambda _: "/bin/true")
    monkeypatch.setattr(institution.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 3))
    with pytest.raises(DataError, match="found no file"):
        institution.pdf(page, tmp_path / "page.pdf")
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]
