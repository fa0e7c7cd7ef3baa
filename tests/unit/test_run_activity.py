"""An activity runs as a local activity first, and as a regular one if that fails for a reason that passes."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio import exceptions, workflow
from temporalio.exceptions import ActivityError, ApplicationError, RetryState, TimeoutType

from journeys.chat_session.activities import DecidedBatch
from journeys.retry_policies import LOCAL_TOTAL, REGULAR_HEARTBEAT, REGULAR_RETRIES, WORKFLOW_TASK_TIMEOUT
from workflows.run_activity import ActivityResult, run_activity


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
