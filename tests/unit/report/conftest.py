"""An invented school with gaps and what they are associated with, and a browser that refuses every request but for the page it was given."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from edukit.gaps.gap_map import GapMap
from edukit.report.gap_page import gap_page

HOSTILE = ["<script>alert(1)</script>", "</script><img src=x onerror=alert(2)>", '=HYPERLINK("x")', '{{ 7*7 }} & \u2028 "quoted"', "10^n) 分數", "=cmd()"]
CLASSES = {"7a": 25, "7b": 24, "7c": 6, "=7d": 12, "7e": 26, "<script>alert(4)</script>": 30}
LABELS = ("prior_knowledge", "teaching", "content", "curriculum_wide", "undetermined")


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


def attributed(gaps: pd.DataFrame) -> pd.DataFrame:
    """The same gaps with invented shares, labels and what-ifs: none where hidden, labels where stuck."""
    rng, gaps = np.random.default_rng(1), gaps.copy()
    shown, stuck = (gaps["state"] == "estimated").to_numpy(), gaps["stuck"].fillna(False).to_numpy(bool)
    for name in ("prior_knowledge", "teaching", "content", "if_ready", "if_typical_class", "if_clean_items"):
        value = rng.uniform(0.1, 0.9, len(gaps))
        for end, ends in (("", value), ("_low", value - 0.08), ("_high", value + 0.07)):
            gaps[name + end] = np.where(shown, ends, np.nan)
    gaps["label"] = pd.Series(np.resize(LABELS, stuck.sum()), index=gaps.index[stuck], dtype="str").reindex(gaps.index)
    gaps["label_probability"] = np.where(stuck, 0.83, np.nan)
    gaps["missing_ancestor"] = pd.Series("c1", index=gaps.index, dtype="str").where(gaps["label"] == "prior_knowledge")
    return gaps


def behind(gaps: pd.DataFrame) -> dict[str, object]:
    """Evidence, items and texts of every cell, hidden ones too: there with the number .1358, which no page may hold."""
    rows, texts = [], {}
    for cell in gaps.itertuples():
        value = 0.41 if cell.state == "estimated" else 0.1358
        texts[cell.class_id, cell.concept_id] = f"{cell.class_id} on {cell.concept_id}: <b>{value}</b>"
        for kind, about in (("item", f"{cell.concept_id}/0"), ("distractor", f"{cell.concept_id}/0: =cmd()"), ("prerequisite", "c1"), ("comparison", "7e")):
            rows.append((cell.class_id, cell.concept_id, kind, about, 12, value, value - 0.05, value + 0.05))
    evidence = pd.DataFrame(rows, columns=["class_id", "concept_id", "kind", "about", "n", "value", "low", "high"]).assign(note="<script>alert(5)</script>")
    whole = gaps[gaps["class_id"] == "all"]
    items = pd.DataFrame({"item_id": [f"{c}/{k}" for c in whole["concept_id"] for k in range(2)], "concept_id": np.repeat(whole["concept_id"], 2).to_numpy()})
    items = items.assign(n=np.where(items.index % 2, 7, 40), correct=np.where(items.index % 2, 0.1358, 0.33), discrimination=0.52, dif_group="=boys",
                         dif_delta=-1.8, flags=np.where(items.index % 2, "", "low_discrimination; dif"), flagged=items.index % 2 == 0)
    return {"evidence": evidence, "items": items, "texts": texts}


@pytest.fixture(scope="session")
def invented() -> SimpleNamespace:
    """``school``, ``attributed`` and ``behind`` as above, ``tables`` of one school, and its ``names`` and ``classes``."""
    names = [*HOSTILE, *(f"Concept number {i}" for i in range(6))]
    return SimpleNamespace(school=school, attributed=attributed, behind=behind, names=names, hostile=HOSTILE, classes=CLASSES, tables=school(CLASSES, names))


@pytest.fixture(scope="module")
def browser(chromium: str):
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        opened = started.chromium.launch(executable_path=chromium, args=options)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser, tmp_path):
    """Open a page; every request but for the file itself (and what ``answer`` gives) is refused and counted, every script error too."""
    faults: list[str] = []
    contexts = []

    def refuse(route) -> None:
        faults.append(route.request.url)
        route.abort()

    def visit(tables: tuple, width: int = 1400, answer: Callable | None = None, html: str | None = None, **more: object):
        """``html`` is opened as it is; with ``answer``, the page comes from a server whose other addresses it answers."""
        text = html or gap_page(*tables, "A school", ["Teachers are not known."], {"data": "invented"}, **more)
        path = tmp_path / f"map{len(contexts)}.html"
        path.write_text(text, encoding="utf-8", newline="\n")
        context = browser.new_context(viewport={"width": width, "height": 900}, accept_downloads=True)
        contexts.append(context)
        own = path.as_uri() if answer is None else "http://school.invalid/map"

        def route(route) -> None:
            if route.request.url == own:
                route.continue_() if answer is None else route.fulfill(body=text, content_type="text/html")
            elif answer is None or not answer(route):
                refuse(route)

        context.route("**/*", route)
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


@pytest.fixture(scope="module")
def told(invented):
    """The tables with causes, and the evidence behind them."""
    gaps, concepts, prerequisites = invented.tables
    gaps = invented.attributed(gaps)
    return (gaps, concepts, prerequisites), invented.behind(gaps)
