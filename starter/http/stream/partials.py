"""Shows followers what agents are writing: asks the store for all followed sessions, five times a second."""

import asyncio
import logging
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final, Protocol

from temporalio.exceptions import ApplicationError

from journeys.errors import JourneyError
from starter.http.stream.events import write_partial
from starter.http.stream.feed import MAX_PARTIALS, Feed
from stores.partials_supabase import MAX_AGE_SECONDS, PartialsSupabase

_POLL_SECONDS: Final = 0.2
# With many followed sessions a poll takes longer. The next one then comes later, so that the store has no more to do.
_PAUSE_PER_POLL: Final = 6
_OUTAGE_SECONDS: Final = 1.0
_FORGET_SECONDS: Final = 60.0

_FAILURES: Final = (ApplicationError, JourneyError, TimeoutError)
_LOG: Final = logging.getLogger(__name__)


class FollowedFeeds(Protocol):
    """The feeds that somebody follows."""

    @property
    def feeds(self) -> Collection[Feed]:
        """All of them."""

    def find(self, chat_session_id: str) -> Feed | None:
        """The feed of a session; None if nobody follows it."""

    async def wait_for_feeds(self) -> None:
        """Wait until somebody follows a session."""


async def show_partials(followed: FollowedFeeds, store: PartialsSupabase) -> None:
    """Poll until this is cancelled. A text that is missed is shown with the next one."""
    loop = asyncio.get_running_loop()
    seen: datetime | None = None
    while True:
        await followed.wait_for_feeds()
        began = loop.time()
        try:
            # The first poll also shows answers whose writing has begun before.
            seen = seen or await store.now() - timedelta(seconds=MAX_AGE_SECONDS)
            sessions = [feed.chat_session_id for feed in followed.feeds]
            for partial in await store.newer(sessions, seen, limit=MAX_PARTIALS):
                seen = max(seen, partial.written_at)
                if feed := followed.find(partial.chat_session_id):
                    feed.show_partial(partial.message_id, write_partial(partial.message_id, partial.text))
            pause = max(_POLL_SECONDS, _PAUSE_PER_POLL * (loop.time() - began))
        except _FAILURES as error:
            _LOG.debug("partial messages cannot be read", extra={"reason": str(error)})
            pause = _OUTAGE_SECONDS
        await asyncio.sleep(pause)


async def forget_partials(store: PartialsSupabase) -> None:
    """Delete abandoned partials now and then, until this is cancelled."""
    while True:
        with suppress(*_FAILURES):
            await store.forget_old()
        await asyncio.sleep(_FORGET_SECONDS)
