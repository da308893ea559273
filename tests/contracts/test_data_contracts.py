"""What every data set must do, over every yaml of conf/data, on invented raw rows; a new yaml without rows here fails by name."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from scipy.sparse import csr_matrix, save_npz

from edukit.data import store
from edukit.data.card import load_card, problems
from edukit.protocols import Loader
from edukit.reproducibility import bundled
from edukit.schema import DataError
from edukit.validation import validate_all


def junyi(place: Path) -> None:
    (place / "junyi_Exercise_table.csv").write_text("name,prerequisites,pretty_display_name,topic,area\na^n),,甲,t,x\nb,a^n),乙,t,x\n", encoding="utf-8-sig")
    (place / "response.csv").write_text("0,0,1\n0,1,0\n7,1,1\n")


def assistments2009(place: Path) -> None:
    header = "user_id\titem_id\ttimestamp\tcorrect\tskill_id\n"
    (place / "preprocessed_data_train.csv").write_text(header + "0\t0\t0\t1\t5\n0\t1\t0\t0\t5\n")
    (place / "preprocessed_data_test.csv").write_text(header + "9\t1\t0\t1\t6\n")
    save_npz(place / "q_mat.npz", csr_matrix(np.array([[1, 0], [1, 1]])))


def school_csv(place: Path) -> None:
    (place / "ours.csv").write_text("student,question,score,skill\nAnn,q1,1,10^n)\nAnn,q2,0,分數\n", encoding="utf-8")


RAW = {"junyi": junyi, "assistments2009": assistments2009, "school_csv": school_csv, "synthetic": lambda place: None}
NAMES = [path.stem for path in sorted((bundled("conf") / "data").glob("*.yaml"))]


def loader_of(name: str, place: Path) -> Loader:
    assert name in RAW, f"conf/data/{name}.yaml needs invented raw rows in RAW of this file, with the quirks of the real ones"
    RAW[name](place)
    with initialize_config_dir(str(bundled("conf").resolve()), version_base="1.3"):
        config = compose("config", [f"data={name}"]).data
    if "path" in config:
        config.path = str(place / "ours.csv" if name == "school_csv" else place)
    if name == "synthetic":
        config.classes, config.learners_per_class = 2, 4
    return instantiate(config)


@pytest.fixture(params=NAMES)
def loader(request, tmp_path) -> Loader:
    return loader_of(request.param, tmp_path)


def test_it_is_a_frozen_dataclass_named_like_its_yaml_and_card(loader):
    assert isinstance(loader, Loader) and dataclasses.is_dataclass(loader) and loader.__dataclass_params__.frozen
    assert loader.name in NAMES and problems(load_card(loader.name)) == []


def test_tables_pass_the_schema_and_every_reference_holds(loader):
    tables = validate_all(loader.parse(loader.raw_dir()))
    assert {"interactions", "q_matrix", "concepts"} <= set(tables)


def test_parsing_twice_gives_the_same_tables_and_raw_files_stay_as_they_were(loader):
    place = loader.raw_dir()
    before = {p: p.read_bytes() for p in loader.files(place)}
    first, second = validate_all(loader.parse(place)), validate_all(loader.parse(place))
    for name in first:
        pd.testing.assert_frame_equal(first[name], second[name])
    assert before == {p: p.read_bytes() for p in loader.files(place)}


def test_one_response_is_one_row_whatever_its_concepts(loader):
    tables = validate_all(loader.parse(loader.raw_dir()))
    log = tables["interactions"]
    key = ["learner_id", "order"] if log["order"].notna().all() else ["learner_id", "item_id"]
    assert not log.duplicated(key).any()


def test_every_field_and_every_raw_byte_is_in_the_cache_key(loader):
    place = loader.raw_dir()
    files = loader.files(place)
    key = store.cache_key(loader, files, "v1")
    assert key == store.cache_key(loader, files, "v1") != store.cache_key(loader, files, "v2")
    for field in dataclasses.fields(loader):
        if field.name != "path":
            other = dataclasses.replace(loader, **{field.name: "other" if isinstance(getattr(loader, field.name), str) else 99})
            assert store.cache_key(other, files, "v1") != key, field.name
    if files:
        files[0].write_bytes(files[0].read_bytes() + b"\n")
        assert store.cache_key(loader, files, "v1") != key


def test_a_missing_file_is_named_with_the_way_to_obtain_it(loader):
    files = loader.files(loader.raw_dir())
    if files:
        files[0].unlink()
        with pytest.raises(DataError) as error:
            loader.raw_dir()
        assert files[0].name in str(error.value)


def test_only_invented_ids_leave_without_a_pseudonym(loader, tmp_path, monkeypatch):
    monkeypatch.setenv("EDUKIT_CACHE", str(tmp_path / "cache"))
    raw = set(validate_all(loader.parse(loader.raw_dir()))["interactions"]["learner_id"])
    loaded = set(store.load(loader)["interactions"]["learner_id"])
    assert (loaded == raw) if getattr(loader, "invented", False) else not loaded & raw
    listed = json.loads(next((tmp_path / "cache" / "data").rglob("meta.json")).read_text())
    assert listed["rows"]["interactions"] > 0
