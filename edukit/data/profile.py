"""What a set of responses holds before any model sees it: counts, doubtful items, small classes, and what is missing with what still works.

Discrimination is the point-biserial correlation of an item with the rest score (Lord & Novick, 1968), with Fisher's interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from edukit.governance.privacy import K
from edukit.schema import has_order

MEANING = {"order": "the order of responses", "classes": "classes", "q_matrix": "which item assesses which concept", "graph": "prerequisites",
           "options": "the option chosen", "several_items_per_concept": "several items per concept"}
"""What a data set may hold, in words; the keys are those of :meth:`edukit.data.loader.LearningData.allows`."""
WITHOUT = {"order": "learning over time, first attempts", "classes": "a row per class (one cohort `all`)", "q_matrix": "anything per concept",
           "graph": "the order of concepts", "options": "which wrong option was chosen", "several_items_per_concept": "causes (one item: no cause)"}
"""What is left out where it is absent."""
STILL = {"order": "mastery from all responses together", "classes": "one map of the whole cohort", "q_matrix": "how hard each item is",
         "graph": "mastery and gaps per concept (graph=evidence reads prerequisites from the responses)",
         "options": "right and wrong per item", "several_items_per_concept": "mastery per concept"}
"""What works all the same."""
FEW = 10  # responses below which nothing is said of an item
SHOWN = 5  # ids named in a line; the rest are counted


def item_statistics(log: pd.DataFrame) -> pd.DataFrame:
    """How each item was answered, and whether those who know the rest answer it right.

    Returns
    -------
    DataFrame
        One row an item (index): ``n`` responses, ``correct`` mean, ``discrimination`` in [-1, 1] (correlation with the learner's mean on all
        other responses; NaN where either does not vary), and the ends ``low``, ``high`` of its 95 % interval (NaN below 10 responses).
    """
    x = log["correct"].astype("float64")
    of_learner = x.groupby(log["learner_id"])
    n = of_learner.transform("size")
    rest = (of_learner.transform("sum") - x) / (n - 1).where(n > 1)
    rows = pd.DataFrame({"item": log["item_id"], "x": x, "r": rest})[rest.notna()]
    sums = rows.assign(xx=rows["x"] ** 2, rr=rows["r"] ** 2, xr=rows["x"] * rows["r"], k=1.0).groupby("item").sum()
    k = sums["k"]
    spread = np.sqrt((sums["xx"] - sums["x"] ** 2 / k).clip(lower=0) * (sums["rr"] - sums["r"] ** 2 / k).clip(lower=0))
    told = ((sums["xr"] - sums["x"] * sums["r"] / k) / spread.where(spread > 1e-9)).clip(-1, 1)
    z, half = np.arctanh(told.clip(-0.999999, 0.999999)), 1.96 / np.sqrt((k - 3).where(k >= FEW))
    found = pd.DataFrame({"n": x.groupby(log["item_id"]).size(), "correct": x.groupby(log["item_id"]).mean()})
    return found.assign(discrimination=told, low=np.tanh(z - half), high=np.tanh(z + half))


@dataclass(frozen=True)
class Profile:
    """Counts of one set of responses; see :func:`profile`."""

    responses: int
    learners: int
    items: int
    concepts: int
    correct: float
    order: bool
    repeated: int
    attempts: bool
    filled: float
    per_learner: tuple[float, ...]
    classes: dict[str, int]
    without_class: int
    cells: int
    small: dict[str, int]
    all_right: list[str]
    all_wrong: list[str]
    few: list[str]
    negative: list[str]

    def lines(self) -> list[str]:
        """The profile for people, a line each."""
        least, low, middle, high, most = self.per_learner
        told = [f"responses    {self.responses:,} of {self.learners:,} learners to {self.items:,} items on {self.concepts:,} concepts; "
                f"correct {self.correct:.3f}",
                f"per learner  {least:,.0f} to {most:,.0f} responses, half of the learners between {low:,.0f} and {high:,.0f} (median {middle:,.0f})",
                f"filled       {self.filled:.1%} of all pairs of a learner and an item have a response",
                f"order        {'known' if self.order else 'order unknown: first attempts and learning over time cannot be told'}"]
        if self.repeated:
            how = "in a known order" if self.order else "numbered as attempts, in no known order" if self.attempts else "that cannot be told apart"
            told.append(f"repeated     {self.repeated:,} responses are a further one of the same learner to the same item, {how}")
        if self.classes:
            told.append(f"classes      {len(self.classes):,}: {_listed([f'{name} ({size:,} learners)' for name, size in self.classes.items()], 12)}")
        if self.without_class:
            told.append(f"no class     {self.without_class:,} responses")
        if self.small:
            told.append(f"small cells  {sum(self.small.values()):,} of {self.cells:,} cells (class, concept) have fewer than {K} learners and will be hidden: "
                        + _listed([f"{name} ({count:,} concepts)" for name, count in self.small.items()], 12))
        for words, ids in (("everyone right", self.all_right), ("everyone wrong", self.all_wrong), (f"fewer than {FEW} responses", self.few),
                           ("right more often where the rest is wrong", self.negative)):
            if ids:
                told.append(f"items        {words}: {len(ids):,} ({_listed(ids)})")
        return told


def _listed(names: list[str], shown: int = SHOWN) -> str:
    return ", ".join(names[:shown]) + (f", and {len(names) - shown:,} more" if len(names) > shown else "")


def profile(tables: Mapping[str, pd.DataFrame]) -> Profile:
    """Look at validated responses as a careful person would before using them.

    Parameters
    ----------
    tables : with ``interactions``, and ``q_matrix`` where concepts are known.

    Notes
    -----
    An item is named where everyone was right or wrong, where it has fewer than 10 responses, or where the upper end of the interval of its
    discrimination lies below 0. Cells of a class (or of the whole cohort) and a concept with fewer learners than the privacy gate are counted:
    a map hides them.
    """
    log, q = tables["interactions"], tables.get("q_matrix")
    items, of_learner = item_statistics(log), log["learner_id"].value_counts()
    enough = items[items["n"] >= FEW]
    pairs = log[["learner_id", "item_id"]].drop_duplicates()
    has_class = "class_id" in log and log["class_id"].notna().any()
    sizes = log.groupby("class_id")["learner_id"].nunique().sort_index() if has_class else pd.Series(dtype="int64")
    cells, small = 0, {}
    if q is not None:
        seats = log[["learner_id", "item_id"]].assign(class_id=log["class_id"] if has_class else "all").drop_duplicates()
        cell = seats.merge(q[["item_id", "concept_id"]], on="item_id").groupby(["class_id", "concept_id"])["learner_id"].nunique()
        cells, small = len(cell), cell[cell < K].groupby("class_id").size().to_dict()
    return Profile(
        responses=len(log), learners=len(of_learner), items=len(items), concepts=0 if q is None else q["concept_id"].nunique(),
        correct=float(log["correct"].mean()), order=has_order(log), repeated=len(log) - len(pairs), attempts="attempt" in log,
        filled=len(pairs) / (len(of_learner) * len(items)), per_learner=tuple(of_learner.quantile([0, 0.25, 0.5, 0.75, 1]).tolist()),
        classes=sizes.to_dict(), without_class=int(log["class_id"].isna().sum()) if has_class else 0, cells=cells, small=small,
        all_right=enough.index[enough["correct"] == 1].tolist(), all_wrong=enough.index[enough["correct"] == 0].tolist(),
        few=items.index[items["n"] < FEW].tolist(), negative=items.index[items["high"] < 0].tolist())


def missing(allows: Mapping[str, bool]) -> list[str]:
    """What the data does not hold, what is left out for it, and what works all the same: a line each."""
    return [f"not here     {MEANING[k]}. Left out: {WITHOUT[k]}. Still there: {STILL[k]}." for k, there in allows.items() if not there]
