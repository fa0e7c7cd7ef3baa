"""How a worker starts with its stores' URLs: it refuses one that cannot work, and waits for a store that is away."""

import asyncio
import re
from collections.abc import Callable
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from pydantic import SecretStr

from journeys.errors import InvalidParameter
from stores.migrate import MigrationError, migrate
from stores.postgres import open_pool
from tests.support.commands import JOURNEY, command_process, read_line, run_journey
from tests.support.journeys import Journeys
from tests.support.polling import eventually
from tests.support.tcp_proxy import ProxiedStores, TcpProxy
from tests.support.watching import assert_stored, has_run, until_waiting
from tests.support.worker_processes import worker_environment

either_setting = pytest.mark.parametrize("setting", ["SUPABASE_DB_URL", "STATE_SURFACE_URL"])


def with_login(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{user}:{password}@{parts.hostname}:{parts.port}").geturl()


def address(url: str) -> str:
    """The host and port of a URL."""
    return urlsplit(url).netloc.rpartition("@")[2]


def with_hosts(url: str, *hosts: str, query: str = "") -> str:
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{login}@{','.join(hosts)}", query=query).geturl()


WRONG: dict[str, tuple[Callable[[str], str], str]] = {
    "password": (lambda url: with_login(url, "postgres", "hush"), "the password"),
    "user": (lambda url: with_login(url, "hush", "hush"), "the user"),
    "database": (lambda url: urlsplit(url)._replace(path="/hush").geturl(), "database"),
    "parameter": (lambda url: f"{url}?sslmode=prefer&no_such_parameter=hush", "no_such_parameter"),
    "parameter's value": (lambda url: f"{url}?work_mem=hush", "work_mem"),
    "TLS mode": (lambda url: f"{url}?sslmode=hush", "connection parameters"),
}


@either_setting
@pytest.mark.parametrize("wrong", WRONG)
async def test_a_worker_that_a_store_turns_away_for_good_does_not_start(
    journeys: Journeys, setting: str, wrong: str
) -> None:
    change, said = WRONG[wrong]
    url = SecretStr(change(journeys.addresses.supabase_db_url))
    with pytest.raises(InvalidParameter, match=f" {setting}: .*{re.escape(said)}") as refusal:
        async with journeys.worker(**{setting.lower(): url}):
            pass
    assert "hush" not in refusal.value.message
    assert address(url.get_secret_value()) not in refusal.value.message


async def test_the_command_says_in_one_line_what_is_wrong(journeys: Journeys) -> None:
    environment = worker_environment(journeys.addresses, journeys.task_queue)
    wrong = environment | {"SUPABASE_DB_URL": with_login(journeys.addresses.supabase_db_url, "postgres", "hush")}
    refused = await run_journey("worker", **wrong)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert re.fullmatch(r"INVALID_PARAMETER: SUPABASE_DB_URL: Supabase refuses .*password.*\n", refused.stderr)
    assert "hush" not in refused.stderr


async def test_a_worker_starts_while_its_stores_are_away_and_waits_for_them(journeys: Journeys) -> None:
    request = journeys.request()
    async with ProxiedStores.of(journeys.addresses) as stores:
        await stores.supabase.refuse()
        await stores.state_surface.refuse()
        environment = worker_environment(journeys.addresses, journeys.task_queue, stores)
        async with command_process(JOURNEY, "worker", **environment) as worker:
            await read_line(worker.stderr, "polling")
            creating = asyncio.create_task(journeys.initialize(request))
            await stores.supabase.mend()
            await stores.state_surface.mend()
            assert (await asyncio.wait_for(creating, 30))["revision"] == 0


async def test_prismas_parameters_mean_what_they_mean_to_prisma(journeys: Journeys) -> None:
    query = "?pgbouncer=true&connection_limit=1&pool_timeout=5"
    url = SecretStr(journeys.addresses.supabase_db_url + query)
    surface = SecretStr(journeys.addresses.state_surface_url + query)
    async with journeys.worker(supabase_db_url=url, state_surface_url=surface):
        sessions = [(await journeys.initialize())["chat_session_id"] for _ in range(3)]
        await asyncio.gather(*(journeys.update(session, {"context": {"n": 1}}) for session in sessions))
        for session in sessions:
            await assert_stored(journeys, session, 1)
    async with await open_pool(url.get_secret_value(), connections=20) as pool:
        assert pool.get_max_size() == 1
        for _ in range(2):
            await pool.fetch("select $1::int", 1)
        assert await pool.fetch("select * from pg_prepared_statements where name <> ''") == []


async def test_migrations_take_the_same_url(journeys: Journeys) -> None:
    url = f"{journeys.addresses.supabase_db_url}?pgbouncer=true&connection_limit=1"
    surface = journeys.addresses.state_surface_url
    several = with_hosts(url, "127.0.0.1:1", address(url), query="target_session_attrs=read-write&pgbouncer=true")
    for each in (url, several):
        report = await migrate(each, surface, progress=lambda _: None)
        assert (report.supabase, report.state_surface) == ((), ())
    with pytest.raises(MigrationError) as failure:
        await migrate(f"{url}&hush=1", surface, progress=lambda _: None)
    assert "hush" not in str(failure.value)


@pytest.mark.parametrize("attributes", ["", "read-write", "primary", "prefer-standby"])
async def test_the_first_of_several_hosts_that_can_be_used_is_used(journeys: Journeys, attributes: str) -> None:
    """The first host is down, and the second accepts connections but never answers."""
    url = journeys.addresses.supabase_db_url
    query = f"target_session_attrs={attributes}" if attributes else ""
    async with TcpProxy.before(url) as silent:
        silent.stall()
        several = SecretStr(with_hosts(url, "127.0.0.1:1", address(silent.url), address(url), query=query))
        async with journeys.worker(supabase_db_url=several):
            session = (await journeys.initialize())["chat_session_id"]
            await journeys.update(session, {"context": {"n": 1}})
            await assert_stored(journeys, session, 1)


async def test_hosts_of_which_none_can_be_written_to_are_waited_for(journeys: Journeys) -> None:
    """As in the middle of a failover."""
    url = journeys.addresses.supabase_db_url
    role = f"failover_{uuid4().hex}"
    await journeys.supabase.execute(f"create role {role} superuser login password 'secret'")
    await journeys.supabase.execute(f"alter role {role} set default_transaction_read_only = on")
    hosts = with_hosts(
        with_login(url, role, "secret"), address(url), "127.0.0.1:1", query="target_session_attrs=read-write"
    )
    request = journeys.request()
    async with journeys.worker(supabase_db_url=SecretStr(hosts), idle_seconds=0):
        creating = asyncio.create_task(journeys.initialize(request))
        await eventually(lambda: has_run(journeys, journeys.identity(request)))
        waiting = await until_waiting(journeys, journeys.identity(request))
        assert "TargetServerAttributeNotMatched" in waiting.last_failure.message
        await journeys.supabase.execute(f"alter role {role} reset default_transaction_read_only")
        assert (await asyncio.wait_for(creating, 30))["revision"] == 0
    await journeys.supabase.execute(f"drop role {role}")
