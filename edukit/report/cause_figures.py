"""How often a named cause is right, and how many of the planted ones are found: one picture over worlds and variants."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from edukit.report.figures import BLUE, GREY, INK, _figure
from edukit.schema import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = {"prior_knowledge": "prior knowledge", "teaching": "teaching", "content": "content", "curriculum_wide": "curriculum-wide"}
MODELS = {"posterior": ("o", BLUE, "the posterior"), "no_graph": ("s", INK, "without a graph"), "naive": ("D", GREY, "thresholds on raw rates")}


def causes_found(records: Sequence[dict], channel: str) -> Figure:
    """Precision and recall of each cause, a column each, with their 95 % intervals; a row for each variant of the worlds.

    Parameters
    ----------
    records : with ``name`` precision or recall, ``group`` (cause), ``split`` (variant), ``model`` and ``channel`` (the mark below which a cell is low).
    channel : the one to draw.

    Raises
    ------
    DataError
        Where no record belongs to the channel.
    """
    table = pd.DataFrame([r for r in records if r["name"] in ("precision", "recall") and r["channel"] == channel and r["value"] is not None])
    if not len(table):
        raise DataError(f"causes_found draws precision and recall of channel {channel}; found none. Give the records of a run of gap_worlds.")
    variants, models = list(dict.fromkeys(table["split"])), [m for m in MODELS if m in set(table["model"])]
    figure, axes = _figure(3 * len(NAMES), 2 * (0.45 * len(variants) + 1.0), 2, len(NAMES), sharex=True, sharey=True)
    for ax, (name, cause) in zip(axes, product(("precision", "recall"), NAMES), strict=True):
        for k, model in enumerate(models):
            marker, colour, label = MODELS[model]
            mine = table[(table["name"] == name) & (table["group"] == cause) & (table["model"] == model)].set_index("split").reindex(variants)
            y = np.arange(len(variants)) + 0.2 * (k - (len(models) - 1) / 2)
            ax.hlines(y, mine["low"].astype(float), mine["high"].astype(float), color=colour, lw=1.5)
            ax.plot(mine["value"].astype(float), y, marker, color=colour, ms=5, label=label)
        ax.set(xlim=(-0.02, 1.02), yticks=np.arange(len(variants)), yticklabels=[v.replace("_", " ") for v in variants], title=f"{NAMES[cause]}: {name}")
        ax.grid(axis="x", color="#e6eaee")
        ax.set_axisbelow(True)
    axes[0].set_ylim(len(variants) - 0.4, -0.6)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(models), frameon=False)
    return figure
