"""Figures of policies tried in invented worlds: what learners know in the end, how it grew, and what a wrong graph costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from edukit.metrics import shown
from edukit.report.figures import ENDS, GREY, _figure
from edukit.schema import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALLEST = 0.05  # loss to the best policy of a world that has the full colour, where no loss is larger
COLUMNS = 3  # panels side by side


def _words(name: str) -> str:
    return str(name).replace("_", " ")


def _drawn(table: pd.DataFrame, what: str) -> pd.DataFrame:
    if table.empty:
        raise DataError(f"{what} needs at least one trial; found none. Run the policies first: edukit run recommend.")
    return table


def policy_matrix(table: pd.DataFrame) -> Figure:
    """Policies by worlds, a panel per graph: final mastery with its interval in every cell; the darker, the further behind the best of that world.

    Parameters
    ----------
    table : ``graph, world, policy, value, low, high``; a cell that is absent was not tried and stays empty.
    """
    import seaborn

    table = _drawn(table, "policy_matrix").copy()
    table["loss"] = table.groupby(["graph", "world"])["value"].transform("max") - table["value"]
    graphs, worlds, policies = (list(dict.fromkeys(table[name])) for name in ("graph", "world", "policy"))
    rows = [[p for p in policies if p in set(table.loc[table["graph"] == graph, "policy"])] for graph in graphs]
    figure, axes = _figure(1.9 + 1.35 * len(worlds), 1.0 + sum(0.75 + 0.5 * len(some) for some in rows), len(graphs), 1, height_ratios=[len(r) for r in rows])
    colours, most = seaborn.light_palette(ENDS[0], as_cmap=True), max(SMALLEST, float(table["loss"].max()))
    for ax, graph, some in zip(axes, graphs, rows, strict=True):
        own = table[table["graph"] == graph]
        wide = own.pivot(index="policy", columns="world", values="loss").reindex(index=some, columns=worlds)
        words = own.assign(words=[f"{shown(r.value)}\n{shown(r.low)} to {shown(r.high)}" for r in own.itertuples()])
        words = words.pivot(index="policy", columns="world", values="words").reindex(index=some, columns=worlds).astype(object)
        seaborn.heatmap(wide, annot=words.where(words.notna(), ""), fmt="", cmap=colours, vmin=0, vmax=most, linewidths=1, ax=ax, annot_kws={"fontsize": 7.5},
                        cbar=False)
        ax.set_xticks([k + 0.5 for k in range(len(worlds))], [_words(w) for w in worlds], rotation=0, fontsize=8)
        ax.set_yticks([k + 0.5 for k in range(len(some))], [_words(p) for p in some], rotation=0, fontsize=8)
        ax.set(xlabel="", ylabel="")
        ax.tick_params(length=0)
        ax.set_title(f"{graph}: final mastery and its 95 % interval; the darker, the further behind the best", loc="left", fontsize=9)
    return figure


def mastery_over_steps(table: pd.DataFrame, first: Sequence[str] = ()) -> Figure:
    """How mastery grew while each policy led a cohort, a panel per world; the band is one standard deviation over cohorts.

    Parameters
    ----------
    table : ``world, policy, seed, step, mastery``; step 0 is before the first response.
    first : policies drawn in colour; with none all are; the others are grey and have no band.
    """
    import seaborn

    table = _drawn(table, "mastery_over_steps")
    worlds, policies = (list(dict.fromkeys(table[name])) for name in ("world", "policy"))
    coloured = [p for p in policies if p in first] or policies
    colours = dict(zip(coloured, seaborn.color_palette("colorblind", len(coloured)), strict=True))
    across = min(COLUMNS, len(worlds))
    figure, axes = _figure(0.8 + 3.0 * across, 0.8 + 2.5 * -(-len(worlds) // across), -(-len(worlds) // across), across, sharex=True)
    for ax, world in zip(axes, worlds, strict=False):
        own = table[table["world"] == world]
        for policy in sorted(policies, key=lambda p: p in coloured):
            steps = own[own["policy"] == policy].groupby("step")["mastery"].agg(["mean", "std"]).fillna(0.0)
            if len(steps):
                _line(ax, steps, colours.get(policy), _words(policy))
        ax.set_title(_words(world), loc="left", fontsize=9)
    for ax in axes[len(worlds):]:
        ax.set_axis_off()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(4, len(policies)), frameon=False, fontsize=8)
    for ax in axes[max(0, len(worlds) - across):len(worlds)]:
        ax.set_xlabel("responses", fontsize=9)
    figure.supylabel("mean true mastery", fontsize=9)
    return figure


def _line(ax: Axes, steps: pd.DataFrame, colour: tuple[float, float, float] | None, label: str) -> None:
    at, mean, spread = steps.index.to_numpy(float), steps["mean"].to_numpy(), steps["std"].to_numpy()
    ax.plot(at, mean, color=colour or GREY, linewidth=1.6 if colour else 1.0, label=label)
    if colour:
        ax.fill_between(at, mean - spread, mean + spread, color=colour, alpha=0.12, linewidth=0)
