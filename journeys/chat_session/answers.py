"""The journey's answers to its messages."""

from typing import Literal

from pydantic import Field

from journeys.chat_session.activities import Outcome
from journeys.chat_session.refusals import Refusals
from journeys.chat_session.session import (
    Agent,
    ChatSessionArtifact,
    ChatSessionReceipt,
    Context,
    LedgerEntry,
    Revision,
    Title,
)
from journeys.identifiers import Sha256, Timestamp, Uuid
from journeys.messages import Record


class ChatSessionView(ChatSessionArtifact):
    """The answer to `get_chat_session`: the session, and the signals of its tenant that were refused."""

    refusals: Refusals | None = None


class InitializedChatSession(ChatSessionArtifact):
    """The answer to `initialize_chat_session`: the session as it is now.

    Attributes:
        created: Whether this initialization created it.
    """

    created: bool


class UpdateReceipt(ChatSessionReceipt):
    """The answer to `update_chat_session`, and to `update_chat_context` with `returning: receipt`.

    Attributes:
        applied_revision: The revision that holds this change.
        duplicate: Whether another message had made the change before.
        message_ids: The messages that the change added to the transcript or replaced, in order; None if it has none.
    """

    applied_revision: Revision
    duplicate: bool
    message_ids: tuple[str, ...] | None = Field(default=None, exclude_if=lambda ids: ids is None)


class UpdatedChatSession(ChatSessionArtifact, UpdateReceipt):
    """The answer to `update_chat_context`: the session as it is now, and the receipt's fields."""


class DeletedChatSession(Record):
    """The answer to `delete_chat_session`."""

    chat_session_id: Uuid
    deleted_at: Timestamp


class ChatSessionHistory(Record):
    """A page of a session's ledger.

    Attributes:
        entries: Oldest first.
        complete: Whether nothing follows; else ask again after the last entry's revision.
    """

    chat_session_id: Uuid
    entries: tuple[LedgerEntry, ...]
    complete: bool


class ChatMessage(Record):
    """A message of the transcript.

    Attributes:
        revision: The revision that wrote the body.
        body: The sender's own JSON, without `id` and `role`.
    """

    id: str
    role: str | None
    author: str | None
    revision: Revision
    created_at: Timestamp
    updated_at: Timestamp
    body: Context


class ChatMessages(Record):
    """A page of a session's transcript.

    Attributes:
        messages: In the order of the conversation.
        older: The cursor to ask for messages before this page; None if there are none.
        newer: The cursor to ask for messages after this page; None if there are none now.
    """

    messages: tuple[ChatMessage, ...]
    older: str | None
    newer: str | None


class ListedChatSession(Record):
    """A session in a list: the artifact without its context.

    Attributes:
        context_hash: Null after somebody has edited the context in the database, until a journey loads the session.
    """

    artifact_type: Literal["chat_session"] = "chat_session"
    chat_session_id: Uuid
    tenant_id: str
    user_id: str
    title: Title | None
    active_agent: Agent
    lifecycle_state: str
    revision: Revision
    context_hash: Sha256 | None
    message_count: Revision
    turn_revision: Revision
    created_at: Timestamp
    updated_at: Timestamp


class ChatSessionList(Record):
    """A page of a list of sessions.

    Attributes:
        sessions: The session with the latest change first.
        next: The cursor to ask for the sessions after these; None if there are none.
    """

    sessions: tuple[ListedChatSession, ...]
    next: str | None


def answer_initialize(session: ChatSessionReceipt, context: Context, *, created: bool) -> InitializedChatSession:
    """Answer an initialization that both stores hold."""
    return InitializedChatSession.model_construct(**dict(session), context=context, created=created)


def answer_update(
    outcome: Outcome, session: ChatSessionReceipt, context: Context | None
) -> UpdatedChatSession | UpdateReceipt:
    """Answer an update that both stores hold.

    Args:
        outcome: The update's outcome, which is not a refusal.
        session: The session as it is now.
        context: Its context, if the caller wants it.
    """
    fields = dict(session)
    fields["applied_revision"] = outcome.revision
    fields["duplicate"] = outcome.duplicate
    fields["message_ids"] = (outcome.known.message_ids if outcome.known else outcome.message_ids) or None
    if context is not None:
        return UpdatedChatSession.model_construct(**fields, context=context)
    if known := outcome.known:
        fields["revision"] = known.revision
        fields["active_agent"] = known.active_agent
        fields["context_hash"] = known.context_hash
        fields["updated_at"] = known.applied_at
    return UpdateReceipt.model_construct(**fields)
