"""The commands that run things: `journey dev`, `journey worker`, `journey migrate`."""

import asyncio
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.console import Console
from rich.table import Table

from worker.command import run_command, run_service
from worker.connection import connect
from worker.dev import dev_stack
from worker.journey_worker import journey_worker
from worker.logs import configure_logs
from worker.migrate import migrate as migrate_stores
from worker.search_attributes import register_search_attributes
from worker.settings import StoreSettings, WorkerSettings

app = typer.Typer()

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else.")]

_out = Console()
_err = Console(stderr=True)


def tell(line: str) -> None:
    """Show a line of progress, apart from the command's output."""
    _err.print(line, style="dim", highlight=False, markup=False)


@app.command()
def worker() -> None:
    """Run a worker until SIGTERM or Ctrl-C; it finishes what it has begun.

    It is configured by the environment: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, SUPABASE_DB_URL, STATE_SURFACE_URL,
    JOURNEY_*. Run as many as you like on one task queue.
    """
    run_service(_worker)


async def _worker() -> None:
    settings = WorkerSettings()
    configure_logs(settings.log_format, settings.log_level)
    client = await connect(metrics_address=settings.metrics_address)
    async with journey_worker(client, settings) as journeys, journeys:
        structlog.stdlib.get_logger("worker").info(
            "polling", task_queue=settings.task_queue, namespace=client.namespace
        )
        await asyncio.Event().wait()


@app.command()
def migrate(*, json: Json = False) -> None:
    """Bring both stores' schemas and Temporal's search attributes up to date.

    Applies what is missing to SUPABASE_DB_URL and STATE_SURFACE_URL, and registers the search attributes in the
    namespace. It is safe to run again, and takes turns with `supabase db push`.
    """
    run_command(lambda: _migrate(json=json))


async def _migrate(*, json: bool) -> None:
    stores = StoreSettings()
    report = await migrate_stores(
        stores.supabase_db_url.get_secret_value(), stores.state_surface_url.get_secret_value(), progress=tell
    )
    registered = await register_search_attributes(await connect())
    if json:
        _out.print_json(
            data={"supabase": report.supabase, "state_surface": report.state_surface, "search_attributes": registered}
        )
        return
    table = Table("what", "applied now")
    for what, applied in {
        "Supabase migrations": report.supabase,
        "State Surface migrations": report.state_surface,
        "Temporal search attributes": registered,
    }.items():
        table.add_row(what, ", ".join(applied) or "nothing, up to date")
    _out.print(table)


@app.command()
def dev(
    *,
    data_dir: Annotated[Path, typer.Option(help="Where the servers keep their data.")] = Path(".journey"),
    temporal_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Temporal's port; 7233 if that is free.")
    ] = None,
    ui_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="The Web UI's port; 8233 if that is free.")
    ] = None,
    http_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="For the HTTP gateway, which does not exist yet.")
    ] = None,
    json: Json = False,
) -> None:
    """Run everything on this machine until Ctrl-C: Temporal, its Web UI, PostgreSQL, one worker.

    All of it listens on loopback only and ends with this command, however that ends.
    """
    del http_port
    run_service(lambda: _dev(data_dir, temporal_port, ui_port, json=json))


async def _dev(data_dir: Path, temporal_port: int | None, ui_port: int | None, *, json: bool) -> None:
    configure_logs("console", "WARNING")
    async with (
        dev_stack(data_dir, temporal_port=temporal_port, ui_port=ui_port, progress=tell) as (addresses, journeys),
        journeys,
    ):
        if json:
            print(addresses.model_dump_json(), flush=True)
        else:
            table = Table("", "where", title="Everything runs. Ctrl-C ends it.", title_justify="left")
            for name, value in addresses.model_dump(exclude_none=True).items():
                table.add_row(name, value, style="bold" if name == "temporal_ui_url" else None)
            _out.print(table)
        await asyncio.Event().wait()
