"""One learner's mastery on the layered graph: every concept right of what it builds on, with the interval of its estimate and what is in reach outlined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from edukit.graph.concept_graph import ConceptGraph
from edukit.report.figures import GREY, HATCHES, INK, PALE, _figure, _ink, _scale, _short
from edukit.report.gap_page import RULES, layers
from edukit.report.learner_standing import LEVEL, LITTLE
from edukit.schema import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 60  # concepts that are drawn
WIDE, HIGH = 2.5, 0.95  # of a layer and a row
BOX = (1.95, 0.62)


def on_graph(standing: pd.DataFrame, graph: ConceptGraph, mark: float = RULES["fail"]) -> Figure:
    """Mastery of each concept in colour, its 80 % interval as a bar from 0 to 1 with the mark on it; thick outline: in reach; hatched: not enough data.

    Parameters
    ----------
    standing : of :func:`edukit.report.learner_standing.standing`. graph : the same concepts.
    mark : share of items answered right from which a concept counts as mastered.

    Raises
    ------
    DataError
        Where there is no concept to draw.
    """
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch

    if standing.empty:
        raise DataError("a learner's figure needs a concept to draw; found none. Give the concepts of the model.")
    shown = drawn(standing)
    rows = {row["concept_id"]: row for row in shown.to_dict("records")}
    arrows = graph.prerequisites[["requires_id", "concept_id"]].drop_duplicates().itertuples(index=False, name=None)
    edges = [(a, b) for a, b in arrows if a in rows and b in rows and a != b]
    layout = layers(list(rows), edges)
    where = dict(zip(layout["concept_id"], zip(WIDE * layout["x"], HIGH * layout["y"], strict=True), strict=True))
    right, bottom = WIDE * layout["x"].max() + BOX[0] + 0.3, HIGH * layout["y"].max() + 1.0
    figure, (ax,) = _figure(min(24.0, max(6.0, 1 + 0.85 * right)), min(24.0, 1.8 + 0.62 * bottom))
    for a, b in edges:
        (x, y), (u, v) = where[a], where[b]
        ax.add_artist(FancyArrowPatch((x + BOX[0], y + BOX[1] / 2), (u, v + BOX[1] / 2), arrowstyle="-|>", mutation_scale=8, shrinkA=0, shrinkB=0,
                                      color="#b4bdc7", linewidth=0.8, zorder=0.5))
    scale = _scale(mark)
    for concept, row in rows.items():
        (x, y), known = where[concept], pd.notna(row["mastery"])
        colour = scale.to_rgba(row["mastery"]) if known else (0.93, 0.94, 0.95, 1.0)
        ax.add_artist(FancyBboxPatch((x, y), *BOX, boxstyle="round,pad=0,rounding_size=0.1", facecolor=colour, hatch=None if known else HATCHES[LITTLE],
                                     edgecolor=INK if row["in_reach"] else GREY, linewidth=2.4 if row["in_reach"] else 0.6))
        ax.text(x + BOX[0] / 2, y + 0.22, _short(str(row["name"]), 24), ha="center", va="center", fontsize=7, color=_ink(colour),
                bbox=None if known else {"facecolor": PALE, "edgecolor": "none", "pad": 1})
        if known:
            _bar(ax, x + 0.12, y + 0.48, BOX[0] - 0.24, row, mark, _ink(colour))
    ax.set(xlim=(-0.3, right), ylim=(bottom, -0.3))
    ax.axis("off")
    rest = len(standing) - len(shown)
    ax.set_title(f"Mastery of each concept with its {LEVEL:.0%} interval{f'; {rest} concepts are not drawn' if rest else ''}", loc="left", fontsize=11)
    figure.colorbar(scale, ax=ax, shrink=0.6, extend="both", label="mastery (pale: at the mark)")
    entries = [Patch(facecolor="none", edgecolor=INK, linewidth=2.4, label="in reach")] if shown["in_reach"].any() else []
    entries += [Patch(facecolor=PALE, edgecolor=GREY, hatch=HATCHES[LITTLE], label=LITTLE)] if shown["mastery"].isna().any() else []
    if entries:
        ax.legend(handles=entries, loc="upper left", bbox_to_anchor=(0, -0.01), ncols=len(entries), frameon=False, fontsize=9)
    return figure


def drawn(standing: pd.DataFrame) -> pd.DataFrame:
    """What is drawn, at most :data:`MOST`: what is in reach with what it builds on, then what the learner answered most."""
    if len(standing) <= MOST:
        return standing
    reach = standing[standing["in_reach"]]
    near = set(reach["concept_id"]) | {p for parents in reach["prerequisites"] for p in parents}
    order = standing.assign(far=~standing["concept_id"].isin(near)).sort_values(["far", "n"], ascending=[True, False], kind="stable")
    return standing.loc[order.index[:MOST].sort_values()]


def _bar(ax: Any, x: float, y: float, width: float, row: dict, mark: float, ink: str) -> None:
    """The interval of one estimate on a line from 0 to 1, with the mark as a tick."""
    ax.plot([x, x + width], [y, y], color=ink, linewidth=0.6, alpha=0.5, zorder=3)
    ax.plot([x + width * mark] * 2, [y - 0.06, y + 0.06], color=ink, linewidth=0.8, zorder=3)
    ax.plot([x + width * row["low"], x + width * row["high"]], [y, y], color=ink, linewidth=2.2, solid_capstyle="butt", zorder=4)
    ax.plot([x + width * row["mastery"]], [y], "o", color=ink, markersize=3, zorder=5)
