"""One thread for work on large messages and contexts, so that the event loop serves other sessions meanwhile.

It takes the work of all sessions piece by piece, in turns. More threads would only compete with the event loop for the
interpreter.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, TypeVar

from temporalio import activity

from journeys.chat_session.limits import KIB

_LARGE_BYTES: Final = 16 * KIB
_HEARTBEAT_SECONDS: Final = 1
_THREAD: Final = ThreadPoolExecutor(1, thread_name_prefix="large-work")

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


async def run_by_size(
    size: int, function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Result:
    """Call a function on the event loop, or in the thread if it works on so many bytes that it takes a while.

    After work in the thread, the activity heartbeats. Otherwise a busy worker would begin a long batch anew for ever.
    """
    if size <= _LARGE_BYTES:
        return function(*args, **kwargs)
    result = await asyncio.get_running_loop().run_in_executor(_THREAD, partial(function, *args, **kwargs))
    _heartbeat()
    return result


async def heartbeat_while(work: Awaitable[Result]) -> Result:
    """Wait for work that may take a store a long time, and heartbeat meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_HEARTBEAT_SECONDS)
            _heartbeat()
        return task.result()
    finally:
        task.cancel()


def _heartbeat() -> None:
    if not activity.info().is_local:
        activity.heartbeat()
