"""The store of sessions: each answer once, units whole or not at all, another file or key refused, and a learner forgotten for good."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest

from edukit.recommend.session_store import Answer, SessionStore, now
from edukit.schema import DataError

ONE = Answer("s", 0, "a0", "i", 1.0, "B", 2.5, "answer", now())


@pytest.fixture
def store(tmp_path) -> SessionStore:
    found = SessionStore(tmp_path / "sessions.sqlite", "k1")
    assert found.write([found.started("s", "learner-1"), found.added([ONE])]) == [None, None]
    return found


def test_what_is_written_is_read_back_by_another_process_s_connection(store):
    again = SessionStore(store.path, "k1")
    assert again.answers("s") == [ONE] and again.answer("s", "a0") == ONE and again.answer("s", "a1") is None
    assert (again.session_of("learner-1"), again.learner_of("s"), again.session_of("learner-2")) == ("s", "learner-1", None)
    assert [(learner, answer) for _, learner, answer in again.listed(None, 0, 10)] == [("learner-1", ONE)]
    assert store.path.stat().st_mode & 0o077 == 0


def test_a_unit_is_whole_or_absent_and_spoils_no_other(store):
    twice = store.added([replace(ONE, step=1, answer_id="a1"), replace(ONE, step=2)])  # the second has an id that is there
    good, nobody = store.added([replace(ONE, step=1, answer_id="good")]), store.added([replace(ONE, session_id="x")])
    late, beyond = store.added([replace(ONE, answer_id="late")]), store.added([replace(ONE, step=2, answer_id="b", correct=7)])
    found = store.write([twice, good, nobody, late, beyond])
    assert [type(error) for error in found] == [sqlite3.IntegrityError, type(None), *[sqlite3.IntegrityError] * 3]
    assert [answer.answer_id for answer in store.answers("s")] == ["a0", "good"]


def test_answers_are_never_changed_and_snapshots_belong_to_a_course(store):
    base = sqlite3.connect(store.path)
    with pytest.raises(sqlite3.DatabaseError, match="never changed"):
        base.execute("update answers set correct = 0")
    base.close()
    store.write([store.snapshot("s", 1, "course", {"x": [0.1]}), store.snapshot("nobody", 1, "course", {})])
    assert store.latest("s", "course") == (1, {"x": [0.1]}) and store.latest("s", "other") is None and store.latest("nobody", "course") is None


def test_a_learner_who_is_forgotten_leaves_no_trace_in_the_files(store):
    store.write([store.started("t", "learner-2"), store.added([replace(ONE, session_id="t", answer_id="unheard-of")]), store.snapshot("t", 1, "c", {})])
    assert store.write([store.forgotten("t")]) == [None]
    assert store.learner_of("t") is None and store.answers("t") == [] and store.answers("s") == [ONE]
    assert not any(b"unheard-of" in path.read_bytes() or b"learner-2" in path.read_bytes() for path in store.path.parent.iterdir())


def test_rights_of_a_learner_reach_the_store_without_its_key(store):
    assert store.write([store.started("t", "learner-2"), store.started("u", "learner-3")]) == [None, None]
    again = SessionStore(store.path, None)
    held = again.about(["learner-1", "nobody"])
    assert held[["learner_id", "session_id", "item_id", "correct"]].to_numpy().tolist() == [["learner-1", "s", "i", 1.0]]
    assert len(again.about(["learner-2"])) == 1 and again.about(["nobody"]).empty and again.forget(["nobody"]) == 0
    assert again.forget(["learner-1", "learner-2"]) == 3 and store.answers("s") == [] and store.learner_of("u") == "learner-3"
    assert isinstance(store.write([store.added([replace(ONE, step=1, answer_id="late")])])[0], sqlite3.IntegrityError)


def test_another_key_another_file_and_a_second_service_are_refused(store, tmp_path):
    with pytest.raises(DataError, match="key k2; found .* key k1"):
        SessionStore(store.path, "k2")
    (tmp_path / "text").write_text("no database" * 100)
    with pytest.raises(DataError, match="must be a store of sessions"):
        SessionStore(tmp_path / "text", "k1")
    base = sqlite3.connect(tmp_path / "other.sqlite")
    base.execute("create table answers (x)")
    base.close()
    with pytest.raises(DataError, match="must be a store of sessions"):
        SessionStore(tmp_path / "other.sqlite", "k1")
    with SessionStore(store.path, "k1").held(), pytest.raises(DataError, match="must be served once"), SessionStore(store.path, "k1").held():
        pass
