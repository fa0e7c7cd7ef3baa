"""One deadline for a call and all its retries, and what Temporal's refusals mean within it."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, Self, TypeVar

from temporalio.client import RPCTimeoutOrCancelledError
from temporalio.service import RPCError, RPCStatusCode

from journeys.errors import EngineUnavailable

Result = TypeVar("Result")

# A server that cannot be reached, a run that is about to close (FAILED_PRECONDITION, ABORTED), ten updates of one
# session already waiting (RESOURCE_EXHAUSTED): the same call, with the same ID, works in a moment.
_PASSING: Final = frozenset(
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
_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.5


class DeadlinePassed(Exception):  # noqa: N818 - an outcome to be explained, not shown
    """The deadline has passed without an answer."""


class Deadline:
    """A moment by which a call must have its answer."""

    def __init__(self, after: timedelta) -> None:
        self._at = time.monotonic() + after.total_seconds()

    @property
    def left(self) -> timedelta:
        """What is left until then; never negative."""
        return timedelta(seconds=max(self._at - time.monotonic(), 0))

    async def keep_trying(self, call: Callable[[Self], Awaitable[Result]]) -> Result:
        """Make a call until it is answered, for as long as its refusals are passing ones.

        Args:
            call: Makes the call, with the same IDs at every attempt.

        Raises:
            DeadlinePassed: There was no answer in time.
            EngineUnavailable: Temporal refuses the call for good.
        """
        pause = _FIRST_PAUSE
        while True:
            try:
                async with asyncio.timeout(self.left.total_seconds()):
                    return await call(self)
            except (TimeoutError, RPCTimeoutOrCancelledError) as error:
                if not self.left:
                    raise DeadlinePassed from error
                # The SDK says the same of an update when this very task is cancelled from outside.
                task = asyncio.current_task()
                if task and task.cancelling():
                    raise asyncio.CancelledError from error
            except RuntimeError as error:
                # How the SDK says that a client which connects at its first call cannot.
                if not str(error).startswith("Failed client connect"):
                    raise
            except RPCError as error:
                if error.status not in _PASSING:
                    raise EngineUnavailable(
                        f"Temporal refuses the call: {error.status.name}: {error.message}"
                    ) from None
            if self.left.total_seconds() <= pause:
                raise DeadlinePassed
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - spreads retries
            pause = min(pause * 2, _LONGEST_PAUSE)
