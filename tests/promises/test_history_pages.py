"""Reading a session's ledger costs the worker a page of memory, whatever the entries hold."""

import asyncio
import tracemalloc
from uuid import UUID

import pytest

from journeys.chat_session.limits import MIB
from journeys.chat_session.messages import GetChatSessionHistory
from stores.chat_pages_supabase import ChatPagesSupabase
from stores.postgres import open_pool
from tests.support.journeys import Journeys

# jsonb writes this number out, at 327 characters.
LONG_NUMBER = "5e-324"


async def create_session_with_ledger(journeys: Journeys, sizes: list[int]) -> str:
    """A session whose ledger has one change for each size, of that many long numbers, as older releases stored them."""
    session: str = (await journeys.initialize(journeys.request("ada")))["chat_session_id"]
    for revision, size in enumerate(sizes, 1):
        await journeys.supabase.execute(
            """
            insert into public.chat_context_updates (
              chat_session_id, revision, idempotency_key, change, change_hash, active_agent, applied_at
            )
            values ($1, $2::bigint, $2::bigint::text, jsonb_build_object('context', $3::jsonb), 'hash', 'guide', now())
            """,
            UUID(session),
            revision,
            f"[{','.join([LONG_NUMBER] * size)}]",
        )
    await journeys.supabase.execute(
        "update public.chat_sessions set revision = $2 where chat_session_id = $1", UUID(session), len(sizes)
    )
    return session


async def test_a_page_is_cut_where_it_is_read_and_not_after(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await create_session_with_ledger(journeys, [9000] * 20)  # 59 MB in all
    wanted = GetChatSessionHistory(tenant_id=journeys.tenant_id, chat_session_id=session, after_revision=0, limit=1000)
    async with await open_pool(journeys.addresses.supabase_db_url, connections=4) as pool:
        pages = ChatPagesSupabase(pool)
        tracemalloc.start()
        try:
            read = await asyncio.gather(*(pages.history(wanted) for _ in range(4)))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    for page in read:
        assert page is not None
        assert ([entry.revision for entry in page.entries], page.complete) == ([1], False)
    assert peak < 48 * MIB  # four pages of an entry of 3 MB, as text and as objects


@pytest.mark.parametrize(
    "sizes",
    [[], [1], [9000], [9000] * 5, [1] * 30, [1, 9000, 1], [9000, 1, 1, 9000], [800] * 7],
    ids=["none", "one", "one large", "large", "small", "large between", "large around", "middle"],
)
async def test_pages_hold_every_entry_once_and_in_order(journeys: Journeys, sizes: list[int]) -> None:
    async with journeys.worker():
        session = await create_session_with_ledger(journeys, sizes)
        entries = await journeys.sessions.history(session, tenant_id=journeys.tenant_id)
        assert [entry.revision for entry in entries] == list(range(len(sizes) + 1))
        assert [entry.change["context"] for entry in entries[1:]] == [[float(LONG_NUMBER)] * size for size in sizes]


async def test_a_page_says_whether_others_follow(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await create_session_with_ledger(journeys, [1, 1, 1, 9000, 1])
    wanted = GetChatSessionHistory(tenant_id=journeys.tenant_id, user_id="ada", chat_session_id=session)
    async with await open_pool(journeys.addresses.supabase_db_url, connections=1) as pool:
        pages = ChatPagesSupabase(pool)

        async def read(after: int | None, limit: int) -> tuple[list[int], bool] | None:
            found = await pages.history(wanted.model_copy(update={"after_revision": after, "limit": limit}))
            return ([entry.revision for entry in found.entries], found.complete) if found else None

        assert await read(0, 2) == ([1, 2], False)
        assert await read(0, 3) == ([1, 2, 3], False)
        assert await read(0, 100) == ([1, 2, 3], False)
        assert await read(3, 100) == ([4], False)
        assert await read(4, 1) == ([5], True)
        assert await read(5, 100) == ([], True)
        assert await read(None, 2) == ([0, 1], False)
        for stranger in ({"tenant_id": "another tenant"}, {"user_id": "another user"}):
            assert await pages.history(wanted.model_copy(update=stranger)) is None
