"""What is known after a run: what was sent and answered, and what the stores and the journeys hold."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from pydantic import JsonValue

from journeys.chat_session.answers import ChatSessionView
from journeys.chat_session.refusals import Refusals
from journeys.chat_session.session import LedgerEntry
from journeys.identifiers import Timestamp
from journeys.messages import Record
from journeys.state_surface import SurfaceArtifact

Kind = Literal["initialize", "update", "signal", "edit", "delete", "get", "earlier", "history"]
"""What a call is: `edit` is `update_chat_session`, `earlier` a read of an earlier revision."""

CHANGES: Final[Sequence[Kind]] = ("update", "signal", "edit")
Hostile = Literal["burst", "large", "too large", "malformed", "large, of a stranger"]
"""Kinds of messages that are meant to stop a session. `burst` and `large` are legal."""

LAST_CALLER: Final = "end"
"""The caller that opens, changes and reads every session once more after all harm."""

Outcome = Literal["done", "refused", "unknown", "broken"]


class Opening(Record):
    """A session as its first initialization asks for it."""

    chat_session_id: str
    idempotency_key: str
    tenant_id: str
    user_id: str
    active_agent: str
    context: dict[str, JsonValue]


class Shown(Record):
    """What a session is called, whether it is active, whose it is, and how many messages it has."""

    title: str | None
    lifecycle_state: str
    user_id: str | None
    message_count: int


class Answer(Record):
    """The answer to a call.

    Attributes:
        created: Of an initialization, whether it created the session.
        content_hash: Of the context in the answer, computed by the caller.
        owners: The tenants whose content the context holds.
        entries: Of a ledger: revision and idempotency key.
        message_ids: Of a change, the messages that it added or replaced.
        deleted_at: Of a deletion.
        shown: Of a read, the rest of the session.
    """

    chat_session_id: str | None = None
    tenant_id: str | None = None
    active_agent: str | None = None
    revision: int | None = None
    context_hash: str | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    applied_revision: int | None = None
    duplicate: bool | None = None
    created: bool | None = None
    content_hash: str | None = None
    owners: tuple[str, ...] = ()
    entries: tuple[tuple[int, str], ...] = ()
    message_ids: tuple[str, ...] | None = None
    deleted_at: Timestamp | None = None
    shown: "Shown | None" = None


class Call(Record):
    """One call of one caller, and what became of it.

    Attributes:
        call: Its ID.
        operation: The operation that it sends; several calls may send the same one.
        user_id: The user that it was sent for; None for a service.
        by_id: Whether it names the session; a read may ask for the user's latest.
        at_revision: The revision that an `earlier` read asks for.
        hostile: Its kind, if it is meant to stop the session.
        change: The canonical change of an update, a signal or an edit, defaults filled in. If it is hostile and has to
            be refused, the part that makes it hostile is left out.
        must_refuse: The code that the contract refuses it with; None if it is to be applied.
        invoked_at: On the machine's one monotonic clock.
        outcome: `done`: answered, or for a signal accepted. `unknown`: no answer, so perhaps done.
            `broken`: an error that is not one of the contract's.
    """

    call: str
    operation: str
    caller: str
    kind: Kind
    chat_session_id: str
    tenant_id: str
    user_id: str | None = None
    by_id: bool = True
    at_revision: int | None = None
    hostile: Hostile | None = None
    key: str | None = None
    base_revision: int | None = None
    change: dict[str, JsonValue] | None = None
    must_refuse: str | None = None
    invoked_at: float
    ended_at: float | None = None
    outcome: Outcome = "unknown"
    code: str | None = None
    answer: Answer | None = None


class TranscriptRow(Record):
    """A message as Supabase holds it."""

    message_id: str
    first_revision: int
    ordinal: int
    revision: int
    role: str | None
    author: str | None
    body: dict[str, JsonValue]
    body_hash: str
    created_at: Timestamp
    updated_at: Timestamp


class StoredSession(Record):
    """A session's row in Supabase, its ledger, oldest first, and its transcript, in order.

    Attributes:
        user_id: None once it is deleted.
        creation: The ledger's entry for revision 0.
    """

    chat_session_id: str
    tenant_id: str
    user_id: str | None
    title: str | None
    lifecycle_state: str
    message_count: int
    active_agent: str
    context: dict[str, JsonValue]
    context_hash: str | None
    revision: int
    idempotency_key: str
    created_at: Timestamp
    updated_at: Timestamp
    refusals: Refusals | None
    creation: LedgerEntry | None
    ledger: tuple[LedgerEntry, ...]
    transcript: tuple[TranscriptRow, ...]

    @property
    def is_deleted(self) -> bool:
        """Whether only its tombstone is left."""
        return self.lifecycle_state == "DELETED"


class Evidence(Record):
    """Everything that the checker looks at.

    Attributes:
        openings: The sessions that anybody asked for.
        calls: Of all callers.
        stored: What Supabase holds.
        artifacts: What the State Surface holds.
        views: What the journey of each living session answers to a read.
        workflow_ids: How many runs Temporal knows, by workflow ID.
        decided_at: By workflow ID, the times at which completed workflow tasks decided batches.
        failed_runs: Runs that ended neither completed nor continued as new, as `workflow ID: status (run ID)`.
        unreplayable: Runs that cannot be replayed, as `run ID: why`.
        unerased: How many runs of deleted sessions Temporal still lists in the end, by workflow ID.
    """

    openings: tuple[Opening, ...]
    calls: tuple[Call, ...]
    stored: tuple[StoredSession, ...]
    artifacts: tuple[SurfaceArtifact, ...]
    views: tuple[ChatSessionView, ...]
    workflow_ids: Mapping[str, int]
    decided_at: Mapping[str, tuple[Timestamp, ...]] = {}
    failed_runs: tuple[str, ...] = ()
    unreplayable: tuple[str, ...] = ()
    unerased: Mapping[str, int] = {}
