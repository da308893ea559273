"""Items are ranked by what they tell, and who chose what is shown without giving a few learners away."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.gaps.item_curves import Attempts, expected_information, fit_curves, rest_scores
from edukit.gaps.item_quality import OTHER, distractors, tells_most
from edukit.schema import DataError

MERGED = OTHER.format(k=10)


def paper(choices: dict[str, dict[str, int]], key: str = "A", seed: int = 0) -> pd.DataFrame:
    """Learners who chose the options of each item so many times; right = the key."""
    rng, rows = np.random.default_rng(seed), []
    for item, counts in choices.items():
        chosen = rng.permutation(np.repeat(list(counts), list(counts.values())))
        rows.append(pd.DataFrame({"learner_id": [f"L{u:03d}" for u in range(len(chosen))], "item_id": item, "response": chosen,
                                  "correct": (chosen == key).astype(float)}))
    return pd.concat(rows, ignore_index=True)


def test_curves_of_all_items_at_once_are_those_of_statsmodels_one_by_one():
    import statsmodels.api as sm

    rng = np.random.default_rng(0)
    z, item = rng.normal(size=600), rng.integers(0, 3, 600)
    right = (rng.random(600) < 1 / (1 + np.exp(-(np.array([0.5, 0, -1])[item] + np.array([1, 0, 2])[item] * z)))).astype(float)
    curves = fit_curves(right, np.column_stack([np.ones(600), z]), item, 3, np.full(2, 1e-9))
    for i in range(3):
        wanted = sm.Logit(right[item == i], sm.add_constant(z[item == i])).fit(disp=0)
        np.testing.assert_allclose(curves.coefficients[i], wanted.params, atol=1e-5)
        np.testing.assert_allclose(np.array(curves.interval(1, 0.95))[:, i], wanted.conf_int()[1], atol=1e-5)
        assert curves.likelihood[i] == pytest.approx(wanted.llf, abs=1e-5)


def test_separated_answers_have_a_finite_slope():
    z = np.linspace(-2, 2, 40)
    curves = fit_curves((z > 0).astype(float), np.column_stack([np.ones(40), z]), np.zeros(40, int), 1, np.array([0.01, 0.1]))
    assert 2 < curves.coefficients[0, 1] < 10 and np.isfinite(curves.covariance).all()


def test_the_rest_score_does_not_contain_the_answer_itself():
    rng = np.random.default_rng(1)
    log = pd.DataFrame({"learner_id": np.repeat([f"L{u:03d}" for u in range(300)], 12), "item_id": np.tile([f"q{i:02d}" for i in range(12)], 300),
                        "correct": (rng.random(3600) < 1 / (1 + np.exp(-np.repeat(rng.normal(size=300), 12)))).astype(float)})
    one = (log["learner_id"] == "L007") & (log["item_id"] == "q03")
    both = []
    for answer in (0.0, 1.0):
        attempts = Attempts.of(log.assign(correct=log["correct"].mask(one, answer)))
        row = (attempts.learners[attempts.learner] == "L007") & (attempts.items[attempts.item] == "q03")
        rest, whole = rest_scores(attempts)
        both.append((rest[row][0], whole[attempts.learners == "L007"][0]))
    assert abs(both[0][0] - both[1][0]) < 0.05 < 0.3 < abs(both[0][1] - both[1][1])


def test_only_first_attempts_count_and_the_earliest_of_them():
    log = pd.DataFrame({"learner_id": ["a", "a", "a", "b"], "item_id": "q", "correct": [1.0, 0.0, 1.0, 0.6], "order": [2, 1, 0, 0],
                        "attempt": [1, 1, 2, 1]})
    assert Attempts.of(log).right.tolist() == [0.0, 1.0]
    with pytest.raises(DataError, match="first attempts"):
        Attempts.of(log.assign(attempt=2))


def test_information_is_most_where_the_item_is_steep_and_the_learners_are():
    scores = np.random.default_rng(0).normal(size=2000)
    steep, flat, far, negative = expected_information(np.array([2.0, 0.5, 2.0, -2.0]), np.array([0.0, 0.0, 8.0, 0.0]), scores)
    assert steep > 5 * flat and far < 0.1 * steep and negative == 0
    p = 1 / (1 + np.exp(-2 * scores))
    assert steep == pytest.approx(np.mean(4 * p * (1 - p)), rel=0.02)


def test_items_are_ranked_within_their_concept():
    screen = pd.DataFrame({"concept_id": ["a"] * 4 + ["b"], "item_id": list("wxyzv"), "n": [50, 50, 50, 0, 50], "information": [0.1, 0.6, 0.3, np.nan, 0.0],
                           "flags": ["", "", "dif", "", ""]})
    found = tells_most(screen)
    assert found["item_id"].tolist() == ["x", "y", "w", "z", "v"] and found["rank"].tolist() == [1, 2, 3, pd.NA, 1]
    assert found["share"].iloc[:3].tolist() == pytest.approx([0.6, 0.3, 0.1]) and found["needed"].tolist() == [True, False, False, False, False]
    with pytest.raises(DataError, match="information"):
        tells_most(screen.drop(columns="information"))


def test_options_are_counted_and_the_key_is_known():
    found = distractors(paper({"q": {"A": 50, "B": 30, "C": 20}, "typed": {f"{i}": 5 for i in range(12)}}))
    assert found["item_id"].unique().tolist() == ["q"], "what was typed is not listed"
    assert found["option"].tolist() == ["A", "B", "C"] and found["n"].tolist() == [50, 30, 20]
    assert found["share"].tolist() == pytest.approx([0.5, 0.3, 0.2]) and found["is_key"].tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        ({"A": 50, "B": 30, "C": 4}, {"A": 50, MERGED: 34}),  # one small alone would follow from the number of answers
        ({"A": 50, "B": 30, "C": 4, "D": 3}, {"A": 50, MERGED: 37}),  # two small are fewer than ten together
        ({"A": 50, "B": 30, "C": 9, "D": 8}, {"A": 50, "B": 30, MERGED: 17}),
        ({"A": 3, "B": 30, "C": 25, "D": 40}, {"D": 40, MERGED: 58}),  # the key follows from the share right, so two more are hidden
        ({"A": 5, "B": 40}, {MERGED: 45}),
        ({"A": 4, "B": 3}, {}),
    ],
)
def test_no_option_of_a_few_learners_can_be_found_by_subtraction(counts: dict, shown: dict):
    found = distractors(paper({"q": counts}))
    assert dict(zip(found["option"], found["n"], strict=True)) == shown
    assert found.loc[found["option"] == MERGED, "is_key"].isna().all()


def test_text_from_the_data_stays_text_and_absent_responses_give_no_row():
    log = paper({"=cmd()": {"A": 30, "<script>": 20}})
    assert distractors(log)["option"].tolist() == ["A", "<script>"]
    assert distractors(log.drop(columns="response")).empty
    with pytest.raises(DataError, match="k of at least 2"):
        distractors(log, k=1)
