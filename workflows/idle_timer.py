"""How a journey notices that nobody has talked to it for a while, at the cost of few history events."""

import asyncio
from typing import Final

from temporalio import workflow

# A timer runs for this multiple of the idle time. The longer it runs, the fewer timers a busy run starts.
_STRETCH: Final = 1.25


class IdleTimer:
    """Tells when no message has come for a time, at most a quarter of that time late.

    Attributes:
        has_expired: Whether the journey is idle.
    """

    def __init__(self) -> None:
        self._last_message = workflow.time()
        self._runs_until = 0.0
        self.has_expired = False

    def restart(self) -> None:
        """Count from now on: a message has come."""
        self._last_message = workflow.time()

    def ensure_running(self, idle_seconds: float) -> None:
        """Start a timer if the running one would fire too soon.

        Call it after a batch and never when a timer fires: a replay may see an update that arrives at that moment in
        another order than the first execution did.

        Args:
            idle_seconds: How long a journey without messages goes on; with 0 it is idle at once.
        """
        if not idle_seconds:
            self.has_expired = True
        elif self._runs_until < self._last_message + idle_seconds:
            due = self._runs_until = workflow.time() + idle_seconds * _STRETCH
            asyncio.create_task(self._expire(idle_seconds, due))  # noqa: RUF006 - the SDK's loop keeps it

    async def _expire(self, idle_seconds: float, due: float) -> None:
        await workflow.sleep(idle_seconds * _STRETCH, summary="until the journey is idle")
        # Compare with when the timer was due, not with now: a replay may deliver its firing in a later workflow task.
        if self._last_message + idle_seconds <= due:
            self.has_expired = True
