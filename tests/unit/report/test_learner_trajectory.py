"""A trajectory draws every concept asked for, its responses where they were given, and refuses what it cannot draw."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.report.learner_trajectory import trajectory
from edukit.schema import DataError

STEPS = pd.DataFrame([(step, concept, 0.2 + 0.1 * step * (concept == "a"), 0.1) for step in range(4) for concept in ("a", "b", "c", "d")],
                     columns=["step", "concept_id", "mastery", "sd"])
RESPONSES = pd.DataFrame({"step": [1, 2, 3], "concept_id": ["a", "b", "a"], "correct": [1.0, 0.0, 0.0]})


def test_each_panel_holds_its_line_its_band_and_its_own_responses():
    drawn = trajectory(STEPS, RESPONSES, {"a": "Costs $5"}, ["b", "a", "c", "d"])
    drawn.draw_without_rendering()
    panels = [ax for ax in drawn.axes if ax.axison]
    assert [ax.get_title(loc="left") for ax in panels] == ["b (n 1)", r"Costs \$5 (n 2)", "c (n 0)", "d (n 0)"]
    dots = panels[1].collections[-1]
    assert np.allclose(dots.get_offsets(), [[1, 0.3], [3, 0.5]])  # on the line, at the steps of the responses
    assert dots.get_facecolors()[0].tolist() != dots.get_facecolors()[1].tolist() == [1, 1, 1, 1]
    line = panels[1].lines[-1]
    assert line.get_ydata().tolist() == pytest.approx([0.2, 0.3, 0.4, 0.5])


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(DataError, match="1 to 12 concepts; found 0"):
        trajectory(STEPS, RESPONSES, {}, [])
    with pytest.raises(DataError, match="none of 'z'"):
        trajectory(STEPS, RESPONSES, {}, ["a", "z"])
