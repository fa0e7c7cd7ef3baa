"""Removes what Temporal keeps of a deleted session: its runs, its agent turns, and the records of its reads."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteActivityExecutionRequest, DeleteWorkflowExecutionRequest
from temporalio.client import ActivityExecutionStatus, Client, WorkflowExecutionStatus
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError, RPCStatusCode

from activities.own_session import own_session_id
from journeys.chat_session.erasure import Erased
from journeys.chat_session.names import (
    AGENT_TURN_WORKFLOW_ID_PREFIX,
    ERASE,
    ERASURE_ID,
    ERASURE_WORKFLOW_ID_PREFIX,
    READING_ACTIVITIES,
    WORKFLOW_ID_PREFIX,
)
from journeys.errors import InvalidParameter, JourneyError
from journeys.failures import as_failure
from stores.deletions_supabase import DeletionsSupabase

# Temporal lists a run a moment after it has begun.
_QUIET_SECONDS: Final = 10
_PAUSE_SECONDS: Final = 1
# A turn that has not ended so long after its cancellation is terminated.
_GRACE_SECONDS: Final = 10


class ChatSessionErasureActivities:
    """The activity, on the store that a worker was given and the worker's own connection to Temporal."""

    def __init__(self, deletions: DeletionsSupabase) -> None:
        self._deletions = deletions

    @property
    def all(self) -> Sequence[Callable[..., object]]:
        """The activities to register with a worker."""
        return [self.erase_chat_session]

    @activity.defn(name=ERASE)
    async def erase_chat_session(self) -> Erased:
        """Erase until Temporal has listed nothing for a while; do nothing unless the session is deleted."""
        try:
            chat_session_id = _own_session_id()
            if await self._deletions.find(chat_session_id) is None:
                return Erased()
            return await _Erasure(activity.client(), chat_session_id).erase()
        except JourneyError as error:
            raise as_failure(error) from None


class _Erasure:
    """One attempt to erase a session. Another attempt may follow it at any point."""

    def __init__(self, client: Client, chat_session_id: str) -> None:
        self._client = client
        self._chat_session_id = chat_session_id
        self._cancelled: dict[str, float] = {}  # when each open turn was cancelled, by run ID
        self._deleted: set[str] = set()  # the run or activity IDs whose deletion Temporal was asked for
        self._erased = Erased()

    async def erase(self) -> Erased:
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < _QUIET_SECONDS:
            if await self._erase_what_is_listed():
                quiet_since = time.monotonic()
            activity.heartbeat()
            await _pause()
        return self._erased

    async def _erase_what_is_listed(self) -> bool:
        turns = f"WorkflowId STARTS_WITH '{AGENT_TURN_WORKFLOW_ID_PREFIX}{self._chat_session_id}/'"
        runs = f"WorkflowId = '{WORKFLOW_ID_PREFIX}{self._chat_session_id}'"
        is_any = False
        for query, is_turn in ((turns, True), (runs, False)):
            async for run in self._client.list_workflows(query):
                is_any = True
                activity.heartbeat()
                if run.status is not WorkflowExecutionStatus.RUNNING:
                    await self._delete_run(run.id, run.run_id, is_turn=is_turn)
                elif is_turn:
                    await self._end_turn(run.id, run.run_id)
        for intent in READING_ACTIVITIES:
            async for read in self._client.list_activities(
                f"ActivityId STARTS_WITH '{intent}/{self._chat_session_id}/'"
            ):
                is_any = True
                activity.heartbeat()
                if read.status is not ActivityExecutionStatus.RUNNING:
                    await self._delete_read(read.activity_id)
        return is_any

    async def _end_turn(self, workflow_id: str, run_id: str) -> None:
        handle = self._client.get_workflow_handle(workflow_id, run_id=run_id)
        since = self._cancelled.setdefault(run_id, time.monotonic())
        try:
            if time.monotonic() - since > _GRACE_SECONDS:
                await handle.terminate("the session is deleted")
            else:
                await handle.cancel()
        except RPCError as failure:
            _raise_unless_gone(failure)

    async def _delete_run(self, workflow_id: str, run_id: str, *, is_turn: bool) -> None:
        if run_id in self._deleted:
            return
        execution = WorkflowExecution(workflow_id=workflow_id, run_id=run_id)
        request = DeleteWorkflowExecutionRequest(namespace=self._client.namespace, workflow_execution=execution)
        try:
            await self._client.workflow_service.delete_workflow_execution(request)
        except RPCError as failure:
            _raise_unless_gone(failure)
        self._deleted.add(run_id)
        self._erased = self._erased.plus(turns=1) if is_turn else self._erased.plus(runs=1)

    async def _delete_read(self, activity_id: str) -> None:
        if activity_id in self._deleted:
            return
        request = DeleteActivityExecutionRequest(namespace=self._client.namespace, activity_id=activity_id)
        try:
            await self._client.workflow_service.delete_activity_execution(request)
        except RPCError as failure:
            _raise_unless_gone(failure)
        self._deleted.add(activity_id)
        self._erased = self._erased.plus(reads=1)


async def _pause() -> None:
    try:
        async with asyncio.timeout(_PAUSE_SECONDS):
            await activity.wait_for_worker_shutdown()
    except TimeoutError:
        return
    raise ApplicationError(
        "the worker stops; another one goes on with the erasure", category=ApplicationErrorCategory.BENIGN
    )


def _own_session_id() -> str:
    chat_session_id = own_session_id(ERASURE_ID, ERASURE_WORKFLOW_ID_PREFIX)
    if chat_session_id is None:
        raise InvalidParameter(
            f"the workflow ID of an erasure is {ERASURE_WORKFLOW_ID_PREFIX}<chat_session_id>", field="chat_session_id"
        )
    return chat_session_id


def _raise_unless_gone(failure: RPCError) -> None:
    if failure.status is not RPCStatusCode.NOT_FOUND:
        raise failure
