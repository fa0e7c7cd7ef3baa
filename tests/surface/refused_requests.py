"""Requests that a used session refuses, and the views of the session that tests compare around a refusal."""

from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import (
    WorkflowExecutionDescription,
    WorkflowQueryFailedError,
)
from temporalio.common import RawValue

from tests.support.documents import nested
from tests.support.journeys import Journeys, Json

Case = tuple[Json, str, str]


# Updates that the session of `create_used_session` refuses: the request, the code, the field.
REFUSED: dict[str, Case] = {
    "unknown field": ({"contxt": {}}, "INVALID_PARAMETER", ""),
    "tenant absent": ({"tenant_id": None}, "INVALID_PARAMETER", "tenant_id"),
    "tenant empty": ({"tenant_id": ""}, "INVALID_PARAMETER", "tenant_id"),
    "tenant no text": ({"tenant_id": 1}, "INVALID_PARAMETER", "tenant_id"),
    "tenant too long": ({"tenant_id": "t" * 256}, "INVALID_PARAMETER", "tenant_id"),
    "user with control characters": ({"user_id": "a\nb"}, "INVALID_PARAMETER", "user_id"),
    "user with DEL": ({"user_id": "a\x7f"}, "INVALID_PARAMETER", "user_id"),
    "context no object": ({"context": []}, "INVALID_PARAMETER", "context"),
    "context too deep": ({"context": nested(33)}, "INVALID_PARAMETER", "context"),
    "append no object": ({"append": []}, "INVALID_PARAMETER", "append"),
    "append no list": ({"append": {"list": {"0": 1}}}, "INVALID_PARAMETER", "append"),
    "append too deep": ({"append": {"list": [nested(31)]}}, "INVALID_PARAMETER", "append"),
    "append to something else": ({"append": {"text": [1]}}, "INVALID_PARAMETER", "append"),
    "append to what the patch left": (
        {"context": {"list": "text"}, "append": {"list": [1]}},
        "INVALID_PARAMETER",
        "append",
    ),
    "unknown agent": ({"active_agent": "boss"}, "INVALID_PARAMETER", "active_agent"),
    "agent without pillar": ({"active_agent": "liaison_"}, "INVALID_PARAMETER", "active_agent"),
    "agent with a line after it": ({"active_agent": "guide\n"}, "INVALID_PARAMETER", "active_agent"),
    "agent in capitals": ({"active_agent": "liaison_HR"}, "INVALID_PARAMETER", "active_agent"),
    "unknown strategy": ({"merge_strategy": "overwrite"}, "INVALID_PARAMETER", "merge_strategy"),
    "replace without context": ({"merge_strategy": "replace", "base_revision": 1}, "INVALID_PARAMETER", "context"),
    "replace without base": ({"merge_strategy": "replace", "context": {}}, "INVALID_PARAMETER", "base_revision"),
    "base below zero": ({"base_revision": -1}, "INVALID_PARAMETER", "base_revision"),
    "base no integer": ({"base_revision": "1"}, "INVALID_PARAMETER", "base_revision"),
    "base a boolean": ({"base_revision": True}, "INVALID_PARAMETER", "base_revision"),
    "key empty": ({"idempotency_key": ""}, "INVALID_PARAMETER", "idempotency_key"),
    "key too long": ({"idempotency_key": "k" * 129}, "INVALID_PARAMETER", "idempotency_key"),
    "key not ASCII": ({"idempotency_key": "schlüssel"}, "INVALID_PARAMETER", "idempotency_key"),
    "key with a line after it": ({"idempotency_key": "k\n"}, "INVALID_PARAMETER", "idempotency_key"),
    "author empty": ({"author": ""}, "INVALID_PARAMETER", "author"),
    "author too long": ({"author": "a" * 65}, "INVALID_PARAMETER", "author"),
    "the engine's author": ({"author": "manual"}, "INVALID_PARAMETER", "author"),
    "the engine's other author": ({"author": "journey"}, "INVALID_PARAMETER", "author"),
    **{
        f"a user's key that begins with {beginning}": (
            {"user_id": "another", "idempotency_key": beginning + "x"},
            "INVALID_PARAMETER",
            "idempotency_key",
        )
        for beginning in ("agent-turn/", "manual/", "journey/", "initialize/")
    },
    "unknown answer": ({"returning": "everything"}, "INVALID_PARAMETER", "returning"),
    "NUL": ({"context": {"a": "\x00"}}, "INVALID_PARAMETER", "context"),
    "NUL in a key": ({"append": {"\x00": [1]}}, "INVALID_PARAMETER", "append"),
    "integer too big": ({"context": {"a": [2**53]}}, "INVALID_PARAMETER", "context"),
    "integral float too big": ({"append": {"list": [1e22]}}, "INVALID_PARAMETER", "append"),
    "another tenant": ({"tenant_id": "another"}, "SESSION_NOT_FOUND", ""),
    "another user": ({"user_id": "another"}, "SESSION_NOT_FOUND", ""),
    "another user's known key": ({"user_id": "another", "idempotency_key": "used"}, "SESSION_NOT_FOUND", ""),
    "request too large": ({"context": {"a": "x" * 131072}}, "CONTEXT_TOO_LARGE", "context"),
    "request too large for its escapes": ({"context": {"a": "\u00e9" * 22000}}, "CONTEXT_TOO_LARGE", "context"),
    "request too large, unknown field and all": ({"contxt": "x" * 131072}, "CONTEXT_TOO_LARGE", "context"),
    "known key for another change": ({"idempotency_key": "used"}, "IDEMPOTENCY_CONFLICT", "idempotency_key"),
    "known key before a bad base": (
        {"idempotency_key": "used", "base_revision": 9},
        "IDEMPOTENCY_CONFLICT",
        "idempotency_key",
    ),
    "base ahead": ({"context": {"a": 1}, "base_revision": 2}, "REVISION_CONFLICT", "base_revision"),
    "base behind": ({"context": {"a": 1}, "base_revision": 0}, "REVISION_CONFLICT", "base_revision"),
    "base behind for an agent": (
        {"active_agent": "liaison_hr", "base_revision": 0},
        "REVISION_CONFLICT",
        "base_revision",
    ),
    "base behind for nothing": ({"base_revision": 0}, "REVISION_CONFLICT", "base_revision"),
    "base ahead before a bad append": (
        {"append": {"text": [1]}, "base_revision": 2},
        "REVISION_CONFLICT",
        "base_revision",
    ),
    "replace on an older base": (
        {"merge_strategy": "replace", "context": {}, "base_revision": 0},
        "REVISION_CONFLICT",
        "base_revision",
    ),
    "replace on a newer base": (
        {"merge_strategy": "replace", "context": {}, "base_revision": 2},
        "REVISION_CONFLICT",
        "base_revision",
    ),
}


def claimed(description: WorkflowExecutionDescription) -> set[str]:
    """The names of the journey's search attributes that a run shows."""
    shown = {pair.key.name for pair in description.typed_search_attributes}
    return shown & {"TenantId", "UserId", "ActiveAgent"}


async def query_error(query: Any) -> str:
    with pytest.raises(WorkflowQueryFailedError) as caught:
        await query
    return str(caught.value)


def is_foreign(request: Json) -> bool:
    """Whether a request names another tenant than the session's own."""
    return isinstance(request.get("tenant_id"), str)


def plain_json(text: str) -> RawValue:
    """JSON that is sent as it is, even if no encoder would write it."""
    return RawValue(Payload(metadata={"encoding": b"json/plain"}, data=text.encode()))


async def all_but_refusals(journeys: Journeys, chat_session_id: str) -> Json:
    """All that both stores hold of a session, but for the refused signals in its row."""
    row, stored = await journeys.row(chat_session_id), await journeys.snapshot(chat_session_id)
    assert row
    return stored | {"row": row | {"refusals": None}}


async def create_used_session(journeys: Journeys) -> str:
    """Create a session at revision 1, with a text under `text` and the key `used`."""
    chat_session_id = await journeys.create_session(context={"text": "t"})
    await journeys.update(chat_session_id, {"context": {"first": 1}, "idempotency_key": "used"})
    return chat_session_id


async def read_history(journeys: Journeys, chat_session_id: str) -> list[int]:
    """The revisions that the ledger shows."""
    return [entry.revision for entry in await journeys.sessions.history(chat_session_id, tenant_id=journeys.tenant_id)]
