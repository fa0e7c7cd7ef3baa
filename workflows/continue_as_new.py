"""When a run continues as new. Runs are short because a worker replays a whole run before it takes over."""

from typing import Final

from temporalio import workflow

# The first history event of a continued run holds the journey's state. The larger it is, the longer runs should be.
_LARGE_OPENING_BYTES: Final = 32 * 1024


def is_repeated_by_temporal() -> bool:
    """Whether a cron schedule or a retry policy may start new runs of this workflow, with the caller's arguments."""
    info = workflow.info()
    return info.cron_schedule is not None or info.retry_policy is not None


class Rollover:
    """Decides when to continue as new. Create it in `@workflow.init`."""

    def __init__(self) -> None:
        self._opening_bytes = workflow.info().get_current_history_size()

    def is_due(self, messages: int, *, rollover_messages: int) -> bool:
        """Whether the run has served enough messages.

        Args:
            messages: How many messages the run has served.
            rollover_messages: How many messages are enough for a run that began with a small state.
        """
        enough = rollover_messages * (1 + self._opening_bytes // _LARGE_OPENING_BYTES)
        return messages >= enough or (messages > 0 and workflow.info().is_continue_as_new_suggested())
