"""A session under attack, and the sessions of others beside it."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

from temporalio.client import WorkflowUpdateFailedError
from temporalio.service import RPCError

from journeys.chat_session.names import UPDATE
from journeys.errors import JourneyError
from tests.support.journeys import Journeys
from tests.support.polling import eventually


@dataclass
class Target:
    """A session that somebody changes.

    Attributes:
        sent: The numbers of the legal changes that were accepted, in order; each is kept under the key `seen`.
    """

    journeys: Journeys
    session: str
    sent: list[int] = field(default_factory=list)

    async def until_applied(self) -> list[int]:
        """Wait until the store holds as many numbers as were accepted, and return them."""

        async def read_seen() -> list[int]:
            row = await self.journeys.row(self.session)
            found: list[int] = row["context"].get("seen", []) if row else []
            return found

        return await eventually(read_seen, lambda found: len(found) >= len(self.sent), within=120)


@dataclass
class Neighbour(Target):
    """A session that is changed without a pause, one acknowledged change after the other.

    Attributes:
        seconds: How long each update took.
        failed: The updates that failed, in words.
    """

    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    async def work(self, is_over: Callable[[], bool]) -> None:
        """Change the session until `is_over`."""
        journeys = self.journeys
        for number in itertools.count():
            if is_over():
                return
            began = time.monotonic()
            try:
                await journeys.sessions.update_context(
                    self.session, tenant_id=journeys.tenant_id, append={"seen": [number]}, returning="receipt"
                )
            except JourneyError as error:
                self.failed.append(f"an update of another session failed: {error.code}")
            else:
                self.sent.append(number)
            self.seconds.append(time.monotonic() - began)


@dataclass(kw_only=True)
class Attack(Target):
    """One session under attack.

    Attributes:
        pause: Stops the worker that serves the session, until `go_on`.
        also: The other sessions that are attacked.
        neighbours: Sessions of other tenants on the same worker.
    """

    pause: Callable[[], None]
    go_on: Callable[[], None]
    also: list["Attack"] = field(default_factory=list)
    neighbours: list[Neighbour] = field(default_factory=list)

    @property
    def targets(self) -> list[Target]:
        """All sessions that this attack may have harmed."""
        return [self, *self.also, *self.neighbours]

    async def on_another_session(self) -> "Attack":
        """An attack on another session of the same tenant and worker."""
        return Attack(self.journeys, await self.journeys.create_session(), pause=self.pause, go_on=self.go_on)

    @asynccontextmanager
    async def neighbours_at_work(self, count: int) -> AsyncIterator[None]:
        """Change sessions of other tenants on the same worker while the context is open."""
        for number in range(count):
            journeys = replace(self.journeys, tenant_id=f"{self.journeys.tenant_id}-neighbour-{number}")
            self.neighbours.append(Neighbour(journeys, await journeys.create_session()))
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for neighbour in self.neighbours:
                group.create_task(neighbour.work(over.is_set))
            try:
                yield
            finally:
                over.set()

    async def signal(self, count: int, **more: Any) -> None:
        """Send legal signals that each append a number."""
        handle = self.journeys.handle(self.session)
        for _ in range(count):
            number = len(self.sent)
            message = {"tenant_id": self.journeys.tenant_id, "append": {"seen": [number]}} | more
            await handle.signal(UPDATE, message, rpc_timeout=timedelta(seconds=20))
            self.sent.append(number)

    async def throw(self, count: int, message: object, *, signal: bool) -> None:
        """Send a message many times at once, whatever becomes of it."""
        handle = self.journeys.handle(self.session)

        async def one() -> None:
            try:
                if signal:
                    await handle.signal(UPDATE, message, rpc_timeout=timedelta(seconds=20))
                else:
                    await handle.execute_update(
                        UPDATE, message, id=f"{UPDATE}/{uuid4()}", rpc_timeout=timedelta(seconds=10)
                    )
            except (RPCError, WorkflowUpdateFailedError):
                pass

        await asyncio.gather(*(one() for _ in range(count)))
