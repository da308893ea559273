"""How every policy works: what is open to a learner, which concept is preferred, which item, and why. A policy adds what it prefers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from edukit.protocols import NotFittedError, PrerequisiteGraph
from edukit.recommend import reasons
from edukit.recommend.progress import Progress
from edukit.recommend.review_spacing import half_life_after, recall
from edukit.recommend.terrain import Terrain
from edukit.schema import DataError

NEVER = 1e-12  # a chance below counts as none


@dataclass(frozen=True)
class View:
    """What a policy sees of B learners when it chooses: arrays are (B, C) unless it is said.

    Parameters
    ----------
    mastery : estimated. ready : P(prerequisites known). allowed : what may be recommended. due : mastered, and by now hardly recalled.
    fits : (B, I + 1) items that break no readiness; the last is none. progress : what the policy remembers.
    """

    mastery: np.ndarray
    ready: np.ndarray
    allowed: np.ndarray
    due: np.ndarray
    fits: np.ndarray
    progress: Progress


class ConceptPolicy(ABC):
    """Chooses among the concepts that a learner is ready for and has not mastered.

    Parameters
    ----------
    ready : least P(prerequisites known) of what is recommended, and of every concept of the item; 0 = no such constraint.
    mastered : mastery from which a concept is left alone, as long as there is anything else.
    recall : what is mastered comes back for review when it is recalled with a smaller probability; 0 = no review.
    half_life : responses until half of what was answered once is forgotten. growth : see :func:`.review_spacing.half_life_after`.
    """

    name: ClassVar[str]

    def __init__(self, ready: float, mastered: float, recall: float = 0.0, half_life: float = 20.0, growth: float = 2.0) -> None:
        wrong = [f"{name} must lie in [0, 1]; found {value:g}" for name, value in (("ready", ready), ("mastered", mastered), ("recall", recall))
                 if not 0 <= value <= 1]
        wrong += [f"{name} must be above {least}; found {value:g}" for name, value, least in (("half_life", half_life, 0), ("growth", growth, 1))
                  if not value > least]
        if wrong:
            raise DataError(f"policy {self.name}: {'; '.join(wrong)}.")
        self.ready, self.mastered, self.recall, self.half_life, self.growth = ready, mastered, recall, half_life, growth
        self.first_quality = 0.0

    @abstractmethod
    def chances(self, view: View, rng: np.random.Generator) -> np.ndarray:
        """(B, C) how likely each allowed concept is chosen, up to a factor; 0 elsewhere. A sure choice has one positive entry."""

    # many learners at once

    def begin(self, learners: int, terrain: Terrain) -> Progress:
        """Learners never seen."""
        return Progress.start(learners, terrain, self.first_quality, self.half_life)

    def view(self, terrain: Terrain, progress: Progress, mastery: np.ndarray) -> View:
        """What is open, given mastery (B, C): ready and not mastered; where nothing is, ready and holding others back; else whatever is ready."""
        ready = terrain.readiness(mastery)
        items = terrain.items_of
        fits = np.concatenate([terrain.item_readiness(ready) >= self.ready, np.zeros((len(mastery), 1), bool)], axis=1)
        asked = fits[:, items[:, 0]]
        for nth in range(1, items.shape[1]):
            asked = asked | fits[:, items[:, nth]]
        ready_now = ready >= self.ready
        now = asked & ready_now
        now = np.where(now.any(axis=1, keepdims=True), now, ready_now)  # no item fits: the concept itself, to be learnt by other means
        unknown = mastery < self.mastered
        allowed = now & unknown
        if self.recall:
            due = now & ~unknown & (progress.n > 0) & (recall(progress.elapsed(), progress.half_life) < self.recall)
            allowed = allowed | due
        else:
            due = np.zeros_like(now)
        stuck = ~allowed.any(axis=1)
        if stuck.any():
            holding = now[stuck] & self._holding(terrain, ~ready_now[stuck])
            allowed[stuck] = np.where(holding.any(axis=1, keepdims=True), holding, now[stuck])
        return View(mastery, ready, allowed, due, fits, progress)

    @staticmethod
    def _holding(terrain: Terrain, blocked: np.ndarray) -> np.ndarray:
        """(B, C) concepts that something not ready (B, C) requires directly."""
        found = np.zeros((len(blocked), blocked.shape[1] + 1), bool)
        for concept in np.flatnonzero(blocked.any(axis=0)):
            found[np.ix_(blocked[:, concept], terrain.required(concept))] = True
        return found[:, :-1]

    def odds(self, view: View, rng: np.random.Generator) -> np.ndarray:
        """(B, C) probability of each concept; what is due for review comes first, the least recalled before all."""
        chances = np.where(view.allowed, self.chances(view, rng), 0.0)
        if self.recall and (late := view.due.any(axis=1)).any():
            left = np.where(view.due, recall(view.progress.elapsed(), view.progress.half_life), np.inf)
            chances[late] = np.arange(chances.shape[1]) == left[late].argmin(axis=1)[:, None]
        none = chances.sum(axis=1) <= NEVER
        chances[none] = view.allowed[none]
        return chances / chances.sum(axis=1, keepdims=True)

    def item_of(self, terrain: Terrain, view: View, concept: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(B,) the item of each learner's concept (B,) that was asked least among those that fit; I where there is none."""
        everybody, items = np.arange(len(concept))[:, None], terrain.items_of[concept]
        fits = view.fits[everybody, items]
        asked = np.concatenate([view.progress.asked, np.zeros((len(concept), 1), np.int64)], axis=1)[everybody, items]
        best = np.where(fits, asked + rng.random(items.shape), np.inf).argmin(axis=1)
        return np.where(fits.any(axis=1), items[everybody[:, 0], best], len(terrain.item_ids))

    def note(self, terrain: Terrain, progress: Progress, item: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Every learner has answered one item (B,); returns the learners (M,) and concepts (M,) that were touched."""
        waited = progress.elapsed()
        who, concept = progress.note(terrain, item, correct)
        mark = np.asarray(correct, float)[who]
        progress.half_life[who, concept] = half_life_after(progress.half_life[who, concept], mark, waited[who, concept], self.growth)
        return who, concept

    # one learner, live

    def start(self, graph: PrerequisiteGraph, items: pd.DataFrame, seed: int) -> Self:
        """Begin a session with one learner.

        Parameters
        ----------
        graph : concepts, q_matrix and prerequisites. items : table ``items`` or any with ``item_id``: those that may be asked; no rows = all.
        """
        terrain = Terrain.of(graph, items["item_id"] if len(items) else None)
        self.terrain_, self._rng, self._progress = terrain, np.random.default_rng(seed), self.begin(1, terrain)
        return self

    def observe(self, item_id: str, correct: float) -> None:
        """Learn from a response; an item that no concept of the graph names only counts as a step."""
        terrain = self._started()
        if not 0 <= correct <= 1:
            raise DataError(f"correct must lie in [0, 1]; found {correct} for item {item_id!r}. 1 is right, 0 wrong, between them a mark.")
        place = terrain.place_of_item.get(item_id)
        if place is None:
            self._progress.steps += 1
            return
        self.note(terrain, self._progress, np.array([place]), np.array([float(correct)]))

    def recommend(self, mastery: pd.DataFrame, history: Sequence[tuple[str, float]], n: int = 1) -> pd.DataFrame:
        """``n`` rows of table ``recommendations`` (without learner_id), best first; fewer where less is open.

        Parameters
        ----------
        mastery : indexed by concept_id, column ``mastery``; a concept that is absent counts as not known.
        history : (item_id, correct) of all responses; those that were not told by :meth:`observe` are observed now.
        """
        terrain = self._started()
        for item_id, correct in history[int(self._progress.steps[0]):]:
            self.observe(item_id, correct)
        found = self.suggest(mastery["mastery"].reindex(terrain.concept_ids).fillna(0.0).to_numpy(float), n)
        return pd.DataFrame(found).astype({"item_id": object})

    def suggest(self, known: np.ndarray, n: int = 1) -> list[dict[str, Any]]:
        """As :meth:`recommend`, one mapping a row: for who asks often. ``known`` (C,) is mastery in the order of the graph's concepts.

        Raises
        ------
        DataError
            For n below 1, or mastery outside [0, 1].
        """
        terrain = self._started()
        wrong = np.flatnonzero(~((known >= 0) & (known <= 1)))
        if n < 1 or len(wrong):
            raise DataError(f"recommend needs n of at least 1 and mastery in [0, 1]; found n={n}"
                            + (f" and {known[wrong[0]]:g} for {terrain.concept_ids[wrong[0]]}. Hand in P(known)." if len(wrong) else "."))
        view = self.view(terrain, self._progress, known[None])
        odds = self.odds(view, self._rng)[0]
        found: list[dict[str, Any]] = []
        for concept in self._ranked(odds, view.allowed[0], n):
            item = int(self.item_of(terrain, view, np.array([concept]), self._rng)[0])
            item_id = terrain.item_ids[item] if item < len(terrain.item_ids) else None
            found.append({"concept_id": terrain.concept_ids[concept], "rank": len(found) + 1, "item_id": item_id, "score": float(odds[concept]),
                          "reason": reasons.reason(terrain, view, int(concept), self.mastered, item_id is not None),
                          "readiness": float(view.ready[0, concept])})
        return found

    def _ranked(self, odds: np.ndarray, allowed: np.ndarray, n: int) -> np.ndarray:
        """Positions drawn one after the other without replacement; then whatever else is allowed, in the order of the graph's concepts."""
        some = np.flatnonzero(odds > NEVER)
        drawn = self._rng.choice(some, size=min(n, len(some)), replace=False, p=odds[some] / odds[some].sum())
        if len(drawn) == n:
            return drawn
        others = np.setdiff1d(np.flatnonzero(allowed), drawn)
        return np.concatenate([drawn, others[np.argsort(self.terrain_.order[others])]])[:n]

    def state(self) -> dict[str, Any]:
        """Everything that :meth:`restore` needs to go on with this learner, as plain values that JSON can hold."""
        terrain = self._started()
        return {"policy": self.name, "random": self._rng.bit_generator.state, "progress": self._progress.content(terrain)}

    def restore(self, state: dict[str, Any]) -> Self:
        """Go on where :meth:`state` was taken; call :meth:`start` first, so that the graph is known.

        Raises
        ------
        DataError
            Where the state is of another policy, or names what the graph does not have.
        """
        terrain = self._started()
        if state.get("policy") != self.name:
            raise DataError(f"a saved session must be of policy {self.name}; found {state.get('policy')!r}. Start the session with that policy.")
        self._progress = self.begin(1, terrain).fill(terrain, state["progress"])
        self._rng.bit_generator.state = state["random"]
        return self

    def _started(self) -> Terrain:
        if not hasattr(self, "terrain_"):
            raise NotFittedError(f"policy {self.name} has no session; call start(graph, items, seed) first")
        return self.terrain_
