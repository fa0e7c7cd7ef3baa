"""The measured part: every variant at every operation, in turns, round after round."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Final

from temporalio.client import Client

from bench.arrivals import Arrivals
from bench.payloads import Change, Session, new_session, next_change
from bench.plan import Counts, Plan
from bench.processes import cpu_seconds
from bench.results import Block, Cpu
from bench.traces import extents, growth
from bench.variant import Variant

OPERATIONS: Final = ("initialize", "update", "signal", "get", "hibernated_get", "resume", "mixed")
"""In the order in which a round goes through them."""

_LOOKED_AT: Final = 8

Call = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class _Turn:
    """What one variant has in one round at one number of callers."""

    variant: Variant
    counts: Counts
    settle_seconds: float
    mixed_pairs: int
    fresh: list[list[Session]]  # by caller
    mixed: list[list[Session]]
    made: list[Session] = field(default_factory=list)

    @property
    def own(self) -> list[Session]:
        """Each caller's own session."""
        return [sessions[-1] for sessions in self.fresh]

    @property
    def all(self) -> list[Session]:
        return [session for sessions in self.fresh for session in sessions]


@dataclass(frozen=True, slots=True)
class Bench:
    """What is measured, and with what.

    Attributes:
        client: To look at workflows with.
        variants: That take turns.
        operations: Some or all of `OPERATIONS`.
        worker_pids: By variant.
        server_pids: Of `server` and `database`; empty where their CPU cannot be seen.
        arrivals: By variant that stores.
        name: Distinguishes its sessions from those of other runs on the same stores.
        requested_at: When all its sessions are asked for.
    """

    client: Client
    variants: Sequence[Variant]
    operations: Sequence[str] = OPERATIONS
    worker_pids: Mapping[str, int] = field(default_factory=dict)
    server_pids: Mapping[str, int] = field(default_factory=dict)
    arrivals: Mapping[str, Arrivals] = field(default_factory=dict)
    name: str = "round"
    requested_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def run(self, plan: Plan, *, progress: Callable[[str], None]) -> list[Block]:
        """Warm up, then go through all rounds.

        Args:
            plan: How much of everything.
            progress: Told in a line what is being done.
        """
        blocks: list[Block] = []
        for number in range(plan.rounds + 1):
            for counts in plan.counts:
                progress(
                    f"round {number} of {plan.rounds}, {counts.callers} callers"
                    if number
                    else f"warming up, {counts.callers} callers"
                )
                measured = await self._round(number, counts if number else _warm_up(counts), plan)
                blocks += measured if number else ()
        return blocks

    async def _round(self, number: int, counts: Counts, plan: Plan) -> list[Block]:
        turns = [
            _Turn(
                variant,
                counts,
                plan.settle_seconds,
                plan.mixed_pairs,
                self._sessions(f"{number}-{counts.callers}", counts.callers, counts.initialize),
                self._sessions(f"{number}-{counts.callers}-mixed", counts.callers, plan.mixed_cycles),
            )
            for variant in self.variants
        ]
        blocks = []
        for place, operation in enumerate(self.operations):
            first = (number + place) % len(turns)
            for turn in (*turns[first:], *turns[:first]):
                if operation == "hibernated_get":
                    await _at_once(turn.variant.hibernate, turn.all)
                blocks.append(await self._block(turn, operation, number))
        for turn in turns:
            await _at_once(turn.variant.hibernate, [*turn.all, *turn.made])
        return blocks

    def _sessions(self, name: str, callers: int, each: int) -> list[list[Session]]:
        return [
            [new_session(f"{self.name}-{name}-{caller}-{number}", self.requested_at) for number in range(each)]
            for caller in range(callers)
        ]

    async def _block(self, turn: _Turn, operation: str, number: int) -> Block:
        variant, counts = turn.variant, turn.counts
        work = [list(calls) for calls in _work(turn, operation)]
        looked_at = _looked_at(turn, operation)
        anew = operation in ("initialize", "resume")
        before = None if anew else await extents(self.client, looked_at)
        roots = {"worker": self.worker_pids.get(variant.name), **self.server_pids}
        async with AsyncExitStack() as stack:
            if operation == "signal" and variant.name in self.arrivals:
                await stack.enter_async_context(self.arrivals[variant.name].listening())
            # Servers finish some of their work after they have answered; it counts for whom they did it.
            await asyncio.sleep(turn.settle_seconds)
            before_cpu = cpu_seconds(roots)
            caller = time.process_time()
            latencies, seconds = await timed(work)
            caller = time.process_time() - caller
            await asyncio.sleep(turn.settle_seconds)
            after_cpu = cpu_seconds(roots)
        grown = await growth(self.client, looked_at, before) if looked_at else None
        per_session = len(latencies) / counts.callers
        if anew:
            per_session = 1
        share = 1 / (per_session * len(looked_at)) if looked_at else 0
        return Block(
            variant=variant.name,
            operation=operation,
            callers=counts.callers,
            round=number,
            calls=len(latencies),
            seconds=seconds,
            latencies_ms=tuple(latencies),
            cpu=_cpu(before_cpu, after_cpu, caller, len(latencies)) if self.server_pids else None,
            workflow_tasks=grown.workflow_tasks * share if grown else None,
            history_events=grown.events * share if grown else None,
            history_bytes=grown.size * share if grown else None,
        )


async def timed(work: Sequence[Sequence[Call]]) -> tuple[list[float], float]:
    """Make calls, those of each caller one after the other and all callers at once.

    Returns:
        Milliseconds of each call, and seconds of all of them.
    """
    latencies: list[float] = []

    async def caller(calls: Sequence[Call]) -> None:
        for call in calls:
            begun = time.perf_counter()
            await call()
            latencies.append((time.perf_counter() - begun) * 1000)

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as callers:
        for calls in work:
            callers.create_task(caller(calls))
    return latencies, time.perf_counter() - begun


async def signalled(variant: Variant, session: Session, change: Change) -> None:
    """Send a signal and wait until it is stored."""
    await variant.signal(session, change)
    await variant.stored(session)


def _work(turn: _Turn, operation: str) -> Iterable[Iterable[Call]]:
    variant, counts = turn.variant, turn.counts
    if operation == "initialize":
        return ([partial(variant.initialize, session) for session in sessions] for sessions in turn.fresh)
    if operation == "hibernated_get":
        return ([partial(variant.get, session) for session in sessions] for sessions in turn.fresh)
    if operation == "resume":
        return (
            [partial(variant.update, session, next_change(session)) for session in sessions] for sessions in turn.fresh
        )
    if operation == "get":
        return ([partial(variant.get, session)] * counts.get for session in turn.own)
    if operation == "update":
        return (
            [partial(variant.update, session, next_change(session)) for _ in range(counts.update)]
            for session in turn.own
        )
    if operation == "signal":
        return ([_one_signal(variant, session)] * counts.signal for session in turn.own)
    return ([call for session in sessions for call in _mixed(turn, session)] for sessions in turn.mixed)


def _one_signal(variant: Variant, session: Session) -> Call:
    # Made when it is sent, since a session's number of changes says what to wait for.
    return lambda: signalled(variant, session, next_change(session))


def _mixed(turn: _Turn, session: Session) -> Iterable[Call]:
    turn.made.append(session)
    yield partial(turn.variant.initialize, session)
    for _ in range(turn.mixed_pairs):
        yield partial(turn.variant.update, session, next_change(session))
        yield partial(turn.variant.get, session)


def _looked_at(turn: _Turn, operation: str) -> list[str]:
    if operation in ("hibernated_get", "mixed"):
        return []
    sessions = turn.all if operation in ("initialize", "resume") else turn.own
    ids = [turn.variant.workflow_id(session) for session in sessions[-_LOOKED_AT:]]
    return [each for each in ids if each]


def _warm_up(counts: Counts) -> Counts:
    few = {name: min(getattr(counts, name), 5) for name in ("initialize", "update", "signal", "get")}
    return Counts(callers=counts.callers, **few)


def _cpu(
    before: Mapping[str, float | None], after: Mapping[str, float | None], caller_seconds: float, calls: int
) -> Cpu:
    def spent(part: str) -> float | None:
        first, last = before[part], after[part]
        return None if first is None or last is None else (last - first) * 1000 / calls

    return Cpu(
        worker=spent("worker"),
        server=spent("server"),
        database=spent("database"),
        caller=caller_seconds * 1000 / calls,
    )


async def _at_once(call: Callable[[Session], Awaitable[None]], sessions: Sequence[Session]) -> None:
    async with asyncio.TaskGroup() as group:
        slots = asyncio.Semaphore(16)

        async def one(session: Session) -> None:
            async with slots:
                await call(session)

        for session in sessions:
            group.create_task(one(session))
