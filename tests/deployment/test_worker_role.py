"""The role `journey_worker`: enough for a worker, and no more."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeAlias
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import pytest
from pydantic import SecretStr
from temporalio.client import Client, WorkflowExecutionStatus

from embedded import EmbeddedPostgres, EmbeddedStack
from journeys.errors import InvalidParameter
from stores.migrate import migrate
from tests.support.journeys import PRODUCTION, Journeys
from tests.support.paths import REPOSITORY
from tests.support.tcp_proxy import TcpProxy
from tests.support.watching import assert_stored, until_status, until_waiting

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@pytest.fixture(scope="module")
async def own_databases(postgres: EmbeddedPostgres) -> tuple[str, str]:
    """A database for each store, as on the platform."""
    urls = []
    for store in ("supabase", "surface"):
        name = f"{store}_{uuid4().hex}"
        await postgres.create_database(name)
        urls.append(postgres.url(name))
    await migrate(*urls, progress=lambda _: None)
    return urls[0], urls[1]


@pytest.fixture
async def alone(
    stack: EmbeddedStack, client: Client, worker_clients: Mapping[bool, Client], own_databases: tuple[str, str]
) -> AsyncIterator[Journeys]:
    """Journeys on these databases."""
    name = uuid4().hex[:12]
    addresses = replace(stack.addresses, supabase_db_url=own_databases[0], state_surface_url=own_databases[1])
    async with Journeys.on(
        addresses, client, worker_clients[PRODUCTION.sandbox], task_queue=f"journeys-{name}", tenant_id=f"tenant-{name}"
    ) as world:
        yield world


def as_role(url: str, role: str) -> str:
    target = urlsplit(url)
    return target._replace(netloc=f"{role}:secret@{target.hostname}:{target.port}").geturl()


@asynccontextmanager
async def login_role(urls: tuple[str, str], options: str, *grants: str) -> AsyncIterator[str]:
    """A role that can log in, and its rights in each store."""
    role = f"worker_{uuid4().hex}"
    connections = [await asyncpg.connect(url) for url in urls]
    try:
        await connections[0].execute(f"create role {role} login password 'secret' {options}")
        for connection, statements in zip(connections, grants, strict=False):
            await connection.execute(statements.format(role=role))
        yield role
        for connection in connections:
            await connection.execute(f"drop owned by {role}")
        await connections[0].execute(f"drop role {role}")
    finally:
        for connection in connections:
            await connection.close()


async def test_a_worker_can_do_all_its_work_as_it(alone: Journeys, own_databases: tuple[str, str]) -> None:
    async with login_role(own_databases, "in role journey_worker") as role:
        supabase, surface = (SecretStr(as_role(url, role)) for url in own_databases)
        async with alone.worker(supabase_db_url=supabase, state_surface_url=surface, idle_seconds=0):
            request = alone.request(context={"topic": "taxes"})
            session = (await alone.initialize(request))["chat_session_id"]
            await alone.update(session, {"append": {"notes": [1]}, "active_agent": "liaison_finance"})
            await alone.signal(session, {"append": {"notes": [2]}})
            await alone.update(session, {"messages": [{"id": "a"}, {"id": "b", "text": "Hello"}]})
            await alone.update(session, {"messages": [{"id": "a", "text": "again"}], "remove_messages": ["b"]})
            page = await alone.sessions.messages(session, tenant_id=alone.tenant_id)
            assert [(message.id, message.body) for message in page.messages] == [("a", {"text": "again"})]
            assert len((await alone.sessions.list(tenant_id=alone.tenant_id)).sessions) == 1
            await until_status(alone, session, WorkflowExecutionStatus.COMPLETED)
            await alone.sessions.update_session(
                session, tenant_id=alone.tenant_id, title="Taxes", lifecycle_state="ARCHIVED", new_user_id="bob"
            )
            await alone.sessions.update_session(session, tenant_id=alone.tenant_id, lifecycle_state="ACTIVE")
            await until_status(alone, session, WorkflowExecutionStatus.COMPLETED)
            await alone.supabase.execute("update public.chat_sessions set context = '{}', user_id = 'other'")
            assert (await alone.update(session, {"append": {"notes": [3]}}))["user_id"] == "other"
            assert (await alone.read(user_id="other"))["chat_session_id"] == session
            assert len(await alone.sessions.history(session, tenant_id=alone.tenant_id)) == 9
            await assert_stored(alone, session, 8)
            await until_status(alone, session, WorkflowExecutionStatus.COMPLETED)
            await alone.state_surface.execute(
                "update state_surface.artifacts set revision = 19 where artifact_id = $1", UUID(session)
            )
            answer = await alone.update(session, {"append": {"notes": [4]}})
            assert (answer["applied_revision"], answer["context"]) == (21, {"notes": [3, 4]})
            earlier = await alone.sessions.get(session, tenant_id=alone.tenant_id, at_revision=8)
            assert earlier.context == {"notes": [3]}
            await alone.sessions.delete(session, tenant_id=alone.tenant_id)


SUPABASE_REFUSED = [
    "delete from public.chat_sessions",
    "truncate public.chat_sessions cascade",
    "update public.chat_sessions set created_at = now()",
    "update public.chat_sessions set tenant_id = 'mallory'",
    "update public.chat_sessions set idempotency_key = 'mallory'",
    "update public.chat_messages set message_id = 'mallory'",
    "update public.chat_messages set chat_session_id = gen_random_uuid()",
    "truncate public.chat_messages",
    "update public.chat_context_updates set author = 'mallory'",
    "update public.chat_context_updates set change = '{}'",
    "alter table public.chat_sessions disable row level security",
    "create table public.mallory ()",
    "insert into supabase_migrations.schema_migrations (version) values ('1')",
    "set role service_role",
]
STATE_SURFACE_REFUSED = [
    "delete from state_surface.artifacts",
    "update state_surface.artifacts set tenant_id = 'mallory'",
    "update state_surface.artifacts set produced_by = '{}'",
    "insert into state_surface.schema_migrations (version) values ('1')",
    "create table state_surface.mallory ()",
]


@pytest.mark.parametrize(
    ("store", "statement"),
    [(0, statement) for statement in SUPABASE_REFUSED] + [(1, statement) for statement in STATE_SURFACE_REFUSED],
)
async def test_it_can_do_nothing_else(own_databases: tuple[str, str], store: int, statement: str) -> None:
    async with login_role(own_databases, "in role journey_worker") as role:
        connection = await asyncpg.connect(as_role(own_databases[store], role))
        try:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        finally:
            await connection.close()


async def test_it_is_no_role_that_passes_row_level_security(own_databases: tuple[str, str]) -> None:
    connection = await asyncpg.connect(own_databases[0])
    try:
        role = await connection.fetchrow(
            "select rolcanlogin, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication "
            "from pg_roles where rolname = 'journey_worker'"
        )
        assert role is not None
        assert not any(role.values())
        bare = await connection.fetch(
            "select relname from pg_class where relname ~ '^(chat_|artifacts)' and relkind = 'r' and not relrowsecurity"
        )
        assert bare == []
    finally:
        await connection.close()


SUPABASE_GRANTS = "grant usage on schema public to {role}; grant all on all tables in schema public to {role}"
STATE_SURFACE_GRANTS = (
    "grant usage on schema state_surface to {role}; grant all on all tables in schema state_surface to {role}"
)


@pytest.mark.parametrize("setting", ["SUPABASE_DB_URL", "STATE_SURFACE_URL"])
async def test_a_worker_whose_role_sees_no_rows_does_not_start(
    alone: Journeys, own_databases: tuple[str, str], setting: str
) -> None:
    url = own_databases[setting == "STATE_SURFACE_URL"]
    async with login_role(own_databases, "", SUPABASE_GRANTS, STATE_SURFACE_GRANTS) as role:
        with pytest.raises(InvalidParameter, match=f"{setting}: .*row-level security hides .*journey_worker"):
            async with alone.worker(**{setting.lower(): SecretStr(as_role(url, role))}):
                pass


async def test_a_session_that_a_role_does_not_see_is_not_taken_for_missing(
    alone: Journeys, own_databases: tuple[str, str]
) -> None:
    """The store was away when the worker started, so only its first statement can notice."""
    async with alone.worker(idle_seconds=0):
        session = (await alone.initialize())["chat_session_id"]
        await until_status(alone, session, WorkflowExecutionStatus.COMPLETED)
    async with (
        login_role(own_databases, "", SUPABASE_GRANTS) as role,
        TcpProxy.before(as_role(own_databases[0], role)) as proxy,
    ):
        await proxy.refuse()
        async with alone.worker(supabase_db_url=SecretStr(proxy.url)):
            await proxy.mend()
            await alone.signal(session, {"append": {"notes": [1]}})
            waiting = await until_waiting(alone, session)
            assert waiting.last_failure.application_failure_info.type == "DATABASE_UNAVAILABLE"
            assert "row-level security hides the rows of" in waiting.last_failure.message
    async with alone.worker():
        assert (await alone.update(session, {"append": {"notes": [2]}}))["context"] == {"notes": [1, 2]}


async def test_an_owner_that_may_not_create_roles_migrates_if_the_role_exists(postgres: EmbeddedPostgres) -> None:
    owner, name = f"owner_{uuid4().hex}", f"owned_{uuid4().hex}"
    await postgres.create_database(name)
    url = postgres.url(name)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "do $$ begin create role journey_worker; exception when duplicate_object then null; end $$"
        )
        await connection.execute(f"create role {owner} login password 'secret'")
        await connection.execute(f"alter database {name} owner to {owner}")
        await connection.execute((REPOSITORY / "stores" / "migrations" / "role_shim.sql").read_text("utf-8"))
        await connection.execute("drop publication supabase_realtime")
        await connection.execute(f"grant usage on schema auth to {owner}")
        await connection.execute(
            "do $$ begin create role supabase_admin; exception when duplicate_object then null; end $$"
        )
        report = await migrate(as_role(url, owner), as_role(url, owner), progress=lambda _: None)
        assert report.supabase
        assert report.state_surface
    finally:
        await connection.close()
