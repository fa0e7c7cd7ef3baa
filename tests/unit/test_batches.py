"""How much a journey takes from its inbox at once, how much a workflow task may carry, and where a batch runs."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio import exceptions, workflow
from temporalio.exceptions import ActivityError, ApplicationError, RetryState, TimeoutType

from journeys.chat_session.activities import DecidedBatch
from journeys.retry_policies import LOCAL_TOTAL, REGULAR_HEARTBEAT, REGULAR_RETRIES, WORKFLOW_TASK_TIMEOUT
from tests.support.documents import thoroughly
from workflows.inbox import Inbox
from workflows.run_activity import ActivityResult, run_activity
from workflows.task_budget import TaskBudget


@dataclass(frozen=True, eq=False)
class Sent:
    """A message of a size."""

    size: int


def inbox_of(*sizes: int) -> Inbox[Sent]:
    inbox: Inbox[Sent] = Inbox()
    for size in sizes:
        inbox.put(Sent(size))
    return inbox


# The inbox.


@pytest.mark.parametrize(
    ("sizes", "taken"),
    [
        ([], []),
        ([0], [0]),
        ([1, 1, 1, 1], [1, 1, 1]),
        ([10], [10]),
        ([6, 4], [6, 4]),
        ([6, 5], [6]),
        ([6, 5, 1], [6]),
        ([11], [11]),
        ([11, 0], [11]),
        ([0, 11], [0]),
        ([9999, 9999], [9999]),
    ],
)
def test_a_batch_is_what_fits_by_number_and_bytes_or_one_message_alone(sizes: list[int], taken: list[int]) -> None:
    inbox = inbox_of(*sizes)
    waiting = list(inbox)
    batch = inbox.take_batch(3, 10)
    assert [each.size for each in batch] == taken
    assert [*batch, *inbox] == waiting
    assert (len(inbox), inbox.size) == (len(sizes) - len(taken), sum(sizes) - sum(taken))


@thoroughly(100)
@given(st.lists(st.integers(0, 30)), st.integers(1, 5), st.integers(1, 40), st.data())
def test_every_message_is_taken_once_and_in_order(
    sizes: list[int], max_messages: int, max_bytes: int, data: st.DataObject
) -> None:
    inbox = inbox_of(*sizes)
    waiting, taken = list(inbox), []
    while inbox:
        batch = inbox.take_batch(max_messages, max_bytes)
        assert 0 < len(batch) <= max_messages
        assert len(batch) == 1 or sum(each.size for each in batch) <= max_bytes
        kept = data.draw(st.integers(1, len(batch)))  # a decision may cover only the first messages
        inbox.put_back(batch[kept:])
        taken += batch[:kept]
        assert [*taken, *inbox] == waiting
        assert inbox.size == sum(each.size for each in inbox)
    assert inbox.take_batch(max_messages, max_bytes) == []
    assert inbox.size == 0


# The budget of a workflow task.


def test_a_task_carries_answers_up_to_its_budget_and_an_empty_one_carries_any() -> None:
    budget = TaskBudget(100)
    assert budget.can_spend(101)
    budget.spend(40)
    assert budget.can_spend(60)
    assert not budget.can_spend(61)
    budget.spend(60)
    assert not budget.can_spend(1)
    assert budget.can_spend(0)
    budget.begin_task()
    assert budget.can_spend(9999)


def test_what_a_task_carries_in_any_case_counts_even_beyond_its_budget() -> None:
    budget = TaskBudget(100)
    budget.spend(300)
    assert not budget.can_spend(1)
    budget.begin_task()
    budget.spend(100)
    assert not budget.can_spend(1)


# Where a batch is run.


@dataclass
class Activities:
    """The two ways to run an activity; each notes its call, then calls the test's function."""

    calls: list[tuple[str, str, dict[str, Any]]]
    local: Callable[[], DecidedBatch]
    regular: Callable[[], DecidedBatch]

    async def execute_local(self, name: str, **options: Any) -> DecidedBatch:
        self.calls.append(("local", name, options))
        return self.local()

    async def execute_regular(self, name: str, **options: Any) -> DecidedBatch:
        self.calls.append(("regular", name, options))
        return self.regular()

    @property
    def ways(self) -> list[str]:
        return [way for way, *_ in self.calls]


DONE = DecidedBatch(at=datetime(2026, 1, 27, tzinfo=UTC), is_deleted=True)


@pytest.fixture
def activities(monkeypatch: pytest.MonkeyPatch) -> Activities:
    noted = Activities([], lambda: DONE, lambda: DONE)
    monkeypatch.setattr(workflow, "execute_local_activity", noted.execute_local)
    monkeypatch.setattr(workflow, "execute_activity", noted.execute_regular)
    return noted


def failing(cause: BaseException) -> Callable[[], DecidedBatch]:
    """An activity that fails as the SDK reports it."""

    def fail() -> DecidedBatch:
        raise ActivityError(
            "failed",
            scheduled_event_id=1,
            started_event_id=2,
            identity="",
            activity_type="update",
            activity_id="1",
            retry_state=RetryState.MAXIMUM_ATTEMPTS_REACHED,
        ) from cause

    return fail


async def run(*, ends_task: bool = False) -> ActivityResult[DecidedBatch]:
    return await run_activity("update", [1, 2], DecidedBatch, summary="a summary", ends_task=ends_task)


async def test_what_succeeds_at_once_is_local_and_stays_in_its_task(activities: Activities) -> None:
    assert await run() == ActivityResult(DONE, ended_task=False)
    ((way, name, options),) = activities.calls
    assert (way, name, options["args"]) == ("local", "update", [1, 2])
    assert options["schedule_to_close_timeout"] == LOCAL_TOTAL < WORKFLOW_TASK_TIMEOUT
    assert options["retry_policy"].maximum_attempts > 1


PASSING = [
    ApplicationError("away", type="DATABASE_UNAVAILABLE"),
    exceptions.TimeoutError("late", type=TimeoutType.START_TO_CLOSE, last_heartbeat_details=[]),
]


@pytest.mark.parametrize("cause", PASSING, ids=lambda cause: type(cause).__name__)
async def test_what_fails_for_a_reason_that_passes_is_run_again_as_a_regular_activity(
    activities: Activities, cause: BaseException
) -> None:
    activities.local = failing(cause)
    assert await run() == ActivityResult(DONE, ended_task=True)
    assert activities.ways == ["local", "regular"]
    _, name, options = activities.calls[1]
    assert (name, options["args"], options["summary"]) == ("update", [1, 2], "a summary")
    assert options["heartbeat_timeout"] == REGULAR_HEARTBEAT
    assert options["retry_policy"] == REGULAR_RETRIES
    assert REGULAR_RETRIES.maximum_attempts == 0, "it waits for the end of an outage"
    assert REGULAR_RETRIES.maximum_interval == timedelta(seconds=5)


async def test_what_is_to_end_its_task_is_a_regular_activity_at_once(activities: Activities) -> None:
    assert await run(ends_task=True) == ActivityResult(DONE, ended_task=True)
    assert activities.ways == ["regular"]


@pytest.mark.parametrize("ways", [["local"], ["local", "regular"]], ids="-".join)
async def test_a_refusal_is_told_as_it_is_and_not_tried_again(activities: Activities, ways: list[str]) -> None:
    refusal = ApplicationError("no", {"field": "context"}, type="INVALID_PARAMETER", non_retryable=True)
    activities.local = failing(refusal if ways == ["local"] else PASSING[0])
    activities.regular = failing(refusal)
    with pytest.raises(ApplicationError) as told:
        await run()
    assert told.value is refusal
    assert activities.ways == ways
