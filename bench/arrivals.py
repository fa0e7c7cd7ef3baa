"""Hearing from a State Surface what it has stored, without asking again and again.

While somebody listens, a trigger on the artifacts' table tells the revision at each commit. The trigger is the
benchmark's own, in databases of the benchmark's own, and is there only while signals are measured; what it costs, it
costs every variant that is measured so.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Self

import asyncpg

_PATIENCE_SECONDS: Final = 120
_CHANNEL: Final = "benchmark_stored"
_FUNCTION: Final = f"""
create or replace function public.benchmark_stored() returns trigger language plpgsql as $$
begin
  perform pg_notify('{_CHANNEL}', new.artifact_id || ' ' || new.revision);
  return null;
end;
$$;
create or replace trigger benchmark_stored after insert or update on state_surface.artifacts
  for each row execute function public.benchmark_stored();
alter table state_surface.artifacts disable trigger benchmark_stored
"""


class Arrivals:
    """What one State Surface has stored since somebody listens."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection
        self._stored: dict[str, int] = {}
        self._waiting: dict[str, tuple[int, asyncio.Future[None]]] = {}

    @classmethod
    @asynccontextmanager
    async def at(cls, url: str) -> AsyncIterator[Self]:
        """Prepare a State Surface of the benchmark's own."""
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(_FUNCTION)
            arrivals = cls(connection)
            await connection.add_listener(_CHANNEL, arrivals._hear)
            yield arrivals
        finally:
            await connection.close()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen for as long as the context is open."""
        await self._connection.execute("alter table state_surface.artifacts enable trigger benchmark_stored")
        try:
            yield
        finally:
            await self._connection.execute("alter table state_surface.artifacts disable trigger benchmark_stored")

    async def arrived(self, artifact_id: str, revision: int) -> None:
        """Wait until an artifact was stored at this revision or above."""
        if self._stored.get(artifact_id, -1) >= revision:
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[artifact_id] = (revision, waiting)
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await waiting

    def _hear(self, *heard: object) -> None:
        artifact_id, _, revision = str(heard[-1]).partition(" ")
        stored = self._stored[artifact_id] = max(int(revision), self._stored.get(artifact_id, -1))
        wanted = self._waiting.get(artifact_id)
        if wanted and stored >= wanted[0]:
            del self._waiting[artifact_id]
            if not wanted[1].done():
                wanted[1].set_result(None)
