"""A thousand followers who lose their gateway at one moment: nobody misses a revision, and nobody else is held up."""

import asyncio
from contextlib import suppress
from typing import Final

from journeys import ChatSessions
from tests.http.bare_follower import BareFollower
from tests.http.conftest import Api
from tests.support.http_gateways import PATH, gateway_process
from tests.support.journeys import Journeys
from tests.support.open_files import raise_open_files_limit

SESSIONS: Final = 50
FOLLOWERS_OF_EACH: Final = 20
LAST_REVISION: Final = 8
CHANGES_AT_ONCE: Final = 5
PATIENCE: Final = 120.0


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
