"""The servers and stores that tests share, and a world of its own for each test of a journey."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client

from tests.journeys import Journeys
from worker.embedded import EmbeddedPostgres, EmbeddedStack, embedded_stack
from worker.migrate import migrate
from worker.payloads import journey_data_converter


@pytest.fixture(scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedStack]:
    """A Temporal server and a PostgreSQL with migrated stores."""
    folder: Path = tmp_path_factory.mktemp("stack")
    async with embedded_stack(folder, progress=lambda _: None) as running:
        addresses = running.addresses
        await migrate(addresses.supabase_db_url, addresses.state_surface_url, progress=lambda _: None)
        yield running


@pytest.fixture(scope="session")
def postgres(stack: EmbeddedStack) -> EmbeddedPostgres:
    """The database server, for tests that make databases of their own."""
    return stack.postgres


@pytest.fixture(scope="session")
async def client(stack: EmbeddedStack) -> Client:
    """A plain Temporal client: what any service has."""
    return await Client.connect(stack.addresses.temporal_address)


@pytest.fixture(scope="session")
async def worker_client(stack: EmbeddedStack) -> Client:
    """A client as workers have it."""
    return await Client.connect(stack.addresses.temporal_address, data_converter=journey_data_converter)


@pytest.fixture(params=[1000, 0], ids=["cached", "replayed"])
def max_cached_workflows(request: pytest.FixtureRequest) -> int:
    """With 0, every workflow task replays its journey from the first event."""
    cached: int = request.param
    return cached


@pytest.fixture
async def journeys(
    stack: EmbeddedStack, client: Client, worker_client: Client, max_cached_workflows: int
) -> AsyncIterator[Journeys]:
    """A task queue, a tenant and connections of the test's own; it starts the workers that it wants."""
    name = uuid4().hex[:12]
    async with Journeys.on(
        stack.addresses,
        client,
        worker_client,
        task_queue=f"journeys-{name}",
        tenant_id=f"tenant-{name}",
        max_cached_workflows=max_cached_workflows,
    ) as world:
        yield world
