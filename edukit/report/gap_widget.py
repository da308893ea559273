"""The gap map in a notebook cell: the same page, and the concept and class that are chosen on it come back to Python.

References
----------
Manz, T., Abdennur, N., & Gehlenborg, N. (2024). anywidget: reusable widgets for interactive analysis and visualization. JOSS 9(102).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import anywidget
import pandas as pd
import traitlets

from edukit.report.gap_page import RULES, gap_page
from edukit.schema import DataError

_POLICY = "script-src '"


class GapWidget(anywidget.AnyWidget):
    """A gap map to look at and to ask: what is chosen on it is ``selected``, and setting ``selected`` chooses it.

    The page lies in a frame that can run its own scripts and nothing else: it asks nothing of the network, and reaches nothing of the notebook.

    Parameters
    ----------
    gaps, concepts, prerequisites : tables of those names
    title : str
    notes : list of str
    source : mapping
    rules : mapping
    **behind
        ``evidence``, ``items`` and ``texts``; all as of :func:`~edukit.report.gap_page.gap_page`.
    height : int
        Of the frame, in pixels.

    Attributes
    ----------
    selected : dict
        ``concept_id`` and ``class_id`` (``all`` for everyone); None where nothing is chosen yet. ``observe`` tells of a change.
    """

    _esm = files("edukit.report").joinpath("gap_widget.js").read_text(encoding="utf-8")
    page = traitlets.Unicode(read_only=True).tag(sync=True)
    height = traitlets.Int(900, min=100).tag(sync=True)
    selected = traitlets.Dict({"concept_id": None, "class_id": None}).tag(sync=True)

    def __init__(self, gaps: pd.DataFrame, concepts: pd.DataFrame, prerequisites: pd.DataFrame, title: str = "Gap map", notes: Sequence[str] = (),
                 source: Mapping[str, object] | None = None, rules: Mapping[str, float] = RULES, height: int = 900, **behind: Any) -> None:
        if "refit" in behind:
            raise DataError("a widget has no server to ask for a new fit; found refit. Leave it out, or use `edukit serve`.")
        self._known = {"concept_id": {*concepts["concept_id"]}, "class_id": {*gaps["class_id"]}}
        super().__init__(height=height)
        self.set_trait("page", _listening(gap_page(gaps, concepts, prerequisites, title, notes, source or {}, rules, **behind)))

    @traitlets.validate("selected")
    def _of_this_map(self, proposal: Any) -> dict[str, str | None]:
        """Both parts, each of this map.

        Raises
        ------
        DataError
            For a concept or a class that the map does not have.
        """
        chosen = {"concept_id": None, "class_id": None, **proposal["value"]}
        for name, value in chosen.items():
            if name not in self._known or value is not None and value not in self._known[name]:
                raise DataError(f"selected must name a concept_id and a class_id of the map; found {name} {value!r}.")
        return chosen


def _listening(page: str) -> str:
    """The page with the script that speaks with the notebook, which its policy then allows too."""
    script = files("edukit.report").joinpath("gap_widget_frame.js").read_text(encoding="utf-8")
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = page.replace(_POLICY, f"{_POLICY}sha256-{allowed}' '", 1)
    body, end, rest = page.rpartition("</body>")
    return f"{body}<script>{script}</script>\n{end}{rest}"
