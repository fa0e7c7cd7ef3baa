"""How a gateway learns of changes: it asks the store for all followed sessions in one statement, again and again.

`NOTIFY` would take a lock at every commit of the whole database, and does not pass a pooler in transaction mode. A
change that this gateway has sent itself is read at once.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Final, TypeVar

from temporalio.exceptions import ApplicationError

from journeys.errors import JourneyError
from starter.http.problems import Problem
from starter.http.stream.change_batches import ChangeBatch, ChangeReader
from starter.http.stream.feed import Feed, RecentChanges, Wake
from stores.followed_sessions_supabase import FollowedSessionsSupabase

Answer = TypeVar("Answer")

MAX_FOLLOWERS: Final = 10_000
"""How many streams a gateway serves at once."""

READS_AT_ONCE: Final = 4
"""How many reads for followers may be under way, besides the poll."""

PAUSE_PER_POLL: Final = 6
"""The pause after a poll, in times of its duration. With many followed sessions a poll takes longer; the next one then
comes later, so that the store has no more to do."""

OUTAGE_SECONDS: Final = 1.0
"""The pause after a failed read."""

FAILURES: Final = (ApplicationError, JourneyError, TimeoutError)
"""The failures of a store's read, apart from defects."""

_POLL_SECONDS: Final = 0.04
_READ_SECONDS: Final = 10.0

_LOG: Final = logging.getLogger(__name__)


class Poller:
    """Keeps the feeds of all followed sessions up to date."""

    def __init__(self, followed: FollowedSessionsSupabase, reader: ChangeReader) -> None:
        self.is_closing = False
        """Whether the gateway stops: every stream ends."""
        self._followed = followed
        self._reader = reader
        self._feeds: dict[str, Feed] = {}
        self._followers = 0
        self._recent = RecentChanges()
        self._has_feeds = asyncio.Event()
        self._reading = asyncio.Semaphore(READS_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def feeds(self) -> Collection[Feed]:
        """The sessions that somebody follows."""
        return self._feeds.values()

    def find(self, chat_session_id: str) -> Feed | None:
        """A session that somebody follows; None if nobody does."""
        return self._feeds.get(chat_session_id)

    async def wait_for_feeds(self) -> None:
        """Wait until somebody follows a session."""
        await self._has_feeds.wait()

    def join(self, wake: Wake, chat_session_id: str, tenant_id: str, owner: str | None, revision: int) -> Feed:
        """Follow a session that was seen with this owner at a revision.

        Raises:
            Problem: Too many follow sessions at this gateway.
        """
        if self._followers >= MAX_FOLLOWERS:
            raise Problem("TOO_MANY_REQUESTS", "too many streams are open at this gateway")
        feed = self._feeds.get(chat_session_id)
        if feed is None or feed.ended:
            feed = self._feeds[chat_session_id] = Feed(chat_session_id, tenant_id, owner, revision)
        feed.see_owner(owner, revision)
        feed.followers.add(wake)
        self._followers += 1
        self._has_feeds.set()
        self._start_reading(feed)
        return feed

    def leave(self, wake: Wake, feed: Feed) -> None:
        """Follow a session no longer."""
        feed.followers.discard(wake)
        self._followers -= 1
        if not feed.followers and self._feeds.get(feed.chat_session_id) is feed:
            del self._feeds[feed.chat_session_id]
            if not self._feeds:
                self._has_feeds.clear()

    def announce(self, chat_session_id: str, revision: int) -> None:
        """Read a change that this gateway has sent, and that the store holds."""
        if feed := self._feeds.get(chat_session_id):
            feed.target = max(feed.target, revision)
            self._start_reading(feed)

    async def refresh(self, feed: Feed) -> None:
        """Find out what has become of a session that cannot be read any more."""
        for state in await self._followed.changed([(feed.chat_session_id, -1)]):
            feed.see(state)

    async def read(self, feed: Feed, user_id: str | None, *, after: int) -> ChangeBatch | None:
        """Read a session's changes; see `in_turn`."""
        return await self.in_turn(lambda: self._reader.read(feed.chat_session_id, feed.tenant_id, user_id, after=after))

    async def in_turn(self, read: Callable[[], Awaitable[Answer]]) -> Answer:
        """Read something for followers, a few at once, so that the poll finds a connection.

        Raises:
            TimeoutError: It was not read in time, the wait for a turn included.
        """
        async with asyncio.timeout(_READ_SECONDS), self._reading:
            return await read()

    async def run(self) -> None:
        """Poll until this is cancelled."""
        loop = asyncio.get_running_loop()
        is_away = False
        try:
            while True:
                await self.wait_for_feeds()
                began = loop.time()
                try:
                    await self._poll()
                    is_away = False
                except Exception as error:  # whatever it is, followers wait for the next poll
                    if not is_away:
                        _log_failure("followed sessions cannot be read", error)
                    is_away = True
                pause = max(_POLL_SECONDS, PAUSE_PER_POLL * (loop.time() - began))
                await asyncio.sleep(OUTAGE_SECONDS if is_away else pause)
        finally:
            for task in self._tasks:
                task.cancel()

    def close(self) -> None:
        """End every stream."""
        self.is_closing = True
        for feed in self._feeds.values():
            feed.wake_followers()

    async def _poll(self) -> None:
        known = [(feed.chat_session_id, feed.revision) for feed in self._feeds.values() if not feed.is_being_read]
        for state in await self._followed.changed(known) if known else ():
            if feed := self._feeds.get(state.chat_session_id):
                feed.see(state)
                self._start_reading(feed)

    def _start_reading(self, feed: Feed) -> None:
        is_due = asyncio.get_running_loop().time() >= feed.read_again_at
        if feed.is_being_read or feed.ended or feed.revision >= feed.target or not is_due:
            return
        feed.is_being_read = True
        task = asyncio.create_task(self._bring_up_to_date(feed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _bring_up_to_date(self, feed: Feed) -> None:
        try:
            while feed.revision < feed.target and not feed.ended and feed.followers:
                target = feed.target
                batch = await self.read(feed, None, after=feed.revision)
                if batch is None:
                    await self.refresh(feed)
                    return
                self._recent.add(feed, feed.take(batch))
                if batch.complete:
                    feed.pass_gap(target)
        except Exception as error:  # a later poll finds the session again
            _log_failure("a followed session cannot be read", error)
            feed.read_again_at = asyncio.get_running_loop().time() + OUTAGE_SECONDS
        finally:
            feed.is_being_read = False


def _log_failure(event: str, error: Exception) -> None:
    is_defect = not isinstance(error, FAILURES)
    _LOG.warning(event, extra={"reason": str(error)}, exc_info=error if is_defect else None)
