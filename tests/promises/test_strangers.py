"""Strangers who know or guess a session's ID harm nobody and learn nothing."""

import asyncio
from typing import Any

import pytest
from temporalio.client import WorkflowQueryFailedError

from journeys.chat_session.errors import SessionNotFound
from journeys.chat_session.limits import MAX_BATCH_MESSAGES
from journeys.chat_session.names import GET, INITIALIZE, JOURNEY_ID, UPDATE, workflow_id
from tests.support.journeys import Journeys, Json, also_replayed
from tests.support.watching import (
    assert_stored,
    failure_code,
    refusal_code,
    unexpected_failed_tasks,
    until_admitted,
    until_revision,
)

STRANGER = "stranger-tenant"


def claim(session: str) -> Json:
    return {"chat_session_id": session, "tenant_id": STRANGER, "user_id": "stranger"}


async def update_as_stranger(journeys: Journeys, session: str, **options: Any) -> object:
    """Send an update with a start of the stranger's own."""
    return await journeys.client.execute_update_with_start_workflow(
        UPDATE,
        {"tenant_id": STRANGER, "context": {"stolen": True}},
        start_workflow_operation=journeys.start(claim(session)),
        **options,
    )


async def start_run(journeys: Journeys, session: str, arguments: list[Any]) -> None:
    """Start a session's journey with these arguments, in which `?` stands for the session's ID."""
    arguments = [
        each | {"chat_session_id": session} if isinstance(each, dict) and each["chat_session_id"] == "?" else each
        for each in arguments
    ]
    await journeys.client.start_workflow(
        JOURNEY_ID, args=arguments, id=workflow_id(session), task_queue=journeys.task_queue
    )


async def read_listing(journeys: Journeys, session: str) -> Json:
    """The search attributes and memo of the newest run, which a list shows to everybody."""
    described = await journeys.handle(session).describe()
    return {**described.search_attributes, **await described.memo()}


@also_replayed
async def test_a_stranger_who_resumes_a_session_learns_nothing(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session(context={"secret": 1})
        nobody = journeys.identity(journeys.request())
        answers = {await refusal_code(update_as_stranger(journeys, each)) for each in (session, nobody)}
        assert answers == {"SESSION_NOT_FOUND"}
        with pytest.raises(WorkflowQueryFailedError, match=r"^SESSION_NOT_FOUND"):
            await journeys.handle(session).query(GET, {"tenant_id": STRANGER})
        with pytest.raises(WorkflowQueryFailedError, match=r"^SESSION_NOT_FOUND"):
            await journeys.get(session, user_id="stranger")
        for each in (session, nobody):
            with pytest.raises(SessionNotFound):
                await journeys.sessions.update_context(each, tenant_id=STRANGER, context={"a": 1})
            with pytest.raises(SessionNotFound):
                await journeys.sessions.get(each, tenant_id=STRANGER)
        await assert_stored(journeys, session, 0)
        assert await failure_code(journeys, nobody) == "SESSION_NOT_FOUND"


@also_replayed
async def test_a_made_up_id_shows_nothing_that_was_claimed(journeys: Journeys) -> None:
    nobody = journeys.identity(journeys.request())
    async with journeys.worker():
        assert await refusal_code(update_as_stranger(journeys, nobody)) == "SESSION_NOT_FOUND"
        assert await failure_code(journeys, nobody) == "SESSION_NOT_FOUND"
        assert not (await read_listing(journeys, nobody)).keys() & {"TenantId", "UserId", "ActiveAgent"}
        last = (await journeys.events(nobody))[-1].workflow_execution_failed_event_attributes.failure
        assert STRANGER not in str(last)
        assert await journeys.row(nobody) is None
        assert await journeys.artifact(nobody) is None


BAD_ARGUMENTS: dict[str, list[Any]] = {
    "none": [],
    "no object": ["surprise"],
    "unknown field": [{"chat_session_id": "?", "tenant_id": STRANGER, "surprise": 1}],
    "another session": [{"chat_session_id": "00000000-0000-0000-0000-000000000000", "tenant_id": STRANGER}],
    "another's initialization": [
        {
            "chat_session_id": "?",
            "tenant_id": STRANGER,
            "user_id": "stranger",
            "initialize": {"requested_at": "2026-01-27T10:05:00Z"},
        }
    ],
}


@also_replayed
@pytest.mark.parametrize("arguments", [None, *BAD_ARGUMENTS.values()], ids=["resume", *BAD_ARGUMENTS])
async def test_the_owner_creates_the_session_in_a_run_that_a_stranger_began(
    journeys: Journeys, arguments: list[Any] | None
) -> None:
    request = journeys.request(context={"topic": "taxes"})
    session = journeys.identity(request)
    # No worker runs, so all messages come to the stranger's one run, a stranger's message first.
    await start_run(journeys, session, [claim(session)] if arguments is None else arguments)
    handle = journeys.handle(session)
    await handle.signal(UPDATE, {"tenant_id": STRANGER, "context": {"stolen": True}})
    await handle.signal(UPDATE, {"tenant_id": journeys.tenant_id, "append": {"notes": [1]}})
    initializing = asyncio.create_task(journeys.initialize(request, id="ours"))
    await until_admitted(journeys, session, "ours")
    await handle.signal(UPDATE, {"tenant_id": journeys.tenant_id, "append": {"notes": [2]}})
    async with journeys.worker():
        artifact = await asyncio.wait_for(initializing, 30)
        assert (artifact["tenant_id"], artifact["user_id"]) == (journeys.tenant_id, request["user_id"])
        row = await until_revision(journeys, session, 2)
        assert row["context"] == {"topic": "taxes", "notes": [1, 2]}
        answer = await journeys.update(session, {"append": {"notes": [3]}})
        assert answer["applied_revision"] == 3
        await assert_stored(journeys, session, 3)
        described = await read_listing(journeys, session)
        assert described["TenantId"] == [journeys.tenant_id]
        assert described["UserId"] == [request["user_id"]]
        assert await refusal_code(update_as_stranger(journeys, session)) == "SESSION_NOT_FOUND"


@also_replayed
async def test_a_stranger_before_an_initialization_is_not_found_and_the_owner_is_served(journeys: Journeys) -> None:
    request = journeys.request()
    session = journeys.identity(request)
    await start_run(journeys, session, [claim(session)])
    theirs = asyncio.create_task(update_as_stranger(journeys, session, id="theirs"))
    await until_admitted(journeys, session, "theirs")
    ours = asyncio.create_task(journeys.initialize(request, id="ours"))
    await until_admitted(journeys, session, "ours")
    async with journeys.worker():
        assert (await asyncio.wait_for(ours, 30))["chat_session_id"] == session
        assert await refusal_code(theirs) == "SESSION_NOT_FOUND"
        await assert_stored(journeys, session, 0)


async def test_the_owner_creates_the_session_behind_more_foreign_messages_than_a_batch_has(journeys: Journeys) -> None:
    request = journeys.request(context={"a": 1})
    session = journeys.identity(request)
    for _ in range(MAX_BATCH_MESSAGES + 1):
        await journeys.signal(session, {"tenant_id": STRANGER, "context": {"stolen": True}})
    creating = asyncio.create_task(journeys.initialize(request, id="creating"))
    misshapen = asyncio.create_task(refusal_code(journeys.update(session, {"surprise": True}, id="misshapen")))
    for update_id in ("creating", "misshapen"):
        await until_admitted(journeys, session, update_id)
    async with journeys.worker():
        assert (await creating)["context"] == {"a": 1}
        assert await misshapen == "INVALID_PARAMETER"
        await assert_stored(journeys, session, 0)


@also_replayed
@pytest.mark.parametrize("arguments", BAD_ARGUMENTS.values(), ids=list(BAD_ARGUMENTS))
async def test_a_bad_argument_does_not_harm_the_messages_of_the_same_run(
    journeys: Journeys, arguments: list[Any]
) -> None:
    async with journeys.worker(idle_seconds=0):
        session = await journeys.create_session()
        await journeys.handle(session).result()
    await start_run(journeys, session, arguments)
    handle = journeys.handle(session)
    await handle.signal(UPDATE, {"tenant_id": journeys.tenant_id, "append": {"notes": [1]}})
    async with journeys.worker():
        update = await journeys.update(session, {"append": {"notes": [2]}})
        assert (update["applied_revision"], update["context"]) == (2, {"notes": [1, 2]})
        await assert_stored(journeys, session, 2)
        events = await journeys.events(session)
        assert not unexpected_failed_tasks(events)


@also_replayed
async def test_an_initialization_of_somebody_else_is_refused(journeys: Journeys) -> None:
    request = journeys.request()
    session = journeys.identity(request)
    async with journeys.worker():
        await journeys.initialize(request)
        theirs = request | {"tenant_id": STRANGER, "user_id": "stranger"}
        update = journeys.client.execute_update_with_start_workflow(
            INITIALIZE, theirs, start_workflow_operation=journeys.start(claim(session))
        )
        assert await refusal_code(update) == "INVALID_PARAMETER"
        row = await assert_stored(journeys, session, 0)
        assert row["tenant_id"] == journeys.tenant_id


@also_replayed
async def test_a_user_of_the_same_tenant_is_a_stranger_too(journeys: Journeys) -> None:
    async with journeys.worker():
        session = await journeys.create_session()
        update = journeys.update(session, {"user_id": "another", "context": {"stolen": True}, "idempotency_key": "k"})
        assert await refusal_code(update) == "SESSION_NOT_FOUND"
        answer = await journeys.update(session, {"context": {"ours": True}, "idempotency_key": "k"})
        assert (answer["applied_revision"], answer["duplicate"]) == (1, False)
        await assert_stored(journeys, session, 1)
