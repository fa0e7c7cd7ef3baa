"""Chat Session Management: the journey's names, and what other systems send to it and get from it.

Intents: `initialize_chat_session` creates a session exactly once, `get_chat_session` reads it,
`update_chat_context` changes the conversation context that its agents share.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Self
from uuid import NAMESPACE_URL, uuid5

from pydantic import AfterValidator, Field, JsonValue, StringConstraints, model_validator

from contract.canonical_json import canonical, canonical_hash
from contract.errors import ContextTooLarge, InvalidParameter
from contract.identifiers import (
    UUID_PATTERN,
    Author,
    IdempotencyKey,
    Identifier,
    Sha256,
    Timestamp,
    Uuid,
    intent_key,
    like,
)
from contract.json_fidelity import MAX_SAFE_INTEGER, check_fidelity
from contract.limits import Limits
from contract.messages import Record, Request

JOURNEY_ID = "journey_coexistence_chat_session"
"""The workflow type."""

DEFAULT_TASK_QUEUE = "coexistence-journeys"

INITIALIZE = "initialize_chat_session"
GET = "get_chat_session"
UPDATE = "update_chat_context"
HISTORY = "get_chat_session_history"
LOAD = "load_chat_session"

ARTIFACT_TYPE = "chat_session"
DEFAULT_AGENT = "guide"
WORKFLOW_ID_PREFIX = "chat-session/"

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far ahead of the server's clock a `requested_at` may be."""

_NAMESPACE = uuid5(NAMESPACE_URL, JOURNEY_ID)
_UUID = re.compile(UUID_PATTERN)

Agent = Annotated[
    str,
    StringConstraints(max_length=255),
    AfterValidator(like(r"guide|liaison_[a-z][a-z0-9_]*", "is guide or liaison_<pillar>")),
]
"""Who leads the conversation: `guide`, or `liaison_<pillar>`."""

Context = dict[str, JsonValue]
"""The conversation context that all agents of a session share."""

Revision = Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER)]
"""0 at creation, one more for each applied change."""


def session_key(tenant_id: str, user_id: str, requested_at: datetime) -> str:
    """The idempotency key of an initialization: one per tenant, user and UTC minute of `requested_at`."""
    window = requested_at.astimezone(UTC).replace(second=0, microsecond=0)
    return intent_key(
        INITIALIZE,
        tenant_id=tenant_id,
        timestamp_window=window.isoformat().replace("+00:00", "Z"),
        user_id=user_id,
    )


def session_id(key: str) -> str:
    """The session that an initialization's idempotency key stands for, as a UUID."""
    return str(uuid5(_NAMESPACE, key))


def is_session_id(text: str) -> bool:
    """Whether a text can be a session's ID: a UUID in its canonical form."""
    return _UUID.fullmatch(text) is not None


def workflow_id(chat_session_id: str) -> str:
    """The ID of the workflow that runs a session's journey."""
    return WORKFLOW_ID_PREFIX + chat_session_id


class InitializeChatSession(Request):
    """Create the session of a tenant's user, or find it where it exists.

    Attributes:
        tenant_id: Whose platform.
        user_id: Who opened the chat.
        requested_at: When they did. Stamp it once and keep it over retries: the session's ID comes from it.
        active_agent: Who leads at first; ignored where the session exists.
        context: What the agents know at first; ignored where the session exists.
    """

    tenant_id: Identifier
    user_id: Identifier
    requested_at: Timestamp
    active_agent: Agent = DEFAULT_AGENT
    context: Context = Field(default_factory=dict)

    @property
    def key(self) -> str:
        """The idempotency key."""
        return session_key(self.tenant_id, self.user_id, self.requested_at)

    def session(self, now: datetime) -> "ChatSessionArtifact":
        """The session to create, as it is at its creation."""
        return ChatSessionArtifact(
            chat_session_id=session_id(self.key),
            tenant_id=self.tenant_id,
            user_id=self.user_id,
            active_agent=self.active_agent,
            context=self.context,
            context_hash=canonical_hash(self.context),
            revision=0,
            created_at=now,
            updated_at=now,
        )

    def check(self, chat_session_id: str, now: datetime) -> None:
        """Check that this creates the session it was sent to, and not in the future.

        Raises:
            InvalidParameter: It does not.
        """
        if session_id(self.key) != chat_session_id:
            raise InvalidParameter(
                "requested_at: tenant, user and time do not derive this session's ID; keep requested_at over retries",
                field="requested_at",
            )
        if self.requested_at > now + CLOCK_TOLERANCE:
            raise InvalidParameter(
                "requested_at: is more than five minutes ahead of the server's clock", field="requested_at"
            )


class InitialState(Request):
    """What a journey's argument says of the session to create; see `InitializeChatSession`."""

    requested_at: Timestamp
    active_agent: Agent = DEFAULT_AGENT
    context: Context = Field(default_factory=dict)


class JourneyArgument(Request):
    """The workflow's argument.

    With `initialize` the journey creates the session if it is not there yet; without, it resumes one that is
    stored. It is only a claim: the stored row says whose session it is.
    """

    chat_session_id: Uuid
    tenant_id: Identifier
    user_id: Identifier | None = None
    initialize: InitialState | None = None

    @model_validator(mode="after")
    def _initializing_names_the_user(self) -> Self:
        if self.initialize and self.user_id is None:
            raise InvalidParameter("user_id: is needed to initialize a session", field="user_id")
        return self

    @property
    def initialization(self) -> InitializeChatSession | None:
        """The message that this argument stands for, if it initializes."""
        if self.initialize is None or self.user_id is None:
            return None
        return InitializeChatSession(
            tenant_id=self.tenant_id,
            user_id=self.user_id,
            requested_at=self.initialize.requested_at,
            active_agent=self.initialize.active_agent,
            context=self.initialize.context,
        )


class GetChatSession(Request):
    """Read a session: of the journey that is asked, by its ID, or the user's most recent active one."""

    tenant_id: Identifier
    user_id: Identifier | None = None
    chat_session_id: Uuid | None = None


class GetChatSessionHistory(Request):
    """Read a session's ledger, oldest first, as far as one answer holds."""

    tenant_id: Identifier
    chat_session_id: Uuid
    after_revision: Revision = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class SignalChatContext(Request):
    """Change the shared context and hand the conversation over, without waiting for an answer.

    Attributes:
        tenant_id: Whose session.
        user_id: Which user's; null for a service that acts for the tenant.
        context: A JSON Merge Patch (RFC 7396) to the context.
        append: Items to add to the end of top-level arrays of the patched context.
        active_agent: Who leads from now on.
        merge_strategy: `replace` applies `context` to an empty one and needs the current `base_revision`.
        base_revision: The revision that the change was written against.
        idempotency_key: Names this change; sent again with it, it stands once.
        author: Who makes the change; kept in the ledger.
    """

    tenant_id: Identifier
    user_id: Identifier | None = None
    context: Context | None = None
    append: dict[str, list[JsonValue]] | None = None
    active_agent: Agent | None = None
    merge_strategy: Literal["merge", "replace"] = "merge"
    base_revision: Revision | None = None
    idempotency_key: IdempotencyKey | None = None
    author: Author | None = None

    @model_validator(mode="after")
    def _replacing_is_complete(self) -> Self:
        if self.merge_strategy == "replace":
            if self.context is None:
                raise InvalidParameter("context: is needed to replace the context", field="context")
            if self.base_revision is None:
                raise InvalidParameter(
                    "base_revision: is needed to replace the context; name the current one",
                    field="base_revision",
                )
        return self

    @property
    def change(self) -> dict[str, JsonValue]:
        """What the message changes, apart from who sends it and how: defaults filled in, null where absent."""
        return {
            "context": self.context,
            "append": {key: list(items) for key, items in self.append.items()} if self.append is not None else None,
            "active_agent": self.active_agent,
            "merge_strategy": self.merge_strategy,
        }

    def key(self, chat_session_id: str, message: str) -> str:
        """The idempotency key of this change.

        Args:
            chat_session_id: The session it goes to.
            message: The identity of the message, which stands for the context state where no base does.
        """
        return self.idempotency_key or update_key(
            chat_session_id, self.change, base_revision=self.base_revision, message=message
        )


class UpdateChatContext(SignalChatContext):
    """The same, acknowledged: it is answered when both stores hold it.

    Attributes:
        returning: `receipt` leaves the context out of the answer.
    """

    returning: Literal["artifact", "receipt"] = "artifact"


def update_key(
    chat_session_id: str, change: Mapping[str, JsonValue], *, base_revision: int | None, message: str
) -> str:
    """The idempotency key of a change whose caller names none.

    It is bound to the context state that the change was written against: its base, or else the message itself.
    The revision that happens to be current will not do: a message that is delivered twice would be two changes.
    """
    state: dict[str, JsonValue] = {"message": message} if base_revision is None else {"base_revision": base_revision}
    return canonical_hash(
        {"chat_session_id": chat_session_id, "context_hash": canonical_hash({"change": dict(change)} | state)}
    )


def check_context(context: Context, limits: Limits) -> None:
    """Check the size and nesting of a context that a session is to start with.

    Raises:
        ContextTooLarge: It is over `limits.context_bytes`.
        InvalidParameter: It is nested more deeply than `limits.nesting`.
    """
    check_fidelity(context, field="context", depth=limits.nesting)
    check_context_size(len(canonical(context)), limits)


def check_context_size(size: int, limits: Limits) -> None:
    """Check a context's canonical size in bytes.

    Raises:
        ContextTooLarge: It is over `limits.context_bytes`.
    """
    if size > limits.context_bytes:
        raise ContextTooLarge(
            f"the context would have {size} bytes, {limits.context_bytes} are allowed; remove something first",
            field="context",
        )


class ChatSessionReceipt(Record):
    """A session as it is, without its context.

    Attributes:
        context_hash: Hex SHA-256 of the canonical context.
        revision: 0 at creation, one more for each applied change.
    """

    artifact_type: Literal["chat_session"] = "chat_session"
    chat_session_id: Uuid
    tenant_id: Identifier
    user_id: Identifier
    active_agent: Agent
    lifecycle_state: Literal["ACTIVE"] = "ACTIVE"
    revision: Revision
    context_hash: Sha256
    created_at: Timestamp
    updated_at: Timestamp


class ChatSessionArtifact(ChatSessionReceipt):
    """The chat session as an artifact: what is stored, registered and read back."""

    context: Context

    def is_for(self, tenant_id: str, user_id: str | None) -> bool:
        """Whether a tenant's user, or without one a service of the tenant, may see and change this session."""
        return self.tenant_id == tenant_id and user_id in (None, self.user_id)


class Refusal(Record):
    """A signal that was refused. Never its text, values or IDs."""

    at: Timestamp
    code: str
    field: str


class Refusals(Record):
    """What became of signals that nobody could be answered for: how many were refused, and the last ten."""

    count: int = 0
    last: tuple[Refusal, ...] = ()

    def with_one_more(self, refusal: Refusal) -> "Refusals":
        """These and one more."""
        return Refusals(count=self.count + 1, last=(*self.last[-9:], refusal))


class ChatSessionView(ChatSessionArtifact):
    """What `get_chat_session` shows: the session, and of a live journey the signals that it refused."""

    refusals: Refusals | None = None


class UpdateReceipt(ChatSessionReceipt):
    """What `update_chat_context` answers with `returning: receipt`.

    Attributes:
        applied_revision: The revision that holds this change.
        duplicate: Whether the change had been applied before.
    """

    applied_revision: Revision
    duplicate: bool


class UpdatedChatSession(ChatSessionArtifact, UpdateReceipt):
    """What `update_chat_context` answers: the session as it is now, and the receipt's fields."""


class LedgerEntry(Record):
    """One applied change as the ledger keeps it, with the state of the session after it.

    Attributes:
        context_hash: Null after a change by hand that no journey has loaded since.
        author: Who made it; `manual` for a hand on the database, `journey` for the engine's own repair.
    """

    revision: Revision
    idempotency_key: str
    change: dict[str, JsonValue]
    change_hash: str
    author: str | None
    active_agent: str
    context_hash: str | None
    applied_at: Timestamp


class ChatSessionHistory(Record):
    """A page of a session's ledger.

    Attributes:
        entries: Oldest first.
        complete: Whether nothing follows; else ask again after the last entry's revision.
    """

    chat_session_id: Uuid
    entries: tuple[LedgerEntry, ...]
    complete: bool
