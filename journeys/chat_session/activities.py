"""The arguments and results of the chat session's activities."""

from typing import Final, Literal

from pydantic import AliasChoices, Field

from journeys.chat_session.limits import Limits
from journeys.chat_session.messages import SignalChatContext
from journeys.chat_session.session import ChatSessionArtifact, LedgerEntry
from journeys.identifiers import Timestamp
from journeys.messages import Record

# Older histories hold this field under its former name, `policy`.
SETTINGS_NAMES: Final = AliasChoices("settings", "policy")


class SessionSettings(Record):
    """The worker's settings that a session's workflow follows.

    An activity returns them, so the workflow's history holds them. A worker with other settings that replays the
    history therefore makes the same decisions.

    Attributes:
        limits: How large changes and contexts may be.
        idle_seconds: Seconds without a message after which the journey completes.
        rollover_messages: Messages after which a run continues as new; more if the run began with a large context.
    """

    limits: Limits = Field(default_factory=Limits)
    idle_seconds: float
    rollover_messages: int


class AcceptedChange(Record):
    """A change that is accepted and not applied yet, with its idempotency key."""

    request: SignalChatContext
    key: str


class LoadSession(Record):
    """Load a stored session, and bring the State Surface up to its revision.

    Attributes:
        change: A change to store in the same call if it can be applied as it is; otherwise the workflow decides it.
        at: The time at which the change is applied.
    """

    chat_session_id: str
    change: AcceptedChange | None = None
    at: Timestamp


class CreateSession(Record):
    """Create a session unless it exists.

    Attributes:
        session: The session to create.
        idempotency_key: The initialization's idempotency key.
    """

    session: ChatSessionArtifact
    idempotency_key: str


class LoadedSession(Record):
    """A session as both stores hold it.

    Attributes:
        session: None if there is no such session.
        advanced_from: The session's former revision, if the session was advanced because the State Surface was ahead
            of Supabase.
        applied: Whether this call stored the change of its `LoadSession`.
    """

    session: ChatSessionArtifact | None
    settings: SessionSettings = Field(validation_alias=SETTINGS_NAMES)
    advanced_from: int | None = None
    applied: bool = False


class WriteChanges(Record):
    """Store a batch of changes, all or none, after looking up its keys in the ledger.

    Attributes:
        base_revision: The revision that the batch was decided against.
        keys: The idempotency keys to look up. If the ledger has one of them, nothing is written.
        entries: The changes to apply, in order; empty if the batch only looks up keys.
        session: The session after the last change.
    """

    base_revision: int
    keys: tuple[str, ...]
    entries: tuple[LedgerEntry, ...]
    session: ChatSessionArtifact


class KnownChange(Record):
    """A change that was applied before, as the ledger has it."""

    revision: int
    idempotency_key: str
    change_hash: str
    active_agent: str
    context_hash: str | None
    applied_at: Timestamp


class WrittenChanges(Record):
    """The outcome of a batch.

    Attributes:
        outcome: `written`: both stores hold the batch. `stopped`: nothing was written, because the ledger has one of
            the keys or the stored revision is not the base revision; decide again with `known` and `session`.
        known: The changes that the ledger has under the batch's keys.
        session: The stored session, if the workflow does not have it yet.
        advanced_from: As in `LoadedSession`.
    """

    # History holds one of these for every acknowledged update, so default values are left out.
    outcome: Literal["written", "stopped"] = Field(default="written", exclude_if=lambda outcome: outcome == "written")
    known: tuple[KnownChange, ...] = Field(default=(), exclude_if=lambda known: not known)
    session: ChatSessionArtifact | None = Field(default=None, exclude_if=lambda session: session is None)
    advanced_from: int | None = Field(default=None, exclude_if=lambda advanced_from: advanced_from is None)
