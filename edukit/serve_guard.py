"""Who may ask the page server: who holds the token, or this machine's own browsers where there is none; never a page of another site in the same browser."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from fastapi import HTTPException

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
MB = 1_000_000
LOOPBACK = ("127.0.0.1", "localhost", "::1")
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
          "frame-ancestors 'none'")
"""What the server's own pages may do: nothing but run its script and ask the server."""
HEADERS = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cross-origin-resource-policy": "same-origin",
           "cross-origin-opener-policy": "same-origin", "cache-control": "no-store", "content-security-policy": POLICY}
_SAFE = ("GET", "HEAD")


class Guard:
    """Refuse a request before anything is read of it.

    - Without a token, ``Host`` must be this machine's (a name that another site has pointed at this machine is refused).
    - With one, the first address carries it, and a cookie that scripts cannot read afterwards.
    - What changes anything must come from our own pages: a browser says where a request comes from.

    Parameters
    ----------
    app : what is guarded.
    token : None where only this machine can reach the server, and every account of it may ask.
    most_mb : largest body of a request, in megabytes; of more, the rest is not read.
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], token: str | None = None, most_mb: float = 100.0) -> None:
        self.app, self.token, self.most_mb = app, token, most_mb

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        cookie = f"edukit_{(scope.get('server') or ('', 0))[1]}"
        asked = parse_qs(scope["query_string"].decode("latin-1"))
        if self.token is None and _name(host) not in LOOPBACK:
            return await _answer(send, 403, "this server answers to 127.0.0.1 and localhost only")
        if scope["method"] not in _SAFE and not _from_here(headers, host):
            return await _answer(send, 403, "this server takes files and orders from its own pages only")
        if self.token is not None:
            if self._fits(asked.get("token", [""])[0]) and scope["method"] in _SAFE:
                rest = urlencode({name: values for name, values in asked.items() if name != "token"}, doseq=True)
                place = "/" + quote(scope["path"].lstrip("/")) + (f"?{rest}" if rest else "")
                return await _answer(send, 303, "", location=place, **{"set-cookie": f"{cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict"})
            if not self._fits(_cookie(headers.get("cookie", ""), cookie)):
                return await _answer(send, 403, "this page needs its token: open the address that was printed")

        size = 0

        async def counted() -> MutableMapping[str, Any]:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self.most_mb * MB:
                raise HTTPException(413, f"a file may have at most {self.most_mb:g} MB; this one has more. Leave out what is not needed, or start the "
                                         "server with a larger --max-mb.")
            return message

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message.get("headers", ())}
                more = [(name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in there]
                message["headers"] = [*message.get("headers", ()), *more]
            await send(message)

        return await self.app(scope, counted, with_headers)

    def _fits(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), (self.token or "").encode())


def _name(host: str) -> str:
    """The name in ``Host``, without the port; nothing where it cannot be read."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _from_here(headers: dict[str, str], host: str) -> bool:
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    return (origin is None or origin.partition("://")[2] == host) and site in (None, "same-origin", "none")


def _cookie(header: str, name: str) -> str:
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(header)
    except CookieError:
        return ""
    return jar[name].value if name in jar else ""


async def _answer(send: Send, status: int, words: str, **headers: str) -> None:
    listed = {"content-type": "text/plain; charset=utf-8", **HEADERS, **headers}
    await send({"type": "http.response.start", "status": status, "headers": [(k.encode(), v.encode("latin-1")) for k, v in listed.items()]})
    await send({"type": "http.response.body", "body": words.encode()})
