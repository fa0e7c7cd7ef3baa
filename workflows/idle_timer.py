"""How a journey notices that it has had no message for a while, with few history events."""

import asyncio
from typing import Final

from temporalio import workflow

# The duration of a timer, as a multiple of the idle time. Longer timers mean that a busy run starts fewer of them.
_TIMER_FACTOR: Final = 1.25


class IdleTimer:
    """Notices that no message has come for the idle time, at most a quarter of the idle time too late.

    Attributes:
        has_expired: Whether the journey is idle.
    """

    def __init__(self) -> None:
        self._last_message = workflow.time()
        self._runs_until = 0.0
        self.has_expired = False

    def restart(self) -> None:
        """Count the idle time from now, because a message has come."""
        self._last_message = workflow.time()

    def ensure_running(self, idle_seconds: float) -> None:
        """Start a timer if the running one would fire before the idle time is over.

        Call it after a batch, never when a timer fires. A replay may order the timer and an update that arrives at the
        same moment in another way than the first execution did.

        Args:
            idle_seconds: The idle time: a journey without a message for so long is idle. With 0, it is idle at once.
        """
        if not idle_seconds:
            self.has_expired = True
        elif self._runs_until < self._last_message + idle_seconds:
            due = self._runs_until = workflow.time() + idle_seconds * _TIMER_FACTOR
            asyncio.create_task(self._expire(idle_seconds, due))  # noqa: RUF006 - the SDK's event loop keeps the task

    async def _expire(self, idle_seconds: float, due: float) -> None:
        await workflow.sleep(idle_seconds * _TIMER_FACTOR, summary="until the journey is idle")
        # Compare with the time at which the timer was due, not with now: a replay may fire it in a later workflow task.
        if self._last_message + idle_seconds <= due:
            self.has_expired = True
