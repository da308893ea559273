"""What a graph costs as the number of its concepts grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from edukit.report.figures import GREY, INK, _figure
from edukit.schema import DataError

if TYPE_CHECKING:
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
    from matplotlib.ticker import FuncFormatter, NullFormatter

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
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.grid(color="#e6eaee")
        ax.set_axisbelow(True)
    axes[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} s"))
    axes[1].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1000:g} GB" if value >= 1000 else f"{value:g} MB"))
    axes[0].set_title("Processor time of each step", loc="left", fontsize=11)
    axes[1].set_title("Largest memory of the whole process", loc="left", fontsize=11)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(steps), frameon=False, fontsize=9)
    figure.suptitle(data, x=0.01, ha="left", fontsize=8, color=INK)
    return figure
