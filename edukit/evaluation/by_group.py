"""The audit of a run's own predictions by every attribute of its learners, as a table and as metrics of the run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from edukit.governance import fairness
from edukit.metrics import record

NO_GROUP = ("learner_id", "published_part")  # columns of the table learners that say nothing of who a learner is


def attributes(learners: pd.DataFrame | None) -> list[str]:
    """Columns of the table ``learners`` that tell groups apart."""
    return [] if learners is None else [str(c) for c in learners if c not in NO_GROUP]


def audited(y: np.ndarray, p: np.ndarray, learner_ids: pd.Series | pd.Index, learners: pd.DataFrame | None, *, model: str, split: str,
            seed: int = 0, **settings: Any) -> tuple[pd.DataFrame, list[dict]]:
    """Table of :func:`edukit.governance.fairness.audit` and its records; both empty where the data has no attribute.

    Parameters
    ----------
    y, p : (N,) outcomes and predicted probabilities. learner_ids : (N,) whose they are.
    learners : table ``learners``; a learner it does not name is ``not stated``.
    settings : ``strata, threshold, permutations, draws`` of the audit.

    Returns
    -------
    table : a row per attribute and group.
    records : ``abroca``, ``tpr_gap``, ``fpr_gap``, ``calibration_gap`` with intervals and ``<name>_p_holm``, by group; a group without a number has one record
        of ``abroca`` that says why.
    """
    names = attributes(learners)
    if learners is None or not names:
        return pd.DataFrame(columns=list(fairness.COLUMNS)), []
    ids = np.asarray(learner_ids)
    own = learners.drop_duplicates("learner_id").set_index("learner_id")[names].reindex(ids).reset_index(drop=True)
    table = fairness.audit(y, p, own, units=ids, seed=seed, **settings)
    records = []
    for row in table.to_dict("records"):
        n = None if pd.isna(row["n"]) else int(row["n"])
        group = f"{row['attribute']}={row['group']}"
        if row["state"] != fairness.ESTIMATED:
            records.append(record("abroca", None, n, split=split, model=model, group=f"{group} ({row['state']})"))
            continue
        for name in ("abroca", *fairness.GAPS):
            start = "" if name == "abroca" else f"{name}_"
            if np.isfinite(row[name]):
                where = {"split": split, "model": model, "group": group}
                records += [record(name, row[name], n, row[f"{start}low"], row[f"{start}high"], **where),
                            record(f"{name}_p_holm", row[f"{start}p_adjusted"], n, **where)]
    return table, records
