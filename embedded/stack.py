"""Both servers together: what a journey needs around it on one machine."""

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
    """Where a running stack is reached, by processes of this machine alone.

    Attributes:
        temporal_address: Temporal's gRPC service, `host:port`.
        temporal_namespace: the namespace to use.
        temporal_ui_url: Temporal's Web UI.
        supabase_db_url: database that stands in for Supabase's, with a superuser's password.
        state_surface_url: database that stands in for the State Surface's, on the same server.
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
        addresses: where it is reached; the same after a server was killed and started again.
        postgres: the database server, for tests that kill it.
        temporal: the Temporal server, likewise.
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

    Both end with the context, and also when this process is killed.

    Args:
        data_dir: where all state, logs and the database password are kept; made where it is missing.
        temporal_port: TCP port of Temporal's gRPC service; None for 7233 if it is free, else another.
        ui_port: likewise of its Web UI, with 8233.
        postgres_port: likewise of PostgreSQL, with 54322.
        persistent: whether Temporal keeps its state in a file; in memory it is faster, and gone with the server.
        search_attributes: names of the Keyword search attributes that are to exist.
        progress: told in a few words what is being done.

    Yields:
        The stack, once both servers answer and both databases exist.

    Raises:
        EmbeddedStackError: it cannot be started, for a reason that the message says.
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
        await _together(start_postgres(), temporal.start())
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
        await _together(postgres.stop(), temporal.stop())


async def _together(*parts: Coroutine[None, None, None]) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)
    except BaseExceptionGroup as errors:
        first = errors.exceptions[0]
        raise first from first.__cause__
