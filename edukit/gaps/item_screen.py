"""Look at the items before looking at the learners: which items, by the answers given to them, cannot carry a conclusion.

A flag is a reason to read the item, not a verdict on it: a hard item of a concept that nobody masters looks like a broken one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from edukit.gaps.differential_functioning import ETS, DifferentialFunctioning, discoveries
from edukit.gaps.item_curves import Attempts, expected_information, fit_curves, rest_scores
from edukit.gaps.item_quality import choices
from edukit.gaps.slip_guess import Tagged, slip_and_guess
from edukit.governance.privacy import K
from edukit.schema import DataError
from edukit.validation import validate

FLAGS = ("low_discrimination", "dif", "nonuniform_dif", "miskeyed", "contradicted", "slip_guess")
RIDGE = np.array([0.01, 0.1])  # prior precision of intercept and slope: separated answers stay finite
PASSED, ANSWERS = 0.7, 2  # a learner passed a concept: share right, of at least so many answers
EDGE = 0.5  # a prerequisite is believed from this weight on


@dataclass(frozen=True)
class ItemScreen:
    """Judge every item on first attempts, pooled over classes.

    Discrimination is the slope of P(right) = 1 / (1 + exp(-(c + a z))) on the standardised rest score z of the whole learner.

    Parameters
    ----------
    low_slope, low_slope_bound : float
        ``low_discrimination``: slope below ``low_slope`` x median slope, and its upper end below ``low_slope_bound`` x median; not where
        the item clearly tells masters of its own concept from others (upper end of slip + guess within ``slip_guess``): mastery of one
        concept may have little to do with the whole score.
    strata, moderate, large, fdr : see :class:`DifferentialFunctioning`
        ``dif``: class B or C in any group (both need adjusted p < ``fdr``). ``nonuniform_dif``: adjusted p < ``fdr``, and slopes so
        different that one standard deviation from the middle of the scores the difference is ``large``.
    contradiction : float
        ``contradicted``: of the learners who pass a concept that requires this one, the share failing the item exceeds their share
        failing its other items by more than this (lower end of the interval).
    slip_guess : float
        ``slip_guess``: slip + guess above this (:func:`slip_guess.slip_and_guess`).
    flagged_share, low_pooled_slope : float
        Content is suspected if this share of the concept's items is flagged, or the upper end of its pooled slope is below that share of the median.
    k : int
        Fewest learners behind any number.
    interval : float
        Level of the intervals.

    References
    ----------
    Lord & Novick (1968), Statistical Theories of Mental Test Scores. Junker & Sijtsma (2001), Applied Psychological Measurement 25 (slip, guess).
    """

    low_slope: float = 0.5
    low_slope_bound: float = 0.9
    strata: int = 5
    moderate: float = 1.0
    large: float = 1.5
    fdr: float = 0.05
    contradiction: float = 0.15
    slip_guess: float = 0.75
    flagged_share: float = 0.5
    low_pooled_slope: float = 0.65
    k: int = K
    interval: float = 0.95

    def __post_init__(self) -> None:
        self._groups()
        for name in ("low_slope", "low_slope_bound", "fdr", "contradiction", "flagged_share", "low_pooled_slope", "interval"):
            if not 0 < getattr(self, name) <= 1:
                raise DataError(f"ItemScreen.{name} must lie in (0, 1]; found {getattr(self, name)}.")

    def _groups(self) -> DifferentialFunctioning:
        return DifferentialFunctioning(self.strata, self.moderate, self.large, self.fdr, self.k, self.interval)

    def screen(self, interactions: pd.DataFrame, q_matrix: pd.DataFrame, groups: pd.Series | None = None,
               prerequisites: pd.DataFrame | None = None) -> pd.DataFrame:
        """Table ``item_screen``: one row per item and concept, sorted; ``n`` is 0 and all numbers are missing where fewer than k learners answered.

        Parameters
        ----------
        interactions : table ``interactions``. q_matrix : table ``q_matrix``; must hold every item that was answered.
        groups : group per learner_id (index) of one attribute, for differential item functioning only; in no other number.
        prerequisites : table ``prerequisites``, for contradiction only.

        Raises
        ------
        DataError
            On an answered item without a concept, or groups of other learners.
        """
        attempts = Attempts.of(interactions)
        items = attempts.items
        tags = q_matrix[["item_id", "concept_id"]].drop_duplicates().sort_values(["item_id", "concept_id"], ignore_index=True)
        if len(untagged := items.difference(pd.Index(tags["item_id"]))):
            raise DataError(f"interactions.item_id must be found in q_matrix.item_id; found {untagged[0]!r} without a concept "
                            f"({len(untagged):,} of {len(items):,} items). Tag the item, or leave its responses out.")
        rest, whole = rest_scores(attempts)
        curves = fit_curves(attempts.right, np.column_stack([np.ones(len(rest)), rest]), attempts.item, len(items), RIDGE)
        n = attempts.count()
        told = n >= self.k
        low, high = curves.interval(1, self.interval)
        slope, median = curves.coefficients[:, 1], float(np.median(curves.coefficients[told, 1])) if told.any() else 0.0
        table = pd.DataFrame({"correct": attempts.count(attempts.right) / n, "discrimination": slope, "discrimination_low": low,
                              "discrimination_high": high, "information": expected_information(slope, curves.coefficients[:, 0], whole)}, index=items)
        flags = pd.DataFrame(False, index=items, columns=list(FLAGS))
        flags["miskeyed"] = (high < 0) | self._preferred(attempts, rest)
        if groups is not None:
            found = _worst(self._groups().compare(attempts, groups, rest), items)
            table = table.join(found.drop(columns="slope_difference"))
            flags["dif"] = found["dif_class"].isin(["B", "C"])
            flags["nonuniform_dif"] = (found["nonuniform_p"] < self.fdr) & (-ETS * found["slope_difference"].abs() >= self.large)
        rows = Tagged.of(attempts, tags)
        if prerequisites is not None:
            table["contradiction"], flags["contradicted"] = self._contradicted(attempts, rows, prerequisites)
        table["slip_guess"], at_most = slip_and_guess(attempts, rest, rows, curves, self.k, self.interval)
        flags["slip_guess"] = table["slip_guess"] > self.slip_guess
        flags["low_discrimination"] = ((median > 0) & (slope < self.low_slope * median) & (high < self.low_slope_bound * median)
                                       & ~(at_most <= self.slip_guess))
        named = pd.Series(["; ".join(name for name, on in zip(FLAGS, row, strict=True) if on) for row in flags.to_numpy()], index=items)
        table = tags.join(table.assign(n=n, flags=named)[told], on="item_id")
        table = table.fillna({"n": 0, "flags": ""}).astype({"n": int})
        return validate(table.assign(flagged=table["flags"] != ""), "item_screen")

    def _preferred(self, attempts: Attempts, rest: np.ndarray) -> np.ndarray:
        """(I,) whether those who chose some distractor have clearly higher rest scores than those who chose the key."""
        from scipy.special import ndtr

        cells = choices(attempts, rest)
        cells = cells[cells["n"] >= self.k]
        key = cells[cells["is_key"]].set_index("item")
        others = cells[~cells["is_key"] & cells["item"].isin(key.index)]
        key = key.loc[others["item"]]
        error = np.sqrt((others["variance"].to_numpy() / others["n"].to_numpy() + key["variance"].to_numpy() / key["n"].to_numpy()).astype(float))
        lead = (others["score"].to_numpy() - key["score"].to_numpy()).astype(float)
        p = discoveries(1 - ndtr(lead / np.maximum(error, 1e-9)))
        found = np.zeros(len(attempts.items), bool)
        found[others["item"].to_numpy(int)[p < self.fdr]] = True
        return found

    def _contradicted(self, attempts: Attempts, rows: Tagged, prerequisites: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """(I,) share failing among those who pass what builds on the item's concept (NaN below k), and whether that is far more than elsewhere in it."""
        from scipy import sparse
        from scipy.special import ndtri

        shape = (len(attempts.learners), len(rows.concepts))
        learner, right = attempts.learner[rows.row], attempts.right[rows.row]
        many, good = (sparse.csr_array((value, (learner, rows.concept)), shape) for value in (np.ones(len(learner)), right))
        passed = many.copy()
        passed.data = ((many.data >= ANSWERS) & (good.data >= PASSED * many.data)).astype(float)
        edges = prerequisites[prerequisites["weight"] >= EDGE]
        child, parent = rows.concepts.get_indexer(edges["concept_id"]), rows.concepts.get_indexer(edges["requires_id"])
        known = (child >= 0) & (parent >= 0)
        builds = sparse.csr_array((np.ones(known.sum()), (child[known], parent[known])), (shape[1], shape[1]))
        alone = np.bincount(rows.tag_item, minlength=len(attempts.items))[attempts.item[rows.row]] == 1  # else another concept may be why it was failed
        above = alone & (np.asarray((passed @ builds)[learner, rows.concept]).ravel() > 0)
        size, concepts = len(rows.tag_item), len(rows.concepts)
        n, failed = np.bincount(rows.tag, above, size), np.bincount(rows.tag, above * (1 - right), size)
        others, others_failed = (np.bincount(rows.tag_concept, v, concepts)[rows.tag_concept] - v for v in (n, failed))
        here, there = (failed + 1) / (n + 2), (others_failed + 1) / (others + 2)
        reach = ndtri((1 + self.interval) / 2) * np.sqrt(here * (1 - here) / (n + 2) + there * (1 - there) / (others + 2))
        enough = (n >= self.k) & (others >= self.k)
        share, flag = np.full(len(attempts.items), np.nan), np.zeros(len(attempts.items), bool)
        np.fmax.at(share, rows.tag_item, np.where(n >= self.k, failed / np.maximum(n, 1), np.nan))
        np.logical_or.at(flag, rows.tag_item, enough & (here - there - reach > self.contradiction))
        return share, flag


def _worst(found: pd.DataFrame, items: pd.Index) -> pd.DataFrame:
    """Per item the group with the largest difference (of class C or B first; of two mirrored, the one it is harder for), and its least p in slope."""
    order = found.assign(rank=found["dif_class"].map({"C": 2, "B": 1}).fillna(0), size=found["delta"].abs().round(9)).dropna(subset="delta")
    most = order.sort_values(["rank", "size", "delta"], ascending=[False, False, True], kind="stable").drop_duplicates("item_id").set_index("item_id")
    slopes = found.dropna(subset="nonuniform_p_adjusted").sort_values("nonuniform_p_adjusted", kind="stable").drop_duplicates("item_id").set_index("item_id")
    uniform, other = most[["group", "delta", "low", "high", "p_adjusted", "dif_class"]], slopes[["nonuniform_p_adjusted", "slope_difference"]]
    uniform.columns = ["dif_group", "dif_delta", "dif_low", "dif_high", "dif_p", "dif_class"]
    other.columns = ["nonuniform_p", "slope_difference"]
    return uniform.join(other).reindex(items)


def content_gaps(screen: pd.DataFrame, rules: ItemScreen | None = None) -> pd.DataFrame:
    """Whether the items of a concept, taken together, should be looked at before its learners are.

    The pooled slope is the mean of the items' slopes weighted by their precision. A low one counts only where the items do not tell who masters
    the concept either (median slip + guess within the limit): then the concept, not its items, has little to do with the whole score.

    Parameters
    ----------
    screen : table ``item_screen``.
    rules : the screen that made it; the default where None.

    Returns
    -------
    DataFrame
        Per concept: ``items, judged`` (with enough learners), ``flagged, share_flagged``; ``slope, slope_low, slope_high`` as shares of the
        median slope of all items; ``suspected`` (missing with fewer than two judged items), ``reason``.
    """
    from scipy.special import ndtri

    rules = rules or ItemScreen()
    once = screen.drop_duplicates("item_id")
    median = once["discrimination"].median()
    error = (screen["discrimination_high"] - screen["discrimination_low"]) / (2 * ndtri((1 + rules.interval) / 2))
    rows = screen.assign(judged=screen["discrimination"].notna(), weight=error**-2, pull=screen["discrimination"] * error**-2)
    table = rows.groupby("concept_id").agg(items=("item_id", "size"), judged=("judged", "sum"), flagged=("flagged", "sum"),
                                           slip_guess=("slip_guess", "median"), weight=("weight", "sum"), pull=("pull", "sum")).reset_index()
    yardstick = median if median > 0 else np.nan
    weight = table.pop("weight").replace(0, np.nan)
    slope, reach = table.pop("pull") / weight / yardstick, ndtri((1 + rules.interval) / 2) * weight**-0.5 / yardstick
    share = table["flagged"].astype(float) / table["judged"].replace(0, np.nan)
    table = table.assign(share_flagged=share, slope=slope, slope_low=slope - reach, slope_high=slope + reach)
    tells = table.pop("slip_guess") <= rules.slip_guess
    many, flat = share >= rules.flagged_share, (table["slope_high"] < rules.low_pooled_slope) & ~tells
    few = table["judged"] < 2
    table["suspected"] = (many | flat).astype("boolean").mask(few)
    table["reason"] = np.select([few, many & flat, many, flat], ["fewer than two items with enough learners: no cause", "many items flagged; low pooled slope",
                                                                 "many items flagged", "low pooled slope"], "")
    return table
