import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from edukit.graph.judging import judge
from edukit.metrics import RECORD
from edukit.schema import DataError


def table(entries: dict[str, float], n: int = 50) -> pd.DataFrame:
    """``"xy": s`` scores s that y requires x."""
    children, parents = [pair[1] for pair in entries], [pair[0] for pair in entries]
    return pd.DataFrame({"concept_id": children, "requires_id": parents, "score": list(entries.values()), "n": n})


def found(records: list[dict], name: str, split: str = "covered") -> float:
    return next(r["value"] for r in records if r["name"] == name and r["split"] == split)


EXPERT = table({"ab": 1, "bc": 1, "bd": 1})[["concept_id", "requires_id"]]


def test_a_case_done_by_hand():
    scores = table({"ab": 0.9, "ac": 0.8, "ba": 0.7, "bc": 0.6, "cb": 0.6, "dc": 0.1, "bd": 0.0})
    scores.loc[scores["score"] == 0.0, "n"] = 3
    records = judge(scores, EXPERT, pd.Series({"a": "t", "b": "t", "c": "t"}), min_common=20, model="m", channel="responses", draws=20)
    assert all(set(r) == set(RECORD) and r["model"] == "m" and r["channel"] == "responses" for r in records)
    # covered and not implied (a → c is): ab 1, ba 0, then bc 1 and cb 0 tied, dc 0
    assert found(records, "ap") == pytest.approx(0.5 * 1 + 0.5 * 2 / 4)
    assert found(records, "auc") == pytest.approx((3 + 1 + 0.5) / 6)
    assert found(records, "random_ap") == pytest.approx(2 / 5)
    assert found(records, "ap_implied_negative") == pytest.approx(0.5 * 1 + 0.5 * 2 / 5)
    assert found(records, "coverage") == pytest.approx(2 / 3)
    assert found(records, "direction_accuracy") == pytest.approx((1 + 0.5) / 2)
    # all pairs: 12 ordered pairs less the implied ac and ad; the five that abstain come last, b → d among them
    assert found(records, "random_ap", "all_pairs") == pytest.approx(3 / 10)
    assert found(records, "ap", "all_pairs") == pytest.approx(1 / 3 + 1 / 3 * 2 / 4 + 1 / 3 * 3 / 10)
    assert found(records, "random_ap", "within_topic") == pytest.approx(2 / 4) and found(records, "coverage", "within_topic") == 1


def test_a_symmetric_score_has_direction_exactly_one_half():
    rng = np.random.default_rng(0)
    pairs = [(a, b) for a in "abcd" for b in "abcd" if a != b]
    value = {frozenset(p): rng.random() for p in pairs}
    records = judge(table({a + b: value[frozenset((a, b))] for a, b in pairs}), EXPERT, draws=5)
    assert found(records, "direction_accuracy") == 0.5
    assert found(records, "cycles") == 1 and found(records, "share_in_cycles") > 0


def test_it_agrees_with_a_plain_count_on_many_pairs():
    rng = np.random.default_rng(1)
    ids = np.array([f"c{k:02d}" for k in range(40)])
    child, parent = np.nonzero(~np.eye(40, dtype=bool))
    later = child > parent
    label = later & (rng.random(len(child)) < 0.1)
    scores = pd.DataFrame({"concept_id": ids[child], "requires_id": ids[parent], "score": np.round(rng.normal(label * 1.0), 1), "n": 30})
    expert = scores.loc[label, ["concept_id", "requires_id"]]
    import networkx as nx

    closure = set(nx.transitive_closure(nx.DiGraph(expert.itertuples(index=False, name=None))).edges)
    inside = set(expert["concept_id"]) | set(expert["requires_id"])
    pairs = zip(ids[child], ids[parent], strict=True)
    use = np.array([(pair not in closure or edge) and set(pair) <= inside for pair, edge in zip(pairs, label, strict=True)])
    records = judge(scores, expert, draws=100)
    assert found(records, "ap") == pytest.approx(average_precision_score(label[use], scores["score"][use]))
    assert found(records, "auc") == pytest.approx(roc_auc_score(label[use], scores["score"][use]))
    record = next(r for r in records if r["name"] == "auc")
    assert record["low"] < record["value"] < record["high"] and record["n"] == use.sum()
    assert found(records, "auc", "all_pairs") == found(records, "auc")


def test_experts_may_contradict_themselves_and_repeat():
    knotted = pd.concat([EXPERT, EXPERT.iloc[[0]], pd.DataFrame({"concept_id": ["a", "c"], "requires_id": ["c", "c"]})])
    records = judge(table({"ab": 0.9, "bc": 0.8, "ca": 0.7, "da": 0.1}), knotted, draws=5)
    assert next(r["n"] for r in records if r["name"] == "coverage") == 4
    assert found(records, "cycles") == 1 and found(records, "share_in_cycles") == 1


def test_too_little_to_judge_is_an_error_not_a_number():
    with pytest.raises(DataError, match="at least one edge"):
        judge(table({"ab": 1.0}), pd.DataFrame({"concept_id": ["a"], "requires_id": ["a"]}))
    with pytest.raises(DataError, match="not enough data"):
        judge(table({"ab": 1.0}, n=3), EXPERT)
