"""`edukit consent`: a learner sees what is held, objects, corrects, is deleted; prepared tables go, and the runs that used the rows are named."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edukit.alert_log import AlertLog
from edukit.cli_consent import consent_app
from edukit.data import store
from edukit.data.catalogue import loader
from edukit.grading.ledger import Ledger
from edukit.recommend.session_store import SessionStore
from edukit.reproducibility import fingerprint, write_json
from edukit.schema import DataError

WHO, OTHER = "L001", "L002"
SMALL = {"classes": 2, "learners_per_class": 6, "terms": 1}


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    for name in ("CACHE", "OUTPUTS"):
        monkeypatch.setenv(f"EDUKIT_{name}", str(tmp_path / name.lower()))
    for name in ("CONSENT", "TRACKING"):
        monkeypatch.delenv(f"EDUKIT_{name}", raising=False)
    small = loader("synthetic", **SMALL)
    monkeypatch.setattr("edukit.cli_consent._loader", lambda label, path: small)
    return tmp_path


def said(*words: str) -> str:
    result = CliRunner().invoke(consent_app, list(words))
    if isinstance(result.exception, DataError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def report(place: Path, name: str, data, **more) -> Path:
    about = {"name": "synthetic", "fingerprint": data.fingerprint, "learners": more.get("learners")}
    write_json(place / "outputs" / "trace" / name / "run_report.json", {"data": about, "seed": 3, "config": {"learners": more.get("learners")}})
    return place / "outputs" / "trace" / name


def test_own_data_is_handed_out_whole_and_nobody_elses(here):
    small = loader("synthetic", **SMALL)
    told = said("export", "synthetic", WHO, str(here / "mine.zip"))
    with zipfile.ZipFile(here / "mine.zip") as archive:
        about = json.loads(archive.read("about.json"))
        rows = {name.removesuffix(".json"): json.loads(archive.read(name)) for name in archive.namelist() if name != "about.json"}
    wanted = {name: int((table["learner_id"] == WHO).sum()) for name, table in small.parse(Path()).items() if "learner_id" in table}
    assert {name: len(table) for name, table in rows.items()} == wanted and {"interactions", "learners", "attendance"} <= set(rows)
    assert all(row["learner_id"] == WHO for table in rows.values() for row in table)
    assert about["tables"]["interactions"]["columns"]["correct"] and OTHER not in json.dumps(rows)
    assert all(row["class_id"].startswith("class-") for row in rows["interactions"]), "the class is other people's too"
    assert "0 tracked runs" in told and (here / "mine.zip").stat().st_mode & 0o077 == 0
    with pytest.raises(DataError, match="must be a new .zip"):
        said("export", "synthetic", WHO, str(here / "mine.zip"))
    with pytest.raises(DataError, match="found none for 'nobody'"):
        said("export", "synthetic", "nobody", str(here / "x.zip"))


def test_a_deleted_learner_leaves_and_the_runs_that_used_their_rows_are_named(here):
    small = loader("synthetic", **SMALL)
    data = store.load(small)
    drawn = {size: data.sample(size, 3) for size in range(1, 12)}
    having = next(size for size, part in drawn.items() if WHO in set(part["learners"]["learner_id"]))
    lacking = next(size for size, part in drawn.items() if WHO not in set(part["learners"]["learner_id"]))
    whole = report(here, "whole", data)
    with_them = report(here, "with", drawn[having], learners=having)
    without = report(here, "without", drawn[lacking], learners=lacking)
    other = report(here, "other", type("Other", (), {"fingerprint": fingerprint("other")}))
    told = said("delete", "synthetic", WHO)
    assert all(str(place) in told for place in (whole, with_them)) and not any(str(place) in told for place in (without, other))
    assert "1 prepared forms" in told and "2 tracked runs and output folders" in told and data.fingerprint[:12] in told
    assert not list((here / "cache" / "data").rglob("*.parquet")) and WHO not in "".join(p.read_text() for p in (here / "cache").rglob("meta.json"))
    after = store.load(small)
    for name, table in after.tables.items():
        if "learner_id" in table:
            assert WHO not in set(table["learner_id"]) and OTHER in set(table["learner_id"]), name
    seen = {name for name, size in (("with", having), ("without", lacking)) if OTHER in set(drawn[size]["learners"]["learner_id"])}
    told = said("delete", "synthetic", OTHER)
    assert str(whole) in told, "a run on tables that are gone is found for the others who were in them"
    assert {name for name, place in (("with", with_them), ("without", without)) if str(place) in told} == seen
    assert "deleted" in said("list") and WHO in said("list", "synthetic") and WHO not in said("list", "oulad")


def test_an_objection_is_to_one_purpose_and_can_be_taken_back(here):
    small = loader("synthetic", **SMALL)
    said("object", "synthetic", WHO, "--purpose", "trace")
    assert WHO in set(store.load(small)["learners"]["learner_id"]) and WHO not in set(store.load(small, purpose="trace")["learners"]["learner_id"])
    said("agree", "synthetic", WHO, "--purpose", "trace")
    assert WHO in set(store.load(small, purpose="trace")["learners"]["learner_id"])
    with pytest.raises(DataError, match="the purpose must be one of all"):
        said("object", "synthetic", WHO, "--purpose", "trce")


def test_a_correction_reaches_the_rows_it_is_meant_for(here):
    small = loader("synthetic", **SMALL)
    before = store.load(small)["interactions"]
    item = before.loc[before["learner_id"] == WHO, "item_id"].iloc[0]
    rows = (before["learner_id"] == WHO) & (before["item_id"] == item)
    assert "in 1 rows" in said("correct", "synthetic", WHO, "interactions.correct", "0.25", "--where", f"item_id={item}")
    after = store.load(small)["interactions"]
    assert after.loc[rows, "correct"].tolist() == [0.25] and after.loc[~rows].equals(before.loc[~rows])
    for words, why in ((("interactions.correct", "7"), r"lie in \[0, 1\]"), (("interactions.wrong", "1"), "TABLE.COLUMN must be"),
                       (("learners.learner_id", "x"), "no id of a person"), (("interactions.correct", "1", "--where", "item_id=zz"), "found none")):
        with pytest.raises(DataError, match=why):
            said("correct", "synthetic", WHO, *words)
    assert store.load(small)["interactions"].equals(after)


def test_a_new_key_names_what_carries_old_names(here):
    store.load(loader("synthetic", **SMALL))
    old = store.pseudonymiser()
    told = said("rotate-key")
    assert old.key_version in told and store.pseudonymiser() != old and "0 prepared forms and 0 runs" in told, "invented ids are no pseudonyms"


def test_what_is_too_old_is_listed_and_removed_only_on_request(here):
    store.load(loader("synthetic", **SMALL))
    place = report(here, "old", store.load(loader("synthetic", **SMALL)))
    assert "0 things" in said("expired")
    assert str(place) in said("expired", "--outputs", "0", "--prepared", "9") and place.is_dir()
    assert "2 removed" in said("expired", "--outputs", "0", "--prepared", "0", "--remove")
    assert not place.exists() and list(store.entries("synthetic")) == []


@pytest.fixture
def logged(here) -> dict[str, AlertLog]:
    """The log of a run on this data, one of a run on other data, one in which a config says, and one that lies elsewhere."""
    write_json(here / "outputs" / "warn" / "b" / "run_report.json", {"data": {"name": "oulad", "fingerprint": "x"}, "config": {}, "seed": 3})
    places = {"own": here / "outputs" / "warn" / "a" / "alerts.sqlite", "other": here / "outputs" / "warn" / "b" / "alerts.sqlite",
              "config": here / "school" / "weekly.sqlite", "elsewhere": here / "school" / "old.sqlite"}
    settings = {"log": str(places["config"])}
    write_json(places["own"].parent / "run_report.json", {"data": {"name": "synthetic", "fingerprint": "x"}, "config": settings, "seed": 3})
    found = {name: AlertLog(place) for name, place in places.items()}
    for log in found.values():
        log.add([{"kind": "alerted", "learner_id": one, "rank": 1, "risk": 0.5} for one in (WHO, OTHER)], "edukit", 3)
        log.add([{"kind": "tried", "learner_id": WHO, "what": "called", "reason": "Monday"}], "Ms Brown", 3)
    return found


def test_what_was_said_of_alerts_is_handed_out_and_forgotten_too(here, logged):
    told = said("export", "synthetic", WHO, str(here / "mine.zip"), "--log", str(logged["elsewhere"].path))
    with zipfile.ZipFile(here / "mine.zip") as archive:
        about, names = json.loads(archive.read("about.json")), archive.namelist()
        events = json.loads(archive.read("alert_log_1.json"))
    assert set(about["logs"].values()) == {str(logged[name].path) for name in ("own", "config", "elsewhere")} and "alert_log_3.json" in names
    assert [event["what"] for event in events] == [None, "called"] and {event["learner_id"] for event in events} == {WHO}
    assert "Brown" not in json.dumps(events) and "alert_log_2" in told, "the teacher is somebody else"
    told = said("delete", "synthetic", WHO)
    left = {name: log.events()["learner_id"].tolist() for name, log in logged.items()}
    assert left["own"] == left["config"] == [OTHER] and left["other"] == left["elsewhere"] == [WHO, OTHER, WHO]
    assert f"{logged['own'].path}   (2 entries forgotten" in told and str(logged["other"].path) not in told
    said("delete", "synthetic", WHO, "--log", str(logged["elsewhere"].path))
    assert logged["elsewhere"].events()["learner_id"].tolist() == [OTHER]
    with pytest.raises(DataError, match="--log must be a file"):
        said("delete", "synthetic", WHO, "--log", str(here / "none.sqlite"))


def test_who_objects_is_on_no_list_of_alerts_until_they_agree(here, logged):
    log = logged["own"]
    assert "taken off" not in said("object", "synthetic", WHO, "--purpose", "trace") and log.states(3).empty
    assert f"{log.path}   (1 taken off the list)" in said("object", "synthetic", WHO, "--purpose", "warn")
    assert log.states(3)["state"].to_dict() == {(WHO, "", ""): "dismissed"} and logged["other"].states(3).empty
    assert "taken off" not in said("object", "synthetic", WHO), "they are off already"
    assert f"{log.path}   (1 back on the list)" in said("agree", "synthetic", WHO)
    assert log.states(3)["state"].to_dict() == {(WHO, "", ""): "open"}
    log.add([{"kind": "dismissed", "learner_id": WHO, "reason": "left the school"}], "Ms Brown", 3)
    said("object", "synthetic", WHO)
    said("agree", "synthetic", WHO)
    assert log.states(3)["state"].tolist() == ["dismissed"], "what a teacher decided stays"


def test_logs_are_found_wherever_they_lie_and_what_is_out_of_reach_is_told(here, logged):
    write_json(here / "outputs" / "recommend" / "r" / "run_report.json", {"data": {"name": "synthetic", "fingerprint": "y"}, "seed": 3,
                                                                         "config": {"log": {"logs": 300}}})  # a setting that goes by the same word
    lost = here / "outputs" / "warn" / "c"
    write_json(lost / "run_report.json", {"data": {"name": "synthetic", "fingerprint": "z"}, "seed": 3, "config": {"log": str(here / "moved.sqlite")}})
    odd = AlertLog(here / "outputs" / "warn" / "50%25 #1?" / "alerts.sqlite")
    odd.add([{"kind": "alerted", "learner_id": WHO}], "edukit", 3)
    live = SessionStore(here / "outputs" / "sessions" / "sessions.sqlite", "some-key")
    assert live.write([live.started("s", WHO), live.started("t", OTHER)]) == [None, None]
    draft = here / "outputs" / "warn" / ".2026-01-01_10-00-00.ab"
    draft.mkdir()
    told = said("delete", "synthetic", WHO)
    assert f"not found    {here / 'moved.sqlite'}" in told and f"unfinished   {draft}" in told and draft.is_dir()
    assert f"{odd.path}   (1 entries forgotten" in told and odd.events().empty
    assert f"{live.path}   (1 entries forgotten" in told and live.learner_of("s") is None and live.learner_of("t") == OTHER
    for content, words in ((b"some text", "which is none"), (b"SQLite format 3\0" + bytes(200), "must be readable to tell")):
        (here / "other.sqlite").write_bytes(content)
        with pytest.raises(DataError, match=words):
            said("object", "synthetic", OTHER, "--log", str(here / "other.sqlite"))
    assert OTHER not in said("list"), "nothing was entered"


def test_where_a_school_keeps_the_list_itself_the_rest_is_done_once_it_stands_there(here, logged, monkeypatch):
    listed = here / "forms.csv"
    listed.write_text("learner_id,purpose,state,day\n")
    monkeypatch.setenv("EDUKIT_CONSENT", str(listed))
    for state, command in (("objected", "object"), ("agreed", "agree"), ("deleted", "delete")):
        with pytest.raises(DataError, match="its owner edits.*then give the command again"):
            said(command, "synthetic", WHO)
        listed.write_text(listed.read_text() + f"{WHO},all,{state},2026-01-01\n")
        told = said(command, "synthetic", WHO)
        assert f"{WHO} {state}: stands in {listed}" in told and str(logged["own"].path) in told
        assert logged["own"].withheld() == ({WHO} if state == "objected" else set())
    assert logged["own"].events()["learner_id"].tolist() == [OTHER]


def test_a_log_with_old_names_is_told_when_the_key_changes(here, logged):
    store.pseudonymiser()
    told = said("rotate-key")
    assert all(str(logged[name].path) in told for name in ("own", "config", "other"))


def test_words_in_a_ledger_of_grades_are_handed_out_and_erased_and_its_chain_stays_whole(here):
    ledger = Ledger(here / "marks" / "ledger.sqlite")
    for who in (WHO, OTHER):
        ledger.append([{"kind": "grade", "answer_id": f"a{who}", "question_id": "q", "criterion_id": "overall", "score": 2, "decided_by": "model",
                        "learner_id": who, "text": f"It dries, says {who}."},
                       {"kind": "decision", "action": "edit", "answer_id": f"a{who}", "criterion_id": "overall", "score": 3, "decided_by": "Ms Lee",
                        "reason": "seen in class"}])
    told = said("export", "synthetic", WHO, str(here / "mine.zip"), "--log", str(ledger.path))
    with zipfile.ZipFile(here / "mine.zip") as archive:
        words = archive.read("grading_ledger_1.json").decode()
    assert f"It dries, says {WHO}." in words and OTHER not in words and "Ms Lee" not in words and "grading_ledger_1" in told
    assert f"grading ledger  {ledger.path}" in said("delete", "synthetic", WHO, "--log", str(ledger.path))
    assert len(ledger.verify()) == 0 and not len(ledger.export_learner(WHO)) and len(ledger.export_learner(OTHER))
    assert f"says {WHO}".encode() not in b"".join(file.read_bytes() for file in ledger.path.parent.iterdir())
