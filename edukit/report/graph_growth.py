"""What a graph costs as the number of its concepts grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from edukit.report.figures import GREY, _figure
from edukit.schema import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def graph_growth(table: pd.DataFrame) -> Figure:
    """Seconds and peak memory of each step by the number of concepts, all axes logarithmic; thin lines are linear and quadratic growth.

    Parameters
    ----------
    table : one row a step and size: ``step, concepts, seconds, peak_mb``.
    """
    import seaborn
    from matplotlib.ticker import FuncFormatter

    if table.empty:
        raise DataError("graph_growth needs at least one measured step; found none. Measure some sizes first.")
    figure, axes = _figure(9, 4, 1, 2)
    least, most = table["concepts"].min(), table["concepts"].max()
    for ax, column, label in zip(axes, ("seconds", "peak_mb"), ("seconds of processor", "peak memory (MB)"), strict=True):
        shown = table.assign(value=table[column].clip(lower=0.01))
        base = shown.loc[shown["concepts"] == least, "value"].min()
        for power, style in ((1, ":"), (2, "--")):
            ax.plot([least, most], [base, base * (most / least) ** power], color=GREY, linestyle=style, linewidth=1, zorder=0)
        seaborn.lineplot(shown, x="concepts", y="value", hue="step", style="step", markers=True, dashes=False, palette="colorblind", ax=ax,
                         legend=column == "seconds")
        ax.set(xscale="log", yscale="log", xlabel="concepts", ylabel=label, ylim=(shown["value"].min() / 2, shown["value"].max() * 3))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        ax.grid(color="#e6eaee")
        ax.set_axisbelow(True)
    axes[0].legend(frameon=False, fontsize=9, title=None)
    axes[0].set_title("Time; dotted: linear, dashed: quadratic", loc="left", fontsize=11)
    axes[1].set_title("Memory of the whole process", loc="left", fontsize=11)
    return figure
