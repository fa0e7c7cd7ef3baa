"""A follower on a bare connection: a thousand HTTP clients would cost more than the gateway that they test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.http_gateways import PATH, GatewayProcess


class BareFollower:
    """Follows one session, at one gateway after another, and notes each revision that it is sent."""

    def __init__(self, session: str, token: str) -> None:
        self.seen: list[int] = []
        self.streams = 0
        self._session = session
        self._token = token
        self._begun = asyncio.Event()

    async def until_begun(self) -> None:
        """Wait until the follower has its first event."""
        await self._begun.wait()

    async def follow(self, gateway: GatewayProcess, *, to: int | None = None) -> None:
        """Follow on from the last revision seen until revision `to` has come; without `to`, for ever.

        A gateway that is too busy says when to come back.

        Raises:
            OSError: The gateway cannot be reached, or is gone.
            IncompleteReadError: The gateway is gone.
        """
        while not await self._follow_once(gateway, to):
            pass

    async def _follow_once(self, gateway: GatewayProcess, to: int | None) -> bool:
        async with self._connected(gateway) as reader:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if head.startswith(b"http/1.1 503"):
                await asyncio.sleep(float(head.partition(b"retry-after: ")[2].partition(b"\r\n")[0]))
                return False
            assert head.startswith(b"http/1.1 200"), head
            self.streams += 1
            unread = b""
            while to is None or not self.seen or self.seen[-1] < to:
                size = int(await reader.readuntil(b"\r\n"), 16)
                *events, unread = (unread + await reader.readexactly(size)).split(b"\n\n")
                await reader.readexactly(2)
                for event in events:
                    self._note(event)
            return True

    def _note(self, event: bytes) -> None:
        for line in event.splitlines():
            if line.startswith(b"id: "):
                self.seen.append(int(line[4:]))
                self._begun.set()

    @asynccontextmanager
    async def _connected(self, gateway: GatewayProcess) -> AsyncIterator[asyncio.StreamReader]:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        try:
            lines = [f"GET {PATH}/{self._session}/events HTTP/1.1", "host: x", f"authorization: Bearer {self._token}"]
            lines += [f"last-event-id: {self.seen[-1]}"] if self.seen else []
            writer.write("\r\n".join((*lines, "", "")).encode())
            yield reader
        finally:
            writer.transport.abort()
