"""A session's transcript, computed from the changes in its ledger and the bodies that were sent."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from journeys.canonical_json import canonical_hash
from journeys.chat_session.keys import message_id
from journeys.chat_session.session import LedgerEntry
from tests.chaos.evidence import Call, TranscriptRow
from tests.chaos.findings import Session

_ENVELOPE = ("id", "role")
_USER_ROLE = "user"


@dataclass(slots=True)
class Transcript:
    """A session's transcript after its last change, and as it was before.

    Attributes:
        rows: Messages by ID.
        counts: How many there were at each revision, from 0.
    """

    rows: dict[str, TranscriptRow] = field(default_factory=dict)
    counts: list[int] = field(default_factory=lambda: [0])
    _roles: dict[str, list[tuple[int, str | None, bool]]] = field(default_factory=dict)

    @property
    def in_order(self) -> list[TranscriptRow]:
        """The messages in the order of the conversation."""
        return sorted(self.rows.values(), key=lambda row: (row.first_revision, row.ordinal))

    def is_anothers(self, name: str, revision: int) -> bool:
        """Whether there was a message of this ID at a revision, and it was not a user's."""
        roles = self._roles.get(name, [])
        place = bisect_right(roles, revision, key=lambda role: role[0])
        return place > 0 and roles[place - 1][2] and roles[place - 1][1] != _USER_ROLE

    def apply(self, entry: LedgerEntry, sent: Call, chat_session_id: str) -> None:
        """Apply the change of a ledger entry."""
        for name in removed_messages(sent.change or {}):
            self.rows.pop(name, None)
            self._note(name, entry.revision, None, is_there=False)
        for ordinal, (name, message) in enumerate(sent_messages(chat_session_id, entry.idempotency_key, sent)):
            earlier = self.rows.get(name)
            role = message.get("role") or (_USER_ROLE if sent.user_id else None)
            body = body_of(message)
            self.rows[name] = TranscriptRow(
                message_id=name,
                first_revision=earlier.first_revision if earlier else entry.revision,
                ordinal=earlier.ordinal if earlier else ordinal,
                revision=entry.revision,
                role=earlier.role if earlier else str(role) if role else None,
                author=earlier.author if earlier else entry.author,
                body=body,
                body_hash=canonical_hash(body),
                created_at=earlier.created_at if earlier else entry.applied_at,
                updated_at=entry.applied_at,
            )
            self._note(name, entry.revision, self.rows[name].role, is_there=True)
        self.counts.append(len(self.rows))

    def _note(self, name: str, revision: int, role: str | None, *, is_there: bool) -> None:
        self._roles.setdefault(name, []).append((revision, role, is_there))


def replay_transcript(session: Session) -> Transcript:
    """The transcript that the session's ledger makes."""
    return transcript_of(session.identity, session.stored.ledger, {call.operation: call for call in session.calls})


def transcript_of(chat_session_id: str, ledger: tuple[LedgerEntry, ...], sent: Mapping[str, Call]) -> Transcript:
    """The transcript that a ledger makes of what was sent, by operation."""
    transcript = Transcript()
    for entry in ledger:
        if call := sent.get(entry.author or ""):
            transcript.apply(entry, call, chat_session_id)
        else:  # the checker reports a change that nobody sent
            transcript.counts.append(len(transcript.rows))
    return transcript


def sent_messages(chat_session_id: str, key: str, sent: Call) -> Iterator[tuple[str, Mapping[str, JsonValue]]]:
    """The messages of a change, each with the ID that it has or that the journey gives it."""
    messages = (sent.change or {}).get("messages") or []
    assert isinstance(messages, list)
    for index, message in enumerate(messages):
        assert isinstance(message, dict)
        yield str(message.get("id") or message_id(chat_session_id, key, index)), message


def removed_messages(change: Mapping[str, JsonValue]) -> list[str]:
    """The IDs of the messages that a change removes."""
    names = change.get("remove_messages") or []
    assert isinstance(names, list)
    return [str(name) for name in names]


def body_of(message: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """What is stored of a message as its body."""
    return {name: value for name, value in message.items() if name not in _ENVELOPE}


def as_in_the_ledger(chat_session_id: str, key: str, sent: Call) -> dict[str, JsonValue]:
    """A change as the ledger keeps it: of its messages only their IDs and the hashes of their bodies."""
    change = dict(sent.change or {})
    messages: list[JsonValue] = [
        {"id": name, "body_hash": canonical_hash(body_of(message))}
        for name, message in sent_messages(chat_session_id, key, sent)
    ]
    return change | {"messages": messages} if messages else change
