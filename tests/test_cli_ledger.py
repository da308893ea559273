"""`edukit ledger`: what a person asks and decides from the terminal lands in the ledger; faults end in exit code 1."""

from __future__ import annotations

import json
import sqlite3

import pandas as pd
import pytest
from edukit.experiments import grade_class
from typer.testing import CliRunner

from edukit.cli_ledger import ledger_app
from edukit.grading.ledger import Ledger
from edukit.schema import DataError


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    found = Ledger(tmp_path / "ledger.sqlite")
    about = {"kind": "grade", "question_id": "q1", "decided_by": "model", "confidence": 0.75}
    found.append([{**about, "answer_id": "a1", "criterion_id": one, "score": 2, "text": "it dries", "learner_id": "kim",
                   "found": 'dries: "it\x1b[31m dries"'}
                  for one in ("process", "cause")]
                 + [{**about, "answer_id": "a2", "criterion_id": "process", "deferred": True, "text": "?", "learner_id": "lu"}])
    return found


def run(*words, code: int = 0) -> str:
    done = CliRunner().invoke(ledger_app, [str(word) for word in words])
    if isinstance(done.exception, DataError):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.output


def test_a_sound_ledger_is_said_to_be_sound_and_a_changed_one_is_not(ledger):
    assert run("verify", ledger.path) == "sound: 5 entries, each follows the one before\n"
    count, noted = run("head", ledger.path).split()
    assert count == "5" and "sound" in run("verify", ledger.path, "--noted", noted)
    assert "noted elsewhere" in run("verify", ledger.path, "--noted", "0" * 60, code=1)
    base = sqlite3.connect(ledger.path)
    base.execute("drop trigger entries_stay")
    base.execute("update entries set body = replace(body, '2.0', '3.0') where entry_id = 2")
    base.commit()
    base.close()
    said = run("verify", ledger.path, code=1)
    assert "entry 2: was changed" in said and "ledger.sqlite: the trigger entries_stay that guards it is gone" in said and said.endswith("2 faults\n")
    ledger.path.write_bytes(b"x" * 5000)
    assert "SQLite refuses it" in run("verify", ledger.path, code=1)
    assert "found no" in run("verify", ledger.path.with_name("none"), code=1) and not ledger.path.with_name("none").exists()


def test_decisions_and_appeals_land_in_the_ledger_and_show(ledger):
    with pytest.raises(DataError, match="--criterion must say which; found 'process', 'cause'"):
        run("override", ledger.path, "a1", "accept", "--by", "Ms Lee")
    run("override", ledger.path, "a1", "edit", "--criterion=process", "--score=1", "--by=Ms Lee", "--reason=no process named", "--feedback=Say how.")
    run("override", ledger.path, "a2", "edit", "--score=0", "--by=Ms Lee", "--reason=empty")
    assert run("appeal", ledger.path, "a1", "--by=kim", "--reason=line 2").endswith("appeal on a1, every criterion\n")
    assert run("standing", ledger.path, "--question=q1").splitlines() == [
        "  1  a1  process  edited by Ms Lee  appeal open", "  2  a1  cause  graded by model  appeal open", "  0  a2  process  edited by Ms Lee"]
    said = run("history", ledger.path, "a1")
    for words in ("grade  process", "score: 2", "decision  process", "action: edit", "reason: no process named", "feedback: Say how.", "by: kim",
                  "confidence: 0.75"):
        assert words in said
    assert "\x1b" not in said and "dries" in said
    with pytest.raises(DataError, match="must hold the answer 'nobody'"):
        run("history", ledger.path, "nobody")
    assert run("forget", ledger.path, "kim").startswith("5 entries lost the words of kim")
    said = run("history", ledger.path, "a1")
    assert "(words erased)" in said and "dries" not in said and "Say how" not in said
    assert "sound" in run("verify", ledger.path)


def test_an_export_holds_names_only_when_asked(ledger, tmp_path):
    assert run("export", ledger.path, tmp_path / "all").split() == [str(tmp_path / "all.csv"), str(tmp_path / "all.jsonl")]
    assert "kim" not in (tmp_path / "all.jsonl").read_text() and len((tmp_path / "all.jsonl").read_text().splitlines()) == 5
    run("export", ledger.path, tmp_path / "all", "--personal")
    assert "kim" in (tmp_path / "all.csv").read_text(encoding="utf-8-sig")
    run("export", ledger.path, tmp_path / "lu", "--learner=lu")
    assert {json.loads(line)["answer_id"] for line in (tmp_path / "lu.jsonl").read_text().splitlines()} == {"a2"}


class Saved:
    """A grader as it comes out of a file: the name of the file is the score it gives."""

    def __init__(self, score: float) -> None:
        self.score = score

    @classmethod
    def load(cls, path) -> Saved:
        return cls(float(path.name))

    fingerprint = None

    def grade(self, answers):
        return pd.concat([answers[["answer_id"]].assign(criterion_id=name, score=self.score, confidence=0.75) for name in ("process", "overall")])


def test_a_grade_that_differs_when_it_is_graded_again_is_exit_code_1(ledger, monkeypatch):
    monkeypatch.setattr(grade_class, "RubricGrader", Saved)
    assert run("replay", ledger.path, 2, "--grader", "2") == (
        "score: 2 then, 2 now\nconfidence: 0.75 then, 0.75 now\nthe same; it is not known whether by the same model\n")
    assert "score: 2 then, 1 now" in (said := run("replay", ledger.path, 2, "--grader", "1", code=1)) and "DIFFERENT" in said
    assert "none (left to a person) then, 1 now" in run("replay", ledger.path, 5, "--grader", "1")


def test_every_command_shows_an_example():
    for command in ("verify", "head", "history", "standing", "replay", "export", "override", "appeal", "forget"):
        assert f"edukit ledger {command} ledger.sqlite" in " ".join(run(command, "--help").split())
