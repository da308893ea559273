"""Figures of a learned graph: they draw what they are given, say what is not drawn, and refuse nothing at all in words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.report.figures import save
from edukit.report.graph_figures import EDGES, edge_evidence, edge_reliability, exchanged_answers
from edukit.schema import DataError


def test_reliability_has_a_panel_per_part_and_a_colour_per_kind(tmp_path):
    table = pd.DataFrame({"predicted": [0.1, 0.9], "observed": [0.2, 0.8], "low": [0.1, 0.6], "high": [0.3, 0.9], "n": [40, 12]})
    table = pd.concat([table.assign(part=part, kind=kind) for part in ("grouped", "inductive_both") for kind in ("raw", "put right")])
    figure = edge_reliability(table)
    assert [ax.get_title() for ax in figure.axes[:2]] == ["grouped", "inductive both"] and len(figure.axes) == 4
    assert {text.get_text() for text in figure.axes[0].get_legend().get_texts()} == {"perfectly calibrated", "raw", "put right"}
    assert save(figure, tmp_path / "r.png").stat().st_size > 5_000


def test_exchanged_answers_show_the_verdict_and_the_value():
    figure = exchanged_answers(1.5, np.random.default_rng(0).normal(size=99), 0.01, "the logs carry no information here")
    assert figure.axes[0].get_title(loc="left") == "The logs carry no information here (p = 0.01)"
    assert any(line.get_xdata()[0] == 1.5 for line in figure.axes[0].lines)


def test_evidence_draws_the_strongest_edges_and_counts_the_rest():
    size = EDGES + 5
    edges = pd.DataFrame({"concept_id": [f"c{i}" for i in range(size)], "requires_id": "a", "z": np.arange(size, dtype=float),
                          "z_low": np.arange(size) - 1.0, "z_high": np.arange(size) + 1.0, "stability": np.linspace(0, 1, size)})
    edges.loc[0, "stability"] = np.nan
    figure = edge_evidence(edges, pd.Series({"a": "Counting $5", "c44": "Adding"}), "z")
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert len(labels) == EDGES and labels[0] == r"Counting \$5 → Adding" and "5 more are not drawn" in figure.axes[0].get_title(loc="left")


def test_nothing_to_draw_is_said():
    with pytest.raises(DataError, match="at least one bin"):
        edge_reliability(pd.DataFrame())
    with pytest.raises(DataError, match="at least one exchanged log"):
        exchanged_answers(0.0, np.empty(0), np.nan, "not enough data")
    with pytest.raises(DataError, match="found none among 0"):
        edge_evidence(pd.DataFrame({"z": []}), pd.Series(dtype=str), "z")
