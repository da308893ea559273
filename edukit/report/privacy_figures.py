"""What privacy costs, as a picture: how well a model still does at each epsilon, beside the same model without noise and beside the floors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edukit.report.figures import BLUE, GREY, INK, _figure
from edukit.schema import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def privacy_utility(records: Sequence[dict], metric: str = "auc") -> Figure:
    """A metric at each epsilon with its interval; lines where the model without noise and the best floor lie.

    Parameters
    ----------
    records : list of dict
        Metrics whose ``model`` is `epsilon 3`, `no noise` or the name of a floor; floors were computed without privacy.
    metric : str

    Raises
    ------
    DataError
        Where no record has an epsilon.
    """
    chosen = [r for r in records if r["name"] == metric and r["value"] is not None]
    private = sorted(((float(found[1]), r) for r in chosen if (found := re.fullmatch(r"epsilon ([\d.e+-]+)", str(r["model"])))), key=lambda pair: pair[0])
    if not private:
        raise DataError(f"records must hold {metric} of models called `epsilon 1`; found {', '.join(sorted({str(r['model']) for r in chosen})) or 'none'}.")
    figure, (ax,) = _figure(6.4, 4.2)
    x, y = [epsilon for epsilon, _ in private], [r["value"] for _, r in private]
    ends = [[max(value - r["low"], 0) if r["low"] is not None else 0 for value, (_, r) in zip(y, private, strict=True)],
            [max(r["high"] - value, 0) if r["high"] is not None else 0 for value, (_, r) in zip(y, private, strict=True)]]
    ax.errorbar(x, y, yerr=ends, color=BLUE, marker="o", capsize=3, label="trained privately (95 % interval)")
    exact = [r for r in chosen if r["model"] == "no noise"]
    if exact:
        ax.axhline(exact[0]["value"], color=INK, linewidth=1.2, label="the same network without noise")
        if exact[0]["low"] is not None:
            ax.axhspan(exact[0]["low"], exact[0]["high"], color=INK, alpha=0.08, linewidth=0)
    floors = [r for r in chosen if r["model"] != "no noise" and not str(r["model"]).startswith("epsilon ")]
    if floors:
        best = max(floors, key=lambda r: r["value"])
        ax.axhline(best["value"], color=GREY, linewidth=1.2, linestyle="--", label=f"best floor, not private ({best['model'].replace('_', ' ')})")
    ax.set_xscale("log")
    ax.set_xticks(x, [f"{epsilon:g}" for epsilon in x])
    ax.minorticks_off()
    ax.set_xlabel("epsilon (left: more private)")
    ax.set_ylabel(metric.replace("_", " ").upper() if metric == "auc" else metric.replace("_", " "))
    ax.legend(frameon=False, fontsize=9)
    return figure
