"""When a run is better continued as a new one: another worker replays the whole run before it takes over."""

from typing import Final

from temporalio import workflow

# A run that continues another one has the journey's state in its first event. If that is large, a longer run pays off.
_LARGE_OPENING_BYTES: Final = 32 * 1024


class Rollover:
    """Decides when to continue as new. Make it in `@workflow.init`."""

    def __init__(self) -> None:
        self._opening_bytes = workflow.info().get_current_history_size()

    def is_due(self, messages: int, *, rollover_messages: int) -> bool:
        """Whether a run has served enough messages.

        Args:
            messages: How many it has served.
            rollover_messages: How many are enough for a run with a small opening.
        """
        enough = rollover_messages * (1 + self._opening_bytes // _LARGE_OPENING_BYTES)
        return messages >= enough or (messages > 0 and workflow.info().is_continue_as_new_suggested())
