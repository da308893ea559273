"""Figures of forecasts: what is lost with every step ahead, how much intervals hold, and one learner's score as it may come out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from edukit.report.figures import BLUE, ENDS, GREY, INK, _figure
from edukit.schema import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AROUND = 0.05  # of the level: intervals that hold so much more or less are well


def steps_ahead(records: pd.DataFrame, level: float) -> Figure:
    """Left: log-loss by step ahead, a line per forecast. Right: how often intervals of the share right held it, a bar per number of responses.

    Parameters
    ----------
    records : metric records ``log_loss`` with channel ``step k``; ``coverage`` and ``coverage_as_drawn`` with channel ``share of k``.
    level : what an interval should hold; the band is .05 around it.
    """
    import seaborn

    records = records[records["group"].isna()]
    steps = records[(records["name"] == "log_loss") & records["channel"].fillna("").str.fullmatch(r"step \d+")]
    if steps.empty:
        raise DataError("steps_ahead needs log_loss by step; found none. Run a forecast first: edukit run forecast.")
    figure, (left, right) = _figure(10, 3.8, 1, 2)
    models = list(dict.fromkeys(steps["model"]))
    colours = dict(zip(models, seaborn.color_palette("colorblind", len(models)), strict=True))
    for model in models:
        own = steps[steps["model"] == model].assign(step=lambda t: t["channel"].str.split().str[-1].astype(int)).sort_values("step")
        left.plot(own["step"], own["value"], color=colours[model], linewidth=1.6, label=str(model).replace("_", " "))
        left.fill_between(own["step"], own["low"].astype(float), own["high"].astype(float), color=colours[model], alpha=0.1, linewidth=0)
    left.set(xlabel="responses ahead", ylabel="log-loss (95 % band)")
    left.set_xticks(range(0, int(steps["channel"].str.split().str[-1].astype(int).max()) + 1, 5))
    left.set_title("What each step ahead costs", loc="left", fontsize=10)
    _held(right, records, level, colours)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=len(models), frameon=False, fontsize=8)
    return figure


def _held(ax: Axes, records: pd.DataFrame, level: float, colours: dict) -> None:
    """Coverage by number of responses: a filled dot with its interval as stated, an empty one as drawn."""
    some = records[records["name"].isin(["coverage", "coverage_as_drawn"]) & records["channel"].fillna("").str.startswith("share of ")]
    sizes = sorted({int(channel.split()[-1]) for channel in some["channel"]})
    models = [model for model in colours if model in set(some["model"])]
    ax.axhspan(level - AROUND, level + AROUND, color="#e6eaee", zorder=0)
    ax.axhline(level, color=GREY, linewidth=0.8, linestyle="--")
    for place, model in enumerate(models):
        for row in some[some["model"] == model].itertuples():
            at = sizes.index(int(row.channel.split()[-1])) + 0.18 * (place - (len(models) - 1) / 2)
            final = row.name == "coverage"
            if final:
                ax.vlines(at, row.low, row.high, color=colours[model], linewidth=2)
            ax.plot(at, row.value, "o", color=colours[model], markersize=5, markerfacecolor=colours[model] if final else "white")
    ax.set_xticks(range(len(sizes)), [str(size) for size in sizes])
    ax.set(xlabel="responses whose share is forecast", ylabel=f"share of {level:.0%} intervals that held it")
    ax.set_title("Do intervals hold what they say? (empty: as drawn)", loc="left", fontsize=10)


def fan(table: pd.DataFrame, earlier: pd.DataFrame, level: float = 0.8) -> Figure:
    """One learner: the share right so far, and where it may go, of the responses to come, with its interval; the dots are what came, where it is known.

    Parameters
    ----------
    table : ``step_ahead, share, share_low, share_high`` of one learner, and ``came`` where it is known.
    earlier : ``correct`` of the learner's responses before, in their order.
    level : what the interval should hold.
    """
    if table.empty:
        raise DataError("fan needs the forecast of one learner; found no row. Choose a learner who was forecast.")
    figure, (ax,) = _figure(7, 3.4)
    so_far = earlier["correct"].expanding().mean()
    ax.plot(range(1 - len(so_far), 1), so_far, color=INK, linewidth=1.4, label="share right so far")
    ax.fill_between(table["step_ahead"], table["share_low"], table["share_high"], color=BLUE, alpha=0.2, linewidth=0, label=f"{level:.0%} interval")
    ax.plot(table["step_ahead"], table["share"], color=BLUE, linewidth=1.6, label="forecast share right from here on")
    if "came" in table:
        ax.plot(table["step_ahead"], table["came"].expanding().mean(), "o", color=ENDS[0], markersize=4, label="what came")
    ax.axvline(0.5, color=GREY, linewidth=0.8)
    ax.set(xlabel="responses from here", ylabel="share right", ylim=(-0.02, 1.02))
    ax.legend(frameon=False, fontsize=8)
    return figure
