"""A session that is read goes on at another worker, whenever it was read."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial

import pytest
from temporalio.api.enums.v1 import EventType, QueryResultType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import PollWorkflowTaskQueueRequest, RespondQueryTaskCompletedRequest
from temporalio.client import WorkflowExecutionStatus, WorkflowQueryFailedError
from temporalio.service import RPCError

from journeys.chat_session.names import GET, workflow_id
from tests.support.journeys import Journeys
from tests.support.polling import eventually
from tests.support.replaying import replayer
from tests.support.watching import until_revision, until_status

_SESSIONS = 4
_CALLERS = 3
_CHANGES = 25
_UNATTENDED = 24


async def test_a_session_that_is_read_while_it_is_changed_can_be_replayed(journeys: Journeys) -> None:
    sessions = journeys.sessions_within(timedelta(seconds=60))
    answered = 0

    async def change(session: str, caller: int) -> None:
        for number in range(_CHANGES):
            for _ in range(2):  # the second is a duplicate: its local activity is done soon
                await sessions.update_context(
                    session,
                    tenant_id=journeys.tenant_id,
                    context={f"caller {caller}": number},
                    idempotency_key=f"{caller}/{number}",
                    returning="receipt",
                )

    async def ask(session: str) -> None:
        nonlocal answered
        handle = journeys.client.get_workflow_handle(workflow_id(session))
        while True:
            with suppress(RPCError):
                await handle.query(GET, {"tenant_id": journeys.tenant_id}, rpc_timeout=timedelta(seconds=2))
                answered += 1

    async def read(session: str) -> None:
        revision = 0
        while True:
            view = await sessions.get(session, tenant_id=journeys.tenant_id)
            assert view.revision >= revision
            revision = view.revision

    async with journeys.worker(rollover_messages=1000):
        created = [await journeys.initialize(journeys.request(user_id=f"user {number}")) for number in range(_SESSIONS)]
        ids = [session["chat_session_id"] for session in created]
        asking = [asyncio.create_task(each(session)) for session in ids for each in (ask, read)]
        try:
            await asyncio.gather(*(change(session, caller) for session in ids for caller in range(_CALLERS)))
        finally:
            for each in asking:
                each.cancel()
            ended = await asyncio.gather(*asking, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended
        histories = [await journeys.client.get_workflow_handle(workflow_id(session)).fetch_history() for session in ids]
    assert answered
    for history in histories:
        await replayer().replay_workflow(history)


async def test_a_session_that_is_read_before_it_is_told_of_its_idleness_goes_on(journeys: Journeys) -> None:
    ids = await _create_unattended_sessions(journeys, idle_seconds=3)

    async def read_and_change(session: str) -> None:
        assert (await journeys.get(session))["revision"] == 0
        await _change(journeys, session)

    async with asyncio.TaskGroup() as callers:
        for session in ids:
            callers.create_task(read_and_change(session))
        await _until_due(journeys, ids)
        async with journeys.worker(idle_seconds=1):
            for session in ids:
                await until_revision(journeys, session, 1)
                await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)
    await _replay(journeys, ids)


# A worker that forgets a run cancels the run's activities, which may just have ended.
@pytest.mark.filterwarnings("ignore:Cannot find activity to cancel")
async def test_a_session_that_is_read_while_its_task_is_in_other_hands_goes_on(journeys: Journeys) -> None:
    ids = await _create_unattended_sessions(journeys, idle_seconds=60)

    async def read_and_change(session: str) -> None:
        with suppress(WorkflowQueryFailedError):  # refused by the worker that dies
            await journeys.get(session)
        await _change(journeys, session)

    async with asyncio.TaskGroup() as callers:
        for session in ids:
            callers.create_task(read_and_change(session))
        for session in ids:
            await _change(journeys, session)
        await _until_due(journeys, ids)
        for _ in ids:
            await _take_one(journeys)
        async with journeys.worker():
            for session in ids:
                await until_revision(journeys, session, 2)
    await _replay(journeys, ids)


# A read and a workflow task of each session wait for a worker. The server chooses which of the two it hands out first,
# hence the many sessions.


async def _create_unattended_sessions(journeys: Journeys, *, idle_seconds: int) -> Sequence[str]:
    """Create sessions and leave them without a worker; returns those whose run is still open."""
    async with journeys.worker(idle_seconds=idle_seconds):
        ids = await asyncio.gather(*(journeys.create_session() for _ in range(_UNATTENDED)))
    described = await asyncio.gather(*(journeys.handle(session).describe() for session in ids))
    running = [
        session for session, run in zip(ids, described, strict=True) if run.status is WorkflowExecutionStatus.RUNNING
    ]
    assert running
    return running


async def _change(journeys: Journeys, session: str) -> None:
    await journeys.sessions.signal_context(session, tenant_id=journeys.tenant_id, append={"notes": [1]})


async def _until_due(journeys: Journeys, ids: Sequence[str]) -> None:
    async def newest_event(session: str) -> EventType.ValueType:
        return (await journeys.events(session))[-1].event_type

    for session in ids:
        await eventually(partial(newest_event, session), EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED.__eq__)


async def _take_one(journeys: Journeys) -> None:
    """Act as a worker that takes a workflow task and dies, or refuses a read."""
    service, namespace = journeys.client.workflow_service, journeys.client.namespace
    queue = TaskQueue(name=journeys.task_queue)
    taken = await service.poll_workflow_task_queue(
        PollWorkflowTaskQueueRequest(namespace=namespace, task_queue=queue), timeout=timedelta(seconds=30)
    )
    if taken.HasField("query"):
        refused = QueryResultType.QUERY_RESULT_TYPE_FAILED
        await service.respond_query_task_completed(
            RespondQueryTaskCompletedRequest(namespace=namespace, task_token=taken.task_token, completed_type=refused)
        )


async def _replay(journeys: Journeys, ids: Sequence[str]) -> None:
    for session in ids:
        runs = journeys.client.list_workflows(f"WorkflowId = '{workflow_id(session)}'")
        await replayer().replay_workflows(runs.map_histories())
