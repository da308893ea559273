"""Figures of grading: what is gained by leaving answers to people, how far grader and people agree, what more graded answers bring, and whether it stays so."""

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

LINES = (("o", BLUE, "-"), ("s", ENDS[0], "--"), ("^", GREY, ":"), ("D", ENDS[3], "-."))


def risk_coverage(tables: Mapping[str, pd.DataFrame], reported: Mapping[str, tuple[float, float]] | None = None,
                  name: str = "quadratic weighted kappa") -> Figure:
    """Agreement on the answers kept by the share that is kept, with its 95 % interval, and a mark at what is reported.

    Parameters
    ----------
    tables : part -> columns ``coverage, value, low, high``. name : of the agreement.
    reported : part -> share kept and agreement of the deferral that is reported.
    """
    if not any(len(table) for table in tables.values()):
        raise DataError("a risk-coverage curve needs rows of coverage and value; found none. Grade ten or more answers that a person has scored.")
    figure, (ax,) = _figure(6, 4)
    for (part, table), (mark, colour, style) in zip(tables.items(), LINES * len(tables), strict=False):
        ax.fill_between(table["coverage"].astype(float), table["low"].astype(float), table["high"].astype(float), color=colour, alpha=0.15, linewidth=0)
        ax.plot(table["coverage"], table["value"], linestyle=style, color=colour, label=part.replace("$", r"\$"))
        if reported and part in reported:
            ax.plot(*reported[part], mark, color=colour, label="as reported" if len(tables) == 1 else None)
    ax.set(xlabel="share of answers kept (the rest go to a person)", ylabel=name, xlim=(0, 1.02), title="Agreement with a person by what is kept")
    ax.legend(frameon=False, fontsize=9)
    return figure


def agreement_matrices(y: np.ndarray, predicted: np.ndarray, second: np.ndarray | None = None) -> Figure:
    """How often each pair of scores was given: a person and the grader, and beside it two people where two scored."""
    pairs = [("grader", np.asarray(predicted, float))] + ([] if second is None else [("second person", np.asarray(second, float))])
    levels = np.unique(np.concatenate([np.asarray(y, float), *(v for _, v in pairs)]))
    levels = levels[np.isfinite(levels)]
    figure, axes = _figure(4.2 * len(pairs), 4, 1, len(pairs))
    for ax, (name, other) in zip(axes, pairs, strict=True):
        known = np.isfinite(np.asarray(y, float)) & np.isfinite(other)
        a, b = np.asarray(y, float)[known], other[known]
        counts = np.array([[int(((a == i) & (b == j)).sum()) for j in levels] for i in levels])
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for i, row in enumerate(counts):
            for j, n in enumerate(row):
                ax.text(j, i, f"{n:,}", ha="center", va="center", color="white" if shares[i, j] > 0.5 else "black", fontsize=9)
        ticks = [f"{v:g}" for v in levels]
        ax.set_xticks(range(len(levels)), ticks)
        ax.set_yticks(range(len(levels)), ticks)
        kappa = metrics.quadratic_weighted_kappa(a, b)
        ax.set(xlabel=name, ylabel="first person", title=f"kappa {metrics.shown(kappa) if np.isfinite(kappa) else 'undefined'}, n = {len(a):,}")
    return figure


def learning_curve(records: Sequence[Mapping[str, object]], name: str = "qwk") -> Figure:
    """Agreement by how many graded answers were given, with its 95 % interval, beside that of two people where it is known.

    Parameters
    ----------
    records : those of ``name`` whose ``channel`` is such as ``50 graded``, and perhaps one of ``human_<name>`` whose ``split`` is ``learning curve``.
    """
    rows = pd.DataFrame([r for r in records if r["name"] == name and str(r["channel"]).endswith(" graded") and r["value"] is not None and not r["group"]])
    if rows.empty:
        raise DataError(f"a learning curve needs records of {name} whose channel is such as `50 graded`; found none.")
    rows = rows.assign(graded=rows["channel"].str.removesuffix(" graded").astype(int)).sort_values("graded")
    figure, (ax,) = _figure(5.5, 3.8)
    sizes = {size: at for at, size in enumerate(pd.unique(rows["graded"]))}
    for people in [r for r in records if r["name"] == f"human_{name}" and r.get("split") == "learning curve" and r["value"] is not None]:
        if people["low"] is not None:
            ax.axhspan(float(str(people["low"])), float(str(people["high"])), color=GREY, alpha=0.15, linewidth=0)
        ax.axhline(float(str(people["value"])), color=GREY, linestyle="--", label="two people")
    for (model, part), (mark, colour, style) in zip(rows.fillna({"model": "grader"}).groupby("model", sort=False), LINES * 9, strict=False):
        at = part["graded"].map(sizes)
        ax.vlines(at, part["low"].astype(float), part["high"].astype(float), color=colour, linewidth=2)
        ax.plot(at, part["value"].astype(float), marker=mark, linestyle=style, color=colour, label=str(model))
    ax.set_xticks(list(sizes.values()), [str(size) for size in sizes])
    ax.set(xlabel="graded answers given", ylabel="kappa with a person", title="What more graded answers bring")
    ax.legend(frameon=False, fontsize=9)
    return figure


def confidence_calibration(right: np.ndarray, confidence: np.ndarray, bins: int = 10) -> Figure:
    """Share of right scores among those with a stated confidence of p."""
    right, confidence = np.asarray(right, float), np.asarray(confidence, float)
    if not len(right) or len(right) != len(confidence):
        raise DataError(f"a calibration plot needs one outcome per confidence, and one at least; found {len(right)} and {len(confidence)}.")
    table = pd.DataFrame(metrics.reliability(right, confidence, bins))
    half = 1.96 * np.sqrt(np.maximum(table["observed"] * (1 - table["observed"]), 0.25 / table["n"]) / table["n"])
    figure, (ax,) = _figure(4.6, 4.4)
    ax.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="as stated")
    ax.vlines(table["predicted"], (table["observed"] - half).clip(0), (table["observed"] + half).clip(upper=1), color=BLUE, linewidth=2)
    ax.plot(table["predicted"], table["observed"], "o", color=BLUE, label="equal to the person's")
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="stated confidence", ylabel="share of equal scores",
           title=f"Confidence: ECE {metrics.ece(right, confidence, bins=bins):.3f}, n = {len(right):,}")
    ax.legend(frameon=False, fontsize=9)
    return figure


def drift(records: Sequence[Mapping[str, object]]) -> Figure:
    """Kappa by batch in the order of the batches: records named ``qwk`` whose ``group`` is such as ``batch=2026-03``."""
    rows = pd.DataFrame([r for r in records if r["name"] == "qwk" and str(r["group"]).startswith("batch=") and r["value"] is not None])
    if rows.empty:
        raise DataError("a figure of drift needs records named qwk with a group such as `batch=2026-03`; found none with a number.")
    figure, (ax,) = _figure(6, 3.6)
    at = np.arange(len(rows))
    ax.vlines(at, rows["low"].astype(float), rows["high"].astype(float), color=BLUE, linewidth=2)
    ax.plot(at, rows["value"].astype(float), "o-", color=BLUE)
    ax.set_xticks(at, [g.removeprefix("batch=").replace("$", r"\$") for g in rows["group"]], rotation=45 if len(rows) > 6 else 0)
    ax.set(ylabel="kappa with a person", title="Agreement over time")
    return figure
