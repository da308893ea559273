"""Figures of policies and of forecasts say what their tables say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.metrics import record
from edukit.report import forecast_figures, recommend_figures
from edukit.schema import DataError


def test_the_matrix_names_every_cell_and_leaves_untried_ones_empty():
    told = (("gated", "zpdes", 0.5), ("gated", "random", 0.2), ("open", "zpdes", 0.7), ("open", "random", 0.71))
    rows = [("given graph", w, p, v, v - 0.01, v + 0.02) for w, p, v in told]
    rows.append(("25% missing", "gated", "zpdes", 0.4, 0.39, 0.41))
    table = pd.DataFrame(rows, columns=["graph", "world", "policy", "value", "low", "high"])
    figure = recommend_figures.policy_matrix(table)
    first, second = figure.axes
    assert {text.get_text() for text in first.texts} == {".500\n.490 to .520", ".200\n.190 to .220", ".700\n.690 to .720", ".710\n.700 to .730"}
    assert [text.get_text() for text in second.texts if text.get_text()] == [".400\n.390 to .410"]
    assert [label.get_text() for label in second.get_yticklabels()] == ["zpdes"]


def test_mastery_is_drawn_over_steps_in_every_world():
    rows = [(w, p, s, t, 0.1 * t + 0.01 * s) for w in ("gated", "open") for p in ("zpdes", "random", "greedy") for s in (0, 1) for t in range(4)]
    figure = recommend_figures.mastery_over_steps(pd.DataFrame(rows, columns=["world", "policy", "seed", "step", "mastery"]), ("zpdes", "random"))
    axes = [ax for ax in figure.axes if ax.lines]
    assert len(axes) == 2 and all(len(ax.lines) == 3 and len(ax.collections) == 2 for ax in axes)
    np.testing.assert_allclose(axes[0].lines[-1].get_ydata(), 0.1 * np.arange(4) + 0.005)


def test_a_forecast_is_drawn_by_step_and_by_score():
    where = {"split": "learner"}
    rows = [record("log_loss", 0.5 + 0.01 * k, 40, 0.4, 0.6, model=m, channel=f"step {k}", **where) for m in ("logistic", "item_mean") for k in (1, 2, 3)]
    rows += [record(name, 0.8, 40, 0.7, 0.9, model="logistic", channel=f"share of {k}", **where) for name in ("coverage", "coverage_as_drawn") for k in (3, 10)]
    left, right = forecast_figures.steps_ahead(pd.DataFrame(rows), 0.8).axes
    assert len(left.lines) == 2 and [label.get_text() for label in right.get_xticklabels()] == ["3", "10"]
    empty = [line for line in right.lines if line.get_markerfacecolor() == "white"]
    assert len(empty) == 2


def test_the_fan_of_one_learner_shows_what_came_only_where_it_is_known():
    table = pd.DataFrame({"step_ahead": [1, 2], "share": [0.5, 0.6], "share_low": [0.2, 0.3], "share_high": [0.9, 0.8]})
    earlier = pd.DataFrame({"correct": [1.0, 0.0, 1.0]})
    ax, = forecast_figures.fan(table, earlier).axes
    known, = forecast_figures.fan(table.assign(came=[1.0, 0.0]), earlier).axes
    assert len(known.lines) == len(ax.lines) + 1 and ax.lines[0].get_ydata()[-1] == pytest.approx(2 / 3)


@pytest.mark.parametrize("draw", [recommend_figures.policy_matrix, recommend_figures.mastery_over_steps,
                                  lambda table: forecast_figures.fan(table, table), lambda table: forecast_figures.steps_ahead(table, 0.8)])
def test_nothing_to_draw_is_said(draw):
    with pytest.raises(DataError, match="found no"):
        draw(pd.DataFrame(columns=["name", "group", "channel"]))
