"""How the estimate of one learner moved, response by response: a panel per concept, with how sure the estimate was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from edukit.report.figures import BLUE, GREY, INK, _figure, _short
from edukit.schema import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 12  # panels
ACROSS = 3


def trajectory(steps: pd.DataFrame, responses: pd.DataFrame, names: Mapping[str, str], concepts: Sequence[str], mark: float = 0.6) -> Figure:
    """Mastery after each response with a band of one standard deviation; a filled dot is a right response on the concept, an empty one a wrong one.

    A line that moves where there is no dot was moved by responses on other concepts.

    Parameters
    ----------
    steps : DataFrame
        ``step`` (responses seen so far, 0 = none), ``concept_id``, ``mastery``, ``sd``.
    responses : DataFrame
        ``step`` (1 = the first response), ``concept_id``, ``correct``; a row per concept that the item assesses.
    names : name of each concept by its id.
    concepts : what to draw, in this order; at most 12.
    mark : share of right answers at which mastery is drawn as reached.

    Raises
    ------
    DataError
        Where a concept has no steps, or more are asked for than fit.
    """
    if not 1 <= len(concepts) <= MOST:
        raise DataError(f"a trajectory draws 1 to {MOST} concepts; found {len(concepts)}. Choose those that the learner met most.")
    if absent := [c for c in concepts if c not in set(steps["concept_id"])]:
        raise DataError(f"steps must hold every concept to draw; found none of {absent[0]!r}. Follow the learner with mastery_of at every step.")
    rows = -(-len(concepts) // ACROSS)
    figure, axes = _figure(10.5, 0.6 + 2.0 * rows, rows, min(ACROSS, len(concepts)), sharex=True, sharey=True)
    for ax, concept in zip(axes, concepts, strict=False):
        own = steps[steps["concept_id"] == concept].sort_values("step")
        at, mastery, sd = (own[c].to_numpy(float) for c in ("step", "mastery", "sd"))
        ax.axhline(mark, color=GREY, linewidth=0.8, linestyle="--")
        ax.fill_between(at, np.clip(mastery - sd, 0, 1), np.clip(mastery + sd, 0, 1), color=BLUE, alpha=0.2, linewidth=0)
        ax.plot(at, mastery, color=BLUE, linewidth=1.6)
        met = responses[responses["concept_id"] == concept]
        height = np.interp(met["step"].to_numpy(float), at, mastery)
        right = met["correct"].to_numpy(float) >= 0.5
        ax.scatter(met["step"], height, s=22, facecolor=np.where(right, INK, "white"), edgecolor=INK, linewidth=0.9, zorder=3)
        ax.set_title(f"{_short(names.get(concept, concept), 30)} (n {len(met)})", loc="left", fontsize=9)
        ax.set_ylim(0, 1)
    for ax in axes[len(concepts):]:
        ax.set_axis_off()
    figure.supxlabel("responses so far", fontsize=9)
    figure.supylabel("mastery", fontsize=9)
    return figure
