"""What goes out comes back: every id, every response, every edge."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from edukit.data import store
from edukit.data.export import FORMATS, export
from edukit.data.school_csv import SchoolCsv
from edukit.data.synthetic import Synthetic
from edukit.formats import case, xapi
from edukit.schema import DataError

IDS = ["q 1", "10^n)", "分數🙂", '"quoted", and so', "007", "NULL"]


@pytest.fixture
def ours(tmp_path, monkeypatch):
    monkeypatch.setenv("EDUKIT_CACHE", str(tmp_path / "cache"))
    rows = pd.DataFrame({"learner": ["Ann", "Bob"] * 6, "item": [i for i in IDS for _ in range(2)], "correct": [0, 1] * 6,
                         "skill": [f"k {i}" for i in IDS for _ in range(2)],
                         "order": [k // 2 for k in range(12)]})
    rows.to_csv(tmp_path / "ours.csv", index=False)
    return store.load(SchoolCsv(path=str(tmp_path / "ours.csv")))


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_tables_come_back_with_every_id(ours, tmp_path, form):
    files = export(ours, tmp_path / "out", form)
    assert sorted(f.stem for f in files) == sorted(ours.tables)
    for file in files:
        back = pd.read_csv(file, dtype="str", keep_default_na=False, na_values=[""]) if form == "csv" else pd.read_parquet(file)
        for column in [c for c in back if c.endswith("_id")]:
            assert back[column].tolist() == ours[file.stem][column].tolist(), (file, column)
    assert not (tmp_path / "out" / "interactions.csv").exists() or "Ann" not in (tmp_path / "out" / "interactions.csv").read_text()


def test_a_store_goes_out_batch_by_batch_and_is_the_same_table(ours, tmp_path, monkeypatch):
    from edukit.data.interaction_store import InteractionStore

    log = ours["interactions"]
    log.to_parquet(tmp_path / "log.parquet")
    kept = InteractionStore.write(f"SELECT * FROM read_parquet('{tmp_path / 'log.parquet'}')", "interactions", tmp_path / "store")
    monkeypatch.setattr(InteractionStore, "iter_learners", lambda self, rows=1, own=InteractionStore.iter_learners: own(self, 5))
    ours.tables["interactions"] = kept
    for form in ("csv", "parquet"):
        export(ours, tmp_path / form, form)
    back = pd.read_parquet(tmp_path / "parquet" / "interactions.parquet")
    same = pd.read_csv(tmp_path / "csv" / "interactions.csv", dtype={"item_id": "str"}, keep_default_na=False, na_values=[""])
    key = ["learner_id", "order"]
    for table in (back, same):
        assert table.sort_values(key)["item_id"].tolist() == log.sort_values(key)["item_id"].tolist()


def test_a_framework_goes_out_as_case_and_comes_back(tmp_path, monkeypatch):
    monkeypatch.setenv("EDUKIT_CACHE", str(tmp_path / "cache"))
    data = store.load(Synthetic(classes=2, learners_per_class=4))
    (file,) = export(data, tmp_path / "out", "case")
    back = case.read(file)
    edge = ["concept_id", "requires_id", "weight"]
    assert set(map(tuple, back["prerequisites"][edge].to_numpy())) == set(map(tuple, data["prerequisites"][edge].to_numpy()))
    assert back["concepts"].set_index("concept_id")["name"].to_dict() == data["concepts"].set_index("concept_id")["name"].to_dict()


def test_responses_go_out_as_statements_and_come_back(ours, tmp_path):
    (file,) = export(ours, tmp_path / "out", "xapi")
    assert len(file.read_text(encoding="utf-8").splitlines()) == 12 and json.loads(file.read_text(encoding="utf-8").splitlines()[0])
    back = xapi.read(file)
    key = ["learner_id", "item_id", "correct"]
    assert sorted(map(tuple, back["interactions"][key].to_numpy())) == sorted(map(tuple, ours["interactions"][key].to_numpy()))
    assert set(map(tuple, back["q_matrix"][["item_id", "concept_id"]].to_numpy())) == set(map(tuple, ours["q_matrix"][["item_id", "concept_id"]].to_numpy()))


def test_nothing_is_written_over_and_a_wrong_wish_is_named(ours, tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(DataError, match="must be a new folder"):
        export(ours, tmp_path / "there")
    with pytest.raises(DataError, match=", ".join(FORMATS)):
        export(ours, tmp_path / "new", "pickle")
    with pytest.raises(DataError, match="must hold the table"):
        export(type(ours)(ours.name, "", {"concepts": ours["concepts"]}, ours.card, ""), tmp_path / "new", "xapi")
    assert not (tmp_path / "new").exists()
