"""What sessions cost in history, rows, round trips and memory: measured once, beside the rounds of latencies."""

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

from bench.bench_stack import RunningVariants, Servers, run_variants
from bench.contention import CHANGING_CALLERS, compare_large_updates, measure_reads_under_change
from bench.plan import Plan
from bench.processes import resident_bytes
from bench.results import Series, Specials
from bench.rounds import time_calls
from bench.sessions import Session, new_session, next_change, next_hand_over
from bench.stores import STORING, StoreUrls
from bench.traces import Growth, measure_growth, read_extents
from bench.variant import Variant, send_update

_WORKFLOWS: Final = ("bare", "step", "naive", "journey")
_BATCHES: Final = 4
# A PostgreSQL backend reports its statistics at most this long after it has become idle.
_STATISTICS_SECONDS: Final = 11
_WINDOW: Final = 20
_POINTS: Final = 100
_EARLY: Final = 20
_WARM_SESSIONS: Final = 200
_AT_ONCE: Final = 4


async def measure_session_costs(running: RunningVariants, plan: Plan, *, progress: Callable[[str], None]) -> Specials:
    """Take all measurements except memory, which needs new workers; see `measure_live_session_bytes`."""
    make_session = _NewSessions()
    progress("history of updates, hand-overs and signals")
    updates, hand_overs, burst, large, long = {}, {}, {}, {}, {}
    for name in _WORKFLOWS:
        variant = running.variants[name]
        updates[name] = await _count_events_per_update(
            running, variant, make_session(), plan.few_updates, hand_over=False
        )
        hand_overs[name] = await _count_events_per_update(
            running, variant, make_session(), plan.few_updates, hand_over=True
        )
        burst[name] = (await _send_burst(running, variant, make_session(), plan.burst_signals))[
            0
        ].events / plan.burst_signals
        session = make_session(plan.large_context_bytes)
        await variant.initialize(session)
        grown = await _measure_growth(
            running, variant, session, partial(_send_updates, variant, session, plan.few_updates)
        )
        large[name] = grown.size / plan.few_updates
        grown = await _measure_growth(
            running, variant, session, partial(_send_updates, variant, session, plan.many_updates)
        )
        long[name] = grown.size / plan.many_updates
    progress(f"a burst of {plan.burst_writes_signals} signals")
    journey = running.variants["journey"]
    session = make_session()
    _, burst_seconds = await _send_burst(running, journey, session, plan.burst_writes_signals)
    progress(f"update number {plan.late_update}")
    late_ratio, late_series = await _compare_late_updates(journey, make_session, plan)
    progress(f"a large context, and reads while {CHANGING_CALLERS} callers change a session")
    large_ratio = await compare_large_updates(running, make_session, plan)
    read_p95 = await measure_reads_under_change(journey, make_session(), plan.reads_under_change)
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
        burst_writes=await _count_writes(running.stores["journey"], session),
        burst_seconds=round(burst_seconds, 3),
        late_update=plan.late_update,
        late_p50_ratio=round(late_ratio, 3),
        late_p50_ms=late_series,
        kept_bytes={
            name: await _measure_kept_bytes(running, name, make_session(), plan.kept_updates)
            for name in ("floor", *_WORKFLOWS)
        },
        kept_updates=plan.kept_updates,
        round_trips=await _count_round_trips(running, make_session, plan.round_trip_calls, progress),
        memory_sessions=plan.memory_sessions,
        worker_bytes_per_live_session={},
        largest_context_bytes=plan.largest_context_bytes,
        large_update_p50_ratio=round(large_ratio, 3),
        reads_under_change=plan.reads_under_change,
        read_under_change_p95_ms=round(read_p95, 1),
    )


async def measure_live_session_bytes(servers: Servers, plan: Plan) -> dict[str, float]:
    """Measure the memory that a live session adds to its worker, by variant, on new workers."""
    added: dict[str, float] = {}
    if not plan.memory_sessions:
        return added
    make_session = _NewSessions()
    async with run_variants(servers, name="memory") as fresh:
        for name in _WORKFLOWS:
            variant = fresh.variants[name]
            # A worker needs memory for itself, threads and their arenas included, which is not the sessions'.
            await _initialize_many(variant, make_session, _WARM_SESSIONS)
            before = resident_bytes(fresh.worker_pids[name])
            await _initialize_many(variant, make_session, plan.memory_sessions)
            after = resident_bytes(fresh.worker_pids[name])
            added[name] = round((after - before) / plan.memory_sessions)
    return added


async def _initialize_many(variant: Variant, make_session: Callable[[], Session], number: int) -> None:
    each = number // _AT_ONCE
    await time_calls([[partial(variant.initialize, make_session()) for _ in range(each)] for _ in range(_AT_ONCE)])


class _NewSessions:
    """Each call makes a session that no other measurement uses."""

    def __init__(self) -> None:
        self._count = 0
        self._requested_at = datetime.now(UTC)

    def __call__(self, context_bytes: int | None = None) -> Session:
        self._count += 1
        name = f"special-{self._requested_at.timestamp()}-{self._count}"
        if context_bytes is None:
            return new_session(name, self._requested_at)
        return new_session(name, self._requested_at, context_bytes=context_bytes)


async def _send_updates(variant: Variant, session: Session, number: int) -> None:
    for _ in range(number):
        await send_update(variant, session, receipt=True)


async def _measure_growth(
    running: RunningVariants, variant: Variant, session: Session, work: Callable[[], Awaitable[None]]
) -> Growth:
    workflow_id = variant.workflow_id(session)
    assert workflow_id is not None
    before = await read_extents(running.client, [workflow_id])
    await work()
    await variant.get(session)  # answered only after the workflow task that stored the last change
    return await measure_growth(running.client, [workflow_id], before)


async def _count_events_per_update(
    running: RunningVariants, variant: Variant, session: Session, number: int, *, hand_over: bool
) -> float:
    change = next_hand_over if hand_over else next_change
    await variant.initialize(session)

    async def work() -> None:
        for _ in range(number):
            await variant.update(session, change(session))

    return (await _measure_growth(running, variant, session, work)).events / number


async def _send_burst(
    running: RunningVariants, variant: Variant, session: Session, number: int
) -> tuple[Growth, float]:
    """Send signals to one session, all at once; also answers the seconds until all of them are stored."""
    await variant.initialize(session)
    seconds = 0.0

    async def work() -> None:
        nonlocal seconds
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(number):
                group.create_task(variant.signal(session, next_change(session)))
        await variant.wait_until_stored(session)
        seconds = time.perf_counter() - begun

    async with AsyncExitStack() as stack:
        if variant.name in running.stored_revisions:
            await stack.enter_async_context(running.stored_revisions[variant.name].listening())
        return await _measure_growth(running, variant, session, work), seconds


async def _count_writes(urls: StoreUrls, session: Session) -> int:
    """Count the transactions that wrote a session's ledger: `xmin` is the transaction that inserted a row."""
    connection = await asyncpg.connect(urls.supabase)
    try:
        count: int = await connection.fetchval(
            "select count(distinct xmin::text) from public.chat_context_updates where chat_session_id = $1",
            UUID(session.chat_session_id),
        )
    finally:
        await connection.close()
    return count


async def _compare_late_updates(
    journey: Variant, make_session: Callable[[], Session], plan: Plan
) -> tuple[float, Series]:
    """Compare late updates of some sessions with early ones of others, in turns, at one caller."""
    half = _WINDOW // 2
    old = [make_session() for _ in range(plan.late_sessions)]
    points: list[float] = []
    for session in old:
        await journey.initialize(session)
    done = 0
    while done < plan.late_update - half:
        step = min(_POINTS, plan.late_update - half - done)
        latencies, _ = await time_calls([[partial(send_update, journey, session)] * step for session in old])
        points.append(round(median(latencies), 3))
        done += step
    young = [make_session() for _ in range(plan.late_sessions)]
    for session in young:
        await journey.initialize(session)
        await _send_updates(journey, session, _EARLY - half)
    early, late = [], []
    for _ in range(_WINDOW):
        for first, second in zip(young, old, strict=True):
            early += (await time_calls([[partial(send_update, journey, first)]]))[0]
            late += (await time_calls([[partial(send_update, journey, second)]]))[0]
    series = Series(x=tuple(min((place + 1) * _POINTS, done) for place in range(len(points))), y=tuple(points))
    return median(late) / median(early), series


async def _measure_kept_bytes(running: RunningVariants, name: str, session: Session, updates: int) -> int:
    """Measure a session's history, over all its runs, and its rows."""
    variant = running.variants[name]
    await variant.initialize(session)
    for _ in range(updates):
        await send_update(variant, session)
    workflow_id = variant.workflow_id(session)
    kept = (await measure_growth(running.client, [workflow_id])).size if workflow_id else 0
    if name in running.stores:
        kept += await _measure_row_bytes(running.stores[name], session)
    return kept


async def _measure_row_bytes(urls: StoreUrls, session: Session) -> int:
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


async def _count_round_trips(
    running: RunningVariants, make_session: Callable[[], Session], calls: int, progress: Callable[[str], None]
) -> dict[str, dict[str, float]]:
    """Count transactions per call: each statement is a transaction, and so one round trip.

    PostgreSQL also counts transactions of its own, as of a vacuum, so the smallest of a few batches is the answer.
    """
    if not calls:
        return {}
    progress("database round trips")
    sessions = {name: [make_session() for _ in range(calls)] for name in STORING}
    counted: dict[str, dict[str, float]] = {}
    for name in STORING:  # opens connections and prepares statements before anything is counted
        warm = make_session()
        await running.variants[name].initialize(warm)
        await send_update(running.variants[name], warm)
    each = calls // _BATCHES
    before = await _count_transactions(running)
    for operation in ("initialize", "update"):
        batches = []
        for batch in range(_BATCHES):
            for name in STORING:
                variant = running.variants[name]
                for session in sessions[name][batch * each : (batch + 1) * each]:
                    await (variant.initialize(session) if operation == "initialize" else send_update(variant, session))
            after = await _count_transactions(running)
            batches.append({name: (after[name] - before[name]) / each for name in STORING})
            before = after
        counted[operation] = {name: round(min(batch[name] for batch in batches), 2) for name in STORING}
    return counted


async def _count_transactions(running: RunningVariants) -> Mapping[str, int]:
    await asyncio.sleep(_STATISTICS_SECONDS)
    counted = {}
    # From a database that no variant uses, as this query counts as well.
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
