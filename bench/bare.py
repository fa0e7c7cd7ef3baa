"""The callers of the variants `bare` and `step`: the calls of the journey's client, with plain dicts."""

from contextlib import suppress
from datetime import timedelta
from typing import Any, ClassVar, Final
from uuid import uuid4

from temporalio.client import Client, WithStartWorkflowOperation, WorkflowFailureError, WorkflowQueryRejectedError
from temporalio.common import QueryRejectCondition, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from bench.bare_workflow import BARE_WORKFLOW
from bench.sessions import Change, Session
from bench.step_workflow import STEP_WORKFLOW
from journeys.chat_session.names import GET, INITIALIZE, UPDATE
from journeys.retry_policies import WORKFLOW_TASK_TIMEOUT

_READ_TIMEOUT: Final = timedelta(seconds=5)

Json = dict[str, Any]


class Bare:
    """A workflow that does nothing, on a worker with the journey's settings."""

    name: ClassVar[str] = "bare"
    workflow: ClassVar[str] = BARE_WORKFLOW

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue

    def workflow_id(self, session: Session) -> str | None:
        return f"{self.name}/{session.chat_session_id}"

    async def initialize(self, session: Session) -> None:
        """Update-with-start, as the journey's client does."""
        request = session.request.model_dump(mode="json")
        await self._update_with_start(session, INITIALIZE, request, f"{INITIALIZE}/{session.request.key}")

    async def update(self, session: Session, change: Change) -> None:
        """Send an update; with a start if the session is hibernated."""
        update_id = f"{UPDATE}/{uuid4()}"
        message = _message(session, change)
        try:
            await self._handle(session).execute_update(UPDATE, message, id=update_id)
        except RPCError as failure:
            if failure.status is not RPCStatusCode.NOT_FOUND:
                raise
            await self._update_with_start(session, UPDATE, message, update_id)

    async def signal(self, session: Session, change: Change) -> None:
        await self._handle(session).signal(UPDATE, _message(session, change))

    async def wait_until_stored(self, session: Session) -> None:
        """Nothing is stored, but a query is answered only after the signals before it are handled."""
        await self.get(session)

    async def _query(self, session: Session, question: Json) -> None:
        while True:
            try:
                await self._handle(session).query(GET, question, reject_condition=QueryRejectCondition.NOT_OPEN)
            except RPCError as failure:
                # If all pollers are busy for a while, the server takes the worker for gone.
                if failure.status is not RPCStatusCode.FAILED_PRECONDITION:
                    raise
            else:
                return

    async def get(self, session: Session) -> None:
        """Query the workflow, or call a standalone activity if the session is hibernated."""
        question: Json = {"tenant_id": session.request.tenant_id, "chat_session_id": session.chat_session_id}
        try:
            await self._query(session, question)
        except WorkflowQueryRejectedError:
            await self._client.execute_activity(
                GET,
                question,
                id=f"{GET}/{uuid4()}",
                task_queue=self._task_queue,
                start_to_close_timeout=_READ_TIMEOUT,
            )

    async def hibernate(self, session: Session) -> None:
        await self._handle(session).cancel()
        with suppress(WorkflowFailureError):
            await self._handle(session).result()

    def _handle(self, session: Session) -> Any:  # noqa: ANN401 - the workflow is known by name only
        return self._client.get_workflow_handle(f"{self.name}/{session.chat_session_id}")

    async def _update_with_start(self, session: Session, update: str, message: Json, update_id: str) -> None:
        request = session.request.model_dump(mode="json")
        argument: Json = {
            "chat_session_id": session.chat_session_id,
            "tenant_id": request.pop("tenant_id"),
            "user_id": request.pop("user_id"),
            "initialize": request,
        }
        start = WithStartWorkflowOperation[Any, Any](
            self.workflow,
            argument,
            id=f"{self.name}/{session.chat_session_id}",
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            task_timeout=WORKFLOW_TASK_TIMEOUT,
        )
        await self._client.execute_update_with_start_workflow(
            update, message, start_workflow_operation=start, id=update_id
        )


class Step(Bare):
    """As `bare`, with a local activity in each initialize and update; signals do nothing."""

    name: ClassVar[str] = "step"
    workflow: ClassVar[str] = STEP_WORKFLOW


def _message(session: Session, change: Change) -> Json:
    message: Json = {"tenant_id": session.request.tenant_id, "returning": "receipt" if change.receipt else "artifact"}
    if change.context is not None:
        message["context"] = change.context
    if change.active_agent is not None:
        message["active_agent"] = change.active_agent
    return message
