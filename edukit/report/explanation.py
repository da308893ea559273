"""A small picture of what moved one learner's mastery of one concept: the responses in order, and the prerequisites."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from edukit.report.figures import ENDS, GREY, INK, _figure, _short
from edukit.schema import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMED = 5  # responses that carry their item's name
BARS = 12  # parts of the history drawn


def explanation(responses: pd.DataFrame, concepts: pd.DataFrame, names: Mapping[str, str], concept_id: str, mastery: float, baseline: float) -> Figure:
    """Above, each response in order and how far it moved mastery; below, all responses on the concept, on each prerequisite, and all others.

    Blue raised the estimate, orange lowered it; a filled mark is a right response, an empty one a wrong one.

    Parameters
    ----------
    responses, concepts : as of :class:`edukit.tracing.explaining.Explanation`.
    names : name of each concept by its id.
    concept_id, mastery, baseline : whose mastery, its value, and that of a learner never seen.
    """
    if responses.empty:
        raise DataError("a picture of an explanation needs at least one response; found none.")
    order = concepts.assign(last=concepts["relation"] == "other").sort_values(["last", "steps"], kind="stable")
    shown = order[order.index.isin(order["moved"].abs().nlargest(BARS).index) | (order["relation"] == "itself")]
    figure, (top, below) = _figure(7.2, 3.2 + 0.32 * len(shown), 2, 1, height_ratios=[2.6, 0.6 + 0.32 * len(shown)])
    place, moved = np.arange(1, len(responses) + 1), responses["moved"].to_numpy()
    top.axhline(0, color=GREY, linewidth=0.8)
    top.vlines(place, 0, moved, colors=_colours(moved), linewidth=2)
    right = responses["correct"].to_numpy() >= 0.5
    for which, face in ((right, INK), (~right, "white")):
        top.scatter(place[which], moved[which], s=18, facecolor=face, edgecolor=INK, linewidth=0.8, zorder=3, label="right" if face == INK else "wrong")
    named: list[int] = []
    for at in np.argsort(-np.abs(moved), kind="stable")[:4 * NAMED]:
        if moved[at] and len(named) < NAMED and all(abs(at - other) > len(place) / 6 or moved[at] * moved[other] < 0 for other in named):
            named.append(int(at))
            top.annotate(_short(str(responses["item_id"].iloc[at]), 20), (place[at], moved[at]), xytext=(0, 6 if moved[at] > 0 else -6), fontsize=7,
                         textcoords="offset points", ha="center", va="bottom" if moved[at] > 0 else "top")
    top.margins(y=0.25)
    top.set(xlabel="response", ylabel="moved mastery by")
    top.legend(frameon=False, fontsize=8, loc="best")
    top.set_title(f"Mastery of {_short(names.get(concept_id, concept_id), 40)}: {mastery:.2f} (a learner never seen: {baseline:.2f})", loc="left", fontsize=11)
    below.axvline(0, color=GREY, linewidth=0.8)
    below.barh(np.arange(len(shown)), shown["moved"], color=_colours(shown["moved"].to_numpy()))
    below.set_yticks(np.arange(len(shown)), [_part(row, names) for row in shown.itertuples()], fontsize=8)
    below.invert_yaxis()
    below.set_xlabel("all responses on it together moved mastery by (parts do not add up)", fontsize=8)
    return figure


def _colours(moved: np.ndarray) -> list[str]:
    return [ENDS[-1] if value > 0 else ENDS[0] for value in moved]


def _part(row: tuple, names: Mapping[str, str]) -> str:
    called = "everything else" if row.relation == "other" else _short(names.get(row.concept_id, row.concept_id), 30)  # type: ignore[attr-defined]
    return f"{called} ({'prerequisite, ' if row.relation == 'prerequisite' else ''}n {row.n})"  # type: ignore[attr-defined]
