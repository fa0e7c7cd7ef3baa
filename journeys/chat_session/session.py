"""A chat session as it is stored, registered and read, and the ledger of its changes."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints

from journeys.i_json import MAX_SAFE_INTEGER
from journeys.identifiers import Identifier, Matching, Sha256, Timestamp, Uuid
from journeys.messages import JsonObject, Record

Agent = Annotated[
    str,
    StringConstraints(max_length=255),
    Matching(r"guide|liaison_[a-z][a-z0-9_]*", "must be guide or liaison_<pillar>"),
]
"""The agent that leads the conversation: `guide` or `liaison_<pillar>`."""

Context = JsonObject
"""The conversation context that all agents of a session share."""

Revision = Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER)]
"""0 at creation, one more for each applied change."""


Title = Annotated[str, StringConstraints(max_length=200)]
"""What people call a session."""


LifecycleState = Literal["ACTIVE", "ARCHIVED"]
"""An archived session can be read, and takes no changes of its context until it is active again."""


class ChatSessionReceipt(Record):
    """A session without its context.

    Attributes:
        title: None if nobody has named the session.
        context_hash: Hex SHA-256 of the canonical context.
        revision: 0 at creation, one more for each applied change.
        message_count: How many messages the transcript has.
        turn_revision: The last revision that asked an agent to act; 0 if none has.
    """

    artifact_type: Literal["chat_session"] = "chat_session"
    chat_session_id: Uuid
    tenant_id: Identifier
    user_id: Identifier
    title: Title | None = None
    active_agent: Agent
    lifecycle_state: LifecycleState = "ACTIVE"
    revision: Revision
    context_hash: Sha256
    message_count: Revision = 0
    turn_revision: Revision = 0
    created_at: Timestamp
    updated_at: Timestamp

    def is_for(self, tenant_id: str, user_id: str | None) -> bool:
        """Whether this user may see and change the session; without a user, whether a service of the tenant may."""
        return self.tenant_id == tenant_id and user_id in (None, self.user_id)

    def with_context(self, context: Context) -> "ChatSessionArtifact":
        """The whole session."""
        return ChatSessionArtifact.model_construct(**dict(self), context=context)


class ChatSessionArtifact(ChatSessionReceipt):
    """A chat session with its context, as it is stored, registered and read."""

    context: Context


class LedgerEntry(Record):
    """One applied change as the ledger keeps it, with parts of the session after the change.

    Attributes:
        context_hash: Null after somebody has edited the database, until a journey loads the session.
        message: The identity of the message that made the change; None if no message did. Answers leave it out.
        turn: Whether the change asked an agent to act.
        change: The content of the change; of messages only the IDs and the hashes of their bodies.
        author: Who made the change: `manual` if somebody edited the database, `journey` if the engine repaired it.
    """

    revision: Revision
    idempotency_key: str
    change: dict[str, JsonValue]
    change_hash: str
    author: str | None
    active_agent: str
    context_hash: str | None
    applied_at: Timestamp
    turn: bool = False
    message: str | None = Field(default=None, exclude_if=lambda message: message is None)


class WrittenEntry(LedgerEntry):
    """An entry as it is to be stored.

    Attributes:
        context: The full context after the change, on some entries.
        fold_changes: See `FoldLength`; None if the change keeps the context.
        fold_bytes: See `FoldLength`; None if the change keeps the context.
    """

    context: Context | None = None
    fold_changes: int | None = None
    fold_bytes: int | None = None
