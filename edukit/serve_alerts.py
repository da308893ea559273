"""The page of alerts, served: a teacher snoozes, dismisses or notes what was tried on the page itself, and it goes into the log at once."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable
from html import unescape
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse, Response

from edukit.alert_log import AlertLog
from edukit.cli_alerts import decided, newest
from edukit.schema import DataError
from edukit.serve import answer, checked_token, listening
from edukit.serve_guard import Guard

MOST_MB = 0.5  # of one request: some thousand decisions
SCRIPT = "/served.js"
_META = re.compile(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">')


def page(log: AlertLog, week: int | None = None) -> tuple[str, str]:
    """The page of a week (the newest one where none is given) with the script that hands decisions to the server, and the policy it needs.

    Raises
    ------
    DataError
        Where the log holds no alerts of that week.
    """
    weekly_alerts = importlib.import_module("edukit.experiments.weekly_alerts")
    last = newest(log)
    if week is not None and week not in set(log.events("alerted")["week"]):
        raise DataError(f"{log.path.name} must hold alerts of week {week}; found none, the newest are of week {last}.")
    week = last if week is None else week
    alerts = weekly_alerts.alerts_of(log, week)
    html = weekly_alerts.page_of(log, alerts, week, None, weekly_alerts.TITLE, {"log": log.path.name}).page()
    stated = _META.search(html)
    policy = " ".join(unescape(stated[1]).split()).replace("script-src", "script-src 'self'") + "; connect-src 'self'; frame-ancestors 'none'"  # type: ignore[index]
    return _META.sub("", html).replace("</body>", f'<script src="{SCRIPT}"></script>\n</body>'), policy


def application(log: AlertLog, token: str | None = None) -> Guard:
    """The guarded application: ``GET /`` (``?week=N``) shows a week, ``POST /decisions`` takes what the page decided, all of it or nothing."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.exception_handler(DataError)
    async def in_words(request: Request, error: DataError) -> JSONResponse:
        return JSONResponse({"error": str(error).replace(str(log.path), log.path.name)}, 422)

    @app.exception_handler(HTTPException)
    async def in_short(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": error.detail}, error.status_code)

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": f"this should not have happened ({type(error).__name__}); the window that runs the server tells more"}, 500)

    @app.get("/")
    def show(week: int | None = None) -> HTMLResponse:
        html, policy = page(log, week)
        return HTMLResponse(html, headers={"content-security-policy": policy})

    @app.get(SCRIPT)
    def script() -> Response:
        return Response(files("edukit").joinpath("serve_alerts.js").read_text(encoding="utf-8"), media_type="text/javascript")

    @app.post("/decisions")
    async def take(request: Request) -> dict[str, Any]:
        try:
            content = json.loads(await request.body())
        except (ValueError, RecursionError):
            raise HTTPException(400, "the request is not one that the page makes") from None
        return await run_in_threadpool(lambda: {"added": log.add(decided(log, content, "what the page sent"))})

    return Guard(app, token, MOST_MB)


def serve(log: AlertLog, host: str = "127.0.0.1", port: int = 8767, token: str | None = None, say: Callable[[str], None] = print) -> None:
    """Serve the page of a log until interrupted.

    Parameters
    ----------
    log : is read again for every page; decisions are added to it.
    host, port, token : as of :func:`edukit.serve.serve`.
    say : told the address.

    Raises
    ------
    DataError
        For a log without alerts, another host without a token, a short token, or a port in use.
    """
    newest(log)
    token = checked_token(host, token)
    with listening(host, port) as (bound, address):
        say(f"alerts: {address}/?token={token}   (open it in a browser; Ctrl-C ends it)")
        answer(application(log, token), bound)
