"""The operations that every variant has, as a caller sees them."""

from typing import ClassVar, Protocol

from bench.sessions import Change, Session, next_change


class Variant(Protocol):
    """One way to run a chat session. No call but `signal` returns before its work is done.

    Attributes:
        name: As in the results.
    """

    name: ClassVar[str]

    def workflow_id(self, session: Session) -> str | None:
        """The session's workflow; None if the variant has no workflows."""

    async def initialize(self, session: Session) -> None:
        """Create the session."""

    async def update(self, session: Session, change: Change) -> None:
        """Change the session and wait until the change is stored; a hibernated session is resumed."""

    async def signal(self, session: Session, change: Change) -> None:
        """Send a change without waiting."""

    async def wait_until_stored(self, session: Session) -> None:
        """Wait until the last change that was sent is stored."""

    async def get(self, session: Session) -> None:
        """Read the session, live or hibernated."""

    async def hibernate(self, session: Session) -> None:
        """End the session's run, as an idle run ends by itself after a while."""


async def send_update(variant: Variant, session: Session, *, receipt: bool = False) -> None:
    """Send a session's next change, and wait until it is stored."""
    await variant.update(session, next_change(session, receipt=receipt))
