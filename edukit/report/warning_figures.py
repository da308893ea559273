"""Figures of early warning: whether a risk means what it says, and how well learners are told apart as the weeks go by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from edukit import metrics
from edukit.report.figures import BLUE, ENDS, GREY, _figure
from edukit.schema import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKS = (("o", BLUE), ("s", ENDS[0]), ("^", GREY))


def reliability_of_risk(y: np.ndarray, risk: np.ndarray, bins: int = 10) -> Figure:
    """How many failed or left among those with a risk of p, with 95 % Wilson intervals, and how many learners each bin holds.

    References
    ----------
    Wilson (1927), JASA.
    """
    y, risk = np.asarray(y, float), np.asarray(risk, float)
    if not len(y) or len(y) != len(risk):
        raise DataError(f"a reliability plot needs one outcome per risk, and one at least; found {len(y)} and {len(risk)}.")
    table, z = pd.DataFrame(metrics.reliability(y, risk, bins)), 1.96
    n, share = table["n"].to_numpy(float), table["observed"].to_numpy(float)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    figure, (top, below) = _figure(5, 5.6, 2, 1, sharex=True, height_ratios=[3.2, 1])
    top.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="as stated")
    top.vlines(table["predicted"], centre - reach, centre + reach, color=BLUE, linewidth=2, label="95 % interval")
    top.plot(table["predicted"], share, "o", color=BLUE, label="failed or left")
    top.set(xlim=(0, 1), ylim=(0, 1), ylabel="share that failed or left")
    top.set_title(f"Risk and outcome: ECE {metrics.ece(y, risk, bins=bins):.3f}, n = {len(y):,}")
    top.legend(frameon=False, fontsize=9)
    below.bar(table["predicted"], n, width=0.8 / bins, color=GREY)
    below.set(xlabel="stated risk", ylabel="enrolments")
    return figure


def auc_by_week(records: Sequence[Mapping[str, object]]) -> Figure:
    """AUC with its interval at the end of each week, a line a model.

    Parameters
    ----------
    records : metric records named ``auc`` whose ``channel`` is ``week N``.
    """
    table = pd.DataFrame([r for r in records if r["name"] == "auc" and str(r["channel"]).startswith("week ") and not r["group"]])
    if table.empty:
        raise DataError("auc_by_week needs records named auc with a channel such as `week 8`; found none. Judge some weeks first.")
    table = table.assign(week=table["channel"].str.removeprefix("week ").astype(int)).sort_values("week")
    figure, (ax,) = _figure(6, 3.8)
    for (name, part), (mark, colour) in zip(table.groupby("model", sort=False), MARKS * 9, strict=False):
        ax.vlines(part["week"], part["low"].astype(float), part["high"].astype(float), color=colour, linewidth=2)
        ax.plot(part["week"], part["value"].astype(float), marker=mark, color=colour, label=str(name))
    ax.axhline(0.5, color=GREY, linestyle="--", linewidth=1, label="by lot")
    ax.set(xlabel="week of the run", ylabel="AUC", ylim=(0.45, 1), title="How well those who fail or leave are told apart")
    ax.legend(frameon=False, fontsize=9)
    return figure
