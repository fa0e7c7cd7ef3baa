"""The rounds: every variant at every operation, in turns."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Final

from bench.bench_stack import RunningVariants
from bench.plan import Counts, Plan
from bench.processes import cpu_seconds
from bench.results import Block, Cpu
from bench.sessions import Change, Session, new_session, next_change
from bench.traces import measure_growth, read_extents
from bench.variant import Variant

OPERATIONS: Final = ("initialize", "update", "signal", "get", "hibernated_get", "resume", "mixed")
"""In the order of a round."""

_SAMPLE: Final = 8

Call = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class _Turn:
    """One variant's turn in one round, at one number of callers."""

    variant: Variant
    counts: Counts
    settle_seconds: float
    mixed_pairs: int
    fresh: list[list[Session]]  # by caller
    mixed: list[list[Session]]
    made: list[Session] = field(default_factory=list)

    @property
    def own(self) -> list[Session]:
        """The session of each caller."""
        return [sessions[-1] for sessions in self.fresh]

    @property
    def all(self) -> list[Session]:
        return [session for sessions in self.fresh for session in sessions]


@dataclass(frozen=True, slots=True)
class Rounds:
    """Variants that are measured against each other.

    Attributes:
        running: The variants.
        operations: Some or all of `OPERATIONS`.
        requested_at: Of all sessions.
    """

    running: RunningVariants
    operations: Sequence[str]
    requested_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def run(self, plan: Plan, *, progress: Callable[[str], None]) -> list[Block]:
        """Warm up if the plan says so, then go through all rounds.

        Args:
            plan: The number of rounds and calls.
            progress: Gets a line about each step.
        """
        blocks: list[Block] = []
        for number in range(0 if plan.warms_up else 1, plan.rounds + 1):
            for counts in plan.counts:
                progress(
                    f"round {number} of {plan.rounds}, {counts.callers} callers"
                    if number
                    else f"warming up, {counts.callers} callers"
                )
                measured = await self._run_round(number, counts if number else _warm_up(counts), plan)
                blocks += measured if number else ()
        return blocks

    async def _run_round(self, number: int, counts: Counts, plan: Plan) -> list[Block]:
        turns = [
            _Turn(
                variant,
                counts,
                plan.settle_seconds,
                plan.mixed_pairs,
                self._sessions(f"{number}-{counts.callers}", counts.callers, counts.initialize),
                self._sessions(f"{number}-{counts.callers}-mixed", counts.callers, plan.mixed_cycles),
            )
            for variant in self.running.variants.values()
        ]
        blocks = []
        for place, operation in enumerate(self.operations):
            first = (number + place) % len(turns)
            for turn in (*turns[first:], *turns[:first]):
                if operation == "hibernated_get":
                    await _for_each(turn.variant.hibernate, turn.all)
                blocks.append(await self._measure_block(turn, operation, number))
        for turn in turns:
            await _for_each(turn.variant.hibernate, [*turn.all, *turn.made])
        return blocks

    def _sessions(self, name: str, callers: int, each: int) -> list[list[Session]]:
        return [
            [new_session(f"round-{name}-{caller}-{number}", self.requested_at) for number in range(each)]
            for caller in range(callers)
        ]

    async def _measure_block(self, turn: _Turn, operation: str, number: int) -> Block:
        variant, counts = turn.variant, turn.counts
        work = [list(calls) for calls in _work(turn, operation)]
        sampled = _sampled_workflows(turn, operation)
        new_run = operation in ("initialize", "resume")
        before = None if new_run else await read_extents(self.running.client, sampled)
        roots = {"worker": self.running.worker_pids.get(variant.name), **self.running.server_pids}
        async with AsyncExitStack() as stack:
            if operation == "signal" and variant.name in self.running.stored_revisions:
                await stack.enter_async_context(self.running.stored_revisions[variant.name].listening())
            # Servers finish some work after they have answered; the pause counts it for the variant that caused it.
            await asyncio.sleep(turn.settle_seconds)
            before_cpu = cpu_seconds(roots)
            caller = time.process_time()
            latencies, seconds = await time_calls(work)
            caller = time.process_time() - caller
            await asyncio.sleep(turn.settle_seconds)
            after_cpu = cpu_seconds(roots)
        grown = await measure_growth(self.running.client, sampled, before) if sampled else None
        per_session = len(latencies) / counts.callers
        if new_run:
            per_session = 1
        share = 1 / (per_session * len(sampled)) if sampled else 0
        return Block(
            variant=variant.name,
            operation=operation,
            callers=counts.callers,
            round=number,
            calls=len(latencies),
            seconds=seconds,
            latencies_ms=tuple(latencies),
            cpu=_cpu(before_cpu, after_cpu, caller, len(latencies)),
            workflow_tasks=grown.workflow_tasks * share if grown else None,
            history_events=grown.events * share if grown else None,
            history_bytes=grown.size * share if grown else None,
        )


async def time_calls(work: Sequence[Sequence[Call]]) -> tuple[list[float], float]:
    """Make calls: each caller's one after the other, all callers at once.

    Returns:
        The milliseconds of each call, and the seconds of all together.
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


async def _signal_and_wait(variant: Variant, session: Session, change: Change) -> None:
    await variant.signal(session, change)
    await variant.wait_until_stored(session)


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
    # The change is made when it is sent: the session's number of changes then is the revision to wait for.
    return lambda: _signal_and_wait(variant, session, next_change(session))


def _mixed(turn: _Turn, session: Session) -> Iterable[Call]:
    turn.made.append(session)
    yield partial(turn.variant.initialize, session)
    for _ in range(turn.mixed_pairs):
        yield partial(turn.variant.update, session, next_change(session))
        yield partial(turn.variant.get, session)


def _sampled_workflows(turn: _Turn, operation: str) -> list[str]:
    if operation in ("hibernated_get", "mixed"):
        return []
    sessions = turn.all if operation in ("initialize", "resume") else turn.own
    ids = [turn.variant.workflow_id(session) for session in sessions[-_SAMPLE:]]
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


async def _for_each(call: Callable[[Session], Awaitable[None]], sessions: Sequence[Session]) -> None:
    async with asyncio.TaskGroup() as group:
        slots = asyncio.Semaphore(16)

        async def one(session: Session) -> None:
            async with slots:
                await call(session)

        for session in sessions:
            group.create_task(one(session))
