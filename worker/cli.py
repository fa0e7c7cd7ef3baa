"""The commands that run things: `journey dev`, `journey worker`, `journey migrate`."""

import asyncio
import logging
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from worker.command import facts, out, print_json, run_command, run_service, tell
from worker.connection import connect
from worker.dev import dev_stack
from worker.journey_worker import journey_worker
from worker.logs import configure_logs
from worker.migrate import migrate as migrate_stores
from worker.search_attributes import register_search_attributes
from worker.settings import StoreSettings, WorkerSettings

app = typer.Typer()

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else.")]


def examples(*lines: str) -> str:
    """The end of a command's help."""
    return "\n".join(("Examples:", *(f"  {line}" for line in lines)))


@app.command(
    epilog=examples(
        "journey worker",
        "JOURNEY_IDLE_SECONDS=600 JOURNEY_LOG_FORMAT=console journey worker",
    )
)
def worker() -> None:
    """Run a worker until SIGTERM or Ctrl-C; it finishes what it has begun.

    The environment configures it: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and so on, SUPABASE_DB_URL,
    STATE_SURFACE_URL, JOURNEY_*.

    Run as many as you like on one task queue.
    """
    run_service(_worker)


async def _worker() -> None:
    settings = WorkerSettings()
    configure_logs(settings.log_format, settings.log_level)
    client = await connect(metrics_address=settings.metrics_address)
    async with journey_worker(client, settings) as journeys, journeys:
        logging.getLogger(__name__).info(
            "polling", extra={"task_queue": settings.task_queue, "namespace": client.namespace}
        )
        await asyncio.Event().wait()


@app.command(
    epilog=examples(
        "journey migrate",
        "SUPABASE_DB_URL=postgresql://postgres:...@db.example.com/postgres journey migrate",
    )
)
def migrate(*, json: Json = False) -> None:
    """Bring both stores' schemas and Temporal's search attributes up to date.

    Applies what is missing to SUPABASE_DB_URL and STATE_SURFACE_URL, and registers the search attributes in
    TEMPORAL_NAMESPACE.

    It is safe to run again, and takes turns with `supabase db push`.
    """
    run_command(lambda: _migrate(json=json))


async def _migrate(*, json: bool) -> None:
    stores = StoreSettings()
    report = await migrate_stores(
        stores.supabase_db_url.get_secret_value(), stores.state_surface_url.get_secret_value(), progress=tell
    )
    registered = await register_search_attributes(await connect())
    applied = {
        "supabase": report.supabase,
        "state_surface": report.state_surface,
        "search_attributes": registered,
    }
    if json:
        print_json({what: list(names) for what, names in applied.items()})
    else:
        out.print(facts({what: "\n".join(names) or "nothing to do, up to date" for what, names in applied.items()}))


@app.command(
    epilog=examples(
        "journey dev",
        "journey dev --data-dir /tmp/other --temporal-port 7300 --ui-port 7301",
        "journey dev --json > addresses.json",
    )
)
def dev(
    *,
    data_dir: Annotated[Path, typer.Option(help="Where the servers keep their data.")] = Path(".journey"),
    temporal_port: Annotated[
        int | None, typer.Option(min=1, max=65535, metavar="N", help="Temporal's port; 7233 if that is free.")
    ] = None,
    ui_port: Annotated[
        int | None, typer.Option(min=1, max=65535, metavar="N", help="The Web UI's port; 8233 if that is free.")
    ] = None,
    http_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, metavar="N", help="For the HTTP gateway, which does not exist yet."),
    ] = None,
    json: Json = False,
) -> None:
    """Run everything on this machine until Ctrl-C: Temporal, its Web UI, PostgreSQL, one worker.

    All of it listens on loopback only and ends with this command, however that ends. The data stay.
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
            print_json(addresses)
        else:
            for name, value in addresses.model_dump(exclude_none=True).items():
                out.print(Text.assemble((f"{name:<20}", "cyan"), value), soft_wrap=True)  # to be copied in one piece
            out.print("Everything runs; Ctrl-C ends it. Try, in another terminal:", style="bold green")
            out.print(
                f"  TEMPORAL_ADDRESS={addresses.temporal_address} journey session initialize --tenant acme --user ada",
                highlight=False,
                soft_wrap=True,
            )
        await asyncio.Event().wait()
