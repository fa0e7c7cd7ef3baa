"""The `journey` command line."""

import sys
from io import TextIOWrapper
from typing import Final

import typer
from typer.core import TyperGroup

from journeys.messages import reason_of
from starter.cli import session
from starter.cli.bench import bench
from starter.cli.command import examples
from starter.cli.demo import demo
from starter.cli.dev import dev
from starter.cli.gateway import gateway
from starter.cli.migrate import migrate
from starter.cli.schema import schema
from starter.cli.worker import worker
from worker.process_lifecycle import run_and_exit


class _Group(TyperGroup):
    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        """Run a command, and explain a wrong argument in our words, not in pydantic's."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = reason_of(error.message)
            raise


app: Final = typer.Typer(
    name="journey",
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="Use the chat sessions of the Coexistence Solution, and run their engine.",
    epilog=examples(
        "journey demo                      see the whole journey in a few seconds",
        "journey dev                       run everything on this machine",
        "journey session initialize --tenant acme --user ada",
    ),
)
app.command(epilog=examples("journey demo", "journey demo --json | jq .checks"))(demo)
app.command(
    epilog=examples(
        "journey dev",
        "journey dev --data-dir /tmp/other --temporal-port 7300 --ui-port 7301 --http-port 7302",
        "journey dev --json > addresses.json",
    )
)(dev)
app.add_typer(session.app)
app.command(
    epilog=examples(
        "journey worker",
        "JOURNEY_IDLE_SECONDS=600 JOURNEY_LOG_FORMAT=console journey worker",
    )
)(worker)
app.command(
    epilog=examples(
        "journey gateway",
        "JOURNEY_HTTP_ADDRESS=0.0.0.0:8000 JOURNEY_LOG_FORMAT=console journey gateway",
    )
)(gateway)
app.command(
    epilog=examples(
        "journey migrate",
        "SUPABASE_DB_URL=postgresql://postgres:...@db.example.com/postgres \\",
        "    journey migrate",
    )
)(migrate)
app.command(epilog=examples("journey schema", "journey schema update_chat_context.request"))(schema)
app.command(epilog=examples("journey bench", "journey bench --callers 8 --json"))(bench)


def main() -> None:
    """The `journey` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal may know fewer characters than people write
            stream.reconfigure(errors="backslashreplace")
    run_and_exit(lambda: app(prog_name="journey"))
