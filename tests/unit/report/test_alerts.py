"""The page of alerts: who, why and what changed; text as text; by keyboard; decisions leave as lines and as a file only."""

from __future__ import annotations

import json
import re
import shlex

import pandas as pd
import pytest

from edukit.metrics import record
from edukit.report.alerts import AlertPage, write_csv

HOSTILE = ["<script>alert(1)</script>", "</script><img src=x onerror=alert(2)>", '=HYPERLINK("x")', "it's $(rm -rf ~) `x` \"y\"", "{{ 7*7 }}"]
EVALUATION = [record("alerted", 40, 12), record("ended", 12, 12), record("right_alarms", 7, 12), record("false_alarms", 3, 12), record("not_told_apart", 2, 12),
              record("not_passed", None, 2, group="tried"), record("not_passed", 0.7, 10, 0.39, 0.89, group="not tried"),
              record("difference", None, 12, group="tried - not tried")]


def alerts() -> pd.DataFrame:
    rows = []
    for i, name in enumerate([*HOSTILE, "plain"]):
        aside = i == 4
        rows.append({
            "learner_id": name, "module_id": "M1" if i % 2 else "<b>M2</b>", "presentation": "2014J", "week": 8, "rank": i + 1, "risk": 0.9 - 0.1 * i,
            "low": 0.8 - 0.1 * i, "high": 0.95 - 0.1 * i, "reason": "x", "context": None if i else "earlier attempts at this module: 2; typical 0",
            "actionable": "has handed in 1 of 4 pieces of work; typical 4 of 4\n" + HOSTILE[0], "counterfactual": "none found" if i else None,
            "suggested": "Coach by telephone (30 min; evidence: moderate; A (2014), J)", "changed": ["new", "moved up from 5", "as before"][i % 3],
            "expected": "call: risk lower by 12 points (95 %: 3 to 21)",
            "tried": "week 7: tried: " + HOSTILE[1] if i == 1 else None, "state": "snoozed" if aside else "open", "state_reason": "ill" if aside else None})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def html() -> str:
    gone = pd.DataFrame([{"learner_id": HOSTILE[1], "module_id": "M1", "presentation": "2014J", "was": 2, "why": "dismissed since"}])
    return AlertPage("Who needs attention", alerts(), 8, 5, gone, EVALUATION, "my log.sqlite", {"data": HOSTILE[0]}).page()


def test_the_page_asks_for_nothing_and_shows_text_as_text(html):
    assert "default-src 'none'" in html and not re.search(r"(src|href)=[\"']?(http|//)", html)
    assert "<script>alert" not in html and "<img src=x" not in html and html.count("<script>") == 1
    assert "because" not in html.lower()
    assert "49" not in re.findall(r">\s*49\s*<", html)


def test_a_table_of_alerts_is_safe_for_a_spreadsheet(tmp_path):
    write_csv(alerts(), tmp_path / "alerts.csv")
    assert pd.read_csv(tmp_path / "alerts.csv")["learner_id"].tolist()[2] == "'" + HOSTILE[2]


def test_without_anything_known_there_is_still_a_page():
    empty = AlertPage("Nobody", alerts().iloc[:0], 3, 5).page()
    assert "Nobody is on the list this week." in empty and "Nothing is known yet." in empty


@pytest.mark.browser
def test_who_why_and_what_came_of_it(visit, html):
    page = visit((), html=html)
    cards = page.locator(".alert-card")
    assert cards.count() == 5 and page.locator(".tile b").all_inner_texts() == ["5", "2", "1", "3"]
    assert [card.locator(".rank").inner_text() for card in cards.all()] == ["1", "2", "3", "4", "6"]
    assert cards.nth(0).locator("h2").inner_text().startswith("1 " + HOSTILE[0])
    assert cards.nth(0).locator(".actionable li").all_inner_texts() == ["has handed in 1 of 4 pieces of work; typical 4 of 4", HOSTILE[0]]
    assert cards.nth(1).locator(".history li").inner_text() == "week 7: tried: " + HOSTILE[1]
    assert "was number 2; dismissed since" in page.locator("#changed").inner_text() and "snoozed (ill)" in page.locator("#aside").inner_text()
    told = page.locator("#record").inner_text()
    assert re.search(r"false alarms .*\s3\b", told) and "not enough data" in told and "no measure of its effect" in told
    assert page.locator("#record tr").nth(5).inner_text().endswith("not enough data")


@pytest.mark.browser
def test_snooze_with_a_reason_by_keyboard_alone(visit, html, tmp_path):
    page = visit((), html=html)
    page.locator(".alert-card").nth(3).locator("[data-action=snooze]").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.name") == "weeks"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.dataset.action") == "snooze" and page.locator("form.decide").count() == 0
    page.keyboard.press("Enter")
    page.keyboard.press("Control+a")
    page.keyboard.type("3")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator("form.decide").count() == 1 and page.locator("#decisions li").count() == 0, "a reason is needed"
    page.keyboard.type("   ")
    page.keyboard.press("Enter")
    assert page.locator("#decisions li").count() == 0, "blanks are no reason"
    page.keyboard.type("ill; it's <b>known</b>")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.dataset.action") == "snooze"
    assert page.locator("#decisions li").inner_text().startswith(HOSTILE[3] + ": Snooze: 3 weeks: ill; it's <b>known</b>")
    page.fill("#name", "Ms O'Neil")
    words = shlex.split(page.input_value("#lines"))
    assert words == ["edukit", "alerts", "snooze", "my log.sqlite", f"--learner={HOSTILE[3]}", "--module=M1", "--presentation=2014J", "--week=8", "--weeks=3",
                     "--reason=ill; it's <b>known</b>", "--who=Ms O'Neil"]
    assert "set-aside" in page.locator(".alert-card").nth(3).get_attribute("class")
    with page.expect_download() as waited:
        page.locator("#save").focus()
        page.keyboard.press("Enter")
    waited.value.save_as(tmp_path / "decisions.json")
    decision, = json.loads((tmp_path / "decisions.json").read_text(encoding="utf-8"))
    assert decision.pop("mark") and decision == {
        "action": "snooze", "learner_id": HOSTILE[3], "module_id": "M1", "presentation": "2014J", "week": 8, "weeks": 3, "what": "",
        "reason": "ill; it's <b>known</b>", "who": "Ms O'Neil"}
    page.locator("#decisions button").click()
    assert page.locator("#decisions li").count() == 0 and page.input_value("#lines") == "" and page.locator("#save").is_disabled()


@pytest.mark.browser
def test_tried_and_dismissed_and_a_narrow_screen(visit, html):
    page = visit((), width=380, html=html)
    card = page.locator(".alert-card").nth(0)
    card.locator("[data-action=tried]").click()
    page.fill("form.decide [name=what]", "Coach by telephone")
    page.locator("form.decide [type=submit]").click()
    card.locator("[data-action=dismiss]").click()
    page.fill("form.decide [name=reason]", "moved away")
    page.keyboard.press("Enter")
    page.locator("#aside [data-action=reopen]").click()
    page.keyboard.press("Enter")
    lines = [shlex.split(line) for line in page.input_value("#lines").split("\n")]
    assert [line[2] for line in lines] == ["tried", "dismiss", "reopen"] and "--what=Coach by telephone" in lines[0] and "--reason=moved away" in lines[1]
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "no sideways scrolling"
