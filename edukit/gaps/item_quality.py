"""How much each item tells about what a learner knows, and who chooses which of its options."""

from __future__ import annotations

import numpy as np
import pandas as pd

from edukit.gaps.item_curves import Attempts, rest_scores
from edukit.governance.privacy import K
from edukit.schema import DataError

MOST_OPTIONS = 10  # an item with more different responses is no multiple choice: what was typed is not listed
OTHER = "fewer than {k} learners each"


def tells_most(screen: pd.DataFrame) -> pd.DataFrame:
    """Which items say most about a concept: their share of its information, the best first.

    Information is what one answer adds to what is known of a learner's score, averaged over the learners (:func:`item_curves.expected_information`);
    informations of items add up. An item with a flaw keeps its number, and its flaws stand beside it.

    Parameters
    ----------
    screen : table ``item_screen``.

    Returns
    -------
    DataFrame
        ``concept_id, item_id, n, information, share`` (of the concept's information), ``rank`` (1 = tells most), ``needed`` (whether it is among the
        fewest items that hold half of it), ``flags``. Items without an estimate come last in their concept, with no rank.

    Examples
    --------
    >>> screen = pd.DataFrame({"concept_id": "ratio", "item_id": ["a", "b"], "n": 50, "information": [0.1, 0.3], "flags": ""})
    >>> tells_most(screen)[["item_id", "share", "rank"]].round(2).values.tolist()
    [['b', 0.75, 1], ['a', 0.25, 2]]
    """
    if "information" not in screen:
        raise DataError(f"item_screen must have the column information; found {', '.join(screen.columns)}. Make it with ItemScreen.screen.")
    table = screen[["concept_id", "item_id", "n", "information", "flags"]]
    table = table.sort_values(["concept_id", "information", "item_id"], ascending=[True, False, True], ignore_index=True)
    of = table.groupby("concept_id")["information"]
    share = table["information"] / of.transform("sum").replace(0, np.nan)
    before = share.groupby(table["concept_id"]).cumsum() - share
    rank = (table.groupby("concept_id").cumcount() + 1).astype("Int64").mask(table["information"].isna())
    return table.assign(share=share, rank=rank, needed=(before < 0.5) & share.notna())[
        ["concept_id", "item_id", "n", "information", "share", "rank", "needed", "flags"]]


def choices(attempts: Attempts, rest: np.ndarray) -> pd.DataFrame:
    """Who chose what, per multiple-choice item and option, before anything is hidden.

    Returns
    -------
    DataFrame
        ``item, option`` (positions), ``n, score`` (mean rest score), ``variance`` (of the rest score, among the choosers), ``is_key`` (the
        option that was right). Left out are items with one response, with more than :data:`MOST_OPTIONS`, or with two right ones.
    """
    rows = attempts.option >= 0
    table = pd.DataFrame({"item": attempts.item[rows], "option": attempts.option[rows], "rest": rest[rows], "right": attempts.right[rows]})
    cells = table.groupby(["item", "option"], sort=True).agg(n=("rest", "size"), score=("rest", "mean"), variance=("rest", "var"),
                                                             right=("right", "mean")).reset_index()
    cells["is_key"] = cells.pop("right") >= 0.5
    of = cells.groupby("item")
    return cells[(of["option"].transform("size").between(2, MOST_OPTIONS)) & (of["is_key"].transform("sum") <= 1)].reset_index(drop=True)


def distractors(interactions: pd.DataFrame, k: int = K) -> pd.DataFrame:
    """What learners chose, item by item: a distractor that able learners choose says something of the item, one that nobody chooses does no work.

    Parameters
    ----------
    interactions : table ``interactions`` with ``response``; first attempts with a known response are used.
    k : int
        Options chosen by fewer learners are merged into one row per item; the least chosen wrong options join them until there are two
        of them, with ``k`` learners, so that no count can be found by subtraction (that of the key follows from the share right).

    Returns
    -------
    DataFrame
        ``item_id, option, n, share`` (of those who answered), ``score`` (mean standardised rest score of those who chose it), ``is_key``
        (missing in a merged row and where no answer was right), the most chosen first. Items answered by fewer than ``k`` learners
        are left out.
    """
    if k < 2:
        raise DataError(f"distractors needs k of at least 2; found {k}. With fewer, single learners are published.")
    attempts = Attempts.of(interactions)
    cells = choices(attempts, rest_scores(attempts)[0])
    total = cells.groupby("item")["n"].transform("sum")
    cells = cells[total >= k].sort_values(["item", "is_key", "n", "option"], ignore_index=True)  # the key last
    of = cells.groupby("item")["n"]
    short = (of.cumsum() - cells["n"] < k) | (of.cumcount() < 2)  # as many wrong options as it takes
    cells["hidden"] = (cells["n"] < k) | ((of.transform("min") < k) & short)
    known = cells.groupby("item")["is_key"].transform("any")
    cells["key"] = cells["is_key"].astype("boolean").mask(cells["hidden"] | ~known)
    cells["option"] = np.where(cells["hidden"], -1, cells["option"].astype(int))
    cells["sum"] = cells["score"] * cells["n"]
    merged = cells.groupby(["item", "option"], sort=False).agg(n=("n", "sum"), sum=("sum", "sum"), is_key=("key", "first")).reset_index()
    names = np.append(attempts.options.to_numpy(object), OTHER.format(k=k))
    table = pd.DataFrame({"item_id": attempts.items.to_numpy(object)[merged["item"].to_numpy(int)],
                          "option": names[merged["option"].to_numpy(int)], "n": merged["n"].to_numpy(),
                          "share": merged["n"] / merged.groupby("item")["n"].transform("sum"),
                          "score": merged["sum"] / merged["n"], "is_key": merged["is_key"]})
    return table.iloc[np.lexsort((table["option"].astype("str"), -table["n"], table["item_id"].astype("str")))].reset_index(drop=True)
