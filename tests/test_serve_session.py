"""The session service: idempotent answers in turn, refusals in the words of the house, a full queue, a restart, xAPI in and out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from edukit.governance.privacy import Pseudonymiser
from edukit.recommend.session_store import SessionStore
from edukit.serve_session import application
from edukit.serve_session_commits import Commits
from edukit.serve_session_course import course_of
from edukit.serve_session_live import EVERY, Live

AT, TOKEN = "http://127.0.0.1:8768", "t0ken-" * 4
KEY, COURSE = Pseudonymiser(bytes(32)), course_of()
FAULT = {"error", "place", "wanted", "found", "next_step"}


@contextmanager
def serving(folder: Path, most_waiting: int = 512, most_sessions: int = 2000, **door: Any) -> Iterator[tuple[TestClient, SessionStore]]:
    with SessionStore(folder / "sessions.sqlite", KEY.key_version).held() as store:
        live = Live(COURSE, store, Commits(store, most_waiting), KEY, most_sessions)
        with TestClient(application(live, **door), base_url=AT, raise_server_exceptions=False) as client:  # type: ignore[arg-type]
            yield client, store


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, SessionStore]]:
    with serving(tmp_path_factory.mktemp("service")) as found:
        yield found


def started(client: TestClient, learner: str) -> tuple[str, dict]:
    reply = client.post("/sessions", json={"learner_id": learner})
    assert reply.status_code in (200, 201), reply.text
    return f"/sessions/{reply.json()['session_id']}", reply.json()["next"]


def said(step: dict, answer_id: str = "a0", correct: float = 1.0, **more: object) -> dict:
    return {"answer_id": answer_id, "step": step["step"], "item_id": step["item_id"], "correct": correct, **more}


def led(client: TestClient, place: str, count: int, first: int = 0) -> None:
    for n in range(first, first + count):
        assert client.post(f"{place}/answers", json=said(client.get(f"{place}/next").json(), f"a{n}", float(n % 4 > 0))).status_code == 200


def refused(reply: Any, status: int, place: str, words: str = "") -> None:
    assert reply.status_code == status and set(reply.json()) == FAULT, reply.text
    body = reply.json()
    assert body["error"] == f"{body['place']} must {body['wanted']}; found {body['found']}. {body['next_step']}" and body["next_step"]
    assert place in body["place"] and words in body["error"], body


def test_an_answer_sent_twice_is_answered_alike_and_counted_once(service):
    client, store = service
    place, step = started(client, "ann")
    assert step["step"] == 0 and step["readiness"] == 1.0 and "comes next because" in step["reason"]
    first = client.post(f"{place}/answers", json=said(step, response="B", response_time_s=3.5))
    again = client.post(f"{place}/answers", json=said(step, response="B", response_time_s=3.5))
    assert first.status_code == again.status_code == 200 and first.json() == again.json()
    following = client.get(f"{place}/next").json()
    assert following["step"] == 1 and following == client.get(f"{place}/next").json()
    assert client.post(f"{place}/answers", json=said(following, "a1")).status_code == 200
    assert client.post(f"{place}/answers", json=said(step, response="B", response_time_s=3.5)).json() == first.json(), "however late"
    for other in (said(step, correct=0.0), said(step, response="C"), said(following)):
        refused(client.post(f"{place}/answers", json=other), 409, "answer_id", "Give each answer an id of its own")
    assert [answer.answer_id for answer in store.answers(place[10:])] == ["a0", "a1"]


def test_what_is_out_of_turn_unknown_or_no_request_is_refused_in_the_words_of_the_house(service):
    client, store = service
    place, step = started(client, "bob")
    item = next(one for one in COURSE.terrain.item_ids if one != step["item_id"])
    refused(client.post(f"{place}/answers", json={**said(step), "step": 1}), 409, "step", "be 0, the one handed out; found 1")
    refused(client.post(f"{place}/answers", json={**said(step), "item_id": item}), 409, "item_id", "the one handed out")
    refused(client.post(f"{place}/answers", json={**said(step), "item_id": "nothing"}), 422, "item_id", "found 'nothing'")
    for method, path in (("get", "next"), ("get", "profile"), ("delete", "")):
        refused(getattr(client, method)(f"/sessions/nobody/{path}".rstrip("/")), 404, "session_id", "POST /sessions")
    refused(client.post("/sessions/nobody/answers", json=said(step)), 404, "session_id")
    refused(client.get("/nothing"), 404, "the address")
    refused(client.put("/sessions"), 405, "the method")
    refused(client.post("/sessions", content=b"{", headers={"content-type": "application/json"}), 400, "the body", "be JSON")
    refused(client.post("/sessions", json={"learner_id": "Zoe Z. " * 40}), 422, "body.learner_id")
    assert "Zoe" not in client.post("/sessions", json={"learner_id": "Zoe Z. " * 40}).text
    for wrong in ({"correct": 1.5}, {"correct": "1"}, {"step": True}, {"answer_id": "a b"}, {"response": "I wrote this"}, {"more": 1}, {"response_time_s": -1}):
        refused(client.post(f"{place}/answers", json=said(step) | wrong), 422, f"body.{next(iter(wrong))}")
    assert store.answers(place[10:]) == [] and client.get(f"{place}/next").json() == step


def test_a_restart_keeps_every_answer_and_goes_on_alike(tmp_path, service):
    with serving(tmp_path) as (client, store):
        place, step = started(client, "ann")
        led(client, place, EVERY + 3)
        before = [client.get(f"{place}/{what}").json() for what in ("next", "profile")]
        assert store.latest(place[10:], COURSE.fingerprint)[0] == EVERY  # type: ignore[index]
        again = client.post("/sessions", json={"learner_id": "ann"})
        assert again.status_code == 200 and again.json()["resumed"] and again.json()["next"] == before[0]
    with serving(tmp_path, most_sessions=1) as (client, store):
        assert [client.get(f"{place}/{what}").json() for what in ("next", "profile")] == before
        other, _ = started(client, "bob")  # only one fits into memory
        led(client, place, 2, EVERY + 3)
        led(client, other, 2)
        led(client, place, 2, EVERY + 5)
        assert client.get(f"{place}/profile").json()["n_answers"] == EVERY + 7
    assert before[1]["n_answers"] == EVERY + 3 and before[1]["concepts"][0]["n"] > 0 and before[1]["in_reach"]


def test_a_full_queue_is_told_of_and_nothing_is_lost(tmp_path):
    with serving(tmp_path, most_waiting=2) as (client, store):
        places = [started(client, f"learner {n}") for n in range(5)]
        write, go, at_work = store.write, threading.Event(), threading.Event()

        def slow(units):
            at_work.set()
            assert go.wait(60)
            return write(units)

        store.write = slow  # type: ignore[method-assign]
        replies: list[Any] = [None] * 5

        def send(n: int) -> None:
            replies[n] = client.post(f"{places[n][0]}/answers", json=said(places[n][1]))

        threads = [threading.Thread(target=send, args=(n,)) for n in range(5)]
        threads[0].start()
        assert at_work.wait(60)
        for thread in threads[1:]:
            thread.start()
        for _ in range(6000):  # one is written, two wait, two are refused at once
            if sum(reply is not None for reply in replies) == 2:
                break
            threads[0].join(0.01)
        busy = [reply for reply in replies if reply is not None]
        for reply in busy:
            refused(reply, 503, "the service", "Send the same again")
            assert reply.headers["retry-after"] == "1"
        go.set()
        for thread in threads:
            thread.join(60)
        assert sorted(reply.status_code for reply in replies) == [200, 200, 200, 503, 503]
        assert {client.post(f"{place}/answers", json=said(step)).status_code for place, step in places} == {200}
        assert [len(store.answers(place[10:])) for place, _ in places] == [1] * 5


def test_a_disk_that_takes_nothing_is_told_of_and_memory_does_not_run_ahead(tmp_path):
    with serving(tmp_path) as (client, store):
        place, step = started(client, "ann")
        store._writing.execute("pragma query_only = on")
        refused(client.post(f"{place}/answers", json=said(step)), 503, "the store", "Nothing was kept")
        assert client.get(f"{place}/next").json() == step
        store._writing.execute("pragma query_only = off")
        assert client.post(f"{place}/answers", json=said(step)).status_code == 200 and client.get(f"{place}/next").json()["step"] == 1


def statement(number: int, item: str, learner: dict | None = None, **result: object) -> dict:
    return {"id": f"00000000-0000-4000-8000-{number:012d}", "actor": learner or {"account": {"homePage": "https://school.example", "name": "wilhelmina"}},
            "verb": {"id": "http://adlnet.gov/expapi/verbs/answered"}, "object": {"id": f"urn:edukit:item:{item}"}, "result": result or {"success": True},
            "timestamp": "2026-03-01T09:30:00+01:00"}


def test_statements_come_in_once_and_go_out_under_pseudonyms(tmp_path):
    items = COURSE.terrain.item_ids
    with serving(tmp_path) as (client, store):
        mail = {"mbox": "mailto:mia@school.example", "name": "Mia Real"}
        sent = [statement(1, items[0]), statement(2, items[1], score={"raw": 3, "max": 4}, response="what Wilhelmina wrote", duration="PT1M2S"),
                statement(3, items[0], mail, success=False, response="B"), {**statement(4, "page"), "verb": {"id": "http://x/experienced"}}]
        assert client.post("/xapi/statements", json=sent).json() == [one["id"] for one in sent]
        assert client.post("/xapi/statements", json=sent[1]).json() == [sent[1]["id"]], "met before"
        changed = statement(1, items[1])
        refused(client.post("/xapi/statements", json=[statement(5, items[2]), changed]), 409, "statement 2: id", "Nothing was taken")
        refused(client.post("/xapi/statements", json=[statement(5, items[2]), statement(6, "unheard of")]), 422, "statement 2: object.id", "unheard of")
        refused(client.post("/xapi/statements", json=[statement(5, items[2], score={"scaled": 2})]), 422, "statement 1.result.score.scaled", "found 2")
        refused(client.post("/xapi/statements", json=[{"id": "1"}] * 101), 422, "the body", "1 to 100")
        place, _ = started(client, "wilhelmina")  # the same learner by the other door
        assert client.get(f"{place}/profile").json()["n_answers"] == 2
        page = client.get("/xapi/statements?limit=2").json()
        rest = client.get(page["more"]).json()
        out = page["statements"] + rest["statements"]
        assert [one["id"] for one in out] == [one["id"] for one in sent[:3]] and rest["more"] == ""
        assert [one["result"]["score"]["scaled"] for one in out] == [1.0, 0.75, 0.0] and out[1]["result"]["duration"] == "PT62S"
        assert out[0]["timestamp"].startswith("2026-03-01T08:30:00") and {one["actor"]["account"]["name"][:8] for one in out} == {"learner-"}
        assert client.get(f"/xapi/statements?session_id={place[10:]}").json()["statements"] == out[:2]
        kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert not any(word in kept for word in (b"wilhelmina", b"Wilhelmina", b"mia@", b"Mia", b"school.example"))
        assert client.delete(place).status_code == 204 and client.get(f"{place}/next").status_code == 404
        assert [one["id"] for one in client.get("/xapi/statements").json()["statements"]] == [sent[2]["id"]]


def test_only_who_may_ask_is_answered_and_not_too_much_at_once(service, tmp_path):
    client, _ = service
    for strange in ({"host": "evil.example"}, {"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        refused(client.post("/sessions", json={"learner_id": "x"}, headers=strange), 403, "Host" if "host" in strange else "Origin")
    refused(client.post("/sessions", content=b" " * 70_000), 413, "the body", "64,000 bytes")
    refused(client.post("/sessions", content=iter([b" " * 40_000] * 2)), 413, "the body", "64,000 bytes")
    with serving(tmp_path, token=TOKEN) as (other, _):
        for header in ({}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}):
            refused(other.post("/sessions", json={"learner_id": "x"}, headers=header), 401, "Authorization")
        assert {other.get(path).status_code for path in ("/", "/health", "/openapi.json")} == {200}
        assert other.post("/sessions", json={"learner_id": "x"}, headers={"authorization": f"Bearer {TOKEN}"}).status_code == 201


def test_the_openapi_page_tells_every_address_and_runs_no_script(service):
    client, _ = service
    schema, page = client.get("/openapi.json").json(), client.get("/")
    assert {f"{method} {path}" for path, own in schema["paths"].items() for method in own} == {
        "get /health", "post /sessions", "post /sessions/{session_id}/answers", "get /sessions/{session_id}/next", "get /sessions/{session_id}/profile",
        "delete /sessions/{session_id}", "post /xapi/statements", "get /xapi/statements"}
    assert all(path in page.text for path in schema["paths"]) and "<script" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for own in schema["paths"].values():
        for method in own.values():
            assert all(reply["content"]["application/json"]["schema"]["$ref"].endswith("/Fault") for status, reply in method["responses"].items()
                       if status[0] in "45")
