"""A whole cohort followed by a tracing network, from where each learner's history left them."""

from __future__ import annotations

from typing import Self

import numpy as np
import torch

from edukit.tracing.cohorts import Cohort
from edukit.tracing.networks import ASKED_AT_ONCE, _as_steps, _steps, share_of_items
from edukit.tracing.sequences import Histories


class NetworkCohort(Cohort):
    """A cohort as :class:`edukit.tracing.dkt.DKT` sees it: hidden state and cell (1, M, hidden)."""

    @property
    def numbers(self) -> int:
        return 2 * self.model.hidden

    def begin(self, learners: int) -> None:
        hidden, cell = self.model.network_.start()
        self._state = hidden.repeat(1, learners, 1), cell.repeat(1, learners, 1)

    @torch.no_grad()
    def _read(self, histories: Histories, who: np.ndarray) -> None:
        network = self.model.network_
        for batch in histories.batches(ASKED_AT_ONCE, trim=network.trim):
            for micro in batch:
                found = network.after(_steps(histories, self.vocabulary, micro), None)
                for own, new in zip(self._state, found, strict=True):
                    own[0, who[micro]] = new[0]

    def repeated(self, times: int) -> Self:
        other = type(self)(self.model)
        other._state = tuple(part.repeat_interleave(times, dim=1) for part in self._state)
        return other

    @torch.no_grad()
    def chance(self, item: np.ndarray) -> np.ndarray:
        network, vocabulary = self.model.network_, self.vocabulary
        sets = torch.from_numpy(vocabulary.set_of_item[item])
        members, share, hidden = network.members[sets], network.share[sets], self._state[0][-1]
        told = sum(share[:, k] * ((hidden * network.weight[members[:, k]]).sum(1) + network.offset[members[:, k]]) for k in range(members.shape[1]))
        return torch.sigmoid((told + network.easiness(torch.from_numpy(vocabulary.parameter(item)))).double()).numpy()

    @torch.no_grad()
    def follow(self, item: np.ndarray, correct: np.ndarray) -> None:
        one = _as_steps(item[:, None], np.asarray(correct, np.float32)[:, None], np.ones((len(item), 1), bool), self.vocabulary)
        self._state = self.model.network_.after(one, self._state)

    @torch.no_grad()
    def mastery(self) -> np.ndarray:
        return share_of_items(self.model.network_.concept_logits(self._state).numpy(), self.model._item_logit, self.vocabulary)
