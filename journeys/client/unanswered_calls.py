"""Finds out why a call had no answer in time, and whether its change was accepted."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import TaskQueueType, UpdateWorkflowExecutionLifecycleStage
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.update.v1 import UpdateRef, WaitPolicy
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, PollWorkflowExecutionUpdateRequest
from temporalio.client import Client, RPCTimeoutOrCancelledError, WorkflowExecutionDescription
from temporalio.service import RPCError, RPCStatusCode

from journeys.errors import Acceptance, DatabaseUnavailable, EngineUnavailable

Answer = TypeVar("Answer")

_DIAGNOSIS: Final = timedelta(seconds=1)
# A worker polls at least once in this time. The server lists a poller for five minutes after its last poll.
_LONGEST_POLL: Final = timedelta(seconds=70)
_ADVICE: Final[dict[Acceptance, str]] = {
    "accepted": "the change is accepted and will be judged; do not send it again without its idempotency key",
    "not accepted": "nothing was accepted",
    "unknown": "the change may have been accepted; send it again under the same idempotency key",
}


class UnansweredCall:
    """A call that had no answer by its deadline."""

    def __init__(
        self,
        client: Client,
        *,
        task_queue: str,
        began: datetime,
        workflow_id: str | None,
        update_id: str | None,
        may_be_taken: bool,
    ) -> None:
        """Describe the call.

        Args:
            client: The client that made the call.
            task_queue: The task queue on which the caller expects a worker.
            began: When the call began.
            workflow_id: The workflow that the call waited for; None for a read.
            update_id: The update's ID; None for a read or a signal.
            may_be_taken: Whether Temporal may have taken what was sent.
        """
        self._client = client
        self._task_queue = task_queue
        self._began = began
        self._workflow_id = workflow_id
        self._update_id = update_id
        self._may_be_taken = may_be_taken

    async def explain(self) -> DatabaseUnavailable | EngineUnavailable:
        """The error to raise. Its `outcome` says whether the change was accepted."""
        workflow_id, update_id = self._workflow_id, self._update_id
        acceptance: Acceptance = "unknown" if workflow_id and self._may_be_taken else "not accepted"
        described: WorkflowExecutionDescription | None = None
        try:
            async with asyncio.timeout(_DIAGNOSIS.total_seconds()):
                if workflow_id:
                    described = await _call(lambda: self._describe(workflow_id))
                    if update_id and self._may_be_taken:
                        acceptance = await _call(lambda: self._find_acceptance(workflow_id, update_id, described))
                cause = await _call(lambda: self._find_cause(described))
        except (TimeoutError, RuntimeError, RPCError, RPCTimeoutOrCancelledError):
            return _unavailable(EngineUnavailable, "no answer in time; is Temporal reachable?", acceptance)
        if described and _waits_for_store(described):
            return _unavailable(DatabaseUnavailable, "the journey waits for a store", acceptance)
        return _unavailable(EngineUnavailable, cause, acceptance)

    async def _describe(self, workflow_id: str) -> WorkflowExecutionDescription | None:
        try:
            return await self._client.get_workflow_handle(workflow_id).describe()
        except RPCError as failure:
            if failure.status is not RPCStatusCode.NOT_FOUND:
                raise
            return None

    async def _find_acceptance(
        self, workflow_id: str, update_id: str, described: WorkflowExecutionDescription | None
    ) -> Acceptance:
        """Poll the update without waiting for it."""
        if described is None:
            return "not accepted"
        try:
            polled = await self._client.workflow_service.poll_workflow_execution_update(
                PollWorkflowExecutionUpdateRequest(
                    namespace=self._client.namespace,
                    update_ref=UpdateRef(
                        workflow_execution=WorkflowExecution(workflow_id=workflow_id), update_id=update_id
                    ),
                    wait_policy=WaitPolicy(),
                )
            )
        except RPCError as failure:
            if failure.status is not RPCStatusCode.NOT_FOUND:
                raise
            # A run that is younger than the call does not know what an earlier run has taken.
            return "not accepted" if described.start_time < self._began else "unknown"
        is_admitted_only = (
            polled.stage < UpdateWorkflowExecutionLifecycleStage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED
        )
        return "unknown" if is_admitted_only else "accepted"

    async def _find_cause(self, described: WorkflowExecutionDescription | None) -> str:
        if described and described.task_queue != self._task_queue:
            return (
                f"no answer in time; the journey waits on task queue {described.task_queue!r}, and the caller's is "
                f"{self._task_queue!r}; see JOURNEY_TASK_QUEUE"
            )
        queue = await self._client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=self._client.namespace,
                task_queue=TaskQueue(name=self._task_queue),
                task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
            )
        )
        recent = datetime.now(UTC) - _LONGEST_POLL
        if not any(poller.last_access_time.ToDatetime(UTC) > recent for poller in queue.pollers):
            return f"no answer in time; nobody polls task queue {self._task_queue!r}; is a worker running there?"
        return "no answer in time"


async def _call(call: Callable[[], Awaitable[Answer]]) -> Answer:
    """Call Temporal, and once more if it has closed the connection under the call, as it does with old connections."""
    try:
        return await call()
    except RPCError as failure:
        if failure.status is not RPCStatusCode.CANCELLED:
            raise
        return await call()


def _waits_for_store(described: WorkflowExecutionDescription) -> bool:
    return any(
        pending.last_failure.application_failure_info.type == DatabaseUnavailable.code
        for pending in described.raw_description.pending_activities
    )


def _unavailable(
    kind: type[DatabaseUnavailable | EngineUnavailable], cause: str, acceptance: Acceptance
) -> DatabaseUnavailable | EngineUnavailable:
    return kind(f"{cause}; {_ADVICE[acceptance]}", outcome=acceptance)
