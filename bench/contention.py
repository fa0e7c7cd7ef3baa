"""How the journey does on a large context, and how long a read takes while a session is changed without a pause."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from statistics import median, quantiles
from typing import Final

from bench.bench_stack import RunningVariants
from bench.plan import Plan
from bench.rounds import time_calls
from bench.sessions import Session, next_growth
from bench.variant import Variant, send_update

CHANGING_CALLERS: Final = 5
_TURNS: Final = 5
_WARM_UP_SECONDS: Final = 1.0


async def compare_large_updates(running: RunningVariants, make_session: Callable[[int], Session], plan: Plan) -> float:
    """The p50 of an update that touches one key of a large context, divided by that of `floor`; in turns."""
    pairs = []
    for name in ("journey", "floor"):
        half = plan.largest_context_bytes // 2  # one message may not hold all of it
        session = make_session(half)
        await running.variants[name].initialize(session)
        await running.variants[name].update(session, next_growth(session, half))
        pairs.append((running.variants[name], session))
    ratios = []
    for _ in range(_TURNS):
        ours, stores = [
            median((await time_calls([[partial(send_update, *pair, receipt=True)] * plan.large_updates]))[0])
            for pair in pairs
        ]
        ratios.append(ours / stores)
    return median(ratios)


async def measure_reads_under_change(journey: Variant, session: Session, reads: int) -> float:
    """The p95 of reads of a session, in milliseconds, while `CHANGING_CALLERS` change it without a pause."""
    await journey.initialize(session)

    async def change() -> None:
        while True:
            await send_update(journey, session, receipt=True)

    changing = [asyncio.create_task(change()) for _ in range(CHANGING_CALLERS)]
    try:
        await asyncio.sleep(_WARM_UP_SECONDS)
        latencies = []
        for _ in range(reads):
            begun = time.perf_counter()
            await journey.get(session)
            latencies.append((time.perf_counter() - begun) * 1000)
    finally:
        for each in changing:
            each.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*changing)
    return quantiles(latencies, n=20)[-1]
