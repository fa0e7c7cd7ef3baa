"""A long session goes on as a new run, with messages in flight, and nobody notices."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from pydantic_core import to_json
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowExecutionStatus
from temporalio.common import RawValue, WorkflowIDReusePolicy

from journeys.chat_session.limits import KIB, MAX_CARRIED_CONTEXT_BYTES
from journeys.chat_session.names import JOURNEY_ID, UPDATE, workflow_id
from tests.promises.forged_state import forged_state
from tests.support.journeys import PRODUCTION, REPLAYED, Journeys, also_replayed
from tests.support.mixed_load import apply_mixed_load
from tests.support.polling import eventually
from tests.support.tcp_proxy import ProxiedStores
from tests.support.watching import (
    assert_stored,
    count,
    failure_code,
    runs,
    send_update,
    unexpected_failed_tasks,
    until_refusals,
    until_revision,
    until_runs,
    until_status,
    until_waiting,
)


@pytest.mark.parametrize(("rollover", "mode"), [(1, PRODUCTION), (3, REPLAYED)], ids=str)
async def test_messages_in_flight_are_applied_once_and_answered(journeys: Journeys, rollover: int) -> None:
    async with journeys.worker(rollover_messages=rollover):
        session = await journeys.create_session()
        await apply_mixed_load(journeys, session, callers=5, signals=30)
        histories = await runs(journeys, session)
        assert len(histories) > 1
        assert not [task for events in histories for task in unexpected_failed_tasks(events)]


async def test_a_run_is_not_left_before_what_it_has_accepted_is_answered(journeys: Journeys) -> None:
    async with ProxiedStores.of(journeys.addresses) as stores, journeys.worker(**stores.settings, rollover_messages=1):
        session = await journeys.create_session()
        await stores.supabase.refuse()
        updates = [await send_update(journeys, session, {"append": {"notes": [number]}}) for number in range(5)]
        await until_waiting(journeys, session)
        await stores.supabase.mend()
        answers = await asyncio.wait_for(asyncio.gather(*(update.result() for update in updates)), 30)
        assert [answer["applied_revision"] for answer in answers] == [1, 2, 3, 4, 5]
        await assert_stored(journeys, session, 5)
        assert len(await runs(journeys, session)) > 1


async def test_a_run_ends_even_while_callers_never_pause(journeys: Journeys) -> None:
    sessions = journeys.sessions_within(timedelta(seconds=60))
    async with journeys.worker(rollover_messages=10):
        session = await journeys.create_session()

        async def talk() -> None:
            for number in range(25):
                await sessions.update_context(
                    session, tenant_id=journeys.tenant_id, context={"n": number}, returning="receipt"
                )

        await asyncio.gather(*(talk() for _ in range(6)))
        per_run = [
            count(events, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED)
            for events in await runs(journeys, session)
        ]
        assert sum(per_run) == 151
        assert max(per_run) <= 40, per_run


async def test_a_run_that_began_with_a_large_context_serves_more_messages(journeys: Journeys) -> None:
    async with journeys.worker(rollover_messages=1):
        session = await journeys.create_session(context={"notes": "n" * 40 * 1024})
        for number in range(4):
            await journeys.update(session, {"context": {"n": number}, "returning": "receipt"})
        per_run = [
            count(events, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED)
            for events in await runs(journeys, session)
        ]
    assert per_run[:2] == [2, 2], "the initialization counts as a message"


async def test_signals_that_are_all_refused_do_not_make_an_endless_history(journeys: Journeys) -> None:
    async with journeys.worker(rollover_messages=5):
        session = await journeys.create_session()
        for number in range(25):
            await journeys.signal(session, {"no such field": number})

        await until_refusals(journeys, session, 25)
        await until_runs(journeys, session, 2)


@pytest.mark.parametrize(("rollover", "mode"), [(1, PRODUCTION), (3, REPLAYED)], ids=str)
async def test_the_counter_of_refusals_survives(journeys: Journeys, rollover: int) -> None:
    async with journeys.worker(rollover_messages=rollover):
        session = await journeys.create_session()
        for number in range(12):
            await journeys.signal(session, {"append": {"notes": [number]}})
            await journeys.signal(session, {"append": {"notes": "no list"}})
        await journeys.update(session, {"context": {"done": True}})
        shown = (await journeys.get(session))["refusals"]
        assert shown["count"] == 12
        assert [(each["code"], each["field"]) for each in shown["last"]] == [("INVALID_PARAMETER", "append")] * 10
        assert len(await runs(journeys, session)) > 1
        await assert_stored(journeys, session, 13)


async def test_a_backlog_longer_than_a_run_is_carried_over_in_order(journeys: Journeys) -> None:
    request = journeys.request()
    session = journeys.identity(request)
    async with journeys.worker(rollover_messages=3, idle_seconds=0):
        await journeys.initialize(request)
        await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)
    for number in range(250):
        await journeys.signal(session, {"append": {"notes": [number]}})
    async with journeys.worker(rollover_messages=3):
        row = await until_revision(journeys, session, 250)
        assert row["context"]["notes"] == list(range(250))
        await assert_stored(journeys, session, 250)
        histories = await until_runs(journeys, session, 4)
        assert len(histories) == 4, "a run for each batch of a hundred, and one that waits"
        assert not [task for events in histories for task in unexpected_failed_tasks(events)]


async def test_a_thousand_signals_with_one_in_twenty_bad(journeys: Journeys) -> None:
    async with journeys.worker(rollover_messages=100):
        session = await journeys.create_session()
        handle = journeys.handle(session)
        bad: list[Any] = [
            {"tenant_id": journeys.tenant_id, "surprise": 1},
            "no object",
            {"tenant_id": "another", "context": {"stolen": True}},
            {"tenant_id": journeys.tenant_id, "context": {"n": 2**53}},
        ]

        async def send(number: int) -> None:
            good = {"tenant_id": journeys.tenant_id, "append": {"notes": [number]}}
            await handle.signal(UPDATE, bad[number // 20 % len(bad)] if number % 20 == 0 else good)

        for start in range(0, 1000, 20):
            await asyncio.gather(*(send(number) for number in range(start, start + 20)))
        row = await until_revision(journeys, session, 950)
        assert sorted(row["context"]["notes"]) == [number for number in range(1000) if number % 20]
        assert set(row["context"]) == {"notes"}

        await until_refusals(journeys, session, 38)  # a stranger's do not count
        await assert_stored(journeys, session, 950)
        histories = await runs(journeys, session)
        assert len(histories) > 1
        assert not [task for events in histories for task in unexpected_failed_tasks(events)]


async def start_with_forged_state(journeys: Journeys, session: str, **options: Any) -> None:
    await journeys.client.start_workflow(
        JOURNEY_ID,
        args=[{"chat_session_id": session, "tenant_id": "forger"}, forged_state(session)],
        id=workflow_id(session),
        task_queue=journeys.task_queue,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        **options,
    )


async def test_nobody_but_a_run_before_it_tells_a_run_its_state(journeys: Journeys) -> None:
    request = journeys.request()
    session = journeys.identity(request)
    async with journeys.worker(idle_seconds=0):
        await start_with_forged_state(journeys, session)
        assert await failure_code(journeys, session) == "INVALID_PARAMETER"
        assert not (await journeys.handle(session).describe()).search_attributes.get("TenantId")
        await journeys.initialize(request)
        await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)

        # A stored session is served whatever the arguments say.
        await start_with_forged_state(
            journeys, session, start_signal=UPDATE, start_signal_args=[{"tenant_id": "forger"}]
        )
        await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)
        described = await journeys.handle(session).describe()
        assert described.search_attributes.get("TenantId") == [journeys.tenant_id]
        row = await assert_stored(journeys, session, 0)
        assert (row["context"], row["active_agent"]) == ({}, "guide")


async def test_the_next_run_of_a_schedule_is_no_continuation(journeys: Journeys) -> None:
    """Temporal starts it with the same arguments, and names the previous run as the one that it continues."""
    request = journeys.request()
    session = journeys.identity(request)
    async with journeys.worker(idle_seconds=0):
        await journeys.initialize(request)
        await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)
        kept = await journeys.snapshot(session)
        await start_with_forged_state(journeys, session, cron_schedule="@every 1s")
        handle = journeys.handle(session)
        first = (await handle.describe()).run_id

        async def newest_run_id() -> str | None:
            return (await handle.describe()).run_id

        try:
            second = await eventually(newest_run_id, lambda run_id: run_id != first)
            run = journeys.client.get_workflow_handle(workflow_id(session), run_id=second)

            async def last_event() -> HistoryEvent:
                return [event async for event in run.fetch_history_events()][-1]

            ended = (
                EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
                EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
            )
            await eventually(last_event, lambda event: event.event_type in ended, within=20)
            started = await anext(aiter(run.fetch_history_events()))
            assert started.workflow_execution_started_event_attributes.continued_execution_run_id
            assert (await run.describe()).search_attributes["TenantId"] == [journeys.tenant_id]
        finally:
            await handle.terminate()
        assert await journeys.snapshot(session) == kept


@pytest.mark.parametrize("filling", [b"\x01", b'"', b"\xff", b"x"], ids=["control", "quotes", "no UTF-8", "letters"])
async def test_signals_that_are_no_json_are_carried_over_and_refused(journeys: Journeys, filling: bytes) -> None:
    """They are carried over unread, and must not outgrow a payload's limit on the way."""
    data = b"{" + filling * (127 * KIB)
    async with ProxiedStores.of(journeys.addresses) as stores, journeys.worker(**stores.settings, rollover_messages=1):
        session = await journeys.create_session()
        await stores.supabase.refuse()
        await journeys.signal(session, {"append": {"notes": ["before"]}})
        for _ in range(12):
            await journeys.handle(session).signal(
                UPDATE, RawValue(Payload(metadata={"encoding": b"json/plain"}, data=data))
            )
        await journeys.signal(session, {"append": {"notes": ["after"]}})
        await until_waiting(journeys, session)
        await stores.supabase.mend()
        row = await until_revision(journeys, session, 2)
        assert row["context"]["notes"] == ["before", "after"]
        await until_refusals(journeys, session, 12)
        histories = await runs(journeys, session)
        assert len(histories) > 2
        assert not [task for events in histories for task in unexpected_failed_tasks(events)]


async def test_a_context_too_large_to_carry_is_loaded_again(journeys: Journeys) -> None:
    async with journeys.worker(rollover_messages=1):
        session = await journeys.create_session()
        context = {"text": "x" * (MAX_CARRIED_CONTEXT_BYTES + 16 * KIB)}
        await journeys.supabase.execute(
            "update public.chat_sessions set context = $2 where chat_session_id = $1",
            session,
            to_json(context).decode(),
        )
        for number in range(3):
            answer = await journeys.update(
                session, {"active_agent": f"liaison_{'abc'[number]}", "returning": "receipt"}
            )
            assert answer["applied_revision"] == number + 2
        await journeys.signal(session, {"active_agent": "guide"})
        row = await until_revision(journeys, session, 5)
        assert row["context"] == context
        await assert_stored(journeys, session, 5)
        histories = await runs(journeys, session)
        assert len(histories) >= 4
        assert all(events[0].ByteSize() < MAX_CARRIED_CONTEXT_BYTES for events in histories), "it is not carried"


@also_replayed
async def test_a_cancel_drains_then_completes(journeys: Journeys) -> None:
    request = journeys.request()
    session = journeys.identity(request)
    async with journeys.worker():
        await journeys.initialize(request)
    for number in range(5):
        await journeys.signal(session, {"append": {"notes": [number]}})
    await journeys.handle(session).cancel()
    for number in range(5, 10):
        await journeys.signal(session, {"append": {"notes": [number]}})
    async with journeys.worker():
        await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)
        row = await assert_stored(journeys, session, 10)
        assert row["context"]["notes"] == list(range(10))
        assert row["lifecycle_state"] == "ACTIVE"


async def test_a_cancel_before_the_first_step_drains_as_well(journeys: Journeys) -> None:
    async with journeys.worker(idle_seconds=0):
        session = await journeys.create_session()
        await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)
    await journeys.signal(session, {"append": {"notes": [1]}})
    await journeys.handle(session).cancel()
    async with journeys.worker():
        await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)
        await assert_stored(journeys, session, 1)


async def test_a_cancel_during_an_outage_waits_for_the_store(journeys: Journeys) -> None:
    async with ProxiedStores.of(journeys.addresses) as stores, journeys.worker(**stores.settings):
        session = await journeys.create_session()
        await stores.supabase.refuse()
        update = await send_update(journeys, session, {"append": {"notes": [1]}})
        await until_waiting(journeys, session)
        await journeys.handle(session).cancel()
        await journeys.signal(session, {"append": {"notes": [2]}})
        await until_waiting(journeys, session, attempt=3)
        assert (await journeys.handle(session).describe()).status is WorkflowExecutionStatus.RUNNING
        await stores.supabase.mend()
        answer = await asyncio.wait_for(update.result(), 30)
        assert answer["applied_revision"] == 1
        await until_status(journeys, session, WorkflowExecutionStatus.COMPLETED)
        await assert_stored(journeys, session, 2)
