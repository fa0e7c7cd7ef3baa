"""Start a server again whenever it ends."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 30.0
# A server that has run for longer did not fail at its start.
_STEADY_SECONDS: Final = 60.0


async def keep_running(
    wait_for_end: Callable[[], Awaitable[str]],
    start: Callable[[], Awaitable[None]],
    *,
    progress: Callable[[str], None],
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> NoReturn:
    """Start a server again whenever it ends, each time after a longer pause, until this is cancelled.

    Args:
        wait_for_end: Waits until the server ends; returns how, in a few words.
        start: Starts the server again; its errors end this.
        progress: Called with a line about each end.
        pause: Waits for the given number of seconds.
    """
    seconds = 0.0
    while True:
        began = time.monotonic()
        ended = await wait_for_end()
        is_steady = time.monotonic() - began > _STEADY_SECONDS
        seconds = _FIRST_PAUSE_SECONDS if is_steady or not seconds else min(2 * seconds, _LONGEST_PAUSE_SECONDS)
        progress(f"{ended}; starting again in {seconds:g} s")
        await pause(seconds)
        await start()
