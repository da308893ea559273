"""What the page says of classes, concepts and learners in words, where it may name a learner, and what it says where teaching cannot be judged."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest

from edukit.report.gap_page import gap_page
from edukit.report.learners_below import NAMES, learners_below
from edukit.report.narrative import Narrator
from edukit.schema import DataError
from edukit.serve_map import without_learners


def data_of(page: str) -> dict:
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)[1])


@pytest.fixture(scope="module")
def school(told) -> dict:
    """One posterior of learners and the map of it, its texts and whom to talk to."""
    (gaps, concepts, prerequisites), more = told
    learners = pd.DataFrame([(f"{c}/{i}", c) for c in gaps["class_id"].unique() if c != "all" for i in range(6)], columns=["learner_id", "class_id"])
    mastery = learners[["learner_id"]].merge(concepts[["concept_id"]], how="cross")
    level = np.tile([0.2, 0.3, 0.55, 0.58, 0.7, 0.9], len(learners) // 6).repeat(len(concepts))
    mastery = mastery.assign(mastery=level, sd=0.1, n=0)  # some models do not count
    items = concepts[["concept_id"]].assign(item_id=concepts["concept_id"] + "/1")
    log = learners.merge(items[["item_id"]], how="cross")
    texts = Narrator(gaps, concepts, prerequisites).told()
    below = learners_below(mastery, gaps, log, items, concepts, prerequisites)
    return {"tables": (gaps, concepts, prerequisites), "more": {**more, "texts": texts}, "mastery": mastery, "log": log, "items": items,
            "texts": texts, "below": below}


def test_whom_to_talk_to_are_learners_of_stuck_cells_and_nothing_hidden_is_told(school):
    gaps, concepts, prerequisites = school["tables"]
    below, stuck = school["below"], gaps[gaps["stuck"].fillna(False).astype(bool) & (gaps["class_id"] != "all")]
    assert set(zip(below["class_id"], below["concept_id"], strict=True)) == set(zip(stuck["class_id"], stuck["concept_id"], strict=True))
    for (name, _), rows in below.groupby(["class_id", "concept_id"]):
        assert rows["learner_id"].tolist() == [f"{name}/{i}" for i in range(4)] and rows["mastery"].is_monotonic_increasing
    name = next(c for c in stuck["class_id"].unique() if (gaps.loc[gaps["class_id"] == c, "state"] == "estimated").all())
    cut = gaps.assign(state=gaps["state"].where((gaps["class_id"] != name) | (gaps["concept_id"] != "c0"), "suppressed"))
    hidden = learners_below(school["mastery"], cut, school["log"], school["items"], concepts, prerequisites)
    own = hidden[hidden["class_id"] == name]
    assert len(own) and "c0" not in set(own["concept_id"]) and f"all {len(concepts) - 1} concepts" in own["text"].iloc[0]
    nobody = learners_below(school["mastery"], gaps.assign(stuck=False), school["log"].drop(columns="class_id"), school["items"], concepts, prerequisites)
    assert nobody.empty and tuple(nobody.columns) == NAMES
    with pytest.raises(DataError, match="column that made the classes"):
        learners_below(school["mastery"], gaps, school["log"], school["items"], concepts, prerequisites, by="teacher_id")


def test_texts_of_classes_and_concepts_reach_the_page_but_for_hidden_ones(school):
    gaps, texts = school["tables"][0], school["texts"]
    data = data_of(gap_page(*school["tables"], "t", [], {}, **school["more"]))
    shown = gaps[gaps["state"] == "estimated"]
    assert {c["id"]: c.get("told") for c in data["cohorts"]} == {
        name: texts[name, None] if name in set(shown["class_id"]) else None for name in gaps["class_id"].unique()}
    assert {c["id"]: c.get("told") for c in data["concepts"]} == {c: texts[None, c] for c in gaps["concept_id"].unique()}
    covered = gaps.assign(**{c: gaps[c].where(gaps["concept_id"] != "c3") for c in gaps.columns if c not in ("class_id", "concept_id", "state", "items")})
    covered["state"] = covered["state"].where(covered["concept_id"] != "c3", "suppressed")
    assert "told" not in data_of(gap_page(covered, *school["tables"][1:], "t", [], {}, texts=texts))["concepts"][3]


def test_a_page_that_can_be_passed_on_names_no_learner(school):
    gaps, *_ = school["tables"]
    with pytest.raises(DataError, match="names no learner"):
        gap_page(*school["tables"], "t", [], {}, learners=school["below"])
    unseen = gaps.loc[gaps["state"] != "estimated", ["class_id", "concept_id"]].assign(learner_id="x-unseen", mastery=0.1, text="x")
    strange = pd.concat([school["below"], unseen])
    served = gap_page(*school["tables"], "t", [], {}, learners=strange, refit="/refit")
    assert "x-unseen" not in served and sum(len(rows) for of in data_of(served)["learners"].values() for rows in of.values()) == len(school["below"])


@pytest.mark.parametrize(("classes", "words"), [
    ({}, "Without classes teaching cannot be judged"), ({"7a": 25}, "With one class teaching cannot be judged"),
    ({"7a": 25, "7b": 6}, "Teaching cannot be judged: at most one class has enough data"), ({"7a": 25, "7b": 24}, None)])
def test_where_there_is_no_class_to_compare_with_the_page_says_so(invented, classes, words):
    gaps, concepts, prerequisites = invented.school(classes or {"7a": 25}, ["one", "two"])
    page = gap_page(gaps if classes else gaps[gaps["class_id"] == "all"], concepts, prerequisites, "t", [], {})
    found = re.findall(r"<li>([^<]*eaching cannot be judged[^<]*)</li>", page)
    assert len(found) == (words is not None) and all(words in text for text in found)


@pytest.mark.browser
def test_words_differences_and_learners_are_shown_and_no_copy_names_one(visit, school):
    gaps, *_ = school["tables"]
    row = school["below"].iloc[0]
    page = visit(school["tables"], answer=lambda route: False, refit="/refit", learners=school["below"], **school["more"])
    c, i = page.locator("#cohort option").all_inner_texts().index(row["class_id"]), int(row["concept_id"][1:])
    page.locator(f'#matrix [data-cell="{c},{i}"]').click()
    assert page.locator("#cohort-told").inner_text() == school["texts"][row["class_id"], None]
    text = page.locator("#evidence").inner_text()
    assert school["texts"][None, row["concept_id"]] in text and "Written for the mark" not in text
    one, other = (gaps[(gaps["class_id"] == name) & (gaps["concept_id"] == row["concept_id"])].iloc[0] for name in (row["class_id"], "7b"))
    points = abs(one["mastery"] - other["mastery"])
    reach = np.hypot(one["high"] - one["low"], other["high"] - other["low"]) / 2
    near = re.search(r"7b\s*here [+−]?(\d+) points \(95 % interval ([+−]?)(\d+) to ([+−]?)(\d+)\)", text)
    assert near and abs(int(near[1]) - 100 * points) <= 0.51
    ends = [int(value) * (-1 if sign == "−" else 1) for sign, value in ((near[2], near[3]), (near[4], near[5]))]
    assert ends[1] - ends[0] == pytest.approx(200 * reach, abs=1.1)
    named = page.locator("#evidence .whom summary")
    assert named.first.inner_text() == f"{row['learner_id']}: {100 * row['mastery']:.0f} %"
    named.first.click()
    assert page.locator("#evidence .whom p").first.inner_text() == row["text"]
    text = page.content() + page.evaluate("new XMLSerializer().serializeToString(document)").replace(page.locator("#data").text_content(), "")
    assert row["text"] not in text, "what a browser writes out has no shadow"
    page.locator("#mark").evaluate("(slider) => { slider.value = 0.7; slider.dispatchEvent(new Event('input')); }")
    assert "Written for the mark of 60 %" in page.locator("#cohort-told").inner_text()
    page.emulate_media(media="print")
    assert not page.locator("#evidence .whom").is_visible()
    page.emulate_media(media="screen")
    page.locator("#exports summary").click()
    with page.expect_download() as one_saved:
        page.click("#save-html")
    copy = one_saved.value.path().read_text(encoding="utf-8")
    assert '"learners"' not in copy and not [name for name in school["below"]["learner_id"].unique() if f'"{name}"' in copy]


@pytest.mark.browser
@pytest.mark.parametrize("known", [True, False])
def test_a_page_asks_its_server_for_learners_and_what_is_saved_of_it_names_none(visit, school, known):
    row, asked = school["below"].iloc[0], []
    html = gap_page(*school["tables"], "t", [], {}, refit="/refit", learners=school["below"], **school["more"])
    learners = data_of(html)["learners"]
    html = without_learners(html)
    assert row["learner_id"] not in html and data_of(html)["learners"] is True and without_learners(html) == html

    def answer(route) -> bool:
        asked.append(route.request.url)
        route.fulfill(json=learners) if known else route.fulfill(body="no JSON")
        return True

    page = visit((), html=html, answer=answer)
    c, i = page.locator("#cohort option").all_inner_texts().index(row["class_id"]), int(row["concept_id"][1:])
    page.locator(f'#matrix [data-cell="{c},{i}"]').click()
    if known:
        assert page.locator("#evidence .whom summary").first.inner_text() == f"{row['learner_id']}: {100 * row['mastery']:.0f} %"
        page.locator("#evidence .whom summary").first.click()
    else:
        assert "who they are is not in this file" in page.locator("#evidence").inner_text()
    assert asked == ["http://school.invalid/map/learners"]
    assert not [name for name in school["below"]["learner_id"].unique() if name in page.content()], "as it came, and with the learners open"
