"""Connection pools of the stores, and the translation of PostgreSQL's errors into application errors."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeAlias
from urllib.parse import urlsplit

import asyncpg
from pydantic_core import to_json
from temporalio.exceptions import ApplicationError

from journeys.errors import DatabaseUnavailable, InvalidParameter

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
_Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
_PooledConnection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

# The port of Supabase's poolers in transaction mode.
_TRANSACTION_POOLER_PORT = 6543
_CONNECT_SECONDS = 3.0
_STATEMENT_SECONDS = 3.0
_IDLE_SECONDS = 60.0


async def open_pool(url: str, *, connections: int, transaction_pooler: bool = False) -> Pool:
    """Open a pool that connects on first use, so that a worker can start while its store is down.

    Args:
        url: `postgresql://user:password@host:port/database`.
        connections: The maximum number of connections.
        transaction_pooler: Whether the URL leads to a pooler in transaction mode; port 6543 implies it. Behind one
            the pool caches no prepared statements, because the next transaction may run on another connection.

    Returns:
        The pool; the caller closes it.
    """
    pooled = transaction_pooler or urlsplit(url).port == _TRANSACTION_POOLER_PORT
    return await asyncpg.create_pool(
        url,
        min_size=0,
        max_size=connections,
        timeout=_CONNECT_SECONDS,
        command_timeout=_STATEMENT_SECONDS,
        max_inactive_connection_lifetime=_IDLE_SECONDS,
        statement_cache_size=0 if pooled else 100,
        server_settings={"application_name": "coexistence-journeys"},
        reset=_skip_reset,
    )


async def _skip_reset(_: _Connection) -> None:
    """Skip the pool's reset, which costs a round trip: an autocommit statement leaves no session state behind."""


@asynccontextmanager
async def connection_to(store: str, pool: Pool, *, may_refuse: bool = True) -> AsyncIterator[_PooledConnection]:
    """Take a connection from a store's pool for one statement, and translate the statement's errors.

    If the server refuses to write on this connection (SQLSTATE 25006), all connections of the pool are replaced. After
    a failover they still lead to the old primary, which answers, so no other error would ever end them.

    Args:
        store: See `translate_errors`.
        pool: The store's pool.
        may_refuse: See `translate_errors`.

    Raises:
        ApplicationError: See `translate_errors`.
    """
    with translate_errors(store, may_refuse=may_refuse):
        async with pool.acquire() as connection:
            try:
                yield connection
            except asyncpg.ReadOnlySQLTransactionError:
                connection.terminate()
                await pool.expire_connections()
                raise


def json_text(value: object) -> str:
    """Encode a value, pydantic models included, as JSON text: asyncpg takes `json` and `jsonb` parameters as text."""
    return to_json(value).decode()


@contextmanager
def translate_errors(store: str, *, may_refuse: bool = True) -> Iterator[None]:
    """Translate a store's errors into application errors, which decide whether Temporal retries.

    A data error (SQLSTATE class 22 or 23) is caused by the values to be written, so it is not retried. All other
    errors are retried. Connection, timeout, serialization and resource errors pass by themselves. A missing
    permission or table stays until somebody adds it; until then the pending activity shows the error.

    Args:
        store: The store's name in messages.
        may_refuse: Whether the store may refuse a change. If false, a data error is retried, too: another store
            already holds the change.

    Raises:
        ApplicationError: `INVALID_PARAMETER`, not retryable, or `DATABASE_UNAVAILABLE`, retryable.
    """
    try:
        yield
    except asyncpg.PostgresError as error:
        state = error.sqlstate or "?"
        if may_refuse and state[:2] in ("22", "23"):
            raise ApplicationError(
                f"{store} refuses the change: SQLSTATE {state} ({type(error).__name__})",
                {"field": ""},
                type=InvalidParameter.code,
                non_retryable=True,
            ) from None
        raise _unavailable(store, f"SQLSTATE {state}: {error}") from None
    except (TimeoutError, OSError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        raise _unavailable(store, f"{type(error).__name__}: {error}".removesuffix(": ")) from None


def _unavailable(store: str, reason: str) -> ApplicationError:
    return ApplicationError(
        f"{store} is not available: {reason.splitlines()[0]}", {"field": ""}, type=DatabaseUnavailable.code
    )
