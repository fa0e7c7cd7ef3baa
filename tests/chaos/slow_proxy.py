"""The proxy of the other tests, which can also be slow: delayed data still arrives."""

import asyncio

from tests.support.tcp_proxy import TcpProxy


class SlowProxy(TcpProxy):
    """Delays what clients send; after a long delay, it arrives when nobody waits for the answer any more."""

    delay = 0.0

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await super()._connect(_SlowReader(reader, self), writer)
        except OSError:
            writer.transport.abort()  # the server is down: as if it had refused

    async def mend(self) -> None:
        """End all harm, the delay included."""
        self.delay = 0.0
        await super().mend()


class _SlowReader(asyncio.StreamReader):
    def __init__(self, reader: asyncio.StreamReader, proxy: SlowProxy) -> None:
        super().__init__()
        self._reader = reader
        self._proxy = proxy

    async def read(self, n: int = -1) -> bytes:
        data = await self._reader.read(n)
        if self._proxy.delay:
            await asyncio.sleep(self._proxy.delay)
        return data
