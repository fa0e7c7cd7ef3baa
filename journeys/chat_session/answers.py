"""The journey's answers to its messages."""

from journeys.chat_session.activities import Outcome
from journeys.chat_session.refusals import Refusals
from journeys.chat_session.session import ChatSessionArtifact, ChatSessionReceipt, Context, LedgerEntry, Revision
from journeys.identifiers import Uuid
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
    """The answer to `update_chat_context` with `returning: receipt`.

    Attributes:
        applied_revision: The revision that holds this change.
        duplicate: Whether another message had made the change before.
    """

    applied_revision: Revision
    duplicate: bool


class UpdatedChatSession(ChatSessionArtifact, UpdateReceipt):
    """The answer to `update_chat_context`: the session as it is now, and the receipt's fields."""


class ChatSessionHistory(Record):
    """A page of a session's ledger.

    Attributes:
        entries: Oldest first.
        complete: Whether nothing follows; else ask again after the last entry's revision.
    """

    chat_session_id: Uuid
    entries: tuple[LedgerEntry, ...]
    complete: bool


def answer_initialize(session: ChatSessionReceipt, context: Context, *, created: bool) -> InitializedChatSession:
    """Answer an initialization that both stores hold."""
    return InitializedChatSession.model_construct(**dict(session), context=context, created=created)


def answer_update(
    outcome: Outcome, session: ChatSessionReceipt, context: Context | None
) -> UpdatedChatSession | UpdateReceipt:
    """Answer an update that both stores hold.

    Args:
        outcome: What became of it; not refused.
        session: The session as it is now.
        context: Its context, if the caller wants it.
    """
    fields = dict(session)
    fields["applied_revision"] = outcome.revision
    fields["duplicate"] = outcome.duplicate
    if context is not None:
        return UpdatedChatSession.model_construct(**fields, context=context)
    if known := outcome.known:
        fields["revision"] = known.revision
        fields["active_agent"] = known.active_agent
        fields["context_hash"] = known.context_hash
        fields["updated_at"] = known.applied_at
    return UpdateReceipt.model_construct(**fields)
