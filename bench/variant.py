"""What every variant can do, as a caller sees it."""

from typing import ClassVar, Protocol

from bench.payloads import Change, Session


class Variant(Protocol):
    """One way to run a chat session. No call returns before its work is done.

    Attributes:
        name: As in the results.
    """

    name: ClassVar[str]

    def workflow_id(self, session: Session) -> str | None:
        """The session's workflow, None where there is none."""

    async def initialize(self, session: Session) -> None:
        """Create the session."""

    async def update(self, session: Session, change: Change) -> None:
        """Change the session and wait until that is stored; a session that sleeps is resumed."""

    async def signal(self, session: Session, change: Change) -> None:
        """Send a change without waiting."""

    async def stored(self, session: Session) -> None:
        """Wait until the last change that was sent is stored."""

    async def get(self, session: Session) -> None:
        """Read the session, whether it is live or sleeps."""

    async def hibernate(self, session: Session) -> None:
        """End the session's run, as it would end by itself once nobody has talked for a time."""
