"""A live session costs its worker memory for what it needs, and none for how it was started."""

import asyncio
import sys

import pytest

from bench.processes import resident_bytes
from tests.support.journeys import Journeys
from tests.support.worker_processes import worker_environment, worker_process

CONTEXT_BYTES = 64 * 1024
SESSIONS = 64

# The SDK's core keeps the start, the update and the activity, and the journey the context: five and a half copies.
# Keeping the latest workflow task would add one and a half, the arguments three, the context as Python's objects seven,
# and the activation that brought the start eight.
COPIES = 6.5


@pytest.mark.skipif(sys.platform != "linux", reason="a process's memory is read from /proc")
async def test_a_live_session_keeps_no_copy_of_the_message_that_started_it(journeys: Journeys) -> None:
    async with worker_process(worker_environment(journeys.addresses, journeys.task_queue)) as worker:
        await create_sessions(journeys, SESSIONS)  # the worker allocates its own memory, for its busiest moment too
        before = resident_bytes(worker.pid)
        await create_sessions(journeys, SESSIONS)
        kept = (resident_bytes(worker.pid) - before) / SESSIONS
    assert kept < COPIES * CONTEXT_BYTES


async def create_sessions(journeys: Journeys, number: int) -> None:
    for _ in range(number // 4):
        context = {"notes": [{"by": "guide", "text": "x" * 38} for _ in range(CONTEXT_BYTES // 64)]}
        await asyncio.gather(*(journeys.initialize(journeys.request(context=context)) for _ in range(4)))
