"""The worker replaces connections to its stores that have become useless."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import uuid4

import pytest
from pydantic import SecretStr
from temporalio.client import Client

from embedded import EmbeddedPostgres, EmbeddedStack
from tests.support.databases import Connection, connection_to, create_migrated_database, with_login
from tests.support.journeys import PRODUCTION, Journeys, note
from tests.support.watching import assert_stored, send_initialize, until_waiting


@pytest.fixture(scope="module")
async def own_database(postgres: EmbeddedPostgres) -> str:
    """A database with both stores, whose defaults these tests may change."""
    return await create_migrated_database(postgres, "connections")


@pytest.fixture
async def alone(
    stack: EmbeddedStack, client: Client, worker_clients: Mapping[bool, Client], own_database: str
) -> AsyncIterator[Journeys]:
    """Journeys on the database of these tests."""
    addresses = replace(stack.addresses, supabase_db_url=own_database, state_surface_url=own_database)
    async with Journeys.on(addresses, client, worker_clients[PRODUCTION.sandbox]) as world:
        yield world


@asynccontextmanager
async def login_role(url: str) -> AsyncIterator[tuple[Connection, str, str]]:
    """An administrator's connection, a superuser of the test's own, and the URL to connect as this superuser."""
    role = f"login_{uuid4().hex}"
    async with connection_to(url) as connection:
        await connection.execute(f"create role {role} superuser login password 'secret'")
        yield connection, role, with_login(url, role, "secret")
        await connection.execute(f"drop role {role}")


@pytest.mark.parametrize("store", ["supabase_db_url", "state_surface_url"])
async def test_connections_on_which_the_server_refuses_to_write_are_replaced(
    alone: Journeys, own_database: str, store: str
) -> None:
    """As after a failover: the old primary still answers on the connections that it has, and writes no more."""
    async with login_role(own_database) as (admin, role, url):
        await admin.execute(f"alter role {role} set default_transaction_read_only = on")
        async with alone.worker(**{store: SecretStr(url)}):
            request = alone.request()
            update = await send_initialize(alone, request)
            waiting = await until_waiting(alone, alone.identity(request))
            assert waiting.last_failure.application_failure_info.type == "DATABASE_UNAVAILABLE"
            assert "25006" in waiting.last_failure.message
            await admin.execute(f"alter role {role} reset default_transaction_read_only")
            session = (await asyncio.wait_for(update.result(), 30))["chat_session_id"]
            for number in range(1, 4):
                answer = await asyncio.wait_for(alone.update(session, note(number)), 30)
                assert answer["applied_revision"] == number
            await assert_stored(alone, session, 3)
