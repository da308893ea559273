"""Splits put every row into one part, hold out whole units, and do not depend on what ids are called."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edukit import splits
from edukit.schema import DataError


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    learner = np.repeat(np.arange(100), rng.integers(1, 30, 100))
    return pd.DataFrame(
        {
            "learner_id": [f"l{i}" for i in learner],
            "item_id": [f"q{i}" for i in rng.integers(0, 20, len(learner))],
            "class_id": [f"c{i % 10}" for i in learner],
            "correct": rng.integers(0, 2, len(learner)),
            "timestamp": pd.date_range("2025-01-01", periods=len(learner), freq="h", tz="UTC"),
            "order": pd.Series(range(len(learner)), dtype="Int64"),
        }
    )


@pytest.mark.parametrize(
    ("maker", "column", "size"), [(splits.by_learner, "learner_id", 20), (splits.by_class, "class_id", 2), (splits.by_cold_item, "item_id", 4)]
)
def test_whole_units_are_held_out_and_sizes_are_as_asked(log, maker, column, size):
    split = maker(log, seed=3)
    train, test = split.part(log, "train"), split.part(log, "test")
    assert not set(train[column]) & set(test[column]) and len(train) + len(test) == len(log)
    assert test[column].nunique() == size


def test_valid_and_test_sizes_are_not_swapped(log):
    split = splits.by_learner(log, seed=0, test=0.3, valid=0.1)
    assert split.part(log, "valid")["learner_id"].nunique() == 10 and split.part(log, "test")["learner_id"].nunique() == 30


def test_renaming_learners_changes_nothing(log):
    renamed = log.assign(learner_id=log["learner_id"].map({v: f"z{hash(v) % 10**9}-{i}" for i, v in enumerate(log["learner_id"].unique())}))
    assert splits.by_learner(log, seed=1).fingerprint == splits.by_learner(renamed, seed=1).fingerprint
    assert splits.cells(log, seed=1).fingerprint == splits.cells(renamed, seed=1).fingerprint


def test_another_seed_gives_another_split(log):
    assert splits.by_learner(log, seed=1).fingerprint != splits.by_learner(log, seed=2).fingerprint


def test_cells_hold_out_a_fifth_of_each_learner_and_leave_something(log):
    split = splits.cells(log, seed=0)
    train, test = split.part(log, "train"), split.part(log, "test")
    assert set(test["learner_id"]) <= set(train["learner_id"])
    assert abs(len(test) / len(log) - 0.2) < 0.02


def test_time_split_trains_on_the_past_only(log):
    split = splits.by_time(log)
    assert split.part(log, "train")["timestamp"].max() < split.part(log, "test")["timestamp"].min()


def test_what_cannot_be_split_is_refused(log):
    with pytest.raises(DataError, match="class_id"):
        splits.by_class(log.drop(columns="class_id"))
    with pytest.raises(DataError, match="found none in test"):
        splits.by_learner(log[log["learner_id"] == "l1"])
    with pytest.raises(DataError, match="no part valid"):
        splits.by_learner(log).part(log, "valid")


def test_ids_of_each_part_are_saved(log, tmp_path):
    split = splits.by_learner(log, seed=0)
    saved = pd.read_parquet(split.save(tmp_path / "split.parquet", log))
    assert set(saved.loc[saved["part"] == "test", "learner_id"]) == set(split.part(log, "test")["learner_id"])
