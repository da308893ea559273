"""Item curves draw the observed shares and the fitted curve, mark what is flagged, and draw no item with few learners."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from edukit.report import item_figures
from edukit.report.figures import HATCHES
from edukit.schema import DataError

SCREEN = pd.DataFrame({"item_id": ["good", "bad", "rare"], "concept_id": "a", "n": [400, 300, 0], "correct": [0.6, 0.3, np.nan],
                       "discrimination": [1.2, -0.1, np.nan], "discrimination_low": [0.9, -0.4, np.nan], "discrimination_high": [1.5, 0.2, np.nan],
                       "flags": ["", "low_discrimination; miskeyed", ""], "flagged": [False, True, False]})


def answered(item: str, n: int, slope: float, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rest = rng.normal(size=n)
    return pd.DataFrame({"item_id": item, "rest": rest, "correct": (rng.random(n) < expit(slope * rest)).astype(float)})


ANSWERS = pd.concat([answered("good", 400, 1.2, 0), answered("bad", 300, -0.1, 1), answered("rare", 6, 1, 2)], ignore_index=True)


def test_points_are_the_shares_of_the_groups_and_the_curve_gives_the_share_of_all():
    drawn = item_figures.item_curves(SCREEN, ANSWERS, items=["good"])
    ax, own = drawn.axes[0], ANSWERS[ANSWERS["item_id"] == "good"]
    truth = own.groupby(pd.qcut(own["rest"], 5))[["rest", "correct"]].mean()
    points = ax.collections[-1].get_offsets()
    assert np.allclose(points[:, 0], truth["rest"], atol=0.02) and np.allclose(points[:, 1], 100 * truth["correct"], atol=1.5)
    intercept = item_figures._intercept(1.2, own["rest"].to_numpy(), own["correct"].mean())
    assert expit(intercept + 1.2 * own["rest"]).mean() == pytest.approx(own["correct"].mean(), abs=1e-6)
    line = ax.lines[0].get_xydata()
    assert np.allclose(line[:, 1], 100 * expit(intercept + 1.2 * line[:, 0]))
    assert "80 learners a point" in [t.get_text() for t in ax.texts]


def test_flagged_items_come_first_in_another_colour_and_mark_and_few_learners_are_hatched():
    drawn = item_figures.item_curves(SCREEN, ANSWERS, {"bad": "Costs $5"})
    bad, good, rare = (ax for ax in drawn.axes if ax.axison)
    assert bad.get_title(loc="left") == "Costs \\$5\nn 300; low discrimination, miskeyed" and good.get_title(loc="left") == "good\nn 400; no flag"
    assert bad.lines[0].get_color() == item_figures.FLAGGED and good.lines[0].get_color() == item_figures.SOUND
    assert bad.collections[-1].get_paths()[0].vertices.shape != good.collections[-1].get_paths()[0].vertices.shape  # a square, a dot
    assert not rare.lines and [p.get_hatch() for p in rare.patches] == [HATCHES["not enough data"]] and "too few learners" in rare.get_title(loc="left")


@pytest.mark.parametrize(("n", "sizes"), [(10, 1), (25, 2), (49, 4), (500, 5)])
def test_no_point_rests_on_few_learners(n: int, sizes: int):
    rng = np.random.default_rng(n)
    points = item_figures._groups(rng.normal(size=n), np.ones(n), 5, 10, 0.95)
    assert len(points) == sizes and points["n"].min() >= 10 and points["n"].sum() == n
    tied = item_figures._groups(np.repeat([0.0, 1.0, 2.0], [n - 5, 3, 2]), np.zeros(n), 5, 10, 0.95)
    assert tied["n"].min() >= min(n, 10) and tied["n"].sum() == n


def test_an_item_that_all_or_none_get_right_has_a_curve():
    for right in (0.0, 1.0):
        answers = ANSWERS[ANSWERS["item_id"] == "good"].assign(correct=right)
        line = item_figures.item_curves(SCREEN, answers, items=["good"]).axes[0].lines[0].get_ydata()
        assert np.isfinite(line).all() and abs(line.mean() - 100 * right) < 2


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(DataError, match="found none of 'z'"):
        item_figures.item_curves(SCREEN, ANSWERS, items=["z"])
    with pytest.raises(DataError, match="1 to 12 items; found 0"):
        item_figures.item_curves(SCREEN, ANSWERS, items=[])
    with pytest.raises(DataError, match="found no rest"):
        item_figures.item_curves(SCREEN, ANSWERS.drop(columns="rest"))
    with pytest.raises(DataError, match="an item with a slope"):
        item_figures.item_overview(SCREEN.tail(1))


def test_the_overview_numbers_the_flagged_and_counts_what_it_leaves_out():
    drawn = item_figures.item_overview(SCREEN, {"bad": "x" * 60 + " last"})
    ax = drawn.axes[0]
    words = [t.get_text() for t in ax.texts]
    assert "1" in words and any(w.startswith("1  xxx") and w.endswith("last") for w in words)
    assert "n 300 to 400 learners each; 1 item with too few learners is not drawn" in ax.get_title(loc="left")
    sound, flagged = (dots.get_offsets().tolist() for dots in ax.collections if type(dots).__name__ == "PathCollection")
    assert sound == [[60, 1.2]] and flagged == [[30, -0.1]]
