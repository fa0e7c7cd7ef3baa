"""What an erasure has removed from Temporal."""

from typing import Self

from journeys.messages import Record


class Erased(Record):
    """What was deleted of a session.

    Attributes:
        runs: Runs of its journey.
        turns: Turns of its agents.
        reads: Records of reading activities.
    """

    runs: int = 0
    turns: int = 0
    reads: int = 0

    def plus(self, *, runs: int = 0, turns: int = 0, reads: int = 0) -> Self:
        """The sum of these numbers and more."""
        return self.model_copy(
            update={"runs": self.runs + runs, "turns": self.turns + turns, "reads": self.reads + reads}
        )
