"""The stores' schemas: applied once, by whichever tool comes first, and noticing what is changed by hand."""

import asyncio
import json
import os
import subprocess
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID, uuid4

import asyncpg
import pytest

from stores.migrate import MIGRATIONS, MigrationError, MigrationReport, migrate
from tests.support.databases import (
    Connection,
    add_session,
    add_supabase_roles,
    connection_to,
    create_database,
    execute,
    with_login,
)
from tests.support.paths import REPOSITORY

if TYPE_CHECKING:
    from embedded import EmbeddedPostgres

SupabaseCli: TypeAlias = Callable[..., dict[str, Any]]
NewDatabase: TypeAlias = Callable[[], Awaitable[str]]

CLI = REPOSITORY / "tests" / "deployment" / "supabase_cli" / "node_modules" / ".bin" / "supabase"


def versions(folder: str) -> tuple[str, ...]:
    return tuple(sorted(path.name.split("_")[0] for path in (REPOSITORY / folder).glob("*.sql")))


SUPABASE_VERSIONS = versions("supabase/migrations")
STATE_SURFACE_VERSIONS = versions("stores/migrations/state_surface")
EVERYTHING = MigrationReport(supabase=SUPABASE_VERSIONS, state_surface=STATE_SURFACE_VERSIONS)
NOTHING = MigrationReport(supabase=(), state_surface=())
HISTORY = "select version, name, statements from supabase_migrations.schema_migrations order by version"


def silent(_line: str) -> None:
    """Ignore a line of progress."""


@pytest.fixture(name="new_database")
def _new_database(postgres: "EmbeddedPostgres") -> NewDatabase:
    return partial(create_database, postgres, "migrations")


@pytest.fixture(name="url")
async def _url(new_database: NewDatabase) -> str:
    return await new_database()


@pytest.fixture(name="database")
async def _database(url: str) -> AsyncIterator[Connection]:
    """A connection to a database that has been migrated."""
    await migrate(url, url, progress=silent)
    async with connection_to(url) as connection:
        yield connection


@pytest.fixture(name="supabase")
def _supabase(tmp_path: Path) -> SupabaseCli:
    """Runs the Supabase CLI on the checkout, and returns the object that it prints."""
    if not CLI.exists():
        pytest.fail("the Supabase CLI is not installed: run `make setup`, which needs npm", pytrace=False)
    quiet = {"SUPABASE_TELEMETRY_DISABLED": "1", "DO_NOT_TRACK": "1", "SUPABASE_NO_UPDATE_NOTIFIER": "1"}

    def run(url: str, *arguments: str) -> dict[str, Any]:
        done = subprocess.run(
            [CLI, *arguments, f"--remote={url}", "--yes", "--output-format=json", f"--workdir={REPOSITORY}"],
            env=os.environ | quiet | {"PGSSLMODE": "disable", "HOME": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    return run


# Two tools, one database


async def test_what_the_supabase_cli_applied_is_not_applied_again(url: str, supabase: SupabaseCli) -> None:
    await add_supabase_roles(url)
    pushed = await asyncio.to_thread(supabase, url, "db", "push")
    assert [file.split("_")[0] for file in pushed["migrations"]] == list(SUPABASE_VERSIONS)
    assert await migrate(url, url, progress=silent) == MigrationReport(
        supabase=(), state_surface=STATE_SURFACE_VERSIONS
    )


async def test_what_migrate_applied_leaves_the_supabase_cli_nothing_to_do(url: str, supabase: SupabaseCli) -> None:
    assert await migrate(url, url, progress=silent) == EVERYTHING
    assert (await asyncio.to_thread(supabase, url, "db", "push"))["upToDate"] is True
    listed = (await asyncio.to_thread(supabase, url, "migration", "list"))["migrations"]
    assert [(row["local"], row["remote"]) for row in listed] == [(version, version) for version in SUPABASE_VERSIONS]


async def test_both_tools_record_a_migration_alike(new_database: NewDatabase, supabase: SupabaseCli) -> None:
    by_us, by_cli = await new_database(), await new_database()
    await migrate(by_us, by_us, progress=silent)
    await add_supabase_roles(by_cli)
    await asyncio.to_thread(supabase, by_cli, "db", "push")
    async with connection_to(by_us) as ours, connection_to(by_cli) as theirs:
        assert await ours.fetch(HISTORY) == await theirs.fetch(HISTORY)


async def test_supabases_advisors_have_nothing_against_the_tables(url: str, supabase: SupabaseCli) -> None:
    await migrate(url, url, progress=silent)
    advice = (await asyncio.to_thread(supabase, url, "db", "advisors", "--level=info"))["results"]
    # In a new database no index was used yet; and nobody is meant to reach the State Surface, so it has no policy.
    assert {(finding["level"], finding["name"], finding["metadata"]["schema"]) for finding in advice} <= {
        ("INFO", "unused_index", "public"),
        ("INFO", "unused_index", "state_surface"),
        ("INFO", "rls_enabled_no_policy", "state_surface"),
    }


# Repeated runs, and failures


async def test_a_second_run_changes_nothing(url: str) -> None:
    assert await migrate(url, url, progress=silent) == EVERYTHING
    async with connection_to(url) as connection:
        before = await connection.fetch(HISTORY)
        assert await migrate(url, url, progress=silent) == NOTHING
        assert await connection.fetch(HISTORY) == before


async def test_runs_at_the_same_moment_apply_every_migration_once(url: str) -> None:
    reports = await asyncio.gather(*(migrate(url, url, progress=silent) for _ in range(5)))
    assert sorted(version for report in reports for version in report.supabase) == list(SUPABASE_VERSIONS)
    assert sorted(version for report in reports for version in report.state_surface) == list(STATE_SURFACE_VERSIONS)


async def test_a_serializable_database_is_migrated_at_the_same_moment_too(url: str, database: Connection) -> None:
    name = await database.fetchval("select current_database()")
    await database.execute(f"alter database {name} set default_transaction_isolation = 'serializable'")
    await database.execute(
        "drop table public.chat_sessions, public.chat_context_updates, public.chat_messages, public.chat_partials"
    )
    await database.execute("drop function public.record_manual_chat_session_change")
    await database.execute("drop schema supabase_migrations cascade")
    reports = await asyncio.gather(*(migrate(url, url, progress=silent) for _ in range(10)))
    assert sorted(version for report in reports for version in report.supabase) == list(SUPABASE_VERSIONS)


async def test_a_run_with_nothing_to_do_needs_no_right_to_create(url: str, database: Connection) -> None:
    role = f"reader_{uuid4().hex}"
    await database.execute(
        f"""
        create role {role} login password 'reader';
        grant usage on schema auth, supabase_migrations, state_surface to {role};
        grant select on supabase_migrations.schema_migrations, state_surface.schema_migrations to {role};
        """
    )
    as_reader = with_login(url, role, "reader")
    assert await migrate(as_reader, as_reader, progress=silent) == NOTHING


async def test_a_failing_migration_leaves_nothing_of_itself_and_says_which_it_was(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "20300101000000_sound.sql").write_text("create table public.sound (id int);", "utf-8")
    broken = tmp_path / "20300101000001_broken.sql"
    broken.write_text("create table public.broken (id int); select * from nowhere;", "utf-8")
    monkeypatch.setitem(MIGRATIONS, "supabase", tmp_path)

    with pytest.raises(MigrationError, match="nowhere") as failure:
        await migrate(url, url, progress=silent)
    assert (failure.value.store, failure.value.file) == ("supabase", broken.name)
    async with connection_to(url) as connection:
        assert [row["name"] for row in await connection.fetch(HISTORY)] == ["sound"]
        assert await connection.fetchval("select to_regclass('public.broken')") is None

    broken.write_text("create table public.broken (id int);", "utf-8")
    report = await migrate(url, url, progress=silent)
    assert report.supabase == ("20300101000001",)


async def test_a_lost_connection_is_told_as_the_database_told_it(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "20300101000000_fatal.sql").write_text("select pg_terminate_backend(pg_backend_pid());", "utf-8")
    monkeypatch.setitem(MIGRATIONS, "supabase", tmp_path)
    with pytest.raises(MigrationError, match="terminating connection due to administrator"):
        await migrate(url, url, progress=silent)


async def test_an_installation_without_its_migrations_is_an_error(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MIGRATIONS, "supabase", tmp_path)
    with pytest.raises(MigrationError, match="no migrations in"):
        await migrate(url, url, progress=silent)


async def test_a_database_that_is_newer_or_shared_is_left_alone_and_said_so(url: str, database: Connection) -> None:
    await database.execute("insert into supabase_migrations.schema_migrations (version) values ('99990101000000')")
    said: list[str] = []
    assert await migrate(url, url, progress=said.append) == NOTHING
    assert any(line.startswith("supabase: ") and "99990101000000" in line for line in said)


@pytest.mark.parametrize(
    "url_of",
    [
        lambda url: with_login(url, "postgres", "hush/hush"),
        lambda url: with_login(url, "postgres", "hush#hush"),
        lambda url: with_login(url, "postgres", "hush"),
        lambda _url: "postgresql://postgres:hush@127.0.0.1:1/postgres",
        lambda _url: "mysql://postgres:hush@127.0.0.1/postgres",
    ],
    ids=["slash", "hash", "wrong", "unreachable", "scheme"],
)
async def test_no_error_shows_the_password(url: str, url_of: Callable[[str], str]) -> None:
    with pytest.raises(MigrationError) as failure:
        await migrate(url_of(url), url, progress=silent)
    assert "hush" not in "".join(traceback.format_exception(failure.value))


# Where the stores live


async def test_the_state_surface_needs_nothing_of_supabases(new_database: NewDatabase) -> None:
    supabase_url, state_surface_url = await new_database(), await new_database()
    assert await migrate(supabase_url, state_surface_url, progress=silent) == EVERYTHING
    async with connection_to(state_surface_url) as connection:
        schemas = await connection.fetch(
            "select nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema' order by 1"
        )
    assert [row["nspname"] for row in schemas] == ["public", "state_surface"]


@pytest.mark.parametrize(
    ("realtime", "published"),
    [("alter publication supabase_realtime owner to {owner}", 1), ("drop publication supabase_realtime", 0)],
    ids=["with Realtime", "without Realtime"],
)
async def test_a_hosted_supabase_is_migrated_by_its_unprivileged_owner_and_given_nothing_else(
    url: str, realtime: str, published: int
) -> None:
    owner = f"hosted_{uuid4().hex}"
    await add_supabase_roles(url)
    async with connection_to(url) as connection:
        # As on the platform: the owner is no superuser, and does not own what Supabase brings.
        await connection.execute(
            f"""
            create role {owner} login password 'owner' createrole bypassrls;
            grant anon, authenticated, service_role to {owner};
            do $$ begin create role supabase_admin; exception when duplicate_object then null; end $$;
            do $$ begin execute format('alter database %I owner to {owner}', current_database()); end $$;
            grant usage on schema auth to {owner};
            drop function auth.role();
            {realtime.format(owner=owner)};
            """
        )
        owned = with_login(url, owner, "owner")
        assert await migrate(owned, owned, progress=silent) == EVERYTHING
        assert await connection.fetchval("select to_regprocedure('auth.role()')") is None
        assert await connection.fetchval("select count(*) from pg_publication_tables") == published
        assert await connection.fetchval("select count(*) from pg_publication") == published


async def test_sessions_join_the_realtime_publication(database: Connection) -> None:
    published = await database.fetch(
        "select schemaname, tablename from pg_publication_tables where pubname = 'supabase_realtime'"
    )
    assert [tuple(row) for row in published] == [("public", "chat_sessions")]


@pytest.mark.parametrize("publication", ["for all tables", "for tables in schema public"])
async def test_a_realtime_publication_that_has_the_sessions_already_is_left_as_it_is(
    url: str, publication: str
) -> None:
    await execute(url, f"create publication supabase_realtime {publication}")
    assert await migrate(url, url, progress=silent) == EVERYTHING
    async with connection_to(url) as connection:
        assert await connection.fetchval("select count(*) from pg_publication_rel") == 0


# The tables


async def read_session(connection: Connection, session_id: UUID) -> asyncpg.Record:
    row = await connection.fetchrow("select * from public.chat_sessions where chat_session_id = $1", session_id)
    assert row is not None
    return row


async def read_ledger(connection: Connection, session_id: UUID) -> list[asyncpg.Record]:
    return await connection.fetch(
        "select * from public.chat_context_updates where chat_session_id = $1 order by revision", session_id
    )


@pytest.mark.parametrize(
    "columns",
    [
        {"context": "[]"},
        {"context": "null"},
        {"active_agent": "liaison_"},
        {"active_agent": "liaison_Finance"},
        {"active_agent": "liaison_é"},
        {"active_agent": "guide\n"},
        {"revision": -1},
        {"lifecycle_state": "CLOSED"},
        {"tenant_id": ""},
        {"user_id": ""},
    ],
    ids=str,
)
async def test_a_session_out_of_shape_is_refused(database: Connection, columns: dict[str, object]) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await add_session(database, **columns)


async def test_one_key_makes_one_session(database: Connection) -> None:
    await add_session(database, idempotency_key="key")
    with pytest.raises(asyncpg.UniqueViolationError):
        await add_session(database, idempotency_key="key")


async def test_the_most_recent_session_is_read_from_the_index(database: Connection) -> None:
    # An empty table is cheapest to scan and sort; without both, the plan shows whether an index can be used.
    await database.execute("set enable_seqscan = off; set enable_bitmapscan = off; set enable_sort = off")
    plan = await database.fetch(
        """
        explain (costs off)
        select * from public.chat_sessions
        where tenant_id = 'acme' and user_id = 'ada' and lifecycle_state = 'ACTIVE'
        order by updated_at desc, created_at desc, chat_session_id desc
        limit 1
        """
    )
    lines = [row["QUERY PLAN"] for row in plan]
    assert any("Index Scan using chat_sessions_of_user" in line for line in lines)
    assert not any("Sort" in line for line in lines)


async def test_a_session_takes_its_transcript_with_it(database: Connection) -> None:
    session_id = await add_session(database)
    message = "'a', 1, 0, 1, null, null, '{}', 'hash', now(), now()"
    await database.execute(f"insert into public.chat_messages values ($1, {message})", session_id)
    with pytest.raises(asyncpg.UniqueViolationError):
        await database.execute(f"insert into public.chat_messages values ($1, {message})", session_id)
    await database.execute("delete from public.chat_sessions where chat_session_id = $1", session_id)
    assert await database.fetchval("select count(*) from public.chat_messages") == 0


@pytest.mark.parametrize(
    ("whose", "index"),
    [
        ("tenant_id = 'acme'", "chat_sessions_of_tenant"),
        ("tenant_id = 'acme' and user_id = 'ada'", "chat_sessions_of_user"),
    ],
)
async def test_every_page_of_a_list_is_read_from_an_index(database: Connection, whose: str, index: str) -> None:
    await database.execute("set enable_seqscan = off; set enable_bitmapscan = off; set enable_sort = off")
    plan = await database.fetch(
        f"""
        explain (costs off)
        select * from public.chat_sessions
        where {whose} and lifecycle_state = 'ARCHIVED'
          and (updated_at, created_at, chat_session_id)
            < ('2026-01-27Z', '2026-01-27Z', '31dca87f-efb8-5ac5-b6df-13a4bc321dfd')
        order by updated_at desc, created_at desc, chat_session_id desc
        limit 51
        """
    )
    lines = "\n".join(row["QUERY PLAN"] for row in plan)
    assert f"Index Scan using {index}" in lines
    assert "ROW(updated_at" in lines.split("Index Cond:")[1].splitlines()[0]
    assert "Filter" not in lines
    assert "Sort" not in lines


@pytest.mark.parametrize("tool", ["journey migrate", "the Supabase CLI"])
async def test_sessions_of_before_the_transcript_have_none_and_are_registered_with_its_table(
    url: str, tmp_path: Path, supabase: SupabaseCli, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    with monkeypatch.context() as earlier:
        for store, folder in MIGRATIONS.items():
            copies = tmp_path / store
            copies.mkdir()
            for file in folder.glob("*.sql"):
                if file.name < "20261126160000":
                    (copies / file.name).write_bytes(file.read_bytes())
            earlier.setitem(MIGRATIONS, store, copies)
        await migrate(url, url, progress=silent)
    async with connection_to(url) as connection:
        session_id = await add_session(connection, context='{"large": "' + "x" * 9000 + '"}')
        table = {"store": "supabase", "table": "public.chat_sessions", "chat_session_id": str(session_id)}
        await connection.execute(
            """
            insert into state_surface.artifacts
            values ($1, 'acme', 'chat_session', 'ACTIVE', '{}', '{}', '{}', '[]', $2::jsonb, 0, now(), now())
            """,
            session_id,
            json.dumps([table]),
        )
        before = await connection.fetchval("select context::text from public.chat_sessions")
        if tool == "the Supabase CLI":
            assert (await asyncio.to_thread(supabase, url, "db", "push"))["migrations"]
        report = await migrate(url, url, progress=silent)
        assert (report.supabase == (), report.state_surface == ()) == (tool == "the Supabase CLI", False)
        row = await connection.fetchrow("select *, context::text as text from public.chat_sessions")
        kept = await connection.fetchval("select materializations::text from state_surface.artifacts")
        entry = await connection.fetchrow("select *, context::text as text from public.chat_context_updates")
    assert row
    assert (row["message_count"], row["turn_revision"], row["title"], row["text"]) == (0, 0, None, before)
    assert json.loads(kept) == [table, table | {"table": "public.chat_messages"}]
    assert entry
    assert (entry["revision"], entry["text"], entry["fold_changes"]) == (0, before, 0)


async def test_a_session_takes_its_ledger_with_it(database: Connection) -> None:
    session_id = await add_session(database)
    await database.execute("update public.chat_sessions set context = '{}'")
    await database.execute("delete from public.chat_sessions where chat_session_id = $1", session_id)
    assert await read_ledger(database, session_id) == []


# Changes by hand


async def test_a_context_changed_by_hand_raises_the_revision_and_enters_the_ledger(database: Connection) -> None:
    session_id = await add_session(database, revision=4)
    began = datetime.now(UTC)
    await database.execute("""update public.chat_sessions set context = '{"topic": "orders"}'""")

    row = await read_session(database, session_id)
    assert (row["revision"], row["context_hash"]) == (5, None)
    assert row["updated_at"] >= began
    (entry,) = await read_ledger(database, session_id)
    assert (entry["revision"], entry["author"], entry["active_agent"]) == (5, "manual", "guide")
    assert (entry["context_hash"], entry["applied_at"]) == (None, row["updated_at"])
    assert entry["idempotency_key"].startswith("manual/5/")
    assert len(entry["change_hash"]) == 64
    assert json.loads(entry["change"]) == {
        "context": {"topic": "orders"},
        "append": None,
        "active_agent": None,
        "merge_strategy": "replace",
    }


async def test_an_agent_changed_by_hand_leaves_the_context_and_its_hash(database: Connection) -> None:
    session_id = await add_session(database)
    await database.execute("update public.chat_sessions set active_agent = 'liaison_finance'")

    row = await read_session(database, session_id)
    assert (row["revision"], row["context_hash"]) == (1, "hash of the first context")
    (entry,) = await read_ledger(database, session_id)
    assert (entry["active_agent"], entry["context_hash"]) == ("liaison_finance", "hash of the first context")
    assert json.loads(entry["change"]) == {
        "context": None,
        "append": None,
        "active_agent": "liaison_finance",
        "merge_strategy": "merge",
    }


async def test_changes_by_hand_leave_no_gap_and_never_turn_back_the_clock(database: Connection) -> None:
    ahead = datetime.now(UTC) + timedelta(days=1)
    sessions = [await add_session(database, updated_at=ahead) for _ in range(2)]
    for number in range(3):
        await database.execute(
            "update public.chat_sessions set context = jsonb_build_object('n', $1::int), updated_at = now()", number
        )
    for session_id in sessions:
        entries = await read_ledger(database, session_id)
        assert [entry["revision"] for entry in entries] == [1, 2, 3]
        assert {entry["applied_at"] for entry in entries} == {ahead}
        assert (await read_session(database, session_id))["updated_at"] == ahead


@pytest.mark.parametrize(
    "assignment",
    [
        """context = '{"topic": "orders"}', revision = revision + 1""",
        "active_agent = 'liaison_finance', revision = revision + 1",
        "context = '{}', revision = revision + 7",
        "context_hash = 'hash that was missing'",
        "context = context, active_agent = active_agent",
    ],
)
async def test_what_the_journey_writes_itself_is_no_change_by_hand(database: Connection, assignment: str) -> None:
    session_id = await add_session(database)
    stamp = datetime(2026, 1, 27, 10, 6, tzinfo=UTC)
    await database.execute(f"update public.chat_sessions set {assignment}, updated_at = $1", stamp)
    assert (await read_session(database, session_id))["updated_at"] == stamp
    assert await read_ledger(database, session_id) == []
