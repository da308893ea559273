"""The gap page shows what the table holds and nothing else, asks nothing of the network, and runs no text as code."""

from __future__ import annotations

import base64
import csv
import hashlib
import html
import json
import re
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from edukit.gaps.gap_map import GapMap
from edukit.governance.privacy import TOTAL
from edukit.report.gap_page import gap_page, layers, write, write_csv
from edukit.schema import DataError

HOSTILE = ["<script>alert(1)</script>", "</script><img src=x onerror=alert(2)>", '=HYPERLINK("x")',
           '{{ 7*7 }} & \u2028 "quoted"', "10^n) 分數"]


def school(classes: dict[str, int], names: list[str], seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Gaps of invented classes, with the concepts and a chain of prerequisites among them."""
    rng = np.random.default_rng(seed)
    concepts = pd.DataFrame({"concept_id": [f"c{i}" for i in range(len(names))], "name": names, "topic": "Topic <b>"})
    learners = pd.DataFrame([(f"{c}/{i}", c) for c, n in classes.items() for i in range(n)], columns=["learner_id", "class_id"])
    items = pd.DataFrame({"item_id": [f"c{i}/{k}" for i in range(len(names)) for k in range(1 + (i > 0))]})  # c0 has one item
    interactions = learners.merge(items, how="cross")
    mastery = learners[["learner_id"]].merge(concepts[["concept_id"]], how="cross")
    level = mastery["concept_id"].map(dict(zip(concepts["concept_id"], rng.uniform(0.4, 0.9, len(names)), strict=True)))
    mastery = mastery.assign(mastery=np.clip(level + rng.normal(0, 0.15, len(mastery)), 0, 1), sd=0.1, n=2)
    q_matrix = items.assign(concept_id=items["item_id"].str.split("/").str[0])
    gaps = GapMap().map(mastery, interactions.assign(correct=1.0), q_matrix)
    chain = pd.DataFrame({"concept_id": concepts["concept_id"][1:].to_numpy(), "requires_id": concepts["concept_id"][:-1].to_numpy()})
    return gaps, concepts, chain.assign(source="expert", weight=1.0)


NAMES = [*HOSTILE, *(f"Concept number {i}" for i in range(7))]
CLASSES = {"7a": 25, "7b": 24, "7c": 6, "=7d": 12, "7e": 26}


@pytest.fixture(scope="module")
def tables() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    return school(CLASSES, NAMES)


def data_of(page: str) -> dict:
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)[1])


# ---- layout ------------------------------------------------------------------------------------------


def dag(concepts: int, edges: int, seed: int) -> tuple[list[str], list[tuple[str, str]]]:
    rng = np.random.default_rng(seed)
    pairs = {tuple(sorted(rng.choice(concepts, 2, replace=False))) for _ in range(edges)}
    return [f"k{i}" for i in rng.permutation(concepts)], [(f"k{a}", f"k{b}") for a, b in pairs]


@pytest.mark.parametrize("seed", range(8))
def test_prerequisites_lie_left_and_no_two_concepts_overlap(seed):
    concepts, edges = dag(60, 20 * seed, seed)
    place = layers(concepts, edges).set_index("concept_id")
    assert place.index.tolist() == concepts
    assert all(place.loc[a, "x"] < place.loc[b, "x"] for a, b in edges)
    for _, column in place.groupby("x"):
        assert (np.diff(np.sort(column["y"])) >= 1 - 1e-9).all()
    assert place.min().tolist() == [0, 0]


def test_crossings_become_fewer():
    """A bipartite matching drawn in random order: sorting by neighbours undoes every crossing."""
    rng = np.random.default_rng(0)
    right = rng.permutation(15)
    concepts = [f"a{i}" for i in range(15)] + [f"b{i}" for i in right] + ["root", "end"]
    edges = [(f"a{i}", f"b{i}") for i in range(15)] + [("root", f"a{i}") for i in range(15)] + [(f"b{i}", "end") for i in range(15)]
    y = layers(concepts, edges).set_index("concept_id")["y"]
    assert np.corrcoef([y[f"a{i}"] for i in range(15)], [y[f"b{i}"] for i in range(15)])[0, 1] > 0.999


def test_a_cycle_is_drawn_and_an_unknown_concept_refused():
    assert layers(["a", "b", "c"], [("a", "b"), ("b", "c"), ("c", "a"), ("b", "b")])["x"].tolist() == [0, 1, 2]
    with pytest.raises(DataError, match="must be found in concepts"):
        layers(["a"], [("a", "z")])


def test_a_large_map_is_laid_out_quickly():
    concepts, edges = dag(835, 979, 1)
    started = time.process_time()
    layers(concepts, edges)
    assert time.process_time() - started < 2


# ---- what is in the file -----------------------------------------------------------------------------


def test_hidden_cells_hold_no_number(tables):
    gaps, concepts, prerequisites = tables
    assert {"not enough data", "suppressed", "estimated"} == set(gaps["state"])
    cohorts = {c["id"]: c["cells"] for c in data_of(gap_page(gaps, concepts, prerequisites, "t", [], {}))["cohorts"]}
    assert list(cohorts)[0] == TOTAL and set(cohorts) == set(gaps["class_id"])
    for cell in gaps.itertuples():
        stored = cohorts[cell.class_id][int(cell.concept_id[1:])]
        if cell.state == "estimated":
            assert stored[:2] == [cell.n, cell.responses] and stored[2] == pytest.approx(cell.mastery, abs=1e-6)
        else:
            assert stored == {"not enough data": 0, "suppressed": 1}[cell.state]


def test_a_number_in_a_hidden_cell_is_refused(tables):
    gaps, concepts, prerequisites = tables
    leaking = gaps.assign(mastery=gaps["mastery"].fillna(0.5))
    with pytest.raises(DataError, match="no number where state is not"):
        gap_page(leaking, concepts, prerequisites, "t", [], {})
    with pytest.raises(DataError, match="c3"):
        gap_page(gaps, concepts[concepts["concept_id"] != "c3"], prerequisites, "t", [], {})
    with pytest.raises(DataError, match="Choose one term"):
        gap_page(pd.concat([gaps, gaps]), concepts, prerequisites, "t", [], {})


def test_the_file_names_no_address_and_its_policy_allows_its_own_script_only(tables):
    page = gap_page(*tables, "A title", ["A note"], {"data": "invented"})
    assert set(re.findall(r"https?://[^\s\"'<]+", page)) == {"http://www.w3.org/2000/svg"}  # a name, not a request
    assert not re.search(r"<(?:link(?! rel=\"icon\" href=\"data:,\")|iframe|img|script src|form)", page)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function|fetch\(|XMLHttpRequest|import\(", page)
    script = re.search(r"</script>\s*<script>(.*?)</script>", page, re.S)[1]
    allowed = html.unescape(re.search(r"script-src 'sha256-([^']+)'", page)[1])
    assert allowed == base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in page


def test_hostile_text_is_text_everywhere(tables):
    gaps, concepts, prerequisites = tables
    attack = "<script>alert(3)</script>"
    page = gap_page(gaps, concepts, prerequisites.assign(source=attack), attack, [attack], {attack: attack})
    assert page.count("<script") == 2 and page.count("</script>") == 2 and "<img" not in page
    assert [c["name"] for c in data_of(page)["concepts"]] == NAMES


def test_same_tables_same_bytes(tables, tmp_path):
    one = write(tmp_path / "a" / "map.html", *tables, "t", [], {})
    assert one.read_bytes() == write(tmp_path / "b.html", *tables, "t", [], {}).read_bytes()
    assert [p.name for p in one.parent.iterdir()] == ["map.html"]


def test_csv_runs_no_formula_and_can_be_undone(tmp_path):
    gaps, _, _ = school({"=cmd|' /C calc'!A0": 25, "+7b": 24, "@x": 30, "'=y": 22, "-z": 6}, ["a"])
    path = write_csv(gaps, tmp_path / "gaps.csv")
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert not [value for row in rows for name, value in row.items() if value and value[0] in "=+-@" and name != "need"]
    assert all(row["need"] == "" or np.isfinite(float(row["need"])) for row in rows)  # numbers stay numbers, negative ones too
    assert [re.sub(r"^'(?='*[=+\-@])", "", row["class_id"]) for row in rows] == gaps["class_id"].tolist()
    assert all(row["mastery"] == "" for row, state in zip(rows, gaps["state"], strict=True) if state != "estimated")


# ---- in a browser ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(chromium):
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        opened = started.chromium.launch(executable_path=chromium, args=options)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser, tmp_path):
    """Open a page file; every request but for the file itself is refused and counted, every script error too."""
    faults: list[str] = []
    contexts = []

    def refuse(route):
        faults.append(route.request.url)
        route.abort()

    def visit(tables, width: int = 1400):
        path = write(tmp_path / "map.html", *tables, "A school", ["Teachers are not known."], {"data": "invented"})
        context = browser.new_context(viewport={"width": width, "height": 900}, accept_downloads=True)
        contexts.append(context)
        own = path.as_uri()
        context.route("**/*", lambda route: route.continue_() if route.request.url == own else refuse(route))
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
        page.goto(own)
        page.wait_for_selector("html[data-ready]", timeout=10_000)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert faults == []


def whole(share: float) -> int:
    return int(np.floor(100 * share + 0.5))


@pytest.mark.browser
def test_page_shows_the_table(visit, tables):
    gaps, concepts, prerequisites = tables
    page = visit(tables)
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
    assert any(label.startswith(f"Concept number 1, 7a: mastery {whole(first['mastery'])} %") for label in labels)


@pytest.mark.browser
def test_mark_slider_and_cohort_recount_the_stuck(visit, tables):
    gaps, concepts, _ = tables
    page = visit(tables)
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


@pytest.mark.browser
def test_evidence_of_a_concept_by_mouse_and_by_keyboard(visit, tables):
    gaps, concepts, _ = tables
    page = visit(tables)
    row = gaps[(gaps["class_id"] == TOTAL) & (gaps["concept_id"] == "c6")].iloc[0]
    page.locator("#graph .node").nth(6).click()
    text = page.locator("#evidence").inner_text()
    numbers = [f"{whole(row['mastery'])} %", f"{whole(row['low'])}–{whole(row['high'])} %", str(row["n"]), str(row["responses"])]
    for expected in (*numbers, NAMES[5], NAMES[6], NAMES[7]):
        assert expected in text
    page.keyboard.press("ArrowDown")  # a long chain runs down: from c6 to what builds on it
    page.keyboard.press("Enter")
    assert page.locator("#evidence h2").inner_text() == NAMES[7]
    page.select_option("#cohort", label="7c")
    text = page.locator("#evidence").inner_text()
    assert "Not enough data" in text and not re.search(r"Learners|interval|P\(below\)", text)
    page.fill("#search", "concept number 0")
    page.keyboard.press("Enter")
    assert page.locator("#evidence h2").inner_text() == "Concept number 0"
    page.select_option("#cohort", label="all learners")
    page.locator("#graph .node").nth(0).focus()
    page.keyboard.press("Enter")
    assert page.locator("#evidence h2").inner_text() == HOSTILE[0]
    assert "One item: no cause" in page.locator("#evidence").inner_text()


@pytest.mark.browser
def test_hostile_names_are_shown_as_text(visit, tables):
    page = visit(tables)
    assert page.locator("script").count() == 2 and page.locator("img").count() == 0
    names = page.locator("#matrix tbody th").all_inner_texts()
    assert {" ".join(n.split()) for n in names} == {" ".join(n.split()) for n in NAMES}


@pytest.mark.browser
def test_exports(visit, tables):
    gaps, concepts, _ = tables
    page = visit(tables)
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


@pytest.mark.browser
def test_one_cohort_gives_a_sortable_list_and_fits_a_phone(visit):
    gaps, concepts, prerequisites = school({"one": 30}, NAMES)
    gaps = gaps[gaps["class_id"] == TOTAL]
    page = visit((gaps, concepts, prerequisites), width=390)
    assert page.locator("#matrix").count() == 0 and page.locator("#cohort").is_hidden()
    assert page.locator("#list tbody tr").count() == len(concepts)
    names = dict(zip(concepts["concept_id"], concepts["name"], strict=True))
    by_need = gaps.sort_values("need", ascending=False)["concept_id"].map(names).tolist()
    shown = page.locator("#list tbody th button")
    assert shown.evaluate_all("buttons => buttons.map(b => b.textContent)") == by_need
    page.locator("#list thead button", has_text="Mastery").click()
    page.locator("#list thead button", has_text="Mastery").click()
    assert shown.evaluate_all("buttons => buttons.map(b => b.textContent)") == by_need[::-1]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.browser
def test_a_map_of_835_concepts_stays_quick(visit):
    names = [f"Concept {i}" for i in range(835)]
    gaps, concepts, _ = school({"one": 12}, names)
    ids, edges = dag(835, 979, 2)
    edges = pd.DataFrame(edges, columns=["requires_id", "concept_id"]).apply(lambda c: c.str.replace("k", "c"))
    page = visit((gaps[gaps["class_id"] == TOTAL], concepts, edges.assign(source="expert", weight=1.0)))
    assert page.locator("#graph .node").count() == 835
    spent = page.evaluate("""() => { const start = performance.now();
        for (let k = 0; k < 20; k++) document.getElementById("zoom-in").click();
        const slider = document.getElementById("mark"); slider.value = 0.7; slider.dispatchEvent(new Event("input"));
        return performance.now() - start; }""")
    assert spent < 2000
