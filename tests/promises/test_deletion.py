"""A deleted session is gone for good: from both stores at once, and from Temporal soon after."""

import asyncio
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic_core import from_json
from temporalio import activity
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError

from activities.chat_session_erasure import ChatSessionErasureActivities
from journeys.chat_session.erasure import Erased
from journeys.chat_session.errors import SessionNotActive, SessionNotFound
from journeys.chat_session.names import (
    DELETE,
    ERASE,
    ERASURE_ID,
    ERASURE_WORKFLOW_ID_PREFIX,
    JOURNEY_ID,
    UPDATE,
    workflow_id,
)
from journeys.errors import InvalidParameter, JourneyError
from journeys.failures import from_failure
from tests.support.journeys import Journeys, Json, also_replayed
from tests.support.polling import eventually
from tests.support.watching import refusal_code, unless_unknown, until_admitted, until_refusals, until_status


async def say_much(journeys: Journeys, session: str) -> None:
    sessions, tenant = journeys.sessions, journeys.tenant_id
    await sessions.update_context(session, tenant_id=tenant, context={"topic": "rent"})
    await sessions.update_context(session, tenant_id=tenant, messages=[{"text": "Hello"}, {"id": "m", "text": "World"}])
    await sessions.update_session(session, tenant_id=tenant, title="Rent")


def deleted_revision(row: Json | None) -> int:
    assert row
    assert row["lifecycle_state"] == "DELETED"
    revision: int = row["revision"]
    return revision


async def until_over(journeys: Journeys, session: str) -> str | None:
    """Wait until the session's run has completed; returns its ID, None if the erasure has removed the run already."""
    return await unless_unknown(until_status(journeys, session, WorkflowExecutionStatus.COMPLETED))


async def rows_of(journeys: Journeys, session: str) -> dict[str, int]:
    tables = ("chat_context_updates", "chat_messages")
    return {
        table: await journeys.supabase.fetchval(
            f"select count(*) from public.{table} where chat_session_id = $1",
            UUID(session),
        )
        for table in tables
    }


@also_replayed
async def test_a_deletion_leaves_a_tombstone_in_both_stores(journeys: Journeys) -> None:
    async with journeys.worker():
        session = (await journeys.sessions.initialize(tenant_id=journeys.tenant_id, user_id="ada")).chat_session_id
        await say_much(journeys, session)
        deleted = await journeys.sessions.delete(session, tenant_id=journeys.tenant_id, user_id="ada", author="ada")
    row, artifact = await journeys.row(session), await journeys.artifact(session)
    assert row
    assert artifact
    assert deleted.chat_session_id == session
    assert (row["lifecycle_state"], row["revision"], row["context"]) == ("DELETED", 4, {})
    assert (row["title"], row["user_id"], row["refusals"], row["message_count"]) == (None, None, None, 0)
    assert row["updated_at"] == deleted.deleted_at
    assert await rows_of(journeys, session) == {"chat_context_updates": 0, "chat_messages": 0}
    assert (artifact["lifecycle_state"], artifact["revision"], artifact["semantic_payload"]) == ("DELETED", 4, {})
    assert from_json(artifact["semantic_descriptor"])["title"] is None


async def test_a_transcript_is_deleted_however_long_the_store_takes_for_it(
    journeys: Journeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stores.postgres._STATEMENT_SECONDS", 1.0)  # the limit of every other statement
    async with journeys.worker():
        session = await journeys.create_session()
        await say_much(journeys, session)
        await journeys.supabase.execute(
            """
            create function public.take_long() returns trigger language plpgsql
              as 'begin perform pg_sleep(2); return null; end';
            create trigger take_long before delete on public.chat_messages
              for each statement execute function public.take_long();
            """
        )
        try:
            await journeys.sessions.delete(session, tenant_id=journeys.tenant_id)
        finally:
            await journeys.supabase.execute("drop function public.take_long cascade")
    assert await rows_of(journeys, session) == {"chat_context_updates": 0, "chat_messages": 0}


async def test_whoever_still_writes_to_a_deleted_session_is_refused(journeys: Journeys) -> None:
    sessions, tenant = journeys.sessions, journeys.tenant_id
    async with journeys.worker():
        opening: dict[str, Any] = {"tenant_id": tenant, "user_id": "ada", "session_name": "mine"}
        session = (await sessions.initialize(**opening)).chat_session_id
        deleted = await sessions.delete(session, tenant_id=tenant)
        for refused in (
            sessions.get(session, tenant_id=tenant),
            sessions.get(session, tenant_id=tenant, user_id="ada"),
            sessions.history(session, tenant_id=tenant),
            sessions.messages(session, tenant_id=tenant),
            sessions.update_context(session, tenant_id=tenant, user_id="ada", context={"a": 1}),
            sessions.delete(session, tenant_id=tenant, user_id="ada"),
            sessions.delete(session, tenant_id="another"),
        ):
            with pytest.raises(SessionNotFound):
                await refused
        for inactive in (
            sessions.update_context(session, tenant_id=tenant, context={"a": 1}),
            sessions.update_session(session, tenant_id=tenant, lifecycle_state="ACTIVE"),
            sessions.initialize(**opening),
        ):
            with pytest.raises(SessionNotActive):
                await inactive
        await sessions.signal_context(session, tenant_id=tenant, context={"a": 1})
        assert await sessions.delete(session, tenant_id=tenant) == deleted
        assert not (await sessions.list(tenant_id=tenant)).sessions
        await until_over(journeys, session)
        row = await journeys.row(session)
    assert row
    assert (row["lifecycle_state"], row["revision"], row["context"]) == ("DELETED", 1, {})


async def test_a_deletion_is_answered_again_under_its_update_id_and_under_no_other(journeys: Journeys) -> None:
    """A user whose answer was lost gets it from a later run; another call of the same user learns nothing."""
    async with journeys.worker():
        request = journeys.request()
        session = (await journeys.initialize(request))["chat_session_id"]
        user, update_id = {"user_id": request["user_id"]}, f"{DELETE}/{uuid4()}"
        first = await journeys.delete(session, update_id=update_id, **user)
        await until_over(journeys, session)
        # Temporal itself answers a repetition from the last run, so the test puts another run in between.
        assert await refusal_code(journeys.delete(session, **user)) == "SESSION_NOT_FOUND"
        run_id = await until_over(journeys, session)
        assert await journeys.delete(session, update_id=update_id, **user) == first
        # If the erasure was faster, the run in between cannot have answered.
        assert run_id is None or await until_over(journeys, session) != run_id


async def test_a_deletion_forgets_the_refusals_as_well(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        await journeys.signal(session, {"active_agent": "boss"})
        await journeys.handle(session).signal(UPDATE, [])
        await until_refusals(journeys, session, 2)
        await eventually(lambda: journeys.read(chat_session_id=session), lambda found: found["refusals"]["count"] == 2)
        await journeys.delete(session)
        row = await journeys.row(session)
        assert deleted_revision(row) == 1
        assert row
        assert row["refusals"] is None
        await until_over(journeys, session)


async def test_a_stranger_deletes_nothing(journeys: Journeys) -> None:
    async with journeys.worker():
        session = (await journeys.sessions.initialize(tenant_id=journeys.tenant_id, user_id="ada")).chat_session_id
        for whose in ({"tenant_id": "another"}, {"tenant_id": journeys.tenant_id, "user_id": "bob"}):
            with pytest.raises(SessionNotFound):
                await journeys.sessions.delete(session, **whose)
        assert (await journeys.get(session))["lifecycle_state"] == "ACTIVE"


@also_replayed
async def test_a_deletion_that_the_store_refuses_is_refused_alone(journeys: Journeys) -> None:
    """The tombstone cannot hold its update ID. The other messages of its batch are applied, and the run goes on."""
    async with journeys.worker(idle_seconds=0):
        session = await journeys.create_session()
        await until_over(journeys, session)
    await journeys.signal(session, {"append": {"notes": [1]}})
    deleting = asyncio.create_task(journeys.delete(session, update_id="a\0b"))
    updating = asyncio.create_task(journeys.update(session, {"append": {"notes": [2]}}, id="changed"))
    for update_id in ("a\0b", "changed"):  # so that they come as one batch
        await until_admitted(journeys, session, update_id)
    async with journeys.worker():
        assert await refusal_code(deleting) == "INVALID_PARAMETER"
        assert (await updating)["context"] == {"notes": [1, 2]}
        live = await journeys.get(session)
        assert (live["revision"], live["refusals"]["count"]) == (2, 0)
        assert (await journeys.row(session) or {})["lifecycle_state"] == "ACTIVE"
        await journeys.delete(session)
        await until_over(journeys, session)


async def test_messages_around_a_deletion_are_all_answered(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()

        async def change(number: int) -> int | JourneyError:
            try:
                answer = await journeys.sessions.update_context(
                    session, tenant_id=journeys.tenant_id, append={"notes": [number]}
                )
            except (SessionNotActive, SessionNotFound) as refused:
                return refused
            return answer.applied_revision

        before = [asyncio.create_task(change(number)) for number in range(4)]
        deleting = asyncio.create_task(journeys.sessions.delete(session, tenant_id=journeys.tenant_id))
        after = [asyncio.create_task(change(number)) for number in range(4, 8)]
        answers = await asyncio.gather(*before, *after)
        deleted = await deleting
        assert len([each for each in answers if isinstance(each, int)]) < deleted_revision(await journeys.row(session))
        assert (await journeys.sessions.delete(session, tenant_id=journeys.tenant_id)).deleted_at == deleted.deleted_at
        await until_over(journeys, session)
    assert await rows_of(journeys, session) == {"chat_context_updates": 0, "chat_messages": 0}


async def test_an_erasure_leaves_a_session_that_lives_alone(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session(context={"a": 1})
        erased = await journeys.client.execute_workflow(
            ERASURE_ID, id=ERASURE_WORKFLOW_ID_PREFIX + session, task_queue=journeys.task_queue
        )
        assert set(erased.values()) <= {0}
        assert (await journeys.get(session))["context"] == {"a": 1}
        with pytest.raises(WorkflowFailureError) as refused:
            await journeys.client.execute_workflow(ERASURE_ID, id=f"erasure-{uuid4()}", task_queue=journeys.task_queue)
        assert isinstance(from_failure(refused.value), InvalidParameter)


async def test_a_deletion_whose_artifact_was_not_written_is_made_up_for(journeys: Journeys) -> None:
    """As if the worker had died between the stores."""
    async with journeys.worker():
        session = await journeys.create_session()
        await journeys.sessions.delete(session, tenant_id=journeys.tenant_id)
        await until_over(journeys, session)
        await journeys.state_surface.execute(
            """update state_surface.artifacts
               set revision = 0, lifecycle_state = 'ACTIVE', semantic_payload = '{"a": 1}' where artifact_id = $1""",
            UUID(session),
        )
        with suppress(SessionNotActive):
            await journeys.sessions.update_context(session, tenant_id=journeys.tenant_id, context={"a": 1})

        async def payload() -> Json | None:
            artifact = await journeys.artifact(session)
            return artifact and artifact["semantic_payload"]

        assert await eventually(payload, {}.__eq__) == {}


async def test_an_artifact_that_is_ahead_of_a_tombstone_is_emptied_above_it(journeys: Journeys) -> None:
    """As after a restore of Supabase: the backup holds the deletion, and the State Surface a later revision."""
    async with journeys.worker():
        session = await journeys.create_session()
        await journeys.delete(session)
        await until_over(journeys, session)
        await journeys.state_surface.execute(
            """update state_surface.artifacts
               set revision = 7, lifecycle_state = 'ACTIVE', semantic_payload = '{"a": 1}' where artifact_id = $1""",
            UUID(session),
        )
        assert await refusal_code(journeys.update(session, {"context": {"a": 1}})) == "SESSION_NOT_ACTIVE"
        assert deleted_revision(await journeys.row(session)) == 8
        artifact = await journeys.artifact(session)
        assert artifact
        assert (artifact["lifecycle_state"], artifact["revision"], artifact["semantic_payload"]) == ("DELETED", 8, {})
        assert await rows_of(journeys, session) == {"chat_context_updates": 0, "chat_messages": 0}


async def test_a_plain_start_meets_a_deleted_session_and_ends(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        await journeys.sessions.delete(session, tenant_id=journeys.tenant_id)
        await until_over(journeys, session)
        started = await journeys.client.start_workflow(
            JOURNEY_ID,
            {"chat_session_id": session, "tenant_id": journeys.tenant_id},
            id=workflow_id(session),
            task_queue=journeys.task_queue,
        )
        assert await asyncio.wait_for(started.result(), 30) is None


async def test_an_erasure_that_is_about_to_end_removes_a_run_that_begins_meanwhile(
    journeys: Journeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run starts no erasure, since one is running; but that one has already looked for runs for the last time."""
    erase = ChatSessionErasureActivities.erase_chat_session
    has_looked, may_end = asyncio.Event(), asyncio.Event()

    async def erase_slowly(self: ChatSessionErasureActivities) -> Erased:
        erased = await erase(self)
        has_looked.set()
        await may_end.wait()
        return erased

    slow = activity.defn(name=ERASE)(erase_slowly)
    monkeypatch.setattr(ChatSessionErasureActivities, "erase_chat_session", slow)
    async with journeys.worker():
        session = await journeys.create_session()
        await journeys.sessions.delete(session, tenant_id=journeys.tenant_id)
        await asyncio.wait_for(has_looked.wait(), 120)
        with pytest.raises(SessionNotActive):
            await journeys.sessions.update_context(session, tenant_id=journeys.tenant_id, context={"a": 1})
        await until_over(journeys, session)
        may_end.set()

        async def runs() -> int:
            return (await journeys.client.count_workflows(f"WorkflowId = '{workflow_id(session)}'")).count

        assert await eventually(runs, (0).__eq__) == 0
