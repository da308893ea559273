"""What a gap map says, drawn: learning curves, what a need is associated with, and how two cohorts differ. Nothing hidden is drawn with a value."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from edukit import metrics
from edukit.governance.privacy import TOTAL, K
from edukit.report.figures import BLUE, ENDS, GREY, HATCHES, INK, PALE, ROWS, _figure, _short, mastery_matrix
from edukit.report.gap_page import RULES
from edukit.report.narrative_draft import probability
from edukit.schema import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CAUSES = {"prior_knowledge": "missing prerequisites", "teaching": "class effects", "content": "flawed items"}
LETTERS = {"prior_knowledge": "P", "teaching": "T", "content": "C", "curriculum_wide": "W", "undetermined": "?"}
WORDS = {**CAUSES, "curriculum_wide": "the whole curriculum", "undetermined": "undetermined"}
COLOURS = dict(zip(CAUSES, ("#0173b2", "#de8f05", "#029e73"), strict=True))  # seaborn's palette `colorblind`
MARKS = dict(zip(CAUSES, "osD", strict=True))
PANELS, ACROSS = 12, 4
CELLS = 40  # stuck cells of one picture of shares
GRID = "#e6eaee"


# ---- learning curves -----------------------------------------------------------------------------------


def learning_curves(interactions: pd.DataFrame, q_matrix: pd.DataFrame, concepts: pd.DataFrame, which: Sequence[str] | None = None,
                    k: int = K, level: float = 0.95) -> Figure:
    """Share right at the first, second, third ... response of each learner on a concept, up to where fewer than k learners remain.

    The dots hold whoever got that far, so that they also move when weaker or stronger learners stop. The dashed line holds the same
    learners throughout: those who got as far as half of them did. Every response counts, repeated items too; an item of two concepts
    counts for both.

    Parameters
    ----------
    interactions, q_matrix, concepts : tables of those names
        The order of responses must be known.
    which : concepts to draw, at most 12; the most practised where None.
    k : fewest learners behind a dot.
    level : of the Wilson intervals.

    Raises
    ------
    DataError
        Where the order is unknown, a concept has no dot, or more are asked for than fit.

    References
    ----------
    Newell, A., & Rosenbloom, P. (1981). Mechanisms of skill acquisition and the law of practice. Wilson, E. B. (1927), JASA.
    Goldin, Pavlik & Ritter (2016), Discovering domain models in learning curve data (learners who drop out).
    """
    curves = _curves(interactions, q_matrix, k, level)
    found = curves.groupby("concept_id")["n"].sum().sort_values(ascending=False, kind="stable")
    which = list(found.index[:PANELS]) if which is None else list(which)
    if not 1 <= len(which) <= PANELS:
        raise DataError(f"learning curves draw 1 to {PANELS} concepts; found {len(which)}. Choose those that learners met most.")
    if absent := [c for c in which if c not in found]:
        raise DataError(f"learning curves need {k} learners at the first response on a concept; found fewer on {absent[0]!r}. Leave it out.")
    names = concepts.set_index("concept_id")["name"]
    across = min(ACROSS, len(which))
    rows = -(-len(which) // across)
    figure, axes = _figure(max(5.5, 0.6 + 2.7 * across), 1.0 + 2.1 * rows, rows, across, sharey=True)
    for ax, concept in zip(axes, which, strict=False):
        own = curves[curves["concept_id"] == concept]
        at = own["opportunity"].to_numpy()
        ax.vlines(at, 100 * own["low"], 100 * own["high"], color=BLUE, linewidth=2, alpha=0.35)
        ax.plot(at, 100 * own["share"], "o-", color=BLUE, markersize=3.5, linewidth=1.2)
        ax.plot(at, 100 * own["stayed"], color=ENDS[0], linewidth=1.4, linestyle="--")
        ax.set(ylim=(0, 100), xlim=(0.4, at[-1] + 0.6))
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(axis="y", color=GRID)
        ends = own["n"].iloc[[0, -1]].tolist()
        ax.set_title(f"{_short(names.get(concept, concept), 30)}\nn {ends[0]:,} at first, {ends[1]:,} at the last dot", loc="left", fontsize=8.5)
    for ax in axes[len(which):]:
        ax.set_axis_off()
    rest = len(found) - len(which)
    figure.suptitle(f"Right answers by how often the concept was met before{f'; {rest} more concepts are not drawn' if rest > 0 else ''}",
                    x=0.01, ha="left", fontsize=11)
    for ax in axes[max(0, len(which) - across):len(which)]:
        ax.set_xlabel("which response on the concept", fontsize=8)
    figure.supylabel("right (%)", fontsize=9)
    figure.legend(handles=_curve_key(level, k), loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return figure


def _curve_key(level: float, k: int) -> list:
    from matplotlib.lines import Line2D

    everyone = f"whoever got that far, {100 * level:.0f} % interval (cut below {k} learners)"
    return [Line2D([], [], color=BLUE, marker="o", markersize=3.5, linewidth=1.2, label=everyone),
            Line2D([], [], color=ENDS[0], linestyle="--", linewidth=1.4, label="the same learners throughout: the half who practised most")]


def _curves(interactions: pd.DataFrame, q_matrix: pd.DataFrame, k: int, level: float) -> pd.DataFrame:
    """``concept_id, opportunity, n, share, low, high, stayed`` where n >= k; ``stayed`` is the share of those who went on longest."""
    from statsmodels.stats.proportion import proportion_confint

    if "order" not in interactions or interactions["order"].isna().any():
        raise DataError("learning curves need the order of responses; found it unknown. Draw item curves instead, which need none.")
    rows = interactions[["learner_id", "item_id", "order", "correct"]].sort_values(["learner_id", "order"], kind="stable")
    rows = rows.merge(q_matrix[["item_id", "concept_id"]].drop_duplicates(), on="item_id")
    rows = rows.sort_values(["learner_id", "order"], kind="stable")
    of = rows.groupby(["learner_id", "concept_id"], sort=False)
    rows["opportunity"] = of.cumcount() + 1
    reached = of["item_id"].transform("size")
    table = rows.groupby(["concept_id", "opportunity"])["correct"].agg(n="size", share="mean").reset_index()
    table = table[table["n"] >= k]
    half = table[table["n"] >= table.groupby("concept_id")["n"].transform("max") / 2].groupby("concept_id")["opportunity"].max()
    end = rows["concept_id"].map(half)
    same = rows[(reached >= end) & (rows["opportunity"] <= end)].groupby(["concept_id", "opportunity"])["correct"]
    stayed = same.mean().where(same.size() >= k).rename("stayed")
    low, high = proportion_confint(table["share"] * table["n"], table["n"], 1 - level, method="wilson")
    return table.assign(low=low, high=high).join(stayed, on=["concept_id", "opportunity"])


# ---- what a need is associated with ----------------------------------------------------------------------


def cause_shares(gaps: pd.DataFrame, concepts: pd.DataFrame, level: float = 0.80) -> Figure:
    """Of every stuck cell: the share of its need that is associated with each of three things, with its interval; the label is filled.

    Parameters
    ----------
    gaps : table ``gaps`` with the shares.
    concepts : table ``concepts``
    level : of the intervals in ``gaps``.

    Returns
    -------
    Figure
        Cells by label, the surest label first; at most 40, those with the largest need, and the title says so. Shares may lie below 0
        or above 1.

    Raises
    ------
    DataError
        Where no stuck cell has shares.
    """
    if not set(CAUSES) <= set(gaps.columns):
        raise DataError(f"cause shares need the columns {', '.join(CAUSES)}; found none of them in gaps. Make the map with its causes.")
    shown = gaps[(gaps["state"] == "estimated") & gaps["stuck"].fillna(False).astype(bool) & gaps[list(CAUSES)].notna().any(axis=1)]
    if shown.empty:
        raise DataError("cause shares need a stuck cell with shares; found none. Draw the mastery matrix instead.")
    rows = shown.sort_values("need", ascending=False, kind="stable").head(CELLS)
    place = rows["label"].map({label: i for i, label in enumerate(LETTERS)}).fillna(len(LETTERS))
    order = ["place", "label_probability", "need"]
    rows = rows.assign(place=place).sort_values(order, ascending=[True, False, False], kind="stable").reset_index(drop=True)
    names = concepts.set_index("concept_id")["name"]
    figure, axes = _figure(11.5, 1.6 + 0.25 * len(rows), 1, 3, sharey=True)
    span = rows[[f"{c}{end}" for c in CAUSES for end in ("_low", "_high")]].to_numpy(float)
    limits = (min(-0.1, np.nanmin(span, initial=0)) * 100 - 5, max(1.0, np.nanmax(span, initial=1)) * 100 + 5)
    for ax, (cause, words) in zip(axes, CAUSES.items(), strict=True):
        _share_panel(ax, rows, cause)
        ax.set_title(f"{LETTERS[cause]}: {words}", loc="left", fontsize=10, color=INK)
        ax.set(xlim=limits, ylim=(len(rows) - 0.4, -0.6))
    called = [f"{_short(str(names.get(r.concept_id, r.concept_id)), 30)} · {_cohort(r.class_id)}" for r in rows.itertuples()]
    axes[0].set_yticks(range(len(rows)), called, fontsize=8)
    beside = {"xycoords": ("axes fraction", "data"), "fontsize": 8, "va": "center", "color": INK, "annotation_clip": False}
    for y, row in enumerate(rows.itertuples()):
        axes[-1].annotate(_told(row), (1.02, y), **beside)
    axes[-1].annotate("label (probability), need, n", (1.02, -1), weight="bold", **beside)
    axes[1].set_xlabel(f"share of the need associated with it (%), {100 * level:.0f} % interval; filled: the label of the cell\n"
                       "beyond 100: mastery would pass the target", fontsize=9)
    left, hidden = len(shown) - len(rows), int((gaps["state"] != "estimated").sum())
    notes = [f"those with the largest need; {left} more are not drawn"] * (left > 0) + [f"{hidden} cells are hidden or hold too little data"] * (hidden > 0)
    figure.suptitle("\n".join(["What the need of stuck cells is associated with", *(["; ".join(notes)] if notes else [])]), x=0.01, ha="left", fontsize=11)
    return figure


def _share_panel(ax: Axes, rows: pd.DataFrame, cause: str) -> None:
    for end in (0, 100):
        ax.axvline(end, color=GREY, linewidth=0.8, zorder=0)
    at, colour = np.arange(len(rows)), COLOURS[cause]
    own = (rows["label"] == cause).fillna(False).to_numpy(bool)
    ax.hlines(at, 100 * rows[f"{cause}_low"].to_numpy(float), 100 * rows[f"{cause}_high"].to_numpy(float), color=colour, linewidth=np.where(own, 2.6, 1.2))
    for which, face in ((own, colour), (~own, "white")):
        ax.scatter(100 * rows[cause].to_numpy(float)[which], at[which], s=30, marker=MARKS[cause], facecolor=face, edgecolor=colour, zorder=3)
    for y in at[1:]:
        if rows["label"].iloc[y] is not rows["label"].iloc[y - 1] and rows["label"].iloc[y] != rows["label"].iloc[y - 1]:
            ax.axhline(y - 0.5, color=GREY, linewidth=0.6, linestyle=":")
    ax.grid(axis="x", color=GRID)
    ax.set_axisbelow(True)


def _told(row: tuple) -> str:
    """Label, its probability, need and n of one row."""
    label = WORDS.get(row.label) if isinstance(row.label, str) else None  # type: ignore[attr-defined]
    named = label is not None and row.label != "undetermined" and pd.notna(row.label_probability)  # type: ignore[attr-defined]
    sure = f" ({probability(row.label_probability)})" if named else ""  # type: ignore[attr-defined]
    return f"{label or 'no label'}{sure}, {100 * row.need:.0f} points, n {row.n:,}"  # type: ignore[attr-defined]


def _cohort(class_id: str) -> str:
    return "all learners" if class_id == TOTAL else _short(str(class_id), 18)


def cause_matrix(gaps: pd.DataFrame, concepts: pd.DataFrame, mark: float = RULES["fail"]) -> Figure:
    """The mastery matrix with a letter in each stuck cell for what its need is associated with; parameters as of :func:`mastery_matrix`."""
    figure = mastery_matrix(gaps, concepts, mark)
    ax = figure.axes[0]
    if "label" not in gaps:
        raise DataError("a matrix of causes needs the column label; found none in gaps. Make the map with its causes, or draw mastery_matrix.")
    need = gaps.groupby("concept_id")["need"].mean().sort_values(ascending=False)  # as mastery_matrix places them
    row = {concept: y for y, concept in enumerate(need.index[:ROWS])}
    column = {cohort: x for x, cohort in enumerate(sorted(gaps["class_id"].unique(), key=lambda c: (c != TOTAL, c)))}
    labelled = gaps[(gaps["state"] == "estimated") & gaps["stuck"].fillna(False).astype(bool) & gaps["label"].isin(LETTERS) & gaps["concept_id"].isin(row)]
    ink = {text.get_position(): text for text in ax.texts}
    for cell in labelled.itertuples():
        x, y = column[cell.class_id], row[cell.concept_id]
        number = ink[x, y]
        number.set_x(x - 0.14)
        ax.text(x + 0.24, y, LETTERS[cell.label], ha="center", va="center", fontsize=8, weight="bold", color=number.get_color())
    there = [label for label in LETTERS if (labelled["label"] == label).any()]
    if there:
        ax.set_xlabel("associated with   " + "   ".join(f"{LETTERS[label]}: {WORDS[label]}" for label in there), fontsize=9, loc="left")
    return figure


# ---- two cohorts -------------------------------------------------------------------------------------------


def cohort_difference(gaps: pd.DataFrame, concepts: pd.DataFrame, first: str, second: str, level: float = RULES["interval"]) -> Figure:
    """Mean mastery of one cohort minus that of another, concept by concept, with intervals, the largest difference on top.

    Standard errors come from the intervals of the map; the difference has the root of the sum of their squares, which takes the two
    cohorts to be different learners. A filled dot is a difference that is clear for this concept even though many are looked at
    (Holm, 5 %). Differences are descriptions: cohorts differ in more than one way.

    Parameters
    ----------
    gaps : table ``gaps``; maps of two terms can be put below each other once their ``class_id`` tell them apart.
    concepts : table ``concepts``
    first, second : a ``class_id`` each, not ``all``, which holds every other.
    level : of the intervals, also in ``gaps``.

    Returns
    -------
    Figure
        At most 60 concepts; those hidden in either cohort come last, hatched and without a value.

    Raises
    ------
    DataError
        For a cohort that is not there, is ``all`` or is compared with itself.

    References
    ----------
    Holm (1979), Scandinavian Journal of Statistics.
    """
    for cohort in (first, second):
        if cohort == TOTAL or first == second or cohort not in set(gaps["class_id"]):
            raise DataError(f"a difference needs two cohorts of gaps that share no learner; found {first!r} and {second!r}. Choose two of its class_id.")
    table = _differences(gaps, first, second, level)
    rows, names = table.head(ROWS), concepts.set_index("concept_id")["name"]
    figure, (ax,) = _figure(8.4, 1.9 + 0.25 * len(rows))
    at = np.arange(len(rows))
    value, low, high = (100 * rows[c].to_numpy(float) for c in ("difference", "low", "high"))
    told, clear = np.isfinite(value), rows["clear"].to_numpy(bool)
    reach = np.nanmax(np.abs([low, high]), initial=10) + 4
    ax.axvline(0, color=GREY, linewidth=1, zorder=0)
    ax.hlines(at[told], low[told], high[told], color=BLUE, linewidth=np.where(clear[told], 2.4, 1.2))
    for which, face in ((told & clear, BLUE), (told & ~clear, "white")):
        ax.scatter(value[which], at[which], s=28, facecolor=face, edgecolor=BLUE, zorder=3)
    for y in at[~told]:
        ax.barh(y, 2 * reach, left=-reach, height=0.8, facecolor=PALE, edgecolor=GREY, linewidth=0.4, hatch=HATCHES[rows["state"].iloc[y]])
    ax.set_yticks(at, [_short(str(names.get(c, c))) for c in rows["concept_id"]], fontsize=8)
    for y, row in zip(at[told], rows[told].itertuples(), strict=True):
        ax.annotate(f"n {row.n_first:,} and {row.n_second:,}", (1.01, y), xycoords=("axes fraction", "data"), fontsize=7, va="center", color=INK)
    ax.set(xlim=(-reach, reach), ylim=(len(rows) - 0.4, -0.6))
    ax.set_xlabel(f"points of mean mastery, {100 * level:.0f} % interval\n← {_short(second, 24)} higher        {_short(first, 24)} higher →", fontsize=9)
    ax.grid(axis="x", color=GRID)
    ax.set_axisbelow(True)
    ax.set_title(_difference_title(table, rows, first, second, level), loc="left", fontsize=10)
    _difference_key(figure, rows)
    return figure


def _differences(gaps: pd.DataFrame, first: str, second: str, level: float) -> pd.DataFrame:
    """Per concept ``difference, low, high, clear``, n of each cohort and ``state``; the largest difference first, hidden ones last."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    one, two = (gaps[gaps["class_id"] == cohort].set_index("concept_id") for cohort in (first, second))
    both = one.index.union(two.index)
    one, two = one.reindex(both), two.reindex(both)
    states = pd.concat([one["state"], two["state"]], axis=1).fillna("not enough data")
    state = states.apply(lambda pair: "estimated" if (pair == "estimated").all() else next(s for s in pair if s != "estimated"), axis=1)
    numbers = {"difference": one["mastery"] - two["mastery"], "se": np.hypot(_error(one, z), _error(two, z))}
    table = pd.DataFrame({"state": state, **numbers, "n_first": one["n"], "n_second": two["n"]})
    table.loc[state != "estimated", ["difference", "se", "n_first", "n_second"]] = np.nan
    told = table["difference"].notna()
    p = 2 * (1 - np.vectorize(NormalDist().cdf, otypes=[float])((table["difference"].abs() / table["se"].clip(lower=1e-12))[told].to_numpy(float)))
    table["clear"] = False
    table.loc[told, "clear"] = np.array(metrics.holm(p)) < 0.05
    table = table.assign(low=table["difference"] - z * table["se"], high=table["difference"] + z * table["se"])
    return table.rename_axis("concept_id").reset_index().sort_values("difference", ascending=False, kind="stable", na_position="last")


def _error(cells: pd.DataFrame, z: float) -> np.ndarray:
    """Standard errors from intervals; an end that was clipped at 0 or 1 is the shorter one."""
    mastery, low, high = (cells[c].to_numpy(float, na_value=np.nan) for c in ("mastery", "low", "high"))
    return np.fmax(high - mastery, mastery - low) / z


def _difference_title(table: pd.DataFrame, rows: pd.DataFrame, first: str, second: str, level: float) -> str:
    told, rest = int(table["difference"].notna().sum()), len(table) - len(rows)
    title = f"Mean mastery: {_short(first, 24)} minus {_short(second, 24)}{f'; {rest} more concepts are not drawn' if rest else ''}"
    return title + (f"\nof {told} such intervals about {(1 - level) * told:.0f} would miss zero by chance" if told >= 10 else "")


def _difference_key(figure: Figure, rows: pd.DataFrame) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    dots = [Line2D([], [], color=BLUE, marker="o", linestyle="", markerfacecolor=face, label=words)
            for face, words, there in ((BLUE, "clear, corrected for looking at many", rows["clear"]),
                                       ("white", "not clear", rows["difference"].notna() & ~rows["clear"])) if there.any()]
    bars = [Patch(facecolor=PALE, edgecolor=GREY, hatch=hatch, label=state) for state, hatch in HATCHES.items() if (rows["state"] == state).any()]
    figure.legend(handles=[*dots, *bars], loc="outside lower center", ncols=4, frameon=False, fontsize=8)
