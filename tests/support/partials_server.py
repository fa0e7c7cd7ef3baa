"""A gateway that takes `partial` texts of answers, and nothing else."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from pydantic_core import from_json

from tests.support.journeys import Json


@dataclass
class PartialsServer:
    """Keeps the requests that it gets.

    Attributes:
        status: The status of its answers; None never answers.
        came: When each request came.
    """

    status: int | None = 204
    url: str = ""
    heads: list[str] = field(default_factory=list)
    bodies: list[Json] = field(default_factory=list)
    came: list[float] = field(default_factory=list)
    received: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    @asynccontextmanager
    async def running(cls, status: int | None = 204) -> "AsyncIterator[PartialsServer]":
        server = cls(status)
        listening = await asyncio.start_server(server._serve, "127.0.0.1", 0)
        server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        try:
            yield server
        finally:
            listening.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next(line for line in head.lower().splitlines() if line.startswith("content-length:"))
                body = await reader.readexactly(int(length.partition(":")[2]))
                self.came.append(time.monotonic())
                self.heads.append(head)
                self.bodies.append(from_json(body))
                self.received.set()
                if self.status is not None:
                    writer.write(f"HTTP/1.1 {self.status} Whatever\r\ncontent-length: 0\r\n\r\n".encode())
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
