"""The command `journey bench`."""

from typing import Annotated

import typer
from rich.table import Table

from journeys.client.chat_sessions import ChatSessions
from starter.cli.command import Json, out, print_json, run_command, tell
from starter.deployment_bench import DeploymentBench, measure_deployment


def bench(
    *,
    callers: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="How many callers call at once.")] = 32,
    calls: Annotated[
        int, typer.Option(min=1, max=100_000, metavar="N", help="How often each caller calls each operation.")
    ] = 50,
    json: Json = False,
) -> None:
    """Measure how fast the deployment at TEMPORAL_ADDRESS answers.

    Initializes, updates and reads chat sessions, first with one caller and then
    with several at once. The sessions stay in the deployment's stores, under
    the tenant 'benchmark'.
    """

    async def main() -> None:
        sessions = await ChatSessions.connect()
        found = await measure_deployment(sessions, callers=callers, calls=calls, progress=tell)
        if json:
            print_json(found)
        else:
            out.print(_table(found))

    run_command(main)


def _table(found: DeploymentBench) -> Table:
    table = Table(box=None, header_style="cyan", padding=(0, 2, 0, 0))
    table.add_column("operation")
    for name in ("callers", "calls", "p50 ms", "p95 ms", "p99 ms", "per s"):
        table.add_column(name, justify="right")
    for each in found.measured:
        figures = (each.callers, each.calls, each.p50_ms, each.p95_ms, each.p99_ms, each.per_second)
        table.add_row(each.operation, *map(str, figures))
    return table
