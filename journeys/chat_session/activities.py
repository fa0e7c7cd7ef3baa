"""The arguments and results of the activities of a chat session's workflow."""

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Literal, Self

from pydantic import Field

from journeys.chat_session.limits import Limits
from journeys.chat_session.refusals import NO_REFUSALS, Refusals
from journeys.chat_session.session import ChatSessionArtifact, ChatSessionReceipt, LifecycleState, Revision
from journeys.errors import JourneyError, error_of
from journeys.identifiers import Timestamp
from journeys.messages import Record


# Every acknowledged update has an outcome in its history, so a field with its usual value is left out.
def _is_default(default: object) -> Callable[[object], bool]:
    return lambda value: value == default


class SessionSettings(Record):
    """The worker's settings that a session's workflow follows.

    The workflow gets them as the result of an activity, so its history holds them. A worker with other settings replays
    the same decisions.

    Attributes:
        limits: How large requests and contexts may be.
        idle_seconds: After this time without a message, the journey completes.
        rollover_messages: After so many messages a run continues as new; with a large context, later.
    """

    limits: Limits = Field(default_factory=Limits)
    idle_seconds: float
    rollover_messages: int


@lru_cache(maxsize=16)
def shared(settings: SessionSettings | None) -> SessionSettings | None:
    """One object for all equal settings: the sessions of a worker nearly always have the same."""
    return settings


MessageKind = Literal["initialize", "update", "signal", "edit", "delete"]


class ReceivedMessage(Record):
    """One message of a batch; its payload travels beside this record, as it came.

    Attributes:
        identity: `<run ID>/<update ID>` of an update, `<first run ID>/<ordinal>` of a signal; unique in the session.
    """

    identity: str
    kind: MessageKind

    @property
    def update_id(self) -> str:
        """The ID of the update that the message came as."""
        return self.identity.partition("/")[2]


class Batch(Record):
    """The first argument of an activity that decides messages; their payloads follow it in the same order.

    Attributes:
        first_run_id: The first run of the workflow's chain of runs.
        at: When the changes are applied.
        messages: In the order in which they came.
        has_argument: Whether the workflow's own argument is the first payload, before those of the messages.
        may_create: Whether an initialization may create the session. A session that was there and is gone stays gone.
        revision: The revision that the workflow knows; None if it has loaded nothing yet.
        context_hash: The context's hash at that revision.
        refusals: The refusals that are stored, as far as the workflow knows.
        refused: Signals that the workflow has refused since, by their size or form.
    """

    first_run_id: str
    at: Timestamp
    messages: tuple[ReceivedMessage, ...] = ()
    has_argument: bool = False
    may_create: bool = False
    revision: Revision | None = None
    context_hash: str | None = None
    refusals: Refusals = NO_REFUSALS
    refused: Refusals = NO_REFUSALS


class KnownChange(Record):
    """A change that the ledger has.

    Attributes:
        message: The identity of the message that made it; None if no message did.
        message_ids: The transcript's messages that it added or replaced, in order.
    """

    revision: int
    idempotency_key: str
    change_hash: str
    active_agent: str
    context_hash: str | None
    applied_at: Timestamp
    message: str | None = None
    message_ids: tuple[str, ...] = Field(default=(), exclude_if=_is_default(()))


class Refused(Record):
    """The message is refused with an error of the contract."""

    code: str
    text: str
    field: str = ""

    @classmethod
    def by(cls, error: JourneyError) -> Self:
        """The refusal with this error."""
        return cls(code=error.code, text=error.message, field=error.field)

    @property
    def error(self) -> JourneyError:
        """The error that a caller gets."""
        return error_of(self.code, self.text, field=self.field)


class Outcome(Record):
    """What became of one message.

    Attributes:
        refused: The error, if it is refused. The other attributes do not matter then.
        revision: The revision that holds the change; None for an initialization.
        known: The change as the ledger has it, if it was there before this batch.
        duplicate: Whether another message made that change.
        returning: The kind of answer that an update asks for.
        created: Whether the session was created by the runs that this message belongs to.
        keeps_context: Whether the change cannot have changed the context; false if no change of the batch has.
        message_ids: The transcript's messages that an update of this batch has added or replaced, in order.
        deleted_at: When the session was deleted, for a deletion.
    """

    refused: Refused | None = Field(default=None, exclude_if=_is_default(None))
    revision: int | None = Field(default=None, exclude_if=_is_default(None))
    known: KnownChange | None = Field(default=None, exclude_if=_is_default(None))
    duplicate: bool = Field(default=False, exclude_if=_is_default(default=False))
    returning: Literal["receipt", "artifact"] = Field(default="receipt", exclude_if=_is_default("receipt"))
    created: bool = Field(default=False, exclude_if=_is_default(default=False))
    keeps_context: bool = Field(default=False, exclude_if=_is_default(default=False))
    message_ids: tuple[str, ...] = Field(default=(), exclude_if=_is_default(()))
    deleted_at: Timestamp | None = Field(default=None, exclude_if=_is_default(None))

    @property
    def is_applied(self) -> bool:
        """Whether this batch has applied the message's change."""
        return self.revision is not None and self.known is None and not self.refused


class SessionState(Record):
    """What a batch has changed of a session that the workflow knows, apart from the context.

    A field is None if it is the same as before the batch.

    Attributes:
        title: Empty if the session has none any more.
        updated_at: None if it is the batch's own time.
    """

    revision: int
    context_hash: str | None = Field(default=None, exclude_if=_is_default(None))
    active_agent: str | None = Field(default=None, exclude_if=_is_default(None))
    updated_at: Timestamp | None = Field(default=None, exclude_if=_is_default(None))
    message_count: int = 0
    turn_revision: int | None = Field(default=None, exclude_if=_is_default(None))
    title: str | None = Field(default=None, exclude_if=_is_default(None))
    lifecycle_state: LifecycleState | None = Field(default=None, exclude_if=_is_default(None))
    user_id: str | None = Field(default=None, exclude_if=_is_default(None))

    def change(self, session: ChatSessionReceipt, *, at: datetime) -> ChatSessionReceipt:
        """The session after the batch, from the session before it and the batch's time."""
        return session.model_copy(
            update={
                "revision": self.revision,
                "context_hash": self.context_hash or session.context_hash,
                "active_agent": self.active_agent or session.active_agent,
                "updated_at": self.updated_at or at,
                "message_count": self.message_count,
                "turn_revision": self.turn_revision or session.turn_revision,
                "title": session.title if self.title is None else self.title or None,
                "lifecycle_state": self.lifecycle_state or session.lifecycle_state,
                "user_id": self.user_id or session.user_id,
            }
        )


class DecidedBatch(Record):
    """The result of an activity that decides messages. Both stores hold it.

    Attributes:
        at: The batch's time. In a replay, the workflow's clock may show another.
        outcomes: The outcome of each message, in order.
        state: The session after the batch, if the workflow can fold its context from the one that it knows.
        loaded: The whole session after the batch, if the workflow does not know its context. If `state` and `loaded`
            are both None, there is no session.
        context_bytes: Canonical size of the context; None if it is the same as before the batch.
        settings: The worker's settings, if the workflow knows none yet.
        refusals: The stored refusals after the batch, if they are not the batch's `refusals` and `refused` together.
        advanced_from: The revision that was advanced because the State Surface was ahead of Supabase.
        failure: Why there is no session.
        is_deleted: Whether the session is deleted.
        is_superseded: Whether nothing was decided, because the stores have a later batch: another worker has completed
            the workflow task meanwhile, or the server's clock was put back. The messages then wait.
    """

    at: Timestamp
    outcomes: tuple[Outcome, ...] = ()
    state: SessionState | None = Field(default=None, exclude_if=_is_default(None))
    loaded: ChatSessionArtifact | None = Field(default=None, exclude_if=_is_default(None))
    context_bytes: int | None = Field(default=None, exclude_if=_is_default(None))
    settings: SessionSettings | None = Field(default=None, exclude_if=_is_default(None))
    refusals: Refusals | None = Field(default=None, exclude_if=_is_default(None))
    advanced_from: int | None = Field(default=None, exclude_if=_is_default(None))
    failure: Refused | None = Field(default=None, exclude_if=_is_default(None))
    is_deleted: bool = Field(default=False, exclude_if=_is_default(default=False))
    is_superseded: bool = Field(default=False, exclude_if=_is_default(default=False))
