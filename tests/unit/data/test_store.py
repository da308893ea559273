"""The cache is keyed by everything its tables depend on, is rebuilt when damaged, and is never left half-written."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from edukit.experiments import recipe

import edukit.formats
from edukit.data import store
from edukit.data.interaction_store import InteractionStore
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


# ---- logs that are streamed -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Streamed:
    """A log that is streamed, and tables that are parsed."""

    name: ClassVar[str] = "junyi"  # for its card
    path: str

    def raw_dir(self) -> Path:
        return Path(self.path)

    def files(self, raw_dir: Path) -> list[Path]:
        return [raw_dir / "log.csv"]

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        return {"concepts": pd.DataFrame({"concept_id": ["A", "B"], "name": ["a", "b"]}),
                "q_matrix": pd.DataFrame({"item_id": ["i", "j", "k", "l"], "concept_id": list("AABB")}),
                "learners": pd.DataFrame({"learner_id": [f"u{i}" for i in range(30)], "gender": "x"})}

    def streams(self, raw_dir: Path) -> dict[str, str]:
        return {"interactions": f"""SELECT who AS learner_id, item AS item_id, correct, t AS "order" FROM read_csv('{raw_dir / "log.csv"}')"""}


@pytest.fixture
def streamed(tmp_path, monkeypatch) -> Streamed:
    monkeypatch.setenv("EDUKIT_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    (tmp_path / "raw").mkdir()
    pd.DataFrame({"who": [f"u{i}" for i in rng.integers(0, 30, 600)], "item": rng.choice(list("ijkl"), 600), "correct": rng.integers(0, 2, 600),
                  "t": range(600)}).to_csv(tmp_path / "raw" / "log.csv", index=False)
    return Streamed(str(tmp_path / "raw"))


def large(loader: Streamed, monkeypatch, place: Path, say=lambda line: None):
    """The same data with a log that stays on disk, under the same pseudonym key."""
    with monkeypatch.context() as patch:
        patch.setattr(store, "LARGE", 100)
        patch.setenv("EDUKIT_CACHE", str(place))
        place.mkdir(exist_ok=True)
        (place / "pseudonym.key").write_bytes((place.parent / "cache" / "pseudonym.key").read_bytes())
        return store.load(loader, say)


def test_a_small_streamed_log_is_a_table_and_a_large_one_stays_on_disk(streamed, tmp_path, monkeypatch):
    small, said = store.load(streamed), []
    big = large(streamed, monkeypatch, tmp_path / "big", said.append)
    assert isinstance(small["interactions"], pd.DataFrame) and isinstance(big["interactions"], InteractionStore)
    pd.testing.assert_frame_equal(big["interactions"].to_frame(), small["interactions"])
    assert set(small["interactions"]["learner_id"]) <= set(small["learners"]["learner_id"])
    assert small.allows() == big.allows() and small.allows()["order"] and small.counts() == pytest.approx(big.counts())
    assert "about 600 lines" in said[0] and "stay on disk" in said[1] and "as a table they would take" in said[1] and len(said) == 2
    again = large(streamed, monkeypatch, tmp_path / "big", said.append)
    assert len(said) == 2 and again.fingerprint == big.fingerprint and len(again["interactions"]) == 600


def test_the_same_learners_are_drawn_from_a_table_and_from_disk(streamed, tmp_path, monkeypatch):
    small, big = store.load(streamed), large(streamed, monkeypatch, tmp_path / "big")
    one, other = small.sample(4, seed=1), big.sample(4, seed=1)
    for name in one.tables:
        pd.testing.assert_frame_equal(one[name], other[name])
    assert one["interactions"]["learner_id"].nunique() == 4 and len(one["learners"]) == 4 and len(one["concepts"]) == 2
    assert len({d.fingerprint for d in (small, one, small.sample(4, seed=2), small.sample(5, seed=1))}) == 4


def test_an_experiment_gets_a_table_where_it_fits_and_is_told_how_many_learners_would(streamed, tmp_path, monkeypatch):
    small, big = store.load(streamed), large(streamed, monkeypatch, tmp_path / "big")
    pd.testing.assert_frame_equal(recipe.in_memory(big)["interactions"], small["interactions"])
    assert recipe.free_memory() > 1e8
    monkeypatch.setattr(recipe, "free_memory", lambda: 20_000.0)
    assert recipe.in_memory(small) is small
    with pytest.raises(DataError, match=r"interactions of 600 rows, which needs about .* Draw some of its 30 learners: learners=\d"):
        recipe.in_memory(big)


def test_a_run_uses_the_learners_that_were_asked_for(streamed, monkeypatch, tmp_path):
    words = ("data.classes=2", "data.learners_per_class=12", "draws=5", "learners=20", f"paths.outputs={tmp_path}")
    report = recipe.start("learn_graph", *words)
    assert report.data["learners"] == 20 and report.data["rows"]["learners"] == 20
    with recipe.open_run(recipe.config("learn_graph", *words[:3], f"paths.outputs={tmp_path}"), batches=True) as job:
        assert job.data.counts()["learners"] == 24


def test_a_damaged_part_is_rebuilt(streamed, tmp_path, monkeypatch, capsys):
    store.load(streamed)
    before = large(streamed, monkeypatch, tmp_path / "big")
    part = next((tmp_path / "big").rglob("part-*.parquet"))
    part.write_bytes(part.read_bytes()[:20])
    after = large(streamed, monkeypatch, tmp_path / "big")
    assert after.fingerprint == before.fingerprint and len(after["interactions"].to_frame()) == 600 and "is damaged" in capsys.readouterr().err


def test_faults_of_every_table_are_told_at_once_and_nothing_is_left(streamed, tmp_path):
    (tmp_path / "raw" / "log.csv").write_text("who,item,correct,t\nu1,i,3,1\nu1,nowhere,1,2\n")
    for act in (store.load, store.check):
        with pytest.raises(DataError) as error:
            act(streamed)
        assert "correct must lie in [0, 1]; found 3 in 1 of 2 rows" in str(error.value)
        assert "item_id must be found in q_matrix.item_id; found 'nowhere'" in str(error.value)
    left = [p for p in (tmp_path / "cache").rglob("*") if p.is_file() and p.name != "pseudonym.key"]
    assert left == []


def test_a_check_keeps_ids_and_leaves_no_folder_behind(streamed, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "LARGE", 100)
    tables = store.check(streamed)
    assert tables["interactions"].to_frame()["learner_id"].str.fullmatch(r"u\d+").all()
    del tables
    assert not list((tmp_path / "cache").glob("check-*"))


def test_codecs_are_in_the_key(streamed, tmp_path, monkeypatch):
    before = store.cache_key(streamed, [], "v1")
    (tmp_path / "formats").mkdir()
    (tmp_path / "formats" / "codec.py").write_text("x = 1")
    monkeypatch.setattr(edukit.formats, "__file__", str(tmp_path / "formats" / "__init__.py"))
    assert store.cache_key(streamed, [], "v1") != before


def test_the_estimate_follows_the_length_of_the_lines(tmp_path):
    (tmp_path / "log.csv").write_text("a,b,c,d,e\n" * 500_000)
    os.truncate(tmp_path / "log.csv", 5_000_000)
    assert "about 500,000 lines" in store.estimate([tmp_path / "log.csv"], False) and store.estimate([], False) == "a few seconds"
    (tmp_path / "matrix.npz").write_bytes(bytes(600))
    assert "about 10 lines" in store.estimate([tmp_path / "matrix.npz"], True)


@pytest.mark.realdata
def test_a_warm_load_says_nothing_and_has_the_fingerprint_that_was_written(edukit_data, monkeypatch, tmp_path):
    monkeypatch.setenv("EDUKIT_DATA", str(edukit_data))
    monkeypatch.setenv("EDUKIT_CACHE", str(tmp_path))
    said: list[str] = []
    first, second = (store.load(Junyi(), said.append) for _ in range(2))
    assert len(said) == 1 and "lines" in said[0] and first.fingerprint == second.fingerprint and len(second["interactions"]) == 353_835
    assert json.loads(next(tmp_path.rglob("meta.json")).read_text())["fingerprint"] == second.fingerprint
