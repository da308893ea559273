"""Reasons say what was seen beside what is typical, split by what can be acted on; counterfactuals change nothing else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.risk.counterfactual import CARRIED, NONE_FOUND, counterfactuals
from edukit.risk.features import actionable
from edukit.risk.reasons import NOTHING, in_words, reasons, texts, theme, typical
from edukit.schema import DataError

WEIGHTS = {"missed": 0.9, "share_submitted": -0.8, "mean_score": -0.05, "days_since_click": 0.08, "recent_clicks": -0.004, "previous_attempts": 0.6,
           "module=BBB": 0.3, "late_share": 0.7}
UNIT = ["learner_id", "module_id", "presentation"]


@pytest.fixture(scope="module")
def features() -> pd.DataFrame:
    rng, n = np.random.default_rng(4), 240
    missed = rng.binomial(4, 0.25, n).astype(float)
    table = pd.DataFrame({
        "observed": 9.0, "due": 4.0, "missed": missed, "submitted": 4 - missed, "share_submitted": 1 - missed / 4, "missed_in_a_row": np.minimum(missed, 2),
        "mean_score": np.where(missed == 4, np.nan, rng.normal(70, 12, n).clip(0, 100)), "days_since_click": rng.poisson(4, n).astype(float),
        "recent_clicks": rng.poisson(60, n).astype(float), "clicks": 0.0, "previous_attempts": rng.binomial(2, 0.1, n).astype(float),
        "module=AAA": 0.0, "module=BBB": 0.0, "late_share": rng.uniform(0, 0.3, n)})
    table["clicks"] = table["recent_clicks"] * 3
    module = np.where(np.arange(n) < 120, "AAA", "BBB")
    table["module=BBB"], table["module=AAA"] = (module == "BBB").astype(float), (module == "AAA").astype(float)
    table.index = pd.MultiIndex.from_arrays([[f"l{i:03d}" for i in range(n)], module, np.repeat("2014J", n)], names=UNIT)
    return table


def contributions(features: pd.DataFrame) -> pd.DataFrame:
    """Of a linear model, against its mean; a missing value contributes as a bad mark does."""
    used = features[list(WEIGHTS)]
    return ((used - used.mean()) * pd.Series(WEIGHTS)).fillna(0.8)


def predict(features: pd.DataFrame) -> pd.Series:
    used = features[list(WEIGHTS)].fillna({"mean_score": 40.0})
    return 1 / (1 + np.exp(-((used * pd.Series(WEIGHTS)).sum(axis=1) + 2)))


def test_words_hold_the_value_and_the_typical_one_beside(features):
    unit = features.index[7]
    features.loc[unit, ["missed", "submitted", "share_submitted", "days_since_click"]] = [3, 1, 0.25, 16]
    found = reasons(contributions(features), features).loc[[unit]]
    words = dict(zip(found["theme"], found["words"], strict=True))
    typical_days = features.loc[features.index.get_level_values("module_id") == "AAA", "days_since_click"].median()
    assert words["pages"] == f"days since the last action on the course pages: 16; typical {typical_days:.0f}"
    assert words["work"] in ("has missed 3 of 4 pieces of work due so far; typical 1 of 4", "has handed in 1 of 4 pieces of work due so far; typical 3 of 4")
    table = texts(reasons(contributions(features), features), features.index)
    assert table.loc[unit, "actionable"].startswith("associated with: ")
    assert not table["actionable"].str.contains("because").any()


def test_kinds_are_apart_and_ordered(features):
    found = reasons(contributions(features), features, most=2)
    assert set(found["kind"]) == {"actionable", "context"}
    assert all(actionable(f) == (k == "actionable") for f, k in zip(found["feature"], found["kind"], strict=True))
    by = found.groupby([*UNIT, "kind"], sort=False)
    assert by.size().max() == 2
    assert by["contribution"].apply(lambda c: c.is_monotonic_decreasing).all()
    assert not found.reset_index().duplicated([*UNIT, "theme"]).any(), "a theme speaks once"
    assert set(found.loc[found["feature"].str.startswith("module"), "words"]) == {"module: BBB"}, "a flag speaks where it is set"
    assert {theme("late_share"), theme("module=AAA"), theme("missed")} == {"attendance", "module", "work"}


def test_contributions_of_a_theme_add_up(features):
    parts = contributions(features)
    found = reasons(parts, features)
    work = found[found["theme"] == "work"]
    assert np.allclose(work["contribution"], parts.loc[work.index, ["missed", "share_submitted"]].sum(axis=1))


@pytest.mark.parametrize(("feature", "value", "usual", "words"), [
    ("days_early", -3.0, 1.5, "work is handed in 3 days after it is due, on average; typical 1.5 days before"),
    ("score_to_mean", -12.4, 0.3, "marks lie 12 points below the mean of the same work; typical 0 points above it"),
    ("marks_earned", 0.0, 0.73, "share of the marks on offer so far that were earned: 0 %; typical 73 %"),
    ("click_change", -1.6, -0.1, "actions of the last 14 days: 0.2 times those of the 14 days before; typical 0.9 times"),
    ("submitted", 1.0, 2.0, "pieces of work handed in: 1; typical 2"), ("gender=F", 1.0, np.nan, "gender: F"),
    ("missed", 3.0, np.nan, "has missed 3 pieces of work due so far"), ("absence_days", 6.0, 1.0, "absence days: 6; typical 1"),
])
def test_plain_words(feature, value, usual, words):
    assert in_words(feature, value, usual) == words


def test_what_lowers_the_risk_or_is_typical_is_no_reason(features):
    raised = contributions(features).abs() + 1  # a model that counts everything against everybody
    found = reasons(raised, features, most=9)
    usual = typical(features)
    for row in found[found["kind"] == "actionable"].itertuples():
        if row.feature in ("mean_score", "recent_clicks", "share_submitted"):
            assert np.isnan(row.value) or row.value < row.typical
        if row.feature in ("missed", "days_since_click"):
            assert row.value > row.typical
    assert usual.index.equals(features.index)


def test_a_missing_value_is_said_and_is_no_number(features):
    unit = features.index[features["mean_score"].isna()][0]
    found = reasons(contributions(features), features).loc[[unit]]
    assert found.loc[found["theme"] == "marks", "words"].iloc[0].startswith("mean mark so far: not known yet; typical ")


def test_nothing_typical_is_taken_from_a_few(features):
    few = features.iloc[:9]
    assert typical(few).isna().all().all()
    run = pd.concat([features.iloc[:100], features.iloc[120:125]])
    assert (typical(run).iloc[-1] == run.median()).all(), "a run of five is compared with everybody"


def test_who_has_no_reason_is_told_so(features):
    table = texts(reasons(-contributions(features).abs(), features), features.index)
    assert (table["actionable"] == NOTHING).all() and table["context"].isna().all()
    with pytest.raises(DataError, match="found no nothing_known"):
        reasons(contributions(features).assign(nothing_known=1.0), features)


@pytest.fixture(scope="module")
def listed(features) -> tuple[pd.DataFrame, float]:
    risk = predict(features).sort_values(ascending=False)
    return features.loc[risk.index[:20]], float(risk.iloc[20])


def test_a_counterfactual_holds_when_the_model_is_asked(features, listed):
    rows, threshold = listed
    found = counterfactuals(predict, rows, threshold, seen=features)
    assert found["found"].mean() > 0.8
    for unit, row in found[found["found"]].iterrows():
        changed = rows.loc[[unit]].copy()
        for name, (old, new) in row["changed"].items():
            assert actionable(name) and (changed[name].iloc[0] == old) and features[name].min() <= new <= features[name].max()
            changed[name] = new
        assert predict(changed).iloc[0] == pytest.approx(row["risk_after"]) and row["risk_after"] < threshold
        assert changed["share_submitted"].iloc[0] == pytest.approx(1 - changed["missed"].iloc[0] / 4), "nobody is asked about who cannot be"
        levers = [name for name in row["changed"] if name not in CARRIED]
        assert 1 <= len(levers) <= 2 and row["words"].count(" instead of ") == len(levers)
        assert "late_share" not in row["changed"], "its better side is not known"


def test_one_feature_before_two_and_the_nearest_value_that_suffices(features, listed):
    rows, threshold = listed
    one, two = (counterfactuals(predict, rows, threshold, most=m, seen=features) for m in (1, 2))
    alone = one["found"]
    assert one.loc[alone, "words"].equals(two.loc[alone, "words"]) and two["found"].sum() >= alone.sum()
    unit = one.index[alone & one["changed"].map(lambda c: "missed" in c)][0]
    old, new = one.loc[unit, "changed"]["missed"]
    nearer = rows.loc[[unit]].assign(missed=new + 1, submitted=3 - new, share_submitted=1 - (new + 1) / 4)
    assert new + 1 == old or predict(nearer).iloc[0] >= threshold


def test_context_never_changes_and_none_found_is_an_answer(features, listed):
    rows, _ = listed
    found = counterfactuals(predict, rows, 0.001, seen=features)
    assert not found["found"].any() and set(found["words"]) == {NONE_FOUND} and found["risk_after"].isna().all()
    asked = []
    counterfactuals(lambda table: (asked.append(table), predict(table))[1], rows, 0.3, seen=features)
    context = ["previous_attempts", "due", "module=AAA", "module=BBB", "late_share", "observed"]
    for table in asked:
        assert table[context].equals(rows.loc[table.index, context])
    assert counterfactuals(predict, rows, 1.0)["words"].eq("").all(), "who is below already needs none"
    with pytest.raises(DataError, match="must be 1 or 2"):
        counterfactuals(predict, rows, 0.5, most=3)
