"""The requests that other systems send to a chat session's journey.

`initialize_chat_session` creates a session exactly once, `get_chat_session` reads it, and `update_chat_context` changes
the conversation context that its agents share.
"""

from datetime import datetime, timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import Field, JsonValue, model_validator

from journeys.canonical_json import canonical_hash
from journeys.chat_session.keys import session_id, session_key, update_key
from journeys.chat_session.names import DEFAULT_AGENT
from journeys.chat_session.session import Agent, ChatSessionArtifact, Context, Revision
from journeys.errors import InvalidParameter
from journeys.identifiers import Author, IdempotencyKey, Identifier, Timestamp, Uuid
from journeys.merge_patch import merge_patch
from journeys.messages import Request

ENGINE_AUTHORS: Final = ("manual", "journey")
"""Authors that only the engine itself writes into the ledger."""

ENGINE_KEYS: Final = ("agent-turn/", "manual/", "journey/", "initialize/")
"""Beginnings of idempotency keys that a user may not choose."""

CLOCK_TOLERANCE: Final = timedelta(minutes=5)
"""How far ahead of the server's clock a `requested_at` may be."""


class InitializeChatSession(Request):
    """Create a session, or find it if it exists.

    Attributes:
        tenant_id: The tenant that the session belongs to.
        user_id: The user who opened the chat.
        requested_at: When the user opened the chat. Stamp it once and keep it over retries: the session's ID is
            derived from it.
        active_agent: The agent that leads at first; ignored if the session exists.
        context: A JSON Merge Patch to an empty context; ignored if the session exists.
    """

    tenant_id: Identifier
    user_id: Identifier
    requested_at: Timestamp
    active_agent: Agent = DEFAULT_AGENT
    context: Context = Field(default_factory=dict)

    @property
    def key(self) -> str:
        """The initialization's idempotency key."""
        return session_key(self.tenant_id, self.user_id, self.requested_at)

    def session(self, now: datetime) -> ChatSessionArtifact:
        """The session to create, if it is created now."""
        context = merge_patch({}, self.context)
        assert isinstance(context, dict)
        return ChatSessionArtifact(
            chat_session_id=session_id(self.key),
            tenant_id=self.tenant_id,
            user_id=self.user_id,
            active_agent=self.active_agent,
            context=context,
            context_hash=canonical_hash(context),
            revision=0,
            created_at=now,
            updated_at=now,
        )

    def check(self, chat_session_id: str, now: datetime) -> None:
        """Check that this request is for this session, and that `requested_at` is not in the future.

        Raises:
            InvalidParameter: One of the two is not so.
        """
        if session_id(self.key) != chat_session_id:
            raise InvalidParameter(
                "requested_at: tenant, user and time derive another session's ID; keep requested_at over retries",
                field="requested_at",
            )
        if self.requested_at > now + CLOCK_TOLERANCE:
            raise InvalidParameter(
                "requested_at: is more than five minutes ahead of the server's clock", field="requested_at"
            )


class InitialState(Request):
    """The session to create, as a journey's argument describes it; see `InitializeChatSession`."""

    requested_at: Timestamp
    active_agent: Agent = DEFAULT_AGENT
    context: Context = Field(default_factory=dict)


class JourneyArgument(Request):
    """The workflow's argument.

    With `initialize`, the journey creates the session if it does not exist. Without it, the journey resumes a stored
    session. The argument is only a claim: the stored row says whose session it is.
    """

    chat_session_id: Uuid
    tenant_id: Identifier
    user_id: Identifier | None = None
    initialize: InitialState | None = None

    @model_validator(mode="after")
    def _require_user_to_initialize(self) -> Self:
        if self.initialize and self.user_id is None:
            raise InvalidParameter("user_id: is needed to initialize a session", field="user_id")
        return self

    @property
    def initialization(self) -> InitializeChatSession | None:
        """The initialization that this argument asks for, if any."""
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
    """Read a session.

    A query reads the session of the journey that it is sent to. The activity reads the session with `chat_session_id`
    or, without an ID, the user's most recent active session.
    """

    tenant_id: Identifier
    user_id: Identifier | None = None
    chat_session_id: Uuid | None = None


class GetChatSessionHistory(Request):
    """Read a page of a session's ledger, oldest entry first."""

    tenant_id: Identifier
    chat_session_id: Uuid
    after_revision: Revision = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class SignalChatContext(Request):
    """Change the shared context, the active agent, or both, without waiting for an answer.

    Attributes:
        tenant_id: The tenant that the session belongs to.
        user_id: The user that the session belongs to; null if a service acts for the tenant.
        context: A JSON Merge Patch (RFC 7396) to the context.
        append: Items to add to the end of top-level arrays of the patched context.
        active_agent: The agent that leads from now on.
        merge_strategy: `replace` applies `context` to an empty context. It needs the current `base_revision`.
        base_revision: The revision that the change was written against; unless it is the current one, the change is
            refused.
        idempotency_key: Identifies the change: it is applied once, however often it is sent under this key.
        author: Who makes the change; kept in the ledger. `manual` and `journey` are the engine's own.
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
    def _leave_the_engines_names_to_it(self) -> Self:
        if self.author in ENGINE_AUTHORS:
            raise InvalidParameter(f"author: {self.author} is the engine's own; name another one", field="author")
        if self.user_id is not None and (self.idempotency_key or "").startswith(ENGINE_KEYS):
            raise InvalidParameter(
                f"idempotency_key: a user's key does not begin with {', '.join(ENGINE_KEYS)}", field="idempotency_key"
            )
        return self

    @model_validator(mode="after")
    def _require_fields_to_replace(self) -> Self:
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
        """The content of the change, without its sender and delivery: defaults filled in, null for an absent field."""
        return {
            "context": self.context,
            "append": {key: list(items) for key, items in self.append.items()} if self.append is not None else None,
            "active_agent": self.active_agent,
            "merge_strategy": self.merge_strategy,
        }

    def key(self, chat_session_id: str, message: str) -> str:
        """The idempotency key of this change.

        Args:
            chat_session_id: The session that is changed.
            message: See `update_key`; used if the request has neither a key nor a base revision.
        """
        return self.idempotency_key or update_key(
            chat_session_id, self.change, base_revision=self.base_revision, author=self.author, message=message
        )


class UpdateChatContext(SignalChatContext):
    """The same change as an update, which is answered once both stores hold the change.

    Attributes:
        returning: `receipt` leaves the context out of the answer.
    """

    returning: Literal["artifact", "receipt"] = "artifact"
