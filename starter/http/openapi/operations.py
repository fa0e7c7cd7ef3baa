"""Every operation as the document describes it: its parameters, its answers, its problems."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic import BaseModel, JsonValue

from journeys.chat_session.messages import (
    GetChatMessages,
    GetChatSession,
    GetChatSessionHistory,
    ListChatSessions,
)
from starter.http.bodies import JSON, MERGE_PATCH
from starter.http.dev_tokens import LIFETIME_SECONDS
from starter.http.openapi import examples
from starter.http.routes.events import MAX_MISSED_REVISIONS
from starter.http.routes.messages import HISTORY_PARAMETERS, PAGE_PARAMETERS
from starter.http.routes.sessions import LIST_PARAMETERS, PATH
from starter.http.stream.follower import KEEP_ALIVE_SECONDS
from starter.http.stream.follower import MEDIA_TYPE as EVENT_STREAM

_ONE: Final = PATH + "/{chat_session_id}"
_READ: Final = ("INVALID_PARAMETER", "NOT_ACCEPTABLE", "DATABASE_UNAVAILABLE")
_READ_ONE: Final = (*_READ, "SESSION_NOT_FOUND")
_BODY: Final = ("INVALID_PARAMETER", "REQUEST_TIMEOUT", "TOO_LARGE", "CONTEXT_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE")
_SENT_ON: Final = (
    *("INVALID_PARAMETER", "SESSION_NOT_FOUND", "TOO_MANY_REQUESTS", "DATABASE_UNAVAILABLE", "ENGINE_UNAVAILABLE"),
)
_DECIDED: Final = (*_SENT_ON, "SESSION_NOT_ACTIVE", "IDEMPOTENCY_CONFLICT")
_ADDED: Final = (*_BODY, *_DECIDED, "NOT_ACCEPTABLE")
# The conflict of a revision in the body; if the revision comes as a header, the status is 412.
_CHANGE: Final = (*_ADDED, "REVISION_CONFLICT")
_DELETED: Final = {"SESSION_NOT_ACTIVE": "the session is deleted"}
_CHANGE_HEADERS: Final = ("Idempotency-Key", "If-Match", "Prefer")


@dataclass(frozen=True, slots=True)
class Body:
    """A body in one media type."""

    schema: str | None
    example: JsonValue


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is no problem.

    Attributes:
        schemas: The body has one of these; none if there is no body.
        headers: The headers that the document mentions.
    """

    description: str
    schemas: tuple[str, ...] = ()
    example: JsonValue = None
    media_type: str = JSON
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation.

    Attributes:
        name: Its ID: the name of the intent, if it is one.
        headers: The request headers that it reads, besides those that identify the caller.
        query: The parameters of its query, which are fields of `query_of`.
        errors: The codes of its problems.
        is_open: Whether it needs no token.
        details: By code, the details of problems that say something else here than in the examples.
    """

    method: str
    path: str
    name: str
    summary: str
    description: str
    answers: Mapping[int, Answer]
    errors: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    query_of: type[BaseModel] | None = None
    bodies: Mapping[str, Body] = field(default_factory=dict)
    is_open: bool = False
    details: Mapping[str, str] = field(default_factory=dict)


_CHANGED: Final = Answer(
    "The session as it is stored, or its receipt.",
    ("UpdatedChatSession", "UpdateReceipt"),
    examples.CHANGED,
    headers=("ETag",),
)
_SENT: Final = Answer(
    "The change is sent, and nobody waits for it (`Prefer: respond-async`).", headers=("Preference-Applied",)
)
_GONE: Final = Answer("Done.")

OPERATIONS: Final = (
    Operation(
        "post",
        PATH,
        "initialize_chat_session",
        "Create a session, or find it",
        "The same tenant, user and `session_name`, or minute of `requested_at`, are the same session, however often "
        "and wherever this is sent. `Idempotency-Key` is the `session_name` unless the body has one, or a "
        "`requested_at`. Without any of them the session is that of the current minute. A deleted session keeps its "
        "name: 409.",
        {
            201: Answer("Created.", ("InitializedChatSession",), examples.CREATED, headers=("Location", "ETag")),
            200: Answer(
                "Found, as it is now.",
                ("InitializedChatSession",),
                examples.CREATED | {"created": False},
                headers=("Location", "ETag"),
            ),
        },
        (
            *_BODY,
            "NOT_ACCEPTABLE",
            "SESSION_NOT_FOUND",
            "SESSION_NOT_ACTIVE",
            "DATABASE_UNAVAILABLE",
            "ENGINE_UNAVAILABLE",
        ),
        ("Idempotency-Key",),
        bodies={JSON: Body("NewChatSession", {"session_name": "invoices of May", "title": "Invoices of May"})},
        details=_DELETED,
    ),
    Operation(
        "get",
        PATH,
        "list_chat_sessions",
        "List sessions",
        "The session with the latest change comes first. A service without `X-User-Id` lists all of the tenant's. A "
        "session that is changed while you read page after page moves to the first page, and you may not see it.",
        {200: Answer("A page.", ("ChatSessionList",), {"sessions": [examples.RECEIPT], "next": None})},
        _READ,
        query=LIST_PARAMETERS,
        query_of=ListChatSessions,
    ),
    Operation(
        "get",
        PATH + "/latest",
        "get_latest_chat_session",
        "Read the user's most recent active session",
        "What a chat page asks when it opens. `Content-Location` is the session's own address.",
        {200: Answer("The session.", ("ChatSessionArtifact",), examples.ARTIFACT, headers=("Content-Location",))},
        _READ_ONE,
    ),
    Operation(
        "get",
        _ONE,
        "get_chat_session",
        "Read a session",
        "With `at_revision`: `revision`, `context`, `context_hash` and `active_agent` as they were after that "
        "revision, all else as it is now, and no `ETag`. Earlier states of the transcript cannot be read.",
        {
            200: Answer("The session.", ("ChatSessionArtifact",), examples.ARTIFACT, headers=("ETag",)),
            304: Answer("The session is at the revision of `If-None-Match`.", headers=("ETag",)),
        },
        _READ_ONE,
        ("If-None-Match",),
        query=("at_revision",),
        query_of=GetChatSession,
    ),
    Operation(
        "patch",
        _ONE,
        "update_chat_session",
        "Change title, lifecycle state or owner",
        "While a session is archived, its context and transcript take no changes. Only a service, without `X-User-Id`, "
        "gives a session to another user. `Prefer: respond-async` is ignored here.",
        {200: _CHANGED},
        _CHANGE,
        _CHANGE_HEADERS,
        bodies={JSON: Body("ChatSessionChange", {"title": "Invoices of May"})},
        details=_DELETED,
    ),
    Operation(
        "delete",
        _ONE,
        "delete_chat_session",
        "Delete a session with everything that was said in it",
        "For good. `If-Match` is compared first. A service of the tenant, without `X-User-Id`, is answered alike "
        "however often it asks; the user is told that there is no such session any more.",
        {204: _GONE},
        _SENT_ON,
        ("If-Match",),
    ),
    Operation(
        "patch",
        _ONE + "/context",
        "update_chat_context",
        "Change the shared context, the transcript or the agent that leads",
        "As `application/merge-patch+json` (RFC 7396) the body is the patch of the context. As `application/json` it "
        "has the fields of a change. Without `Idempotency-Key` and `If-Match`, every request is a new change; an empty "
        "one makes a revision as well.",
        {200: _CHANGED, 202: _SENT},
        _CHANGE,
        _CHANGE_HEADERS,
        bodies={
            JSON: Body("ChatContextChange", {"context": {"topic": "invoices"}, "active_agent": "liaison_insights"}),
            MERGE_PATCH: Body(None, {"topic": "invoices", "draft": None}),
        },
    ),
    Operation(
        "post",
        _ONE + "/messages",
        "add_chat_messages",
        "Add messages to the transcript",
        "A message is an object of your own; `id` and `role` have a meaning, and both may be left out. A message with "
        "the `id` of one that is there replaces its body. Key and base revision are headers here, not in the body.",
        {
            201: Answer(
                "Added.",
                ("UpdatedChatSession", "UpdateReceipt"),
                examples.CHANGED | {"message_ids": ["m1"]},
                headers=("ETag",),
            ),
            200: Answer(
                "The change was made before, under the same key.",
                ("UpdatedChatSession", "UpdateReceipt"),
                examples.CHANGED | {"duplicate": True, "message_ids": ["m1"]},
                headers=("ETag",),
            ),
            202: _SENT,
        },
        _ADDED,
        _CHANGE_HEADERS,
        bodies={JSON: Body("NewChatMessages", {"messages": [{"id": "m1", "text": "Which invoices are open?"}]})},
    ),
    Operation(
        "get",
        _ONE + "/messages",
        "get_chat_messages",
        "Read a page of the transcript",
        "By default the latest page. `older` and `newer` are cursors for `before` and `after`. A page has at most 768 "
        "KiB, and at least one message.",
        {
            200: Answer(
                "A page, in the order of the conversation.",
                ("ChatMessages",),
                {"messages": [examples.MESSAGE], "older": None, "newer": None},
            )
        },
        _READ_ONE,
        query=PAGE_PARAMETERS,
        query_of=GetChatMessages,
    ),
    Operation(
        "delete",
        _ONE + "/messages/{message_id}",
        "remove_chat_message",
        "Remove a message for good",
        "An ID that the transcript does not have is removed as well. A user removes messages of the role `user` only.",
        {204: _GONE, 202: _SENT},
        _DECIDED,
        _CHANGE_HEADERS,
    ),
    Operation(
        "delete",
        _ONE + "/turn",
        "cancel_agent_turn",
        "Cancel the running turn of the agent",
        "Done as well if no turn runs.",
        {204: _GONE},
        ("SESSION_NOT_FOUND", "DATABASE_UNAVAILABLE", "ENGINE_UNAVAILABLE"),
    ),
    Operation(
        "post",
        _ONE + "/partials",
        "show_partial_message",
        "Show what an agent has written so far",
        "For services only. Followers get it as the event `partial`, five a second at most; some may be lost. It goes "
        "with the message of that ID, or two minutes after the last text.",
        {204: _GONE},
        (*_BODY, "FORBIDDEN", "SESSION_NOT_FOUND", "SESSION_NOT_ACTIVE", "DATABASE_UNAVAILABLE"),
        bodies={JSON: Body("PartialText", {"message_id": "m2", "text": "Three invoices are"})},
    ),
    Operation(
        "get",
        _ONE + "/history",
        "get_chat_session_history",
        "Read a page of the ledger",
        "One entry for each applied change, oldest first. Of messages it has the IDs and hashes. If `complete` is "
        "false, ask again after the last entry's revision.",
        {
            200: Answer(
                "A page.",
                ("ChatSessionHistory",),
                {"chat_session_id": examples.SESSION_ID, "entries": [examples.ENTRY], "complete": True},
            )
        },
        _READ_ONE,
        query=HISTORY_PARAMETERS,
        query_of=GetChatSessionHistory,
    ),
    Operation(
        "get",
        _ONE + "/events",
        "follow_chat_session",
        "Follow a session as it changes",
        "Server-Sent Events. First `session` (a `SessionEvent`), then for each revision after it `change` (a "
        "`ChangeEvent`), in order, none lost and none twice; `id` is the revision. With `Last-Event-ID` the stream "
        f"goes on after that revision; if more than {MAX_MISSED_REVISIONS:,} have passed, it begins with `session` "
        "anew. A revision that is missing is a gap. `partial` (a `PartialEvent`) shows what an agent has written so "
        f"far. A comment comes at least every {KEEP_ALIVE_SECONDS:.0f} seconds. `end` (an `EndEvent`) says why it is "
        "no use to come back as you are; `not_found`: the session is no longer yours. If the stream ends without "
        "`end`, come back with `Last-Event-ID`; 404 then means that the session was deleted, or given away, while you "
        "were away.",
        {200: Answer("The stream.", (), examples.STREAM, EVENT_STREAM)},
        (*_READ_ONE, "TOO_MANY_REQUESTS"),
        ("Last-Event-ID",),
    ),
    Operation(
        "get",
        "/healthz",
        "healthz",
        "Whether the process runs",
        "For the supervisor of the process.",
        {200: Answer("It does.", ("Health",), {"status": "ok"})},
        is_open=True,
    ),
    Operation(
        "get",
        "/readyz",
        "readyz",
        "Whether the gateway can serve",
        "For a load balancer: the store and Temporal answer, and the gateway is not about to stop.",
        {200: Answer("It can.", ("Health",), {"status": "ok"})},
        ("DATABASE_UNAVAILABLE", "ENGINE_UNAVAILABLE"),
        is_open=True,
    ),
)

DEV_TOKEN: Final = Operation(
    "post",
    "/v1/dev/token",
    "issue_dev_token",
    "Get a token, for development",
    'Only `journey dev` has this, and only under a loopback address. A service\'s token, for `{"role": '
    '"service_role"}`, opens all tenants.',
    {
        200: Answer(
            "A token.",
            ("DevToken",),
            {
                "access_token": "eyJ...",
                "token_type": "bearer",
                "expires_in": LIFETIME_SECONDS,
                "note": "for development only",
            },
        )
    },
    (*_BODY, "FORBIDDEN", "NOT_ACCEPTABLE"),
    bodies={JSON: Body("DevTokenRequest", {"tenant_id": examples.TENANT, "user_id": examples.USER})},
    is_open=True,
)
