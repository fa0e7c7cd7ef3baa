"""The cost of a journey's history: few events for each message, and no context that nobody needs."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowExecutionStatus, WorkflowUpdateFailedError

from journeys.chat_session.limits import KIB
from journeys.chat_session.names import UPDATE
from tests.support.journeys import Journeys, Json
from tests.support.polling import eventually
from tests.support.stalls import Stall, anew_after_a_stall, events_without_a_stall, has_failed_locally
from tests.support.watching import until_status


def kinds(events: Sequence[HistoryEvent]) -> Counter[str]:
    return Counter(EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in events)


async def create_and_count(journeys: Journeys, **more: Any) -> tuple[str, int]:
    """Create a session; returns its ID and the number of events in its history."""
    chat_session_id = await journeys.create_session(**more)
    return chat_session_id, len(await journeys.events(chat_session_id))


@anew_after_a_stall
async def test_initializing_costs_eight_events_and_the_idle_timer(journeys: Journeys) -> None:
    async with journeys.worker():
        chat_session_id, _ = await create_and_count(journeys, context={"a": 1})
        events = await events_without_a_stall(journeys, chat_session_id)
    assert kinds(events) == {
        "WORKFLOW_EXECUTION_STARTED": 1,
        "WORKFLOW_TASK_SCHEDULED": 1,
        "WORKFLOW_TASK_STARTED": 1,
        "WORKFLOW_TASK_COMPLETED": 1,
        "WORKFLOW_EXECUTION_UPDATE_ACCEPTED": 1,
        "MARKER_RECORDED": 1,
        "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES": 1,
        "WORKFLOW_EXECUTION_UPDATE_COMPLETED": 1,
        "TIMER_STARTED": 1,
    }


@anew_after_a_stall
async def test_an_update_that_wakes_a_session_costs_no_more_than_creating_it(journeys: Journeys) -> None:
    async with journeys.worker(idle_seconds=0):
        chat_session_id, _ = await create_and_count(journeys, context={"a": 1})
        await until_status(journeys, chat_session_id, WorkflowExecutionStatus.COMPLETED)
    async with journeys.worker():
        await journeys.update(chat_session_id, {"context": {"a": 2}})
        woken = kinds(await events_without_a_stall(journeys, chat_session_id))
    assert woken["MARKER_RECORDED"] == 1
    assert sum(woken.values()) == 9, woken


@anew_after_a_stall
async def test_an_acknowledged_update_costs_six_events(journeys: Journeys) -> None:
    async with journeys.worker():
        chat_session_id, before = await create_and_count(journeys)
        for each in range(20):
            await journeys.update(chat_session_id, {"context": {"n": each}})
        events = await events_without_a_stall(journeys, chat_session_id)
    added = kinds(events[before:])
    assert added["WORKFLOW_EXECUTION_UPDATE_COMPLETED"] == 20
    assert sum(added.values()) <= 6 * 20, added


@anew_after_a_stall
async def test_a_hand_over_costs_one_event_more(journeys: Journeys) -> None:
    async with journeys.worker():
        chat_session_id, before = await create_and_count(journeys)
        for agent in ("liaison_hr", "guide") * 5:
            await journeys.update(chat_session_id, {"active_agent": agent, "context": {"by": agent}})
        events = await events_without_a_stall(journeys, chat_session_id)
    added = kinds(events[before:])
    assert added["UPSERT_WORKFLOW_SEARCH_ATTRIBUTES"] == 10
    assert sum(added.values()) <= 7 * 10, added


@anew_after_a_stall
async def test_an_update_that_changes_nothing_or_is_refused_costs_no_more_than_one_that_is_applied(
    journeys: Journeys,
) -> None:
    async with journeys.worker():
        chat_session_id, before = await create_and_count(journeys)
        for _ in range(5):
            await journeys.update(chat_session_id, {"context": {"a": 1}, "idempotency_key": "one"})
            await journeys.update(chat_session_id, {})
            with pytest.raises(WorkflowUpdateFailedError):
                await journeys.update(chat_session_id, {"active_agent": "boss"})
            with pytest.raises(WorkflowUpdateFailedError):
                await journeys.update(chat_session_id, {"tenant_id": "another", "context": {"a": 1}})
        events = await events_without_a_stall(journeys, chat_session_id)
    assert len(events) - before <= 6 * 20, kinds(events[before:])


@anew_after_a_stall
async def test_an_update_that_no_message_can_be_and_a_query_cost_nothing(journeys: Journeys) -> None:
    """The journey refuses the update by its form or size, without reading it."""
    unfit: list[list[Any]] = [[], ["text"], [{}, {}], [{"context": {"a": "x" * 200 * KIB}}]]
    async with journeys.worker():
        chat_session_id, before = await create_and_count(journeys)
        for arguments in unfit:
            with pytest.raises(WorkflowUpdateFailedError):
                await journeys.handle(chat_session_id).execute_update(UPDATE, args=arguments)
            await journeys.get(chat_session_id)
        assert len(await events_without_a_stall(journeys, chat_session_id)) == before


async def test_a_burst_of_a_hundred_signals_costs_at_most_two_events_each(journeys: Journeys) -> None:
    async with journeys.worker(rollover_messages=500):
        chat_session_id, before = await create_and_count(journeys)
    signals: list[Json] = [{"append": {"list": [each]}} for each in range(100)]
    await asyncio.gather(*(journeys.signal(chat_session_id, signal) for signal in signals))
    async with journeys.worker(rollover_messages=500):
        answer = await journeys.update(chat_session_id, {})
        events = await journeys.events(chat_session_id)
    added = kinds(events[before:])
    assert added["WORKFLOW_EXECUTION_SIGNALED"] == 100
    assert answer["revision"] == 101
    assert sorted(answer["context"]["list"]) == list(range(100))
    assert sum(added.values()) <= 2 * 100, added


@anew_after_a_stall
@pytest.mark.parametrize(
    ("number", "size", "batches"),
    [
        (250, 10, ["local", 100, "local"]),  # a hundred at once
        (14, 100 * KIB, ["local", 5, "local", 5, "local", 1]),  # 128 KiB locally, 512 KiB otherwise
    ],
    ids=["many", "large"],
)
async def test_the_first_batch_of_a_workflow_task_is_local_and_the_next_one_ends_the_task(
    journeys: Journeys, number: int, size: int, batches: list[str | int]
) -> None:
    async with journeys.worker(rollover_messages=1500):
        chat_session_id, before = await create_and_count(journeys)

    async def find_batches() -> list[str | int]:
        events = await journeys.events(chat_session_id)
        if has_failed_locally(events):
            raise Stall
        found: list[str | int] = []
        for event in events[before:]:
            if event.event_type == EventType.EVENT_TYPE_MARKER_RECORDED:
                found.append("local")
            elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                _, *messages = event.activity_task_scheduled_event_attributes.input.payloads
                found.append(len(messages))
        return found

    text = "x" * size
    for each in range(number):
        await journeys.signal(chat_session_id, {"context": {"text": text}, "append": {"list": [each]}})
    async with journeys.worker(rollover_messages=1500):
        # The history has the last batch a moment after the stores.
        found = await eventually(find_batches, lambda found: len(found) >= len(batches))
    assert found == batches
    row = await journeys.row(chat_session_id)
    assert row
    assert row["context"]["list"] == list(range(number))


async def test_one_idle_timer_runs_however_many_messages_come(journeys: Journeys) -> None:
    async with journeys.worker():
        chat_session_id, _ = await create_and_count(journeys)
        for each in range(10):
            await journeys.signal(chat_session_id, {"context": {"signal": each}})
            await journeys.update(chat_session_id, {"context": {"update": each}})
        events = await journeys.events(chat_session_id)
    counted = kinds(events)
    assert counted["TIMER_STARTED"] == 1
    assert counted["TIMER_CANCELED"] == 0


async def test_a_receipt_keeps_the_context_out_of_the_history(journeys: Journeys) -> None:
    async with journeys.worker():
        chat_session_id, before = await create_and_count(journeys, context={"large": "x" * 50 * KIB})
        for each in range(20):
            await journeys.update(chat_session_id, {"context": {"n": each}, "returning": "receipt"})
        events = await journeys.events(chat_session_id)
    assert sum(event.ByteSize() for event in events[before:]) <= 20 * 2 * KIB


async def test_an_update_costs_no_more_after_many_than_before(journeys: Journeys) -> None:
    async with journeys.worker():
        chat_session_id, before = await create_and_count(journeys)
        sizes = []
        for _ in range(2):
            for each in range(30):
                sent = {"append": {"messages": [{"n": each + 100, "text": "x" * 500}]}, "returning": "receipt"}
                await journeys.update(chat_session_id, sent)
            events = await journeys.events(chat_session_id)
            sizes.append(sum(event.ByteSize() for event in events[before:]))
            before = len(events)
    assert sizes[1] <= sizes[0] * 1.05


@anew_after_a_stall
async def test_a_large_context_stands_in_the_history_only_where_it_was_sent(journeys: Journeys) -> None:
    """At most once each in the start's argument, the initialize update, its answer and the local activity's marker."""
    text = "y" * 50 * KIB
    async with journeys.worker():
        chat_session_id, before = await create_and_count(journeys, context={"large": text})
        await journeys.signal(chat_session_id, {"context": {"n": 1}})
        await journeys.update(chat_session_id, {"returning": "receipt"})
        events = await events_without_a_stall(journeys, chat_session_id)
    holding = kinds([event for event in events if text.encode() in event.SerializeToString()])
    assert set(holding) <= {
        "WORKFLOW_EXECUTION_STARTED",
        "WORKFLOW_EXECUTION_UPDATE_ACCEPTED",
        "WORKFLOW_EXECUTION_UPDATE_COMPLETED",
        "MARKER_RECORDED",
    }
    assert all(holding[kind] == 1 for kind in holding)
    assert sum(event.ByteSize() for event in events[before:]) <= 4 * KIB
