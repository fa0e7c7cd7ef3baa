"""The embedded servers with both stores migrated: nearly every test uses them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from embedded import EmbeddedStack, embedded_stack
from tests.support.databases import migrate_silently
from tests.support.own_ports import choose_own_ports


@asynccontextmanager
async def migrated_stack(
    folder: Path, *, progress: Callable[[str], None] = lambda _: None
) -> AsyncIterator[EmbeddedStack]:
    """A running Temporal server and PostgreSQL.

    Their ports are not the preferred ones: several stacks start at the same moment, and nobody else may take the port
    of a server that a test ends and starts again.
    """
    postgres, temporal, ui = choose_own_ports(3)
    async with embedded_stack(
        folder, postgres_port=postgres, temporal_port=temporal, ui_port=ui, progress=progress
    ) as stack:
        await migrate_silently(stack.addresses.supabase_db_url, stack.addresses.state_surface_url)
        yield stack
