"""The trigger on a session's row makes a revision of a change by hand, whether a journey runs or not."""

import json
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import pytest

from embedded import EmbeddedPostgres
from tests.support.databases import Connection, add_session, connection_to, create_migrated_database


@pytest.fixture
async def database(postgres: EmbeddedPostgres) -> AsyncIterator[Connection]:
    """A migrated database with one session."""
    async with connection_to(await create_migrated_database(postgres, "by_hand")) as connection:
        await add_session(connection, context_hash="hash", revision=4)
        yield connection


async def ledger(database: Connection) -> list[tuple[int, str, object, str]]:
    rows = await database.fetch(
        "select revision, author, change, context_hash from public.chat_context_updates order by revision"
    )
    return [(row["revision"], row["author"], json.loads(row["change"]), row["context_hash"]) for row in rows]


async def test_an_owner_changed_by_hand_raises_the_revision_and_enters_the_ledger(database: Connection) -> None:
    await database.execute("update public.chat_sessions set user_id = 'bob'")
    assert await ledger(database) == [(5, "manual", {"new_user_id": "bob"}, "hash")]
    assert await database.fetchval("select revision from public.chat_sessions") == 5


async def test_a_lifecycle_state_changed_by_hand_raises_the_revision_and_enters_the_ledger(
    database: Connection,
) -> None:
    await database.execute("alter table public.chat_sessions drop constraint chat_sessions_lifecycle_state_check")
    await database.execute("update public.chat_sessions set lifecycle_state = 'ARCHIVED'")
    assert await ledger(database) == [(5, "manual", {"lifecycle_state": "ARCHIVED"}, "hash")]


@pytest.mark.parametrize("column", ["tenant_id", "chat_session_id"])
async def test_a_tenant_or_an_id_is_not_changed_even_with_a_revision(database: Connection, column: str) -> None:
    value: str | UUID = uuid4() if column == "chat_session_id" else "globex"
    with pytest.raises(asyncpg.RestrictViolationError):
        await database.execute(f"update public.chat_sessions set {column} = $1, revision = revision + 1", value)
    assert await ledger(database) == []


@pytest.mark.parametrize("assignment", ["user_id = user_id", "tenant_id = tenant_id", "lifecycle_state = 'ACTIVE'"])
async def test_a_hand_that_changes_nothing_leaves_no_trace(database: Connection, assignment: str) -> None:
    await database.execute(f"update public.chat_sessions set {assignment}")
    assert await ledger(database) == []
