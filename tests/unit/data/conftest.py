"""A server on this machine that misbehaves as it is told, for the tests of fetching."""

from __future__ import annotations

import hashlib
import http.server
import threading
import time
from functools import partial

import pytest

from edukit.data import fetch

CONTENT = bytes(range(256)) * 2_000
"""What the server gives unless told otherwise: 512,000 bytes."""


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as the attributes of its server say, and writes down every request."""

    def do_GET(self):
        server, path = self.server, self.path
        server.asked.append((path, self.headers.get("Range")))
        if path in server.redirects:
            self.send_response(302)
            self.send_header("Location", server.redirects[path])
            self.end_headers()
            return
        if server.status and server.status.get(len(server.asked), server.status.get("always")):
            self.send_error(server.status.get(len(server.asked)) or server.status["always"])
            return
        content, start = server.content, 0
        if server.ranges and (asked := self.headers.get("Range")):
            start = int(asked.removeprefix("bytes=").rstrip("-")) + server.shift
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if server.length:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        stop = len(content) if len(server.asked) not in server.drops and "always" not in server.drops else start + server.drops_after
        for at in range(start, stop, 65_536):
            try:
                self.wfile.write(content[at : min(at + 65_536, stop)])
            except ConnectionError:  # the client has seen enough
                return
            time.sleep(server.slow)

    def log_message(self, *words):
        pass


def said(server: http.server.ThreadingHTTPServer, name: str = "school/log.csv", content: bytes = CONTENT, **more) -> dict:
    """A card's entry for a file of the server."""
    return {"@type": "cr:FileObject", "@id": name, "name": name, "contentUrl": f"{server.url}/log.csv", "contentSize": f"{len(content)} B",
            "encodingFormat": "text/csv", "sha256": hashlib.sha256(content).hexdigest(), "access": "open", **more}


@pytest.fixture
def server(monkeypatch):
    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.asked, found.redirects, found.status, found.content = [], {}, {}, CONTENT
    found.ranges, found.length, found.drops, found.drops_after, found.slow, found.shift = True, True, (), 204_800, 0.0, 0
    found.url = f"http://127.0.0.1:{found.server_port}"
    monkeypatch.setattr(fetch, "PAUSE", 0.001)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    found.said = partial(said, found)
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()
