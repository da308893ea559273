"""Which wrong options a learner chooses, how common they are, and which missing prerequisite they go with.

An option of a question is a *lure* of a prerequisite where learners who get the question wrong choose it more often when they also fail the items of
that prerequisite than when they pass them. A learner who keeps choosing lures of one prerequisite, more often than others who pass it do, may hold
a misconception about it. That is association: nobody was asked why.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from edukit.gaps.item_quality import distractors
from edukit.governance.privacy import K
from edukit.graph.cells import PASSED, first_attempts
from edukit.schema import has_order

CHOICES = ("item_id", "option", "times", "n", "share", "state", "common", "requires_id")
PATTERNS = ("requires_id", "n", "chosen", "otherwise", "p", "state")
LURE_LEVEL = 0.05  # false discovery rate of lures
PATTERN_LEVEL = 0.05  # chance of as many lures, were the prerequisite known
FEWEST = 2  # lures of a pattern
HIDDEN, SHOWN = "hidden", "shown"


def lures(interactions: pd.DataFrame, q_matrix: pd.DataFrame, prerequisites: pd.DataFrame, k: int = K) -> pd.DataFrame:
    """Which wrong option goes with lacking which direct prerequisite, item by item.

    Among the learners whose first attempt was wrong, those who fail the items of the prerequisite (fewer than half of the marks) are compared with
    those who pass them: Fisher's exact test, one-sided, corrected over everything asked (Benjamini and Hochberg).

    Parameters
    ----------
    interactions : table ``interactions`` with ``response``. q_matrix, prerequisites : tables of those names.
    k : learners there must be on each side.

    Returns
    -------
    DataFrame
        ``item_id, option, requires_id``, ``lacking`` and ``passing`` (share of each side that chose the option, for computing only: not protected),
        ``p_adjusted``; lures only.

    References
    ----------
    Benjamini and Hochberg (1995), Journal of the Royal Statistical Society B. Haladyna and Downing (1993), Educational and Psychological
    Measurement (options chosen by those who do not know).
    """
    from scipy.stats import false_discovery_control, hypergeom

    rows = _firsts(interactions)
    wrong = rows[(rows["correct"] < PASSED) & rows["response"].notna()][["learner_id", "item_id", "response"]]
    needed = q_matrix[["item_id", "concept_id"]].merge(prerequisites[["concept_id", "requires_id"]], on="concept_id")[["item_id", "requires_id"]]
    needed = needed.drop_duplicates()
    of = rows[["learner_id", "item_id", "correct"]].merge(q_matrix[["item_id", "concept_id"]].drop_duplicates(), on="item_id")
    of = of[of["concept_id"].isin(needed["requires_id"])]
    passes = (of.groupby(["learner_id", "concept_id"])["correct"].mean() >= PASSED).rename("passes").reset_index()
    asked = wrong.merge(needed, on="item_id").merge(passes.rename(columns={"concept_id": "requires_id"}), on=["learner_id", "requires_id"])
    cell = asked.groupby(["item_id", "requires_id"])["passes"].agg(["size", "sum"])
    cell = cell.assign(lack=cell["size"] - cell["sum"]).query("lack >= @k and sum >= @k").reset_index()
    chose = asked.groupby(["item_id", "requires_id", "response"])["passes"].agg(["size", "sum"]).reset_index().rename(columns={"response": "option"})
    table = chose.merge(cell, on=["item_id", "requires_id"], suffixes=("", "_all"))
    table = table[table["size"] >= k]
    if table.empty:
        return pd.DataFrame({name: pd.Series([], dtype="str" if name.endswith("_id") or name == "option" else "float64")
                             for name in ("item_id", "option", "requires_id", "lacking", "passing", "p_adjusted")})
    lacking = table["size"] - table["sum"]
    p = hypergeom.sf(lacking - 1, table["size_all"], table["lack"], table["size"])
    table = table.assign(lacking=lacking / table["lack"], passing=table["sum"] / table["sum_all"], p_adjusted=false_discovery_control(np.clip(p, 0, 1)))
    return table.loc[table["p_adjusted"] < LURE_LEVEL, ["item_id", "option", "requires_id", "lacking", "passing", "p_adjusted"]].reset_index(drop=True)


def misconceptions(history: pd.DataFrame, others: pd.DataFrame, q_matrix: pd.DataFrame, prerequisites: pd.DataFrame,
                   k: int = K) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Which wrong options one learner chose, and the patterns among them.

    Parameters
    ----------
    history : table ``interactions`` of the learner. others : the same of other learners; the learner is not among them.
    q_matrix, prerequisites : tables of those names.
    k : fewest learners behind a number about others.

    Returns
    -------
    choices, patterns : DataFrame
        None where no option chosen was logged. ``choices``: ``item_id, option``, ``times`` (the learner chose it), ``n`` (other learners behind the
        share), ``share`` of their wrong answers that are this option, ``state`` (`shown`, or `hidden` where too few chose it), ``common`` (more than
        an even share of the wrong answers, its 95 % interval says), ``requires_id`` (the prerequisite it is a lure of). ``patterns``:
        ``requires_id``, ``n`` (wrong answers to items with a lure of it), ``chosen`` (of them the lure), ``otherwise`` (as many would be expected of one
        who passes it), ``p`` (chance of as many then), ``state`` (`likely` or `may be chance`).
    """
    if "response" not in history or history["response"].isna().all() or "response" not in others:
        return None
    missed = history[(history["correct"] < PASSED) & history["response"].notna()]
    asked = others[others["item_id"].isin(missed["item_id"])]
    own = missed.groupby(["item_id", "response"]).size().rename("times").reset_index().rename(columns={"response": "option"})
    parents = prerequisites[prerequisites["concept_id"].isin(q_matrix.loc[q_matrix["item_id"].isin(missed["item_id"]), "concept_id"])]
    near = q_matrix[q_matrix["concept_id"].isin(parents["requires_id"]) | q_matrix["item_id"].isin(missed["item_id"])]
    found = lures(others[others["item_id"].isin(near["item_id"])], q_matrix, parents, k)
    table = own.merge(_shares(asked, k), on=["item_id", "option"], how="left")
    first = found.sort_values(["item_id", "option", "p_adjusted"]).drop_duplicates(["item_id", "option"])
    table = table.merge(first[["item_id", "option", "requires_id"]], on=["item_id", "option"], how="left")
    table = table.assign(state=np.where(table["share"].isna(), HIDDEN, SHOWN), common=table["common"].eq(True))
    table = table.assign(lure=table["requires_id"].notna()).sort_values(["lure", "times", "common", "share", "item_id"], ascending=[False] * 4 + [True])
    return table[list(CHOICES)].reset_index(drop=True), _patterns(missed, found)


def _firsts(interactions: pd.DataFrame) -> pd.DataFrame:
    """One row per learner and item, the first attempt."""
    rows = first_attempts(interactions)
    return (rows.sort_values("order", kind="stable") if has_order(rows) else rows).drop_duplicates(["learner_id", "item_id"])


def _shares(asked: pd.DataFrame, k: int) -> pd.DataFrame:
    """Of each wrong option that may be shown: its share of the wrong answers, how many they are, and whether it is common."""
    columns = {"item_id": "str", "option": "str", "n": "Int64", "share": "float64", "common": "bool"}
    table = distractors(asked, k) if len(asked) else pd.DataFrame()
    if table.empty:
        return pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in columns.items()})
    keyed = table.groupby("item_id")["is_key"].transform(lambda key: key.eq(True).any())
    table = table[keyed & ~table["is_key"].eq(True)]
    of = table.groupby("item_id")
    table = table.assign(wrong=of["n"].transform("sum"), options=of["n"].transform("size"))
    share, n = table["n"] / table["wrong"], table["wrong"]
    low = (share + 1.92 / n - 1.96 * np.sqrt((share * (1 - share) + 0.96 / n) / n)) / (1 + 3.84 / n)  # Wilson
    table = table.assign(share=share, common=(low > 1 / table["options"]) & (table["options"] > 1))
    shown = table[table["is_key"].notna()]  # a merged row has no key; its options are hidden
    return shown.assign(n=shown["wrong"])[list(columns)].astype(columns)


def _patterns(missed: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Prerequisites whose lures the learner chose, the surest first; an item counts once, by the first wrong answer to it."""
    from scipy.stats import binom

    ordered = missed.sort_values("order", kind="stable") if has_order(missed) else missed
    once = ordered.drop_duplicates("item_id")[["item_id", "response"]]
    met = once.merge(found, on="item_id")
    met = met.assign(hit=met["response"] == met["option"])
    by_item = met.groupby(["requires_id", "item_id"]).agg(hit=("hit", "max"), passing=("passing", "sum")).reset_index()
    rows = by_item.groupby("requires_id").agg(n=("hit", "size"), chosen=("hit", "sum"), rate=("passing", "mean")).reset_index()
    rows = rows[rows["chosen"] >= 1]
    p = binom.sf(rows["chosen"].astype(int) - 1, rows["n"], rows["rate"].clip(1e-6, 1))
    likely = (rows["chosen"] >= FEWEST) & (p < PATTERN_LEVEL)
    table = rows.assign(p=p, otherwise=rows["n"] * rows["rate"], chosen=rows["chosen"].astype("int64"), state=np.where(likely, "likely", "may be chance"))
    return table.sort_values(["p", "requires_id"])[list(PATTERNS)].reset_index(drop=True)
