"""Hostile requests: every address of the session service's OpenAPI, with values that fit and that do not, gets what the schema promises."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from edukit.governance.privacy import Pseudonymiser
from edukit.recommend.session_store import SessionStore
from edukit.serve_session import application
from edukit.serve_session_commits import Commits
from edukit.serve_session_course import course_of
from edukit.serve_session_live import Live

COURSE, KEY = course_of(), Pseudonymiser(bytes(32))
FAULT = {"error", "place", "wanted", "found", "next_step"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with SessionStore(tmp_path_factory.mktemp("service") / "sessions.sqlite", KEY.key_version).held() as store:
        live = Live(COURSE, store, Commits(store), KEY)
        with TestClient(application(live), base_url="http://127.0.0.1:8768", raise_server_exceptions=False) as found:  # type: ignore[arg-type]
            yield found


json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
                           lambda own: st.lists(own, max_size=3) | st.dictionaries(st.text(max_size=8), own, max_size=3), max_leaves=8)


def fitting(schema: dict, models: dict) -> st.SearchStrategy:
    """Values that a schema of OpenAPI allows, more or less; among them some that it does not."""
    schema = models.get(schema.get("$ref", "").rpartition("/")[2], schema)
    if "anyOf" in schema:
        return st.one_of([fitting(one, models) for one in schema["anyOf"]])
    if schema.get("type") == "object" and "properties" in schema:
        return st.fixed_dictionaries({name: fitting(own, models) | json_values for name, own in schema["properties"].items()})
    kinds = {"integer": st.integers(), "number": st.floats(), "boolean": st.booleans(), "null": st.none(), "array": st.lists(json_values, max_size=3),
             "string": st.sampled_from(["a", "", "\x00", "ann", "\ud800", "x" * 400, "0", "../..", *COURSE.terrain.item_ids[:2]]) | st.text(max_size=30)}
    return kinds.get(schema.get("type", ""), json_values)


@given(data=st.data())
@settings(max_examples=100, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
def test_hostile_requests_get_what_the_schema_promises(client, data):
    """Every address of the OpenAPI, every method, fitting and unfitting values: never a 5xx, and every reply is one that the schema states."""
    schema = client.get("/openapi.json").json()
    models = schema["components"]["schemas"]
    path, method = data.draw(st.sampled_from([(path, method) for path, own in schema["paths"].items() for method in own]))
    told = schema["paths"][path][method]
    known = client.post("/sessions", json={"learner_id": "hostile"}).json()["session_id"]
    word = data.draw(st.sampled_from([known, "0" * 32, "nobody", "%00", "%ff", "%F0%9F%92%A9", "%2e%2e", "'--", "x" * 3000]))
    if word == known and method == "delete":
        word = "nobody"
    query = {one["name"]: str(data.draw(fitting(one["schema"], {}))).encode("utf-8", "replace") for one in told.get("parameters", ()) if one["in"] == "query"}
    content = told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    body = data.draw(st.binary(max_size=40) | fitting(content, models).map(lambda value: json.dumps(value).encode())) if content else b""
    reply = client.request(method.upper(), path.replace("{session_id}", word), params=query, content=body, headers={"content-type": "application/json"})
    assert str(reply.status_code) in told["responses"] and reply.status_code < 500, (reply.status_code, reply.text)
    if reply.status_code >= 400:
        assert set(reply.json()) == FAULT and all(isinstance(value, str) and value for value in reply.json().values())
    elif reply.status_code != 204:
        model = models.get(told["responses"][str(reply.status_code)]["content"]["application/json"]["schema"].get("$ref", "").rpartition("/")[2], {})
        assert set(model.get("required", ())) <= (set(reply.json()) if isinstance(reply.json(), dict) else set())
