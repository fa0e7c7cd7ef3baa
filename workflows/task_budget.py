"""How much one workflow task may carry to the server.

The completion of a workflow task carries the requests that it accepts, and its answers. The server ends the run if the
completion is too large, so answers wait for a later workflow task if necessary.
"""


class TaskBudget:
    """Counts the bytes that the current workflow task carries.

    It cannot see the beginning of a task, so call `begin_task` after a regular activity, and when a message comes while
    nothing is going on. Between these calls it may count the bytes of several tasks, which only makes answers wait.
    """

    def __init__(self, max_bytes: int) -> None:
        """Begin with an empty task that may carry so many bytes."""
        self._max_bytes = max_bytes
        self._used = 0

    def begin_task(self) -> None:
        """Count from zero."""
        self._used = 0

    def spend(self, size: int) -> None:
        """Count bytes that the task carries in any case."""
        self._used += size

    def can_spend(self, size: int) -> bool:
        """Whether the task can carry so much more; an empty one carries anything."""
        return not self._used or self._used + size <= self._max_bytes
