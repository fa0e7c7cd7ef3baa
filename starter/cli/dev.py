"""The command `journey dev`."""

import asyncio
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from starter.cli.command import Json, embedded_servers_needed, out, print_json, run_service, tell

if TYPE_CHECKING:
    from starter.dev_engine import DevAddresses


def dev(
    *,
    data_dir: Annotated[Path, typer.Option(help="The folder in which the servers keep their data.")] = Path(".journey"),
    temporal_port: Annotated[
        int | None, typer.Option(min=1, max=65535, metavar="N", help="Temporal's port; by default 7233 if it is free.")
    ] = None,
    ui_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, metavar="N", help="The Web UI's port; by default 8233 if it is free."),
    ] = None,
    http_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, metavar="N", help="The gateway's port; by default 8000 if it is free."),
    ] = None,
    json: Json = False,
) -> None:
    """Run Temporal, its Web UI, PostgreSQL, one worker, the HTTP gateway with its page, and the agents until Ctrl-C.

    The servers listen on the loopback interface only. They end with this
    command, even if it is killed, and are started again if they end before.
    Their data stays.
    """
    run_service(lambda: _dev(data_dir, temporal_port, ui_port, http_port, json=json))


async def _dev(
    data_dir: Path, temporal_port: int | None, ui_port: int | None, http_port: int | None, *, json: bool
) -> None:
    with embedded_servers_needed():
        from embedded.keep_running import keep_running  # noqa: PLC0415
        from embedded.stack import run_concurrently  # noqa: PLC0415
        from starter.dev_agents import dev_agents, example_agents  # noqa: PLC0415
        from starter.dev_engine import dev_engine  # noqa: PLC0415
        from starter.dev_gateway import choose_port, dev_gateway  # noqa: PLC0415
        from worker.logs import configure_logs  # noqa: PLC0415

    configure_logs("console", "WARNING")
    if http_port is not None:
        choose_port(http_port)  # fails at once if the port is taken
    agents = await example_agents()
    try:
        async with (
            dev_engine(data_dir, temporal_port=temporal_port, ui_port=ui_port, agents=agents, progress=tell) as engine,
            engine.worker,
            dev_gateway(engine.addresses, port=http_port, agents=agents) as gateway,
            dev_agents(agents, data_dir, gateway, progress=tell) as keep_agents_running,
        ):
            _show(gateway.addresses, json=json)
            servers = (engine.servers.postgres, engine.servers.temporal)
            await run_concurrently(
                *(keep_running(each.wait_for_end, each.start, progress=tell) for each in servers),
                *([keep_agents_running()] if keep_agents_running else []),
            )
    except asyncio.CancelledError:
        tell(f"stopped; the data is in {data_dir}")
        raise


def _show(addresses: "DevAddresses", *, json: bool) -> None:
    if json:
        print_json(addresses)
        return
    for name, value in addresses.model_dump(exclude_none=True).items():
        out.print(Text.assemble((f"{name:<20}", "cyan"), value), soft_wrap=True)  # one line, to be copied
    out.print("Everything is running; Ctrl-C stops it.", style="bold green")
    out.print(Text.assemble("Open the chat page:   ", (f"{addresses.http_url}/", "bold")), soft_wrap=True)
    out.print("In another terminal, try:")
    out.print(
        f"  TEMPORAL_ADDRESS={addresses.temporal_address} {_command()} session initialize --tenant acme --user ada",
        highlight=False,
        soft_wrap=True,
    )


def _command() -> str:
    """The `journey` command as a shell in this directory finds it."""
    installed = Path(sys.executable).with_name("journey")
    if shutil.which("journey") == str(installed):
        return "journey"
    here = Path.cwd()
    return shlex.quote(str(installed.relative_to(here) if installed.is_relative_to(here) else installed))
