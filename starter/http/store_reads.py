"""A read of the store within a request: it has a deadline, and its failures are the contract's errors."""

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

from temporalio.exceptions import ApplicationError

from journeys.errors import DatabaseUnavailable
from starter.http.problems import as_contract_error

Answer = TypeVar("Answer")

_READ_SECONDS: Final = 5.0


async def from_store(reading: Awaitable[Answer]) -> Answer:
    """Wait for a read, the wait for a connection included.

    Raises:
        JourneyError: The read failed.
    """
    try:
        async with asyncio.timeout(_READ_SECONDS):
            return await reading
    except ApplicationError as failure:
        raise as_contract_error(failure) from None
    except TimeoutError:
        raise DatabaseUnavailable("no answer in time", outcome="not accepted") from None
