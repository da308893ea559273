"""Logistic regression over a learner's counts of right and wrong responses: Best-LR and its family, by flags."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from edukit.tracing.counting import CountModel
from edukit.tracing.sequences import response_sd


@dataclass(frozen=True)
class Counts:
    """Where one learner stands: right and wrong responses in all, per concept and per item (state of a live learner)."""

    total: np.ndarray
    concept: np.ndarray
    item: dict[int, tuple[float, float]]


class Logistic(CountModel):
    """A learner answers the next item right more often the more they got right before: in all, and on its concepts.

    P(correct) = sigmoid(w0 + item + sum over its concepts [concept + right and wrong counts on it] + counts in all),
    where every count n enters as log(1 + n). A response with several concepts is one row whose concept terms add up.

    Parameters
    ----------
    items, concepts : one difficulty per item, one per concept.
    concept_counts : right and wrong counts on the item's concepts, one pair of weights per concept.
    total_counts : right and wrong counts over all earlier responses.
    item_counts : right and wrong counts on the very same item; all items that the model never heard of count as one.
    strength : inverse of the L2 penalty on all weights.

    Raises
    ------
    DataError
        Where every flag is off.

    Notes
    -----
    All on but ``item_counts`` is Best-LR; ``items=False total_counts=False`` is PFA (:class:`PFA`); only ``items`` is a difficulty model.

    References
    ----------
    Pavlik, Cen and Koedinger (2009), AIED (PFA). Gervet, Koedinger, Schneider and Mitchell (2020), JEDM (Best-LR).
    """

    kind = "logistic"

    def __init__(self, items: bool = True, concepts: bool = True, concept_counts: bool = True, total_counts: bool = True,
                 item_counts: bool = False, strength: float = 1.0) -> None:
        super().__init__(items, concepts, concept_counts, total_counts, item_counts, strength)

    def start(self) -> Counts:
        """State of a learner never seen."""
        return Counts(np.zeros(2), np.zeros((len(self._fitted().concept_ids), 2)), {})

    def step(self, state: Counts, item_id: str, correct: float) -> Counts:
        """State after one more response."""
        vocabulary = self._fitted()
        item = vocabulary.index(pd.Series([item_id]))
        gain = np.array([correct, 1 - correct], float)
        concept = state.concept.copy()
        concept[vocabulary.concept_pairs(item)[1]] += gain
        before = state.item.get(int(item[0]), (0.0, 0.0))
        return Counts(state.total + gain, concept, {**state.item, int(item[0]): (before[0] + gain[0], before[1] + gain[1])})

    def mastery_of(self, state: Counts) -> pd.DataFrame:
        """Per concept: mastery, sd and n."""
        known = self._share(self._logit(state.total[None], state.concept[None]))[0]
        n = state.concept.sum(axis=1)
        return pd.DataFrame({"mastery": known, "sd": response_sd(known, n, self.kappa_), "n": n.round().astype(int)},
                            index=pd.Index(self._fitted().concept_ids, name="concept_id"))


class PFA(Logistic):
    """A learner gets better at a concept with every response on it, more with right ones than with wrong ones.

    Performance factor analysis: P(correct) = sigmoid(w0 + sum over the item's concepts [concept + right and wrong counts on it]),
    the counts as log(1 + n). It is :class:`Logistic` with other flags on from the start.

    Parameters
    ----------
    items, concepts, concept_counts, total_counts, item_counts, strength : as of :class:`Logistic`.

    References
    ----------
    Pavlik, Cen and Koedinger (2009), AIED (who take the counts as they are). Gervet, Koedinger, Schneider and Mitchell (2020), JEDM.
    """

    kind = "pfa"

    def __init__(self, items: bool = False, concepts: bool = True, concept_counts: bool = True, total_counts: bool = False,
                 item_counts: bool = False, strength: float = 1.0) -> None:
        super().__init__(items, concepts, concept_counts, total_counts, item_counts, strength)


class DAS3H(CountModel):
    """A learner forgets: what they got right an hour ago counts for more than what they got right a month ago.

    P(correct) = sigmoid(w0 + item + counts in all + sum over its concepts [concept + sum over windows (wins and attempts on it)]), with
    windows of the last hour, day, week and month and of ever, and every count n as log(1 + n); one pair of weights per concept and window.

    Parameters
    ----------
    items, concepts, concept_counts, total_counts, item_counts, strength : as of :class:`Logistic`; the window of ever makes ``concept_counts``
        unneeded, and with it the model is Best-LR with windows.

    Notes
    -----
    Needs a timestamp in every row. The authors give each learner an intercept, which a learner never seen has not: counts in all stand for it.
    ``mastery`` is that of the learner's last moment. It follows no learner live, since a live response carries no time.

    References
    ----------
    Choffin, Popineau, Bourda and Vie (2019), DAS3H: modeling student learning and forgetting for optimally scheduling distributed practice
    of skills, EDM.
    """

    kind = "das3h"
    windows = True

    def __init__(self, items: bool = True, concepts: bool = True, concept_counts: bool = False, total_counts: bool = True,
                 item_counts: bool = False, strength: float = 1.0) -> None:
        super().__init__(items, concepts, concept_counts, total_counts, item_counts, strength)
