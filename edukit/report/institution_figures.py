"""Pictures of the institution's report: a funnel of module gaps, small multiples of engagement, intervals in a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from edukit.report.figures import BLUE, GREY, INK, _figure, _short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ORANGE = "#c4570a"  # told from the blue by every kind of colour vision, and by its shape
NAMED = 12  # dots of the funnel that are named
LIMITS = {"95": 1.959964, "99.8": 3.090232}


def funnel(table: pd.DataFrame) -> Figure:
    """Gap of each run against its precision, with the limits that chance alone allows; squares lie outside them."""
    known = table[table["gap"].notna()]
    figure, (ax,) = _figure(8, 4.6)
    if len(known):
        errors = np.linspace(0, known["error"].max() * 1.1, 60)
        for name, z in LIMITS.items():
            ax.plot(1 / np.maximum(errors, 1e-6)[1:], z * errors[1:], color=GREY, linestyle="-" if name == "95" else "--", label=f"{name} % limits of chance")
            ax.plot(1 / np.maximum(errors, 1e-6)[1:], -z * errors[1:], color=GREY, linestyle="-" if name == "95" else "--")
        out = known["state"] != "inside"
        ax.scatter(1 / known.loc[~out, "error"], known.loc[~out, "gap"], color=BLUE, s=26, label="inside", zorder=3)
        ax.scatter(1 / known.loc[out, "error"], known.loc[out, "gap"], color=ORANGE, marker="s", s=30, label="outside", zorder=3)
        for row in known[out].sort_values("gap", key=abs, ascending=False).head(NAMED).itertuples():
            name = _short(f"{row.module_id} {row.presentation}", 18)
            ax.annotate(name, (1 / row.error, row.gap), xytext=(4, 3), textcoords="offset points", fontsize=7, color=INK)
        reach = 1 / known["error"]
        ax.set_xlim(reach.min() * 0.9, reach.max() * 1.12)
        most = max(known["gap"].abs().max() * 1.2, LIMITS["99.8"] * known["error"].max() * 0.9)
        ax.set_ylim(-most, most)
        ax.legend(fontsize=7, loc="lower right")
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.set_xlabel("precision (1 / error of chance)")
    ax.set_ylabel("passed, less expected of the intake")
    return figure


def trends(table: pd.DataFrame) -> Figure:
    """A panel a group: share active by week with its 95 % interval, over the line of everybody."""
    whole = table[table["group"] == "all"].sort_values("week")
    groups = sorted(set(table["group"]) - {"all"}) or ["all"]
    columns = min(len(groups), 4)
    rows = -(-len(groups) // columns)
    figure, axes = _figure(2.6 * columns + 0.6, 2.0 * rows + 0.5, rows, columns, sharex=True, sharey=True)
    for ax, group in zip(axes, groups, strict=False):
        part = table[table["group"] == group].sort_values("week")
        ax.plot(whole["week"], whole["value"], color=GREY, linestyle="--", linewidth=1)
        ax.fill_between(part["week"], part["low"].astype(float), part["high"].astype(float), color=BLUE, alpha=0.25, linewidth=0)
        ax.plot(part["week"], part["value"], color=BLUE, linewidth=1.4)
        ax.set_title(_short(str(group), 24), fontsize=8)
        ax.set_ylim(0, 1)
    for ax in axes[len(groups):]:
        ax.set_visible(False)
    figure.supxlabel("week", fontsize=8)
    figure.supylabel("share active (dashed: everybody)", fontsize=8)
    return figure


def intervals(table: pd.DataFrame, label: str, value: str, mark: float | None = None, most: int = 40) -> Figure:
    """A line a row: the value with its interval; rows without a number say so."""
    shown = table.head(most).reset_index(drop=True)
    figure, (ax,) = _figure(7, 0.9 + 0.23 * max(len(shown), 1))
    for at, row in shown.iterrows():
        if pd.isna(row[value]):
            ax.text(0.5 if mark is None else mark, at, row["state"], fontsize=7, va="center", ha="center", style="italic", color=INK)
            continue
        ax.hlines(at, row["low"], row["high"], color=GREY, linewidth=2.5)
        ax.plot(row[value], at, "o", color=BLUE, markersize=4)
    if mark is not None:
        ax.axvline(mark, color=INK, linewidth=0.8, linestyle="--")
    ax.set_yticks(range(len(shown)), [_short(str(name), 40) for name in shown[label]], fontsize=7)
    ax.invert_yaxis()
    return figure
