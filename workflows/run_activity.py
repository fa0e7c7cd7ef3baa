"""Run an activity as a local activity and, if that fails, as a regular activity.

A local activity needs no further workflow task, which makes a short write cheap. If it fails with a retryable error,
the same activity runs as a regular activity. The server then retries it for as long as an outage lasts, the history
does not grow, and the Web UI shows the pending activity with its last error.
"""

from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError

from journeys.messages import Record
from journeys.retry_policies import LOCAL_ATTEMPT, LOCAL_RETRIES, LOCAL_TOTAL, REGULAR_ATTEMPT, REGULAR_RETRIES

ResultType = TypeVar("ResultType", bound=Record)


async def run_activity(name: str, argument: Record, result_type: type[ResultType], *, summary: str) -> ResultType:
    """Run an activity until it succeeds or fails with a non-retryable error.

    Args:
        name: The activity's name.
        argument: The activity's argument. History records it only if the activity runs as a regular activity.
        result_type: The type of the activity's result.
        summary: One line for people who look at the trace.

    Raises:
        ApplicationError: The activity failed with a non-retryable error.
    """
    try:
        result: ResultType = await workflow.execute_local_activity(
            name,
            argument,
            result_type=result_type,
            start_to_close_timeout=LOCAL_ATTEMPT,
            schedule_to_close_timeout=LOCAL_TOTAL,
            retry_policy=LOCAL_RETRIES,
            summary=summary,
        )
    except FailureError as error:
        _raise_if_non_retryable(error)
    else:
        return result
    try:
        result = await workflow.execute_activity(
            name,
            argument,
            result_type=result_type,
            start_to_close_timeout=REGULAR_ATTEMPT,
            retry_policy=REGULAR_RETRIES,
            summary=summary,
        )
    except FailureError as error:
        _raise_if_non_retryable(error)
        raise
    return result


def _raise_if_non_retryable(error: FailureError) -> None:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ApplicationError) and cause.non_retryable:
            raise cause from None
        cause = cause.__cause__
