"""Waiting for what nobody announces, without guessing how long it takes."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

Found = TypeVar("Found")


@overload
async def eventually(
    probe: Callable[[], Awaitable[Found]],
    wanted: Callable[[Found], object] = ...,
    *,
    within: float = ...,
    pause: float = ...,
) -> Found: ...
@overload
async def eventually(
    probe: Callable[[], Found],
    wanted: Callable[[Found], object] = ...,
    *,
    within: float = ...,
    pause: float = ...,
) -> Found: ...
async def eventually(
    probe: Callable[[], Any], wanted: Callable[[Any], object] = bool, *, within: float = 60, pause: float = 0.05
) -> object:
    """Probe again and again until the probe finds what is wanted; returns what it found.

    Without a pause it also sees what does not last.
    """
    end = time.monotonic() + within
    while True:
        found = probe()
        if isinstance(found, Awaitable):
            found = await found
        if wanted(found):
            return found
        assert time.monotonic() < end, f"not within {within} s; at last: {found!r}"
        await asyncio.sleep(pause)
