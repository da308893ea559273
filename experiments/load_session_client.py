"""A client of the session service that costs little: HTTP/1.1 over connections that stay open, so that a load generator measures the service."""

from __future__ import annotations

import asyncio
import json
from typing import Any

Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Client:
    """Asks a service on this machine, over as many connections as there are requests at once.

    Parameters
    ----------
    port : where it listens. token : stated with every request, where there is one.
    """

    def __init__(self, port: int, token: str | None = None) -> None:
        self.port, self.token = port, token
        self._idle: list[Line] = []

    def close(self) -> None:
        """Close every connection."""
        for _, writer in self._idle:
            writer.close()
        self._idle = []

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """The status and the body of a reply.

        Raises
        ------
        OSError, EOFError
            Where there is no service, or it ended before the reply was whole.
        """
        content = b"" if body is None else json.dumps(body).encode()
        token = f"authorization: Bearer {self.token}\r\n" if self.token else ""
        request = (f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\ncontent-type: application/json\r\n{token}"
                   f"content-length: {len(content)}\r\n\r\n".encode() + content)
        while self._idle:
            try:
                return await self._asked(self._idle.pop(), request)
            except (OSError, EOFError):  # the service closes what is idle for long: asked again on another, since every request may be sent twice
                continue
        return await self._asked(await asyncio.open_connection("127.0.0.1", self.port), request)

    async def _asked(self, line: Line, request: bytes) -> tuple[int, dict[str, Any]]:
        reader, writer = line
        try:
            writer.write(request)
            status, length = await self._head(reader)
            found = json.loads(await reader.readexactly(length)) if length else {}
        except BaseException:
            writer.close()
            raise
        self._idle.append(line)
        return status, found

    @staticmethod
    async def _head(reader: asyncio.StreamReader) -> tuple[int, int]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        stated = [line.partition(":")[2] for line in head if line.startswith("content-length:")]
        return int(head[0].split()[1]), int(stated[0]) if stated else 0
