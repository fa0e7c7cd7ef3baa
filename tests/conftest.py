"""The servers and stores that tests share, and a world of its own for each test of a journey."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client

from embedded import EmbeddedPostgres, EmbeddedStack, embedded_stack
from stores.migrate import migrate
from tests.support.journeys import PRODUCTION, Journeys, Mode
from worker.plugin import JourneyPlugin


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
async def worker_clients(stack: EmbeddedStack) -> Mapping[bool, Client]:
    """Clients as workers have them, by whether these run workflow code in the sandbox."""
    address = stack.addresses.temporal_address
    return {
        sandbox: await Client.connect(address, plugins=[JourneyPlugin(sandbox=sandbox)]) for sandbox in (False, True)
    }


@pytest.fixture
def mode() -> Mode:
    """How the test's workers run; `also_replayed` overrides it."""
    return PRODUCTION


@pytest.fixture
async def journeys(
    stack: EmbeddedStack, client: Client, worker_clients: Mapping[bool, Client], mode: Mode
) -> AsyncIterator[Journeys]:
    """A task queue, a tenant and connections of the test's own; it starts the workers that it wants."""
    name = uuid4().hex[:12]
    async with Journeys.on(
        stack.addresses,
        client,
        worker_clients[mode.sandbox],
        task_queue=f"journeys-{name}",
        tenant_id=f"tenant-{name}",
        mode=mode,
    ) as world:
        yield world
