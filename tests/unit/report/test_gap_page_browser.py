"""The gap page in a browser shows what the table holds: graph, matrix, mark, evidence, tables saved."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from edukit.governance.privacy import TOTAL

pytestmark = pytest.mark.browser


def whole(share: float) -> int:
    return int(np.floor(100 * share + 0.5))


def test_page_shows_the_table(visit, invented):
    gaps, concepts, prerequisites = invented.tables
    page = visit(invented.tables)
    assert page.locator("#graph .node").count() == len(concepts)
    assert page.locator("#graph path[marker-end]").count() == len(prerequisites)
    assert page.locator("#matrix tbody .cell").count() == len(gaps)
    assert page.locator("#matrix .cell.few").count() == (gaps["state"] == "not enough data").sum()
    assert page.locator("#matrix .cell.cover").count() == (gaps["state"] == "suppressed").sum()
    assert page.locator("#matrix .cell.stuck").count() == gaps["stuck"].fillna(False).sum()
    hidden = page.locator("#matrix .cell.hidden").all_inner_texts()
    assert hidden and not re.search(r"\d", " ".join(hidden))
    labels = set(page.locator("#matrix tbody .cell").evaluate_all("cells => cells.map(c => c.getAttribute('aria-label'))"))
    first = gaps[(gaps["class_id"] == "7a") & (gaps["concept_id"] == "c6")].iloc[0]
    assert any(label.startswith(f"{invented.names[6]}, 7a: mastery {whole(first['mastery'])} %") for label in labels)


def test_mark_slider_and_cohort_recount_the_stuck(visit, invented):
    gaps, concepts, _ = invented.tables
    page = visit(invented.tables)
    z = 1.959963984540054
    estimated = gaps[gaps["state"] == "estimated"]
    se = np.maximum(estimated["high"] - estimated["mastery"], estimated["mastery"] - estimated["low"]) / z
    seen = set()
    for cohort in (TOTAL, "7b"):
        page.select_option("#cohort", label="all learners" if cohort == TOTAL else cohort)
        rows = estimated["class_id"] == cohort
        for mark in (0.45, 0.60, 0.82):
            page.locator("#mark").evaluate("(slider, mark) => { slider.value = mark; slider.dispatchEvent(new Event('input')); }", mark)
            expected = int(((mark - estimated["mastery"])[rows] / se[rows] >= 1.2815515655446004).sum())
            assert page.locator("#n-stuck").inner_text() == str(expected)
            seen.add(expected)
            if mark == 0.60:
                assert expected == estimated.loc[rows, "stuck"].sum()
            total = sum(int(page.locator(f"#n-{name}").inner_text()) for name in ("stuck", "unsure", "above", "hidden"))
            assert total == len(concepts)
    assert len(seen) > 2


def test_evidence_of_a_concept_by_mouse_and_by_keyboard(visit, invented):
    gaps, concepts, _ = invented.tables
    page = visit(invented.tables)
    row = gaps[(gaps["class_id"] == TOTAL) & (gaps["concept_id"] == "c6")].iloc[0]
    page.locator("#graph .node").nth(6).click()
    text = page.locator("#evidence").inner_text()
    numbers = [f"{whole(row['mastery'])} %", f"{whole(row['low'])}–{whole(row['high'])} %", str(row["n"]), str(row["responses"])]
    for expected in (*numbers, invented.names[5], invented.names[6], invented.names[7]):
        assert expected in text
    page.keyboard.press("ArrowDown")  # a long chain runs down: from c6 to what builds on it
    page.keyboard.press("Enter")
    assert page.locator("#evidence h2").inner_text() == invented.names[7]
    page.select_option("#cohort", label="7c")
    text = page.locator("#evidence").inner_text()
    assert "Not enough data" in text and not re.search(r"Learners\s+\d|interval|P\(below\)", text)
    page.fill("#search", "concept number 0")
    page.keyboard.press("Enter")
    assert page.locator("#evidence h2").inner_text() == "Concept number 0"
    page.select_option("#cohort", label="all learners")
    page.locator("#graph .node").nth(0).focus()
    page.keyboard.press("Enter")
    assert page.locator("#evidence h2").inner_text() == invented.hostile[0]
    assert "One item: no cause" in page.locator("#evidence").inner_text()


def test_hostile_names_are_shown_as_text(visit, invented):
    page = visit(invented.tables)
    assert page.locator("script").count() == 2 and page.locator("img").count() == 0
    names = page.locator("#matrix tbody th").all_inner_texts()
    assert {" ".join(n.split()) for n in names} == {" ".join(n.split()) for n in invented.names}


def test_exports(visit, invented):
    gaps, concepts, _ = invented.tables
    page = visit(invented.tables)
    with page.expect_download() as saved:
        page.click("#save-csv")
    rows = list(csv.DictReader(Path(saved.value.path()).read_text(encoding="utf-8-sig").splitlines()))
    assert len(rows) == len(gaps)
    assert not [v for row in rows for name, v in row.items() if v and v[0] in "=+-@" and name != "need"]
    assert all(row["mastery"] == "" and row["n"] == "" for row in rows if row["state"] != "estimated")
    with page.expect_download() as saved:
        page.click("#save-png")
    picture = Path(saved.value.path()).read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n" and int.from_bytes(picture[16:20]) >= 900


def test_one_cohort_gives_a_sortable_list_and_fits_a_phone(visit, invented):
    gaps, concepts, prerequisites = invented.school({"one": 30}, invented.names)
    gaps = gaps[gaps["class_id"] == TOTAL]
    page = visit((gaps, concepts, prerequisites), width=360)
    assert page.locator("#matrix").count() == 0 and page.locator("#cohort").is_hidden()
    assert page.locator("#list tbody tr").count() == len(concepts)
    names = dict(zip(concepts["concept_id"], concepts["name"], strict=True))
    by_need = gaps.sort_values("need", ascending=False)["concept_id"].map(names).tolist()
    shown = page.locator("#list tbody th button")
    assert shown.evaluate_all("buttons => buttons.map(b => b.textContent)") == by_need
    page.locator("#list thead button", has_text="Mastery").click()
    page.locator("#list thead button", has_text="Mastery").click()
    assert shown.evaluate_all("buttons => buttons.map(b => b.textContent)") == by_need[::-1]
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
