"""Shows followers of the session an answer while the model still writes it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import httpx2

from journeys.chat_session.agent_turns import AgentTurn

_INTERVAL_SECONDS: Final = 0.2
"""The gateway shows five texts a second."""

_DEADLINE_SECONDS: Final = 2.0
_MAX_FAILURES: Final = 5


class PartialAnswer:
    """The text of one answer so far. Showing it never delays the turn, and never fails it."""

    def __init__(self) -> None:
        self.text = ""
        self._changed = asyncio.Event()

    def show(self, text: str) -> None:
        """Replace the text that is shown."""
        self.text = text
        self._changed.set()

    async def next_text(self) -> str:
        """The latest text, once it has changed."""
        await self._changed.wait()
        self._changed.clear()
        return self.text


class Partials:
    """Posts unfinished answers to the gateway."""

    def __init__(self, gateway_url: str, token: str) -> None:
        self._url = f"{gateway_url.rstrip('/')}/v1/chat-sessions"
        self._client = httpx2.AsyncClient(timeout=_DEADLINE_SECONDS, headers={"Authorization": f"Bearer {token}"})

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    @asynccontextmanager
    async def shown(self, turn: AgentTurn, message_id: str) -> AsyncIterator[PartialAnswer]:
        """Show an answer as it grows, until the context ends; nothing is shown after that."""
        partial = PartialAnswer()
        posting = asyncio.create_task(self._post_each(partial, turn, message_id))
        try:
            yield partial
        finally:
            posting.cancel()
            await asyncio.wait({posting})

    async def _post_each(self, partial: PartialAnswer, turn: AgentTurn, message_id: str) -> None:
        failures = 0
        while failures < _MAX_FAILURES:
            text = await partial.next_text()
            try:
                async with asyncio.timeout(_DEADLINE_SECONDS):  # the client's own timeout is for each step
                    response = await self._client.post(
                        f"{self._url}/{turn.chat_session_id}/partials",
                        headers={b"X-Tenant-Id": turn.tenant_id.encode()},
                        json={"message_id": message_id, "text": text},
                    )
                    response.raise_for_status()
            except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
                failures += 1
                logging.getLogger(__name__).warning("an answer so far was not shown: %r", error)
            else:
                failures = 0
            await asyncio.sleep(_INTERVAL_SECONDS)
