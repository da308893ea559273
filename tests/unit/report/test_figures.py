"""Figures draw the numbers of the tables, draw hidden cells without one, and leave no half-written file."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.report import figures
from edukit.schema import DataError


def gaps_of(cells: list[tuple[str, str, str, float | None]]) -> pd.DataFrame:
    table = pd.DataFrame(cells, columns=["class_id", "concept_id", "state", "mastery"])
    return table.assign(need=0.7 - table["mastery"], stuck=(table["mastery"] < 0.5).astype("boolean").mask(table["mastery"].isna()))


GAPS = gaps_of([("all", "a", "estimated", 0.42), ("all", "b", "estimated", 0.81),
                ("7a", "a", "not enough data", None), ("7a", "b", "suppressed", None)])
CONCEPTS = pd.DataFrame({"concept_id": ["a", "b"], "name": ["Costs $5 or $6", "Ratios"]})
EDGES = pd.DataFrame({"concept_id": ["b"], "requires_id": ["a"], "source": "expert", "weight": 1.0})


def texts(figure) -> list[str]:
    figure.draw_without_rendering()
    legend = figure.axes[0].get_legend()
    return [t.get_text() for t in figure.axes[0].texts] + ([t.get_text() for t in legend.get_texts()] if legend else [])


def test_matrix_writes_every_estimate_and_no_number_in_a_hidden_cell():
    drawn = figures.mastery_matrix(GAPS, CONCEPTS)
    assert sorted(texts(drawn)) == ["42", "81", "not enough data", "stuck", "suppressed"]
    assert {patch.get_hatch() for patch in drawn.axes[0].patches} == {None, *figures.HATCHES.values()}


def test_matrix_of_many_concepts_says_what_it_leaves_out():
    many = gaps_of([("all", f"c{i}", "estimated", 0.2 + i / 200) for i in range(70)])
    drawn = figures.mastery_matrix(many, CONCEPTS)
    assert "10 more concepts are not drawn" in drawn.axes[0].get_title(loc="left")
    assert drawn.axes[0].get_yticklabels()[0].get_text() == "c0"  # the largest need


def test_graph_colours_below_and_above_the_mark_apart_and_hatches_the_hidden():
    drawn = figures.concept_graph(GAPS, CONCEPTS, EDGES)
    boxes = [p for p in drawn.axes[0].get_children() if type(p).__name__ == "FancyBboxPatch"]
    low, high = (box.get_facecolor() for box in boxes)
    assert low[0] > low[2] and high[2] > high[0]  # orange, blue
    hidden = figures.concept_graph(GAPS, CONCEPTS, EDGES, cohort="7a")
    boxes = [p for p in hidden.axes[0].get_children() if type(p).__name__ == "FancyBboxPatch"]
    assert [box.get_hatch() for box in boxes] == list(figures.HATCHES.values())
    with pytest.raises(DataError, match="'9z'"):
        figures.concept_graph(GAPS, CONCEPTS, EDGES, cohort="9z")


def test_graph_without_gaps_says_nothing_of_mastery():
    drawn = figures.concept_graph(None, CONCEPTS, EDGES)
    assert len(drawn.axes) == 1 and "mastery" not in drawn.axes[0].get_title(loc="left").lower()


def test_reliability_draws_observed_shares_with_counts():
    p = np.repeat([0.25, 0.75], 100)
    y = np.concatenate([np.arange(100) < 30, np.arange(100) < 60]).astype(float)
    top, below = figures.reliability(y, p).axes
    assert np.allclose(top.lines[1].get_xydata(), [[0.25, 0.3], [0.75, 0.6]])
    assert [bar.get_height() for bar in below.patches] == [100, 100]
    assert "ECE 0.100" in top.get_title()
    with pytest.raises(DataError, match="found 0 and 0"):
        figures.reliability([], [])


def test_comparison_has_a_panel_per_metric_and_draws_a_missing_interval_as_none():
    records = [{"name": "auc", "value": 0.7, "low": 0.68, "high": 0.72, "model": "irt"},
               {"name": "auc", "value": 0.6, "model": "item mean"},
               {"name": "brier", "value": 0.2, "low": 0.19, "high": 0.21, "model": "irt"},
               {"name": "qwk", "value": None, "model": "irt"}]
    axes = figures.metric_comparison(records).axes
    assert [ax.get_title() for ax in axes] == ["auc", "brier"]
    assert [t.get_text() for t in axes[0].get_yticklabels()] == ["irt", "item mean"]
    assert np.allclose(axes[0].lines[0].get_xydata(), [[0.7, 0], [0.6, 1]])
    drawn = [s for s in axes[0].collections[0].get_segments() if len(s) and np.isfinite(s).all()]
    assert len(drawn) == 1 and np.allclose(drawn[0][:, 0], [0.68, 0.72])
    with pytest.raises(DataError, match="at least one record"):
        figures.metric_comparison([])


def test_growth_draws_every_size_with_a_line_through_the_origin_and_the_limits():
    table = pd.DataFrame({"step": ["write", "write", "read", "read"], "rows": [2_000_000, 1_000_000, 1_000_000, 2_000_000],
                          "seconds": [8.0, 4.0, 1.0, 2.0], "peak_mb": [700.0, 650.0, 300.0, 310.0]})
    time, memory = figures.growth(table, {"write": 2048.0}).axes
    points, line = time.lines[:2]
    assert np.allclose(points.get_xydata(), [[1, 4], [2, 8]]) and np.allclose(line.get_xydata(), [[0, 0], [2, 8]])
    assert {t.get_text() for t in time.get_legend().get_texts()} == {"write", "read"}
    assert any(np.allclose(drawn.get_ydata(), 2048) for drawn in memory.lines)
    with pytest.raises(DataError, match="at least one measured step"):
        figures.growth(table.head(0))


def test_save_is_whole_or_nothing(tmp_path, monkeypatch):
    figure = figures.concept_graph(GAPS, CONCEPTS, EDGES)
    path = figures.save(figure, tmp_path / "new" / "graph.png", dpi=50)
    before = path.read_bytes()
    assert before[:4] == b"\x89PNG" and [p.name for p in path.parent.iterdir()] == ["graph.png"]
    assert figures.save(figure, tmp_path / "graph.svg").read_text().startswith("<?xml")

    def broken(beside, **_):
        beside.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", broken)
    with pytest.raises(OSError, match="disk full"):
        figures.save(figure, path)
    assert path.read_bytes() == before and [p.name for p in path.parent.iterdir()] == ["graph.png"]


def test_the_atlas_draws_a_tile_per_use_and_hatches_what_is_absent():
    uses = ["trace learning", "grade answers"]
    table = pd.DataFrame({"data": ["a", "b"], "learners": [30, None], "responses": [900, None], uses[0]: [True, None], uses[1]: [False, None]})
    figure = figures.data_atlas(table, uses)
    tiles = figure.axes[0].patches
    assert [bool(tile.get_hatch()) for tile in tiles] == [False, False, True, True]
    assert len({tile.get_facecolor() for tile in tiles[:2]}) == 2
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "b"]
