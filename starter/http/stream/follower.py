"""One stream: an answer that goes on for as long as its reader stays and may read."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from starter.http.callers import Caller
from starter.http.connections import STALLED_SECONDS
from starter.http.stream.events import KEEP_ALIVE, STOPPING, EndReason, write_end
from starter.http.stream.feed import Feed
from starter.http.stream.poller import FAILURES, Poller

MEDIA_TYPE: Final = "text/event-stream"

KEEP_ALIVE_SECONDS: Final = 15.0
"""A follower gets something at least this often."""

_RETRY_SECONDS: Final = 2.0
# uvicorn waits for the reader between two pieces, so at most two pieces wait for a slow reader.
_PIECE_BYTES: Final = 64 * 1024


class _Stalled(Exception):  # noqa: N818 - ends the stream
    """The reader takes nothing, and is dropped. It can come back with the last ID that it has seen."""


@dataclass(frozen=True, slots=True)
class Opening:
    """Where a stream begins.

    Attributes:
        data: The first event, if the reader gets the whole session first; otherwise empty.
        place: The revision after which the stream goes on.
        owner: Whose session it is.
        revision: The session's revision.
    """

    data: bytes
    place: int
    owner: str | None
    revision: int


class EventStream(Response):
    """The answer to a follower."""

    def __init__(self, poller: Poller, caller: Caller, chat_session_id: str, opening: Opening) -> None:
        """Begin to follow.

        Raises:
            Problem: Too many follow sessions at this gateway.
        """
        super().__init__(
            status_code=200,
            headers={"content-type": MEDIA_TYPE, "cache-control": "no-store", "x-accel-buffering": "no"},
        )
        del self.headers["content-length"]
        self._poller = poller
        self._user_id = caller.user_id
        self._expires_at = caller.expires_at
        self._opening = opening.data
        self._place = opening.place
        self._partial = 0
        self._woken = asyncio.Event()
        self._is_gone = False
        self._feed: Feed = poller.join(
            self._woken.set, chat_session_id, caller.tenant_id, opening.owner, opening.revision
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until there is a reason to stop."""
        leaving = asyncio.create_task(self._wait_until_gone(receive))
        self._send = send
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await self._write(self._opening)
            self._opening = b""
            await self._follow()
            await send({"type": "http.response.body", "body": b""})
        except _Stalled:
            scope["state"]["abort"]()
        finally:
            leaving.cancel()
            self._poller.leave(self._woken.set, self._feed)

    async def _wait_until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._is_gone = True
        self._woken.set()

    async def _follow(self) -> None:
        while not self._is_gone:
            self._woken.clear()
            if self._poller.is_closing:
                await self._write(STOPPING)
                return
            if reason := self._find_end():
                await self._write(write_end(reason))
                return
            changes = self._feed.changes_after(self._place)
            if changes is None:
                await self._read_from_store()
                continue
            for change in changes:
                if self._find_end():
                    break
                await self._write(change.data)
                self._place = change.revision
            partials = self._feed.partials_after(self._partial)
            for partial in partials:
                if self._find_end():
                    break
                await self._write(partial.data)
                self._partial = partial.number
            if not changes and not partials:
                await self._wait()

    def _find_end(self) -> EndReason | None:
        if self._feed.ended:
            return self._feed.ended
        if not self._feed.is_visible_to(self._user_id):
            return "not_found"
        return "token_expired" if time.time() >= self._expires_at else None

    async def _read_from_store(self) -> None:
        """Send the changes that the feed no longer holds."""
        reached = self._feed.revision
        try:
            batch = await self._poller.read(self._feed, self._user_id, after=self._place)
            if batch is None:
                await self._poller.refresh(self._feed)
                return
        except FAILURES:
            await self._pause(_RETRY_SECONDS)
            await self._write(KEEP_ALIVE)
            return
        self._feed.see(batch.state)
        for change in batch.changes:
            if self._is_gone or self._find_end():
                return
            await self._write(change.data)
            self._place = change.revision
        if batch.complete:  # a revision that is missing up to `reached` is a gap
            self._place = max(self._place, reached)

    async def _wait(self) -> None:
        left = max(self._expires_at - time.time(), 0)
        # No keep-alive if the pause ends with the token. This goes by `left` and not by the time now, because another
        # clock has timed the pause, and the two differ by a hair.
        if not await self._pause(min(KEEP_ALIVE_SECONDS, left)) and left > KEEP_ALIVE_SECONDS:
            await self._write(KEEP_ALIVE)

    async def _pause(self, seconds: float) -> bool:
        """Wait until something has happened; False if nothing has in this time."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return False
        return True

    async def _write(self, data: bytes) -> None:
        for start in range(0, len(data), _PIECE_BYTES):
            try:
                async with asyncio.timeout(STALLED_SECONDS):
                    await self._send(
                        {
                            "type": "http.response.body",
                            "body": data[start : start + _PIECE_BYTES],
                            "more_body": True,
                        }
                    )
            except TimeoutError:
                raise _Stalled from None
