"""Figures of a learned graph: whether its probabilities hold, whether the logs say anything, and what stands behind each edge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from edukit.report.figures import BLUE, ENDS, GREY, INK, _figure, _short
from edukit.schema import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EDGES = 40  # edges drawn one by one


def edge_reliability(table: pd.DataFrame) -> Figure:
    """How often pairs were prerequisites when the model said p, a panel per part of the benchmark, and how many answers each bin holds.

    Parameters
    ----------
    table : rows of :func:`edukit.graph.calibration.reliability` with ``part`` and ``kind`` (which probabilities; drawn in the order of appearance).
    """
    from matplotlib.ticker import NullFormatter

    if table.empty:
        raise DataError("edge_reliability needs at least one bin; found none. Judge a model on some pairs first.")
    parts, kinds = list(dict.fromkeys(table["part"])), list(dict.fromkeys(table["kind"]))
    figure, axes = _figure(1 + 3.6 * len(parts), 5, 2, len(parts), sharex=True, height_ratios=[3.2, 1])
    for column, part in enumerate(parts):
        top, below = axes[column], axes[len(parts) + column]
        top.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="perfectly calibrated")
        for place, (kind, colour) in enumerate(zip(kinds, (ENDS[0], BLUE, INK, GREY), strict=False)):
            rows = table[(table["part"] == part) & (table["kind"] == kind)]
            aside = 0.008 * (place - (len(kinds) - 1) / 2)
            top.vlines(rows["predicted"] + aside, rows["low"], rows["high"], color=colour, linewidth=2)
            top.plot(rows["predicted"] + aside, rows["observed"], "o", color=colour, label=str(kind))
            below.bar(rows["predicted"] + 3 * aside, rows["n"], width=0.03, color=colour)
        top.set(xlim=(0, 1), ylim=(0, 1), title=str(part).replace("_", " "))
        below.set(xlabel="probability of the edge", yscale="log")
        below.yaxis.set_minor_formatter(NullFormatter())
    axes[0].set_ylabel("share that were prerequisites (95 %)")
    axes[len(parts)].set_ylabel("answers")
    axes[0].legend(frameon=False, fontsize=8)
    return figure


def exchanged_answers(statistic: float, null: np.ndarray, p_value: float, verdict: str) -> Figure:
    """How far some pairs of concepts stand out in the log, beside the same where answers were exchanged among learners of like ability.

    Parameters
    ----------
    statistic, null (R,), p_value, verdict : of a :class:`edukit.graph.stability.GraphTest`.
    """
    if not len(null):
        raise DataError("exchanged_answers needs at least one exchanged log; found none. Run permutation_test with permutations=19 or more.")
    figure, (ax,) = _figure(6, 3.4)
    ax.hist(null, bins=min(30, max(5, len(null) // 4)), color=GREY, label=f"answers exchanged ({len(null)} times)")
    ax.axvline(statistic, color=ENDS[0], linewidth=2, label="as logged")
    ax.set(xlabel="how much some pairs stand out upward (skewness of the scores)", ylabel="exchanged logs")
    ax.set_title(f"{verdict[:1].upper()}{verdict[1:]} (p = {p_value:.2g})", loc="left", fontsize=11)
    ax.legend(frameon=False, fontsize=9)
    return figure


def edge_evidence(edges: pd.DataFrame, names: pd.Series, statistic: str) -> Figure:
    """The strongest edges with the 95 % interval of what they rest on; the darker, the more halves of the learners they were found in.

    Parameters
    ----------
    edges : ``concept_id, requires_id``, the ``statistic`` with ``<statistic>_low`` and ``_high``, and ``stability`` in [0, 1] (NaN = not known).
    names : name of each concept (index concept_id).
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    shown = edges.dropna(subset=[statistic]).nlargest(EDGES, statistic)
    if shown.empty:
        raise DataError(f"edge_evidence needs an edge with {statistic}; found none among {len(edges)}. Choose another statistic.")
    scale = ScalarMappable(Normalize(0, 1), LinearSegmentedColormap.from_list("stability", ["#d5dbe1", BLUE]))
    figure, (ax,) = _figure(8, 1.4 + 0.2 * len(shown))
    at, colours = np.arange(len(shown)), scale.to_rgba(shown["stability"].fillna(0).to_numpy(float))
    ax.hlines(at, shown[f"{statistic}_low"], shown[f"{statistic}_high"], color=colours, linewidth=3)
    ax.scatter(shown[statistic], at, color=colours, s=26, zorder=3)
    ax.axvline(0, color=GREY, linewidth=1)
    labels = [f"{_short(str(names.get(e.requires_id, e.requires_id)), 28)} → {_short(str(names.get(e.concept_id, e.concept_id)), 28)}"
              for e in shown.itertuples()]
    ax.set_yticks(at, labels, fontsize=8)
    ax.set(ylim=(len(shown) - 0.5, -0.5), xlabel=statistic.replace("_", " "))
    rest = len(edges) - len(shown)
    ax.set_title(f"What stands behind the edges{f'; {rest} more are not drawn' if rest else ''}", loc="left", fontsize=11)
    figure.colorbar(scale, ax=ax, shrink=min(1.0, 8 / len(shown)), label="share of halves of the learners with the edge")
    return figure
