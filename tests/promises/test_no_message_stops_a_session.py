"""No message, no burst and no size stops a session: the short form of `make hostile`."""

import os
import signal

import pytest

from tests.hostile.attack import Attack
from tests.hostile.inspection import inspect
from tests.hostile.matrix import SHORT_CASES
from tests.support.journeys import Journeys
from tests.support.worker_processes import worker_environment, worker_process


@pytest.mark.parametrize("name", SHORT_CASES)
async def test_a_session_outlives_it_and_loses_nothing(journeys: Journeys, name: str) -> None:
    async with worker_process(worker_environment(journeys.addresses, journeys.task_queue)) as worker:
        attack = Attack(
            journeys,
            await journeys.create_session(),
            pause=lambda: os.kill(worker.pid, signal.SIGSTOP),
            go_on=lambda: os.kill(worker.pid, signal.SIGCONT),
        )
        await SHORT_CASES[name](attack)
        # Beside other tests, a workflow task may take longer than its timeout. `make hostile` checks that as well.
        found = await inspect(attack, may_time_out=True)
        assert not found.broken
