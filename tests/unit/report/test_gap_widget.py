"""A cell of a notebook shows the page, and what is chosen there and in Python is one thing."""

from __future__ import annotations

import pytest

from edukit.report.gap_widget import GapWidget
from edukit.schema import DataError

# What JupyterLab gives a widget: a model with the traits of Python, kept in the page, and an element to fill.
NOTEBOOK = """async ([code, traits]) => {
  const listeners = {};
  window.model = { saved: 0, get: name => traits[name], set: (name, value) => { traits[name] = value; }, save_changes: () => { window.model.saved += 1; },
    on: (name, call) => { listeners[name] = call; }, off: name => { delete listeners[name]; },
    fromPython: (name, value) => { traits[name] = value; listeners[`change:${name}`](); }, listeners: () => Object.keys(listeners).length };
  const widget = (await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })))).default;
  window.end = widget.render({ model: window.model, el: document.body });
}"""


@pytest.fixture(scope="module")
def widget(invented) -> GapWidget:
    gaps, concepts, prerequisites = invented.tables
    return GapWidget(gaps, concepts, prerequisites, "A school", ["Teachers are not known."], height=700)


def test_selected_names_what_the_map_has(widget):
    assert widget.selected == {"concept_id": None, "class_id": None} and widget.height == 700
    widget.selected = {"concept_id": "c2"}
    assert widget.selected == {"concept_id": "c2", "class_id": None}
    for wrong in ({"concept_id": "z"}, {"class_id": "9z"}, {"teacher_id": "t"}):
        with pytest.raises(DataError, match="must name a concept_id and a class_id of the map"):
            widget.selected = wrong
    assert widget.selected["concept_id"] == "c2"


def test_a_widget_has_no_server_to_ask(invented):
    with pytest.raises(DataError, match="no server"):
        GapWidget(*invented.tables, refit="/refit")


@pytest.mark.browser
def test_what_is_chosen_comes_back_and_can_be_set(browser, widget, invented):
    context, faults = browser.new_context(), []
    context.route("**/*", lambda route: (faults.append(route.request.url), route.abort()))
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    page.evaluate(NOTEBOOK, [widget._esm, {"page": widget.page, "height": 700, "selected": {"concept_id": None, "class_id": None}}])
    frame = page.frame_locator("iframe")
    frame.locator("html[data-ready]").wait_for(state="attached")
    frame.locator("#graph .node").nth(6).click()
    page.wait_for_function("window.model.get('selected').concept_id === 'c6'")
    frame.locator("#cohort").select_option(label="7b")
    page.wait_for_function("window.model.get('selected').class_id === '7b'")
    widget.selected = page.evaluate("window.model.get('selected')")  # as the kernel takes it
    page.evaluate("window.model.fromPython('selected', { concept_id: 'c3', class_id: '7a' })")
    frame.locator("#evidence h2", has_text=invented.names[3].split()[0]).wait_for()
    assert frame.locator("#cohort option:checked").inner_text() == "7a"
    page.evaluate("window.end()")
    assert page.evaluate("window.model.listeners()") == 0 and faults == []
    context.close()
