"""What the page server answers and to whom, what it takes and keeps, and what it makes of columns and graphs; without a browser."""

from __future__ import annotations

import re
import time
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import pytest
from starlette.testclient import TestClient

from edukit import serve_data, serve_graphs
from edukit.schema import DataError
from edukit.serve import application, serve
from edukit.serve_jobs import Job, JobQueue
from edukit.serve_routes import Site
from edukit.serve_store import Store

ATTACK = "<script>alert(1)</script>"

# ---- who may ask, and what is taken --------------------------------------------------------------------


@pytest.fixture
def site(tmp_path) -> Site:
    return Site(Store(tmp_path / "serve"), JobQueue(most_waiting=1), most_mb=0.01)


def test_the_server_begins_and_ends(site):
    (site.store.root / ".gone-x").mkdir()
    with TestClient(application(site), base_url="http://127.0.0.1:8765") as client:
        assert client.get("/").status_code == 200 and not list(site.store.root.iterdir())
    assert site.jobs.busy() == []


def test_only_this_machines_own_pages_are_answered(site):
    client = TestClient(application(site), base_url="http://127.0.0.1:8765")
    start = client.get("/")
    policy = start.headers["content-security-policy"]
    assert start.status_code == 200 and "unsafe" not in policy and "default-src 'none'" in policy and "http:" not in policy
    assert not re.search(r"https?://|<script>|style=|onclick=", start.text)  # its own parts only, nothing inline
    for path in ("/", "/start.js", "/start.css", "/projects/x"):
        assert client.get(path, headers={"host": "evil.example:8765"}).status_code == 403
    for host in ("localhost:8765", "[::1]:8765"):
        assert client.get("/", headers={"host": host}).status_code == 200
    for strange in ({"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}, {"origin": "http://127.0.0.1:9999"},
                    {"origin": "http://[x"}):
        assert client.post("/projects?name=a.csv", content=b"a,b", headers=strange).status_code == 403
    assert not [p for p in site.store.root.iterdir() if not p.name.startswith(".")]


def test_with_a_token_nobody_else_is_answered(site, tmp_path):
    token = "t0ken-" * 4
    guarded = application(site, token)
    stranger = TestClient(guarded, base_url="http://school.lan:8765", follow_redirects=False)
    assert {stranger.get(path).status_code for path in ("/", "/start.js", "/?token=", "/?token=wrong", "/maps/1")} == {403}
    assert stranger.post(f"/projects?name=a.csv&token={token}", content=b"a").status_code == 403  # a form elsewhere cannot carry it
    holder = TestClient(guarded, base_url="http://school.lan:8765", follow_redirects=False)
    first = holder.get(f"/?token={token}&x=1")
    assert (first.status_code, first.headers["location"]) == (303, "/?x=1")
    assert "HttpOnly" in first.headers["set-cookie"] and "SameSite=Strict" in first.headers["set-cookie"]
    assert holder.get("/").status_code == 200
    for given, words in (({"host": "0.0.0.0"}, "must have a token"), ({"token": "short"}, "at least 16"), ({"token": "semi;colon-and-more-of-it"}, "no other"),
                         ({"run": tmp_path}, "gap_map.html")):
        with pytest.raises(DataError, match=words):
            serve(tmp_path / "x", **given)


def test_a_page_is_handed_out_without_learners_and_they_only_to_who_may_ask(site, tmp_path):
    page = ('<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; connect-src \'self\'">'
            '<script id="data" type="application/json">{"title":"\\u003cb>","learners":{"7a":{"0":[["Ann Jones",0.3,"x"]]}}}</script>')
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "gap_map_served.html").write_text(page)
    given = Site(site.store, site.jobs, run=tmp_path / "run")
    client = TestClient(application(given), base_url="http://127.0.0.1:8765")
    shown = client.get("/run")
    assert "Ann" not in shown.text and '"learners":true' in shown.text and "\\u003cb" in shown.text
    assert "connect-src 'self'" in shown.headers["content-security-policy"]
    assert client.get("/run/learners").json() == {"7a": {"0": [["Ann Jones", 0.3, "x"]]}} and client.get("/run/learners").headers["cache-control"] == "no-store"
    assert client.get("/run/learners", headers={"host": "evil.example"}).status_code == 403
    assert TestClient(application(given, "t0ken-" * 4), base_url="http://127.0.0.1:8765").get("/run/learners").status_code == 403
    assert client.get(f"/maps/{'a' * 32}-1/learners").status_code == 404
    (tmp_path / "run" / "gap_map_served.html").rename(tmp_path / "run" / "gap_map.html")
    assert client.get("/run/learners").json() == {}


def test_no_path_leads_out_and_nothing_large_or_strange_is_taken(site, tmp_path):
    client = TestClient(application(site), base_url="http://127.0.0.1:8765")
    (tmp_path / "secret.csv").write_text("a")
    for word in ("../secret.csv", "../../secret.csv", "/etc/passwd", "a" * 32, "A" * 32 + "-1", "a" * 32 + "-1/../..", ".\0"):
        assert site.store.project(word) is None and site.store.map(word) is None
        word = quote(word, safe="")
        for path in (f"/projects/{word}", f"/maps/{word}", f"/maps/{word}/files/secret.csv", f"/run/files/{word}", f"/start.{word}"):
            assert client.get(path).status_code == 404, path
    assert client.post("/projects?name=a.csv", content=b"x" * 10_001).status_code == 413
    assert client.post("/projects?name=a.exe", content=b"x").status_code == 422
    assert client.put("/projects/x/columns", json={"kind": 3}).json() == {"error": "the request is not one that the start page makes"}
    assert list(site.store.root.iterdir()) == []  # nothing is left of what was refused
    two = client.post(f"/projects?name={quote('../../x/c.csv')}", content=b"learner,item,correct\na,q,1\nb,q,0\n").json()
    assert two["name"] == "c.csv" and [c["meaning"] for c in two["columns"]] == ["learner_id", "item_id", "correct"]
    assert {p.name for p in (site.store.root / two["id"]).iterdir()} == {"project.json", "upload.csv"}
    assert client.post(f"/projects/{two['id']}/map").json()["error"].startswith("the columns must be confirmed first")


def test_few_may_wait_and_a_job_that_was_stopped_leaves_nothing(site, tmp_path):
    jobs = site.jobs  # not started: nothing runs
    places = [tmp_path / str(i) for i in range(3)]
    for place in places:
        place.mkdir()
    first, second = (jobs.add(Job(str(i), places[i], tmp_path)) for i in range(2))
    with pytest.raises(DataError, match="at most 1 maps may wait"):
        jobs.add(Job("2", places[2], tmp_path))
    jobs.stop(second)
    assert second.state == "stopped" and not places[1].exists() and not places[2].exists()
    assert [job.map_id for job in jobs.busy()] == [first.map_id]


def test_old_projects_go_and_younger_stay(tmp_path):
    store = Store(tmp_path / "serve", keep_days=2)
    old, young, working = (store.new("a.csv") for _ in range(3))
    for project in (old, working):
        project.note(created=time.time() - 3 * 86_400)
    (store.root / ".gone-x").mkdir()
    assert store.tidy((working.id,)) == [old.id]
    assert {p.name for p in store.root.iterdir()} == {young.id, working.id}


def test_an_upload_on_its_way_outlives_the_next_drop(site):
    under_way = site.new("a.csv").folder / ".upload.csv.x"
    under_way.mkdir()
    site.new("b.csv")
    assert under_way.is_dir()
    site.tidy(mend=True)  # a server that begins: nobody sends it any more
    assert not under_way.exists()


def test_one_folder_has_one_server(tmp_path):
    store, told = Store(tmp_path / "serve"), []
    with store.held(), pytest.raises(DataError, match="must be served once; found a server at work"):
        serve(store.root, port=0, say=told.append)
    with store.held():
        assert told == []


# ---- columns and graphs ------------------------------------------------------------------------------


def project_of(tmp_path: Path, text: str, name: str = "own.csv"):
    project = Store(tmp_path / "serve").new(name)
    (project.folder / "upload.csv").write_text(text, encoding="utf-8")
    project.note(upload="upload.csv")
    return project


@pytest.mark.parametrize(("header", "rows", "meanings", "marks"), [
    ("Wer;Was;Punkte;Von", "a;q;3;4\nb;q;1;4", ["learner_id", "item_id", "correct", "max_score"], [0.75, 0.25]),
    ("correct;item;note;who", "2;q;x;a\n4;q;y;b", ["max_score", "item_id", "correct", "learner_id"], None),
    ("Wer,Was,Prozent", "a,q,75\nb,q,100", ["learner_id", "item_id", "percent"], [0.75, 1.0]),
    ("Wer\tWas\tJa", 'a\tq\tja\n"b, ""B"""\tq\tnein', ["learner_id", "item_id", "correct"], [1.0, 0.0]),
])
def test_what_a_person_says_counts(tmp_path, header, rows, meanings, marks):
    project = project_of(tmp_path, f"{header}\n{rows}\n")
    if marks is None:
        with pytest.raises(DataError, match=r"own\.csv: note \(correct\)"):  # the person's own names, not ours
            serve_data.confirm(project, "rows", None, meanings)
        assert not (project.folder / "responses.csv").exists()
        return
    serve_data.confirm(project, "rows", None, meanings)
    assert serve_data.source_of(project).tables()[0]["interactions"]["correct"].tolist() == marks


def test_answers_that_differ_in_an_unused_column_are_not_one_twice(tmp_path):
    project = project_of(tmp_path, "kid,task,ok,day,email\na,q,1,Mon,a@x\na,q,1,Tue,a@x\n")
    known = serve_data.confirm(project, "rows", None, ["learner_id", "item_id", "correct", "", ""])
    assert known["lines"][0].startswith("responses    2 of 1 learners")
    with pytest.raises(DataError, match="must be in one column; found 2"):
        serve_data.confirm(project, "rows", None, ["learner_id", "item_id", "correct", "item_id", ""])


def test_a_drawn_graph_needs_reasons_and_no_cycle(tmp_path):
    project = project_of(tmp_path, "kid,task,ok,skill\na,q,1,x\na,r,0,y\n")
    serve_data.confirm(project, "rows", None, ["learner_id", "item_id", "correct", "concept_id"])
    edge = {"concept_id": "y", "requires_id": "x", "rationale": "counts"}
    for edges, words in (([{**edge, "rationale": " "}], "must have a reason"), ([{**edge, "requires_id": "z"}], "found 'z'"),
                         ([edge, {"concept_id": "x", "requires_id": "y", "rationale": "no"}], "cycle")):
        with pytest.raises(DataError, match=words):
            serve_graphs.take_edges(project, edges)
    serve_graphs.take_edges(project, [edge])
    assert serve_data.source_of(project).tables()[0]["prerequisites"][["concept_id", "requires_id", "rationale"]].to_numpy().tolist() == [["y", "x", "counts"]]
    serve_graphs.take_edges(project, [])
    assert serve_data.source_of(project).graph is None


def test_suggestions_run_from_easy_to_hard_and_say_why():
    names = ["Adding fractions", "Fractions", "Angles", ATTACK, "Multiplying fractions"]
    concepts = pd.DataFrame({"concept_id": list("abcde"), "name": names, "right": [0.6, 0.9, 0.95, 0.5, 0.58]})
    found = serve_graphs.suggest(concepts)
    assert {("a", "b"), ("e", "b")} <= {(edge["concept_id"], edge["requires_id"]) for edge in found}
    assert all(concepts.set_index("concept_id")["right"][e["requires_id"]] > concepts.set_index("concept_id")["right"][e["concept_id"]] for e in found)
    assert all("%" in edge["rationale"] for edge in found) and serve_graphs.suggest(concepts.iloc[:1]) == []
