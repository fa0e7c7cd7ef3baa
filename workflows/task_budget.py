"""How much one workflow task may carry to the server.

The completion of a workflow task carries the requests that it accepts, and its answers. The server ends the run if that
is too much, so answers wait for a later task if need be.
"""


class TaskBudget:
    """Counts what the present workflow task carries.

    It cannot see where a task begins, so whoever uses it says so: after a regular activity, and when a message comes
    while nothing is going on. In between it may count what several tasks carry, which makes answers wait, and no more.
    """

    def __init__(self, max_bytes: int) -> None:
        """Begin with an empty task that may carry so many bytes."""
        self._max_bytes = max_bytes
        self._used = 0

    def begin_task(self) -> None:
        """Count from zero."""
        self._used = 0

    def spend(self, size: int) -> None:
        """Count what the task carries in any case."""
        self._used += size

    def can_spend(self, size: int) -> bool:
        """Whether the task can carry so much more; an empty one carries anything."""
        return not self._used or self._used + size <= self._max_bytes
