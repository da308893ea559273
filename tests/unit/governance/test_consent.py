"""Who objects is in no table that is loaded for that purpose; keys change; what is old is named; each is honoured by the loaders."""

from __future__ import annotations

import ast
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest

from edukit.data import store
from edukit.data.junyi import Junyi
from edukit.governance.consent import Consent, own_rows, purposes
from edukit.governance.privacy import Pseudonymiser, load_key
from edukit.governance.retention import Rule, expired, remove
from edukit.governance.rotation import renamed, retired, rotate, translation
from edukit.schema import DataError

EXERCISES = "name,prerequisites,pretty_display_name,topic,area\na,,A,t,x\nb,a,B,t,x\n"


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("EDUKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("EDUKIT_CONSENT", raising=False)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "junyi_Exercise_table.csv").write_text(EXERCISES)
    (tmp_path / "raw" / "response.csv").write_text("0,0,1\n0,1,0\n1,0,1\n2,0,0\n")
    return tmp_path


def said(place: Path) -> Consent:
    return Consent(place / "cache" / "consent.jsonl")


def test_an_objection_takes_the_rows_out_of_that_purpose_only(here):
    loader = Junyi(path=str(here / "raw"))
    before = store.load(loader)
    said(here).add("1", "objected", "junyi", "warn")
    kept, warned = store.load(loader), store.load(loader, purpose="warn")
    assert kept.fingerprint == before.fingerprint and len(warned["interactions"]) == 3 and warned["interactions"]["learner_id"].nunique() == 2
    assert warned.fingerprint != before.fingerprint
    said(here).add("1", "agreed", "junyi", "warn")
    assert store.load(loader, purpose="warn").fingerprint == before.fingerprint
    said(here).add("1", "deleted", "junyi")
    gone = store.pseudonymiser().pseudonyms(pd.Series(["1"]), "learner")[0]
    assert gone in set(before["interactions"]["learner_id"]) and gone not in set(store.load(loader)["interactions"]["learner_id"])
    assert store.load(Junyi(path=str(here / "raw")), purpose="warn")["interactions"]["learner_id"].nunique() == 2


def test_every_load_of_the_house_says_what_for(repository):
    named = []
    for file in (*(repository / "edukit").rglob("*.py"), *(repository / "experiments").glob("*.py")):
        if "load" not in (text := file.read_text(encoding="utf-8")) or "store" not in text:
            continue
        tree = ast.parse(text)
        here = {a.asname or a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module == "edukit.data.store" for a in n.names}
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            called = ast.unparse(call.func)
            if called == "store.load" or (called == "load" and "load" in here):
                words = [word.value for word in call.keywords if word.arg == "purpose"]
                assert words, f"{file.name}:{call.lineno} loads without a purpose: an objection to it would not be heard"
                named += [word.value for word in words if isinstance(word, ast.Constant)]
    assert len(named) > 8 and set(named) <= set(purposes()), "who objects can name each"


@pytest.mark.parametrize("deleted", [False, True])
def test_an_objection_during_the_load_counts(here, monkeypatch, deleted):
    loader, made, told = Junyi(path=str(here / "raw")), store._prepared, []

    def slowly(*given):
        tables = made(*given)
        if len(told) == 1:
            said(here).add("1", "deleted" if deleted else "objected", "junyi", "all" if deleted else "warn")
        return tables

    monkeypatch.setattr(store, "_prepared", slowly)
    gone = store.pseudonymiser().pseudonyms(pd.Series(["1"]), "learner")[0]
    data = store.load(loader, told.append, purpose="warn")
    assert gone not in set(data["interactions"]["learner_id"]) and data["interactions"]["learner_id"].nunique() == 2
    assert "is loaded again" in "".join(told)
    assert all(gone not in store.learners_of(place) for place, _ in store.entries("junyi")), "nothing is left of what was prepared with their rows"


def test_an_entry_of_another_data_set_changes_nothing(here):
    before = store.load(Junyi(path=str(here / "raw")))
    said(here).add("1", "deleted", "oulad")
    assert store.load(Junyi(path=str(here / "raw"))).fingerprint == before.fingerprint
    assert len(list(store.entries("junyi"))) == 1, "the cache is not even rebuilt"


def test_a_list_that_must_hold_an_agreement_for_everyone(here, monkeypatch):
    listed = here / "forms.csv"
    listed.write_text("learner_id,purpose,state,day\n*,all,objected,2026-01-01\n0,all,agreed,2026-02-01\n2,all,agreed,2026-02-01\n2,all,objected,2026-03-01\n")
    monkeypatch.setenv("EDUKIT_CONSENT", str(listed))
    assert len(store.load(Junyi(path=str(here / "raw")))["interactions"]) == 2
    with pytest.raises(DataError, match="its owner edits"):
        Consent(listed).add("1", "agreed")
    monkeypatch.setenv("EDUKIT_CONSENT", str(here / "form.csv"))
    with pytest.raises(DataError, match="must name the consent list"):
        store.load(Junyi(path=str(here / "raw")))


@pytest.mark.parametrize(("line", "words"), [
    ("not json", "line 1"), ('{"learner_id": "1", "purpose": "all", "state": "gone", "day": "2026-01-01"}', "'gone'"),
    ('{"learner_id": "1", "state": "deleted", "day": "2026-01-01"}', "without purpose"),
    ('{"learner_id": "1", "purpose": "all", "state": "deleted", "day": "soon"}', "'soon'"),
    ('{"learner_id": "1", "purpose": "all", "state": "corrected", "day": "2026-01-01"}', "must name table"),
    ('{"learner_id": "1", "purpose": "all", "state": "deleted", "day": "2026-01-01", "dta": "x"}', "unknown dta"),
    ('{"learner_id": "1", "purpose": "warning", "state": "objected", "day": "2026-01-01"}', "the purpose of an entry must be one of .*found 'warning'"),
    ('{"learner_id": "1", "purpose": "all", "state": "objected", "day": "2026-01-01", "data": "Junyi"}', "the data of an entry .*found 'Junyi'"),
])
def test_nothing_is_loaded_while_the_list_is_unclear(here, line, words):
    said(here).path.parent.mkdir(exist_ok=True)
    said(here).path.write_text(line + "\n")
    with pytest.raises(DataError, match=words):
        store.load(Junyi(path=str(here / "raw")))


def test_the_list_is_only_added_to_and_readable_by_its_owner_only(here):
    said(here).add("1", "objected", "junyi")
    first = said(here).path.read_text()
    with said(here).path.open("a") as file:
        file.write('{"learner_id": "2"')  # a line that was never finished
    said(here).add("1", "agreed", "junyi")
    assert said(here).path.read_text().startswith(first) and said(here).path.read_text().count("\n") == 3
    assert said(here).path.stat().st_mode & 0o077 == 0


def test_any_id_can_be_listed(here):
    for who in ("a\u2028b", "a\x85b", "a\nb", '"', "é"):
        said(here).add(who, "objected")
    assert {entry["learner_id"] for entry in said(here).entries()} == {"a\u2028b", "a\x85b", "a\nb", '"', "é"}
    assert said(here).last_word("é", "junyi", "warn") == "objected" and said(here).last_word("e", "junyi") is None


@dataclass(frozen=True)
class Streamed:
    """Learners with ids that are numbers in the file, in a log that is streamed."""

    name: ClassVar[str] = "junyi"  # for its card
    path: str

    def raw_dir(self) -> Path:
        return Path(self.path)

    def files(self, raw_dir: Path) -> list[Path]:
        return [raw_dir / "log.csv"]

    def parse(self, raw_dir: Path) -> dict[str, pd.DataFrame]:
        return {"learners": pd.DataFrame({"learner_id": ["1", "2", "3"], "gender": ["x", "y", "x"]})}

    def streams(self, raw_dir: Path) -> dict[str, str]:
        return {"interactions": f"SELECT *, NULL AS \"order\" FROM read_csv('{raw_dir / 'log.csv'}')"}


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("point", ["", ".0"])
def test_rows_leave_a_streamed_log_too(here, monkeypatch, large, point):
    (here / "log.csv").write_text("learner_id,item_id,correct\n" + "".join(f"{u}{point},i{i},1\n" for u in (1, 2, 3) for i in range(4)))
    monkeypatch.setattr(store, "LARGE", 5 if large else 5_000)
    said(here).add("2", "deleted", "junyi")
    found = store.load(Streamed(str(here)))
    learners = found["interactions"].learner_ids() if large else found["interactions"]["learner_id"].unique()
    assert len(learners) == 2 == len(found["learners"]) and len(found["interactions"]) == 8
    place, _ = next(store.entries("junyi"))
    assert set(store.learners_of(place)) == set(learners)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("point", ["", ".0"])
def test_a_correction_reaches_a_streamed_log(here, monkeypatch, large, point):
    (here / "log.csv").write_text("learner_id,item_id,correct,hints,timestamp\n"
                                  + "".join(f"{u}{point},{i}{point},1,,2020-01-0{i}\n" for u in (1, 2) for i in (1, 2, 3)))
    monkeypatch.setattr(store, "LARGE", 5 if large else 5_000)

    def rows(purpose: str = "all") -> pd.DataFrame:
        log = store.load(Streamed(str(here)), purpose=purpose)["interactions"]
        return log.of(log.learner_ids()) if large else log

    before = rows()
    who = before["learner_id"] == store.pseudonymiser().pseudonyms(pd.Series(["2"]), "learner")[0]
    told = {"table": "interactions", "column": "correct"}
    said(here).add("2", "corrected", "junyi", **told, value="0.5", where={"item_id": "3"})
    said(here).add("2", "corrected", "junyi", **told, value=0, where={"timestamp": "2020-01-01 00:00:00+00:00", "correct": "1.0"})
    said(here).add("2", "corrected", "junyi", table="interactions", column="hints", value="2")
    said(here).add("2", "corrected", "junyi", table="interactions", column="item_id", value="two", where={"item_id": "2"})
    after = rows()
    assert after[~who].drop(columns="hints").equals(before[~who].drop(columns="hints")) and after.loc[~who, "hints"].isna().all()
    mine = after[who].set_index("item_id")
    assert mine["correct"].to_dict() == {"1": 0.0, "two": 1.0, "3": 0.5} and (mine["hints"] == 2).all()
    said(here).add("2", "corrected", "junyi", **told, value="0.25", where={"item_id": "3"})
    assert rows()[who].set_index("item_id")["correct"]["3"] == 0.25, "the last word counts"
    said(here).add("2", "corrected", "junyi", **told, value="0.75", where={"item_id": "two"})
    said(here).add("2", "corrected", "junyi", table="interactions", column="attempt", value="1")  # this log has no such column
    assert rows()[who].set_index("item_id")["correct"].to_dict() == {"1": 0.0, "two": 0.75, "3": 0.25}, "as corrected before"
    for value, where, words in (("9", {}, r"correct must lie in \[0, 1\]; found 9"), ("yes", {}, "correct must be a number|correct must"),
                                ("1", {"order": "0"}, "found order")):
        said(here).add("2", "corrected", "junyi", **told, value=value, where=where)
        with pytest.raises(DataError, match=words):
            rows()
        said(here).path.write_text("".join(said(here).path.read_text().splitlines(keepends=True)[:-1]))


def test_a_correction_is_loaded_and_a_wrong_one_refused(here):
    (here / "log.csv").write_text("learner_id,item_id,correct\n1,i,1\n")
    said(here).add("2", "corrected", "junyi", table="learners", column="gender", value="z")
    assert store.load(Streamed(str(here)))["learners"]["gender"].tolist() == ["x", "z", "x"]
    loader = Junyi(path=str(here / "raw"))
    said(here).add("0", "corrected", "junyi", table="interactions", column="correct", value="1", where={"item_id": "1"})
    item = store.check(loader)["interactions"]
    wanted = item["correct"].mask((item["learner_id"] == "0") & (item["item_id"] == "1"), 1.0)
    assert store.load(loader)["interactions"]["correct"].tolist() == wanted.tolist()
    said(here).add("0", "corrected", "junyi", table="interactions", column="correct", value="9")
    with pytest.raises(DataError, match=r"correct must lie in \[0, 1\]; found 9"):
        store.load(loader)


def test_own_rows_come_from_every_table_and_are_nobody_elses(here):
    rows = own_rows(store.check(Junyi(path=str(here / "raw"))), "0")
    assert set(rows["interactions"]["learner_id"]) == {"0"} and len(rows["interactions"]) == 2 and "concepts" not in rows


def test_a_new_key_and_the_way_back_for_who_holds_both(tmp_path):
    key = tmp_path / "pseudonym.key"
    with pytest.raises(DataError, match="found no file"):
        rotate(key)
    first = Pseudonymiser(load_key(key))
    old, new = rotate(key)
    assert old == first and new == Pseudonymiser(load_key(key)) and new.key != old.key
    assert [one.key_version for one in retired(key)] == [old.key_version] and all(f.stat().st_mode & 0o077 == 0 for f in tmp_path.iterdir())
    ids = pd.Series(["ann", "bob", "ann"])
    table = pd.DataFrame({"learner_id": old.pseudonyms(ids, "learner"), "n": [1, 2, 3]})
    names = translation(ids, "learner", old, new)
    assert renamed(table, names)["learner_id"].tolist() == new.pseudonyms(ids, "learner").tolist()
    with pytest.raises(DataError, match="found no new name"):
        renamed(table, names.head(1))
    rotate(key)
    assert len(retired(key)) == 2


def test_what_is_older_than_its_retention_is_named_then_removed(tmp_path):
    for name, days in (("old", 40), ("young", 3)):
        (tmp_path / "runs" / name).mkdir(parents=True)
        file = tmp_path / "runs" / name / "run_report.json"
        file.write_text(json.dumps(name))
        os.utime(file, (time.time() - days * 86_400,) * 2)
    rules = [Rule("run", tmp_path / "runs", "*", 30)]
    found = expired(rules)
    assert found["place"].tolist() == [tmp_path / "runs" / "old"] and 39 < found["age_days"].item() < 41
    assert remove(found["place"]) == 1 and remove(found["place"]) == 0
    assert [p.name for p in (tmp_path / "runs").iterdir()] == ["young"]
    with pytest.raises(DataError, match="below its folder"):
        Rule("run", tmp_path, "../*", 30)
