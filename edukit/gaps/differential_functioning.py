"""Items that are harder, or work otherwise, for one group than for equally able learners of all others.

A group shapes what is said of an item, never what is said of a learner. A difference is associated with the group; why it is there,
the responses do not say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from edukit.gaps.item_curves import Attempts, fit_curves, rest_scores
from edukit.governance.privacy import K
from edukit.schema import DataError

ETS = -2.35  # delta per logit
RIDGE = 0.02  # prior precision of each coefficient: hardly any, so that separated answers stay finite
COLUMNS = ("delta", "low", "high", "p", "p_adjusted", "slope_difference", "slope_low", "slope_high", "nonuniform_p", "nonuniform_p_adjusted")


@dataclass(frozen=True)
class DifferentialFunctioning:
    """Compare each group of a learner attribute with all other learners of the same rest score, item by item.

    Uniform: Mantel-Haenszel common odds ratio alpha (others over group) across strata of the rest score, delta = -2.35 ln(alpha) with the
    interval of Robins, Breslow & Greenland; items with a difference are then taken out of the rest score, once, and all are tested again.
    Non-uniform: likelihood ratio test of group x rest score in a logistic curve. Both are corrected over all items x groups.

    Parameters
    ----------
    strata : int
        Strata of the rest score, of equal size within each item.
    moderate, large : float
        A difference with adjusted p < ``fdr`` is of class C where abs(delta) >= ``large``, B where >= ``moderate``; all others are A.
    fdr : float
        Rate of false discoveries (Benjamini-Hochberg).
    k : int
        Fewest learners in the group and fewest outside it who answered the item; below, the row carries a reason in place of numbers.
    interval : float
        Level of the intervals.

    References
    ----------
    Mantel & Haenszel (1959), JNCI 22. Robins, Breslow & Greenland (1986), Biometrics 42. Holland & Thayer (1988), in Test Validity, Erlbaum.
    Swaminathan & Rogers (1990), Journal of Educational Measurement 27. Benjamini & Hochberg (1995), JRSS B 57. Zwick (2012), ETS RR-12-08.
    """

    strata: int = 5
    moderate: float = 1.0
    large: float = 1.5
    fdr: float = 0.05
    k: int = K
    interval: float = 0.95

    def __post_init__(self) -> None:
        if self.strata < 1 or self.k < 2:
            raise DataError(f"DifferentialFunctioning needs strata >= 1 and k >= 2; found {self.strata} and {self.k}. "
                            "With a smaller k, single learners are published.")
        if not 0 <= self.moderate <= self.large:
            raise DataError(f"DifferentialFunctioning.moderate must lie between 0 and large; found {self.moderate} and {self.large}.")

    def test(self, interactions: pd.DataFrame, groups: pd.Series) -> pd.DataFrame:
        """One row per item and group.

        Parameters
        ----------
        interactions : table ``interactions``; first attempts are used.
        groups : the group per learner_id (index), in any coding; learners without one are left out of every comparison.

        Returns
        -------
        DataFrame
            ``item_id, group, n`` (learners of the group; missing for the whole item where a group of it is too small, so that no
            small one can be found by subtraction), ``reason`` (empty, or why nothing can be said), ``delta, low, high`` (ETS scale,
            negative = harder for the group), ``p, p_adjusted, dif_class``, ``slope_difference, slope_low, slope_high`` (logits per
            standard deviation of the rest score; group less others), ``nonuniform_p, nonuniform_p_adjusted``.

        Raises
        ------
        DataError
            When no learner of ``groups`` is found, or one is there twice.
        """
        attempts = Attempts.of(interactions)
        return self.compare(attempts, groups, rest_scores(attempts)[0])

    def compare(self, attempts: Attempts, groups: pd.Series, rest: np.ndarray) -> pd.DataFrame:
        """The same as :meth:`test`, from first attempts already in arrays and their rest scores over all items."""
        code, names = _codes(attempts.learners, groups)
        code = code[attempts.learner]
        stated = code >= 0
        size = np.zeros((len(attempts.items), len(names)), int)
        np.add.at(size, (attempts.item[stated], code[stated]), 1)
        found = self._uniform(attempts, rest, code, size)
        different = found["delta"].abs().where(found["dif_class"].isin(["B", "C"]), 0).to_numpy()
        if different.any():
            rest, _ = rest_scores(attempts, _purified(different.reshape(size.shape)))
            found = self._uniform(attempts, rest, code, size)
        found = found.assign(**self._nonuniform(attempts, rest, code, size, found["reason"].to_numpy() == ""))
        found.insert(0, "item_id", np.repeat(attempts.items, len(names)))
        found.insert(1, "group", np.tile(names, len(attempts.items)))
        small = ((size > 0) & (size < self.k)).any(axis=1)
        found.insert(2, "n", pd.Series(size.ravel(), dtype="Int64").mask(np.repeat(small, len(names))))
        return found

    def _uniform(self, attempts: Attempts, rest: np.ndarray, code: np.ndarray, size: np.ndarray) -> pd.DataFrame:
        """Mantel-Haenszel of every item and group, one row each; numbers missing where there is a reason."""
        from scipy.special import ndtri

        stratum = _strata(attempts.item, rest, code >= 0, self.strata)
        log_alpha, error, p = mantel_haenszel(*_tables(attempts, stratum, code, size.shape, self.strata))
        reason = np.select([size.ravel() == 0, size.ravel() < self.k, (size.sum(axis=1, keepdims=True) - size).ravel() < self.k, np.isnan(log_alpha)],
                           ["no learner of the group answered", f"fewer than {self.k} learners of the group answered",
                            f"fewer than {self.k} learners outside the group answered", "no stratum holds right and wrong answers of both"], "")
        told = reason == ""
        delta, reach = np.where(told, ETS * log_alpha, np.nan), -ETS * ndtri((1 + self.interval) / 2) * error
        adjusted = discoveries(np.where(told, p, np.nan))
        kind = np.select([~told, (adjusted < self.fdr) & (np.abs(delta) >= self.large), (adjusted < self.fdr) & (np.abs(delta) >= self.moderate)],
                         [None, "C", "B"], "A")
        return pd.DataFrame({"reason": reason, "delta": delta, "low": delta - reach, "high": delta + reach, "p": np.where(told, p, np.nan),
                             "p_adjusted": adjusted, "dif_class": kind})

    def _nonuniform(self, attempts: Attempts, rest: np.ndarray, code: np.ndarray, size: np.ndarray, told: np.ndarray) -> dict[str, np.ndarray]:
        """Difference of the slopes with interval and test, per item and group (raveled)."""
        from scipy.special import chdtrc, ndtri

        items, groups = size.shape
        found = {name: np.full((items, groups), np.nan) for name in COLUMNS[5:9]}
        rows = code >= 0
        item, z, right = attempts.item[rows], rest[rows], attempts.right[rows]
        for g in range(groups):
            member = (code[rows] == g).astype(float)
            features = np.column_stack([np.ones(len(z)), z, member, member * z])
            full = fit_curves(right, features, item, items, np.full(4, RIDGE))
            null = fit_curves(right, features[:, :3], item, items, np.full(3, RIDGE))
            reach = ndtri((1 + self.interval) / 2) * np.sqrt(full.covariance[:, 3, 3])
            found["slope_difference"][:, g], found["slope_low"][:, g] = full.coefficients[:, 3], full.coefficients[:, 3] - reach
            found["slope_high"][:, g] = full.coefficients[:, 3] + reach
            found["nonuniform_p"][:, g] = chdtrc(1, np.clip(2 * (full.likelihood - null.likelihood), 0, None))
        ravelled = {name: np.where(told, values.ravel(), np.nan) for name, values in found.items()}
        return {**ravelled, "nonuniform_p_adjusted": discoveries(ravelled["nonuniform_p"])}


def _codes(learners: pd.Index, groups: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Group of each learner as a position (-1 = not stated) in the sorted names."""
    groups = groups[groups.notna()]
    if groups.index.has_duplicates:
        twice = groups.index[groups.index.duplicated()]
        raise DataError(f"groups must state one group per learner_id; found {twice[0]!r} more than once ({len(twice):,} repeats). Keep one row each.")
    place = pd.Index(groups.index.astype("str")).get_indexer(learners.astype("str"))
    if not (place >= 0).any():
        raise DataError("groups must be indexed by the learner_id of the interactions; found no learner with a group. "
                        "Use learners.set_index('learner_id')[column].")
    code, names = pd.factorize(groups.astype("str").to_numpy(), sort=True)
    return np.where(place >= 0, code[place], -1), np.asarray(names, dtype=object)


def _strata(item: np.ndarray, rest: np.ndarray, stated: np.ndarray, strata: int) -> np.ndarray:
    """Stratum (N,) of each response: the learners of an item in equal parts by rest score; equal scores share a stratum; -1 where not stated."""
    rows = np.flatnonzero(stated)
    rows = rows[np.lexsort((rest[rows], item[rows]))]
    sizes = np.bincount(item[rows], minlength=int(item.max()) + 1)
    start = np.cumsum(sizes) - sizes
    fresh = np.r_[True, (np.diff(item[rows]) != 0) | (np.diff(rest[rows]) > 1e-12)]
    rank = np.maximum.accumulate(np.where(fresh, np.arange(len(rows)), 0)) - start[item[rows]]
    found = np.full(len(item), -1)
    found[rows] = rank * strata // sizes[item[rows]]
    return found


def _tables(attempts: Attempts, stratum: np.ndarray, code: np.ndarray, shape: tuple[int, int], strata: int) -> tuple[np.ndarray, ...]:
    """Right and wrong answers of the others and of the group, each (items x groups, strata)."""
    rows = code >= 0
    counts = np.zeros((*shape, strata, 2))
    np.add.at(counts, (attempts.item[rows], code[rows], stratum[rows], attempts.right[rows].astype(int)), 1)
    others = counts.sum(axis=1, keepdims=True) - counts
    wrong, right, others_wrong, others_right = (c.reshape(-1, strata) for c in (counts[..., 0], counts[..., 1], others[..., 0], others[..., 1]))
    return others_right, others_wrong, right, wrong


def mantel_haenszel(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log of the common odds ratio, its standard error and the p-value of no difference, for G stratified 2 x 2 tables at once.

    The variance is that of Robins, Breslow & Greenland (1986), the test that of Cochran, Mantel & Haenszel without continuity correction.
    Where the ratio is 0 or infinite, half an answer is added to every cell of the informative strata; NaN where no stratum has all margins.

    Parameters
    ----------
    a, b : (G, strata) right and wrong answers of the others. c, d : right and wrong answers of the group.

    Examples
    --------
    >>> log_alpha, _, _ = mantel_haenszel(*np.array([[[20.0]], [[10.0]], [[10.0]], [[20.0]]]))
    >>> bool(np.isclose(log_alpha[0], np.log(4)))
    True
    """
    from scipy.special import chdtrc

    told = ((a + b) > 0) & ((c + d) > 0) & ((a + c) > 0) & ((b + d) > 0)
    a, b, c, d = (np.where(told, cell, 0) for cell in (a, b, c, d))
    with np.errstate(divide="ignore", invalid="ignore"):
        n = a + b + c + d
        expected, variance = (a + b) * (a + c) / n, (a + b) * (c + d) * (a + c) * (b + d) / (n**2 * (n - 1))
        p = chdtrc(1, np.nansum(a - expected, axis=1)**2 / np.nansum(variance, axis=1))
        half = 0.5 * (told & ((a * d).sum(axis=1, keepdims=True) * (b * c).sum(axis=1, keepdims=True) == 0))
        a, b, c, d = a + half, b + half, c + half, d + half
        n = a + b + c + d
        r, s, up, down = a * d / n, b * c / n, (a + d) / n, (b + c) / n
        pr, ps, qr, qs = (np.nansum(x * y, axis=1) for x, y in ((up, r), (up, s), (down, r), (down, s)))
        total_r, total_s = np.nansum(r, axis=1), np.nansum(s, axis=1)
        error = np.sqrt(pr / (2 * total_r**2) + (ps + qr) / (2 * total_r * total_s) + qs / (2 * total_s**2))
        return np.log(total_r / total_s), error, p


def discoveries(p: np.ndarray) -> np.ndarray:
    """p-values (any shape) after Benjamini-Hochberg over those that are known."""
    from scipy.stats import false_discovery_control

    known, found = ~np.isnan(p), np.full(p.shape, np.nan)
    found[known] = false_discovery_control(p[known]) if known.any() else []
    return found


def _purified(difference: np.ndarray) -> np.ndarray:
    """Items (I,) that stay in the rest score: those without a difference in any group, and never fewer than half of all."""
    largest = difference.max(axis=1)
    keep = largest == 0
    keep[np.argsort(largest, kind="stable")[:(len(largest) + 1) // 2]] = True
    return keep
