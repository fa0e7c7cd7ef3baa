"""The caller of the variant `naive`: typed calls, as in the SDK's documentation."""

from contextlib import suppress
from typing import ClassVar

from temporalio.client import Client, WithStartWorkflowOperation, WorkflowFailureError, WorkflowHandle
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from bench.naive_workflow import NaiveChatSession, NaiveState
from bench.sessions import Change, Session
from bench.stored_revisions import StoredRevisions
from journeys.chat_session.messages import GetChatSession, SignalChatContext, UpdateChatContext


class Naive:
    """The journey as a first version would be written."""

    name: ClassVar[str] = "naive"

    def __init__(self, client: Client, task_queue: str, stored_revisions: StoredRevisions) -> None:
        """Make the variant.

        Args:
            client: With the SDK's pydantic data converter.
            task_queue: Of its worker.
            stored_revisions: Of its State Surface.
        """
        self._client = client
        self._task_queue = task_queue
        self._stored_revisions = stored_revisions

    def workflow_id(self, session: Session) -> str | None:
        return f"naive/{session.chat_session_id}"

    async def initialize(self, session: Session) -> None:
        await self._client.execute_update_with_start_workflow(
            NaiveChatSession.initialize_chat_session, session.request, start_workflow_operation=self._start(session)
        )

    async def update(self, session: Session, change: Change) -> None:
        """Send an update; with a start if the session is hibernated."""
        request = UpdateChatContext(
            tenant_id=session.request.tenant_id, context=change.context, active_agent=change.active_agent
        )
        try:
            await self._handle(session).execute_update(NaiveChatSession.update_chat_context, request)
        except RPCError as failure:
            if failure.status is not RPCStatusCode.NOT_FOUND:
                raise
            await self._client.execute_update_with_start_workflow(
                NaiveChatSession.update_chat_context, request, start_workflow_operation=self._start(session)
            )

    async def signal(self, session: Session, change: Change) -> None:
        request = SignalChatContext(
            tenant_id=session.request.tenant_id, context=change.context, active_agent=change.active_agent
        )
        await self._handle(session).signal(NaiveChatSession.signal_chat_context, request)

    async def wait_until_stored(self, session: Session) -> None:
        """Wait for the State Surface, the last store to be written."""
        await self._stored_revisions.wait_for(session.chat_session_id, session.changes)

    async def get(self, session: Session) -> None:
        """Query the workflow; a closed one answers from its history."""
        await self._handle(session).query(
            NaiveChatSession.get_chat_session, GetChatSession(tenant_id=session.request.tenant_id)
        )

    async def hibernate(self, session: Session) -> None:
        await self._handle(session).cancel()
        with suppress(WorkflowFailureError):
            await self._handle(session).result()

    def _handle(self, session: Session) -> WorkflowHandle[NaiveChatSession, None]:
        return self._client.get_workflow_handle_for(NaiveChatSession.run, f"naive/{session.chat_session_id}")

    def _start(self, session: Session) -> WithStartWorkflowOperation[NaiveChatSession, None]:
        request = session.request
        return WithStartWorkflowOperation(
            NaiveChatSession.run,
            NaiveState(request=request),
            id=f"naive/{session.chat_session_id}",
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=TypedSearchAttributes(
                [
                    SearchAttributePair(SearchAttributeKey.for_keyword("TenantId"), request.tenant_id),
                    SearchAttributePair(SearchAttributeKey.for_keyword("UserId"), request.user_id),
                    SearchAttributePair(SearchAttributeKey.for_keyword("ActiveAgent"), request.active_agent),
                ]
            ),
        )
