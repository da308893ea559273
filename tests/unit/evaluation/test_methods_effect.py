"""Which approach suits whom: a planted effect that depends on earlier attainment is found; none is invented; learning styles are refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.evaluation.methods_effect import evaluate_methods
from edukit.evaluation.reform import NO_OVERLAP, NOT_SHOWN, SHOWN, TOO_FEW
from edukit.schema import DataError


def taught(effect: float, n: int = 1800, choice: float = 0.5) -> pd.DataFrame:
    """Worked examples help those who know little; who knows much chooses lectures more often and does better anyway."""
    rng = np.random.default_rng(3)
    prior = rng.normal(size=n)
    worked = rng.random(n) < 1 / (1 + np.exp(choice * prior))
    mark = prior + effect * worked * (0.5 - prior) + rng.normal(0, 1, n)
    return pd.DataFrame({"prior": prior, "approach": np.where(worked, "worked", "lecture"), "mark": mark})


def test_an_effect_that_depends_on_what_learners_knew_is_found():
    pytest.importorskip("econml")
    found = evaluate_methods(taught(0.6), "mark", "approach", "prior", [], reference="lecture").set_index("group")
    assert found.loc["low", "verdict"] == SHOWN
    assert found.loc["low", "low"] < 0.6 * (0.5 + 1.09) < found.loc["low", "high"]
    assert found.loc["high - low", "high"] < 0
    assert (found["p_adjusted"] >= found["p"]).all()


def test_where_there_is_none_none_is_shown():
    pytest.importorskip("econml")
    found = evaluate_methods(taught(0.0), "mark", "approach", "prior", [], reference="lecture")
    assert set(found["verdict"]) == {NOT_SHOWN}


def test_no_likes_and_few_learners_are_states():
    pytest.importorskip("econml")
    assert set(evaluate_methods(taught(0.5).head(30), "mark", "approach", "prior", [])["verdict"]) == {TOO_FEW}
    found = evaluate_methods(taught(0.5, choice=12), "mark", "approach", "prior", [], reference="lecture")
    assert not set(found["verdict"]) & {SHOWN}
    assert set(found["verdict"]) & {NO_OVERLAP, TOO_FEW}


def test_a_learning_style_is_refused():
    with pytest.raises(DataError, match="learning style"):
        evaluate_methods(taught(0.5).assign(learning_style="visual"), "mark", "approach", "learning_style", [])


def test_rows_of_one_learner_are_one_witness():
    pytest.importorskip("econml")
    alone = taught(0.6, n=600).assign(learner_id=[f"u{i}" for i in range(600)])
    thrice = pd.concat([alone] * 3, ignore_index=True)
    asked = {"outcome": "mark", "approach": "approach", "suits": "prior", "covariates": [], "reference": "lecture"}
    one, many, naive = (evaluate_methods(rows, **asked).set_index("group") for rows in (alone, thrice, thrice.drop(columns="learner_id")))
    width, clustered, wrong = ((table["high"] - table["low"]).loc["low"] for table in (one, many, naive))
    assert clustered == pytest.approx(width, rel=0.2) and wrong < 0.75 * width, "copies of a row tell nothing new"
    assert many.loc["low", "n"] <= 201 and naive.loc["low", "n"] == 600
