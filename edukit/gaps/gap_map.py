"""Where each class stands on each concept: mean mastery with its interval, the need, and whether the class is stuck.

It says *where*. What a need is associated with is told afterwards, once the items are screened
(:mod:`edukit.gaps.item_screen`) and a model says what would be mastered otherwise (:mod:`edukit.gaps.attribution`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from edukit.governance.privacy import TOTAL, suppress
from edukit.schema import DataError
from edukit.validation import validate

_NO_COHORT = "\0none"  # learners without a class: never shown, but what is left of a total without them must be no small cell
_COHORTS = ("class_id", "teacher_id", "term")
_NUMBERS = ["responses", "mastery", "low", "high", "need", "p_stuck", "stuck"]


@dataclass(frozen=True)
class _Responses:
    """Responses as whole numbers, one row per response and concept of its item."""

    learner: np.ndarray
    concept: np.ndarray
    item: np.ndarray
    cohort: np.ndarray
    learners: pd.Index
    concepts: pd.Index
    cohorts: list[str]


@dataclass(frozen=True)
class GapMap:
    """Turn what each learner is estimated to know into what each class still needs.

    For the n learners of a class who answered at least one item of the concept, with mastery m_u and posterior standard
    deviation s_u: mean = sum(m_u) / n and se^2 = var(m_u) / n + mean(s_u^2) / n. The first part is the spread between
    learners, the second what the model does not know about each. Where mastery is already shrunk towards the mean the sum is
    the spread of true mastery (law of total variance); where it is not, the interval is too wide rather than too narrow.
    The posteriors of different learners are taken as independent: a model that is wrong about an item for everyone
    is not in this interval.

    Parameters
    ----------
    target : float
        Mastery a class should reach; need = target - mastery.
    fail : float
        The fail mark: below it a class has not mastered the concept.
    k : int
        Fewest learners of a shown cell: the privacy gate and the minimum for "enough data" alike.
    min_responses : int
        Fewest responses of a shown cell.
    min_items : int
        Concepts with fewer answered items carry a badge and can be given no cause.
    stuck_level : float
        A class is stuck when P(mean mastery < fail) reaches it.
    interval : float
        Level of the interval.

    References
    ----------
    Gelman, A., & Hill, J. (2007). Data Analysis Using Regression and Multilevel/Hierarchical Models. Cambridge.
    """

    target: float = 0.70
    fail: float = 0.60
    k: int = 10
    min_responses: int = 20
    min_items: int = 2
    stuck_level: float = 0.90
    interval: float = 0.95

    def __post_init__(self) -> None:
        for name in ("target", "fail", "stuck_level", "interval"):
            if not 0 < getattr(self, name) < 1:
                raise DataError(f"GapMap.{name} must lie between 0 and 1; found {getattr(self, name)}. See conf/gaps/gap_map.yaml.")
        if self.k < 2:
            raise DataError(f"GapMap.k must be at least 2; found {self.k}. With fewer, single learners are published.")

    def map(self, mastery: pd.DataFrame, interactions: pd.DataFrame, q_matrix: pd.DataFrame, by: str = "class_id") -> pd.DataFrame:
        """One row per class and concept, and per concept for the cohort ``all``.

        An item with several concepts counts for each of them: estimates are averaged here, no label is copied.
        A learner who changed class belongs to each class with the responses given there. Two maps of the same learners with
        different groupings (by class and by teacher) must not be published together: one could be subtracted from the other.

        Parameters
        ----------
        mastery : table ``mastery``
            Must hold every pair of learner and concept that was answered; others are ignored.
        interactions : table ``interactions``
            Without a column ``by``, or with nothing in it, only ``all`` is returned.
        q_matrix : table ``q_matrix``
            Must hold every item; its concepts are the concepts of the map.
        by : str
            ``class_id``, ``teacher_id`` or ``term``; its values are returned in ``class_id`` (and in the column itself).

        Returns
        -------
        table ``gaps``
            Sorted by cohort (``all`` first) and concept. Where ``state`` is not ``estimated``, every number is missing.

        Raises
        ------
        DataError
            On an item without a concept, an answered concept without mastery, or a cohort that is called ``all``.
        """
        if by not in _COHORTS:
            raise DataError(f"a gap map is made by {', '.join(_COHORTS)}; found {by}.")
        responses = self._codes(interactions, q_matrix, by)
        cells = self._cells(responses, mastery)
        cells = suppress(cells, "class_id", "concept_id", "n", [], self.k).assign(counted=cells["n"])
        enough = (cells.pop("counted") >= self.k) & (cells["responses"] >= self.min_responses)
        hidden = cells.pop("hidden")
        cells["state"] = np.select([~enough, hidden], ["not enough data", "suppressed"], "estimated")
        gone = cells["state"] != "estimated"
        cells["badge"] = self._badges(cells["items"]).mask(gone)
        cells[["n", *_NUMBERS]] = cells[["n", *_NUMBERS]].astype({"n": "Int64", "responses": "Int64", "stuck": "boolean"}).mask(gone)
        cells = cells[cells["class_id"] != _NO_COHORT]
        if by != "class_id":
            cells[by] = cells["class_id"].mask(cells["class_id"] == TOTAL)
        return validate(cells, "gaps")

    def _codes(self, interactions: pd.DataFrame, q_matrix: pd.DataFrame, by: str) -> _Responses:
        tags = q_matrix[["item_id", "concept_id"]].drop_duplicates()
        concept, concepts = pd.factorize(tags["concept_id"], sort=True)
        tag_item, items = pd.factorize(tags["item_id"])
        of_item = np.argsort(tag_item, kind="stable")
        per_item = np.bincount(tag_item, minlength=len(items))
        code, seen = pd.factorize(interactions["item_id"])
        item = pd.Index(items).get_indexer(pd.Index(seen))[code]
        if (item < 0).any():
            row = int(np.flatnonzero(item < 0)[0])
            raise DataError(f"interactions.item_id must be found in q_matrix.item_id; found {interactions['item_id'].iloc[row]!r} in "
                            f"{int((item < 0).sum()):,} of {len(item):,} rows (first: row {row + 1:,}). "
                            "Tag the item with a concept, or leave its responses out.")
        learner, learners = pd.factorize(interactions["learner_id"])
        named = interactions[by] if by in interactions else pd.Series(pd.NA, index=interactions.index, dtype="str")
        cohort, cohorts = pd.factorize(named, sort=True)
        if TOTAL in cohorts:
            raise DataError(f"interactions.{by} must not hold '{TOTAL}', which names the whole cohort. Rename that class.")
        cohort = np.where(cohort < 0, len(cohorts), cohort)  # the last code: no class stated
        times = per_item[item]
        start = np.cumsum(per_item) - per_item
        within = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
        tagged = concept[of_item[np.repeat(start[item], times) + within]]
        rows = np.repeat(np.arange(len(item)), times)
        return _Responses(learner[rows], tagged, item[rows], cohort[rows], pd.Index(learners), pd.Index(concepts),
                          [*map(str, cohorts), _NO_COHORT])

    def _cells(self, responses: _Responses, mastery: pd.DataFrame) -> pd.DataFrame:
        """Every cohort x concept with what can be computed, before anything is hidden."""
        concepts, cohorts = len(responses.concepts), len(responses.cohorts)
        everyone = len(responses.cohorts)  # code of the cohort `all`
        pairs, pair = np.unique(responses.learner * concepts + responses.concept, return_inverse=True)
        value, variance = _look_up(mastery, pairs, responses)
        member = np.unique(responses.cohort * len(pairs) + pair)  # a learner once per class and concept
        of = np.concatenate([member % len(pairs), np.arange(len(pairs))])
        cell = np.concatenate([member // len(pairs), np.full(len(pairs), everyone)]) * concepts + pairs[of] % concepts
        size = (cohorts + 1) * concepts
        n, total, squares, doubt = (np.bincount(cell, weights, size) for weights in (None, value[of], value[of] ** 2, variance[of]))
        answered = np.concatenate([responses.cohort, np.full(len(pair), everyone)]) * concepts + np.tile(responses.concept, 2)
        count = np.bincount(answered, minlength=size)
        items = np.bincount(np.unique(responses.item.astype(np.int64) * concepts + responses.concept) % concepts, minlength=concepts)
        return self._estimate(pd.DataFrame({
            "class_id": np.repeat([*responses.cohorts, TOTAL], concepts), "concept_id": np.tile(responses.concepts, cohorts + 1), "n": n,
            "responses": count, "items": np.tile(items, cohorts + 1)}), total, squares, doubt)

    def _estimate(self, cells: pd.DataFrame, total: np.ndarray, squares: np.ndarray, doubt: np.ndarray) -> pd.DataFrame:
        from scipy.special import ndtr, ndtri

        n = cells["n"].to_numpy(float)
        with np.errstate(invalid="ignore", divide="ignore"):  # cells of 0 or 1 learners are hidden afterwards
            mean = total / n
            spread = np.clip(squares - n * mean**2, 0, None) / (n - 1)
            se = np.sqrt((spread + doubt / n) / n)
            p_stuck = ndtr((self.fail - mean) / np.maximum(se, 1e-12))
        reach = ndtri((1 + self.interval) / 2) * se
        cells = cells.assign(mastery=mean, low=np.clip(mean - reach, 0, 1), high=np.clip(mean + reach, 0, 1), need=self.target - mean,
                             p_stuck=p_stuck, stuck=p_stuck >= self.stuck_level)
        return cells.iloc[np.argsort(cells["class_id"].to_numpy() != TOTAL, kind="stable")].reset_index(drop=True)

    def _badges(self, items: pd.Series) -> pd.Series:
        words = items.astype("str") + " items: no cause"
        return words.mask(items == 1, "one item: no cause").where(items < self.min_items)


def _look_up(mastery: pd.DataFrame, pairs: np.ndarray, responses: _Responses) -> tuple[np.ndarray, np.ndarray]:
    """Mastery and its variance for each sorted pair code (learner * C + concept)."""
    def positions(column: str, labels: pd.Index) -> np.ndarray:
        code, unique = pd.factorize(mastery[column])
        return labels.get_indexer(pd.Index(unique))[code]

    learner, concept = positions("learner_id", responses.learners), positions("concept_id", responses.concepts)
    rows = np.flatnonzero((learner >= 0) & (concept >= 0))
    code = learner[rows] * len(responses.concepts) + concept[rows]
    place = np.minimum(np.searchsorted(pairs, code), len(pairs) - 1)
    wanted = pairs[place] == code
    at = np.full(len(pairs), -1)
    at[place[wanted]] = rows[wanted]
    if (at < 0).any():
        first = int(pairs[np.flatnonzero(at < 0)[0]])
        who, what = responses.learners[first // len(responses.concepts)], responses.concepts[first % len(responses.concepts)]
        raise DataError(f"mastery must hold every learner and concept that was answered; found nothing for {int((at < 0).sum()):,} of "
                        f"{len(pairs):,} pairs (first: learner {who!r}, concept {what!r}). "
                        "Ask the model for the mastery of the same interactions.")
    return mastery["mastery"].to_numpy(float)[at], mastery["sd"].to_numpy(float)[at] ** 2
