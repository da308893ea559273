"""What a cell of the gap map rests on: its items, what stands before it, and what was chosen in place of the right answer."""

from __future__ import annotations

import numpy as np
import pandas as pd

from edukit.gaps.item_quality import distractors
from edukit.governance.privacy import TOTAL, K
from edukit.graph.cells import first_attempts
from edukit.schema import TABLES, has_order
from edukit.validation import validate

BETWEEN = " · "  # item and option of a distractor
NOBODY = "\0none"  # class of those whose class is not stated


def _wilson(right: pd.Series, n: pd.Series, z: float = 1.96) -> tuple[pd.Series, pd.Series]:
    """95 % interval of a share (Wilson, 1927, Journal of the American Statistical Association)."""
    share, size = right / n, n + z**2
    middle, reach = (right + z**2 / 2) / size, z * np.sqrt(n * share * (1 - share) + z**2 / 4) / size
    return (middle - reach).clip(0, 1), (middle + reach).clip(0, 1)


def gap_evidence(gaps: pd.DataFrame, interactions: pd.DataFrame, q_matrix: pd.DataFrame, prerequisites: pd.DataFrame, screen: pd.DataFrame,
                 by: str = "class_id", k: int = K) -> pd.DataFrame:
    """Everything behind the estimated cells that may be shown.

    Parameters
    ----------
    gaps : table ``gaps``. interactions, q_matrix, prerequisites : the tables it was made from; of several claims of an edge the surest counts.
    screen : table ``item_screen``. by : column that made the classes. k : fewest learners behind a row.

    Returns
    -------
    table ``gap_evidence``
        ``item``: share right of the first attempts. For one class it is there only where every class with responses has at least ``k`` learners on each
        item of the concept and no cell of the concept is hidden, so that nothing can be found by subtraction; for ``all`` where ``k`` learners
        answered. ``prerequisite``: mastery of the prerequisite in the same class; the note holds the weight of the edge. ``distractor``: share of
        the learners who chose an option, for ``all``.
    """
    shown = gaps[gaps["state"] == "estimated"]
    parts = [_items(gaps, interactions, q_matrix, screen, by, k), _prerequisites(shown, prerequisites), _distractors(shown, interactions, q_matrix, k)]
    names = [name for name in TABLES["gap_evidence"].names if name != "term"]
    filled = [part.reindex(columns=names) for part in parts if len(part)]
    if not filled:
        return pd.DataFrame({name: pd.Series([], dtype="float64" if name in ("n", "value", "low", "high") else "str") for name in names})
    table = pd.concat(filled, ignore_index=True).astype({"n": "Int64", "note": "str"})
    return validate(table.sort_values(["class_id", "concept_id", "kind", "about"], ignore_index=True), "gap_evidence")


def _firsts(interactions: pd.DataFrame) -> pd.DataFrame:
    """One row per learner and item, the first attempt, as the screen of items counts them."""
    rows = first_attempts(interactions)
    return (rows.sort_values("order", kind="stable") if has_order(rows) else rows).drop_duplicates(["learner_id", "item_id"])


def _items(gaps: pd.DataFrame, interactions: pd.DataFrame, q_matrix: pd.DataFrame, screen: pd.DataFrame, by: str, k: int) -> pd.DataFrame:
    rows = _firsts(interactions)
    everyone = rows.assign(class_id=TOTAL)
    apart = [rows.assign(class_id=rows[by].fillna(NOBODY))] if by in rows else []  # of no class: counted, so that nobody is left by subtraction
    rows = pd.concat([everyone, *apart], ignore_index=True)[["class_id", "item_id", "correct"]]
    cells = rows.groupby(["class_id", "item_id"], observed=True)["correct"].agg(["size", "sum"]).reset_index()
    cells = cells.merge(q_matrix[["item_id", "concept_id"]].drop_duplicates(), on="item_id")
    hidden = set(gaps.loc[(gaps["state"] != "estimated") & (gaps["class_id"] != TOTAL), "concept_id"])
    hidden |= set(cells.loc[(cells["size"] < k) & (cells["class_id"] != TOTAL), "concept_id"])
    barred = q_matrix.loc[q_matrix["concept_id"].isin(hidden), "item_id"]  # with every concept of theirs
    hidden |= set(q_matrix.loc[q_matrix["item_id"].isin(barred), "concept_id"])
    cells = cells[(cells["size"] >= k) & ((cells["class_id"] == TOTAL) | ~cells["concept_id"].isin(hidden))]
    estimated = gaps.loc[gaps["state"] == "estimated", ["class_id", "concept_id"]]
    cells = cells.merge(estimated, on=["class_id", "concept_id"])
    low, high = _wilson(cells["sum"], cells["size"])
    flags = screen.drop_duplicates("item_id").set_index("item_id")["flags"]
    return pd.DataFrame({"class_id": cells["class_id"], "concept_id": cells["concept_id"], "kind": "item", "about": cells["item_id"], "n": cells["size"],
                         "value": cells["sum"] / cells["size"], "low": low, "high": high, "note": cells["item_id"].map(flags).fillna("")})


def _prerequisites(shown: pd.DataFrame, prerequisites: pd.DataFrame) -> pd.DataFrame:
    edges = prerequisites.groupby(["concept_id", "requires_id"], as_index=False)["weight"].max()
    before = shown[["class_id", "concept_id", "n", "mastery", "low", "high"]].rename(columns={"concept_id": "requires_id", "mastery": "value"})
    rows = shown[["class_id", "concept_id"]].merge(edges, on="concept_id").merge(before, on=["class_id", "requires_id"])
    return rows.assign(kind="prerequisite", note="weight " + rows["weight"].round(2).astype("str")).rename(columns={"requires_id": "about"})


def _distractors(shown: pd.DataFrame, interactions: pd.DataFrame, q_matrix: pd.DataFrame, k: int) -> pd.DataFrame:
    if "response" not in interactions or interactions["response"].isna().all():
        return pd.DataFrame()
    table = distractors(interactions, k).merge(q_matrix[["item_id", "concept_id"]].drop_duplicates(), on="item_id")
    table = table[table["concept_id"].isin(shown.loc[shown["class_id"] == TOTAL, "concept_id"])]
    asked = _firsts(interactions).groupby("item_id").size()
    left = table["item_id"].map(asked) - table.groupby("item_id")["n"].transform("sum")  # who answered without an option: no small group
    table = table[(left == 0) | (left >= k)]
    note = np.where(table["is_key"].fillna(False).astype(bool), "the right answer", "")
    return pd.DataFrame({"class_id": TOTAL, "concept_id": table["concept_id"], "kind": "distractor",
                         "about": table["item_id"] + BETWEEN + table["option"].astype("str"), "n": table["n"], "value": table["share"], "note": note})
