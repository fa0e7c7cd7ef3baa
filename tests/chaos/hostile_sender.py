"""Sends payloads to the journey as they are, without the checks of the client."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from journeys.chat_session.names import JOURNEY_ID, UPDATE, workflow_id
from journeys.client.deadline import Deadline
from journeys.client.settings import ClientSettings, read_settings
from journeys.client.transport import Json, Transport
from journeys.retry_policies import WORKFLOW_TASK_TIMEOUT


class HostileSender:
    """Sends updates and signals with any arguments, and starts the journey if no run is open.

    A call has the same deadline, retries and errors as a call of the client.
    """

    def __init__(self, client: Client, deadline: timedelta) -> None:
        """Use a plain client.

        Args:
            client: Connected to Temporal.
            deadline: Of each call.
        """
        self._client: Final = client
        self._task_queue: Final = read_settings(ClientSettings).task_queue
        self._transport: Final = Transport(
            client, workflow_type=JOURNEY_ID, summary="Chat session", task_queue=self._task_queue, deadline=deadline
        )

    async def update(self, chat_session_id: str, tenant_id: str, arguments: Sequence[Any], *, update_id: str) -> Json:
        """Send an update, and wait for its answer."""

        async def send(deadline: Deadline) -> Json:
            start = WithStartWorkflowOperation[object, object](
                JOURNEY_ID,
                {"chat_session_id": chat_session_id, "tenant_id": tenant_id},
                id=workflow_id(chat_session_id),
                task_queue=self._task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                task_timeout=WORKFLOW_TASK_TIMEOUT,
            )
            # The SDK also sets a failure on this future, and asyncio logs every exception that nobody has retrieved.
            started = asyncio.ensure_future(start.workflow_handle())
            started.add_done_callback(lambda done: done.cancelled() or done.exception())
            answer: Json = await self._client.execute_update_with_start_workflow(
                UPDATE, args=arguments, start_workflow_operation=start, id=update_id, rpc_timeout=deadline.left
            )
            return answer

        return await self._transport.call(send, workflow_id=workflow_id(chat_session_id))

    async def signal(self, chat_session_id: str, tenant_id: str, arguments: Sequence[Any]) -> None:
        """Send a signal."""

        async def send(deadline: Deadline) -> None:
            await self._client.start_workflow(
                JOURNEY_ID,
                {"chat_session_id": chat_session_id, "tenant_id": tenant_id},
                id=workflow_id(chat_session_id),
                task_queue=self._task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                task_timeout=WORKFLOW_TASK_TIMEOUT,
                start_signal=UPDATE,
                start_signal_args=arguments,
                rpc_timeout=deadline.left,
            )

        await self._transport.call(send, workflow_id=workflow_id(chat_session_id))
