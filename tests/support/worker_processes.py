"""Workers as processes of their own, as `journey worker` runs them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from temporalio.api.enums.v1 import EventType

from embedded import StackAddresses
from tests.support.commands import JOURNEY, collected_lines, command_process, read_line
from tests.support.journeys import Journeys
from tests.support.polling import eventually
from tests.support.tcp_proxy import ProxiedStores


def worker_environment(
    addresses: StackAddresses, task_queue: str, stores: ProxiedStores | None = None, **more: str
) -> dict[str, str]:
    """The environment of a worker; it reaches its stores through proxies if there are some."""
    return {
        "TEMPORAL_ADDRESS": addresses.temporal_address,
        "SUPABASE_DB_URL": stores.supabase.url if stores else addresses.supabase_db_url,
        "STATE_SURFACE_URL": stores.state_surface.url if stores else addresses.state_surface_url,
        "JOURNEY_TASK_QUEUE": task_queue,
    } | more


@dataclass(frozen=True)
class WorkerProcess:
    """A running worker; `logged` holds its log since it began to poll."""

    process: asyncio.subprocess.Process
    logged: list[str]

    @property
    def pid(self) -> int:
        return self.process.pid

    async def kill(self) -> None:
        """End it as a crash would (SIGKILL)."""
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def worker_process(environment: Mapping[str, str]) -> AsyncIterator[WorkerProcess]:
    """A worker that polls; it is killed at the end."""
    async with command_process(JOURNEY, "worker", **environment) as process:
        await read_line(process.stderr, "polling")
        async with collected_lines(process.stderr) as logged:
            yield WorkerProcess(process, logged)


async def holder(journeys: Journeys, session: str) -> int:
    """The ID of the process that holds the session in memory: the server gives it the session's next workflow task."""

    async def identities() -> list[str]:  # none if a new run has just begun
        return [
            event.workflow_task_completed_event_attributes.identity
            for event in await journeys.events(session)
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
        ]

    return int((await eventually(identities))[-1].partition("@")[0])
