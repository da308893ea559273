"""A world of resources whose worth is known, and what three ways of choosing among them come to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from edukit.recommend.resources import KINDS, ResourceChoice
from edukit.recommend.simulate import sigmoid

THEMES = ("sports", "animals", "music", "space")
TOO_HARD, TOO_EASY, INTEREST, KIND_SD, QUALITY_SD = -0.5, -0.15, 0.5, 0.4, 0.6  # logits: per grade, per grade, met, sd, sd


@dataclass(frozen=True)
class Visits:
    """Mean chance that the resource chosen helps, by way of choosing: one entry a visit (V,)."""

    learnt: np.ndarray
    random: np.ndarray
    popular: np.ndarray
    best: np.ndarray


def visits(concepts: int = 10, each: int = 6, count: int = 3000, seed: int = 0) -> Visits:
    """Learners come one after the other, each for one concept; every way of choosing sees the same learners and only its own responses.

    P(helped) = sigmoid(kind + quality + too hard + too easy + interest met). Popularity takes what was used most: it begins with uses that are
    associated with quality, half and half with chance, and whatever helps is used again.

    Parameters
    ----------
    concepts, each : resources are ``concepts`` x ``each``. count : V visits.
    """
    rng = np.random.default_rng(seed)
    size = concepts * each
    kind, level, theme = rng.integers(0, len(KINDS), size), rng.integers(3, 10, size).astype(float), rng.integers(0, len(THEMES), size)
    quality = rng.normal(0, QUALITY_SD, size)
    worth = rng.normal(0, KIND_SD, len(KINDS))[kind] + quality
    table = pd.DataFrame({"resource_id": [f"r{k}" for k in range(size)], "concept_id": [f"c{k // each}" for k in range(size)],
                          "kind": np.array(KINDS)[kind], "reading_level": level, "interest": np.array(THEMES)[theme]})
    choice = ResourceChoice(seed=seed).start(table)
    uses = np.exp(rng.normal(0, 1, size) + quality / QUALITY_SD)
    found = np.empty((4, count))
    for visit in range(count):
        concept, reads, likes, luck = rng.integers(concepts), float(rng.integers(4, 9)), int(rng.integers(len(THEMES))), rng.random()
        own = slice(concept * each, (concept + 1) * each)
        gap = level[own] - reads
        p = sigmoid(worth[own] + TOO_HARD * np.maximum(gap, 0) + TOO_EASY * np.maximum(-gap, 0) + INTEREST * (theme[own] == likes))
        taken = choice.recommend(f"c{concept}", reads, {THEMES[likes]})["resource_id"].iloc[0]
        learnt, popular = int(taken[1:]) - own.start, int(uses[own].argmax())
        choice.observe(taken, float(luck < p[learnt]), reads, {THEMES[likes]})
        uses[own.start + popular] += float(luck < p[popular])
        found[:, visit] = p[learnt], p.mean(), p[popular], p.max()
    return Visits(*found)
