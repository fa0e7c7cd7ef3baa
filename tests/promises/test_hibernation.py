"""An idle session costs nothing: its journey completes, and the next message resumes it."""

import pytest
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from journeys.chat_session.errors import SessionNotFound
from journeys.chat_session.names import workflow_id
from tests.support.journeys import PRODUCTION, REPLAYED, Journeys, also_replayed
from tests.support.mixed_load import apply_mixed_load
from tests.support.watching import assert_stored, unexpected_failed_tasks, until_revision, until_status


async def test_an_idle_journey_completes_and_its_session_stays(journeys: Journeys) -> None:
    async with journeys.worker(idle_seconds=0):
        artifact = await journeys.initialize(journeys.request(context={"topic": "taxes"}))
        session = artifact["chat_session_id"]
        await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)
        row = await assert_stored(journeys, session, 0)
        assert (row["lifecycle_state"], row["context"]) == ("ACTIVE", {"topic": "taxes"})
        assert await journeys.read(chat_session_id=session) == artifact | {"refusals": {"count": 0, "last": []}}


@also_replayed
async def test_an_update_resumes_it_where_it_was(journeys: Journeys) -> None:
    async with journeys.worker(idle_seconds=0):
        session = await journeys.create_session()
        for revision in range(1, 4):
            before = await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)
            answer = await journeys.update(session, {"append": {"notes": [revision]}})
            assert (answer["applied_revision"], answer["context"]) == (
                revision,
                {"notes": list(range(1, revision + 1))},
            )
            assert (await journeys.handle(session).describe()).run_id != before
        await assert_stored(journeys, session, 3)


@also_replayed
async def test_a_signal_resumes_it_where_it_was(journeys: Journeys) -> None:
    async with journeys.worker(idle_seconds=0):
        session = await journeys.create_session()
        for revision in range(1, 4):
            before = await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)
            await journeys.signal(session, {"append": {"notes": [revision]}})
            row = await until_revision(journeys, session, revision)
            assert row["context"] == {"notes": list(range(1, revision + 1))}
            assert (await journeys.handle(session).describe()).run_id != before
        await assert_stored(journeys, session, 3)


async def test_initializing_again_resumes_the_session_as_it_is(journeys: Journeys) -> None:
    request = journeys.request(context={"topic": "taxes"})
    async with journeys.worker(idle_seconds=0):
        session = (await journeys.initialize(request))["chat_session_id"]
        changed = await journeys.update(session, {"active_agent": "liaison_finance"})
        await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)
        again = await journeys.initialize(request | {"context": {"another": True}, "active_agent": "guide"})
        assert again == {name: changed[name] for name in again}
        await assert_stored(journeys, session, 1)


@pytest.mark.parametrize(("rollover", "mode"), [(500, PRODUCTION), (1, REPLAYED)], ids=str)
async def test_messages_to_a_journey_that_keeps_falling_asleep_are_applied_once_and_answered(
    journeys: Journeys, rollover: int
) -> None:
    async with journeys.worker(idle_seconds=0, rollover_messages=rollover):
        session = await journeys.create_session()
        first = (await journeys.handle(session).describe()).run_id
        await apply_mixed_load(journeys, session, callers=4, signals=15)
        assert (await journeys.handle(session).describe()).run_id != first
        assert not unexpected_failed_tasks(await journeys.events(session))


async def test_one_key_is_one_change_however_often_the_journey_slept_between(journeys: Journeys) -> None:
    async with journeys.worker(idle_seconds=0):
        session = await journeys.create_session()
        for attempt in range(3):
            await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)
            answer = await journeys.update(session, {"append": {"notes": [1]}, "idempotency_key": "k"})
            assert (answer["applied_revision"], answer["duplicate"]) == (1, attempt > 0)
        await assert_stored(journeys, session, 1)


async def test_a_made_up_id_leaves_no_run_behind(journeys: Journeys) -> None:
    nobody = journeys.identity(journeys.request())
    async with journeys.worker():
        with pytest.raises(SessionNotFound):
            await journeys.sessions.update_context(nobody, tenant_id=journeys.tenant_id, context={"a": 1})
        with pytest.raises(SessionNotFound):
            await journeys.sessions.signal_context(nobody, tenant_id=journeys.tenant_id, context={"a": 1})
        with pytest.raises(RPCError) as missing:
            await journeys.client.get_workflow_handle(workflow_id(nobody)).describe()
        assert missing.value.status is RPCStatusCode.NOT_FOUND


@pytest.mark.parametrize(("tenant_id", "user_id"), [("another", None), (None, "another")])
async def test_a_stranger_does_not_wake_a_sleeping_session(
    journeys: Journeys, tenant_id: str | None, user_id: str | None
) -> None:
    tenant_id = tenant_id or journeys.tenant_id
    async with journeys.worker(idle_seconds=0):
        session = await journeys.create_session()
        slept = await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)
        with pytest.raises(SessionNotFound):
            await journeys.sessions.update_context(session, tenant_id=tenant_id, user_id=user_id, context={"a": 1})
        with pytest.raises(SessionNotFound):
            await journeys.sessions.signal_context(session, tenant_id=tenant_id, user_id=user_id, context={"a": 1})
        assert (await journeys.handle(session).describe()).run_id == slept
