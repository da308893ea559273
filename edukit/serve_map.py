"""The page of a map as the server hands it out: under the policy that it states itself, and without the learners, whom it asks for apart.

A browser can save whatever page it was given; one that holds no learner can be passed on.
"""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse, JSONResponse

from edukit.report.gap_page import _json
from edukit.serve_guard import POLICY

PAGE, SERVED = "gap_map.html", "gap_map_served.html"  # the second may ask for a new fit, and for learners, where a run has it
_DATA = re.compile(r'(<script id="data" type="application/json">)(.*?)(</script>)', re.DOTALL)
_META = re.compile(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)"')


def _data(text: str) -> dict[str, Any]:
    """What a page shows."""
    found = _DATA.search(text)
    return json.loads(found[2]) if found else {}


def without_learners(text: str) -> str:
    """The page that asks its server for learners in place of one that holds them; any other page as it is.

    Examples
    --------
    >>> without_learners('<script id="data" type="application/json">{"learners":{"7a":{"0":[["ann",0.3,"x"]]}}}</script>')
    '<script id="data" type="application/json">{"learners":true}</script>'
    """
    data = _data(text)
    return _DATA.sub(lambda found: found[1] + _json({**data, "learners": True}) + found[3], text, count=1) if "learners" in data else text


def page(folder: Path) -> HTMLResponse:
    """The page of the run in a folder."""
    served = folder / SERVED
    text = without_learners((served if served.is_file() else folder / PAGE).read_text(encoding="utf-8"))
    stated = _META.search(text)
    policy = " ".join(unescape(stated[1]).split()) if stated else POLICY
    return HTMLResponse(text, headers={"content-security-policy": f"{policy}; frame-ancestors 'none'"})


def learners(folder: Path) -> JSONResponse:
    """Whom to talk to, by class and concept; empty where the run names nobody."""
    served = folder / SERVED
    return JSONResponse(_data(served.read_text(encoding="utf-8")).get("learners", {}) if served.is_file() else {})
