"""Figures of a comparison of tracing models: calibration before and after, the first answers of a learner, and what a better score costs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from edukit import metrics
from edukit.report.figures import BLUE, ENDS, GREY, INK, _figure, _short
from edukit.schema import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 4  # panels side by side
MARKERS = "osD^vP*Xh<>p"
FIRST = re.compile(r"first (\d+) answers")


def reliabilities(y: np.ndarray, said: Mapping[str, tuple[Sequence[np.ndarray], Sequence[np.ndarray]]]) -> Figure:
    """How often learners were right when each model said p, before and after calibration; the larger a dot, the more answers.

    Parameters
    ----------
    y : (N,) right answers.
    said : per model the probabilities (N,) of every cell, before and after calibration; cells are drawn together, their errors are averaged.
    """
    if not said:
        raise DataError("reliabilities needs the probabilities of one model at least; found none. Fit a model first.")
    rows = -(-len(said) // COLUMNS)
    figure, axes = _figure(2.6 * min(len(said), COLUMNS) + 0.8, 2.7 * rows + 0.5, rows, min(len(said), COLUMNS), sharex=True, sharey=True)
    for ax, (model, both) in zip(axes, said.items(), strict=False):
        ax.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
        error = [np.mean([metrics.ece(y, p) for p in cells]) for cells in both]
        for cells, colour, marker, label in zip(both, (ENDS[0], BLUE), "so", ("as it is", "calibrated"), strict=True):
            table = pd.DataFrame(metrics.reliability(np.tile(y, len(cells)), np.concatenate(cells)))
            ax.plot(table["predicted"], table["observed"], color=colour, linewidth=1)
            ax.scatter(table["predicted"], table["observed"], s=8 + 120 * table["n"] / table["n"].sum(), color=colour, marker=marker, label=label, alpha=0.8)
        ax.set_title(f"{_short(model, 26)}\nECE {error[0]:.3f} → {error[1]:.3f}", fontsize=9, loc="left")
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    for ax in axes[len(said):]:
        ax.set_axis_off()
    axes[0].legend(frameon=False, fontsize=8)
    figure.supxlabel("said probability of a right answer", fontsize=9)
    figure.supylabel("observed share", fontsize=9)
    return figure


def cold_start(records: Sequence[Mapping], floors: Sequence[str] = ()) -> Figure:
    """AUC on the first k answers of a learner, a line per model with its interval; floors grey.

    Parameters
    ----------
    records : metric records with groups ``first k answers``.
    """
    import seaborn

    rows = [(r["model"], int(found[1]), r["value"], r["low"], r["high"]) for r in records
            if r["name"] == "auc" and r["value"] is not None and (found := FIRST.fullmatch(str(r["group"])))]
    if not rows:
        raise DataError("cold_start needs scores on the first answers of learners; found none. The order of responses must be known.")
    table = pd.DataFrame(rows, columns=["model", "k", "value", "low", "high"]).sort_values("k", kind="stable")
    last = table[table["k"] == table["k"].max()].sort_values("value", ascending=False)
    models = list(dict.fromkeys([*last["model"], *table["model"]]))
    colours = dict(zip([m for m in models if m not in floors], seaborn.color_palette("colorblind", len(models)), strict=False))
    figure, (ax,) = _figure(7.4, 4.2)
    for place, model in enumerate(models):
        own, colour = table[table["model"] == model], colours.get(model, GREY)
        x = own["k"] * 1.012 ** (place - len(models) / 2)  # beside each other, so that no interval hides another
        ax.vlines(x, own["low"].astype(float), own["high"].astype(float), color=colour, linewidth=1, alpha=0.6)
        ax.plot(x, own["value"].astype(float), color=colour, marker=MARKERS[place % len(MARKERS)], markersize=5, linewidth=1.2, label=_short(model, 26))
    ticks = sorted(table["k"].unique())
    ax.set(xscale="log", xlabel="first answers of each test learner", ylabel="AUC")
    ax.set_xticks(ticks, [str(k) for k in ticks])
    ax.minorticks_off()
    ax.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def cost(records: Sequence[Mapping]) -> Figure:
    """AUC against the processor seconds of a fit, a dot per model with its interval; up and left is better.

    Parameters
    ----------
    records : metric records ``auc`` and ``fit_seconds`` of the split ``test``.
    """
    auc = {r["model"]: r for r in records if r["name"] == "auc" and r["split"] == "test" and not r["group"]}
    seconds = {r["model"]: max(float(r["value"]), 0.01) for r in records if r["name"] == "fit_seconds"}
    models = sorted(set(auc) & set(seconds), key=lambda m: seconds[m])
    if not models:
        raise DataError("cost needs the AUC and the seconds of one model at least; found none. Fit a model first.")
    figure, (ax,) = _figure(7.4, 4.2)
    for place, model in enumerate(models):
        one = auc[model]
        ax.vlines(seconds[model], one["low"], one["high"], color=GREY, linewidth=2)
        ax.plot(seconds[model], one["value"], MARKERS[place % len(MARKERS)], color=BLUE, markersize=6)
        ax.annotate(_short(model, 26), (seconds[model], one["value"]), textcoords="offset points", xytext=(6, 5 if place % 2 else -11), fontsize=8, color=INK)
    ax.set(xscale="log", xlabel="processor seconds of one fit, one thread", ylabel="AUC, 95 % interval over learners")
    ax.margins(x=0.2)
    ax.grid(color="#e6eaee")
    ax.set_axisbelow(True)
    return figure
