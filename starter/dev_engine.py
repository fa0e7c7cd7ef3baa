"""The engine of the journeys on one machine: Temporal, PostgreSQL and one worker."""

from collections.abc import AsyncIterator, Callable, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr
from temporalio.client import Client
from temporalio.worker import Worker

from embedded import EmbeddedStack, embedded_stack
from journeys.messages import Record
from stores.migrate import migrate
from worker.journey_worker import journey_worker
from worker.plugin import JourneyPlugin
from worker.settings import WorkerSettings


class DevAddresses(Record):
    """The addresses of the engine and of its gateway.

    Attributes:
        http_url: The URL of the HTTP gateway; None if none runs.
    """

    temporal_address: str
    temporal_namespace: str
    temporal_ui_url: str
    task_queue: str
    supabase_db_url: str
    state_surface_url: str
    http_url: str | None = None


@dataclass(frozen=True, slots=True)
class DevEngine:
    """The engine.

    Attributes:
        servers: The running servers.
        worker: The worker, which the caller runs.
    """

    addresses: DevAddresses
    servers: EmbeddedStack
    worker: Worker


@asynccontextmanager
async def dev_engine(
    data_dir: Path,
    *,
    temporal_port: int | None = None,
    ui_port: int | None = None,
    agents: Set[str] = frozenset(),
    progress: Callable[[str], None],
) -> AsyncIterator[DevEngine]:
    """Start both servers, bring the schemas up to date, and make a worker. The caller runs the worker.

    Args:
        data_dir: The folder in which the servers keep their data.
        temporal_port: The port of Temporal's gRPC service; by default 7233, or another one if it is taken.
        ui_port: The port of the Web UI; by default 8233, or another one if it is taken.
        agents: Agents that take turns, besides those that the environment names.
        progress: Called with a line about each step.

    Raises:
        EmbeddedStackError: A server cannot be started.
        MigrationError: A schema cannot be brought up to date.
    """
    async with embedded_stack(data_dir, temporal_port=temporal_port, ui_port=ui_port, progress=progress) as stack:
        addresses = stack.addresses
        await migrate(addresses.supabase_db_url, addresses.state_surface_url, progress=progress)
        settings = WorkerSettings(
            supabase_db_url=SecretStr(addresses.supabase_db_url),
            state_surface_url=SecretStr(addresses.state_surface_url),
        )
        settings = settings.model_copy(update={"agents": settings.agents | agents})
        client = await Client.connect(
            addresses.temporal_address,
            namespace=addresses.temporal_namespace,
            plugins=[JourneyPlugin(sandbox=True)],
        )
        async with journey_worker(client, settings) as worker:
            yield DevEngine(
                DevAddresses(
                    temporal_address=addresses.temporal_address,
                    temporal_namespace=addresses.temporal_namespace,
                    temporal_ui_url=addresses.temporal_ui_url,
                    task_queue=settings.task_queue,
                    supabase_db_url=addresses.supabase_db_url,
                    state_surface_url=addresses.state_surface_url,
                ),
                stack,
                worker,
            )
