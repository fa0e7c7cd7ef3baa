"""The tombstone of a deleted session, and the answers to messages that still arrive for it."""

from datetime import datetime
from typing import Final

from journeys.chat_session.errors import SessionNotActive, SessionNotFound
from journeys.chat_session.messages import DeleteChatSession
from journeys.errors import JourneyError
from journeys.identifiers import Timestamp
from journeys.messages import Record

DELETED_FIELD: Final = "lifecycle_state"
"""The `field` of a `SessionNotFound` for a service of the tenant, if the session was deleted."""


class Tombstone(Record):
    """A deleted session as the stores keep it.

    Attributes:
        deleted_by: The ID of the update that deleted it.
    """

    chat_session_id: str
    tenant_id: str
    revision: int
    created_at: Timestamp
    deleted_at: Timestamp
    deleted_by: str

    def answer_deletion(self, request: DeleteChatSession, update_id: str) -> datetime | SessionNotFound:
        """The time of the deletion, for its sender and for a service of the tenant; an error for others."""
        may_know = update_id == self.deleted_by or request.user_id is None
        return self.deleted_at if may_know and request.tenant_id == self.tenant_id else SessionNotFound()

    def refuse(self, tenant_id: str, user_id: str | None) -> JourneyError:
        """The error for any other message: only a service of the tenant learns that there was a session."""
        if tenant_id == self.tenant_id and user_id is None:
            return SessionNotActive("the session is deleted")
        return SessionNotFound()
