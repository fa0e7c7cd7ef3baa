"""The events for followers, and how they are written as Server-Sent Events."""

from typing import Final, Literal

from pydantic import JsonValue
from pydantic_core import to_json

from journeys.chat_session.answers import ChatMessage
from journeys.chat_session.session import ChatSessionArtifact, Context, LedgerEntry, Revision
from journeys.identifiers import Timestamp
from journeys.messages import Record

EndReason = Literal["deleted", "not_found", "token_expired"]
"""Why a stream ends: the session was deleted, it is no longer the caller's, or the caller's token is not valid now."""

KEEP_ALIVE: Final = b": nothing new\n\n"
STOPPING: Final = b": the gateway stops; go on at another one with Last-Event-ID\n\n"


class FollowedMessage(Record):
    """A message that a change has added or replaced, as it is now.

    Attributes:
        body: Null if the message is gone; left out if `truncated`.
        truncated: Whether the body is left out because the event would be too large; read it from the transcript.
    """

    id: str
    role: str | None = None
    author: str | None = None
    revision: Revision | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    body: Context | None = None
    truncated: bool | None = None


class SessionEvent(Record):
    """The event `session`: where the stream begins.

    Attributes:
        session: The session.
        messages: The latest page of its transcript, of the same moment.
        older: The cursor to ask for messages before these; null if there are none.
    """

    session: ChatSessionArtifact
    messages: tuple[ChatMessage, ...]
    older: str | None


class ChangeEvent(LedgerEntry):
    """The event `change`: one revision.

    Attributes:
        messages: The messages that the change has added or replaced, in order.
    """

    messages: tuple[FollowedMessage, ...]


class PartialEvent(Record):
    """The event `partial`: what an agent has written so far of its answer. It has no ID, and some may be left out.

    Attributes:
        message_id: The ID that the answer will have.
    """

    message_id: str
    text: str


class EndEvent(Record):
    """The event `end`, after which the stream closes.

    Attributes:
        reason: `deleted`, `not_found` if the session is no longer yours, or `token_expired`.
    """

    reason: EndReason


def write_session(event: SessionEvent) -> bytes:
    """Write a `session` event."""
    revision = event.session.revision
    return _write("session", event.model_dump_json().encode(), revision)


def write_change(entry: LedgerEntry, messages: list[JsonValue]) -> bytes:
    """Write a `change` event.

    Args:
        entry: The ledger's entry.
        messages: Each as a `FollowedMessage`, without the fields that it does not have.
    """
    fields = entry.model_dump(mode="json")
    return _write("change", to_json(fields | {"messages": messages}), entry.revision)


def write_partial(message_id: str, text: str) -> bytes:
    """Write a `partial` event."""
    return _write("partial", PartialEvent(message_id=message_id, text=text).model_dump_json().encode())


def write_end(reason: EndReason) -> bytes:
    """Write an `end` event."""
    return _write("end", EndEvent(reason=reason).model_dump_json().encode())


def _write(name: str, data: bytes, revision: int | None = None) -> bytes:
    # JSON as it is written here has no line breaks, so it is one line of data.
    identity = b"" if revision is None else b"id: %d\n" % revision
    return b"event: %s\n%sdata: %s\n\n" % (name.encode(), identity, data)
