"""Run an activity where the workflow is, and hand it to the server when that does not work at once.

A local activity costs no task of its own, which is what makes a short write cheap. When it fails for a passing
reason the same activity goes on as a regular one: the server retries it for as long as an outage lasts, the
history does not grow meanwhile, and the Web UI shows what the journey waits for and why.
"""

from datetime import timedelta
from typing import Final, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError, FailureError

from contract.messages import Record

ResultType = TypeVar("ResultType", bound=Record)

# Both attempts end before a workflow task of a second and a half does, so that it needs no heartbeats.
_LOCAL_ATTEMPT: Final = timedelta(seconds=0.7)
_LOCAL_IN_ALL: Final = timedelta(seconds=1.1)
_LOCAL_RETRIES: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=20), maximum_interval=timedelta(milliseconds=20), maximum_attempts=2
)
# Also how long it takes to notice that the worker which ran an attempt is dead.
_DURABLE_ATTEMPT: Final = timedelta(seconds=4)
_DURABLE_RETRIES: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=200), backoff_coefficient=2, maximum_interval=timedelta(seconds=5)
)


async def run_activity(name: str, argument: Record, result_type: type[ResultType], *, summary: str) -> ResultType:
    """Run an activity until it succeeds, or fails for a reason that will not pass.

    Args:
        name: The activity's.
        argument: What it takes. It is recorded only where the activity becomes durable.
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
            start_to_close_timeout=_LOCAL_ATTEMPT,
            schedule_to_close_timeout=_LOCAL_IN_ALL,
            retry_policy=_LOCAL_RETRIES,
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
            start_to_close_timeout=_DURABLE_ATTEMPT,
            retry_policy=_DURABLE_RETRIES,
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
