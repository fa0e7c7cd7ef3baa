"""A server that ends is started again, and never in a tight loop."""

import pytest

from embedded.keep_running import keep_running


class EnoughError(Exception):
    """The test has seen enough."""


async def test_each_pause_before_the_next_start_is_longer_up_to_a_limit() -> None:
    pauses: list[float] = []
    told: list[str] = []

    async def wait_for_end() -> str:
        return "it ended with exit status 1"

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async def start() -> None:
        if len(pauses) == 7:
            raise EnoughError

    with pytest.raises(EnoughError):
        await keep_running(wait_for_end, start, progress=told.append, pause=pause)
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert told[1] == "it ended with exit status 1; it is started again in 2 s"
    assert len(told) == 7
