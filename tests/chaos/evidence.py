"""What is known in the end: what was sent and answered, and what the stores and the journeys hold."""

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
"""Messages that are meant to stop a session. Those of a burst and the large ones are legal."""

LAST_CALLER: Final = "end"
"""Who opens, changes and reads every session once more after all harm."""

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
    """What a call was answered.

    Attributes:
        created: Of an initialization, whether it created the session.
        content_hash: Of the context that came with it, as the caller computed it.
        owners: The tenants whose content the context holds.
        entries: Of a ledger: revision and idempotency key.
        message_ids: Of a change, the messages that it added or replaced.
        deleted_at: Of a deletion.
        shown: Of a read, the rest of the session as it was shown.
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
        call: Its name.
        operation: What it was to achieve; several calls may stand for one.
        user_id: The user that it was sent for; None for a service.
        by_id: Whether it names the session; a read may ask for the user's latest.
        at_revision: Which revision it reads, if it is an earlier one.
        hostile: Of which kind it is, if it is meant to stop the session.
        change: The canonical change of an update, a signal or an edit, defaults filled in; of a hostile one that has to
            be refused without what makes it hostile.
        must_refuse: The code that the contract refuses it with, None where it is to stand.
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
    """All that the checker looks at.

    Attributes:
        openings: The sessions that anybody asked for.
        calls: Of all callers.
        stored: What Supabase holds.
        artifacts: What the State Surface holds.
        views: What the journeys answer for each session that lives, read through the starter.
        workflow_ids: Of all runs that Temporal knows, with how often each was started anew or continued.
        decided_at: By workflow ID, the times at which workflow tasks that were completed decided batches.
        failed_runs: Runs that ended otherwise than completed or continued, as `workflow ID: status`.
        unreplayable: Runs that another worker could not have gone on with, as `run ID: why`.
        unerased: Runs of deleted sessions that Temporal still lists long after, by workflow ID.
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
