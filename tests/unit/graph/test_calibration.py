"""Probabilities of edges: overconfident ones are put right without a look at their own label, and pairs nobody judged are treated with care."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.graph.calibration import cross_fitted, edge_probabilities, reliability
from edukit.recalibration import Platt


def answers(sure: float, seed: int = 0, n: int = 3_000) -> pd.DataFrame:
    """Answers of a model whose log odds are ``sure`` times what they should be, in five folds, and random negatives."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1, 1.5, n)
    code = rng.permutation(120 * 119)[:n]
    a, b = code // 119, code % 119
    b = b + (b >= a)
    table = pd.DataFrame({"concept_id": [f"c{i}" for i in a], "requires_id": [f"c{i}" for i in b], "score": 1 / (1 + np.exp(-sure * odds)),
                          "label": (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(float), "origin": "annotated", "implied": False, "seed": 0,
                          "fold": rng.integers(0, 5, n)})
    random = table.head(300).assign(concept_id=[f"r{i}" for i in range(300)], label=0.0, origin="random")
    return pd.concat([table, random], ignore_index=True)


def test_an_overconfident_model_is_put_right_on_folds_it_was_not_fitted_on():
    said = answers(3.0)
    mended = cross_fitted(said)
    plain = said["origin"] == "annotated"
    before, after = (reliability(said[plain], p[plain].to_numpy(), draws=20)[1] for p in (said["score"], mended))
    assert before > 0.08 and after < 0.03
    here = plain & (said["fold"] == 0)
    assert mended[here].corr(said["score"][here], method="spearman") > 0.999  # no order is turned, but scores at the very ends are held


def test_an_answer_does_not_hear_its_own_label():
    said = answers(2.0)
    here = said["fold"] == 2
    turned = said.assign(label=said["label"].where(~here, 1 - said["label"]))
    one, other = cross_fitted(said), cross_fitted(turned)
    np.testing.assert_array_equal(one[here], other[here])
    assert (one[~here] != other[~here]).all()
    twice = pd.concat([said, said[here].assign(fold=3)], ignore_index=True)  # the same pairs in another fold do not help either
    np.testing.assert_allclose(cross_fitted(twice)[: len(said)][here], one[here])


def test_one_fold_or_one_label_leaves_scores_as_they_are():
    said = answers(2.0).assign(fold=0)
    np.testing.assert_array_equal(cross_fitted(said), said["score"])
    np.testing.assert_allclose(Platt.fit(np.array([0.2, 0.7]), np.array([1.0, 1.0]))(np.array([0.3])), [0.3])


def test_scores_that_say_the_opposite_end_at_the_base_rate():
    score = np.linspace(0.05, 0.95, 400)
    label = (np.random.default_rng(0).random(400) > score).astype(float)
    np.testing.assert_allclose(Platt.fit(score, label)(np.array([0.1, 0.9])), label.mean())


def test_a_pair_that_nobody_judged_is_less_likely_than_a_judged_one_of_the_same_score():
    said = answers(1.0)
    said["probability"] = cross_fitted(said)
    asked = pd.DataFrame({"concept_id": [said["concept_id"][0], "new"], "requires_id": [said["requires_id"][0], "c1"]}, index=[7, 8])
    found = edge_probabilities(asked, np.array([0.999, 0.9]), said, others=50_000)
    assert found.index.tolist() == [7, 8] and found["judged"].tolist() == [True, False]
    assert found.loc[7, "probability"] == pytest.approx(said["probability"][0])  # not the 0.999 of a model that has seen the label
    assert found.loc[8, "probability"] < 0.3 < 0.8 < found.loc[8, "if_judged"]


def test_reliability_counts_pairs_once_and_its_intervals_cover_the_truth():
    said = answers(1.0)
    plain = said[said["origin"] == "annotated"]
    table, error = reliability(plain, plain["score"].to_numpy(), draws=100)
    assert table["n"].sum() == table["pairs"].sum() == len(plain) and error < 0.03
    assert (table["low"] <= table["observed"]).all() and (table["observed"] <= table["high"]).all()
    assert ((table["low"] <= table["predicted"]) & (table["predicted"] <= table["high"])).mean() >= 0.7
    twice, again = reliability(pd.concat([plain, plain]), np.tile(plain["score"], 2), draws=100)
    assert twice["n"].sum() == 2 * twice["pairs"].sum() and again == pytest.approx(error)
    np.testing.assert_allclose(twice["high"], table["high"])  # repeats make nothing surer
