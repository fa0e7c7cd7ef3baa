"""The fixture that several promises share: stores that fail for one test's worker, and for nobody else."""

from collections.abc import AsyncIterator

import pytest

from tests.support.journeys import Journeys
from tests.support.tcp_proxy import ProxiedStores


@pytest.fixture
async def stores(journeys: Journeys) -> AsyncIterator[ProxiedStores]:
    """Both stores, behind a proxy each that fails on demand."""
    async with ProxiedStores.of(journeys.addresses) as proxied:
        yield proxied
