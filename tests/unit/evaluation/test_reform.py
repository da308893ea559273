"""Reforms whose effect is planted are found with honest intervals; what cannot be judged is not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.evaluation import reform_designs, reform_worlds
from edukit.evaluation.reform import FAILED, NO_OVERLAP, NOT_SHOWN, SHOWN, TOO_FEW, evaluate_reform
from edukit.schema import DataError


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


@pytest.mark.parametrize(("design", "worlds"), [("randomised", 40), ("differences", 40), ("interrupted", 20), ("adjusted", 6)])
def test_intervals_hold_the_planted_effect_where_the_naive_comparison_does_not(design, worlds):
    found = reform_worlds.coverage(design, 0.3, worlds, seed=3)
    held = ((found["low"] <= 0.3) & (found["high"] >= 0.3)).mean()
    naive = ((found["naive_low"] <= 0.3) & (found["naive_high"] >= 0.3)).mean()
    assert held >= 0.95 - 3.3 * (0.95 * 0.05 / worlds) ** 0.5, "three errors of a simulation of this size below 95 %"
    assert naive < 0.3
    assert abs(found["value"].mean() - 0.3) < abs(found["naive_value"].mean() - 0.3) / 2


def test_without_an_effect_none_is_shown_too_often():
    found = reform_worlds.coverage("randomised", 0.0, 40, seed=5)
    assert (found["verdict"] == SHOWN).mean() <= 0.15
    assert (found["verdict"] == NOT_SHOWN).any()


def test_the_randomisation_test_holds_its_size_and_has_power(rng):
    strata, arms = np.repeat(np.arange(10), 12), np.tile([0, 1], 60)
    nothing = [reform_designs.shuffled(rng.normal(size=120), arms, strata, None, 99, k) for k in range(40)]
    assert 0.0 <= np.mean(np.array(nothing) <= 0.05) <= 0.15
    assert reform_designs.shuffled(rng.normal(size=120) + 1.2 * arms, arms, strata, None, 199, 0) <= 0.01


def test_classes_drawn_whole_are_shuffled_whole(rng):
    classes = np.repeat(np.arange(8), 20)
    arms, strata = (classes % 2).astype(int), np.zeros(160, int)
    y = rng.normal(size=8)[classes] + rng.normal(0, 0.1, 160)
    single, whole = (reform_designs.shuffled(y, arms, strata, units, 199, 0) for units in (None, classes))
    assert whole > single, "eight classes are less evidence than 160 learners"


def test_no_overlap_is_no_verdict(rng):
    before = rng.normal(size=600)
    table = pd.DataFrame({"before": before, "took": before > 0, "mark": before + rng.normal(size=600)})
    said = evaluate_reform(table, "adjusted", "mark", "took", covariates=["before"])
    assert said.verdict == NO_OVERLAP
    assert said.effects["value"].isna().all()


def test_too_few_is_no_verdict(rng):
    table = pd.DataFrame({"arm": ["a"] * 30 + ["b"] * 5, "mark": rng.normal(size=35)})
    assert evaluate_reform(table, "randomised", "mark", "arm").verdict == TOO_FEW
    places = pd.DataFrame({"place": ["x", "y"] * 20, "came": [True, False] * 20, "term": np.repeat([0, 1], 20), "mark": rng.normal(size=40)})
    assert evaluate_reform(places, "differences", "mark", "came", clusters="place", time="term", starts=1).verdict == TOO_FEW


def test_a_placebo_that_moves_forbids_a_verdict(rng):
    came = np.arange(400) % 2 == 1
    table = pd.DataFrame({"came": came, "mark": rng.normal(size=400) + came, "height": rng.normal(size=400) + came})
    assert evaluate_reform(table, "randomised", "mark", "came", draws=49).verdict == SHOWN
    assert evaluate_reform(table, "randomised", "mark", "came", placebos=["height"], draws=49).verdict == FAILED


def test_balance_attrition_and_the_naive_comparison_stand_beside(rng):
    came = np.arange(400) % 2 == 1
    mark = np.where(came & (np.arange(400) % 3 == 0), np.nan, rng.normal(size=400))
    said = evaluate_reform(pd.DataFrame({"came": came, "mark": mark, "age": rng.normal(size=400) + 0.5 * came}), "randomised", "mark", "came",
                           covariates=["age"], draws=19)
    assert said.attrition["missing"].round(2).tolist() == [0.0, 0.34]
    assert any("missing more often" in note for note in said.notes)
    assert said.balance["difference"].iloc[0] > 0.2
    assert {r["name"] for r in said.records()} == {"effect", "naive_effect"}
    assert all("because" not in line for line in said.lines())


def test_weights_balance_what_was_not(rng):
    table, how = reform_worlds.adjusted(0.3, rng)
    balance = evaluate_reform(table, "adjusted", "mark", **how).balance.set_index("covariate").loc["before"]
    assert abs(balance["difference"]) > 0.5
    assert abs(balance["weighted"]) < 0.15


@pytest.mark.parametrize(("words", "changes"), [
    ("design must be one of", {"design": "guess"}), ("columns late", {"outcome": "late"}), ("needs time=", {"design": "interrupted"}),
    ("needs covariates=", {"design": "adjusted"}), ("two or more arms", {"reference": "c"})])
def test_what_cannot_be_asked_is_refused(words, changes):
    table = pd.DataFrame({"arm": ["a", "b"] * 30, "mark": np.arange(60.0)})
    with pytest.raises(DataError, match=words):
        evaluate_reform(table, **{"design": "randomised", "outcome": "mark", "treatment": "arm", **changes})


@pytest.mark.realdata
def test_small_classes_in_tennessee(edukit_data):
    from edukit.data.star import Star

    learners = Star(path=str(edukit_data / "star")).parse(edukit_data / "star")["learners"]
    known = {("read", "k"): (0.212, 0.055), ("math", "k"): (0.188, 0.055), ("read", "1"): (0.294, None), ("math", "1"): (0.320, None)}
    for (subject, grade), (value, error) in known.items():
        said = evaluate_reform(learners, "randomised", f"{subject}_{grade}", f"class_type_{grade}", reference="regular", strata=f"school_{grade}",
                               clusters=f"school_{grade}", in_sd=True, draws=0)
        of = said.effects.set_index("arm")
        assert of.loc["small", "value"] == pytest.approx(value, abs=0.01)
        assert of.loc["small", "verdict"] == SHOWN
        assert error is None or of.loc["small", "se"] == pytest.approx(error, abs=0.01)
        assert grade == "1" or abs(of.loc["regular+aide", "value"]) < 0.05
