"""How a journey notices that it has had no message for a while, with few history events.

A replay may deliver a message or a timer in another workflow task than the first execution did: a worker joins workflow
tasks that have led to nothing. So the decisions here depend only on times in the history, and not on the workflow's
current time.
"""

import asyncio
from datetime import datetime
from typing import Final

from temporalio import workflow

# The duration of a timer, as a multiple of the idle time. Longer timers mean that a busy run starts fewer of them.
_TIMER_FACTOR: Final = 1.25


class IdleTimer:
    """Notices that nothing has been done for the idle time, at most a quarter of the idle time too late."""

    def __init__(self) -> None:
        self._counts_from = workflow.info().workflow_start_time.timestamp()
        self._due = 0.0  # of the latest timer
        self._fired = 0.0  # when the latest timer that has fired was due
        self._idle_seconds = float("inf")

    def restart(self, at: datetime) -> None:
        """Count the idle time from here, because something was done.

        Args:
            at: A time from an activity's result, so that every replay finds the same time.
        """
        self._counts_from = at.timestamp()

    def ensure_running(self, idle_seconds: float) -> None:
        """Start a timer if the running one would fire before the idle time is over.

        Call it only right after something that every replay finds at the same place in the history, for example an
        activity's result.

        Args:
            idle_seconds: The idle time: a journey that did nothing for so long is idle. With 0, it is idle at once.
        """
        self._idle_seconds = idle_seconds
        if idle_seconds and self._due < self._counts_from + idle_seconds:
            self._due = self._counts_from + idle_seconds * _TIMER_FACTOR
            asyncio.get_running_loop().call_soon(self._start, self._due)

    @property
    def has_expired(self) -> bool:
        """Whether the journey is idle. Ask when there is nothing to do, never in the middle of something."""
        return not self._idle_seconds or self._counts_from + self._idle_seconds <= self._fired

    # These callbacks replace a task that sleeps, at the same moments. A task would take 5 KiB of each live session.

    def _start(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(self._idle_seconds * _TIMER_FACTOR, loop.call_soon, self._expire, due)

    def _expire(self, due: float) -> None:
        self._fired = max(self._fired, due)
