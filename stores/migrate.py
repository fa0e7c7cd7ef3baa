"""Bring the schemas of both stores up to date.

Supabase's migrations are recorded as the Supabase CLI records them, so `supabase db push` and `journey migrate` can
take turns on one database. The State Surface's migrations are recorded in its own schema, because on the platform the
State Surface is another system.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import asyncpg

from journeys.errors import DatabaseUnavailable
from stores.postgres import Connection, connect, describe_error
from stores.urls import StoreUrlError, parse_store_url

Progress: TypeAlias = Callable[[str], None]

_HERE: Final = Path(__file__).parent
_ROLE_SHIM: Final = _HERE / "migrations" / "role_shim.sql"

MIGRATIONS: Final = {
    "supabase": _HERE.parent / "supabase" / "migrations",  # where the Supabase CLI expects them
    "state_surface": _HERE / "migrations" / "state_surface",
}
"""The folder of each store's migrations."""

# The key of the advisory lock: any number, as long as all versions of this module use the same one.
_LOCK_KEY: Final = 7_310_594_205_142_861
_CONNECT_SECONDS: Final = 15

# Comments, quoted text and names, and dollar-quoted bodies may contain semicolons. Only a semicolon outside of them
# ends a statement: the group `end`.
_LEXEME: Final = re.compile(
    r"--[^\n]* | /\*.*?\*/ | '[^']*' | \"[^\"]*\" | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ | (?P<end>;)",
    re.DOTALL | re.VERBOSE,
)


class MigrationError(DatabaseUnavailable):
    """A schema could not be brought up to date.

    Attributes:
        store: The store, `supabase` or `state_surface`.
        file: The name of the SQL file that failed; None if the error came from no file, such as a failed connection.
    """

    def __init__(self, store: str, message: str, file: str | None = None) -> None:
        super().__init__(f"{store}: {file}: {message}" if file else f"{store}: {message}")
        self.store = store
        self.file = file


@dataclass(frozen=True)
class MigrationReport:
    """The versions that one call of `migrate` applied, in order; empty if the store was up to date."""

    supabase: tuple[str, ...]
    state_surface: tuple[str, ...]


@dataclass(frozen=True)
class _Migration:
    version: str
    name: str
    path: Path


@dataclass(frozen=True)
class _Store:
    name: str
    history_schema: str
    folder: Path

    @property
    def history(self) -> str:
        return f"{self.history_schema}.schema_migrations"

    def migrations(self) -> list[_Migration]:
        """The store's migrations, oldest first.

        Raises:
            MigrationError: The folder has no migrations, so the installation is broken.
        """
        found = [
            _Migration(version=match["version"], name=match["name"], path=path)
            for path in sorted(self.folder.glob("*.sql"))
            if (match := re.fullmatch(r"(?P<version>[0-9]+)_(?P<name>.*)\.sql", path.name))
        ]
        if not found:
            raise MigrationError(self.name, f"no migrations in {self.folder}")
        return found


def split_statements(sql: str) -> list[str]:
    """Split a migration into the statements that the Supabase CLI records for it.

    The statements are only recorded; a file always runs as a whole. The split does not support syntax that our
    migrations do not use: nested comments, and SQL-standard function bodies of several statements.
    """
    ends = [match.start() for match in _LEXEME.finditer(sql) if match["end"]]
    pieces = (sql[start:end].strip() for start, end in zip([0, *(end + 1 for end in ends)], [*ends, None], strict=True))
    return [piece for piece in pieces if piece]


async def migrate(supabase_db_url: str, state_surface_url: str, *, progress: Progress) -> MigrationReport:
    """Apply the missing migrations to both stores, Supabase first.

    Any number of calls, even concurrent ones, apply every file once. Each file has a transaction of its own, which also
    records the version. Recorded versions that this code does not know are left alone: other software shares the
    database, or the database is newer than the code.

    Args:
        supabase_db_url: The database of the chat sessions. If it is not a Supabase database, the roles and
            functions that the migrations depend on are added first.
        state_surface_url: The database of the State Surface; it may be the same one.
        progress: Called with one line of text after each step.

    Returns:
        The versions that were applied.

    Raises:
        MigrationError: A database cannot be reached, or refuses a statement. Files that were applied before the
            error stay applied.
    """
    supabase = _Store("supabase", "supabase_migrations", MIGRATIONS["supabase"])
    state_surface = _Store("state_surface", "state_surface", MIGRATIONS["state_surface"])
    async with _connect(supabase, supabase_db_url) as connection:
        await _add_roles(supabase, connection, progress)
        to_supabase = await _apply(supabase, connection, progress)
    async with _connect(state_surface, state_surface_url) as connection:
        to_state_surface = await _apply(state_surface, connection, progress)
    return MigrationReport(supabase=to_supabase, state_surface=to_state_surface)


@asynccontextmanager
async def _connect(store: _Store, url: str) -> AsyncIterator[Connection]:
    try:
        target = parse_store_url(url)
    except StoreUrlError as error:
        raise MigrationError(store.name, f"the database URL {error}") from None
    try:
        # No cached prepared statements: the URL may lead to a pooler in transaction mode, which mixes them up.
        connection = await connect(
            target,
            timeout=_CONNECT_SECONDS,
            statement_cache_size=0,
            server_settings={"application_name": "journey migrate"},
        )
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        # The error's own text may quote a part of the URL, so neither it nor the error as a cause is passed on.
        raise MigrationError(store.name, f"cannot connect: {describe_error(error)}") from None
    try:
        yield connection
    finally:
        await connection.close()


def _describe(error: BaseException) -> str:
    """Say why one of our own statements failed: the server's first line, without the rows that later lines quote."""
    # After a connection is lost, the rollback fails as well. Only the error before it names the cause.
    if isinstance(error, asyncpg.InterfaceError) and error.__context__:
        error = error.__context__
    if isinstance(error, asyncpg.PostgresError) and error.args:
        return f"SQLSTATE {error.sqlstate}: {error.args[0]}"
    return describe_error(error)


@contextmanager
def _translate_errors(store: _Store, file: str | None = None) -> Iterator[None]:
    try:
        yield
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        raise MigrationError(store.name, _describe(error), file) from None


@asynccontextmanager
async def _lock(connection: Connection) -> AsyncIterator[None]:
    # The lock belongs to the transaction: behind a pooler in transaction mode no session could hold it. The isolation
    # level makes each statement see the commits of the lock's previous holder, whatever the database's default is.
    async with connection.transaction(isolation="read_committed"):
        await connection.execute("select pg_advisory_xact_lock($1)", _LOCK_KEY)
        yield


async def _add_roles(store: _Store, connection: Connection, progress: Progress) -> None:
    with _translate_errors(store, _ROLE_SHIM.name):
        async with _lock(connection):
            # Every Supabase cluster, hosted or not, has the role; only its Supabase database has the schema as well.
            is_supabase = await connection.fetchval(
                """
                select to_regnamespace('auth') is not null
                  and exists (select from pg_roles where rolname = 'supabase_admin')
                """
            )
            if is_supabase:
                return
            await connection.execute(_ROLE_SHIM.read_text("utf-8"))
    progress(f"{store.name}: not a Supabase database; the roles and functions of Supabase are in place")


async def _apply(store: _Store, connection: Connection, progress: Progress) -> tuple[str, ...]:
    migrations = store.migrations()
    with _translate_errors(store):
        async with _lock(connection):
            recorded = await _read_recorded_versions(store, connection)
    if unknown := sorted(recorded - {migration.version for migration in migrations}):
        progress(f"{store.name}: left alone versions that this release does not know: {', '.join(unknown)}")
    applied = [
        migration.version
        for migration in migrations
        if migration.version not in recorded and await _apply_one(store, connection, migration, progress)
    ]
    if not applied:
        progress(f"{store.name}: up to date")
    return tuple(applied)


async def _read_recorded_versions(store: _Store, connection: Connection) -> set[str]:
    """Read the versions in the store's history table, which is created if it is missing."""
    # `if not exists` would need the right to create the schema even if it exists, so look for the table first.
    if await connection.fetchval("select to_regclass($1) is null", store.history):
        await connection.execute(
            f"""
            create schema if not exists {store.history_schema};
            create table {store.history} (version text not null primary key, statements text[], name text);
            """
        )
    return {row["version"] for row in await connection.fetch(f"select version from {store.history}")}  # noqa: S608


async def _apply_one(store: _Store, connection: Connection, migration: _Migration, progress: Progress) -> bool:
    with _translate_errors(store, migration.path.name):
        sql = migration.path.read_text("utf-8")
        async with _lock(connection):
            recorded = await connection.fetchval(
                f"select exists (select from {store.history} where version = $1)",  # noqa: S608
                migration.version,
            )
            if recorded:
                return False
            await connection.execute(sql)
            await connection.execute(
                f"insert into {store.history} (version, name, statements) values ($1, $2, $3)",  # noqa: S608
                migration.version,
                migration.name,
                split_statements(sql),
            )
    progress(f"{store.name}: applied {migration.path.name}")
    return True
