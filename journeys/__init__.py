"""The contracts of the Coexistence Solution's journeys, and the client of those who call them.

    from journeys import ChatSessions

    sessions = await ChatSessions.connect()
    session = await sessions.initialize(tenant_id="acme", user_id="ada")
    await sessions.update_context(session.chat_session_id, tenant_id="acme", active_agent="liaison_finance")

Every method raises a `JourneyError`: see `journeys.errors` for the tree.

The modules here are common to all journeys, each journey has a package of its own, and `client` sends messages. All but
`client` are pure: deterministic and free of I/O, so that workflow code can import them.
"""

from typing import TYPE_CHECKING

from journeys.chat_session.answers import ChatSessionView, UpdatedChatSession, UpdateReceipt
from journeys.chat_session.errors import ContextTooLarge, SessionNotFound
from journeys.chat_session.session import ChatSessionArtifact, LedgerEntry
from journeys.errors import (
    DatabaseUnavailable,
    EngineUnavailable,
    IdempotencyConflict,
    InvalidParameter,
    JourneyError,
    RevisionConflict,
)

if TYPE_CHECKING:
    from journeys.client.chat_sessions import ChatSessions

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


def __getattr__(name: str) -> object:
    # Import the client when it is first used: workflow code imports this package too, and must not load what does I/O.
    if name == "ChatSessions":
        from journeys.client.chat_sessions import ChatSessions  # noqa: PLC0415

        return ChatSessions
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
