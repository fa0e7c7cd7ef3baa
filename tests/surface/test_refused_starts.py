"""What cannot create, open or find a session says why, and leaves nothing behind."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from temporalio.client import (
    ActivityFailureError,
    WorkflowFailureError,
    WorkflowUpdateFailedError,
)
from temporalio.common import WorkflowIDConflictPolicy

from tests.support.documents import nested
from tests.support.journeys import Journeys, Json, also_replayed, code_and_field, code_of, failed_tasks
from tests.support.watching import failure_code, refusal, until_admitted
from tests.surface.refused_requests import (
    Case,
    all_but_refusals,
    claimed,
    query_error,
    read_history,
)

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
    waiting = []
    for each in (journeys.tenant_id, "another", "a third"):
        claim = {"tenant_id": each, "user_id": "claimed"}
        waiting.append(asyncio.create_task(handle.execute_update("update_chat_context", claim, id=each)))
        await until_admitted(journeys, chat_session_id, each)
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
