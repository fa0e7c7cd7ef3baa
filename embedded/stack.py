"""Both servers together: everything that a journey needs on one machine."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from embedded.postgres import EmbeddedPostgres
from embedded.temporal_server import EmbeddedTemporal
from journeys.search_attributes import SEARCH_ATTRIBUTES

_SUPABASE_DATABASE = "postgres"
_STATE_SURFACE_DATABASE = "state_surface"


@dataclass(frozen=True, slots=True)
class StackAddresses:
    """The addresses of a running stack. Only processes on this machine can reach them.

    Attributes:
        temporal_address: Temporal's gRPC service, `host:port`.
        temporal_namespace: The namespace to use.
        temporal_ui_url: Temporal's Web UI.
        supabase_db_url: The database that stands in for Supabase's. The URL holds a superuser's password.
        state_surface_url: The database that stands in for the State Surface's, on the same server.
    """

    temporal_address: str
    temporal_namespace: str
    temporal_ui_url: str
    supabase_db_url: str
    state_surface_url: str


@dataclass(frozen=True, slots=True)
class EmbeddedStack:
    """A running stack.

    Attributes:
        addresses: The stack's addresses. They stay the same if a server is killed and started again.
        postgres: The PostgreSQL server.
        temporal: The Temporal server.
    """

    addresses: StackAddresses
    postgres: EmbeddedPostgres
    temporal: EmbeddedTemporal


@asynccontextmanager
async def embedded_stack(
    data_dir: Path,
    *,
    temporal_port: int | None = None,
    ui_port: int | None = None,
    postgres_port: int | None = None,
    persistent: bool = True,
    search_attributes: Sequence[str] = SEARCH_ATTRIBUTES,
    progress: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[EmbeddedStack]:
    """Run Temporal and PostgreSQL for as long as the context is open; their data stays in the directory.

    Both servers end with the context, and also if this process is killed.

    Args:
        data_dir: The directory of all state, logs and the database password; created if it is missing.
        temporal_port: TCP port of Temporal's gRPC service; None for 7233 if that is free, else another one.
        ui_port: TCP port of Temporal's Web UI; None for 8233 if that is free, else another one.
        postgres_port: TCP port of PostgreSQL; None for 54322 if that is free, else another one.
        persistent: Whether Temporal keeps its state in a file. State in memory is faster, and lost when the
            server ends.
        search_attributes: Names of the Keyword search attributes to create.
        progress: Called with a few words at the start of each step.

    Yields:
        The stack, once both servers answer and both databases exist.

    Raises:
        EmbeddedStackError: The stack cannot start; the message says why.
    """
    postgres = EmbeddedPostgres(data_dir / "postgres", port=postgres_port, progress=progress)
    temporal = EmbeddedTemporal(
        data_dir / "temporal",
        search_attributes=search_attributes,
        port=temporal_port,
        ui_port=ui_port,
        persistent=persistent,
        progress=progress,
    )

    async def start_postgres() -> None:
        await postgres.start()
        await postgres.create_database(_STATE_SURFACE_DATABASE)

    try:
        await run_concurrently(start_postgres(), temporal.start())
        yield EmbeddedStack(
            StackAddresses(
                temporal_address=temporal.address,
                temporal_namespace=temporal.namespace,
                temporal_ui_url=temporal.ui_url,
                supabase_db_url=postgres.url(_SUPABASE_DATABASE),
                state_surface_url=postgres.url(_STATE_SURFACE_DATABASE),
            ),
            postgres,
            temporal,
        )
    finally:
        await run_concurrently(postgres.stop(), temporal.stop())


async def run_concurrently(*steps: Coroutine[None, None, None]) -> None:
    """Run the steps at the same time; raises the first error itself instead of an exception group."""
    try:
        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(step)
    except BaseExceptionGroup as errors:
        first = errors.exceptions[0]
        raise first from first.__cause__
