"""The session service: a program of a school asks what a learner should do next and tells how it went; every answer is on the disk before the reply."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response

from edukit.formats.xapi_answer import told
from edukit.recommend.session import shown
from edukit.recommend.session_store import Answer
from edukit.schema import DataError
from edukit.serve import answer as answer_at
from edukit.serve import checked_token, listening
from edukit.serve_guard import LOOPBACK
from edukit.serve_session_door import Door, Refused, brief
from edukit.serve_session_live import Live
from edukit.serve_session_models import (
    MOST_STATEMENTS,
    Accepted,
    Fault,
    Given,
    Health,
    Listed,
    Log,
    Next,
    Profile,
    Start,
    Started,
    Statements,
)
from edukit.serve_session_page import page

XAPI = "1.0.3"
FAULTS: dict[int | str, dict[str, Any]] = {status: {"model": Fault, "description": words} for status, words in {
    400: "the body is no JSON", 401: "the token is needed", 403: "not from here", 413: "the body is too large", 422: "a field is not as it must be",
    503: "too busy, or the disk takes nothing: send the same again"}.items()}
UNKNOWN: dict[int | str, dict[str, Any]] = {**FAULTS, 404: {"model": Fault, "description": "there is no such session"}}
CONFLICT: dict[int | str, dict[str, Any]] = {**UNKNOWN, 409: {"model": Fault, "description": "not the step handed out, or an id used before"}}
PLAIN = {400: ("the request", "be as GET /openapi.json says", "another one"), 404: ("the address", "be one that GET / lists", "another one"),
         405: ("the method", "be one that GET / lists for this address", "another one")}


def application(live: Live, token: str | None = None, most_kb: float = 64.0) -> Door:
    """The guarded application over live sessions."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        live.commits.start()
        yield
        await asyncio.to_thread(live.commits.close)

    app = FastAPI(title="edukit sessions", version="1", summary="What a learner should do next, and why; answers are kept before they are acknowledged.",
                  docs_url=None, redoc_url=None, lifespan=life)
    _refusals(app)
    _sessions(app, live)
    _statements(app, live)

    @app.get("/health", responses=FAULTS)
    def health() -> Health:
        """Whether the service answers."""
        return Health(status="ok")

    @app.get("/", include_in_schema=False)
    def describe() -> HTMLResponse:
        return HTMLResponse(page(app.openapi()))

    return Door(app, token, most_kb)


def _refusals(app: FastAPI) -> None:
    """Whatever is refused is worded alike."""

    @app.exception_handler(Refused)
    async def in_words(request: Request, error: Refused) -> JSONResponse:
        return JSONResponse(error.body(), error.status, error.headers)

    @app.exception_handler(RequestValidationError)
    async def unfit(request: Request, error: RequestValidationError) -> JSONResponse:
        faults = error.errors()
        first = faults[0]
        if first["type"] == "json_invalid":
            return JSONResponse(Refused(400, "the body", "be JSON", brief(first.get("ctx", {}).get("error", "another one")), "Send JSON.").body(), 400)
        place = ".".join(str(part)[:40] for part in first["loc"])
        secret = "learner_id" in first["loc"]
        found = "a learner_id that does not" if secret else brief(first.get("input"))
        more = f" ({len(faults) - 1} more faults)" if len(faults) > 1 else ""
        refused = Refused(422, place, f"be as stated ({first['msg']})", f"{found}{more}", "GET /openapi.json says what is taken.")
        return JSONResponse(refused.body(), 422)

    async def plain(request: Request, error: Exception) -> JSONResponse:
        status = getattr(error, "status_code", 500)
        place, wanted, found = PLAIN[status]
        return JSONResponse(Refused(status, place, wanted, found, "See GET /.").body(), status, getattr(error, "headers", None))

    for status in PLAIN:
        app.add_exception_handler(status, plain)

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse(Refused(500, "the service", "have foreseen this", type(error).__name__, "Its window tells more.").body(), 500)


def _sessions(app: FastAPI, live: Live) -> None:
    @app.post("/sessions", response_model=Started, status_code=201, responses={**FAULTS, 200: {"model": Started, "description": "the learner was known"}})
    async def start(asked: Start) -> Response:
        """Begin the session of a learner, or go on with it."""
        try:
            session_id, resumed, step = await live.start(asked.learner_id)
        except UnicodeEncodeError:
            raise Refused(422, "learner_id", "be text", "half a character", "Send UTF-8.") from None
        return JSONResponse({"session_id": session_id, "resumed": resumed, "next": shown(step)}, 200 if resumed else 201)

    @app.post("/sessions/{session_id}/answers", response_model=Accepted, responses=CONFLICT)
    async def answer(session_id: str, given: Given) -> Response:
        """Answer the step that `next` handed out; the reply goes out when the answer is on the disk. Sent again, it is answered alike and counted once."""
        return JSONResponse(_accepted(await live.answer(session_id, given)))

    @app.get("/sessions/{session_id}/next", response_model=Next, responses=UNKNOWN)
    async def next_step(session_id: str) -> Response:
        """What the learner should do next, and why; the same until it is answered."""
        return JSONResponse(shown(await live.next(session_id)))

    @app.get("/sessions/{session_id}/profile", response_model=Profile, responses=UNKNOWN)
    async def profile(session_id: str) -> Response:
        """Where the learner stands: mastery with its interval and n, and what is in reach."""
        return JSONResponse(await live.profile(session_id))

    @app.delete("/sessions/{session_id}", status_code=204, responses=UNKNOWN)
    async def forget(session_id: str) -> Response:
        """Remove the learner and every answer of theirs, for good."""
        await live.forget(session_id)
        return Response(status_code=204)


def _accepted(answer: Answer) -> dict[str, Any]:
    return {name: value for name, value in vars(answer).items() if name in Accepted.model_fields}


def _statements(app: FastAPI, live: Live) -> None:
    @app.post("/xapi/statements", responses={name: value for name, value in CONFLICT.items() if name != 404})
    async def take(said: Statements) -> list[str]:
        """Take xAPI statements, all or none: those that tell of an answer are applied to the session of their learner, in their order.

        Returns the id of each; statements about anything else are passed over. Names and mail addresses are not kept.
        """
        given = said.root if isinstance(said.root, list) else [said.root]
        if not 1 <= len(given) <= MOST_STATEMENTS:
            raise Refused(422, "the body", f"hold 1 to {MOST_STATEMENTS} statements", str(len(given)), "Send them in several requests.")
        try:
            json.dumps(given, ensure_ascii=False).encode()
            found = [told(one, f"statement {n}") for n, one in enumerate(given, start=1)]
        except DataError as error:
            raise Refused.of(422, error, "Nothing was taken.") from None
        except (UnicodeEncodeError, RecursionError) as error:
            raise Refused(422, "the body", "hold statements in UTF-8", type(error).__name__, "Nothing was taken. Send UTF-8.") from None
        await live.take({n: one for n, one in enumerate(found, start=1) if one is not None})
        return [one.statement_id if one else str(raw.get("id", "")) for one, raw in zip(found, given, strict=True)]

    @app.get("/xapi/statements", response_model=Log, responses=UNKNOWN)
    async def tell(asked: Annotated[Listed, Query()]) -> Response:
        """Answers as xAPI statements about pseudonyms, in the order they were kept."""
        found, last = live.listed(asked.session_id, asked.after, asked.limit)
        own = f"session_id={asked.session_id}&" if asked.session_id else ""
        more = "" if last is None else f"/xapi/statements?{own}after={last}&limit={asked.limit}"
        return JSONResponse({"statements": found, "more": more}, headers={"x-experience-api-version": XAPI})


def serve(live: Live, host: str = "127.0.0.1", port: int = 8768, token: str | None = None, most_kb: float = 64.0, say: Callable[[str], None] = print) -> None:
    """Serve live sessions until interrupted.

    Parameters
    ----------
    live : what is served.
    host, port : where the service listens; with another host than this machine a token must be given. Port 0 is any free one.
    token : stated by whoever asks; without one every account of this machine may ask.
    most_kb : largest body of a request, in kilobytes.
    say : told the address.

    Raises
    ------
    DataError
        For another host without a token, a short token, or a port in use.
    """
    token = checked_token(host, token) if token or host not in LOOPBACK else None
    with listening(host, port) as (bound, address):
        terrain = live.course.terrain
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a reply in two parts must not wait for the other side: 40 ms
        say(f"sessions: {address}/   ({len(terrain.concept_ids):,} concepts, {len(terrain.item_ids):,} items, policy {live.course.policy.name}; "
            f"{'with the token' if token else 'every account of this machine may ask'}; Ctrl-C ends it)")
        answer_at(application(live, token, most_kb), bound)  # type: ignore[arg-type]
