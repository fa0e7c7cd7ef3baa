"""Queries, activities and updates are refused with the code and the field that the contract says."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from temporalio.api.enums.v1 import EventType
from temporalio.client import (
    ActivityFailureError,
    WorkflowUpdateFailedError,
)
from temporalio.common import RetryPolicy

from journeys.errors import DatabaseUnavailable, JourneyError
from tests.support.journeys import Journeys, Json, also_replayed, code_and_field, failed_tasks
from tests.support.polling import eventually
from tests.support.watching import count, refusal, send_update
from tests.surface.refused_requests import (
    Case,
    create_used_session,
    query_error,
)

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
    """An update is accepted unless its size or form is wrong, and is decided in its turn."""
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


async def test_with_its_store_away_a_journey_says_database_unavailable(
    journeys: Journeys, unserved_store: SecretStr
) -> None:
    request = journeys.request()
    chat_session_id = journeys.identity(request)
    handle = journeys.handle(chat_session_id)
    starter = journeys.sessions_within(timedelta(seconds=2))
    async with journeys.worker(supabase_db_url=unserved_store, state_surface_url=unserved_store):

        async def error() -> type[JourneyError]:
            with pytest.raises(JourneyError) as caught:
                await starter.initialize(**request)
            return caught.type

        # A worker that has not yet tried the store at the deadline cannot say so.
        await eventually(error, lambda found: found is DatabaseUnavailable)
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
