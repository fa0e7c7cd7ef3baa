"""The worker replaces connections to its stores that have become useless."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeAlias
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
from pydantic import SecretStr
from temporalio.client import Client, WorkflowUpdateHandle, WorkflowUpdateStage

from embedded import EmbeddedPostgres, EmbeddedStack
from journeys.chat_session.names import INITIALIZE
from stores.migrate import migrate
from tests.support.journeys import PRODUCTION, Journeys, Json, note
from tests.support.watching import assert_stored, until_waiting

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@pytest.fixture(scope="module")
async def own_database(postgres: EmbeddedPostgres) -> str:
    """A database with both stores, whose defaults these tests may change."""
    name = f"connections_{uuid4().hex}"
    await postgres.create_database(name)
    url = postgres.url(name)
    await migrate(url, url, progress=lambda _: None)
    return url


@pytest.fixture
async def alone(
    stack: EmbeddedStack, client: Client, worker_clients: Mapping[bool, Client], own_database: str
) -> AsyncIterator[Journeys]:
    """Journeys on the database of these tests."""
    name = uuid4().hex[:12]
    addresses = replace(stack.addresses, supabase_db_url=own_database, state_surface_url=own_database)
    async with Journeys.on(
        addresses, client, worker_clients[PRODUCTION.sandbox], task_queue=f"journeys-{name}", tenant_id=f"tenant-{name}"
    ) as world:
        yield world


@asynccontextmanager
async def login_role(url: str) -> AsyncIterator[tuple[Connection, str, str]]:
    """An administrator's connection, a superuser of the test's own, and the URL to connect as this superuser."""
    role = f"login_{uuid4().hex}"
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"create role {role} superuser login password 'secret'")
        target = urlsplit(url)
        yield connection, role, target._replace(netloc=f"{role}:secret@{target.hostname}:{target.port}").geturl()
        await connection.execute(f"drop role {role}")
    finally:
        await connection.close()


async def initializing(journeys: Journeys, request: Json) -> WorkflowUpdateHandle[Any]:
    """Send an initialize update and wait no longer than until it is accepted."""
    argument = {
        "chat_session_id": journeys.identity(request),
        "tenant_id": request["tenant_id"],
        "user_id": request["user_id"],
        "initialize": {"requested_at": request["requested_at"]},
    }
    return await journeys.client.start_update_with_start_workflow(
        INITIALIZE,
        request,
        start_workflow_operation=journeys.start(argument),
        wait_for_stage=WorkflowUpdateStage.ACCEPTED,
    )


@pytest.mark.parametrize("store", ["supabase_db_url", "state_surface_url"])
async def test_connections_on_which_the_server_refuses_to_write_are_replaced(
    alone: Journeys, own_database: str, store: str
) -> None:
    """As after a failover: the old primary still answers on the connections that it has, and writes no more."""
    async with login_role(own_database) as (admin, role, url):
        await admin.execute(f"alter role {role} set default_transaction_read_only = on")
        async with alone.worker(**{store: SecretStr(url)}):
            request = alone.request()
            update = await initializing(alone, request)
            waiting = await until_waiting(alone, alone.identity(request))
            assert waiting.last_failure.application_failure_info.type == "DATABASE_UNAVAILABLE"
            assert "25006" in waiting.last_failure.message
            await admin.execute(f"alter role {role} reset default_transaction_read_only")
            session = (await asyncio.wait_for(update.result(), 30))["chat_session_id"]
            for number in range(1, 4):
                answer = await asyncio.wait_for(alone.update(session, note(number)), 30)
                assert answer["applied_revision"] == number
            await assert_stored(alone, session, 3)
