"""The cache is keyed by everything its tables depend on, is rebuilt when damaged, and is never left half-written."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from edukit.data import store
from edukit.data.junyi import Junyi
from edukit.schema import DataError

EXERCISES = "name,prerequisites,pretty_display_name,topic,area\na,,A,t,x\nb,a,B,t,x\n"


@pytest.fixture
def raw(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("EDUKIT_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "raw"
    place.mkdir()
    (place / "junyi_Exercise_table.csv").write_text(EXERCISES)
    (place / "response.csv").write_text("0,0,1\n0,1,0\n1,0,1\n")
    return place


def entries(tmp_path: Path) -> list[str]:
    place = tmp_path / "cache" / "data" / "junyi"
    return sorted(p.name for p in place.iterdir()) if place.exists() else []


def test_second_load_comes_from_the_cache_and_is_the_same(raw, tmp_path):
    said: list[str] = []
    first, second = (store.load(Junyi(path=str(raw)), said.append) for _ in range(2))
    assert len(said) == 1 and first.fingerprint == second.fingerprint and first.label == "junyi_cut10k"
    for name, table in first.tables.items():
        pd.testing.assert_frame_equal(table, second.tables[name])
    assert len(entries(tmp_path)) == 1


def test_learners_leave_as_pseudonyms_that_another_key_does_not_share(raw, tmp_path, monkeypatch):
    ids = store.load(Junyi(path=str(raw)))["interactions"]["learner_id"]
    assert ids.nunique() == 2 and not set(ids) & {"0", "1"}
    monkeypatch.setenv("EDUKIT_CACHE", str(tmp_path / "elsewhere"))
    assert not set(ids) & set(store.load(Junyi(path=str(raw)))["interactions"]["learner_id"])


def test_a_changed_byte_of_raw_data_is_another_entry(raw, tmp_path):
    before = store.load(Junyi(path=str(raw)))
    (raw / "response.csv").write_text("0,0,1\n0,1,0\n1,0,0\n")
    after = store.load(Junyi(path=str(raw)))
    assert before.fingerprint != after.fingerprint and len(entries(tmp_path)) == 2


def test_a_damaged_entry_is_rebuilt(raw, tmp_path, capsys):
    before = store.load(Junyi(path=str(raw)))
    file = next((tmp_path / "cache").rglob("interactions.parquet"))
    file.write_bytes(file.read_bytes()[:50])
    after = store.load(Junyi(path=str(raw)))
    assert after.fingerprint == before.fingerprint and "is damaged" in capsys.readouterr().err
    assert store.load(Junyi(path=str(raw))).fingerprint == before.fingerprint


def test_bad_raw_data_leaves_no_entry_and_the_old_one_whole(raw, tmp_path):
    store.load(Junyi(path=str(raw)))
    kept = entries(tmp_path)
    (raw / "response.csv").write_text("0,0,1\n0,1,3\n")
    with pytest.raises(DataError, match=r"correct must lie in \[0, 1\]; found 3"):
        store.load(Junyi(path=str(raw)))
    assert entries(tmp_path) == kept


def test_an_interrupted_write_leaves_nothing(raw, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store, "write_json", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.load(Junyi(path=str(raw)))
    assert entries(tmp_path) == []
    assert len(store.load(Junyi(path=str(raw)))["interactions"]) == 3


def test_no_card_no_load(raw):
    class Unknown(Junyi):
        name = "unknown_set"

    with pytest.raises(DataError, match="No card, no load"):
        store.load(Unknown(path=str(raw)))
