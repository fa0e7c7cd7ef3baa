"""Rows that a journey cannot use: another tenant's artifact under its session's ID, and values outside the types."""

import asyncio
from collections.abc import Awaitable
from uuid import UUID

import pytest
from pydantic_core import to_json
from temporalio.client import ActivityFailureError, WorkflowExecutionStatus, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from journeys.errors import InvalidParameter
from tests.promises.changed_sessions import awake_or_asleep, create_changed_session
from tests.support.journeys import Journeys, note
from tests.support.polling import eventually
from tests.support.watching import (
    assert_stored,
    has_run,
    send_update,
    until_status,
    until_waiting,
)


async def edit(journeys: Journeys, session: str, assignments: str, *values: object) -> None:
    """Change a session's row by hand."""
    await journeys.supabase.execute(
        f"update public.chat_sessions set {assignments} where chat_session_id = $1", UUID(session), *values
    )


# Another tenant's artifact.


async def take_artifact(journeys: Journeys, session: str) -> None:
    """Give a session's ID in the State Surface to another tenant's artifact, of a later revision."""
    await journeys.state_surface.execute(
        """
        insert into state_surface.artifacts values (
          $1, 'another tenant', 'chat_session', 'ACTIVE', '{}', '{}', '{"mine": true}', '[]', '[]', 7, now(), now()
        )
        on conflict (artifact_id) do update
        set tenant_id = excluded.tenant_id, semantic_payload = excluded.semantic_payload, revision = excluded.revision
        """,
        UUID(session),
    )


async def free_artifact(journeys: Journeys, session: str) -> None:
    """Take the other tenant's artifact away again; nothing may have been written to it."""
    artifact = await journeys.artifact(session) or {}
    assert (artifact["tenant_id"], artifact["revision"]) == ("another tenant", 7)
    assert artifact["semantic_payload"] == {"mine": True}
    await journeys.state_surface.execute("delete from state_surface.artifacts where artifact_id = $1", UUID(session))


async def until_waiting_for_the_artifact(journeys: Journeys, session: str) -> None:
    waiting = await until_waiting(journeys, session, attempt=3)
    assert waiting.last_failure.application_failure_info.type == "DATABASE_UNAVAILABLE"
    assert "of another tenant" in waiting.last_failure.message
    assert session in waiting.last_failure.message


@awake_or_asleep
async def test_an_artifact_of_another_tenant_is_left_alone_and_nothing_acknowledged(
    journeys: Journeys, idle_seconds: int
) -> None:
    request = journeys.request()
    async with journeys.worker(idle_seconds=idle_seconds):
        session = await create_changed_session(journeys, request, asleep=not idle_seconds)
        await take_artifact(journeys, session)
        updating = asyncio.create_task(journeys.update(session, note(1)))
        if not idle_seconds:
            await until_status(journeys, session, WorkflowExecutionStatus.RUNNING)
        await until_waiting_for_the_artifact(journeys, session)
        assert not updating.done()
        await free_artifact(journeys, session)
        assert (await asyncio.wait_for(updating, 30))["applied_revision"] == 2
        await assert_stored(journeys, session, 2)


async def test_a_session_is_not_created_over_an_artifact_of_another_tenant(journeys: Journeys) -> None:
    request = journeys.request()
    session = journeys.identity(request)
    await take_artifact(journeys, session)
    async with journeys.worker():
        creating = asyncio.create_task(journeys.initialize(request))
        await eventually(lambda: has_run(journeys, session))
        await until_waiting_for_the_artifact(journeys, session)
        assert not creating.done()
        await free_artifact(journeys, session)
        assert (await asyncio.wait_for(creating, 30))["revision"] == 0
        await assert_stored(journeys, session, 0)


# Values outside the types. The trigger does not record an edit that raises the revision itself, and a live journey
# notices the new revision.

MISFITS = {
    "updated_at": "updated_at = 'infinity'",
    "created_at": "created_at = '-infinity'",
    "revision": "revision = 9007199254740992",
    "user_id": "user_id = repeat('u', 300), revision = revision + 1",
    "context": "context = ('{\"n\": 1e5000}')::jsonb, revision = revision + 1",
}


async def assert_told(call: Awaitable[object], column: str) -> None:
    """Check that a call is refused for good, with a text that names the column."""
    with pytest.raises((WorkflowUpdateFailedError, ActivityFailureError)) as refusal:
        await asyncio.wait_for(call, 30)
    cause = refusal.value.__cause__
    assert isinstance(cause, ApplicationError)
    assert cause.type == ("CONTEXT_TOO_LARGE" if column == "context" else "INVALID_PARAMETER")
    assert cause.non_retryable
    assert column in cause.message


@pytest.mark.parametrize("column", MISFITS)
async def test_a_reader_is_told_which_column_does_not_fit(journeys: Journeys, column: str) -> None:
    request = journeys.request()
    async with journeys.worker():
        session = await create_changed_session(journeys, request)
        await edit(journeys, session, MISFITS[column])
        await assert_told(journeys.read(chat_session_id=session), column)
        if column != "user_id":
            await assert_told(journeys.read(user_id=request["user_id"]), column)


@pytest.mark.parametrize(
    ("idle_seconds", "column"),
    [(0, column) for column in MISFITS] + [(3600, column) for column in ("revision", "user_id", "context")],
)
async def test_a_journey_refuses_changes_to_a_row_that_does_not_fit_until_it_is_corrected(
    journeys: Journeys, idle_seconds: int, column: str
) -> None:
    request = journeys.request()
    async with journeys.worker(idle_seconds=idle_seconds):
        session = await create_changed_session(journeys, request, asleep=not idle_seconds)
        before = await journeys.row(session) or {}
        await edit(journeys, session, MISFITS[column])
        await assert_told(journeys.update(session, note(1)), column)
        right = to_json(before[column]).decode() if column == "context" else before[column]
        await edit(journeys, session, f"{column} = $2", right)
        answer = await journeys.update(session, note(2))
        assert answer["context"] == {"by": "journey", "notes": [2]}
        assert answer["user_id"] == request["user_id"]


@pytest.mark.parametrize("column", ["applied_at = 'infinity'", "revision = 9007199254740992"])
async def test_a_ledger_entry_that_does_not_fit_is_told_by_its_column(journeys: Journeys, column: str) -> None:
    async with journeys.worker():
        session = await create_changed_session(journeys)
        await journeys.supabase.execute(
            f"update public.chat_context_updates set {column} where chat_session_id = $1 and revision = 1",
            UUID(session),
        )
        with pytest.raises(InvalidParameter, match=column.split(maxsplit=1)[0]):
            await journeys.sessions.history(session, tenant_id=journeys.tenant_id)


async def test_an_artifact_at_an_impossible_revision_is_waited_for(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await create_changed_session(journeys)
        await journeys.state_surface.execute(
            "update state_surface.artifacts set revision = 9007199254740992 where artifact_id = $1", UUID(session)
        )
        update = await send_update(journeys, session, note(1))
        waiting = await until_waiting(journeys, session)
        assert "column revision" in waiting.last_failure.message
        await journeys.state_surface.execute(
            "update state_surface.artifacts set revision = 1 where artifact_id = $1", UUID(session)
        )
        assert (await asyncio.wait_for(update.result(), 30))["applied_revision"] == 2
        await assert_stored(journeys, session, 2)
