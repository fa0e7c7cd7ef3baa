"""How a program of this project runs, is stopped, fails and ends."""

import asyncio
import atexit
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Final, NoReturn

import uvloop
from temporalio.service import RPCError

from journeys.errors import EngineUnavailable, JourneyError

REFUSED: Final = 1
"""The exit status of a program that was refused or failed; wrong usage is 2."""


def run_service(main: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a program until Ctrl-C or SIGTERM, which end it in order.

    It runs on uvloop: a worker takes many small steps between its threads, and they cost a tenth less so.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_until_signalled(main()))


async def run_until_signalled(main: Coroutine[None, None, None]) -> signal.Signals | None:
    """Run until the end, or until Ctrl-C, SIGTERM or a hang-up cancels it; answers the signal."""
    received: list[signal.Signals] = []
    task = asyncio.create_task(main)

    def stop(number: signal.Signals) -> None:
        if not received:  # a second one must not disturb the clearing up
            received.append(number)
            task.cancel()

    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if each is not signal.SIGHUP or signal.getsignal(each) is signal.SIG_DFL:  # nohup stays nohup
            loop.add_signal_handler(each, stop, each)
    try:
        await task
    except asyncio.CancelledError:
        if not received:
            raise
        return received[0]
    return None


@contextmanager
def exit_on_errors(report: Callable[[str], None]) -> Iterator[None]:
    """End the program with status 1 if an error of the contract comes up.

    Args:
        report: Shows the error, which is one line, `CODE: message`.

    Raises:
        SystemExit: One came up.
    """
    try:
        yield
    except JourneyError as error:
        report(str(error))
        raise SystemExit(REFUSED) from None
    except RPCError as error:
        report(str(EngineUnavailable(f"Temporal refuses the call: {error.status.name}: {error.message}")))
        raise SystemExit(REFUSED) from None


def run_and_exit(program: Callable[[], object]) -> NoReturn:
    """Run a program and leave the process at once.

    Python's own way out would wait for the threads of Temporal's SDK, and they sometimes crash an interpreter that is
    being taken down.
    """
    status = 0
    try:
        program()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else REFUSED
    atexit._run_exitfuncs()
    with suppress(OSError):  # nobody reads any more
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)
