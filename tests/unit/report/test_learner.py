"""The page of one learner: where they stand follows from the estimate and the graph, no text is parsed, nothing is asked of the network."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest

from edukit.graph.concept_graph import ConceptGraph
from edukit.report import institution, learner_figure
from edukit.report.learner import LearnerPage
from edukit.report.learner_standing import ends, in_reach, not_yet, readiness, standing, strengths
from edukit.schema import DataError

HOSTILE = "<script>alert(1)</script>"
NAMES = {"a": "Whole numbers", "b": HOSTILE, "c": "Costs $5", "d": "Ratios", "e": "Slope", "f": "Islands"}
EDGES = pd.DataFrame({"concept_id": ["b", "c", "d", "e"], "requires_id": ["a", "a", "c", "d"], "source": "expert", "weight": [1.0, 0.9, 1.0, 1.0]})
MASTERY = pd.DataFrame({"learner_id": "=cmd()", "concept_id": list(NAMES), "mastery": [0.92, 0.9, 0.3, 0.15, 0.1, 0.5],
                        "sd": [0.03, 0.04, 0.1, 0.05, 0.05, 0.1], "n": [8, 8, 6, 6, 6, 0]})


@pytest.fixture(scope="module")
def graph() -> ConceptGraph:
    q_matrix = pd.DataFrame([(f"{c}{i}", c) for c in NAMES for i in range(3)], columns=["item_id", "concept_id"])
    return ConceptGraph.from_tables(pd.DataFrame({"concept_id": list(NAMES), "name": list(NAMES.values())}), EDGES, q_matrix)


@pytest.fixture(scope="module")
def history() -> pd.DataFrame:
    items = [f"{c}{i % 3}" for c, n in zip(MASTERY["concept_id"], MASTERY["n"], strict=True) for i in range(n)]
    right = [c[0] in "ab" for c in items]
    return pd.DataFrame({"learner_id": "=cmd()", "item_id": items, "correct": np.array(right, float), "order": range(len(items)),
                         "timestamp": pd.date_range("2026-01-05", periods=len(items), freq="h", tz="UTC")})


@pytest.fixture(scope="module")
def where(graph, history) -> pd.DataFrame:
    return standing(MASTERY, history, graph)


@pytest.fixture(scope="module")
def full(graph, history, where) -> LearnerPage:
    steps = pd.DataFrame({"step_ahead": range(1, 21), "item_id": ["c0", "d0"] * 10, "mean": 0.4, "low": 0.25, "high": 0.55, "share": 0.41,
                          "share_low": 0.32, "share_high": 0.5})
    choices = pd.DataFrame({"item_id": ["d0", "d1"], "option": [HOSTILE, "C"], "times": [2, 1], "n": [40, None], "share": [0.6, None],
                            "state": ["shown", "hidden"], "common": [True, False], "requires_id": ["c", "c"]})
    patterns = pd.DataFrame({"requires_id": ["c"], "n": [5], "chosen": [5], "otherwise": [1.4], "p": [0.0004], "state": ["likely"]})
    pace = pd.DataFrame({"kind": ["pace", "hints"], "measure": ["days with answers a week", "hints per answer"], "value": [2.5, None], "low": np.nan,
                         "high": np.nan, "unit": ["days", ""], "n": [9, None], "typical": [3.0, None], "state": ["logged", "not logged"]})
    evidence = pd.DataFrame({"concept_id": ["c"] * 2, "order": [16, 3], "item_id": ["c0", "a0"], "correct": [0.0, 1.0], "relation": ["itself", "prerequisite"],
                             "moved": [-0.11, 0.02]})
    items = pd.DataFrame({"item_id": ["c0"], "name": ["<i>What</i> is it?"]})
    return LearnerPage("=cmd()", history, where, graph, choices, patterns, steps, "For 20 items.", pace, evidence, items, {"data": "invented"})


@pytest.fixture
def undrawn(monkeypatch):
    """Pages whose picture is not looked at are made without it."""
    monkeypatch.setattr(LearnerPage, "figure", lambda page: None)


def test_states_follow_from_mean_and_spread_and_the_fringe_from_what_is_mastered(where):
    rows = where.set_index("concept_id")
    assert rows["state"].to_dict() == {"a": "strength", "b": "strength", "c": "not yet", "d": "not yet", "e": "not yet", "f": "not enough data"}
    assert list(strengths(where)["concept_id"]) == ["a", "b"]
    assert list(in_reach(where)["concept_id"]) == ["c", "f"] and list(not_yet(where)["concept_id"]) == ["e", "d"]
    assert rows.loc["f", ["mastery", "sd", "low", "high", "p_mastered", "right"]].isna().all() and rows.loc["f", "ready"] == 1
    assert rows.loc["e", "missing"] == ["d"] and rows.loc["c", "missing"] == [] and rows.loc["a", "right"] == 1
    assert rows.loc["c", "ready"] == pytest.approx(1 - 0.9 * (1 - rows.loc["a", "p_mastered"]))


def test_readiness_of_alternatives_needs_one_of_them():
    edges = pd.DataFrame({"concept_id": "z", "requires_id": ["x", "y"], "source": "expert", "weight": 1.0})
    known = pd.Series({"x": 0.9, "y": 0.2, "z": 0.1})
    assert readiness(ConceptGraph.from_tables(None, edges, None), known)["z"] == pytest.approx(0.18)
    either = ConceptGraph.from_tables(None, edges.assign(group="either"), None)
    assert readiness(either, known)["z"] == pytest.approx(1 - 0.1 * 0.8)


def test_intervals_stay_inside_and_hold_what_they_say():
    low, high = ends(np.array([0.01, 0.5, 0.99, 0.5]), np.array([0.2, 0.05, 0.3, 0.5]))
    assert ((low >= 0) & (high <= 1) & (low <= high)).all()
    draws = np.random.default_rng(0).beta(49.5, 49.5, 20_000)
    assert ((low[1] <= draws) & (draws <= high[1])).mean() == pytest.approx(0.8, abs=0.02)


def test_a_prerequisite_without_an_answer_leaves_readiness_open(graph, history):
    unmet = history[~history["item_id"].str.startswith("c")]
    rows = standing(MASTERY.assign(mastery=[0.92, 0.9, 0.9, 0.15, 0.1, 0.5]), unmet, graph).set_index("concept_id")
    assert rows.loc["d", "in_reach"] and np.isnan(rows.loc["d", "ready"]) and rows.loc["c", "state"] == "not enough data"


def test_every_number_of_a_sentence_is_among_its_figures(full):
    told = full.narrative()
    text = told.text.replace("above 99 %", "").replace("below 1 %", "")
    for value in told.figures.values():
        text = text.replace(value, "") if isinstance(value, str) else text
    shares = [value for value in told.figures.values() if isinstance(value, float)]
    rounded = {str(int(np.floor(100 * v + 0.5))) for v in shares} | {f"{v:.1f}" for v in shares} | {str(v) for v in told.figures.values()}
    assert [n for n in re.findall(r"\d+(?:\.\d+)?", text) if n not in rounded] == []
    assert "because" not in text and "“=cmd()”" in told.text and "In reach are 2 concepts" in told.text


def test_the_page_shows_text_as_text_and_asks_nothing(full):
    page = full.page()
    assert "<script" not in page and "<i>What" not in page and "&lt;script&gt;" in page and "&lt;i&gt;What" in page
    assert "default-src 'none'" in page and not re.findall(r"(?:src|href)=\"(?!#|data:)", page) and "Macro" not in page
    assert "Not logged: hints" in page and "below .001" in page and "not logged" in page
    assert re.search(r'<img alt="[^"]*6 concepts[^"]*2 in reach', page) and page.count('tabindex="0"') >= 4
    assert len(page.encode()) < 1_500_000


def test_tables_and_json_hold_the_same_and_no_formula(full, tmp_path):
    content = json.loads(full.write_json(tmp_path / "profile.json").read_text(encoding="utf-8"))
    assert content["strengths"] == ["a", "b"] and content["in_reach"] == ["c", "f"] and content["enough_data"]
    row = next(row for row in content["concepts"] if row["concept_id"] == "f")
    assert row["mastery"] is None and row["state"] == "not enough data" and row["prerequisites"] == []
    assert content["wrong_options"][1]["share"] is None and content["figures"]["learner"] == "=cmd()"
    from edukit.report.learner import write_csv

    table = pd.read_csv(write_csv(full.table(), tmp_path / "profile.csv"))
    assert table["learner_id"].unique().tolist() == ["'=cmd()"] and table["missing"].fillna("").tolist() == ["", "", "", "c", "d", ""]


def test_with_few_answers_there_is_no_number_to_mistake_for_a_finding(graph, history):
    few = history.head(3)
    ahead = pd.DataFrame({"step_ahead": [1], "mean": [0.4], "low": [0.2], "high": [0.6]})
    page = LearnerPage("=cmd()", few, standing(MASTERY, few, graph), graph, forecast=ahead)
    text = page.page()
    assert "Not enough data." in text and "a profile needs 5" in text and 'id="strengths"' not in text and "<dd>40 %" not in text
    assert "Not enough data" in page.narrative().text and not page.content()["enough_data"]
    none = LearnerPage("=cmd()", history.head(0), standing(MASTERY, history.head(0), graph), graph)
    assert "no response yet" in none.page()


def test_without_options_forecast_and_pace_the_page_says_so(graph, history, where, undrawn):
    page = LearnerPage("=cmd()", history, where, graph).page()
    assert "Not logged: which option was chosen" in page and "No forecast was made." in page and "Not logged: options chosen" in page


def test_without_prerequisites_nothing_is_said_to_be_in_reach(graph, history, undrawn):
    bare = graph.replace(None)
    page = LearnerPage("=cmd()", history, standing(MASTERY, history, bare), bare)
    assert not page.standing["in_reach"].any() and "the data has no prerequisites" in page.page() and "In reach" not in page.narrative().text


def test_what_cannot_be_a_profile_is_refused(graph, history, where):
    with pytest.raises(DataError, match="that learner's responses alone; found 'u2' in 1 of"):
        LearnerPage("=cmd()", pd.concat([history, history.head(1).assign(learner_id="u2")]), where, graph)
    with pytest.raises(DataError, match="no low"):
        LearnerPage("=cmd()", history, where, graph, forecast=pd.DataFrame({"step_ahead": [1], "mean": [0.4]}))
    with pytest.raises(DataError, match="one learner; found 2"):
        standing(pd.concat([MASTERY, MASTERY.assign(learner_id="u2")]), history, graph)
    with pytest.raises(DataError, match="no row of 'c'"):
        standing(MASTERY[MASTERY["concept_id"] != "c"], history, graph)


def test_a_large_map_is_drawn_where_the_learner_is(monkeypatch, graph, where):
    monkeypatch.setattr(learner_figure, "MOST", 3)
    assert set(learner_figure.drawn(where)["concept_id"]) == {"a", "c", "f"}
    figure = learner_figure.on_graph(where, graph)
    assert "3 concepts are not drawn" in figure.axes[0].get_title(loc="left")
    with pytest.raises(DataError, match="found none"):
        learner_figure.on_graph(where.iloc[:0], graph)


@pytest.mark.browser
def test_in_a_browser_it_fits_a_phone_goes_by_keyboard_and_prints(full, browser, tmp_path):
    path = full.write(tmp_path / "profile.html")
    faults: list[str] = []
    page = browser.new_page(viewport={"width": 360, "height": 800})
    page.on("request", lambda request: faults.append(request.url) if not request.url.startswith(("file:", "data:")) else None)
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 360 and page.locator("h1").inner_text() == "=cmd()"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    summary = page.locator("#reach summary").first
    summary.focus()
    page.keyboard.press("Enter")
    lines = page.locator("#reach li .evidence-lines li").all_inner_texts()
    assert [line.split(" (")[0] for line in lines] == ["wrong on <i>What</i> is it?", "right on a0"] and "−11.0 points" in lines[0]
    page.close()
    assert faults == []
    printed = institution.pdf(path, tmp_path / "profile.pdf")
    assert printed is not None and printed.read_bytes()[:5] == b"%PDF-"
