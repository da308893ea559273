"""Scores of predictions with intervals over learners, overall and by group, always beside the floors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from edukit.evaluation.by_group import attributes
from edukit.governance.fairness import grouped, hidden
from edukit.metrics import SCORES, auc, bootstrap, holm, log_loss, paired_bootstrap, record

MIN_GROUP = 10  # learners; a smaller group gets a row that says so, and no number
MIN_PART = 50  # responses; a smaller part of a learner's answers gets no row
COLD_START = (5, 10)  # first answers of a learner, shown apart


def floors(train: pd.DataFrame, test: pd.DataFrame) -> dict[str, np.ndarray]:
    """What must be beaten: the item's rate in training, and the learner's own rate so far.

    Parameters
    ----------
    train, test : tables ``interactions``. With known order the learner mean uses earlier test rows of that learner;
        without, the learner's training rows (split ``cells``).

    Returns
    -------
    dict
        ``item_mean`` and ``learner_mean``, each (N,) probabilities for the test rows.
    """
    base, weight = float(train["correct"].mean()), 5.0  # a rate counts as five responses at the overall rate
    of_item = train.groupby("item_id")["correct"].agg(["sum", "count"])
    item = (of_item["sum"] + weight * base) / (of_item["count"] + weight)
    if test["order"].notna().all():
        ordered = test.sort_values(["learner_id", "order"], kind="stable")
        by = ordered.groupby("learner_id")["correct"]
        right, seen = by.cumsum() - ordered["correct"], by.cumcount()
        learner = ((right + weight * base) / (seen + weight)).reindex(test.index)
    else:
        of_learner = train.groupby("learner_id")["correct"].agg(["sum", "count"])
        rate = (of_learner["sum"] + weight * base) / (of_learner["count"] + weight)
        learner = test["learner_id"].map(rate).fillna(base)
    return {"item_mean": test["item_id"].map(item).fillna(base).to_numpy(float), "learner_mean": learner.to_numpy(float)}


def score(test: pd.DataFrame, probability: np.ndarray, *, model: str, split: str, seed: int = 0, draws: int = 200) -> list[dict]:
    """AUC, log-loss, Brier and ECE of one model on test rows, each with a 95 % interval over learners."""
    y, p = test["correct"].to_numpy(float), np.asarray(probability, float)
    units = pd.factorize(test["learner_id"])[0]
    found = []
    for name, function in SCORES.items():
        low, high = bootstrap(y, p, units, function, seed=seed, draws=draws)
        found.append(record(name, function(y, p), len(y), low, high, split=split, model=model))
    return found


def parts(test: pd.DataFrame, first: Sequence[int] = COLD_START) -> dict[str, np.ndarray]:
    """Rows (N,) among the first k answers of a learner, and first and later attempts at an item; nothing where the order is unknown."""
    if test["order"].isna().any():
        return {}
    ordered = test.sort_values(["learner_id", "order"], kind="stable")
    nth = ordered.groupby("learner_id").cumcount().reindex(test.index).to_numpy()
    again = ordered.duplicated(["learner_id", "item_id"]).reindex(test.index).to_numpy(bool)
    return {f"first {k} answers": nth < k for k in first} | {"first attempts": ~again, "later attempts": again}


def by_part(test: pd.DataFrame, probability: np.ndarray, *, model: str, split: str) -> list[dict]:
    """AUC and log-loss on the first 5 and 10 answers of a learner, and on first and later attempts at an item."""
    y, p = test["correct"].to_numpy(float), np.asarray(probability, float)
    return [record(name, f(y[mask], p[mask]), int(mask.sum()), split=split, model=model, group=part)
            for part, mask in parts(test).items() if mask.sum() >= MIN_PART for name, f in (("auc", auc), ("log_loss", log_loss))]


def groups(test: pd.DataFrame, learners: pd.DataFrame | None) -> dict[str, tuple[np.ndarray | None, bool]]:
    """Rows (N,) of every group of every learner attribute (:func:`edukit.governance.fairness.grouped`), as ``attribute=value``, and whether to count them.

    The rows are None for a group of fewer than 10 learners, or of one answer only. A group is not counted where the size of one of those would follow.
    """
    found: dict[str, tuple[np.ndarray | None, bool]] = {}
    units = pd.factorize(test["learner_id"])[0]
    for attribute in attributes(learners):
        value = test["learner_id"].map(learners.drop_duplicates("learner_id").set_index("learner_id")[attribute])  # type: ignore[union-attr]
        own = [(group, mask) for group, mask, _ in grouped(value, units, MIN_GROUP)]
        sizes = [len(np.unique(units[mask])) for _, mask in own]
        for (group, mask), size, untold in zip(own, sizes, hidden(sizes, MIN_GROUP), strict=True):
            told = size >= MIN_GROUP and test.loc[mask, "correct"].nunique() > 1
            found[f"{attribute}={group}" + ("" if told else " (not enough data)")] = (mask if told else None), not untold
    return found


def by_group(test: pd.DataFrame, probability: np.ndarray, learners: pd.DataFrame | None, *, model: str, split: str, seed: int = 0) -> list[dict]:
    """AUC, log-loss and ECE per value of every learner attribute, each with n and an interval.

    Attributes are joined here, after prediction, and never reach a model. A group of fewer than 10 learners, or of one
    answer only, still gets a row: value None, and no count that would single anybody out.
    """
    found, p, right = [], np.asarray(probability, float), test["correct"].to_numpy(float)
    for group, (mask, counted) in groups(test, learners).items():
        for name in ("auc", "log_loss", "ece"):
            where = {"split": split, "model": model, "group": group}
            if mask is None:
                found.append(record(name, None, **where))
                continue
            y, units = right[mask], pd.factorize(test["learner_id"][mask])[0]
            low, high = bootstrap(y, p[mask], units, SCORES[name], seed=seed, draws=100)
            found.append(record(name, SCORES[name](y, p[mask]), len(y) if counted else None, low, high, **where))
    return found


def compare(test: pd.DataFrame, predictions: Mapping[str, np.ndarray], *, against: str, split: str, seed: int = 0, draws: int = 200) -> list[dict]:
    """Difference in AUC of one model to every other on the same rows, paired over learners, with Holm-adjusted p-values.

    Records are named ``auc_difference`` (the group says to whom) and ``p_holm``.
    """
    y, units = test["correct"].to_numpy(float), pd.factorize(test["learner_id"])[0]
    others = [name for name in predictions if name != against]
    tests = [paired_bootstrap(y, predictions[against], predictions[name], units, auc, seed=seed, draws=draws) for name in others]
    adjusted = holm([t["p_value"] for t in tests])
    found = []
    for name, result, p in zip(others, tests, adjusted, strict=True):
        where = {"split": split, "model": against, "group": f"minus {name}"}
        found += [record("auc_difference", result["difference"], len(y), result["low"], result["high"], **where), record("p_holm", p, len(y), **where)]
    return found


def table(test: pd.DataFrame, probability: np.ndarray, model: str, split: str) -> pd.DataFrame:
    """Table ``predictions`` of test rows."""
    kept = ["learner_id", "item_id", "correct", *(c for c in ("order", "attempt") if c in test)]
    return test[kept].assign(probability=np.asarray(probability, float), model=model, split=split).reset_index(drop=True)


def lines(records: list[dict], names: tuple[str, ...]) -> list[str]:
    """Metrics as text, a line per model, channel and split, with intervals: what a run prints. Rows of groups are left out."""
    chosen = [r for r in records if r["name"] in names and not r["group"]]
    found = []
    for key in dict.fromkeys((r["model"], r["channel"], r["split"]) for r in chosen):
        cells = [f"{r['name']} {r['value']:.3f}" + (f" [{r['low']:.3f}, {r['high']:.3f}]" if r["low"] is not None else "")
                 for r in chosen if (r["model"], r["channel"], r["split"]) == key and r["value"] is not None]
        found.append(f"  {' · '.join(str(k) for k in key if k):<60} {'  '.join(cells)}")
    return found
