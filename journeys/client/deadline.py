"""One deadline for a call and all its retries, and the errors of Temporal that are worth a retry."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, Self, TypeVar

from temporalio.client import RPCTimeoutOrCancelledError, WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from journeys.errors import EngineUnavailable
from journeys.failures import from_failure

Result = TypeVar("Result")

# The server cannot be reached, the run is about to close (FAILED_PRECONDITION, ABORTED), or ten updates of one session
# already wait (RESOURCE_EXHAUSTED). In all of these cases, the same call with the same ID may succeed a moment later.
_TRANSIENT: Final = frozenset(
    {
        RPCStatusCode.ABORTED,
        RPCStatusCode.CANCELLED,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.FAILED_PRECONDITION,
        RPCStatusCode.INTERNAL,
        RPCStatusCode.RESOURCE_EXHAUSTED,
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.UNKNOWN,
    }
)
# The server refuses a signal with INVALID_ARGUMENT and this text if the run has had the maximum number of signals
# (`history.maximumSignalsPerExecution`). The journey then continues as new, and its next run takes more.
_TOO_MANY_SIGNALS: Final = "workflow execution limit for signal events"
_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.5
# If too many updates of a session wait, the server turns the next one away, and aborts some of the waiting ones
# (UNAVAILABLE). So senders that come back at once would abort each other for ever.
_LEAST_PAUSE: Final = {
    RPCStatusCode.RESOURCE_EXHAUSTED: 1.0,
    RPCStatusCode.UNAVAILABLE: 0.25,
    RPCStatusCode.INVALID_ARGUMENT: 0.25,
}


class DeadlinePassed(Exception):  # noqa: N818 - callers replace it with an error that says why
    """The deadline has passed without an answer."""


class Deadline:
    """The time by which a call must be answered.

    Attributes:
        may_be_taken: Whether Temporal may have taken what the call has sent so far.
    """

    def __init__(self, after: timedelta) -> None:
        self._at = time.monotonic() + after.total_seconds()
        self.may_be_taken = False

    @property
    def left(self) -> timedelta:
        """The time that is left; never negative."""
        return timedelta(seconds=max(self._at - time.monotonic(), 0))

    async def keep_trying(self, call: Callable[[Self], Awaitable[Result]]) -> Result:
        """Make a call, and repeat it as long as its errors are transient.

        Args:
            call: Makes the call, with the same IDs at every attempt.

        Raises:
            DeadlinePassed: There was no answer in time.
            EngineUnavailable: Temporal refuses the call with an error that is not transient.
        """
        pause = _FIRST_PAUSE
        while True:
            may_be_taken, self.may_be_taken = self.may_be_taken, True
            try:
                async with asyncio.timeout(self.left.total_seconds()):
                    return await call(self)
            except (TimeoutError, RPCTimeoutOrCancelledError) as error:
                if not self.left:
                    raise DeadlinePassed from error
                # The SDK also raises this error for an update if our own task is cancelled.
                task = asyncio.current_task()
                if task and task.cancelling():
                    raise asyncio.CancelledError from error
            except RuntimeError as error:
                # The SDK raises this error if a lazy client cannot connect at its first call.
                if not str(error).startswith("Failed client connect"):
                    raise
                self.may_be_taken = may_be_taken
            except WorkflowUpdateFailedError as error:
                # Temporal reports an update that it has aborted as failed: the run closed, or its task was lost.
                if from_failure(error) is not None:
                    raise
            except RPCError as error:
                if _has_too_many_signals(error):
                    self.may_be_taken = may_be_taken
                elif error.status not in _TRANSIENT:
                    raise EngineUnavailable(
                        f"Temporal refuses the call: {error.status.name}: {error.message}",
                        outcome="unknown" if may_be_taken else "not accepted",
                    ) from None
                pause = max(pause, _LEAST_PAUSE.get(error.status, 0))
            if self.left.total_seconds() <= pause:
                raise DeadlinePassed
            await asyncio.sleep(pause * random.uniform(0.25, 1))  # noqa: S311 - spreads retries
            pause = min(pause * 2, _LONGEST_PAUSE)


def _has_too_many_signals(error: RPCError) -> bool:
    return error.status is RPCStatusCode.INVALID_ARGUMENT and _TOO_MANY_SIGNALS in error.message
