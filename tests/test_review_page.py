"""The review page over a real ledger, in a real browser and by keyboard: what it says is kept is kept, and what learners wrote stays text."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pandas as pd
import pytest
from edukit.experiments.review_desk import Desk
from fastapi.testclient import TestClient

from edukit.grading.ledger import Ledger
from edukit.grading.ledger_entries import from_grades
from edukit.grading.rubric import Criterion, Level, Rubric
from edukit.report.review import least_sure_first, parts, preview, quotes, span
from edukit.schema import DataError
from edukit.serve_review import application

ATTACK = "<script>alert(1)</script><img src=x onerror=alert(2)>"
TEXTS = {"a-sure": "The sun's heat makes it evaporate.", "b-unsure": "it just goes\nin the heat of the sun", "c-html": ATTACK, "d-formula": "=cmd()",
         "e-empty": "", "f-far": "太陽の熱で水が蒸発する。 שלום עולם", "g-huge": "sun " * 250_000, "h-alike": "It is the wind", "i-alike": "it is the  wind"}
SURE = {"a-sure": 0.99, "b-unsure": 0.4, "h-alike": 0.6, "i-alike": 0.61}
PROCESS = (Level(0, "Names no process."), Level(1, "Names <b>evaporation</b>.", ("It evaporates.",)))
CAUSE = (Level(0, "Names no cause."), Level(1, "Names heat."), Level(2, "Names heat and the sun."))
RUBRIC = Rubric("puddle", (Criterion("process", PROCESS, ("evaporates",), 0.5), Criterion("cause", CAUSE, ("heat", "sun"), 0.5)))
SERVER = "import typer; from edukit.cli_grade import review; typer.run(review)"
TOKEN = "a-token-for-the-test"


def begun(path: Path) -> Ledger:
    """A ledger with two criteria an answer; d-formula is left to a person."""
    rows = []
    for answer_id in TEXTS:
        away, named = answer_id == "d-formula", answer_id == "b-unsure"
        shared = {"answer_id": answer_id, "deferred": away, "flags": "off_topic" if answer_id == "c-html" else None}
        rows += [{**shared, "criterion_id": "process", "score": None if away else 0.0, "confidence": SURE.get(answer_id, 0.8), "missing": "evaporates"},
                 {**shared, "criterion_id": "cause", "score": None if away else 2.0 if named else 0.0, "confidence": 0.9,
                  "found": 'heat: "in the heat"\nsun: "the sun"' if named else None, "missing": None if named else "heat\nsun"}]
    learners = [f"learner-{i}" for i in range(len(TEXTS))]
    answers = pd.DataFrame({"answer_id": list(TEXTS), "question_id": "q", "text": list(TEXTS.values()), "learner_id": learners})
    ledger = Ledger(path)
    ledger.keep(RUBRIC)
    ledger.append(from_grades(pd.DataFrame(rows), answers, RUBRIC, model="rubric_grader"))
    return ledger


@pytest.fixture
def start() -> Iterator[Callable[..., tuple[subprocess.Popen, str]]]:
    """Starts a server of a ledger: its process and address; what is left of them in the end is stopped."""
    running: list[subprocess.Popen] = []

    def started(ledger: Path, *words: str, port: int = 0) -> tuple[subprocess.Popen, str]:
        command = [sys.executable, "-c", SERVER, str(ledger), "--port", str(port), "--token", TOKEN, *words]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)))
        with running[-1].stdout as told:  # type: ignore[union-attr]
            found = re.search(r"http://127\.0\.0\.1:\d+", told.readline() + told.readline())
        assert found is not None
        for _ in range(200):  # the address is told when the port is taken; the first answer comes a little later
            try:
                urlopen(found[0], timeout=5).close()
            except HTTPError:  # it wants its token
                return running[-1], found[0]
            except OSError:
                time.sleep(0.05)
        raise AssertionError("the server does not answer")

    yield started
    for process in running:
        process.send_signal(signal.SIGINT)
        process.wait(60)


# ---- without a browser ----------------------------------------------------------------------------------


def test_answers_are_cut_where_quotes_stand_and_nothing_is_lost():
    text = "in the heat of the sun"
    cut = parts(text, [(*span(text, "in the heat"), 1), (*span(text, "heat of the sun"), 2)])
    assert "".join(piece for piece, _ in cut) == text and [marks for _, marks in cut] == [[1], [1, 2], [2]]
    assert span("a\n b", "a b") == (0, 4) and span("a", "z") is None and span("a", " ") is None
    assert quotes('x: "he said: "no""\n\nbare') == [("x", 'he said: "no"'), ("bare", "")] and parts("", []) == []
    assert preview("word " * 100).endswith("…") and len(preview("x" * 10**6)) == 70


def test_the_least_sure_come_first_and_those_alike_together():
    rows = [{"id": name, "question": "q", "confidence": sure, "cluster": cluster, "representative": name == "d"}
            for name, sure, cluster in (("a", 0.9, None), ("b", 0.5, 1), ("c", None, None), ("d", 0.95, 1), ("e", 0.6, None))]
    assert [row["id"] for row in least_sure_first(rows)] == ["c", "d", "b", "e", "a"]


def test_decisions_become_entries_and_stale_pages_decide_nothing(tmp_path):
    ledger = begun(tmp_path / "ledger.sqlite")
    desk = Desk(ledger.path)
    seen = desk.answer("b-unsure")["seen"]
    with pytest.raises(DataError, match="must be one of 0, 1"):
        desk.decide("b-unsure", "edit", "KL", seen, {"process": 7.0}, {}, "why")
    with pytest.raises(DataError, match="cannot be accepted"):
        desk.decide("d-formula", "accept", "KL", desk.answer("d-formula")["seen"], {}, {})
    assert ledger.head()[0] == desk.ledger.head()[0] == 1 + 3 * len(TEXTS)
    assert desk.decide("b-unsure", "edit", "KL", seen, {"process": 1.0, "cause": 2.0}, {"cause": "Well seen."}, "goes away means evaporates") == 1
    with pytest.raises(DataError, match="newer entries"):
        desk.decide("b-unsure", "edit", "KL", seen, {"process": 1.0}, {}, "twice")
    stands = ledger.standing("q").set_index(["answer_id", "criterion_id"]).loc["b-unsure"]
    assert stands["score"].tolist() == [1.0, 2.0] and stands["state"].tolist() == ["edited", "edited"] and stands.loc["cause", "feedback"] == "Well seen."
    assert "Next step" not in stands.loc["process", "feedback"] and (stands["decided_by"] == "KL").all()
    with pytest.raises(DataError, match="newer entries"):
        desk.appeal("b-unsure", "the learner", "I wrote more", seen)
    desk.appeal("b-unsure", "the learner", "I wrote more", desk.answer("b-unsure")["seen"])
    assert desk.answer("b-unsure")["state"] == "appealed" and desk.queue()[0]["preview"]
    desk.decide("b-unsure", "accept", "MM", desk.answer("b-unsure")["seen"], {}, {}, "as before", blind={"process": 1.0})
    assert desk.answer("b-unsure")["state"] == "accepted" and "before the suggestion was shown: process 1" in ledger.history("b-unsure")["reason"].iloc[-1]
    assert ledger.verify().empty
    exemplars = [one["exemplars"] for one in desk.answer("a-sure")["criteria"]]
    assert {"score": 1.0, "text": "It evaporates."} in exemplars[0] and any(e["text"] == TEXTS["b-unsure"] for e in exemplars[1])


def test_answers_alike_are_decided_together_in_one_commit(tmp_path):
    ledger = begun(tmp_path / "ledger.sqlite")
    desk = Desk(ledger.path)
    shown = desk.answer("h-alike")
    assert [other["id"] for other in shown["alike"]] == ["i-alike"]
    with pytest.raises(DataError, match="open and alike"):
        desk.decide("h-alike", "accept", "KL", shown["seen"], {}, {}, also=["i-alike", "a-sure"])
    assert desk.decide("h-alike", "edit", "KL", shown["seen"], {"process": 0.0, "cause": 1.0}, {}, "wind dries", {"process": 0.0}, ["i-alike"]) == 2
    assert ledger.standing("q").set_index(["answer_id", "criterion_id"]).loc[("i-alike", "cause"), "score"] == 1.0
    why = {one: ledger.history(one)["reason"].iloc[-1] for one in ("h-alike", "i-alike")}
    assert "before the suggestion" in why["h-alike"] and "before the suggestion" not in why["i-alike"]
    assert "alike" in why["i-alike"] and desk.answer("i-alike")["state"] == "edited"


def test_the_server_lets_in_whoever_holds_the_token_and_only_its_own_page(tmp_path):
    ledger = begun(tmp_path / "ledger.sqlite")
    app = application(Desk(ledger.path), "Review", TOKEN)
    stranger, mine = (TestClient(app, "http://127.0.0.1", cookies={}) for _ in range(2))
    assert stranger.get("/queue").status_code == 403 and mine.get(f"/?token={TOKEN}").status_code == 200
    given = {"answer_id": "a-sure", "action": "accept", "who": "KL", "seen": 0}
    assert mine.post("/decisions", json=given, headers={"Origin": "https://elsewhere.example"}).status_code == 403
    told = mine.post("/decisions", json=given)
    assert told.status_code == 422 and "newer entries" in told.json()["error"]
    for wrong in ({"action": "applaud"}, {"who": " "}, {"scores": {"process": "1"}}, {"more": 1}):
        assert mine.post("/decisions", json={**given, **wrong}).status_code == 400
    assert mine.post("/decisions", content=b"x" * 3_000_000, headers={"Content-Type": "application/json"}).status_code == 413
    assert mine.get("/answer?id=nobody").status_code == 422 and mine.get("/review.py").status_code == 404
    assert ledger.standing("q")["state"].isin(["graded", "deferred"]).all()
    with pytest.raises(DataError, match="a ledger must be a file"):
        Desk(tmp_path / "none.sqlite")
    Ledger(tmp_path / "empty.sqlite")
    with pytest.raises(DataError, match="must hold graded answers"):
        Desk(tmp_path / "empty.sqlite")


# ---- in a browser ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(chromium):
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as begun_:
        opened = begun_.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser):
    """A page on which whatever runs or is asked beyond this machine is a fault."""
    faults: list[str] = []
    context = browser.new_context()
    context.route("**/*", lambda route: route.continue_() if route.request.url.startswith(("http://127.0.0.1:", "file:")) else
                  (faults.append(route.request.url), route.abort()))
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.accept()) if dialog.type != "beforeunload" else dialog.accept())
    page.on("console", lambda said: faults.append(said.text) if "Content Security Policy" in said.text else None)
    yield page
    context.close()
    assert faults == []


def shown(page, answer_id: str) -> None:
    page.locator("#answer-title", has_text=answer_id).wait_for()


def kept(page) -> str:
    page.locator("#said", has_text="Kept in the ledger").wait_for()
    return page.locator("#said").inner_text()


@pytest.mark.browser
def test_a_person_decides_by_keyboard_and_a_killed_server_loses_nothing(page, tmp_path, start):
    ledger = begun(tmp_path / "ledger.sqlite")
    process, address = start(ledger.path)
    page.goto(f"{address}/?token={TOKEN}")
    page.wait_for_selector("html[data-ready]")
    shown(page, "b-unsure")  # the least sure
    assert page.locator(".written mark").all_inner_texts() == ["in the heat", "the sun"] and page.locator(".written").inner_text() == TEXTS["b-unsure"]
    assert "<b>evaporation</b>" in page.locator(".levels").first.inner_text() and "learner-1" in page.locator("#answer-title").inner_text()
    page.keyboard.press("a")
    page.locator("#said.fault", has_text="name or initials").wait_for()  # who decides is not known yet
    page.keyboard.type("KL")
    page.keyboard.press("Enter")
    page.keyboard.press("a")
    assert "b-unsure accepted" in kept(page)
    shown(page, "h-alike")  # next by how sure, with the one alike
    page.keyboard.press("c")
    assert page.locator("#alike").is_checked()
    page.keyboard.press("e")
    page.keyboard.press("Tab")  # from the chosen level of `process` to its feedback
    page.locator("form.decide fieldset").nth(1).locator("input[value='1']").check()
    page.fill("form.decide textarea >> nth=1", "Wind does dry; name the heat, too.")
    page.keyboard.press("Control+Enter")
    assert page.locator("form.decide").count() == 1  # no reason yet
    page.fill("form.decide input[name=reason]", "wind dries things")
    page.keyboard.press("Control+Enter")
    page.locator("#said", has_text="and 1 alike").wait_for()
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    standing = ledger.standing("q").set_index(["answer_id", "criterion_id"])
    assert standing.loc["b-unsure", "state"].tolist() == ["accepted"] * 2 and standing.loc[("h-alike", "cause"), "score"] == 1.0
    assert standing.loc[("h-alike", "cause"), "feedback"].startswith("Wind does dry") and standing.loc[("i-alike", "cause"), "score"] == 1.0
    page.keyboard.press("r")
    page.fill("form.decide input[name=reason]", "off the question")
    page.keyboard.press("Enter")
    page.locator("#said.fault", has_text="Not kept").wait_for()
    assert page.input_value("form.decide input[name=reason]") == "off the question"
    _, there = start(ledger.path, port=int(address.rsplit(":", 1)[1]))
    assert there == address
    page.click("form.decide button[type=submit]")  # the same page, the server begun anew
    assert "rejected" in kept(page)
    assert page.locator("#progress-words").inner_text() == "4 of 9 decided"
    assert ledger.verify().empty and (ledger.standing("q")["state"] == "rejected").sum() == 2


@pytest.mark.browser
def test_odd_answers_are_shown_as_text_and_blind_hides_the_suggestion(page, tmp_path, start):
    ledger = begun(tmp_path / "ledger.sqlite")
    names = tmp_path / "names.csv"
    names.write_text("answer_id,row,learner\nb-unsure,2,'=Ann\n")
    _, address = start(ledger.path, "--names", str(names))
    page.goto(f"{address}/?token={TOKEN}")
    page.wait_for_selector("html[data-ready]")
    assert "=Ann" not in page.content()
    page.check("#names")
    assert "=Ann" in page.locator("#answer-title").inner_text()
    page.select_option("#filter", "all")
    for answer_id, text in TEXTS.items():
        page.locator("#queue button", has_text=re.compile("^" + re.escape(preview(text)[:30] or "(empty)"))).click()
        shown(page, answer_id)
        if answer_id == "g-huge":
            assert len(page.locator(".written").text_content()) == 20_000
            page.locator(".more button").click()
        assert page.locator(".written").text_content() == (text or "Nothing was written.")
    page.fill("#who", "KL")
    page.locator("#queue button", has_text="=cmd()").first.click()
    shown(page, "d-formula")
    assert "left to a person" in page.locator(".criterion").first.inner_text()
    page.locator("#queue button", has_text="The sun's heat").first.click()
    shown(page, "a-sure")
    page.keyboard.press("b")
    assert page.locator(".suggested, .exemplar, .feedback, .written mark, .history").count() == 0
    assert "% sure" not in page.locator("#queue [aria-current]").inner_text()
    page.keyboard.press("a")  # there is nothing to accept before an own score is given
    page.locator("form.decide input[value='1']").first.check()
    page.locator("form.decide fieldset").nth(1).locator("input[value='0']").check()
    page.keyboard.press("Control+Enter")
    page.locator("#said", has_text="differs").wait_for()
    assert page.locator(".suggested").count() == 2
    page.fill("form.decide input[name=reason]", "it names it")
    page.keyboard.press("Control+Enter")
    assert "a-sure edited" in kept(page)
    assert "before the suggestion was shown: process 1, cause 0" in ledger.history("a-sure")["reason"].iloc[-1]
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("[aria-live]").count() == 1 and page.locator("input:not([id]), select:not([id])").count() == 0


@pytest.mark.browser
def test_a_copy_is_read_without_a_server_on_a_phone_and_on_paper(page, tmp_path):
    begun(tmp_path / "ledger.sqlite")
    Desk(tmp_path / "ledger.sqlite").copy("Grades", "today").write(tmp_path / "review.html")
    page.set_viewport_size({"width": 360, "height": 700})
    page.goto((tmp_path / "review.html").as_uri())
    page.wait_for_selector("html[data-ready]")
    shown(page, "b-unsure")
    page.keyboard.press("a")
    for _ in TEXTS:
        page.keyboard.press("j")
    page.locator("#said", has_text="last answer").wait_for()
    assert page.locator("main button:visible").count() == 0 and page.evaluate("document.documentElement.scrollWidth") <= 360
    page.emulate_media(media="print")
    assert not page.locator("#queue").is_visible() and page.locator(".written").is_visible()
