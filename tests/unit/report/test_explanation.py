"""The picture of an explanation draws every response and every part, and takes names as text."""

from __future__ import annotations

import pandas as pd
import pytest

from edukit.report.explanation import explanation
from edukit.report.figures import save
from edukit.schema import DataError

RESPONSES = pd.DataFrame({"order": range(4), "item_id": ["$q", "q1", "q2", "q3"], "correct": [1.0, 0.0, 1.0, 0.5],
                          "relation": ["itself", "prerequisite", "other", "other"], "moved": [0.2, -0.1, 0.0, 0.01]})
CONCEPTS = pd.DataFrame({"concept_id": ["a", "p", None], "relation": ["itself", "prerequisite", "other"], "steps": [0, 1, pd.NA], "n": [1, 1, 2],
                         "moved": [0.2, -0.1, 0.02]})


def test_every_response_and_part_is_drawn_and_named(tmp_path):
    figure = explanation(RESPONSES, CONCEPTS, {"a": "Adding $x$ =1", "p": "<b>Counting</b>"}, "a", 0.61, 0.5)
    top, below = figure.axes
    assert sum(len(dots.get_offsets()) for dots in top.collections[1:]) == 4 and r"Adding \$x\$ =1: 0.61" in top.get_title(loc="left")
    assert [label.get_text() for label in below.get_yticklabels()] == [r"Adding \$x\$ =1 (n 1)", "<b>Counting</b> (prerequisite, n 1)", "everything else (n 2)"]
    assert [round(bar.get_width(), 2) for bar in below.patches] == [0.2, -0.1, 0.02]
    assert save(figure, tmp_path / "e.png").stat().st_size > 5_000


def test_nothing_to_draw_is_said():
    with pytest.raises(DataError, match="at least one response"):
        explanation(RESPONSES.iloc[:0], CONCEPTS, {}, "a", 0.5, 0.5)
