"""Each request of the contract with the least and the most that it may have, and how one is refused."""

from typing import Any, TypeAlias

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from journeys.chat_session.messages import (
    DeleteChatSession,
    GetChatMessages,
    GetChatSession,
    GetChatSessionHistory,
    InitializeChatSession,
    JourneyArgument,
    ListChatSessions,
    SignalChatContext,
    UpdateChatContext,
    UpdateChatSession,
)
from journeys.errors import InvalidParameter
from journeys.messages import Request, parse

# A message's type, what is wrong with it, and the field that it is refused for.
Wrong: TypeAlias = tuple[type[Request], dict[str, Any], str]

SESSION = "31dca87f-efb8-5ac5-b6df-13a4bc321dfd"
ASKED_AT = "2026-01-27T10:05:12Z"

INITIALIZE = {"tenant_id": "acme", "user_id": "ada", "requested_at": ASKED_AT}
INITIAL = {"requested_at": ASKED_AT}
ARGUMENT = {"chat_session_id": SESSION, "tenant_id": "acme"}
INITIALIZING = ARGUMENT | {"user_id": "ada", "initialize": INITIAL}
GET = {"tenant_id": "acme"}
HISTORY = {"tenant_id": "acme", "chat_session_id": SESSION}
CHANGE = {"tenant_id": "acme"}

# Each request with no more than it needs, and with everything it may have.
LEAST: dict[type[Request], dict[str, Any]] = {
    InitializeChatSession: INITIALIZE,
    JourneyArgument: ARGUMENT,
    GetChatSession: GET,
    GetChatSessionHistory: HISTORY,
    GetChatMessages: HISTORY,
    ListChatSessions: GET,
    SignalChatContext: CHANGE,
    UpdateChatContext: CHANGE,
    UpdateChatSession: CHANGE,
    DeleteChatSession: CHANGE,
}
_EVERY_CHANGE: dict[str, Any] = {
    "tenant_id": "acme",
    "user_id": "ada",
    "context": {"topic": "sleep", "gone": None},
    "append": {"messages": [{"id": "m1", "reply_to": None}, None]},
    "messages": [{"id": "m1", "role": "user", "reply_to": None}, {"id": None, "role": None}, {}],
    "remove_messages": ["m1", "m2"],
    "active_agent": "liaison_health",
    "merge_strategy": "replace",
    "base_revision": 3,
    "idempotency_key": "k",
    "author": "guide",
}
MOST: dict[type[Request], dict[str, Any]] = {
    InitializeChatSession: INITIALIZE
    | {"active_agent": "liaison_health", "context": {"topic": None}, "title": "Sleep"},
    JourneyArgument: INITIALIZING | {"initialize": INITIAL | {"active_agent": "guide", "context": {"topic": "x"}}},
    GetChatSession: GET | {"user_id": "ada", "chat_session_id": SESSION},
    GetChatSessionHistory: HISTORY | {"user_id": "ada", "after_revision": 7, "limit": 1000},
    GetChatMessages: HISTORY | {"user_id": "ada", "limit": 200, "before": "x"},
    ListChatSessions: GET | {"user_id": "ada", "lifecycle_state": "ARCHIVED", "limit": 100, "after": "x"},
    UpdateChatSession: CHANGE
    | {"title": "", "lifecycle_state": "ARCHIVED", "new_user_id": "bob", "base_revision": 3, "idempotency_key": "k"}
    | {"author": "desk"},
    DeleteChatSession: CHANGE | {"user_id": "ada", "author": "desk"},
    SignalChatContext: _EVERY_CHANGE,
    UpdateChatContext: _EVERY_CHANGE | {"returning": "receipt"},
}
MODELS = list(LEAST)
ENGINE_KEYS = ("agent-turn/x", "agent-turn/", "manual/1/x", "journey/1/x", "initialize/x")
HOSTILE_NAMES = [
    "",
    " ",
    "tenant_id ",
    "Tenant_Id",
    "tenant_id\x00",
    "__class__",
    "model_config",
    "model_fields",
    "context.a",
    "x" * 100_000,
    "\x1b[31m",
    "\nSESSION_NOT_FOUND: ",
    "\ud800" * 500,
    "\U000e0001" * 500,
    "\U0001f600" * 500,
    "{0}{field}%s",
]


def raw_value(data: bytes, encoding: bytes | None = b"json/plain") -> RawValue:
    """An argument as a worker hands it on."""
    return RawValue(Payload(metadata={} if encoding is None else {"encoding": encoding}, data=data))


def refused(model: type[Request], raw: object) -> InvalidParameter:
    """The error of a message that does not fit; checks what holds for every error."""
    with pytest.raises(InvalidParameter) as raised:
        parse(model, raw)
    check_error(model, raised.value)
    return raised.value


def check_error(model: type[Request], error: InvalidParameter, field: str | None = None) -> None:
    assert field in (None, error.field)
    assert error.code == "INVALID_PARAMETER"
    assert error.field == "" or error.field in model.model_fields
    assert 0 < len(error.message) <= 300
    assert str(error) == f"INVALID_PARAMETER: {error.message}"
    error.message.encode()  # it can be sent


def refuses(model: type[Request], raw: object) -> str:
    """The field that a message is refused for."""
    return refused(model, raw).field
