"""Connections to a Postgres, and what its errors mean to a journey."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias
from urllib.parse import urlsplit

import asyncpg
from temporalio.exceptions import ApplicationError

from journeys.errors import DatabaseUnavailable, InvalidParameter

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
_Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

# Supabase's poolers answer on this port in transaction mode.
_TRANSACTION_POOLER_PORT = 6543
_CONNECT_SECONDS = 3.0
_STATEMENT_SECONDS = 3.0
_IDLE_SECONDS = 60.0


async def open_pool(url: str, *, connections: int, transaction_pooler: bool = False) -> Pool:
    """Make a pool that connects when it is first used, so that a worker starts while its store is down.

    Args:
        url: `postgresql://user:password@host:port/database`.
        connections: How many to hold at most.
        transaction_pooler: The URL leads to a pooler in transaction mode, where a prepared statement of one
            transaction is not there, or is another one, in the next. Port 6543 implies it.

    Returns:
        The pool; close it when done.
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
        reset=_keep,
    )


async def _keep(_: _Connection) -> None:
    """Leave a connection as it is: single autocommit statements leave nothing behind, and a reset is a round trip."""


@contextmanager
def reported(store: str, *, may_refuse: bool = True) -> Iterator[None]:
    """Turn a store's errors into what Temporal is to do about them.

    A data error (SQLSTATE class 22 or 23) lies in what was to be written and fails at once. Everything else is
    retried: connections, timeouts, serialization and resources pass by themselves, a missing permission or
    table when somebody mends it, and until then the pending activity shows what it waits for.

    Args:
        store: How to call the store in messages.
        may_refuse: Whether a data error is final. It is not where another store holds the change already.

    Raises:
        ApplicationError: `INVALID_PARAMETER`, not to be retried, or `DATABASE_UNAVAILABLE`.
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
        raise _waiting(store, f"SQLSTATE {state}: {error}") from None
    except (TimeoutError, OSError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        raise _waiting(store, f"{type(error).__name__}: {error}".removesuffix(": ")) from None


def _waiting(store: str, reason: str) -> ApplicationError:
    return ApplicationError(
        f"{store} is not available: {reason.splitlines()[0]}", {"field": ""}, type=DatabaseUnavailable.code
    )
