"""Connection pools of the stores, and the translation of PostgreSQL's errors into application errors."""

import logging
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, TypeAlias, TypeVar

import asyncpg
from pydantic import ValidationError
from pydantic_core import to_json
from temporalio.exceptions import ApplicationError

from journeys.errors import DatabaseUnavailable, InvalidParameter
from journeys.messages import Record, reason_of
from stores.urls import Host, StoreUrl, parse_store_url

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
PooledConnection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

RecordType = TypeVar("RecordType", bound=Record)

Rights: TypeAlias = Mapping[str, Sequence[str]]
"""The commands that a worker's statements use, by table: `{"public.chat_sessions": ("select", "update")}`."""

_CONNECT_SECONDS: Final = 3.0
_STATEMENT_SECONDS: Final = 3.0
_IDLE_SECONDS: Final = 60.0

# Tables whose rows row-level security hides from a command of the current role: no policy lets the command through.
_HIDDEN: Final = """
select string_agg(distinct needed.name, ', ')
from unnest($1::text[], $2::text[]) as needed (name, command)
where row_security_active(to_regclass(needed.name))
  and not exists (
    select from pg_catalog.pg_policy as policy
    cross join unnest(policy.polroles) as applied (role)
    where policy.polrelid = to_regclass(needed.name)
      and policy.polpermissive
      and policy.polcmd in (
        '*',
        case needed.command
          when 'select' then 'r' when 'insert' then 'a' when 'update' then 'w' when 'delete' then 'd'
        end
      )
      and case when applied.role = 0 then true else pg_has_role(applied.role, 'usage') end
  )
"""

# What the operator can do about the commonest errors. The server's own text may quote values, so it is not shown.
_REASONS: Final = {
    "25006": "the server refuses to write on this connection",
    "28000": "the server refuses the user",
    "28P01": "the server refuses the user or the password",
    "3D000": "there is no such database",
    "3F000": "a schema is missing; run `journey migrate`",
    "42501": "the role lacks a right; see docs/settings.md",
    "42703": "a column is missing; run `journey migrate`",
    "42883": "a function is missing; run `journey migrate`",
    "42P01": "a table is missing; run `journey migrate`",
    "53100": "the server's disk is full",
    "53300": "the server has too many connections",
    "57P03": "the server is starting or shutting down",
}

# Poolers have no codes of their own for these: PgBouncer says 08P01 and Supavisor XX000 to everything.
_UNKNOWN_LOGIN: Final = re.compile("tenant.* not found|no such (database|user)", re.IGNORECASE)
_UNKNOWN_PARAMETER: Final = re.compile("unsupported startup parameter", re.IGNORECASE)

# The errors of a host that cannot be used now. The next host is tried, as libpq does.
_TRY_THE_NEXT: Final = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TargetServerAttributeNotMatched,
)


async def connect(url: StoreUrl, *, timeout: float, **options: Any) -> Connection:  # noqa: ANN401
    """Connect to the first host of a URL that can be used.

    asyncpg would spend the whole timeout on a first host that does not answer, so each host gets a share of it.

    Args:
        url: The URL of the server.
        timeout: The timeout for all hosts together, in seconds.
        **options: The options of `asyncpg.connect`.
    """
    if len(url.hosts) < 2:
        return await asyncpg.connect(url.dsn, timeout=timeout, **options)
    target = url.target_session_attrs
    attempts = [(host, target) for host in url.hosts]
    if target == "prefer-standby":
        attempts = [(host, each) for each in ("standby", "any") for host in url.hosts]
    last: Exception | None = None
    for host, wanted in attempts:
        try:
            return await _connect_to_host(url, host, wanted, timeout=timeout / len(attempts), **options)
        except _TRY_THE_NEXT as error:
            # The error of a server of the wrong kind says more than that of a server that does not answer.
            if not isinstance(last, asyncpg.TargetServerAttributeNotMatched):
                last = error
    assert last is not None
    raise last


async def _connect_to_host(url: StoreUrl, host: Host, target: str, **options: Any) -> Connection:  # noqa: ANN401
    port = host.port or int(os.environ.get("PGPORT") or 5432)
    return await asyncpg.connect(
        url.dsn,
        host=host.name,
        port=port,
        target_session_attrs=asyncpg.connect_utils.SessionAttribute(target),
        **options,
    )


async def open_pool(
    url: str,
    *,
    connections: int,
    transaction_pooler: bool = False,
    store: str = "the store",
    rights: Rights | None = None,
) -> Pool:
    """Open a pool that connects on first use, so that a worker can start while its store is down.

    Args:
        url: `postgresql://user:password@host:port/database`; see `stores.urls`.
        connections: The maximum number of connections; the URL's `connection_limit` may lower it.
        transaction_pooler: Whether the URL leads to a pooler in transaction mode; port 6543 and `pgbouncer=true` imply
            it. Behind one the pool caches no prepared statements, because the next transaction may run on another
            connection.
        store: The store's name in messages.
        rights: The rights that the statements need. A connection is refused if row-level security hides the rows from
            its role: an empty answer would otherwise be taken for a session that does not exist.

    Returns:
        The pool; the caller closes it.

    Raises:
        StoreUrlError: The URL cannot be used.
    """
    target = parse_store_url(url)
    seen_all = False

    async def connect_target(*_: object, **options: Any) -> Connection:  # noqa: ANN401
        return await connect(target, **options)

    async def check_rights(connection: Connection) -> None:
        nonlocal seen_all
        if rights and not seen_all:
            await _check_rows_are_visible(connection, store, rights)
            seen_all = True

    settings = {} if "application_name" in target.server_parameters else {"application_name": "coexistence-journeys"}
    return await asyncpg.create_pool(
        target.dsn,
        min_size=0,
        max_size=min(connections, target.connection_limit or connections),
        timeout=_CONNECT_SECONDS,
        command_timeout=_STATEMENT_SECONDS,
        max_inactive_connection_lifetime=_IDLE_SECONDS,
        statement_cache_size=0 if transaction_pooler or target.transaction_pooler else 100,
        server_settings=settings,
        connect=connect_target,
        init=check_rights,
        reset=_skip_reset,
    )


async def _skip_reset(_: Connection) -> None:
    """Skip the pool's reset, which costs a round trip: an autocommit statement leaves no session state behind."""


async def _check_rows_are_visible(connection: Connection, store: str, rights: Rights) -> None:
    needed = [(table, command) for table, commands in rights.items() for command in commands]
    hidden = await connection.fetchval(_HIDDEN, [table for table, _ in needed], [command for _, command in needed])
    if hidden:
        raise _unavailable(
            store,
            f"row-level security hides the rows of {hidden} from this role; "
            "connect as a member of journey_worker, see docs/settings.md",
        )


async def check_store(pool: Pool, url: str, *, store: str, setting: str) -> None:
    """Fail if the store turns this worker away for a reason that does not pass by itself.

    If the store is away, or lacks a table or a grant, the worker starts and waits for it.

    Args:
        pool: The store's pool.
        url: The pool's URL.
        store: The store's name in messages.
        setting: The setting that has the URL.

    Raises:
        InvalidParameter: The store turns this worker away. The message says what to do, and quotes no part of the URL.
    """
    parameters = ", ".join(parse_store_url(url).server_parameters)
    try:
        async with pool.acquire():
            return
    except ApplicationError as error:
        reason = error.message
    except asyncpg.PostgresError as error:
        reason = _explain_refusal(store, error, parameters)
    except (ValueError, asyncpg.InterfaceError):
        reason = f"the connection parameters of {store} are not valid; check them in the URL"
    except (OSError, asyncpg.InternalClientError) as error:
        logging.getLogger(__name__).warning(
            "a store is not available yet", extra={"store": store, "reason": describe_error(error)}
        )
        return
    if reason:
        raise InvalidParameter(f"{setting}: {reason}")


def _explain_refusal(store: str, error: asyncpg.PostgresError, parameters: str) -> str:
    """Say what is wrong and what to do; empty if the worker should wait for the store."""
    state, text = error.sqlstate or "", error.args[0] if error.args else ""
    if state[:2] == "28" or _UNKNOWN_LOGIN.search(text):
        return f"{store} refuses the user, the password or the database; check them in the URL"
    if state == "3D000":
        return f"{store} has no database of the URL's name; correct the name in the URL, or create the database"
    if parameters and (state in ("42704", "22023", "55P02") or _UNKNOWN_PARAMETER.search(text)):
        return f"{store} refuses a connection parameter of the URL, one of {parameters}; remove or correct it"
    return ""


@asynccontextmanager
async def connection_to(store: str, pool: Pool, *, may_refuse: bool = True) -> AsyncIterator[PooledConnection]:
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
            except TimeoutError:  # nobody knows what state the statement has left the connection in
                connection.terminate()
                raise


def json_text(value: object) -> str:
    """Encode a value, pydantic models included, as JSON text: asyncpg takes `json` and `jsonb` parameters as text."""
    return to_json(value).decode()


@contextmanager
def translate_errors(store: str, *, may_refuse: bool = True) -> Iterator[None]:
    """Translate a store's errors into application errors, which decide whether Temporal retries.

    A data error (SQLSTATE class 22 or 23, or a value that the driver cannot encode) is caused by the values to be
    written, so it is not retried. All other errors are retried. Connection, timeout, serialization and resource errors
    pass by themselves. A missing permission or table stays until somebody adds it; until then the pending activity
    shows the error.

    Args:
        store: The store's name in messages.
        may_refuse: Whether the store may refuse a change. If false, a data error is retried, too: another store
            already holds the change.

    Raises:
        ApplicationError: `INVALID_PARAMETER`, not retryable, or `DATABASE_UNAVAILABLE`, retryable.
    """
    try:
        yield
    except (asyncpg.PostgresError, OSError, ValueError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        reason = describe_error(error)
        if may_refuse and _is_data_error(error):
            raise ApplicationError(
                f"{store} refuses the change: {reason}", {"field": ""}, type=InvalidParameter.code, non_retryable=True
            ) from None
        raise _unavailable(store, reason) from None


def describe_error(error: BaseException) -> str:
    """Name an error without its text, which may quote values, pieces of a password or of a URL."""
    name = type(error).__name__
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or "?"
        reason = _REASONS.get(state)
        return f"SQLSTATE {state} ({name}): {reason}" if reason else f"SQLSTATE {state} ({name})"
    if isinstance(error, socket.gaierror):
        return f"{name}: the host's name cannot be resolved"
    # In an SSLError, `errno` is a number of OpenSSL.
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and error.errno:
        return f"{name}: {os.strerror(error.errno)}"
    return name


def parse_row(store: str, model: type[RecordType], row: Mapping[str, object]) -> RecordType:
    """Read a row as a record.

    Args:
        store: The store's name in messages.
        model: The record's type, whose fields have the names of the columns.
        row: The values by column.

    Raises:
        InvalidParameter: A value does not fit its field, because somebody has edited the row. A retry would find the
            same value.
    """
    try:
        return model.model_validate(dict(row))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        column = str(first["loc"][0]) if first["loc"] else "?"
        reason = reason_of(first["msg"])
        raise InvalidParameter(
            f"a row in {store} cannot be used: the column {column} {reason}; somebody has to correct the row"
        ) from None


def _is_data_error(error: BaseException) -> bool:
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "")[:2] in ("22", "23")
    return isinstance(error, ValueError) and not isinstance(error, asyncpg.ClientConfigurationError)


def _unavailable(store: str, reason: str) -> ApplicationError:
    return ApplicationError(f"{store} is not available: {reason}", {"field": ""}, type=DatabaseUnavailable.code)
