"""How long a curriculum designer waits for the gap page: until it is drawn, and for every thing it can be asked.

``python -m edukit.experiments.bench_page``, or with ``--data junyi`` on the concepts, edges and responses of Junyi. Needs Playwright and a Chromium.
Timings are benchmarks, never tests: machines differ.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from edukit.data import store
from edukit.data.junyi import Junyi
from edukit.gaps.gap_map import GapMap
from edukit.report import gap_page
from edukit.reproducibility import environment
from edukit.schema import DataError

from .recipe import guard

app = typer.Typer(help=__doc__, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
PAINT_MS, INTERACTION_MS = 2000, 200
Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]

# Told at every load: the first picture, and when the map stood on the screen (two frames after the script had drawn it).
_WATCH = """
new MutationObserver((_, watch) => {
  if (!document.documentElement.dataset.ready) return;
  watch.disconnect();
  const scripted = performance.now();
  requestAnimationFrame(() => requestAnimationFrame(() => { window.told = { scripted, drawn: performance.now() }; }));
}).observe(document, { attributes: true, subtree: true, attributeFilter: ["data-ready"] });
"""

# Milliseconds of the handlers alone, and until the next frame is on the screen.
_TIMED = """
([work, k]) => new Promise(done => {
  const act = new Function("$", "k", work), start = performance.now();
  act(id => document.getElementById(id), k);
  const handled = performance.now() - start;
  requestAnimationFrame(() => setTimeout(() => done([handled, performance.now() - start]), 0));
})
"""

_CHANGE = "; node.dispatchEvent(new Event('change'))"
INTERACTIONS = {
    "move the mark": "const node = $('mark'); node.value = 0.4 + k % 10 / 20; node.dispatchEvent(new Event('input'))",
    "colour by association, and back": "const node = $('colour'); node.value = k % 2 ? 'mastery' : 'cause'" + _CHANGE,
    "choose a concept": "document.querySelectorAll('#graph .node')[37 * k % document.querySelectorAll('#graph .node').length].dispatchEvent("
                        "new Event('click', { bubbles: true }))",
    "find a concept": "const node = $('search'); node.value = 'e' + k % 10; node.dispatchEvent(new Event('input'))",
    "zoom": "$(k % 2 ? 'zoom-out' : 'zoom-in').click()",
    "another cohort": "const node = $('cohort'); node.value = k % node.options.length" + _CHANGE,
    "another order": "const node = $('sort'); if (node) { node.value = k % 2 ? 'name' : 'need'" + _CHANGE + " } "
                     "else document.querySelectorAll('#list thead button')[k % 2].click()",
    "compare two cohorts": "const node = $('compare-b'); if (node) { $('compare').open = true; node.value = k % node.options.length" + _CHANGE + " }",
    "change an edge": "$('editing').open = true; const [one, other] = [$('edit-from'), $('edit-to')]; $('editing').dispatchEvent(new Event('toggle')); "
                      "one.value = k; other.value = k + 101; other.dispatchEvent(new Event('change')); $('edit-reason').value = 'why'; "
                      "if ($('edit-do').disabled) { other.value = k + 257; other.dispatchEvent(new Event('change')) } $('edit-do').click()",
    "undo": "$('edit-undo').click()",
}


def invented(concepts: int, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Sixty learners who answered two items of each concept, and prerequisites among concepts near one another."""
    rng = np.random.default_rng(seed)
    ids = [f"c{k}" for k in range(concepts)]
    items = pd.DataFrame({"item_id": [f"{c}/{k}" for c in ids for k in range(2)], "concept_id": np.repeat(ids, 2)})
    log = pd.DataFrame({"learner_id": [f"L{n}" for n in range(60)]}).merge(items[["item_id"]], how="cross")
    later = rng.integers(1, concepts, int(1.2 * concepts))
    edges = pd.DataFrame({"concept_id": later, "requires_id": np.maximum(0, later - rng.integers(1, 40, len(later)))}).drop_duplicates()
    edges = edges.map(lambda k: f"c{k}").assign(source="expert", weight=1.0)
    named = pd.DataFrame({"concept_id": ids, "name": [f"Concept number {k}" for k in range(concepts)], "topic": [f"Topic {k // 30}" for k in range(concepts)]})
    return {"interactions": log.assign(correct=rng.integers(0, 2, len(log)).astype(float)), "q_matrix": items, "prerequisites": edges, "concepts": named}


def mapped(tables: dict[str, pd.DataFrame], classes: int, seed: int = 0) -> Tables:
    """Gaps from the smoothed share right of each learner, in classes drawn at random, with shares and labels drawn at random.

    What the numbers are changes nothing about what drawing them costs.
    """
    rng, log = np.random.default_rng(seed), tables["interactions"]
    if classes > 1:
        learners = log["learner_id"].unique()
        log = log.assign(class_id=log["learner_id"].map(dict(zip(learners, (f"class {k % classes + 1}" for k in range(len(learners))), strict=True))))
    right = log.merge(tables["q_matrix"][["item_id", "concept_id"]]).groupby(["learner_id", "concept_id"])["correct"].agg(["sum", "count"]).reset_index()
    mean = (right["sum"] + 1) / (right["count"] + 2)
    mastery = right[["learner_id", "concept_id"]].assign(mastery=mean, sd=np.sqrt(mean * (1 - mean) / (right["count"] + 3)), n=right["count"])
    gaps = GapMap().map(mastery, log, tables["q_matrix"])
    shown, stuck = gaps["state"] == "estimated", gaps["stuck"].fillna(False).astype(bool)
    for name in ("prior_knowledge", "teaching", "content", "if_ready", "if_typical_class", "if_clean_items"):
        value = pd.Series(rng.uniform(0.1, 0.9, len(gaps)), index=gaps.index).where(shown)
        gaps = gaps.assign(**{name: value, f"{name}_low": value - 0.1, f"{name}_high": value + 0.1})
    label = pd.Series(rng.choice(["prior_knowledge", "teaching", "content", "curriculum_wide", "undetermined"], len(gaps)), index=gaps.index).where(stuck)
    return gaps.assign(label=label, label_probability=0.8 * stuck.where(stuck)), tables["concepts"], tables["prerequisites"]


def timed(page: Path, chromium: str, loads: int, rounds: int) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Milliseconds of each load (first paint, script done, map drawn), and of each interaction (handlers, and to the next frame)."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise DataError("bench_page asks a browser through playwright; found it absent. pip install 'edukit[bench]', and have Chromium.") from None

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        paints = []
        for _ in range(loads):
            context = browser.new_context(viewport={"width": 1400, "height": 900}, bypass_csp=True)  # the page itself lets nobody run a string
            opened = context.new_page()
            opened.add_init_script(_WATCH)
            opened.goto(page.as_uri())
            opened.wait_for_function("window.told")
            opened.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")  # a quick page is ready before it is painted
            first = opened.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
            paints.append({"first paint": first, **opened.evaluate("window.told")})
            if len(paints) < loads:
                context.close()
        took = {name: np.array([opened.evaluate(_TIMED, [work, k]) for k in range(rounds)]) for name, work in INTERACTIONS.items()}
        browser.close()
    return pd.DataFrame(paints), took


def measure(tables: Tables, loads: int, rounds: int, say: Callable[[str], Any]) -> None:
    """Write the page, time it, and say what was found.

    Raises
    ------
    DataError
        Where there is no Chromium.
    """
    chromium = next((path for name in (os.environ.get("EDUKIT_CHROMIUM"), "chromium", "google-chrome") if name and (path := shutil.which(name))), None)
    if chromium is None:
        raise DataError("a page is timed in a Chromium; found none on the PATH. Install one, or let EDUKIT_CHROMIUM name it.")
    gaps, concepts, prerequisites = tables
    with tempfile.TemporaryDirectory() as place:
        page = gap_page.write(Path(place) / "map.html", gaps, concepts, prerequisites, "bench", [], {})
        say(f"{len(concepts):,} concepts, {len(prerequisites):,} edges, {gaps['class_id'].nunique()} cohorts, page of {page.stat().st_size / 1e6:.2f} MB")
        paints, took = timed(page, chromium, loads, rounds)
    for name, words in (("first paint", "first paint"), ("scripted", "map made by the script"), ("drawn", "map on the screen")):
        found = statistics.median(paints[name])
        say(f"{words:<34}{found:8.0f} ms   (median of {loads}; {paints[name].min():.0f} to {paints[name].max():.0f})   target < {PAINT_MS} ms: "
            f"{'met' if found < PAINT_MS else 'NOT met'}")
    for name, each in {**took, "every interaction": np.concatenate(list(took.values()))}.items():
        handled, drawn = np.percentile(each, 95, axis=0)
        say(f"{name:<34}{handled:8.0f} ms   p95 of the handlers; {drawn:.0f} ms until the next frame   target < {INTERACTION_MS} ms: "
            f"{'met' if handled < INTERACTION_MS else 'NOT met'}")


@app.command()
def page(
    data: Annotated[str, typer.Option(help="invented, or junyi (see data_cards/junyi.md)")] = "invented",
    concepts: Annotated[int, typer.Option(help="concepts of the invented map")] = 835,
    classes: Annotated[int, typer.Option(help="classes the learners are split into at random; 1 = all learners are one cohort")] = 12,
    loads: Annotated[int, typer.Option(help="times the page is opened")] = 5,
    rounds: Annotated[int, typer.Option(help="times each interaction is timed")] = 20,
) -> None:
    """First paint of the gap page and the 95th percentile of each interaction, in milliseconds."""

    def work() -> None:
        if data not in ("invented", "junyi"):
            raise DataError(f"--data must be invented or junyi; found {data!r}.")
        typer.echo("  ".join(f"{name} {version}" for name, version in environment().items() if name in ("python", "platform", "cores", "edukit")))
        tables = invented(concepts) if data == "invented" else store.load(Junyi(), purpose="bench").tables
        measure(mapped(dict(tables), classes), loads, rounds, typer.echo)

    guard(work)


if __name__ == "__main__":
    app()
