"""The fixtures that several promises share."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from tests.support.journeys import Journeys
from tests.support.tcp_proxy import ProxiedStores


@pytest.fixture
async def stores(journeys: Journeys) -> AsyncIterator[ProxiedStores]:
    """Both stores, behind a proxy each that fails on demand for this test's worker, and for nobody else."""
    async with ProxiedStores.of(journeys.addresses) as proxied:
        yield proxied


@pytest.fixture
def patient_diagnosis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the client find out why a call had no answer however busy the machine is."""
    monkeypatch.setattr("journeys.client.unanswered_calls._DIAGNOSIS", timedelta(seconds=30))
