"""The variant `journey`: this project, through its own client and its own worker."""

from contextlib import suppress
from typing import ClassVar

from temporalio.client import Client, WorkflowFailureError

from bench.sessions import Change, Session
from bench.stored_revisions import StoredRevisions
from journeys.chat_session.names import workflow_id
from journeys.client.chat_sessions import ChatSessions
from journeys.client.context_change import ContextChange


class Journey:
    name: ClassVar[str] = "journey"

    def __init__(self, sessions: ChatSessions, client: Client, stored_revisions: StoredRevisions) -> None:
        """Make the variant.

        Args:
            sessions: The client that services use.
            client: To cancel workflows with, as `sessions` cannot.
            stored_revisions: Of its State Surface.
        """
        self._sessions = sessions
        self._client = client
        self._stored_revisions = stored_revisions

    def workflow_id(self, session: Session) -> str | None:
        return workflow_id(session.chat_session_id)

    async def initialize(self, session: Session) -> None:
        request = session.request
        await self._sessions.initialize(
            tenant_id=request.tenant_id,
            user_id=request.user_id,
            requested_at=request.requested_at,
            context=request.context,
        )

    async def update(self, session: Session, change: Change) -> None:
        await self._sessions.update_context(
            session.chat_session_id, returning="receipt" if change.receipt else "artifact", **_change(session, change)
        )

    async def signal(self, session: Session, change: Change) -> None:
        await self._sessions.signal_context(session.chat_session_id, **_change(session, change))

    async def wait_until_stored(self, session: Session) -> None:
        """Wait for the State Surface, the last store to be written."""
        await self._stored_revisions.wait_for(session.chat_session_id, session.changes)

    async def get(self, session: Session) -> None:
        await self._sessions.get(session.chat_session_id, tenant_id=session.request.tenant_id)

    async def hibernate(self, session: Session) -> None:
        await hibernate(self._client, session.chat_session_id)


async def hibernate(client: Client, chat_session_id: str) -> None:
    """Cancel a session's workflow: it completes as it does if it is idle."""
    handle = client.get_workflow_handle(workflow_id(chat_session_id))
    await handle.cancel()
    with suppress(WorkflowFailureError):
        await handle.result()


def _change(session: Session, change: Change) -> ContextChange:
    wanted = ContextChange(tenant_id=session.request.tenant_id)
    if change.context is not None:
        wanted["context"] = change.context
    if change.active_agent is not None:
        wanted["active_agent"] = change.active_agent
    return wanted
