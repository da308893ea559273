"""The catalogue finds every yaml, and the atlas counts what is there and leaves out what is not."""

from __future__ import annotations

import pandas as pd
import pytest

from edukit.data import store
from edukit.data.atlas import USES, atlas, describe
from edukit.data.catalogue import catalogue, loader
from edukit.data.interaction_store import InteractionStore
from edukit.data.synthetic import Synthetic
from edukit.reproducibility import bundled
from edukit.schema import DataError


def test_every_yaml_and_variant_has_a_label_and_a_loader():
    known = catalogue()
    assert {name for name, _ in known.values()} == {path.stem for path in (bundled("conf") / "data").glob("*.yaml")}
    assert known["junyi_cut10k"] == ("junyi", "cut10k") and known["synthetic"] == ("synthetic", "")
    for label, (name, variant) in known.items():
        made = loader(label)
        assert (made.name, getattr(made, "variant", "")) == (name, variant)
    assert loader("junyi") == loader("junyi_cut10k") and loader("junyi", path="x").path == "x"
    with pytest.raises(DataError, match="data must be one of .*junyi_cut10k"):
        loader("jun")
    with pytest.raises(DataError, match="has the options .*variant.*found colour"):
        loader("junyi", colour=1)


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.setenv("EDUKIT_CACHE", str(tmp_path / "cache"))
    return store.load(Synthetic(classes=2, learners_per_class=4))


def test_counts_are_those_of_the_tables_in_memory_or_on_disk(small, tmp_path):
    row, log, q = describe(small), small["interactions"], small["q_matrix"]
    assert (row["responses"], row["learners"], row["items"]) == (len(log), log["learner_id"].nunique(), log["item_id"].nunique())
    assert row["density"] == pytest.approx(len(log.drop_duplicates(["learner_id", "item_id"])) / (row["learners"] * row["items"]))
    assert row["correct"] == pytest.approx(log["correct"].mean()) and row["responses_per_learner"] == log.groupby("learner_id").size().median()
    met = q[q["item_id"].isin(log["item_id"])]
    assert row["concepts_per_item"] == pytest.approx(len(met) / met["item_id"].nunique())
    assert all(row[use] for use in USES if use not in ("warn early", "grade answers")) and not row["grade answers"]
    log.to_parquet(tmp_path / "log.parquet")
    kept = InteractionStore.write(f"SELECT * FROM read_parquet('{tmp_path / 'log.parquet'}')", "interactions", tmp_path / "store")
    small.tables["interactions"] = kept
    assert describe(small) == pytest.approx(row)


def test_an_absent_set_is_named_with_its_licence_and_no_count(tmp_path, monkeypatch):
    monkeypatch.setenv("EDUKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("EDUKIT_DATA", str(tmp_path / "nothing"))
    table = atlas([loader("junyi"), Synthetic(classes=2, learners_per_class=4)]).set_index("data")
    assert table.loc["junyi_cut10k", "state"] == "file needed" and table.loc["junyi_cut10k", "licence"]
    assert table.loc["junyi_cut10k"].drop(["state", "licence"]).isna().all()
    assert table.loc["synthetic", "state"] == "ready" and bool(table.loc["synthetic", "trace learning"])
    assert pd.isna(table.loc["synthetic", "answers"])
