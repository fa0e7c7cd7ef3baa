"""What the chat session workflow and its activities tell each other."""

from typing import Final, Literal

from pydantic import AliasChoices, Field

from journeys.chat_session.limits import Limits
from journeys.chat_session.messages import SignalChatContext
from journeys.chat_session.session import ChatSessionArtifact, LedgerEntry
from journeys.identifiers import Timestamp
from journeys.messages import Record

# Histories of runs that began under an earlier name of the field have `policy`.
SETTINGS_NAMES: Final = AliasChoices("settings", "policy")


class SessionSettings(Record):
    """The worker's settings that a journey goes by.

    The workflow gets them as the result of an activity, so its history holds them: another worker that replays it, with
    other settings, decides the same.

    Attributes:
        limits: How large changes and contexts may be.
        idle_seconds: After so long without a message the journey completes.
        rollover_messages: After so many messages a run continues as new; one that began with a large context later.
    """

    limits: Limits = Field(default_factory=Limits)
    idle_seconds: float
    rollover_messages: int


class AcceptedChange(Record):
    """A change that was accepted and is not applied yet, under the key that it has."""

    request: SignalChatContext
    key: str


class LoadSession(Record):
    """Load a stored session, after bringing the State Surface up to it.

    Attributes:
        change: To apply at once where nothing speaks against it; else it is judged with the others.
        at: When it is applied.
    """

    chat_session_id: str
    change: AcceptedChange | None = None
    at: Timestamp


class CreateSession(Record):
    """Create a session unless it is there.

    Attributes:
        session: As it is to be.
        idempotency_key: Of the initialization.
    """

    session: ChatSessionArtifact
    idempotency_key: str


class LoadedSession(Record):
    """What is stored, in both stores.

    Attributes:
        session: None where there is no such session.
        advanced_from: The revision it was raised from because the State Surface was ahead of Supabase.
        applied: Whether the session has the change that it was loaded with, by this very call.
    """

    session: ChatSessionArtifact | None
    settings: SessionSettings = Field(validation_alias=SETTINGS_NAMES)
    advanced_from: int | None = None
    applied: bool = False


class WriteChanges(Record):
    """Store a batch of changes, all or none, after looking its keys up in the ledger.

    Attributes:
        base_revision: The revision that the batch was judged against.
        keys: The idempotency keys to look up; a known one stops the batch.
        entries: The changes to apply, in order; none where only keys are looked up.
        session: The session after the last of them.
    """

    base_revision: int
    keys: tuple[str, ...]
    entries: tuple[LedgerEntry, ...]
    session: ChatSessionArtifact


class KnownChange(Record):
    """What the ledger knows of a change that was applied before."""

    revision: int
    idempotency_key: str
    change_hash: str
    active_agent: str
    context_hash: str | None
    applied_at: Timestamp


class WrittenChanges(Record):
    """What became of a batch.

    Attributes:
        outcome: `written`: both stores hold it. `stopped`: nothing was written, since keys are known or the
            stored revision is another one; decide again with `known` and `session`.
        known: What the ledger has under the batch's keys.
        session: What is stored, where that is not what the batch was judged against.
        advanced_from: As in `LoadedSession`.
    """

    # Every acknowledged update has one of these in its history, so what it need not say is left out.
    outcome: Literal["written", "stopped"] = Field(default="written", exclude_if=lambda outcome: outcome == "written")
    known: tuple[KnownChange, ...] = Field(default=(), exclude_if=lambda known: not known)
    session: ChatSessionArtifact | None = Field(default=None, exclude_if=lambda session: session is None)
    advanced_from: int | None = Field(default=None, exclude_if=lambda advanced_from: advanced_from is None)
