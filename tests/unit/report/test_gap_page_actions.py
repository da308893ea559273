"""What a curriculum designer does with the gap page: colours by cause, compares, edits the graph with a reason, saves, refits, prints."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from edukit.formats import case, graph_file
from edukit.graph.checking import check

pytestmark = pytest.mark.browser


def whole(share: float) -> int:
    return int(np.floor(100 * share + 0.5))


def saved(page, button: str) -> bytes:
    with page.expect_download() as download:
        page.eval_on_selector(button, "button => button.click()")
    return Path(download.value.path()).read_bytes()


def edit(page, start: int, end: int, reason: str) -> None:
    page.evaluate("document.getElementById('editing').open = true")
    page.select_option("#edit-from", value=str(start))
    page.select_option("#edit-to", value=str(end))
    page.fill("#edit-reason", reason)
    page.click("#edit-do")


def test_colour_by_cause_shows_letters_and_the_labels_of_the_table(visit, told):
    (gaps, concepts, _), more = told
    page = visit(told[0], **more)
    page.select_option("#colour", "cause")
    letters = {"prior_knowledge": "P", "teaching": "T", "content": "C", "curriculum_wide": "W", "undetermined": "?"}
    for label, letter in letters.items():
        cells = page.locator(f"#matrix .cell.{label}").all_inner_texts()
        assert len(cells) == (gaps["label"] == label).sum() and all(text.startswith(letter) for text in cells)
        assert letter in page.locator("#legend").inner_text()
    whole_cohort = gaps[gaps["class_id"] == "all"].set_index("concept_id")["label"].reindex(concepts["concept_id"]).dropna()
    drawn = page.locator("#graph .node g text").evaluate_all("texts => texts.map(t => t.textContent)")
    assert sorted(drawn) == sorted(letters[label] for label in whole_cohort)
    assert page.locator("#off-mark").is_hidden()
    page.locator("#mark").evaluate("slider => { slider.value = 0.5; slider.dispatchEvent(new Event('input')); }")
    assert "computed with a mark of 60 %" in page.locator("#off-mark").inner_text() and page.locator("#matrix .cell.cause").count() > 5
    page.click("#off-mark-back")
    assert page.locator("#off-mark").is_hidden() and page.locator("#mark-value").inner_text() == "60 %"


def test_the_evidence_of_a_cell_holds_its_shares_what_ifs_items_and_words(visit, told, invented):
    (gaps, concepts, _), more = told
    page = visit(told[0], **more)
    row = gaps[(gaps["label"] == "prior_knowledge") & (gaps["class_id"] != "all") & (gaps["concept_id"] != "c1")].iloc[0]
    i, c = int(row["concept_id"][1:]), page.locator("#cohort option").all_inner_texts().index(row["class_id"])
    page.locator(f'#matrix [data-cell="{c},{i}"]').click()
    text = page.locator("#evidence").inner_text()
    for name in ("prior_knowledge", "teaching", "content", "if_ready", "if_typical_class", "if_clean_items"):
        assert f"{whole(row[name])} % ({whole(row[name + '_low'])} to {whole(row[name + '_high'])})" in text
    for expected in ("Prior knowledge, probability .83", "80 % intervals", "associated with", "if these prerequisites were mastered",
                     f"{row['class_id']} on {row['concept_id']}: <b>0.41</b>", f"c{i}/0: =cmd()", "here 41 % right (36 to 46), 12 learners",
                     "all learners 33 % right, 40 learners", "hardly tells apart", "group =boys: MH delta -1.8", "<script>alert(5)</script>",
                     f"{row['n']} learners answered here"):
        assert expected in text, expected
    assert not re.search(r"because|caused by", page.locator("body").inner_text())
    page.locator("#evidence .link", has_text=invented.names[1]).first.click()  # the first missing prerequisite is a link
    assert page.locator("#evidence h2").inner_text() == invented.names[1]
    page.keyboard.press("Escape")
    assert page.locator("#evidence h2").inner_text() == "Evidence"
    rows = page.locator(f'#matrix [data-cell^="{c},"]').evaluate_all("cells => cells.map(cell => cell.dataset.cell)")
    page.locator(f'#matrix [data-cell="{rows[0]}"]').focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.dataset.cell") == rows[1]
    assert page.locator("#evidence h2").inner_text() == " ".join(invented.names[int(rows[1].split(",")[1])].split())


def test_two_classes_are_compared_with_the_interval_of_the_difference(visit, told):
    (gaps, concepts, _), more = told
    page = visit(told[0], **more)
    page.locator("#compare summary").click()
    page.select_option("#compare-a", label="7a")
    page.select_option("#compare-b", label="7e")
    rows = list(csv.DictReader(saved(page, "#save-compared").decode("utf-8-sig").splitlines()))
    a, b = (gaps[gaps["class_id"] == name].set_index("concept_id") for name in ("7a", "7e"))
    both = a.index[a["mastery"].notna() & b["mastery"].notna()]
    difference = (a["mastery"] - b["mastery"])[both].sort_values(ascending=False)
    told_rows = [row for row in rows if row["difference"]]
    assert [row["concept_id"] for row in told_rows] == difference.index.tolist() and len(rows) == len(concepts)
    se = np.hypot((a["high"] - a["low"])[both], (b["high"] - b["low"])[both]) / 2
    for row in told_rows:
        assert float(row["difference_high"]) == pytest.approx((difference + se)[row["concept_id"]], abs=2e-4)
    assert not [value for row in rows for value in (row["concept"], row["cohort_a"]) if value[0] in "=+-@"]
    assert "overlap are no proof" in page.locator("#compare-said").inner_text()
    assert page.locator("#compared tbody tr").count() == len(concepts)
    page.select_option("#compare-b", label="all learners")  # 7a is a part of all: the difference is surer than of strangers
    rows = {row["concept_id"]: row for row in csv.DictReader(saved(page, "#save-compared").decode("utf-8-sig").splitlines())}
    everyone = gaps[gaps["class_id"] == "all"].set_index("concept_id")
    one, every = (((table["high"] - table["low"]) / 2).loc["c2"] for table in (a, everyone))
    reach = np.sqrt(one**2 + every**2 - 2 * a.loc["c2", "n"] / everyone.loc["c2", "n"] * one**2)
    assert (float(rows["c2"]["difference_high"]) - float(rows["c2"]["difference_low"])) / 2 == pytest.approx(reach, abs=2e-3)
    page.select_option("#compare-b", label="7c")
    assert "0 of 12 concepts can be compared" in page.locator("#compare-said").inner_text()


def test_an_edge_is_changed_with_a_reason_and_undone(visit, told, tmp_path, invented):
    (gaps, concepts, prerequisites), more = told
    page = visit(told[0], **more)
    place = "() => [...document.querySelectorAll('#graph .node')].map(node => node.getAttribute('transform'))"
    before = page.evaluate(place)
    edit(page, 5, 6, "")
    assert "give a reason" in page.locator("#edit-said").inner_text() and page.locator("#edits li").count() == 0
    edit(page, 5, 6, "They are =independent() <b>")
    assert page.locator("#graph path[marker-end]").count() == len(prerequisites) - 1
    changed = page.locator("#changed").inner_text()
    assert f"{invented.names[6]}: layer 7 → 1" in changed and "earliest prerequisite below the mark" in changed
    assert "need a new fit" in page.locator("#edit-note").inner_text()
    assert page.evaluate(place)[6] != before[6]
    page.select_option("#edit-from", value="11")
    page.select_option("#edit-to", value="6")
    assert "close a circle" in page.locator("#edit-said").inner_text() and page.locator("#edit-do").is_disabled()
    edit(page, 3, 9, "Fractions first")
    assert page.locator("#graph path[marker-end]").count() == len(prerequisites)
    (tmp_path / "graph.json").write_bytes(saved(page, "#save-graph"))
    (tmp_path / "case.json").write_bytes(saved(page, "#save-case"))
    read = graph_file.canonical(graph_file.read(tmp_path / "graph.json").tables)
    pairs = set(zip(read["prerequisites"]["requires_id"], read["prerequisites"]["concept_id"], strict=True))
    assert pairs == {(f"c{k}", f"c{k + 1}") for k in range(11)} - {("c5", "c6")} | {("c3", "c9")}
    votes = read["votes"].set_index("concept_id")
    assert votes.loc["c6", ["vote", "rationale"]].tolist() == ["no", "They are =independent() <b>"]
    assert read["prerequisites"].set_index(["requires_id", "concept_id"]).loc[("c3", "c9"), "rationale"] == "Fractions first"
    assert {finding.kind for finding in check(read)} <= {"isolated"}
    framework = case.read_framework(tmp_path / "case.json")
    assert framework.title == "A school" and framework.left_out["what"].tolist() == ["abbreviatedStatement"]  # of a name that is nothing but mark-up
    for name, key in (("concepts", ["concept_id"]), ("prerequisites", ["concept_id", "requires_id"])):
        columns = [column for column in read[name] if column in framework.tables[name]]
        assert {"concept_id", "name", "topic", "rationale", "weight", "source"} & set(read[name]) <= set(columns)
        one, other = (table[columns].sort_values(key, ignore_index=True).astype(object) for table in (read[name], framework.tables[name]))
        assert one.where(one.notna(), None).to_dict("records") == other.where(other.notna(), None).to_dict("records")
    again = visit(None, html=saved(page, "#save-html").decode())  # the page itself, with the changes in it
    assert again.locator("#edits li").count() == 2 and again.locator("#graph .node").count() == len(concepts)
    for _ in range(2):
        page.click("#edit-undo")
    assert page.evaluate(place) == before and page.locator("#edit-undo").is_disabled()


def test_what_is_saved_runs_nothing_and_holds_nothing_hidden(visit, told, invented):
    (gaps, concepts, prerequisites), more = told
    page = visit((gaps, concepts, prerequisites), **more)
    files = {button: saved(page, button) for button in ("#save-csv", "#save-compared", "#save-html", "#save-graph", "#save-case")}
    assert all(b"0.1358" not in content for content in files.values())
    rows = list(csv.DictReader(files["#save-csv"].decode("utf-8-sig").splitlines()))
    assert len(rows) == len(gaps)
    quiet = {"class_id", "concept_id", "concept", "topic", "state", "items", "mark", "badge"}
    assert not [value for row in rows if row["state"] != "estimated" for name, value in row.items() if value and name not in quiet]
    texts = [value for row in rows for name in ("class_id", "concept", "topic", "label") if (value := row[name])]
    assert not [value for value in texts if value[0] in "=+-@"] and "'=cmd()" in texts and "<script>alert(1)</script>" in texts
    row = next(row for row in rows if row["label"])
    cell = gaps.set_index(["class_id", "concept_id"]).loc[(row["class_id"].removeprefix("'"), row["concept_id"])]
    assert float(row["if_ready_low"]) == pytest.approx(cell["if_ready_low"], abs=1e-4) and row["label"] == cell["label"]
    again = visit(None, html=files["#save-html"].decode())
    for opened in (page, again):
        opened.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
        assert opened.locator("script").count() == 2 and opened.locator("img, iframe").count() == 0
        names = {" ".join(name.split()) for name in opened.locator("#matrix tbody th").all_inner_texts()}
        assert names == {" ".join(name.split()) for name in invented.names}
        assert "<script>alert(4)</script>" in opened.locator("#cohort option").all_inner_texts()
    for button in ("#save-png", "#save-matrix"):
        picture = saved(page, button)
        assert picture[:8] == b"\x89PNG\r\n\x1a\n" and int.from_bytes(picture[16:20]) >= 900


def test_a_served_page_sends_the_changed_graph_home_and_reloads(visit, told):
    sent = []

    def answer(route) -> bool:
        if route.request.url != "http://school.invalid/refit":
            return False
        sent.append(json.loads(route.request.post_data))
        route.fulfill(json={"location": "http://elsewhere.invalid/map"} if len(sent) == 1 else {})
        return True

    page = visit(told[0], answer=answer, refit="/refit", **told[1])
    assert page.locator("#refit").is_disabled()
    edit(page, 3, 9, "Fractions first")
    page.click("#refit")
    page.locator("#refit-said", has_text="another server").wait_for()  # a function to wait for would be a string that the policy refuses to run
    assert page.locator("#edits li").count() == 1
    copy = saved(page, "#save-html").decode()
    assert "connect-src 'self'" not in copy.split("<style>")[0] and '"refit":null' in copy and 'id="refit"' not in copy.split("<script")[0]
    assert visit(None, html=copy).locator("#edits li").count() == 1  # the copy works on its own
    with page.expect_navigation():
        page.click("#refit")
    page.wait_for_selector("html[data-ready]")
    assert page.locator("#edits li").count() == 0 and len(sent) == 2
    assert [row["rationale"] for row in sent[1]["prerequisites"] if (row["requires_id"], row["concept_id"]) == ("c3", "c9")] == ["Fractions first"]


def test_phone_and_print(visit, told):
    page = visit(told[0], width=360, **told[1])
    page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.evaluate("for (const details of document.querySelectorAll('details')) details.open = false")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.locator("#compared tbody tr").count() and page.locator("#compare-said").is_visible() and page.locator("#about").evaluate("d => d.open")
    assert page.locator(".controls").is_hidden() and page.locator(".fields").first.is_hidden()
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert not page.locator("#about").evaluate("d => d.open")


def test_without_a_graph_the_page_says_so_and_an_edge_can_be_drawn(visit, invented):
    gaps, concepts, prerequisites = invented.tables
    page = visit((gaps, concepts, prerequisites.iloc[:0]))
    assert "Without a graph prior knowledge cannot be judged" in page.locator(".limits").inner_text()
    assert "Without a graph" in page.locator("#evidence").inner_text()
    edit(page, 0, 1, "The first comes first")
    assert page.locator("#graph path[marker-end]").count() == 1 and "layer 1 → 2" in page.locator("#changed").inner_text()
