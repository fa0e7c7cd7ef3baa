"""A TCP proxy that fails on demand: the network between one worker and a store that others go on using."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import SecretStr

from embedded import StackAddresses

_LOOPBACK = "127.0.0.1"
_CHUNK = 65536


class _Link:
    """One connection and its other half, to the server."""

    def __init__(self, client: asyncio.StreamWriter, *, flows: bool, deaf: bool) -> None:
        self.writers = [client]
        self.flows = asyncio.Event()
        self.deaf = deaf  # ends as soon as the server says something
        if flows:
            self.flows.set()

    def cut(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


class TcpProxy:
    """Passes connections on to a server, until a test makes it a broken network."""

    def __init__(self, url: str) -> None:
        """Stand in front of the server that a URL names; nothing is opened yet."""
        self._target = urlsplit(url)
        self._listening: asyncio.Server | None = None
        self._held: socket.socket | None = None
        self._port = 0
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stalls = False
        self._loses_replies = False

    @classmethod
    @asynccontextmanager
    async def before(cls, url: str) -> AsyncIterator[Self]:
        """A proxy that works, in front of the server that a URL names."""
        proxy = cls(url)
        proxy._hold()
        await proxy.mend()
        try:
            yield proxy
        finally:
            await proxy.refuse()
            if proxy._held:
                proxy._held.close()
            for task in proxy._tasks:
                task.cancel()
            await asyncio.gather(*proxy._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        """The same URL, through the proxy."""
        login, _, _ = self._target.netloc.rpartition("@")
        return self._target._replace(netloc=f"{login}@{_LOOPBACK}:{self._port}").geturl()

    async def refuse(self) -> None:
        """Be down: cut every connection, and take no more."""
        if self._listening:
            self._listening.close()
            self._listening = None
            self._hold()
        self.cut()

    def cut(self) -> None:
        """Cut every connection that there is."""
        for link in self._links:
            link.cut()

    def stall(self) -> None:
        """Pass nothing on, and tell nobody: connections stay open, old ones and new ones."""
        self._stalls = True
        for link in self._links:
            link.flows.clear()

    def lose_replies(self) -> None:
        """Pass requests on, and cut the connection instead of answering."""
        self._loses_replies = True
        for link in self._links:
            link.deaf = True

    async def mend(self) -> None:
        """Be well again, for new connections: what was stalled stays lost."""
        self._stalls = self._loses_replies = False
        if self._held:
            self._listening = await asyncio.start_server(self._connect, sock=self._held)
            self._held = None

    def _hold(self) -> None:
        # Bound and not listening: connections are refused, and nobody else gets the port.
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind((_LOOPBACK, self._port))
        self._port = self._held.getsockname()[1]

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(writer, flows=not self._stalls, deaf=self._loses_replies)
        self._links.add(link)
        try:
            answers, server = await asyncio.open_connection(self._target.hostname, self._target.port)
            link.writers.append(server)
            pumps = [
                asyncio.create_task(_pump(link, reader, server, replies=False)),
                asyncio.create_task(_pump(link, answers, writer, replies=True)),
            ]
            self._tasks.update(pumps)
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            link.cut()
            self._links.discard(link)


async def _pump(link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, replies: bool) -> None:
    try:
        while data := await reader.read(_CHUNK):
            await link.flows.wait()
            if replies and link.deaf:
                return
            writer.write(data)
            await writer.drain()
    except OSError:
        return


@dataclass(frozen=True)
class ProxiedStores:
    """Both stores of a test's worker, behind a proxy each. Everybody else reaches the same stores directly."""

    supabase: TcpProxy
    state_surface: TcpProxy

    @classmethod
    @asynccontextmanager
    async def of(cls, addresses: StackAddresses) -> AsyncIterator[Self]:
        async with (
            TcpProxy.before(addresses.supabase_db_url) as supabase,
            TcpProxy.before(addresses.state_surface_url) as state_surface,
        ):
            yield cls(supabase, state_surface)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of a worker that reaches its stores through the proxies."""
        return {
            "supabase_db_url": SecretStr(self.supabase.url),
            "state_surface_url": SecretStr(self.state_surface.url),
        }
