"""How a command of the command line runs, stops and fails."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager

import typer
from pydantic import ValidationError
from rich.console import Console

from contract.errors import DatabaseUnavailable, EngineUnavailable, InvalidParameter, JourneyError
from worker.embedded import EmbeddedStackError
from worker.migrate import MigrationError
from worker.search_attributes import SearchAttributesMissing

_REFUSED = 1
_err = Console(stderr=True)


def run_command(main: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a command; an error goes to standard error as `CODE: message`, with exit status 1."""
    with _reported():
        asyncio.run(main())


def run_service(main: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a command until it is told to stop; Ctrl-C and SIGTERM end it in order, with exit status 0."""
    with _reported():
        asyncio.run(_until_told(main()))


async def _until_told(main: Awaitable[None]) -> None:
    told = False
    task = asyncio.ensure_future(main)

    def tell() -> None:
        nonlocal told
        if not told:  # a second one must not disturb the clearing up
            told = True
            task.cancel()

    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, tell)
    try:
        await task
    except asyncio.CancelledError:
        if not told:
            raise


@contextmanager
def _reported() -> Iterator[None]:
    try:
        yield
    except JourneyError as error:
        _fail(error)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        _fail(InvalidParameter(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"))
    except MigrationError as error:
        _fail(DatabaseUnavailable(str(error)))
    except (EmbeddedStackError, SearchAttributesMissing) as error:
        _fail(EngineUnavailable(str(error)))


def _fail(error: JourneyError) -> None:
    _err.print(str(error), style="red", highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(_REFUSED)
