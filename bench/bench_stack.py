"""The servers, databases and workers of a run of the benchmark."""

import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from bench.bare import Bare, Step
from bench.floor import Floor
from bench.journey import Journey
from bench.naive import Naive
from bench.stored_revisions import StoredRevisions
from bench.stores import STORING, StoreUrls
from bench.variant import Variant
from bench.worker_process import run_workers, settings_from, supervised_pid, task_queue
from embedded import EmbeddedPostgres, embedded_stack
from journeys.client.chat_sessions import ChatSessions
from journeys.client.connection import GRPC_COMPRESSION
from stores.migrate import migrate


@dataclass(frozen=True, slots=True)
class Servers:
    """Running servers with empty, migrated stores.

    Attributes:
        address: Of Temporal.
        client: Connected to Temporal.
        postgres: The server of all stores.
        stores: By variant.
        pids: Of `server` and `database`.
        folder: For their data.
    """

    address: str
    client: Client
    postgres: EmbeddedPostgres
    stores: Mapping[str, StoreUrls]
    pids: Mapping[str, int]
    folder: Path


@dataclass(frozen=True, slots=True)
class RunningVariants:
    """The variants with their workers, and everything needed to measure them.

    Attributes:
        client: To look at workflows with.
        variants: By name.
        worker_pids: By variant.
        stored_revisions: By variant.
        stores: By variant.
        server_pids: Of `server` and `database`.
    """

    client: Client
    variants: Mapping[str, Variant]
    worker_pids: Mapping[str, int]
    stored_revisions: Mapping[str, StoredRevisions]
    stores: Mapping[str, StoreUrls]
    server_pids: Mapping[str, int]


@asynccontextmanager
async def bench_servers(
    folder: Path, *, progress: Callable[[str], None], persistent: bool = True
) -> AsyncIterator[Servers]:
    """Run a Temporal server and a PostgreSQL with a pair of databases for each variant that stores.

    Args:
        folder: For their data.
        progress: Gets a few words about each step.
        persistent: Whether Temporal keeps its state in a file or in memory.

    Raises:
        EmbeddedStackError: A server cannot be started.
    """
    async with embedded_stack(folder / "servers", persistent=persistent, progress=progress) as stack:
        stores = {variant: await create_stores(stack.postgres, variant) for variant in STORING}
        address = stack.addresses.temporal_address
        yield Servers(
            address,
            await Client.connect(
                address, namespace=stack.addresses.temporal_namespace, grpc_compression=GRPC_COMPRESSION
            ),
            stack.postgres,
            stores,
            {
                "server": supervised_pid(folder / "servers" / "temporal"),
                "database": supervised_pid(folder / "servers" / "postgres"),
            },
            folder,
        )


async def create_stores(postgres: EmbeddedPostgres, name: str) -> StoreUrls:
    """Create a pair of databases, empty and migrated."""
    databases = f"{name}_supabase", f"{name}_state_surface"
    for database in databases:
        await postgres.create_database(database)
    urls = StoreUrls(*map(postgres.url, databases))
    await migrate(urls.supabase, urls.state_surface, progress=lambda _: None)
    return urls


async def _connect_journey(servers: Servers, name: str) -> ChatSessions:
    """Connect the client that services use to the journey's workers of this name."""
    addresses = {"TEMPORAL_ADDRESS": servers.address, "TEMPORAL_NAMESPACE": servers.client.namespace}
    with _environment(settings_from(addresses)):
        return await ChatSessions.connect(task_queue=task_queue("journey", name))


@asynccontextmanager
async def run_journey(servers: Servers, stores: StoreUrls, name: str) -> AsyncIterator[ChatSessions]:
    """Start a worker of the journey on stores of its own, and connect the client to it."""
    async with run_workers(
        servers.client,
        servers.folder / "workers",
        {"journey": stores},
        address=servers.address,
        name=name,
        variants=("journey",),
    ):
        yield await _connect_journey(servers, name)


@asynccontextmanager
async def run_variants(servers: Servers, *, name: str) -> AsyncIterator[RunningVariants]:
    """Start a worker for each variant and connect a caller to it.

    Args:
        servers: Their servers.
        name: Of these workers, as others may follow on the same servers.
    """
    async with AsyncExitStack() as stack:
        pids = await stack.enter_async_context(
            run_workers(servers.client, servers.folder / "workers", servers.stores, address=servers.address, name=name)
        )
        stored_revisions = {
            variant: await stack.enter_async_context(StoredRevisions.at(servers.stores[variant].state_surface))
            for variant in ("naive", "journey")
        }
        typed = await Client.connect(
            servers.address, namespace=servers.client.namespace, data_converter=pydantic_data_converter
        )
        sessions = await _connect_journey(servers, name)
        variants: list[Variant] = [
            await stack.enter_async_context(Floor.on(servers.stores["floor"])),
            Bare(servers.client, task_queue("bare", name)),
            Step(servers.client, task_queue("step", name)),
            Naive(typed, task_queue("naive", name), stored_revisions["naive"]),
            Journey(sessions, servers.client, stored_revisions["journey"]),
        ]
        yield RunningVariants(
            servers.client,
            {variant.name: variant for variant in variants},
            pids,
            stored_revisions,
            servers.stores,
            servers.pids,
        )


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """Replace the environment for a moment: the journey's client reads its settings there, as in a service."""
    inherited = dict(os.environ)
    os.environ.clear()
    os.environ.update(wanted)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(inherited)
