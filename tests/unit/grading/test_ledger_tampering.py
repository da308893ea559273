"""Tampering with a ledger is found, and where: any byte, any row, any order, any end; what is found is told by the number of the entry."""

from __future__ import annotations

import random
import re
import shutil
import sqlite3

import pandas as pd
import pytest

from edukit.grading import ledger_file
from edukit.grading.ledger import Ledger
from edukit.grading.ledger_entries import link
from edukit.schema import DataError


def grade(n: int, **more) -> dict:
    return {"kind": "grade", "answer_id": f"a{n}", "question_id": "q", "criterion_id": "overall", "score": n % 4, "confidence": 0.5, "decided_by": "model",
            "learner_id": f"learner{n}", "text": f"It dries in the sun, number {n}.", "found": f'dries: "dries {n}"', **more}


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    found = Ledger(tmp_path / "l.sqlite")
    for n in range(10):
        found.append([grade(n)])
    found.forget("learner3")
    assert found.verify().empty and found.head()[0] == 21
    return found


def meddle(ledger: Ledger, *statements, guards: bool = False) -> None:
    """Change the file as somebody with the right tool would: without its triggers, which are put back unless ``guards``."""
    base = sqlite3.connect(ledger.path)
    triggers = base.execute("select name, sql from sqlite_master where type = 'trigger'").fetchall()
    for name, _ in triggers:
        base.execute(f"drop trigger {name}")
    for statement in statements:
        base.execute(*statement) if isinstance(statement, tuple) else base.execute(statement)
    for _, sql in () if guards else triggers:
        base.execute(sql)
    base.commit()
    base.close()


def told(ledger: Ledger) -> list[tuple]:
    return [(None if pd.isna(one.entry_id) else int(one.entry_id), one.fault) for one in ledger.verify().itertuples()]


@pytest.mark.parametrize("statement", [
    "update entries set body = 'x'", "update entries set hash = x'00'", "delete from entries", "delete from entries where entry_id = 21",
    "delete from personal",
    "update personal set words = 'x'", "update forgotten set by_entry = 1", "delete from forgotten",
    "insert or replace into entries select * from entries where entry_id = 2", 
    "insert into entries select 99, kind, answer_id, question_id, criterion_id, body, previous, hash from entries where entry_id = 2",
    "insert or replace into personal select * from personal where entry_id = 1", "insert or replace into forgotten select entry_id, 1 from forgotten limit 1",
])
def test_the_file_refuses_to_be_changed(ledger, statement):
    base = sqlite3.connect(ledger.path)
    with pytest.raises(sqlite3.IntegrityError):
        base.execute(statement)
    base.close()
    assert ledger.verify().empty


@pytest.mark.parametrize(("statement", "entry", "words"), [
    ("update entries set body = replace(body, '\"score\":1.0', '\"score\":3.0') where entry_id = 4", 4, "was changed"),
    ("update entries set answer_id = 'a9' where entry_id = 4", 4, "filed under another"),
    ("update entries set kind = 'regrade' where entry_id = 4", 4, "filed under another"),
    ("update entries set previous = zeroblob(32) where entry_id = 4", 4, "does not follow entry 3"),
    ("delete from entries where entry_id = 4", 5, "1 before it absent, from entry 4 on"),
    ("delete from entries where entry_id < 4", 4, "3 before it absent"),
    ("delete from entries where entry_id > 18", None, "3 of 21 entries were cut off the end"),
    ("delete from entries", None, "21 of 21 entries were cut off"),
    ("update personal set words = replace(words, 'sun', 'sea') where entry_id = 1", 1, "words are not those that were sealed"),
    ("update personal set salt = zeroblob(16) where entry_id = 1", 1, "words are not those that were sealed"),
    ("update personal set learner_id = 'x' where entry_id = 1", 1, "filed under another learner"),
    ("delete from personal where entry_id = 1", 1, "lost a learner's words"),
    ("insert into personal values (8, x'00', 'x', '{}')", 8, "put in later|was to be forgotten"),
    ("insert into personal values (99, x'00', 'x', '{}')", 99, "stands in the table personal"),
    ("insert into forgotten values (1, 21)", 1, "in one place only|was to be forgotten"),
    ("delete from forgotten where entry_id = 7", 7, "in one place only|lost a learner's words"),
])
def test_a_changed_row_is_found_with_its_number(ledger, statement, entry, words):
    meddle(ledger, statement)
    found = told(ledger)
    assert any(number == entry and re.search(words, fault) for number, fault in found), found


def test_two_entries_that_changed_places_are_found(ledger):
    meddle(ledger, "update entries set entry_id = 100 where entry_id = 4", "update entries set entry_id = 4 where entry_id = 6",
           "update entries set entry_id = 6 where entry_id = 100")
    assert {4, 6} <= {number for number, _ in told(ledger)}


def test_a_new_hash_for_a_changed_entry_is_found_at_the_next_one_or_by_the_head(ledger):
    base = sqlite3.connect(ledger.path)
    for entry, told_at in ((4, 5), (21, 21)):
        copy = Ledger(shutil.copytree(ledger.path.parent, ledger.path.parent / f"copy{entry}", ignore=lambda *_: [f"copy{n}" for n in (4, 21)]) / "l.sqlite")
        body, previous = base.execute("select body, previous from entries where entry_id = ?", (entry,)).fetchone()
        body = body.replace('"kind"', ' "kind"', 1)
        meddle(copy, ("update entries set body = ?, hash = ? where entry_id = ?", (body, link(previous, body), entry)))
        assert [number for number, _ in told(copy)] == [told_at]
    base.close()


def test_a_removed_trigger_and_an_absent_head_are_found(ledger):
    meddle(ledger, guards=True)
    assert sum("trigger" in fault for _, fault in told(ledger)) == 9
    (ledger.path.parent / "l.sqlite.head").unlink()
    assert any("head file is absent" in fault for _, fault in told(ledger))


def test_a_whole_new_chain_is_found_by_a_head_that_was_noted_elsewhere(ledger, tmp_path):
    noted = ledger.head()[1]
    ledger.append([grade(11)])
    assert ledger.verify(noted).empty
    forged = Ledger(tmp_path / "forged" / "l.sqlite")
    forged.append([grade(n, score=3) for n in range(30)])
    assert forged.verify().empty and "noted elsewhere" in forged.verify(noted)["fault"].iloc[0]


def test_nothing_is_added_to_a_ledger_that_was_cut_or_emptied(ledger):
    meddle(ledger, "delete from entries where entry_id > 18")
    with pytest.raises(DataError, match="must go on from the 21 entries"):
        ledger.append([grade(12)])
    for end in ("", "-wal", "-shm"):
        ledger.path.with_name(ledger.path.name + end).unlink(missing_ok=True)
    with pytest.raises(DataError, match="must hold the 21 entries"):
        Ledger(ledger.path)
    (ledger.path.parent / "l.sqlite.head").write_text("rubbish")
    with pytest.raises(DataError, match="must be the head of a ledger"):
        Ledger(ledger.path)


def content(ledger: Ledger) -> list:
    """Everything that the file says."""
    base = sqlite3.connect(ledger.path)
    try:
        return [base.execute(f"select * from {name} order by 1").fetchall() for name in ("entries", "personal", "forgotten")]
    finally:
        base.close()


def test_a_flipped_byte_is_found_or_lies_where_nothing_is_said(ledger, tmp_path):
    whole, raw = content(ledger), ledger.path.read_bytes()
    assert not ledger.path.with_name("l.sqlite-wal").exists()
    draw, silent, found = random.Random(7), 0, 0
    for place in draw.sample(range(len(raw)), 150):
        ledger.path.write_bytes(raw[:place] + bytes([raw[place] ^ 1 << draw.randrange(8)]) + raw[place + 1:])
        try:
            faults = Ledger(ledger.path).verify()
        except DataError:
            found += 1
        else:
            found += len(faults) > 0
            if faults.empty:
                silent += 1
                assert content(ledger) == whole, f"byte {place} was changed, and nothing said"
        for end in ("-wal", "-shm"):
            ledger.path.with_name(ledger.path.name + end).unlink(missing_ok=True)
    assert found > 20 and silent + found == 150


def test_every_byte_of_an_entry_counts(ledger):
    raw = ledger.path.read_bytes()
    body = b'"answer_id":"a1"'
    at = raw.index(body)
    for place in range(at, at + len(body)):
        ledger.path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1:])
        assert 4 in {number for number, _ in told(ledger)}
    words = raw.index(b"It dries in the sun, number 1.")
    ledger.path.write_bytes(raw[:words] + b"i" + raw[words + 1:])
    assert told(ledger) == [(3, "was changed: the learner's words are not those that were sealed")]


def test_a_flipped_byte_in_the_log_that_a_killed_process_left_is_found(ledger, tmp_path):
    base = sqlite3.connect(ledger.path)  # keeps the log from being folded into the file
    base.execute("select count(*) from entries").fetchone()
    ledger.append([grade(n) for n in range(20, 25)])
    copy = tmp_path / "killed"
    copy.mkdir()
    for end in ("", "-wal", ".head"):
        shutil.copy(ledger.path.with_name(ledger.path.name + end), copy / ("l.sqlite" + end))
    base.close()
    log = copy / "l.sqlite-wal"
    raw = log.read_bytes()
    assert len(raw) > 4096
    log.write_bytes(raw[:2000] + bytes([raw[2000] ^ 4]) + raw[2001:])
    assert any("cut off the end" in fault for _, fault in told(Ledger(copy / "l.sqlite")))


def test_the_head_is_whole_whenever_it_is_read(ledger):
    assert ledger_file.HEAD.fullmatch(ledger_file.head_file(ledger.path).read_bytes()) and ledger_file.noted(ledger.path) == ledger.head()


def test_forgetting_does_not_hide_that_the_end_was_cut_off(tmp_path):
    ledger = Ledger(tmp_path / "cut.sqlite")
    ledger.append([{"kind": "grade", "answer_id": f"a{i}", "criterion_id": "overall", "score": 1, "decided_by": "model", "learner_id": f"k{i}", "text": "x"}
                   for i in range(3)])
    with sqlite3.connect(ledger.path) as base:
        base.execute("drop trigger entries_last")
        base.execute("delete from entries where entry_id = 6")
        base.execute(next(one for one in ledger_file.STATEMENTS if "trigger entries_last" in one))
    assert len(ledger.verify()) == 1 and ledger.forget("nobody") == 0
    with pytest.raises(DataError, match="must go on from the 6 entries"):
        ledger.forget("k0")
    ledger_file.note(ledger.path)  # as a slower process would, which read the head before
    assert len(ledger.verify()) == 1 and len(ledger.export_learner("k0")) == 2
