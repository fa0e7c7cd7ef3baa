"""Databases that tests make for themselves, and rows that they add by hand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TypeAlias
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import asyncpg

from embedded import EmbeddedPostgres
from stores.migrate import migrate
from tests.support.paths import REPOSITORY

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_ROLE_SHIM = REPOSITORY / "stores" / "migrations" / "role_shim.sql"


@asynccontextmanager
async def connection_to(url: str) -> AsyncIterator[Connection]:
    """A connection of the test's own."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def execute(url: str, sql: str) -> None:
    """Run statements on a connection of their own."""
    async with connection_to(url) as connection:
        await connection.execute(sql)


async def fetch_value(url: str, query: str) -> object:
    """The one value that a query finds, on a connection of its own."""
    async with connection_to(url) as connection:
        return await connection.fetchval(query)


def with_login(url: str, user: str, password: str) -> str:
    """The same database, as another user."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.hostname}:{parts.port}"))


async def create_database(postgres: EmbeddedPostgres, purpose: str) -> str:
    """Create an empty database; returns its URL."""
    name = f"{purpose}_{uuid4().hex}"
    await postgres.create_database(name)
    return postgres.url(name)


async def create_migrated_database(postgres: EmbeddedPostgres, purpose: str) -> str:
    """Create a database that holds both stores; returns its URL."""
    url = await create_database(postgres, purpose)
    await migrate_silently(url, url)
    return url


async def migrate_silently(supabase_db_url: str, state_surface_url: str) -> None:
    """Bring both stores up to date."""
    await migrate(supabase_db_url, state_surface_url, progress=lambda _: None)


async def add_supabase_roles(url: str) -> None:
    """Give a database the roles and functions that a Supabase database has before any migration."""
    await execute(url, _ROLE_SHIM.read_text("utf-8"))


async def add_session(connection: Connection, **columns: object) -> UUID:
    """Insert the row of a session; returns its ID."""
    session_id = uuid4()
    row: dict[str, object] = {
        "chat_session_id": session_id,
        "tenant_id": "acme",
        "user_id": "ada",
        "active_agent": "guide",
        "context": '{"topic": "invoices"}',
        "context_hash": "hash of the first context",
        "revision": 0,
        "lifecycle_state": "ACTIVE",
        "idempotency_key": uuid4().hex,
        "created_at": datetime(2026, 1, 27, 10, 5, tzinfo=UTC),
        "updated_at": datetime(2026, 1, 27, 10, 5, tzinfo=UTC),
    } | columns
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await connection.execute(f"insert into public.chat_sessions ({', '.join(row)}) values ({places})", *row.values())
    return session_id
