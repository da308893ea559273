"""The review server: a person accepts, edits or rejects suggested scores in a browser of this machine; each decision is in the ledger before it answers."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from edukit.report.review import ReviewPage, part
from edukit.schema import DataError
from edukit.serve_guard import Guard

HOST = "127.0.0.1"  # what learners wrote is shown on this machine only
MOST_MB = 2.0  # of a decision
Id = Field(min_length=1, max_length=500)
Who = Field(min_length=1, max_length=60, pattern=r"\S")


class Decision(BaseModel):
    """What the page sends of a decision."""

    model_config = ConfigDict(extra="forbid", strict=True)
    answer_id: str = Id
    action: str = Field(pattern="^(accept|edit|reject)$")
    who: str = Who
    seen: int
    scores: dict[str, float | None] = {}
    feedback: dict[str, str] = {}
    reason: str = Field("", max_length=1000)
    blind: dict[str, float] | None = None
    also: list[str] = Field([], max_length=10_000)


class Appeal(BaseModel):
    """What the page sends of an appeal."""

    model_config = ConfigDict(extra="forbid", strict=True)
    answer_id: str = Id
    who: str = Who
    seen: int
    reason: str = Field(min_length=1, max_length=1000, pattern=r"\S")


def application(desk: Any, title: str, token: str) -> Guard:
    """The guarded application over a :class:`edukit.experiments.review_desk.Desk`; whoever holds ``token`` may ask, and nobody else."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    one_at_a_time = threading.Lock()

    @app.exception_handler(DataError)
    async def in_words(request: Request, error: DataError) -> JSONResponse:
        return JSONResponse({"error": str(error).rstrip(".")}, 422)

    @app.exception_handler(HTTPException)
    async def in_short(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": error.detail}, error.status_code)

    @app.exception_handler(RequestValidationError)
    async def unasked(request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"error": "the request is not one that the review page makes"}, 400)

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": f"this should not have happened ({type(error).__name__}); the window that runs the server tells more"}, 500)

    @app.get("/")
    def page() -> HTMLResponse:
        return HTMLResponse(ReviewPage(title, served=True, names=bool(desk.names)).page())

    @app.get("/review.{kind}")
    def page_part(kind: str) -> Response:
        kinds = {"js": "text/javascript", "css": "text/css"}
        if kind not in kinds:
            raise HTTPException(404, "there is no such page")
        return Response(part(kind), media_type=kinds[kind])

    @app.get("/queue")
    def queue() -> dict[str, Any]:
        with one_at_a_time:
            return {"queue": desk.queue()}

    @app.get("/answer")
    def answer(id: str) -> dict[str, Any]:
        with one_at_a_time:
            return desk.answer(id)

    @app.post("/decisions")
    def decide(given: Decision) -> dict[str, Any]:
        scores = {name: value for name, value in given.scores.items() if value is not None}
        with one_at_a_time:
            decided = desk.decide(given.answer_id, given.action, given.who.strip(), given.seen, scores, given.feedback, given.reason.strip(), given.blind,
                                  given.also)
            return {"also": decided - 1, "queue": desk.queue()}

    @app.post("/appeals")
    def appeal(given: Appeal) -> dict[str, Any]:
        with one_at_a_time:
            desk.appeal(given.answer_id, given.who.strip(), given.reason.strip(), given.seen)
            return {"queue": desk.queue()}

    return Guard(app, token, MOST_MB)


def serve(ledger: Path, question_id: str | None = None, asked: Mapping[str, Mapping[str, Any]] | None = None, names: Mapping[str, str] | None = None,
          port: int = 8766, token: str | None = None, say: Callable[[str], None] = print) -> None:
    """Serve the answers of a ledger to this machine until interrupted.

    Parameters
    ----------
    question_id : only answers to it. asked : wording of questions by id. names : learner by answer_id, which the page shows where it is asked to.
    port : 0 is any free one. token : whoever asks must know it; drawn where none is given. say : told the address.

    Raises
    ------
    DataError
        For a ledger that is not there or holds no graded answer, a short token, or a port in use.
    """
    from edukit.serve import answer, checked_token, listening

    token = checked_token(HOST, token)
    desk = importlib.import_module("edukit.experiments.review_desk").Desk(ledger, question_id, asked or {}, names or {})
    with listening(HOST, port) as (bound, address):
        rows = desk.queue()
        waiting = sum(row["state"] in ("open", "appealed") for row in rows)
        say(f"{waiting} of {len(rows)} answers are to be decided")
        say(f"review page: {address}/?token={token}   (open it in a browser; Ctrl-C ends it)")
        answer(application(desk, f"Review: {question_id or ledger.stem}", token), bound)
