"""What a graph costs as the number of its concepts grows, and what tracing costs as the log grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from edukit.report.figures import GREY, INK, _figure
from edukit.schema import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAST = 0.01  # seconds; what took less is drawn here


def graph_growth(table: pd.DataFrame, data: str = "") -> Figure:
    """Seconds and peak memory of each step by the number of concepts, all axes logarithmic.

    Guides: how much linear and quadratic growth would be from the cheapest step on, and what one dense matrix of all concepts by all would hold.

    Parameters
    ----------
    table : one row a step and size: ``step, concepts, seconds, peak_mb``.
    data : a sentence on what was measured, written below.
    """
    import seaborn

    if table.empty:
        raise DataError("graph_growth needs at least one measured step; found none. Measure some sizes first.")
    figure, axes = _figure(10, 4.8, 1, 2)
    sizes = np.array(sorted(table["concepts"].unique()), float)
    steps = list(dict.fromkeys(table["step"]))
    colours = dict(zip(steps, seaborn.color_palette("colorblind", len(steps)), strict=True))
    for ax, column in zip(axes, ("seconds", "peak_mb"), strict=True):
        for step, marker in zip(steps, "osD^vPX" * len(steps), strict=False):
            part = table[table["step"] == step].sort_values("concepts")
            ax.plot(part["concepts"], part[column].clip(lower=LEAST), marker=marker, color=colours[step], label=step)
        if column == "seconds":
            base = max(float(table.loc[table["concepts"] == sizes[0], column].min()), LEAST)
            guides = {"in proportion": base * sizes / sizes[0], "squared": base * (sizes / sizes[0]) ** 2}
        else:
            guides = {"for comparison: one matrix of all concepts\nby all, not made beyond 5,000": 8 * sizes**2 / 2**20}
        for (words, height), style in zip(guides.items(), (":", "--"), strict=False):
            ax.plot(sizes, height, color=GREY, linestyle=style, linewidth=1, zorder=0)
            ax.annotate(words, (sizes[-1], height[-1]), (-4, 4), textcoords="offset points", color=GREY, fontsize=8, ha="right", va="bottom")
        shown = table[column].clip(lower=LEAST)
        ax.set(xscale="log", yscale="log", xlabel="concepts in the graph", ylim=(shown.min() / 2, max(shown.max(), *(g[-1] for g in guides.values())) * 4))
        ax.set_xticks(sizes, [f"{size:,.0f}" for size in sizes], fontsize=8)
    _units(axes)
    axes[0].set_title("Processor time of each step", loc="left", fontsize=11)
    axes[1].set_title("Largest memory of the whole process", loc="left", fontsize=11)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(steps), frameon=False, fontsize=9)
    figure.suptitle(data, x=0.01, ha="left", fontsize=8, color=INK)
    return figure


def _units(axes: list[Axes]) -> None:
    """Seconds on the left, memory on the right, in words; a quiet grid."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    for ax in axes:
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.grid(color="#e6eaee")
        ax.set_axisbelow(True)
    axes[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} s"))
    axes[1].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1000:g} GB" if value >= 1000 else f"{value:g} MB"))


def tracing_growth(table: pd.DataFrame, data: str = "") -> Figure:
    """Processor seconds, and memory beyond the table, of fitting and asking each model by the number of responses, all axes logarithmic.

    Guides: growth in proportion to the responses, from the cheapest model on, and the memory of the table itself.

    Parameters
    ----------
    table : one row a model, step and size: ``model, step, rows, processor_seconds, extra_mb``, and ``table_mb`` where the table was whole.
    data : a sentence on what was measured, written below.
    """
    import seaborn
    from matplotlib.lines import Line2D

    if table.empty:
        raise DataError("tracing_growth needs at least one measured step; found none. Measure some sizes first.")
    figure, axes = _figure(11, 5.2, 1, 2)
    models, steps = list(dict.fromkeys(table["model"])), list(dict.fromkeys(table["step"]))
    colours = dict(zip(models, seaborn.color_palette("colorblind", len(models)), strict=True))
    styles, marks = dict(zip(steps, ("-", "--", ":", "-.") * len(steps), strict=False)), dict(zip(steps, "osD^" * len(steps), strict=False))
    whole = table[table["table_mb"].notna()].drop_duplicates("rows").sort_values("rows") if "table_mb" in table else table.iloc[:0]
    sizes = np.array(sorted(table["rows"].unique()), float)
    for ax, column, least in zip(axes, ("processor_seconds", "extra_mb"), (LEAST, 1.0), strict=True):
        for (model, step), part in table.sort_values("rows").groupby(["model", "step"], sort=False):
            ax.plot(part["rows"], part[column].clip(lower=least), color=colours[model], linestyle=styles[step], marker=marks[step], markersize=4,
                    label=f"{model} {step}")
        ax.set(xscale="log", yscale="log", xlabel="responses in the log")
        ax.set_xticks(sizes, [f"{size / 1e6:.3g} M" for size in sizes], fontsize=8)
    base = max(float(table.loc[table["rows"] == sizes[0], "processor_seconds"].min()), LEAST) / 2
    for ax, x, y, words in ((axes[0], sizes, base * sizes / sizes[0], "in proportion"), (axes[1], whole["rows"], whole.get("table_mb"), "the table itself")):
        if len(x):
            ax.plot(x, y, color=GREY, linewidth=1, zorder=0)
            ax.annotate(words, (np.asarray(x)[-1], np.asarray(y)[-1]), (-4, 4), textcoords="offset points", color=GREY, fontsize=8, ha="right")
    _units(axes)
    axes[0].set_title("Processor time", loc="left", fontsize=11)
    axes[1].set_title("Memory beyond the process and its table", loc="left", fontsize=11)
    handles = [Line2D([], [], color=colour, label=model) for model, colour in colours.items()]
    handles += [Line2D([], [], color=INK, linestyle=styles[step], marker=marks[step], markersize=4, label=step) for step in steps]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=8)
    figure.suptitle(data, x=0.01, ha="left", fontsize=8, color=INK)
    return figure
