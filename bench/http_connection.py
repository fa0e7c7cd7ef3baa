"""A connection to the gateway that costs its caller little: a library's client would cost more than the requests."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from pydantic import JsonValue

_CONTENT_LENGTH: Final = b"content-length:"
_EVENT_ID: Final = b"id: "


@dataclass(slots=True)
class HttpConnection:
    """A kept-alive connection for one request after the other, with one token."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    headers: str

    @classmethod
    async def open(cls, address: str, token: str) -> Self:
        """Connect to `host:port`."""
        host, _, port = address.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        return cls(reader, writer, f"Host: {address}\r\nAuthorization: Bearer {token}\r\n")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.close()

    async def request(
        self, method: str, path: str, body: Mapping[str, JsonValue] | None = None, headers: str = ""
    ) -> bytes:
        """Send a request; returns the body of its answer, which must be a success."""
        content = b"" if body is None else json.dumps(body).encode()
        if body is not None:
            headers += f"Content-Length: {len(content)}\r\n"
        self.writer.write(f"{method} {path} HTTP/1.1\r\n{self.headers}{headers}\r\n".encode() + content)
        head = await self.reader.readuntil(b"\r\n\r\n")
        assert head[9:10] == b"2", head.partition(b"\r\n")[0]
        lines = head.lower().split(b"\r\n")
        length = next((int(line[len(_CONTENT_LENGTH) :]) for line in lines if line.startswith(_CONTENT_LENGTH)), 0)
        return await self.reader.readexactly(length)

    async def follow(self, path: str) -> AsyncIterator[int]:
        """Follow a session: the revision of each event that has one."""
        self.writer.write(f"GET {path} HTTP/1.0\r\n{self.headers}\r\n".encode())  # 1.0: the answer is not in chunks
        head = await self.reader.readuntil(b"\r\n\r\n")
        assert head[9:10] == b"2", head.partition(b"\r\n")[0]
        while line := await self.reader.readline():
            if line.startswith(_EVENT_ID):
                yield int(line[len(_EVENT_ID) :])
