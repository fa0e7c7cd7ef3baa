"""How a command of the command line runs, stops, fails and prints."""

import asyncio
import atexit
import os
import signal
import sys
import warnings
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

import typer
import uvloop
from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import to_json
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text
from temporalio.service import RPCError

from contract.errors import DatabaseUnavailable, EngineUnavailable, InvalidParameter, JourneyError
from worker.embedded import EmbeddedStackError
from worker.migrate import MigrationError
from worker.search_attributes import SearchAttributesMissing

_REFUSED: Final = 1

out = Console()
"""Standard output, for people."""

_err = Console(stderr=True)


def tell(line: str) -> None:
    """Show a line of progress, apart from the command's output."""
    _err.print(line, style="dim", highlight=False, markup=False, soft_wrap=True)


def print_json(answer: BaseModel | Mapping[str, JsonValue]) -> None:
    """Print the one JSON object of a command, in UTF-8 whatever the terminal's encoding."""
    sys.stdout.buffer.write(to_json(answer) + b"\n")
    sys.stdout.buffer.flush()


def facts(rows: Mapping[str, RenderableType]) -> Table:
    """Names and what they stand for: nothing is cut off, and no border comes along when it is copied."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, Text(value) if isinstance(value, str) else value)
    return table


def run_command(main: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a command to its end.

    An error goes to standard error as `CODE: message`, with exit status 1. Ctrl-C and SIGTERM end the command in
    order, with the exit status that a shell expects.
    """
    with _reported(), warnings.catch_warnings(action="ignore"):
        told = asyncio.run(_until_told(main()))
    if told:
        raise typer.Exit(128 + told)


def run_service(main: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a command until it is told to stop; Ctrl-C and SIGTERM end it in order, with exit status 0.

    It runs on uvloop: a worker's work is many small steps between its threads, and they cost a tenth less so.
    """
    with _reported(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_told(main()))


def run_app(app: Callable[[], object]) -> None:
    """Run the command line and leave the process at once.

    Python's own way out would meet the threads of Temporal's SDK, which now and then crash an interpreter that is
    being taken down, after all is said and done.
    """
    try:
        app()
    except SystemExit as end:
        atexit._run_exitfuncs()
        with suppress(OSError):  # nobody reads any more
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else _REFUSED)


async def _until_told(main: Coroutine[None, None, None]) -> signal.Signals | None:
    """Run until the end, or until a signal says so; answers the signal."""
    told: list[signal.Signals] = []
    task = asyncio.create_task(main)

    def tell(number: signal.Signals) -> None:
        if not told:  # a second one must not disturb the clearing up
            told.append(number)
            task.cancel()

    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if each is not signal.SIGHUP or signal.getsignal(each) is signal.SIG_DFL:  # nohup stays nohup
            loop.add_signal_handler(each, tell, each)
    try:
        await task
    except asyncio.CancelledError:
        if not told:
            raise
        return told[0]
    return None


@contextmanager
def _reported() -> Iterator[None]:
    try:
        yield
    except JourneyError as error:
        _fail(error)
    except ValidationError as error:
        _fail(_setting_at_fault(error))
    except MigrationError as error:
        _fail(DatabaseUnavailable(str(error)))
    except (EmbeddedStackError, SearchAttributesMissing) as error:
        _fail(EngineUnavailable(str(error)))
    except RPCError as error:
        _fail(EngineUnavailable(f"Temporal refuses the call: {error.status.name}: {error.message}"))


def _setting_at_fault(error: ValidationError) -> InvalidParameter:
    """Name the environment variable, and never show its value."""
    if not error.title.endswith("Settings"):
        raise error
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    name = "".join(str(part) for part in first["loc"][:1])
    variable = name if name.isupper() else f"JOURNEY_{name.upper()}"
    return InvalidParameter(f"{variable}: {first['msg'].removeprefix('Value error, ').removeprefix('Input ')}")


def _fail(error: JourneyError) -> None:
    _err.print(str(error), style="red", highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(_REFUSED)
