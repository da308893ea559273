"""Figures of the benchmark of prerequisites: models beside floors, what more training pairs bring, and how far a probability can be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from edukit.report.figures import BLUE, GREY, _figure
from edukit.schema import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def average_precisions(table: pd.DataFrame, floors: tuple[str, ...]) -> Figure:
    """Average precision with its interval, a panel per part and data set; floors grey, models coloured, the random ranking a dotted line.

    Parameters
    ----------
    table : ``data, split, model, value, low, high, chance``.
    floors : models drawn grey.
    """
    import seaborn

    if table.empty:
        raise DataError("average_precisions needs at least one score; found none. Run the benchmark first.")
    labels, panels, models = (list(dict.fromkeys(table[c])) for c in ("data", "split", "model"))
    figure, axes = _figure(2.9 * len(labels) + 1.4, (0.24 * len(models) + 0.8) * len(panels) + 0.4, len(panels), len(labels), sharex="col", sharey=True)
    colours = dict(zip([m for m in models if m not in floors], seaborn.color_palette("husl", len(models)), strict=False))
    for place, ax in enumerate(axes):
        part, label = panels[place // len(labels)], labels[place % len(labels)]
        of = table[(table["data"] == label) & (table["split"] == part)]
        for row in of.itertuples(index=False):
            at, colour = models.index(row.model), colours.get(row.model, GREY)
            if pd.notna(row.low):
                ax.plot([row.low, row.high], [at, at], color=colour, linewidth=2)
            ax.plot(row.value, at, "o", color=colour, markersize=5)
        if len(of):
            ax.axvline(of["chance"].iloc[0], color=GREY, linestyle=":", linewidth=1)
        ax.set_title(f"{label}\n{part}", fontsize=9, loc="left")
        ax.set_yticks(range(len(models)), models, fontsize=8)
        ax.grid(axis="x", color="#e6eaee")
        ax.set_axisbelow(True)
    axes[0].invert_yaxis()
    figure.supxlabel("average precision, 95 % interval over concepts; dotted: a random ranking", fontsize=9)
    return figure


def learning_curves(table: pd.DataFrame) -> Figure:
    """Average precision by the share of the training pairs, a panel per data set, a line per model with its interval.

    Parameters
    ----------
    table : ``data, model, share, value, low, high``.
    """
    import seaborn

    if table.empty:
        raise DataError("learning_curves needs at least one score; found none. Run the benchmark first.")
    labels, models, shares = list(dict.fromkeys(table["data"])), list(dict.fromkeys(table["model"])), sorted(table["share"].unique())
    figure, axes = _figure(3.2 * len(labels) + 0.8, 3.2, 1, len(labels))
    for ax, label in zip(axes, labels, strict=True):
        for model, colour in zip(models, seaborn.color_palette("colorblind", len(models)), strict=True):
            of = table[(table["data"] == label) & (table["model"] == model)].sort_values("share")
            ax.plot(of["share"], of["value"], "o-", color=colour, label=model, markersize=4)
            ax.fill_between(of["share"], of["low"].astype(float), of["high"].astype(float), color=colour, alpha=0.15, linewidth=0)
        ax.set(title=label, xlabel="share of the training pairs", xscale="log")
        ax.set_xticks(shares, [f"{share:g}" for share in shares])
        ax.minorticks_off()
    axes[0].set_ylabel("average precision")
    axes[0].legend(frameon=False, fontsize=8)
    return figure


def reliabilities(table: pd.DataFrame) -> Figure:
    """How often a pair was a prerequisite when the model said p, a panel per data set; the larger a dot, the more answers it stands for.

    No interval is drawn: answers about the same concepts, and of several seeds, are not independent.

    Parameters
    ----------
    table : ``data, model, predicted, observed, n, ece``, of one model per data set.
    """
    if table.empty:
        raise DataError("reliabilities needs at least one bin of answers; found none. Run the benchmark first, with the track inductive.")
    labels = list(dict.fromkeys(table["data"]))
    figure, axes = _figure(2.9 * len(labels) + 0.6, 3.4, 1, len(labels), sharey=True)
    for ax, label in zip(axes, labels, strict=True):
        of = table[table["data"] == label].sort_values("predicted")
        ax.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
        ax.plot(of["predicted"], of["observed"], color=BLUE, linewidth=1)
        ax.scatter(of["predicted"], of["observed"], s=12 + 150 * of["n"] / of["n"].sum(), color=BLUE)
        ax.set_title(f"{label}\n{of['model'].iloc[0]}, ECE {of['ece'].iloc[0]:.3f}, {int(of['n'].sum()):,} answers", fontsize=9, loc="left")
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="probability said")
    axes[0].set_ylabel("share that were prerequisites")
    return figure
