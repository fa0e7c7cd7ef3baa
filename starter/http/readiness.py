"""Whether the gateway can serve: the store and Temporal answer."""

import asyncio
import time
from typing import Final

from temporalio.client import Client
from temporalio.service import RPCError

from journeys.errors import DatabaseUnavailable, EngineUnavailable, JourneyError
from starter.http.store_reads import from_store
from stores.chat_sessions_supabase import STORE
from stores.postgres import Pool, connection_to

_ANSWER_SECONDS: Final = 2.0
# Anybody may ask, so all who ask within this time share one answer.
_FRESH_SECONDS: Final = 1.0


class Readiness:
    """Asks the store and Temporal, at most once a second."""

    def __init__(self, client: Client, pool: Pool) -> None:
        self._client = client
        self._pool = pool
        self._looking = asyncio.Lock()
        self._looked_at = -_FRESH_SECONDS
        self._found: JourneyError | None = None
        self._is_closing = False

    def close(self) -> None:
        """From now on, the gateway is not ready: it stops."""
        self._is_closing = True

    async def check(self) -> None:
        """Check that the gateway can serve.

        Raises:
            JourneyError: The store or Temporal cannot be reached, or the gateway stops.
        """
        if self._is_closing:
            raise EngineUnavailable("the gateway stops", outcome="not accepted")
        async with self._looking:
            if time.monotonic() >= self._looked_at + _FRESH_SECONDS:
                self._found = await self._look()
                self._looked_at = time.monotonic()
        if self._found:
            raise self._found

    async def _look(self) -> JourneyError | None:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await from_store(self._ask_store())
        except (JourneyError, TimeoutError):
            return DatabaseUnavailable("the store does not answer", outcome="not accepted")
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._client.service_client.check_health()
        except (RPCError, RuntimeError, TimeoutError):
            return EngineUnavailable("Temporal does not answer", outcome="not accepted")
        return None

    async def _ask_store(self) -> None:
        async with connection_to(STORE, self._pool) as connection:
            await connection.fetchval("select 1 from public.chat_sessions limit 1")
