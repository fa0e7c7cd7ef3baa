"""Every error of the contract: its code, the field it names, and that it has changed nothing."""

import asyncio
import json
import socket
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from pydantic_core import from_json
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import (
    ActivityFailureError,
    WorkflowExecutionDescription,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.common import RawValue, RetryPolicy, WorkflowIDConflictPolicy

from journeys.errors import DatabaseUnavailable
from tests.support.documents import nested
from tests.support.journeys import Journeys, Json, also_replayed, code_and_field, code_of, failed_tasks
from tests.support.polling import eventually
from tests.support.watching import count, failure_code, refusal, send_update, until_refusals

Case = tuple[Json, str, str]


# What is refused as an update whatever the session holds: the message, the code, the field.
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
    """Which search attributes of the journey a run shows."""
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
    """JSON as it is sent, with what no encoder would write."""
    return RawValue(Payload(metadata={"encoding": b"json/plain"}, data=text.encode()))


async def all_but_refusals(journeys: Journeys, chat_session_id: str) -> Json:
    """All that both stores hold of a session, but the refused signals."""
    row, stored = await journeys.row(chat_session_id), await journeys.snapshot(chat_session_id)
    assert row
    return {"row": row | {"refusals": None}, "ledger": stored["ledger"], "artifact": stored["artifact"]}


async def create_used_session(journeys: Journeys) -> str:
    """Create a session at revision 1, with a text under `text` and the key `used`."""
    chat_session_id = await journeys.create_session(context={"text": "t"})
    await journeys.update(chat_session_id, {"context": {"first": 1}, "idempotency_key": "used"})
    return chat_session_id


async def read_history(journeys: Journeys, chat_session_id: str) -> list[int]:
    """The revisions that the ledger shows."""
    return [entry.revision for entry in await journeys.sessions.history(chat_session_id, tenant_id=journeys.tenant_id)]


@also_replayed
async def test_a_refused_update_says_why_and_changes_nothing(journeys: Journeys) -> None:
    async with journeys.worker():
        chat_session_id = await create_used_session(journeys)
        kept = await journeys.snapshot(chat_session_id)
        shown = await journeys.get(chat_session_id)
        outcomes = {
            name: await refusal(journeys.update(chat_session_id, request)) for name, (request, *_) in REFUSED.items()
        }
        assert outcomes == {name: (code, field) for name, (_, code, field) in REFUSED.items()}
        assert await journeys.snapshot(chat_session_id) == kept
        assert await journeys.get(chat_session_id) == shown
        assert await read_history(journeys, chat_session_id) == [0, 1]
        after = await journeys.update(chat_session_id, {"context": {"after": 1}})
        assert after["applied_revision"] == 2
        assert after["context"] == {"text": "t", "first": 1, "after": 1}
        assert failed_tasks(await journeys.events(chat_session_id)) == []


@also_replayed
async def test_a_refused_signal_is_counted_and_changes_nothing(journeys: Journeys) -> None:
    signals = [case for case in REFUSED.values() if "returning" not in case[0]]
    own = [case for case in signals if not is_foreign(case[0])]
    async with journeys.worker():
        chat_session_id = await create_used_session(journeys)
        kept = await all_but_refusals(journeys, chat_session_id)
        for count, (request, code, field) in enumerate(own, start=1):
            await journeys.signal(chat_session_id, request)
            last = (await until_refusals(journeys, chat_session_id, count))["last"][-1]
            assert (last["code"], last["field"]) == (code, field), request
        refusals = (await journeys.get(chat_session_id))["refusals"]
        read = await journeys.read(chat_session_id=chat_session_id)
        row = await journeys.row(chat_session_id)
        assert row
        assert read["refusals"] == from_json(row["refusals"]) == refusals
        assert refusals["count"] == len(own)
        assert [(each["code"], each["field"]) for each in refusals["last"]] == [case[1:] for case in own[-10:]]
        assert [set(each) for each in refusals["last"]] == [{"at", "code", "field"}] * 10
        assert await all_but_refusals(journeys, chat_session_id) == kept
        assert failed_tasks(await journeys.events(chat_session_id)) == []


@also_replayed
async def test_strangers_refused_signals_are_counted_nowhere_that_the_tenant_sees(journeys: Journeys) -> None:
    signals = [request for request, *_ in REFUSED.values() if is_foreign(request)]
    assert len(signals) > 2
    async with journeys.worker():
        request = journeys.request()
        chat_session_id = (await journeys.initialize(request))["chat_session_id"]
        kept = await journeys.snapshot(chat_session_id)
        for foreign in signals:
            await journeys.signal(chat_session_id, foreign)
        await journeys.initialize(request)  # by now the signals are decided on
        assert (await journeys.get(chat_session_id))["refusals"] == {"count": 0, "last": []}
        assert await journeys.snapshot(chat_session_id) == kept


@also_replayed
async def test_a_signal_in_which_no_tenant_can_be_read_counts_as_the_sessions_own(journeys: Journeys) -> None:
    name_twice = f'{{"tenant_id":"{journeys.tenant_id}","context":{{"a":1,"a":2}}}}'
    unreadable: list[tuple[Any, str]] = [
        ([], ""),
        ("text", ""),
        (None, ""),
        ({}, "tenant_id"),
        ({"tenant_id": 7}, "tenant_id"),
        (plain_json("{nonsense"), ""),
        (plain_json(name_twice), ""),
        (RawValue(Payload(metadata={"encoding": b"binary/encrypted"}, data=b"{}")), ""),
    ]
    async with journeys.worker():
        chat_session_id = await journeys.create_session()
        kept = await all_but_refusals(journeys, chat_session_id)
        for count, (sent, field) in enumerate(unreadable, start=1):
            await journeys.handle(chat_session_id).signal("update_chat_context", sent)
            last = (await until_refusals(journeys, chat_session_id, count))["last"][-1]
            assert (last["code"], last["field"]) == ("INVALID_PARAMETER", field), sent
        large: Json = {"tenant_id": "another", "context": {"a": "x" * 131072}}
        await journeys.handle(chat_session_id).signal("update_chat_context", large)
        last = (await until_refusals(journeys, chat_session_id, len(unreadable) + 1))["last"][-1]
        assert (last["code"], last["field"]) == ("CONTEXT_TOO_LARGE", "context")
        assert await all_but_refusals(journeys, chat_session_id) == kept
        assert failed_tasks(await journeys.events(chat_session_id)) == []


@also_replayed
async def test_refusals_outlive_the_run(journeys: Journeys) -> None:
    async with journeys.worker():
        request = journeys.request()
        chat_session_id = (await journeys.initialize(request))["chat_session_id"]
        await journeys.signal(chat_session_id, {"active_agent": "boss"})
        await journeys.handle(chat_session_id).signal("update_chat_context", [])
        before = await until_refusals(journeys, chat_session_id, 2)
        # A refusal by form is stored too, before anybody asks.
        await eventually(
            lambda: journeys.read(chat_session_id=chat_session_id), lambda found: found["refusals"] == before
        )
        await journeys.handle(chat_session_id).terminate()
        asleep = await journeys.read(chat_session_id=chat_session_id)
        await journeys.initialize(request)
        resumed = (await journeys.get(chat_session_id))["refusals"]
        await journeys.signal(chat_session_id, {"author": "manual"})
        after = await until_refusals(journeys, chat_session_id, 3)
    assert asleep["refusals"] == resumed == before
    assert after["last"][:2] == before["last"]
    assert (after["last"][2]["code"], after["last"][2]["field"]) == ("INVALID_PARAMETER", "author")


async def test_an_update_with_a_member_name_twice_is_refused(journeys: Journeys) -> None:
    async with journeys.worker():
        chat_session_id = await create_used_session(journeys)
        kept = await journeys.snapshot(chat_session_id)
        tenant = f'"tenant_id":"{journeys.tenant_id}"'
        for request in (f"{{{tenant},{tenant}}}", f'{{{tenant},"context":{{"a":1,"b":{{"c":1,"c":2}}}}}}'):
            update = journeys.handle(chat_session_id).execute_update("update_chat_context", plain_json(request))
            assert await refusal(update) == ("INVALID_PARAMETER", "")
        assert await journeys.snapshot(chat_session_id) == kept


@also_replayed
async def test_a_refused_change_leaves_no_trace_for_those_after_it(journeys: Journeys) -> None:
    async with journeys.worker():
        chat_session_id = await create_used_session(journeys)
        bad = {"context": {"bad": 1}, "append": {"text": [1]}, "active_agent": "liaison_bad", "idempotency_key": "k"}
        assert await refusal(journeys.update(chat_session_id, bad)) == ("INVALID_PARAMETER", "append")
        answer = await journeys.update(chat_session_id, {"context": {"good": 1}, "idempotency_key": "k"})
    assert answer["context"] == {"text": "t", "first": 1, "good": 1}
    assert (answer["active_agent"], answer["duplicate"], answer["applied_revision"]) == ("guide", False, 2)


@also_replayed
async def test_a_context_that_would_grow_too_large_is_refused(journeys: Journeys) -> None:
    async with journeys.worker(max_context_bytes=1000, max_change_bytes=900):
        chat_session_id = await journeys.create_session()
        await journeys.update(chat_session_id, {"context": {"a": "x" * 700}})
        kept = await journeys.snapshot(chat_session_id)
        larger = {"context": {"b": "x" * 300}}
        exactly = {"context": {"b": "x" * 279}}  # {"a":"","b":""} has 15 bytes more
        assert await refusal(journeys.update(chat_session_id, larger)) == ("CONTEXT_TOO_LARGE", "context")
        assert await refusal(journeys.update(chat_session_id, {"append": {"b": ["x" * 300]}})) == (
            "CONTEXT_TOO_LARGE",
            "context",
        )
        assert await refusal(journeys.update(chat_session_id, {"context": {"b": "x" * 900}})) == (
            "CONTEXT_TOO_LARGE",
            "context",
        )
        assert await journeys.snapshot(chat_session_id) == kept
        assert (await journeys.update(chat_session_id, exactly))["applied_revision"] == 2


async def test_the_limits_themselves_are_allowed(journeys: Journeys) -> None:
    def filled(character: str, size: int) -> Json:
        """A request that has this size as it is sent, escapes included."""
        request: Json = {"tenant_id": journeys.tenant_id, "context": {"a": ""}}
        frame = len(json.dumps(request, separators=(",", ":")))
        escaped = len(json.dumps(character)) - 2
        fill, rest = divmod(size - frame, escaped)
        request["context"]["a"] = character * fill + "x" * rest
        assert len(json.dumps(request, separators=(",", ":"))) == size
        return request

    async with journeys.worker():
        user = "u" * 255
        artifact = await journeys.initialize(journeys.request(user, context=nested(32)))
        chat_session_id = artifact["chat_session_id"]
        for revision, character in enumerate(["x", "\u00e9", '"', "\U0001f600"], start=1):
            too_large = journeys.update(chat_session_id, filled(character, 131073))
            assert await refusal(too_large) == ("CONTEXT_TOO_LARGE", "context")
            answer = await journeys.update(chat_session_id, filled(character, 131072))
            assert answer["applied_revision"] == revision
        answer = await journeys.update(
            chat_session_id,
            {
                "user_id": user,
                "context": {"a": None, "max": 2**53 - 1, "min": 1 - 2**53, "half": 0.5, "in": nested(31)},
                "append": {"list": [nested(30)]},
                "active_agent": "liaison_" + "a" * 247,
                "idempotency_key": "k" * 127 + "~",
                "author": "ä" * 64,
            },
        )
    assert answer["applied_revision"] == 5
    assert answer["context"] == {
        "in": nested(31),
        "max": 2**53 - 1,
        "min": 1 - 2**53,
        "half": 0.5,
        "list": [nested(30)],
    }


INITIALIZE_REFUSED: dict[str, Case] = {
    "unknown field": ({"agent": "guide"}, "INVALID_PARAMETER", ""),
    "no user": ({"user_id": None}, "INVALID_PARAMETER", "user_id"),
    "no time": ({"requested_at": None}, "INVALID_PARAMETER", "requested_at"),
    "no zone": ({"requested_at": "2026-01-27T10:05:12"}, "INVALID_PARAMETER", "requested_at"),
    "a number for a time": ({"requested_at": 1769508312}, "INVALID_PARAMETER", "requested_at"),
    "a time that is none": ({"requested_at": "2026-02-30T10:05:12Z"}, "INVALID_PARAMETER", "requested_at"),
    "a time out of range": ({"requested_at": "0001-01-01T00:00:00+14:00"}, "INVALID_PARAMETER", "requested_at"),
    "another minute": ({"requested_at": "2026-01-27T10:05:12Z"}, "INVALID_PARAMETER", "requested_at"),
    "another user": ({"user_id": "another"}, "INVALID_PARAMETER", "requested_at"),
    "another tenant": ({"tenant_id": "another"}, "INVALID_PARAMETER", "requested_at"),
    "unknown agent": ({"active_agent": "boss"}, "INVALID_PARAMETER", "active_agent"),
    "context no object": ({"context": "text"}, "INVALID_PARAMETER", "context"),
    "context too deep": ({"context": nested(33)}, "INVALID_PARAMETER", "context"),
    "request too large": ({"context": {"a": "x" * 131072}}, "CONTEXT_TOO_LARGE", "context"),
    "context too large": ({"context": {"a": "x" * 262144}}, "CONTEXT_TOO_LARGE", "context"),
}


async def test_a_refused_initialize_says_why_and_changes_nothing(journeys: Journeys) -> None:
    async with journeys.worker():
        request = journeys.request()
        chat_session_id = (await journeys.initialize(request))["chat_session_id"]
        kept = await journeys.snapshot(chat_session_id)
        handle = journeys.handle(chat_session_id)
        outcomes = {
            name: await refusal(handle.execute_update("initialize_chat_session", request | change))
            for name, (change, *_) in INITIALIZE_REFUSED.items()
        }
        assert outcomes == {name: (code, field) for name, (_, code, field) in INITIALIZE_REFUSED.items()}
        assert await journeys.snapshot(chat_session_id) == kept
        assert failed_tasks(await journeys.events(chat_session_id)) == []


@pytest.mark.parametrize("name", ["unknown agent", "context too deep", "request too large", "context too large"])
async def test_a_refused_initialize_creates_nothing(journeys: Journeys, name: str) -> None:
    change, code, field = INITIALIZE_REFUSED[name]
    request = journeys.request()
    chat_session_id = journeys.identity(request)
    async with journeys.worker():
        assert await refusal(journeys.initialize(request | change)) == (code, field)
        assert await journeys.row(chat_session_id) is None
        assert await failure_code(journeys, chat_session_id) == "INVALID_PARAMETER"  # the argument does not fit either
        assert await journeys.snapshot(chat_session_id) == {"row": [], "ledger": [], "messages": [], "artifact": []}
        assert failed_tasks(await journeys.events(chat_session_id)) == []
        assert (await journeys.initialize(request))["revision"] == 0


async def test_a_time_ahead_of_the_clock_is_refused_beyond_five_minutes(journeys: Journeys) -> None:
    now = datetime.now(UTC)
    ahead = journeys.request(requested_at=(now + timedelta(minutes=6)).isoformat())
    tolerated = journeys.request(requested_at=(now + timedelta(minutes=4)).isoformat())
    argument = {"chat_session_id": journeys.identity(ahead), "tenant_id": ahead["tenant_id"]}
    async with journeys.worker():
        start = journeys.start(argument)
        refused = journeys.client.execute_update_with_start_workflow(
            "initialize_chat_session", ahead, start_workflow_operation=start
        )
        assert await refusal(refused) == ("INVALID_PARAMETER", "requested_at")
        assert await refusal(journeys.initialize(ahead)) == ("INVALID_PARAMETER", "requested_at")
        assert (await journeys.initialize(tolerated))["revision"] == 0
    assert await journeys.row(journeys.identity(ahead)) is None


def arguments(journeys: Journeys) -> Mapping[str, tuple[Json, str]]:
    """Workflow arguments that do not fit, by what is wrong with them, and the field at fault."""
    request = journeys.request()
    fitting = {
        "chat_session_id": journeys.identity(request),
        "tenant_id": request["tenant_id"],
        "user_id": request["user_id"],
        "initialize": {"requested_at": request["requested_at"]},
    }
    late = journeys.request(requested_at=(datetime.now(UTC) + timedelta(minutes=6)).isoformat())
    return {
        "no session": (fitting | {"chat_session_id": None}, "chat_session_id"),
        "a session that is no UUID": (fitting | {"chat_session_id": "x"}, "chat_session_id"),
        "no tenant": (fitting | {"tenant_id": None}, "tenant_id"),
        "no user": (fitting | {"user_id": None}, "user_id"),
        "unknown field": (fitting | {"context": {}}, ""),
        "unknown field in initialize": (
            fitting | {"initialize": {"requested_at": request["requested_at"], "user_id": "u"}},
            "initialize",
        ),
        "initialize no object": (fitting | {"initialize": True}, "initialize"),
        "no time": (fitting | {"initialize": {}}, "initialize"),
        "no zone": (fitting | {"initialize": {"requested_at": "2026-01-27T10:05:12"}}, "initialize"),
        "another minute": (fitting | {"initialize": {"requested_at": "2026-01-27T10:05:12Z"}}, "requested_at"),
        "another user": (fitting | {"user_id": "another"}, "requested_at"),
        "another tenant": (fitting | {"tenant_id": "another"}, "requested_at"),
        "ahead of the clock": (
            fitting
            | {
                "chat_session_id": journeys.identity(late),
                "user_id": late["user_id"],
                "initialize": {"requested_at": late["requested_at"]},
            },
            "requested_at",
        ),
        "unknown agent": (
            fitting | {"initialize": {"requested_at": request["requested_at"], "active_agent": "boss"}},
            "initialize",
        ),
    }


async def test_an_argument_that_does_not_fit_fails_the_run(journeys: Journeys) -> None:
    cases = arguments(journeys)
    outcomes = {}
    async with journeys.worker():
        for name, (argument, _) in cases.items():
            chat_session_id = argument["chat_session_id"]
            chat_session_id = chat_session_id if chat_session_id and len(chat_session_id) > 1 else str(uuid4())
            handle = await journeys.client.start_workflow(
                "journey_coexistence_chat_session",
                argument,
                id=f"chat-session/{chat_session_id}",
                task_queue=journeys.task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            )
            with pytest.raises(WorkflowFailureError) as caught:
                await handle.result()
            outcomes[name] = code_and_field(caught.value)
            assert failed_tasks([event async for event in handle.fetch_history_events()]) == []
            assert not claimed(await handle.describe())
    assert outcomes == {name: ("INVALID_PARAMETER", field) for name, (_, field) in cases.items()}
    count = "select count(*) from public.chat_sessions where tenant_id = any($1)"
    assert await journeys.supabase.fetchval(count, [journeys.tenant_id, "another"]) == 0


@pytest.mark.parametrize("workflow_id", ["chat-session/{other}", "{own}", "chat-session/{upper}", "Chat-Session/{own}"])
async def test_a_wrong_workflow_id_fails_the_run(journeys: Journeys, workflow_id: str) -> None:
    request = journeys.request()
    own = journeys.identity(request)
    argument = {
        "chat_session_id": own,
        "tenant_id": request["tenant_id"],
        "user_id": request["user_id"],
        "initialize": {"requested_at": request["requested_at"]},
    }
    wrong = workflow_id.format(own=own, other=uuid4(), upper=own.upper())
    async with journeys.worker():
        start = journeys.start(argument, id=wrong)
        update = journeys.client.execute_update_with_start_workflow(
            "update_chat_context", {"tenant_id": request["tenant_id"]}, start_workflow_operation=start
        )
        told = "SESSION_NOT_FOUND" if wrong.startswith("chat-session/") and wrong.islower() else "INVALID_PARAMETER"
        assert (await refusal(update))[0] == told
        handle = journeys.client.get_workflow_handle(wrong)
        with pytest.raises(WorkflowFailureError) as caught:
            await handle.result()
        assert code_of(caught.value) == "INVALID_PARAMETER"
        assert failed_tasks([event async for event in handle.fetch_history_events()]) == []
    assert await journeys.row(own) is None
    assert await journeys.artifact(own) is None


@also_replayed
async def test_a_session_that_nobody_creates_is_not_found(journeys: Journeys) -> None:
    chat_session_id = str(uuid4())
    async with journeys.worker():
        assert await refusal(journeys.update(chat_session_id, {"context": {"a": 1}})) == ("SESSION_NOT_FOUND", "")
        handle = journeys.handle(chat_session_id)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        assert code_and_field(failed.value) == ("SESSION_NOT_FOUND", "")
        assert not claimed(await handle.describe())
        assert failed_tasks(await journeys.events(chat_session_id)) == []
    assert await journeys.snapshot(chat_session_id) == {"row": [], "ledger": [], "messages": [], "artifact": []}


@also_replayed
async def test_all_that_wait_for_a_session_that_nobody_creates_are_told(journeys: Journeys) -> None:
    chat_session_id = str(uuid4())
    await journeys.signal(chat_session_id, {"context": {"a": 1}})
    handle = journeys.handle(chat_session_id)
    waiting = [
        asyncio.create_task(handle.execute_update("update_chat_context", {"tenant_id": each, "user_id": "claimed"}))
        for each in (journeys.tenant_id, "another", "a third")
    ]
    async with journeys.worker():
        for update in waiting:
            assert await refusal(update) == ("SESSION_NOT_FOUND", "")
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        assert code_and_field(failed.value) == ("SESSION_NOT_FOUND", "")
        assert not claimed(await handle.describe())
        metadata = await handle.query("__temporal_workflow_metadata")
        assert "claimed" not in metadata.current_details
        assert failed_tasks(await journeys.events(chat_session_id)) == []


@also_replayed
@pytest.mark.parametrize("whose", [{"tenant_id": "another"}, {"user_id": "another"}], ids=["tenant", "user"])
async def test_anothers_session_is_not_found_by_any_message(journeys: Journeys, whose: Json) -> None:
    async with journeys.worker():
        request = journeys.request()
        chat_session_id = (await journeys.initialize(request))["chat_session_id"]
        owner = {"tenant_id": request["tenant_id"], "user_id": request["user_id"]}
        foreign = owner | whose
        handle = journeys.handle(chat_session_id)
        kept = await journeys.snapshot(chat_session_id)

        update = handle.execute_update("update_chat_context", foreign | {"context": {"a": 1}})
        assert await refusal(update) == ("SESSION_NOT_FOUND", "")
        empty = handle.execute_update("update_chat_context", foreign)
        assert await refusal(empty) == ("SESSION_NOT_FOUND", "")
        assert (await query_error(handle.query("get_chat_session", foreign))).startswith("SESSION_NOT_FOUND: ")
        with pytest.raises(ActivityFailureError) as caught:
            await journeys.read(**foreign, chat_session_id=chat_session_id)
        assert code_and_field(caught.value) == ("SESSION_NOT_FOUND", "")
        assert await journeys.snapshot(chat_session_id) == kept

        quiet = await all_but_refusals(journeys, chat_session_id)
        await handle.signal("update_chat_context", foreign | {"context": {"a": 1}})
        await journeys.initialize(request)  # by now the signal is decided on
        refusals = (await journeys.get(chat_session_id))["refusals"]
        seen = [("SESSION_NOT_FOUND", "")] if foreign["tenant_id"] == journeys.tenant_id else []
        assert [(each["code"], each["field"]) for each in refusals["last"]] == seen
        assert await all_but_refusals(journeys, chat_session_id) == quiet
        assert await read_history(journeys, chat_session_id) == [0]


@also_replayed
async def test_another_tenants_start_does_not_open_a_session(journeys: Journeys) -> None:
    async with journeys.worker():
        request = journeys.request()
        chat_session_id = (await journeys.initialize(request))["chat_session_id"]
        kept = await journeys.snapshot(chat_session_id)
        await journeys.handle(chat_session_id).terminate()
        claim = {"chat_session_id": chat_session_id, "tenant_id": "another", "user_id": "another"}
        update = journeys.client.execute_update_with_start_workflow(
            "update_chat_context",
            {"tenant_id": "another", "context": {"a": 1}},
            start_workflow_operation=journeys.start(claim),
        )
        assert await refusal(update) == ("SESSION_NOT_FOUND", "")
        query = journeys.handle(chat_session_id).query("get_chat_session", {"tenant_id": "another"})
        assert (await query_error(query)).startswith("SESSION_NOT_FOUND: ")
        assert (await journeys.get(chat_session_id))["user_id"] == request["user_id"]
        assert await journeys.snapshot(chat_session_id) == kept


async def test_whether_a_session_exists_for_others_is_not_said(journeys: Journeys) -> None:
    """The error for another tenant's session and for none at all is the same, to the letter."""
    async with journeys.worker():
        chat_session_id = await journeys.create_session()
        told = []
        for identity, tenant_id in ((chat_session_id, "another"), (str(uuid4()), "another")):
            with pytest.raises(ActivityFailureError) as caught:
                await journeys.read(tenant_id=tenant_id, chat_session_id=identity)
            told.append(str(caught.value.__cause__))
            with pytest.raises(WorkflowUpdateFailedError) as refused:
                await journeys.update(identity, {"tenant_id": tenant_id})
            told.append(str(refused.value.__cause__))
    assert len(set(told)) == 1


QUERIES_REFUSED: dict[str, tuple[Any, str]] = {
    "no tenant": ({}, "INVALID_PARAMETER: tenant_id"),
    "unknown field": ({"tenant_id": "t", "tenant": "t"}, "INVALID_PARAMETER: "),
    "no object": ([], "INVALID_PARAMETER: "),
    "session no UUID": ({"tenant_id": "t", "chat_session_id": "x"}, "INVALID_PARAMETER: chat_session_id"),
    "another session": ({"chat_session_id": str(uuid4())}, "SESSION_NOT_FOUND: "),
}


async def test_a_refused_query_begins_with_its_code(journeys: Journeys) -> None:
    async with journeys.worker():
        chat_session_id = await create_used_session(journeys)
        events = await journeys.events(chat_session_id)
        for request, beginning in QUERIES_REFUSED.values():
            asked = {"tenant_id": journeys.tenant_id} | request if beginning.startswith("SESS") else request
            message = await query_error(journeys.handle(chat_session_id).query("get_chat_session", asked))
            assert message.startswith(beginning)
        assert await journeys.events(chat_session_id) == events


async def test_a_refused_activity_says_why(journeys: Journeys) -> None:
    refused: dict[str, Case] = {
        "unknown field": ({"user": "u"}, "INVALID_PARAMETER", ""),
        "no tenant": ({"tenant_id": None, "user_id": "u"}, "INVALID_PARAMETER", "tenant_id"),
        "neither user nor session": ({}, "INVALID_PARAMETER", "user_id"),
        "session no UUID": ({"chat_session_id": "x"}, "INVALID_PARAMETER", "chat_session_id"),
        "session in capitals": ({"chat_session_id": str(uuid4()).upper()}, "INVALID_PARAMETER", "chat_session_id"),
        "control characters": ({"user_id": "a\tb"}, "INVALID_PARAMETER", "user_id"),
        "no such session": ({"chat_session_id": str(uuid4())}, "SESSION_NOT_FOUND", ""),
        "no session at all": ({"user_id": "nobody"}, "SESSION_NOT_FOUND", ""),
    }
    outcomes = {}
    async with journeys.worker():
        for name, (request, *_) in refused.items():
            with pytest.raises(ActivityFailureError) as caught:
                await journeys.read(**request)
            outcomes[name] = code_and_field(caught.value)
    assert outcomes == {name: (code, field) for name, (_, code, field) in refused.items()}


async def test_an_unknown_field_is_named(journeys: Journeys) -> None:
    async with journeys.worker():
        chat_session_id = await create_used_session(journeys)
        with pytest.raises(WorkflowUpdateFailedError) as caught:
            await journeys.update(chat_session_id, {"contxt": {}})
    assert "contxt" in str(caught.value.__cause__)


@also_replayed
async def test_an_update_id_runs_normally_after_a_validators_refusal(journeys: Journeys) -> None:
    async with journeys.worker():
        chat_session_id = await journeys.create_session()
        refused: list[Any] = [[], "text", {"tenant_id": journeys.tenant_id, "context": {"a": "x" * 131072}}]
        handle = journeys.handle(chat_session_id)
        for bad in refused:
            with pytest.raises(WorkflowUpdateFailedError):
                await handle.execute_update("update_chat_context", bad, id="one ID")
        answer = await journeys.update(chat_session_id, {"context": {"a": 1}}, id="one ID")
    assert answer["applied_revision"] == 1


@also_replayed
async def test_an_update_that_was_accepted_and_refused_keeps_its_refusal(journeys: Journeys) -> None:
    """What is not refused by its size or form is accepted, and judged in its turn."""
    async with journeys.worker():
        chat_session_id = await journeys.create_session(context={"text": "t"})
        refused: dict[str, Json] = {
            "shape": {"active_agent": "boss"},
            "unknown field": {"contxt": {}},
            "append": {"append": {"text": [1]}},
        }
        for update_id, bad in refused.items():
            told = await refusal(journeys.update(chat_session_id, bad, id=update_id))
            assert told[0] == "INVALID_PARAMETER"
            good = journeys.update(chat_session_id, {"context": {"a": 1}}, id=update_id)
            assert await refusal(good) == told
        answer = await journeys.update(chat_session_id, {"context": {"a": 1}}, id="another ID")
        accepted = await count_accepted(journeys, chat_session_id)
    assert answer["applied_revision"] == 1
    assert accepted == 5  # the initialization too


async def count_accepted(journeys: Journeys, chat_session_id: str) -> int:
    kind = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED
    return count(await journeys.events(chat_session_id), kind)


@pytest.mark.parametrize("name", ["initialize_chat_session", "load_chat_session", "update_chat_context"])
async def test_an_activity_that_writes_refuses_to_run_by_itself(journeys: Journeys, name: str) -> None:
    """It could be pointed at any session."""
    async with journeys.worker():
        request = journeys.request()
        chat_session_id = (await journeys.initialize(request))["chat_session_id"]
        kept = await journeys.snapshot(chat_session_id)
        batch = {
            "first_run_id": "a run",
            "at": datetime.now(UTC).isoformat(),
            "messages": [{"identity": "a run/an update", "kind": "update"}],
        }
        change = {"tenant_id": journeys.tenant_id, "context": {"a": 1}}
        for activity_id in (f"chat-session/{chat_session_id}", str(uuid4())):
            with pytest.raises(ActivityFailureError) as caught:
                await journeys.client.execute_activity(
                    name,
                    args=[batch, change],
                    id=activity_id,
                    task_queue=journeys.task_queue,
                    start_to_close_timeout=timedelta(seconds=5),
                )
            assert code_and_field(caught.value) == ("INVALID_PARAMETER", "")
        assert await journeys.snapshot(chat_session_id) == kept


@pytest.fixture
def nowhere() -> SecretStr:
    """The address of a store that nobody serves."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return SecretStr(f"postgresql://postgres@127.0.0.1:{taken.getsockname()[1]}/postgres")


async def test_with_its_store_away_a_journey_says_database_unavailable(journeys: Journeys, nowhere: SecretStr) -> None:
    request = journeys.request()
    chat_session_id = journeys.identity(request)
    handle = journeys.handle(chat_session_id)
    starter = journeys.sessions_within(timedelta(seconds=2))
    async with journeys.worker(supabase_db_url=nowhere, state_surface_url=nowhere):
        with pytest.raises(DatabaseUnavailable):
            await starter.initialize(**request)
        assert (await query_error(journeys.get(chat_session_id))).startswith("DATABASE_UNAVAILABLE: ")
        with pytest.raises(ActivityFailureError) as caught:
            await journeys.client.execute_activity(
                "get_chat_session",
                {"tenant_id": journeys.tenant_id, "chat_session_id": chat_session_id},
                id=str(uuid4()),
                task_queue=journeys.task_queue,
                start_to_close_timeout=timedelta(seconds=5),
                retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=10)),
            )
        assert code_and_field(caught.value) == ("DATABASE_UNAVAILABLE", "")
        # Whatever comes is accepted, and waits for the store.
        large: Json = {"tenant_id": journeys.tenant_id, "context": {"large": "x" * 60_000}}
        for _ in range(18):
            await handle.signal("update_chat_context", large)
        waiting = await send_update(journeys, chat_session_id, {"context": {"small": 1}})
        assert failed_tasks(await journeys.events(chat_session_id)) == []
        assert await journeys.snapshot(chat_session_id) == {"row": [], "ledger": [], "messages": [], "artifact": []}
    async with journeys.worker():
        answer: Json = await asyncio.wait_for(waiting.result(), 60)
        assert (answer["applied_revision"], answer["context"]) == (19, large["context"] | {"small": 1})
        assert (await journeys.get(chat_session_id))["refusals"]["count"] == 0
        assert failed_tasks(await journeys.events(chat_session_id)) == []
