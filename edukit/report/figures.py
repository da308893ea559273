"""Figures for reports and notebooks: colour-blind safe, without a screen, and with hidden cells drawn as hidden.

Every function returns a :class:`matplotlib.figure.Figure` that no global state knows of; :func:`save` writes it. matplotlib and
seaborn are imported when the first figure is drawn. Mastery is orange below the mark, blue above it and pale at it, as on the gap page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from edukit import metrics
from edukit.governance.privacy import TOTAL
from edukit.report.gap_page import RULES, layers
from edukit.reproducibility import replacing
from edukit.schema import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

INK, GREY, PALE, BLUE = "#1d2733", "#98a3af", "#eef0f2", "#1f5a87"
ENDS = ("#a8480b", "#f0ad69", "#f7f4f0", "#85b2d6", "#185282")
SPAN = 0.35  # mastery this far from the mark has the full colour
HATCHES = {"not enough data": "////", "suppressed": "...."}
ROWS = 60  # concepts of one matrix; of more, those with the largest need are drawn
LABELS = 120  # concepts of a graph that can carry their names


def save(figure: Figure, path: Path, dpi: int = 150) -> Path:
    """Write a figure as the suffix of ``path`` says (png, svg, pdf), whole or not at all."""
    path = Path(path)
    with replacing(path) as beside:
        figure.savefig(beside, dpi=dpi, format=path.suffix.lstrip(".") or "png")
    return path


def _figure(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    import seaborn
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    with seaborn.axes_style("ticks"):
        axes = list(figure.subplots(rows, columns, squeeze=False, **options).ravel())
    seaborn.despine(fig=figure)
    return figure, axes


def _scale(mark: float) -> ScalarMappable:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    return ScalarMappable(Normalize(mark - SPAN, mark + SPAN, clip=True), LinearSegmentedColormap.from_list("mastery", ENDS))


def _ink(colour: tuple[float, float, float, float]) -> str:
    return "white" if 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] < 0.55 else INK


def _key(figure: Figure, ax: Axes, scale: ScalarMappable, cells: pd.DataFrame, shrink: float) -> None:
    """Colour bar, and a legend of the states that occur."""
    from matplotlib.patches import Patch

    figure.colorbar(scale, ax=ax, shrink=shrink, extend="both", label="mean mastery (pale: at the mark)")
    entries = [Patch(facecolor=PALE, edgecolor=GREY, hatch=hatch, label=state) for state, hatch in HATCHES.items()
               if (cells["state"] == state).any()]
    entries += [Patch(facecolor="none", edgecolor=INK, linewidth=2, label="stuck")] if cells["stuck"].fillna(False).any() else []
    if entries:
        ax.legend(handles=entries, loc="upper left", bbox_to_anchor=(0, -0.02), ncols=len(entries), frameon=False, fontsize=9)


def _short(name: str, letters: int = 34) -> str:
    """A label that fits; ``$`` is text, not mathematics."""
    return (name if len(name) <= letters else name[: letters - 1] + "…").replace("$", r"\$")


def mastery_matrix(gaps: pd.DataFrame, concepts: pd.DataFrame, mark: float = RULES["fail"]) -> Figure:
    """Class by concept: mean mastery in colour and per cent, stuck cells outlined, hidden cells hatched and without a number.

    Parameters
    ----------
    gaps : table ``gaps``
    concepts : table ``concepts``
        Gives the names.
    mark : float
        The fail mark the map was made with.

    Returns
    -------
    Figure
        Concepts from the largest mean need down; at most 60, and the title says so.
    """
    from matplotlib.patches import Rectangle

    need = gaps.groupby("concept_id")["need"].mean().sort_values(ascending=False)  # concepts without a number come last
    rows, columns = list(need.index[:ROWS]), sorted(gaps["class_id"].unique(), key=lambda c: (c != TOTAL, c))
    shown, names, scale = gaps[gaps["concept_id"].isin(rows)], concepts.set_index("concept_id")["name"], _scale(mark)
    figure, (ax,) = _figure(3.2 + 0.55 * len(columns), 1.6 + 0.27 * len(rows))
    for cell in shown.itertuples():
        x, y = columns.index(cell.class_id), rows.index(cell.concept_id)
        if cell.state != "estimated":
            ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=PALE, edgecolor=GREY, linewidth=0.4, hatch=HATCHES[cell.state]))
            continue
        colour = scale.to_rgba(cell.mastery)
        ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="white", linewidth=1))
        ax.text(x, y, f"{100 * cell.mastery:.0f}", ha="center", va="center", fontsize=8, color=_ink(colour))
        if cell.stuck:
            ax.add_patch(Rectangle((x - 0.44, y - 0.42), 0.88, 0.84, fill=False, edgecolor=INK, linewidth=2))
    ax.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    ax.set_xticks(range(len(columns)), [_short(str(c), 18) for c in columns], rotation=90 if len(columns) > 4 else 0)
    ax.set_yticks(range(len(rows)), [_short(names.get(c, c)) for c in rows])
    ax.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    ax.spines[:].set_visible(False)
    rest = len(need) - len(rows)
    ax.set_title(f"Mean mastery (%){f', largest need first; {rest} more concepts are not drawn' if rest else ''}", loc="left", fontsize=11)
    _key(figure, ax, scale, shown, shrink=min(1.0, 8 / max(len(rows), 1)))
    return figure


def reliability(y: Sequence[float] | np.ndarray, p: Sequence[float] | np.ndarray, bins: int = 10) -> Figure:
    """How often learners were right when the model said p, with 95 % Wilson intervals, and how many answers each bin holds.

    References
    ----------
    Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference. JASA.
    """
    y, p = np.asarray(y, float), np.asarray(p, float)
    if not len(y) or len(y) != len(p):
        raise DataError(f"reliability needs one outcome per probability, and one at least; found {len(y)} and {len(p)}. Pass both columns.")
    table, z = pd.DataFrame(metrics.reliability(y, p, bins)), 1.96
    n, share = table["n"].to_numpy(float), table["observed"].to_numpy(float)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    figure, (top, below) = _figure(5, 5.6, 2, 1, sharex=True, height_ratios=[3.2, 1])
    top.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="perfectly calibrated")
    top.vlines(table["predicted"], centre - reach, centre + reach, color=BLUE, linewidth=2, label="95 % interval")
    top.plot(table["predicted"], share, "o", color=BLUE, label="observed share")
    top.set(xlim=(0, 1), ylim=(0, 1), ylabel="observed share correct")
    top.set_title(f"Reliability: ECE {metrics.ece(y, p, bins=bins):.3f}, n = {len(y):,}")
    top.legend(frameon=False, fontsize=9)
    below.bar(table["predicted"], n, width=0.8 / bins, color=GREY)
    below.set(xlabel="predicted probability", ylabel="answers")
    return figure


def metric_comparison(records: Sequence[Mapping[str, object]]) -> Figure:
    """One panel per metric, one line per model: the value and, where there is one, its interval.

    Parameters
    ----------
    records : list of metric records
        ``name, value, low, high, split, model`` as in a run report. Lines of several splits are told apart by name.
    """
    table = pd.DataFrame(list(records)).reindex(columns=["name", "value", "low", "high", "split", "model"]).dropna(subset=["name", "value"])
    if table.empty:
        raise DataError("metric_comparison needs at least one record with a name and a value; found none. Evaluate a model first.")
    split = " · " + table["split"].fillna("").astype("str") if table["split"].nunique() > 1 else ""
    table["line"] = table["model"].fillna("model").astype("str") + split
    lines, names = list(dict.fromkeys(table["line"])), list(dict.fromkeys(table["name"]))
    figure, axes = _figure(2.2 + 2.7 * len(names), 1.2 + 0.34 * len(lines), 1, len(names), sharey=True)
    for ax, name in zip(axes, names, strict=True):
        part = table[table["name"] == name].drop_duplicates("line")
        at = part["line"].map(lines.index).to_numpy()
        ax.hlines(at, part["low"].astype(float), part["high"].astype(float), color=GREY, linewidth=3)
        ax.plot(part["value"].astype(float), at, "o", color=BLUE)
        ax.set_title(str(name).replace("_", " "), fontsize=11)
        ax.grid(axis="x", color="#e6eaee")
        ax.set_axisbelow(True)
    axes[0].set_yticks(range(len(lines)), lines)
    axes[0].set_ylim(len(lines) - 0.5, -0.5)
    return figure


def growth(table: pd.DataFrame, limits: Mapping[str, float] | None = None) -> Figure:
    """What each step costs as the log grows: seconds, with the straight line through the origin that fits best, and peak memory.

    Parameters
    ----------
    table : DataFrame
        One row a step and size: ``step, rows, seconds, peak_mb``.
    limits : mapping of step to MB
        Drawn as dashed lines in the colour of the step.
    """
    import seaborn

    if table.empty:
        raise DataError("growth needs at least one measured step; found none. Measure some sizes first.")
    figure, axes = _figure(9, 3.8, 1, 2)
    steps = list(dict.fromkeys(table["step"]))
    colours = dict(zip(steps, seaborn.color_palette("colorblind", len(steps)), strict=True))
    for ax, column, label in zip(axes, ("seconds", "peak_mb"), ("seconds", "peak memory (MB)"), strict=True):
        for step in steps:
            part = table[table["step"] == step].sort_values("rows")
            million, value = part["rows"].to_numpy(float) / 1e6, part[column].to_numpy(float)
            ax.plot(million, value, "o-" if column == "peak_mb" else "o", color=colours[step], label=step)
            if column == "seconds":
                ends = np.array([0, million.max()])
                ax.plot(ends, ends * (million @ value) / (million @ million), color=colours[step], linewidth=1)
            elif limits and step in limits:
                ax.axhline(limits[step], color=colours[step], linestyle="--", linewidth=1)
        ax.set(xlabel="million responses", ylabel=label, xlim=(0, None), ylim=(0, None))
    axes[0].legend(frameon=False, fontsize=9)
    axes[0].set_title("Time; lines are proportional to the rows", loc="left", fontsize=11)
    axes[1].set_title(f"Memory{'; dashed: the limit' if limits else ''}", loc="left", fontsize=11)
    return figure


def concept_graph(gaps: pd.DataFrame | None, concepts: pd.DataFrame, prerequisites: pd.DataFrame, cohort: str = TOTAL,
                  mark: float = RULES["fail"]) -> Figure:
    """Concepts, each right of its prerequisites, coloured by the mastery of one cohort; hidden ones are hatched.

    Parameters
    ----------
    gaps : table ``gaps``, or None for the bare graph
    concepts, prerequisites : tables of those names
        Names are drawn for up to 120 concepts.
    cohort : str
        A ``class_id`` of ``gaps``.
    mark : float
        The fail mark the map was made with.
    """
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    cells = None if gaps is None else gaps[gaps["class_id"] == cohort].set_index("concept_id")
    if cells is not None and cells.empty:
        raise DataError(f"gaps must hold the cohort to draw; found no row of {cohort!r}. Choose one of its class_id.")
    edges = [(a, b) for a, b in prerequisites[["requires_id", "concept_id"]].drop_duplicates().itertuples(index=False, name=None) if a != b]
    layout = layers(list(concepts["concept_id"]), edges)
    where = dict(zip(layout["concept_id"], zip(2.3 * layout["x"], 0.75 * layout["y"], strict=True), strict=True))
    right, bottom = 2.3 * layout["x"].max() + 2.1, 0.75 * layout["y"].max() + 0.8
    figure, (ax,) = _figure(min(40.0, 2 + 0.95 * right), min(40.0, 1.6 + 0.62 * bottom))
    for a, b in edges:
        ax.add_artist(FancyArrowPatch((where[a][0] + 1.8, where[a][1] + 0.25), (where[b][0], where[b][1] + 0.25), arrowstyle="-|>",
                                      mutation_scale=8, shrinkA=0, shrinkB=0, color="#b4bdc7", linewidth=0.8, zorder=0.5))
    scale = _scale(mark)
    for concept, name in zip(concepts["concept_id"], concepts["name"], strict=True):
        state = "bare" if cells is None else cells["state"].get(concept, "not enough data")
        cell = cells.loc[concept] if cells is not None and state == "estimated" else None
        colour = (0.93, 0.94, 0.95, 1.0) if cell is None else scale.to_rgba(cell["mastery"])
        stuck = cell is not None and bool(cell["stuck"])
        x, y = where[concept]
        ax.add_artist(FancyBboxPatch((x, y), 1.8, 0.5, boxstyle="round,pad=0,rounding_size=0.1", facecolor=colour, hatch=HATCHES.get(state),
                                     edgecolor=INK if stuck else GREY, linewidth=2 if stuck else 0.6))
        if len(concepts) <= LABELS:
            ax.text(x + 0.9, y + 0.25, _short(name, 22), ha="center", va="center", fontsize=7, color=_ink(colour))
    ax.set(xlim=(-0.3, right), ylim=(bottom, -0.3))
    ax.axis("off")
    title = "Concepts and what they build on"
    if cells is not None:
        title = f"Mean mastery, {'all learners' if cohort == TOTAL else cohort}"
        _key(figure, ax, scale, cells, shrink=0.6)
    ax.set_title(title, loc="left")
    return figure


def data_atlas(table: pd.DataFrame, uses: Sequence[str]) -> Figure:
    """Which data set answers which question, beside how many learners and responses it has (logarithmic).

    Parameters
    ----------
    table : one row a data set: ``data, learners, responses`` and one flag per use; rows whose flags are missing are drawn as *file needed*.
    uses : the flags, from left to right.
    """
    rows = len(table)
    figure, (matrix, sizes) = _figure(3.6 + 0.55 * len(uses) + 3.4, 1.6 + 0.3 * rows, 1, 2, gridspec_kw={"width_ratios": [0.55 * len(uses), 3.2]})
    for row, flags in enumerate(table[list(uses)].to_numpy(object)):
        for column, flag in enumerate(flags):
            absent = pd.isna(flag)
            matrix.add_patch(_tile(column, row, BLUE if not absent and flag else PALE, "////" if absent else None))
    matrix.set(xlim=(-0.5, len(uses) - 0.5), ylim=(rows - 0.5, -0.5), yticks=range(rows), yticklabels=[str(name) for name in table["data"]])
    matrix.set_xticks(range(len(uses)), uses, rotation=35, ha="right")
    for column, colour, marker in (("learners", BLUE, "o"), ("responses", ENDS[0], "s")):
        values = pd.to_numeric(table[column], errors="coerce").astype(float)
        sizes.scatter(values, range(rows), s=34, color=colour, marker=marker, label=column, zorder=3)
    sizes.set(xscale="log", ylim=(rows - 0.5, -0.5), yticks=[], xlabel="how many")
    sizes.grid(axis="x", color=PALE)
    sizes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False, fontsize="small").set_in_layout(True)
    figure.suptitle("What each data set can be asked (hatched: file needed)", fontsize="medium")
    return figure


def _tile(column: int, row: int, colour: str, hatch: str | None) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.44, row - 0.42), 0.88, 0.84, facecolor=colour, edgecolor="white" if hatch is None else GREY, hatch=hatch, linewidth=0)
