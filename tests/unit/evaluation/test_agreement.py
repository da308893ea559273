"""Agreement of a grader with people: planted noise is told, small groups are hidden, ceilings come from two raters."""

from __future__ import annotations

import numpy as np
import pytest

from edukit.evaluation import agreement as ag
from edukit.metrics import quadratic_weighted_kappa
from edukit.schema import DataError

RNG = np.random.default_rng(0)
TRUE = RNG.normal(size=4000)
FIRST, SECOND = (TRUE + RNG.normal(scale=0.5, size=4000) for _ in range(2))


def test_records_hold_overall_groups_bands_people_and_hide_small_groups():
    y = RNG.integers(0, 4, 200).astype(float)
    predicted = np.clip(y + RNG.integers(-1, 2, 200), 0, 3)
    predicted[:20] = np.nan
    group = np.array(["small"] * 24 + ["large"] * 176)
    found = ag.agreement(y, predicted, [0, 1, 2, 3], second=y, by={"region": group}, model="m")
    overall = {r["name"]: r["value"] for r in found if r["group"] is None}
    assert overall["graded_share"] == 0.9 and overall["human_qwk"] == 1 and overall["adjacent_agreement"] == 1
    assert overall["degradation"] == pytest.approx(1 - overall["qwk"]) and overall["ceiling_perfect_grader"] == 1
    hidden = [r for r in found if r["group"] and "suppressed" in r["group"]]
    assert {r["group"] for r in hidden if r["group"].startswith("region")} == {"region=small (suppressed)", "region=large (suppressed)"}
    assert hidden[0]["value"] is None and hidden[0]["n"] is None and {r["model"] for r in found} == {"m"}
    assert any(r["group"] == "band=high" and r["name"] == "exact_agreement" for r in found)


def test_a_hidden_group_cannot_be_found_from_the_whole_and_the_others():
    labels = np.array(["a"] * 60 + ["b"] * 40 + ["c"] * 6)
    assert ag._hidden(labels, np.arange(106)) == {"b", "c"}  # c alone would be the whole less a and b
    assert ag._hidden(np.array(["a"] * 35 + ["b"] * 3 + ["c"] * 2), np.arange(40)) == {"a", "b", "c"}  # b and c together are five
    assert ag._hidden(np.array(["a"] * 35 + ["b"] * 30), np.arange(65)) == set()


def test_agreement_of_people_who_give_one_score_only_is_no_number():
    ones = np.ones(40)
    told = {r["name"]: r["value"] for r in ag.agreement(ones, ones, [0, 1, 2], second=ones)}
    assert told["human_qwk"] is None and told["degradation"] is None and told["ceiling_perfect_grader"] is None and told["exact_agreement"] == 1


def test_the_ceiling_is_what_a_grader_of_the_true_score_reaches():
    assert ag.ceiling(FIRST, SECOND) == pytest.approx(quadratic_weighted_kappa(FIRST, TRUE), abs=0.02)


def test_drift_and_repeats():
    y = RNG.integers(0, 3, 205)
    months = ["1"] * 100 + ["2"] * 100 + ["3"] * 5
    later = np.where(np.arange(205) < 100, y, RNG.permutation(y))
    told = {r["group"]: r["value"] for r in ag.drift(y, later, months) if r["name"] == "qwk"}
    assert told["batch=1"] == 1 and told["batch=2"] < 0.4 and told["batch=3 (not enough data)"] is None
    assert ag.repeatability([y, y])[0]["value"] == 1
    with pytest.raises(DataError, match="two runs"):
        ag.repeatability([y])
