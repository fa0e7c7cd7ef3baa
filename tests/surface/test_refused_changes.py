"""A refused change says why, is counted if it was a signal, and changes nothing."""

import json
from typing import Any

from pydantic_core import from_json
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from tests.support.documents import nested
from tests.support.journeys import Journeys, Json, also_replayed, failed_tasks
from tests.support.polling import eventually
from tests.support.watching import assert_no_failed_task, refusal, until_refusals
from tests.surface.refused_requests import (
    REFUSED,
    all_but_refusals,
    create_used_session,
    is_foreign,
    plain_json,
    read_history,
)


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
        await assert_no_failed_task(journeys, chat_session_id)


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
        await assert_no_failed_task(journeys, chat_session_id)


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
