"""A running engine, and a client of it that counts its calls."""

from collections.abc import AsyncIterator

import pytest

from tests.integrations.counted_calls import CountedCalls
from tests.support.journeys import Journeys


@pytest.fixture
async def served(journeys: Journeys) -> AsyncIterator[Journeys]:
    """The test's journeys, with a worker that serves them."""
    async with journeys.worker():
        yield journeys


@pytest.fixture
def sessions(served: Journeys) -> CountedCalls:
    return CountedCalls(served.client, task_queue=served.task_queue)
