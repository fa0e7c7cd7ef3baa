"""How a program of this project runs, stops at a signal, reports errors and exits."""

import asyncio
import atexit
import errno
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Final, NoReturn

import uvloop
from temporalio.service import RPCError

from journeys.errors import EngineUnavailable, JourneyError

_CANNOT_WRITE: Final = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG)

REFUSED: Final = 1
"""The exit status of a program that was refused or failed. Wrong usage has status 2."""


def run_service(main: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a program until Ctrl-C or SIGTERM cancels it, and let it clean up.

    The event loop is uvloop: a worker takes many small steps between its threads, and they cost a tenth less there.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_until_signalled(main()))


async def run_until_signalled(main: Coroutine[None, None, None]) -> signal.Signals | None:
    """Run to the end, or until Ctrl-C, SIGTERM or SIGHUP cancels the program; returns the signal."""
    received: list[signal.Signals] = []
    task = asyncio.create_task(main)

    def stop(number: signal.Signals) -> None:
        if not received:  # a second signal must not interrupt the clean-up
            received.append(number)
            task.cancel()

    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if each is not signal.SIGHUP or signal.getsignal(each) is signal.SIG_DFL:  # under nohup, SIGHUP stays ignored
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
    """Exit with status 1 after an error of the contract.

    Args:
        report: Shows the error: one line, `CODE: message`.

    Raises:
        SystemExit: There was an error.
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
    """Run a program, then end the process at once.

    If Python exits in its own way, it waits for the threads of Temporal's SDK. They sometimes crash the interpreter
    while it shuts down.
    """
    status = 0
    try:
        program()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else REFUSED
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:
            raise
        with suppress(OSError):
            print(f"the output cannot be written: {os.strerror(error.errno or 0)}", file=sys.stderr)
        status = REFUSED
    atexit._run_exitfuncs()
    with suppress(OSError):  # the reader has gone
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)
