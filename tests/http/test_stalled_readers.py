"""A stream with short time limits: comments while nothing happens, and the end of a reader that takes nothing."""

import asyncio
import time
from collections.abc import MutableMapping
from typing import Any

import pytest

from starter.http.callers import Caller
from starter.http.stream import follower
from starter.http.stream.change_batches import ChangeReader
from starter.http.stream.events import KEEP_ALIVE
from starter.http.stream.follower import EventStream, Opening
from starter.http.stream.poller import Poller
from stores.chat_pages_supabase import ChatPagesSupabase
from stores.followed_sessions_supabase import FollowedSessionsSupabase
from tests.support.journeys import Journeys

Message = MutableMapping[str, Any]


@pytest.fixture
async def stream(world: Journeys) -> EventStream:
    """A stream of a session that does not change."""
    session = await world.create_session()
    followed = FollowedSessionsSupabase(world.supabase)
    poller = Poller(followed, ChangeReader(ChatPagesSupabase(world.supabase), followed))
    caller = Caller(world.tenant_id, None, is_service=True, expires_at=time.time() + 600)
    return EventStream(poller, caller, session, Opening(b"the opening\n\n", 0, "ada", 0))


async def stay() -> Message:
    await asyncio.Event().wait()
    return {"type": "http.disconnect"}


async def test_a_comment_comes_while_nothing_happens(stream: EventStream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "KEEP_ALIVE_SECONDS", 0.01)
    sent: asyncio.Queue[bytes] = asyncio.Queue()

    async def send(message: Message) -> None:
        sent.put_nowait(message.get("body", b""))

    serving = asyncio.create_task(stream({"type": "http"}, stay, send))
    said = [await sent.get() for _ in range(4)]
    serving.cancel()
    assert said == [b"", b"the opening\n\n", KEEP_ALIVE, KEEP_ALIVE]


async def test_a_reader_that_takes_nothing_is_dropped(stream: EventStream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "STALLED_SECONDS", 0.01)
    dropped = asyncio.Event()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    await stream({"type": "http", "state": {"abort": dropped.set}}, stay, send)
    assert dropped.is_set()


async def test_a_stream_ends_with_its_reader(stream: EventStream) -> None:
    async def go() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        pass

    async with asyncio.timeout(10):
        await stream({"type": "http"}, go, send)
