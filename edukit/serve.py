"""The page server: a person drops a file on the start page and gets a gap map, without a line of Python; nothing leaves this machine."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from edukit.schema import DataError
from edukit.serve_guard import LOOPBACK, Guard
from edukit.serve_jobs import JobQueue
from edukit.serve_map import PAGE
from edukit.serve_routes import Site, add_maps, add_pages, add_steps
from edukit.serve_store import Store

SHORTEST = 16  # characters of a token
TOKEN = re.compile(f"[A-Za-z0-9_-]{{{SHORTEST},}}")


def application(site: Site, token: str | None = None) -> Guard:
    """The guarded application; with ``token``, whoever holds it may ask, from another machine too, and nobody else."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        site.tidy(mend=True)
        site.jobs.start(site.tidy)
        yield
        await asyncio.to_thread(site.jobs.close)

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=life)

    @app.exception_handler(DataError)
    async def in_words(request: Request, error: DataError) -> Response:
        return PlainTextResponse(str(error), 422) if request.url.path.endswith("/refit") else JSONResponse({"error": str(error)}, 422)

    @app.exception_handler(HTTPException)
    async def in_short(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": error.detail}, error.status_code)

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": f"this should not have happened ({type(error).__name__}); the window that runs the server tells more"}, 500)

    @app.exception_handler(RequestValidationError)
    async def unasked(request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"error": "the request is not one that the start page makes"}, 400)

    for add in (add_pages, add_steps, add_maps):
        add(app, site)
    return Guard(app, token, site.most_mb)


def serve(folder: Path, run: Path | None = None, host: str = "127.0.0.1", port: int = 8765, token: str | None = None, most_mb: float = 100.0,
          keep_days: float = 7.0, overrides: tuple[str, ...] = (), say: Callable[[str], None] = print) -> None:
    """Serve the start page until interrupted.

    Parameters
    ----------
    folder : what is dropped is kept below it, readable by its owner only.
    run : folder of a finished run whose map is shown too.
    host, port : where the server listens; another machine can reach it only where ``host`` says so, and ``token`` must be given then. Port 0 is any
        free one.
    token : whoever asks must know it, other accounts of this machine too; drawn where none is given. The address that is told carries it.
    most_mb : largest upload, in megabytes.
    keep_days : older uploads, and all that was made of them, are deleted.
    overrides : settings of every map, as of ``edukit run map_gaps``.
    say : told the address.

    Raises
    ------
    DataError
        For another host without a token, a short token, a run without a map, a port in use, or a folder that another server works with.
    """
    token = checked_token(host, token)
    if run is not None and not (run / PAGE).is_file():
        raise DataError(f"{run} must be the folder of a run of map_gaps, with {PAGE} in it; found none. `edukit run map_gaps` makes one.")
    store = Store(folder, keep_days)
    jobs = JobQueue()
    with store.held(), listening(host, port) as (bound, address):
        say(f"start page: {address}/?token={token}   (open it in a browser; Ctrl-C ends it)")
        if run is not None:
            say(f"map of the run: {address}/run?token={token}")
        answer(application(Site(store, jobs, overrides, most_mb, run), token), bound)


def checked_token(host: str, token: str | None) -> str:
    """The token of a server, drawn where none is given.

    Raises
    ------
    DataError
        For another host without a token, or a token that is short or has other characters than an address may.
    """
    another = f"Set EDUKIT_TOKEN={secrets.token_urlsafe(SHORTEST)} (drawn just now), or write it into a file for --token-file."
    if host not in LOOPBACK and not token:
        raise DataError(f"a server that other machines can reach must have a token; found none for --host {host}. Leave out --host, or: {another}")
    if token is not None and not TOKEN.fullmatch(token):
        raise DataError(f"a token must have at least {SHORTEST} letters, digits, - or _, and no other character; found one of {len(token)} characters. "
                        f"{another}")
    return token or secrets.token_urlsafe(SHORTEST)


@contextmanager
def listening(host: str, port: int) -> Iterator[tuple[socket.socket, str]]:
    """A socket at a port (0: any free one), and the address at which a browser reaches it.

    Raises
    ------
    DataError
        Where the port is taken.
    """
    with contextlib.closing(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, port))
        except OSError as error:
            raise DataError(f"port {port} of {host} must be free; found {error.strerror}. Give another --port (0 takes any free one).") from None
        where = f"[{host}]" if ":" in host else host
        yield bound, f"http://{where}:{bound.getsockname()[1]}"


def answer(guarded: Guard, bound: socket.socket) -> None:
    """Answer at a socket until interrupted."""
    import uvicorn

    uvicorn.Server(uvicorn.Config(guarded, log_level="warning", access_log=False, server_header=False)).run([bound])
