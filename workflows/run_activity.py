"""Run an activity where the workflow is, and as a regular one if that does not work at once.

A local activity needs no workflow task of its own, which makes a short write cheap. If it fails for a reason that will
pass, the same activity runs as a regular one: the server retries it for as long as an outage lasts, the history does
not grow meanwhile, and the Web UI shows what the journey waits for and why.
"""

from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError

from journeys.messages import Record
from journeys.retry_policies import LOCAL_ATTEMPT, LOCAL_RETRIES, LOCAL_TOTAL, REGULAR_ATTEMPT, REGULAR_RETRIES

ResultType = TypeVar("ResultType", bound=Record)


async def run_activity(name: str, argument: Record, result_type: type[ResultType], *, summary: str) -> ResultType:
    """Run an activity until it succeeds, or fails for a reason that will not pass.

    Args:
        name: The activity's.
        argument: What it takes. History records it only if the activity runs as a regular one.
        result_type: What it answers.
        summary: A line for people who look at the trace.

    Raises:
        ApplicationError: It failed with an error that is not to be retried.
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
        _raise_if_final(error)
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
        _raise_if_final(error)
        raise
    return result


def _raise_if_final(error: FailureError) -> None:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ApplicationError) and cause.non_retryable:
            raise cause from None
        cause = cause.__cause__
