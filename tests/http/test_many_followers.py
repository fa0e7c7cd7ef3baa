"""Many followers who come at the same moment: nobody misses a revision, and nobody else is held up."""

import asyncio
from contextlib import suppress
from typing import Final

from journeys import ChatSessions
from starter.http.stream.poller import READS_AT_ONCE
from tests.http.bare_follower import BareFollower
from tests.http.conftest import Api
from tests.support.databases import connection_to
from tests.support.http_gateways import PATH, gateway_process
from tests.support.journeys import Journeys
from tests.support.open_files import raise_open_files_limit
from tests.support.polling import eventually

SESSIONS: Final = 50
FOLLOWERS_OF_EACH: Final = 20
LAST_REVISION: Final = 8
CHANGES_AT_ONCE: Final = 5
PATIENCE: Final = 120.0
# How many followers wait, and how many requests are made meanwhile: more than a gateway has connections to the store.
WAITING: Final = 50

_READS_THAT_WAIT: Final = """
select array_agg(pid || ' ' || query_start) from pg_locks join pg_stat_activity using (pid)
where relation = 'public.chat_messages'::regclass and not granted
"""


async def test_a_thousand_followers_of_a_killed_gateway_miss_nothing_and_hold_nobody_up(
    api: Api, world: Journeys
) -> None:
    raise_open_files_limit()
    sessions = await asyncio.gather(*(api.create() for _ in range(SESSIONS)))
    token = api.user_token()
    followers = [BareFollower(session, token) for session in sessions for _ in range(FOLLOWERS_OF_EACH)]
    engine, a_few = ChatSessions(world.client), asyncio.Semaphore(CHANGES_AT_ONCE)
    half, is_killed = asyncio.Event(), asyncio.Event()

    async def change(session: str) -> None:
        for number in range(LAST_REVISION):
            if number == LAST_REVISION // 2:
                half.set()
            async with a_few:
                await engine.update_context(
                    session, tenant_id=api.tenant_id, context={"n": number}, returning="receipt"
                )

    async def follow(follower: BareFollower) -> None:
        while not is_killed.is_set():
            with suppress(OSError, asyncio.IncompleteReadError):
                await follower.follow(doomed)
        await follower.follow(api.gateway, to=LAST_REVISION)

    async with gateway_process(world) as doomed, asyncio.timeout(PATIENCE):
        following = [asyncio.create_task(follow(follower)) for follower in followers]
        for follower in followers:
            await follower.until_begun()
        changing = [asyncio.create_task(change(session)) for session in sessions]
        await half.wait()
        is_killed.set()
        doomed.process.kill()
        while any(follower.streams < 2 for follower in followers):
            assert (await api.user.get(PATH)).status_code == 200
        await asyncio.gather(*changing, *following)
    missed = [follower.seen for follower in followers if follower.seen != list(range(LAST_REVISION + 1))]
    assert missed == []


async def test_followers_who_wait_for_the_store_hold_up_no_request(api: Api, world: Journeys) -> None:
    session = await api.create()
    followers = [BareFollower(session, api.user_token()) for _ in range(WAITING)]
    url = world.addresses.supabase_db_url
    async with connection_to(url) as holder, connection_to(url) as observer, asyncio.TaskGroup() as following:

        async def reads_that_wait() -> set[str]:
            return set(await observer.fetchval(_READS_THAT_WAIT) or ())

        async def waits_for_a_read() -> bool:
            """Whether a request was answered only after a read had given up, as every read does in the end."""
            before = await eventually(reads_that_wait, lambda reads: len(reads) >= READS_AT_ONCE)
            assert (await api.user.get(f"{PATH}/{session}")).status_code == 200
            return not before <= await reads_that_wait()

        async with holder.transaction():  # a stream begins with the latest messages
            await holder.execute("lock table public.chat_messages in access exclusive mode")
            for follower in followers:
                following.create_task(follower.follow(api.gateway, to=0))
            held_up = [await waits_for_a_read() for _ in range(WAITING)]
            assert sum(held_up) < WAITING / 2  # on a slow machine, a read may give up meanwhile
    assert [follower.seen for follower in followers] == [[0]] * WAITING
