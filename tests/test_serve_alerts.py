"""The served page of alerts: a teacher decides in a real browser, a real server writes it into the log, and nobody else is answered."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from edukit.alert_log import AlertLog
from edukit.cli_alerts import alerts_app
from edukit.schema import DataError
from edukit.serve_alerts import application, page

ATTACK = "<script>alert(1)</script>"
TOKEN = "t0ken-" * 4


@pytest.fixture
def log(tmp_path) -> AlertLog:
    found = AlertLog(tmp_path / "alerts.sqlite")
    for week in (7, 8):
        found.add([{"kind": "alerted", "learner_id": one, "module_id": "M", "presentation": "2014J", "rank": rank, "risk": 0.9 - 0.1 * rank,
                    "actionable": "lowest mark so far: 12; typical 60"} for rank, one in enumerate((ATTACK, "b", "c"), 1)], "edukit", week)
    return found


def decision(learner: str = "b", action: str = "dismiss", **more: object) -> dict:
    return {"action": action, "learner_id": learner, "module_id": "M", "presentation": "2014J", "week": 8, "weeks": None, "what": "", "reason": "left",
            "who": "Ms O", "mark": f"{learner}-{action}", **more}


def test_decisions_are_taken_whole_or_not_at_all_and_once(log):
    client = TestClient(application(log), base_url="http://127.0.0.1:8767")
    assert client.post("/decisions", json=[decision(), decision("c", "tried", what="a call")]).json() == {"added": 2}
    assert client.post("/decisions", json=[decision()]).json() == {"added": 0}, "sent twice, written once"
    before = len(log.events())
    for wrong, status, words in (([decision("c"), decision("nobody")], 422, "found 0 of 'nobody'"), ([decision(who="", mark="x")], 422, "who says so"),
                                 ([decision(reason="", mark="x")], 422, "needs a reason"), ({"action": "dismiss"}, 422, "must hold decisions"),
                                 ([{**decision(), "more": 1}], 422, "number 1"), ([], 422, "must hold decisions"),
                                 ([decision(mark="x", reason="\ud800")], 422, "half of one"), ([decision(mark="x", week=9)], 422, "the newest 8; found week 9"),
                                 ([decision(mark="x", week=True)], 422, "number 1"), ([decision(action="snooze", weeks=10**30)], 422, "a week must be"),
                                 ([decision(mark="x", who="edukit consent")], 422, "a person or a program")):
        refused = client.post("/decisions", content=json.dumps(wrong))
        assert refused.status_code == status and words in refused.json()["error"] and str(log.path) not in refused.text
    assert {client.post("/decisions", content=words).status_code for words in (b"{", b"\xff[]", b"[" * 200_000)} == {400}
    assert client.post("/decisions", content=b"[" + b" " * 600_000).status_code == 413 and len(log.events()) == before
    assert "dismissed (left)" in client.get("/").text and "tried: a call" in client.get("/").text
    assert "was number" not in client.get("/?week=7").text and client.get("/?week=3").status_code == 422
    log.objected(["c"])
    for action in ("reopen", "tried"):
        assert "who objected" in client.post("/decisions", json=[decision("c", action, mark="y")]).json()["error"]
    assert "c: dismissed (the learner objected)" in client.get("/?week=7").text.replace(" <small>M 2014J</small>", "")


def test_only_who_holds_the_token_is_answered_and_only_its_own_page_may_ask(log):
    open_ = TestClient(application(log), base_url="http://127.0.0.1:8767")
    shown = open_.get("/")
    policy = shown.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "script-src 'self' 'sha256-" in policy and "http" not in policy
    assert "<script>alert" not in shown.text and "http-equiv" not in shown.text and open_.get("/served.js").headers["content-type"].startswith("text/java")
    for strange in ({"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}, {"host": "evil.example:8767"}):
        assert open_.post("/decisions", json=[decision()], headers=strange).status_code == 403
    stranger = TestClient(application(log, TOKEN), base_url="http://school.lan:8767", follow_redirects=False)
    assert {stranger.get(path).status_code for path in ("/", "/served.js", "/?token=wrong")} == {403}
    assert stranger.post(f"/decisions?token={TOKEN}", json=[decision()]).status_code == 403
    holder = TestClient(application(log, TOKEN), base_url="http://school.lan:8767", follow_redirects=False)
    assert holder.get(f"/?token={TOKEN}").status_code == 303 and holder.get("/").status_code == 200
    for path, place in (("//evil.example", "/evil.example"), ("/%5Cevil.example", "/%5Cevil.example"), ("/%0d%0ax:y", "/%0D%0Ax%3Ay"), ("/%E2%82%AC", None)):
        sent = holder.get(f"http://school.lan:8767{path}?a=%3F&token={TOKEN}")
        assert (sent.status_code, sent.headers["location"]) == (303, f"{place or path}?a=%3F"), "never to another place than this server"
    assert log.events("dismissed").empty


def test_a_log_without_alerts_and_a_token_that_others_can_read_are_refused(log, tmp_path, monkeypatch):
    empty = AlertLog(tmp_path / "empty.sqlite")
    with pytest.raises(DataError, match="must hold alerts"):
        page(empty)
    secret = tmp_path / "token"
    secret.write_text(TOKEN + "\n")
    asked = []
    monkeypatch.setattr("edukit.serve_alerts.serve", lambda log, host, port, token, say: asked.append(token))

    def serve(*words: str, **environment: str):
        return CliRunner().invoke(alerts_app, ["serve", str(log.path), *words], env=environment)

    secret.chmod(0o644)
    assert "only its owner may read" in str(serve("--token-file", str(secret)).exception)
    secret.chmod(0o600)
    assert serve("--token-file", str(secret)).exit_code == 0 and serve(EDUKIT_TOKEN=TOKEN).stderr == ""
    assert "one token" in str(serve("--token-file", str(secret), EDUKIT_TOKEN=TOKEN).exception)
    assert "can read --token in the list of processes" in serve("--token", TOKEN).stderr and asked == [TOKEN] * 3


@pytest.fixture
def server(log) -> Iterator[str]:
    """The address that a real process tells, with its token; interrupted at the end."""
    words = [sys.executable, "-m", "edukit.cli", "alerts", "serve", str(log.path), "--port", "0"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={k: v for k, v in os.environ.items() if k != "EDUKIT_TOKEN"})
    try:
        found = re.search(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{16,}", process.stdout.readline())  # type: ignore[union-attr]
        assert found is not None and found[0].partition("token=")[2] not in Path(f"/proc/{process.pid}/cmdline").read_text()
        yield found[0]
    finally:
        process.send_signal(signal.SIGINT)
        process.stdout.close()  # type: ignore[union-attr]
        assert process.wait(60) in (0, -signal.SIGINT, 130)


@pytest.mark.browser
def test_a_teacher_decides_on_the_page(server, log, chromium):
    playwright = pytest.importorskip("playwright.sync_api")
    faults: list[str] = []
    with playwright.sync_playwright() as begun:
        browser = begun.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        page = browser.new_context().new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
        page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        for _ in range(100):  # the address is told a little before the first answer
            try:
                page.goto(server)
                break
            except playwright.Error:
                page.wait_for_timeout(100)
        page.wait_for_selector("html[data-served]")
        assert page.locator(".alert-card").count() == 3 and page.locator("#save").is_hidden() and page.locator("#lines").is_hidden()
        first, second = page.locator(".alert-card").nth(0), page.locator(".alert-card").nth(1)
        first.locator("[data-action=snooze]").click()
        page.fill("form.decide [name=reason]", "ill <b>")
        page.keyboard.press("Enter")
        second.locator("[data-action=tried]").click()
        page.fill("form.decide [name=what]", "called home")
        page.keyboard.press("Enter")
        page.click("#send")
        assert "name or initials are needed" in page.inner_text("#said") and len(log.events()) == 6
        page.fill("#name", "Ms O'Neil")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_selector("#aside li")
        page.wait_for_selector("html[data-served]")
        assert page.locator(".alert-card").count() == 2 and "snoozed (ill <b>)" in page.inner_text("#aside")
        assert "called home" in page.inner_text(".alert-card >> nth=0") and page.input_value("#name") == "Ms O'Neil"
        page.click("#aside [data-action=reopen]")
        page.keyboard.press("Enter")
        page.click("#send")
        page.wait_for_selector(".alert-card >> nth=2")
        browser.close()
    decided = log.events().iloc[6:]
    assert decided["kind"].tolist() == ["snoozed", "tried", "reopened"] and set(decided["who"]) == {"Ms O'Neil"}
    assert decided["learner_id"].tolist() == [ATTACK, "b", ATTACK] and faults == []
