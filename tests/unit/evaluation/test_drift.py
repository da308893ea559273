"""Drift that was planted is named, none is named where there was none, and no month tells of a few learners."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit.evaluation.drift import drift, lines

ITEMS = 40


def world(seed: int, shift: float = 0.0, learners: int = 150, swapped: bool = False, each: int = 20, kept: int = ITEMS) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    hard = np.random.default_rng(99).normal(0, 1, ITEMS) + shift
    hard = hard[::-1] if swapped else hard
    item = np.stack([rng.permutation(kept)[:each] for _ in range(learners)])
    right = rng.random(item.shape) < 1 / (1 + np.exp(hard[item] - rng.normal(0, 0.7, (learners, 1))))
    return pd.DataFrame({"learner_id": np.repeat([f"{seed}-{u}" for u in range(learners)], each), "item_id": [f"q{i}" for i in item.ravel()],
                         "correct": right.ravel().astype(float), "order": np.tile(np.arange(each), learners)})


Q = pd.DataFrame({"item_id": [f"q{i}" for i in range(ITEMS)], "concept_id": [f"c{i % 4}" for i in range(ITEMS)]})


def forecasts(rows: pd.DataFrame):
    """What a model fitted on the first world says of each item."""
    rate = world(1, learners=400).groupby("item_id")["correct"].mean()
    return lambda: (rows, rows["item_id"].map(rate).to_numpy())


def found(after: pd.DataFrame, before: pd.DataFrame | None = None) -> tuple[pd.DataFrame, str]:
    records = drift(world(1) if before is None else before, after, Q, forecasts(after), draws=200)
    return pd.DataFrame(records), lines(records)[-1]


def test_no_drift_says_none():
    table, verdict = found(world(2))
    assert verdict.startswith("no drift shown")
    own = table[table["group"].isna()]
    assert own["value"].notna().all() and (own["low"] <= own["value"] + 1e-9).all() and (own["n"] > 0).all()


def test_harder_items_are_found_and_measured():
    table, verdict = found(world(3, shift=0.8))
    values = table[table["group"].isna()].set_index("name")["value"]
    assert all(name in verdict.split("(")[0] for name in ("item_change", "same_items_change", "calibration_bias"))
    assert values["same_items_change"] < -0.1 and values["calibration_bias"] > 0.1


def test_items_that_trade_places_are_found_though_no_average_moves():
    table, verdict = found(world(4, swapped=True))
    said = verdict.split("(")[0]
    assert "item_change" in said and "share_correct_change" not in said and "length" not in said
    assert table.set_index("name").loc["item_change", "value"] > 0.15


def test_longer_histories_and_new_items_are_counted():
    table, verdict = found(world(5, each=36), world(1, kept=30))
    row = table.set_index("name")
    assert "length_change_log2" in verdict.split("(")[0] and row.loc["length_change_log2", "value"] == pytest.approx(np.log2(36 / 20))
    assert row.loc["new_items", "channel"] == "10 items" and 0.2 < row.loc["new_items", "value"] < 0.3 and row.loc["gone_items", "value"] == 0
    assert row.loc["new_concepts", "value"] == 0


def test_few_learners_are_no_number():
    table, verdict = found(world(6, learners=9))
    assert table["value"].isna().all() and table["n"].isna().all() and verdict == "drift: not enough data"


def test_months_with_few_learners_are_hidden_and_one_more_with_them():
    after = world(7, learners=60)
    number = after["learner_id"].str.split("-").str[1].astype(int)
    month = np.select([number < 4, number < 20, number < 40], ["2025-09", "2025-10", "2025-11"], "2025-12")
    after["timestamp"] = pd.to_datetime(pd.Series(month) + "-03", utc=True)
    table, _ = found(after)
    months = table[table["name"].eq("share_correct")]
    hidden = months["value"].isna()
    assert len(months) == 4 and hidden.sum() == 2 and months.loc[hidden, "n"].isna().all() and "2025-09" in months.loc[hidden, "group"].iloc[0]
    assert (months.loc[~hidden, "low"] < months.loc[~hidden, "high"]).all()


def test_without_old_responses_only_the_old_model_is_judged():
    after = world(8)
    records = drift(None, after, Q, forecasts(after), draws=50)
    values = {r["name"]: r["value"] for r in records if not r["group"]}
    assert values["item_change"] is None and values["calibration_bias"] is not None and values["ece"] is not None
