import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from edukit.graph.pair_judging import compare, judge_pairs, measure

CONCEPTS = [f"c{k:02d}" for k in range(20)]


def answers(quality: float, seed: int = 0, n: int = 300) -> pd.DataFrame:
    """Answers of two folds about an order of 20 concepts; quality 0 is chance, and the higher the surer."""
    rng = np.random.default_rng(seed)
    ends = np.array([(a, b) for a in range(20) for b in range(20) if a != b])[np.random.default_rng(1).permutation(380)[:n]]
    truth = (ends[:, 0] > ends[:, 1]).astype(float)
    score, back = (1 / (1 + np.exp(-(quality * (2 * t - 1) + rng.normal(0, 1, n)))) for t in (truth, 1 - truth))
    ids = np.array(CONCEPTS)
    return pd.DataFrame({"concept_id": ids[ends[:, 0]], "requires_id": ids[ends[:, 1]], "label": truth, "origin": "annotated", "implied": False,
                         "score": score.round(2), "reverse": back, "threshold": 0.5, "seed": 0, "fold": np.arange(n) % 2})


def value(records: list[dict], name: str, group: str | None = None):
    return next(r for r in records if r["name"] == name and r["group"] == group)


def test_scores_are_those_of_scikit_learn_averaged_over_folds():
    rows = answers(1.0)
    found = measure(rows, CONCEPTS, draws=10).value
    folds = [f for _, f in rows.groupby("fold")]
    for name, score in (("auc", lambda f: roc_auc_score(f["label"], f["score"])), ("ap", lambda f: average_precision_score(f["label"], f["score"])),
                        ("f1", lambda f: f1_score(f["label"], f["score"] >= 0.5))):
        assert found[name] == pytest.approx(np.mean([score(f) for f in folds]), abs=1e-6)


def test_chance_is_half_and_its_interval_holds_half():
    found = [measure(answers(0.0, seed), CONCEPTS, draws=100) for seed in range(10)]
    assert abs(np.mean([f.value["auc"] for f in found]) - 0.5) < 0.03
    assert abs(np.mean([f.value["direction_accuracy"] for f in found]) - 0.5) < 0.04
    low, high = zip(*[f.interval("auc") for f in found], strict=True)
    assert sum(a <= 0.5 <= b for a, b in zip(low, high, strict=True)) >= 8


def test_a_symmetric_score_has_no_direction():
    rows = answers(2.0)
    records, _ = judge_pairs(rows.assign(reverse=rows["score"]), CONCEPTS, "symmetric", "grouped", draws=10)
    assert value(records, "direction_accuracy")["value"] == 0.5
    assert abs(value(records, "kendall_tau")["value"] or 0.0) < 1e-9 or value(records, "kendall_tau")["value"] is None


def test_a_sure_model_orders_the_concepts_without_a_circle():
    records, _ = judge_pairs(answers(8.0), CONCEPTS, "sure", "grouped", draws=20)
    assert value(records, "auc")["value"] > 0.99 and value(records, "kendall_tau")["value"] > 0.7
    assert value(records, "cycles")["value"] == 0 and value(records, "share_in_cycles")["value"] == 0
    records, _ = judge_pairs(answers(0.0), CONCEPTS, "chance", "grouped", draws=20)
    assert value(records, "cycles")["value"] >= 1 and value(records, "share_in_cycles")["value"] > 0.3


def test_implied_positives_and_random_negatives_stand_apart():
    rows = answers(1.0)
    rows["implied"] = (rows["label"] == 1) & (np.arange(len(rows)) % 3 == 0)
    easy = rows[rows["label"] == 0].head(40).assign(origin="random", score=0.01)
    records, whole = judge_pairs(pd.concat([rows, easy], ignore_index=True), CONCEPTS, "m", "grouped", draws=20)
    alone, _ = judge_pairs(rows[~rows["implied"]], CONCEPTS, "m", "grouped", draws=20)
    assert value(records, "auc") == value(alone, "auc") and whole.n == (~rows["implied"]).sum()
    assert value(records, "recall", "implied")["n"] == rows["implied"].sum()
    assert value(records, "auc", "random_negatives")["value"] > value(records, "auc")["value"]
    assert value(records, "auc", "with_implied")["n"] == len(rows)


def test_pairs_that_nobody_was_asked_about_can_be_left_out():
    rows = answers(1.0)
    rows["origin"] = np.where((rows["label"] == 0) & (np.arange(len(rows)) % 2 == 0), "reversed", "annotated")
    records, _ = judge_pairs(rows, CONCEPTS, "m", "grouped", draws=20)
    alone, _ = judge_pairs(rows[rows["origin"] == "annotated"], CONCEPTS, "m", "grouped", draws=20)
    assert {**value(records, "ap", "annotated"), "group": None} == value(alone, "ap")
    assert value(records, "ap")["n"] == len(rows) and "annotated" not in {r["group"] for r in alone}


def test_differences_are_paired():
    better, worse, same = (measure(answers(q), CONCEPTS, draws=200) for q in (2.0, 1.0, 2.0))
    told = compare(better, worse)["auc"]
    assert told["difference"] > 0.05 and told["low"] > 0 and told["p_value"] < 0.05
    assert compare(better, same)["auc"] == {"difference": 0.0, "low": 0.0, "high": 0.0, "p_value": 1.0}


def test_one_label_only_is_no_number():
    found = measure(answers(1.0).assign(label=0.0), CONCEPTS, draws=10)
    assert np.isnan(found.value["auc"]) and found.interval("auc") == (None, None)
