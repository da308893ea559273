"""Logs of xAPI statements: every kind of score, time and actor; broken lines named at once; our own responses come back."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edukit.formats import xapi
from edukit.schema import DataError
from edukit.validation import validate_all

VERBS = "http://adlnet.gov/expapi/verbs/"


def said(verb: str = "answered", item: str = "https://q.example/1", learner: object = "ana", result: dict | None = None,
         at: str | None = "2025-03-03T09:00:00Z", **more) -> dict:
    actor = learner if isinstance(learner, dict) else {"account": {"homePage": "https://school.example", "name": learner}}
    found = {"actor": actor, "verb": {"id": VERBS + verb}, "object": {"id": item, **more.pop("about", {})}, **more}
    return found | ({"result": result} if result is not None else {}) | ({"timestamp": at} if at else {})


@pytest.fixture
def log(tmp_path: Path):
    """Writes statements (objects or raw text) as JSON lines and reads them back."""
    def make(*statements, quiet: bool = True) -> xapi.Log:
        path = tmp_path / "log.jsonl"
        path.write_text("\n".join(s if isinstance(s, str) else json.dumps(s, ensure_ascii=False) for s in statements) + "\n", encoding="utf-8")
        return xapi.read_log(path)
    return make


@pytest.mark.parametrize(("result", "correct"), [
    ({"success": True}, 1), ({"success": False}, 0), ({"score": {"scaled": 0.25}, "success": False}, 0.25), ({"score": {"scaled": -0.5}}, 0),
    ({"score": {"raw": 3, "max": 4}}, 0.75), ({"score": {"raw": 3, "min": 1, "max": 5}}, 0.5), ({"score": {"raw": 3}, "success": True}, 1),
    ({"score": {"raw": 0, "min": 0, "max": 0}, "success": False}, 0)])
def test_every_way_to_state_an_outcome(log, result, correct):
    assert log(said(result=result), said(result={"success": True})).tables["interactions"]["correct"].tolist() == [correct, 1]


@pytest.mark.parametrize(("text", "seconds"), [("PT2.5S", 2.5), ("PT1M2S", 62), ("P1DT1H", 90000), ("P1W", 604800), ("PT0,5S", 0.5), ("PT90M", 5400)])
def test_durations(log, text, seconds):
    assert log(said(result={"success": True, "duration": text}), said(at="2025-03-04T09:00:00Z", result={"success": True})
               ).tables["interactions"]["response_time_s"].iloc[0] == seconds


def test_times_with_zones_become_utc_and_make_the_order(log):
    right = {"success": True}
    table = log(said(item="b", at="2025-03-03T09:00:00+02:00", result=right), said(item="c", at="2025-03-03T08:00:00Z", result=right),
                said(item="a", at="2025-03-03T06:00:00.250", result=right), said(item="b", at=None, stored="2025-03-03T09:00:00+0000", result=right)
                ).tables["interactions"]
    assert table["item_id"].tolist() == ["a", "b", "c", "b"] and table["order"].tolist() == [0, 1, 2, 3] and table["attempt"].tolist() == [1, 1, 1, 2]
    assert table["timestamp"].iloc[:2].tolist() == [pd.Timestamp("2025-03-03T06:00:00.25Z"), pd.Timestamp("2025-03-03T07:00:00Z")]


def test_without_times_the_order_is_unknown(log):
    table = log(said(at=None, result={"success": True}), said(item="b", result={"success": True})).tables["interactions"]
    assert table["order"].isna().all()


def test_no_name_and_no_mail_address_is_kept(log):
    mail, right = "mailto:ana@school.example", {"success": True}
    digest = hashlib.sha1(mail.encode()).hexdigest()
    account = {"homePage": "https://a.example"}
    actors = [{"mbox": mail, "name": "Ana Alva"}, {"mbox_sha1sum": digest.upper()}, {"account": account | {"name": "ana@school.example"}},
              {"account": account | {"name": "u7"}, "name": "Ana Alva"}, {"openid": "https://id.example/ana-alva"}]
    found = log(*[said(learner=a, item=f"i{n}", result=right) for n, a in enumerate(actors)], said("liked", "x", actors[0], about={"name": "Ana Alva"})).tables
    by_item = found["interactions"].set_index("item_id")["learner_id"]
    assert by_item[["i0", "i1", "i2"]].eq(digest).all() and by_item["i3"] == "u7" and len(by_item["i4"]) == 40
    everything = "".join(table.to_csv() for table in found.values()).lower()
    assert "ana" not in everything and "alva" not in everything and "@" not in everything


def test_one_account_name_of_two_systems_is_two_learners(log):
    right = {"success": True}
    found = log(*[said(learner={"account": {"homePage": home, "name": name}}, item=home, result=right)
                  for home, name in (("https://a", "7"), ("https://b", "7"), ("https://a", "8"))]).tables["interactions"]
    assert sorted(found["learner_id"]) == ["8", "https://a#7", "https://b#7"]


def test_questions_events_and_what_lies_between(log):
    question = {"definition": {"type": "http://adlnet.gov/expapi/activities/cmi.interaction", "interactionType": "choice", "name": {"en": "Sum"},
                               "choices": [{"id": "a"}, {"id": "b"}], "correctResponsesPattern": ["a"]}}
    found = log(said("initialized", "course", at="2025-03-01T23:00:00Z"), said("completed", "q1", result={"success": True, "response": "a"}, about=question),
                said("passed", "course", result={"score": {"scaled": 0.9}}), said("answered", "q2", result={"response": "b"}),
                said("attempted", "q1", about=question), said("experienced", "page", result={"duration": "PT1M"}, at="2025-03-04T00:00:00Z"))
    tables = found.tables
    assert tables["interactions"][["item_id", "correct", "response"]].values.tolist() == [["q1", 1.0, "a"]]
    assert tables["items"][["item_id", "name", "answer_key", "options"]].values.tolist() == [["q1", "Sum", "a", 2]]
    assert tables["events"][["kind", "day"]].values.tolist() == [["initialized", 0], ["passed", 2], ["answered", 2], ["attempted", 2], ["experienced", 3]]
    assert tables["events"]["duration_s"].tolist()[-1] == 60 and found.left_out == {"answers without outcome, counted as events": 1}
    assert "q_matrix" not in tables


def test_pages_and_concepts_are_found_in_context_and_extensions(log):
    right, activities = {"success": True}, {"parent": [{"id": "quiz"}], "grouping": [{"id": "course"}]}
    category = [{"id": "http://h5p.org/libraries/H5P.Blanks-1.4"}, {"id": "skill:1", "definition": {"name": {"de": "Addieren"}}}]
    tables = log(said(item="q1", result=right, context={"contextActivities": activities | {"category": category}}),
                 said(item="q2", result=right, about={"definition": {"extensions": {xapi.CONCEPTS: ["10^n)", "🦉"]}}},
                      context={"contextActivities": {"grouping": {"id": "course"}}}),
                 said(item="q3", result=right, context={"contextActivities": {"category": {"id": "skill:1"}}}), said(item="q4", result=right)).tables
    assert tables["interactions"].set_index("item_id")["content_id"].dropna().to_dict() == {"q1": "quiz", "q2": "course"}
    pairs = {("q1", "skill:1"), ("q2", "10^n)"), ("q2", "🦉"), ("q3", "skill:1"), ("q4", "q4")}
    assert set(tables["q_matrix"].itertuples(index=False, name=None)) == pairs
    assert tables["concepts"].set_index("concept_id")["name"]["skill:1"] == "Addieren"


def test_doubles_voided_statements_and_groups_are_left_out_and_counted(log, tmp_path: Path):
    right = {"success": True}
    found = log(said(id="1", result=right), said(id="1", result=right), said(id="2", item="b", result=right),
                said("voided", "2", id="3", about={"objectType": "StatementRef"}), said(learner={"objectType": "Group", "mbox": "mailto:g@x"}, result=right))
    assert found.tables["interactions"]["item_id"].tolist() == ["https://q.example/1"]
    assert found.left_out == {"statements by groups": 1, "statements that void, and voided ones": 2, "statements met again": 1}
    with pytest.warns(UserWarning, match="statements met again: 1"):
        xapi.read(tmp_path / "log.jsonl")


def test_all_broken_lines_are_named_at_once(log):
    right = {"success": True}
    with pytest.raises(DataError) as error:
        log(said(result=right), "", '{"actor": ', "7", {"verb": {"id": "x/y"}, "object": {"id": "a"}}, said(at="yesterday"), said(result={"duration": "5 min"}),
            said(result={"score": {"scaled": 1.5}}), said(result={"score": {"raw": "many"}}), said(result={"duration": "P"}), {**said(), "verb": {}},
            {k: v for k, v in said().items() if k != "object"})
    told = str(error.value)
    for words in ("line 3, 4 must be a JSON object", "line 5 must name an actor", "line 6 must state a time", "line 7, 10 must state a duration",
                  "line 8, 9 must state scores", "line 11 must name a verb", "line 12 must name an object"):
        assert words in told


def test_lists_and_answers_of_a_record_store_are_read_too(tmp_path: Path):
    listed = [said(result={"success": True}), said(item="b", result={"success": False})]
    path = tmp_path / "log.json"
    for content in (json.dumps(listed), json.dumps({"statements": listed, "more": ""}), json.dumps({"statements": listed}, indent=2),
                    "\ufeff" + "\r\n".join(json.dumps(s) for s in listed)):
        path.write_text(content, encoding="utf-8")
        assert xapi.read(path)["interactions"]["correct"].tolist() == [1, 0]
    path.write_text(json.dumps([*listed, {"x": 1}]))
    with pytest.raises(DataError, match="statement 3 must name an actor"):
        xapi.read(path)


@pytest.mark.parametrize(("content", "words"), [(b"", "found an empty file"), (b"[{]", "must be JSON"), (b"[]", "must hold xAPI statements"),
                                                (b"\xff\xfe{", "must be UTF-8; found byte 0xff")])
def test_what_is_no_log_is_refused(tmp_path: Path, content: bytes, words: str):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(DataError, match=words):
        xapi.read(tmp_path / "x")


def test_a_mail_address_is_never_written(tmp_path: Path):
    table = pd.DataFrame({"learner_id": ["a@b.c"], "item_id": ["x"], "correct": [1], "order": [0]})
    with pytest.raises(DataError, match=r"must be pseudonyms; .* \(first: row 1\)"):
        xapi.write(table, tmp_path / "log.jsonl")
    assert not (tmp_path / "log.jsonl").exists()


ids = st.text(min_size=1, max_size=6).filter(lambda t: "@" not in t)
maybe = st.none() | st.text(max_size=6)


@st.composite
def responses(draw) -> pd.DataFrame:
    rows = draw(st.lists(st.tuples(st.sampled_from(["a", "🦉^n)", "L 1"]), ids), min_size=1, max_size=6))
    moment = draw(st.booleans())
    table = pd.DataFrame([{"learner_id": who, "item_id": item, "correct": draw(st.floats(0, 1)), "order": n,
                           "timestamp": pd.Timestamp("2025-01-01", tz="UTC") + pd.Timedelta(microseconds=draw(st.integers(0, 10**12))) if moment else None,
                           "attempt": draw(st.integers(1, 3)), "hints": draw(st.integers(0, 3)), "response_time_s": draw(st.none() | st.floats(0, 1e6)),
                           "response": draw(maybe), "class_id": draw(st.none() | ids), "term": draw(maybe), "content_id": draw(st.none() | ids)}
                          for n, (who, item) in enumerate(rows)])
    return table.dropna(axis=1, how="all")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(table=responses())
def test_any_response_comes_back(tmp_path: Path, table):
    q = pd.DataFrame({"item_id": table["item_id"].unique(), "concept_id": [f"c{n} ^)" for n in range(table["item_id"].nunique())]})
    xapi.write(table, tmp_path / "log.jsonl", q)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = xapi.read(tmp_path / "log.jsonl")
    wanted = validate_all({"interactions": table, "q_matrix": q})
    pd.testing.assert_frame_equal(found["interactions"], wanted["interactions"], check_dtype=False)
    pd.testing.assert_frame_equal(found["q_matrix"], wanted["q_matrix"])


def test_a_longer_log_comes_back(tmp_path: Path):
    rng = np.random.default_rng(3)
    n, start = 5_000, pd.Timestamp("2025-01-01", tz="UTC")
    table = pd.DataFrame({"learner_id": rng.integers(0, 300, n).astype(str), "item_id": rng.integers(0, 99, n).astype(str),
                          "correct": rng.integers(0, 2, n), "timestamp": start + pd.to_timedelta(np.arange(n), unit="s")})
    table["order"] = table.groupby("learner_id").cumcount()
    xapi.write(table, tmp_path / "log.jsonl")
    found = xapi.read(tmp_path / "log.jsonl")["interactions"]
    assert found["timestamp"].tolist() == table["timestamp"].tolist() and found["correct"].tolist() == table["correct"].tolist()


def test_scores_beyond_the_scale_are_counted_and_endless_brackets_refused(log, tmp_path: Path):
    found = log(said(result={"score": {"scaled": -0.5}}), said(result={"score": {"raw": 7, "max": 5}}), said(result={"score": {"raw": 2, "max": 5}}))
    assert found.tables["interactions"]["correct"].tolist() == [0, 1, 0.4]
    assert found.left_out == {"answers with a score below none or above all, counted as none or all": 2}
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="must be JSON"):
        xapi.read(tmp_path / "deep.json")
