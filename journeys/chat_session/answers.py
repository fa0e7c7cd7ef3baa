"""The journey's answers to its messages."""

from journeys.chat_session.messages import UpdateChatContext
from journeys.chat_session.rules import Decision, Duplicate, Refused
from journeys.chat_session.session import ChatSessionArtifact, ChatSessionReceipt, LedgerEntry, Revision
from journeys.failures import as_failure
from journeys.identifiers import Timestamp, Uuid
from journeys.messages import Record


class Refusal(Record):
    """A refused signal. It never shows the signal's text, values or IDs."""

    at: Timestamp
    code: str
    field: str


class Refusals(Record):
    """How many signals were refused, and the last ten of them. A query shows them, because a signal has no answer."""

    count: int = 0
    last: tuple[Refusal, ...] = ()

    def with_one_more(self, refusal: Refusal) -> "Refusals":
        """A copy with one more refusal."""
        return Refusals(count=self.count + 1, last=(*self.last[-9:], refusal))


class ChatSessionView(ChatSessionArtifact):
    """The answer of `get_chat_session`: the session and, if its journey is awake, the signals that it refused."""

    refusals: Refusals | None = None


class UpdateReceipt(ChatSessionReceipt):
    """The answer of `update_chat_context` with `returning: receipt`.

    Attributes:
        applied_revision: The revision that holds this change.
        duplicate: Whether the change had been applied before.
    """

    applied_revision: Revision
    duplicate: bool


class UpdatedChatSession(ChatSessionArtifact, UpdateReceipt):
    """The answer of `update_chat_context`: the session with the change, and the receipt's fields."""


class ChatSessionHistory(Record):
    """A page of a session's ledger.

    Attributes:
        entries: Oldest first.
        complete: Whether this is the last page. If not, ask again with the last entry's revision as `after_revision`.
    """

    chat_session_id: Uuid
    entries: tuple[LedgerEntry, ...]
    complete: bool


def answer_update(
    decision: Decision, current: ChatSessionArtifact, request: UpdateChatContext
) -> UpdatedChatSession | UpdateReceipt:
    """Make the answer to an update, once both stores hold the change.

    Args:
        decision: The decision about the change.
        current: The session as it is now.
        request: The update's request.

    Raises:
        ApplicationError: The change was refused.
    """
    if isinstance(decision, Refused):
        raise as_failure(decision.error)
    session = current if isinstance(decision, Duplicate) else decision.session
    fields = dict(session)
    fields["applied_revision"] = session.revision
    fields["duplicate"] = False
    if isinstance(decision, Duplicate):
        known = decision.known
        fields["applied_revision"] = known.revision
        fields["duplicate"] = True
        if request.returning == "receipt":
            fields["revision"] = known.revision
            fields["active_agent"] = known.active_agent
            fields["context_hash"] = known.context_hash
            fields["updated_at"] = known.applied_at
    if request.returning == "artifact":
        return UpdatedChatSession.model_construct(**fields)
    del fields["context"]
    return UpdateReceipt.model_construct(**fields)
