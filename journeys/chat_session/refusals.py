"""Records of refused signals: their senders cannot be answered."""

from typing import Final

from journeys.chat_session.limits import MAX_SHOWN_REFUSALS
from journeys.identifiers import Timestamp
from journeys.messages import Record


class Refusal(Record):
    """A signal that was refused. Never its text, values or IDs."""

    at: Timestamp
    code: str
    field: str


class Refusals(Record):
    """How many signals of the session's tenant were refused, and the last ten."""

    count: int = 0
    last: tuple[Refusal, ...] = ()

    def plus(self, other: "Refusals") -> "Refusals":
        """These refusals and later ones."""
        if not other.count:
            return self
        return Refusals(count=self.count + other.count, last=(*self.last, *other.last)[-MAX_SHOWN_REFUSALS:])


NO_REFUSALS: Final = Refusals()
"""One object for all sessions without refusals, which nearly all of them are."""
