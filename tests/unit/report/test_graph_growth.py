"""The figure of what a graph costs: one line a step in both panels, readable units, and what was measured."""

import pandas as pd
import pytest

from edukit.report.figures import save
from edukit.report.graph_growth import graph_growth, tracing_growth
from edukit.schema import DataError


def test_every_step_has_a_line_in_both_panels_with_units(tmp_path):
    rows = pd.DataFrame([{"step": step, "concepts": size, "seconds": size / 1e5, "peak_mb": 100 + size / 10} for step in ("read", "learn")
                         for size in (20_000, 400, 5_000)])
    figure = graph_growth(rows, "Invented data.")
    assert all(ax.get_xscale() == ax.get_yscale() == "log" and ax.get_xlabel() == "concepts in the graph" for ax in figure.axes)
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["400", "5,000", "20,000"]
    for ax in figure.axes:
        drawn = {line.get_label(): line for line in ax.lines}
        assert list(drawn["read"].get_xdata()) == [400, 5_000, 20_000]
        assert min(drawn["learn"].get_ydata()) > 0
    memory = figure.axes[1].yaxis.get_major_formatter()
    assert (memory(100), memory(1000), figure.axes[0].yaxis.get_major_formatter()(0.1)) == ("100 MB", "1 GB", "0.1 s")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["read", "learn"] and figure.get_suptitle() == "Invented data."
    assert save(figure, tmp_path / "g.png").stat().st_size > 5_000


def test_a_single_size_is_drawn_and_nothing_is_refused(tmp_path):
    one = pd.DataFrame({"step": ["read"], "concepts": [400], "seconds": [0.0], "peak_mb": [100.0]})
    assert save(graph_growth(one), tmp_path / "one.png").stat().st_size > 5_000
    with pytest.raises(DataError, match="at least one measured step"):
        graph_growth(one.iloc[:0])


def test_tracing_has_a_line_for_every_model_and_step_and_one_for_the_table(tmp_path):
    rows = pd.DataFrame([{"model": model, "step": step, "rows": size, "processor_seconds": size / 1e5, "extra_mb": 0.0 if step == "ask" else size / 1e4,
                          "table_mb": None if step == "ask" else size / 3e4} for model in ("irt", "dkt") for step in ("fit", "ask")
                         for size in (3_000_000, 300_000)])
    figure = tracing_growth(rows, "Invented logs.")
    time, memory = ({line.get_label(): line for line in ax.lines} for ax in figure.axes)
    assert {"irt fit", "irt ask", "dkt fit", "dkt ask"} <= set(time) & set(memory) and len(time) == len(memory) == 5
    assert list(time["dkt fit"].get_xdata()) == [300_000, 3_000_000] and min(memory["irt ask"].get_ydata()) > 0
    assert memory["dkt fit"].get_color() == memory["dkt ask"].get_color() != memory["irt ask"].get_color()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["irt", "dkt", "fit", "ask"]
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["0.3 M", "3 M"]
    assert save(figure, tmp_path / "g.png").stat().st_size > 5_000
    with pytest.raises(DataError, match="at least one measured step"):
        tracing_growth(rows.iloc[:0])
