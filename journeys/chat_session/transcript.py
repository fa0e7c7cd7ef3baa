"""The messages of a session's transcript, and the rules by which a change adds, replaces and removes them.

The transcript may be long, and no change reads it. A decision knows only the messages that the batch names, and
first takes them for absent. If the store has some of them, it refuses the write, and the batch is decided again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from pydantic import JsonValue

from journeys.canonical_json import canonical
from journeys.chat_session.messages import SignalChatContext
from journeys.chat_session.session import Context
from journeys.errors import InvalidParameter
from journeys.identifiers import Timestamp
from journeys.messages import Record

USER_ROLE: Final = "user"
"""The role of a user's own messages, the only ones that a user writes, replaces and removes."""

_ENVELOPE: Final = ("id", "role")


class StoredMessage(Record):
    """A message without its body: the parts that stay the same if the message is replaced."""

    message_id: str
    role: str | None
    author: str | None
    first_revision: int
    ordinal: int
    created_at: Timestamp


class WrittenMessage(StoredMessage):
    """A message that a batch adds or replaces, as it is to be stored.

    Attributes:
        body_hash: Hex SHA-256 of the canonical body.
    """

    revision: int
    body: Context
    body_hash: str
    updated_at: Timestamp


Messages = Mapping[str, StoredMessage | None]
"""Messages by ID; None for one that the transcript does not have."""


@dataclass(frozen=True, slots=True)
class TranscriptEdit:
    """What one change does to the transcript.

    Attributes:
        messages: The messages that the change touches, as they are after it.
        added: By how many the number of messages grows; negative if it shrinks.
        ledger: What the ledger keeps of the change.
        message_ids: The messages that the change adds or replaces, in order.
    """

    messages: Messages
    added: int
    ledger: Mapping[str, JsonValue]
    message_ids: tuple[str, ...]


NO_EDIT: Final = TranscriptEdit(messages={}, added=0, ledger={}, message_ids=())


@dataclass(frozen=True, slots=True)
class TranscriptWrite:
    """The net effect of a batch on the transcript. No message is written twice.

    Attributes:
        assumed_absent: Messages that the batch touches and that the store must not have; else it is decided again.
        written: Messages to add or to replace.
        removed: IDs of stored messages to remove.
    """

    assumed_absent: tuple[str, ...] = ()
    written: tuple[WrittenMessage, ...] = ()
    removed: tuple[str, ...] = ()


NO_WRITE: Final = TranscriptWrite()


class TranscriptDraft:
    """The transcript as the changes decided so far leave it, as far as they touch it.

    Attributes:
        messages: The known messages; all others are taken for absent.
    """

    def __init__(self, stored: Mapping[str, StoredMessage]) -> None:
        """Start with the messages that the store is known to have."""
        self._stored = stored
        self._touched: dict[str, None] = {}
        self.messages: dict[str, StoredMessage | None] = dict(stored)

    def apply(self, edit: TranscriptEdit) -> None:
        """Apply a change that was accepted."""
        self.messages |= edit.messages
        self._touched |= dict.fromkeys(edit.messages)

    def look_up(self, request: SignalChatContext) -> None:
        """Have the store look up the messages that a refused change names: they may exist after all."""
        self._touched |= dict.fromkeys([*(request.remove_messages or ()), *request.named_messages])

    def write(self) -> TranscriptWrite:
        """The net effect of the changes."""
        touched = {name: self.messages.get(name) for name in self._touched}
        return TranscriptWrite(
            assumed_absent=tuple(name for name in touched if name not in self._stored),
            written=tuple(message for message in touched.values() if isinstance(message, WrittenMessage)),
            removed=tuple(name for name, message in touched.items() if message is None and name in self._stored),
        )


def edit_transcript(
    request: SignalChatContext, message_ids: Sequence[str], messages: Messages, *, revision: int, at: datetime
) -> TranscriptEdit:
    """Apply a change to the messages that it names: first the removals, then the additions and replacements.

    Args:
        request: The change.
        message_ids: See `SignalChatContext.message_ids`.
        messages: The messages as the earlier changes left them; all others are taken for absent.
        revision: The revision that the change makes.
        at: The time at which the change is applied.

    Raises:
        InvalidParameter: Two messages would have one ID, or a user writes or removes a message that is not a user's.
    """
    if not request.messages and not request.remove_messages:
        return NO_EDIT
    after: dict[str, StoredMessage | None] = {}
    added = 0
    for name in request.remove_messages or ():
        earlier = after[name] if name in after else messages.get(name)
        _check_is_own(request, earlier, field="remove_messages")
        added -= earlier is not None
        after[name] = None
    if len(set(message_ids)) < len(message_ids):
        raise InvalidParameter("messages: one has the id that another one would be given", field="messages")
    hashes: list[JsonValue] = []
    for ordinal, (name, message) in enumerate(zip(message_ids, request.messages or (), strict=True)):
        earlier = after[name] if name in after else messages.get(name)
        if earlier is not None and message.get("id") is None:
            raise InvalidParameter(
                "messages: the transcript has another message under an id that would be given; name an id",
                field="messages",
            )
        _check_is_own(request, earlier, field="messages")
        role = _role_of(request, message) if earlier is None else earlier.role
        added += earlier is None
        body = {key: value for key, value in message.items() if key not in _ENVELOPE}
        body_hash = sha256(canonical(body)).hexdigest()
        hashes.append({"id": name, "body_hash": body_hash})
        after[name] = WrittenMessage.model_construct(
            message_id=name,
            role=role,
            author=earlier.author if earlier else request.author,
            first_revision=earlier.first_revision if earlier else revision,
            ordinal=earlier.ordinal if earlier else ordinal,
            created_at=earlier.created_at if earlier else at,
            revision=revision,
            body=body,
            body_hash=body_hash,
            updated_at=at,
        )
    ledger: dict[str, JsonValue] = {}
    if hashes:
        ledger["messages"] = hashes
    if request.remove_messages:
        ledger["remove_messages"] = list(request.remove_messages)
    return TranscriptEdit(messages=after, added=added, ledger=ledger, message_ids=tuple(message_ids))


def _role_of(request: SignalChatContext, message: Context) -> str | None:
    role = message.get("role")
    if role is None:
        return USER_ROLE if request.user_id is not None else None
    if request.user_id is not None and role != USER_ROLE:
        raise InvalidParameter("messages: a user writes messages of the role user only", field="messages")
    return str(role)


def _check_is_own(request: SignalChatContext, earlier: StoredMessage | None, *, field: str) -> None:
    if request.user_id is not None and earlier is not None and earlier.role != USER_ROLE:
        raise InvalidParameter(f"{field}: a user replaces and removes messages of the role user only", field=field)
