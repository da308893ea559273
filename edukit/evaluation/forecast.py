"""What a learner will answer next, several steps ahead and without being told the answers between: sampled forward, with intervals that can be checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

import numpy as np
import pandas as pd

from edukit.schema import DataError, has_order

NUMBERS = 12_000_000  # of learners' states held at once
WORTH = 5.0  # responses at the overall rate that a floor's rate counts for
MEDIAN = 0.5


class Cohort(Protocol):
    """Learners as some model sees them, followed side by side (:class:`edukit.tracing.cohorts.Cohort`, or a floor of this file)."""

    @property
    def numbers(self) -> int:
        """How many numbers are kept of each learner."""
        ...

    def place(self, item_ids: np.ndarray) -> np.ndarray:
        """(N,) position of each item."""
        ...

    def after(self, history: pd.DataFrame, learner_ids: np.ndarray) -> Self:
        """These learners after all their rows of a table ``interactions``."""
        ...

    def repeated(self, times: int) -> Self:
        """Each learner as many times, next to each other."""
        ...

    def chance(self, item: np.ndarray) -> np.ndarray:
        """(M,) P(correct) of each learner's next response, were it to these items (M,)."""
        ...

    def follow(self, item: np.ndarray, correct: np.ndarray) -> None:
        """Every learner has answered one item (M,)."""
        ...


@dataclass
class SoFar:
    """A floor: the share of all answers so far that were right, as if five more had been at the overall rate. Its own draws move it."""

    rate: float
    numbers: int = 2
    _told: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))

    def place(self, item_ids: np.ndarray) -> np.ndarray:
        """Any item is as good as another."""
        return np.zeros(len(item_ids), np.int64)

    def after(self, history: pd.DataFrame, learner_ids: np.ndarray) -> Self:
        """These learners after their rows."""
        own = history.groupby("learner_id")["correct"].agg(["sum", "count"]).reindex(learner_ids, fill_value=0).to_numpy(float)
        return type(self)(self.rate, _told=own + [WORTH * self.rate, WORTH])

    def repeated(self, times: int) -> Self:
        """Each learner as many times."""
        return type(self)(self.rate, _told=np.repeat(self._told, times, axis=0))

    def chance(self, item: np.ndarray) -> np.ndarray:
        """(M,) share right so far."""
        return self._told[:, 0] / self._told[:, 1]

    def follow(self, item: np.ndarray, correct: np.ndarray) -> None:
        """One answer more."""
        self._told = self._told + np.column_stack([correct, np.ones(len(correct))])


@dataclass
class ItemMean:
    """A floor: the share of the training learners who got the item right; nothing is known of the learner."""

    train: pd.DataFrame
    numbers: int = 1

    def __post_init__(self) -> None:
        own, rate = self.train.groupby("item_id")["correct"].agg(["sum", "count"]), float(self.train["correct"].mean())
        self._items, self._rates = pd.Index(own.index, dtype=object), np.append((own["sum"] + WORTH * rate) / (own["count"] + WORTH), rate)

    def place(self, item_ids: np.ndarray) -> np.ndarray:
        """(N,) position of each item, -1 for one never seen."""
        return self._items.get_indexer(pd.Index(item_ids, dtype=object))

    def after(self, history: pd.DataFrame, learner_ids: np.ndarray) -> Self:
        """Nothing is kept of a learner."""
        return self

    def repeated(self, times: int) -> Self:
        """Nothing is kept of a learner."""
        return self

    def chance(self, item: np.ndarray) -> np.ndarray:
        """(M,) share right."""
        return self._rates[item]

    def follow(self, item: np.ndarray, correct: np.ndarray) -> None:
        """Nothing is learnt of a learner."""


@dataclass(frozen=True)
class Paths:
    """P ways in which the next H responses of B learners may go.

    Parameters
    ----------
    learner_ids : (B,) whose. item_ids : (B, H) what is asked.
    chance : (B, H, P) P(correct) of each step, given the answers drawn before it on that path. right : (B, H, P) the answers drawn.
    seed : draws what :meth:`share` adds.
    """

    learner_ids: np.ndarray
    item_ids: np.ndarray
    chance: np.ndarray
    right: np.ndarray
    seed: int

    def share(self, steps: int) -> np.ndarray:
        """(B, P) share right of the first ``steps`` responses, each path moved by up to half a response.

        A share of few responses takes few values, so that an interval between two of them would hold far more than it says; spread evenly
        between its neighbours it holds as much as it says, on average over learners.
        """
        rng = np.random.default_rng([self.seed, steps])
        return self.right[:, :steps].mean(axis=1) + rng.uniform(-0.5, 0.5, (len(self.right), self.right.shape[2])) / steps


def sampled(cohort: Cohort, history: pd.DataFrame, future: pd.DataFrame, paths: int = 200, seed: int = 0) -> Paths:
    """Let a model answer for the learners: draw its next answer with its own probability, tell it that, and so on.

    The draws of a path depend on each other as the model believes answers do, so that what it does not know of a learner widens the forecast.

    Parameters
    ----------
    cohort : the fitted model's. history : table ``interactions`` up to where each learner is forecast; a learner without rows is as never seen.
    future : ``learner_id, item_id, order`` of what is asked next, as many rows of each learner. Its answers, if it has any, are not looked at.
    paths : P.

    Raises
    ------
    DataError
        Where learners are asked different numbers of items, or the order is not known.
    """
    asked = future[["learner_id", "item_id", "order"]]
    if not len(asked) or not has_order(asked) or asked.groupby("learner_id").size().nunique() > 1:
        sizes = asked.groupby("learner_id").size()
        raise DataError(f"a forecast needs as many items of every learner, in a known order; found {len(sizes)} learners with "
                        f"{sizes.min() if len(sizes) else 0} to {sizes.max() if len(sizes) else 0} items. Cut every learner's future to one length.")
    asked = asked.sort_values(["learner_id", "order"], kind="stable")
    learner_ids = asked["learner_id"].unique().astype(object)
    items = asked["item_id"].to_numpy(object).reshape(len(learner_ids), -1)
    place, horizon = cohort.place(items.ravel()).reshape(items.shape), items.shape[1]
    chance, right = (np.empty((*items.shape, paths), kind) for kind in (np.float32, bool))
    owner = pd.Index(learner_ids).get_indexer(pd.Index(history["learner_id"], dtype=object))
    some = max(1, NUMBERS // (paths * max(cohort.numbers, 1)))
    for first in range(0, len(learner_ids), some):
        here, rng = slice(first, first + some), np.random.default_rng([seed, first])
        now = cohort.after(history[(owner >= first) & (owner < first + some)], learner_ids[here]).repeated(paths)
        for step in range(horizon):
            item = np.repeat(place[here, step], paths)
            p = now.chance(item)
            drawn = rng.random(len(p)) < p
            now.follow(item, drawn.astype(float))
            chance[here, step], right[here, step] = p.reshape(-1, paths), drawn.reshape(-1, paths)
    return Paths(learner_ids, items, chance, right, seed)


@dataclass(frozen=True)
class Spread:
    """By how much intervals of a share must be stretched to hold what they say, by number of responses (split conformal prediction).

    Parameters
    ----------
    level : what an interval should hold. factors : (H,) of the distance from the median to either end; 1 = as drawn.

    References
    ----------
    Papadopoulos, Proedrou, Vovk and Gammerman (2002), Inductive confidence machines for regression, ECML.
    Romano, Patterson and Candès (2019), Conformalized quantile regression, NeurIPS.
    """

    level: float
    factors: np.ndarray

    @classmethod
    def none(cls, horizon: int, level: float = 0.8) -> Spread:
        """Intervals as they are drawn."""
        return cls(level, np.ones(horizon))

    @classmethod
    def learnt(cls, shares: Sequence[np.ndarray], truth: Sequence[np.ndarray], level: float = 0.8) -> Spread:
        """From what became of learners whom the model was not fitted on, and who are not judged.

        Parameters
        ----------
        shares : for 1 to H responses, (B, P) shares drawn. truth : alike, (B,) what came.
        """
        factors = []
        for drawn, came in zip(shares, truth, strict=True):
            low, middle, high = np.quantile(drawn, [(1 - level) / 2, MEDIAN, (1 + level) / 2], axis=1)
            score = np.where(came >= middle, (came - middle) / np.maximum(high - middle, 1e-9), (middle - came) / np.maximum(middle - low, 1e-9))
            rank = min(int(np.ceil((len(score) + 1) * level)), len(score))
            factors.append(np.sort(score)[rank - 1])
        return cls(level, np.array(factors))

    def interval(self, drawn: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """(B,) low and high of the share of so many responses, from (B, P) draws."""
        low, middle, high = np.quantile(drawn, [(1 - self.level) / 2, MEDIAN, (1 + self.level) / 2], axis=1)
        factor = self.factors[steps - 1]
        return np.clip(middle - factor * (middle - low), 0, 1), np.clip(middle + factor * (high - middle), 0, 1)


def forecast(cohort: Cohort, history: pd.DataFrame, future: pd.DataFrame, paths: int = 200, seed: int = 0, spread: Spread | None = None) -> pd.DataFrame:
    """How likely each of a learner's next responses is right, and which share of them will have been: the score at the end of the term.

    Parameters
    ----------
    cohort, history, future, paths, seed : see :func:`sampled`. spread : how far the intervals of shares are stretched; None = 80 % as drawn.

    Returns
    -------
    DataFrame
        ``learner_id, step_ahead`` (from 1), ``item_id``, ``mean`` P(correct) with ``low`` and ``high``, between which it lies on 80 % of the paths;
        ``share``, ``share_low``, ``share_high``: of the responses up to this one, with the interval in which the share itself should lie.
    """
    return of_paths(sampled(cohort, history, future, paths, seed), spread)


def of_paths(found: Paths, spread: Spread | None = None) -> pd.DataFrame:
    """The table of :func:`forecast` from paths that were drawn."""
    learners, horizon = found.item_ids.shape
    spread = spread or Spread.none(horizon)
    low, high = np.quantile(found.chance, [(1 - spread.level) / 2, (1 + spread.level) / 2], axis=2)
    ends = np.stack([spread.interval(found.share(k), k) for k in range(1, horizon + 1)], axis=2)  # (2, B, H)
    share = np.cumsum(found.chance.mean(axis=2, dtype=float), axis=1) / np.arange(1, horizon + 1)
    return pd.DataFrame({
        "learner_id": np.repeat(found.learner_ids, horizon), "step_ahead": np.tile(np.arange(1, horizon + 1), learners), "item_id": found.item_ids.ravel(),
        "mean": found.chance.mean(axis=2, dtype=float).ravel(), "low": low.ravel().astype(float), "high": high.ravel().astype(float),
        "share": share.ravel(), "share_low": ends[0].ravel(), "share_high": ends[1].ravel()})


def origins(log: pd.DataFrame, horizon: int, earlier: int, cuts: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Where learners are forecast from: before their last ``horizon`` responses, before the ones before those, and so on (Tashman, 2000, IJF).

    Parameters
    ----------
    log : table ``interactions`` with known order. earlier : responses that are known at least. cuts : most origins of one learner.

    Returns
    -------
    history, future : tables ``interactions`` whose ``learner_id`` is that of an origin; ``unit`` is the learner.

    Raises
    ------
    DataError
        Where nobody has enough responses.
    """
    known = log.sort_values(["learner_id", "order"], kind="stable").reset_index(drop=True)
    nth, n = known.groupby("learner_id").cumcount(), known.groupby("learner_id")["learner_id"].transform("size")
    before, after = [], []
    for cut in range(cuts):
        start = n - (cut + 1) * horizon
        some = known.assign(unit=known["learner_id"], learner_id=known["learner_id"].astype(str) + f" cut {cut}")[start >= earlier]
        place = (nth - start)[start >= earlier]
        before.append(some[place < 0])
        after.append(some[(place >= 0) & (place < horizon)])
    history, future = pd.concat(before, ignore_index=True), pd.concat(after, ignore_index=True)
    if future.empty:
        raise DataError(f"a forecast over {horizon} responses needs learners with {earlier + horizon} responses or more; found {int(n.max()) if len(n) else 0} "
                        "at most. Ask for a shorter horizon: horizon=5.")
    return history, future
