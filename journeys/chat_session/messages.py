"""The requests that other systems send to a chat session's journey.

`initialize_chat_session` creates a session exactly once. `update_chat_context` adds to its transcript and changes the
context that its agents share; `update_chat_session` changes its title, lifecycle state and owner. `get_chat_session`,
`get_chat_messages`, `get_chat_session_history` and `list_chat_sessions` read.
"""

from datetime import datetime, timedelta
from functools import cached_property
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    JsonValue,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from journeys.canonical_json import canonical, canonical_hash
from journeys.chat_session.keys import message_id, named_session_key, session_id, session_key, update_key
from journeys.chat_session.limits import MAX_CHANGE_MESSAGES, MAX_PAGE_ENTRIES, MAX_PAGE_MESSAGES, MAX_PAGE_SESSIONS
from journeys.chat_session.names import DEFAULT_AGENT
from journeys.chat_session.session import Agent, ChatSessionArtifact, Context, LifecycleState, Revision, Title
from journeys.errors import InvalidParameter
from journeys.identifiers import Author, IdempotencyKey, Identifier, PrintableAscii, Timestamp, Uuid
from journeys.merge_patch import merge_patch
from journeys.messages import JsonArray, Request, reason_of

ENGINE_AUTHORS: Final = ("manual", "journey")
"""Authors that only the engine itself writes into the ledger."""

ENGINE_KEYS: Final = ("agent-turn/", "manual/", "journey/", "initialize/")
"""Beginnings of idempotency keys that a user may not choose."""

CLOCK_TOLERANCE: Final = timedelta(minutes=5)
"""How far ahead of the server's clock a `requested_at` may be."""


def _check_callers_author(author: str) -> str:
    if author in ENGINE_AUTHORS:
        raise ValueError(f"{author} is the engine's own; name another one")
    return author


CallersAuthor = Annotated[Author, AfterValidator(_check_callers_author)]
"""Who makes a change, as a caller may name it."""

MessageId = Annotated[str, StringConstraints(min_length=1, max_length=128)]
"""The ID of a message in a session's transcript."""

SessionName = PrintableAscii
"""A caller's own name of a session. The session's ID is derived from it."""


class MessageEnvelope(Request):
    """The members of a message that the engine reads; all others are the sender's own.

    Attributes:
        id: A message that the transcript has under this ID gets another body; without an ID the engine gives one.
        role: Whose message it is, like `user` or `assistant`; ignored if the message replaces another one.
    """

    model_config = ConfigDict(extra="ignore")

    id: MessageId | None = None
    role: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None


class _EnvelopeSchema:
    """Gives a message the JSON Schema of `MessageEnvelope`; to pydantic, a message is just any object."""

    @staticmethod
    def __get_pydantic_json_schema__(_: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(MessageEnvelope.__pydantic_core_schema__)


def _check_message(message: Context) -> Context:
    try:
        MessageEnvelope.model_validate(message)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise ValueError(f"{first['loc'][0]}: {reason_of(first['msg'])}") from None
    return message


def _check_ids_differ(messages: list[Context]) -> list[Context]:
    named = [name for message in messages if (name := message.get("id")) is not None]
    if len(set(named)) < len(named):
        raise ValueError("two messages have the same id")
    return messages


class InitializeChatSession(Request):
    """Create a session, or find it if it exists.

    Either `requested_at` or `session_name` says which session of the user it is.

    Attributes:
        tenant_id: The tenant that the session belongs to.
        user_id: The user who opened the chat.
        requested_at: When the user opened the chat. Stamp it once and keep it over retries: the session's ID is
            derived from it.
        session_name: The caller's own name of the session; its ID is derived from it.
        active_agent: The agent that leads at first; ignored if the session exists.
        context: A JSON Merge Patch to an empty context; ignored if the session exists.
        title: What people call the session; ignored if the session exists.
    """

    tenant_id: Identifier
    user_id: Identifier
    requested_at: Timestamp | None = None
    session_name: SessionName | None = None
    active_agent: Agent = DEFAULT_AGENT
    context: Context = Field(default_factory=dict)
    title: Title | None = None

    @model_validator(mode="after")
    def _require_time_or_name(self) -> Self:
        if self.requested_at is not None and self.session_name is not None:
            raise InvalidParameter("session_name: leave it out, or requested_at", field="session_name")
        if self.requested_at is None and self.session_name is None:
            raise InvalidParameter("requested_at: is needed unless session_name is given", field="requested_at")
        return self

    @property
    def key(self) -> str:
        """The initialization's idempotency key."""
        if self.session_name is not None:
            return named_session_key(self.tenant_id, self.user_id, self.session_name)
        assert self.requested_at is not None
        return session_key(self.tenant_id, self.user_id, self.requested_at)

    def session(self, now: datetime) -> ChatSessionArtifact:
        """The session to create, if it is created now."""
        context = merge_patch({}, self.context)
        assert isinstance(context, dict)
        return ChatSessionArtifact(
            chat_session_id=session_id(self.key),
            tenant_id=self.tenant_id,
            user_id=self.user_id,
            title=self.title or None,
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
            InvalidParameter: One of the two checks fails.
        """
        if session_id(self.key) != chat_session_id:
            if self.session_name is not None:
                raise InvalidParameter(
                    "session_name: tenant, user and name derive another session's ID", field="session_name"
                )
            raise InvalidParameter(
                "requested_at: tenant, user and time derive another session's ID; keep requested_at over retries",
                field="requested_at",
            )
        if self.requested_at is not None and self.requested_at > now + CLOCK_TOLERANCE:
            raise InvalidParameter(
                "requested_at: is more than five minutes ahead of the server's clock", field="requested_at"
            )


class InitialState(Request):
    """The session to create, as a journey's argument describes it; see `InitializeChatSession`."""

    requested_at: Timestamp | None = None
    session_name: SessionName | None = None
    active_agent: Agent = DEFAULT_AGENT
    context: Context = Field(default_factory=dict)
    title: Title | None = None

    @model_validator(mode="after")
    def _require_time_or_name(self) -> Self:
        if (self.requested_at is None) == (self.session_name is None):
            raise ValueError("either requested_at or session_name is needed, and not both")
        return self


class JourneyArgument(Request):
    """The workflow's argument.

    With `initialize`, the journey creates the session if it does not exist. Without it, the journey resumes a stored
    session. The argument is only a claim: the stored row says whose session it is.

    Attributes:
        chat_session_id: The session's ID, which the workflow's ID ends with.
        tenant_id: The tenant that the session belongs to.
        user_id: The user that the session belongs to; needed with `initialize`.
        initialize: The session to create if it does not exist.
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
            **dict(self.initialize),
        )


class GetChatSession(Request):
    """Read a session.

    A query reads the session of the journey that it is sent to. The activity reads the session with `chat_session_id`
    or, without an ID, the user's most recent active session.

    Attributes:
        tenant_id: The tenant that the session belongs to.
        user_id: The user that the session belongs to; null if a service acts for the tenant.
        chat_session_id: The session's ID.
        at_revision: Read context and agent as they were after this revision. Only the activity can, with an ID.
    """

    tenant_id: Identifier
    user_id: Identifier | None = None
    chat_session_id: Uuid | None = None
    at_revision: Revision | None = None


class DeleteChatSession(Request):
    """Delete a session with everything that was said in it, for good.

    Attributes:
        tenant_id: The tenant that the session belongs to.
        user_id: The user that the session belongs to; null if a service acts for the tenant.
        author: Who deletes it. Only Temporal's history keeps it, until the erasure. `manual` and `journey` are the
            engine's own.
    """

    tenant_id: Identifier
    user_id: Identifier | None = None
    author: CallersAuthor | None = None


class GetChatSessionHistory(Request):
    """Read a page of a session's ledger, oldest entry first.

    Attributes:
        tenant_id: The tenant that the session belongs to.
        user_id: The user that the session belongs to; null if a service acts for the tenant.
        chat_session_id: The session's ID.
        after_revision: Leave out this revision and earlier ones; if absent, begin with revision 0, the creation.
        limit: How many entries to read at most.
    """

    tenant_id: Identifier
    user_id: Identifier | None = None
    chat_session_id: Uuid
    after_revision: Revision | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE_ENTRIES)] = 100


class GetChatMessages(Request):
    """Read a page of a session's transcript; without a cursor the latest one.

    Attributes:
        tenant_id: The tenant that the session belongs to.
        user_id: The user that the session belongs to; null if a service acts for the tenant.
        chat_session_id: The session's ID.
        limit: How many messages to read at most.
        before: The cursor `older` of a page: read the messages before that page.
        after: The cursor `newer` of a page: read the messages after that page.
    """

    tenant_id: Identifier
    user_id: Identifier | None = None
    chat_session_id: Uuid
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE_MESSAGES)] = 50
    before: str | None = None
    after: str | None = None

    @model_validator(mode="after")
    def _forbid_both_directions(self) -> Self:
        if self.before is not None and self.after is not None:
            raise InvalidParameter("after: leave it out, or before", field="after")
        return self


class ListChatSessions(Request):
    """Read a page of a user's sessions or, without a user, of all sessions of the tenant; the latest change first.

    Attributes:
        tenant_id: The tenant that the sessions belong to.
        user_id: The user that the sessions belong to; null for all sessions of the tenant.
        lifecycle_state: Which sessions to read.
        limit: How many sessions to read at most.
        after: The cursor `next` of the page before.
    """

    tenant_id: Identifier
    user_id: Identifier | None = None
    lifecycle_state: LifecycleState = "ACTIVE"
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE_SESSIONS)] = 50
    after: str | None = None


class ChangeRequest(Request):
    """Change a session. Each subclass defines the content of the change.

    Attributes:
        tenant_id: The tenant that the session belongs to.
        user_id: The user that the session belongs to; null if a service acts for the tenant.
        base_revision: The revision that the change was written against; any other current revision refuses it.
        idempotency_key: Identifies the change: it is applied once, however often it is sent under this key.
        author: Who makes the change; kept in the ledger. `manual` and `journey` are the engine's own.
    """

    tenant_id: Identifier
    user_id: Identifier | None = None
    base_revision: Revision | None = None
    idempotency_key: IdempotencyKey | None = None
    author: CallersAuthor | None = None

    @model_validator(mode="after")
    def _forbid_engine_keys(self) -> Self:
        if self.user_id is not None and (self.idempotency_key or "").startswith(ENGINE_KEYS):
            raise InvalidParameter(
                f"idempotency_key: a user's key does not begin with {', '.join(ENGINE_KEYS)}", field="idempotency_key"
            )
        return self

    @property
    def change(self) -> dict[str, JsonValue]:
        """The content of the change, without its sender and delivery."""
        raise NotImplementedError

    @cached_property
    def canonical_change(self) -> bytes:
        """The canonical form of the content, from which the change's key and hash are made."""
        return canonical(self.change)

    @property
    def keeps_context(self) -> bool:
        """Whether the change cannot change the context."""
        raise NotImplementedError

    def key(self, chat_session_id: str, message: str) -> str:
        """The idempotency key of this change.

        Args:
            chat_session_id: The session that is changed.
            message: See `update_key`; used if the request has neither a key nor a base revision.
        """
        return self.idempotency_key or update_key(
            chat_session_id,
            self.canonical_change,
            base_revision=self.base_revision,
            author=self.author,
            message=message,
        )


class UpdateChatSession(ChangeRequest):
    """Change what a session is called, whether it is active, or whose it is.

    Attributes:
        title: What people call the session; empty to remove the title.
        lifecycle_state: `ARCHIVED` puts the session away, `ACTIVE` takes it out again.
        new_user_id: The user who gets the session. Only a service of the tenant gives a session to another user.
    """

    title: Title | None = None
    lifecycle_state: LifecycleState | None = None
    new_user_id: Identifier | None = None

    @model_validator(mode="after")
    def _forbid_users_to_change_owner(self) -> Self:
        if self.new_user_id is not None and self.user_id is not None:
            raise InvalidParameter(
                "new_user_id: only a service of the tenant, without user_id, changes the owner", field="new_user_id"
            )
        return self

    @property
    def change(self) -> dict[str, JsonValue]:
        """The content of the change: only the fields that the request has."""
        fields: dict[str, JsonValue] = {
            "title": self.title,
            "lifecycle_state": self.lifecycle_state,
            "new_user_id": self.new_user_id,
        }
        return {name: value for name, value in fields.items() if value is not None}

    @property
    def keeps_context(self) -> bool:
        """An edit of the session never changes the context."""
        return True


class SignalChatContext(ChangeRequest):
    """Change the shared context, the transcript or the active agent, without waiting for an answer.

    Attributes:
        tenant_id: The tenant that the session belongs to.
        user_id: The user that the session belongs to; null if a service acts for the tenant.
        context: A JSON Merge Patch (RFC 7396) to the context.
        append: Items to add to the end of top-level arrays of the patched context.
        messages: Messages for the transcript, each an object of the sender's own but for its `id` and `role`.
        remove_messages: IDs of messages to remove before `messages` is applied; some may not be there.
        active_agent: The agent that leads from now on.
        turn: Ask the agent that then leads to act; it must be one that takes turns.
        merge_strategy: `replace` applies `context` to an empty context. It needs the current `base_revision`.
        base_revision: The revision that the change was written against; unless it is the current one, the change is
            refused.
        idempotency_key: Identifies the change: it is applied once, however often it is sent under this key.
        author: Who makes the change; kept in the ledger. `manual` and `journey` are the engine's own.
    """

    context: Context | None = None
    append: dict[str, JsonArray] | None = None
    messages: (
        Annotated[
            list[Annotated[Context, AfterValidator(_check_message), _EnvelopeSchema]],
            Field(min_length=1, max_length=MAX_CHANGE_MESSAGES),
            AfterValidator(_check_ids_differ),
        ]
        | None
    ) = None
    remove_messages: Annotated[list[MessageId], Field(min_length=1, max_length=MAX_CHANGE_MESSAGES)] | None = None
    active_agent: Agent | None = None
    turn: bool = False
    merge_strategy: Literal["merge", "replace"] = "merge"

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
        """The content of the change, without its sender and delivery.

        Defaults are filled in, and an absent field is null; but a change without messages has no members for them.
        """
        change: dict[str, JsonValue] = {
            "context": self.context,
            "append": {key: list(items) for key, items in self.append.items()} if self.append is not None else None,
            "active_agent": self.active_agent,
            "merge_strategy": self.merge_strategy,
        }
        if self.messages is not None:
            change["messages"] = list(self.messages)
        if self.remove_messages is not None:
            change["remove_messages"] = list(self.remove_messages)
        return change

    @property
    def keeps_context(self) -> bool:
        """Whether the change cannot change the context."""
        return self.merge_strategy == "merge" and not self.context and not self.append

    @property
    def named_messages(self) -> list[str]:
        """The IDs that the change itself names in `messages`."""
        return [str(name) for message in self.messages or () if (name := message.get("id")) is not None]

    def message_ids(self, chat_session_id: str, key: str) -> list[str]:
        """The IDs of `messages`, in order.

        Args:
            chat_session_id: The session that is changed.
            key: The change's idempotency key.
        """
        return [
            str(name) if (name := message.get("id")) is not None else message_id(chat_session_id, key, index)
            for index, message in enumerate(self.messages or ())
        ]


class UpdateChatContext(SignalChatContext):
    """Change the same as an update, which is answered once both stores hold the change.

    Attributes:
        returning: `receipt` leaves the context out of the answer.
    """

    returning: Literal["artifact", "receipt"] = "artifact"
