"""How other services start, signal, update and query the journeys.

    from starter import ChatSessions

    sessions = await ChatSessions.connect()
    session = await sessions.initialize(tenant_id="acme", user_id="ada")
    await sessions.update_context(session.chat_session_id, tenant_id="acme", active_agent="liaison_finance")

Every method raises a `JourneyError`: see `contract.errors` for the tree.
"""

from contract.chat_session import (
    ChatSessionArtifact,
    ChatSessionView,
    LedgerEntry,
    UpdatedChatSession,
    UpdateReceipt,
)
from contract.errors import (
    ContextTooLarge,
    DatabaseUnavailable,
    EngineUnavailable,
    IdempotencyConflict,
    InvalidParameter,
    JourneyError,
    RevisionConflict,
    SessionNotFound,
)
from starter.chat_sessions import ChatSessions

__all__ = [
    "ChatSessionArtifact",
    "ChatSessionView",
    "ChatSessions",
    "ContextTooLarge",
    "DatabaseUnavailable",
    "EngineUnavailable",
    "IdempotencyConflict",
    "InvalidParameter",
    "JourneyError",
    "LedgerEntry",
    "RevisionConflict",
    "SessionNotFound",
    "UpdateReceipt",
    "UpdatedChatSession",
]
