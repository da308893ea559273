"""The leaderboard shows the records and nothing else, asks nothing of the network, runs no text as code, and sorts."""

from __future__ import annotations

import base64
import hashlib
import html
import re

import numpy as np
import pytest

from edukit.metrics import record
from edukit.report import figures, leaderboard_figures
from edukit.report.leaderboard import Leaderboard
from edukit.schema import DataError

HOSTILE = "<script>alert(1)</script>"
MODELS = {"dkt": 0.767, "logistic": 0.773, HOSTILE: 0.71, "item_mean": 0.64}


def records() -> list[dict]:
    found = []
    for place, (model, auc) in enumerate(MODELS.items()):
        where = {"split": "test", "model": model}
        found += [record("auc", auc, 5000, auc - 0.01, auc + 0.01, **where), record("auc_sd", 0.001, 3, **where), record("brier", 0.2, 5000, **where),
                  record("ece", 0.05, 5000, **where), record("ece", 0.01 + 0.01 * place, 5000, channel="calibrated", **where),
                  record("auc", 0.7, 50, 0.6, 0.8, group="gender=f", **where), record("auc", None, group="gender=x (not enough data)", **where)]
        found += [record("auc", auc - 0.1 / k, 50 * k, auc - 0.2 / k, auc, group=f"first {k} answers", **where) for k in (1, 5, 50)]
        found += [record("fit_seconds", 10.0 ** place, 3, **where)] if model != "item_mean" else []
    return found


@pytest.fixture
def board(tmp_path) -> Leaderboard:
    drawn = {"cost": leaderboard_figures.cost(records()), "cold_start": leaderboard_figures.cold_start(records(), ["item_mean"])}
    pictures = {name: figures.save(figure, tmp_path / f"{name}.png", dpi=60) for name, figure in drawn.items()}
    return Leaderboard(f"Models {HOSTILE}", records(), [f"logistic leads {HOSTILE}"], ["Test rows: split learner."], ["a and b: not distinguishable"],
                       {"das3h": f"needs {HOSTILE}"}, ["item_mean"], ["dkt"], {"command": "edukit run benchmark data=x", "data": "x, fingerprint abc"},
                       pictures)


def test_the_page_says_everything_and_is_complete_in_itself(board):
    page = board.page()
    for words in ("Test rows: split learner.", "a and b: not distinguishable", "edukit run benchmark data=x", "fingerprint abc", "das3h", "not enough data"):
        assert words in page
    assert re.findall(r"https?://[^\s\"'<]+", page) == [] and not re.search(r"<(?:link(?! rel=\"icon\" href=\"data:,\")|iframe|script src|form)", page)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function|fetch\(|XMLHttpRequest|import\(", page)
    script = re.search(r"<script>(.*?)</script>", page, re.S)[1]
    assert html.unescape(re.search(r"script-src 'sha256-([^']+)'", page)[1]) == base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert page.count("<script") == 1 and "default-src 'none'" in page and page.count("<img ") == 2


def test_rows_stand_by_auc_floors_and_missed_calibration_are_marked(board):
    rows = re.findall(r'<tr class="(.*?)">\s*<th scope="row" data-value="(.*?)">(.*?)</tr>', board.page(), re.S)
    assert [html.unescape(name) for _, name, _ in rows] == ["logistic", "dkt", HOSTILE, "item_mean"]
    assert [kind for kind, _, _ in rows] == ["", "network", "", "floor"]
    assert ["above .02" in rest for _, _, rest in rows] == [False, False, True, True]  # .02 itself is met
    assert ".773" in rows[0][2] and "[.763, .783]" in rows[0][2]
    with pytest.raises(DataError, match="AUC of one model"):
        Leaderboard("t", []).page()


def test_same_records_same_bytes_and_nothing_half_written(board, tmp_path):
    one = board.write(tmp_path / "a" / "board.html")
    assert one.read_bytes() == board.write(tmp_path / "b.html").read_bytes() and [p.name for p in one.parent.iterdir()] == ["board.html"]


def test_figures_draw_every_model_and_both_calibrations():
    y, p = np.tile([0.0, 1, 1, 0], 50), np.linspace(0.02, 0.98, 200)
    drawn = leaderboard_figures.reliabilities(y, {f"m{i}": ([p, p], [np.full(200, 0.5)] * 2) for i in range(5)})
    assert [ax.get_title(loc="left").split("\n")[0] for ax in drawn.axes[:5]] == [f"m{i}" for i in range(5)]
    assert all("→ 0.000" in ax.get_title(loc="left") for ax in drawn.axes[:5])
    curve = leaderboard_figures.cold_start(records(), ["item_mean"]).axes[0]
    assert {line.get_label() for line in curve.lines} == set(MODELS)
    assert {t.get_text() for t in leaderboard_figures.cost(records()).axes[0].texts} == set(MODELS) - {"item_mean"}
    for empty in (lambda: leaderboard_figures.cost([]), lambda: leaderboard_figures.cold_start([]), lambda: leaderboard_figures.reliabilities(y, {})):
        with pytest.raises(DataError):
            empty()


@pytest.mark.browser
@pytest.mark.parametrize("width", [1400, 390])
def test_in_a_browser_it_sorts_shows_text_as_text_and_fits(board, tmp_path, chromium, width):
    playwright = pytest.importorskip("playwright.sync_api")
    path, faults = board.write(tmp_path / "board.html"), []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.route("**/*", lambda route: route.continue_() if route.request.url == path.as_uri() else (faults.append(route.request.url), route.abort()))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]", timeout=10_000)
        shown = page.locator("#board tbody th")
        assert [text.split("\n")[0].strip() for text in shown.all_inner_texts()][2].startswith(HOSTILE)
        by = {"fit s": [HOSTILE, "logistic", "dkt", "item_mean"], "Model": [HOSTILE, "dkt", "item_mean", "logistic"]}
        for heading, order in by.items():
            page.locator("#board thead button", has_text=heading).first.click()
            assert shown.evaluate_all("cells => cells.map(cell => cell.dataset.value)") == order
        page.locator("#board thead button", has_text="fit s").first.click()
        page.locator("#board thead button", has_text="fit s").first.click()
        assert shown.evaluate_all("cells => cells.map(cell => cell.dataset.value)") == ["dkt", "logistic", HOSTILE, "item_mean"]  # no number: last
        assert page.locator("#board th[aria-sort=ascending]").inner_text().startswith("fit s")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("img").evaluate_all("all => all.every(img => img.naturalWidth > 100)")
        browser.close()
    assert faults == []
