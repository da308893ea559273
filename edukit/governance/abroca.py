"""How differently a model ranks the learners of a group and all others: the area between their ROC curves (ABROCA), with test, interval and power.

A gap of 0 says that a threshold anywhere catches as many of those it should, for as many false alarms, in the group as in the rest.

References
----------
Gardner, Brooks and Baker (2019), LAK: slicing analysis, the area between ROC curves. Janes and Pepe (2009), Biometrika: curves within strata, averaged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
GAP = 0.05  # the gap whose chance to be found is told (power)
LEVEL = 0.05
PERMUTATIONS = 9_999  # at most; a group that chance alone reaches often is given up after FIRST
FIRST, OFTEN = 999, 10
BINS = 200  # places on a ROC curve at which drawn curves are compared; the value itself is exact
CHUNK = 4_000_000  # numbers of one batch of draws


@dataclass(frozen=True)
class Slice:
    """What the ranking of a group against the rest shows.

    Attributes
    ----------
    value : the area between the two curves, exact. low, high : its 95 % interval, over learners drawn again.
    p : share of random groups of this size with a gap at least as large. power : chance to find (at 5 %) a gap of :data:`GAP`.
    permutations : random groups drawn.
    """

    value: float
    low: float
    high: float
    p: float
    power: float
    permutations: int


def abroca(y: Array, p: Array, member: Array, strata: Array | None = None) -> float:
    """Area between the ROC curve of a group and that of all others; NaN where either holds one outcome only.

    Parameters
    ----------
    y : (N,) outcomes, 1 from 0.5 up. p : (N,) predictions, only their order counts.
    member : (N,) whether the row belongs to the group.
    strata : (N,) integer codes: curves are drawn within each and their differences averaged, weighted by rows; strata that cannot tell are left out.

    Examples
    --------
    >>> y, p = np.array([1, 0, 1, 0]), np.array([0.9, 0.1, 0.1, 0.9])
    >>> abroca(y, p, np.array([True, True, False, False]))
    1.0
    """
    right, member = np.asarray(y, float) >= 0.5, np.asarray(member, bool)
    curves = [(rows.sum(), *(_roc(right[rows & side], np.asarray(p)[rows & side]) for side in (member, ~member)))
              for rows in _usable(right, member, strata)]
    if not curves:
        return float("nan")
    knots = np.unique(np.concatenate([x for _, *both in curves for x, _ in both]))
    width = np.diff(knots)
    early, late = (sum(n * (np.interp(at, *one) - np.interp(at, *other)) for n, one, other in curves) / sum(n for n, *_ in curves)
                   for at in (knots[:-1] + width / 4, knots[:-1] + 3 * width / 4))
    begin, end = early - (late - early) / 2, late + (late - early) / 2  # curves are straight between knots, and may jump at them
    crosses = begin * end < 0
    spread = np.abs(begin) + np.abs(end)
    area = np.where(crosses, (begin**2 + end**2) / np.where(spread > 0, spread, 1), spread) / 2
    return float(area @ width)


def _usable(right: Array, member: Array, strata: Array | None) -> list[Array]:
    """Rows (N,) of each stratum in which both sides hold both outcomes."""
    strata = np.zeros(len(right), int) if strata is None else np.asarray(strata)
    return [rows for rows in (strata == s for s in np.unique(strata))
            if all(0 < right[rows & side].sum() < (rows & side).sum() for side in (member, ~member))]


def _roc(right: Array, p: Array) -> tuple[Array, Array]:
    """Corners of a ROC curve, from (0, 0): false and true positive rates; tied predictions are one straight piece."""
    order = np.argsort(-p, kind="stable")
    right, p = right[order], p[order]
    last = np.append(p[1:] != p[:-1], True)
    hit, missed = np.cumsum(right)[last], np.cumsum(~right)[last]
    return np.append(0, missed / missed[-1]), np.append(0, hit / hit[-1])


def slicing(y: Array, p: Array, member: Array, units: Array | None = None, strata: Array | None = None, *, gap: float = GAP,
            permutations: int = PERMUTATIONS, draws: int = 200, seed: int = 0) -> Slice:
    """The gap of one group against the rest, and how sure it is.

    Random groups are drawn by exchanging whole learners between the two sides, among learners of the same stratum and outcome. Before that,
    predictions are replaced by their rank within their own side (the mean of their ranks among its 0s and among its 1s), which moves no ROC curve: where
    the two curves agree, learners are then exchangeable even if one group has higher risks, or a larger share of them, than the other.

    Drawing goes on (to ``permutations``) only while fewer than 11 of the random groups had so large a gap. The interval reaches as far
    to either side as the upper end of a bootstrap does: chance adds to an area, which cannot be negative, so that the lower end of a bootstrap would lie
    too high, and its mirror image too low. Power is simulated: a smooth gap (largest in the middle) is
    added to the curves of the random groups.

    Parameters
    ----------
    units : (N,) integer codes of learners; each row is one where absent. All rows of a unit are on one side.
    strata : as in :func:`abroca`.
    gap : the gap that power is told for.
    permutations, draws : random groups at most, and bootstrap draws.

    References
    ----------
    Venkatraman (2000), Biometrics (permutation of ranks for unpaired ROC curves). Besag and Clifford (1991), Biometrika (drawing until it is clear).
    Davison and Hinkley (1997), Bootstrap Methods and their Application (bootstrap intervals).
    """
    rows = _usable(right := np.asarray(y, float) >= 0.5, member := np.asarray(member, bool), strata)
    value = abroca(y, p, member, strata)
    if not rows:
        return Slice(value, *[float("nan")] * 4, permutations=0)
    drawn = _Drawn(right, np.asarray(p, float), member, np.arange(len(right)) if units is None else np.asarray(units), rows)
    rng = np.random.default_rng(seed)
    found = float(np.abs(drawn.seen()).mean())
    curves = np.concatenate(list(drawn.random_groups(rng, min(FIRST, permutations))))
    at = (np.arange(BINS) + 0.5) / BINS
    null = np.abs(curves).mean(axis=1)
    planted = np.concatenate([np.abs(curves + sign * gap * 6 * at * (1 - at)).mean(axis=1) for sign in (1, -1)])
    power = float((planted > np.quantile(null, 1 - LEVEL)).mean())
    reached, tried = int((null >= found - 1e-12).sum()), len(null)
    if reached <= OFTEN and permutations > FIRST:
        for more in drawn.random_groups(rng, permutations - FIRST):
            reached, tried = reached + int((np.abs(more).mean(axis=1) >= found - 1e-12).sum()), tried + len(more)
            if reached > OFTEN:
                break
    cohorts = np.concatenate([np.abs(more).mean(axis=1) for more in drawn.cohorts(rng, draws)])
    reach = max(float(np.quantile(cohorts, 0.975)) - found, 0.0)
    return Slice(value, max(value - reach, 0.0), min(value + reach, 1.0), (1 + reached) / (1 + tried), power, tried)


class _Drawn:
    """Counts of every unit over outcome and rank, from which the curves of any group of units follow."""

    def __init__(self, right: Array, p: Array, member: Array, units: Array, strata: list[Array]) -> None:
        from scipy.sparse import csr_matrix

        kept = np.concatenate([np.flatnonzero(rows) for rows in strata])
        stratum = np.repeat(np.arange(len(strata)), [rows.sum() for rows in strata])
        right, p, member = right[kept], p[kept], member[kept]
        place = np.empty(len(kept))
        for s in range(len(strata)):
            for side in (member, ~member):
                own = (stratum == s) & side
                place[own] = _places(right[own], p[own])
        rank = np.minimum((place * BINS).astype(int), BINS - 1)
        unit = np.unique(2 * units[kept] + member, return_inverse=True)[1]
        self._strata, size = len(strata), int(unit.max()) + 1
        key = (2 * stratum + right) * BINS + rank
        self._counts = csr_matrix((np.ones(len(kept), np.float32), (key, unit)), shape=(2 * BINS * len(strata), size))
        self._weight = np.array([rows.sum() for rows in strata]) / len(kept)
        self._member = np.zeros(size, bool)
        self._member[unit] = member
        kind = np.zeros((size, 2 * len(strata)), bool)
        kind[unit, 2 * stratum + right] = True
        like = np.unique(kind, axis=0, return_inverse=True)[1].ravel()
        self._blocks = [np.flatnonzero(like == b) for b in range(like.max() + 1)]

    def seen(self) -> Array:
        """(1, BINS) difference of the two curves as they are."""
        inside = self._member[:, None].astype(np.float32)
        return self._difference(self._counts @ inside, self._counts @ (1 - inside))

    def random_groups(self, rng: np.random.Generator, draws: int) -> Iterator[Array]:
        """(some, BINS) differences for groups drawn at random among units of the same strata and outcomes, ``draws`` in all."""
        whole = np.asarray(self._counts.sum(axis=1))
        for some in self._batches(draws):
            inside = np.empty((len(self._member), some), np.float32)
            for block in self._blocks:
                many, fewer = int(self._member[block].sum()), len(block) <= 2 * int(self._member[block].sum())
                drawn = np.full((some, len(block)), float(fewer), np.float32)
                for row in drawn:  # the smaller side is drawn: its size is what drawing costs
                    row[rng.choice(len(block), len(block) - many if fewer else many, replace=False, shuffle=False)] = not fewer
                inside[block] = drawn.T
            counts = self._counts @ inside
            yield self._difference(counts, whole - counts)

    def cohorts(self, rng: np.random.Generator, draws: int) -> Iterator[Array]:
        """(some, BINS) differences for units of either side drawn again with replacement, ``draws`` in all."""
        for some in self._batches(draws):
            sides = []
            for side in (self._member, ~self._member):
                own, times = np.flatnonzero(side), np.zeros((len(side), some), np.float32)
                times[own] = again(rng, len(own), some).T
                sides.append(self._counts @ times)
            yield self._difference(*sides)

    def _batches(self, draws: int) -> Iterator[int]:
        most = max(CHUNK // max(len(self._member), len(self._weight) * 2 * BINS), 1)
        yield from (min(most, draws - done) for done in range(0, draws, most))

    def _difference(self, inside: Array, outside: Array) -> Array:
        """(D, BINS) mean over strata of the curve inside less the curve outside, from (strata · 2 · BINS, D) counts."""
        found = np.zeros((inside.shape[1], BINS))
        sides = [counts.reshape(self._strata, 2, BINS, -1) for counts in (inside, outside)]
        for s, weight in enumerate(self._weight):
            one, other = (_curves(side[s]) for side in sides)
            found += weight * np.where(np.isfinite(one) & np.isfinite(other), one - other, 0)  # a drawn side of one outcome has no curve
        return found


def again(rng: np.random.Generator, units: int, draws: int) -> Array:
    """(draws, units) how often each unit is in a cohort of as many, drawn with replacement."""
    places = rng.integers(0, units, (draws, units)) + units * np.arange(draws)[:, None]
    return np.bincount(places.ravel(), minlength=draws * units).reshape(draws, units)


def _curves(counts: Array) -> Array:
    """(D, BINS) true positive rates at the middles of BINS equal steps of the false positive rate, from (2, BINS, D) counts by rank; NaN of one outcome."""
    rates = np.zeros((2, counts.shape[2], BINS + 1))
    rates[..., 1:] = np.cumsum(counts[:, ::-1], axis=1).transpose(0, 2, 1)
    with np.errstate(invalid="ignore"):
        false, true = rates / rates[..., -1:]
    apart = 2.0 * np.arange(len(false))[:, None]  # all curves one behind the other: one interpolation
    at = apart + (np.arange(BINS) + 0.5) / BINS
    alike = np.isfinite(false).all(axis=1) & np.isfinite(true).all(axis=1)
    found = np.interp(at.ravel(), (apart + np.where(alike[:, None], false, 0)).ravel(), np.where(alike[:, None], true, 0).ravel()).reshape(at.shape)
    found[~alike] = np.nan
    return found


def _places(right: Array, p: Array) -> Array:
    """(N,) mean of the ranks of each prediction among the 0s and among the 1s, from 0 to 1; ties in the middle."""
    return np.mean([(np.searchsorted(some, p, "left") + np.searchsorted(some, p, "right")) / (2 * len(some))
                    for some in (np.sort(p[~right]), np.sort(p[right]))], axis=0)
