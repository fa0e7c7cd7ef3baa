"""The ways to send a journey's messages, and how Temporal's errors become errors of the contract."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, TypedDict, TypeVar
from uuid import uuid4

from pydantic import JsonValue
from temporalio.client import (
    ActivityFailureError,
    Client,
    RPCTimeoutOrCancelledError,
    WithStartWorkflowOperation,
    WorkflowExecutionDescription,
    WorkflowHandle,
    WorkflowUpdateFailedError,
)
from temporalio.common import (
    ActivityIDConflictPolicy,
    QueryRejectCondition,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.service import RPCError, RPCStatusCode

from journeys.client.deadline import Deadline, DeadlinePassed
from journeys.client.single_attempts import with_single_attempts
from journeys.errors import DatabaseUnavailable, EngineUnavailable, JourneyError
from journeys.failures import from_failure
from journeys.messages import Request
from journeys.retry_policies import READ_ATTEMPT, READ_RETRIES, WORKFLOW_TASK_TIMEOUT

Answer = TypeVar("Answer")
Json = dict[str, JsonValue]

_DIAGNOSIS: Final = timedelta(seconds=1)


class _StartOptions(TypedDict):
    """How a message starts a workflow if no run is open."""

    task_queue: str
    id_conflict_policy: WorkflowIDConflictPolicy
    id_reuse_policy: WorkflowIDReusePolicy
    task_timeout: timedelta
    static_summary: str


class Transport:
    """Sends the messages of one journey. A deadline bounds each call and all its retries."""

    def __init__(
        self, client: Client, *, workflow_type: str, summary: str, task_queue: str, deadline: timedelta
    ) -> None:
        """Use a Temporal client. Its data converter must write plain JSON.

        Args:
            client: A client of the journeys' namespace.
            workflow_type: The journey's ID.
            summary: The summary that the Web UI shows of the workflows that this client starts.
            task_queue: The task queue that the journey's workers poll.
            deadline: The deadline of each call.
        """
        self._client = with_single_attempts(client)
        self._workflow_type = workflow_type
        self._task_queue = task_queue
        self._start_options = _StartOptions(
            task_queue=task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            task_timeout=WORKFLOW_TASK_TIMEOUT,
            static_summary=summary,
        )
        self._deadline = deadline

    async def call(self, call: Callable[[Deadline], Awaitable[Answer]], *, workflow_id: str | None) -> Answer:
        """Make a call within the deadline, and repeat it as long as its errors are transient.

        Args:
            call: Makes the call, with the same IDs at every attempt.
            workflow_id: The workflow that the call waits for, if any. If the deadline passes, the error says whether
                this workflow waits for a store.

        Raises:
            JourneyError: The call failed, or the deadline passed.
        """
        try:
            return await Deadline(self._deadline).keep_trying(call)
        except (WorkflowUpdateFailedError, ActivityFailureError) as failure:
            error = from_failure(failure)
            raise error or EngineUnavailable("no worker answered in time; is a worker running?") from None
        except DeadlinePassed:
            raise await self._explain_delay(workflow_id) from None

    async def update(
        self, name: str, request: Request, *, workflow_id: str, update_id: str, deadline: Deadline
    ) -> Json | None:
        """Send an update to the open run; None if no run is open."""
        try:
            answer: Json = await self._handle(workflow_id).execute_update(
                name, as_json(request), id=update_id, rpc_timeout=deadline.left
            )
        except RPCError as failure:
            if failure.status is not RPCStatusCode.NOT_FOUND:
                raise
            return None
        return answer

    async def update_with_start(
        self, name: str, request: Request, *, workflow_id: str, argument: Request, update_id: str, deadline: Deadline
    ) -> Json:
        """Send an update, and start the workflow if no run is open."""
        start = WithStartWorkflowOperation[object, object](
            self._workflow_type,
            as_json(argument),
            id=workflow_id,
            **self._start_options,
        )
        # The SDK also sets a failure on this future, and asyncio logs every exception that nobody has retrieved.
        started = asyncio.ensure_future(start.workflow_handle())
        started.add_done_callback(lambda done: done.cancelled() or done.exception())
        answer: Json = await self._client.execute_update_with_start_workflow(
            name, as_json(request), start_workflow_operation=start, id=update_id, rpc_timeout=deadline.left
        )
        return answer

    async def poll_update(self, workflow_id: str, update_id: str, deadline: Deadline) -> Json | None:
        """The answer of an update that the workflow's first run has taken; None if it has not taken it."""
        described = await self._handle(workflow_id).describe(rpc_timeout=deadline.left)
        update = self._handle(workflow_id).get_update_handle(update_id, workflow_run_id=described.raw_info.first_run_id)
        try:
            answer: Json = await update.result(rpc_timeout=deadline.left)
        except RPCError as failure:
            if failure.status is not RPCStatusCode.NOT_FOUND:
                raise
            return None
        return answer

    async def signal(self, name: str, request: Request, *, workflow_id: str, deadline: Deadline) -> bool:
        """Send a signal to the open run; False if no run is open."""
        try:
            await self._handle(workflow_id).signal(name, as_json(request), rpc_timeout=deadline.left)
        except RPCError as failure:
            if failure.status is not RPCStatusCode.NOT_FOUND:
                raise
            return False
        return True

    async def signal_with_start(
        self, name: str, request: Request, *, workflow_id: str, argument: Request, deadline: Deadline
    ) -> None:
        """Send a signal, and start the workflow if no run is open."""
        await self._client.start_workflow(
            self._workflow_type,
            as_json(argument),
            id=workflow_id,
            **self._start_options,
            start_signal=name,
            start_signal_args=[as_json(request)],
            rpc_timeout=deadline.left,
        )

    async def query(self, name: str, request: Request, *, workflow_id: str, timeout: timedelta) -> Json:
        """Query the open run.

        Raises:
            WorkflowQueryRejectedError: No run is open.
            WorkflowQueryFailedError: The journey refuses the query.
            RPCError: Temporal does not answer, or the workflow has never existed.
            TimeoutError: There was no answer within `timeout`.
        """
        async with asyncio.timeout(timeout.total_seconds()):  # includes the SDK's own retries
            answer: Json = await self._handle(workflow_id).query(
                name, as_json(request), reject_condition=QueryRejectCondition.NOT_OPEN, rpc_timeout=timeout
            )
        return answer

    async def describe_last_run(self, workflow_id: str, deadline: Deadline) -> WorkflowExecutionDescription | None:
        """Describe a workflow's last run; None if Temporal knows no run."""
        try:
            return await self._handle(workflow_id).describe(rpc_timeout=deadline.left)
        except RPCError as failure:
            if failure.status is not RPCStatusCode.NOT_FOUND:
                raise
            return None

    async def read(self, activity: str, request: Request, deadline: Deadline) -> Json:
        """Run an activity that reads, as a standalone activity: without a workflow."""
        answer: Json = await self._client.execute_activity(
            activity,
            as_json(request),
            id=f"{activity}/{uuid4()}",
            task_queue=self._task_queue,
            schedule_to_close_timeout=max(deadline.left, timedelta(milliseconds=1)),
            start_to_close_timeout=READ_ATTEMPT,
            retry_policy=READ_RETRIES,
            id_conflict_policy=ActivityIDConflictPolicy.USE_EXISTING,
            rpc_timeout=deadline.left,
        )
        return answer

    def _handle(self, workflow_id: str) -> WorkflowHandle[object, object]:
        return self._client.get_workflow_handle(workflow_id)

    async def _explain_delay(self, workflow_id: str | None) -> JourneyError:
        late = EngineUnavailable("no answer in time; is Temporal reachable and a worker running?")
        if workflow_id is None:
            return late
        try:
            async with asyncio.timeout(_DIAGNOSIS.total_seconds()):
                described = await self._handle(workflow_id).describe()
        except (TimeoutError, RuntimeError, RPCError, RPCTimeoutOrCancelledError):
            return late
        for pending in described.raw_description.pending_activities:
            if pending.last_failure.application_failure_info.type == DatabaseUnavailable.code:
                return DatabaseUnavailable(
                    "the journey waits for a store; it applies the changes that it has accepted when the store is back"
                )
        return late


def as_json(request: Request) -> Json:
    """A request as JSON, without absent fields and default values."""
    return request.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
