"""Whose sessions there are: a few that all callers work on, and those of visitors who come during the run."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from pydantic import JsonValue

from journeys.chat_session.keys import session_id, session_key
from tests.chaos.evidence import Opening
from tests.chaos.owners import OWNER

Fate = Literal["deleted", "given away", "kept"]

_FATES: Final[tuple[Fate, ...]] = ("deleted", "given away", "kept", "kept")
_FIRST_MOMENT: Final = datetime(2026, 1, 27, 10, 5, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Seat:
    """A tenant's user with one session."""

    tenant_id: str
    user_id: str
    requested_at: datetime = _FIRST_MOMENT

    @property
    def chat_session_id(self) -> str:
        """The session's ID, as every client derives it."""
        return session_id(self.opening_key)

    @property
    def opening_key(self) -> str:
        """The idempotency key of its initialization."""
        return session_key(self.tenant_id, self.user_id, self.requested_at)

    @property
    def context(self) -> dict[str, JsonValue]:
        """The context of its first initialization."""
        return {OWNER: self.tenant_id, "title": f"{self.user_id} of {self.tenant_id}", "messages": [], "trail": []}

    @property
    def heir(self) -> str:
        """The user who gets the session if it is given away."""
        return f"heir of {self.user_id}"

    @property
    def opening(self) -> Opening:
        """The first initialization, as evidence."""
        return Opening(
            chat_session_id=self.chat_session_id,
            idempotency_key=self.opening_key,
            tenant_id=self.tenant_id,
            user_id=self.user_id,
            active_agent="guide",
            context=self.context,
        )


# The same user name in three tenants, and names that would run together if keys were made by joining them.
SEATS: Final = (
    Seat("north", "ada"),
    Seat("north", "bo"),
    Seat("south", "ada"),
    Seat("southern", "ada"),
    Seat("east", "cy"),
)


def visitor(number: int) -> Seat:
    """A user who comes during the run, at one of three minutes."""
    tenant = SEATS[number % len(SEATS)].tenant_id
    return Seat(tenant, f"visitor-{number}", _FIRST_MOMENT + timedelta(minutes=number % 3))


def fate(number: int) -> Fate:
    """What becomes of a visitor's session."""
    return _FATES[number % len(_FATES)]
