"""Why a step is suggested, in plain words that a learner can check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edukit.recommend.terrain import Terrain

if TYPE_CHECKING:
    from edukit.recommend.policy import View

NAMED = 3  # prerequisites that are named; the others are counted
FEW = 3  # responses below which nothing is said of how a learner is doing


def listed(names: list[str]) -> str:
    """Names in a sentence.

    Examples
    --------
    >>> listed(["A"]), listed(["A", "B"]), listed(["A", "B", "C", "D", "E"])
    ('A', 'A and B', 'A, B, C and 2 more')
    """
    if len(names) > NAMED:
        return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def reason(terrain: Terrain, view: View, concept: int, mastered: float, has_item: bool = True) -> str:
    """Why this concept comes next for a learner (row 0 of the view).

    What is said to be known is so with the mastery that the policy asks for; below it the probability is given.
    """
    name, known = terrain.names[concept], view.mastery[0]
    parents = terrain.required(concept)
    if view.due[0, concept]:
        return f"{name} comes back because you knew it {int(view.progress.elapsed()[0, concept])} answers ago, and what is not used is forgotten."
    sure = [terrain.names[k] for k in parents if known[k] >= mastered]
    others = [terrain.names[k] for k in parents if known[k] < mastered]
    if not len(parents):
        text = f"{name} comes next because it builds on nothing that must be known before"
    elif not others:
        text = f"{name} comes next because you know {listed(sure)}, and {name} builds on {'it' if len(sure) == 1 else 'them'}"
    elif view.ready[0, concept] >= 0.5:
        told = f"you know {listed(sure)}, most likely also {listed(others)}" if sure else f"you most likely know {listed(others)}"
        text = f"{name} comes next because {told} (together {view.ready[0, concept]:.0%}), and {name} builds on {'it' if len(parents) == 1 else 'them'}"
    else:
        text = f"{name} was chosen although it builds on {listed(others)}, which you may not know yet ({view.ready[0, concept]:.0%})"
    return f"{text}. {_standing(view, concept, mastered)}{'' if has_item else ' No question fits yet: it has to be learnt by other means.'}"


def _standing(view: View, concept: int, mastered: float) -> str:
    """How the learner is doing on the concept, as far as answers tell."""
    n, known = int(view.progress.n[0, concept]), view.mastery[0, concept]
    if not n:
        return "You have not tried it yet."
    marks = view.progress.recent[0, concept]
    marks = marks[np.isfinite(marks)]
    if known >= mastered:
        return f"Your answers are associated with mastery of it ({known:.0%}): to keep it up, or because nothing else is open."
    if n < FEW:
        return f"You have answered {n} question{'s' * (n > 1)} on it so far."
    return f"{int(round(marks.sum()))} of your last {len(marks)} answers on it were right; they are associated with {known:.0%} mastery."
