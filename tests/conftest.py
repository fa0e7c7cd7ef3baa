"""The servers and stores that tests share, and a world of its own for each test of a journey."""

import gc
from collections.abc import AsyncIterator, Mapping

import pytest
from hypothesis import settings
from temporalio.client import Client

from embedded import EmbeddedPostgres, EmbeddedStack
from tests.support.journeys import PRODUCTION, Journeys, Mode
from tests.support.migrated_stack import migrated_stack
from worker.plugin import JourneyPlugin

settings.register_profile("fast")


def pytest_collection_finish() -> None:
    """Keep the garbage collector away from the tests and libraries themselves, which stay to the end."""
    gc.freeze()


@pytest.fixture(scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedStack]:
    """A Temporal server and a PostgreSQL with migrated stores."""
    async with migrated_stack(tmp_path_factory.mktemp("stack")) as running:
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
    async with Journeys.on(stack.addresses, client, worker_clients[mode.sandbox], mode=mode) as world:
        yield world
