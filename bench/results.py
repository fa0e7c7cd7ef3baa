"""What comes out of a run, as `--json` shows it."""

from collections.abc import Sequence
from datetime import datetime
from math import ceil
from statistics import median
from typing import Final, Self

from bench.stores import StoreContents
from journeys.messages import Record

VARIANTS: Final = ("floor", "bare", "step", "naive", "journey")
"""In the order in which they are shown."""


class Cpu(Record):
    """CPU milliseconds per call, apart; None where a part is not there or cannot be seen."""

    worker: float | None
    server: float | None
    database: float | None
    caller: float | None

    @property
    def total(self) -> float:
        """All of it."""
        return sum(part for part in (self.worker, self.server, self.database, self.caller) if part)

    @property
    def ours(self) -> float:
        """Of worker and caller: what the code of a variant can help."""
        return (self.worker or 0) + (self.caller or 0)


class Block(Record):
    """One variant's turn at one operation in one round.

    Attributes:
        calls: How many.
        seconds: From the first call to the last answer.
        latencies_ms: Of each call.
        cpu: Per call.
        workflow_tasks: Per call, of the sessions that were looked at; None where there is no workflow.
        history_events: Likewise.
        history_bytes: Likewise.
    """

    variant: str
    operation: str
    callers: int
    round: int
    calls: int
    seconds: float
    latencies_ms: tuple[float, ...]
    cpu: Cpu | None
    workflow_tasks: float | None
    history_events: float | None
    history_bytes: float | None

    @property
    def p50_ms(self) -> float:
        """The median call."""
        return median(self.latencies_ms)

    @property
    def per_second(self) -> float:
        """Calls per second."""
        return self.calls / self.seconds


class Figure(Record):
    """One variant at one operation: percentiles over all calls, medians of the rounds for the rest."""

    variant: str
    operation: str
    callers: int
    calls: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    per_second: float
    cpu_ms: Cpu | None
    cpu_ms_total: float | None
    workflow_tasks: float | None
    history_events: float | None
    history_bytes: float | None

    @classmethod
    def of(cls, blocks: Sequence[Block]) -> Self:
        """Summarize the blocks of one variant, operation and number of callers."""
        first = blocks[0]
        latencies = sorted(latency for block in blocks for latency in block.latencies_ms)
        spent = [block.cpu for block in blocks if block.cpu]
        return cls(
            variant=first.variant,
            operation=first.operation,
            callers=first.callers,
            calls=len(latencies),
            p50_ms=_rounded(_percentile(latencies, 0.5)),
            p95_ms=_rounded(_percentile(latencies, 0.95)),
            p99_ms=_rounded(_percentile(latencies, 0.99)),
            per_second=_rounded(median(block.per_second for block in blocks)),
            cpu_ms=Cpu(
                worker=_median([cpu.worker for cpu in spent]),
                server=_median([cpu.server for cpu in spent]),
                database=_median([cpu.database for cpu in spent]),
                caller=_median([cpu.caller for cpu in spent]),
            )
            if spent
            else None,
            cpu_ms_total=_median([cpu.total for cpu in spent]),
            workflow_tasks=_median([block.workflow_tasks for block in blocks]),
            history_events=_median([block.history_events for block in blocks]),
            history_bytes=_median([block.history_bytes for block in blocks]),
        )


class Ratio(Record):
    """The journey's figure against another variant's, round by round.

    Attributes:
        figure: `p50_ms`, `per_second`, `cpu_ms_ours` (worker and caller) or `cpu_ms_total`.
        against: The other variant and its operation.
    """

    figure: str
    operation: str
    callers: int
    against: str
    median: float
    min: float
    max: float
    rounds: tuple[float, ...]


class Goal(Record):
    """Something to reach.

    Attributes:
        goal: As `≤ 1.25`.
        reached: The figure; None where it was not measured.
        step: What `step` reaches, where it has such a figure.
    """

    figure: str
    goal: str
    reached: float | None
    met: bool | None
    step: float | None = None


class Series(Record):
    """Points of a line."""

    x: tuple[float, ...]
    y: tuple[float, ...]


class Specials(Record):
    """Measurements of their own, by variant where it is a mapping; see `specials`.

    Attributes:
        events_per_update: History events of an acknowledged update.
        events_per_hand_over: Of one that also hands the conversation over.
        events_per_burst_signal: Of each signal in a burst, its own event included.
        burst_signals: How many that burst had.
        large_context_bytes: The context of the next.
        history_bytes_per_update_of_large_context: Of a 300-byte change, answered by a receipt where a variant can.
        many_updates: How many the next was measured over.
        history_bytes_per_update_with_new_runs: The same over so many that the runs they were continued as count.
        burst_writes_signals: How many signals one session was sent at once.
        burst_writes: Transactions that changed the session's row meanwhile.
        burst_seconds: Until the last of them was stored.
        late_update: Which update of one session the next compares with its 20th.
        late_p50_ratio: The p50 around that update against the p50 around the 20th, taken in turns.
        late_p50_ms: p50 of each hundred updates on the way there.
        kept_bytes: History and rows that are kept for a session after `kept_updates` updates.
        kept_updates: How many.
        round_trips: Transactions in both databases per call, by operation and variant.
        memory_sessions: How many live sessions the next was measured over.
        worker_bytes_per_live_session: Resident memory that a live session adds to its worker.
    """

    events_per_update: dict[str, float]
    events_per_hand_over: dict[str, float]
    events_per_burst_signal: dict[str, float]
    burst_signals: int
    large_context_bytes: int
    history_bytes_per_update_of_large_context: dict[str, float]
    many_updates: int
    history_bytes_per_update_with_new_runs: dict[str, float]
    burst_writes_signals: int
    burst_writes: int
    burst_seconds: float
    late_update: int
    late_p50_ratio: float
    late_p50_ms: Series
    kept_bytes: dict[str, int]
    kept_updates: int
    round_trips: dict[str, dict[str, float]]
    memory_sessions: int
    worker_bytes_per_live_session: dict[str, float]


class Machine(Record):
    """Where a run was made."""

    system: str
    processor: str
    cpus: int
    load: float
    python: str
    temporalio: str
    temporal_server: str
    postgres: str


class Results(Record):
    """A run.

    Attributes:
        quick: Whether it only shows that the benchmark works; its figures mean nothing.
        rounds: How many times each variant had its turn.
        persistence: Where the Temporal server kept its state.
        in_memory: The figures of a second run, for which it kept its state in memory.
        same_work: Whether all stores hold the same in the end; None where only one variant ran.
    """

    version: int = 1
    made_at: datetime
    machine: Machine
    quick: bool
    deployment: bool
    rounds: int
    context_bytes: int
    change_bytes: int
    persistence: str | None
    figures: tuple[Figure, ...]
    in_memory: tuple[Figure, ...] = ()
    ratios: tuple[Ratio, ...] = ()
    goals: tuple[Goal, ...] = ()
    specials: Specials | None = None
    stores: dict[str, StoreContents] | None = None
    same_work: bool | None = None


def figures(blocks: Sequence[Block]) -> tuple[Figure, ...]:
    """Summarize blocks, those of an operation together, variants always in the same order."""
    operations = list(dict.fromkeys((block.operation, block.callers) for block in blocks))
    grouped: dict[tuple[str, int, str], list[Block]] = {}
    for block in sorted(
        blocks, key=lambda block: (operations.index((block.operation, block.callers)), VARIANTS.index(block.variant))
    ):
        grouped.setdefault((block.operation, block.callers, block.variant), []).append(block)
    return tuple(Figure.of(group) for group in grouped.values())


def _percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[max(ceil(share * len(ordered)) - 1, 0)]


def _median(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return _rounded(median(there)) if there else None


def _rounded(value: float) -> float:
    return round(value, 3)
