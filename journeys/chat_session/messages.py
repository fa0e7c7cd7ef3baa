"""What other systems send to a chat session's journey.

Intents: `initialize_chat_session` creates a session exactly once, `get_chat_session` reads it,
`update_chat_context` changes the conversation context that its agents share.
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
from journeys.messages import Request

CLOCK_TOLERANCE: Final = timedelta(minutes=5)
"""How far ahead of the server's clock a `requested_at` may be."""


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

    def session(self, now: datetime) -> ChatSessionArtifact:
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
