"""Figures of a gap map draw what the tables hold, nothing that is hidden, and say what they leave out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.report import gap_figures
from edukit.report.figures import HATCHES
from edukit.schema import DataError

CONCEPTS = pd.DataFrame({"concept_id": ["a", "b", "c"], "name": ["Costs $5", "Ratios", "<b>"]})
NUMBERS = ["n", "responses", "mastery", "low", "high", "need", "p_stuck", "stuck", "label", "label_probability",
           *(f"{c}{end}" for c in gap_figures.CAUSES for end in ("", "_low", "_high"))]


def cell(class_id: str, concept_id: str, mastery: float, label: str | None = None, reach: float = 0.1, **more) -> dict:
    shares = {f"{c}{end}": 0.2 * i + by for i, c in enumerate(gap_figures.CAUSES, 1) for end, by in (("", 0), ("_low", -0.3), ("_high", 0.1))}
    return {"class_id": class_id, "concept_id": concept_id, "state": "estimated", "items": 5, "n": 25, "responses": 90, "mastery": mastery,
            "low": mastery - reach, "high": mastery + reach, "need": 0.7 - mastery, "p_stuck": 0.95, "stuck": label is not None, "label": label,
            "label_probability": 0.8, **shares, **more}


def hide(gaps: pd.DataFrame, row: int, state: str) -> pd.DataFrame:
    gaps = gaps.astype({"stuck": "boolean", "n": "Int64", "responses": "Int64"})
    gaps.loc[row, NUMBERS] = pd.NA
    gaps.loc[row, "state"] = state
    return gaps


GAPS = pd.DataFrame([cell("all", "a", 0.4, "content"), cell("all", "b", 0.5), cell("all", "c", 0.45, "undetermined"), cell("7A", "a", 0.3, "prior_knowledge"),
                     cell("7A", "b", 0.6), cell("7A", "c", 0.5), cell("7B", "a", 0.8), cell("7B", "b", 0.5), cell("7B", "c", 0.2, "teaching")])
HIDDEN = hide(hide(GAPS, 5, "suppressed"), 7, "not enough data")


def said(figure) -> list[str]:
    figure.draw_without_rendering()
    return [t.get_text() for ax in figure.axes for t in (*ax.texts, *ax.get_yticklabels(), ax.title, ax._left_title, ax.xaxis.label)
            ] + ([figure.get_suptitle()] if figure.get_suptitle() else [])


# ---- learning curves


def log(learners: int, lengths: list[int], right) -> pd.DataFrame:
    rows = [(f"L{u}", "i", step, right(u, step)) for u in range(learners) for step in range(lengths[u % len(lengths)])]
    return pd.DataFrame(rows, columns=["learner_id", "item_id", "order", "correct"])


TAGS = pd.DataFrame({"item_id": ["i"], "concept_id": ["a"]})


def test_a_curve_is_the_share_right_by_opportunity_and_ends_before_few_learners():
    rows = log(40, [6, 4, 4, 4], lambda u, step: float(step >= u % 3))  # 40 learners have 4 responses, 10 have 6
    for k, last in ((10, 6), (11, 4)):
        drawn = gap_figures.learning_curves(rows.sample(frac=1, random_state=0), TAGS, CONCEPTS, k=k)
        line = drawn.axes[0].lines[0].get_xydata()
        assert line[:, 0].tolist() == list(range(1, last + 1))
        truth = [100 * np.mean([step >= u % 3 for u in range(40) if step < 4 or u % 4 == 0]) for step in range(last)]
        assert np.allclose(line[:, 1], truth)
        assert f"n 40 at first, {10 if k == 10 else 40} at the last dot" in drawn.axes[0].get_title(loc="left")
        low_high = np.array([s[:, 1] for s in drawn.axes[0].collections[0].get_segments()])
        assert (low_high[:, 0] <= line[:, 1]).all() and (low_high[:, 1] >= line[:, 1] - 1e-9).all()


def test_the_dashed_line_holds_the_same_learners_throughout():
    rows = log(60, [8, 2], lambda u, step: float(u % 2 == 0))  # who goes on is always right, who stops never
    drawn = gap_figures.learning_curves(rows, TAGS, CONCEPTS)
    dots, same = (line.get_xydata()[:, 1] for line in drawn.axes[0].lines[:2])
    assert dots.tolist() == [50, 50] + [100] * 6 and np.allclose(same, 100)


def test_an_item_of_two_concepts_counts_for_both_and_what_cannot_be_drawn_is_refused():
    rows = log(12, [3], lambda u, step: 1.0)
    both = pd.concat([TAGS, TAGS.assign(concept_id="b")])
    assert len([ax for ax in gap_figures.learning_curves(rows, both, CONCEPTS).axes if ax.axison]) == 2
    with pytest.raises(DataError, match="order of responses"):
        gap_figures.learning_curves(rows.assign(order=pd.NA), TAGS, CONCEPTS)
    with pytest.raises(DataError, match="fewer on 'b'"):
        gap_figures.learning_curves(rows, TAGS, CONCEPTS, which=["a", "b"])
    with pytest.raises(DataError, match="1 to 12 concepts; found 0"):
        gap_figures.learning_curves(rows.head(5), TAGS, CONCEPTS)


# ---- shares and letters


def test_shares_draw_every_stuck_cell_with_its_interval_and_fill_the_label():
    drawn = gap_figures.cause_shares(HIDDEN, CONCEPTS)
    words = said(drawn)
    labels = [t.get_text() for t in drawn.axes[0].get_yticklabels()]
    assert labels == [r"Costs \$5 · 7A", "<b> · 7B", r"Costs \$5 · all learners", "<b> · all learners"]  # P, T, C, undetermined
    for i, ax in enumerate(drawn.axes, 1):
        bars, filled, hollow = ax.collections
        assert np.allclose([s[:, 0] for s in bars.get_segments()], [[20 * i - 30, 20 * i + 10]] * 4)
        assert filled.get_offsets()[:, 1].tolist() == [i - 1] and len(hollow.get_offsets()) == 3
    assert "missing prerequisites (80 %), 40 points, n 25" in words and "undetermined, 25 points, n 25" in words
    assert "2 cells are hidden or hold too little data" in words[-1]


def test_shares_beyond_the_limit_are_counted_and_none_at_all_is_refused():
    many = pd.DataFrame([cell("7A", f"c{i}", 0.1 + i / 200, "content") for i in range(50)])
    drawn = gap_figures.cause_shares(many, CONCEPTS)
    assert "those with the largest need; 10 more are not drawn" in drawn.get_suptitle()
    assert {t.get_text() for t in drawn.axes[0].get_yticklabels()} == {f"c{i} · 7A" for i in range(40)}
    with pytest.raises(DataError, match="found none of them in gaps"):
        gap_figures.cause_shares(GAPS.drop(columns=["content"]), CONCEPTS)
    with pytest.raises(DataError, match="stuck cell"):
        gap_figures.cause_shares(GAPS[~GAPS["stuck"]], CONCEPTS)


def test_a_letter_stands_beside_the_number_of_its_cell_and_in_no_other():
    drawn = gap_figures.cause_matrix(HIDDEN, CONCEPTS)
    drawn.draw_without_rendering()
    ax = drawn.axes[0]
    column, row = [[t.get_text() for t in labels] for labels in (ax.get_xticklabels(), ax.get_yticklabels())]
    cells = {}
    for text in ax.texts:
        x, y = (round(v) for v in text.get_position())
        cells.setdefault((column[x], row[y]), []).append(text.get_text())
    assert cells == {("all", r"Costs \$5"): ["40", "C"], ("all", "Ratios"): ["50"], ("all", "<b>"): ["45", "?"], ("7A", r"Costs \$5"): ["30", "P"],
                     ("7A", "Ratios"): ["60"], ("7B", r"Costs \$5"): ["80"], ("7B", "<b>"): ["20", "T"]}
    assert "P: missing prerequisites" in ax.get_xlabel() and "W:" not in ax.get_xlabel()
    with pytest.raises(DataError, match="column label"):
        gap_figures.cause_matrix(GAPS.drop(columns="label"), CONCEPTS)


# ---- two cohorts


def test_a_difference_has_the_root_of_the_summed_squares_and_hidden_concepts_no_value():
    gaps = pd.concat([HIDDEN, pd.DataFrame([cell("7C", "a", 0.4, reach=0.05), cell("7C", "b", 0.5), cell("7C", "c", 0.1)])], ignore_index=True)
    drawn = gap_figures.cohort_difference(gaps, CONCEPTS, "7A", "7C")
    words, ax = said(drawn), drawn.axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["Ratios", r"Costs \$5", "<b>"]  # +10, -10, hidden
    segments = [s[:, 0].tolist() for s in ax.collections[0].get_segments()]
    assert np.allclose(segments, [[10 - 20 / 2**0.5, 10 + 20 / 2**0.5], [-10 - 125**0.5, -10 + 125**0.5]])
    assert [bar.get_hatch() for bar in ax.patches] == [HATCHES["suppressed"]]
    assert words.count("n 25 and 25") == 2


def test_only_differences_that_survive_many_looks_are_filled():
    ids = [f"c{i}" for i in range(20)]
    gaps = pd.DataFrame([cell(c, i, 0.5 + 0.4 * (c == "x" and i == "c0") + 0.16 * (c == "x" and i == "c1"), reach=0.1) for c in ("x", "y") for i in ids])
    drawn = gap_figures.cohort_difference(gaps, CONCEPTS, "x", "y")
    clear, other = drawn.axes[0].collections[1:3]
    assert clear.get_offsets().tolist() == [[pytest.approx(40), 0]] and len(other.get_offsets()) == 19  # 16 points alone would be clear, among 20 they are not
    assert "of 20 such intervals about 1 would miss zero by chance" in drawn.axes[0].get_title(loc="left")


@pytest.mark.parametrize("pair", [("7A", "7A"), ("all", "7A"), ("7A", "9Z")])
def test_cohorts_that_share_learners_or_are_not_there_are_refused(pair):
    with pytest.raises(DataError, match="share no learner"):
        gap_figures.cohort_difference(GAPS, CONCEPTS, *pair)


def test_two_cohorts_of_which_nothing_may_be_shown_are_drawn_as_hidden():
    gaps = hide(pd.DataFrame([cell("7A", "a", 0.5), cell("7B", "a", 0.5)]), 0, "suppressed")
    drawn = gap_figures.cohort_difference(gaps, CONCEPTS, "7A", "7B")
    drawn.draw_without_rendering()
    assert [bar.get_hatch() for bar in drawn.axes[0].patches] == [HATCHES["suppressed"]]
