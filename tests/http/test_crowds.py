"""However many connections there are, the open ones are served, and new ones as long as there is room."""

import signal
from typing import Final

import httpx2
import pytest

from tests.http.conftest import Api
from tests.http.gateway_variants import RESERVED, with_clocks, with_files
from tests.http.idle_connections import idle_connections
from tests.support.http_gateways import PATH, PATIENCE, GatewayProcess, followed, gateway_process
from tests.support.journeys import Journeys
from tests.support.open_files import open_files_limit, raise_open_files_limit
from tests.support.polling import eventually

# This process and the gateway each need a file for every connection, and some others.
MANY: Final = min(10_000, open_files_limit() - 1_000)


def complaints(gateway: GatewayProcess) -> list[str]:
    return [str(each["event"]) for each in gateway.logged if each.get("level") in ("warning", "error")]


@pytest.mark.skipif(MANY < 1_000, reason=f"a process may open no more than {open_files_limit()} files here")
@pytest.mark.parametrize("number", [MANY])
async def test_ten_thousand_idle_connections_are_kept_and_keep_nobody_out(
    api: Api, world: Journeys, number: int
) -> None:
    raise_open_files_limit()
    session = await api.create()
    async with (
        gateway_process(world, command=with_clocks(head=600)) as gateway,
        gateway.client(api.user_token()) as user,
        followed(user, session) as stream,
    ):
        await stream.take("session")
        with idle_connections(gateway, number) as idle:
            await eventually(lambda: idle.open, lambda found: found == number)
            assert (await user.get(PATH)).status_code == 200
            await api.change(session, context={"n": 1})
            assert (await stream.take("change")).id == 1
            assert idle.open == number
        assert complaints(gateway) == []


async def test_idle_connections_up_to_the_limit_keep_nobody_out(api: Api, world: Journeys) -> None:
    async with gateway_process(world, command=with_files(RESERVED + 50)) as gateway:
        with idle_connections(gateway, 150) as idle:
            async with gateway.client(api.user_token()) as user:
                assert (await user.get(PATH)).status_code == 200
            assert idle.open <= 50


async def test_a_crowd_that_comes_at_one_moment_takes_no_file_that_the_gateway_needs(api: Api, world: Journeys) -> None:
    session = await api.create()
    async with (
        gateway_process(world, command=with_files(RESERVED + 50)) as gateway,
        gateway.client(api.user_token()) as user,
        followed(user, session) as stream,
    ):
        await stream.take("session")
        gateway.process.send_signal(signal.SIGSTOP)
        with idle_connections(gateway, 1_500):
            gateway.process.send_signal(signal.SIGCONT)
            assert (await user.get(PATH)).status_code == 200
            await api.change(session, context={"n": 1})
            assert (await stream.take("change")).id == 1
        assert complaints(gateway) == []


async def test_busy_connections_are_not_closed_for_new_ones(api: Api, world: Journeys) -> None:
    session = await api.create()
    async with (
        gateway_process(world, command=with_files(RESERVED + 30)) as gateway,
        gateway.client(api.user_token()) as user,
    ):
        limits = httpx2.Limits(max_connections=None)
        async with httpx2.AsyncClient(
            base_url=gateway.url, headers=user.headers, limits=limits, timeout=PATIENCE, trust_env=False
        ) as many:
            streams = [many.stream("GET", f"{PATH}/{session}/events") for _ in range(30)]
            answers = [await stream.__aenter__() for stream in streams]
            try:
                assert {answer.status_code for answer in answers} == {200}
                refused = await user.get(PATH)
                assert (refused.status_code, refused.json()["code"]) == (429, "TOO_MANY_REQUESTS")
                gateway.process.send_signal(signal.SIGSTOP)
                with idle_connections(gateway, 1_500):  # none of them reads its refusal
                    gateway.process.send_signal(signal.SIGCONT)
                    assert (await user.get(PATH)).status_code == 429
            finally:
                for stream in streams:
                    await stream.__aexit__(None, None, None)
            await eventually(lambda: user.get(PATH), lambda answer: answer.status_code == 200)
        assert complaints(gateway) == []
