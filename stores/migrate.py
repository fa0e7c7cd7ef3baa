"""Bring the schemas of both stores up to date.

Supabase's migrations are recorded the way the Supabase CLI records them, so `supabase db push` and
`journey migrate` may take turns on one database. The State Surface keeps a record of its own, because on the
platform it is another system.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import asyncpg

from journeys.errors import DatabaseUnavailable

Progress: TypeAlias = Callable[[str], None]
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_HERE: Final = Path(__file__).parent
_ROLE_SHIM: Final = _HERE / "migrations" / "role_shim.sql"

MIGRATIONS: Final = {
    "supabase": _HERE.parent / "supabase" / "migrations",  # where the Supabase CLI expects them
    "state_surface": _HERE / "migrations" / "state_surface",
}
"""The folder of each store's migrations."""
# Any fixed number will do, as long as every version of this module takes the same one.
_LOCK: Final = 7_310_594_205_142_861
_CONNECT_SECONDS: Final = 15

# What may hold a semicolon that ends nothing: comments, quoted text and names, dollar-quoted bodies.
_LEXEME: Final = re.compile(
    r"--[^\n]* | /\*.*?\*/ | '[^']*' | \"[^\"]*\" | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ | (?P<end>;)",
    re.DOTALL | re.VERBOSE,
)


class MigrationError(DatabaseUnavailable):
    """A schema could not be brought up to date.

    Attributes:
        store: The store whose schema it was.
        file: The SQL file that failed, or None where the failure lies before the first file.
    """

    def __init__(self, store: str, message: str, file: str | None = None) -> None:
        super().__init__(f"{store}: {file}: {message}" if file else f"{store}: {message}")
        self.store = store
        self.file = file


@dataclass(frozen=True)
class MigrationReport:
    """The versions that one call of `migrate` applied, in order; empty where nothing was left to do."""

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
            MigrationError: If there are none, which means a broken installation.
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

    The split is for the record only, since a file always runs whole. So it leaves out what the files here do
    without, such as nested comments and SQL-standard function bodies of several statements.
    """
    ends = [match.start() for match in _LEXEME.finditer(sql) if match["end"]]
    pieces = (sql[start:end].strip() for start, end in zip([0, *(end + 1 for end in ends)], [*ends, None], strict=True))
    return [piece for piece in pieces if piece]


async def migrate(supabase_db_url: str, state_surface_url: str, *, progress: Progress) -> MigrationReport:
    """Apply what is missing to both stores, Supabase first.

    It may run any number of times, and at once with itself: every file is applied once, in a transaction of
    its own together with its record. Versions that the database holds and this code does not know are left
    alone: the database is shared, or newer than the code.

    Args:
        supabase_db_url: The database that holds the chat sessions. Where it is not a Supabase, the roles and
            functions that the migrations build on are added first.
        state_surface_url: The database that holds the State Surface; it may be the same one.
        progress: Told in a line what was done.

    Returns:
        The versions that were applied.

    Raises:
        MigrationError: If a database could not be reached, or refused something. Files that were applied
            before it stay applied.
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
        # A transaction pooler mixes up prepared statements that are kept.
        connection = await asyncpg.connect(
            url,
            timeout=_CONNECT_SECONDS,
            statement_cache_size=0,
            server_settings={"application_name": "journey migrate"},
        )
    except (ValueError, asyncpg.InterfaceError):
        # What could not be read may be a piece of the password: neither the message nor the cause may show.
        raise MigrationError(store.name, "the database URL cannot be understood") from None
    except (OSError, asyncpg.PostgresError) as error:
        raise MigrationError(store.name, f"cannot connect: {_said(error)}") from error
    try:
        yield connection
    finally:
        await connection.close()


def _said(error: BaseException) -> str:
    # Once a connection is lost the rollback fails too, and only what came before it tells why.
    if isinstance(error, asyncpg.InterfaceError) and error.__context__:
        error = error.__context__
    # A timeout has no words of its own.
    return str(error) or type(error).__name__


@contextmanager
def _failures(store: _Store, file: str | None = None) -> Iterator[None]:
    try:
        yield
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise MigrationError(store.name, _said(error), file) from error


@asynccontextmanager
async def _locked(connection: Connection) -> AsyncIterator[None]:
    # Held by the transaction, because a transaction pooler has no sessions to hold it. Each statement has to
    # see what the holder before us committed, whatever isolation the database defaults to.
    async with connection.transaction(isolation="read_committed"):
        await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
        yield


async def _add_roles(store: _Store, connection: Connection, progress: Progress) -> None:
    with _failures(store, _ROLE_SHIM.name):
        async with _locked(connection):
            # Every Supabase, hosted or not, is run by this role; another database of its cluster is none.
            is_supabase = await connection.fetchval(
                """
                select to_regnamespace('auth') is not null
                  and exists (select from pg_roles where rolname = 'supabase_admin')
                """
            )
            if is_supabase:
                return
            await connection.execute(_ROLE_SHIM.read_text("utf-8"))
    progress(f"{store.name}: no Supabase; the roles and functions that one brings are in place")


async def _apply(store: _Store, connection: Connection, progress: Progress) -> tuple[str, ...]:
    migrations = store.migrations()
    with _failures(store):
        async with _locked(connection):
            recorded = await _recorded(store, connection)
    if unknown := sorted(recorded - {migration.version for migration in migrations}):
        progress(f"{store.name}: also holds versions unknown to this release, left alone: {', '.join(unknown)}")
    applied = [
        migration.version
        for migration in migrations
        if migration.version not in recorded and await _apply_one(store, connection, migration, progress)
    ]
    if not applied:
        progress(f"{store.name}: up to date")
    return tuple(applied)


async def _recorded(store: _Store, connection: Connection) -> set[str]:
    # Looked for first, so that a run with nothing to do needs no right to create anything.
    if await connection.fetchval("select to_regclass($1) is null", store.history):
        await connection.execute(
            f"""
            create schema if not exists {store.history_schema};
            create table {store.history} (version text not null primary key, statements text[], name text);
            """
        )
    return {row["version"] for row in await connection.fetch(f"select version from {store.history}")}  # noqa: S608


async def _apply_one(store: _Store, connection: Connection, migration: _Migration, progress: Progress) -> bool:
    with _failures(store, migration.path.name):
        sql = migration.path.read_text("utf-8")
        async with _locked(connection):
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
