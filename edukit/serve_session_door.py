"""The door of the session service: who may ask, how much at once, and how a refusal is worded: place, wanted, found, next step."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from edukit.serve_guard import LOOPBACK, Receive, Scope, Send

OPEN = ("/", "/openapi.json", "/health")  # tell nothing of any learner
PATIENCE = 10.0  # seconds that a body may take to arrive
LONGEST = 80  # characters of what was found that are said again
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
HEADERS = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cross-origin-resource-policy": "same-origin", "cache-control": "no-store",
           "content-security-policy": POLICY}


class Refused(Exception):
    """A request that is not done, in the words of the house.

    Parameters
    ----------
    status : of HTTP. place, wanted, found, next_step : what was looked at, what it must be, what it is, and what to do.
    headers : more of them, such as when to come again.
    """

    def __init__(self, status: int, place: str, wanted: str, found: str, next_step: str, **headers: str) -> None:
        super().__init__(f"{place} must {wanted}; found {found}. {next_step}")
        self.status, self.place, self.wanted, self.found, self.next_step, self.headers = status, place, wanted, found, next_step, headers

    @classmethod
    def of(cls, status: int, error: Exception, next_step: str) -> Refused:
        """An error of the house (`PLACE must WANTED; found FOUND. NEXT STEP`), and what became of the request."""
        place, _, rest = ascii(str(error))[1:-1].partition(" must ")
        wanted, _, rest = rest.partition("; found ")
        found, _, then = rest.partition(". ")
        return cls(status, place, wanted or "be as stated", found or "another one", " ".join(word for word in (then, next_step) if word))

    def body(self) -> dict[str, str]:
        """As it is sent."""
        return {"error": str(self), "place": self.place, "wanted": self.wanted, "found": self.found, "next_step": self.next_step}


def brief(value: Any) -> str:
    """What was found, short and in plain characters.

    Examples
    --------
    >>> brief("Zo\\u00eb"), brief("x" * 200)[-4:]
    ("'Zo\\\\xeb'", 'x...')
    """
    text = ascii(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


class Door:
    """Let in who may ask: with a token whoever states it, without one this machine's own programs; never a page of another site.

    Parameters
    ----------
    app : what is guarded. token : stated as ``Authorization: Bearer TOKEN``; None where only this machine can reach the server.
    most_kb : largest body of a request, in kilobytes; of more, the rest is not read.
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], token: str | None = None, most_kb: float = 64.0) -> None:
        self.app, self.token, self.most = app, token, int(most_kb * 1000)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refused = self._refused(scope, headers)
        body = b""
        if refused is None:
            try:
                async with asyncio.timeout(PATIENCE):
                    body = await self._body(receive)
            except Refused as error:
                refused = error
            except TimeoutError:
                refused = Refused(408, "the body", f"arrive within {PATIENCE:g} s", "less of it", "Send it again.", connection="close")
        if refused is not None:
            return await tell(send, refused)
        read = False

        async def once() -> MutableMapping[str, Any]:
            nonlocal read
            if read:
                return await receive()
            read = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *((name.encode(), value.encode()) for name, value in HEADERS.items())]
            await send(message)

        return await self.app(scope, once, with_headers)

    def _refused(self, scope: Scope, headers: dict[str, str]) -> Refused | None:
        host, origin, site = headers.get("host", ""), headers.get("origin"), headers.get("sec-fetch-site")
        if self.token is None and _name(host) not in LOOPBACK:
            return Refused(403, "Host", f"be one of {', '.join(LOOPBACK)}", brief(host), "Ask by that name, or start the service with --host and a token.")
        if (origin is not None and origin.partition("://")[2] != host) or site not in (None, "same-origin", "none"):
            return Refused(403, "Origin", "be this service or absent", brief(origin or site), "Ask from a program, not from a page of another site.")
        if self.token is not None and not (scope["path"] in OPEN and scope["method"] in ("GET", "HEAD")):
            given = headers.get("authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
                return Refused(401, "Authorization", "be `Bearer` and the token of the service", "another" if given else "none",
                               "Ask who started the service for it.", **{"www-authenticate": "Bearer"})
        stated = headers.get("content-length", "0")
        if not stated.isdecimal() or int(stated[:12]) > self.most:
            return self._large()
        return None

    def _large(self) -> Refused:
        return Refused(413, "the body", f"have at most {self.most:,} bytes", "more", "Send less at once.", connection="close")

    async def _body(self, receive: Receive) -> bytes:
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return b"".join(parts)  # who asked has gone
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self.most:
                raise self._large()
            if not message.get("more_body"):
                return b"".join(parts)


def _name(host: str) -> str:
    """The name in ``Host``, without the port; nothing where it cannot be read."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


async def tell(send: Send, refused: Refused) -> None:
    """Send a refusal."""
    content = json.dumps(refused.body()).encode()
    listed = {"content-type": "application/json", "content-length": str(len(content)), **HEADERS, **refused.headers}
    await send({"type": "http.response.start", "status": refused.status, "headers": [(k.encode(), v.encode("latin-1")) for k, v in listed.items()]})
    await send({"type": "http.response.body", "body": content})
