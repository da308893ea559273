"""Gaps between groups as a picture: what was found, how sure it is, and which groups have too few learners to tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from edukit.governance.fairness import ESTIMATED, GAPS, LEVEL
from edukit.report.figures import BLUE, ENDS, GREY, INK, _figure, _short
from edukit.schema import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLES = {"abroca": "ranking (ABROCA)", "tpr_gap": "found when they should be", "fpr_gap": "false alarms", "calibration_gap": "more often than predicted"}


def gaps_by_group(table: pd.DataFrame, most: int = 60) -> Figure:
    """A line per group, a panel per kind of gap: the gap to all others with its 95 % interval; filled diamonds hold after correction for all tests.

    Parameters
    ----------
    table : of :func:`edukit.governance.fairness.audit`.
    most : groups drawn; the title says how many more there are.
    """
    if table.empty:
        raise DataError("gaps_by_group needs a group; found none. The data has no attribute of learners.")
    shown, names = table.head(most).reset_index(drop=True), ["abroca", *GAPS]
    figure, axes = _figure(3 + 2.3 * len(names), 1.5 + 0.27 * len(shown), 1, len(names), sharey=True)
    for ax, name in zip(axes, names, strict=True):
        start = "" if name == "abroca" else f"{name}_"
        for at, row in shown.iterrows():
            if row["state"] != ESTIMATED or not np.isfinite(row[name]):
                said = row["state"] if row["state"] != ESTIMATED else "not enough data"
                ax.text(0, at, said, color=INK, fontsize=6.5, va="center", ha="left", style="italic")
                continue
            holds = row[f"{start}p_adjusted"] < LEVEL
            ax.hlines(at, row[f"{start}low"], row[f"{start}high"], color=GREY, linewidth=2.5)
            ax.plot(row[name], at, "D" if holds else "o", color=ENDS[0] if holds else BLUE, markerfacecolor=ENDS[0] if holds else "white", markersize=5)
        ax.axvline(0, color=INK, linewidth=0.7)
        ax.set_title(TITLES[name], fontsize=10)
        ax.grid(axis="x", color="#e6eaee")
        ax.set_axisbelow(True)
    axes[0].set_yticks(range(len(shown)), [_short(f"{row.attribute} = {row.group}", 40) for row in shown.itertuples()], fontsize=8)
    axes[0].set_ylim(len(shown) - 0.5, -0.5)
    more = len(table) - len(shown)
    figure.suptitle("Each group less all others; diamonds hold after correction for all tests" + (f"; {more} more groups are not drawn" if more else ""),
                    fontsize=10)
    return figure
