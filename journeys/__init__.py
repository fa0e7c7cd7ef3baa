"""The contracts of the Coexistence Solution's journeys, and the client for the services that call them.

    from journeys import ChatSessions

    sessions = await ChatSessions.connect()
    session = await sessions.initialize(tenant_id="acme", user_id="ada")
    await sessions.update_context(session.chat_session_id, tenant_id="acme", active_agent="liaison_insights")

A call that fails raises a `JourneyError`; `journeys.errors` has the tree of errors.

The modules of this package are shared by all journeys. Each journey has a package of its own, and `client` sends
messages. `integrations` keeps the conversations of agent frameworks. All of it except these two is deterministic and
free of I/O, so that workflow code can import it.
"""

from typing import TYPE_CHECKING

from journeys.chat_session.answers import (
    ChatMessage,
    ChatMessages,
    ChatSessionList,
    ChatSessionView,
    InitializedChatSession,
    ListedChatSession,
    UpdatedChatSession,
    UpdateReceipt,
)
from journeys.chat_session.errors import ContextTooLarge, SessionNotActive, SessionNotFound
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
    "ChatMessage",
    "ChatMessages",
    "ChatSessionArtifact",
    "ChatSessionList",
    "ChatSessionView",
    "ChatSessions",
    "ContextTooLarge",
    "DatabaseUnavailable",
    "EngineUnavailable",
    "IdempotencyConflict",
    "InitializedChatSession",
    "InvalidParameter",
    "JourneyError",
    "LedgerEntry",
    "ListedChatSession",
    "RevisionConflict",
    "SessionNotActive",
    "SessionNotFound",
    "UpdateReceipt",
    "UpdatedChatSession",
]


__version__ = "0.1.0"  # without a type: the build reads this line, and knows no other form


def __getattr__(name: str) -> object:
    # Import the client at its first use: workflow code imports this package, too, and must not load modules with I/O.
    if name == "ChatSessions":
        from journeys.client.chat_sessions import ChatSessions  # noqa: PLC0415

        return ChatSessions
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
