"""Who may read and write the stores through Supabase's API: tenants and users are separate."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest

from tests.support.databases import (
    Connection,
    add_session,
    add_supabase_roles,
    connection_to,
    create_database,
    execute,
    migrate_silently,
)

if TYPE_CHECKING:
    from embedded import EmbeddedPostgres

ADA: dict[str, Any] = {"sub": "ada", "role": "authenticated", "app_metadata": {"tenant_id": "acme"}}
OWNERS = [("acme", "ada"), ("acme", "bob"), ("globex", "ada"), ("globex", "eve")]
STRANGERS: dict[str, Any] = {
    "tenant in user_metadata": ADA | {"app_metadata": {}, "user_metadata": {"tenant_id": "acme"}},
    "tenant in user_metadata as well": ADA
    | {"app_metadata": {"tenant_id": "initech"}, "user_metadata": {"tenant_id": "acme"}},
    "tenant at the top": ADA | {"app_metadata": {}, "tenant_id": "acme"},
    "no tenant": ADA | {"app_metadata": {"tenant_id": None}},
    "several tenants": ADA | {"app_metadata": {"tenant_id": ["acme", "globex"]}},
    "no object": ADA | {"app_metadata": "acme"},
    "no user": ADA | {"sub": None},
    "empty user": ADA | {"sub": ""},
    "user in user_metadata": ADA | {"sub": "carol", "user_metadata": {"sub": "ada"}},
    "nothing": {"role": "authenticated"},
    "null": None,
}
TABLES = ["public.chat_sessions", "public.chat_context_updates", "public.chat_messages"]
WRITES = {
    "insert": "insert into {table} select * from {table}",
    "update": "update {table} set revision = revision + 1",
    "delete": "delete from {table}",
    "truncate": "truncate {table} cascade",
}


@pytest.fixture(name="url", scope="module")
async def _url(postgres: "EmbeddedPostgres") -> str:
    """A migrated database with one session, one change in its ledger and one message, for each owner."""
    url = await create_database(postgres, "row_level_security")
    await add_supabase_roles(url)
    # Many Supabase projects grant the API roles everything that is created later: this must not matter.
    await execute(
        url,
        """
        alter default privileges grant all on schemas to anon, authenticated, service_role;
        alter default privileges grant all on tables to anon, authenticated, service_role;
        alter default privileges grant all on functions to anon, authenticated, service_role;
        """,
    )
    await migrate_silently(url, url)
    async with connection_to(url) as connection:
        for tenant_id, user_id in OWNERS:
            await add_changed_session(connection, tenant_id, user_id)
    return url


@pytest.fixture(name="database")
async def _database(url: str) -> AsyncIterator[Connection]:
    """The database of this module; whatever a test does to it is undone."""
    async with connection_to(url) as connection, undone(connection):
        yield connection


@asynccontextmanager
async def undone(connection: Connection) -> AsyncIterator[None]:
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


async def add_changed_session(connection: Connection, tenant_id: str, user_id: str) -> UUID:
    """Insert a session, one change in its ledger, and one message in its transcript."""
    session_id = await add_session(connection, tenant_id=tenant_id, user_id=user_id)
    await connection.execute(
        """
        insert into public.chat_context_updates
        values ($1, 1, 'key', '{}', 'hash', 'user', 'guide', 'hash', now())
        """,
        session_id,
    )
    await connection.execute(
        """
        insert into public.chat_messages
        values ($1, 'm1', 1, 0, 1, 'user', 'user', '{"text": "Hello"}', 'hash', now(), now())
        """,
        session_id,
    )
    return session_id


@asynccontextmanager
async def acting_as(connection: Connection, role: str, claims: object) -> AsyncIterator[None]:
    """Take a token's role and claims for one transaction, as the API does; it is rolled back at its end."""
    async with undone(connection):
        await connection.execute("select set_config('request.jwt.claims', $1, true)", json.dumps(claims))
        await connection.execute("select set_config('role', $1, true)", role)
        yield


async def owners_seen(connection: Connection, table: str, role: str, claims: object) -> list[tuple[str, str]]:
    async with acting_as(connection, role, claims):
        rows = await connection.fetch(f"select chat_session_id from {table}")
    owners = await connection.fetch(
        "select tenant_id, user_id from public.chat_sessions where chat_session_id = any($1) order by 1, 2",
        [row["chat_session_id"] for row in rows],
    )
    return [(owner["tenant_id"], owner["user_id"]) for owner in owners]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(("tenant_id", "user_id"), OWNERS)
async def test_a_user_reads_their_own_and_nobody_elses(
    database: Connection, table: str, tenant_id: str, user_id: str
) -> None:
    claims = ADA | {"sub": user_id, "app_metadata": {"tenant_id": tenant_id}}
    assert await owners_seen(database, table, "authenticated", claims) == [(tenant_id, user_id)]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("claims", STRANGERS.values(), ids=STRANGERS)
async def test_a_token_that_does_not_name_tenant_and_user_reads_nothing(
    database: Connection, table: str, claims: object
) -> None:
    assert await owners_seen(database, table, "authenticated", claims) == []


async def test_a_user_without_a_token_reads_nothing(database: Connection) -> None:
    # A connection that had a token before holds an empty setting rather than none.
    await database.execute("select set_config('request.jwt.claims', '', true)")
    await database.execute("select set_config('role', 'authenticated', true)")
    assert await database.fetch("select * from public.chat_sessions") == []


@pytest.mark.parametrize("role", ["anon", "authenticated"])
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("write", WRITES)
async def test_nobody_but_the_service_role_writes(database: Connection, role: str, table: str, write: str) -> None:
    async with acting_as(database, role, ADA):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await database.execute(WRITES[write].format(table=table))


@pytest.mark.parametrize("table", TABLES)
async def test_somebody_not_signed_in_reads_nothing(database: Connection, table: str) -> None:
    async with acting_as(database, "anon", ADA | {"role": "anon"}):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await database.fetch(f"select * from {table}")


@pytest.mark.parametrize("table", TABLES)
async def test_the_service_role_reads_everything(database: Connection, table: str) -> None:
    assert await owners_seen(database, table, "service_role", {"role": "service_role"}) == OWNERS


@pytest.mark.parametrize("role", ["anon", "authenticated"])
async def test_nobody_but_services_reaches_what_agents_are_writing(database: Connection, role: str) -> None:
    session_id = await database.fetchval(
        "select chat_session_id from public.chat_sessions where user_id = 'ada' limit 1"
    )
    await database.execute("insert into public.chat_partials values ($1, 'm', 'Thr', now())", session_id)
    for statement in (
        "select * from {}",
        "insert into {} select * from {}",
        "update {} set text = ''",
        "delete from {}",
    ):
        async with acting_as(database, role, ADA):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await database.execute(statement.replace("{}", "public.chat_partials"))


async def test_the_service_role_writes_everything(database: Connection) -> None:
    async with acting_as(database, "service_role", {"role": "service_role"}):
        session_id = await add_changed_session(database, "initech", "peter")
        await database.execute("update public.chat_context_updates set author = 'service'")
        assert await database.fetchval("select count(*) from public.chat_context_updates where author = 'service'") == 5
        await database.execute("update public.chat_messages set author = 'service'")
        await database.execute("delete from public.chat_messages where chat_session_id = $1", session_id)
        await database.execute("delete from public.chat_context_updates where chat_session_id = $1", session_id)
        await database.execute("delete from public.chat_sessions where tenant_id = 'acme'")
        assert await database.fetchval("select count(*) from public.chat_messages where author = 'service'") == 2
        assert await database.fetchval("select count(*) from public.chat_sessions") == 3


async def test_the_service_role_truncates_nothing(database: Connection) -> None:
    async with acting_as(database, "service_role", {"role": "service_role"}):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await database.execute(WRITES["truncate"].format(table=TABLES[0]))


async def test_a_change_by_the_service_role_that_leaves_the_revision_alone_is_noticed(database: Connection) -> None:
    session_id = await add_changed_session(database, "initech", "peter")
    await database.execute("delete from public.chat_context_updates where chat_session_id = $1", session_id)
    async with acting_as(database, "service_role", {"role": "service_role"}):
        await database.execute(
            """update public.chat_sessions set context = '{"n": 1}' where chat_session_id = $1""", session_id
        )
        entry = await database.fetchrow(
            "select revision, author from public.chat_context_updates where chat_session_id = $1", session_id
        )
    assert entry is not None
    assert tuple(entry) == (1, "manual")


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
async def test_nobody_calls_the_trigger_function(database: Connection, role: str) -> None:
    assert not await database.fetchval(
        "select has_function_privilege($1, 'public.record_manual_chat_session_change()', 'execute')", role
    )


@pytest.mark.parametrize("role", ["anon", "authenticated", "public"])
async def test_the_state_surface_grants_nothing(database: Connection, role: str) -> None:
    granted = await database.fetch(
        """
        select privilege.*
        from (
          select nspname::text, nspacl from pg_namespace where nspname = 'state_surface'
          union all
          select relname::text, relacl from pg_class where relnamespace = 'state_surface'::regnamespace
        ) as object (name, acl)
        cross join aclexplode(object.acl) as privilege
        where privilege.grantee = case when $1 = 'public' then 0 else to_regrole($1)::oid end
        """,
        role,
    )
    assert granted == []


@pytest.mark.parametrize("role", ["anon", "authenticated"])
async def test_a_grant_made_later_does_not_open_the_artifacts(database: Connection, role: str) -> None:
    await database.execute(
        f"""
        insert into state_surface.artifacts values (
          gen_random_uuid(), 'acme', 'chat_session', 'ACTIVE', '{{}}', '{{}}', '{{}}', '[]', '[]', 0, now(), now()
        );
        grant usage on schema state_surface to {role};
        grant select on state_surface.artifacts to {role};
        """
    )
    async with acting_as(database, role, ADA):
        assert await database.fetch("select * from state_surface.artifacts") == []
