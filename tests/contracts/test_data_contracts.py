"""What every data set must do, over every yaml of conf/data, on invented raw rows; a new yaml without rows here fails by name."""

from __future__ import annotations

import dataclasses
import json
import runpy
from pathlib import Path

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from edukit.data import store
from edukit.data.card import load_card, problems
from edukit.data.catalogue import catalogue
from edukit.data.interaction_store import InteractionStore
from edukit.protocols import Loader, StreamingLoader
from edukit.reproducibility import bundled
from edukit.schema import DataError, key_of
from edukit.validation import validate

INVENTED = Path(__file__).parents[1] / "invented"
"""One file a data set: ``write(place, variant)`` writes raw files with every quirk of the real ones; ``PATH`` where ``path`` names a file;
``FIELDS`` for further options."""


def variants() -> list[tuple[str, str]]:
    """Every (data set, variant) of conf/data."""
    return list(catalogue().values())


NAMES = sorted({name for name, _ in variants()})


def loader_of(name: str, variant: str, place: Path) -> Loader:
    assert (INVENTED / f"{name}.py").is_file(), f"conf/data/{name}.yaml needs invented raw rows in tests/invented/{name}.py, with the quirks of the real ones"
    rows = runpy.run_path(str(INVENTED / f"{name}.py"))
    rows["write"](place, variant)
    with initialize_config_dir(str(bundled("conf").resolve()), version_base="1.3"):
        config = compose("config", [f"data={name}"]).data
    given = {**({"path": str(place / rows.get("PATH", ""))} if "path" in config else {}), **({"variant": variant} if variant else {})}
    return instantiate(config, **given, **rows.get("FIELDS", {}))


@pytest.fixture(params=variants(), ids=lambda v: "_".join(v).rstrip("_"))
def loader(request, tmp_path) -> Loader:
    place = tmp_path / "raw"
    place.mkdir()
    return loader_of(*request.param, place)


def test_it_is_a_frozen_dataclass_named_like_its_yaml_and_card(loader):
    assert isinstance(loader, Loader) and dataclasses.is_dataclass(loader) and loader.__dataclass_params__.frozen
    assert loader.name in NAMES and problems(load_card(loader.name)) == []


def test_tables_pass_the_schema_and_every_reference_holds(loader):
    tables = store.check(loader)
    assert {"interactions", "concept_pairs", "prerequisites", "answers", "enrolments", "learners"} & set(tables), "it must hold what it is known for"
    assert ("interactions" not in tables) or {"q_matrix", "concepts"} <= set(tables)


def test_what_is_streamed_is_not_parsed_and_the_other_way_round(loader):
    place = loader.raw_dir()
    if not hasattr(loader, "streams"):
        pytest.skip("streams nothing")
    assert isinstance(loader, StreamingLoader)
    parsed, streamed = loader.parse(place), loader.streams(place)
    assert set(streamed) <= {"interactions", "events"} and not set(streamed) & set(parsed)
    assert set(store.check(loader)) == {*parsed, *streamed}


def test_a_streamed_log_is_the_same_on_disk_and_in_memory(loader, monkeypatch):
    if not hasattr(loader, "streams") or not loader.streams(loader.raw_dir()):
        pytest.skip("streams nothing")
    tables = store.check(loader)
    monkeypatch.setattr(store, "LARGE", 0)
    logs = store.check(loader)
    for name in loader.streams(loader.raw_dir()):
        assert isinstance(logs[name], InteractionStore) and not isinstance(tables[name], InteractionStore)
        pd.testing.assert_frame_equal(logs[name].to_frame(), tables[name])
        pd.testing.assert_frame_equal(validate(tables[name], name), tables[name])


def test_parsing_twice_gives_the_same_tables_and_raw_files_stay_as_they_were(loader):
    place = loader.raw_dir()
    before = {p: p.read_bytes() for p in loader.files(place)}
    first, second = store.check(loader), store.check(loader)
    for name in first:
        pd.testing.assert_frame_equal(first[name], second[name])
    assert before == {p: p.read_bytes() for p in loader.files(place)}


def test_one_response_is_one_row_whatever_its_concepts(loader):
    tables = store.check(loader)
    log = tables.get("interactions")
    if log is None:
        pytest.skip("holds no responses")
    assert not log.duplicated(key_of("interactions", log)).any()


def test_every_field_and_every_raw_byte_is_in_the_cache_key(loader):
    place = loader.raw_dir()
    files = loader.files(place)
    key = store.cache_key(loader, files, "v1")
    assert key == store.cache_key(loader, files, "v1") != store.cache_key(loader, files, "v2")
    for field in dataclasses.fields(loader):
        if field.name not in ("path", "variant"):
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
    raw, loaded = store.check(loader), store.load(loader)
    for table in (name for name in raw if "learner_id" in raw[name]):
        before, after = (set(tables[table]["learner_id"].dropna()) for tables in (raw, loaded))
        assert (after == before) if getattr(loader, "invented", False) else not after & before
    listed = json.loads(next((tmp_path / "cache" / "data").rglob("meta.json")).read_text())
    assert all(listed["rows"].values())
