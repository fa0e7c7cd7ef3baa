"""Notifications of the revisions that a State Surface stores, so that nobody has to poll it.

A trigger on the table of artifacts notifies each revision at commit. It belongs to the benchmark, in databases that
belong to the benchmark, and is enabled only while signals are measured. All variants measured with it pay for it alike.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Self

import asyncpg

_TIMEOUT_SECONDS: Final = 120
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


class StoredRevisions:
    """The revisions that one State Surface has stored while the trigger was enabled."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection
        self._stored: dict[str, int] = {}
        self._waiting: dict[str, tuple[int, asyncio.Future[None]]] = {}

    @classmethod
    @asynccontextmanager
    async def at(cls, url: str) -> AsyncIterator[Self]:
        """Create the trigger, disabled, in a State Surface that belongs to the benchmark."""
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(_FUNCTION)
            stored_revisions = cls(connection)
            await connection.add_listener(_CHANNEL, stored_revisions._on_notify)
            yield stored_revisions
        finally:
            await connection.close()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Enable the trigger for as long as the context is open."""
        await self._connection.execute("alter table state_surface.artifacts enable trigger benchmark_stored")
        try:
            yield
        finally:
            await self._connection.execute("alter table state_surface.artifacts disable trigger benchmark_stored")

    async def wait_for(self, artifact_id: str, revision: int) -> None:
        """Wait until an artifact is stored at this revision or above."""
        if self._stored.get(artifact_id, -1) >= revision:
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[artifact_id] = (revision, waiting)
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            await waiting

    def _on_notify(self, *notification: object) -> None:
        artifact_id, _, revision = str(notification[-1]).partition(" ")
        stored = self._stored[artifact_id] = max(int(revision), self._stored.get(artifact_id, -1))
        wanted = self._waiting.get(artifact_id)
        if wanted and stored >= wanted[0]:
            del self._waiting[artifact_id]
            if not wanted[1].done():
                wanted[1].set_result(None)
