"""The ways to send a journey's messages, and how Temporal's errors become errors of the contract."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TypedDict, TypeVar
from uuid import uuid4

from pydantic import JsonValue
from temporalio.api.common.v1 import Payload
from temporalio.api.workflowservice.v1 import DeleteActivityExecutionRequest
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
from journeys.client.unanswered_calls import UnansweredCall
from journeys.errors import DatabaseUnavailable, EngineUnavailable
from journeys.failures import from_failure
from journeys.messages import Request
from journeys.retry_policies import READ_ATTEMPT, READ_RETRIES, WORKFLOW_TASK_TIMEOUT

Answer = TypeVar("Answer")
Json = dict[str, JsonValue]


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
        self,
        client: Client,
        *,
        workflow_type: str,
        summary: str,
        task_queue: str,
        deadline: timedelta,
        check_payload: Callable[[Payload], None] | None = None,
    ) -> None:
        """Use a Temporal client. Its data converter must write plain JSON.

        Args:
            client: A client of the journeys' namespace.
            workflow_type: The journey's ID.
            summary: The summary that the Web UI shows of the workflows that this client starts.
            task_queue: The task queue that the journey's workers poll.
            deadline: The deadline of each call.
            check_payload: Checks each request before it is sent, and raises a `JourneyError` if it is too large:
                Temporal may never answer an update that is too large for it.
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
        self._check_payload = check_payload

    async def call(
        self,
        call: Callable[[Deadline], Awaitable[Answer]],
        *,
        workflow_id: str | None = None,
        update_id: str | None = None,
    ) -> Answer:
        """Make a call within the deadline, and repeat it as long as its errors are transient.

        Args:
            call: Makes the call, with the same IDs at every attempt.
            workflow_id: The workflow that the call waits for; None for a read.
            update_id: The ID of the update that the call sends, if it sends one.

        Raises:
            JourneyError: The call failed, or the deadline passed.
        """
        began, deadline = datetime.now(UTC), Deadline(self._deadline)
        try:
            return await deadline.keep_trying(call)
        except WorkflowUpdateFailedError as failure:
            raise from_failure(failure) or EngineUnavailable("the update failed") from None
        except ActivityFailureError as failure:
            error = from_failure(failure)
            if isinstance(error, DatabaseUnavailable):  # of a read
                raise DatabaseUnavailable(error.message, outcome="not accepted") from None
            if error:
                raise error from None
        except DeadlinePassed:
            pass
        unanswered = UnansweredCall(
            self._client,
            task_queue=self._task_queue,
            began=began,
            workflow_id=workflow_id,
            update_id=update_id,
            may_be_taken=deadline.may_be_taken,
        )
        raise await unanswered.explain()

    async def update(
        self, name: str, request: Request, *, workflow_id: str, update_id: str, deadline: Deadline
    ) -> Json | None:
        """Send an update to the open run; None if no run is open."""
        try:
            answer: Json = await self._handle(workflow_id).execute_update(
                name, self._as_json(request), id=update_id, rpc_timeout=deadline.left
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
        document = self._as_json(request)
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
            name, document, start_workflow_operation=start, id=update_id, rpc_timeout=deadline.left
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
            await self._handle(workflow_id).signal(name, self._as_json(request), rpc_timeout=deadline.left)
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
            start_signal_args=[self._as_json(request)],
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
                name, self._as_json(request), reject_condition=QueryRejectCondition.NOT_OPEN, rpc_timeout=timeout
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

    async def read(self, activity: str, request: Request, subject: str | None, deadline: Deadline) -> Json:
        """Run an activity that reads, as a standalone activity: without a workflow.

        Args:
            activity: The activity's name.
            request: The activity's argument.
            subject: The ID of the object to read, if it has one; it becomes a part of the activity's ID.
            deadline: The deadline of the call.
        """
        activity_id = f"{activity}/{subject or '-'}/{uuid4()}"
        document = self._as_json(request)
        try:
            answer: Json = await self._client.execute_activity(
                activity,
                document,
                id=activity_id,
                task_queue=self._task_queue,
                schedule_to_close_timeout=max(deadline.left, timedelta(milliseconds=1)),
                start_to_close_timeout=READ_ATTEMPT,
                retry_policy=READ_RETRIES,
                id_conflict_policy=ActivityIDConflictPolicy.USE_EXISTING,
                rpc_timeout=deadline.left,
            )
        except RPCError as failure:
            if failure.status is not RPCStatusCode.NOT_FOUND:
                raise
            raise TimeoutError("the answer was deleted before it was fetched; read again") from failure
        except ActivityFailureError:
            await self._delete_read(activity_id, deadline)
            raise
        await self._delete_read(activity_id, deadline)
        return answer

    async def _delete_read(self, activity_id: str, deadline: Deadline) -> None:
        """Delete a read that has ended. Temporal would keep it until the namespace's retention has passed."""
        with suppress(RPCError, RPCTimeoutOrCancelledError):
            await self._client.workflow_service.delete_activity_execution(
                DeleteActivityExecutionRequest(namespace=self._client.namespace, activity_id=activity_id),
                timeout=deadline.left,
            )

    def _handle(self, workflow_id: str) -> WorkflowHandle[object, object]:
        return self._client.get_workflow_handle(workflow_id)

    def _as_json(self, request: Request) -> Json:
        """A request as it is sent.

        Raises:
            JourneyError: The request is too large.
        """
        document = as_json(request)
        if self._check_payload:
            (payload,) = self._client.data_converter.payload_converter.to_payloads([document])
            self._check_payload(payload)
        return document


def as_json(request: Request) -> Json:
    """A request as JSON, without absent fields and default values."""
    return request.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
