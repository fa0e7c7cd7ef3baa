"""Exact figures on a machine that may stand still: a test that meets a stall begins anew, so its figures stay exact.

A local activity has 0.9 seconds and a workflow task 1.5. If the machine stands still for longer, the work is done
again, and the history has events that no message has caused.
"""

from collections.abc import Callable, Coroutine, Sequence
from functools import wraps
from itertools import pairwise
from typing import Any, Final, ParamSpec

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from tests.support.journeys import Journeys
from tests.support.watching import count

_TIMES: Final = 5

Arguments = ParamSpec("Arguments")
Test = Callable[Arguments, Coroutine[Any, Any, None]]


class Stall(Exception):  # noqa: N818 - it is no error of what is tested
    """The machine was too slow for the situation that the test is about."""


def anew_after_a_stall(test: Test[Arguments]) -> Test[Arguments]:
    """Let a test begin anew, a few times, if it raises `Stall`."""

    @wraps(test)
    async def repeated(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        for left in reversed(range(_TIMES)):
            try:
                return await test(*args, **kwargs)
            except Stall:
                if not left:
                    raise
        return None

    return repeated


def has_failed_locally(events: Sequence[HistoryEvent]) -> bool:
    """Whether a local activity has failed, so that its work became a regular activity's."""
    return any(event.marker_recorded_event_attributes.HasField("failure") for event in events)


async def events_without_a_stall(journeys: Journeys, session: str) -> list[HistoryEvent]:
    """The history of the newest run, whose worker has lived throughout.

    Raises:
        Stall: A local activity or a workflow task took too long.
    """
    events = await journeys.events(session)
    timed_out = count(events, EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT)
    # A worker that needs most of a workflow task's time asks for another task before it has done anything.
    done = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED
    was_prolonged = any(
        event.event_type in done and after.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED
        for event, after in pairwise(events)
    )
    if timed_out or was_prolonged or has_failed_locally(events):
        raise Stall
    return events
