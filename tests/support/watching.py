"""Waits and checks of the journey's tests, without ever guessing how long something takes."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar
from uuid import UUID

import pytest
from pydantic_core import from_json
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.update.v1 import UpdateRef, WaitPolicy
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import PollWorkflowExecutionUpdateRequest
from temporalio.client import (
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowUpdateFailedError,
    WorkflowUpdateHandle,
    WorkflowUpdateStage,
)
from temporalio.service import RPCError, RPCStatusCode

from journeys.chat_session.names import INITIALIZE, UPDATE, workflow_id
from tests.support.journeys import Journeys, Json, code_and_field, code_of, failed_tasks
from tests.support.polling import eventually

Found = TypeVar("Found")


async def until_admitted(journeys: Journeys, session: str, update_id: str) -> None:
    """Wait until the server has admitted an update to the session's open run, which needs no worker."""
    execution = WorkflowExecution(workflow_id=workflow_id(session))
    request = PollWorkflowExecutionUpdateRequest(
        namespace=journeys.client.namespace,
        update_ref=UpdateRef(workflow_execution=execution, update_id=update_id),
        wait_policy=WaitPolicy(),
    )

    async def is_admitted() -> bool:
        try:
            await journeys.client.workflow_service.poll_workflow_execution_update(request)
        except RPCError as failure:
            # If the server has just unloaded the run, it cancels the poll.
            if failure.status not in (RPCStatusCode.NOT_FOUND, RPCStatusCode.CANCELLED):
                raise
            return False
        return True

    await eventually(is_admitted)


async def until_revision(journeys: Journeys, session: str, revision: int) -> Json:
    """The session's row, once Supabase and the State Surface are at a revision."""

    async def read_both() -> tuple[Json | None, Json | None]:
        return await journeys.row(session), await journeys.artifact(session)

    row, _ = await eventually(
        read_both, lambda found: all(each is not None and each["revision"] >= revision for each in found)
    )
    assert row is not None
    return row


async def until_status(journeys: Journeys, session: str, status: WorkflowExecutionStatus) -> str:
    """The newest run's ID, once it has a status."""

    async def describe() -> tuple[WorkflowExecutionStatus | None, str | None]:
        found = await journeys.handle(session).describe()
        return found.status, found.run_id

    _, run_id = await eventually(describe, lambda found: found[0] is status)
    assert run_id is not None
    return run_id


async def until_refusals(journeys: Journeys, session: str, count: int) -> Json:
    """The refusals of signals that the journey shows, once they are this many."""

    async def refusals() -> Json:
        shown: Json = (await journeys.get(session))["refusals"]
        return shown

    return await eventually(refusals, lambda found: found["count"] == count)


async def until_waiting(journeys: Journeys, session: str, *, attempt: int = 2) -> PendingActivityInfo:
    """The activity that the journey waits for, once the server has reached this attempt of it."""

    async def read_pending() -> Sequence[PendingActivityInfo]:
        return (await journeys.handle(session).describe()).raw_description.pending_activities

    (waiting,) = await eventually(read_pending, lambda found: found and found[0].attempt >= attempt)
    return waiting


async def send_initialize(journeys: Journeys, request: Json) -> WorkflowUpdateHandle[Any]:
    """Send an initialize update and wait no longer than until it is accepted."""
    return await journeys.client.start_update_with_start_workflow(
        INITIALIZE,
        request,
        start_workflow_operation=journeys.start(journeys.argument(request)),
        wait_for_stage=WorkflowUpdateStage.ACCEPTED,
    )


async def send_update(journeys: Journeys, session: str, request: Json) -> WorkflowUpdateHandle[Any]:
    """Send an update to the live journey and wait no longer than until it is accepted."""
    return await journeys.handle(session).start_update(
        UPDATE, {"tenant_id": journeys.tenant_id} | request, wait_for_stage=WorkflowUpdateStage.ACCEPTED
    )


async def refusal(call: Awaitable[object]) -> tuple[str | None, str]:
    """The contract's code that an update is refused with, and the field that the refusal names."""
    try:
        answer = await asyncio.wait_for(call, 60)
    except WorkflowUpdateFailedError as error:
        return code_and_field(error)
    return f"answered {answer}"[:200], ""


async def refusal_code(call: Awaitable[object]) -> str | None:
    """The contract's code that an update is refused with."""
    code, _ = await refusal(call)
    return code


async def unless_unknown(call: Awaitable[Found]) -> Found | None:
    """What a call finds; None if Temporal does not know what it asks for."""
    try:
        return await call
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return None


async def has_run(journeys: Journeys, chat_session_id: str) -> bool:
    """Whether Temporal knows any run of a session."""
    return await unless_unknown(journeys.handle(chat_session_id).describe()) is not None


async def failure_code(journeys: Journeys, session: str) -> str | None:
    """The contract's code that the newest run fails with."""
    with pytest.raises(WorkflowFailureError) as failure:
        await asyncio.wait_for(journeys.handle(session).result(), 60)
    return code_of(failure.value)


async def runs(journeys: Journeys, session: str) -> list[list[HistoryEvent]]:
    """The histories of the newest run and all those that it continues, oldest first."""
    newest = await journeys.events(session)
    run_id = newest[0].workflow_execution_started_event_attributes.first_execution_run_id
    found = []
    while run_id:
        handle = journeys.client.get_workflow_handle(workflow_id(session), run_id=run_id)
        found.append([event async for event in handle.fetch_history_events()])
        run_id = found[-1][-1].workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    return found


async def until_runs(journeys: Journeys, session: str, at_least: int) -> list[list[HistoryEvent]]:
    """What `runs` finds, once it is this many: a run continues as new a moment after the stores hold its last batch."""

    async def number() -> int:
        return len(await runs(journeys, session))

    await eventually(number, lambda found: found >= at_least)
    return await runs(journeys, session)


# Failures by the server itself: a message came while a run was about to close, or more than the server buffers during
# one workflow task.
_CAUSES_OF_THE_SERVER = (
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND,
)


def unexpected_failed_tasks(events: Sequence[HistoryEvent]) -> list[HistoryEvent]:
    """Workflow tasks that failed, but for those that the server ended to hand over more messages."""
    return [
        event
        for event in failed_tasks(events)
        if event.workflow_task_failed_event_attributes.cause not in _CAUSES_OF_THE_SERVER
    ]


async def assert_no_failed_task(journeys: Journeys, session: str) -> None:
    """No workflow task of the session's newest run, or of those that it continues, has failed unexpectedly."""
    for events in await runs(journeys, session):
        assert unexpected_failed_tasks(events) == []


def count(events: Sequence[HistoryEvent], *kinds: "EventType.ValueType") -> int:
    """How many events are of these kinds."""
    return sum(event.event_type in kinds for event in events)


async def assert_stored(journeys: Journeys, session: str, revision: int) -> Json:
    """Check that both stores hold a session at a revision, and that its ledger has no gap; returns its row."""
    row, artifact = await journeys.row(session), await journeys.artifact(session)
    ledger = await journeys.ledger(session)
    assert row is not None
    assert artifact is not None
    assert row["revision"] == artifact["revision"] == revision
    assert artifact["semantic_payload"] == {"active_agent": row["active_agent"], "context": row["context"]}
    descriptor = from_json(artifact["semantic_descriptor"])
    assert (descriptor["title"], descriptor["message_count"]) == (row["title"], row["message_count"])
    transcript = "select count(*) from public.chat_messages where chat_session_id = $1"
    assert await journeys.supabase.fetchval(transcript, UUID(session)) == row["message_count"]
    assert [entry["revision"] for entry in ledger] == list(range(1, revision + 1))
    if ledger:
        assert ledger[-1]["context_hash"] == row["context_hash"]
        assert ledger[-1]["active_agent"] == row["active_agent"]
    return row
