"""Measurements of their own: what a goal asks for and a percentile does not show."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from statistics import median
from typing import Final
from uuid import UUID

import asyncpg

from bench.bench_stack import Field, Servers, field
from bench.payloads import Session, new_session, next_change, next_hand_over
from bench.plan import Plan
from bench.processes import resident_bytes
from bench.results import Series, Specials
from bench.rounds import timed
from bench.stores import STORING, StoreUrls
from bench.traces import Growth, extents, growth
from bench.variant import Variant

_WORKFLOWS: Final = ("bare", "step", "naive", "journey")
_BATCHES: Final = 4
# A backend tells its statistics at the latest this long after it has become idle.
_STATISTICS_SECONDS: Final = 11
_WINDOW: Final = 20
_POINTS: Final = 100
_EARLY: Final = 20
_WARM_SESSIONS: Final = 200
_AT_ONCE: Final = 4


async def specials(running: Field, plan: Plan, *, progress: Callable[[str], None]) -> Specials:
    """Take all measurements but that of memory, which wants new workers; see `live_session_bytes`."""
    made = _Maker()
    progress("history of updates, hand-overs and signals")
    updates, hand_overs, burst, large, long = {}, {}, {}, {}, {}
    for name in _WORKFLOWS:
        variant = running.variants[name]
        updates[name] = await _events_per_update(running, variant, made(), plan.few_updates, hand_over=False)
        hand_overs[name] = await _events_per_update(running, variant, made(), plan.few_updates, hand_over=True)
        burst[name] = (await _burst(running, variant, made(), plan.burst_signals))[0].events / plan.burst_signals
        session = made(plan.large_context_bytes)
        await variant.initialize(session)
        grown = await _grown(running, variant, session, partial(_updates, variant, session, plan.few_updates))
        large[name] = grown.size / plan.few_updates
        grown = await _grown(running, variant, session, partial(_updates, variant, session, plan.many_updates))
        long[name] = grown.size / plan.many_updates
    progress(f"a burst of {plan.burst_writes_signals} signals")
    journey = running.variants["journey"]
    session = made()
    _, burst_seconds = await _burst(running, journey, session, plan.burst_writes_signals)
    progress(f"update number {plan.late_update}")
    late_ratio, late_series = await _late(journey, made, plan)
    progress("what is kept of a session")
    return Specials(
        events_per_update=updates,
        events_per_hand_over=hand_overs,
        events_per_burst_signal=burst,
        burst_signals=plan.burst_signals,
        large_context_bytes=plan.large_context_bytes,
        history_bytes_per_update_of_large_context=large,
        many_updates=plan.many_updates,
        history_bytes_per_update_with_new_runs=long,
        burst_writes_signals=plan.burst_writes_signals,
        burst_writes=await _writes(running.stores["journey"], session),
        burst_seconds=round(burst_seconds, 3),
        late_update=plan.late_update,
        late_p50_ratio=round(late_ratio, 3),
        late_p50_ms=late_series,
        kept_bytes={name: await _kept(running, name, made(), plan.kept_updates) for name in ("floor", *_WORKFLOWS)},
        kept_updates=plan.kept_updates,
        round_trips=await _round_trips(running, made, plan.round_trip_calls, progress),
        memory_sessions=plan.memory_sessions,
        worker_bytes_per_live_session={},
    )


async def live_session_bytes(servers: Servers, plan: Plan) -> dict[str, float]:
    """How much memory a live session adds to its worker, by variant, on workers that are new."""
    added: dict[str, float] = {}
    if not plan.memory_sessions:
        return added
    made = _Maker()
    async with field(servers, name="memory") as fresh:
        for name in _WORKFLOWS:
            variant = fresh.variants[name]
            # What a worker needs for itself, threads and their arenas included, is not the sessions'.
            await _initialized(variant, made, _WARM_SESSIONS)
            before = resident_bytes(fresh.worker_pids[name])
            await _initialized(variant, made, plan.memory_sessions)
            after = resident_bytes(fresh.worker_pids[name])
            added[name] = round((after - before) / plan.memory_sessions)
    return added


async def _initialized(variant: Variant, made: Callable[[], Session], number: int) -> None:
    each = number // _AT_ONCE
    await timed([[partial(variant.initialize, made()) for _ in range(each)] for _ in range(_AT_ONCE)])


class _Maker:
    """Makes sessions that no other measurement uses."""

    def __init__(self) -> None:
        self._made = 0
        self._requested_at = datetime.now(UTC)

    def __call__(self, context_bytes: int | None = None) -> Session:
        self._made += 1
        name = f"special-{self._requested_at.timestamp()}-{self._made}"
        if context_bytes is None:
            return new_session(name, self._requested_at)
        return new_session(name, self._requested_at, context_bytes=context_bytes)


async def _updates(variant: Variant, session: Session, number: int) -> None:
    for _ in range(number):
        await variant.update(session, next_change(session, receipt=True))


async def _grown(running: Field, variant: Variant, session: Session, work: Callable[[], Awaitable[None]]) -> Growth:
    workflow_id = variant.workflow_id(session)
    assert workflow_id is not None
    before = await extents(running.client, [workflow_id])
    await work()
    await variant.get(session)  # answered once the workflow task that stored the last change has been recorded
    return await growth(running.client, [workflow_id], before)


async def _events_per_update(
    running: Field, variant: Variant, session: Session, number: int, *, hand_over: bool
) -> float:
    change = next_hand_over if hand_over else next_change
    await variant.initialize(session)

    async def work() -> None:
        for _ in range(number):
            await variant.update(session, change(session))

    return (await _grown(running, variant, session, work)).events / number


async def _burst(running: Field, variant: Variant, session: Session, number: int) -> tuple[Growth, float]:
    """Send signals to one session as fast as they go out; answers with the seconds until all of them were stored."""
    await variant.initialize(session)
    seconds = 0.0

    async def work() -> None:
        nonlocal seconds
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(number):
                group.create_task(variant.signal(session, next_change(session)))
        await variant.stored(session)
        seconds = time.perf_counter() - begun

    async with AsyncExitStack() as stack:
        if variant.name in running.arrivals:
            await stack.enter_async_context(running.arrivals[variant.name].listening())
        return await _grown(running, variant, session, work), seconds


async def _writes(urls: StoreUrls, session: Session) -> int:
    """How many transactions wrote a session's ledger: all rows of one were made by the same."""
    connection = await asyncpg.connect(urls.supabase)
    try:
        count: int = await connection.fetchval(
            "select count(distinct xmin::text) from public.chat_context_updates where chat_session_id = $1",
            UUID(session.chat_session_id),
        )
    finally:
        await connection.close()
    return count


async def _late(journey: Variant, made: Callable[[], Session], plan: Plan) -> tuple[float, Series]:
    """Compare updates late in sessions with early ones of others, in turns, at one caller."""
    half = _WINDOW // 2
    old = [made() for _ in range(plan.late_sessions)]
    points: list[float] = []
    for session in old:
        await journey.initialize(session)
    done = 0
    while done < plan.late_update - half:
        step = min(_POINTS, plan.late_update - half - done)
        latencies, _ = await timed([[partial(_update, journey, session)] * step for session in old])
        points.append(round(median(latencies), 3))
        done += step
    young = [made() for _ in range(plan.late_sessions)]
    for session in young:
        await journey.initialize(session)
        await _updates(journey, session, _EARLY - half)
    early, late = [], []
    for _ in range(_WINDOW):
        for first, second in zip(young, old, strict=True):
            early += (await timed([[partial(_update, journey, first)]]))[0]
            late += (await timed([[partial(_update, journey, second)]]))[0]
    series = Series(x=tuple(min((place + 1) * _POINTS, done) for place in range(len(points))), y=tuple(points))
    return median(late) / median(early), series


async def _update(variant: Variant, session: Session) -> None:
    await variant.update(session, next_change(session))


async def _kept(running: Field, name: str, session: Session, updates: int) -> int:
    """Bytes of a session's history, over all its runs, and of its rows."""
    variant = running.variants[name]
    await variant.initialize(session)
    for _ in range(updates):
        await _update(variant, session)
    workflow_id = variant.workflow_id(session)
    kept = (await growth(running.client, [workflow_id])).size if workflow_id else 0
    if name in running.stores:
        kept += await _row_bytes(running.stores[name], session)
    return kept


async def _row_bytes(urls: StoreUrls, session: Session) -> int:
    identity = UUID(session.chat_session_id)
    total = 0
    for url, table, column in (
        (urls.supabase, "public.chat_sessions", "chat_session_id"),
        (urls.supabase, "public.chat_context_updates", "chat_session_id"),
        (urls.state_surface, "state_surface.artifacts", "artifact_id"),
    ):
        connection = await asyncpg.connect(url)
        try:
            total += await connection.fetchval(
                f"select coalesce(sum(pg_column_size(kept.*)), 0) from {table} as kept where {column} = $1",  # noqa: S608
                identity,
            )
        finally:
            await connection.close()
    return total


async def _round_trips(
    running: Field, made: Callable[[], Session], calls: int, progress: Callable[[str], None]
) -> dict[str, dict[str, float]]:
    """Transactions per call: every statement is one of its own, so each is one round trip.

    The server counts its own as well, such as a vacuum's, so it is the least of a few batches that is answered.
    """
    if not calls:
        return {}
    progress("database round trips")
    sessions = {name: [made() for _ in range(calls)] for name in STORING}
    counted: dict[str, dict[str, float]] = {}
    for name in STORING:  # connections are opened and statements prepared before anything is counted
        warm = made()
        await running.variants[name].initialize(warm)
        await _update(running.variants[name], warm)
    each = calls // _BATCHES
    before = await _transactions(running)
    for operation in ("initialize", "update"):
        batches = []
        for batch in range(_BATCHES):
            for name in STORING:
                variant = running.variants[name]
                for session in sessions[name][batch * each : (batch + 1) * each]:
                    await (variant.initialize(session) if operation == "initialize" else _update(variant, session))
            after = await _transactions(running)
            batches.append({name: (after[name] - before[name]) / each for name in STORING})
            before = after
        counted[operation] = {name: round(min(batch[name] for batch in batches), 2) for name in STORING}
    return counted


async def _transactions(running: Field) -> Mapping[str, int]:
    await asyncio.sleep(_STATISTICS_SECONDS)
    counted = {}
    # From a database that nobody uses, since this asking counts as well.
    connection = await asyncpg.connect(running.stores["floor"].supabase.rpartition("/")[0] + "/postgres")
    try:
        for name in STORING:
            urls = running.stores[name]
            databases: Sequence[str] = [url.rpartition("/")[2] for url in (urls.supabase, urls.state_surface)]
            counted[name] = await connection.fetchval(
                "select sum(xact_commit)::bigint from pg_stat_database where datname = any($1::text[])", databases
            )
    finally:
        await connection.close()
    return counted
