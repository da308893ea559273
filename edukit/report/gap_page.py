"""The gap map as one HTML file: a curriculum designer opens it, asks it, edits its graph, prints it; it asks nothing of the network."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import pandas as pd

from edukit.report.gap_page_data import TextKey, limits, page_data
from edukit.report.graph_layout import layers
from edukit.reproducibility import replacing
from edukit.schema import DataError

__all__ = ["RULES", "gap_page", "layers", "write", "write_csv"]

RULES = {"target": 0.70, "fail": 0.60, "k": 10, "min_responses": 20, "stuck_level": 0.90, "interval": 0.95}
SCRIPTS = ("gap_canvas.js", "gap_graph.js", "gap_cells.js", "gap_causes.js", "gap_panels.js", "gap_tables.js", "gap_compare.js", "gap_edit.js",
           "gap_graph_files.js", "gap_export.js", "gap_page.js")
REFIT = "gap_refit.js"  # only in a page that may ask its own server for a new fit
STYLES = ("gap_page.css", "gap_causes.css")
_FORMULA = r"^('*[=+\-@\t\r])"  # a spreadsheet runs text that begins like this


def gap_page(gaps: pd.DataFrame, concepts: pd.DataFrame, prerequisites: pd.DataFrame, title: str, notes: Sequence[str],
             source: Mapping[str, object], rules: Mapping[str, float] = RULES, *, evidence: pd.DataFrame | None = None,
             items: pd.DataFrame | None = None, texts: Mapping[TextKey, str] | None = None, refit: str | None = None,
             learners: pd.DataFrame | None = None) -> str:
    """Turn a gap map into a page that shows where a cohort may be stuck, what that is associated with, and the evidence for each cell.

    Parameters
    ----------
    gaps : table ``gaps``
        Hidden cells must hold no number; the page then holds none either. Without shares and labels the page says where, not more. A class
        may come in several terms; each is a cohort of the page then.
    concepts, prerequisites : tables of those names
        ``prerequisites`` may be empty.
    title : str
    notes : list of str
        What the data allows, and what is left out and why; shown at the top.
    source : mapping
        Where the numbers come from (data set, date, model, fingerprint), shown as it is.
    rules : mapping
        ``target, fail, k, min_responses, stuck_level, interval`` the map was made with (the fields of a ``GapMap``).
    evidence : table ``gap_evidence``
        What each cell rests on; rows of hidden cells, and of prerequisites or classes whose own cell is hidden, are left out.
    items : table ``item_screen``
        Items with fewer than ``k`` learners are named without numbers.
    texts : mapping of (class_id, concept_id) to str
        A short narrative of a cell, of a class where the concept is None, and of a concept where the class is None. Those of hidden cells,
        and of classes and concepts of which no cell is shown, are left out.
    refit : str
        Path on the server that serves the page (``/refit``): the edited graph is sent there as a graph file, and the page then reloads, or
        moves to the ``location`` on that server which the answer, a JSON object, may name. Without it the page can send nothing anywhere.
    learners : DataFrame of :func:`~edukit.report.learners_below.learners_below`
        Whom to talk to, only for a page with ``refit``, which a data owner's own server shows; no copy or table saved from it names a learner.

    Returns
    -------
    str
        A complete HTML document. Its policy forbids every request and every script but its own; with ``refit``, requests to its own server are allowed.

    Raises
    ------
    DataError
        When a concept of ``gaps`` is not in ``concepts``, a cell comes twice, a hidden cell holds a number, a label is not known, evidence
        rests on fewer than ``k`` learners, ``refit`` is no path on the page's own server, or learners are named without ``refit``.
    """
    from jinja2 import Environment

    if refit is not None and (not refit.startswith("/") or refit.startswith(("//", "/\\"))):
        raise DataError(f"refit must be a path on the page's own server, such as /refit; found {refit!r}. Serve the page and the fit from one address.")
    if learners is not None and refit is None:
        raise DataError("a page that can be passed on names no learner; found learners and no refit. Leave them out, or serve the page.")
    rules = {name: rules[name] for name in RULES}
    data = page_data(gaps, concepts, prerequisites, rules, evidence, items, texts, learners)
    script = "\n".join(map(_part, SCRIPTS if refit is None else (*SCRIPTS[:-1], REFIT, SCRIPTS[-1])))
    page = _part("gap_page.html.jinja")
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(page).render(
        title=title, notes=list(notes), limits=limits(data), source=dict(source), rules=data["rules"], classes=len(data["cohorts"]) > 1, causes=data["causes"],
        refit=refit, css="\n".join(map(_part, STYLES)), script=script, data=_json({**data, "title": title, "refit": refit}),
        policy=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode())


def write(path: Path, gaps: pd.DataFrame, concepts: pd.DataFrame, prerequisites: pd.DataFrame, title: str, notes: Sequence[str],
          source: Mapping[str, object], rules: Mapping[str, float] = RULES, *, evidence: pd.DataFrame | None = None,
          items: pd.DataFrame | None = None, texts: Mapping[TextKey, str] | None = None, refit: str | None = None,
          learners: pd.DataFrame | None = None) -> Path:
    """Write :func:`gap_page` to ``path``, whole or not at all."""
    page = gap_page(gaps, concepts, prerequisites, title, notes, source, rules, evidence=evidence, items=items, texts=texts, refit=refit, learners=learners)
    with replacing(Path(path)) as beside:
        beside.write_text(page, encoding="utf-8", newline="\n")
    return Path(path)


def write_csv(gaps: pd.DataFrame, path: Path) -> Path:
    """Write a gap map for a spreadsheet; text that a spreadsheet would run as a formula gets a leading apostrophe.

    Numbers stay numbers, hidden ones stay empty. The change can be undone: take one apostrophe off any text that begins with
    apostrophes followed by ``= + - @``, tab or return.
    """
    safe = gaps.copy()
    for name in safe.columns:
        if not (pd.api.types.is_numeric_dtype(safe[name]) or pd.api.types.is_bool_dtype(safe[name])):
            safe[name] = safe[name].astype("str").str.replace(_FORMULA, r"'\1", regex=True).where(safe[name].notna())
    with replacing(Path(path)) as beside:
        safe.to_csv(beside, index=False, encoding="utf-8-sig", lineterminator="\r\n")  # the mark makes spreadsheets read UTF-8
    return Path(path)


def _part(name: str) -> str:
    return files("edukit.report").joinpath(name).read_text(encoding="utf-8")


def _json(data: dict) -> str:
    """JSON that cannot end the script element it stands in, whatever a concept is called."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text
