"""How the command line runs a command and prints its output."""

import asyncio
import logging
import sys
import warnings
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Final

import typer
from pydantic import BaseModel, JsonValue
from pydantic_core import to_json
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from journeys.errors import EngineUnavailable
from worker.process_lifecycle import exit_on_errors, run_until_signalled
from worker.process_lifecycle import run_service as run_program

out: Final = Console()
"""Standard output, for people."""

_err: Final = Console(stderr=True)

WRONG_USAGE: Final = 2
"""The exit status of a command whose arguments do not fit."""

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else.")]


def examples(*lines: str) -> str:
    """The examples at the end of a command's help."""
    return "\n".join(("Examples:", *(f"  {line}" for line in lines)))


def tell(line: str) -> None:
    """Show a line of progress on standard error."""
    _err.print(line, style="dim", highlight=False, markup=False, soft_wrap=True)


def print_json(answer: BaseModel | Mapping[str, JsonValue]) -> None:
    """Print the one JSON object of a command, in UTF-8 whatever the terminal's encoding is."""
    sys.stdout.buffer.write(to_json(answer) + b"\n")
    sys.stdout.buffer.flush()


def facts(rows: Mapping[str, RenderableType]) -> Table:
    """A table of names and values. It cuts nothing off, and has no border that would be copied with the text."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, Text(value) if isinstance(value, str) else value)
    return table


@contextmanager
def embedded_servers_needed() -> Iterator[None]:
    """Import modules that need the embedded servers, which an installation for production does not have.

    Raises:
        EngineUnavailable: This installation has no embedded servers.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "embedded":
            raise
        raise EngineUnavailable(
            "this installation has no servers of its own, because production needs none; run `make setup` in a checkout"
        ) from None


def run_command(main: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a command to its end.

    An error goes to standard error as `CODE: message`, with exit status 1. After Ctrl-C or SIGTERM, the command cleans
    up and exits with the status that a shell expects.
    """
    _keep_standard_output_clean()
    with exit_on_errors(show_error), warnings.catch_warnings(action="ignore"):
        received = asyncio.run(run_until_signalled(main()))
    if received:
        raise typer.Exit(128 + received)


def run_service(main: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a command until Ctrl-C or SIGTERM. It then cleans up and exits with status 0."""
    with exit_on_errors(show_error):
        run_program(main)


def _keep_standard_output_clean() -> None:
    """Send the log of the SDK's core, which would go to standard output, to Python's logging."""
    from temporalio.runtime import (  # noqa: PLC0415 - `--help` does without it
        LogForwardingConfig,
        LoggingConfig,
        Runtime,
        TelemetryConfig,
        TelemetryFilter,
    )

    logging_config = LoggingConfig(
        filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
        forwarding=LogForwardingConfig(logger=logging.getLogger("temporalio.core")),
    )
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=logging_config)), error_if_already_set=False)


def show_error(error: str) -> None:
    """Show an error on standard error, as one line."""
    _err.print(error, style="red", highlight=False, markup=False, soft_wrap=True)
