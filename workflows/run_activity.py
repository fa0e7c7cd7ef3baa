"""Run an activity as a local activity, then as a regular activity if it does not succeed at once.

A local activity needs no workflow task of its own, which makes a short write cheap. If it fails for a reason that will
pass, the same activity runs as a regular one: the server retries it for as long as an outage lasts, the history does
not grow meanwhile, and the Web UI shows what the journey waits for and why.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError

from journeys.messages import Record
from journeys.retry_policies import (
    LOCAL_ATTEMPT,
    LOCAL_RETRIES,
    LOCAL_TOTAL,
    REGULAR_ATTEMPT,
    REGULAR_HEARTBEAT,
    REGULAR_RETRIES,
)

ResultType = TypeVar("ResultType", bound=Record)


@dataclass(frozen=True, slots=True)
class ActivityResult(Generic[ResultType]):
    """The result of an activity.

    Attributes:
        ended_task: Whether the result came in a later workflow task than the one that scheduled the activity.
    """

    value: ResultType
    ended_task: bool


async def run_activity(
    name: str,
    arguments: Sequence[object],
    result_type: type[ResultType],
    *,
    summary: str,
    ends_task: bool = False,
) -> ActivityResult[ResultType]:
    """Run an activity until it succeeds or fails with a non-retryable error.

    Args:
        name: The activity's name.
        arguments: The activity's arguments. History records them only if it runs as a regular activity.
        result_type: The type of the activity's result.
        summary: One line for the Web UI. Only a regular activity has it, because only that can be pending.
        ends_task: Run it as a regular activity at once, which ends the workflow task.

    Raises:
        ApplicationError: The activity failed with a non-retryable error.
    """
    if not ends_task:
        try:
            result: ResultType = await workflow.execute_local_activity(
                name,
                args=arguments,
                result_type=result_type,
                start_to_close_timeout=LOCAL_ATTEMPT,
                schedule_to_close_timeout=LOCAL_TOTAL,
                retry_policy=LOCAL_RETRIES,
            )
        except FailureError as error:
            _raise_if_non_retryable(error)
        else:
            return ActivityResult(result, ended_task=False)
    try:
        result = await workflow.execute_activity(
            name,
            args=arguments,
            result_type=result_type,
            start_to_close_timeout=REGULAR_ATTEMPT,
            heartbeat_timeout=REGULAR_HEARTBEAT,
            retry_policy=REGULAR_RETRIES,
            summary=summary,
        )
    except FailureError as error:
        _raise_if_non_retryable(error)
        raise
    return ActivityResult(result, ended_task=True)


def _raise_if_non_retryable(error: FailureError) -> None:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ApplicationError) and cause.non_retryable:
            raise cause from None
        cause = cause.__cause__
