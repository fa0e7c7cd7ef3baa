"""Rows that somebody else put into the stores or changed there: whose they are, and whether they can be read."""

import asyncio
from collections.abc import Awaitable
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from pydantic_core import to_json
from temporalio.client import ActivityFailureError, WorkflowExecutionStatus, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from journeys import ChatSessions
from journeys.chat_session.errors import SessionNotFound
from journeys.errors import InvalidParameter
from tests.support.journeys import Journeys, Json
from tests.support.polling import eventually
from tests.support.watching import (
    assert_stored,
    has_run,
    refusal_code,
    send_update,
    until_revision,
    until_status,
    until_waiting,
)

awake_or_asleep = pytest.mark.parametrize("idle_seconds", [3600, 0], ids=["awake", "asleep"])


async def edit(journeys: Journeys, session: str, assignments: str, *values: object) -> None:
    """Change a session's row by hand."""
    await journeys.supabase.execute(
        f"update public.chat_sessions set {assignments} where chat_session_id = $1", UUID(session), *values
    )


async def begun(journeys: Journeys, request: Json, *, asleep: bool) -> str:
    """A session at revision 1."""
    session: str = (await journeys.initialize(request))["chat_session_id"]
    await journeys.update(session, {"context": {"by": "journey"}})
    if asleep:
        await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)
    return session


# Whose session it is.


@awake_or_asleep
@pytest.mark.parametrize("first", ["the new owner", "the old owner", "an initialization by the old owner"])
async def test_a_session_whose_owner_was_changed_serves_the_new_one_from_then_on(
    journeys: Journeys, idle_seconds: int, first: str
) -> None:
    request = journeys.request()
    old, new = request["user_id"], f"new-{uuid4().hex}"
    async with journeys.worker(idle_seconds=idle_seconds):
        session = await begun(journeys, request, asleep=not idle_seconds)
        await edit(journeys, session, "user_id = $2", new)
        (manual,) = [entry for entry in await journeys.ledger(session) if entry["author"] == "manual"]
        assert (manual["revision"], manual["change"]) == (2, {"new_user_id": new})

        if first == "the old owner":
            assert await refusal_code(journeys.update(session, note(0, user_id=old))) == "SESSION_NOT_FOUND"
        elif first != "the new owner":
            assert await refusal_code(journeys.initialize(request)) == "SESSION_NOT_FOUND"
        answer = await journeys.update(session, note(1, user_id=new))
        assert (answer["user_id"], answer["applied_revision"]) == (new, 3)
        assert await refusal_code(journeys.update(session, note(2, user_id=old))) == "SESSION_NOT_FOUND"

        sessions = ChatSessions(journeys.client, task_queue=journeys.task_queue)
        seen = await sessions.get(session, tenant_id=journeys.tenant_id, user_id=new)
        assert (seen.user_id, seen.context) == (new, {"by": "journey", "notes": [1]})
        with pytest.raises(SessionNotFound):
            await sessions.get(session, tenant_id=journeys.tenant_id, user_id=old)
        await assert_stored(journeys, session, 3)
        if idle_seconds:
            shown = (await journeys.handle(session).describe()).typed_search_attributes
            assert [pair.value for pair in shown if pair.key.name == "UserId"] == [new]


async def test_a_signal_of_the_new_owner_finds_the_session_as_well(journeys: Journeys) -> None:
    request = journeys.request()
    async with journeys.worker():
        session = await begun(journeys, request, asleep=False)
        await edit(journeys, session, "user_id = 'other'")
        await journeys.signal(session, note(0, user_id=request["user_id"]))
        await journeys.signal(session, note(1, user_id="other"))
        row = await until_revision(journeys, session, 3)
        assert row["context"] == {"by": "journey", "notes": [1]}
        assert (await journeys.get(session))["refusals"]["count"] == 1


async def test_a_context_and_an_owner_changed_at_once_are_one_revision(journeys: Journeys) -> None:
    request = journeys.request()
    async with journeys.worker():
        session = await begun(journeys, request, asleep=False)
        await edit(journeys, session, "user_id = 'other', context = '{}'")
        answer = await journeys.update(session, note(1, user_id="other"))
        assert (answer["applied_revision"], answer["context"]) == (3, {"notes": [1]})
        ledger = await journeys.ledger(session)
        assert ledger[1]["change"] == {
            "context": {},
            "append": None,
            "active_agent": None,
            "merge_strategy": "replace",
            "new_user_id": "other",
        }


@pytest.mark.parametrize("revision", ["", ", revision = revision + 1"], ids=["alone", "with a revision"])
@pytest.mark.parametrize("assignment", ["tenant_id = 'other'", "chat_session_id = gen_random_uuid()"])
async def test_nobody_changes_a_sessions_tenant_or_id(journeys: Journeys, assignment: str, revision: str) -> None:
    request = journeys.request()
    async with journeys.worker():
        session = await begun(journeys, request, asleep=False)
        before = await journeys.snapshot(session)
        with pytest.raises(asyncpg.RestrictViolationError, match="cannot be changed"):
            await edit(journeys, session, assignment + revision)
        assert await journeys.snapshot(session) == before
        assert (await journeys.update(session, note(1)))["applied_revision"] == 2


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
        session = await begun(journeys, request, asleep=not idle_seconds)
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


# Whether a session can be read at all. The trigger does not record an edit that raises the revision itself, and a live
# journey notices the new revision.

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
        session = await begun(journeys, request, asleep=False)
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
        session = await begun(journeys, request, asleep=not idle_seconds)
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
        session = await begun(journeys, journeys.request(), asleep=False)
        await journeys.supabase.execute(
            f"update public.chat_context_updates set {column} where chat_session_id = $1 and revision = 1",
            UUID(session),
        )
        with pytest.raises(InvalidParameter, match=column.split(maxsplit=1)[0]):
            await journeys.sessions.history(session, tenant_id=journeys.tenant_id)


async def test_an_artifact_at_an_impossible_revision_is_waited_for(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await begun(journeys, journeys.request(), asleep=False)
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


def note(number: int, **more: Any) -> Json:
    return {"append": {"notes": [number]}} | more
