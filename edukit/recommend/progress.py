"""What a policy remembers of learners: how often, when, and how well they answered on each concept; many learners at once, or one live."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from edukit.recommend.terrain import Terrain
from edukit.schema import DataError

WINDOW = 8  # last answers on a concept that are remembered one by one


@dataclass(eq=False)
class Progress:
    """Where B learners stand with a policy; changed in place by :meth:`note`.

    Parameters
    ----------
    steps : (B,) int array
        Responses so far.
    n : (B, C) int array
        Responses on each concept.
    recent : (B, C, WINDOW) array
        Last marks on each concept, the latest last; NaN where there is none.
    last : (B, C) int array
        At which response the concept was last answered; -1 = never.
    quality, half_life : (B, C) arrays
        What a bandit expects of practising the concept; responses until half of what is not used is forgotten.
    asked : (B, I) int array
        How often each item was answered.
    """

    steps: np.ndarray
    n: np.ndarray
    recent: np.ndarray
    last: np.ndarray
    quality: np.ndarray
    half_life: np.ndarray
    asked: np.ndarray

    @classmethod
    def start(cls, learners: int, terrain: Terrain, quality: float, half_life: float) -> Progress:
        """Learners never seen."""
        shape = (learners, len(terrain.concept_ids))
        return cls(np.zeros(learners, np.int64), np.zeros(shape, np.int64), np.full((*shape, WINDOW), np.nan), np.full(shape, -1, np.int64),
                   np.full(shape, quality), np.full(shape, half_life), np.zeros((learners, len(terrain.item_ids)), np.int64))

    def note(self, terrain: Terrain, item: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Every learner has answered one item (B,); a mark (B,) in [0, 1].

        Returns
        -------
        (M,) learners and (M,) concepts that were touched: one entry per concept of each item.
        """
        everybody = np.arange(len(item))
        self.asked[everybody, item] += 1
        who, nth = np.nonzero(terrain.item_concepts[item] < len(terrain.concept_ids))
        concept = terrain.item_concepts[item[who], nth]
        self.n[who, concept] += 1
        self.recent[who, concept] = np.concatenate([self.recent[who, concept][:, 1:], np.asarray(correct, float)[who, None]], axis=1)
        self.last[who, concept] = self.steps[who]
        self.steps += 1
        return who, concept

    def elapsed(self) -> np.ndarray:
        """(B, C) responses since the concept was last answered; 0 where it never was."""
        return np.where(self.last < 0, 0, self.steps[:, None] - 1 - self.last)

    def content(self, terrain: Terrain) -> dict[str, Any]:
        """The state of one learner (B = 1) as plain values by id, only what was touched: it can be written as JSON."""
        touched = np.flatnonzero(self.n[0])
        concepts = {terrain.concept_ids[k]: {"n": int(self.n[0, k]), "last": int(self.last[0, k]), "quality": float(self.quality[0, k]),
                                             "half_life": float(self.half_life[0, k]),
                                             "recent": [float(v) for v in self.recent[0, k] if np.isfinite(v)]} for k in touched}
        asked = {terrain.item_ids[i]: int(self.asked[0, i]) for i in np.flatnonzero(self.asked[0])}
        return {"steps": int(self.steps[0]), "concepts": concepts, "asked": asked}

    def fill(self, terrain: Terrain, content: dict[str, Any]) -> Progress:
        """Take over what :meth:`content` wrote, by id: the graph may have grown since.

        Raises
        ------
        DataError
            Where a concept or an item is no longer in the graph.
        """
        place = {concept: k for k, concept in enumerate(terrain.concept_ids)}
        gone = [name for name in content["concepts"] if name not in place] + [name for name in content["asked"] if name not in terrain.place_of_item]
        if gone:
            raise DataError(f"a saved session must refer to concepts and items of the graph; found {gone[0]!r} (first of {len(gone)}). "
                            "Start the session anew, or use the graph it was saved with.")
        self.steps[0] = content["steps"]
        for concept, own in content["concepts"].items():
            k = place[concept]
            self.n[0, k], self.last[0, k], self.quality[0, k], self.half_life[0, k] = own["n"], own["last"], own["quality"], own["half_life"]
            self.recent[0, k, WINDOW - len(own["recent"]):] = own["recent"]
        for item, times in content["asked"].items():
            self.asked[0, terrain.place_of_item[item]] = times
        return self

    def copy(self) -> Progress:
        """The same, to be changed apart."""
        return Progress(*(getattr(self, field.name).copy() for field in fields(self)))
