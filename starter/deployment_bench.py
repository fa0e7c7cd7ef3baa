"""Measure how fast a deployment answers its callers."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from math import ceil
from typing import Final
from uuid import uuid4

from pydantic import JsonValue

from journeys.client.chat_sessions import ChatSessions
from journeys.messages import Record

TENANT: Final = "benchmark"
"""The tenant of the sessions that a measurement leaves in the stores."""

Call = Callable[[], Awaitable[object]]


class Measurement(Record):
    """One operation at one number of callers.

    Attributes:
        calls: Calls of all callers together.
        p50_ms: Median latency of a call, in milliseconds; `p95_ms` and `p99_ms` are other percentiles.
        per_second: Calls of all callers together, per second.
    """

    operation: str
    callers: int
    calls: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    per_second: float


class DeploymentBench(Record):
    """The results of a measurement."""

    made_at: datetime
    measured: tuple[Measurement, ...]


async def measure_deployment(
    sessions: ChatSessions, *, callers: int, calls: int, progress: Callable[[str], None]
) -> DeploymentBench:
    """Initialize, update and get chat sessions, first with one caller and then with several at once.

    The sessions stay in the stores, under the tenant `benchmark`.

    Args:
        sessions: A client of the deployment.
        callers: How many callers call at once in the second part.
        calls: How often each caller calls each operation.
        progress: Called with a line about each step.

    Raises:
        JourneyError: The deployment cannot be reached, or does not answer in time.
    """
    measured: list[Measurement] = []
    for number in dict.fromkeys((1, callers)):
        progress(f"{number} callers, {calls} calls each")
        measured += await _measure_all(sessions, callers=number, calls=calls)
    return DeploymentBench(made_at=datetime.now(UTC), measured=tuple(measured))


async def _measure_all(sessions: ChatSessions, *, callers: int, calls: int) -> list[Measurement]:
    opened = datetime.now(UTC)
    users = [[f"user-{uuid4().hex}" for _ in range(calls)] for _ in range(callers)]
    ids: list[list[str]] = [[] for _ in users]

    async def initialize(caller: int, call: int) -> None:
        session = await sessions.initialize(tenant_id=TENANT, user_id=users[caller][call], requested_at=opened)
        ids[caller].append(session.chat_session_id)

    async def update(caller: int, call: int) -> None:
        change: dict[str, JsonValue] = {"step": call, "note": "x" * 200}
        await sessions.update_context(ids[caller][0], tenant_id=TENANT, context=change, returning="receipt")

    async def get(caller: int, call: int) -> None:
        await sessions.get(ids[caller][call], tenant_id=TENANT)

    return [await _measure(operation, callers=callers, calls=calls) for operation in (initialize, update, get)]


async def _measure(operation: Callable[[int, int], Awaitable[None]], *, callers: int, calls: int) -> Measurement:
    latencies: list[float] = []

    async def caller(number: int) -> None:
        for call in range(calls):
            began = time.perf_counter()
            await operation(number, call)
            latencies.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(caller(number) for number in range(callers)))
    took = time.perf_counter() - began
    ordered = sorted(latencies)
    return Measurement(
        operation=operation.__name__,
        callers=callers,
        calls=len(ordered),
        p50_ms=_percentile_ms(ordered, 0.5),
        p95_ms=_percentile_ms(ordered, 0.95),
        p99_ms=_percentile_ms(ordered, 0.99),
        per_second=round(len(ordered) / took, 1),
    )


def _percentile_ms(ordered: Sequence[float], share: float) -> float:
    return round(ordered[max(ceil(share * len(ordered)) - 1, 0)] * 1000, 2)
