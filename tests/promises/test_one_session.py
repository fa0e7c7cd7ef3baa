"""Any number of starters, processes and retries with one key: one workflow, one row, one artifact, one ID."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from journeys import ChatSessions
from journeys.chat_session.answers import InitializedChatSession
from journeys.chat_session.keys import session_key
from journeys.chat_session.names import INITIALIZE
from tests.support.journeys import Journeys, Json, also_replayed, failed_tasks
from tests.support.watching import count
from worker.plugin import JourneyPlugin

STARTERS = 12


async def check_one(journeys: Journeys, request: Json, artifacts: Sequence[Json]) -> None:
    """All were answered the same, and there is one of everything."""
    assert artifacts == [artifacts[0]] * len(artifacts)
    chat_session_id = artifacts[0]["chat_session_id"]
    assert chat_session_id == journeys.identity(request)
    counting = "select count(*) from {} where tenant_id = $1"
    assert await journeys.supabase.fetchval(counting.format("public.chat_sessions"), journeys.tenant_id) == 1
    assert await journeys.state_surface.fetchval(counting.format("state_surface.artifacts"), journeys.tenant_id) == 1
    assert await journeys.ledger(chat_session_id) == []
    # The run that created the session still runs, and is the first.
    artifact = await journeys.artifact(chat_session_id)
    assert artifact
    description = await journeys.handle(chat_session_id).describe()
    events = await journeys.events(chat_session_id)
    started = events[0].workflow_execution_started_event_attributes
    assert artifact["produced_by"]["execution_id"] == description.run_id == started.first_execution_run_id
    assert failed_tasks(events) == []


def as_json(told: InitializedChatSession) -> Json:
    """A starter's answer without `created`."""
    return told.model_dump(mode="json", exclude={"created"})


async def count_accepted_updates(journeys: Journeys, request: Json) -> int:
    events = await journeys.events(journeys.identity(request))
    return count(events, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED)


def minutes_ago(minutes: int, second: float) -> datetime:
    return datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=minutes) + timedelta(seconds=second)


@also_replayed
async def test_concurrent_starters_share_one_session(journeys: Journeys) -> None:
    request = journeys.request()
    async with journeys.worker():
        artifacts = await asyncio.gather(*(journeys.initialize(request) for _ in range(STARTERS)))
        await check_one(journeys, request, artifacts)


@also_replayed
async def test_of_concurrent_starters_exactly_one_is_told_that_it_created_the_session(journeys: Journeys) -> None:
    """Whatever the order of the calls; a later call is not told so."""
    request = journeys.request()
    session = journeys.identity(request)

    async def is_creator(update_id: str) -> bool:
        answer: Json = await journeys.client.execute_update_with_start_workflow(
            INITIALIZE, request, start_workflow_operation=journeys.start(journeys.argument(request)), id=update_id
        )
        told: bool = answer["created"]
        return told

    async with journeys.worker(rollover_messages=1):
        told = await asyncio.gather(*(is_creator(f"starter {number}") for number in range(STARTERS)))
        assert told.count(True) == 1
        assert await is_creator("later") is False
        await journeys.handle(session).terminate()
        assert await is_creator("later still") is False


@also_replayed
async def test_concurrent_starters_with_one_update_id_are_one_update(journeys: Journeys) -> None:
    request = journeys.request()
    key = session_key(request["tenant_id"], request["user_id"], datetime.fromisoformat(request["requested_at"]))
    async with journeys.worker():
        artifacts = await asyncio.gather(
            *(journeys.initialize(request, id=f"initialize_chat_session/{key}") for _ in range(STARTERS))
        )
        await check_one(journeys, request, artifacts)
        assert await count_accepted_updates(journeys, request) == 1


@also_replayed
async def test_concurrent_starters_that_differ_get_the_session_of_one_of_them(journeys: Journeys) -> None:
    request = journeys.request()
    wanted: list[Json] = [{"active_agent": f"liaison_{each}", "context": {"starter": each}} for each in "abcdefgh"]
    async with journeys.worker():
        artifacts = await asyncio.gather(*(journeys.initialize(request | each) for each in wanted))
        await check_one(journeys, request, artifacts)
    assert {name: artifacts[0][name] for name in ("active_agent", "context")} in wanted


@also_replayed
async def test_concurrent_starters_in_python_share_one_session(journeys: Journeys) -> None:
    request = journeys.request()
    async with journeys.worker():
        clients = [await Client.connect(journeys.addresses.temporal_address) for _ in range(3)]
        starters = [ChatSessions(client, task_queue=journeys.task_queue) for client in clients] * (STARTERS // 3)
        told = await asyncio.gather(*(starter.initialize(**request) for starter in starters))
        assert [each.created for each in told].count(True) == 1
        await check_one(journeys, request, [as_json(each) for each in told])
        # Each caller's update has an ID of its own, since Temporal answers a known ID to any caller.
        # Callers that are turned away, because ten updates wait, read the session instead.
        assert 1 < await count_accepted_updates(journeys, request) <= STARTERS


@also_replayed
async def test_starters_with_several_workers_share_one_session(journeys: Journeys) -> None:
    request = journeys.request()
    connection = await Client.connect(journeys.addresses.temporal_address, plugins=[JourneyPlugin()])
    async with journeys.worker(), replace(journeys, worker_client=connection).worker():
        plain = [journeys.initialize(request) for _ in range(STARTERS // 2)]
        starters = [journeys.sessions.initialize(**request) for _ in range(STARTERS // 2)]
        artifacts, told = await asyncio.gather(asyncio.gather(*plain), asyncio.gather(*starters))
        assert [each.created for each in told].count(True) <= 1
        await check_one(journeys, request, [*artifacts, *map(as_json, told)])


@also_replayed
async def test_starters_from_before_there_is_a_worker_share_one_session(journeys: Journeys) -> None:
    request = journeys.request()
    waiting = [asyncio.create_task(journeys.initialize(request)) for _ in range(STARTERS // 2)]
    async with journeys.worker():
        await check_one(journeys, request, await asyncio.gather(*waiting))


@also_replayed
async def test_a_retry_that_crosses_a_minute_boundary_finds_its_session(journeys: Journeys) -> None:
    request = journeys.request(requested_at=minutes_ago(1, 59.999).isoformat())  # so by now it is another minute
    async with journeys.worker():
        first = await journeys.initialize(request)
        await journeys.update(first["chat_session_id"], {"context": {"a": 1}})
        retried = await journeys.initialize(request)
        in_python = await journeys.sessions.initialize(**request)
    assert retried["chat_session_id"] == in_python.chat_session_id == first["chat_session_id"]
    assert retried["context"] == in_python.context == {"a": 1}


@also_replayed
async def test_one_minute_is_one_session_however_it_is_written(journeys: Journeys) -> None:
    minute = minutes_ago(2, 0)
    written = [
        minute.isoformat(),
        minute.replace(second=59, microsecond=999999).isoformat(),
        (minute + timedelta(hours=5, minutes=30)).isoformat().replace("+00:00", "+05:30"),
        minute.isoformat().replace("+00:00", "Z"),
    ]
    async with journeys.worker():
        requests = [journeys.request("ada", requested_at=each) for each in written]
        artifacts = [await journeys.initialize(each) for each in requests]
        await check_one(journeys, requests[0], artifacts)


@also_replayed
async def test_another_minute_user_or_tenant_is_another_session(journeys: Journeys) -> None:
    minute = minutes_ago(5, 0)
    own = journeys.request("bc", requested_at=minute.isoformat())
    others: list[Json] = [
        own | {"requested_at": (minute + timedelta(minutes=1)).isoformat()},
        own | {"requested_at": (minute - timedelta(microseconds=1)).isoformat()},
        own | {"user_id": "BC"},
        own | {"tenant_id": f"{own['tenant_id']}b", "user_id": "c"},  # the same when the two are written together
    ]
    async with journeys.worker():
        artifacts = [await journeys.initialize(request) for request in [own, *others]]
        rows = [await journeys.row(artifact["chat_session_id"]) for artifact in artifacts]
    assert len({artifact["chat_session_id"] for artifact in artifacts}) == len(artifacts)
    assert [(row["tenant_id"], row["user_id"]) for row in rows if row] == [
        (request["tenant_id"], request["user_id"]) for request in [own, *others]
    ]


@also_replayed
async def test_a_known_update_id_is_answered_from_its_first_result(journeys: Journeys) -> None:
    async with journeys.worker():
        chat_session_id = await journeys.create_session()
        first = await journeys.update(chat_session_id, {"context": {"a": 1}}, id="update_chat_context/x")
        await journeys.update(chat_session_id, {"context": {"a": 2}})
        kept = await journeys.snapshot(chat_session_id)
        again = await journeys.update(chat_session_id, {"context": {"a": 1}}, id="update_chat_context/x")
        other = await journeys.update(chat_session_id, {"context": {"b": 3}}, id="update_chat_context/x")
    assert first == again == other
    assert first["context"] == {"a": 1}
    assert await journeys.snapshot(chat_session_id) == kept


@also_replayed
async def test_a_known_update_id_is_answered_from_a_closed_run(journeys: Journeys) -> None:
    async with journeys.worker(idle_seconds=0):
        request = journeys.request()
        first = await journeys.initialize(request, id="initialize_chat_session/x")
        handle = journeys.handle(first["chat_session_id"])
        await handle.result()
        run_id = (await handle.describe()).run_id
        assert await journeys.initialize(request, id="initialize_chat_session/x") == first
        assert (await handle.describe()).run_id == run_id
