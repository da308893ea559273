"""How well an item tells who masters its own concept from who does not: slip plus guess, by a two-state model of each concept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from edukit.gaps.item_curves import Attempts, Curves

SLIP, GUESS = 0.12, 0.2  # where an item begins
BELIEF = 1.0  # sum of squares of mastery that this beginning is worth (about 4 answers)
ROUNDS = 20
FEWEST_ITEMS = 3  # of a concept: with fewer, the others do not tell who masters it


@dataclass(frozen=True, eq=False)
class Tagged:
    """R responses, each once per concept of its item; a tag is an item and one of its concepts.

    Attributes
    ----------
    row, tag, concept : (R,) position of the response, the tag and the concept.
    tag_item, tag_concept : (tags,) position of the item and the concept.
    concepts : ids, sorted.
    """

    row: np.ndarray
    tag: np.ndarray
    concept: np.ndarray
    tag_item: np.ndarray
    tag_concept: np.ndarray
    concepts: pd.Index

    @classmethod
    def of(cls, attempts: Attempts, tags: pd.DataFrame) -> Tagged:
        """Repeat responses by the concepts of their items; ``tags`` (item_id, concept_id) is sorted by item and holds every answered item."""
        concept, concepts = pd.factorize(tags["concept_id"], sort=True)
        item = attempts.items.get_indexer(tags["item_id"])
        concept, item = concept[item >= 0], item[item >= 0]
        per_item = np.bincount(item, minlength=len(attempts.items))
        start, times = np.cumsum(per_item) - per_item, per_item[attempts.item]
        row = np.repeat(np.arange(len(times)), times)
        tag = start[attempts.item[row]] + np.arange(len(row)) - np.repeat(np.cumsum(times) - times, times)
        return cls(row, tag, concept[tag], item, concept, pd.Index(concepts))


def slip_and_guess(attempts: Attempts, rest: np.ndarray, tagged: Tagged, curves: Curves, k: int, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Slip + guess of each item, with the upper end of its interval.

    A learner masters a concept or does not. How likely, is known before from the rest score (curves of the concept's items, weighted by squared
    slope), and then from the answers to the concept's *other* items: m = P(mastered). The answer rises by 1 - slip - guess from
    one state to the other, which is the slope of its regression on m; from it m is computed anew, and so on.

    Parameters
    ----------
    rest : (N,) rest scores. curves : of each item on the rest score.
    k : fewest learners expected in either state. level : of the interval.

    Returns
    -------
    (I,) estimates in [0, 2] and (I,) upper ends; NaN where the concept has fewer than three answered items or a state fewer than ``k`` learners.
    For an item of several concepts, of the concept that it tells most about.

    References
    ----------
    Junker & Sijtsma (2001), Applied Psychological Measurement 25 (slip and guess). Carroll et al. (2006), Measurement Error in Nonlinear Models,
    Chapman & Hall (regression on an expected value).
    """
    from scipy.special import ndtri

    right, size, concepts = attempts.right[tagged.row], len(tagged.tag_item), len(tagged.concepts)
    logit = _before(rest, tagged, curves)
    cell = pd.factorize(attempts.learner[tagged.row].astype(np.int64) * concepts + tagged.concept)[0]
    n = np.maximum(np.bincount(tagged.tag, minlength=size), 1)
    mean, begin = np.bincount(tagged.tag, right, size) / n, 1 - SLIP - GUESS
    gap, guess, share, spread = np.full(size, begin), np.full(size, GUESS), np.zeros(size), np.zeros(size)
    for _ in range(ROUNDS):
        low = np.clip(guess, 0.01, 0.98)
        high = np.clip(guess + gap, low, 0.99)  # a right answer never counts against mastery
        says = np.where(right > 0, np.log(high / low)[tagged.tag], np.log((1 - high) / (1 - low))[tagged.tag])
        masters = 1 / (1 + np.exp(-(logit + np.bincount(cell, says)[cell] - says)))
        share = np.bincount(tagged.tag, masters, size) / n
        off = masters - share[tagged.tag]
        spread = np.bincount(tagged.tag, off**2, size)
        gap = (np.bincount(tagged.tag, off * right, size) + BELIEF * begin) / (spread + BELIEF)
        guess = mean - gap * share
    told = (np.bincount(tagged.tag_concept, minlength=concepts)[tagged.tag_concept] >= FEWEST_ITEMS) & (n * np.minimum(share, 1 - share) >= k)
    reach = ndtri((1 + level) / 2) * np.sqrt(mean * (1 - mean) / (spread + BELIEF))
    value, most = np.full((2, len(attempts.items)), np.nan)
    np.fmin.at(value, tagged.tag_item, np.where(told, np.clip(1 - gap, 0, 2), np.nan))
    np.fmin.at(most, tagged.tag_item, np.where(told, 1 - gap + reach, np.nan))
    return value, most


def _before(rest: np.ndarray, tagged: Tagged, curves: Curves) -> np.ndarray:
    """Logit of mastery (R,) from the rest score alone."""
    weight = np.clip(curves.coefficients[tagged.tag_item, 1], 1e-3, None)**2  # a flat item says nothing of who masters the concept
    total = np.bincount(tagged.tag_concept, weight, len(tagged.concepts))
    at, slope = (np.bincount(tagged.tag_concept, weight * curves.coefficients[tagged.tag_item, j], len(total)) / np.maximum(total, 1e-9) for j in (0, 1))
    return at[tagged.concept] + slope[tagged.concept] * rest[tagged.row]
