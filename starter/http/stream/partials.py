"""Shows followers what agents are writing: asks the store for all followed sessions, five times a second."""

import asyncio
import logging
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from starter.http.stream.events import write_partial
from starter.http.stream.feed import MAX_PARTIALS, Feed
from starter.http.stream.poller import FAILURES, OUTAGE_SECONDS, PAUSE_PER_POLL, Poller
from stores.partials_supabase import MAX_AGE_SECONDS, PartialsSupabase

_POLL_SECONDS: Final = 0.2
_FORGET_SECONDS: Final = 60.0
# A text has the time at which it is written, and can be read only a moment later.
_OVERLAP: Final = timedelta(seconds=1)

_LOG: Final = logging.getLogger(__name__)


async def show_partials(followed: Poller, store: PartialsSupabase) -> None:
    """Poll until this is cancelled. A text that is missed is shown with the next one."""
    loop = asyncio.get_running_loop()
    seen = datetime.fromtimestamp(0, UTC)
    known: set[Feed] = set()
    while True:
        await followed.wait_for_feeds()
        began = loop.time()
        try:
            feeds = set(followed.feeds)
            if new := feeds - known:
                # The writing may have begun before anybody followed the session here, and may stand still.
                oldest = await store.now() - timedelta(seconds=MAX_AGE_SECONDS)
                seen = max(seen, oldest)
                await _show(followed, store, new, since=oldest)
            seen = max(seen, await _show(followed, store, feeds & known, since=seen - _OVERLAP))
            known = feeds
            pause = max(_POLL_SECONDS, PAUSE_PER_POLL * (loop.time() - began))
        except FAILURES as error:
            _LOG.debug("partial messages cannot be read", extra={"reason": str(error)})
            pause = OUTAGE_SECONDS
        await asyncio.sleep(pause)


async def _show(followed: Poller, store: PartialsSupabase, feeds: Collection[Feed], *, since: datetime) -> datetime:
    """Show the partials of some feeds that were written after a time; the time of the latest one, or that time."""
    for partial in await store.newer([feed.chat_session_id for feed in feeds], since, limit=MAX_PARTIALS):
        since = max(since, partial.written_at)
        if feed := followed.find(partial.chat_session_id):
            data = write_partial(partial.message_id, partial.text)
            feed.show_partial(partial.message_id, data, partial.written_at)
    return since


async def forget_partials(store: PartialsSupabase) -> None:
    """Delete abandoned partials now and then, until this is cancelled."""
    while True:
        with suppress(*FAILURES):
            await store.forget_old()
        await asyncio.sleep(_FORGET_SECONDS)
