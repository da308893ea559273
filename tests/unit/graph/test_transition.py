"""The transition graph: what learners go on to, from training rows, without a cycle."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.graph.transition import Transition
from edukit.schema import DataError


def tables(learners: int = 40, ordered: bool = True) -> dict[str, pd.DataFrame]:
    """Learners go a, b, c mostly, and now and then back from c to a."""
    rng, rows = np.random.default_rng(0), []
    for u in range(learners):
        path = list("abc") * 2 if rng.random() < 0.8 else list("acb") * 2
        rows += [(f"u{u}", f"q{c}", 1.0, k) for k, c in enumerate(path)]
    log = pd.DataFrame(rows, columns=["learner_id", "item_id", "correct", "order"])
    log["order"] = log["order"].astype("Int64") if ordered else pd.array([pd.NA] * len(log), "Int64")
    return {"interactions": log, "q_matrix": pd.DataFrame({"item_id": ["qa", "qb", "qc"], "concept_id": list("abc")})}


def test_the_usual_way_is_the_graph():
    model = Transition().fit(tables())
    edges = set(model.graph().prerequisites[["requires_id", "concept_id"]].itertuples(index=False, name=None))
    assert {("a", "b"), ("b", "c")} <= edges and ("c", "b") not in edges and ("c", "a") not in edges
    share = model.predict(pd.DataFrame({"concept_id": ["b", "c"], "requires_id": ["a", "a"]}))
    assert share[0] > 0.7 and share.sum() == pytest.approx(1.0)
    assert (model.graph().prerequisites["channel"] == "order").all()


def test_only_the_most_frequent_are_kept_and_few_learners_tell_nothing():
    assert len(Transition(top_k=1).fit(tables()).graph().prerequisites) <= 3
    assert len(Transition(min_common=41).fit(tables()).scores()) == 0


def test_without_order_there_is_no_transition():
    with pytest.raises(DataError, match="order"):
        Transition().fit(tables(ordered=False))
