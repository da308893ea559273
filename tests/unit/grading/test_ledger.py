"""The ledger: what stands, what was said before, what a learner may have erased, and what can be graded again."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edukit.grading.ledger import Ledger
from edukit.grading.ledger_entries import from_grades
from edukit.grading.rubric import Rubric
from edukit.reproducibility import bundled
from edukit.schema import DataError
from edukit.validation import validate

PUDDLE = Rubric.read(bundled("conf") / "rubrics" / "puddle.yaml")
ODD = ["=cmd()", "<script>alert(1)</script>", "\x00\x1b[31m", "水は蒸発する", "مرحبا", "🌧️", "\u2028\x85", "'; drop table entries; --", ""]


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    found = Ledger(tmp_path / "ledger.sqlite")
    found.keep(PUDDLE)
    return found


def grade(answer_id="a1", criterion_id="process", score=2.0, **more) -> dict:
    full = {"kind": "grade", "answer_id": answer_id, "question_id": "q1", "criterion_id": criterion_id, "score": score, "confidence": 0.9,
            "decided_by": "model",
            "found": 'evaporates: "it dries"', "missing": "heat", "flags": "", "route": "seen", "model": "RubricGrader", "model_version": "1",
            "model_fingerprint": "f" * 64, "data_hash": "d" * 64, "rubric_id": "puddle", "rubric_version": "1", "rubric_fingerprint": PUDDLE.fingerprint,
            "learner_id": "kim", "text": "it dries", **more}
    return {name: value for name, value in full.items() if value is not None}


def decide(action, answer_id="a1", criterion_id="process", by="Ms Lee", **more) -> dict:
    return {"kind": "decision", "action": action, "answer_id": answer_id, "criterion_id": criterion_id, "decided_by": by, **more}


def stands(ledger, answer_id="a1", criterion_id="process") -> dict:
    table = ledger.standing()
    return table[(table["answer_id"] == answer_id) & (table["criterion_id"] == criterion_id)].iloc[0].to_dict()


def test_what_is_written_is_what_is_read(ledger):
    number = ledger.append([grade()])[0]
    said = ledger.history("a1").set_index("kind")
    assert said.loc["grade", "entry_id"] == number and said.loc["answer", "text"] == "it dries" and said.loc["answer", "learner_id"] == "kim"
    for name, value in grade().items():
        if name not in ("kind", "text", "learner_id"):
            assert said.loc["grade", name] == value, name
    now = ledger.current()
    assert list(validate(now.dropna(axis=1, how="all"), "grades")["score"]) == [2.0] and now["found"].tolist() == ['evaporates: "it dries"']
    assert ledger.rubrics() == {PUDDLE.fingerprint: PUDDLE} and ledger.verify().empty


def test_the_latest_decision_of_a_person_stands_and_what_was_before_stays(ledger):
    first = ledger.append([grade()])[0]
    ledger.append([decide("accept")])
    assert (stands(ledger)["score"], stands(ledger)["state"], stands(ledger)["decided_by"], stands(ledger)["confidence"]) == (2, "accepted", "Ms Lee", 0.9)
    ledger.append([decide("edit", score=1, reason="names no process", by="Mr Ito"), decide("edit", feedback="Say <b>how</b>.")])
    now = stands(ledger)
    assert (now["score"], now["state"], now["feedback"], now["found"], now["deferred"]) == (1, "edited", "Say <b>how</b>.", 'evaporates: "it dries"', False)
    assert pd.isna(now["confidence"])
    ledger.append([grade(score=2)])  # the model says the same again: the person's decision stands
    assert stands(ledger)["score"] == 1
    ledger.append([decide("accept", about=first)])
    assert stands(ledger)["score"] == 2 and stands(ledger)["state"] == "accepted"
    ledger.append([decide("reject", reason="copied")])
    assert pd.isna(stands(ledger)["score"]) and stands(ledger)["deferred"] and stands(ledger)["state"] == "rejected"
    assert ledger.history("a1")["kind"].tolist() == ["answer", "grade", "decision", "decision", "decision", "grade", "decision", "decision"]
    assert ledger.history("a1")["score"].dropna().tolist() == [2, 1, 2] and ledger.verify().empty


def test_other_words_of_an_answer_are_graded_anew(ledger):
    ledger.append([grade(), decide("edit", score=0, reason="off topic"), grade(text="the sun makes it evaporate", score=2)])
    assert stands(ledger)["score"] == 2 and stands(ledger)["state"] == "graded" and stands(ledger)["text"] == "the sun makes it evaporate"


def test_what_is_deferred_has_no_score_until_a_person_gives_one(ledger):
    ledger.append([grade(score=None, deferred=True)])
    assert stands(ledger)["state"] == "deferred" and stands(ledger)["deferred"] and pd.isna(stands(ledger)["score"])
    with pytest.raises(DataError, match="no score to accept"):
        ledger.append([decide("accept")])
    ledger.append([decide("edit", score=1, reason="read it")])
    assert stands(ledger)["score"] == 1 and not stands(ledger)["deferred"]


def test_a_regrade_under_a_new_rubric_stands_and_keeps_the_old(ledger):
    ledger.append([grade(), decide("accept"), grade(criterion_id="evidence", score=1)])
    newer = replace(PUDDLE, version="2", criteria=PUDDLE.criteria[:2])
    with pytest.raises(DataError, match="unknown fingerprint"):
        ledger.append([grade(kind="regrade", reason="new rubric", rubric_version="2", rubric_fingerprint=newer.fingerprint)])
    ledger.keep(newer)
    ledger.append([grade(kind="regrade", reason="new rubric", score=1, rubric_version="2", rubric_fingerprint=newer.fingerprint)])
    now = ledger.standing()
    assert now["criterion_id"].tolist() == ["process"] and now["score"].tolist() == [1] and now["rubric_version"].tolist() == ["2"]
    assert now["state"].tolist() == ["regraded"] and set(ledger.history("a1")["rubric_version"].dropna()) == {"1", "2"}
    assert set(ledger.rubrics()) == {PUDDLE.fingerprint, newer.fingerprint} and ledger.verify().empty


def test_an_appeal_changes_no_score_and_is_open_until_a_person_decides(ledger):
    ledger.append([grade(), grade(criterion_id="cause", score=1), {"kind": "appeal", "answer_id": "a1", "by": "kim", "reason": "I said so in line 2"}])
    assert ledger.standing()["appealed"].tolist() == [True, True] and ledger.current()["score"].tolist() == [2, 1]
    ledger.append([decide("edit", score=1, reason="right after all")])
    assert ledger.standing().set_index("criterion_id")["appealed"].to_dict() == {"process": False, "cause": True}
    assert ledger.history("a1")["by"].dropna().tolist() == ["kim"]


def test_one_question_is_answered_alone_and_a_rubric_is_kept_once(ledger):
    ledger.append([grade(), grade("a2", question_id="q2", learner_id="lu")])
    assert ledger.current("q2")["answer_id"].tolist() == ["a2"] and len(ledger.current()) == 2 and ledger.current("q3").empty
    assert ledger.keep(PUDDLE) == 1 and ledger.head()[0] == 5
    assert ledger.append([]) == []


@pytest.mark.parametrize(("entries", "words"), [
    ([{"kind": "guess"}], "must be of kind"), ([{"kind": "answer", "answer_id": "a"}], "must be of kind"), ([grade(scor=1)], "no field scor"),
    ([grade(answer_id="")], "needs answer_id"), ([grade(confidence=1.5)], "from 0 to 1; found 1.5"), ([grade(score=-1)], "found -1"),
    ([grade(score=float("inf"))], "found inf"), ([grade(score="2")], "found '2'"), ([grade(text="\ud800")], "half of a pair"),
    ([grade(text=["a"])], "text must be text"),
    ([decide("accept")], "must be about a grade"), ([grade(), decide("maybe")], "must be one of accept, edit, reject"),
    ([grade(), decide("edit")], "needs a score or feedback"),
    ([grade(), decide("edit", score=1)], "needs a reason"), ([grade(), decide("reject")], "needs a reason"),
    ([grade(), decide("accept", score=1)], "only an edit"),
    ([grade(), decide("accept", by=" ")], "needs decided_by"), ([grade(), decide("accept", about=99)], "entry 99"),
    ([grade(), grade(learner_id="lu")], "must be one learner's"),
    ([grade(kind="regrade")], "needs reason"), ([{"kind": "appeal", "answer_id": "a1", "by": "kim", "reason": "x"}], "must be about a grade"),
    ([{"kind": "rubric", "rubric": {}}], "must be an edukit.grading.rubric.Rubric"), ([grade(), 7 * "x"], "must be"),
])
def test_a_faulty_entry_is_refused_and_nothing_is_written(ledger, entries, words):
    with pytest.raises(DataError, match=words):
        ledger.append(entries)
    assert ledger.head()[0] == 1 and ledger.verify().empty


@settings(max_examples=15, deadline=None)
@given(texts=st.lists(st.one_of(st.sampled_from(ODD), st.text(st.characters(exclude_categories=["Cs"]), max_size=20)), min_size=4, max_size=4))
def test_any_text_comes_back_as_it_was(tmp_path_factory, texts):
    ledger, answer = Ledger(tmp_path_factory.mktemp("l") / "l.sqlite"), "a" + texts[0]
    ledger.append([grade(answer, "c" + texts[1], text=texts[2], found=texts[3], learner_id="k" + texts[3], rubric_fingerprint=None)])
    said = ledger.history(answer).set_index("kind")
    assert (said.loc["answer", "text"], said.loc["grade", "found"], said.loc["grade", "criterion_id"]) == (texts[2], texts[3], "c" + texts[1])
    assert ledger.verify().empty and len(ledger.export_learner("k" + texts[3])) == 2


def test_an_answer_of_one_megabyte_is_kept_once_for_all_criteria(ledger):
    long = "蒸発 <b>" * 200_000
    ledger.append([grade(criterion_id=one, text=long) for one in ("process", "cause", "evidence")])
    assert ledger.history("a1")["text"].dropna().tolist() == [long] and ledger.verify().empty
    assert ledger.path.stat().st_size < 2.5 * len(long.encode())


def test_a_forgotten_learner_leaves_scores_and_a_whole_chain_but_no_word(ledger):
    secret = "my_secret_words"
    ledger.append([grade(text=secret, learner_id="kim_secret", found=f'x: "{secret}"'), grade("a2", learner_id="lu", text="others"),
                   decide("edit", score=1, reason=f"kim wrote {secret}", feedback=f"{secret}?"),
                   {"kind": "appeal", "answer_id": "a1", "by": "kim_secret", "reason": secret}])
    assert len(ledger.export_learner("kim_secret")) == 4 and set(ledger.export_learner("kim_secret")["text"].dropna()) == {secret}
    assert ledger.forget("kim_secret") == 4 and ledger.verify().empty
    raw = b"".join(file.read_bytes() for file in ledger.path.parent.iterdir())
    assert b"secret" not in raw and b"others" in raw
    assert ledger.export_learner("kim_secret").empty and ledger.forget("kim_secret") == 0 and ledger.forget("nobody") == 0
    assert stands(ledger)["score"] == 1 and stands(ledger)["text"] is None and ledger.history("a1")["erased"].all()
    assert stands(ledger, "a2")["text"] == "others"
    ledger.append([decide("accept")])
    assert ledger.verify().empty


class Stub:
    """Scores by the length of an answer."""

    fingerprint = "f" * 64

    def __init__(self, confidence=0.9):
        self.confidence = confidence

    def grade(self, answers):
        return pd.DataFrame({"answer_id": answers["answer_id"], "criterion_id": "process", "score": [float(min(len(text) // 4, 2)) for text in answers["text"]],
                             "confidence": self.confidence, "deferred": False})


def test_a_past_grade_is_graded_again_with_the_words_and_the_rubric_that_were_kept(ledger):
    number, deferred = ledger.append([grade(), grade("a2", score=None, deferred=True, learner_id="lu")])
    given = []
    again = ledger.replay(number, lambda rubric: given.append(rubric) or Stub())
    assert given == [PUDDLE] and again["same"] and again["same_model"] and (again["score"], again["replayed_score"]) == (2, 2)
    assert not ledger.replay(number, Stub(0.8))["same"] and ledger.replay(deferred, Stub())["same"] and ledger.replay(deferred, Stub())["score"] is None
    with pytest.raises(DataError, match="found a rubric"):
        ledger.replay(1, Stub())
    with pytest.raises(DataError, match="must have an entry 99"):
        ledger.replay(99, Stub())
    ledger.forget("kim")
    with pytest.raises(DataError, match="were erased"):
        ledger.replay(number, Stub())
    other = ledger.append([grade("a3", "cause")])[0]
    with pytest.raises(DataError, match="must grade the criterion 'cause'"):
        ledger.replay(other, Stub())


def test_entries_are_made_of_grades(ledger):
    grades = pd.DataFrame({"answer_id": ["a1", "a2"], "criterion_id": "process", "score": [1.0, None], "confidence": [0.9, 0.3], "deferred": [False, True],
                           "found": ['x: "y"', None], "missing": None, "flags": ["", "length"], "decided_by": "model"})
    answers = pd.DataFrame({"answer_id": ["a2", "a1"], "question_id": "q1", "text": ["b", "a"], "learner_id": ["lu", "kim"], "score": [1.0, 2.0]})
    ledger.append(from_grades(grades, answers, PUDDLE, model="RubricGrader", data_hash="d"))
    now = ledger.standing("q1").set_index("answer_id")
    assert now["text"].to_dict() == {"a1": "a", "a2": "b"} and now["deferred"].to_dict() == {"a1": False, "a2": True} and now.loc["a2", "flags"] == "length"
    assert set(now["rubric_fingerprint"]) == {PUDDLE.fingerprint}
    with pytest.raises(DataError, match=r"found 1 others \(first: 'a2'\)"):
        from_grades(grades, answers[1:], PUDDLE)


def test_an_export_is_defused_exact_and_without_names_unless_they_are_asked_for(ledger, tmp_path):
    ledger.append([grade("=a1", text="=cmd()", learner_id="@kim", missing="+1\n-2"), decide("edit", "=a1", score=1, reason="-x", by="=HYPERLINK()")])
    sheet, lines = ledger.export(tmp_path / "out")
    rows = list(csv.DictReader(io.StringIO(sheet.read_bytes().decode("utf-8-sig"), newline="")))
    assert len(rows) == 4 and not {"text", "learner_id", "found", "reason", "by", "feedback"} & set(rows[0])
    assert rows[2]["answer_id"] == "'=a1" and rows[2]["missing"] == "'+1\n-2" and rows[3]["decided_by"] == "'=HYPERLINK()" and rows[2]["score"] == "2.0"
    exact = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    assert exact[2]["answer_id"] == "=a1" and "cmd" not in lines.read_text() and exact[0]["rubric"]["rubric_id"] == "puddle"
    sheet, lines = ledger.export(tmp_path / "all.csv", personal=True)
    assert sheet.name == "all.csv" and lines.name == "all.jsonl" and "'=cmd()" in sheet.read_text(encoding="utf-8-sig") and '"@kim"' in lines.read_text()
    ledger.append([grade("b1", learner_id="lu", text="mine")])
    mine = ledger.export(tmp_path / "lu", learner_id="lu")[1].read_text()
    assert "mine" in mine and "cmd" not in mine


def test_only_the_owner_may_read_it_and_other_files_are_left_alone(ledger, tmp_path):
    assert all(file.stat().st_mode & 0o077 == 0 for file in tmp_path.iterdir())
    other = tmp_path / "other.sqlite"
    base = sqlite3.connect(other)
    base.execute("create table t (x)")
    base.close()
    before = other.read_bytes()
    for place, words in ((other, "found a file of SQLite with t"), (tmp_path, "unable to open"), (ledger.path / "x", "must be a ledger")):
        with pytest.raises(DataError, match=words):
            Ledger(place)
    (tmp_path / "text").write_text("this is no data base, and never was one" * 50)
    with pytest.raises(DataError, match="SQLite refuses it"):
        Ledger(tmp_path / "text")
    assert other.read_bytes() == before and not (tmp_path / "other.sqlite.head").exists()
