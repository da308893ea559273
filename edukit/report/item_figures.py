"""How items behave, drawn: who answers each one right, by the rest of their score, and all items at a glance; flagged ones are marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from edukit.governance.privacy import K
from edukit.report.figures import BLUE, ENDS, GREY, HATCHES, INK, PALE, _figure, _short
from edukit.schema import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS, ACROSS = 12, 4
NAMED = 20  # flagged items of an overview that are numbered and named
FLAGGED, SOUND = ENDS[0], BLUE
REACH = 2.6  # standard deviations of the rest score that are drawn
GRID = "#e6eaee"


def item_curves(screen: pd.DataFrame, answers: pd.DataFrame, names: Mapping[str, str] | None = None, items: Sequence[str] | None = None,
                groups: int = 5, k: int = K, level: float = 0.95) -> Figure:
    """Share right by groups of learners from the lowest to the highest rest score, with the fitted curve; flagged items are orange.

    The curve is 1 / (1 + exp(-(c + a z))) with the slope a of the screen and the c that gives the item's share right; the band
    holds the slopes of its interval.

    Parameters
    ----------
    screen : table ``item_screen``
    answers : DataFrame
        First attempts: ``item_id``, ``rest`` (standardised score of the learner's other answers, as the screen used) and ``correct``.
    names : what to call each item; its id where there is none.
    items : what to draw, at most 12; where None the flagged ones come first, then those with the lowest slope.
    groups : of about equal size; fewer where an item has fewer than ``groups`` x ``k`` learners.
    k : fewest learners behind a point; an item with fewer is hatched.
    level : of the Wilson intervals.

    Raises
    ------
    DataError
        Where an item is not in the screen, or none or more are asked for than fit.

    References
    ----------
    Lord & Novick (1968), Statistical Theories of Mental Test Scores. Wilson, E. B. (1927), JASA.
    """
    if absent := {"item_id", "rest", "correct"} - set(answers.columns):
        raise DataError(f"item curves need answers with item_id, rest and correct; found no {sorted(absent)[0]}. Take the rest scores of the item screen.")
    once = screen.drop_duplicates("item_id").set_index("item_id")
    worst = once.sort_values(["flagged", "discrimination"], ascending=[False, True], kind="stable").index
    chosen = list(worst[:PANELS]) if items is None else list(items)
    if not 1 <= len(chosen) <= PANELS:
        raise DataError(f"item curves draw 1 to {PANELS} items; found {len(chosen)}. Choose those of one concept, or those that are flagged.")
    if unknown := [item for item in chosen if item not in once.index]:
        raise DataError(f"item_screen must hold every item to draw; found none of {unknown[0]!r}. Screen it first.")
    across = min(ACROSS, len(chosen))
    rows = -(-len(chosen) // across)
    figure, axes = _figure(max(5.5, 0.6 + 2.7 * across), 1.3 + 2.2 * rows, rows, across, sharex=True, sharey=True)
    by_item = dict(list(answers[answers["item_id"].isin(chosen)].groupby("item_id")))
    for ax, item in zip(axes, chosen, strict=False):
        _panel(ax, once.loc[item], by_item.get(item, answers.iloc[:0]), groups, k, level)
        ax.set_title(_heading(once.loc[item], (names or {}).get(item, item)), loc="left", fontsize=8, color=INK)
    for ax in axes[len(chosen):]:
        ax.set_axis_off()
    for ax in axes[max(0, len(chosen) - across):len(chosen)]:
        ax.set_xlabel("rest score (sd)", fontsize=8)
        ax.tick_params(labelbottom=True)
    figure.supylabel("right (%)", fontsize=9)
    rest = len(once) - len(chosen)
    which = "" if items is not None or rest <= 0 else f"; flagged items first, {rest} more are not drawn"
    figure.suptitle(f"Who answers the item right, by the rest of their score{which}", x=0.01, ha="left", fontsize=11)
    figure.legend(handles=_key(level, once.loc[chosen, "flagged"].astype(bool).to_numpy()), loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return figure


def _panel(ax: Axes, row: pd.Series, answers: pd.DataFrame, groups: int, k: int, level: float) -> None:
    from scipy.special import expit

    ax.set(xlim=(-REACH, REACH), ylim=(0, 100))
    ax.grid(axis="y", color=GRID)
    ax.set_axisbelow(True)
    if len(answers) < k or pd.isna(row["discrimination"]):
        ax.axhspan(0, 100, facecolor=PALE, edgecolor=GREY, hatch=HATCHES["not enough data"], linewidth=0)
        return
    colour = FLAGGED if row["flagged"] else SOUND
    rest, right = answers["rest"].to_numpy(float), answers["correct"].to_numpy(float)
    at = np.linspace(-REACH, REACH, 81)
    slopes = [row["discrimination"], row.get("discrimination_low", np.nan), row.get("discrimination_high", np.nan)]
    fitted = [100 * expit(_intercept(slope, rest, right.mean()) + slope * at) if np.isfinite(slope) else None for slope in map(float, slopes)]
    ax.plot(at, fitted[0], color=colour, linewidth=1.6)
    if fitted[1] is not None and fitted[2] is not None:
        ax.fill_between(at, np.minimum(fitted[1], fitted[2]), np.maximum(fitted[1], fitted[2]), color=colour, alpha=0.15, linewidth=0)
    points = _groups(rest, right, groups, k, level)
    ax.vlines(points["rest"], 100 * points["low"], 100 * points["high"], color=INK, linewidth=1.4)
    ax.scatter(points["rest"], 100 * points["share"], s=20, marker="s" if row["flagged"] else "o", color=INK, zorder=3)
    few, many = points["n"].min(), points["n"].max()
    above = right.mean() < 0.5  # where the curve leaves room
    ax.annotate(f"{few}{'' if few == many else f' to {many}'} learners a point", (0.97, 0.97 if above else 0.03), xycoords="axes fraction", ha="right",
                va="top" if above else "bottom", fontsize=6.5, color=INK)


def _intercept(slope: float, rest: np.ndarray, share: float) -> float:
    """The c with which the curve gives the observed share of these learners, as the likelihood asks of it."""
    from scipy.optimize import brentq
    from scipy.special import expit

    share = min(max(share, 1e-3), 1 - 1e-3)
    bound = 10 + np.abs(slope * rest).max()
    return float(brentq(lambda c: expit(c + slope * rest).mean() - share, -bound, bound))


def _groups(rest: np.ndarray, right: np.ndarray, groups: int, k: int, level: float) -> pd.DataFrame:
    """``rest`` (mean), ``n, share, low, high`` of groups of about equal size by rest score; learners with equal scores stay together."""
    from statsmodels.stats.proportion import proportion_confint

    ends = np.unique(np.quantile(rest, np.linspace(0, 1, max(1, min(groups, len(rest) // k)) + 1)[1:-1]))
    group = np.searchsorted(ends, rest)
    while len(np.unique(group)) > 1 and (counts := np.bincount(group))[counts > 0].min() < k:  # ties: join the smallest to its neighbour
        there = np.flatnonzero(counts)
        smallest = int(np.argmin(counts[there]))
        group[group == there[smallest]] = there[smallest - 1 if smallest else 1]
    table = pd.DataFrame({"group": group, "rest": rest, "right": right}).groupby("group")
    table = table.agg(rest=("rest", "mean"), n=("right", "size"), share=("right", "mean"))
    low, high = proportion_confint(table["share"] * table["n"], table["n"], 1 - level, method="wilson")
    return table.assign(low=low, high=high)


def _heading(row: pd.Series, name: str) -> str:
    """Name, number of learners and flaws of one panel."""
    flaws = str(row["flags"]).replace("; ", ", ").replace("_", " ") if row["flagged"] else "no flag"
    n = f"n {int(row['n']):,}" if row["n"] else "too few learners"
    return f"{_ends(str(name), 34)}\n{n}; {_short(flaws, 34)}"


def _ends(name: str, letters: int) -> str:
    """A name that fits, cut in the middle: what tells items apart often stands last."""
    half = (letters - 1) // 2
    return _short(name if len(name) <= letters else f"{name[:half]}…{name[-half:]}", letters)


def _key(level: float, flagged: np.ndarray) -> list:
    from matplotlib.lines import Line2D

    entries = [Line2D([], [], color=INK, linestyle="", markersize=4.5, marker=marker, label=f"observed, {100 * level:.0f} % interval{words}")
               for marker, words, there in (("o", "", not flagged.all()), ("s", " (flagged item)", flagged.any())) if there]
    return entries + [Line2D([], [], color=colour, linewidth=1.6, label=f"fitted curve, band: its slope{words}")
                      for colour, words, there in ((SOUND, "", not flagged.all()), (FLAGGED, " (flagged item)", flagged.any())) if there]


def item_overview(screen: pd.DataFrame, names: Mapping[str, str] | None = None) -> Figure:
    """Every item by how many got it right and how steeply that rises with the rest score; flagged items are numbered orange squares.

    Parameters
    ----------
    screen : table ``item_screen``; items with too few learners are counted in the title.
    names : what to call each item; its id where there is none.

    Raises
    ------
    DataError
        Where no item has a slope.
    """
    once = screen.drop_duplicates("item_id")
    shown = once[once["discrimination"].notna() & once["correct"].notna()]
    if shown.empty:
        raise DataError("an overview of items needs an item with a slope; found none. More learners are needed.")
    named = shown[shown["flagged"].astype(bool)].sort_values("discrimination", kind="stable").head(NAMED)
    figure, (ax,) = _figure(8.4 + 3.4 * (len(named) > 0), 5.6)
    for flagged, colour, marker in ((False, SOUND, "o"), (True, FLAGGED, "s")):
        part = shown[shown["flagged"].astype(bool) == flagged]
        share = 100 * part["correct"].to_numpy(float)
        if {"discrimination_low", "discrimination_high"} <= set(part):
            low, high = (part[f"discrimination_{end}"].to_numpy(float) for end in ("low", "high"))
            ax.vlines(share, low, high, color=colour, alpha=0.35 if flagged else 0.2, linewidth=1)
        ax.scatter(share, part["discrimination"], s=22, marker=marker, color=colour, zorder=3 + flagged,
                   label=f"{'flagged' if flagged else 'no flag'} ({len(part):,} items)")
    for i, row in enumerate(named.itertuples(), 1):
        ax.annotate(str(i), (100 * row.correct, row.discrimination), xytext=(5, 0), textcoords="offset points", fontsize=7, va="center", color=INK, zorder=6)
        ax.annotate(f"{i}  {_ends(str((names or {}).get(row.item_id, row.item_id)), 44)}", (1.02, 1 - i * 0.045), xycoords="axes fraction", fontsize=7.5,
                    va="center", color=INK)
    ax.axhline(0, color=GREY, linewidth=0.8, zorder=0)
    ax.axhline(float(shown["discrimination"].median()), color=GREY, linewidth=0.8, linestyle="--", zorder=0, label="median slope")
    ax.set(xlim=(0, 100), xlabel="right (%), first attempts", ylabel="slope per sd of the rest score, 95 % interval")
    ax.grid(color=GRID)
    ax.set_axisbelow(True)
    least, most, few = int(shown["n"].min()), int(shown["n"].max()), len(once) - len(shown)
    left = f"; {few} item{' with too few learners is' if few == 1 else 's with too few learners are'} not drawn" if few else ""
    ax.set_title(f"Items: n {least:,} to {most:,} learners each{left}", loc="left", fontsize=11)
    if len(named):
        more = int(shown["flagged"].sum()) - len(named)
        ax.annotate(f"flagged items, lowest slope first{f' ({more} more)' if more else ''}", (1.02, 1), xycoords="axes fraction", fontsize=8, va="center",
                    weight="bold", color=INK)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure
